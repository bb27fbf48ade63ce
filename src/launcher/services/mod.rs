//! The services of the settings (`<Service>`): their sockets are made and their processes started before anybody asks, and
//! both outlive generations. A reload keeps those whose sections are the same.
//!
//! A process has a listening socket of its own under a name that stays. Who dies has a successor on the same socket, so that
//! what waits there loses nothing. Who is to be replaced keeps his socket, and the name goes to another: when the kernel
//! counts no connection to the old one any more, the old process is told to end.

mod census;
mod crashes;
mod handover;
mod process;
mod service;
mod socket;
mod status;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::plan::{Plan, ServicePlan};
use super::roles::Stock;
use crate::process::identity::Identity;
use crate::process::memfd;
use crate::process::pidfd::Ended;

use census::Census;
use service::Service;
use socket::Directory;

pub use status::{ProcessStatus, State, Status};

/// All services, those among them that are about to go.
#[derive(Debug, Default)]
pub struct Services {
    directory: Option<Directory>,
    /// The settings' text, from which a process learns what it is to be.
    settings: Option<OwnedFd>,
    /// The text in force, while `settings` is that of a plan that is not yet.
    before: Option<OwnedFd>,
    list: Vec<Service>,
    /// Those that the settings do not have any more, until their last process has ended.
    gone: Vec<Service>,
    /// The names of those that were started for settings that are not in force yet.
    fresh: Vec<String>,
    /// Whether settings are in force, and with them an error log: before that nobody is listened to, for what is said in the
    /// first moments belongs there too.
    has_log: bool,
    /// Processes that have ended before.
    ended: Vec<(i32, Ended)>,
    serial: u64,
}

/// What services are made with.
struct Means<'a> {
    directory: &'a Directory,
    settings: BorrowedFd<'a>,
    stock: &'a Stock,
    /// Where connections were counted this time.
    census: Option<Census>,
    serial: &'a mut u64,
}

impl Means<'_> {
    /// A number for a socket, used once.
    fn serial(&mut self) -> u64 {
        *self.serial += 1;
        *self.serial
    }
}

/// What a worker says of a process of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It was given so many requests.
    Served(Vec<u8>, u32, u64),
    /// It is stuck.
    Silent(Vec<u8>, u32),
}

impl Services {
    /// Starts the services of a plan that were not there before: who serves by it finds them. The others are left as they
    /// are until [`Services::settle`].
    pub(super) fn prepare(&mut self, plan: &Plan, owner: Option<&Identity>, stock: &Stock) -> Result<(), String> {
        if plan.service_dir.as_os_str().is_empty() {
            return Ok(());
        }
        let is_new = |wanted: &&ServicePlan| !self.list.iter().any(|known| known.plan.name == wanted.name);
        let new: Vec<ServicePlan> = plan.services.iter().filter(is_new).cloned().collect();
        self.make_directory(&plan.service_dir, owner)?;
        if self.settings.is_none() || !new.is_empty() {
            self.before = self.settings.take();
            self.take_settings(&plan.settings)?;
        }
        for plan in new {
            self.fresh.push(plan.name.clone());
            self.list.push(Service::new(plan));
            let at = self.list.len() - 1;
            if let Some(Err(error)) = self.with(at, stock, Service::begin) {
                return Err(error);
            }
        }
        Ok(())
    }

    fn make_directory(&mut self, path: &Path, owner: Option<&Identity>) -> Result<(), String> {
        match &self.directory {
            Some(made) if made.path() == path => Ok(()),
            Some(made) => Err(format!(
                "ServiceDir: the sockets are in {}, and stay there while the server runs; restart it to move them",
                made.path().display()
            )),
            None => {
                self.directory = Some(Directory::make(path, owner)?);
                Ok(())
            }
        }
    }

    fn take_settings(&mut self, text: &[u8]) -> Result<(), String> {
        let told = |error: io::Error| format!("cannot prepare the services: {error}");
        self.settings = Some(memfd::sealed("lychgate settings", text).map_err(told)?);
        Ok(())
    }

    /// The settings of a plan did not come into force: the services that were started for it go, and whoever is started again is
    /// what it was.
    pub(super) fn revert(&mut self, stock: &Stock) {
        if let Some(before) = self.before.take() {
            self.settings = Some(before);
        }
        let fresh = std::mem::take(&mut self.fresh);
        self.drop_all_but(|name| !fresh.iter().any(|new| new == name), stock);
    }

    /// The settings of a plan are in force: services that they describe otherwise are replaced, those that they do not have
    /// go, and those that had failed get another chance.
    pub(super) fn settle(&mut self, plan: &Plan, stock: &Stock) -> Result<(), String> {
        self.has_log = true;
        if self.directory.is_none() {
            return Ok(());
        }
        self.take_settings(&plan.settings)?;
        self.before = None;
        self.fresh.clear();
        self.drop_all_but(|name| plan.services.iter().any(|kept| kept.name == name), stock);
        let mut result = Ok(());
        for wanted in &plan.services {
            let Some(at) = self.list.iter().position(|known| known.plan.name == wanted.name) else {
                continue;
            };
            let done = self.with(at, stock, |service, means| {
                if service.plan != *wanted {
                    service.become_as(wanted.clone(), means)
                } else if service.state == State::Failed {
                    service.revive(means)
                } else {
                    Ok(())
                }
            });
            result = result.and(done.unwrap_or(Ok(())));
        }
        for (pid, ended) in std::mem::take(&mut self.ended) {
            self.notice_end(pid, &ended, stock);
        }
        result
    }

    /// Those that are not kept go when they have answered what they had.
    fn drop_all_but(&mut self, is_kept: impl Fn(&str) -> bool, stock: &Stock) {
        while let Some(at) = self.list.iter().position(|known| !is_kept(&known.plan.name)) {
            self.with(at, stock, |service, means| service.close(State::Stopped, means));
            let service = self.list.remove(at);
            self.gone.push(service);
        }
    }

