//! Failures that ScriptSandbox has to do with: what was refused, and the directive that gives it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::directives::sandbox::{Level, PROGRAMS, Sandbox};
use crate::gateway::script_reply::excerpt;
use crate::process::child::Step;
use crate::scripts::diagnosis::first_line::FirstLine;
use crate::scripts::diagnosis::{Diagnosis, End, Failure, hints, shown};

/// What ScriptSandbox may have refused the script, when it is confined and nothing else stood in its way.
pub fn explain(failure: &Failure<'_>) -> Option<Diagnosis> {
    if failure.sandbox.level() == Level::Off {
        return None;
    }
    match failure.end {
        End::NotStarted { doing, errno } if doing == Step::Execute.told() && errno == libc::EACCES => {
            Some(not_executed(failure))
        }
        End::NotStarted { doing, .. } if doing == Step::Ruleset.told() => Some(Diagnosis {
            cause: "ScriptSandbox cannot be held here, so the script was not started".into(),
            cure: Some("the spawner's line before this one says why".into()),
        }),
        End::Exited(status) if status != 0 && failure.stdout_bytes == 0 => refused(failure.stderr_tail),
        _ => None,
    }
}

/// The program, its interpreter or its loader could not be executed although the permissions are right.
fn not_executed(failure: &Failure<'_>) -> Diagnosis {
    let script = fs::canonicalize(failure.script).unwrap_or_else(|_| failure.script.to_owned());
    let interpreter = match FirstLine::of(failure.first_bytes) {
        FirstLine::Shebang(line) => Some(PathBuf::from(OsStr::from_bytes(&line.interpreter))),
        _ => None,
    };
    let outside = |path: &Path| !reaches(failure.sandbox, failure.script, path);
    let (what, path) = match interpreter {
        Some(interpreter) if outside(&interpreter) => ("the interpreter of line 1", interpreter),
        _ if script != failure.script && outside(&script) => ("the file that its name leads to", script),
        _ => {
            return Diagnosis {
                cause: "under ScriptSandbox it cannot execute something that it needs to start, though the permissions are right"
                    .into(),
                cure: Some("name its interpreter or its loader with ScriptSandboxRead".into()),
            };
        }
    };
    Diagnosis {
        cause: format!("ScriptSandbox keeps it from {what}, {}", shown(&path)),
        cure: Some(format!("`ScriptSandboxRead {}`", shown(installed(&path)))),
    }
}

/// Whether a program is one of the system's, or of those that the settings name, or beside the script.
fn reaches(sandbox: &Sandbox, script: &Path, program: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let program = real(program);
    let named = sandbox.read.iter().map(|name| Path::new(OsStr::from_bytes(name)));
    let mut roots = PROGRAMS.iter().map(Path::new).chain(named).chain(script.parent());
    roots.any(|root| program.starts_with(real(root)))
}

/// What to name for a program: where it is installed with its libraries if it is in a `bin`, else the program.
fn installed(program: &Path) -> &Path {
    let bin = program.parent().filter(|above| above.ends_with("bin"));
    let top = bin.and_then(Path::parent).filter(|top| top.parent().is_some());
    top.unwrap_or(program)
}

/// What the last words on stderr say was refused.
fn refused(stderr: &[u8]) -> Option<Diagnosis> {
    if let Some(told) = hints::shared_library_missing(stderr) {
        return Some(Diagnosis {
            cure: Some("install it, or name the directory it is in with ScriptSandboxRead".into()),
            ..told
        });
    }
    let mut lines = stderr.split(|byte| *byte == b'\n').rev();
    let says = |line: &&[u8], words: &[u8]| memchr::memmem::find(line, words).is_some();
    let line = lines.find(|line| says(line, b"Permission denied") || says(line, b"Operation not permitted"))?;
    Some(Diagnosis {
        cause: format!("something was refused to it: `{}`", excerpt(line)),
        cure: Some(
            "if that is ScriptSandbox and not the file's permissions, give it by ScriptSandboxRead, ScriptSandboxWrite or \
             ScriptSandboxTCP"
                .into(),
        ),
    })
}

#[cfg(test)]
mod tests;
