//! What would be started for a request, and on which terms, for those who only explain. Nothing is.

use std::io;
use std::os::fd::BorrowedFd;

use super::Rules;
use super::prepare::{Judged, Refusal, Starter, executed};
use super::terms::Runner;
use crate::config::directives::cgi::ProcessTree;
use crate::config::directives::sandbox::Sandbox;
use crate::config::places::conf_of;
use crate::process::child::{ChildSpec, NewPrivileges, Program};
use crate::process::environment::Environment;
use crate::process::identity::Identity;
use crate::process::limits::Limit;
use crate::process::message::{Failed, Runs};

/// Who can tell.
pub struct Asked(Starter);

/// What a worker would ask for.
pub struct Wanted<'a> {
    /// The number of the script place.
    pub place: u32,
    /// The path below it.
    pub path: &'a [u8],
    /// What follows the script's name in its command line.
    pub arguments: &'a [Vec<u8>],
    /// Its environment.
    pub env: &'a Environment,
    /// The limits that the request's settings name.
    pub limits: &'a [Limit],
}

/// How a script would be started.
pub struct Explained {
    /// What would be executed.
    pub program: Vec<u8>,
    /// Its command line.
    pub command: Vec<Vec<u8>>,
    /// Its environment.
    pub env: Environment,
    /// The directory it would start in.
    pub directory: Vec<u8>,
    /// Who it would run as; nothing is who we are.
    pub identity: Option<Identity>,
    /// Whether SuexecUserGroup says so.
    pub by_suexec: bool,
    /// Its umask, where that is not ours.
    pub umask: Option<u32>,
    /// Its nice value, where that is not ours.
    pub nice: Option<i32>,
    /// Its limits, where they are not ours.
    pub limits: Vec<Limit>,
    /// What it would be confined to.
    pub sandbox: Sandbox,
    /// Whether set-user-id programs would have their usual effect.
    pub new_privileges: NewPrivileges,
    /// What would end with it.
    pub tree: ProcessTree,
}

impl Asked {
    /// One who goes by these rules.
    pub fn new(rules: Rules) -> io::Result<Asked> {
        Starter::new(rules).map(Asked)
    }

    /// How the script would be started, or why not: what the worker would be told, and what the log would say.
    pub fn explain(&mut self, wanted: &Wanted<'_>) -> Result<Explained, (Failed, String)> {
        let starter = &mut self.0;
        let judged = starter.judged(wanted.place, wanted.path, Runs::Itself).map_err(told)?;
        let Judged { found, terms, runner } = &judged;
        let broken = |_| told(Refusal::system(&io::ErrorKind::InvalidInput.into()));
        let program = executed(terms, found).map_err(broken)?;
        let env = starter.environment(wanted.env);
        let none: Vec<BorrowedFd<'_>> = Vec::new();
        let mut spec = ChildSpec::new(Program::Path(&program), Vec::new(), none);
        terms.lay_upon(&mut spec, runner, wanted.limits);
        let full = found.path.as_bytes();
        let mut command = vec![full.to_vec()];
        command.extend_from_slice(wanted.arguments);
        Ok(Explained {
            program: program.as_bytes().to_vec(),
            command,
            env,
            directory: found.directory_name().to_vec(),
            identity: spec.identity.cloned(),
            by_suexec: matches!(runner, Runner::Suexec(_)),
            umask: spec.umask,
            nice: spec.nice,
            limits: std::mem::take(&mut spec.limits),
            sandbox: starter.sandbox_of(wanted.place, full),
            new_privileges: spec.new_privileges,
            tree: terms.tree,
        })
    }
}

impl Starter {
    fn sandbox_of(&self, place: u32, path: &[u8]) -> Sandbox {
        let book = self.book();
        let place = book.place(place);
        place.map_or_else(Sandbox::default, |place| conf_of(book.config(), place, path).sandbox)
    }
}

fn told(refusal: Refusal) -> (Failed, String) {
    let Refusal { failed, said } = refusal;
    let words = match (failed.told.as_slice(), said) {
        ([], Some(said)) => said,
        ([], None) => {
            let error = io::Error::from_raw_os_error(failed.errno);
            format!("{}: {error}", failed.step.told())
        }
        (told, _) => String::from_utf8_lossy(told).into_owned(),
    };
    (failed, words)
}
