//! What stands in a script's way before it has run one instruction: looked up on the disk, told with its cure. Used when a
//! start has failed, and by `lychgate doctor` before anyone asks.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use crate::config::directives::suexec::{Suexec, Target};
use crate::gateway::script_reply::excerpt;
use crate::process::identity::{Identity, shown_user};
use crate::scripts::diagnosis::first_line::{EnvProgram, FirstLine, Shebang};
use crate::scripts::diagnosis::{Diagnosis, shown};

/// What the kernel looks at to find `#!`.
const FIRST_BYTES: u64 = 256;

/// Who runs scripts, and where `env` looks for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// User.
    pub uid: u32,
    /// Group and supplementary groups.
    pub gids: Vec<u32>,
    /// PATH.
    pub path: Vec<u8>,
}

impl Runner {
    /// The user this process runs as, with a PATH.
    pub fn current(path: &[u8]) -> Self {
        let mut gids = vec![rustix::process::getegid().as_raw()];
        gids.extend(
            rustix::process::getgroups()
                .unwrap_or_default()
                .iter()
                .map(|gid| gid.as_raw()),
        );
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gids,
            path: path.to_vec(),
        }
    }

    /// The user whom the settings make a script run as, with a PATH: this process's own where SuexecUserGroup says nothing
    /// (or names nobody: that is told elsewhere).
    pub fn of_script(suexec: &Suexec, script: &Path, path: &[u8]) -> Self {
        let identity = match suexec.target.value() {
            None => None,
            Some(Target::Named { user, group }) => Identity::look_up(user, Some(group)).ok(),
            Some(Target::FileOwner) => {
                let owner = fs::metadata(script).ok();
                owner.and_then(|found| Identity::of_owner(found.uid(), found.gid()).ok())
            }
        };
        identity.map_or_else(
            || Self::current(path),
            |identity| Self {
                uid: identity.uid,
                gids: [&[identity.gid], identity.groups.as_slice()].concat(),
                path: path.to_vec(),
            },
        )
    }

    /// Do the mode bits give this user `bit` (4 read, 2 write, 1 execute or search)? Root needs any execute bit to run
    /// a file and nothing else.
    pub fn may(&self, bit: u32, file: &Metadata) -> bool {
        let mode = file.mode();
        if self.uid == 0 {
            return bit != 1 || file.is_dir() || mode & 0o111 != 0;
        }
        let shift = if file.uid() == self.uid {
            6
        } else if self.gids.contains(&file.gid()) {
            3
        } else {
            0
        };
        mode >> shift & bit != 0
    }
}

/// One thing in the way of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No such file.
    Missing,
    /// A symbolic link to nothing.
    DanglingLink(PathBuf),
    /// The runner may not search this directory above the script.
    ClosedDirectory {
        /// The directory.
        directory: PathBuf,
        /// Its permission bits, when they could be read.
        mode: Option<u32>,
    },
    /// A directory where a script should be.
    Directory,
    /// A device, a pipe or a socket.
    Special,
    /// No execute bit for anyone.
    NoExecuteBit,
    /// An execute bit, for others than the runner.
    NotForRunner {
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: u32,
    },
    /// The file system is mounted `noexec`.
    NoexecMount,
    /// Nothing in it.
    Empty,
    /// A byte order mark before `#!`.
    ByteOrderMark,
    /// No `#!`, and no program.
    NoShebang,
    /// The first line ends in CR LF; the interpreter it names otherwise.
    CarriageReturn(Vec<u8>),
    /// The interpreter is not there.
    NoInterpreter(Vec<u8>),
    /// The interpreter is there and cannot be run.
    ClosedInterpreter(Vec<u8>),
    /// `env` will not find this program along this PATH.
    NotOnPath {
        /// The program.
        program: Vec<u8>,
        /// The PATH.
        path: Vec<u8>,
    },
    /// `env` is given several words as one.
    EnvWords(Vec<u8>),
    /// The interpreter could be started but would not be able to read the script.
    NotReadable,
}

