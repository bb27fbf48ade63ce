//! What is told when ScriptSandbox refused something. The files are real.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::installed;
use crate::config::directives::sandbox::{Chosen, Hold, Level, Sandbox};
use crate::scripts::diagnosis::tests::{Place, failure, runner};
use crate::scripts::diagnosis::{End, Failure, explain};

fn basic() -> Sandbox {
    let mut sandbox = Sandbox::default();
    sandbox.chosen.set(Chosen {
        level: Level::Basic,
        hold: Hold::AsFarAsPossible,
    });
    sandbox
}

#[test]
fn what_the_sandbox_kept_a_script_from_starting_with_is_named_with_its_directive() {
    let place = Place::new("outside");
    let tool = place.0.join("opt/bin");
    let away = place.0.join("away");
    for directory in [&tool, &away, &place.0.join("cgi")] {
        fs::create_dir_all(directory).expect("our directory");
    }
    let interpreter = place.file("opt/bin/sh", b"", 0o755);
    let script = place.file("cgi/x.cgi", b"", 0o755);
    let elsewhere = place.file("away/x.cgi", b"", 0o755);
    let link = place.0.join("cgi/link.cgi");
    symlink(&elsewhere, &link).expect("our directory takes links");
    let (opt, elsewhere) = (place.0.join("opt"), elsewhere.display());
    let first_line = format!("#!{} -x\n", interpreter.display());
    let inside = "under ScriptSandbox it cannot execute something that it needs to start, though the permissions are \
                  right; name its interpreter or its loader with ScriptSandboxRead";
    let interpreter = format!(
        "ScriptSandbox keeps it from the interpreter of line 1, {}; `ScriptSandboxRead {}`",
        interpreter.display(),
        opt.display()
    );
    let target = format!(
        "ScriptSandbox keeps it from the file that its name leads to, {elsewhere}; `ScriptSandboxRead {elsewhere}`"
    );
    let mut named = basic();
    named.read.push(opt.as_os_str().as_bytes().to_vec());
    let apparmor = "it may not be executed, though its permissions allow it; look for a refusal by AppArmor or SELinux in \
                    the kernel's log";
    let end = End::NotStarted {
        doing: "cannot execute",
        errno: libc::EACCES,
    };
    for (script, first, sandbox, want) in [
        (&script, first_line.as_bytes(), basic(), interpreter.as_str()),
        (&script, first_line.as_bytes(), named, inside),
        (&link, b"#!/bin/sh\n", basic(), &target),
        (&script, b"\x7fELF", basic(), inside),
        (&script, b"\x7fELF", Sandbox::default(), apparmor),
    ] {
        let runner = runner();
        let failure = Failure {
            first_bytes: first,
            sandbox: &sandbox,
            ..failure(script, &runner, end)
        };
        assert_eq!(explain(&failure).to_string(), want);
    }
}

#[test]
fn what_a_confined_script_says_was_refused_is_told_with_the_directives() {
    let place = Place::new("denied");
    let script = place.file("x.cgi", b"#!/bin/sh\n", 0o755);
    let table = [
        (
            "x.cgi: 3: cannot create /tmp/x: Permission denied\n",
            "something was refused to it: `x.cgi: 3: cannot create /tmp/x: Permission denied`; if that is ScriptSandbox \
             and not the file's permissions, give it by ScriptSandboxRead, ScriptSandboxWrite or ScriptSandboxTCP",
        ),
        (
            "./x: error while loading shared libraries: libx.so.1: cannot open shared object file: Permission denied\n",
            "the program needs the shared library libx.so.1, which the loader does not find; install it, or name the \
             directory it is in with ScriptSandboxRead",
        ),
        (
            "oh\n",
            "the script ended with exit status 2 and had written nothing; its lines on stderr, if any, tell more",
        ),
    ];
    let (runner, sandbox) = (runner(), basic());
    for (stderr, want) in table {
        let failure = Failure {
            sandbox: &sandbox,
            stderr_tail: stderr.as_bytes(),
            ..failure(&script, &runner, End::Exited(2))
        };
        assert_eq!(explain(&failure).to_string(), want, "{stderr}");
    }
}

#[test]
fn a_program_is_named_with_its_libraries() {
    for (program, want) in [
        ("/opt/perl/bin/perl", "/opt/perl"),
        ("/opt/perl", "/opt/perl"),
        ("/bin/perl", "/bin/perl"),
        ("/srv/x/run", "/srv/x/run"),
    ] {
        assert_eq!(installed(Path::new(program)), Path::new(want), "{program}");
    }
}
