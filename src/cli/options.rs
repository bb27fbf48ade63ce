//! The words of the command line, as what is to be done.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::commands::compare::Compare;
use crate::commands::ctl::Call;
use crate::commands::fcgiwrap::Fcgiwrap;
use crate::commands::import::Import;
use crate::commands::serve::{ListenAddress, Scheme, Serve};
use crate::commands::why::Question;
use crate::config::error::Severity;

/// Everything the command line said.
#[derive(Debug)]
pub(super) struct Options {
    /// What is to be done.
    pub(super) task: Task,
    /// `-f`.
    pub(super) file: Option<PathBuf>,
    /// `-d`.
    pub(super) server_root: Option<PathBuf>,
    /// `-D`, and the names that `-S` and `-M` stand for.
    pub(super) defines: Vec<String>,
    /// `-C`.
    pub(super) before: Vec<String>,
    /// `-c`.
    pub(super) after: Vec<String>,
    /// `-e`: complaints of less weight are not printed.
    pub(super) least: Option<Severity>,
    /// `-E`.
    pub(super) startup_log: Option<PathBuf>,
    /// `-T`.
    pub(super) document_roots: DocumentRoots,
    /// Where the server runs.
    pub(super) ground: Ground,
    /// `-X`.
    pub(super) threads: Threads,
    /// Whether it is asked if it can take over from a running launcher of this version.
    pub(super) takes_over: Option<u8>,
    /// The descriptor behind which a launcher has left what this one goes on with.
    pub(super) handed_over: Option<i32>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Task {
    /// Something that needs no configuration.
    Quick(Quick),
    /// `-t`, `-S` and `-D DUMP_…`.
    Check,
    /// Serve.
    Run,
    /// `-k`, for a server that runs.
    Signal(Verb),
    /// `lychgate serve DIR`.
    Serve(Serve),
    /// `lychgate doctor DIR`.
    Doctor(PathBuf),
    /// `lychgate passwd`, with the words behind it.
    Passwd(Vec<OsString>),
    /// `lychgate why METHOD URL`.
    Why(Question),
    /// `lychgate import PATH`.
    Import(Import),
    /// `lychgate compare OLD NEW`.
    Compare(Compare),
    /// `lychgate fcgiwrap`.
    Fcgiwrap(Fcgiwrap),
    /// `lychgate ctl VERB`.
    Ctl(Call),
}

/// What can be said without a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quick {
    /// `-v`.
    Version,
    /// `-V`.
    Settings,
    /// `-l`.
    Modules,
    /// `-M`.
    LoadedModules,
    /// `-L`.
    Directives,
}

/// What `-k` asks of a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// `stop`.
    Stop,
    /// `graceful-stop`.
    GracefulStop,
    /// `restart`.
    Restart,
    /// `graceful`.
    Graceful,
}

/// Whether DocumentRoots are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DocumentRoots {
    /// They must be there.
    Checked,
    /// `-T`: they need not.
    Unchecked,
}

/// Where the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// In the foreground, where it was started.
    Front,
    /// In a session of its own: `-k start`.
    Back,
    /// There already: the part that [`Ground::Back`] executes.
    Detached,
}

/// How many threads a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// As many as the settings say.
    Configured,
    /// `-X`.
    One,
}

impl Options {
    /// Whether `-D name` was given.
    pub(super) fn defines(&self, name: &str) -> bool {
        self.defines.iter().any(|defined| defined == name)
    }
}

/// The flag by which `-k start` executes the part that serves.
pub(super) const DETACHED: &str = "--detached";

/// The flag, with a version behind it, by which a program is asked whether it can take over from a running launcher.
pub(super) const TAKES_OVER: &str = "--takes-over=";

/// The flag, with a descriptor behind it, by which it takes over.
pub(super) const HANDED_OVER: &str = "--handed-over=";

/// The names that make a check of a start.
const DUMPS: &[&str] = &["DUMP_VHOSTS", "DUMP_RUN_CFG", "DUMP_MODULES", "DUMP_INCLUDES"];

