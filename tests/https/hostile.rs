//! Clients that misuse TLS: that never read, begin anew in the middle, make their first message as large or as small as
//! they can, or leave without a word.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use super::judged::{boot, end, resident};
use crate::support::processes;
use crate::support::server::{self, Server, set_mode};
use crate::support::tls::Over;
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(60);
/// How many clients do not read, and what one of them may take of the server's memory.
const CLIENTS: u64 = 50;
const MOST_KIB: u64 = 256;

/// All tests of this file.
pub(super) fn trials() -> Vec<Trial> {
    let https = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("https::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        https("clients_that_never_read_cost_little_and_end", clients_that_never_read),
        https("who_wants_to_begin_anew_is_refused", who_wants_to_begin_anew),
        https("first_messages_of_any_size_are_answered", first_messages_of_any_size),
        https("a_body_without_an_end_is_cut_short", a_body_without_an_end),
    ]
}

/// What they asked for is much longer than what waits for them; after `Timeout` they are gone.
fn clients_that_never_read() -> Result<(), String> {
    let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; exec cat /dev/zero\n";
    let (root, server) = boot(
        "https-never-reads",
        &["Timeout 3", "ScriptAlias /cgi-bin/ ROOT/cgi-bin/"],
    )?;
    let large = File::create(root.join("htdocs/large")).and_then(|file| file.set_len(64 << 20));
    large.map_err(|error| error.to_string())?;
    server::write(&root.join("cgi-bin/endless"), script.as_bytes())?;
    set_mode(&root.join("cgi-bin/endless"), 0o755)?;
    server::hand_over(&root, false)?;
    let over = Over::parse("")?;
    let before = resident(&server);
    let mut most = 0;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
        wire.secure(&over)?;
        let path = if number < 5 { "cgi-bin/endless" } else { "large" };
        wire.send(format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        most = most.max(resident_without_scripts(&server));
        clients.push(wire);
    }
    // They are all ended while nobody reads; the connections of ours stay open until then.
    server::poll(PATIENCE, || {
        most = most.max(resident_without_scripts(&server));
        server.settle(Duration::ZERO)
    })?;
    drop(clients);
    let grown = most.saturating_sub(before);
    println!("{CLIENTS} clients that do not read: {grown} KiB");
    if grown > CLIENTS * MOST_KIB {
        return Err(format!("{CLIENTS} clients took {grown} KiB"));
    }
    end(root, server)
}

fn resident_without_scripts(server: &Server) -> u64 {
    let own = processes::process(server.pid()).map_or(String::new(), |first| first.name);
    let roles = processes::descendants(server.pid())
        .into_iter()
        .filter(|process| process.name == own);
    let pids = roles.map(|process| process.pid).chain([server.pid()]);
    pids.filter_map(processes::resident_kib).sum()
}

/// OpenSSL's client begins a new handshake within the old one at an `R` (TLS 1.2): it is told no, and both sides go on living.
fn who_wants_to_begin_anew() -> Result<(), String> {
    let (root, server) = boot("https-renegotiation", &[])?;
    let mut command = Command::new("openssl");
    command.args(["s_client", "-tls1_2", "-connect", &server.listeners[0]]);
    let output = root.join("openssl");
    let file = File::create(&output).map_err(|error| error.to_string())?;
    let again = file.try_clone().map_err(|error| error.to_string())?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(file)
        .stderr(again)
        .spawn()
        .map_err(|error| format!("openssl: {error}"))?;
    let told = || fs::read_to_string(&output).unwrap_or_default();
    let asked = server::poll(PATIENCE, || {
        if told().contains("Verify return code") {
            Ok(())
        } else {
            Err(told())
        }
    });
    let mut input = child.stdin.take().ok_or("no input")?;
    let sent = input.write_all(b"R\n").and_then(|()| input.flush());
    let ended = server::poll(PATIENCE, || match child.try_wait() {
        Ok(Some(_)) => Ok(()),
        _ => Err(format!("it does not end: {}", told())),
    });
    let _ended_already = child.kill();
    let _reaped = child.wait();
    asked?;
    sent.map_err(|error| error.to_string())?;
    ended?;
    if !told().contains("RENEGOTIATING") || !told().contains("no renegotiation") {
        return Err(told());
    }
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.secure(&Over::parse("tls1.2")?)?;
    wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    wire.reply(Judge::Strict)?;
    drop(wire);
    end(root, server)
}

