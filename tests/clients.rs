//! What clients cost and what their packets carry: many slow ones, and many requests in one packet.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support::processes;
use crate::support::server::{self, Server};

const PATIENCE: Duration = Duration::from_secs(60);
/// Fewer than the 1024 descriptors that a process may usually have.
const CLIENTS: usize = 800;
/// How much of the server's memory one slow or idle client may take.
const MOST_KIB: usize = 2;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("clients::a_slow_one_costs_a_few_kib", a_slow_one_costs_a_few_kib),
        trial(
            "clients::sixteen_requests_in_a_packet_are_answered_in_one",
            sixteen_requests_in_a_packet_are_answered_in_one,
        ),
        trial(
            "clients::answers_that_find_no_room_come_whole",
            answers_that_find_no_room_come_whole,
        ),
    ]
}

fn trial(name: &str, test: fn() -> Result<(), String>) -> Trial {
    Trial::test(name, move || test().map_err(Failed::from))
}

fn a_slow_one_costs_a_few_kib() -> Result<(), String> {
    let (root, server) = boot("slow-clients")?;
    let told = |e: std::io::Error| format!("a slow client: {e}");
    for _ in 0..20 {
        exchange(&server)?; // all threads have done something before anything is measured
    }
    let before = resident(&server);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(TcpStream::connect(&server.listeners[0]).map_err(told)?);
    }
    server::poll(PATIENCE, || match waiting(&server)? {
        0 => Ok(()),
        some => Err(format!("{some} of {CLIENTS} clients wait to be accepted")),
    })?;
    cheap("a silent client", before, &server)?;
    for client in &mut clients {
        client.write_all(b"GET /a.txt HTTP/1.1\r\nX").map_err(told)?;
    }
    exchange(&server)?;
    cheap("a client that sends its head slowly", before, &server)?;
    for client in &mut clients {
        client.write_all(b": y\r\nHost: localhost\r\n\r\n").map_err(told)?;
        let mut reply = [0; 1024];
        let length = client.read(&mut reply).map_err(told)?;
        if !reply[..length].ends_with(b"\r\n\r\nhello") {
            return Err(format!("the reply is {}", reply[..length].escape_ascii()));
        }
    }
    cheap("an idle client", before, &server)?;
    drop(clients);
    server.settle(PATIENCE)?;
    server.stop()?;
    let _left_for_the_end_of_the_run = std::fs::remove_dir_all(root);
    Ok(())
}

fn cheap(client: &str, before: u64, server: &Server) -> Result<(), String> {
    let grown = usize::try_from(resident(server).saturating_sub(before)).unwrap_or(usize::MAX);
    println!("{client}: {} bytes", grown * 1024 / CLIENTS);
    if grown <= CLIENTS * MOST_KIB {
        Ok(())
    } else {
        Err(format!("{CLIENTS} times {client} took {grown} KiB"))
    }
}

fn sixteen_requests_in_a_packet_are_answered_in_one() -> Result<(), String> {
    let (root, server) = boot("sixteen-requests")?;
    let told = |e: std::io::Error| format!("a pipelining client: {e}");
    let mut client = TcpStream::connect(&server.listeners[0]).map_err(told)?;
    let requests = b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(16);
    client.write_all(&requests).map_err(told)?;
    let mut replies = vec![0; 64 * 1024];
    let length = client.read(&mut replies).map_err(told)?;
    let count = memchr::memmem::find_iter(&replies[..length], b"HTTP/1.1 200 OK").count();
    if count != 16 {
        return Err(format!("{count} replies came with the first read"));
    }
    drop(client);
    server.settle(PATIENCE)?;
    server.stop()?;
    let _left_for_the_end_of_the_run = std::fs::remove_dir_all(root);
    Ok(())
}

/// A file that is kept in memory, asked for by a client that does not read for a while: one at a time, and many in a packet.
fn answers_that_find_no_room_come_whole() -> Result<(), String> {
    let (root, server) = boot("no-room")?;
    let told = |e: std::io::Error| format!("a client that does not read: {e}");
    let body: Vec<u8> = (0..8192_u32).map(|n| b'a' + (n % 23) as u8).collect();
    server::write(&root.join("htdocs/8k.txt"), &body)?;
    let request = b"GET /8k.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for together in [1, 3, 40] {
        let mut client = TcpStream::connect(&server.listeners[0]).map_err(told)?;
        client.set_read_timeout(Some(PATIENCE)).map_err(told)?;
        for _ in 0..1200 / together {
            client.write_all(&request.repeat(together)).map_err(told)?;
            // What was sent is to be seen by itself.
            std::thread::sleep(Duration::from_micros(500));
        }
        let (mut replies, mut part) = (Vec::new(), vec![0; 64 * 1024]);
        let mut count = 0;
        while count < 1200 / together * together {
            let length = client.read(&mut part).map_err(told)?;
            if length == 0 {
                return Err(format!("the connection ends behind {count} replies"));
            }
            replies.extend_from_slice(&part[..length]);
            while let Some(end) = memchr::memmem::find(&replies, b"\r\n\r\n").map(|end| end + 4)
                && replies.len() >= end + body.len()
            {
                if !replies.starts_with(b"HTTP/1.1 200 OK\r\n") || replies[end..end + body.len()] != body {
                    return Err(format!("reply {count} is {}", replies[..end].escape_ascii()));
                }
                replies.drain(..end + body.len());
                count += 1;
            }
        }
        if !replies.is_empty() {
            return Err(format!("{} bytes too many", replies.len()));
        }
    }
    server.settle(PATIENCE)?;
    server.stop()?;
    let _left_for_the_end_of_the_run = std::fs::remove_dir_all(root);
    Ok(())
}

/// One request by somebody else.
fn exchange(server: &Server) -> Result<(), String> {
    let told = |e: std::io::Error| format!("another client: {e}");
    let mut client = TcpStream::connect(&server.listeners[0]).map_err(told)?;
    client
        .write_all(b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .map_err(told)?;
    let mut reply = Vec::new();
    client.read_to_end(&mut reply).map_err(told)?;
    if reply.starts_with(b"HTTP/1.1 200 OK") {
        Ok(())
    } else {
        Err(format!("another client got {}", reply.escape_ascii()))
    }
}

fn boot(name: &str) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    server::write(&root.join("htdocs/a.txt"), b"hello")?;
    // Silent clients are the server's own, not the system's.
    let lines = ["AcceptFilter http none".to_owned(), "MaxKeepAliveRequests 0".to_owned()];
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

fn own(server: &Server) -> impl Iterator<Item = u32> {
    let children = processes::descendants(server.pid()).into_iter().map(|p| p.pid);
    children.chain([server.pid()])
}

fn resident(server: &Server) -> u64 {
    own(server).filter_map(processes::resident_kib).sum()
}

/// How many connections wait at the server's listeners: what the kernel tells in the place of a listener's queue
/// (proc_net_tcp(5)).
fn waiting(server: &Server) -> Result<usize, String> {
    let port = server.listeners[0]
        .rsplit(':')
        .next()
        .and_then(|port| port.parse::<u16>().ok());
    let suffix = format!(":{:04X}", port.ok_or("no port")?);
    let table = std::fs::read_to_string("/proc/net/tcp").map_err(|e| e.to_string())?;
    let mut all = 0;
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, local, _, "0A", queues, ..] = words.as_slice()
            && local.ends_with(&suffix)
        {
            let queue = queues.rsplit(':').next().unwrap_or_default();
            all += usize::from_str_radix(queue, 16).map_err(|e| e.to_string())?;
        }
    }
    Ok(all)
}
