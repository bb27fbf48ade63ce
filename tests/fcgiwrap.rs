//! `lychgate fcgiwrap` behind nginx, Apache, lighttpd, Caddy and lychgate itself, and asked by clients of our own, good and bad. What they
//! need is in `tests/run`.

mod fronts;
mod protocol;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use lychgate::gateway::fastcgi::record::Connection;

use crate::support::fastcgi::{Client, request};
use crate::support::processes;
use crate::support::server::{self, Server, bench, poll};
use crate::support::site::role;
use crate::support::wire::show;

use fronts::Nginx;

const PATIENCE: Duration = Duration::from_secs(60);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let test =
        |name: &str, test: fn() -> Result<Completion, Failed>| Trial::ignorable_test(format!("fcgiwrap::{name}"), test);
    vec![
        test("nginx_runs_scripts", fronts::nginx_runs_scripts),
        test(
            "nginx_passes_large_bodies_both_ways",
            fronts::nginx_passes_large_bodies_both_ways,
        ),
        test(
            "git_clones_and_pushes_through_nginx",
            fronts::git_clones_and_pushes_through_nginx,
        ),
        test(
            "a_client_of_nginx_that_leaves_ends_its_script",
            fronts::a_client_of_nginx_that_leaves_ends_its_script,
        ),
        test("apache_runs_scripts", fronts::apache_runs_scripts),
        test("lighttpd_runs_scripts", fronts::lighttpd_runs_scripts),
        test("caddy_runs_scripts", fronts::caddy_runs_scripts),
        test("lychgate_runs_scripts", fronts::lychgate_runs_scripts),
        test(
            "one_connection_carries_many_requests",
            protocol::one_connection_carries_many_requests,
        ),
        test(
            "the_protocols_questions_are_answered",
            protocol::the_protocols_questions_are_answered,
        ),
        test(
            "an_aborted_request_ends_its_script_and_nothing_else",
            protocol::an_aborted_request_ends_its_script,
        ),
        test(
            "every_cut_of_a_session_costs_one_connection",
            protocol::every_cut_of_a_session_costs_one_connection,
        ),
        test("garbage_costs_one_connection", protocol::garbage_costs_one_connection),
        test(
            "a_thousand_idle_clients_hinder_nobody",
            protocol::a_thousand_idle_clients_hinder_nobody,
        ),
        test(
            "a_client_that_sends_no_more_gets_its_answer",
            protocol::a_client_that_sends_no_more_gets_its_answer,
        ),
        test(
            "an_answer_that_breaks_off_has_no_end",
            protocol::an_answer_that_breaks_off_has_no_end,
        ),
        test("scripts_wait_for_their_turn", protocol::scripts_wait_for_their_turn),
        test(
            "a_client_that_does_not_read_is_left",
            protocol::a_client_that_does_not_read_is_left,
        ),
        test("over_tcp_only_those_named_may_ask", over_tcp_only_those_named_may_ask),
        test("scripts_elsewhere_are_not_run", scripts_elsewhere_are_not_run),
        test("errors_go_to_the_client_with_f", errors_go_to_the_client_with_f),
        test("settings_confine_scripts", settings_confine_scripts),
        test("sockets_that_are_given_are_used", sockets_that_are_given_are_used),
        test("a_reload_loses_no_request", a_reload_loses_no_request),
        test("a_worker_that_dies_is_replaced", a_worker_that_dies_is_replaced),
        test(
            "the_socket_comes_with_its_mode_and_goes_at_the_end",
            the_socket_comes_and_goes,
        ),
        test("root_says_who_scripts_run_as", root_says_who_scripts_run_as),
    ]
}

/// A `lychgate fcgiwrap` at work, and the directory that it has.
struct Wrap {
    root: PathBuf,
    socket: PathBuf,
    server: Server,
}

impl Wrap {
    /// With its socket at `fcgi.sock`, and the scripts in `cgi-bin`: `testapp`, and those that are made here.
    fn boot(name: &str, options: &[&str]) -> Result<Wrap, String> {
        Wrap::boot_with(name, options, &[])
    }

    /// The same with variables of its own environment.
    fn boot_with(name: &str, options: &[&str], environment: &[(&str, &str)]) -> Result<Wrap, String> {
        let root = server::fresh_root(name);
        scripts(&root)?;
        server::hand_over(&root, false)?;
        let socket = root.join("fcgi.sock");
        let mut command = program(&root, options)?;
        command.arg("--socket").arg(&socket);
        command.envs(environment.iter().copied());
        let server = Server::boot_fcgiwrap(&root, command)?;
        Ok(Wrap { root, socket, server })
    }

