//! Every failure with its words. The files are real, in a directory of their own; the runner is a user who owns none.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use super::obstacle::{Obstacle, Runner, obstacles};
use super::{Core, End, Failure, Limits, decide, explain, record, shown};
use crate::config::directives::sandbox::Sandbox;
use crate::gateway::script_reply::ReplyError;

/// A directory that goes when the test ends. Not below the user's own, whose parents others may not search.
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    pub(super) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lychgate-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("our directory");
        Self(path)
    }

    pub(super) fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("our directory takes files");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("our file");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn runner() -> Runner {
    Runner {
        uid: 4_242_424,
        gids: vec![4_242_424],
        path: b"/usr/bin:/bin".to_vec(),
    }
}

static UNCONFINED: LazyLock<Sandbox> = LazyLock::new(Sandbox::default);

pub(super) fn failure<'a>(script: &'a Path, runner: &'a Runner, end: End) -> Failure<'a> {
    Failure {
        script,
        runner,
        sandbox: &UNCONFINED,
        request: "awA2u4Lw-Tc7YFuxAQAAAAAH",
        pid: Some(4711),
        first_bytes: b"",
        end,
        reply: None,
        stdout_bytes: 0,
        stderr_tail: b"",
        elapsed: Duration::from_millis(12),
        limits: Limits::default(),
    }
}

/// What is told of `script` when the system refused it with `errno`.
fn refused(script: &Path, errno: i32) -> String {
    let runner = runner();
    explain(&failure(
        script,
        &runner,
        End::NotStarted {
            doing: "cannot execute",
            errno,
        },
    ))
    .to_string()
}

