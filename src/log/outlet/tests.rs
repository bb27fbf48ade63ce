//! A blocking socket whose reader does not read stands in for a file on a disk that hangs.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::{Loss, Outlet, Writer};
use crate::log::losses::Cause;
use crate::log::queue::FILE_QUEUE_LIMIT;
use crate::process::write_now::Nature;

const PATIENCE: Duration = Duration::from_secs(20);
const NEVER: Duration = Duration::MAX;
const ALWAYS: Duration = Duration::ZERO;

/// A "file" and the disk behind it.
fn disk(slow: Duration) -> (UnixStream, Arc<Outlet>) {
    let (reader, writer) = UnixStream::pair().expect("a pair");
    reader.set_read_timeout(Some(PATIENCE)).expect("a socket");
    (reader, Arc::new(Outlet::new(writer.into(), Nature::File, slow)))
}

fn line(n: usize) -> Vec<u8> {
    format!("{n:0999}\n").into_bytes()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

fn writer(outlet: &Outlet) -> Writer {
    outlet.state().writer
}

fn waits(outlet: &Outlet) -> bool {
    !outlet.state().queue.is_empty()
}

/// The numbers of the lines that come until nobody writes any more.
fn numbers(mut reader: UnixStream) -> Vec<usize> {
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("whole lines");
    assert!(text.lines().all(|line| line.len() == 999), "lines are whole");
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

/// Starts a thread that writes a line too long for the disk, and waits until it is at it.
fn held_up(outlet: &Arc<Outlet>) -> std::thread::JoinHandle<Loss> {
    let held = Arc::clone(outlet);
    let thread = std::thread::spawn(move || {
        let long: Vec<u8> = (0..2000).flat_map(line).collect();
        held.put(&long)
    });
    until("it writes", || outlet.state().writing);
    thread
}

#[test]
fn a_slow_file_holds_up_nobody_and_keeps_order() {
    let (reader, outlet) = disk(ALWAYS);
    assert_eq!(outlet.put(&line(0)), None);
    assert_eq!(writer(&outlet), Writer::Thread);
    let mut kept = 1;
    let (mut lost, mut n) = (0, 1);
    while lost < 10 {
        match outlet.put(&line(n)) {
            None => kept += 1,
            Some((dropped, cause)) => {
                assert_eq!((dropped, cause), (1, Cause::SlowFile));
                lost += dropped;
            }
        }
        n += 1;
    }
    assert!(kept * 1000 >= FILE_QUEUE_LIMIT - 1000);
    let all = std::thread::spawn(move || numbers(reader));
    let end = Instant::now() + PATIENCE;
    outlet.finish(&|| end);
    assert!(!waits(&outlet));
    outlet.close();
    drop(outlet);
    let all = all.join().expect("whole lines");
    assert_eq!(all.len(), kept);
    assert!(all.is_sorted());
}

#[test]
fn nobody_stands_behind_the_write_of_somebody_else() {
    let (reader, outlet) = disk(NEVER);
    let thread = held_up(&outlet);
    for n in 2000..2010 {
        assert_eq!(outlet.put(&line(n)), None);
    }
    assert!(waits(&outlet));
    let all = std::thread::spawn(move || numbers(reader));
    assert_eq!(thread.join().expect("no panic"), None);
    assert_eq!(writer(&outlet), Writer::Anybody);
    assert!(!waits(&outlet), "it took them along");
    drop(outlet);
    assert_eq!(all.join().expect("whole lines"), (0..2010).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_quick_again_has_no_thread() {
    let slow = Duration::from_millis(20);
    let (mut reader, outlet) = disk(slow);
    assert_eq!(outlet.put(b"quick\n"), None);
    assert_eq!(writer(&outlet), Writer::Anybody);
    let thread = held_up(&outlet);
    let start = Instant::now();
    until("time passes", || start.elapsed() > 5 * slow);
    let mut all = vec![0; 6 + 2000 * 1000];
    reader.read_exact(&mut all).expect("all of it");
    assert_eq!(thread.join().expect("no panic"), None);
    assert_eq!(writer(&outlet), Writer::Thread);
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    until("the thread has ended", || {
        outlet.put(b"quick\n");
        writer(&outlet) == Writer::Anybody
    });
    until("nobody else has it", || Arc::strong_count(&outlet) == 1);
}

#[test]
fn the_thread_of_a_slow_file_ends_with_its_sink() {
    let (_reader, outlet) = disk(ALWAYS);
    outlet.put(b"slow\n");
    let thread = Arc::downgrade(&outlet);
    outlet.close();
    drop(outlet);
    until("the thread has ended", || thread.upgrade().is_none());
}

#[test]
fn at_the_end_a_disk_that_hangs_costs_lines_but_never_for_ever() {
    let (reader, outlet) = disk(NEVER);
    let thread = held_up(&outlet);
    outlet.put(&[line(1), line(2)].concat());
    outlet.finish(&Instant::now);
    assert_eq!(outlet.losses.lost(), 2);
    drop(reader);
    let lost = thread.join().expect("no panic").map(|(_, cause)| cause);
    assert_eq!(lost, Some(Cause::System(Errno::PIPE)), "the disk is gone");
}

#[test]
fn at_the_end_a_slow_reader_is_waited_for() {
    let (mut reader, pipe) = std::io::pipe().expect("a pipe");
    let outlet = Arc::new(Outlet::new(pipe.into(), Nature::Pipe, NEVER));
    let text: Vec<u8> = (0..200).flat_map(line).collect();
    assert_eq!(outlet.put(&text), None);
    assert!(waits(&outlet));
    let all = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all)
    });
    let end = Instant::now() + PATIENCE;
    outlet.finish(&|| end);
    drop(outlet);
    assert_eq!(all.join().expect("no panic").expect("read"), text);
}

#[test]
fn at_the_end_a_reader_that_is_gone_is_not_waited_for() {
    let (reader, pipe) = std::io::pipe().expect("a pipe");
    let outlet = Arc::new(Outlet::new(pipe.into(), Nature::Pipe, NEVER));
    drop(reader);
    outlet.put(&line(1));
    let end = Instant::now() + PATIENCE;
    outlet.finish(&|| end);
    assert_eq!(outlet.losses.lost(), 1);
    let report = outlet
        .losses
        .report("p", crate::log::losses::Due::Now)
        .expect("a line was lost");
    assert_eq!(report.text, "log `p`: 1 line lost: Broken pipe");
}

#[test]
fn what_waited_for_a_reader_goes_into_the_file_that_took_its_place() {
    let (_reader, pipe) = std::io::pipe().expect("a pipe");
    let outlet = Arc::new(Outlet::new(pipe.into(), Nature::Pipe, NEVER));
    let text: Vec<u8> = (0..200).flat_map(line).collect();
    outlet.put(&text);
    let path = std::env::temp_dir().join(format!("lychgate-outlet-{}", std::process::id()));
    let file = std::fs::File::create(&path).expect("created");
    outlet.reopen(file.as_fd()).expect("replaced");
    outlet.put(b"last\n");
    let there = std::fs::read(&path).expect("read");
    std::fs::remove_file(&path).expect("ours");
    assert!(there.ends_with(b"0199\nlast\n"));
    assert!(text.ends_with(there.strip_suffix(b"last\n").unwrap_or_default()));
}