    fn script(&self, name: &str) -> String {
        self.root.join("cgi-bin").join(name).display().to_string()
    }

    fn connect(&self) -> Result<Client, String> {
        Client::connect(&self.socket, PATIENCE)
    }

    /// The document of a script's answer to a request of its own connection.
    fn ask(&self, script: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let mut client = self.connect()?;
        let name = self.script(script);
        let mut all = vec![("SCRIPT_FILENAME", name.as_str()), ("REQUEST_METHOD", "GET")];
        all.extend_from_slice(variables);
        client.send(&request(1, Connection::Close, &all, b""))?;
        let reply = client.reply(1)?;
        if reply.end.is_none() {
            return Err(format!("{script}: no end: {}", show(&reply.stdout)));
        }
        Ok(String::from_utf8_lossy(&reply.stdout).into_owned())
    }

    /// It still serves.
    fn is_well(&self) -> Result<(), String> {
        let answer = self.ask("hello.sh", &[])?;
        answer.contains("\r\n\r\nhello").then_some(()).ok_or(answer)
    }

    /// Nothing is left behind, and the log has no complaint but what holds one of `expected`.
    fn end(self, expected: &[&str]) -> Result<Completion, Failed> {
        self.server.settle(PATIENCE)?;
        self.server.stop()?;
        let text = fs::read_to_string(self.root.join("error.log")).unwrap_or_default();
        let complaint = |line: &&str| line.contains(":error]") || line.contains(":warn]");
        let unexpected = text
            .lines()
            .filter(complaint)
            .find(|line| !expected.iter().any(|part| line.contains(part)));
        if let Some(line) = unexpected {
            return Err(format!("unexpected in the error log: {line}").into());
        }
        if let Some(part) = expected.iter().find(|part| !text.contains(**part)) {
            return Err(format!("not in the error log: {part}").into());
        }
        let _left_for_the_end_of_the_run = fs::remove_dir_all(&self.root);
        Ok(Completion::Completed)
    }
}

/// The program with its words, but for the socket.
fn program(root: &Path, options: &[&str]) -> Result<Command, String> {
    let mut command = server::program(root, false, &[])?;
    command
        .arg("fcgiwrap")
        .arg("-p")
        .arg(root.join("cgi-bin"))
        .arg("-C")
        .arg(format!("ErrorLog \"{}/error.log\"", root.display()))
        .args(options);
    Ok(command)
}

const HELLO_SH: &str =
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello %s %s\\n' \"$QUERY_STRING\" \"$PATH_INFO\"\n";
const HELLO_PERL: &str =
    "#!/usr/bin/perl\nprint \"Content-Type: text/plain\\n\\nhello $ENV{QUERY_STRING} $ENV{PATH_INFO}\\n\";\n";
const NPH: &str = "#!/bin/sh\nprintf 'HTTP/1.0 201 Made\\r\\nContent-Type: text/plain\\r\\n\\r\\nnph\\n'\n";
const HEAD: &str = "#!/bin/sh\ncat\n";

fn scripts(root: &Path) -> Result<(), String> {
    for (name, text) in [
        ("hello.sh", HELLO_SH),
        ("hello.pl", HELLO_PERL),
        ("nph-made", NPH),
        ("head", HEAD),
        ("outside/hello.sh", HELLO_SH),
        ("plain.txt", "no script\n"),
    ] {
        let path = match name.strip_prefix("outside/") {
            Some(name) => root.join("other").join(name),
            None => root.join("cgi-bin").join(name),
        };
        server::write(&path, text.as_bytes())?;
        server::set_mode(&path, if name == "plain.txt" { 0o644 } else { 0o755 })?;
    }
    let testapp = root.join("cgi-bin/testapp");
    fs::copy(bench().directory.join("apps/testapp"), &testapp).map_err(|e| format!("testapp: {e}"))?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/hello.c");
    let compiled = Command::new("cc")
        .arg("-o")
        .arg(root.join("cgi-bin/hello"))
        .arg(source)
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        return Err("hello.c does not compile".into());
    }
    Ok(())
}

/// Whether a script of this name is at work.
fn runs(wrap: &Wrap, name: &str) -> Result<(), String> {
    let family = processes::descendants(wrap.server.pid());
    let found = family.iter().any(|process| process.name.starts_with(name));
    found.then_some(()).ok_or(format!("no {name} runs"))
}