/// Reads the command line; the error is a message for people, or the help they asked for.
pub(super) fn parse(args: Vec<OsString>) -> Result<Options, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    // What is asked about a configuration names it behind the verb.
    let named = ["why", "ctl", "import"]
        .iter()
        .find_map(|name| matches.subcommand_matches(name));
    let named = named.unwrap_or(&matches);
    let strings = |id: &str| -> Vec<String> {
        named
            .get_many::<String>(id)
            .map(|values| values.cloned().collect())
            .unwrap_or_default()
    };
    let mut defines = strings("define");
    if matches.get_flag("vhosts") {
        defines.extend(["DUMP_VHOSTS", "DUMP_RUN_CFG"].map(str::to_owned));
    }
    if matches.get_flag("loaded-modules") {
        defines.push("DUMP_MODULES".to_owned());
    }
    let verb = matches.get_one::<String>("verb").map(String::as_str);
    let single = matches.get_flag("debug");
    let stays = single || verb.is_none() || defines.iter().any(|name| name == "FOREGROUND");
    Ok(Options {
        task: task(&matches, &defines),
        file: named.get_one("file").cloned(),
        server_root: named.get_one("root").cloned(),
        before: strings("before"),
        after: strings("after"),
        least: matches.get_one::<String>("level").map(|level| severity(level)),
        startup_log: matches.get_one("startup-log").cloned(),
        document_roots: if named.try_get_one("no-roots").is_ok_and(|given| given == Some(&true)) {
            DocumentRoots::Unchecked
        } else {
            DocumentRoots::Checked
        },
        ground: match (matches.get_flag("detached"), stays) {
            (true, _) => Ground::Detached,
            (false, true) => Ground::Front,
            (false, false) => Ground::Back,
        },
        threads: if single { Threads::One } else { Threads::Configured },
        takes_over: matches.get_one("takes-over").copied(),
        handed_over: matches.get_one("handed-over").copied(),
        defines,
    })
}

fn task(matches: &ArgMatches, defines: &[String]) -> Task {
    match matches.subcommand() {
        Some(("serve", serve)) => return Task::Serve(serve_options(serve)),
        Some(("why", why)) => return Task::Why(why::question(why)),
        Some(("import", import)) => return Task::Import(import::import(import)),
        Some(("compare", compare)) => return Task::Compare(compare::compare(compare)),
        Some(("fcgiwrap", wrap)) => return Task::Fcgiwrap(fcgiwrap::wrap(wrap)),
        Some(("ctl", ctl)) => return Task::Ctl(ctl::call(ctl)),
        Some(("passwd", passwd)) => {
            let words = passwd.get_many::<OsString>("words").into_iter().flatten();
            return Task::Passwd(words.cloned().collect());
        }
        Some((_, doctor)) => return Task::Doctor(doctor.get_one("directory").cloned().unwrap_or_default()),
        None => {}
    }
    let quick = [
        ("version", Quick::Version),
        ("settings", Quick::Settings),
        ("modules", Quick::Modules),
        ("directives", Quick::Directives),
    ];
    if let Some((_, quick)) = quick.into_iter().find(|(id, _)| matches.get_flag(id)) {
        return Task::Quick(quick);
    }
    let dumps = || defines.iter().filter(|name| DUMPS.contains(&name.as_str()));
    if matches.get_flag("test") || dumps().any(|name| name != "DUMP_MODULES") {
        return Task::Check;
    }
    if dumps().next().is_some() {
        return Task::Quick(Quick::LoadedModules);
    }
    match matches.get_one::<String>("verb").map(String::as_str) {
        _ if matches.get_flag("detached") || matches.contains_id("handed-over") => Task::Run,
        Some("stop") => Task::Signal(Verb::Stop),
        Some("graceful-stop") => Task::Signal(Verb::GracefulStop),
        Some("restart") => Task::Signal(Verb::Restart),
        Some("graceful") => Task::Signal(Verb::Graceful),
        _ => Task::Run,
    }
}

fn serve_options(matches: &ArgMatches) -> Serve {
    Serve {
        directory: matches.get_one("directory").cloned().unwrap_or_default(),
        listen: matches.get_one("listen").copied().unwrap_or_default(),
        scripts: matches.get_one("cgi-bin").cloned(),
        scheme: if matches.get_flag("tls") {
            Scheme::Https
        } else {
            Scheme::Http
        },
    }
}

/// The least weight of complaints that a level of LogLevel lets through.
fn severity(level: &str) -> Severity {
    match level.to_ascii_lowercase().as_str() {
        "emerg" | "alert" | "crit" | "error" => Severity::Error,
        "warn" => Severity::Warning,
        _ => Severity::Note,
    }
}

fn command() -> Command {
    Command::new("lychgate")
        .about("A web server that runs Apache configurations, static files and CGI scripts")
        .args_override_self(true)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .args(settings())
        .args(for_our_own_use())
        .args(questions())
        .subcommands([
            serve_command(),
            fcgiwrap::command(),
            doctor_command(),
            passwd_command(),
            why::command(),
            import::command(),
            compare::command(),
            ctl::command(),
        ])
}

fn given(id: &'static str, letter: char, name: &'static str, help: &'static str) -> Arg {
    Arg::new(id).short(letter).value_name(name).help(help)
}

fn flag(id: &'static str, letter: char, help: &'static str) -> Arg {
    Arg::new(id).short(letter).help(help).action(ArgAction::SetTrue)
}

