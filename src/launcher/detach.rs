//! `-k start`: leave the terminal. Our program is executed once more in a session of its own, and we wait until it
//! serves or has said, on our standard error, why it cannot.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use super::whole_environment;
use crate::process::child::{ChildSpec, Program, Session, spawn};
use crate::process::{inherit, null};

/// The part that serves: it owes its parent the news that it does.
#[derive(Debug)]
pub struct Detached(File);

/// Executes our program again with this command line, detached, and returns when it serves. The error is for people,
/// unless it is empty: then the other process has told the reason already.
pub fn detach(argv: Vec<CString>) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("cannot detach: {error}");
    let program = File::open("/proc/self/exe").map_err(|error| told(&error))?;
    let null = null::open().map_err(|error| told(&error))?;
    let (mut reader, writer) = io::pipe().map_err(|error| told(&error))?;
    let descriptors = vec![
        null.as_fd(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
        writer.as_fd(),
    ];
    let mut spec = ChildSpec::new(Program::Descriptor(program.as_fd()), argv, descriptors);
    spec.env = whole_environment(|_| true);
    spec.session = Session::Own;
    let child = spawn(&spec).map_err(|error| told(&error))?;
    drop(spec);
    drop(writer);
    let mut answer = Vec::new();
    reader.read_to_end(&mut answer).map_err(|error| told(&error))?;
    if answer == READY {
        return Ok(());
    }
    match child.pidfd.wait() {
        Ok(ended) if ended.exit == crate::process::pidfd::Exit::Code(1) => Err(String::new()),
        Ok(ended) => Err(format!("it ended before it served ({})", ended.exit)),
        Err(error) => Err(told(&error)),
    }
}

impl Detached {
    /// What [`detach`] left for the process it executed.
    pub fn take() -> io::Result<Detached> {
        inherit::take_one().map(|fd| Detached(File::from(fd)))
    }

    /// Tells the parent that we serve, and lets go of the terminal.
    pub fn tell_ready(mut self) -> io::Result<()> {
        let null = null::open()?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        self.0.write_all(READY)
    }
}

const READY: &[u8] = b"ready";

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::{Detached, detach};

    fn argv(test: &str) -> Vec<CString> {
        let test = format!("launcher::detach::tests::{test}");
        let words = ["lychgate", "--exact", &test, "--nocapture"];
        words.map(|word| CString::new(word).expect("no NUL")).to_vec()
    }

    /// Is this a process of the test below? On their own the next three do nothing.
    fn is_executed_again() -> bool {
        std::env::args().next().as_deref() == Some("lychgate")
    }

    #[test]
    fn as_one_that_serves() {
        if is_executed_again() {
            let detached = Detached::take().expect("by `detach`");
            detached.tell_ready().expect("the parent listens");
            std::process::exit(0);
        }
    }

    #[test]
    fn as_one_that_fails() {
        if is_executed_again() {
            std::process::exit(1);
        }
    }

    #[test]
    fn as_one_that_crashes() {
        if is_executed_again() {
            std::process::abort();
        }
    }

    #[test]
    fn the_parent_knows_whether_it_serves() {
        assert_eq!(detach(argv("as_one_that_serves")), Ok(()));
        assert_eq!(detach(argv("as_one_that_fails")), Err(String::new()));
        let crashed = "it ended before it served (signal 6 (SIGABRT))".to_owned();
        assert_eq!(detach(argv("as_one_that_crashes")), Err(crashed));
    }
}