    /// Does something with a service.
    fn with<T>(&mut self, at: usize, stock: &Stock, work: impl FnOnce(&mut Service, &mut Means<'_>) -> T) -> Option<T> {
        let directory = self.directory.as_ref()?;
        let mut means = Means {
            directory,
            settings: self.settings.as_ref()?.as_fd(),
            stock,
            census: None,
            serial: &mut self.serial,
        };
        Some(work(self.list.get_mut(at)?, &mut means))
    }

    fn all(&self) -> impl Iterator<Item = &Service> {
        self.list.iter().chain(&self.gone)
    }

    /// What is to be waited for.
    pub(super) fn polled(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let now = Instant::now();
        let heard = self.all().filter(|_| self.has_log);
        heard.flat_map(move |service| service.polled(now))
    }

    /// When something is to be done without an occasion.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let now = Instant::now();
        let seen_to = self.all().filter(|_| self.has_log);
        seen_to.filter_map(|service| service.next_time(now)).min()
    }

    /// Their processes.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        self.all().flat_map(Service::pids)
    }

    /// Logs what they say, and does what is due.
    pub(super) fn pass_time(&mut self, now: Instant, stock: &Stock) {
        let Services {
            directory: Some(directory),
            settings: Some(settings),
            list,
            gone,
            serial,
            has_log: true,
            ..
        } = self
        else {
            return;
        };
        let counts = list.iter().chain(gone.iter()).any(|service| service.wants_census(now));
        let mut means = Means {
            directory,
            settings: settings.as_fd(),
            stock,
            census: counts.then(|| Census::take(directory.path())),
            serial,
        };
        for service in list.iter_mut().chain(gone.iter_mut()) {
            service.listen();
            service.pass_time(now, &mut means);
        }
        gone.retain(|service| !service.leaving.is_empty());
    }

    /// Was this a process of one of them? Then what follows from its end is done.
    pub(super) fn notice_end(&mut self, pid: i32, ended: &Ended, stock: &Stock) -> bool {
        let has_it = |service: &Service| service.pids().any(|own| own == pid);
        if !self.has_log && self.all().any(has_it) {
            self.ended.push((pid, *ended));
            return true;
        }
        if let Some(at) = self.list.iter().position(has_it) {
            self.with(at, stock, |service, means| service.notice_end(pid, ended, means));
            return true;
        }
        match self.gone.iter_mut().find(|service| has_it(service)) {
            Some(service) => service.forget(pid),
            None => false,
        }
    }

    /// Takes what a worker says.
    pub(super) fn hear(&mut self, news: &News, stock: &Stock) {
        let (News::Served(name, number, _) | News::Silent(name, number)) = news;
        let number = u16::try_from(*number).unwrap_or(u16::MAX);
        let is_it = |service: &Service| service.plan.name.as_bytes() == name.as_slice();
        let Some(at) = self.list.iter().position(is_it) else {
            return;
        };
        match news {
            News::Served(_, _, requests) => {
                self.with(at, stock, |service, means| service.served(number, *requests, means));
            }
            News::Silent(..) => {
                self.with(at, stock, |service, means| service.is_stuck(number, means));
            }
        }
    }

    /// The processes, by service and number, that others have taken the places of since this was last asked.
    pub(super) fn take_renewed(&mut self) -> Vec<(String, u16)> {
        let mut renewed = Vec::new();
        for service in &mut self.list {
            let name = service.plan.name.clone();
            renewed.extend(service.take_renewed().into_iter().map(|number| (name.clone(), number)));
        }
        renewed
    }

    /// Ends all: they have `grace` for it; then they are killed.
    pub(super) fn finish(self, grace: Duration) {
        self.all().for_each(Service::tell_to_end);
        let until = Instant::now() + grace;
        for service in self.list.into_iter().chain(self.gone) {
            service.end_by(until);
        }
        if let Some(directory) = &self.directory {
            directory.remove();
        }
    }
}

/// What somebody asks of services (`lychgate ctl`). An error is a sentence.
impl Services {
    /// How all of them do, in the order of the settings.
    pub fn status(&self) -> Vec<Status> {
        let census = match &self.directory {
            Some(directory) => Census::take(directory.path()),
            None => Census::default(),
        };
        self.list.iter().map(|service| service.status(&census)).collect()
    }

    /// Replaces the processes of a service without losing a request; starts one that does not run.
    pub(super) fn restart(&mut self, name: &str, stock: &Stock) -> Result<(), String> {
        self.ask(name, stock, |service, means| match service.state {
            State::Running => {
                service.replace_all(means);
                Ok(())
            }
            State::Stopped | State::Failed => service.revive(means),
        })
    }

    /// Starts a service that was stopped or has failed.
    pub(super) fn start(&mut self, name: &str, stock: &Stock) -> Result<(), String> {
        self.ask(name, stock, |service, means| match service.state {
            State::Running => Ok(()),
            State::Stopped | State::Failed => service.revive(means),
        })
    }

    /// Stops a service: new requests get a 503 at once, and its processes end when they have answered what they have.
    pub(super) fn stop(&mut self, name: &str, stock: &Stock) -> Result<(), String> {
        self.ask(name, stock, |service, means| {
            service.close(State::Stopped, means);
            Ok(())
        })
    }

    fn ask(
        &mut self,
        name: &str,
        stock: &Stock,
        work: impl FnOnce(&mut Service, &mut Means<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let at = self.list.iter().position(|service| service.plan.name == name);
        at.and_then(|at| self.with(at, stock, work))
            .ok_or_else(|| format!("there is no service `{name}`"))?
    }
}
