//! The state in Apache's words, a line each (`?auto`): what munin, collectd and exporters for Prometheus read. What Apache
//! tells of its own parts is told of ours that come nearest.

use std::fmt::Write;
use std::time::Duration;

use crate::exchange::Exchange;
use crate::exchange::state::{Phase, State};
use crate::handlers::status::words::ratio;

/// So many letters the scoreboard has at most.
const LETTERS: usize = 1024;

/// All lines.
pub fn lines(ex: &Exchange, state: &State) -> String {
    let mut out = format!("{}\n", String::from_utf8_lossy(ex.server_name()));
    let mut row = |name: &str, value: &str| {
        // Writing to a String does not fail.
        let _written = writeln!(out, "{name}: {value}");
    };
    let up = state.up();
    let tally = &state.work.tally;
    row("ServerVersion", &String::from_utf8_lossy(&ex.software()));
    row("ServerMPM", "lychgate");
    row("CurrentTime", &time(state.taken));
    row("RestartTime", &time(state.since));
    let generation = state.server.as_ref().map_or(1, |server| server.generation);
    row("ParentServerConfigGeneration", &generation.to_string());
    row("ParentServerMPMGeneration", &generation.saturating_sub(1).to_string());
    row("ServerUptimeSeconds", &up.as_secs().to_string());
    row("ServerUptime", &uptime(up));
    for (name, load) in ["Load1", "Load5", "Load15"].into_iter().zip(load()) {
        row(name, &load);
    }
    row("Total Accesses", &tally.requests.to_string());
    row("Total kBytes", &(tally.bytes_out / 1024).to_string());
    row("Total Duration", &(tally.micros / 1000).to_string());
    let own = state.server.as_ref().map(|server| server.used()).unwrap_or_default();
    let children = [own.children_user, own.children_system];
    for (name, time) in ["CPUUser", "CPUSystem", "CPUChildrenUser", "CPUChildrenSystem"]
        .into_iter()
        .zip([own.user, own.system].into_iter().chain(children))
    {
        row(name, &ratio(millis(time), 1000, 2));
    }
    let busy = millis(own.user + own.system + own.children_user + own.children_system);
    if busy > 0 {
        row("CPULoad", &ratio(busy * 100, millis(up), 6));
    }
    row("Uptime", &up.as_secs().to_string());
    row("ReqPerSec", &ratio(tally.requests * 1000, millis(up), 6));
    row(
        "BytesPerSec",
        &ratio(tally.bytes_out.saturating_mul(1000), millis(up), 3),
    );
    if tally.requests > 0 {
        row("BytesPerReq", &ratio(tally.bytes_out, tally.requests, 3));
        row("DurationPerReq", &ratio(tally.micros, tally.requests * 1000, 3));
    }
    let phases = &state.work.phases;
    let free = state.most_connections.saturating_sub(state.open_connections);
    row("BusyWorkers", &phases.of(Phase::Answering).to_string());
    row("GracefulWorkers", "0");
    row("IdleWorkers", &free.to_string());
    row("Processes", &state.threads.to_string());
    row("Stopping", "0");
    row("ConnsTotal", &phases.all().to_string());
    row("ConnsAsyncWaitIO", &phases.of(Phase::Reading).to_string());
    row("ConnsAsyncWriting", &phases.of(Phase::Answering).to_string());
    row("ConnsAsyncKeepAlive", &phases.of(Phase::Idle).to_string());
    row("ConnsAsyncClosing", &phases.of(Phase::Closing).to_string());
    if let Some(cache) = &state.work.cache {
        for (name, count) in [
            ("FileCacheHits", cache.hits),
            ("FileCacheMisses", cache.misses),
            ("FileCacheAnswers", cache.entries),
            ("FileCacheAnswerBytes", cache.bytes),
            ("FileCacheContents", cache.contents),
            ("FileCacheContentBytes", cache.content_bytes),
            ("FileCacheRoom", cache.room),
        ] {
            row(name, &count.to_string());
        }
    }
    row("Scoreboard", &scoreboard(state, free));
    out
}

/// A letter for each connection, and one for each that could be taken.
fn scoreboard(state: &State, free: usize) -> String {
    let taken = Phase::ALL
        .into_iter()
        .flat_map(|phase| std::iter::repeat_n(phase.letter(), state.work.phases.of(phase)));
    taken.chain(std::iter::repeat_n('_', free)).take(LETTERS).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `Friday, 20-Nov-2026 22:45:39 UTC`.
fn time(at: std::time::SystemTime) -> String {
    let time = jiff::Timestamp::try_from(at).unwrap_or_default();
    time.strftime("%A, %d-%b-%Y %H:%M:%S UTC").to_string()
}

/// As Apache tells it: ` 2 days 1 hour 1 second`.
fn uptime(up: Duration) -> String {
    let seconds = up.as_secs();
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let mut told: Vec<String> = Vec::new();
    for (count, unit) in parts {
        if count > 0 {
            told.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
    }
    told.join(" ")
}

/// The load of the machine over 1, 5 and 15 minutes.
pub fn load() -> [String; 3] {
    let loads = rustix::system::sysinfo().loads;
    // In parts of 65536 (sysinfo(2)).
    loads.map(|load| ratio(load, 65_536, 2))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::uptime;

    #[test]
    fn a_time_is_told_as_apache_does() {
        assert_eq!(uptime(Duration::from_secs(1)), "1 second");
        assert_eq!(
            uptime(Duration::from_secs(2 * 86_400 + 3600 + 62)),
            "2 days 1 hour 1 minute 2 seconds"
        );
    }
}
