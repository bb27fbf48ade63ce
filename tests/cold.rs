//! A disk that makes its readers wait (a FUSE file system of `tests/apps/cold_disk.py`): whoever asks for what is in memory
//! does not wait with them, and those who wait get all of it in the end.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};

use crate::programs::absent;
use crate::support::server::{self, Server, poll, privileged};
use crate::support::site::{ask, end};
use crate::support::wire::{Judge, Reply, Wire, show};

const PATIENCE: Duration = Duration::from_secs(60);

/// So many ask for cold files at one time.
const COLD: usize = 64;

/// Then there is no disk to wait for; `fs::cold::tests` reads by other threads all the same.
const NOT_HERE: &str = "file systems of users cannot be mounted here";

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::ignorable_test("cold::hot_files_do_not_wait_for_cold_ones", || {
            hot_files_do_not_wait_for_cold_ones("On")
        }),
        Trial::ignorable_test("cold::hot_files_do_not_wait_without_sendfile", || {
            hot_files_do_not_wait_for_cold_ones("Off")
        }),
        Trial::ignorable_test("cold::a_stop_does_not_wait_for_a_disk", a_stop_does_not_wait_for_a_disk),
    ]
}

/// The disk, mounted below a site's root as long as this lives.
struct Disk {
    mount_point: std::path::PathBuf,
    process: std::process::Child,
}

impl Disk {
    /// `None` where this system lets nobody mount such a disk.
    fn mount(root: &Path) -> Result<Option<Disk>, String> {
        let mount_point = root.join("htdocs/cold");
        fs::create_dir_all(&mount_point).map_err(|e| e.to_string())?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/cold_disk.py");
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(script)
            .args([mount_point.as_os_str(), root.join("gate").as_os_str()])
            .arg(root.join("waiting"))
            // Only root may let other users in.
            .args(privileged().then_some("allow_other"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let process = command.spawn().map_err(|e| format!("python3: {e}"))?;
        let mut disk = Disk { mount_point, process };
        let is_mounted = poll(PATIENCE, || {
            let ended = disk.process.try_wait().map_err(|e| e.to_string())?.is_some();
            match fs::metadata(disk.mount_point.join("1")) {
                Ok(_) => Ok(true),
                Err(_) if ended => Ok(false),
                Err(error) => Err(format!("the disk is not mounted: {error}")),
            }
        })?;
        Ok(is_mounted.then_some(disk))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Those who read get an error, and the file system's process ends.
        let _told_by_what_follows = Command::new("fusermount3")
            .args(["-u", "-z"])
            .arg(&self.mount_point)
            .status();
        let _it_has_ended = self.process.kill();
        let _none_else_waits_for_it = self.process.wait();
    }
}

fn is_missing() -> Option<&'static str> {
    let has_fuse = Command::new("/usr/bin/python3")
        .args(["-c", "import fusepy"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let has_fuse = has_fuse && Path::new("/usr/bin/fusermount3").exists();
    (!has_fuse).then_some("fusepy for python3, or fusermount3")
}

fn boot(name: &str, sendfile: &str) -> Result<Option<(std::path::PathBuf, Server, Disk)>, String> {
    let root = server::fresh_root(name);
    server::write(&root.join("htdocs/hot.txt"), b"hot\n")?;
    server::write(&root.join("htdocs/large.bin"), &vec![b'l'; 300_000])?;
    let lines = [
        // One thread: whoever holds it up holds up all.
        "ServerThreads 1".to_owned(),
        format!("EnableSendfile {sendfile}"),
    ];
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let Some(disk) = Disk::mount(&root)? else {
        return Ok(None);
    };
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok(Some((root, server, disk)))
}

fn hot_files_do_not_wait_for_cold_ones(sendfile: &str) -> Result<Completion, Failed> {
    if let Some(missing) = is_missing() {
        return absent(missing);
    }
    let Some((root, server, disk)) = boot(&format!("cold-{sendfile}"), sendfile)? else {
        return Ok(Completion::ignored_with(NOT_HERE));
    };
    let mut clients = Vec::new();
    for number in 0..COLD {
        // Some are sent with their head, the others in pieces.
        let size = if number % 2 == 0 { 5_000 } else { 700_000 };
        clients.push((ask(&server, &format!("/cold/{size}-{number}"))?, size));
    }
    // The kernel lets a dozen readings through at a time; as many as that wait.
    poll(PATIENCE, || {
        let waiting = fs::read_to_string(root.join("waiting")).unwrap_or_default();
        match waiting.parse::<usize>() {
            Ok(count) if count >= 8 => Ok(()),
            _ => Err(format!("`{waiting}` readings wait")),
        }
    })?;
    for _ in 0..50 {
        for (path, length) in [("/hot.txt", 4), ("/large.bin", 300_000)] {
            let reply = ask(&server, path)?.reply(Judge::Strict)?;
            check(path, &reply, reply.body.len() == length)?;
        }
    }
    server::write(&root.join("gate"), b"")?;
    for (mut client, size) in clients {
        let reply = client.reply(Judge::Strict)?;
        let expected: Vec<u8> = (0..size).map(|at| u8::try_from(at / 4096 % 256).unwrap_or(0)).collect();
        check("a cold file", &reply, reply.body == expected)?;
    }
    drop(disk);
    end(&root, server)?;
    Ok(Completion::Completed)
}

fn check(what: &str, reply: &Reply, is_whole: bool) -> Result<(), String> {
    if is_whole && reply.status_line.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let line = show(&reply.status_line);
    Err(format!("{what}: {line} with {} bytes", reply.body.len()))
}

/// A reading that never comes to its end keeps the server from nothing.
fn a_stop_does_not_wait_for_a_disk() -> Result<Completion, Failed> {
    if let Some(missing) = is_missing() {
        return absent(missing);
    }
    let Some((root, server, disk)) = boot("cold-stop", "On")? else {
        return Ok(Completion::ignored_with(NOT_HERE));
    };
    let mut client: Wire = ask(&server, "/cold/5000")?;
    poll(PATIENCE, || match fs::read_to_string(root.join("waiting")).as_deref() {
        Ok("1") => Ok(()),
        other => Err(format!("{other:?} readings wait")),
    })?;
    // Were the disk waited for, this would take as long as its patience, and fail.
    end(&root, server)?;
    client.rest()?;
    drop(disk);
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(Completion::Completed)
}
