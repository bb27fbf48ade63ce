//! The launcher as it is: a process with roles. The test binary is executed again as launcher, and by that as worker
//! and spawner, both made of a few lines; `env --block-signal` stands in for a process with a single thread.

use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;

use super::{IdentityBy, Launch, Listen, LogProgram, LogTarget, Plan, Shell, StandardError, run, signal_running};
use crate::process::channel::{Heard, Wait};
use crate::process::inherit::{Inherited, Role};
use crate::process::message::{FromSpawner, FromWorker, ToSpawner, ToWorker};
use crate::process::title;

const PLACE: &str = "LYCHGATE_TEST_PLACE";

/// The launcher of the other tests; on its own it does nothing.
#[test]
fn as_launcher() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else {
        return;
    };
    let result = run(Launch {
        load: &mut || plan(&place),
        role_argv,
        ready: &mut |addresses: &[SocketAddr]| println!("\nready {}", addresses.first().expect("there is one")),
        stderr: StandardError::Log,
    });
    if let Err(error) = &result {
        eprintln!("{error}");
    }
    std::process::exit(i32::from(result.is_err()));
}

/// A role of the other tests; on its own it does nothing.
#[test]
fn as_role() {
    if std::env::var_os(PLACE).is_none() {
        return;
    }
    let inherited = Inherited::take().expect("started by a launcher");
    title::keep_first_argument(c"lychgate").expect("/proc is there");
    match inherited.role {
        Role::Worker => worker(inherited),
        Role::Spawner => spawner(&inherited),
    }
    std::process::exit(0);
}

fn role_argv(role: Role) -> Vec<CString> {
    let title = format!("lychgate: {}", role.name());
    let words = [&title, "--exact", "launcher::tests::as_role", "--nocapture"];
    words.map(|word| CString::new(word).expect("no NUL")).to_vec()
}

/// The settings of these tests: `bad`, or words that end up in the answers of the worker.
fn plan(place: &Path) -> Result<Plan, String> {
    let settings = fs::read(place.join("settings")).map_err(|error| error.to_string())?;
    if settings.starts_with(b"bad") {
        return Err("settings:1: Bad: is no word\nsettings:2: nor this".to_owned());
    }
    let command = format!("exec cat >> {}", place.join("piped").display()).into_bytes();
    let user = settings.starts_with(b"nobody").then(|| b"nobody".to_vec());
    let address = match settings.strip_prefix(b"port ") {
        Some(port) => std::str::from_utf8(port)
            .expect("text")
            .trim()
            .parse()
            .expect("a number"),
        None => 0,
    };
    Ok(Plan {
        listeners: vec![Listen::own(SocketAddr::from((Ipv4Addr::LOCALHOST, address)))],
        backlog: 16,
        user,
        group: None,
        worker_by: IdentityBy::Launcher,
        spawner_by: IdentityBy::Launcher,
        pid_file: Some(place.join("pid")),
        logs: vec![
            LogTarget::File(place.join("error")),
            LogTarget::Program(LogProgram {
                command,
                shell: Shell::With,
            }),
        ],
        error_log: Some(0),
        threads: 2,
        settings,
        graceful_limit: Duration::ZERO,
    })
}

/// Answers one line per connection: who it is, or what it was asked to do.
fn worker(inherited: Inherited) {
    static BUSY: AtomicUsize = AtomicUsize::new(0);
    let Inherited {
        settings,
        launcher,
        scripts,
        listeners,
        logs,
        ..
    } = inherited;
    assert_eq!((scripts.len(), logs.len()), (2, 2));
    let settings: &'static [u8] = settings.leak();
    let log: &'static OwnedFd = Box::leak(Box::new(logs.into_iter().nth(1).expect("two")));
    let listeners: Vec<TcpListener> = listeners.into_iter().flatten().map(TcpListener::from).collect();
    launcher
        .tell(&FromWorker::Ready, Wait::Yes)
        .expect("the launcher listens");
    loop {
        let mut polled = vec![PollFd::new(&launcher, PollFlags::IN)];
        polled.extend(listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        rustix::event::poll(&mut polled, None).expect("it works");
        for (connection, _) in listeners.iter().filter_map(|listener| listener.accept().ok()) {
            connection.set_nonblocking(false).expect("a socket");
            BUSY.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                answer(connection, settings, log);
                BUSY.fetch_sub(1, Ordering::SeqCst);
            });
        }
        match launcher.hear(Wait::No) {
            Ok(Heard::Message(ToWorker::Drain { .. })) => break,
            Ok(Heard::Message(ToWorker::Stop) | Heard::Closed) => std::process::exit(0),
            Ok(Heard::Message(ToWorker::SpawnerRestarted)) => eprintln!("heard of a new spawner"),
            Ok(Heard::Message(ToWorker::ReopenLogs { first, logs })) => {
                rustix::stdio::dup2_stderr(logs.first().expect("two")).expect("it is open");
                eprintln!("logs {first} + {}", logs.len());
            }
            Ok(Heard::Unknown(error)) => panic!("{error}"),
            Err(_) => {}
        }
    }
    drop(listeners);
    launcher
        .tell(&FromWorker::AcceptingEnded, Wait::Yes)
        .expect("the launcher listens");
    while BUSY.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn answer(mut connection: TcpStream, settings: &[u8], log: &OwnedFd) {
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line).expect("text");
    let status = fs::read_to_string("/proc/self/status").expect("/proc is there");
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or("")
            .trim()
            .to_owned()
    };
    let settings = settings.escape_ascii();
    let reply = match line.trim_end() {
        "die" => std::process::exit(3),
        "log" => format!("{:?}", rustix::io::write(log, b"logged\n")),
        "status" => format!(
            "{} nnp {} caps {}",
            field("Uid:"),
            field("NoNewPrivs:"),
            field("CapEff:")
        ),
        _ => format!("{} {settings}", std::process::id()),
    };
    connection.write_all(reply.as_bytes()).expect("the client is there");
}

