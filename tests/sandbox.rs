//! Confined scripts where the kernel is of little help: as on one without Landlock, which a filter plays.

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support::server::{self, Server};
use crate::support::site::without_landlock;
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
        sandbox(
            "a_connection_that_hangs_keeps_no_script_from_starting",
            a_connection_that_hangs_keeps_no_script_from_starting,
        ),
        sandbox(
            "no_race_connects_elsewhere_or_stops_the_spawner",
            no_race_connects_elsewhere_or_stops_the_spawner,
        ),
    ]
}

fn without_landlock_the_rest_holds_and_a_warning_says_so() -> Result<(), String> {
    without_landlock(|| {
        let root = server::fresh_root("no-landlock");
        let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\ncat ../secret\n\
                      grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status\n\
                      perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0) or print \"$!\\n\"'\n";
        let command = set_up(&root, script, "basic\nScriptSandboxTCP loopback")?;
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
        if !log.contains("[spawner:warn]")
            || !log.contains("ScriptSandboxTCP loopback: without Landlock for TCP it is as none\n")
        {
            return Err(log);
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

/// Scripts whose connections hang for as long as nobody accepts: one waits for ever, one for as long as its socket says, one
/// until its alarm; others start meanwhile.
fn a_connection_that_hangs_keeps_no_script_from_starting() -> Result<(), String> {
    let root = server::fresh_root("hanging");
    let script = r#"#!/usr/bin/perl
use Socket;
$| = 1;
my ($port, $how) = split /\+/, $ENV{QUERY_STRING};
print "Content-Type: text/plain\n\nbegun\n";
exit unless $port;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
setsockopt($s, SOL_SOCKET, SO_SNDTIMEO, pack('qq', 0, 50_000)) if $how eq 'patience';
$SIG{ALRM} = sub { print "alarm\n"; exit }, alarm 1 if $how eq 'alarm';
print connect($s, pack_sockaddr_in($port, INADDR_LOOPBACK)) ? "made\n" : "$!\n";
"#;
    let command = set_up(&root, script, "basic require\nScriptSandboxTCP loopback")?;
    let server = Server::boot(&root, command, &[], "")?;
    let (listener, filling) = full()?;
    let port = port(&listener)?;
    let mut ever = ask(&server, &format!("{port}+ever"))?;
    ever.wait_for(b"begun")?;
    for (how, want) in [
        ("patience", "begun\nOperation now in progress\n"),
        ("alarm", "begun\nalarm\n"),
    ] {
        let reply = ask(&server, &format!("{port}+{how}"))?.reply(Judge::Strict)?;
        expect(&reply.body, want)?;
    }
    expect(&ask(&server, "0")?.reply(Judge::Strict)?.body, "begun\n")?;
    drop(filling);
    // Now that there is room, the kernel's next attempt makes the connection.
    accept_all(listener);
    expect(&ever.reply(Judge::Strict)?.body, "begun\nmade\n")?;
    drop(ever);
    server.stop()?;
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&root);
    Ok(())
}

fn no_race_connects_elsewhere_or_stops_the_spawner() -> Result<(), String> {
    let root = server::fresh_root("racing");
    let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nbegun\\n'\n";
    let command = set_up(&root, script, "basic require\nScriptSandboxTCP loopback")?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/racer.c");
    let mut compile = Command::new("cc");
    compile.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]);
    let compiled = compile.arg(root.join("cgi-bin/racer")).arg(source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        return Err("cc does not compile tests/apps/racer.c".to_owned());
    }
    let listen = || TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string());
    let (allowed, refused, (hanging, _filling)) = (listen()?, listen()?, full()?);
    let server = Server::boot(&root, command, &[], "")?;
    let ports = [port(&allowed)?, port(&refused)?, port(&hanging)?].map(|port| port.to_string());
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    let request = format!(
        "GET /cgi-bin/racer?{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ports.join("+")
    );
    wire.send(request.as_bytes())?;
    accept_all(allowed);
    wire.wait_for(b"socket: ")?;
    // While the last race is on.
    expect(&ask(&server, "")?.reply(Judge::Strict)?.body, "begun\n")?;
    let reply = wire.reply(Judge::Strict)?;
    refused.set_nonblocking(true).map_err(|error| error.to_string())?;
    match refused.accept() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        other => return Err(format!("somebody connected: {other:?}")),
    }
    let body = String::from_utf8_lossy(&reply.body);
    let made = |name: &str| {
        body.lines()
            .find_map(|line| line.strip_prefix(name)?.parse::<u32>().ok())
    };
    if made("address: ").is_none_or(|made| made == 0) || made("socket: ") != Some(0) {
        return Err(format!("the race was none: {body}"));
    }
    drop(wire);
    server.stop()?;
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&root);
    Ok(())
}

/// A listener whose queue is full, with the connections that fill it.
fn full() -> Result<(TcpListener, Vec<TcpStream>), String> {
    let told = |error: std::io::Error| error.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(told)?;
    rustix::net::listen(&listener, 0).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(told)?;
    let mut filling = Vec::new();
    // What hangs is one too many.
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        filling.push(stream);
    }
    Ok((listener, filling))
}

/// Takes connections and drops them, as long as the tests run.
fn accept_all(listener: TcpListener) {
    let _ends_with_the_tests = std::thread::spawn(move || while listener.accept().is_ok() {});
}

fn port(listener: &TcpListener) -> Result<u16, String> {
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| error.to_string())
}

fn ask(server: &Server, query: &str) -> Result<Wire, String> {
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.send(format!("GET /cgi-bin/s?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
    Ok(wire)
}

fn expect(body: &[u8], want: &str) -> Result<(), String> {
    if body == want.as_bytes() {
        Ok(())
    } else {
        Err(format!("`{}` is not `{want}`", String::from_utf8_lossy(body)))
    }
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
