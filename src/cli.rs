//! The command line: Apache's flags with Apache's meaning, our subcommands, and the hidden `--role`.
//!
//! `httpd(8)` and the outputs of Apache 2.4.71 are what is followed: scripts read them.

mod checks;
mod complaints;
mod dumps;
mod fcgiwrap;
mod import;
mod listing;
mod options;
#[cfg(feature = "tls")]
mod pass_phrases;
mod place;
mod plan;
mod privileges;
mod serve;
mod start;
mod terminal;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::base::printed::printed;
use crate::commands::compare::{self, Compare};
use crate::commands::{doctor, passwd};
use crate::config::load;
use crate::process::inherit::{Inherited, Role};
use crate::process::say::{Weight, say};
use crate::process::title;
use crate::worker::confine::Debuggers;
use crate::{spawner, worker};

use options::{Options, Quick, Task};

/// Runs the program with its arguments (the first is its own name) and returns its exit code:
/// 0 done, 1 failed, 2 wrong usage.
pub fn run(args: Vec<OsString>) -> ExitCode {
    if let [_, flag, role, name] = args.as_slice()
        && flag == "--role"
        && role == "service"
    {
        return spawner::service::run(name.as_encoded_bytes());
    }
    if let [_, flag, role, more @ ..] = args.as_slice()
        && flag == "--role"
    {
        return take_role(role.as_encoded_bytes(), more);
    }
    match options::parse(args) {
        Ok(options) => perform(&options),
        Err(error) => {
            // What clap prints here is help or a usage message; nowhere is left to say that it could not.
            let _unprintable = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

/// What is asked for and needs no configuration.
fn listed(quick: Quick, out: &mut dyn io::Write) -> io::Result<()> {
    match quick {
        Quick::Version => listing::version(out),
        Quick::Settings => listing::settings(out),
        Quick::Modules => listing::compiled_in(out),
        Quick::LoadedModules => listing::loaded_modules(out),
        Quick::Directives => listing::directives(out),
    }
}

fn perform(options: &Options) -> ExitCode {
    let result = match &options.task {
        Task::Quick(quick) => printed(listed(*quick, &mut io::stdout())).map_err(|error| error.to_string()),
        Task::Check => start::check(options),
        Task::Run => start::run(options),
        Task::Signal(verb) => start::signal(options, *verb),
        Task::Serve(serve) => serve::serve(serve),
        Task::Fcgiwrap(wrap) => return fcgiwrap::run(wrap),
        Task::Ctl(call) => return start::control(options, call),
        Task::Import(import) => return import::run(options, import),
        Task::Compare(words) => return compared(words),
        Task::Why(question) => return start::explain(options, question),
        Task::Passwd(words) => return ExitCode::from(passwd::run(words)),
        Task::Doctor(directory) => match doctor::run(directory, &mut io::stdout()) {
            Ok(verdict) => return ExitCode::from(verdict.exit_code()),
            Err(error) => Err(format!("{}: {error}", directory.display())),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.lines() {
                terminal::err(&format!("lychgate: {line}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// `lychgate compare`: 0 where nothing differs, 1 where something does, 2 where it could not be asked.
fn compared(words: &Compare) -> ExitCode {
    match compare::run(words, &mut io::stdout(), &mut io::stderr()) {
        Ok(compare::Verdict::Same) => ExitCode::SUCCESS,
        Ok(compare::Verdict::Differs) => ExitCode::FAILURE,
        Err(error) => {
            terminal::err(&format!("lychgate: {error}"));
            ExitCode::from(2)
        }
    }
}

/// What the launcher executes us for.
fn take_role(name: &[u8], words: &[OsString]) -> ExitCode {
    let taken = Inherited::take().and_then(|inherited| {
        title::keep_first_argument(c"lychgate")?;
        Ok(inherited)
    });
    let told = |role: &str, error: &str| {
        say(role, Weight::Error, error);
        ExitCode::FAILURE
    };
    let inherited = match taken {
        Ok(inherited) if Role::from_name(name) == Some(inherited.role) => inherited,
        Ok(_) => return told("lychgate", "--role is for the launcher's use alone"),
        Err(error) => return told("lychgate", &format!("--role is for the launcher's use alone: {error}")),
    };
    match inherited.role {
        Role::Worker => match worker::run::run(inherited, &fcgiwrap::protocol(words), debuggers(words)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => told("worker", &error),
        },
        Role::Spawner => match load::from_text(&inherited.settings) {
            Ok(config) => spawner::run(inherited, plan::spawner_rules(config)),
            Err(error) => told("spawner", &error),
        },
    }
}

/// Whether a role that is started with these words lets itself be debugged.
fn debuggers(words: &[OsString]) -> Debuggers {
    if words.iter().any(|word| word == "--debug") {
        Debuggers::Admitted
    } else {
        Debuggers::KeptOut
    }
}
