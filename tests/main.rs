//! All tests that run the program or look at the sources; one binary, each case one test named by its path.
//!
//! - `cases/`: data, one file a test (format: `support/case.rs`)
//! - `beside`: the same requests to Apache and to lychgate, and what they answer
//! - `clients`: what slow clients cost, what packets carry
//! - `compare`: `lychgate compare`, between servers that differ and that do not
//! - `compression`: answers compressed while they are written, and bodies larger than they look
//! - `ctl`: `lychgate ctl`, each verb under load, and who may
//! - `debian`: the configuration that Debian ships with Apache, and the snippets of its packages
//! - `fastcgi`: applications in C, Perl, Python and PHP behind the server
//! - `fcgid`: Debian's packages whose programs speak FastCGI, and what they say of it
//! - `fcgiwrap`: scripts for nginx, Apache and others
//! - `handoff`: services that have taken connections over
//! - `htaccess`: access files of any bytes
//! - `file_cache`: files that are replaced under their readers
//! - `house`: the walls between the rooms, sizes, words
//! - `https`: sites over TLS as OpenSSL, curl, a browser and those who look for faults see them
//! - `identity`: who roles and scripts are where root starts the server
//! - `import`: `lychgate import`, of the trees that Debian and Apache's authors ship
//! - `keys`: private keys, who has them, and other certificates while requests come in
//! - `load`: many scripts, large bodies, log readers
//! - `logs`: logs that are rotated, whose programs die, whose disks are full
//! - `manual`: Apache's own manual in three languages, beside Apache
//! - `overload`: more clients than there is room for
//! - `patterns`: patterns made at random, beside PCRE2
//! - `probe`: what a taken-over script can do, under each setting
//! - `programs`: git, gitweb and CGI.pm behind the server
//! - `reload`: other settings while requests come in
//! - `rewriting`: rules that change nothing
//! - `roles`: a worker or spawner that dies at work
//! - `sandbox`: confined scripts where the kernel is of little help
//! - `proxy`: servers of HTTP that others wrote, behind the server
//! - `scgi`: an application in Python behind the server
//! - `services`: programs that the server keeps running
//! - `service`: under a service manager, and as process 1
//! - `site`: what ships, as it ships
//! - `snippets`: what Debian's tree serves with them, beside Apache
//! - `stapling`: answers of OCSP that go with certificates, and responders good and bad
//! - `status`: what the server tells of itself, beside a count of its log
//! - `support`: server, wire, traffic, cases, golden files
//! - `system_log`: the error log that goes into the system's log, a socket of the test's own
//! - `trees`: what scripts leave behind
//! - `tunnels`: connections with another protocol behind a reload and before an end
//! - `upgrade`: another version of the program by the same path
//! - `upstream`: the configuration that Apache's authors ship
//! - `watchdog`: services with a process that is stuck
//! - `why`: what is told of a request, and what becomes of it
//!
//! `ORACLE=apache2` plays the cases against the installed Apache instead, to see which expectations are its custom
//! too: a case that `differs-from-apache` must then fail. `TESTS_AS=nobody`, given by root, plays the cases as an ordinary
//! user; those that need root are then left to the run of root's own. `PROCESS_TREE=kill` puts a warden above the scripts of
//! every case that says nothing of it.
//! The cases of some rooms are played a second time with every connection within TLS, as `within_tls/`.
//! `FILE_CACHE=off` plays the cases with nothing kept of files, to see that the answers are the same.
//! `SANDBOX=basic` confines the scripts of every case that says nothing of it, to see that they go on as they are.

