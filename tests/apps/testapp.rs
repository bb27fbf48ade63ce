//! One program with every behaviour a script may have, good and bad. The first segment of PATH_INFO names it, further
//! segments are its arguments: `/cgi-bin/testapp/bytes/1000`. As `nph-testapp` it writes the whole reply itself.

mod fastcgi;
mod handoff;
mod http;
mod scgi;

use std::env;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, ExitCode, exit};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, raise};

use crate::fastcgi::Serves;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    if arguments.get(1).is_some_and(|a| a == "--linger") {
        sleep(seconds(arguments.get(2).map(String::as_str)));
        return ExitCode::SUCCESS;
    }
    if let [_, mode, socket, port @ ..] = arguments.as_slice()
        && let "--fastcgi" | "--one" = mode.as_str()
    {
        let serves = if mode == "--one" { Serves::One } else { Serves::Many };
        let end = fastcgi::serve(serves, socket, port.first().map(String::as_str));
        return end.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if let [_, mode] = arguments.as_slice()
        && let "--service" | "--service-one" = mode.as_str()
    {
        let serves = if mode == "--service-one" {
            Serves::One
        } else {
            Serves::Many
        };
        let end = fastcgi::serve_inherited(serves);
        return end.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if let [_, mode] = arguments.as_slice()
        && mode == "--handoff"
    {
        return handoff::serve_inherited().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if let [name] = arguments.as_slice()
        && std::path::Path::new(name)
            .extension()
            .is_some_and(|ending| ending == "fcgi")
    {
        let end = fastcgi::serve_inherited(Serves::Many);
        return end.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if let [_, mode, socket] = arguments.as_slice()
        && mode == "--handoff"
    {
        let end = handoff::serve(socket);
        return end.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if let [_, mode, socket, port @ ..] = arguments.as_slice()
        && let "--http" | "--scgi" = mode.as_str()
    {
        let port = port.first().map(String::as_str);
        let end = if mode == "--http" {
            http::serve(socket, port)
        } else {
            scgi::serve(socket, port)
        };
        return end.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let path = env::var("PATH_INFO").unwrap_or_default();
    let words: Vec<&str> = path.split('/').filter(|w| !w.is_empty()).collect();
    let (behaviour, rest) = words
        .split_first()
        .map_or(("env", &[][..]), |(first, rest)| (*first, rest));
    if arguments[0]
        .rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with("nph-"))
    {
        print!("HTTP/1.0 200 OK\r\nX-Nph: yes\r\n");
    }
    match run(behaviour, rest) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("testapp: {behaviour}: {e}");
            ExitCode::from(9)
        }
    }
}

fn run(behaviour: &str, words: &[&str]) -> io::Result<u8> {
    let number = words.first().and_then(|w| w.parse::<usize>().ok());
    match behaviour {
        "env" => environment()?,
        "argv" => arguments()?,
        "echo" => echo()?,
        "count" => count_stdin()?,
        "bytes" => bytes(number.unwrap_or(0))?,
        "lines" => lines(number.unwrap_or(1))?,
        "wait" => wait_for(&file_beside(words))?,
        "early" => early(number.unwrap_or(0))?,
        "noread" => text(b"not read\n")?,
        "readsome" => read_some(number.unwrap_or(1))?,
        "deaf" => sleep(seconds(words.first().copied())),
        "silent" => silent(words)?,
        "stubborn" => stubborn(words)?,
        "head" => head()?,
        "stderr" => stderr(number.unwrap_or(0))?,
        "complain" => complain(words)?,
        "exit" => return Ok(number.and_then(|n| u8::try_from(n).ok()).unwrap_or(0)),
        "replyexit" => return text(b"then exit\n").map(|()| number.and_then(|n| u8::try_from(n).ok()).unwrap_or(0)),
        "signal" => signal(words.first().copied().unwrap_or("KILL"))?,
        "abort" => std::process::abort(),
        "background" => background(words)?,
        "closeout" => close_out(words)?,
        "fds" => descriptors()?,
        "signals" => signals()?,
        "ids" => ids()?,
        "cwd" => text(env::current_dir()?.as_os_str().as_bytes())?,
        _ => text(b"no such behaviour\n")?,
    }
    Ok(0)
}

fn text(body: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(b"Content-Type: text/plain\r\n\r\n")?;
    out.write_all(body)?;
    out.flush()
}

/// Every variable, sorted, one `NAME=value` a line; odd bytes escaped.
fn environment() -> io::Result<()> {
    let mut lines: Vec<String> = env::vars_os()
        .map(|(name, value)| {
            format!(
                "{}={}\n",
                name.as_bytes().escape_ascii(),
                value.as_bytes().escape_ascii()
            )
        })
        .map(|line| line.replace("\\\"", "\"").replace("\\'", "'"))
        .collect();
    lines.sort();
    text(lines.concat().as_bytes())
}

fn arguments() -> io::Result<()> {
    let words: Vec<String> = env::args_os()
        .skip(1)
        .map(|a| format!("[{}]\n", a.as_bytes().escape_ascii()))
        .collect();
    text(format!("argc={}\n{}", words.len(), words.concat()).as_bytes())
}

/// The body comes back as it was.
fn echo() -> io::Result<()> {
    let mut body = Vec::new();
    io::stdin().read_to_end(&mut body)?;
    text(&body)
}

/// Reads to the end of the body, keeps nothing, tells how much it was.
fn count_stdin() -> io::Result<()> {
    let total = io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    let told = env::var("CONTENT_LENGTH").unwrap_or_else(|_| "none".into());
    text(format!("read {total} of {told}\n").as_bytes())
}

fn bytes(total: usize) -> io::Result<()> {
    text(b"")?;
    let block = vec![b'x'; 65_536];
    let mut out = io::stdout().lock();
    let mut left = total;
    while left > 0 {
        let part = left.min(block.len());
        out.write_all(&block[..part])?;
        left -= part;
    }
    out.flush()
}

fn lines(count: usize) -> io::Result<()> {
    text(b"")?;
    let mut out = io::stdout().lock();
    for n in 1..=count {
        writeln!(out, "line {n}")?;
        out.flush()?;
    }
    Ok(())
}

/// Writes `before`, waits until a file is there, writes `after`.
fn wait_for(file: &str) -> io::Result<()> {
    text(b"before\n")?;
    while !std::path::Path::new(file).exists() {
        sleep(Duration::from_millis(10));
    }
    println!("after");
    Ok(())
}

/// A file named by the words, in the directory above the script's.
fn file_beside(words: &[&str]) -> String {
    format!("{}/{}", env::var("DOCUMENT_ROOT").unwrap_or_default(), words.join("/"))
}

/// Writes a large reply before it reads its body.
fn early(total: usize) -> io::Result<()> {
    bytes(total)?;
    let read = io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    println!("\nread {read}");
    Ok(())
}

/// Reads only so many bytes, replies, ends.
fn read_some(count: usize) -> io::Result<()> {
    let mut part = vec![0; count];
    io::stdin().read_exact(&mut part)?;
    text(b"read some\n")
}

/// Reads everything, writes nothing, stays.
fn silent(words: &[&str]) -> io::Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    sleep(seconds(words.first().copied()));
    Ok(())
}

/// Starts a reply, then ignores SIGTERM and stays.
fn stubborn(words: &[&str]) -> io::Result<()> {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGTERM);
    blocked.add(Signal::SIGHUP);
    blocked.thread_block()?;
    text(b"stubborn\n")?;
    sleep(seconds(words.first().copied()));
    Ok(())
}

