//! The logs as a thread writes them: one collection of lines a target, and what each site writes where.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::config::directives::log::LogTarget;
use crate::config::site::{Config, Site};
use crate::config::{logs, words};
use crate::lang::log_format::LogFormat;
use crate::lang::log_format::condition::LogCondition;
use crate::lang::log_level::Level;
use crate::log::access::AccessLog;
use crate::log::error::{Entry, ErrorLog, Message};
use crate::log::script_log::ScriptLog;
use crate::log::sink::Sink;
use crate::process::alarm::Alarm;
use crate::scripts::notes::{self, About, Weight};

/// The longest that lines wait for others to be written with.
const LONGEST_WAIT: Duration = Duration::from_millis(3);

/// All logs of one thread.
pub struct Logs {
    collections: RefCell<Vec<AccessLog>>,
    sites: Vec<SiteLogs>,
    /// Whether there are lines in the collections.
    has_lines: Cell<bool>,
    /// The tick of the coarse clock in which lines were written last.
    written: Cell<Timespec>,
    /// Ends the time for which lines wait; without one, none do.
    alarm: OnceCell<Alarm>,
    is_alarm_set: Cell<bool>,
}

struct SiteLogs {
    script: Option<Rc<ScriptLog>>,
    error: Arc<ErrorLog>,
    access: Vec<Access>,
}

/// One access log of a site.
pub struct Access {
    /// Which target it goes to.
    pub target: usize,
    /// What its lines say.
    pub format: LogFormat,
    /// Which requests have lines.
    pub condition: Option<LogCondition>,
}

impl Logs {
    /// The logs of a configuration over its open targets, which are in the order of [`logs::targets`].
    pub fn new(config: &Config, sinks: &[Arc<Sink>]) -> Result<Logs, String> {
        let targets = logs::targets(config);
        let number = |target| targets.iter().position(|known| *known == target);
        let mut sites = Vec::new();
        for site in &config.sites {
            let error_target = logs::error_target(config, site);
            let system_log = match &error_target {
                LogTarget::System(header) => Some(header.clone()),
                LogTarget::File(_) | LogTarget::Program { .. } => None,
            };
            let error = number(error_target)
                .and_then(|n| sinks.get(n))
                .ok_or("an error log is not open")?;
            let error = ErrorLog::new(Arc::clone(error)).with_levels(site.base.core.log_level.clone());
            let error = error.with_formats(site.settings.logs.error_formats(), name_of(config, site));
            let error = error.with_system_log(system_log);
            let mut access = Vec::new();
            for (n, log) in site.settings.logs.access.iter().enumerate() {
                let target = number(log.target.clone()).ok_or("an access log is not open")?;
                access.push(Access {
                    target,
                    format: format(site, n)?,
                    condition: condition(log.condition.as_deref())?,
                });
            }
            let script = logs::script_target(site).and_then(number).and_then(|n| sinks.get(n));
            sites.push(SiteLogs {
                script: script.map(|sink| script_log(site, Arc::clone(sink))),
                error: Arc::new(error),
                access,
            });
        }
        let collections = RefCell::new(sinks.iter().map(|sink| AccessLog::new(Arc::clone(sink))).collect());
        Ok(Logs {
            collections,
            sites,
            has_lines: Cell::new(false),
            written: Cell::default(),
            alarm: OnceCell::new(),
            is_alarm_set: Cell::new(false),
        })
    }

    /// A site's error log.
    pub fn error_of(&self, site: &Site) -> &Arc<ErrorLog> {
        &self.sites[site.number].error
    }

    /// A site's access logs.
    pub fn access_of(&self, site: &Site) -> &[Access] {
        self.sites.get(site.number).map_or(&[], |logs| &logs.access)
    }

