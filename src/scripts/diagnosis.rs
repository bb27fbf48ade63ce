//! Why a script failed, in one sentence, and what mends it: for the error log and for `lychgate doctor`. Called only when
//! something has failed, so it may look at the disk.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::base::quote;
use crate::config::directives::rlimit::ScriptProcess;
use crate::config::directives::sandbox::Sandbox;
use crate::gateway::script_reply::{ReplyError, excerpt};

mod confined;
pub mod first_line;
mod hints;
pub mod obstacle;
#[cfg(test)]
mod tests;

use crate::scripts::diagnosis::first_line::FirstLine;
use crate::scripts::diagnosis::obstacle::{Obstacle, Runner, obstacles};

/// So many of the last lines of stderr go into a record.
const STDERR_LINES: usize = 4;

/// A cause and its cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What is wrong.
    pub cause: String,
    /// What to do, where that is certain enough to say.
    pub cure: Option<String>,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)?;
        match &self.cure {
            Some(cure) => write!(f, "; {cure}"),
            None => Ok(()),
        }
    }
}

/// A script that gave no reply, and what is known about it.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The script's file.
    pub script: &'a Path,
    /// Who was to run it, with the PATH it was given.
    pub runner: &'a Runner,
    /// How it was to be confined.
    pub sandbox: &'a Sandbox,
    /// The name of its request.
    pub request: &'a str,
    /// Its process, if there was one.
    pub pid: Option<i32>,
    /// The script's first bytes, where whoever started it could read them; empty otherwise.
    pub first_bytes: &'a [u8],
    /// How it ended.
    pub end: End,
    /// What was wrong with its output, when it could be started.
    pub reply: Option<&'a ReplyError>,
    /// All the bytes it wrote to stdout.
    pub stdout_bytes: u64,
    /// The last it wrote to stderr.
    pub stderr_tail: &'a [u8],
    /// From its start to its end.
    pub elapsed: Duration,
    /// The limits that the settings set it.
    pub limits: Limits,
}

/// The limits of which the system does not say that they were reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// RLimitCPU, its hard limit.
    pub hard_cpu: Option<Duration>,
    /// RLimitMEM in bytes.
    pub memory: Option<u64>,
}

impl Limits {
    /// Those of a place.
    pub fn of(process: &ScriptProcess) -> Limits {
        let hard_cpu = process.cpu.value().and_then(|bounds| bounds.hard?.number());
        Limits {
            hard_cpu: hard_cpu.map(Duration::from_secs),
            memory: process.memory.value().and_then(|bounds| bounds.soft.number()),
        }
    }
}

/// How a script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was never started.
    NotStarted {
        /// What could not be done.
        doing: &'static str,
        /// The system's error number.
        errno: i32,
    },
    /// By itself, with this status.
    Exited(i32),
    /// By a signal.
    Killed {
        /// Its number.
        signal: i32,
        /// What is left of it.
        core: Core,
    },
    /// By us, after so long.
    TimedOut(Duration),
    /// It is still running, or we ended it because its reply was no good.
    StillRunning,
}

/// Whether a core file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// Yes.
    Dumped,
    /// No.
    None,
}

/// Names the cause of a failure. Looks at the script's file where the end alone does not tell.
pub fn explain(failure: &Failure<'_>) -> Diagnosis {
    let seen = Some(FirstLine::of(failure.first_bytes)).filter(|_| !failure.first_bytes.is_empty());
    let obstacles = obstacles(failure.script, failure.runner, seen);
    let confined = obstacles.is_empty().then(|| confined::explain(failure)).flatten();
    confined.unwrap_or_else(|| decide(failure, &obstacles))
}

/// The decision alone: `obstacles` are what was found on the disk.
pub fn decide(failure: &Failure<'_>, obstacles: &[Obstacle]) -> Diagnosis {
    let first_obstacle = || {
        obstacles
            .first()
            .map(|found| found.diagnosis(failure.script, failure.runner))
    };
    if failure.limits.memory.is_some() && hints::lacks_memory(failure.stderr_tail) {
        return Diagnosis {
            cause: "the script got no more memory".into(),
            cure: Some("let it use less, or raise RLimitMEM".into()),
        };
    }
    match failure.end {
        End::NotStarted { doing, errno } => {
            let about_file = matches!(
                errno,
                libc::ENOENT | libc::EACCES | libc::ENOEXEC | libc::ENOTDIR | libc::EISDIR | libc::ELOOP | libc::EINVAL
            );
            first_obstacle()
                .filter(|_| about_file)
                .unwrap_or_else(|| not_started(doing, errno))
        }
        End::TimedOut(limit) => timed_out(limit, failure.stdout_bytes),
        End::Killed { signal, core } => killed(signal, core, failure),
        End::Exited(status) => {
            let hint = hints::from_stderr(failure.stderr_tail);
            let at_once = status != 0 && failure.stdout_bytes == 0;
            hint.or_else(|| first_obstacle().filter(|_| at_once))
                .unwrap_or_else(|| ended(status, failure.reply))
        }
        End::StillRunning => failure.reply.map_or_else(|| ended(0, None), bad_reply),
    }
}