/// Everything in the way of `script` when `runner` starts it, the first thing to mend first; empty when it can start.
/// `seen` is its first line, for a caller that could read it where this process perhaps cannot.
pub fn obstacles(script: &Path, runner: &Runner, seen: Option<FirstLine>) -> Vec<Obstacle> {
    if let Some(closed) = closed_directory(script, runner) {
        return vec![closed];
    }
    let Ok(metadata) = fs::metadata(script) else {
        return vec![fs::read_link(script).map_or(Obstacle::Missing, Obstacle::DanglingLink)];
    };
    if metadata.is_dir() {
        return vec![Obstacle::Directory];
    }
    if !metadata.is_file() {
        return vec![Obstacle::Special];
    }
    let mut found = Vec::new();
    if metadata.mode() & 0o111 == 0 {
        found.push(Obstacle::NoExecuteBit);
    } else if !runner.may(1, &metadata) {
        found.push(Obstacle::NotForRunner {
            mode: metadata.mode() & 0o7777,
            owner: metadata.uid(),
        });
    }
    if is_noexec(script) {
        found.push(Obstacle::NoexecMount);
    }
    let readable = runner.may(4, &metadata);
    match seen.or_else(|| first_line(script)) {
        Some(FirstLine::Empty) => found.push(Obstacle::Empty),
        Some(FirstLine::MarkedShebang) => found.push(Obstacle::ByteOrderMark),
        Some(FirstLine::Text) => found.push(Obstacle::NoShebang),
        Some(FirstLine::Shebang(shebang)) => {
            found.extend(interpreter_obstacle(&shebang, runner));
            if !readable {
                found.push(Obstacle::NotReadable);
            }
        }
        Some(FirstLine::Binary) | None => {}
    }
    found
}

/// The first directory above `script` that `runner` cannot pass, also on the far side of symbolic links.
pub fn closed_directory(script: &Path, runner: &Runner) -> Option<Obstacle> {
    let real = fs::canonicalize(script).ok();
    let paths = [Some(script), real.as_deref().filter(|real| *real != script)];
    paths.into_iter().flatten().find_map(|path| {
        let mut above: Vec<_> = path
            .ancestors()
            .skip(1)
            .filter(|dir| !dir.as_os_str().is_empty())
            .collect();
        above.reverse();
        above.into_iter().find_map(|directory| closed(directory, runner))
    })
}

