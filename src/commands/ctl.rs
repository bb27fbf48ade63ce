//! `lychgate ctl`: asks a server that runs over its control socket, prints what it answers, and ends with the exit status
//! that it says.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::ctl::connect;
use crate::process::ctl::words::{Line, request};
use crate::process::pidfile::{Holder, holder};

/// What is asked of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The words.
    pub words: Vec<Vec<u8>>,
    /// The socket, if it is not the one of the configuration.
    pub socket: Option<PathBuf>,
    /// How long the server may say nothing; for ever without one.
    pub patience: Option<Duration>,
}

/// Where a server may be found.
#[derive(Clone, Debug, Default)]
pub struct Where {
    /// Its socket; none where there is to be none.
    pub socket: Option<PathBuf>,
    /// What names its process, should its socket be another one.
    pub pid_file: PathBuf,
}

/// What becomes of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u8);

impl Status {
    const FAILED: Status = Status(1);
    const NOT_RUNNING: Status = Status(3);
    const NOT_PERMITTED: Status = Status(4);
}

/// Asks, and writes the answer as it comes.
pub fn run(call: &Call, place: &Where, out: &mut dyn Write, err: &mut dyn Write) -> Status {
    let answered = find(call, place).and_then(|stream| ask(stream, call, out, err));
    answered.unwrap_or_else(|(status, told)| {
        // Nowhere is left to say that it could not be said.
        let _unprintable = writeln!(err, "lychgate: {told}");
        status
    })
}

type Failed = (Status, String);

/// A connection to the server.
fn find(call: &Call, place: &Where) -> Result<UnixStream, Failed> {
    if let Some(path) = &call.socket {
        return connect(path, PATIENCE).map_err(|error| cannot(path, &error));
    }
    let refused = match &place.socket {
        None => None,
        Some(path) => match connect(path, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) if is_nobody(&error) => Some(cannot(path, &error)),
            Err(error) => return Err(cannot(path, &error)),
        },
    };
    // The settings may name another socket than when they were read.
    let Holder::Running(pid) = holder(&place.pid_file) else {
        let told = format!("nobody serves: there is no process of {}", place.pid_file.display());
        return Err(refused.map_or((Status::NOT_RUNNING, told), |(status, told)| (status, told)));
    };
    let found = listening_at(pid).iter().find_map(|path| connect(path, PATIENCE).ok());
    found.ok_or_else(|| {
        let told = format!("process {pid} serves, and has no ControlSocket that can be found; name it with --socket");
        (Status::FAILED, told)
    })
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
    )
}

fn cannot(path: &Path, error: &io::Error) -> Failed {
    let path = path.display();
    match error.kind() {
        _ if is_nobody(error) => (Status::NOT_RUNNING, format!("nobody serves at {path}")),
        ErrorKind::PermissionDenied => (
            Status::NOT_PERMITTED,
            format!("{path}: not permitted: only root and the user who has started the server may"),
        ),
        ErrorKind::WouldBlock => (Status::FAILED, format!("{path}: {SILENT}")),
        _ => (Status::FAILED, format!("{path}: {error}")),
    }
}

/// The names of the sockets at which a process listens: those of /proc/net/unix, proc_net(5), that are among its descriptors.
fn listening_at(pid: i32) -> Vec<PathBuf> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let sockets: Vec<Vec<u8>> = links
        .filter_map(|link| {
            Some(
                link.as_os_str()
                    .as_bytes()
                    .strip_prefix(b"socket:[")?
                    .strip_suffix(b"]")?
                    .to_vec(),
            )
        })
        .collect();
    let table = fs::read(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    let rows = table.split(|byte| *byte == b'\n');
    rows.filter_map(|row| listener(row, &sockets)).collect()
}

/// The name in a line of the table, if it is that of a listener with one of these inodes.
fn listener(line: &[u8], inodes: &[Vec<u8>]) -> Option<PathBuf> {
    // Num RefCount Protocol Flags Type St Inode Path
    let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let flags = fields.nth(3)?;
    let inode = fields.nth(2)?;
    let is_ours = flags == ACCEPTS && inodes.iter().any(|one| one == inode);
    let slash = line.iter().position(|byte| *byte == b'/').filter(|_| is_ours)?;
    Some(PathBuf::from(std::ffi::OsString::from_vec(line.get(slash..)?.to_vec())))
}

/// `__SO_ACCEPTCON`: the socket listens.
const ACCEPTS: &[u8] = b"00010000";

/// How long a server may take to hear us.
const PATIENCE: Duration = Duration::from_secs(10);

const SILENT: &str = "the server does not answer";