fn spawner(inherited: &Inherited) {
    assert_eq!(inherited.scripts.len(), 2);
    inherited
        .launcher
        .tell(&FromSpawner::Ready, Wait::Yes)
        .expect("the launcher listens");
    loop {
        match inherited.launcher.hear(Wait::Yes).expect("it works") {
            Heard::Message(ToSpawner::Serve { .. }) => eprintln!("another channel"),
            Heard::Message(ToSpawner::ReopenLog { log }) => rustix::stdio::dup2_stderr(log).expect("it is open"),
            Heard::Message(ToSpawner::Stop { .. } | ToSpawner::Retire) | Heard::Closed => return,
            Heard::Unknown(error) => panic!("{error}"),
        }
    }
}

/// A launcher that serves.
struct Server {
    place: PathBuf,
    launcher: Child,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

fn launch(place: &Path, settings: &str) -> Child {
    fs::create_dir_all(place).expect("there is room");
    fs::write(place.join("settings"), settings).expect("there is room");
    Command::new("env")
        .arg("--block-signal=TERM,INT,CHLD,HUP,USR1,WINCH")
        .arg(std::env::current_exe().expect("we are a file"))
        .args(["--exact", "launcher::tests::as_launcher", "--nocapture"])
        .env(PLACE, place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("coreutils are there")
}

fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("lychgate-launcher-{name}-{}", std::process::id()))
}

impl Server {
    fn start(name: &str, settings: &str) -> Server {
        let place = place(name);
        let mut launcher = launch(&place, settings);
        let mut output = BufReader::new(launcher.stdout.take().expect("piped"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            if output.read_line(&mut line).expect("text") == 0 {
                let mut error = String::new();
                launcher
                    .stderr
                    .take()
                    .expect("piped")
                    .read_to_string(&mut error)
                    .expect("text");
                panic!("no server: {error} {:?}", fs::read_to_string(place.join("error")));
            }
            if let Some(address) = line.strip_prefix("ready ") {
                break address.trim().parse().expect("an address");
            }
        };
        Server {
            place,
            launcher,
            output,
            address,
        }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).expect("it listens")
    }

    /// Asks on a connection of its own.
    fn ask(&self, question: &str) -> String {
        finish(self.connect(), question)
    }

    fn worker_pid(&self) -> u32 {
        self.ask("who")
            .split(' ')
            .next()
            .expect("a word")
            .parse()
            .expect("a number")
    }

    fn signal(&self, signal: Signal) {
        let pid = signal_running(&self.place.join("pid"), signal).expect("it runs");
        assert_eq!(u32::try_from(pid), Ok(self.launcher.id()));
    }

    /// The processes whose parent is the launcher: pid and command line.
    fn roles(&self) -> Vec<(u32, String)> {
        let pid = self.launcher.id();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
        let children = tasks.map(|task| fs::read_to_string(task.expect("it is there").path().join("children")));
        let children: String = children.map(|list| list.expect("it is there")).collect();
        let line = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let role = |pid: &str| {
            (
                pid.parse().expect("a number"),
                line(pid).trim_end_matches('\0').to_owned(),
            )
        };
        let mut roles: Vec<(u32, String)> = children.split_whitespace().map(role).collect();
        roles.retain(|(_, line)| line.starts_with("lychgate: "));
        roles.sort_by(|one, other| one.1.cmp(&other.1));
        roles
    }