fn scripts_elsewhere_are_not_run() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-elsewhere", &[])?;
    let other = wrap.root.join("other/hello.sh").display().to_string();
    std::os::unix::fs::symlink(&other, wrap.root.join("cgi-bin/link.sh"))?;
    let inside = wrap.root.join("cgi-bin").display().to_string();
    let here = wrap.root.display().to_string();
    for (variables, status) in [
        (vec![("SCRIPT_FILENAME", other.clone())], "403"),
        (vec![("SCRIPT_FILENAME", format!("{inside}/../other/hello.sh"))], "403"),
        (vec![("SCRIPT_FILENAME", format!("{inside}-more/hello.sh"))], "403"),
        (vec![("SCRIPT_FILENAME", "hello.sh".to_owned())], "403"),
        (
            vec![
                ("DOCUMENT_ROOT", here.clone()),
                ("SCRIPT_NAME", "/other/hello.sh".to_owned()),
            ],
            "403",
        ),
        (vec![("QUERY_STRING", "nothing".to_owned())], "403"),
        (vec![("SCRIPT_FILENAME", format!("{inside}/none.sh"))], "404"),
        (vec![("SCRIPT_FILENAME", format!("{inside}/plain.txt"))], "502"),
        (vec![("SCRIPT_FILENAME", format!("{inside}/hello.sh\0x"))], "400"),
        (vec![("SCRIPT_FILENAME", format!("{inside}/hello.sh"))], "200"),
        (vec![("SCRIPT_FILENAME", format!("{inside}//./hello.sh"))], "200"),
        (
            vec![
                ("DOCUMENT_ROOT", here.clone()),
                ("SCRIPT_NAME", "/cgi-bin/hello.sh/x".to_owned()),
            ],
            "200",
        ),
        // A link within the directory is its owner's decision, as under Apache with FollowSymLinks.
        (vec![("SCRIPT_FILENAME", format!("{inside}/link.sh"))], "200"),
    ] {
        let mut client = wrap.connect()?;
        let list: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client.send(&request(1, Connection::Close, &list, b""))?;
        let reply = client.reply(1)?;
        if !show(&reply.stdout).starts_with(&format!("Status: {status} ")) {
            return Err(format!("{variables:?}: {}", show(&reply.stdout)).into());
        }
    }
    wrap.end(&[
        "may not be run: it is in no place that `-p` names",
        "`..`",
        "slash",
        "the client does not say",
        "none.sh",
        "plain.txt",
    ])
}

fn errors_go_to_the_client_with_f() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-errors", &["-f"])?;
    let mut client = wrap.connect()?;
    let script = wrap.script("testapp");
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/complain")];
    client.send(&request(1, Connection::Keep, &variables, b""))?;
    let reply = client.reply(1)?;
    if reply.stderr != b"plain complaint\nodd \x1b[31m \x07 \"quoted\" \xff end\nno line end\n" {
        return Err(format!("stderr: {}", show(&reply.stderr)).into());
    }
    drop(client);
    if let Some(nginx) = Nginx::boot(&wrap, "")? {
        fronts::get(&nginx.address, "/cgi-bin/testapp/complain", "")?;
        fronts::nginx_said(&wrap, "FastCGI sent in stderr: \"plain complaint")?;
        nginx.server.stop()?;
    }
    wrap.end(&[])
}

fn settings_confine_scripts() -> Result<Completion, Failed> {
    let options = [
        "-C",
        "ScriptSandbox basic",
        "-C",
        "RLimitNOFILE 33",
        "-C",
        "Umask 027",
        "-C",
        "SetEnv OWN yes",
        "-C",
        "PassEnv PASSED",
    ];
    let wrap = Wrap::boot_with("fcgiwrap-settings", &options, &[("PASSED", "on"), ("KEPT", "back")])?;
    let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nulimit -n; umask; echo \"own=$OWN $PASSED$KEPT\"; cat \"$OTHER\" 2>&1\n";
    server::write(&wrap.root.join("cgi-bin/look"), script.as_bytes())?;
    server::set_mode(&wrap.root.join("cgi-bin/look"), 0o755)?;
    let other = wrap.root.join("other/hello.sh").display().to_string();
    let said = wrap.ask("look", &[("OTHER", other.as_str()), ("LD_PRELOAD", "/x.so")])?;
    for part in ["33\n", "0027\n", "own=yes on\n", "Permission denied"] {
        if !said.contains(part) {
            return Err(format!("no `{part}`: {said}").into());
        }
    }
    // What does nothing here is refused, and so is what is wrong.
    for (line, told) in [
        ("Listen 80", "Listen does nothing for `lychgate fcgiwrap`"),
        ("RLimitCPU soon", "RLimitCPU"),
    ] {
        let mut command = program(&wrap.root, &["-C", line])?;
        command.args(["-s", "tcp:127.0.0.1:0"]);
        let output = server::run(&wrap.root, command, PATIENCE)?;
        if output.status.success() || !show(&output.stderr).contains(told) {
            return Err(format!("{line}: {output:?}").into());
        }
    }
    wrap.end(&[])
}

