//! Checking, starting and signalling a server: `-t`, the plain start, `-k`, and `lychgate serve`.

use std::cell::RefCell;
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::Signal;

use crate::base::printed::printed;
use crate::commands::ctl::{self, Call, Where};
use crate::commands::why::{self, Question, Trouble};
use crate::config::directives::tls::Engine;
use crate::config::dump;
use crate::config::error::Severity;
use crate::config::load::{Loaded, Source, from_text, load};
use crate::launcher::{
    self, CommandLine, ControlSocket, Detached, Launch, LogTarget, NotRunning, Outcome, Plan, StandardError,
    ask_running, detach, signal_running,
};
use crate::process::inherit::Role;
use crate::process::pidfile::{Holder, holder};
use crate::process::say::{Weight, say};

use super::options::{DETACHED, DocumentRoots, Ground, HANDED_OVER, Options, TAKES_OVER, Task, Threads, Verb};
use super::privileges::{self, Asker};
use super::{checks, complaints, dumps, listing, place, plan, terminal};

/// `-t`, `-S` and the `DUMP_` names. An empty error means that everything has been said.
pub(super) fn check(options: &Options) -> Result<(), String> {
    if options.takes_over.is_none() {
        redirect(options)?;
    }
    let loaded = read(options, &place::source(options)?);
    if options.defines("DUMP_INCLUDES") {
        terminal::out(dumps::includes(&loaded.included).trim_end());
    }
    let dumped = ["DUMP_VHOSTS", "DUMP_RUN_CFG", "DUMP_MODULES", "DUMP_INCLUDES"];
    let is_dump = dumped.iter().any(|name| options.defines(name));
    let least = if is_dump { Severity::Warning } else { Severity::Note };
    complaints::print(&loaded.complaints, options.least.unwrap_or(least));
    if loaded.is_fatal() {
        return Err(String::new());
    }
    printed(print_dumps(options, &loaded)).map_err(|error| error.to_string())?;
    match options.takes_over {
        Some(launcher::VERSION) => terminal::out(CommandLine::ANSWER),
        Some(_) => return Err("it cannot go on where this one is; stop the server and start it".to_owned()),
        None if !is_dump => terminal::err("Syntax OK"),
        None => {}
    }
    Ok(())
}

fn print_dumps(options: &Options, loaded: &Loaded) -> io::Result<()> {
    use io::Write;
    let mut out = io::stdout().lock();
    if options.defines("DUMP_VHOSTS") {
        out.write_all(dumps::virtual_hosts(&loaded.config).as_bytes())?;
    }
    if options.defines("DUMP_RUN_CFG") {
        out.write_all(dumps::run_settings(loaded).as_bytes())?;
    }
    if options.defines("DUMP_MODULES") {
        listing::loaded_modules(&mut out)?;
    }
    if options.defines("DUMP_CONFIG") {
        out.write_all(&dump::dump(&loaded.settings.nodes))?;
    }
    Ok(())
}

/// `lychgate why`: 0 where it could explain, 1 where the configuration is broken, 2 where the question is.
pub(super) fn explain(options: &Options, question: &Question) -> ExitCode {
    let told = |code: u8, error: &str| {
        for line in error.lines() {
            terminal::err(&format!("lychgate: {line}"));
        }
        ExitCode::from(code)
    };
    let loaded = match place::source(options) {
        Ok(source) => load(&source),
        Err(error) => return told(1, &error),
    };
    complaints::print(&loaded.complaints, options.least.unwrap_or(Severity::Error));
    if loaded.is_fatal() {
        return ExitCode::FAILURE;
    }
    let rules = match from_text(&loaded.to_text()) {
        Ok(config) => plan::spawner_rules(config),
        Err(error) => return told(1, &error),
    };
    match why::run(question, loaded, rules, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Failed(error)) => told(1, &error),
        Err(Trouble::Usage(error)) => told(2, &error),
    }
}

/// Serves, here or in the background.
pub(super) fn run(options: &Options) -> Result<(), String> {
    match options.ground {
        _ if options.handed_over.is_some() => launch(options, &mut |_| {}),
        Ground::Back => start_in_background(options),
        Ground::Front => {
            redirect(options)?;
            launch(options, &mut say_where)
        }
        Ground::Detached => {
            redirect(options)?;
            let mut detached =
                Some(Detached::take().map_err(|error| format!("{DETACHED} is for our own use: {error}"))?);
            // Executed by descriptor, we are called by its number.
            rustix::thread::set_name(c"lychgate").map_err(|error| error.to_string())?;
            launch(options, &mut |_| {
                if let Some(Err(error)) = detached.take().map(Detached::tell_ready) {
                    say(
                        "launcher",
                        Weight::Error,
                        &format!("cannot leave the terminal: {error}"),
                    );
                }
            })
        }
    }
}