    /// Whether the site's access logs say of an answer that is kept what they would say of a new one. Only what the answer says
    /// of the connection is not kept with it.
    pub fn are_content_with_kept_answers(&self, site: &Site) -> bool {
        let asks = |log: &Access| {
            matches!(log.condition, Some(LogCondition::Expr(_)))
                || log.format.asks_for_response_field(&["Connection", "Keep-Alive"])
        };
        !self.access_of(site).iter().any(asks)
    }

    /// Whether the site's access logs say nothing of a request but what [`LogFormat::asks_only_of_the_wire`] has.
    pub fn ask_only_of_the_wire(&self, site: &Site) -> bool {
        let asks = |log: &Access| log.condition.is_none() && log.format.asks_only_of_the_wire();
        self.access_of(site).iter().all(asks)
    }

    /// Adds a line to a target's collection.
    pub fn push(&self, target: usize, append: impl FnOnce(&mut Vec<u8>)) {
        if let Some(log) = self.collections.borrow_mut().get_mut(target) {
            self.has_lines.set(true);
            log.push_with(append);
        }
    }

    /// Tells of the lines that any log lost and that were not told yet, at the end of the process.
    pub fn tell_last_losses(&self) {
        let (collections, Some(main)) = (self.collections.borrow(), self.sites.first()) else {
            return;
        };
        for log in collections.iter() {
            main.error.tell_last_losses(log.sink(), "log_config");
        }
    }

    /// The thread has nothing else to do for now: writes everything collected, at once where little happens. A thread that comes
    /// here more often than the coarse clock ticks (every 1 to 10 ms) writes once a tick; what comes after that waits for
    /// [`Logs::write_late_lines`] or for the next tick. Measured with one client that asks for 8 KiB again and again: 15 % less
    /// CPU time than with a write for each of its requests.
    pub fn end_turn(&self) {
        let now = clock_gettime(ClockId::MonotonicCoarse);
        if self.written.replace(now) != now {
            self.flush();
        } else if self.has_lines.get() && !self.is_alarm_set.get() {
            match self.alarm.get().map(|alarm| alarm.set(LONGEST_WAIT)) {
                Some(Ok(())) => self.is_alarm_set.set(true),
                None | Some(Err(_)) => self.flush(),
            }
        }
    }

    /// Writes lines that no turn has written in time; lines wait only while this runs. The error is that there can be no alarm.
    pub async fn write_late_lines(&self) -> io::Result<()> {
        let alarm = Alarm::new()?;
        let alarm = self.alarm.get_or_init(|| alarm);
        loop {
            alarm.gone_off().await?;
            self.is_alarm_set.set(false);
            self.flush();
        }
    }

    /// Writes everything collected.
    pub fn flush(&self) {
        // Nobody is here within a push, so this cannot find the collections in use; if it did, the next turn writes.
        let (Ok(mut collections), Some(main)) = (self.collections.try_borrow_mut(), self.sites.first()) else {
            return;
        };
        self.has_lines.set(false);
        for log in collections.iter_mut() {
            log.flush(&main.error);
        }
        for site in &self.sites {
            site.error.flush();
        }
    }
}

/// What ServerName says, or the machine's own name.
fn name_of<'a>(config: &'a Config, site: &'a Site) -> &'a [u8] {
    let name = site.settings.core.name.value();
    name.map_or(&config.host_name, |name| &name.host)
}

/// The log of a site's failed scripts.
fn script_log(site: &Site, sink: Arc<Sink>) -> Rc<ScriptLog> {
    let settings = &site.settings.script_log;
    let length = settings.length.or(ScriptLog::DEFAULT_LENGTH);
    let buffer = settings.buffer.value().and_then(|bytes| usize::try_from(*bytes).ok());
    Rc::new(ScriptLog::new(
        sink,
        length,
        buffer.unwrap_or(ScriptLog::DEFAULT_BUFFER),
    ))
}

