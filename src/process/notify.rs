//! Telling the service manager how we are: sd_notify(3).

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};
use std::{env, io};

use super::say::{Weight, say};

/// The way to a service manager, if there is one that listens.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: Option<Watchdog>,
}

/// A service manager that wants a sign of life now and then.
#[derive(Debug)]
struct Watchdog {
    every: Duration,
    next: Instant,
}

/// How we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It serves, for the first time or after a reload, well or not.
    Ready,
    /// The settings are being read again.
    Reloading,
    /// It is to end.
    Stopping,
}

/// The variables by which a service manager speaks to us alone: nobody we start shall have them.
pub const VARIABLES: &[&str] = &[
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

impl Notifier {
    /// As the environment says (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID).
    pub fn from_environment() -> Notifier {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Notifier::default();
        };
        let socket = connect(&name);
        if let Err(error) = &socket {
            say(
                "launcher",
                Weight::Warning,
                &format!("NOTIFY_SOCKET {}: {error}", name.display()),
            );
        }
        let (time, pid) = (env::var("WATCHDOG_USEC").ok(), env::var("WATCHDOG_PID").ok());
        Notifier {
            socket: socket.ok(),
            watchdog: watchdog(time.as_deref(), pid.as_deref()).map(|every| Watchdog {
                every,
                next: Instant::now(),
            }),
        }
    }

    /// Tells how we are, with a sentence for people.
    pub fn tell(&self, state: State, status: &str) {
        let status: String = status.lines().collect::<Vec<_>>().join("; ");
        let text = match state {
            State::Ready => format!("READY=1\nMAINPID={}\nSTATUS={status}\n", std::process::id()),
            State::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS={status}\n", monotonic_micros()),
            State::Stopping => format!("STOPPING=1\nSTATUS={status}\n"),
        };
        self.send(text.as_bytes());
    }

    /// When the next sign of life is due.
    pub fn next_time(&self) -> Option<Instant> {
        self.watchdog.as_ref().map(|watchdog| watchdog.next)
    }

    /// Gives a sign of life if one is due.
    pub fn pass_time(&mut self, now: Instant) {
        let Some(watchdog) = &mut self.watchdog else { return };
        if watchdog.next <= now {
            watchdog.next = now + watchdog.every;
            self.send(b"WATCHDOG=1\n");
        }
    }

    fn send(&self, text: &[u8]) {
        if let Some(socket) = &self.socket {
            // A service manager that does not listen (any more) misses what it asked for; we serve all the same.
            let _missed = socket.send(text);
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "neither a path nor `@` and a name",
            ));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// How often a sign of life is given: twice in the time that the service manager has set, sd_watchdog_enabled(3).
fn watchdog(micros: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(std::process::id())) {
        return None;
    }
    let micros: u64 = micros?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros / 2).max(Duration::from_millis(1)))
}

fn monotonic_micros() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::time::Duration;

    use super::{Notifier, State, connect, watchdog};

    #[test]
    fn messages_reach_paths_and_abstract_names() {
        let name = format!("lychgate-notify-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let cases = [
            (
                format!("@{name}"),
                SocketAddr::from_abstract_name(&name).expect("short"),
            ),
            (
                path.display().to_string(),
                SocketAddr::from_pathname(&path).expect("short"),
            ),
        ];
        for (told, address) in cases {
            let manager = UnixDatagram::bind_addr(&address).expect("nobody has it");
            let notifier = Notifier {
                socket: Some(connect(told.as_ref()).expect("somebody listens")),
                watchdog: None,
            };
            notifier.tell(State::Ready, "serving\nwell");
            let mut buffer = [0; 200];
            let length = manager.recv(&mut buffer).expect("it was sent");
            let expected = format!("READY=1\nMAINPID={}\nSTATUS=serving; well\n", std::process::id());
            assert_eq!(&buffer[..length], expected.as_bytes());
        }
        std::fs::remove_file(path).expect("ours");
        connect("relative".as_ref()).map(drop).expect_err("neither");
    }

    #[test]
    fn the_watchdog_is_for_whom_it_is_meant() {
        let own = std::process::id().to_string();
        let half = Some(Duration::from_secs(15));
        assert_eq!(watchdog(Some("30000000"), None), half);
        assert_eq!(watchdog(Some("30000000"), Some(&own)), half);
        assert_eq!(watchdog(Some("30000000"), Some("1")), None);
        assert_eq!(watchdog(Some("0"), None), None);
        assert_eq!(watchdog(Some("x"), None), None);
        assert_eq!(watchdog(None, Some(&own)), None);
    }
}
