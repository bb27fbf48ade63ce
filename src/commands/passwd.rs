//! `lychgate passwd`: what htpasswd does, with its options, its exit codes and its files.

mod options;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::auth::hash::Hash;
use crate::commands::passwd::options::{Deed, Request, Source};

/// How it ended; the numbers are htpasswd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// All is well.
    Done = 0,
    /// A file cannot be read or written.
    File = 1,
    /// The command line is wrong.
    Syntax = 2,
    /// Passwords differ, or one could not be hashed.
    Mismatch = 3,
    /// Something is too long.
    TooLong = 5,
    /// The user's name cannot stand in a file, or is not there.
    BadUser = 6,
    /// The file is no file of passwords.
    NotPasswords = 7,
}

/// An end before the deed was done: what to say, and the code.
type Failure = (Code, String);

const USAGE: &str = "usage: lychgate passwd [-cimB25sDv] [-C cost] [-r rounds] FILE USER
       lychgate passwd -b[cmB25sDv] [-C cost] [-r rounds] FILE USER PASSWORD
       lychgate passwd -n[imB25s] [-C cost] [-r rounds] USER
       lychgate passwd -nb[mB25s] [-C cost] [-r rounds] USER PASSWORD
 -c  make a new file            -n  print the line, and change no file
 -b  take the password from the command line, where others can see it
 -i  read the password from standard input, once
 -v  check the password         -D  take the user out
 -B  hash with bcrypt (default) -C  bcrypt's cost: 4 to 17 (10)
 -5  with SHA-512   -2  with SHA-256   -r  their rounds: 1000 to 10000000 (5000)
 -m  with MD5 ($apr1$)          -s  with SHA-1, which is weak";

/// Does what the words ask for, and says so; the exit code comes back.
pub fn run(words: &[OsString]) -> u8 {
    match perform(words) {
        Ok(said) => {
            say(&said);
            Code::Done as u8
        }
        Err((code, message)) => {
            say(&message);
            code as u8
        }
    }
}

/// There is nowhere left to say that something cannot be said.
fn say(text: &str) {
    if !text.is_empty() {
        let _unsayable = writeln!(io::stderr(), "{text}");
    }
}

fn perform(words: &[OsString]) -> Result<String, Failure> {
    let request = options::parse(words)?;
    let shown = String::from_utf8_lossy(&request.user).into_owned();
    let Some(path) = &request.file else {
        let line = line(&request, &new_password(&request)?)?;
        let mut out = io::stdout();
        let written = out.write_all(&line).and_then(|()| out.write_all(b"\n\n"));
        written.map_err(|error| (Code::File, format!("lychgate passwd: {error}")))?;
        return Ok(String::new());
    };
    let text = read(path, request.deed)?;
    let found = lines(&text).position(|line| user_of(line) == Some(&request.user));
    match (request.deed, found) {
        (Deed::Verify, None) => Err((Code::BadUser, format!("User {shown} not found"))),
        (Deed::Verify, Some(at)) => verify(&request, lines(&text).nth(at).unwrap_or_default(), &shown),
        (Deed::Delete, None) => Ok(format!("User {shown} not found")),
        (Deed::Delete, Some(at)) => {
            write(path, &changed(&text, Some(at), None))?;
            Ok(format!("Deleting password for user {shown}"))
        }
        (Deed::Create | Deed::Update | Deed::Print, found) => {
            let line = line(&request, &new_password(&request)?)?;
            write(path, &changed(&text, found, Some(&line)))?;
            let what = if found.is_some() { "Updating" } else { "Adding" };
            Ok(format!("{what} password for user {shown}"))
        }
    }
}

fn read(path: &Path, deed: Deed) -> Result<Vec<u8>, Failure> {
    if deed == Deed::Create {
        return Ok(Vec::new());
    }
    let shown = path.display();
    let text = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => (
            Code::File,
            format!("lychgate passwd: cannot modify file {shown}; use '-c' to create it"),
        ),
        _ => (
            Code::File,
            format!("lychgate passwd: cannot open file {shown}: {error}"),
        ),
    })?;
    let is_said = |line: &&[u8]| !line.trim_ascii().is_empty() && line.trim_ascii().first() != Some(&b'#');
    if lines(&text).filter(is_said).any(|line| user_of(line).is_none()) {
        let message = format!("lychgate passwd: The file {shown} does not appear to be a valid htpasswd file.");
        return Err((Code::NotPasswords, message));
    }
    Ok(text)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

fn user_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    let colon = line.iter().position(|byte| *byte == b':')?;
    line.get(..colon).filter(|_| line.first() != Some(&b'#'))
}