impl notes::Logs for Logs {
    fn note(&self, about: &About, weight: Weight, text: &str) {
        let Some(site) = self.sites.get(about.site) else { return };
        let level = match weight {
            Weight::Error => Level::Error,
            Weight::Warning => Level::Warn,
            Weight::Info => Level::Info,
        };
        let mut entry = Entry::new(level, about.module, Message::Escaped(text));
        entry.client = Some(about.client);
        entry.request = about.facts.as_deref();
        site.error.record(&about.conf.core.log_level, &entry);
    }

    fn script_log(&self, site: usize) -> Option<Rc<ScriptLog>> {
        self.sites.get(site)?.script.clone()
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", words::shown(bytes)))
}

fn format(site: &Site, n: usize) -> Result<LogFormat, String> {
    let format = text(logs::format(site, n))?;
    match LogFormat::named(format) {
        Some(known) => Ok(known),
        None => LogFormat::parse(format).map_err(|e| e.0),
    }
}

fn condition(word: Option<&[u8]>) -> Result<Option<LogCondition>, String> {
    word.map(|word| LogCondition::parse(text(word)?).map_err(|e| e.0))
        .transpose()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::Duration;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::Logs;
    use crate::config::load::{from_text, load_text};
    use crate::config::logs::targets;
    use crate::log::sink::Sink;

    /// Where the settings of [`logs`] have their access log.
    const ACCESS: usize = 1;

    /// Logs whose access log is a pipe that keeps what was written at a time together.
    fn logs() -> (Logs, OwnedFd) {
        let settings = b"ErrorLog /dev/null\nCustomLog /nonexistent/access.log %U\n";
        let loaded = load_text("httpd.conf", settings, Path::new("/nonexistent"));
        let config = from_text(&loaded.to_text()).expect("they are right");
        assert_eq!(targets(&config).len(), 2);
        let (theirs, ours) = pipe_with(PipeFlags::DIRECT | PipeFlags::NONBLOCK).expect("descriptors are free");
        let null = File::options().write(true).open("/dev/null").expect("it is there");
        let sinks = [("errors", null.into()), ("access", ours)];
        let sinks = sinks.map(|(name, fd)| Arc::new(Sink::inherited(name, fd).expect("it is open")));
        (Logs::new(&config, &sinks).expect("they have targets"), theirs)
    }

    fn turn(logs: &Logs, line: usize) {
        logs.push(ACCESS, |lines| lines.extend_from_slice(format!("{line}\n").as_bytes()));
        logs.end_turn();
    }

    /// What was written, a string each time.
    fn written(pipe: &OwnedFd) -> Vec<String> {
        let mut buffer = [0; 4096];
        let next = || {
            let count = rustix::io::read(pipe, &mut buffer).ok()?;
            Some(String::from_utf8_lossy(buffer.get(..count)?).into_owned())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn no_line_waits_where_nothing_would_end_that() {
        let (logs, pipe) = logs();
        for line in 0..50 {
            turn(&logs, line);
            assert_eq!(written(&pipe), [format!("{line}\n")]);
        }
    }

    #[test]
    fn lines_of_short_turns_are_written_together_and_the_last_of_them_soon() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime.expect("descriptors are free"), async {
            let (logs, pipe) = logs();
            let logs = Rc::new(logs);
            let late = Rc::clone(&logs);
            tokio::task::spawn_local(async move { late.write_late_lines().await });
            tokio::task::yield_now().await;
            turn(&logs, 0);
            let mut writes = written(&pipe);
            assert_eq!(writes, ["0\n"], "the first of a tick does not wait");
            for line in 1..1000 {
                turn(&logs, line);
            }
            // No turn comes behind them.
            let all = (0..1000).map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
            while writes.concat().len() < all.len() {
                tokio::time::sleep(Duration::from_millis(1)).await;
                writes.extend(written(&pipe));
            }
            assert_eq!(writes.concat(), all);
            assert!(writes.len() < 500, "{} writes", writes.len());
        });
    }
}
