//! On which terms a script runs: what the settings say of its place, never what a worker asks for.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use super::place::{self, Found};
use super::sandbox::{Cage, Cages};
use super::suexec::{self, Floor, Unfit};
use crate::config::directives::DirConf;
use crate::config::directives::cgi::{ClientGone, ProcessTree};
use crate::config::directives::fcgid::Fcgid;
use crate::config::directives::rlimit::{Bound, Bounds};
use crate::config::directives::suexec::Target;
use crate::config::places::{conf_of, confs, tree_of};
use crate::config::programs::OwnProgram;
use crate::config::site::{Config, ScriptLinks, ScriptPlace, Site};
use crate::process::child::{ChildSpec, NewPrivileges};
use crate::process::identity::{Identity, UnknownIdentity};
use crate::process::limits::{Limit, Resource};
use crate::process::seccomp::Filter;

/// The terms of every script that was started lately.
#[derive(Debug)]
pub(super) struct Book {
    config: Config,
    /// The programs of the settings, each a place of its own.
    programs: Vec<ScriptPlace>,
    known: HashMap<(u32, Vec<u8>), Arc<Terms>>,
    cages: Cages,
    /// Who the targets of SuexecUserGroup are: looked up once, before a chroot could hide the databases.
    named: HashMap<Target, Result<Arc<Identity>, UnknownIdentity>>,
    /// Owners of scripts, by user and group.
    owners: HashMap<(u32, u32), Arc<Identity>>,
    floor: Floor,
    /// Who scripts run as where nothing else is said, as long as we are root.
    server: Option<Arc<Identity>>,
}

/// What a script is given and denied.
#[derive(Debug)]
pub(super) struct Terms {
    limits: Vec<Limit>,
    /// What it is confined to, if it is; a sentence where it should be and cannot.
    cage: Result<Option<Arc<Cage>>, String>,
    umask: Option<u32>,
    nice: Option<i32>,
    target: Option<Target>,
    /// The programs that run in its place.
    pub(super) fcgid: Fcgid,
    /// What ends with it.
    pub(super) tree: ProcessTree,
    /// How it is ended.
    pub(super) care: Care,
}

/// How a script is treated whose worker has died, and what it leaves behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Care {
    /// What happens when nobody reads it any more.
    pub(super) client_gone: ClientGone,
    /// Between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
}

/// Who a script runs as.
#[derive(Debug)]
pub(super) enum Runner {
    /// We, unless it is somebody else who is named here.
    Server(Option<Arc<Identity>>),
    /// The user and group of SuexecUserGroup, who may be ourselves.
    Suexec(Arc<Identity>),
}

/// So many scripts, and owners of scripts, are remembered; beyond that the book begins anew. Each script may hold a descriptor.
const REMEMBERED: usize = 256;

impl Book {
    /// An error is a name in the settings that the system does not know any more.
    pub(super) fn new(config: Config) -> io::Result<Book> {
        let mut named = HashMap::new();
        for target in confs(&config).iter().filter_map(|conf| conf.suexec.target.value()) {
            if let Target::Named { user, group } = target {
                let identity = Identity::look_up(user, Some(group)).map(Arc::new);
                named.insert(target.clone(), identity);
            }
        }
        let core = &config.server.core;
        let server = Identity::for_root(core.user.value(), core.group.value()).map_err(io::Error::other)?;
        Ok(Book {
            known: HashMap::new(),
            cages: Cages::new(),
            named,
            owners: HashMap::new(),
            floor: Floor::of(&config.server.suexec),
            server: server.map(Arc::new),
            programs: config.programs.iter().map(OwnProgram::place).collect(),
            config,
        })
    }

    /// The settings.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The script place of this number; behind them all, the places of programs.
    pub(super) fn place(&self, number: u32) -> Option<&ScriptPlace> {
        let mut all = self.config.script_places.iter().chain(&self.programs);
        all.nth(usize::try_from(number).ok()?)
    }

    /// The program of this number, and its arguments.
    pub(super) fn program(&self, number: u32) -> Option<&[Vec<u8>]> {
        let behind = usize::try_from(number).ok()?;
        let own = behind.checked_sub(self.config.script_places.len())?;
        self.config.programs.get(own).map(|program| program.command.as_slice())
    }

    /// The site that a place belongs to.
    pub(super) fn site(&self, place: &ScriptPlace) -> Option<&Site> {
        self.config.sites.get(place.site)
    }

    /// The terms of the file `path` in the place of this number.
    pub(super) fn terms(&mut self, number: u32, path: &[u8]) -> Arc<Terms> {
        let key = (number, path.to_vec());
        if let Some(terms) = self.known.get(&key)
            && terms.are_current(&mut self.cages)
        {
            return Arc::clone(terms);
        }
        let (conf, tree) = match self.place(number) {
            Some(place) => (conf_of(&self.config, place, path), tree_of(&self.config, place, path)),
            None => (DirConf::default(), Vec::new()),
        };
        if self.known.len() >= REMEMBERED {
            self.known.clear();
            self.cages.clear();
        }
        let cage = self.cages.cage(&conf.sandbox, tree);
        let terms = Arc::new(Terms::of(&conf, cage));
        self.known.insert(key, Arc::clone(&terms));
        terms
    }

