//! From an order to a running script: its place, its words, its environment, its descriptors.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::Signal;

use super::Rules;
use super::loopback::Gates;
use super::place::{self, Found};
use super::sandbox;
use super::script::By;
use super::terms::{Book, Care, Runner, Terms};
use super::warden::{Task, post};
use crate::config::directives::cgi::ProcessTree;
use crate::gateway::refused::steers;
use crate::process::child::{
    ChildSpec, Directory, Flight, LANDING_LIMIT, Landing, Program, Session, SpawnError, Step, launch,
};
use crate::process::descendants::ProcessTable;
use crate::process::environment::Environment;
use crate::process::message::{Failed, FirstNews, Runs, Start};
use crate::process::null;
use crate::process::supervise::{Entrance, Supervision};

/// Starts what the rules allow.
pub(super) struct Starter {
    admitted_variables: Vec<Vec<u8>>,
    book: Book,
    /// Where confined scripts connect through.
    pub(super) gates: Gates,
    /// The standard input of a script whose request has no body.
    null: OwnedFd,
    /// Where wardens find processes, if there is such a place.
    pub(super) table: Option<ProcessTable>,
}

/// A script that may be started.
pub(super) struct Judged {
    pub(super) found: Found,
    pub(super) terms: Arc<Terms>,
    pub(super) runner: Runner,
}

/// A script that was started, for all we know.
pub(super) struct Begun {
    pub(super) by: By,
    pub(super) care: Care,
    /// Nothing where it runs.
    pub(super) start: Option<Starting>,
}

/// A script of ours that may not have been executed yet.
pub(super) struct Starting {
    flight: Flight,
    found: Found,
    /// When it is given up; once.
    until: Option<Instant>,
}

/// Why nothing was started: for the worker, and for our own log where the worker should never have asked.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) failed: Failed,
    pub(super) said: Option<String>,
}

impl Starter {
    pub(super) fn new(rules: Rules) -> io::Result<Starter> {
        Ok(Starter {
            admitted_variables: rules.admitted_variables,
            book: Book::new(rules.config)?,
            gates: Gates::default(),
            null: null::open()?,
            table: ProcessTable::open().ok(),
        })
    }

    /// The terms of scripts.
    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    /// Tells what holds of the terms on this kernel.
    pub(super) fn announce(&self) {
        sandbox::announce(self.book.config());
    }

    /// Starts the script that an order names, in a process group of its own and in the directory it lies in. A warden has the
    /// result to tell, and what is not waited for has [`Starting`].
    pub(super) fn start(&mut self, start: &Start) -> Result<Begun, Refusal> {
        let Judged { found, terms, runner } = self.judged(start.order.place, &start.order.path, start.order.runs)?;
        let words = |_| refused((start.order.place, &start.order.path), Step::Words, Errno::INVAL);
        let (program, mut argv) = match start.order.runs {
            // The whole name, as Apache passes it.
            Runs::Itself => (executed(&terms, &found).map_err(words)?, vec![found.path.clone()]),
            Runs::Wrapper => wrapper(&terms, &found).ok_or_else(|| {
                // The worker's settings are ours: it should have known.
                refused((start.order.place, &start.order.path), Step::Place, Errno::ACCESS)
            })?,
            Runs::Program => {
                let command = self.book.program(start.order.place).unwrap_or_default();
                (
                    executed(&terms, &found).map_err(words)?,
                    in_words(command).map_err(words)?,
                )
            }
        };
        // A program has what the settings say, and nothing of the worker's.
        let arguments = start
            .order
            .arguments
            .iter()
            .filter(|_| start.order.runs != Runs::Program);
        for argument in arguments {
            argv.push(CString::new(argument.as_slice()).map_err(words)?);
        }
        let stdin = start.order.stdin.as_ref().unwrap_or(&self.null);
        let descriptors = vec![stdin.as_fd(), start.stdout.as_fd(), start.stderr.as_fd()];
        let mut spec = ChildSpec::new(Program::Path(&program), argv, descriptors);
        spec.env = self.environment(&start.order.env);
        spec.directory = Directory::Descriptor(found.directory.as_fd());
        spec.session = Session::Group; // we have no terminal
        terms.lay_upon(&mut spec, &runner, &start.order.limits);
        let calls = terms.asked().map(|filter| Ok((filter, Entrance::new()?))).transpose();
        let calls = calls.map_err(|error| Refusal::system(&error))?;
        spec.supervision = calls.as_ref().map(|(filter, (_, exit))| Supervision {
            filter,
            exit: exit.as_fd(),
        });
        let care = terms.care;
        let begun = match terms.tree {
            ProcessTree::Group => {
                let landing = match start.order.first_news {
                    FirstNews::AtOnce => Landing::Watched,
                    FirstNews::WithEnd => Landing::Unseen,
                };
                let launched = launch(spec, landing);
                let (child, flight) = launched.map_err(|error| Refusal::of_spawn(error, &found))?;
                let start = Some(Starting::new(flight, found, Instant::now() + LANDING_LIMIT));
                let by = By::Us(child);
                Begun { by, care, start }
            }
            ProcessTree::Kill => {
                // Without its warden nobody would know what belongs to it.
                spec.parent_death = Some(Signal::KILL);
                let task = Task {
                    id: start.id,
                    spec: &spec,
                    failed: &|error| Refusal::of_spawn(error, &found).failed,
                    grace: care.grace,
                    table: self.table.as_ref(),
                    null: &self.null,
                };
                let ward = post(&task).map_err(|error| Refusal::system(&error))?;
                let by = By::Warden(ward, None);
                Begun { by, care, start: None }
            }
        };
        if let Some((_, (entrance, _))) = calls {
            self.gates.add(entrance);
        }
        Ok(begun)
    }

