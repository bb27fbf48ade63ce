//! The logs of one reading of the settings: files opened for appending, and pipes to programs.
//!
//! Whoever rotates logs renames a file and perhaps makes a new one in its place. The launcher looks at the names once a
//! second, opens what is there now, and hands it to the roles: no signal is needed, and no line is lost, since the old
//! file is written until then.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{OFlags, Stat, fstat, stat};
use rustix::io::Errno;

use super::plan::{LogProgram, LogTarget};
use super::programs::Programs;
use super::system_log;
use crate::base::syslog::Header;
use crate::process::say::{Weight, say};

/// The logs of one generation, open.
#[derive(Clone, Debug)]
pub(super) struct OpenLogs {
    /// In the order of the plan.
    logs: Vec<OpenLog>,
    /// Which of them is the main error log.
    error: Option<usize>,
}

#[derive(Clone, Debug)]
struct OpenLog {
    target: LogTarget,
    fd: Rc<OwnedFd>,
    /// Which file it is; none for what is no file, and for one that could not be opened.
    file: Option<FileId>,
    sight: Sight,
}

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

/// What the last look at a log's name showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// Nothing remarkable.
    Usual,
    /// Nothing of this name. Whoever moved the file may be about to make the next, with owner and mode to its taste, so it is made
    /// by us only if it is missing at the next look too.
    Missing,
    /// What is there cannot be opened, which was told.
    Unusable,
}

impl OpenLogs {
    /// Opens all logs of a plan; programs that run already are kept. The error is for people.
    pub(super) fn open(
        targets: &[LogTarget],
        error: Option<usize>,
        programs: &mut Programs,
    ) -> Result<OpenLogs, String> {
        let logs: Result<Vec<OpenLog>, String> = targets.iter().map(|target| OpenLog::open(target, programs)).collect();
        Ok(OpenLogs { logs: logs?, error })
    }

    pub(super) fn descriptors(&self) -> impl ExactSizeIterator<Item = &Rc<OwnedFd>> {
        self.logs.iter().map(|log| &log.fd)
    }

    /// The main error log.
    pub(super) fn error(&self) -> Option<&Rc<OwnedFd>> {
        self.error.and_then(|number| self.logs.get(number)).map(|log| &log.fd)
    }

    /// What stands before the lines of the main error log, where that is the system's log.
    pub(super) fn system_log(&self) -> Option<Header> {
        match &self.error.and_then(|number| self.logs.get(number))?.target {
            LogTarget::System(system) => Some(system.header.clone()),
            _ => None,
        }
    }

    /// What they were opened from.
    pub(super) fn targets(&self) -> impl ExactSizeIterator<Item = &LogTarget> {
        self.logs.iter().map(|log| &log.target)
    }

    /// The number of the main error log.
    pub(super) fn error_number(&self) -> Option<usize> {
        self.error
    }

    /// Whether this is the number of the main error log.
    pub(super) fn is_error(&self, number: usize) -> bool {
        self.error == Some(number)
    }

    /// The programs behind some of them.
    pub(super) fn programs(&self) -> impl Iterator<Item = &LogProgram> {
        self.logs.iter().filter_map(|log| match &log.target {
            LogTarget::Program(program) => Some(program),
            LogTarget::File(_) | LogTarget::Optional(_) | LogTarget::Stderr | LogTarget::System(_) => None,
        })
    }

    /// Looks at every file's name, and opens what is another file now; the numbers of those, in order.
    pub(super) fn look(&mut self) -> Vec<usize> {
        let looked = self.logs.iter_mut().map(OpenLog::look).enumerate();
        looked.filter(|(_, is_new)| *is_new).map(|(number, _)| number).collect()
    }

    /// Opens what is by every file's name now, and makes what is missing; the numbers of those that are others than before, in
    /// order, and what could not be opened, whose old file is written on.
    pub(super) fn reopen(&mut self) -> (Vec<usize>, Vec<String>) {
        let (mut numbers, mut problems) = (Vec::new(), Vec::new());
        for (number, log) in self.logs.iter_mut().enumerate() {
            match log.reopen() {
                Ok(true) => numbers.push(number),
                Ok(false) => {}
                Err(error) => problems.push(error),
            }
        }
        (numbers, problems)
    }
}

impl OpenLog {
    fn open(target: &LogTarget, programs: &mut Programs) -> Result<OpenLog, String> {
        let mut log = OpenLog {
            target: target.clone(),
            fd: Rc::clone(programs.null()),
            file: None,
            sight: Sight::Usual,
        };
        match target {
            LogTarget::File(path) => log.take(open_file(path)?),
            LogTarget::Optional(path) => match open_file(path) {
                Ok(opened) => log.take(opened),
                Err(error) => {
                    say("launcher", Weight::Error, &error);
                    log.sight = Sight::Unusable;
                }
            },
            LogTarget::Stderr => log.fd = Rc::clone(programs.stderr()),
            LogTarget::Program(program) => log.fd = programs.pipe_to(program)?,
            LogTarget::System(system) => {
                let socket = system_log::socket()
                    .map_err(|error| format!("cannot make a socket for the system's log: {error}"))?;
                log.fd = Rc::new(socket);
                log.reach(&system.socket);
            }
        }
        Ok(log)
    }