    fn role(&self, name: &str) -> u32 {
        let title = format!("lychgate: {name}");
        let find = || {
            self.roles()
                .into_iter()
                .find(|(_, line)| *line == title)
                .map(|(pid, _)| pid)
        };
        until(name, find)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.join("error")).unwrap_or_default()
    }

    fn wait_for_log(&self, text: &str) {
        until(&format!("`{text}` in the log"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// Waits for the launcher's end, which must be good and leave nothing.
    fn ends_well(&mut self) {
        let status = self.launcher.wait().expect("ours");
        assert!(status.success(), "{status}: {}", self.log());
        self.output
            .read_to_end(&mut Vec::new())
            .expect("nobody holds its output any more");
        assert!(!self.place.join("pid").exists());
        TcpStream::connect(self.address).expect_err("nobody listens");
    }

    fn stop(mut self) {
        self.signal(Signal::TERM);
        self.ends_well();
    }
}

impl Drop for Server {
    /// Leaves no process behind when a test fails, and the directory only then.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _it_may_have_ended = self.launcher.kill();
            let _it_may_have_ended = self.launcher.wait();
        } else {
            fs::remove_dir_all(&self.place).expect("ours");
        }
    }
}

fn finish(mut connection: TcpStream, question: &str) -> String {
    let mut answer = String::new();
    writeln!(connection, "{question}").expect("it reads");
    // A worker that dies resets the connection.
    let _answer_so_far = connection.read_to_string(&mut answer);
    answer
}

/// Waits until there is something, a minute at most.
fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn it_serves_by_roles_with_names_and_stops() {
    let server = Server::start("serves", "one");
    let (worker, spawner) = (server.role("worker"), server.role("spawner"));
    assert_eq!(server.ask("who"), format!("{worker} one"));
    assert_eq!(
        fs::read_to_string(server.place.join("pid")).expect("made"),
        format!("{}\n", server.launcher.id())
    );
    assert_eq!(server.roles().len(), 2);
    server.stop();
    assert!(!is_alive(worker) && !is_alive(spawner));
}

#[test]
fn what_dies_is_started_again() {
    let server = Server::start("dies", "one");
    let (worker, spawner) = (server.role("worker"), server.role("spawner"));
    assert_eq!(server.ask("die"), "");
    assert_ne!(server.worker_pid(), worker); // the connection waited for the new one
    server.wait_for_log("the worker died (exit status 3): it is started again");
    server.wait_for_log("another channel");
    let process = rustix::process::Pid::from_raw(i32::try_from(spawner).expect("small")).expect("not 0");
    rustix::process::kill_process(process, Signal::KILL).expect("it runs");
    server.wait_for_log("the spawner died (signal 9 (SIGKILL)): it is started again");
    server.wait_for_log("heard of a new spawner");
    assert_ne!(server.role("spawner"), spawner);
    server.stop();
}

#[test]
fn a_reload_serves_the_new_and_finishes_the_old() {
    let server = Server::start("reload", "one");
    let (old, old_spawner) = (server.worker_pid(), server.role("spawner"));
    let held = server.connect();
    assert_eq!(server.ask("who"), format!("{old} one")); // so the one before is accepted
    fs::write(server.place.join("settings"), "two").expect("there is room");
    server.signal(Signal::HUP);
    server.wait_for_log("serving by the new settings");
    // Listeners have a queue each, so one connection may still meet the old worker while it drains.
    let new = until("the new settings", || {
        Some(server.ask("who")).filter(|answer| answer.ends_with(" two"))
    });
    assert!(!new.starts_with(&old.to_string()));
    assert_eq!(finish(held, "who"), format!("{old} one"));
    until("the old roles to end", || {
        (!is_alive(old) && !is_alive(old_spawner)).then_some(())
    });
    server.stop();
}

#[test]
fn a_reload_with_errors_changes_nothing_but_opens_the_logs() {
    let server = Server::start("bad-reload", "one");
    let worker = server.worker_pid();
    fs::write(server.place.join("settings"), "bad").expect("there is room");
    fs::rename(server.place.join("error"), server.place.join("error.1")).expect("it is there");
    server.signal(Signal::USR1);
    server.wait_for_log("the settings in force stay as they are");
    let old = fs::read_to_string(server.place.join("error")).expect("it was opened anew");
    for line in [
        "settings:1: Bad: is no word\n",
        "settings:2: nor this\n",
        "the settings in force stay as they are\n",
    ] {
        assert!(old.contains(line), "{old}");
    }
    assert_eq!(server.ask("who"), format!("{worker} one"));
    server.stop();
}

#[test]
fn connections_are_never_refused_while_reloading() {
    let server = Server::start("reloads", "one");
    for round in 0..5 {
        fs::write(server.place.join("settings"), format!("{round}")).expect("there is room");
        server.signal(Signal::HUP);
        until("the new settings", || {
            let answer = server.ask("who");
            let (_, settings) = answer.split_once(' ').expect("always an answer");
            (settings == round.to_string()).then_some(())
        });
    }
    server.stop();
}

