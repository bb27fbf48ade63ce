//! On which terms a script runs: what the settings say of its place, never what a worker asks for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::directives::DirConf;
use crate::config::directives::cgi::{ClientGone, ProcessTree};
use crate::config::places::conf_of;
use crate::config::site::{Config, ScriptPlace, Site};
use crate::process::child::ChildSpec;
use crate::process::limits::Limit;

/// The terms of every script that was started lately.
#[derive(Debug)]
pub(super) struct Book {
    config: Config,
    known: HashMap<(u32, Vec<u8>), Arc<Terms>>,
}

/// What a script is given and denied.
#[derive(Debug)]
pub(super) struct Terms {
    limits: Vec<Limit>,
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

/// So many scripts are remembered; beyond that the book begins anew.
const REMEMBERED: usize = 1024;

impl Book {
    pub(super) fn new(config: Config) -> Book {
        Book {
            config,
            known: HashMap::new(),
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
        if let Some(terms) = self.known.get(&key) {
            return Arc::clone(terms);
        }
        let conf = match self.place(number) {
            Some(place) => conf_of(&self.config, place, path),
            None => DirConf::default(),
        };
        let terms = Arc::new(Terms::of(&conf));
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(key, Arc::clone(&terms));
        terms
    }
}

impl Terms {
    fn of(conf: &DirConf) -> Terms {
        let cgi = &conf.cgi;
        Terms {
            limits: Vec::new(),
            tree: cgi.process_tree.or(ProcessTree::Group),
            care: Care {
                client_gone: cgi.client_gone.or(ClientGone::Terminate),
                grace: cgi.kill_grace.or(Duration::from_secs(3)),
            },
        }
    }

    /// Writes the terms into the description of a child.
    pub(super) fn lay_upon<'a>(&'a self, spec: &mut ChildSpec<'a>) {
        spec.limits.clone_from(&self.limits);
    }
}
