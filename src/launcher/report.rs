//! What a worker is told of the whole server, when a client asks it for the status page: processes, services, and what its
//! scripts have used. The worker itself may not look into /proc.

use super::Launcher;
use super::ctl::ProcessStatus;
use super::generation::Generation;
use super::roles::RoleProcess;
use super::services;
use crate::process::descendants::age;
use crate::process::message::ToWorker;
use crate::process::report::{ProcessReport, ServerReport, ServiceReport};
use crate::process::usage::Usage;

/// So many questions of a worker are answered at a time; who asks more waits in vain, and is shown less.
const MOST_QUESTIONS: usize = 16;

/// So many scripts are told of.
const MOST_SCRIPTS: usize = 200;

impl Launcher<'_> {
    /// Answers what workers have asked.
    pub(super) fn tell_of_server(&mut self) {
        if self.generations().all(|generation| generation.questions.is_empty()) {
            return;
        }
        let (processes, services) = (self.processes(), self.services.status());
        let up = age(own_pid()).unwrap_or_default();
        for generation in self.generations() {
            let questions = std::mem::take(&mut generation.questions);
            for (number, pids) in questions.into_iter().take(MOST_QUESTIONS) {
                let report = ServerReport {
                    up,
                    generation: generation.number,
                    processes: processes.clone(),
                    services: services.iter().map(service).collect(),
                    asked: pids.into_iter().take(MOST_SCRIPTS).filter_map(asked).collect(),
                };
                let report = Box::new(report);
                generation.worker.tell(&ToWorker::Server { number, report });
            }
        }
    }

    fn processes(&self) -> Vec<ProcessReport> {
        let own = ProcessStatus {
            name: "launcher".to_owned(),
            pid: Some(own_pid()),
            restarts: 0,
        };
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.generation);
        let generations = self.current.iter().chain(candidate).chain(&self.old);
        let programs = self.programs.status().map(|one| named("log program", &one));
        std::iter::once(own)
            .chain(generations.flat_map(of_generation))
            .chain(programs)
            .filter_map(reported)
            .collect()
    }
}

fn of_generation(generation: &Generation) -> Vec<ProcessStatus> {
    let role = |name: &str, process: &RoleProcess| ProcessStatus {
        name: format!("{name} {}", generation.number),
        pid: process.child.as_ref().map(|child| child.pid),
        restarts: process.restarts(),
    };
    let maps = generation.maps.status().map(|one| named("map program", &one));
    [role("worker", &generation.worker), role("spawner", &generation.spawner)]
        .into_iter()
        .chain(maps)
        .collect()
}

/// Of a command line the program alone: what follows may be no one else's affair.
fn named(kind: &str, one: &ProcessStatus) -> ProcessStatus {
    let program = one.name.split_ascii_whitespace().next().unwrap_or_default();
    ProcessStatus {
        name: format!("{kind} {program}"),
        pid: one.pid,
        restarts: one.restarts,
    }
}

/// One that does not run at the moment is left out.
fn reported(one: ProcessStatus) -> Option<ProcessReport> {
    let pid = one.pid?;
    Some(ProcessReport {
        role: one.name,
        pid,
        age: age(pid)?,
        usage: Usage::of(pid)?,
        restarts: one.restarts.into(),
        ..ProcessReport::default()
    })
}

fn asked(pid: i32) -> Option<ProcessReport> {
    let usage = Usage::of(pid)?;
    Some(ProcessReport {
        pid,
        usage,
        ..ProcessReport::default()
    })
}

fn service(one: &services::Status) -> ServiceReport {
    let process = |process: &services::ProcessStatus| ProcessReport {
        pid: process.pid,
        age: process.age,
        usage: Usage::of(process.pid).unwrap_or_default(),
        requests: process.requests,
        connections: process.connections.unwrap_or(0) as u64,
        ..ProcessReport::default()
    };
    ServiceReport {
        name: one.name.clone(),
        state: one.state.name().to_owned(),
        least: one.least.into(),
        most: one.most.into(),
        leaving: one.leaving as u64,
        requests: one.requests,
        restarts: one.restarts,
        processes: one.processes.iter().map(process).collect(),
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}
