//! The logs as a thread writes them: one collection of lines a target, and what each site writes where.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

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
use crate::scripts::notes::{self, About, Weight};

/// All logs of one thread.
pub struct Logs {
    collections: RefCell<Vec<AccessLog>>,
    sites: Vec<SiteLogs>,
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
        Ok(Logs { collections, sites })
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

    /// Writes everything collected, when the thread has nothing else to do.
    pub fn flush(&self) {
        // A thread parks outside any push, so this cannot find the collections in use; if it did, the next park writes.
        let (Ok(mut collections), Some(main)) = (self.collections.try_borrow_mut(), self.sites.first()) else {
            return;
        };
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