fn not_started(doing: &str, errno: i32) -> Diagnosis {
    let told = |cause: &str, cure: &str| Diagnosis {
        cause: cause.into(),
        cure: Some(cure.into()),
    };
    match errno {
        libc::E2BIG => told(
            "the arguments and the environment together are too long for a program",
            "shorten what SetEnv and PassEnv add, or lower LimitRequestFieldSize",
        ),
        libc::ENOEXEC => told(
            "the file is a program of another kind of machine, or damaged",
            "build it for this machine",
        ),
        libc::ENOENT => told(
            "the loader the program was linked for is not there",
            "build it for this system, or install that loader",
        ),
        libc::EACCES => told(
            "it may not be executed, though its permissions allow it",
            "look for a refusal by AppArmor or SELinux in the kernel's log",
        ),
        libc::ETXTBSY => told(
            "the script is being written to",
            "close it where it is open, then ask again",
        ),
        libc::EAGAIN => told(
            "the user may have no more processes",
            "raise RLimitNPROC or the user's limit",
        ),
        libc::EMFILE | libc::ENFILE => told("too many files are open", "raise the limit of open files"),
        libc::ENOMEM => told(
            "there is no memory for another process",
            "let fewer scripts run at once",
        ),
        _ => Diagnosis {
            cause: format!("{doing}: {}", std::io::Error::from_raw_os_error(errno)),
            cure: None,
        },
    }
}

fn timed_out(limit: Duration, stdout_bytes: u64) -> Diagnosis {
    let seconds = limit.as_secs();
    let wrote = if stdout_bytes == 0 {
        "nothing"
    } else {
        "no complete header"
    };
    Diagnosis {
        cause: format!("the script ran for {seconds} s and had written {wrote}"),
        cure: Some("find out what it waits for, or raise CGIScriptTimeout".into()),
    }
}

fn killed(signal: i32, core: Core, failure: &Failure<'_>) -> Diagnosis {
    let name = nix::sys::signal::Signal::try_from(signal).map_or_else(|_| String::new(), |name| format!(" ({name})"));
    let dumped = match core {
        Core::Dumped => ", core dumped",
        Core::None => "",
    };
    // Processor time passes no quicker than time.
    let hard_cpu = failure.limits.hard_cpu.filter(|limit| failure.elapsed >= *limit);
    let advice = match signal {
        libc::SIGKILL if hard_cpu.is_some() => Some("make it quicker, or raise the hard limit of RLimitCPU"),
        libc::SIGKILL => Some("look for `Out of memory` in the kernel's log"),
        libc::SIGXCPU => Some("make it quicker, or raise RLimitCPU"),
        libc::SIGXFSZ => Some("it wrote a longer file than RLimitFSIZE allows"),
        libc::SIGSYS => Some("it used a system call that is forbidden to it"),
        _ => None,
    };
    Diagnosis {
        cause: format!("the script was ended by signal {signal}{name}{dumped}"),
        cure: advice.map(str::to_owned),
    }
}

/// The script ended by itself, before its reply was complete.
fn ended(status: i32, reply: Option<&ReplyError>) -> Diagnosis {
    let header = "let it write `Content-Type: text/html` and an empty line before anything else";
    match (status, reply) {
        (0, None | Some(ReplyError::Empty)) => Diagnosis {
            cause: "the script ended well and had written nothing".into(),
            cure: Some(header.into()),
        },
        (_, None | Some(ReplyError::Empty)) => Diagnosis {
            cause: format!("the script ended with exit status {status} and had written nothing"),
            cure: Some("its lines on stderr, if any, tell more".into()),
        },
        (0, Some(error)) => bad_reply(error),
        (_, Some(error)) => {
            let told = bad_reply(error);
            Diagnosis {
                cause: format!("{}, and it ended with exit status {status}", told.cause),
                ..told
            }
        }
    }
}

fn bad_reply(error: &ReplyError) -> Diagnosis {
    let cure = match error {
        ReplyError::Empty | ReplyError::TextFirst(_) | ReplyError::NoField(_) => {
            Some("let it write `Content-Type: text/html` and an empty line before anything else")
        }
        ReplyError::Unfinished(_) => Some("let it write an empty line after its header"),
        ReplyError::TextInHead(_) | ReplyError::BadStatus(_) | ReplyError::TooLong => None,
    };
    Diagnosis {
        cause: error.to_string(),
        cure: cure.map(str::to_owned),
    }
}

/// The whole record for the error log: script, cause, cure, which process and request it was, how it ended, how long it ran, what it wrote, and its last
/// words. One line; all that is the script's is escaped.
pub fn record(failure: &Failure<'_>, diagnosis: &Diagnosis) -> String {
    let (script, request) = (shown(failure.script), failure.request);
    let end = match failure.end {
        End::NotStarted { .. } => return format!("{script}: {diagnosis} (request {request})"),
        End::Exited(status) => format!("exit status {status}"),
        End::Killed { signal, .. } => format!("signal {signal}"),
        End::TimedOut(_) => "timed out".to_owned(),
        End::StillRunning => "ended by the server".to_owned(),
    };
    let (milliseconds, bytes) = (failure.elapsed.as_millis(), failure.stdout_bytes);
    let pid = failure.pid.map_or(String::new(), |pid| format!("pid {pid}, "));
    let stderr = last_lines(failure.stderr_tail);
    format!("{script}: {diagnosis} ({pid}request {request}, {end}, {milliseconds} ms, {bytes} bytes on stdout{stderr})")
}

fn last_lines(stderr: &[u8]) -> String {
    let lines: Vec<_> = stderr
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let from = lines.len().saturating_sub(STDERR_LINES);
    let quoted: Vec<_> = lines
        .iter()
        .skip(from)
        .map(|line| format!("`{}`", excerpt(line)))
        .collect();
    if quoted.is_empty() {
        String::new()
    } else {
        format!(", stderr: {}", quoted.join(" "))
    }
}

/// A path for people and for pasting into a shell: escaped as in the error log, quoted when a shell would need it.
pub fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;

    quote::shell_word(path.as_os_str().as_bytes())
}
