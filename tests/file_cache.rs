//! Answers that are kept of files: whoever reads while files are replaced gets one state of them, whole.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support::server::{self, Server};
use crate::support::site;

const PATIENCE: Duration = Duration::from_secs(60);
/// So many read at one time, each on some connections.
const READERS: usize = 8;
const CONNECTIONS: usize = 16;
/// The file is replaced so often, and read once at least by each of them meanwhile.
const STATES: usize = 120;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("file_cache::a_replaced_file_is_read_whole", || {
            replaced("replaced-small", |state| 1000 + 37 * state).map_err(Failed::from)
        }),
        Trial::test("file_cache::a_replaced_large_file_is_read_whole", || {
            replaced("replaced-large", |state| 20_000 + 997 * state).map_err(Failed::from)
        }),
        Trial::test(
            "file_cache::a_replaced_file_that_the_kernel_sends_is_read_whole",
            || replaced("replaced-larger", |state| 40_000 + 1009 * state).map_err(Failed::from),
        ),
        Trial::test("file_cache::a_large_file_is_sent_without_being_read", || {
            sent_by_the_kernel().map_err(Failed::from)
        }),
        Trial::test("file_cache::a_change_is_seen_by_the_next_request", || {
            seen_at_once().map_err(Failed::from)
        }),
    ]
}