/// What the server is started with.
fn settings() -> impl Iterator<Item = Arg> {
    let path = || value_parser!(PathBuf);
    let others = [
        given(
            "level",
            'e',
            "level",
            "Show complaints of at least this level at startup (see LogLevel)",
        )
        .value_parser(PossibleValuesParser::new(LEVELS))
        .ignore_case(true)
        .hide_possible_values(true),
        given("startup-log", 'E', "file", "Write what is said at startup to a file").value_parser(path()),
        given(
            "verb",
            'k',
            "verb",
            "Start in the background, or tell the running server what to do",
        )
        .value_parser(PossibleValuesParser::new(VERBS)),
        flag("no-roots", 'T', "Do not look for DocumentRoots and directories of logs"),
        flag("debug", 'X', "One thread, in the foreground"),
    ];
    configuration().into_iter().chain(others)
}

/// Which configuration is meant.
fn configuration() -> [Arg; 5] {
    let path = || value_parser!(PathBuf);
    [
        given(
            "define",
            'D',
            "name",
            "Define a name for <IfDefine>; FOREGROUND stays in the foreground",
        )
        .action(ArgAction::Append),
        given(
            "root",
            'd',
            "directory",
            "ServerRoot, until the configuration sets another",
        )
        .value_parser(path()),
        given(
            "file",
            'f',
            "file",
            "The configuration; a relative name is below ServerRoot",
        )
        .value_parser(path()),
        given(
            "before",
            'C',
            "directive",
            "Process a directive before the configuration",
        )
        .action(ArgAction::Append),
        given("after", 'c', "directive", "Process a directive after the configuration").action(ArgAction::Append),
    ]
}

/// What one process of ours says to another.
fn for_our_own_use() -> [Arg; 3] {
    [
        Arg::new("detached")
            .long("detached")
            .hide(true)
            .action(ArgAction::SetTrue),
        Arg::new("takes-over")
            .long("takes-over")
            .hide(true)
            .value_parser(value_parser!(u8)),
        Arg::new("handed-over")
            .long("handed-over")
            .hide(true)
            .value_parser(value_parser!(i32)),
    ]
}

/// What it answers instead of serving.
fn questions() -> [Arg; 7] {
    [
        flag(
            "test",
            't',
            "Check the configuration; with -D DUMP_VHOSTS, DUMP_RUN_CFG, DUMP_INCLUDES or DUMP_CONFIG, print it",
        ),
        flag(
            "vhosts",
            'S',
            "Print the virtual hosts and settings: -t -D DUMP_VHOSTS -D DUMP_RUN_CFG",
        ),
        flag("loaded-modules", 'M', "List the modules it has: -D DUMP_MODULES"),
        flag("modules", 'l', "List the modules it has, by source file"),
        flag("directives", 'L', "List the directives it has"),
        flag("version", 'v', "Print the version").long("version"),
        flag(
            "settings",
            'V',
            "Print the version and what was settled when it was built",
        ),
    ]
}

fn serve_command() -> Command {
    let listen = "A port of 127.0.0.1, or an address and a port [default: 127.0.0.1:8000]";
    let scripts = "The directory of scripts at /cgi-bin/ [default: cgi-bin in DIR, if there is one]";
    Command::new("serve")
        .about("Serve a directory without any configuration")
        .args([
            directory(),
            Arg::new("listen")
                .long("listen")
                .value_name("ADDR")
                .help(listen)
                .value_parser(ListenAddress::read),
            Arg::new("cgi-bin")
                .long("cgi-bin")
                .value_name("DIR")
                .help(scripts)
                .value_parser(value_parser!(PathBuf)),
            Arg::new("tls")
                .long("tls")
                .help("Serve over HTTPS, with a certificate that is made for the moment")
                .action(ArgAction::SetTrue),
        ])
}

fn passwd_command() -> Command {
    Command::new("passwd")
        .about("Make, change and check files of passwords for AuthUserFile, as htpasswd does")
        .disable_help_flag(true)
        .arg(
            Arg::new("words")
                .value_name("words")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString)),
        )
}

fn doctor_command() -> Command {
    Command::new("doctor")
        .about("Say what would go wrong with the scripts of a directory")
        .arg(directory())
}

fn directory() -> Arg {
    Arg::new("directory")
        .value_name("DIR")
        .required(true)
        .value_parser(value_parser!(PathBuf))
}

const VERBS: [&str; 5] = ["start", "stop", "restart", "graceful", "graceful-stop"];

const LEVELS: [&str; 16] = [
    "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug", "trace1", "trace2", "trace3", "trace4",
    "trace5", "trace6", "trace7", "trace8",
];

mod compare;
mod ctl;
mod fcgiwrap;
mod import;
#[cfg(test)]
mod tests;
mod why;