#[test]
fn a_start_with_errors_fails_and_says_why() {
    let place = place("bad-start");
    let output = launch(&place, "bad").wait_with_output().expect("ours");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(
        error.contains("settings:1: Bad: is no word\nsettings:2: nor this\n"),
        "{error}"
    );
    fs::remove_dir_all(place).expect("ours");
}

#[test]
fn a_second_server_is_refused_by_pid_file_and_by_address() {
    let server = Server::start("first", "one");
    let output = launch(&server.place, "one").wait_with_output().expect("ours");
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(
        error.contains(&format!("already running as pid {}", server.launcher.id())),
        "{error}"
    );
    let other = place("second");
    let output = launch(&other, &format!("port {}", server.address.port()))
        .wait_with_output()
        .expect("ours");
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(
        error.contains(&format!("Listen {}: Address already in use", server.address)),
        "{error}"
    );
    fs::remove_dir_all(other).expect("ours");
    server.stop();
}

#[test]
fn log_programs_are_started_again_and_lose_nothing() {
    let server = Server::start("piped", "one");
    let lines = |count| {
        let text = fs::read_to_string(server.place.join("piped")).unwrap_or_default();
        (text == "logged\n".repeat(count)).then_some(())
    };
    assert_eq!(server.ask("log"), "Ok(7)");
    until("the first line", || lines(1));
    let shell = until("the program", || program_of(&server));
    let process = rustix::process::Pid::from_raw(shell).expect("not 0");
    rustix::process::kill_process_group(process, Signal::KILL).expect("it runs");
    server.wait_for_log("ended (signal 9 (SIGKILL)): it is started again");
    assert_eq!(server.ask("log"), "Ok(7)");
    until("the second line", || lines(2));
    assert_eq!(server.ask("log"), "Ok(7)");
    let piped = server.place.join("kept");
    fs::hard_link(server.place.join("piped"), &piped).expect("there is room");
    let elsewhere = place("piped-kept");
    fs::rename(&piped, &elsewhere).expect("there is room");
    server.stop();
    assert_eq!(
        fs::read_to_string(&elsewhere).expect("it is there"),
        "logged\n".repeat(3)
    );
    fs::remove_file(elsewhere).expect("ours");
}

/// The log program's process: the only child of the launcher that is no role.
fn program_of(server: &Server) -> Option<i32> {
    let pid = server.launcher.id();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let children: Vec<u32> = lists
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|pid| pid.parse().ok())
        .collect();
    let roles: Vec<u32> = server.roles().into_iter().map(|(pid, _)| pid).collect();
    children
        .into_iter()
        .find(|pid| !roles.contains(pid))
        .and_then(|pid| i32::try_from(pid).ok())
}

#[test]
fn a_graceful_stop_waits_for_what_is_under_way() {
    let mut server = Server::start("graceful", "one");
    let held = server.connect();
    let worker = server.worker_pid();
    server.signal(Signal::WINCH);
    server.wait_for_log("stopping when the last connection has ended");
    assert_eq!(finish(held, "who"), format!("{worker} one"));
    server.ends_well();
}

#[test]
fn roles_do_not_outlive_a_killed_launcher() {
    let mut server = Server::start("killed", "one");
    let roles = server.roles();
    server.launcher.kill().expect("ours");
    server.launcher.wait().expect("ours");
    until("the roles to end", || {
        roles.iter().all(|(pid, _)| !is_alive(*pid)).then_some(())
    });
}

#[test]
fn as_root_the_roles_are_somebody_else() {
    if !crate::process::identity::Identity::process_is_root() {
        println!("not run: needs root");
        return;
    }
    let server = Server::start("nobody", "nobody");
    let status = server.ask("status");
    let nobody = crate::process::identity::Identity::look_up(b"nobody", None)
        .expect("it is known")
        .uid;
    assert_eq!(
        status,
        format!("{nobody}\t{nobody}\t{nobody}\t{nobody} nnp 1 caps 0000000000000000")
    );
    assert_eq!(server.role("worker"), server.worker_pid());
    server.stop();
}

#[test]
fn as_root_without_a_user_only_loopback_is_served() {
    use super::{Notes, identity};
    let place = place("root");
    fs::create_dir_all(&place).expect("there is room");
    fs::write(place.join("settings"), "x").expect("there is room");
    let mut plan = plan(&place).expect("it is good");
    fs::remove_dir_all(place).expect("ours");
    assert_eq!(identity(&plan, Notes::Kept), Ok(None));
    plan.listeners.push(Listen::port(80));
    let result = identity(&plan, Notes::Kept);
    if crate::process::identity::Identity::process_is_root() {
        assert_eq!(
            result,
            Err("started as root: a `User` line is needed, which says who serves requests".to_owned())
        );
    } else {
        assert_eq!(result, Ok(None));
    }
}
