//! The server's numbers for Prometheus (`SetHandler metrics`), in its text format 0.0.4. Counters count what the access log
//! tells line by line, so that both come to the same.

use std::fmt::{Display, Write};

use crate::base::version::VERSION;
use crate::exchange::Exchange;
use crate::exchange::response::Outcome;
use crate::exchange::state::{Phase, State};
use crate::exchange::tally::LIMITS;
use crate::handlers::status::answer;
use crate::handlers::status::words::{micros, ratio};
use crate::process::report::ProcessReport;

/// The answer.
pub fn run(ex: &Exchange, state: &State) -> Outcome {
    let page = Page::of(ex, state);
    Outcome::Reply(answer("text/plain; version=0.0.4; charset=utf-8", page.0.into_bytes()))
}

/// Metrics, one after the other.
#[derive(Default)]
struct Page(String);

/// What Prometheus is told a metric is.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Page {
    fn of(ex: &Exchange, state: &State) -> Page {
        let mut page = Page::default();
        page.about(state);
        page.requests(state);
        page.durations(state);
        page.sites(ex, state);
        page.connections(state);
        page.file_cache(state);
        page.scripts(state);
        page.backends(state);
        page.server(state);
        page
    }

    /// The lines before the samples of a metric.
    fn begin(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String does not fail.
        let _written = writeln!(self.0, "# HELP lychgate_{name} {help}\n# TYPE lychgate_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _written = write!(self.0, "lychgate_{name}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _written = write!(self.0, "{before}{label}=\"");
            for c in value.chars() {
                match c {
                    '\\' | '"' => self.0.extend(['\\', c]),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        let _written = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.begin(name, kind, help);
        self.sample(name, &[], value);
    }

    fn about(&mut self, state: &State) {
        self.begin("build_info", Kind::Gauge, "The version.");
        self.sample("build_info", &[("version", VERSION)], 1);
        let since = state.since.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let help = "When the worker began to serve, since the epoch; all counters begin there, with a reload anew.";
        self.one(
            "start_time_seconds",
            Kind::Gauge,
            help,
            format!("{}.{:03}", since.as_secs(), since.subsec_millis()),
        );
        self.one("threads", Kind::Gauge, "Threads that serve.", state.threads);
        let help = "Threads that did not tell their numbers in time; what they know is missing below.";
        self.one("threads_silent", Kind::Gauge, help, state.silent);
    }

    fn requests(&mut self, state: &State) {
        let tally = &state.work.tally;
        self.begin(
            "requests_total",
            Kind::Counter,
            "Requests that were answered, or whose clients have left (%m, %>s).",
        );
        for (method, status, count) in tally.answers() {
            self.sample(
                "requests_total",
                &[("method", method), ("status", &status.to_string())],
                count,
            );
        }
        for (name, help, value) in [
            (
                "requests_kept_total",
                "Of these, those on connections that had carried another one.",
                tally.kept,
            ),
            (
                "requests_aborted_total",
                "Of these, those whose connection broke before the answer was sent.",
                tally.aborted,
            ),
            (
                "request_bytes_total",
                "Bytes read for them, with heads and framing (%I).",
                tally.bytes_in,
            ),
            (
                "response_bytes_total",
                "Bytes sent, with heads and framing (%O).",
                tally.bytes_out,
            ),
            (
                "response_body_bytes_total",
                "Bytes of bodies that were sent (%B).",
                tally.body_bytes,
            ),
        ] {
            self.one(name, Kind::Counter, help, value);
        }
    }

    fn durations(&mut self, state: &State) {
        let tally = &state.work.tally;
        let name = "request_duration_seconds";
        self.begin(
            name,
            Kind::Histogram,
            "From the first byte of a request to the last of its answer (%D).",
        );
        let bucket = "request_duration_seconds_bucket";
        for (limit, count) in LIMITS.into_iter().zip(tally.within()) {
            let limit = micros(limit);
            let limit = limit.trim_end_matches('0').trim_end_matches('.');
            self.sample(bucket, &[("le", limit)], count);
        }
        self.sample(bucket, &[("le", "+Inf")], tally.requests);
        self.sample("request_duration_seconds_sum", &[], micros(tally.micros));
        self.sample("request_duration_seconds_count", &[], tally.requests);
        let help = "Of that time, what has passed until the first byte of the answer.";
        self.one(
            "request_wait_seconds_total",
            Kind::Counter,
            help,
            micros(tally.micros_before),
        );
    }

    fn sites(&mut self, ex: &Exchange, state: &State) {
        let names = ex.config.names_of_sites();
        let asked = || {
            let sites = names.iter().zip(&state.work.tally.sites);
            sites.filter(|(_, of)| of.requests > 0)
        };
        self.begin(
            "site_requests_total",
            Kind::Counter,
            "Requests by site: its name, or where its section begins.",
        );
        for (name, of) in asked() {
            self.sample("site_requests_total", &[("site", name)], of.requests);
        }
        self.begin("site_response_bytes_total", Kind::Counter, "Bytes sent by site.");
        for (name, of) in asked() {
            self.sample("site_response_bytes_total", &[("site", name)], of.bytes_out);
        }
    }

    fn connections(&mut self, state: &State) {
        self.begin("connections", Kind::Gauge, "Open connections of clients.");
        for phase in Phase::ALL {
            self.sample("connections", &[("state", phase.name())], state.work.phases.of(phase));
        }
        self.one(
            "connections_most",
            Kind::Gauge,
            "How many there may be.",
            state.most_connections,
        );
        self.one(
            "connections_total",
            Kind::Counter,
            "Connections that were taken.",
            state.work.accepted,
        );
    }

    fn file_cache(&mut self, state: &State) {
        let Some(cache) = &state.work.cache else { return };
        for (name, kind, help, value) in [
            (
                "file_cache_hits_total",
                Kind::Counter,
                "Requests answered by what is kept of files.",
                cache.hits,
            ),
            (
                "file_cache_misses_total",
                Kind::Counter,
                "Requests for which nothing was kept that could be given again.",
                cache.misses,
            ),
            (
                "file_cache_answers",
                Kind::Gauge,
                "Answers that are kept.",
                cache.entries,
            ),
            (
                "file_cache_contents",
                Kind::Gauge,
                "Of these, those with the content of their file.",
                cache.contents,
            ),
            (
                "file_cache_bytes",
                Kind::Gauge,
                "Memory that they take.",
                cache.bytes + cache.content_bytes,
            ),
            (
                "file_cache_room_bytes",
                Kind::Gauge,
                "Memory that they may take.",
                cache.room,
            ),
        ] {
            self.one(name, kind, help, value);
        }
    }

    fn scripts(&mut self, state: &State) {
        self.one(
            "scripts_running",
            Kind::Gauge,
            "Scripts that run or are being started.",
            state.busy_scripts,
        );
        self.one(
            "scripts_most",
            Kind::Gauge,
            "How many may run at once.",
            state.most_scripts,
        );
        self.one(
            "scripts_waiting",
            Kind::Gauge,
            "Requests that wait for their turn to start one.",
            state.waiting_for_scripts,
        );
        self.one(
            "scripts_started_total",
            Kind::Counter,
            "Scripts that were asked for.",
            state.work.scripts_started,
        );
    }

    fn backends(&mut self, state: &State) {
        if state.backends.is_empty() {
            return;
        }
        self.begin(
            "backend_requests",
            Kind::Gauge,
            "Requests that an application has, or that wait for a connection to it.",
        );
        for one in &state.backends {
            self.sample(
                "backend_requests",
                &[("protocol", one.scheme), ("address", &one.address)],
                one.active,
            );
        }
        self.begin(
            "backend_connections_kept",
            Kind::Gauge,
            "Connections that wait for the next request.",
        );
        for one in &state.backends {
            self.sample(
                "backend_connections_kept",
                &[("protocol", one.scheme), ("address", &one.address)],
                one.kept,
            );
        }
        self.begin(
            "backend_up",
            Kind::Gauge,
            "0 where the last attempt to reach it failed.",
        );
        for one in &state.backends {
            let up = u8::from(one.failed.is_none());
            self.sample("backend_up", &[("protocol", one.scheme), ("address", &one.address)], up);
        }
    }

    fn server(&mut self, state: &State) {
        let Some(server) = &state.server else { return };
        self.begin(
            "process_cpu_seconds_total",
            Kind::Counter,
            "Time of processors that a process of the server has used.",
        );
        for one in &server.processes {
            let cpu = one.usage.user + one.usage.system;
            let cpu = ratio(u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX), 1000, 3);
            self.sample("process_cpu_seconds_total", &labels(one, &one.pid.to_string()), cpu);
        }
        self.begin("process_resident_memory_bytes", Kind::Gauge, "Its memory.");
        for one in &server.processes {
            let memory = one.usage.memory;
            self.sample(
                "process_resident_memory_bytes",
                &labels(one, &one.pid.to_string()),
                memory,
            );
        }
        if server.services.is_empty() {
            return;
        }
        self.begin(
            "service_processes",
            Kind::Gauge,
            "Processes of a service that take requests.",
        );
        for one in &server.services {
            self.sample("service_processes", &[("service", &one.name)], one.processes.len());
        }
        self.begin(
            "service_requests_total",
            Kind::Counter,
            "Requests that they were given.",
        );
        for one in &server.services {
            self.sample("service_requests_total", &[("service", &one.name)], one.requests);
        }
        self.begin(
            "service_restarts_total",
            Kind::Counter,
            "How often one was started again that had ended unasked.",
        );
        for one in &server.services {
            self.sample("service_restarts_total", &[("service", &one.name)], one.restarts);
        }
        self.begin("service_resident_memory_bytes", Kind::Gauge, "Their memory together.");
        for one in &server.services {
            let memory: u64 = one.processes.iter().map(|process| process.usage.memory).sum();
            self.sample("service_resident_memory_bytes", &[("service", &one.name)], memory);
        }
    }
}

fn labels<'a>(one: &'a ProcessReport, pid: &'a str) -> [(&'a str, &'a str); 2] {
    [("role", &one.role), ("pid", pid)]
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn labels_are_quoted() {
        let mut page = Page::default();
        page.sample("x", &[("a", "1\\2\"3\n4"), ("b", "")], 7);
        page.sample("y", &[], 8);
        assert_eq!(page.0, "lychgate_x{a=\"1\\\\2\\\"3\\n4\",b=\"\"} 7\nlychgate_y 8\n");
    }
}
