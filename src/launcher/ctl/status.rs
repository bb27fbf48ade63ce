//! The state of the server, as people read it and as programs do.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::super::generation::{Generation, Phase};
use super::super::roles::RoleProcess;
use super::super::{Ending, Launcher, services};
use crate::base::json::Json;
use crate::base::version::VERSION;
use crate::process::counts::Counts;
use crate::process::descendants::age;

/// How a status is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Text,
    /// One object in one line.
    Json,
}

/// The whole server.
pub(super) struct Status {
    pid: i32,
    state: &'static str,
    configuration: Option<String>,
    control_socket: Option<String>,
    pid_file: Option<String>,
    refused: Option<String>,
    listeners: Vec<String>,
    generations: Vec<GenerationStatus>,
    log_programs: Vec<ProcessStatus>,
    services: Vec<services::Status>,
}

/// A worker and its spawner.
struct GenerationStatus {
    number: u64,
    state: &'static str,
    read: SystemTime,
    worker: ProcessStatus,
    counts: Option<Counts>,
    spawner: ProcessStatus,
    scripts: Option<u64>,
    maps: Vec<ProcessStatus>,
}

/// A process of the server.
pub(in crate::launcher) struct ProcessStatus {
    /// What it is: the name of a map, a command line.
    pub(in crate::launcher) name: String,
    /// Its number, while it runs.
    pub(in crate::launcher) pid: Option<i32>,
    /// How often it was started again.
    pub(in crate::launcher) restarts: u32,
}

impl Launcher<'_> {
    /// All there is to show, with what the roles have answered to this question.
    pub(super) fn status(&self, question: u64) -> Status {
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.generation);
        let generations = self.current.iter().chain(candidate).chain(&self.old);
        let path = |path: &std::path::Path| path.display().to_string();
        let listeners = self.current.iter().flat_map(|current| &current.listeners);
        Status {
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            state: match self.ending {
                Ending::No if self.current.is_none() => "starting",
                Ending::No => "serving",
                Ending::Graceful(_) => "draining",
                Ending::Now(_) => "stopping",
            },
            configuration: self.plan.as_ref().and_then(|plan| plan.file.as_deref()).map(path),
            control_socket: self.desk.socket.as_ref().map(|socket| path(socket.path())),
            pid_file: self.pid_file.as_ref().map(|file| path(file.path())),
            refused: self.desk.refused.clone(),
            listeners: listeners.map(|bound| bound.local.to_string()).collect(),
            generations: generations.map(|one| one.status(question)).collect(),
            log_programs: self.programs.status().collect(),
            services: self.services.status(),
        }
    }
}

impl Generation {
    fn status(&self, question: u64) -> GenerationStatus {
        GenerationStatus {
            number: self.number,
            state: match self.phase {
                Phase::Starting(_) => "starting",
                Phase::Serving => "serving",
                Phase::Draining => "draining",
                Phase::Stopping(_) | Phase::Killed => "stopping",
            },
            read: self.read,
            worker: role(&self.worker),
            counts: self.counts(question),
            spawner: role(&self.spawner),
            scripts: self.scripts(question),
            maps: self.maps.status().collect(),
        }
    }
}

fn role(process: &RoleProcess) -> ProcessStatus {
    ProcessStatus {
        name: String::new(),
        pid: process.child.as_ref().map(|child| child.pid),
        restarts: process.restarts(),
    }
}

impl Form {
    pub(super) fn shown(self, status: &Status) -> String {
        match self {
            Form::Text => status.text(),
            Form::Json => status.json().to_string(),
        }
    }
}

impl Status {
    fn text(&self) -> String {
        let up = age(self.pid).map_or_else(String::new, |age| format!(", up {}", span(age)));
        let mut text = format!("lychgate {VERSION}, pid {}, {}{up}\n", self.pid, self.state);
        let mut row = |name: &str, value: &str| {
            // Writing to a String does not fail.
            let _written = writeln!(text, "{name:<16}{value}");
        };
        if let Some(configuration) = &self.configuration {
            row("configuration", configuration);
        }
        if let Some(refused) = &self.refused {
            let first = refused.lines().next().unwrap_or_default();
            row("last reload", &format!("refused: {first}"));
        }
        if !self.listeners.is_empty() {
            row("listening on", &self.listeners.join(", "));
        }
        for generation in &self.generations {
            let read = time(generation.read);
            let said = format!("{}, {}, settings read {read}", generation.number, generation.state);
            row("generation", &said);
            row("  worker", &(generation.worker.text() + &counted(generation.counts)));
            let scripts = generation
                .scripts
                .map_or(String::new(), |scripts| format!("; scripts {scripts}"));
            row("  spawner", &(generation.spawner.text() + &scripts));
            for map in &generation.maps {
                row("  map program", &format!("{}; {}", map.text(), map.name));
            }
        }
        for program in &self.log_programs {
            row("log program", &format!("{}; {}", program.text(), program.name));
        }
        for service in &self.services {
            row("service", &service_text(service));
            for process in &service.processes {
                row("  process", &service_process_text(process));
            }
        }
        text
    }