/// RFC 8446 section 4.1.2, as TLS 1.2: so many ciphers that nobody has, then ours; an extension of padding (RFC 7685).
fn client_hello(strange_ciphers: u16, padding: u16) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut ciphers: Vec<u8> = (0..strange_ciphers).flat_map(|n| (0xd100 + n).to_be_bytes()).collect();
    ciphers.extend([0xc0, 0x2b, 0xc0, 0x2f]);
    let mut extensions = Vec::new();
    for (kind, content) in [
        (10_u16, vec![0, 4, 0, 29, 0, 23]),
        (13, vec![0, 4, 4, 3, 8, 4]),
        (21, vec![0; usize::from(padding)]),
    ] {
        extensions.extend([&kind.to_be_bytes()[..], &length(&content), &content].concat());
    }
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &length(&ciphers),
        &ciphers,
        &[1, 0],
        &length(&extensions),
        &extensions,
    ]
    .concat();
    let whole = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[1][..], &whole[1..], &body].concat()
}

/// The message in records of so many bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes();
        [&[0x16, 3, 1][..], &length, part].concat()
    };
    message.chunks(size).flat_map(record).collect()
}

/// What one of any size is answered with: a handshake, or the end.
fn first_messages_of_any_size() -> Result<(), String> {
    let (root, server) = boot("https-hellos", &[])?;
    let mut too_long = client_hello(0, 0);
    too_long[1] = 0xff;
    let cases: [(&str, Vec<u8>, &[u8]); 6] = [
        ("ordinary", records(&client_hello(0, 0), 16384), &[0x16]),
        ("in records of a byte", records(&client_hello(0, 0), 1), &[0x16]),
        ("with many ciphers", records(&client_hello(1000, 0), 16384), &[0x16]),
        ("large", records(&client_hello(0, 60_000), 16384), &[0x16]),
        (
            "large, in small records",
            records(&client_hello(0, 60_000), 100),
            &[0x16],
        ),
        ("that says it is of 16 MiB", records(&too_long, 16384), &[]),
    ];
    for (name, bytes, wanted) in cases {
        let told = |error: std::io::Error| format!("{name}: {error}");
        let mut stream = TcpStream::connect(&server.listeners[0]).map_err(told)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
        match stream.write_all(&bytes) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset && error.kind() != ErrorKind::BrokenPipe => {
                return Err(told(error));
            }
            _ => {}
        }
        let mut first = [0];
        let count = stream.read(&mut first).map_err(told)?;
        if first[..count] != *wanted {
            return Err(format!("{name}: the answer begins with {:x?}", &first[..count]));
        }
    }
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.secure(&Over::parse("")?)?;
    wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    wire.reply(Judge::Strict)?;
    drop(wire);
    end(root, server)
}

/// A client that dies in the middle of a body sends no `close_notify` (RFC 8446 section 6.1). As over TCP alone, nothing takes
/// that for the body's end: a script finds less than it was told of, and one whose body has no length is not even started.
fn a_body_without_an_end() -> Result<(), String> {
    let (root, server) = boot("https-torn-body", &["ScriptAlias /cgi-bin/ ROOT/cgi-bin/"])?;
    let script = "#!/bin/sh\ncat >body\n[ \"$(wc -c <body)\" = \"$CONTENT_LENGTH\" ] && echo >whole\n\
        printf 'Content-Type: text/plain\\n\\nread\\n'\n";
    server::write(&root.join("cgi-bin/reads"), script.as_bytes())?;
    set_mode(&root.join("cgi-bin/reads"), 0o755)?;
    server::hand_over(&root, false)?;
    let body = root.join("cgi-bin/body");
    let answer = root.join("answer");
    for (framing, begins) in [
        ("Content-Length: 10\r\n\r\nabc", &body),
        ("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", &answer),
    ] {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &server.listeners[0]])
            .stdin(Stdio::piped())
            .stdout(File::create(&answer).map_err(|error| error.to_string())?)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("openssl: {error}"))?;
        let request = format!("POST /cgi-bin/reads HTTP/1.1\r\nHost: localhost\r\n{framing}");
        let sent = child.stdin.as_mut().map(|input| input.write_all(request.as_bytes()));
        let begun = server::poll(PATIENCE, || match fs::read(begins) {
            Ok(read) if !read.is_empty() => Ok(()),
            _ => Err(format!("nothing has begun: {framing}")),
        });
        let _gone = child.kill();
        let _reaped = child.wait();
        sent.ok_or("no input")?.map_err(|error| error.to_string())?;
        begun?;
        server.settle(PATIENCE)?;
        if root.join("cgi-bin/whole").exists() || (begins == &answer && body.exists()) {
            return Err(format!("the script takes it for whole: {framing}"));
        }
        let _there_or_not = fs::remove_file(&body);
    }
    end(root, server)
}