fn ended(end: End, reply: Option<&ReplyError>, stderr_tail: &[u8]) -> String {
    let runner = runner();
    let failure = Failure {
        reply,
        stderr_tail,
        ..failure(Path::new("/x.cgi"), &runner, end)
    };
    decide(&failure, &[]).to_string()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table, a row per fault")]
fn files_that_cannot_be_executed() {
    let place = Place::new("files");
    let at = |name: &str| place.0.join(name).display().to_string();
    let table: Vec<(&str, &[u8], u32, i32, String)> = vec![
        (
            "no-bit.cgi",
            b"#!/bin/sh\n",
            0o644,
            libc::EACCES,
            format!(
                "the script has no execute permission; `chmod a+rx {}`",
                at("no-bit.cgi")
            ),
        ),
        (
            "owner-only.cgi",
            b"#!/bin/sh\n",
            0o700,
            libc::EACCES,
            format!(
                "user 4242424 may not execute the script (mode 0700, owner {}); `chmod a+rx {}`",
                crate::process::identity::shown_user(rustix::process::geteuid().as_raw()),
                at("owner-only.cgi")
            ),
        ),
        (
            "crlf.cgi",
            b"#!/bin/sh\r\necho\r\n",
            0o755,
            libc::ENOENT,
            format!(
                "line 1 ends in CR LF, so its last word is not what it seems: `#!/bin/sh\\r`; `sed -i 's/\\r$//' {}`",
                at("crlf.cgi")
            ),
        ),
        (
            "gone.cgi",
            b"#!/opt/no/such/perl -w\n",
            0o755,
            libc::ENOENT,
            "the interpreter `/opt/no/such/perl` of line 1 is not there; install it, or name the one you have".into(),
        ),
        (
            "closed.cgi",
            b"#!/etc/passwd\n",
            0o755,
            libc::EACCES,
            "user 4242424 may not execute the interpreter `/etc/passwd` of line 1; \
             name an interpreter that is a program everyone may run"
                .into(),
        ),
        (
            "directory-interpreter.cgi",
            b"#!/usr\n",
            0o755,
            libc::EACCES,
            "user 4242424 may not execute the interpreter `/usr` of line 1; \
             name an interpreter that is a program everyone may run"
                .into(),
        ),
        (
            "plain.cgi",
            b"echo hello\n",
            0o755,
            libc::ENOEXEC,
            "the script has no `#!` line and is no program; \
             let its first line name its interpreter, as `#!/usr/bin/perl` or `#!/bin/sh`"
                .into(),
        ),
        (
            "bom.cgi",
            b"\xef\xbb\xbf#!/bin/sh\n",
            0o755,
            libc::ENOEXEC,
            format!(
                "the script begins with a byte order mark, which hides its `#!`; `sed -i '1s/^\\xef\\xbb\\xbf//' {}`",
                at("bom.cgi")
            ),
        ),
        (
            "empty.cgi",
            b"",
            0o755,
            libc::ENOEXEC,
            "the script is an empty file".into(),
        ),
        (
            "env.cgi",
            b"#!/usr/bin/env no-such-perl\n",
            0o755,
            libc::ENOENT,
            "`env` does not find `no-such-perl` in PATH `/usr/bin:/bin`; \
             install it, name it with its directory in line 1, or set PATH with SetEnv"
                .into(),
        ),
        (
            "env-words.cgi",
            b"#!/usr/bin/env sh -e\n",
            0o755,
            libc::ENOENT,
            "`env` takes `sh -e` for the name of one program; let line 1 be `#!/usr/bin/env -S sh -e`".into(),
        ),
        (
            "program",
            b"\x7fELF\x02\x01\x01",
            0o755,
            libc::ENOENT,
            "the loader the program was linked for is not there; build it for this system, or install that loader"
                .into(),
        ),
        (
            "fine.cgi",
            b"#!/bin/sh\n",
            0o755,
            libc::EACCES,
            "it may not be executed, though its permissions allow it; \
             look for a refusal by AppArmor or SELinux in the kernel's log"
                .into(),
        ),
    ];
    for (name, content, mode, errno, want) in table {
        let script = place.file(name, content, mode);
        assert_eq!(refused(&script, errno), want, "{name}");
    }
}

#[test]
fn things_that_are_no_files() {
    let place = Place::new("things");
    assert_eq!(
        refused(&place.0.join("none.cgi"), libc::ENOENT),
        "the script is not there"
    );
    assert_eq!(refused(&place.0, libc::EACCES), "the script is a directory");
    let link = place.0.join("link.cgi");
    symlink("gone.cgi", &link).expect("our directory takes links");
    assert_eq!(
        refused(&link, libc::ENOENT),
        "the script is a symbolic link to gone.cgi, which is not there"
    );
    assert_eq!(
        refused(Path::new("/dev/null"), libc::EACCES),
        "the script is a device, a pipe or a socket, not a file"
    );
}

#[test]
fn a_closed_directory_above_is_named() {
    let place = Place::new("closed");
    let inner = place.0.join("a/b");
    fs::create_dir_all(&inner).expect("our directory");
    let script = place.file("a/b/x.cgi", b"#!/bin/sh\n", 0o755);
    let closed = place.0.join("a");
    fs::set_permissions(&closed, Permissions::from_mode(0o750)).expect("our directory");
    let want = format!(
        "user 4242424 may not search the directory {0} (mode 0750); `chmod a+x {0}`",
        closed.display()
    );
    assert_eq!(refused(&script, libc::EACCES), want);
    let link = place.0.join("link.cgi");
    symlink(&script, &link).expect("our directory takes links");
    assert_eq!(refused(&link, libc::EACCES), want, "behind a link");
}

#[test]
fn a_script_its_interpreter_may_not_read_is_told_after_it_ended() {
    let place = Place::new("unread");
    let script = place.file("x.cgi", b"#!/bin/sh\n", 0o711);
    let runner = runner();
    let told = explain(&failure(&script, &runner, End::Exited(2))).to_string();
    let want = format!(
        "user 4242424 may not read the script, and its interpreter must; `chmod a+rx {}`",
        script.display()
    );
    assert_eq!(told, want);
}

#[test]
fn a_script_without_faults_has_no_obstacle() {
    let place = Place::new("fine");
    for line in ["#!/bin/sh\n", "#!/usr/bin/env sh\n", "#! /usr/bin/env -S sh -e\n"] {
        let script = place.file("x.cgi", line.as_bytes(), 0o755);
        assert_eq!(obstacles(&script, &runner(), None), [], "{line}");
    }
}

#[test]
fn the_first_line_seen_by_another_process_counts() {
    let place = Place::new("seen");
    let script = place.file("x.cgi", b"#!/bin/sh\n", 0o755);
    let runner = runner();
    let end = End::NotStarted {
        doing: "cannot execute",
        errno: libc::ENOENT,
    };
    let failure = Failure {
        first_bytes: b"#!/no/such/sh\n",
        ..failure(&script, &runner, end)
    };
    assert_eq!(
        explain(&failure).cause,
        "the interpreter `/no/such/sh` of line 1 is not there"
    );
}

#[test]
fn permissions_follow_owner_then_group_then_others() {
    let place = Place::new("may");
    let script = place.file("x", b"", 0o641);
    let found = fs::metadata(&script).expect("our file");
    let (uid, gid) = (
        std::os::unix::fs::MetadataExt::uid(&found),
        std::os::unix::fs::MetadataExt::gid(&found),
    );
    let who = |uid: u32, gid: u32| Runner {
        uid,
        gids: vec![gid],
        path: Vec::new(),
    };
    let others = (uid + 1000, gid + 1000);
    assert!(who(others.0, others.1).may(1, &found));
    assert!(!who(others.0, others.1).may(4, &found));
    assert!(who(others.0, gid).may(4, &found));
    assert!(
        !who(others.0, gid).may(1, &found),
        "the group's bits count, not the others'"
    );
    assert!(who(0, 0).may(4, &found));
}

#[test]
fn refusals_that_are_not_the_files() {
    let place = Place::new("errno");
    let script = place.file("x.cgi", b"#!/bin/sh\n", 0o755);
    let table = [
        (
            libc::E2BIG,
            "the arguments and the environment together are too long for a program; \
             shorten what SetEnv and PassEnv add, or lower LimitRequestFieldSize",
        ),
        (
            libc::ETXTBSY,
            "the script is being written to; close it where it is open, then ask again",
        ),
        (
            libc::EAGAIN,
            "the user may have no more processes; raise RLimitNPROC or the user's limit",
        ),
        (libc::EMFILE, "too many files are open; raise the limit of open files"),
        (
            libc::ENOMEM,
            "there is no memory for another process; let fewer scripts run at once",
        ),
        (
            libc::ENOEXEC,
            "the file is a program of another kind of machine, or damaged; build it for this machine",
        ),
        (libc::EPERM, "cannot execute: Operation not permitted (os error 1)"),
    ];
    for (errno, want) in table {
        assert_eq!(refused(&script, errno), want);
    }
    let closed = place.file("y.cgi", b"", 0o600);
    assert_eq!(
        refused(&closed, libc::EAGAIN),
        "the user may have no more processes; raise RLimitNPROC or the user's limit",
        "an obstacle that has nothing to do with it stays untold"
    );
}

#[test]
fn ends_are_told_with_their_cure() {
    let text = ReplyError::TextFirst("Hello".into());
    let unfinished = ReplyError::Unfinished("X: 1".into());
    let status = ReplyError::BadStatus("Status: 099".into());
    let header = "let it write `Content-Type: text/html` and an empty line before anything else";
    let table = [
        (
            End::Exited(0),
            Some(&ReplyError::Empty),
            format!("the script ended well and had written nothing; {header}"),
        ),
        (
            End::Exited(0),
            None,
            format!("the script ended well and had written nothing; {header}"),
        ),
        (
            End::Exited(3),
            Some(&ReplyError::Empty),
            "the script ended with exit status 3 and had written nothing; its lines on stderr, if any, tell more"
                .into(),
        ),
        (
            End::Exited(0),
            Some(&text),
            format!("the script wrote text before its header: `Hello`; {header}"),
        ),
        (
            End::Exited(255),
            Some(&text),
            format!("the script wrote text before its header: `Hello`, and it ended with exit status 255; {header}"),
        ),
        (
            End::Exited(0),
            Some(&unfinished),
            "the script ended before the empty line that ends its header, after `X: 1`; \
             let it write an empty line after its header"
                .into(),
        ),
        (
            End::StillRunning,
            Some(&status),
            "the script's Status is none: `Status: 099`; a good one is `404 Not Found`".into(),
        ),
        (
            End::TimedOut(Duration::from_secs(60)),
            None,
            "the script ran for 60 s and had written nothing; find out what it waits for, or raise CGIScriptTimeout"
                .into(),
        ),
        (
            End::Killed {
                signal: libc::SIGSEGV,
                core: Core::Dumped,
            },
            None,
            "the script was ended by signal 11 (SIGSEGV), core dumped".into(),
        ),
        (
            End::Killed {
                signal: libc::SIGKILL,
                core: Core::None,
            },
            None,
            "the script was ended by signal 9 (SIGKILL); look for `Out of memory` in the kernel's log".into(),
        ),
        (
            End::Killed {
                signal: libc::SIGXCPU,
                core: Core::None,
            },
            None,
            "the script was ended by signal 24 (SIGXCPU); make it quicker, or raise RLimitCPU".into(),
        ),
        (
            End::Killed {
                signal: 40,
                core: Core::None,
            },
            None,
            "the script was ended by signal 40".into(),
        ),
    ];
    for (end, reply, want) in table {
        assert_eq!(ended(end, reply, b""), want);
    }
}

#[test]
fn stderr_tells_more_than_the_exit_status() {
    let stderr = b"Can't locate CGI.pm in @INC (you may need to install the CGI module) (@INC contains: /etc/perl)";
    assert_eq!(
        ended(End::Exited(2), Some(&ReplyError::Empty), stderr),
        "Perl does not find the module CGI; install it for the Perl of line 1, or set PERL5LIB with SetEnv"
    );
    let library = b"./x: error while loading shared libraries: libz.so.9: cannot open shared object file";
    assert_eq!(
        ended(End::Exited(127), None, library),
        "the program needs the shared library libz.so.9, which the loader does not find; \
         install it, or set LD_LIBRARY_PATH with SetEnv in the server's configuration"
    );
}

#[test]
fn the_record_is_one_line_with_everything() {
    let runner = runner();
    let base = failure(Path::new("/srv/x.cgi"), &runner, End::Exited(3));
    let failure = Failure {
        stderr_tail: b"one\ntwo\n\nthree\x1b[0m\nfour\nfive\n",
        ..base
    };
    assert_eq!(
        record(&failure, &decide(&failure, &[])),
        "/srv/x.cgi: the script ended with exit status 3 and had written nothing; its lines on stderr, if any, tell more \
         (pid 4711, request awA2u4Lw-Tc7YFuxAQAAAAAH, exit status 3, 12 ms, 0 bytes on stdout, stderr: `two` `three\\x1b[0m` `four` `five`)"
    );
    let never = Failure {
        end: End::NotStarted {
            doing: "cannot execute",
            errno: libc::EACCES,
        },
        ..base
    };
    assert_eq!(
        record(&never, &decide(&never, &[Obstacle::NoExecuteBit])),
        "/srv/x.cgi: the script has no execute permission; `chmod a+rx /srv/x.cgi` \
         (request awA2u4Lw-Tc7YFuxAQAAAAAH)"
    );
}

#[test]
fn paths_are_shown_for_pasting() {
    let table: [(&[u8], &str); 5] = [
        (b"/srv/a-b_c.cgi~", "'/srv/a-b_c.cgi~'"),
        (b"/srv/a.cgi", "/srv/a.cgi"),
        (b"/srv/a b", "'/srv/a b'"),
        (b"/srv/it's", "'/srv/it'\\''s'"),
        (b"/srv/\n\xff", "'/srv/\\n\\xff'"),
    ];
    for (path, want) in table {
        assert_eq!(shown(Path::new(std::ffi::OsStr::from_bytes(path))), want);
    }
}

/// Name, end, seconds, stderr, limits, advice.
type Row<'a> = (&'a str, End, u64, &'a [u8], Limits, Option<&'a str>);