/// At standard input, as by spawn-fcgi, and as a service manager does.
fn sockets_that_are_given_are_used() -> Result<Completion, Failed> {
    let root = server::fresh_root("fcgiwrap-given");
    scripts(&root)?;
    server::hand_over(&root, false)?;
    let socket = root.join("given.sock");
    for by in ["standard input", "the service manager"] {
        let listener = UnixListener::bind(&socket)?;
        server::set_mode(&socket, 0o666)?;
        let mut command = program(&root, &[])?;
        if by == "the service manager" {
            let unit = include_str!("../conf/systemd/lychgate-fcgiwrap.service");
            let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart="));
            let line = line
                .ok_or("the unit starts nothing")?
                .replace("/usr/lib/cgi-bin", &format!("{}/cgi-bin", root.display()));
            let mut words = line.split(' ');
            command = server::program(&root, false, &[])?;
            words
                .next()
                .filter(|program| program.ends_with("/bin/lychgate"))
                .ok_or("the unit starts something else")?;
            command.args(words);
            // The shell knows the number of the process that it becomes.
            let mut shell = server::program_at(Path::new("/bin/sh"), &root, false, &[])?;
            shell.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 0</dev/null"]);
            shell.arg(command.get_program()).args(command.get_args());
            command = shell;
        }
        command.stdin(Stdio::from(OwnedFd::from(listener)));
        let server = Server::boot_fcgiwrap(&root, command)?;
        let wrap = Wrap {
            root: root.clone(),
            socket: socket.clone(),
            server,
        };
        wrap.is_well().map_err(|e| format!("{by}: {e}"))?;
        wrap.server.settle(PATIENCE)?;
        wrap.server.stop()?;
        // It is whose it was.
        fs::remove_file(&socket)?;
    }
    let output = server::run(&root, program(&root, &[])?, PATIENCE)?;
    if output.status.code() != Some(2)
        || !show(&output.stderr).contains("no socket was given; say with -s (--socket) where to listen")
    {
        return Err(format!("without a socket: {output:?}").into());
    }
    // Whoever can connect can run scripts with any variables.
    let mut command = program(&root, &[])?;
    command.args(["-s", "tcp:0.0.0.0:0"]);
    let output = server::run(&root, command, PATIENCE)?;
    if output.status.success() || !show(&output.stderr).contains("FCGI_WEB_SERVER_ADDRS") {
        return Err(format!("for all the world: {output:?}").into());
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&root);
    Ok(Completion::Completed)
}

/// SIGHUP: a request that is being served is served to its end, and so is the next on its connection.
fn a_reload_loses_no_request() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-reload", &[])?;
    let script = wrap.script("testapp");
    let root = wrap.root.display().to_string();
    let mut client = wrap.connect()?;
    let variables = [
        ("SCRIPT_FILENAME", script.as_str()),
        ("PATH_INFO", "/wait/go"),
        ("DOCUMENT_ROOT", root.as_str()),
    ];
    client.send(&request(1, Connection::Keep, &variables, b""))?;
    poll(PATIENCE, || runs(&wrap, "testapp"))?;
    wrap.server.signal("HUP")?;
    poll(PATIENCE, || {
        let log = fs::read_to_string(wrap.root.join("error.log")).unwrap_or_default();
        log.contains("serving by the new settings")
            .then_some(())
            .ok_or(format!("no reload: {log}"))
    })?;
    wrap.is_well()?;
    server::write(&wrap.root.join("go"), b"")?;
    let reply = client.reply(1)?;
    if !reply.stdout.ends_with(b"before\nafter\n") || reply.end != Some((0, 0)) {
        return Err(format!("{reply:?}").into());
    }
    drop(client);
    wrap.server.stop()?;
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&wrap.root);
    Ok(Completion::Completed)
}

