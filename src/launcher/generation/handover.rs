//! Generations that go on under another version of the launcher.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use super::super::bind::Bound;
use super::super::ctl::Reports;
use super::super::handover::{pack_targets, unpack_targets};
use super::super::logs::OpenLogs;
use super::super::maps::Maps;
use super::super::plan::LogTarget;
use super::super::programs::Programs;
use super::super::roles::RoleProcess;
use super::{Generation, Phase};
use crate::config::keyring::Keyring;
use crate::process::channel::Channel;
use crate::process::handover::{Pack, Unpack, Unreadable};
use crate::process::identity::Identity;
use crate::process::inherit::Role;
use crate::process::say::{Weight, say};

impl Generation {
    /// Packs all of it; its listeners by their places in `bound`.
    pub(in crate::launcher) fn pack<'a>(&'a self, pack: &mut Pack<'a>, bound: &[&Rc<Bound>]) {
        let read = self.read.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        pack.number(self.number).number(read.as_secs());
        self.phase.pack(pack);
        pack.option(self.drain_at, |pack, at| {
            pack.number(left(at));
        });
        pack.descriptor(self.program.as_fd())
            .descriptor(self.settings.as_fd())
            .descriptor(self.keys.as_fd());
        for identity in [&self.worker_as, &self.spawner_as] {
            pack.option(identity.as_ref(), pack_identity);
        }
        pack_targets(pack, self.logs.targets(), self.logs.error_number());
        pack.list(self.lines.iter(), |pack, (worker, spawner)| {
            pack.descriptor(worker.as_fd()).descriptor(spawner.as_fd());
        });
        let places = self
            .listeners
            .iter()
            .map(|own| bound.iter().position(|one| Rc::ptr_eq(one, own)));
        let places: Vec<usize> = places.flatten().collect();
        pack.list(places.into_iter(), |pack, place| {
            pack.number(place as u64);
        });
        self.worker.pack(pack);
        self.spawner.pack(pack);
    }

    /// Reads what was packed. Its logs are opened again: files by their names, programs by those that `programs` has.
    pub(in crate::launcher) fn unpack(
        unpack: &mut Unpack<'_>,
        bound: &[Rc<Bound>],
        programs: &mut Programs,
    ) -> Result<Generation, Unreadable> {
        let (number, read) = (unpack.number()?, Duration::from_secs(unpack.number()?));
        let phase = Phase::unpack(unpack)?;
        let drain_at = unpack.option(Unpack::number)?.map(at);
        let (program, settings, keys) = (unpack.shared()?, unpack.owned()?, unpack.owned()?);
        let (worker_as, spawner_as) = (unpack.option(unpack_identity)?, unpack.option(unpack_identity)?);
        let (log_targets, error_log) = unpack_targets(unpack)?;
        let lines = unpack.list(|unpack| Ok((Channel::from(unpack.owned()?), Channel::from(unpack.owned()?))))?;
        let place = |unpack: &mut Unpack<'_>| {
            let place = usize::try_from(unpack.number()?).map_err(|_| Unreadable)?;
            bound.get(place).cloned().ok_or(Unreadable)
        };
        let listeners = unpack.list(place)?;
        let logs = OpenLogs::open(&log_targets, error_log, programs).or_else(|error| {
            // Its roles have theirs open; only one that is started again would miss it.
            say("launcher", Weight::Error, &error);
            OpenLogs::open(&vec![LogTarget::Stderr; log_targets.len()], error_log, programs)
        });
        Ok(Generation {
            number,
            read: SystemTime::UNIX_EPOCH.checked_add(read).ok_or(Unreadable)?,
            worker: RoleProcess::unpack(Role::Worker, unpack)?,
            spawner: RoleProcess::unpack(Role::Spawner, unpack)?,
            listeners,
            logs: logs.map_err(|_| Unreadable)?,
            // Its map programs go on while they live; the generation that follows has its own.
            maps: Maps::default(),
            reports: Reports::default(),
            phase,
            orphans: Vec::new(),
            questions: Vec::new(),
            answers: Keyring::default(),
            news: Vec::new(),
            worker_begun: true,
            drain_at,
            drain_limit: Duration::ZERO,
            shows_draining: false,
            program,
            settings,
            keys,
            worker_as,
            spawner_as,
            lines,
        })
    }
}

impl Phase {
    fn pack(self, pack: &mut Pack<'_>) {
        match self {
            Phase::Starting(until) => pack.tag(0).number(left(until)),
            Phase::Serving => pack.tag(1),
            Phase::Draining => pack.tag(2),
            Phase::Stopping(until) => pack.tag(3).number(left(until)),
            Phase::Killed => pack.tag(4),
        };
    }

    fn unpack(unpack: &mut Unpack<'_>) -> Result<Phase, Unreadable> {
        Ok(match unpack.tag()? {
            0 => Phase::Starting(at(unpack.number()?)),
            1 => Phase::Serving,
            2 => Phase::Draining,
            3 => Phase::Stopping(at(unpack.number()?)),
            4 => Phase::Killed,
            _ => return Err(Unreadable),
        })
    }
}

/// Milliseconds from now on.
fn left(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(0)
}

fn at(left: u64) -> Instant {
    Instant::now() + Duration::from_millis(left.min(1_000_000_000))
}

fn pack_identity(pack: &mut Pack<'_>, identity: &Identity) {
    pack.number(identity.uid.into()).number(identity.gid.into());
    pack.list(identity.groups.iter(), |pack, group| {
        pack.number((*group).into());
    });
}

fn unpack_identity(unpack: &mut Unpack<'_>) -> Result<Identity, Unreadable> {
    let number = |unpack: &mut Unpack<'_>| u32::try_from(unpack.number()?).map_err(|_| Unreadable);
    Ok(Identity {
        uid: number(unpack)?,
        gid: number(unpack)?,
        groups: unpack.list(number)?,
    })
}
