//! The words of `lychgate compare`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::commands::compare::{Compare, Form, MOST_JOBS, Urls};
use crate::net::tls::Belief;

/// So many requests are sent where `--limit` does not say how many.
const LIMIT: usize = 1000;

/// An answer may take so many seconds where `--timeout` does not say how many.
const TIMEOUT: u64 = 30;

/// The command.
pub(super) fn command() -> Command {
    let url = |id: &'static str, help: &'static str| Arg::new(id).value_name(id).help(help).required(true);
    Command::new("compare")
        .about("Ask two servers the safe requests of a log, and show in what their answers differ")
        .args([
            url(
                "OLD-URL",
                "The server that is right: http://host:port, or https://host:port",
            ),
            url("NEW-URL", "The other one"),
        ])
        .args(of_requests())
        .args([
            Arg::new("ignore")
                .long("ignore")
                .value_name("FIELD")
                .help("A field of the answers that does not count; may be repeated")
                .action(ArgAction::Append),
            Arg::new("timeout")
                .long("timeout")
                .value_name("SECONDS")
                .help("How long an answer may take [default: 30]")
                .value_parser(value_parser!(u64).range(1..=3600)),
            Arg::new("insecure")
                .long("insecure")
                .short('k')
                .help("Take any certificate of a server of https")
                .action(ArgAction::SetTrue),
            Arg::new("json")
                .long("json")
                .help("One object of JSON")
                .action(ArgAction::SetTrue),
        ])
}

fn of_requests() -> [Arg; 6] {
    let bytes = || value_parser!(OsString);
    [
        Arg::new("log")
            .long("access-log")
            .value_name("FILE")
            .help("The log: common, combined, with virtual hosts, json; also with gzip; `-` reads standard input")
            .required(true)
            .value_parser(value_parser!(PathBuf)),
        Arg::new("all")
            .long("all")
            .help("Send URLs with words like `logout` or `delete` too")
            .action(ArgAction::SetTrue),
        Arg::new("host")
            .long("host")
            .value_name("HOST")
            .help("The host for lines that name none [default: that of each URL]")
            .value_parser(bytes()),
        Arg::new("header")
            .long("header")
            .value_name("Name: value")
            .help("A field of every request; may be repeated")
            .action(ArgAction::Append)
            .value_parser(bytes()),
        Arg::new("jobs")
            .long("jobs")
            .value_name("N")
            .help("How many requests are under way at a time [default: 1]")
            .value_parser(value_parser!(u64).range(1..=MOST_JOBS as u64)),
        Arg::new("limit")
            .long("limit")
            .value_name("N")
            .help("Send the most frequent N requests; 0 is all [default: 1000]")
            .value_parser(value_parser!(u64)),
    ]
}

/// What is asked.
pub(super) fn compare(matches: &ArgMatches) -> Compare {
    let text = |id: &str| matches.get_one::<String>(id).cloned().unwrap_or_default();
    let number = |id: &str| matches.get_one::<u64>(id).copied();
    let bytes = |id: &str| {
        matches
            .get_many::<OsString>(id)
            .into_iter()
            .flatten()
            .cloned()
            .map(OsString::into_vec)
    };
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Compare {
        old: text("OLD-URL"),
        new: text("NEW-URL"),
        log: matches.get_one("log").cloned().unwrap_or_default(),
        belief: if matches.get_flag("insecure") {
            Belief::Anybody
        } else {
            Belief::Trusted
        },
        host: bytes("host").next(),
        fields: bytes("header").collect(),
        ignored: matches
            .get_many::<String>("ignore")
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        urls: if matches.get_flag("all") {
            Urls::All
        } else {
            Urls::Harmless
        },
        jobs: number("jobs").map_or(1, size),
        limit: Some(number("limit").map_or(LIMIT, size)).filter(|limit| *limit > 0),
        timeout: Duration::from_secs(number("timeout").unwrap_or(TIMEOUT)),
        form: if matches.get_flag("json") {
            Form::Json
        } else {
            Form::Page
        },
    }
}
