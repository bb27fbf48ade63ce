//! `lychgate doctor DIR`: says what would go wrong with each file of a directory of scripts before anyone asks for it.
//! Looks only; nothing is executed, not even an interpreter's syntax check.

use std::collections::VecDeque;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::User;

use crate::base::quote;
use crate::gateway::meta_vars::DEFAULT_PATH;
use crate::scripts::diagnosis::Diagnosis;
use crate::scripts::diagnosis::first_line::FirstLine;
use crate::scripts::diagnosis::obstacle::{Runner, closed_directory, first_line, obstacles};

#[cfg(test)]
mod tests;

/// The walk ends after so many files, and says so: a directory of scripts is small, and this is perhaps not one.
const MOST_FILES: usize = 10_000;

/// Directories deeper than this below the first are left out, and named.
const MOST_LEVELS: usize = 16;

/// Endings of copies that editors and package tools leave behind.
const COPIES: &[&str] = &[
    "~",
    ".bak",
    ".orig",
    ".old",
    ".rej",
    ".save",
    ".swp",
    ".tmp",
    ".dpkg-old",
    ".dpkg-dist",
    ".rpmsave",
    ".rpmnew",
];

/// What the doctor found, for the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every script can start.
    Healthy,
    /// Every script can start; something is unwise.
    Warnings,
    /// At least one script cannot start.
    Faults,
}

impl Verdict {
    /// 0 unless there is a fault.
    pub fn exit_code(self) -> u8 {
        u8::from(self == Self::Faults)
    }
}

/// Examines `dir`, or one file, and writes what it finds to `out`. Judged for the user who asks; root may do so much that
/// it would see no fault, so for root it is `www-data`, or `nobody` where that user is missing.
///
/// An error is that of reading `dir` or writing to `out`.
pub fn run(dir: &Path, out: &mut dyn Write) -> io::Result<Verdict> {
    let path = std::env::var_os("PATH");
    let path = path.as_ref().map_or(DEFAULT_PATH, |path| path.as_bytes());
    examine(dir, &likely_runner(path), out)
}

fn likely_runner(path: &[u8]) -> Runner {
    let runner = Runner::current(path);
    let server = || {
        ["www-data", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
    };
    match server().filter(|_| runner.uid == 0) {
        Some(user) => Runner {
            uid: user.uid.as_raw(),
            gids: vec![user.gid.as_raw()],
            path: path.to_vec(),
        },
        None => runner,
    }
}

/// [`run`] for scripts that `runner` will start.
pub fn examine(dir: &Path, runner: &Runner, out: &mut dyn Write) -> io::Result<Verdict> {
    let root = fs::canonicalize(dir)?;
    let mut ward = Ward {
        runner,
        root: &root,
        out,
        scripts: 0,
        faults: 0,
        warnings: 0,
    };
    let user = User::from_uid(runner.uid.into())
        .ok()
        .flatten()
        .map_or(format!("user {}", runner.uid), |user| user.name);
    writeln!(ward.out, "{}: as {user} would find it", printable(&root))?;
    if root.is_dir() {
        ward.directories(&root)?;
    } else {
        ward.file(&root)?;
    }
    ward.summary()
}

/// An examination under way.
struct Ward<'a> {
    runner: &'a Runner,
    root: &'a Path,
    out: &'a mut dyn Write,
    scripts: usize,
    faults: usize,
    warnings: usize,
}

