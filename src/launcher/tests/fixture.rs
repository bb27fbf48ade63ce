//! A launcher with roles made of a few lines, and what the tests ask of it.

use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::super::{
    ControlSocket, IdentityBy, Listen, LogProgram, LogTarget, Outcome, Plan, Shell, ask_running, signal_running,
};
use crate::base::secret::Secret;
use crate::process::answer::ONE_EAR;
use crate::process::channel::{Heard, Wait};
use crate::process::counts::Counts;
use crate::process::inherit::{Inherited, Role};
use crate::process::message::{FromSpawner, FromWorker, ToSpawner, ToWorker};

pub(super) const PLACE: &str = "LYCHGATE_TEST_PLACE";

pub(super) fn role_argv(role: Role) -> Vec<CString> {
    let title = format!("lychgate: {}", role.name());
    let words = [&title, "--exact", "launcher::tests::as_role", "--nocapture"];
    words.map(|word| CString::new(word).expect("no NUL")).to_vec()
}

/// The settings of these tests: `bad`, or words that end up in the answers of the worker.
pub(super) fn plan(place: &Path) -> Result<Plan, String> {
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
        lines: Vec::new(),
        at_once: Vec::new(),
        silence: 0,
        user,
        group: None,
        worker_by: IdentityBy::Launcher,
        spawner_by: IdentityBy::Launcher,
        pid_file: Some(place.join("pid")),
        control: ControlSocket::Named(place.join("ctl")),
        file: None,
        logs: vec![
            LogTarget::File(place.join("error")),
            LogTarget::Program(LogProgram {
                command,
                shell: Shell::With,
            }),
        ],
        error_log: Some(0),
        maps: Vec::new(),
        services: Vec::new(),
        service_dir: place.join("services"),
        threads: 2,
        settings,
        keys: Secret::default(),
        graceful_limit: Duration::ZERO,
        remark: None,
    })
}

/// Answers one line per connection: who it is, or what it was asked to do.
pub(super) fn worker(inherited: Inherited) {
    static BUSY: AtomicUsize = AtomicUsize::new(0);
    let Inherited {
        settings,
        keys: _,
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
    let turn = Timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    loop {
        // A launcher that is about to end does not listen.
        let _unheard = launcher.tell(&FromWorker::Alive, Wait::No);
        let mut polled = vec![PollFd::new(&launcher, PollFlags::IN)];
        polled.extend(listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        rustix::event::poll(&mut polled, Some(&turn)).expect("it works");
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
            Ok(Heard::Message(ToWorker::SpawnerRestarted { .. })) => eprintln!("heard of a new spawner"),
            Ok(Heard::Message(ToWorker::ReopenLogs { first, logs })) => {
                rustix::stdio::dup2_stderr(logs.first().expect("two")).expect("it is open");
                eprintln!("logs {first} + {}", logs.len());
            }
            Ok(Heard::Message(ToWorker::MapProgram { number, .. })) => eprintln!("map program {number}"),
            Ok(Heard::Message(ToWorker::Report { number })) => {
                let counts = Counts::default();
                let _unheard = launcher.tell(&FromWorker::Report { number, counts }, Wait::No);
            }
            Ok(Heard::Message(ToWorker::Server { number, .. })) => eprintln!("told of the server, question {number}"),
            Ok(Heard::Message(ToWorker::ServiceRenewed { process, .. })) => eprintln!("service process {process}"),
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

pub(super) fn spawner(inherited: &Inherited) {
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
            Heard::Message(ToSpawner::Report { number }) => {
                let report = FromSpawner::Report { number, scripts: 0 };
                inherited
                    .launcher
                    .tell(&report, Wait::Yes)
                    .expect("the launcher listens");
            }
            Heard::Unknown(error) => panic!("{error}"),
        }
    }
}

/// A launcher that serves.
pub(super) struct Server {
    pub(super) place: PathBuf,
    pub(super) launcher: Child,
    output: BufReader<ChildStdout>,
    pub(super) address: SocketAddr,
}

pub(super) fn launch(place: &Path, settings: &str) -> Child {
    fs::create_dir_all(place).expect("there is room");
    fs::write(place.join("settings"), settings).expect("there is room");
    Command::new("env")
        .arg("--block-signal=TERM,INT,CHLD,HUP,USR1,USR2,WINCH")
        .arg(std::env::current_exe().expect("we are a file"))
        .args(["--exact", "launcher::tests::as_launcher", "--nocapture"])
        .env(PLACE, place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("coreutils are there")
}

pub(super) fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("lychgate-launcher-{name}-{}", std::process::id()))
}

impl Server {
    pub(super) fn start(name: &str, settings: &str) -> Server {
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

    pub(super) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).expect("it listens")
    }

    /// Asks on a connection of its own.
    pub(super) fn ask(&self, question: &str) -> String {
        finish(self.connect(), question)
    }

    pub(super) fn worker_pid(&self) -> u32 {
        self.ask("who")
            .split(' ')
            .next()
            .expect("a word")
            .parse()
            .expect("a number")
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = signal_running(&self.place.join("pid"), signal).expect("it runs");
        assert_eq!(u32::try_from(pid), Ok(self.launcher.id()));
    }

    /// Asks for other settings.
    pub(super) fn reload(&self, signal: Signal) -> Outcome {
        let _alone = ONE_EAR.lock().unwrap_or_else(PoisonError::into_inner);
        ask_running(&self.place.join("pid"), signal).expect("it runs")
    }

    /// The processes whose parent is the launcher: pid and command line.
    pub(super) fn roles(&self) -> Vec<(u32, String)> {
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

    pub(super) fn role(&self, name: &str) -> u32 {
        let title = format!("lychgate: {name}");
        let find = || {
            self.roles()
                .into_iter()
                .find(|(_, line)| *line == title)
                .map(|(pid, _)| pid)
        };
        until(name, find)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.place.join("error")).unwrap_or_default()
    }

    pub(super) fn wait_for_log(&self, text: &str) {
        until(&format!("`{text}` in the log"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// Waits for the launcher's end, which must be good and leave nothing.
    pub(super) fn ends_well(&mut self) {
        let status = self.launcher.wait().expect("ours");
        assert!(status.success(), "{status}: {}", self.log());
        self.output
            .read_to_end(&mut Vec::new())
            .expect("nobody holds its output any more");
        assert!(!self.place.join("pid").exists());
        TcpStream::connect(self.address).expect_err("nobody listens");
    }

    pub(super) fn stop(mut self) {
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

pub(super) fn finish(mut connection: TcpStream, question: &str) -> String {
    let mut answer = String::new();
    writeln!(connection, "{question}").expect("it reads");
    // A worker that dies resets the connection.
    let _answer_so_far = connection.read_to_string(&mut answer);
    answer
}

/// Sends a signal to one of a server's processes.
pub(super) fn send(pid: u32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("small")).expect("not 0");
    rustix::process::kill_process(pid, signal).expect("it runs");
}

/// Waits until there is something, a minute at most.
pub(super) fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(super) fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