/// `-k start`: what is wrong is said by the process that is to serve.
fn start_in_background(options: &Options) -> Result<(), String> {
    let loaded = read(options, &place::source(options)?);
    if let Holder::Running(pid) = holder(&plan::pid_file(&loaded.config)) {
        terminal::out(&format!("lychgate (pid {pid}) already running"));
        return Ok(());
    }
    let mut words: Vec<_> = std::env::args_os().collect();
    words.insert(words.len().min(1), DETACHED.into());
    let argv: Result<Vec<CString>, _> = words.into_iter().map(|word| CString::new(word.into_vec())).collect();
    detach(argv.map_err(|error| error.to_string())?)
}

/// `-k` for a server that runs.
pub(super) fn signal(options: &Options, verb: Verb) -> Result<(), String> {
    let loaded = read(options, &place::source(options)?);
    let asks = match verb {
        Verb::Stop | Verb::GracefulStop => None,
        Verb::Restart => Some(Signal::USR2),
        Verb::Graceful => Some(Signal::USR1),
    };
    if loaded.is_fatal() {
        complaints::print(&loaded.complaints, Severity::Error);
        // A server whose configuration was spoilt meanwhile can still be stopped.
        if asks.is_some() {
            return Err(String::new());
        }
    }
    let pid_file = plan::pid_file(&loaded.config);
    let result = match (asks, verb) {
        (Some(signal), _) => return ask(options, &pid_file, signal),
        (None, Verb::GracefulStop) => signal_running(&pid_file, Signal::WINCH),
        (None, _) => signal_running(&pid_file, Signal::TERM),
    };
    match result {
        Ok(_) => Ok(()),
        // Exit status 0, as Apache has it: what was asked for is so.
        Err(NotRunning::Nobody) => {
            terminal::out(&format!("lychgate not running (nobody in {})", pid_file.display()));
            Ok(())
        }
        Err(refused) => Err(refused.to_string()),
    }
}

/// Asks a running server to take other settings, and waits until it serves by them or has said why not.
fn ask(options: &Options, pid_file: &Path, signal: Signal) -> Result<(), String> {
    match ask_running(pid_file, signal) {
        Ok(Outcome::Told(answer)) => answer,
        Ok(Outcome::Silent) => {
            Err("the server was asked and does not say what came of it; see its error log".to_owned())
        }
        Err(NotRunning::Nobody) => {
            terminal::out("lychgate not running, trying to start");
            run(options)
        }
        Err(refused) => Err(refused.to_string()),
    }
}

/// `lychgate ctl`: what the server says. A configuration that was spoilt meanwhile still tells where that is.
pub(super) fn control(options: &Options, call: &Call) -> ExitCode {
    let place = match (place::source(options), &call.socket) {
        (Ok(source), None) => {
            let config = load(&source).config;
            Where {
                socket: plan::control_socket(&config).path().map(Path::to_owned),
                pid_file: plan::pid_file(&config),
            }
        }
        (Err(error), None) => {
            terminal::err(&format!("lychgate: {error}"));
            return ExitCode::FAILURE;
        }
        (_, Some(_)) => Where::default(),
    };
    ExitCode::from(ctl::run(call, &place, &mut io::stdout(), &mut io::stderr()).0)
}