impl Ward<'_> {
    /// Every directory at and below `top`, its files first. Links to directories are not followed: what lies there
    /// belongs to another place.
    fn directories(&mut self, top: &Path) -> io::Result<()> {
        let mut waiting = VecDeque::from([(top.to_path_buf(), 0)]);
        let mut seen = 0_usize;
        while let Some((directory, level)) = waiting.pop_front() {
            if level > MOST_LEVELS {
                self.warning(&directory, "it lies too deep and was left out")?;
                continue;
            }
            let Some(entries) = self.entries(&directory)? else {
                continue;
            };
            for path in entries {
                seen += 1;
                if seen > MOST_FILES {
                    return self.warning(
                        top,
                        &format!("it holds more than {MOST_FILES} files; the rest was left out"),
                    );
                }
                match fs::symlink_metadata(&path) {
                    Ok(found) if found.is_dir() => waiting.push_back((path, level + 1)),
                    Ok(_) => self.file(&path)?,
                    Err(error) => self.fault(
                        &path,
                        &Diagnosis {
                            cause: error.to_string(),
                            cure: None,
                        },
                    )?,
                }
            }
        }
        Ok(())
    }

    /// The entries of a directory in the order of their names, after what is wrong with the directory itself; `None`
    /// when no script in it can be reached or it cannot be read.
    fn entries(&mut self, directory: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        if let Some(closed) = closed_directory(&directory.join("script"), self.runner) {
            self.fault(directory, &closed.diagnosis(directory, self.runner))?;
            return Ok(None);
        }
        if fs::metadata(directory).is_ok_and(|found| found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0) {
            self.warning(
                directory,
                "others than its owner may put scripts there; `chmod go-w` it",
            )?;
        }
        match fs::read_dir(directory) {
            Ok(entries) => {
                let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
                paths.sort();
                Ok(Some(paths))
            }
            Err(error) => {
                self.warning(directory, &format!("it cannot be read: {error}"))?;
                Ok(None)
            }
        }
    }

    /// One file: its faults, or `ok`, and what is unwise about it.
    fn file(&mut self, path: &Path) -> io::Result<()> {
        let found = fs::metadata(path).ok();
        if found.as_ref().is_some_and(|found| found.is_dir()) {
            return self.warning(
                path,
                "a link to a directory, not followed; the server follows it where Options allow",
            );
        }
        if found.as_ref().is_some_and(|found| is_no_script(path, found)) {
            return self.not_for_running(path);
        }
        self.scripts += 1;
        let obstacles = obstacles(path, self.runner, None);
        let warnings = found.map(|found| self.unwise(path, &found)).unwrap_or_default();
        if obstacles.is_empty() && warnings.is_empty() {
            writeln!(self.out, "ok       {}", self.name(path))?;
        }
        for obstacle in &obstacles {
            self.fault(path, &obstacle.diagnosis(path, self.runner))?;
        }
        for warning in warnings {
            self.warning(path, warning)?;
        }
        Ok(())
    }

    /// A file that is plainly no script. Hidden ones and copies are nobody's business then.
    fn not_for_running(&mut self, path: &Path) -> io::Result<()> {
        if is_hidden(path) || is_copy(path) {
            return Ok(());
        }
        self.warning(
            path,
            "no script, and not sent as a file either: below ScriptAlias a request for it fails",
        )
    }

    fn unwise(&self, path: &Path, found: &Metadata) -> Vec<&'static str> {
        let mode = found.mode();
        let runs = mode & 0o111 != 0;
        let target = fs::canonicalize(path);
        let table = [
            (mode & 0o002 != 0, "everyone may change it; `chmod o-w` it"),
            (mode & 0o020 != 0, "its group may change it; `chmod g-w` it"),
            (
                mode & 0o4000 != 0,
                "it is set-user-id: it runs with its owner's rights, and is ignored for a `#!` script",
            ),
            (
                mode & 0o2000 != 0,
                "it is set-group-id: it runs with its group's rights, and is ignored for a `#!` script",
            ),
            (
                runs && is_copy(path),
                "a copy an editor or a package tool left behind, and it would run; remove it",
            ),
            (
                runs && is_hidden(path),
                "a hidden file, and it would run; remove it or `chmod a-x` it",
            ),
            (
                target.is_ok_and(|target| !target.starts_with(self.root)),
                "a link that leads out of this directory",
            ),
        ];
        table
            .into_iter()
            .filter_map(|(applies, words)| applies.then_some(words))
            .collect()
    }

    fn fault(&mut self, path: &Path, diagnosis: &Diagnosis) -> io::Result<()> {
        self.faults += 1;
        writeln!(self.out, "fault    {}: {}", self.name(path), diagnosis.cause)?;
        match &diagnosis.cure {
            Some(cure) => writeln!(self.out, "         cure: {cure}"),
            None => Ok(()),
        }
    }

    fn warning(&mut self, path: &Path, words: &str) -> io::Result<()> {
        self.warnings += 1;
        writeln!(self.out, "warning  {}: {words}", self.name(path))
    }

    /// The path as seen from the directory that is examined.
    fn name(&self, path: &Path) -> String {
        match path.strip_prefix(self.root) {
            Ok(below) if !below.as_os_str().is_empty() => printable(below),
            Ok(_) | Err(_) => printable(path),
        }
    }

    fn summary(self) -> io::Result<Verdict> {
        let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
        let scripts = count(self.scripts, "script");
        let (faults, warnings) = (count(self.faults, "fault"), count(self.warnings, "warning"));
        writeln!(self.out, "{scripts}: {faults}, {warnings}")?;
        Ok(match (self.faults, self.warnings) {
            (0, 0) => Verdict::Healthy,
            (0, _) => Verdict::Warnings,
            _ => Verdict::Faults,
        })
    }
}

/// Is this a text or an image that strayed here, rather than a script with a fault? Without any execute bit and without a
/// `#!`, unless its name ends as scripts do.
fn is_no_script(path: &Path, found: &Metadata) -> bool {
    let scripts = [".cgi", ".pl", ".py", ".rb", ".sh", ".lua", ".tcl", ".fcgi"];
    let name = file_name(path);
    let marked = matches!(
        first_line(path),
        Some(FirstLine::Shebang(_) | FirstLine::MarkedShebang | FirstLine::Binary)
    );
    found.is_file()
        && found.mode() & 0o111 == 0
        && (is_hidden(path) || is_copy(path) || !(marked || scripts.iter().any(|end| name.ends_with(end.as_bytes()))))
}

fn is_hidden(path: &Path) -> bool {
    file_name(path).starts_with(b".")
}

fn is_copy(path: &Path) -> bool {
    let name = file_name(path);
    COPIES.iter().any(|end| name.ends_with(end.as_bytes())) || (name.starts_with(b"#") && name.ends_with(b"#"))
}

fn file_name(path: &Path) -> &[u8] {
    path.file_name().map_or(b"", |name| name.as_bytes())
}

fn printable(path: &Path) -> String {
    let mut escaped = Vec::new();
    quote::escape_error_log(&mut escaped, path.as_os_str().as_bytes());
    String::from_utf8_lossy(&escaped).into_owned()
}