fn boot(name: &str) -> Result<(std::path::PathBuf, Server), String> {
    let root = server::fresh_root(name);
    server::write(&root.join("htdocs/a.txt"), b"")?;
    server::write_config(&root, &["MaxKeepAliveRequests 0".into()], "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

/// One letter for each state, so that two in one body are seen.
fn content(state: usize, length: fn(usize) -> usize) -> Vec<u8> {
    let letters = b"abcdefghijklmnopqrstuvwxyz";
    vec![letters[state % letters.len()]; length(state)]
}

fn put(root: &Path, bytes: &[u8]) -> Result<(), String> {
    server::write(&root.join("htdocs/b.txt"), bytes)?;
    std::fs::rename(root.join("htdocs/b.txt"), root.join("htdocs/a.txt")).map_err(|e| e.to_string())
}

fn replaced(name: &str, length: fn(usize) -> usize) -> Result<(), String> {
    let (root, server) = boot(name)?;
    put(&root, &content(0, length))?;
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = server.listeners[0].clone();
    std::thread::scope(|scope| {
        let read = || reads(&address, length, &is_over, &answered);
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        let replaced = (1..STATES).try_for_each(|state| {
            let before = answered.load(Ordering::SeqCst);
            put(&root, &content(state, length))?;
            server::poll(PATIENCE, || match answered.load(Ordering::SeqCst) - before {
                some if some >= READERS => Ok(()),
                _ if readers.iter().any(std::thread::ScopedJoinHandle::is_finished) => Ok(()),
                some => Err(format!("{some} answers to state {state}")),
            })
        });
        is_over.store(true, Ordering::SeqCst);
        let read = readers
            .into_iter()
            .map(|reader| reader.join().unwrap_or(Err("a reader panicked".into())));
        read.chain([replaced]).collect::<Result<(), String>>()
    })?;
    server.settle(PATIENCE)?;
    server.stop()?;
    let _left_for_the_end_of_the_run = std::fs::remove_dir_all(root);
    Ok(())
}

fn reads(
    address: &str,
    length: fn(usize) -> usize,
    is_over: &AtomicBool,
    answered: &AtomicUsize,
) -> Result<(), String> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(connect(address)?);
    }
    while !is_over.load(Ordering::SeqCst) {
        for client in &mut clients {
            ask(client)?;
        }
        for client in &mut clients {
            let body = answer(client)?;
            let is_known = (0..STATES).any(|state| content(state, length) == body);
            if !is_known {
                return Err(format!("{} bytes that are no state of the file", body.len()));
            }
            answered.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

fn seen_at_once() -> Result<(), String> {
    let (root, server) = boot("seen-at-once")?;
    let mut client = connect(&server.listeners[0])?;
    for state in 0..200 {
        let content = content(state, |_| 100);
        put(&root, &content)?;
        for _ in 0..3 {
            ask(&mut client)?;
            let body = answer(&mut client)?;
            if body != content {
                return Err(format!("state {state} is answered with {}", body.escape_ascii()));
            }
        }
    }
    drop(client);
    server.settle(PATIENCE)?;
    server.stop()?;
    let _left_for_the_end_of_the_run = std::fs::remove_dir_all(root);
    Ok(())
}

/// A sparse file of this size.
const LARGE: u64 = 256 << 20;

/// The worker's memory does not grow by it, and there are fewer calls that read, sendfile(2) among them, than it takes to read it
/// by 64 KiB.
fn sent_by_the_kernel() -> Result<(), String> {
    let (root, server) = boot("sent-by-the-kernel")?;
    let file = std::fs::File::create(root.join("htdocs/a.txt")).map_err(|e| e.to_string())?;
    file.set_len(LARGE).map_err(|e| e.to_string())?;
    let mut client = connect(&server.listeners[0])?;
    let pid = site::role(&server, "worker")?.as_raw_nonzero().get();
    let mut memory = None;
    for round in 0..3 {
        let calls = reads_of(pid)?;
        ask(&mut client)?;
        let length = read_away(&mut client)?;
        if length != LARGE {
            return Err(format!("{length} bytes"));
        }
        let calls = reads_of(pid)? - calls;
        if calls >= LARGE / (64 << 10) {
            return Err(format!("{calls} reads in round {round}"));
        }
        // What the first answer needs is there from then on.
        let now = number_in(pid, "status", "RssAnon:")?;
        let before = *memory.get_or_insert(now);
        if now > before + 1024 {
            return Err(format!("from {before} to {now} KiB of memory"));
        }
    }
    drop(client);
    server.settle(PATIENCE)?;
    server.stop()?;
    let _left_for_the_end_of_the_run = std::fs::remove_dir_all(root);
    Ok(())
}

/// How often a process has read from a file, or had it sent. The system tells that to root alone of a server's processes.
fn reads_of(pid: i32) -> Result<u64, String> {
    if server::privileged() {
        number_in(pid, "io", "syscr:")
    } else {
        Ok(0)
    }
}

/// A number from a file of /proc.
fn number_in(pid: i32, file: &str, name: &str) -> Result<u64, String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|e| e.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).ok_or(text)
}

/// Reads an answer, and tells the length of its body.
fn read_away(client: &mut TcpStream) -> Result<u64, String> {
    let (mut head, mut piece) = (Vec::new(), vec![0; 256 * 1024]);
    let mut rest = loop {
        let n = client.read(&mut piece).map_err(|e| e.to_string())?;
        if n == 0 {
            return Err("the connection ended within the head".into());
        }
        head.extend_from_slice(&piece[..n]);
        if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
            break (head.len() - end - 4) as u64;
        }
    };
    while rest < LARGE {
        match client.read(&mut piece).map_err(|e| e.to_string())? {
            0 => return Err(format!("the connection ended after {rest} bytes")),
            n => rest += n as u64,
        }
    }
    Ok(rest)
}

fn connect(address: &str) -> Result<TcpStream, String> {
    let client = TcpStream::connect(address).map_err(|e| e.to_string())?;
    client.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
    Ok(client)
}

fn ask(client: &mut TcpStream) -> Result<(), String> {
    let request = b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(request).map_err(|e| e.to_string())
}

/// The body of an answer, which has its length told.
fn answer(client: &mut TcpStream) -> Result<Vec<u8>, String> {
    let (mut got, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let end = memchr::memmem::find(&got, b"\r\n\r\n").map(|at| at + 4);
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&got[..end]).into_owned();
            let stated = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length: usize = stated.and_then(|text| text.parse().ok()).ok_or(head.clone())?;
            if !head.starts_with("HTTP/1.1 200 ") || got.len() > end + length {
                return Err(head);
            }
            if got.len() == end + length {
                return Ok(got.split_off(end));
            }
        }
        match client.read(&mut piece).map_err(|e| e.to_string())? {
            0 => return Err(format!("the connection ended after {} bytes", got.len())),
            n => got.extend_from_slice(&piece[..n]),
        }
    }
}
