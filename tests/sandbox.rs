//! Confined scripts where the kernel is of little help: as on one without Landlock, which a filter plays.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use lychgate::process::seccomp::{Filter, Refused, When};

use crate::support::server::{self, Server};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(20);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let sandbox = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("sandbox::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        sandbox(
            "without_landlock_the_rest_holds_and_a_warning_says_so",
            without_landlock_the_rest_holds_and_a_warning_says_so,
        ),
        sandbox(
            "what_is_required_and_not_there_keeps_the_server_from_starting",
            what_is_required_and_not_there_keeps_the_server_from_starting,
        ),
    ]
}

/// Runs `deed` in a thread whose programs find no Landlock in the kernel.
fn without_landlock<T: Send + 'static>(deed: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let confined = move || {
        rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string())?;
        let absent = |call| Refused {
            call,
            when: When::Always,
            errno: libc::ENOSYS,
        };
        let calls = [
            libc::SYS_landlock_create_ruleset,
            libc::SYS_landlock_add_rule,
            libc::SYS_landlock_restrict_self,
        ];
        let filter = Filter::refusing(&calls.map(absent));
        filter.enter().map_err(|error| error.to_string())?;
        deed()
    };
    std::thread::spawn(confined)
        .join()
        .map_err(|_| "it panicked".to_owned())?
}

fn without_landlock_the_rest_holds_and_a_warning_says_so() -> Result<(), String> {
    without_landlock(|| {
        let root = server::fresh_root("no-landlock");
        let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\ncat ../secret\n\
                      grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status\n\
                      perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0) or print \"$!\\n\"'\n";
        let command = set_up(&root, script, "basic")?;
        let server = Server::boot(&root, command, &[], "")?;
        let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
        wire.send(b"GET /cgi-bin/s HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let reply = wire.reply(Judge::Strict)?;
        drop(wire);
        server.stop()?;
        if reply.body != b"known\nNoNewPrivs:\t1\nSeccomp:\t2\nPermission denied\n" {
            return Err(format!("{reply:?}"));
        }
        let log = fs::read_to_string(root.join("error.log")).unwrap_or_default();
        let warning = "] ScriptSandbox basic: no_new_privs; ";
        let warning = log.lines().find(|line| line.contains(warning)).ok_or(log.clone())?;
        if !warning.contains("[spawner:warn]")
            || !warning.ends_with("; this kernel has no Landlock: scripts read, change and signal what their user may")
        {
            return Err(warning.to_owned());
        }
        let _left_for_the_end_of_the_run = fs::remove_dir_all(&root);
        Ok(())
    })
}

fn what_is_required_and_not_there_keeps_the_server_from_starting() -> Result<(), String> {
    without_landlock(|| {
        let root = server::fresh_root("required-landlock");
        let want = format!(
            "{}/httpd.conf:2: ScriptSandbox: `require`, but this kernel does not hold it (this kernel has no Landlock); \
             use Linux 6.12 or newer with Landlock, or leave `require` out\n",
            root.display()
        );
        for arguments in [["-D", "FOREGROUND"].as_slice(), &["-t"], &["-k", "start"]] {
            let mut command = set_up(&root, "#!/bin/sh\n", "basic require")?;
            command.arg("-f").arg(root.join("httpd.conf")).args(arguments);
            let output = server::run(&root, command, PATIENCE)?;
            let said = String::from_utf8_lossy(&output.stderr);
            if output.status.success() || said != want {
                return Err(format!("{arguments:?}: {}: {said}", output.status));
            }
        }
        let _left_for_the_end_of_the_run = fs::remove_dir_all(&root);
        Ok(())
    })
}

/// A site with one script and a file beside its tree; the program that would serve it.
fn set_up(root: &Path, script: &str, sandbox: &str) -> Result<Command, String> {
    server::write(&root.join("cgi-bin/s"), script.as_bytes())?;
    server::set_mode(&root.join("cgi-bin/s"), 0o755)?;
    server::write(&root.join("secret"), b"known\n")?;
    let lines = [
        format!("ScriptAlias /cgi-bin/ \"{}/cgi-bin/\"", root.display()),
        format!("ScriptSandbox {sandbox}"),
    ];
    server::write_config(root, &lines, "127.0.0.1:0")?;
    server::hand_over(root, false)?;
    server::program(root, false, &[])
}