    fn json(&self) -> Json {
        let generations = self.generations.iter().map(GenerationStatus::json).collect();
        let programs = self.log_programs.iter().map(ProcessStatus::json).collect();
        Json::Object(vec![
            ("version", VERSION.into()),
            ("pid", number(self.pid)),
            ("state", self.state.into()),
            ("uptime", age(self.pid).map(|age| age.as_secs()).into()),
            ("configuration", self.configuration.clone().into()),
            ("pid_file", self.pid_file.clone().into()),
            ("control_socket", self.control_socket.clone().into()),
            ("last_reload_error", self.refused.clone().into()),
            ("listeners", self.listeners.clone().into()),
            ("generations", Json::List(generations)),
            ("log_programs", Json::List(programs)),
            ("services", Json::List(self.services.iter().map(service_json).collect())),
        ])
    }
}

impl GenerationStatus {
    fn json(&self) -> Json {
        let counts = self.counts.map(|counts| {
            Json::Object(vec![
                ("connections", counts.connections.into()),
                ("requests", counts.requests.into()),
                ("scripts", counts.scripts.into()),
                ("waiting", counts.waiting.into()),
                ("answered", counts.answered.into()),
                ("bytes", counts.bytes.into()),
            ])
        });
        Json::Object(vec![
            ("number", self.number.into()),
            ("state", self.state.into()),
            ("settings_read", time(self.read).into()),
            ("worker", self.worker.json()),
            ("work", counts.into()),
            ("spawner", self.spawner.json()),
            ("scripts", self.scripts.into()),
            (
                "map_programs",
                Json::List(self.maps.iter().map(ProcessStatus::json).collect()),
            ),
        ])
    }
}

impl ProcessStatus {
    fn age(&self) -> Option<Duration> {
        self.pid.and_then(age)
    }

    fn text(&self) -> String {
        let up = self.age().map_or_else(String::new, |age| format!(", up {}", span(age)));
        let process = self
            .pid
            .map_or_else(|| "not running".to_owned(), |pid| format!("pid {pid}{up}"));
        match self.restarts {
            0 => process,
            times => format!("{process}, restarts {times}"),
        }
    }

    fn json(&self) -> Json {
        let mut members = vec![
            ("pid", self.pid.map(number).into()),
            ("uptime", self.age().map(|age| age.as_secs()).into()),
            ("restarts", u64::from(self.restarts).into()),
        ];
        if !self.name.is_empty() {
            members.insert(0, ("name", self.name.as_str().into()));
        }
        Json::Object(members)
    }
}

/// A service in one line.
pub(super) fn service_text(service: &services::Status) -> String {
    let services::Status {
        name,
        state,
        least,
        most,
        processes,
        leaving,
        requests,
        restarts,
    } = service;
    let running = processes.len();
    let finishing = counted_if("finishing", Some(*leaving as u64).filter(|leaving| *leaving > 0));
    let restarts = counted_if("restarts", Some(*restarts).filter(|restarts| *restarts > 0));
    format!("{name}: {state}; processes {running} (of {least} to {most}), requests {requests}{finishing}{restarts}")
}

/// One process of a service.
pub(super) fn service_process_text(process: &services::ProcessStatus) -> String {
    let services::ProcessStatus { pid, requests, .. } = process;
    let connections = counted_if("connections", process.connections.map(|count| count as u64));
    let memory = counted_if("memory KiB", process.memory.map(|bytes| bytes / 1024));
    format!(
        "pid {pid}, up {}; requests {requests}{connections}{memory}",
        span(process.age)
    )
}

/// A number with its name, where there is one.
fn counted_if(name: &str, number: Option<u64>) -> String {
    number.map_or_else(String::new, |number| format!(", {name} {number}"))
}

/// A service as an object.
pub(super) fn service_json(service: &services::Status) -> Json {
    let process = |process: &services::ProcessStatus| {
        Json::Object(vec![
            ("pid", number(process.pid)),
            ("uptime", process.age.as_secs().into()),
            ("requests", process.requests.into()),
            ("connections", process.connections.map(|count| count as u64).into()),
            ("memory", process.memory.into()),
        ])
    };
    Json::Object(vec![
        ("name", service.name.as_str().into()),
        ("state", service.state.name().into()),
        ("least", u64::from(service.least).into()),
        ("most", u64::from(service.most).into()),
        ("processes", Json::List(service.processes.iter().map(process).collect())),
        ("finishing", (service.leaving as u64).into()),
        ("requests", service.requests.into()),
        ("restarts", service.restarts.into()),
    ])
}

/// What a worker has in hand and has done.
fn counted(counts: Option<Counts>) -> String {
    let Some(counts) = counts else { return String::new() };
    let Counts {
        connections,
        requests,
        scripts,
        waiting,
        answered,
        bytes,
    } = counts;
    format!(
        "; connections {connections}, requests {requests}, scripts {scripts}, waiting {waiting}; answered {answered}, bytes {bytes}"
    )
}

fn number(pid: i32) -> Json {
    Json::Number(pid.unsigned_abs().into())
}

/// A time span in its two largest units.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}min {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}min"),
        (_, _, _) => format!("{days}d {hours}h"),
    }
}

/// A time in UTC (RFC 3339).
fn time(at: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(at).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::span;

    #[test]
    fn spans_are_told_in_two_units() {
        for (seconds, told) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1min 0s"),
            (3599, "59min 59s"),
            (3660, "1h 1min"),
            (86_399, "23h 59min"),
            (90_000, "1d 1h"),
            (40 * 86_400, "40d 0h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), told);
        }
    }
}