fn closed(directory: &Path, runner: &Runner) -> Option<Obstacle> {
    let directory_buf = || directory.to_path_buf();
    match fs::metadata(directory) {
        Ok(found) if runner.may(1, &found) => None,
        Ok(found) => Some(Obstacle::ClosedDirectory {
            directory: directory_buf(),
            mode: Some(found.mode() & 0o7777),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let above = directory.parent().map_or_else(directory_buf, Path::to_path_buf);
            Some(Obstacle::ClosedDirectory {
                directory: above,
                mode: None,
            })
        }
        Err(_) => None,
    }
}

fn is_noexec(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

/// What a file begins with. `None` when we may not read it; then the runner's failure has another reason or the file is a program.
pub fn first_line(script: &Path) -> Option<FirstLine> {
    let mut start = Vec::new();
    File::open(script)
        .ok()?
        .take(FIRST_BYTES)
        .read_to_end(&mut start)
        .ok()?;
    Some(FirstLine::of(&start))
}

fn interpreter_obstacle(shebang: &Shebang, runner: &Runner) -> Option<Obstacle> {
    let name = &shebang.interpreter;
    let interpreter = Path::new(std::ffi::OsStr::from_bytes(name));
    if shebang.is_spoilt_by_line_end() {
        return Some(Obstacle::CarriageReturn(name.clone()));
    }
    let Ok(metadata) = fs::metadata(interpreter) else {
        return Some(Obstacle::NoInterpreter(name.clone()));
    };
    if !metadata.is_file() || !runner.may(1, &metadata) || closed_directory(interpreter, runner).is_some() {
        return Some(Obstacle::ClosedInterpreter(name.clone()));
    }
    match shebang.env_program() {
        EnvProgram::NoEnv => None,
        EnvProgram::ManyWords(words) => Some(Obstacle::EnvWords(words)),
        EnvProgram::Named(program) if is_on_path(&program, runner) => None,
        EnvProgram::Named(program) => Some(Obstacle::NotOnPath {
            program,
            path: runner.path.clone(),
        }),
    }
}

fn is_on_path(program: &[u8], runner: &Runner) -> bool {
    let runs = |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_file() && runner.may(1, &found));
    let name = std::ffi::OsStr::from_bytes(program);
    if program.contains(&b'/') {
        return runs(Path::new(name));
    }
    let mut directories = runner.path.split(|byte| *byte == b':');
    directories.any(|directory| runs(&Path::new(std::ffi::OsStr::from_bytes(directory)).join(name)))
}

impl Obstacle {
    /// The obstacle in words, with its cure.
    pub fn diagnosis(&self, script: &Path, runner: &Runner) -> Diagnosis {
        Diagnosis {
            cause: self.cause(&shown_user(runner.uid)),
            cure: self.cure(&shown(script)),
        }
    }

    fn cause(&self, user: &str) -> String {
        match self {
            Self::Missing => "the script is not there".into(),
            Self::DanglingLink(target) => {
                format!("the script is a symbolic link to {}, which is not there", shown(target))
            }
            Self::ClosedDirectory { directory, mode } => {
                let mode = mode.map_or(String::new(), |mode| format!(" (mode {mode:04o})"));
                format!("{user} may not search the directory {}{mode}", shown(directory))
            }
            Self::Directory => "the script is a directory".into(),
            Self::Special => "the script is a device, a pipe or a socket, not a file".into(),
            Self::NoExecuteBit => "the script has no execute permission".into(),
            Self::NotForRunner { mode, owner } => {
                format!(
                    "{user} may not execute the script (mode {mode:04o}, owner {})",
                    shown_user(*owner)
                )
            }
            Self::NoexecMount => "the script is on a file system mounted noexec".into(),
            Self::Empty => "the script is an empty file".into(),
            Self::ByteOrderMark => "the script begins with a byte order mark, which hides its `#!`".into(),
            Self::NoShebang => "the script has no `#!` line and is no program".into(),
            Self::CarriageReturn(interpreter) => {
                let interpreter = excerpt(interpreter);
                format!("line 1 ends in CR LF, so its last word is not what it seems: `#!{interpreter}\\r`")
            }
            Self::NoInterpreter(name) => format!("the interpreter `{}` of line 1 is not there", excerpt(name)),
            Self::ClosedInterpreter(name) => {
                format!("{user} may not execute the interpreter `{}` of line 1", excerpt(name))
            }
            Self::NotOnPath { program, path } => {
                format!("`env` does not find `{}` in PATH `{}`", excerpt(program), excerpt(path))
            }
            Self::EnvWords(words) => format!("`env` takes `{}` for the name of one program", excerpt(words)),
            Self::NotReadable => format!("{user} may not read the script, and its interpreter must"),
        }
    }

    fn cure(&self, file: &str) -> Option<String> {
        Some(match self {
            Self::Missing | Self::DanglingLink(_) | Self::Directory | Self::Special | Self::Empty => return None,
            Self::ClosedDirectory { directory, .. } => format!("`chmod a+x {}`", shown(directory)),
            Self::NoExecuteBit | Self::NotForRunner { .. } | Self::NotReadable => format!("`chmod a+rx {file}`"),
            Self::NoexecMount => "move it, or mount that file system with exec".into(),
            Self::ByteOrderMark => format!("`sed -i '1s/^\\xef\\xbb\\xbf//' {file}`"),
            Self::NoShebang => "let its first line name its interpreter, as `#!/usr/bin/perl` or `#!/bin/sh`".into(),
            Self::CarriageReturn(_) => format!("`sed -i 's/\\r$//' {file}`"),
            Self::NoInterpreter(_) => "install it, or name the one you have".into(),
            Self::ClosedInterpreter(_) => "name an interpreter that is a program everyone may run".into(),
            Self::NotOnPath { .. } => {
                "install it, name it with its directory in line 1, or set PATH with SetEnv".into()
            }
            Self::EnvWords(words) => format!("let line 1 be `#!/usr/bin/env -S {}`", excerpt(words)),
        })
    }
}
