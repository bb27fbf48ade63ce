//! Who is let in at the control socket, and who cannot hold it up.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use rustix::process::Signal;

use super::{PATIENCE, boot, ctl, graceful, stderr, stdout};
use crate::support::processes;
use crate::support::server::{self, Server, bench, privileged};
use crate::support::site::{ask, done, end};
use crate::support::wire::Judge;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let door = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("ctl::door::{name}"), move || test().map_err(Failed::from))
    };
    let mut all = vec![
        door(
            "a_script_of_the_same_user_is_denied",
            a_script_of_the_same_user_is_denied,
        ),
        door("garbage_is_answered_or_dropped", garbage_is_answered_or_dropped),
        door(
            "a_thousand_silent_ones_hold_up_nobody",
            a_thousand_silent_ones_hold_up_nobody,
        ),
        door(
            "one_that_does_not_listen_is_sent_away",
            one_that_does_not_listen_is_sent_away,
        ),
        door(
            "what_a_killed_server_left_is_replaced",
            what_a_killed_server_left_is_replaced,
        ),
        door("two_servers_are_told_apart", two_servers_are_told_apart),
        door(
            "a_server_under_a_debugger_has_one_too",
            a_server_under_a_debugger_has_one_too,
        ),
        door(
            "what_is_no_socket_keeps_the_server_from_starting",
            what_is_no_socket_keeps_the_server_from_starting,
        ),
    ];
    if privileged() {
        all.push(door("other_users_are_denied", other_users_are_denied));
        all.push(door(
            "scripts_of_a_server_of_root_are_denied",
            scripts_of_a_server_of_root_are_denied,
        ));
    }
    all
}

const SCRIPT: &str =
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n\"$PROGRAM\" ctl --socket \"$SOCKET\" drain 2>&1\necho $?\n";

/// A script of the same user as the launcher, also one that has left its parents behind.
fn a_script_of_the_same_user_is_denied() -> Result<(), String> {
    let (root, server) = boot("ctl-script", &[])?;
    script(&root, "ctl", SCRIPT)?;
    script(
        &root,
        "daemon",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n\
        (setsid sh -c '\"$PROGRAM\" ctl --socket \"$SOCKET\" drain >daemon.out 2>&1; echo $? >>daemon.out' &)\n\
        until [ -s daemon.out ] && tail -n 1 daemon.out | grep -q '^[0-9]'; do sleep 0.02; done\ncat daemon.out\n",
    )?;
    let more = format!(
        "SetEnv PROGRAM \"{}\"\nSetEnv SOCKET \"{}\"\n",
        bench().program.display(),
        root.join("httpd.ctl").display()
    );
    append(&root, &more)?;
    done(&ctl(&root, &["reload"])?)?;
    for name in ["ctl", "daemon"] {
        let reply = ask(&server, &format!("/cgi-bin/{name}"))?.reply(Judge::Strict)?;
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        if body != "lychgate: not permitted: the server has started this process itself\n4\n" {
            return Err(format!("{name}: {body}"));
        }
    }
    done(&ctl(&root, &["status"])?)?;
    end(&root, server)
}

/// Another user is kept out by the socket's mode; root is let in whoever the server is.
fn other_users_are_denied() -> Result<(), String> {
    let (root, server) = boot("ctl-others", &[])?;
    let socket = root.join("httpd.ctl");
    let as_user = |uid: u32| {
        let mut command = Command::new(&bench().program);
        command.arg("ctl").arg("--socket").arg(&socket).arg("status");
        if uid != 0 {
            command.uid(uid).gid(uid);
        }
        command.output().map_err(|e| e.to_string())
    };
    let denied = as_user(1)?;
    let told = format!(
        "lychgate: {}: not permitted: only root and the user who has started the server may\n",
        socket.display()
    );
    if denied.status.code() != Some(4) || stderr(&denied) != told {
        return Err(format!("{denied:?}"));
    }
    done(&as_user(0)?)?;
    // Were the mode another, who it is would still be looked at.
    server::set_mode(&socket, 0o666)?;
    let denied = as_user(1)?;
    let told = "lychgate: not permitted: only root and the user who has started the server may\n";
    if denied.status.code() != Some(4) || stderr(&denied) != told {
        return Err(format!("{denied:?}"));
    }
    end(&root, server)
}