    /// Finds a script, the terms on which it runs and who it runs as, or what is in the way.
    pub(super) fn judged(&mut self, number: u32, path: &[u8], runs: Runs) -> Result<Judged, Refusal> {
        let named = (number, path);
        let Some(place) = self.book.place(number) else {
            return Err(refused(named, Step::Place, Errno::ACCESS));
        };
        // A script by its own number, and a program by its own.
        if self.book.program(number).is_some() != (runs == Runs::Program) {
            return Err(refused(named, Step::Place, Errno::ACCESS));
        }
        let found = match self.book.site(place) {
            Some(site) if runs != Runs::Program => place::find_in(site, place, path),
            _ => place::find(place, path),
        };
        let found = found.and_then(|found| match runs {
            Runs::Itself | Runs::Program => found.executable(),
            Runs::Wrapper => Ok(found),
        });
        let found = found.map_err(|(step, errno)| refused(named, step, errno))?;
        let terms = self.book.terms(number, found.path.as_bytes());
        if let Some(why) = terms.refusal() {
            let mut refusal = refused(named, Step::Ruleset, Errno::ACCESS);
            refusal.said = Some(format!(
                "refused to start `{}`: {why}",
                found.path.as_bytes().escape_ascii()
            ));
            return Err(refusal);
        }
        let runner = self.book.runner(&terms, number, path, &found);
        let runner = runner.map_err(Refusal::of_suexec)?;
        Ok(Judged { found, terms, runner })
    }

    /// The environment that the script gets, without the variables that are refused.
    pub(super) fn environment(&self, env: &Environment) -> Environment {
        let is_admitted = |name: &[u8]| self.admitted_variables.iter().any(|admitted| admitted == name);
        env.only(|name| is_admitted(name) || !steers(name))
    }
}

impl Starting {
    /// One that is given up at this time.
    pub(super) fn new(flight: Flight, found: Found, until: Instant) -> Starting {
        let until = Some(until);
        Starting { flight, found, until }
    }

    /// Whether it runs, or has ended without ever having run.
    pub(super) fn is_over(&self) -> bool {
        self.flight.has_landed()
    }

    /// When it is given up, should it not be over.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether it is to be given up now: whoever it runs as may have stopped it on its way.
    pub(super) fn is_late(&mut self) -> bool {
        let is_due = |until: &mut Instant| Instant::now() >= *until;
        self.until.take_if(is_due).is_some() && !self.is_over()
    }

    /// What tells, by being readable, that it is over; nothing where nobody is to be told.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.flight.landing()
    }

    /// Why it never ran, once it is over.
    pub(super) fn failed(&self) -> Option<Failed> {
        let error = self.flight.failure()?;
        Some(Refusal::of_spawn(error, &self.found).failed)
    }
}

impl Refusal {
    /// A failure of the system that is no fault of the script.
    pub(super) fn system(error: &io::Error) -> Refusal {
        let SpawnError { step, errno } = SpawnError::new(Step::Clone, error);
        Refusal {
            failed: Failed {
                step,
                errno,
                first_line: Vec::new(),
                told: Vec::new(),
            },
            said: Some(format!("{}: {error}", step.told())),
        }
    }

    /// SuexecUserGroup does not let the script start; the worker's log says why.
    fn of_suexec(told: String) -> Refusal {
        Refusal {
            failed: Failed {
                step: Step::Suexec,
                errno: Errno::ACCESS.raw_os_error(),
                first_line: Vec::new(),
                told: told.into_bytes(),
            },
            said: None,
        }
    }

    fn of_spawn(error: SpawnError, found: &Found) -> Refusal {
        let first_line = if error.step == Step::Execute {
            found.first_line()
        } else {
            Vec::new()
        };
        Refusal {
            failed: Failed {
                step: error.step,
                errno: error.errno,
                first_line,
                told: Vec::new(),
            },
            said: None,
        }
    }
}

/// The name to execute: the whole one, which scripts look at in `$0`; or, where it matters that nobody exchanges a directory
/// above meanwhile, the one in the directory that was judged.
pub(super) fn executed(terms: &Terms, found: &Found) -> Result<CString, std::ffi::NulError> {
    if terms.are_strict() {
        CString::new([b"./", found.name()].concat())
    } else {
        Ok(found.path.clone())
    }
}

/// The program that runs in a script's place, and its arguments, where the settings name one.
fn wrapper(terms: &Terms, found: &Found) -> Option<(CString, Vec<CString>)> {
    let argv = in_words(&terms.fcgid.wrapper(found.path.as_bytes())?.command).ok()?;
    Some((argv.first()?.clone(), argv))
}

fn in_words(command: &[Vec<u8>]) -> Result<Vec<CString>, std::ffi::NulError> {
    command.iter().map(|word| CString::new(word.as_slice())).collect()
}

/// A refusal before anything was started. What leaves a place is logged: no worker in its right mind asks for it.
fn refused((place, path): (u32, &[u8]), step: Step, errno: Errno) -> Refusal {
    let path = path.escape_ascii();
    let said =
        (step == Step::Place).then(|| format!("refused to start `{path}` of script place {place}: {}", step.told()));
    Refusal {
        failed: Failed {
            step,
            errno: errno.raw_os_error(),
            first_line: Vec::new(),
            told: Vec::new(),
        },
        said,
    }
}
