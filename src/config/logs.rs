//! The logs of all sites in one list, each target once, so that the launcher that opens them and the workers that write
//! them number them alike.

use crate::base::syslog::Header;
use crate::config::directives::log::{LogTarget, format_of};
use crate::config::site::{Config, Site};
use crate::config::words::below;

/// Every log target of the configuration, in order; a target's number is its index. The main error log is the first; behind
/// [`needed`] stand those that can be done without.
pub fn targets(config: &Config) -> Vec<LogTarget> {
    let mut targets = needed(config);
    for site in &config.sites {
        add(&mut targets, script_target(site));
    }
    targets
}

/// The error and access logs.
pub fn needed(config: &Config) -> Vec<LogTarget> {
    let mut targets = Vec::new();
    for site in &config.sites {
        add(&mut targets, Some(error_target(config, site)));
        for log in site.settings.logs.access.iter() {
            add(&mut targets, Some(log.target.clone()));
        }
    }
    targets
}

fn add(targets: &mut Vec<LogTarget>, target: Option<LogTarget>) {
    targets.extend(target.filter(|target| !targets.contains(target)));
}

/// Where a site's failed scripts are recorded, if anywhere.
pub fn script_target(site: &Site) -> Option<LogTarget> {
    site.settings.script_log.file.value().cloned().map(LogTarget::File)
}

/// Where a site's errors go.
pub fn error_target(config: &Config, site: &Site) -> LogTarget {
    match site.settings.logs.error.value() {
        Some(target) => target.clone(),
        None => LogTarget::File(below(&config.server_root, b"logs/error_log")),
    }
}

/// What stands before the lines of the main error log, where that is the system's log.
pub fn system_log(config: &Config) -> Option<Header> {
    match error_target(config, config.sites.first()?) {
        LogTarget::System(header) => Some(header),
        LogTarget::File(_) | LogTarget::Program { .. } => None,
    }
}

/// The format of a site's access log `n`, as text.
pub fn format(site: &Site, n: usize) -> &[u8] {
    site.settings
        .logs
        .access
        .get(n)
        .map_or(b"common", |log| format_of(&site.settings, log))
}
