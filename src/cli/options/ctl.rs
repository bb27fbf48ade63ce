//! The words of `lychgate ctl`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::configuration;
use crate::commands::ctl::Call;
use crate::config::words::duration;

/// The command.
pub(super) fn command() -> Command {
    let verb = |name: &'static str, about: &'static str| Command::new(name).about(about);
    Command::new("ctl")
        .about("Talk to a server that runs, over its ControlSocket")
        .after_help(EXIT)
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .args(configuration().map(|arg| arg.global(true)))
        .arg(
            Arg::new("socket")
                .long("socket")
                .value_name("PATH")
                .help("The socket, if it is not the one that the configuration names")
                .global(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .subcommands([
            verb("status", "Show what runs, for how long, and what is in progress").args([
                Arg::new("json")
                    .long("json")
                    .help("One JSON object, for programs")
                    .action(ArgAction::SetTrue),
                service("Only this service"),
            ]),
            verb("reload", "Take the settings as they are now, and return when they are in force"),
            verb("check", "Say whether a reload would do, and what is wrong with the settings"),
            verb("reopen", "Open the log files again by their names, and return when nobody writes to the old ones"),
            verb("drain", "Take no more connections, finish what is in progress, end; return then").arg(
                Arg::new("timeout")
                    .long("timeout")
                    .value_name("TIME")
                    .help("What is not finished by then is cut: 30, 500ms, 5min; 0 waits without end [default: GracefulShutdownTimeout]")
                    .value_parser(time),
            ),
            verb("restart", "Replace the processes of a service; no request is lost").arg(service(NAME).required(true)),
            verb("start", "Start a service that was stopped or has failed").arg(service(NAME).required(true)),
            verb("stop", "Stop a service; its requests get 503, and its processes finish what they have").arg(service(NAME).required(true)),
        ])
}

const NAME: &str = "Its name in the configuration: <Service NAME>";

fn service(help: &'static str) -> Arg {
    Arg::new("service")
        .value_name("SERVICE")
        .help(help)
        .value_parser(value_parser!(OsString))
}

const EXIT: &str = "Exit status: 0 done, 1 failed, 2 wrong usage, 3 nobody serves, 4 not permitted";

fn time(word: &str) -> Result<Duration, String> {
    duration(word.as_bytes())
}

/// What is asked.
pub(super) fn call(matches: &ArgMatches) -> Call {
    let of = |matches: &ArgMatches| matches.get_one::<OsString>("service").cloned().map(OsString::into_vec);
    let words = match matches.subcommand() {
        Some(("status", status)) => {
            let json = status.get_flag("json").then(|| b"--json".to_vec());
            [b"status".to_vec()].into_iter().chain(json).chain(of(status)).collect()
        }
        Some((verb @ ("restart" | "start" | "stop"), named)) => {
            [verb.as_bytes().to_vec()].into_iter().chain(of(named)).collect()
        }
        Some(("drain", drain)) => {
            let limit = drain.get_one::<Duration>("timeout");
            let limit = limit.map(|limit| limit.as_millis().to_string().into_bytes());
            [b"drain".to_vec()].into_iter().chain(limit).collect()
        }
        Some((verb, _)) => vec![verb.as_bytes().to_vec()],
        None => Vec::new(),
    };
    Call {
        patience: match matches.subcommand_name() {
            Some("status") => Some(Duration::from_secs(10)),
            // It shows each second how far it is, and may take as long as it likes.
            Some("drain") => None,
            // Longer than the server takes to give up.
            _ => Some(Duration::from_secs(90)),
        },
        words,
        socket: matches.get_one("socket").cloned(),
    }
}
