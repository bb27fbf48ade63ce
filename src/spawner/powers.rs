//! What a spawner needs of root, if anything: the settings tell. All else is given up before the first order is heard.

use std::io;

use rustix::process::DumpableBehavior;

use crate::config::directives::rlimit::Bounds;
use crate::config::places::{change_identity, confs};
use crate::config::site::Config;
use crate::process::capabilities::{Capability, keep_only};
use crate::process::identity::Identity;
use crate::process::jail;
use crate::process::limits::{Limit, Resource};

use super::sandbox::connect_to_loopback;

/// Who a spawner is once it serves.
#[derive(Debug)]
pub(super) struct Powers {
    root: Option<Vec<u8>>,
    /// Whom it becomes; nobody when it is not root, or stays root.
    identity: Option<Identity>,
    keeps: Vec<Capability>,
}

/// Whether a spawner started as root stays root for these settings: because scripts run as others than User, or get limits
/// or a nice value that only root may give.
pub fn stays_root(config: &Config) -> bool {
    !needed(config).is_empty()
}

/// The capabilities that the settings need.
fn needed(config: &Config) -> Vec<Capability> {
    let confs = confs(config);
    let mut needed = Vec::new();
    let raises = |(directive, bounds)| exceeds(directive, bounds).is_some();
    if confs.iter().any(|conf| conf.process.limits().any(raises)) {
        needed.push(Capability::SysResource);
    }
    if confs
        .iter()
        .any(|conf| conf.process.nice.value().is_some_and(|nice| hastens(*nice)))
    {
        needed.push(Capability::SysNice);
    }
    if !needed.is_empty() || change_identity(config) {
        // To become others, to signal them, and to find scripts that only they reach.
        needed.extend([
            Capability::SetUid,
            Capability::SetGid,
            Capability::Kill,
            Capability::DacReadSearch,
        ]);
        if connect_to_loopback(&confs) {
            // To see where they want to connect to.
            needed.push(Capability::SysPtrace);
        }
    }
    needed
}

/// Our own hard limit, where the words of the directive are above it.
pub fn exceeds(directive: &str, bounds: Bounds) -> Option<u64> {
    let hard = Limit::ours(Resource::of_directive(directive)?).hard?;
    bounds.largest().is_some_and(|largest| largest > hard).then_some(hard)
}

/// Whether the nice value is below ours, so that only root may give it.
pub fn hastens(nice: i32) -> bool {
    rustix::process::getpriority_process(None).is_ok_and(|ours| nice < ours)
}

impl Powers {
    /// What the settings ask for; looks up names, which a chroot would hide. An error is a name that is not known any more.
    pub(super) fn of(config: &Config) -> io::Result<Powers> {
        let core = &config.server.core;
        let keeps = needed(config);
        let identity = Identity::for_root(core.user.value(), core.group.value()).map_err(io::Error::other)?;
        Ok(Powers {
            root: core.chroot.value().cloned(),
            identity: identity.filter(|_| keeps.is_empty()),
            keeps,
        })
    }

    /// Enters ChrootDir and gives up what is not needed.
    pub(super) fn settle(&self) -> io::Result<()> {
        if let Some(root) = &self.root {
            jail::enter(root).map_err(|error| io::Error::new(error.kind(), format!("ChrootDir: {error}")))?;
        }
        if let Some(identity) = &self.identity {
            jail::become_identity(identity)?;
        } else if Identity::process_is_root() && !self.keeps.is_empty() {
            // The bounding set stays whole: scripts that run as User may use set-user-id programs, as in Apache.
            keep_only(&self.keeps)?;
        }
        // Nobody reads our memory or traces us who could not do more otherwise.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        Ok(())
    }
}
