//! The logs as a thread writes them: one collection of lines a target, and what each site writes where.

use std::cell::{OnceCell, RefCell};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::sync::Arc;

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
    error: Arc<ErrorLog>,
    access: Vec<Access>,
    /// What ScriptLog, ScriptLogLength and ScriptLogBuffer say.
    script: Option<(Vec<u8>, u64, usize)>,
    /// The script log, opened when it is first needed and with the worker's own rights, as Apache does.
    script_log: OnceCell<Option<Rc<ScriptLog>>>,
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
            let error = number(logs::error_target(config, site))
                .and_then(|n| sinks.get(n))
                .ok_or("an error log is not open")?;
            let error = ErrorLog::new(Arc::clone(error)).with_levels(site.base.core.log_level.clone());
            let mut access = Vec::new();
            for (n, log) in site.settings.logs.access.iter().enumerate() {
                let target = number(log.target.clone()).ok_or("an access log is not open")?;
                access.push(Access {
                    target,
                    format: format(site, n)?,
                    condition: condition(log.condition.as_deref())?,
                });
            }
            sites.push(SiteLogs {
                error: Arc::new(error),
                access,
                script: script_log(site),
                script_log: OnceCell::new(),
            });
        }
        let collections = RefCell::new(sinks.iter().map(|sink| AccessLog::new(Arc::clone(sink))).collect());
        Ok(Logs { collections, sites })
    }

    /// No logs at all but standard error output, for tests of what lies around them.
    #[cfg(test)]
    pub fn nowhere() -> Logs {
        Logs {
            collections: RefCell::default(),
            sites: Vec::new(),
        }
    }

    /// A site's error log.
    pub fn error_of(&self, site: &Site) -> &Arc<ErrorLog> {
        &self.sites[site.number].error
    }

    /// A site's access logs.
    pub fn access_of(&self, site: &Site) -> &[Access] {
        self.sites.get(site.number).map_or(&[], |logs| &logs.access)
    }

    /// Adds a line to a target's collection.
    pub fn push(&self, target: usize, append: impl FnOnce(&mut Vec<u8>)) {
        if let Some(log) = self.collections.borrow_mut().get_mut(target) {
            log.push_with(append);
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

impl notes::Logs for Logs {
    fn note(&self, about: &About, weight: Weight, text: &str) {
        let Some(site) = self.sites.get(about.site) else { return };
        let entry = Entry {
            client: Some(about.client),
            ..Entry::new(
                match weight {
                    Weight::Error => Level::Error,
                    Weight::Warning => Level::Warn,
                    Weight::Info => Level::Info,
                },
                "cgi",
                Message::Escaped(text),
            )
        };
        site.error.record(&about.conf.core.log_level, &entry);
    }

    fn script_log(&self, site: usize) -> Option<Rc<ScriptLog>> {
        let site = self.sites.get(site)?;
        let (path, length, buffer) = site.script.as_ref()?;
        let log = site.script_log.get_or_init(|| {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(OsStr::from_bytes(path));
            match file {
                Ok(file) => Some(Rc::new(ScriptLog::new(file, *length, *buffer))),
                Err(error) => {
                    let path = words::shown(path);
                    let note = format_args!("the script log {path} cannot be opened: {error}");
                    site.error.note(Level::Error, "cgi", note);
                    None
                }
            }
        });
        log.clone()
    }
}

fn script_log(site: &Site) -> Option<(Vec<u8>, u64, usize)> {
    let settings = &site.settings.script_log;
    let buffer = settings.buffer.value().and_then(|buffer| usize::try_from(*buffer).ok());
    Some((
        settings.file.value()?.clone(),
        settings.length.or(ScriptLog::DEFAULT_LENGTH),
        buffer.unwrap_or(ScriptLog::DEFAULT_BUFFER),
    ))
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
