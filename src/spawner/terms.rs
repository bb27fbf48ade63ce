//! On which terms a script runs: what the settings say of its place, never what a worker asks for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::directives::DirConf;
use crate::config::directives::cgi::{ClientGone, ProcessTree};
use crate::config::places::{conf_of, tree_of};
use crate::config::site::{Config, ScriptPlace, Site};
use crate::process::child::ChildSpec;
use crate::process::limits::Limit;
use crate::process::seccomp::Filter;

use super::sandbox::{Cage, Cages};

/// The terms of every script that was started lately.
#[derive(Debug)]
pub(super) struct Book {
    config: Config,
    known: HashMap<(u32, Vec<u8>), Arc<Terms>>,
    cages: Cages,
}

/// What a script is given and denied.
#[derive(Debug)]
pub(super) struct Terms {
    limits: Vec<Limit>,
    /// What it is confined to, if it is; a sentence where it should be and cannot.
    cage: Result<Option<Arc<Cage>>, String>,
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

/// So many scripts are remembered; beyond that the book begins anew. Each may hold a descriptor.
const REMEMBERED: usize = 256;

impl Book {
    pub(super) fn new(config: Config) -> Book {
        Book {
            config,
            known: HashMap::new(),
            cages: Cages::new(),
        }
    }

    /// The script place of this number.
    pub(super) fn place(&self, number: u32) -> Option<&ScriptPlace> {
        self.config.script_places.get(usize::try_from(number).ok()?)
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
}

impl Terms {
    fn of(conf: &DirConf, cage: Result<Option<Arc<Cage>>, String>) -> Terms {
        let cgi = &conf.cgi;
        Terms {
            limits: Vec::new(),
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

    /// Writes the terms into the description of a child.
    pub(super) fn lay_upon<'a>(&'a self, spec: &mut ChildSpec<'a>) {
        spec.limits.clone_from(&self.limits);
        if let Ok(Some(cage)) = &self.cage {
            cage.lay_upon(spec);
        }
    }
}