mod auth;
mod beside;
mod clients;
mod cold;
mod compare;
mod compression;
mod ctl;
mod debian;
mod fastcgi;
mod fcgid;
mod fcgiwrap;
mod file_cache;
mod handoff;
mod house;
mod htaccess;
mod https;
mod identity;
mod import;
mod keys;
mod load;
mod logs;
mod manual;
mod overload;
mod passwd;
mod patterns;
mod probe;
mod programs;
mod proxy;
mod reload;
mod rewriting;
mod roles;
mod sandbox;
mod scgi;
mod service;
mod services;
mod site;
mod snippets;
mod stapling;
mod static_first;
mod status;
mod support;
mod system_log;
mod trees;
mod tunnels;
mod upgrade;
mod upstream;
mod watchdog;
mod why;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::support::case::{self, Case};
use crate::support::play::play;
use crate::support::server::{bench, ordinary_by_wish, privileged};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Cases mostly wait: twice as many as cores.
    arguments
        .test_threads
        .get_or_insert_with(|| 2 * std::thread::available_parallelism().map_or(2, usize::from));
    let cases = cases();
    if let Err(error) = bench().become_who_was_asked_for() {
        eprintln!("TESTS_AS: {error}");
        return ExitCode::FAILURE;
    }
    let mut trials: Vec<Trial> = cases
        .into_iter()
        .filter_map(|(name, case)| case_trial(name, case))
        .collect();
    trials.extend(
        within_tls()
            .into_iter()
            .filter_map(|(name, case)| case_trial(name, case)),
    );
    trials.extend(probe::trials());
    if !bench().oracle {
        trials.extend(auth::trials());
        trials.extend(beside::trials());
        trials.extend(ctl::trials());
        trials.extend(debian::trials());
        trials.extend(fastcgi::trials());
        trials.extend(fcgid::trials());
        trials.extend(fcgiwrap::trials());
        trials.extend(house::trials());
        trials.extend(handoff::trials());
        trials.extend(file_cache::trials());
        trials.extend(htaccess::trials());
        trials.extend(https::trials());
        trials.extend(identity::trials());
        trials.extend(import::trials());
        trials.extend(keys::trials());
        trials.extend(stapling::trials());
        trials.extend(load::trials());
        trials.extend(logs::trials());
        trials.extend(system_log::trials());
        trials.extend(passwd::trials());
        trials.extend(patterns::trials());
        trials.extend(clients::trials());
        trials.extend(cold::trials());
        trials.extend(compare::trials());
        trials.extend(compression::trials());
        trials.extend(overload::trials());
        trials.extend(programs::trials());
        trials.extend(proxy::trials());
        trials.extend(reload::trials());
        trials.extend(rewriting::trials());
        trials.extend(roles::trials());
        trials.extend(sandbox::trials());
        trials.extend(scgi::trials());
        trials.extend(service::trials());
        trials.extend(services::trials());
        trials.extend(site::trials());
        trials.extend(snippets::trials());
        trials.extend(static_first::trials());
        trials.extend(status::trials());
        trials.extend(trees::trials());
        trials.extend(tunnels::trials());
        trials.extend(upgrade::trials());
        trials.extend(upstream::trials());
        trials.extend(watchdog::trials());
        trials.extend(manual::trials());
        trials.extend(why::trials());
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(summary) = beside::summary() {
        println!("{summary}\n");
    }
    if !conclusion.has_failed() {
        let _left_for_the_system = std::fs::remove_dir_all(&bench().directory);
    }
    conclusion.exit_code()
}

/// A trial from a plain function that panics when it fails.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// Every case with its name; read at once, for later we may be somebody who cannot.
fn cases() -> Vec<(String, Result<Case, String>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths = Vec::new();
    collect(&directory, &mut paths);
    paths.sort();
    let name = |path: &Path| {
        path.strip_prefix(&directory)
            .unwrap_or(path)
            .with_extension("")
            .display()
            .to_string()
    };
    paths.iter().map(|path| (name(path), case::load(path))).collect()
}

/// The rooms whose cases are played once more with every connection within TLS.
const WITHIN_TLS: &[&str] = &["cgi/", "filter/", "http/", "limits/", "static/"];

/// Those cases, but for those that expect a scheme or a port, and one where a connection waits before it is begun with.
fn within_tls() -> Vec<(String, Result<Case, String>)> {
    if ordinary_by_wish() {
        return Vec::new();
    }
    let is_chosen =
        |name: &str| WITHIN_TLS.iter().any(|room| name.starts_with(room)) && name != "limits/max_connections_none_idle";
    let expects_scheme = |case: &Case| {
        case.expectations()
            .any(|text| ["http://", "SERVER_PORT="].iter().any(|word| text.contains(word)))
    };
    let all = cases().into_iter().filter(|(name, _)| is_chosen(name));
    let plain = all.filter_map(|(name, case)| Some((name, case.ok()?)));
    let fit = plain.filter(|(_, case)| !expects_scheme(case));
    fit.map(|(name, case)| {
        (
            format!("within_tls/{name}"),
            Ok(Case {
                within_tls: true,
                ..case
            }),
        )
    })
    .collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
    {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|e| e == "case") {
            paths.push(path);
        }
    }
}

fn case_trial(name: String, case: Result<Case, String>) -> Option<Trial> {
    if let Ok(case) = &case
        && ordinary_by_wish()
        && (case.as_root || case.needs.iter().any(|tool| tool == "root"))
    {
        return None;
    }
    Some(Trial::ignorable_test(name.clone(), move || {
        let case = case?;
        if let Some(reason) = missing(&case)? {
            return Ok(Completion::ignored_with(reason));
        }
        let result = play(&name, &case);
        match &case.differs {
            Some(reason) if bench().oracle => match result {
                Ok(()) => Err(Failed::from(format!("Apache does not differ (any more): {reason}"))),
                Err(_) => Ok(Completion::Completed),
            },
            _ => result.map(|()| Completion::Completed).map_err(Failed::from),
        }
    }))
}

/// Why the case cannot run here; under CI that is a failure unless it is in the nature of the case.
fn missing(case: &Case) -> Result<Option<String>, String> {
    if bench().oracle
        && let Some(reason) = &case.ours
    {
        return Ok(Some(reason.clone()));
    }
    let search = std::env::var("PATH").unwrap_or_default();
    let found = |tool: &str| {
        search
            .split(':')
            .any(|directory| Path::new(directory).join(tool).exists())
    };
    for tool in &case.needs {
        let there = if tool == "root" { privileged() } else { found(tool) };
        if !there && std::env::var_os("CI").is_some() {
            return Err(format!("`{tool}` is missing"));
        }
        if !there {
            return Ok(Some(format!("`{tool}` is missing")));
        }
    }
    Ok(None)
}
