//! What the launcher tells a worker of the server as a whole, for status pages: its processes and its services.

use std::time::Duration;

use super::usage::Usage;
use super::wire::{Malformed, Reader, Writer};

/// The server as its launcher knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerReport {
    /// How long the launcher has run.
    pub up: Duration,
    /// How many settings came into force before those of the worker that has asked.
    pub generation: u64,
    /// The launcher, workers, spawners, and programs beside them.
    pub processes: Vec<ProcessReport>,
    /// The services.
    pub services: Vec<ServiceReport>,
    /// The processes that were asked about, those that are there.
    pub asked: Vec<ProcessReport>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessReport {
    /// What it is: `launcher`, `worker`.
    pub role: String,
    /// Its number.
    pub pid: i32,
    /// How long it has run.
    pub age: Duration,
    /// What it has used.
    pub usage: Usage,
    /// How often one like it was started again.
    pub restarts: u64,
    /// How many requests it was given, if it is one of a service.
    pub requests: u64,
    /// How many connections it has, if it is one of a service.
    pub connections: u64,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceReport {
    /// Its name.
    pub name: String,
    /// What is to become of it: `running`.
    pub state: String,
    /// So many processes always run.
    pub least: u32,
    /// So many may.
    pub most: u32,
    /// How many take no request any more.
    pub leaving: u64,
    /// How many requests they were given.
    pub requests: u64,
    /// How often a process was started again.
    pub restarts: u64,
    /// Those that take requests.
    pub processes: Vec<ProcessReport>,
}

impl ServerReport {
    /// What the processes of the server itself have used together, and what scripts have that have ended.
    pub fn used(&self) -> Usage {
        let mut all = Usage::default();
        for Usage {
            user,
            system,
            children_user,
            children_system,
            memory,
        } in self.processes.iter().map(|process| process.usage)
        {
            all.user += user;
            all.system += system;
            all.children_user += children_user;
            all.children_system += children_system;
            all.memory += memory;
        }
        all
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        let writer = writer.u64(millis(self.up)).u64(self.generation);
        let writer = processes(writer, &self.processes);
        let writer = self
            .services
            .iter()
            .fold(writer.count(self.services.len()), |writer, one| {
                let writer = writer.bytes(one.name.as_bytes()).bytes(one.state.as_bytes());
                let writer = writer.u32(one.least).u32(one.most);
                processes(
                    writer.u64(one.leaving).u64(one.requests).u64(one.restarts),
                    &one.processes,
                )
            });
        processes(writer, &self.asked)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<ServerReport, Malformed> {
        Ok(ServerReport {
            up: Duration::from_millis(reader.u64()?),
            generation: reader.u64()?,
            processes: reader.list(process)?,
            services: reader.list(|reader| {
                Ok(ServiceReport {
                    name: text(reader)?,
                    state: text(reader)?,
                    least: reader.u32()?,
                    most: reader.u32()?,
                    leaving: reader.u64()?,
                    requests: reader.u64()?,
                    restarts: reader.u64()?,
                    processes: reader.list(process)?,
                })
            })?,
            asked: reader.list(process)?,
        })
    }
}

fn processes(writer: Writer, processes: &[ProcessReport]) -> Writer {
    processes.iter().fold(writer.count(processes.len()), |writer, one| {
        let writer = writer.bytes(one.role.as_bytes()).i32(one.pid);
        let Usage {
            user,
            system,
            children_user,
            children_system,
            memory,
        } = one.usage;
        let times = [one.age, user, system, children_user, children_system];
        let writer = times.iter().fold(writer, |writer, time| writer.u64(millis(*time)));
        let writer = writer.u64(memory);
        writer.u64(one.restarts).u64(one.requests).u64(one.connections)
    })
}

fn process(reader: &mut Reader<'_>) -> Result<ProcessReport, Malformed> {
    Ok(ProcessReport {
        role: text(reader)?,
        pid: reader.i32()?,
        age: Duration::from_millis(reader.u64()?),
        usage: Usage {
            user: Duration::from_millis(reader.u64()?),
            system: Duration::from_millis(reader.u64()?),
            children_user: Duration::from_millis(reader.u64()?),
            children_system: Duration::from_millis(reader.u64()?),
            memory: reader.u64()?,
        },
        restarts: reader.u64()?,
        requests: reader.u64()?,
        connections: reader.u64()?,
    })
}

fn text(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    String::from_utf8(reader.bytes()?).map_err(|_| Malformed)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
