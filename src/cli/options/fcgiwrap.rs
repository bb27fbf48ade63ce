//! The words of `lychgate fcgiwrap`: those of fcgiwrap(1), and of slowcgi(8) and spawn-fcgi(1) where it has none.

use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, Command, value_parser};

use super::{flag, given};
use crate::commands::fcgiwrap::socket::{Owner, SocketUrl};
use crate::commands::fcgiwrap::{Errors, Fcgiwrap};

/// Who may connect to a socket without `-M`: its owner and the group.
const MODE: u32 = 0o660;

/// The command.
pub(super) fn command() -> Command {
    let path = || value_parser!(PathBuf);
    Command::new("fcgiwrap")
        .about("Run CGI scripts for other web servers, which ask for them over FastCGI")
        .args([
            given(
                "socket",
                's',
                "URL",
                "/path or unix:/path, tcp:127.0.0.1:9000 or tcp6:[::1]:9000 [default: the socket at standard input, or the service manager's]",
            )
            .long("socket")
            .value_parser(SocketUrl::read),
            given("place", 'p', "PATH", "A script that may be run, or a directory of scripts; may be repeated")
                .value_parser(path())
                .action(ArgAction::Append),
            given("count", 'c', "N", "So many scripts at once [default: 64]").value_parser(value_parser!(u32).range(1..)),
            flag("errors", 'f', "Scripts' error output goes to the web server, not to our log"),
            given("user", 'u', "USER[:GROUP]", "Who scripts run as; root must say").value_parser(Owner::read),
            given("owner", 'U', "USER[:GROUP]", "Whose the Unix socket is").value_parser(Owner::read),
            given("mode", 'M', "MODE", "Who may connect to the Unix socket [default: 0660]").value_parser(mode),
            given("line", 'C', "DIRECTIVE", "A setting for scripts, as in httpd.conf; may be repeated").action(ArgAction::Append),
            given("settings", 'F', "FILE", "A file of such settings").value_parser(path()),
        ])
}

/// An octal mode.
fn mode(word: &str) -> Result<u32, String> {
    match u32::from_str_radix(word, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("write a mode such as 0660".to_owned()),
    }
}

/// What is asked.
pub(super) fn wrap(matches: &ArgMatches) -> Fcgiwrap {
    Fcgiwrap {
        socket: matches.get_one("socket").cloned(),
        places: matches.get_many("place").into_iter().flatten().cloned().collect(),
        count: matches.get_one("count").copied(),
        errors: if matches.get_flag("errors") {
            Errors::Client
        } else {
            Errors::Log
        },
        user: matches.get_one("user").cloned(),
        owner: matches.get_one("owner").cloned(),
        mode: matches.get_one("mode").copied().unwrap_or(MODE),
        lines: matches.get_many("line").into_iter().flatten().cloned().collect(),
        file: matches.get_one("settings").cloned(),
    }
}