/// The body is the whole reply, head and all: any head a case wants.
fn head() -> io::Result<()> {
    let mut reply = Vec::new();
    io::stdin().read_to_end(&mut reply)?;
    io::stdout().write_all(&reply)
}

/// So many bytes of standard error before the reply.
fn stderr(total: usize) -> io::Result<()> {
    let line = format!("{}\n", "e".repeat(99));
    for _ in 0..total / line.len() {
        io::stderr().write_all(line.as_bytes())?;
    }
    text(b"after stderr\n")
}

/// One line with control bytes, one plain, then a reply or (`/empty`) none.
fn complain(words: &[&str]) -> io::Result<()> {
    io::stderr().write_all(b"plain complaint\nodd \x1b[31m \x07 \"quoted\" \xff end\nno line end")?;
    if words.first() == Some(&"empty") {
        Ok(())
    } else {
        text(b"complained\n")
    }
}

fn signal(name: &str) -> io::Result<()> {
    let signal: Signal = format!("SIG{name}").parse()?;
    raise(signal)?;
    sleep(Duration::from_secs(5));
    Ok(())
}

/// Leaves a child that holds all descriptors, replies and ends.
fn background(words: &[&str]) -> io::Result<()> {
    let child = Command::new(env::current_exe()?)
        .arg("--linger")
        .arg(words.first().unwrap_or(&"60"))
        .spawn()?;
    text(format!("left {}\n", child.id()).as_bytes())
}