/// How long a worker may give no sign of life.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// Reads the configuration and looks for what it names.
pub(super) fn read(options: &Options, source: &Source) -> Loaded {
    let mut loaded = load(source);
    let asker = match options.task {
        Task::Check | Task::Import(_) => Asker::Checker,
        _ => Asker::Server,
    };
    checks::keys(&mut loaded, asker);
    let repeated = checks::repeated_listeners(&loaded.config.server.core.listen);
    loaded.complaints.extend(repeated);
    let unfit = checks::unfit_services(&loaded.settings);
    loaded.complaints.extend(unfit);
    let unheld = checks::sandbox::unheld(&loaded.settings);
    loaded.complaints.extend(unheld);
    if options.document_roots == DocumentRoots::Checked {
        let jail = loaded
            .config
            .server
            .core
            .chroot
            .value()
            .map_or(&b"/"[..], Vec::as_slice);
        let missing = checks::missing_document_roots(&loaded.settings, jail);
        loaded.complaints.extend(missing);
        let unfit = checks::named::unfit_logs(&loaded.settings);
        loaded.complaints.extend(unfit);
    }
    // The users of an Apache elsewhere need not be known here.
    if !matches!(options.task, Task::Import(_)) {
        let unknown = checks::named::unknown_identity(&loaded);
        loaded.complaints.extend(unknown);
    }
    let unmet = privileges::unmet(&loaded.settings, &loaded.config, asker);
    loaded.complaints.extend(unmet);
    loaded
}

/// Runs the launcher with the configuration of the command line, read at the start and at every reload.
fn launch(options: &Options, ready: &mut dyn FnMut(&[Spoken])) -> Result<(), String> {
    let source = place::source(options)?;
    let told = |error: io::Error| format!("how this program was started: {error}");
    let mut command = CommandLine::of_this_process(check_argv, take_over_argv).map_err(told)?;
    command
        .words
        .retain(|word| !word.to_bytes().starts_with(HANDED_OVER.as_bytes()));
    if options.ground == Ground::Detached {
        std::env::set_current_dir("/").map_err(|error| format!("/: {error}"))?;
    }
    let mut is_first = options.handed_over.is_none();
    // What it begins with, until it says where it listens.
    let first = RefCell::new(None);
    launcher::run(Launch {
        load: &mut || {
            let loaded = read(options, &source);
            let plan = if is_first {
                first_plan(options, &loaded)
            } else {
                next_plan(options, &loaded)
            };
            if std::mem::take(&mut is_first) {
                first.replace(Some(loaded));
            }
            plan.map(|plan| Plan {
                file: Some(source.file.clone()),
                ..plan
            })
        },
        check: &|| {
            let loaded = read(options, &source);
            let remarks = complaints::lines(&loaded.complaints, Severity::Note);
            if loaded.is_fatal() {
                return (remarks, false);
            }
            match plan::of(&loaded, options.threads) {
                Ok(_) => (remarks, true),
                Err(error) => ([remarks, vec![error]].concat(), false),
            }
        },
        role_argv: match options.threads {
            Threads::Configured => role_argv,
            Threads::One => role_argv_debugged,
        },
        ready: &mut |addresses| {
            let loaded = first.take();
            let spoken = |address: &SocketAddr| {
                let site = loaded
                    .as_ref()
                    .map(|loaded| loaded.config.site_for(*address, None, b"/"));
                (site.map_or(Engine::Off, |site| site.settings.tls.spoken()), *address)
            };
            ready(&addresses.iter().map(spoken).collect::<Vec<_>>());
        },
        stderr: match options.ground {
            Ground::Detached => StandardError::Left,
            Ground::Front | Ground::Back => StandardError::Log,
        },
        // Whoever looks at the one thread with a debugger takes time.
        silence: (options.threads == Threads::Configured).then_some(SILENCE),
        command: Some(command),
        socket: None,
        handed_over: options.handed_over,
    })
}

/// The command line by which a program says whether it can take over.
fn check_argv(words: &[CString]) -> Vec<CString> {
    let flag = CString::new(format!("{TAKES_OVER}{}", launcher::VERSION)).unwrap_or_default();
    behind_the_name(words, &[c"-t".to_owned(), flag])
}

/// That by which it does.
fn take_over_argv(words: &[CString], table: i32) -> Vec<CString> {
    behind_the_name(
        words,
        &[CString::new(format!("{HANDED_OVER}{table}")).unwrap_or_default()],
    )
}

fn behind_the_name<const N: usize>(words: &[CString], flags: &[CString; N]) -> Vec<CString> {
    let (name, rest) = words.split_at(words.len().min(1));
    [name, flags, rest].concat()
}

/// The plan to start with. Complaints go to standard error as they are, which editors and scripts can read.
fn first_plan(options: &Options, loaded: &Loaded) -> Result<Plan, String> {
    complaints::print(&loaded.complaints, options.least.unwrap_or(Severity::Warning));
    if loaded.is_fatal() {
        return Err(String::new());
    }
    finished(options, loaded, |warning| {
        terminal::err(&format!("lychgate: warning: {warning}"));
    })
}

