//! Another version of our program at the place where ours was: it is tried before it takes over.
//!
//! A reload looks whether the file that we were started from is still the same. If it is another, that one is asked to
//! check the settings (`-t`) and whether it can go on where we are. If it says so, we execute it in this process.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::process::Signal;

use super::{Change, Launcher, whole_environment};
use crate::process::child::{Child, ChildSpec, Directory, Program, Session, spawn};
use crate::process::pidfd::Ended;
use crate::process::say::{Weight, say};

/// How our program was started.
#[derive(Debug)]
pub struct CommandLine {
    /// Its arguments, from its name on.
    pub words: Vec<CString>,
    /// Where it was started.
    pub directory: Rc<OwnedFd>,
    /// The arguments by which it checks its settings and says whether it can take over; its answer is
    /// [`CommandLine::ANSWER`], on its standard output.
    pub check: fn(&[CString]) -> Vec<CString>,
    /// Those by which it takes over from the table behind this descriptor.
    pub take_over: fn(&[CString], i32) -> Vec<CString>,
}

/// The file that our program is from.
#[derive(Debug)]
pub(super) struct ProgramFile {
    path: PathBuf,
    running: Mark,
}

/// What tells a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

/// Another version that is being tried.
#[derive(Debug)]
pub(super) struct Trial {
    program: Rc<OwnedFd>,
    child: Child,
    output: File,
    complaints: File,
    until: Instant,
    change: Change,
}

impl CommandLine {
    /// What a program says that can take over.
    pub const ANSWER: &'static str = "can take over";

    /// As this process was started. Call it before it goes elsewhere.
    pub fn of_this_process(
        check: fn(&[CString]) -> Vec<CString>,
        take_over: fn(&[CString], i32) -> Vec<CString>,
    ) -> io::Result<CommandLine> {
        let words = std::env::args_os().map(|word| CString::new(word.into_vec()));
        let directory = rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(CommandLine {
            words: words.collect::<Result<_, _>>().map_err(io::Error::other)?,
            directory: Rc::new(directory),
            check,
            take_over,
        })
    }
}

impl ProgramFile {
    /// The file by whose name we were called, if that is what runs: it may be a link that an upgrade changes. Else the one
    /// that the kernel names.
    pub(super) fn of(command: &CommandLine, program: &OwnedFd) -> io::Result<ProgramFile> {
        let running = Mark::of(&File::from(program.try_clone()?).metadata()?);
        let called = command
            .words
            .first()
            .map(|word| Path::new(OsStr::from_bytes(word.as_bytes())));
        let found = called.and_then(|name| called_path(name, &command.directory));
        let path = match found {
            Some(path) if fs::metadata(&path).is_ok_and(|file| Mark::of(&file) == running) => path,
            _ => fs::read_link("/proc/self/exe")?,
        };
        Ok(ProgramFile { path, running })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The same place, for a program that took over there.
    pub(super) fn at(mut self, path: PathBuf) -> ProgramFile {
        self.path = path;
        self
    }

    /// The program that is there now, if it is another one.
    fn other(&self) -> io::Result<Option<File>> {
        let file = File::open(&self.path)?;
        Ok((Mark::of(&file.metadata()?) != self.running).then_some(file))
    }
}

/// The absolute path of a program that was called by this name.
fn called_path(name: &Path, directory: &OwnedFd) -> Option<PathBuf> {
    if name.is_absolute() {
        return Some(name.to_owned());
    }
    if name.components().count() == 1 && !name.as_os_str().as_bytes().contains(&b'/') {
        let search = std::env::var_os("PATH")?;
        return std::env::split_paths(&search)
            .map(|place| place.join(name))
            .find(|path| path.is_absolute() && path.is_file());
    }
    let here = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(directory))).ok()?;
    Some(here.join(name))
}

impl Mark {
    fn of(file: &fs::Metadata) -> Mark {
        Mark {
            device: file.dev(),
            inode: file.ino(),
            modified: (file.mtime(), file.mtime_nsec()),
        }
    }
}

impl Trial {
    /// When its time is over.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Its process.
    pub(super) fn pid(&self) -> i32 {
        self.child.pid
    }
}

/// How long a program may take to check its settings.
const TRIAL_LIMIT: Duration = Duration::from_secs(20);

