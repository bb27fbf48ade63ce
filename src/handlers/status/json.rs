//! The state as one JSON object (`?json`). Times are in milliseconds, sizes in bytes.

use std::time::Duration;

use crate::backend::states::{BackendState, BalancerState, MemberState};
use crate::base::json::Json;
use crate::base::version::VERSION;
use crate::exchange::Exchange;
use crate::exchange::state::{ConnectionState, Phase, ScriptState, State};
use crate::fs::cache::Counts;
use crate::process::report::{ProcessReport, ServiceReport};

/// The object, with a line's end.
pub fn object(ex: &Exchange, state: &State) -> String {
    let server = state.server.as_ref();
    let services = server.iter().flat_map(|server| &server.services).map(service);
    let processes = server.iter().flat_map(|server| &server.processes).map(process);
    let object = Json::Object(vec![
        ("server", text(ex.server_name())),
        ("version", VERSION.into()),
        ("uptime", millis(state.up())),
        ("threads", count(state.threads)),
        ("silent_threads", count(state.silent)),
        ("connections", connections(state)),
        ("requests", requests(state)),
        ("file_cache", state.work.cache.as_ref().map(file_cache).into()),
        ("live", list(&state.work.connections, connection)),
        ("scripts", scripts(state)),
        ("live_scripts", list(&state.work.scripts, |one| script(state, one))),
        ("services", Json::List(services.collect())),
        ("backends", list(&state.backends, backend)),
        ("balancers", list(&state.balancers, balancer)),
        ("processes", Json::List(processes.collect())),
    ]);
    format!("{object}\n")
}

fn list<T>(of: &[T], one: impl Fn(&T) -> Json) -> Json {
    Json::List(of.iter().map(one).collect())
}

fn connections(state: &State) -> Json {
    let phases = Phase::ALL.map(|phase| (phase.name(), count(state.work.phases.of(phase))));
    let all = [
        ("open", count(state.open_connections)),
        ("most", count(state.most_connections)),
        ("accepted", state.work.accepted.into()),
    ];
    Json::Object(all.into_iter().chain(phases).collect())
}

fn requests(state: &State) -> Json {
    let tally = &state.work.tally;
    let answers = tally.answers().map(|(method, status, count)| {
        Json::Object(vec![
            ("method", method.into()),
            ("status", u64::from(status).into()),
            ("count", count.into()),
        ])
    });
    Json::Object(vec![
        ("answered", tally.requests.into()),
        ("kept", tally.kept.into()),
        ("aborted", tally.aborted.into()),
        ("bytes_in", tally.bytes_in.into()),
        ("bytes_out", tally.bytes_out.into()),
        ("body_bytes", tally.body_bytes.into()),
        ("milliseconds", (tally.micros / 1000).into()),
        ("milliseconds_to_first_byte", (tally.micros_before / 1000).into()),
        ("by_method_and_status", Json::List(answers.collect())),
    ])
}

fn file_cache(cache: &Counts) -> Json {
    Json::Object(vec![
        ("hits", cache.hits.into()),
        ("misses", cache.misses.into()),
        ("answers", cache.entries.into()),
        ("answer_bytes", cache.bytes.into()),
        ("contents", cache.contents.into()),
        ("content_bytes", cache.content_bytes.into()),
        ("room", cache.room.into()),
    ])
}

fn connection(one: &ConnectionState) -> Json {
    Json::Object(vec![
        ("state", one.phase.name().into()),
        ("client", one.client.to_string().into()),
        ("age", millis(one.age)),
        ("in_state", millis(one.since)),
        ("requests", u64::from(one.requests).into()),
        ("line", text(&one.line)),
        ("host", text(&one.host)),
        ("sent", one.sent.into()),
    ])
}

fn scripts(state: &State) -> Json {
    Json::Object(vec![
        ("running", count(state.busy_scripts)),
        ("most", count(state.most_scripts)),
        ("waiting", count(state.waiting_for_scripts)),
        ("started", state.work.scripts_started.into()),
    ])
}

fn backend(one: &BackendState) -> Json {
    Json::Object(vec![
        ("scheme", one.scheme.into()),
        ("address", one.address.as_str().into()),
        ("active", count(one.active)),
        ("kept", count(one.kept)),
        ("failed", one.failed.map_or(Json::Null, millis)),
    ])
}

fn balancer(one: &BalancerState) -> Json {
    let member = |member: &MemberState| {
        Json::Object(vec![
            ("address", member.address.as_str().into()),
            ("route", member.route.as_str().into()),
            ("active", member.active.into()),
            ("failed", member.failed.map_or(Json::Null, millis)),
        ])
    };
    Json::Object(vec![
        ("name", one.name.as_str().into()),
        ("members", list(&one.members, member)),
    ])
}

fn script(state: &State, one: &ScriptState) -> Json {
    let used = one.pid.and_then(|pid| state.used_by(pid));
    Json::Object(vec![
        ("pid", one.pid.map(|pid| u64::from(pid.unsigned_abs())).into()),
        ("request", text(&one.request)),
        ("file", text(&one.file)),
        ("client", one.client.to_string().into()),
        ("age", millis(one.age)),
        ("cpu", used.map_or(Json::Null, |used| millis(used.user + used.system))),
        ("memory", used.map(|used| used.memory).into()),
    ])
}

fn service(one: &ServiceReport) -> Json {
    Json::Object(vec![
        ("name", one.name.as_str().into()),
        ("state", one.state.as_str().into()),
        ("least", u64::from(one.least).into()),
        ("most", u64::from(one.most).into()),
        ("finishing", one.leaving.into()),
        ("requests", one.requests.into()),
        ("restarts", one.restarts.into()),
        ("processes", Json::List(one.processes.iter().map(process).collect())),
    ])
}

fn process(one: &ProcessReport) -> Json {
    Json::Object(vec![
        ("role", one.role.as_str().into()),
        ("pid", u64::from(one.pid.unsigned_abs()).into()),
        ("age", millis(one.age)),
        ("cpu", millis(one.usage.user + one.usage.system)),
        ("memory", one.usage.memory.into()),
        ("restarts", one.restarts.into()),
        ("requests", one.requests.into()),
        ("connections", one.connections.into()),
    ])
}

fn text(bytes: &[u8]) -> Json {
    Json::Text(String::from_utf8_lossy(bytes).into_owned())
}

fn count(count: usize) -> Json {
    Json::Number(count as u64)
}

fn millis(time: Duration) -> Json {
    Json::Number(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