/// The plan of a reload. Complaints go to the error log.
fn next_plan(options: &Options, loaded: &Loaded) -> Result<Plan, String> {
    if loaded.is_fatal() {
        return Err(complaints::lines(&loaded.complaints, Severity::Error).join("\n"));
    }
    for line in complaints::lines(&loaded.complaints, Severity::Warning) {
        say("launcher", Weight::Warning, &line);
    }
    finished(options, loaded, |warning| say("launcher", Weight::Warning, &warning))
}

/// The plan, with the directory of the logs made where it is missing.
fn finished(options: &Options, loaded: &Loaded, warn: impl Fn(String)) -> Result<Plan, String> {
    let mut plan = plan::of(loaded, options.threads)?;
    if options.ground == Ground::Detached && plan.logs.contains(&LogTarget::Stderr) {
        warn("in the background, logs that go to /dev/stderr are written nowhere; name a file for them".to_owned());
    }
    let logs = Path::new(OsStr::from_bytes(&loaded.config.server_root)).join("logs");
    let files = plan.logs.iter().filter_map(|log| match log {
        LogTarget::File(path) | LogTarget::Optional(path) => Some(path),
        LogTarget::Program(_) | LogTarget::Stderr | LogTarget::System(_) => None,
    });
    if files
        .chain(&plan.pid_file)
        .map(PathBuf::as_path)
        .chain(plan.control.path())
        .any(|file| file.parent() == Some(&logs))
        && !logs.exists()
    {
        // What cannot be made is told by whoever opens a file there.
        let _told_later = fs::create_dir(&logs);
    }
    // The default alone keeps nobody from serving: a clone of the sources may be somebody else's.
    if loaded.config.server.core.pid_file.value().is_none() && rustix::fs::access(&logs, Access::WRITE_OK).is_err() {
        warn(format!("no PidFile: {} cannot be written to", logs.display()));
        plan.pid_file = None;
        if matches!(plan.control, ControlSocket::Usual(_)) {
            plan.control = ControlSocket::None;
        }
    }
    Ok(plan)
}

/// `-E`.
fn redirect(options: &Options) -> Result<(), String> {
    let Some(path) = &options.startup_log else {
        return Ok(());
    };
    let told = |error: io::Error| format!("-E {}: {error}", path.display());
    let log = File::options().append(true).create(true).open(path).map_err(told)?;
    rustix::stdio::dup2_stderr(&log).map_err(|error| told(error.into()))
}

/// The command line of a role; its first word is what `ps` shows.
pub(super) fn role_argv(role: Role) -> Vec<CString> {
    let shown = match role {
        Role::Worker => c"lychgate: worker",
        Role::Spawner => c"lychgate: spawner",
    };
    let name = match role {
        Role::Worker => c"worker",
        Role::Spawner => c"spawner",
    };
    [shown, c"--role", name].map(CString::from).to_vec()
}

/// The same under `-X`.
fn role_argv_debugged(role: Role) -> Vec<CString> {
    let mut argv = role_argv(role);
    argv.push(c"--debug".into());
    argv
}

/// An address, and what is spoken there.
type Spoken = (Engine, SocketAddr);

/// The one line that a server in the foreground prints.
fn say_where(addresses: &[Spoken]) {
    terminal::out(&where_it_listens(addresses));
}

/// In URLs: two for an address that speaks TLS and plain HTTP.
pub(super) fn where_it_listens(addresses: &[Spoken]) -> String {
    let urls = addresses.iter().map(|(spoken, address)| match spoken {
        Engine::Off => format!("http://{address}/"),
        Engine::On => format!("https://{address}/"),
        Engine::Optional => format!("https://{address}/, http://{address}/"),
    });
    format!("lychgate: listening on {}", urls.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::where_it_listens;
    use crate::config::directives::tls::Engine;

    #[test]
    fn one_line_says_where_it_listens_and_what_is_spoken() {
        let addresses = [
            (Engine::Off, "127.0.0.1:8080"),
            (Engine::On, "[::]:443"),
            (Engine::Optional, "127.0.0.1:8443"),
        ];
        assert_eq!(
            where_it_listens(&addresses.map(|(spoken, text)| (spoken, text.parse().expect("an address")))),
            "lychgate: listening on http://127.0.0.1:8080/, https://[::]:443/, https://127.0.0.1:8443/, http://127.0.0.1:8443/"
        );
    }
}