#[test]
fn limits_that_were_reached_are_named() {
    let runner = runner();
    let killed = |signal| End::Killed {
        signal,
        core: Core::None,
    };
    let limits = Limits {
        hard_cpu: Some(Duration::from_secs(2)),
        memory: Some(1 << 20),
    };
    let (cpu, memory) = ("raise the hard limit of RLimitCPU", "raise RLimitMEM");
    let table: [Row<'_>; 9] = [
        ("the hard limit", killed(9), 2, b"", limits, Some(cpu)),
        ("too early for it", killed(9), 1, b"", limits, None),
        ("no such limit", killed(9), 2, b"", Limits::default(), None),
        ("perl", End::Exited(1), 1, b"Out of memory!\n", limits, Some(memory)),
        ("python", End::Exited(1), 1, b"x\nMemoryError\n", limits, Some(memory)),
        (
            "C++",
            killed(6),
            1,
            b"  what():  std::bad_alloc\n",
            limits,
            Some(memory),
        ),
        (
            "the loader",
            End::Exited(127),
            1,
            b"x: error while loading shared libraries: libc.so.6: failed to map segment from shared object\n",
            limits,
            Some(memory),
        ),
        ("other words", End::Exited(1), 1, b"out of luck\n", limits, None),
        (
            "no limit",
            End::Exited(1),
            1,
            b"Out of memory!\n",
            Limits::default(),
            None,
        ),
    ];
    for (name, end, seconds, stderr_tail, limits, wanted) in table {
        let failure = Failure {
            elapsed: Duration::from_secs(seconds),
            stderr_tail,
            limits,
            ..failure(Path::new("/x.cgi"), &runner, end)
        };
        let told = decide(&failure, &[]).to_string();
        for advice in [cpu, memory] {
            assert_eq!(told.contains(advice), wanted == Some(advice), "{name}: {told}");
        }
    }
}