/// Sends the request and writes the answer.
fn ask(mut stream: UnixStream, call: &Call, out: &mut dyn Write, err: &mut dyn Write) -> Result<Status, Failed> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock => (Status::FAILED, SILENT.to_owned()),
        _ => (Status::FAILED, error.to_string()),
    };
    stream.set_read_timeout(call.patience).map_err(failed)?;
    // A server that sends us away may have closed already; what it said is there to be read.
    let _perhaps_unheard = stream.write_all(&request(&call.words));
    for line in BufReader::new(stream).split(b'\n') {
        // Whoever reads what we print may have enough of it.
        match Line::read(&line.map_err(failed)?) {
            Some(Line::Out(text)) => writeln!(out, "{text}").and_then(|()| out.flush()).map_err(failed)?,
            Some(Line::Err(text)) => writeln!(err, "lychgate: {text}").map_err(failed)?,
            Some(Line::End(status)) => return Ok(Status(status)),
            None => return Err((Status::FAILED, "this is no answer of a lychgate".to_owned())),
        }
    }
    Err((
        Status::FAILED,
        "the server has left without an answer; see its error log".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::{Call, Status, Where, listener, listening_at, run};
    use crate::process::ctl::CtlSocket;

    fn place(name: &str) -> PathBuf {
        let place = std::env::temp_dir().join(format!("lychgate-ctl-command-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("a directory of our own");
        place
    }

    fn call(socket: PathBuf) -> Call {
        Call {
            words: vec![b"status".to_vec()],
            socket: Some(socket),
            patience: Some(Duration::from_secs(30)),
        }
    }

    /// What a server that says this makes of the command: its status and both outputs.
    fn answered(name: &str, answer: &'static [u8]) -> (Status, String, String) {
        use std::io::{BufRead, BufReader, Write};
        use std::os::unix::net::UnixListener;
        let place = place(name);
        let path = place.join("ctl");
        let listener = UnixListener::bind(&path).expect("there is room");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the command comes");
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).expect("text");
            stream.write_all(answer).expect("the command reads");
            line
        });
        let nowhere = Where {
            socket: None,
            pid_file: place.join("pid"),
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = run(&call(path), &nowhere, &mut out, &mut err);
        assert_eq!(server.join().expect("it ends"), "status\n");
        std::fs::remove_dir_all(place).expect("ours");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (status, text(out), text(err))
    }

    #[test]
    fn an_answer_is_printed_and_its_status_is_ours() {
        assert_eq!(
            answered("whole", b"o one\no two\ne three\nx 1\n"),
            (Status(1), "one\ntwo\n".into(), "lychgate: three\n".into())
        );
        let left = "lychgate: the server has left without an answer; see its error log\n";
        assert_eq!(answered("cut", b"o one\n"), (Status(1), "one\n".into(), left.into()));
        let odd = "lychgate: this is no answer of a lychgate\n";
        assert_eq!(
            answered("odd", b"HTTP/1.1 400\n"),
            (Status(1), String::new(), odd.into())
        );
    }

    #[test]
    fn one_that_does_not_answer_is_not_waited_for_without_end() {
        let place = place("silent");
        let path = place.join("ctl");
        let _listens = CtlSocket::bind(&path).expect("there is room");
        let call = Call {
            patience: Some(Duration::from_millis(20)),
            ..call(path)
        };
        let mut err = Vec::new();
        assert_eq!(run(&call, &Where::default(), &mut Vec::new(), &mut err), Status(1));
        let told = String::from_utf8(err).expect("text");
        assert_eq!(told, "lychgate: the server does not answer\n");
        std::fs::remove_dir_all(place).expect("ours");
    }

    #[test]
    fn where_nobody_serves_is_told_by_the_exit_status() {
        let place = place("nobody");
        let nowhere = Where {
            socket: Some(place.join("ctl")),
            pid_file: place.join("pid"),
        };
        let mut err = Vec::new();
        let call = Call {
            words: Vec::new(),
            socket: None,
            patience: None,
        };
        assert_eq!(run(&call, &nowhere, &mut Vec::new(), &mut err), Status(3));
        let told = format!("lychgate: nobody serves at {}\n", place.join("ctl").display());
        assert_eq!(String::from_utf8(err).expect("text"), told);
        std::fs::remove_dir_all(place).expect("ours");
    }

    #[test]
    fn a_listener_is_found_among_a_process_s_descriptors() {
        let place = place("found");
        let path = place.join("with space.ctl");
        let socket = CtlSocket::bind(&path).expect("there is room");
        let found = listening_at(std::process::id().cast_signed());
        assert!(found.contains(&path), "{found:?}");
        drop(socket);
        std::fs::remove_dir_all(place).expect("ours");
        for line in [
            "",
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "0: 2 0 00010000 0001 01 77 @abstract",
            "0: 2 0 00010000 0001 01 78 /run/a",
            "0: 2 0 00000000 0001 01 77 /run/a",
        ] {
            assert_eq!(listener(line.as_bytes(), &[b"77".to_vec()]), None, "{line}");
        }
    }
}