impl Launcher<'_> {
    /// If another program is at our place, begins to try it. False: there is none, and what was asked for is ours to do.
    pub(super) fn try_other_program(&mut self, change: Change) -> bool {
        let Some(file) = &self.program_file else { return false };
        let shown = file.path.display().to_string();
        match file.other() {
            Ok(None) => return false,
            Ok(Some(program)) => {
                say(
                    "launcher",
                    Weight::Notice,
                    &format!("{shown} is another program now: it is tried"),
                );
                match self.start_trial(program, change) {
                    Ok(trial) => self.trial = Some(trial),
                    Err(error) => self.refuse(&format!("{shown}: {error}")),
                }
            }
            Err(error) => {
                let told = format!("{shown}: {error}: the program that runs goes on");
                say("launcher", Weight::Warning, &told);
                return false;
            }
        }
        true
    }

    fn start_trial(&self, program: File, change: Change) -> Result<Trial, String> {
        let command = self.launch.command.as_ref().ok_or("no command line")?;
        let memory = || rustix::fs::memfd_create("lychgate trial", MemfdFlags::CLOEXEC).map(File::from);
        let (output, complaints) = memory()
            .and_then(|output| Ok((output, memory()?)))
            .map_err(|error| error.to_string())?;
        let program = Rc::new(OwnedFd::from(program));
        let descriptors = vec![self.stock.null.as_fd(), output.as_fd(), complaints.as_fd()];
        let argv = (command.check)(&command.words);
        let mut spec = ChildSpec::new(Program::Descriptor(program.as_fd()), argv, descriptors);
        spec.env = whole_environment(|name| !crate::process::notify::VARIABLES.contains(&name));
        spec.session = Session::Own;
        spec.directory = Directory::Descriptor(command.directory.as_fd());
        spec.parent_death = Some(Signal::KILL);
        let child = spawn(&spec).map_err(|error| match error.errno {
            // Its interpreter could not open it by our descriptor.
            libc::ENOENT => "a script cannot take our place; put the program itself there".to_owned(),
            _ => error.to_string(),
        })?;
        drop(spec);
        Ok(Trial {
            program,
            child,
            output,
            complaints,
            until: Instant::now() + TRIAL_LIMIT,
            change,
        })
    }

    /// Was this the program that was tried? Then it takes over, or all stays as it is.
    pub(super) fn notice_trial_end(&mut self, pid: i32, ended: &Ended) -> bool {
        let Some(trial) = self.trial.take_if(|trial| trial.child.pid == pid) else {
            return false;
        };
        if self.ending != super::Ending::No {
            return true;
        }
        // Whoever asked meanwhile is answered by this one too.
        let change = match self.wanted {
            Some(Change::Abrupt) => Change::Abrupt,
            _ => trial.change,
        };
        let failed = trial
            .verdict(ended)
            .err()
            .or_else(|| Some(self.hand_over(&trial.program, change)));
        if let Some(error) = failed {
            let shown = self.program_file.as_ref().map(|file| file.path.display().to_string());
            self.refuse(&format!(
                "{error}\n{} does not take over: the program that runs goes on",
                shown.unwrap_or_default()
            ));
        }
        true
    }

    /// One that takes too long is done away with.
    pub(super) fn pass_trial_time(&mut self, now: Instant) {
        if let Some(trial) = &mut self.trial
            && trial.until <= now
        {
            trial.until = now + TRIAL_LIMIT;
            say(
                "launcher",
                Weight::Error,
                "the program that is tried takes too long: it is killed",
            );
            self.kill_trial();
        }
    }

    /// Nothing shall take over any more.
    pub(super) fn give_up_trial(&mut self) {
        self.kill_trial();
    }

    fn kill_trial(&self) {
        if let Some(Err(error)) = self.trial.as_ref().map(|trial| trial.child.pidfd.signal(Signal::KILL)) {
            say(
                "launcher",
                Weight::Error,
                &format!("cannot kill the program that is tried: {error}"),
            );
        }
    }
}

impl Trial {
    /// Whether it may take over; else why not.
    fn verdict(&self, ended: &Ended) -> Result<(), String> {
        let complaints = read(&self.complaints);
        if !ended.exit.is_success() {
            return Err(format!("{complaints}it ended with {}", ended.exit));
        }
        if read(&self.output).lines().any(|line| line == CommandLine::ANSWER) {
            Ok(())
        } else {
            Err(format!("{complaints}it does not say that it can"))
        }
    }
}

fn read(mut file: &File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read was not said.
    let _unread = file.rewind().and_then(|()| file.take(LONGEST).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The most that is read of what a program says.
const LONGEST: u64 = 64 * 1024;
