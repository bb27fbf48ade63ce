//! Services that go on under another version of the launcher: their sockets, their processes, and what is known of them.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::Services;
use super::process::Running;
use super::service::{Leaving, Service, Slot};
use super::socket::{Directory, Listening};
use super::status::State;
use crate::config::directives::service::CrashLimit;
use crate::launcher::plan::ServicePlan;
use crate::launcher::roles::{pack_child, unpack_child};
use crate::process::handover::{Pack, Unpack, Unreadable};

impl Services {
    /// Packs all.
    pub(in crate::launcher) fn pack<'a>(&'a self, pack: &mut Pack<'a>) {
        pack.number(self.serial);
        pack.option(self.directory.as_ref(), |pack, directory| {
            pack_path(pack, directory.path());
        });
        pack.option(self.settings.as_ref(), |pack, settings| {
            pack.descriptor(settings.as_fd());
        });
        pack.list(self.list.iter(), pack_service);
        pack.list(self.gone.iter(), pack_service);
    }

    /// Reads what was packed. Deaths that were counted are forgotten.
    pub(in crate::launcher) fn unpack(unpack: &mut Unpack<'_>) -> Result<Services, Unreadable> {
        Ok(Services {
            serial: unpack.number()?,
            directory: unpack.option(unpack_path)?.map(Directory::of_ours),
            settings: unpack.option(Unpack::owned)?,
            before: None,
            list: unpack.list(unpack_service)?,
            gone: unpack.list(unpack_service)?,
            fresh: Vec::new(),
            has_log: false,
            ended: Vec::new(),
        })
    }
}

fn pack_path(pack: &mut Pack<'_>, path: &Path) {
    pack.bytes(path.as_os_str().as_bytes());
}

fn unpack_path(unpack: &mut Unpack<'_>) -> Result<PathBuf, Unreadable> {
    Ok(PathBuf::from(OsString::from_vec(unpack.bytes()?)))
}

fn pack_service<'a>(pack: &mut Pack<'a>, service: &'a Service) {
    pack_plan(pack, &service.plan);
    pack.tag(match service.state {
        State::Running => 0,
        State::Stopped => 1,
        State::Failed => 2,
    });
    pack.number(service.requests).number(service.restarts);
    pack.list(service.slots.iter(), |pack, slot| {
        pack.option(slot.socket.as_deref(), pack_socket);
        pack.option(slot.running.as_ref(), pack_running);
    });
    pack.list(service.leaving.iter(), |pack, leaving| {
        pack_socket(pack, &leaving.socket);
        pack_running(pack, &leaving.running);
    });
}

fn unpack_service(unpack: &mut Unpack<'_>) -> Result<Service, Unreadable> {
    let mut service = Service::new(unpack_plan(unpack)?);
    service.state = match unpack.tag()? {
        0 => State::Running,
        1 => State::Stopped,
        2 => State::Failed,
        _ => return Err(Unreadable),
    };
    service.requests = unpack.number()?;
    service.restarts = unpack.number()?;
    service.slots = unpack.list(|unpack| {
        Ok(Slot {
            socket: unpack.option(unpack_socket)?.map(Rc::new),
            running: unpack.option(unpack_running)?,
            ..Slot::default()
        })
    })?;
    service.leaving = unpack.list(|unpack| {
        let socket = Rc::new(unpack_socket(unpack)?);
        Ok(Leaving::draining(unpack_running(unpack)?, socket))
    })?;
    Ok(service)
}

fn pack_socket<'a>(pack: &mut Pack<'a>, socket: &'a Listening) {
    pack.descriptor(socket.as_fd());
    pack_path(pack, &socket.bound);
}

fn unpack_socket(unpack: &mut Unpack<'_>) -> Result<Listening, Unreadable> {
    Ok(Listening {
        fd: unpack.owned()?,
        bound: unpack_path(unpack)?,
    })
}

fn pack_running<'a>(pack: &mut Pack<'a>, running: &'a Running) {
    pack_child(pack, &running.child);
    let age = u64::try_from(running.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    pack.number(running.requests).number(age);
    pack.option(running.output(), |pack, output| {
        pack.descriptor(output);
    });
}

fn unpack_running(unpack: &mut Unpack<'_>) -> Result<Running, Unreadable> {
    let child = unpack_child(unpack)?;
    let requests = unpack.number()?;
    let age = Duration::from_millis(unpack.number()?);
    Ok(Running::taken_over(child, requests, age, unpack.option(Unpack::owned)?))
}

fn pack_plan(pack: &mut Pack<'_>, plan: &ServicePlan) {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    pack.bytes(plan.name.as_bytes()).bytes(&plan.description);
    pack.number(plan.least.into())
        .number(plan.most.into())
        .number(millis(plan.idle))
        .number(plan.max_requests)
        .number(millis(plan.max_lifetime))
        .number(plan.max_memory)
        .number(plan.queue.into())
        .number(millis(plan.watchdog))
        .number(plan.crash_limit.deaths.into())
        .number(millis(plan.crash_limit.within))
        .number(millis(plan.grace));
}

fn unpack_plan(unpack: &mut Unpack<'_>) -> Result<ServicePlan, Unreadable> {
    fn narrow<T: TryFrom<u64>>(unpack: &mut Unpack<'_>) -> Result<T, Unreadable> {
        T::try_from(unpack.number()?).map_err(|_| Unreadable)
    }
    let time = |unpack: &mut Unpack<'_>| unpack.number().map(Duration::from_millis);
    Ok(ServicePlan {
        name: String::from_utf8(unpack.bytes()?).map_err(|_| Unreadable)?,
        description: unpack.bytes()?,
        least: narrow(unpack)?,
        most: narrow(unpack)?,
        idle: time(unpack)?,
        max_requests: unpack.number()?,
        max_lifetime: time(unpack)?,
        max_memory: unpack.number()?,
        queue: narrow(unpack)?,
        watchdog: time(unpack)?,
        crash_limit: CrashLimit {
            deaths: narrow(unpack)?,
            within: time(unpack)?,
        },
        grace: time(unpack)?,
    })
}