/// The text with the line `at` replaced or taken out, or with a line more.
fn changed(text: &[u8], at: Option<usize>, line: Option<&[u8]>) -> Vec<u8> {
    let mut all: Vec<&[u8]> = lines(text).collect();
    if all.last().is_some_and(|last| last.is_empty()) {
        all.pop();
    }
    match (at, line) {
        (Some(at), Some(line)) => all[at] = line,
        (Some(at), None) => drop(all.remove(at)),
        (None, Some(line)) => all.push(line),
        (None, None) => {}
    }
    let mut text = all.join(&b'\n');
    if !text.is_empty() {
        text.push(b'\n');
    }
    text
}

/// The name and the hash of a new password.
fn line(request: &Request, password: &[u8]) -> Result<Vec<u8>, Failure> {
    let failed = |why: &str| {
        (
            Code::Mismatch,
            format!("lychgate passwd: the password cannot be hashed: {why}"),
        )
    };
    let mut random = [0; 16];
    match rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()) {
        Ok(16) => {}
        Ok(_) => return Err(failed("there are too few random numbers")),
        Err(error) => return Err(failed(&error.to_string())),
    }
    let hash = Hash::make(request.method, password, random).ok_or_else(|| failed("its parameters are out of range"))?;
    Ok([request.user.as_slice(), b":", &hash].concat())
}

fn verify(request: &Request, line: &[u8], shown: &str) -> Result<String, Failure> {
    let password = match request.source {
        Source::Given(ref password) => password.clone(),
        Source::Input => from_input()?,
        Source::Asked => asked("Enter password: ")?,
    };
    let stored = line.trim_ascii().get(request.user.len() + 1..).unwrap_or_default();
    let stored = stored.split(|byte| *byte == b':').next().unwrap_or_default();
    match Hash::parse(stored) {
        Ok(hash) if hash.is_of(&password) => Ok(format!("Password for user {shown} correct.")),
        Ok(_) => Err((Code::Mismatch, "password verification failed".to_owned())),
        Err(unusable) => Err((
            Code::Mismatch,
            format!("password verification failed: {}", unusable.reason()),
        )),
    }
}

fn new_password(request: &Request) -> Result<Vec<u8>, Failure> {
    let password = match &request.source {
        Source::Given(password) => password.clone(),
        Source::Input => from_input()?,
        Source::Asked => {
            let once = asked("New password: ")?;
            if asked("Re-type new password: ")? != once {
                return Err((Code::Mismatch, "password verification error".to_owned()));
            }
            once
        }
    };
    options::fits(&password, "password", options::LONGEST_PASSWORD)?;
    Ok(password)
}

fn from_input() -> Result<Vec<u8>, Failure> {
    line_of(&mut io::stdin().lock())
}

fn line_of(input: &mut dyn BufRead) -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    let read = input.read_until(b'\n', &mut line);
    read.map_err(|error| {
        (
            Code::File,
            format!("lychgate passwd: the password cannot be read: {error}"),
        )
    })?;
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(line)
}

/// Asks on the terminal, which does not show the answer.
fn asked(prompt: &str) -> Result<Vec<u8>, Failure> {
    let Ok(mut terminal) = File::options().read(true).write(true).open("/dev/tty") else {
        return from_input();
    };
    let before = tcgetattr(&terminal).ok();
    if let Some(mut silent) = before.clone() {
        silent.local_modes.remove(LocalModes::ECHO);
        // A terminal that cannot be silent shows the password; its owner sees that it does.
        let _shown = tcsetattr(&terminal, OptionalActions::Flush, &silent);
    }
    let _unasked = terminal.write_all(prompt.as_bytes());
    let answer = match terminal.try_clone() {
        Ok(input) => line_of(&mut io::BufReader::new(input)),
        Err(_) => from_input(),
    };
    if let Some(before) = before {
        let _as_it_is = tcsetattr(&terminal, OptionalActions::Flush, &before);
    }
    let _no_newline = terminal.write_all(b"\n");
    answer
}

/// Puts the text in the place of the file's in one step; who may read the file stays the same.
fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    replace(&target, text).map_err(|error| {
        let what = if target.exists() { "modify" } else { "create" };
        (
            Code::File,
            format!("lychgate passwd: cannot {what} file {}: {error}", path.display()),
        )
    })
}

fn replace(target: &Path, text: &[u8]) -> io::Result<()> {
    let before = fs::metadata(target).ok();
    if before.as_ref().is_some_and(|meta| !meta.is_file()) {
        return fs::write(target, text);
    }
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(name);
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(text)?;
            let mode = before.as_ref().map_or(0o644, MetadataExt::mode);
            if let Some(meta) = &before {
                fchown(&file, Some(meta.uid()), Some(meta.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
            file.sync_all()?;
            fs::rename(&beside, target)
        });
    if written.is_err() {
        let _not_there = fs::remove_file(&beside);
    }
    written
}
