//! The PidFile: who serves here. Made whole or not at all, removed by the one who made it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A pid file that we made and that goes away with us.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    pid: i32,
}

/// Who a pid file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A live process of our own program.
    Running(i32),
    /// Nobody: no file, no number in it, or the number of a process that is gone or another program.
    Nobody,
}

impl PidFile {
    /// Writes our number into the file, unless it names a live process of our program: then that one's number is the
    /// error's text.
    pub fn create(path: &Path) -> io::Result<PidFile> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        if let Holder::Running(other) = holder(path)
            && other != pid
        {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("already running as pid {other}"),
            ));
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{pid}"));
        let temporary = PathBuf::from(temporary);
        write_new(&temporary, format!("{pid}\n").as_bytes())?;
        if let Err(error) = fs::rename(&temporary, path) {
            let _best_effort = fs::remove_file(&temporary);
            return Err(error);
        }
        Ok(PidFile {
            path: path.to_owned(),
            pid,
        })
    }

    /// One that we made when we were another version of our program.
    pub fn of_ours(path: PathBuf) -> PidFile {
        PidFile {
            path,
            pid: rustix::process::getpid().as_raw_nonzero().get(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PidFile {
    /// Removes it, if it is still ours.
    fn drop(&mut self) {
        if read(&self.path) == Some(self.pid) {
            let _nothing_to_be_done = fs::remove_file(&self.path);
        }
    }
}

/// Who serves according to this file.
pub fn holder(path: &Path) -> Holder {
    match read(path) {
        Some(pid) if is_our_program(pid) => Holder::Running(pid),
        _ => Holder::Nobody,
    }
}

/// The number in the file.
fn read(path: &Path) -> Option<i32> {
    let text = fs::read_to_string(path).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0)
}

/// Is this a live process that runs our program: the same file, or one of our short name (an upgrade)?
fn is_our_program(pid: i32) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let program = |process: &Path| {
        fs::metadata(process.join("exe"))
            .ok()
            .map(|file| (file.dev(), file.ino()))
    };
    let name = |process: &Path| fs::read(process.join("comm")).ok();
    let ours = Path::new("/proc/self");
    let same = |one: Option<_>, other: Option<_>| one.is_some() && one == other;
    let is_called = name(&process).is_some_and(|called| called == b"lychgate\n" || Some(called) == name(ours));
    same(program(&process), program(ours)) || is_called
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _left_over = fs::remove_file(path);
    File::create_new(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::{Holder, PidFile, holder};

    fn place(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("lychgate-pidfile-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("there is room");
        directory.join("httpd.pid")
    }

    #[test]
    fn it_appears_whole_and_goes_with_its_maker() {
        let path = place("ours");
        assert_eq!(holder(&path), Holder::Nobody);
        let file = PidFile::create(&path).expect("nobody has it");
        let pid = i32::try_from(std::process::id()).expect("small");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), format!("{pid}\n"));
        assert_eq!(holder(&path), Holder::Running(pid));
        drop(file);
        assert!(!path.exists());
        fs::remove_dir(path.parent().expect("it has one")).expect("nothing else is left in it");
    }

    #[test]
    fn leftovers_and_other_programs_are_replaced() {
        let path = place("stale");
        for old in ["", "x", "-5", "1", "0", "999999999999", "4194304\n"] {
            fs::write(&path, old).expect("there is room");
            drop(PidFile::create(&path).unwrap_or_else(|error| panic!("{old:?}: {error}")));
        }
        let mut other = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("it is there");
        fs::write(&path, other.id().to_string()).expect("there is room");
        drop(PidFile::create(&path).expect("sleep is not our program"));
        other.kill().expect("it is ours");
        other.wait().expect("it ended");
        fs::remove_dir(path.parent().expect("it has one")).expect("nothing else is left in it");
    }

    #[test]
    fn a_file_taken_over_by_another_is_left_alone() {
        let path = place("taken");
        let file = PidFile::create(&path).expect("nobody has it");
        fs::write(&path, "12345\n").expect("there is room");
        drop(file);
        assert!(path.exists());
        fs::remove_dir_all(path.parent().expect("it has one")).expect("ours");
    }
}