    /// Connects to the system's log, which may be another one now. Where it is not there, that is told once; lines wait.
    fn reach(&mut self, socket: &Path) {
        match system_log::reach(self.fd.as_fd(), socket) {
            Ok(()) => self.sight = Sight::Usual,
            Err(error) => {
                if self.sight != Sight::Unusable {
                    let told = format!("cannot reach the system's log at `{}`: {error}", socket.display());
                    say("launcher", Weight::Error, &told);
                }
                self.sight = Sight::Unusable;
            }
        }
    }

    fn take(&mut self, (fd, file): (OwnedFd, FileId)) {
        (self.fd, self.file, self.sight) = (Rc::new(fd), Some(file), Sight::Usual);
    }

    /// Opens what is by its name; true when that is another file.
    fn reopen(&mut self) -> Result<bool, String> {
        let (LogTarget::File(path) | LogTarget::Optional(path)) = &self.target else {
            return Ok(false);
        };
        let opened = open_file(path)?;
        let is_new = Some(opened.1) != self.file;
        if is_new {
            self.take(opened);
        }
        Ok(is_new)
    }

    /// Looks at its name; true when another file was opened.
    fn look(&mut self) -> bool {
        if let LogTarget::System(system) = &self.target {
            let socket = system.socket.clone();
            self.reach(&socket);
            return false;
        }
        let (LogTarget::File(path) | LogTarget::Optional(path)) = &self.target else {
            return false;
        };
        match stat(path).map(|stat| FileId::of(&stat)) {
            Ok(there) if Some(there) == self.file => {
                self.sight = Sight::Usual;
                return false;
            }
            Err(Errno::NOENT | Errno::NOTDIR) if self.sight == Sight::Usual => {
                self.sight = Sight::Missing;
                return false;
            }
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
            // Nothing is known of it, so nothing is done.
            Err(_) => return false,
        }
        match open_file(path) {
            Ok(opened) => {
                self.take(opened);
                true
            }
            Err(error) => {
                if self.sight != Sight::Unusable {
                    say("launcher", Weight::Error, &format!("{error}; the old file is written"));
                }
                self.sight = Sight::Unusable;
                false
            }
        }
    }
}