fn a_worker_that_dies_is_replaced() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-dies", &[])?;
    let worker = role(&wrap.server, "worker")?;
    rustix::process::kill_process(worker, rustix::process::Signal::KILL)?;
    // What comes meanwhile waits.
    wrap.is_well()?;
    wrap.server.stop()?;
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&wrap.root);
    Ok(Completion::Completed)
}

fn the_socket_comes_and_goes() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-socket", &["-M", "0602"])?;
    let found = fs::symlink_metadata(&wrap.socket)?;
    if !found.file_type().is_socket() || found.permissions().mode() & 0o777 != 0o602 {
        return Err(format!("{found:?}").into());
    }
    // Another one finds it in use, and leaves it.
    let mut command = program(&wrap.root, &[])?;
    command.arg("-s").arg(format!("unix:{}", wrap.socket.display()));
    let output = server::run(&wrap.root, command, PATIENCE)?;
    if output.status.success() || !show(&output.stderr).contains("Address already in use") {
        return Err(format!("a second one: {output:?}").into());
    }
    wrap.is_well()?;
    let socket = wrap.socket.clone();
    let completion = wrap.end(&[])?;
    if socket.exists() {
        return Err("the socket is left".into());
    }
    Ok(completion)
}

/// `-u` and `-U`, and the roles' users.
fn root_says_who_scripts_run_as() -> Result<Completion, Failed> {
    if !server::privileged() {
        return Ok(Completion::ignored_with("only root can say"));
    }
    let root = server::fresh_root("fcgiwrap-root");
    scripts(&root)?;
    server::hand_over(&root, false)?;
    let socket = root.join("fcgi.sock");
    let words = |options: &[&str]| -> Result<Command, String> {
        let mut command = program(&root, options)?;
        command
            .uid(0)
            .gid(0)
            .arg("-s")
            .arg(format!("unix:{}", socket.display()));
        Ok(command)
    };
    let output = server::run(&root, words(&[])?, PATIENCE)?;
    if output.status.success() || !show(&output.stderr).contains("say with -u who the scripts run as") {
        return Err(format!("without -u: {output:?}").into());
    }
    let server = Server::boot_fcgiwrap(&root, words(&["-u", "nobody:nogroup", "-U", "daemon:games"])?)?;
    let found = fs::symlink_metadata(&socket)?;
    if (found.uid(), found.gid()) != (1, 60) {
        return Err(format!("the socket is of {}:{}", found.uid(), found.gid()).into());
    }
    UnixStream::connect(&socket)?;
    let wrap = Wrap {
        root: root.clone(),
        socket,
        server,
    };
    let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nid -u; id -g; id -G\n";
    server::write(&wrap.root.join("cgi-bin/who"), script.as_bytes())?;
    server::set_mode(&wrap.root.join("cgi-bin/who"), 0o755)?;
    let said = wrap.ask("who", &[])?;
    if !said.ends_with("\r\n\r\n65534\n65534\n65534\n") {
        return Err(said.into());
    }
    wrap.end(&[])
}

/// FCGI_WEB_SERVER_ADDRS (section 3.2 of the specification).
fn over_tcp_only_those_named_may_ask() -> Result<Completion, Failed> {
    let root = server::fresh_root("fcgiwrap-tcp");
    scripts(&root)?;
    server::hand_over(&root, false)?;
    for (named, is_served) in [("127.0.0.1,192.0.2.1", true), ("192.0.2.1", false)] {
        let mut command = program(&root, &["-s", "tcp:127.0.0.1:0"])?;
        command.env("FCGI_WEB_SERVER_ADDRS", named);
        let server = Server::boot_fcgiwrap(&root, command)?;
        let address = server.listeners.first().and_then(|place| place.strip_prefix("tcp:"));
        let mut stream = TcpStream::connect(address.ok_or("it does not say where")?)?;
        let script = root.join("cgi-bin/hello.sh").display().to_string();
        let asked = request(1, Connection::Close, &[("SCRIPT_FILENAME", script.as_str())], b"");
        let mut answer = Vec::new();
        // One that may not ask may find the connection closed already.
        let _refused = stream.write_all(&asked).and_then(|()| stream.read_to_end(&mut answer));
        if show(&answer).contains("hello") != is_served || (!is_served && !answer.is_empty()) {
            return Err(format!("{named}: {}", show(&answer)).into());
        }
        server.stop()?;
    }
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&root);
    Ok(Completion::Completed)
}
