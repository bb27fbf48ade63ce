//! The words of `lychgate why`.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStringExt;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::configuration;
use crate::commands::why::Question;

/// The command.
pub(super) fn command() -> Command {
    let word = |id: &'static str, help: &'static str| {
        Arg::new(id)
            .value_name(id)
            .help(help)
            .required(true)
            .value_parser(value_parser!(OsString))
    };
    Command::new("why")
        .about("Say what would become of a request, and why; nothing is run, asked or written")
        .args(configuration())
        .args([
            word("METHOD", "GET or the like"),
            word("URL", "http://host/path?query, or a path alone"),
        ])
        .args(of_request())
}

fn of_request() -> [Arg; 5] {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let bytes = || value_parser!(OsString);
    [
        option("header", "Name: value", "A field of the request; may be repeated")
            .action(ArgAction::Append)
            .value_parser(bytes()),
        option("user", "NAME:PASSWORD", "Who the client says it is (Basic)").value_parser(bytes()),
        option(
            "host",
            "HOST[:PORT]",
            "The host, where the URL is a path [default: localhost]",
        )
        .value_parser(bytes()),
        option("from", "ADDR", "The client's address [default: 127.0.0.1]").value_parser(value_parser!(IpAddr)),
        option(
            "local",
            "ADDR:PORT",
            "The server's end of the connection [default: by the URL and the Listen lines]",
        )
        .value_parser(value_parser!(SocketAddr)),
    ]
}

/// What is asked.
pub(super) fn question(matches: &ArgMatches) -> Question {
    let bytes = |id: &str| matches.get_one::<OsString>(id).cloned().map(OsString::into_vec);
    let fields = matches.get_many::<OsString>("header").into_iter().flatten();
    Question {
        method: bytes("METHOD").unwrap_or_default(),
        url: bytes("URL").unwrap_or_default(),
        fields: fields.cloned().map(OsString::into_vec).collect(),
        host: bytes("host"),
        user: bytes("user"),
        local: matches.get_one("local").copied(),
        from: matches.get_one("from").copied(),
    }
}