/// The server was started as root and its scripts are another user's.
fn scripts_of_a_server_of_root_are_denied() -> Result<(), String> {
    let root = server::fresh_root("ctl-root");
    script(&root, "ctl", SCRIPT)?;
    let lines = [
        "User nobody".to_owned(),
        format!("ScriptAlias /cgi-bin/ \"{}/cgi-bin/\"", root.display()),
        format!("SetEnv PROGRAM \"{}\"", bench().program.display()),
        format!("SetEnv SOCKET \"{}\"", root.join("httpd.ctl").display()),
    ];
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    let server = Server::boot(&root, server::program(&root, true, &[])?, &[], "")?;
    let reply = ask(&server, "/cgi-bin/ctl")?.reply(Judge::Strict)?;
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    if !body.contains("not permitted: only root and the user who has started the server may\n4\n") {
        return Err(body);
    }
    end(&root, server)
}

fn garbage_is_answered_or_dropped() -> Result<(), String> {
    let (root, server) = boot("ctl-garbage", &[])?;
    let long = vec![b'a'; 100_000];
    let many = b"status\n".repeat(10_000);
    let nul = [0; 3000];
    let cases: [(&[u8], &str); 8] = [
        (b"\n", "x 2\n"),
        (b"dance\n", "x 2\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "x 2\n"),
        (b"\xff\xfe\x00 %ff%\n", "x 2\n"),
        (b"drain 99999999999999999999999\n", "x 2\n"),
        (&long, "x 2\n"),
        (&nul, "x 2\n"),
        (&many, "x 0\n"),
    ];
    for (sent, ending) in cases {
        let mut stream = UnixStream::connect(root.join("httpd.ctl")).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        // It need not be read to its end.
        let _refused = stream.write_all(sent);
        let mut answer = Vec::new();
        let _cut = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        // What was sent and not read resets the connection, and may take the answer with it.
        let may_be_lost = sent.len() > 2000 && answer.is_empty();
        if !answer.ends_with(ending) && !may_be_lost {
            return Err(format!(
                "{:?}: {answer:?}",
                String::from_utf8_lossy(&sent[..sent.len().min(40)])
            ));
        }
    }
    done(&ctl(&root, &["status"])?)?;
    end(&root, server)
}

/// They come, say nothing or half a word, and stay. Others are heard all the same, and they take no more than their few places.
fn a_thousand_silent_ones_hold_up_nobody() -> Result<(), String> {
    let (root, server) = boot("ctl-silent", &[])?;
    let script = "import resource, socket, sys\n\
        resource.setrlimit(resource.RLIMIT_NOFILE, (1100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n\
        held = []\n\
        for n in range(1000):\n    s = socket.socket(socket.AF_UNIX)\n    s.connect(sys.argv[1])\n    \
        s.send(b'stat') if n % 2 else None\n    held.append(s)\n\
        print('held', flush=True)\nsys.stdin.read()\n";
    let mut crowd = Command::new("python3")
        .args(["-c", script])
        .arg(root.join("httpd.ctl"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("python3: {e}"))?;
    let mut held = [0; 5];
    let output = crowd.stdout.as_mut().ok_or("no output")?;
    output.read_exact(&mut held).map_err(|e| format!("the crowd: {e}"))?;
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).map(Iterator::count);
    let began = Instant::now();
    for verb in ["status", "reload", "check", "reopen"] {
        done(&ctl(&root, &[verb])?)?;
    }
    ask(&server, "/file.vers")?.reply(Judge::Strict)?;
    let time = began.elapsed();
    let ended = crowd.kill().and_then(|()| crowd.wait());
    ended.map_err(|e| e.to_string())?;
    if open.is_ok_and(|open| open > 100) {
        return Err("a thousand descriptors are open".into());
    }
    if time > Duration::from_secs(20) {
        return Err(format!("others waited {time:.1?}"));
    }
    end(&root, server)
}

/// It asks and asks and takes no answer; the server forgets it.
fn one_that_does_not_listen_is_sent_away() -> Result<(), String> {
    let (root, server) = boot("ctl-deaf", &[])?;
    let deaf: Vec<UnixStream> = (0..20)
        .map(|_| {
            let mut stream = UnixStream::connect(root.join("httpd.ctl"))?;
            stream.write_all(b"drain")?;
            Ok(stream)
        })
        .collect::<std::io::Result<_>>()
        .map_err(|e| e.to_string())?;
    let began = Instant::now();
    for mut stream in &deaf {
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        let mut nothing = Vec::new();
        stream
            .read_to_end(&mut nothing)
            .map_err(|e| format!("it was not sent away: {e}"))?;
        if !nothing.is_empty() {
            return Err(String::from_utf8_lossy(&nothing).into_owned());
        }
    }
    if began.elapsed() > Duration::from_secs(15) {
        return Err(format!("after {:.1?}", began.elapsed()));
    }
    done(&ctl(&root, &["status"])?)?;
    end(&root, server)
}

fn what_a_killed_server_left_is_replaced() -> Result<(), String> {
    let (root, server) = boot("ctl-killed", &[])?;
    let socket = root.join("httpd.ctl");
    let family = processes::descendants(server.pid());
    server::kill(server.pid(), Signal::KILL);
    server::poll(PATIENCE, || {
        let lives = family.iter().find(|one| processes::process(one.pid).is_some());
        lives.map_or(Ok(()), |one| Err(format!("{one:?} lives")))
    })?;
    drop(server);
    let nobody = ctl(&root, &["status"])?;
    let told = format!("lychgate: nobody serves at {}\n", socket.display());
    if !socket.exists() || nobody.status.code() != Some(3) || stderr(&nobody) != told {
        return Err(format!("{nobody:?}"));
    }
    let server = Server::boot(&root, server::program(&root, false, &[])?, &[], "")?;
    done(&ctl(&root, &["status"])?)?;
    end(&root, server)
}

/// Two servers of one directory with a PidFile each.
fn two_servers_are_told_apart() -> Result<(), String> {
    let (root, one) = boot("ctl-two", &[])?;
    let text = fs::read_to_string(root.join("httpd.conf")).map_err(|e| e.to_string())?;
    let other = root.join("other");
    fs::create_dir(&other).map_err(|e| e.to_string())?;
    let listen = text
        .lines()
        .find(|line| line.starts_with("Listen "))
        .ok_or("it listens")?;
    let text = text
        .replace(listen, "Listen 127.0.0.1:0")
        .replace("/httpd.pid", "/two.pid");
    server::write(&other.join("httpd.conf"), text.as_bytes())?;
    server::hand_over(&other, false)?;
    let two = Server::boot(&other, server::program(&other, false, &[])?, &[], "")?;
    for (at, server) in [(&root, &one), (&other, &two)] {
        let status = stdout(&ctl(at, &["status"])?);
        if !status.contains(&format!(", pid {}, serving", server.pid())) {
            return Err(status);
        }
    }
    done(&ctl(&other, &["drain"])?)?;
    two.stop()?;
    done(&ctl(&root, &["status"])?)?;
    end(&root, one)
}

fn a_server_under_a_debugger_has_one_too() -> Result<(), String> {
    let root = server::fresh_root("ctl-debug");
    server::write_config(&root, &[], "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let server = Server::boot(&root, server::program(&root, false, &[])?, &["-X".to_owned()], "")?;
    for verb in ["status", "reload", "reopen"] {
        done(&ctl(&root, &[verb])?)?;
    }
    end(&root, server)
}

/// Where the configuration names it; otherwise that is a warning.
fn what_is_no_socket_keeps_the_server_from_starting() -> Result<(), String> {
    let root = server::fresh_root("ctl-no-socket");
    let socket = root.join("httpd.ctl");
    let named = [format!("ControlSocket \"{}\"", socket.display())];
    server::write_config(&root, &named, "127.0.0.1:0")?;
    server::write(&socket, b"precious")?;
    server::hand_over(&root, false)?;
    let mut command = server::program(&root, false, &[])?;
    command.arg("-f").arg(root.join("httpd.conf"));
    let output = server::run(&root, command, PATIENCE)?;
    let told = format!("ControlSocket: {}: it is there, and no socket", socket.display());
    if output.status.code() != Some(1) || !stderr(&output).contains(&told) {
        return Err(format!("{output:?}"));
    }
    server::write_config(&root, &[], "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let server = Server::boot(&root, server::program(&root, false, &[])?, &[], "")?;
    done(&graceful(&root)?)?;
    let log = fs::read_to_string(root.join("error.log")).unwrap_or_default()
        + &fs::read_to_string(root.join("stderr")).unwrap_or_default();
    if !log.contains(&format!("{told}: `lychgate ctl` does not work")) {
        return Err(log);
    }
    if fs::read(&socket).map_err(|e| e.to_string())? != b"precious" {
        return Err("the file was not left alone".into());
    }
    end(&root, server)
}

fn script(root: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = root.join("cgi-bin").join(name);
    server::write(&path, text.as_bytes())?;
    server::set_mode(&path, 0o755)
}

fn append(root: &Path, text: &str) -> Result<(), String> {
    let path = root.join("httpd.conf");
    let before = fs::read_to_string(&path).map_err(|e| e.to_string())?;
    server::write(&path, (before + text).as_bytes())
}