impl FileId {
    fn of(stat: &Stat) -> FileId {
        FileId {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

/// Opens or creates a log. A FIFO without a reader is an error: its reader may be long in coming, or never come.
fn open_file(path: &Path) -> Result<(OwnedFd, FileId), String> {
    let told = |error: io::Error| {
        let why = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NXIO) => "nobody reads this FIFO".to_owned(),
            _ => error.to_string(),
        };
        format!(
            "cannot open the log `{}`: {why}",
            path.as_os_str().as_bytes().escape_ascii()
        )
    };
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = File::options()
        .append(true)
        .create(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let fd = OwnedFd::from(opened.map_err(told)?);
    let stat = fstat(&fd).map_err(|error| told(error.into()))?;
    Ok((fd, FileId::of(&stat)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::PathBuf;
    use std::rc::Rc;
    use std::time::Instant;

    use super::{OpenLogs, Sight};
    use crate::launcher::plan::LogTarget;
    use crate::launcher::programs::Programs;
    use crate::process::environment::Environment;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let place = std::env::temp_dir().join(format!("lychgate-logs-{}-{name}", std::process::id()));
            fs::create_dir_all(&place).expect("a directory of our own");
            Place(place)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).expect("it is there")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _left_for_the_system = fs::remove_dir_all(&self.0);
        }
    }

    fn write(logs: &OpenLogs, number: usize, text: &str) {
        let fd = logs.descriptors().nth(number).expect("it is there");
        let mut file = fs::File::from(fd.try_clone().expect("it is open"));
        file.write_all(text.as_bytes()).expect("there is room");
    }

    fn programs() -> Programs {
        let null = fs::File::options().write(true).open("/dev/null").expect("it is there");
        let null = Rc::new(null.into());
        Programs::new(Rc::clone(&null), null, Environment::default())
    }

    #[test]
    fn a_file_that_took_the_place_of_another_is_opened() {
        let place = Place::new("replaced");
        let targets = ["a", "b", "c"].map(|name| LogTarget::File(place.0.join(name)));
        let mut logs = OpenLogs::open(&targets, Some(0), &mut programs()).expect("opened");
        assert_eq!(logs.look(), []);
        write(&logs, 1, "one\n");
        fs::rename(place.0.join("b"), place.0.join("b.1")).expect("ours");
        fs::write(place.0.join("b"), "made by another\n").expect("ours");
        write(&logs, 1, "two\n");
        assert_eq!(logs.look(), [1]);
        assert_eq!(logs.look(), []);
        write(&logs, 1, "three\n");
        assert_eq!(place.read("b.1"), "one\ntwo\n");
        assert_eq!(place.read("b"), "made by another\nthree\n");
    }

    #[test]
    fn a_file_that_is_missing_is_made_at_the_second_look() {
        let place = Place::new("missing");
        let targets = [LogTarget::File(place.0.join("a"))];
        let mut logs = OpenLogs::open(&targets, Some(0), &mut programs()).expect("opened");
        fs::rename(place.0.join("a"), place.0.join("a.1")).expect("ours");
        assert_eq!(logs.look(), []);
        assert!(!place.0.join("a").exists());
        assert_eq!(logs.look(), [0]);
        assert_eq!(place.read("a"), "");
    }

    /// logrotate's copytruncate: the same file, empty again; what is appended begins at its start.
    #[test]
    fn a_file_that_is_cut_to_nothing_is_the_same() {
        let place = Place::new("cut");
        let targets = [LogTarget::File(place.0.join("a"))];
        let mut logs = OpenLogs::open(&targets, None, &mut programs()).expect("opened");
        write(&logs, 0, "one\n");
        fs::write(place.0.join("a"), "").expect("ours");
        assert_eq!(logs.look(), []);
        write(&logs, 0, "two\n");
        assert_eq!(place.read("a"), "two\n");
    }

    #[test]
    fn what_cannot_be_opened_leaves_the_old_file_until_it_can() {
        let place = Place::new("unusable");
        let targets = [LogTarget::File(place.0.join("a"))];
        let mut logs = OpenLogs::open(&targets, None, &mut programs()).expect("opened");
        fs::rename(place.0.join("a"), place.0.join("a.1")).expect("ours");
        fs::create_dir(place.0.join("a")).expect("ours");
        assert_eq!(logs.look(), []);
        assert_eq!(logs.logs.first().map(|log| log.sight), Some(Sight::Unusable));
        write(&logs, 0, "one\n");
        assert_eq!(place.read("a.1"), "one\n");
        fs::remove_dir(place.0.join("a")).expect("ours");
        assert_eq!(logs.look(), [0]);
        assert_eq!(place.read("a"), "");
    }

    #[test]
    fn what_can_be_done_without_is_opened_when_it_can_be() {
        let place = Place::new("optional");
        let path = place.0.join("later/scripts");
        let mut logs = OpenLogs::open(&[LogTarget::Optional(path.clone())], None, &mut programs()).expect("opened");
        write(&logs, 0, "nowhere\n");
        assert_eq!(logs.look(), []);
        fs::create_dir(place.0.join("later")).expect("ours");
        assert_eq!(logs.look(), [0]);
        assert!(path.exists());
        OpenLogs::open(&[LogTarget::File(place.0.join("no/log"))], None, &mut programs()).expect_err("it is needed");
    }

    #[test]
    fn at_a_word_what_is_missing_is_made_at_once() {
        let place = Place::new("reopened");
        let targets = ["a", "b"].map(|name| LogTarget::File(place.0.join(name)));
        let mut logs = OpenLogs::open(&targets, Some(0), &mut programs()).expect("opened");
        assert_eq!(logs.reopen(), (vec![], vec![]));
        fs::rename(place.0.join("b"), place.0.join("b.1")).expect("ours");
        assert_eq!(logs.reopen(), (vec![1], vec![]));
        write(&logs, 1, "one\n");
        assert_eq!(place.read("b"), "one\n");
        fs::rename(place.0.join("a"), place.0.join("a.1")).expect("ours");
        fs::create_dir(place.0.join("a")).expect("ours");
        let told = format!(
            "cannot open the log `{}`: Is a directory (os error 21)",
            place.0.join("a").display()
        );
        assert_eq!(logs.reopen(), (vec![], vec![told]));
        write(&logs, 0, "two\n");
        assert_eq!(place.read("a.1"), "two\n");
    }

    #[test]
    fn a_fifo_that_nobody_reads_is_refused_at_once() {
        let place = Place::new("fifo");
        let path = place.0.join("f");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("made");
        let error = OpenLogs::open(&[LogTarget::File(path.clone())], None, &mut programs()).expect_err("refused");
        assert_eq!(
            error,
            format!("cannot open the log `{}`: nobody reads this FIFO", path.display())
        );
    }

    /// A hundred sites with two logs each: what a look costs, for the record.
    #[test]
    fn a_look_at_two_hundred_files_is_cheap() {
        let place = Place::new("many");
        let targets: Vec<LogTarget> = (0..200).map(|n| LogTarget::File(place.0.join(n.to_string()))).collect();
        let mut logs = OpenLogs::open(&targets, Some(0), &mut programs()).expect("opened");
        let start = Instant::now();
        assert_eq!(logs.look(), []);
        println!("a look at 200 log files: {:?}", start.elapsed());
    }
}