/// Ends its output and lives on.
fn close_out(words: &[&str]) -> io::Result<()> {
    text(b"closed\n")?;
    nix::unistd::close(1)?;
    if words.get(1) != Some(&"stdout-only") {
        nix::unistd::close(2)?;
    }
    sleep(seconds(words.first().copied()));
    exit(0)
}

/// Its own descriptors, as they came over exec.
fn descriptors() -> io::Result<()> {
    let mut open: Vec<String> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        let Ok(target) = std::fs::read_link(&path) else {
            continue;
        };
        if !target.starts_with(format!("/proc/{}", std::process::id())) {
            let number = path
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            let target = target.to_string_lossy().into_owned();
            open.push(format!(
                "fd {number} {}\n",
                target.split(':').next().unwrap_or_default()
            ));
        }
    }
    open.sort();
    text(open.concat().as_bytes())
}

/// Which signals are blocked or ignored.
fn signals() -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let lines: Vec<String> = status
        .lines()
        .filter(|l| l.starts_with("SigBlk") || l.starts_with("SigIgn"))
        .map(|l| l.replace('\t', " ") + "\n")
        .collect();
    text(lines.concat().as_bytes())
}

/// Session, group and parent.
fn ids() -> io::Result<()> {
    let pid = nix::unistd::getpid();
    let leads_session = nix::unistd::getsid(None)? == pid;
    let leads_group = nix::unistd::getpgrp() == pid;
    let terminal = std::fs::File::open("/dev/tty").is_ok();
    text(format!("session leader: {leads_session}\ngroup leader: {leads_group}\nterminal: {terminal}\n").as_bytes())
}

/// What the field Say of a request has an application say: lines of a head, parted by ` @ `, and the body, where the last part
/// begins with `body `. `\\t`, `\\r`, `\\n` and `\\xNN` stand for bytes.
fn to_say(said: &str) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut head, mut body) = (Vec::new(), Vec::new());
    for part in said.split(" @ ").filter(|part| !part.is_empty()) {
        match part.strip_prefix("body ") {
            Some(text) => body = unescaped(text),
            None => head.push(unescaped(part)),
        }
    }
    (head, body)
}

fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((byte, behind)) = rest.split_first() {
        let (byte, behind) = match (byte, behind) {
            (b'\\', [b't', behind @ ..]) => (b'\t', behind),
            (b'\\', [b'r', behind @ ..]) => (b'\r', behind),
            (b'\\', [b'n', behind @ ..]) => (b'\n', behind),
            (b'\\', [b'x', high, low, behind @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                (u8::from_str_radix(digits, 16).unwrap_or(b'?'), behind)
            }
            _ => (*byte, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    bytes
}

fn seconds(word: Option<&str>) -> Duration {
    Duration::from_secs(word.and_then(|w| w.parse().ok()).unwrap_or(60))
}