    /// Who the script runs as, or what is in the way, in words. `number` and `path` are as the worker named it.
    pub(super) fn runner(&mut self, terms: &Terms, number: u32, path: &[u8], found: &Found) -> Result<Runner, String> {
        let Some(target) = &terms.target else {
            return Ok(Runner::Server(self.server.clone()));
        };
        let told = |identity: Option<&Identity>| {
            let identity = identity.cloned();
            move |unfit: Unfit| unfit.told(found, identity.as_ref())
        };
        let identity = self.identity(target, found.file()).map_err(told(None))?;
        self.judge(&identity, number, path, found)
            .map_err(told(Some(&identity)))?;
        Ok(Runner::Suexec(identity))
    }

    fn identity(&mut self, target: &Target, file: BorrowedFd<'_>) -> Result<Arc<Identity>, Unfit> {
        if let Target::Named { .. } = target {
            return match self.named.get(target) {
                Some(Ok(identity)) => Ok(Arc::clone(identity)),
                Some(Err(unknown)) => Err(Unfit::Unknown(unknown.what())),
                None => Err(Unfit::Unknown("nobody is named".to_owned())),
            };
        }
        let status = rustix::fs::fstat(file).map_err(Unfit::System)?;
        let key = (status.st_uid, status.st_gid);
        if let Some(identity) = self.owners.get(&key) {
            return Ok(Arc::clone(identity));
        }
        let identity = Arc::new(suexec::owner(key)?);
        if self.owners.len() >= REMEMBERED {
            self.owners.clear();
        }
        self.owners.insert(key, Arc::clone(&identity));
        Ok(identity)
    }

    fn judge(&self, identity: &Identity, number: u32, path: &[u8], found: &Found) -> Result<(), Unfit> {
        self.floor.judge(identity)?;
        if !Identity::process_is_root() && !identity.is_ours() {
            return Err(Unfit::NotRoot);
        }
        if let Some(place) = self.place(number)
            && place.links != ScriptLinks::Beneath
        {
            let place = ScriptPlace {
                links: ScriptLinks::Beneath,
                ..place.clone()
            };
            place::find(&place, path).map_err(|_| Unfit::Outside)?;
        }
        suexec::judge(found, identity)
    }
}

impl Terms {
    fn of(conf: &DirConf, cage: Result<Option<Arc<Cage>>, String>) -> Terms {
        let cgi = &conf.cgi;
        Terms {
            limits: conf.process.limits().filter_map(limit).collect(),
            umask: conf.process.umask.value().copied(),
            nice: conf.process.nice.value().copied(),
            target: conf.suexec.target.value().cloned(),
            fcgid: conf.fcgid.clone(),
            cage,
            tree: cgi.process_tree.or(ProcessTree::Group),
            care: Care {
                client_gone: cgi.client_gone.or(ClientGone::Terminate),
                grace: cgi.kill_grace.or(Duration::from_secs(3)),
            },
        }
    }

    /// Whether they still are what the settings mean.
    fn are_current(&self, cages: &mut Cages) -> bool {
        match &self.cage {
            Ok(Some(cage)) => cages.is_current(cage),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// The calls that are decided on here.
    pub(super) fn asked(&self) -> Option<&Filter> {
        self.cage.as_ref().ok()?.as_ref()?.asked()
    }

    /// Why nothing may run on these terms, if nothing may.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.cage.as_ref().err().map(String::as_str)
    }

    /// Whether SuexecUserGroup has a say: what starts is then what was judged.
    pub(super) fn are_strict(&self) -> bool {
        self.target.is_some()
    }

    /// Writes the terms into the description of a child. What a worker asks of limits can only lower them.
    pub(super) fn lay_upon<'a>(&'a self, spec: &mut ChildSpec<'a>, runner: &'a Runner, asked: &[Limit]) {
        spec.limits = lowered(&self.limits, asked);
        spec.umask = self.umask;
        spec.nice = self.nice;
        let identity = match runner {
            Runner::Server(identity) => identity.as_deref(),
            Runner::Suexec(identity) => Some(&**identity),
        };
        spec.identity = identity.filter(|_| Identity::process_is_root());
        if self.are_strict() {
            spec.new_privileges = NewPrivileges::Never;
        }
        if let Ok(Some(cage)) = &self.cage {
            cage.lay_upon(spec);
        }
    }
}

/// The limit that the words of a directive stand for; what they leave out, and `max`, is our own hard limit.
pub(super) fn limit((directive, bounds): (&'static str, Bounds)) -> Option<Limit> {
    let resource = Resource::of_directive(directive)?;
    let ours = Limit::ours(resource).hard;
    let hard = bounds.hard.and_then(Bound::number).or(ours);
    Some(Limit {
        resource,
        soft: bounds.soft.number().or(hard),
        hard,
    })
}

/// The limits of a place, and beyond them our own, each as low as what is asked for.
fn lowered(limits: &[Limit], asked: &[Limit]) -> Vec<Limit> {
    let mut lowered = limits.to_vec();
    for limit in asked {
        match lowered.iter_mut().find(|known| known.resource == limit.resource) {
            Some(known) => *known = known.lowered_by(*limit),
            None => lowered.push(Limit::ours(limit.resource).lowered_by(*limit)),
        }
    }
    lowered
}
