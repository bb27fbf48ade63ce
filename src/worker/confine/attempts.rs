//! What somebody would try who had taken over a worker, and what he needs to try it on.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "arguments of raw calls are what the registers hold"
)]

use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::fs::spool::Spool;
use crate::process::names;
use crate::process::raw::call;

/// What was open and under way before the worker confined itself.
pub(super) struct Before {
    directory: std::path::PathBuf,
    victim: Child,
    tcp: TcpListener,
    _abstract_socket: UnixListener,
    abstract_name: SocketAddr,
    log: File,
    program: File,
}

impl Before {
    pub(super) fn prepare(directory: &Path) -> Before {
        fs::write(directory.join("file"), "text\n").expect("it is ours");
        fs::write(directory.join("log"), "").expect("it is ours");
        let name = format!("lychgate-taken-over-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(name).expect("short");
        Before {
            directory: directory.to_owned(),
            victim: Command::new("/bin/cat")
                .stdin(Stdio::piped())
                .spawn()
                .expect("it starts"),
            tcp: TcpListener::bind("127.0.0.1:0").expect("loopback works"),
            _abstract_socket: UnixListener::bind_addr(&abstract_name).expect("nobody else has it"),
            abstract_name,
            log: OpenOptions::new()
                .append(true)
                .open(directory.join("log"))
                .expect("ours"),
            program: File::open("/bin/true").expect("it is there"),
        }
    }

    /// The TCP port that somebody else listens on.
    pub(super) fn port(&self) -> u16 {
        self.tcp.local_addr().expect("it listens").port()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.join(name)
    }

    /// For a raw call.
    fn name(&self, name: &str) -> CString {
        CString::new(self.path(name).as_os_str().as_bytes()).expect("no NUL in a test")
    }

    fn victim(&self) -> usize {
        self.victim.id() as usize
    }
}

fn address(name: &CStr) -> usize {
    name.as_ptr().expose_provenance()
}

fn opened(path: impl AsRef<Path>, options: &mut OpenOptions) -> io::Result<()> {
    options.open(path).map(drop)
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<()> {
    let protocol = Some(socket2::Protocol::from(protocol));
    socket2::Socket::new(socket2::Domain::from(family), socket2::Type::from(kind), protocol).map(drop)
}

const AT_HERE: usize = libc::AT_FDCWD as isize as usize;

pub(super) type Attempt = (&'static str, fn(&mut Before) -> io::Result<()>);

pub(super) const ATTEMPTS: &[Attempt] = &[
    // Programs and processes.
    ("execve", |_| Err(Command::new("/bin/true").exec())),
    ("execveat", |before| {
        let empty = c"".as_ptr().expose_provenance();
        let argv = [c"x".as_ptr(), std::ptr::null()];
        let arguments = argv.as_ptr().expose_provenance();
        let flags = libc::AT_EMPTY_PATH as usize;
        let program = before.program.as_raw_fd() as usize;
        call(libc::SYS_execveat, [program, empty, arguments, 0, flags])
    }),
    ("fork", |_| call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0])),
    ("thread", |_| std::thread::Builder::new().spawn(|| ()).map(drop)),
    ("ptrace a process of the same user", |before| {
        call(libc::SYS_ptrace, [0x4206, before.victim(), 0, 0, 0]) // PTRACE_SEIZE
    }),
    ("process_vm_readv", |before| {
        call(libc::SYS_process_vm_readv, [before.victim(), 0, 0, 0, 0])
    }),
    ("pidfd_getfd", |before| {
        let pid = rustix::process::Pid::from_raw(before.victim() as i32).expect("not 0");
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        call(libc::SYS_pidfd_getfd, [pidfd.as_raw_fd() as usize, 0, 0, 0, 0])
    }),
    ("/proc/PID/mem of a process of the same user", |before| {
        opened(format!("/proc/{}/mem", before.victim()), OpenOptions::new().write(true))
    }),
    ("/proc/PID/mem of the parent", |_| {
        let parent = std::os::unix::process::parent_id();
        opened(format!("/proc/{parent}/mem"), OpenOptions::new().write(true))
    }),
    ("kill a process of the same user", |before| {
        call(libc::SYS_kill, [before.victim(), 0, 0, 0, 0])
    }),
    ("kill everybody", |_| call(libc::SYS_kill, [usize::MAX, 0, 0, 0, 0])),
    ("kill itself", |_| {
        call(libc::SYS_kill, [std::process::id() as usize, 0, 0, 0, 0])
    }),
    ("pidfd_send_signal", |before| {
        let pid = rustix::process::Pid::from_raw(before.victim() as i32).expect("not 0");
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        call(libc::SYS_pidfd_send_signal, [pidfd.as_raw_fd() as usize, 0, 0, 0, 0])
    }),
    ("limits of another process", |before| {
        let new = [0_u64; 2];
        let limit = new.as_ptr().expose_provenance();
        call(
            libc::SYS_prlimit64,
            [before.victim(), libc::RLIMIT_CORE as usize, limit, 0, 0],
        )
    }),
    // More power.
    ("setuid 0", |_| call(libc::SYS_setresuid, [0, 0, 0, 0, 0])),
    ("setgroups", |_| call(libc::SYS_setgroups, [0, 0, 0, 0, 0])),
    ("a user namespace", |_| {
        call(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0])
    }),
    ("mount", |_| {
        let tmpfs = address(c"tmpfs");
        call(libc::SYS_mount, [tmpfs, address(c"/mnt"), tmpfs, 0, 0])
    }),
    ("chroot", |_| call(libc::SYS_chroot, [address(c"/"), 0, 0, 0, 0])),
    ("bpf", |_| call(libc::SYS_bpf, [0, 0, 0, 0, 0])),
    ("io_uring", |_| call(libc::SYS_io_uring_setup, [0, 0, 0, 0, 0])),
    // The network.
    ("raw socket", |_| {
        socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
    }),
    ("packet socket", |_| socket(libc::AF_PACKET, libc::SOCK_RAW, 0)),
    ("netlink socket", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW, 0)),
    ("SCTP socket", |_| socket(libc::AF_INET, libc::SOCK_STREAM, 132)),
    ("TCP connect", |before| {
        TcpStream::connect(before.tcp.local_addr()?).map(drop)
    }),
    ("TCP connect with the first data", |before| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        let to = socket2::SockAddr::from(before.tcp.local_addr()?);
        socket.send_to_with_flags(b"x", &to, 0x2000_0000).map(drop)
    }),
    ("TCP bind", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("UDP bind", |_| UdpSocket::bind("127.0.0.1:0").map(drop)),
    ("TCP accept on what was inherited", |before| {
        before.tcp.set_nonblocking(true)?;
        match before.tcp.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other.map(drop),
        }
    }),
    ("abstract socket of another", |before| {
        UnixStream::connect_addr(&before.abstract_name).map(drop)
    }),
    ("names of hosts", |_| {
        match names::of_address(std::net::Ipv4Addr::LOCALHOST.into()) {
            Some(name) if names::leads_to(&name, std::net::Ipv4Addr::LOCALHOST.into()) => Ok(()),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    }),
    // Files.
    ("open for writing", |before| {
        opened(before.path("file"), OpenOptions::new().write(true))
    }),
    ("create", |before| {
        opened(before.path("new"), OpenOptions::new().write(true).create_new(true))
    }),
    ("create in the spool", |_| {
        let new = std::env::temp_dir().join(format!("lychgate-{}", std::process::id()));
        opened(new, OpenOptions::new().write(true).create_new(true))
    }),
    ("truncate", |before| {
        call(libc::SYS_truncate, [address(&before.name("file")), 0, 0, 0, 0])
    }),
    ("mkdir", |before| fs::create_dir(before.path("directory"))),
    ("link", |before| fs::hard_link(before.path("file"), before.path("link"))),
    ("symlink", |before| symlink("file", before.path("symlink"))),
    ("fifo", |before| {
        let mode = libc::S_IFIFO as usize;
        call(libc::SYS_mknodat, [AT_HERE, address(&before.name("fifo")), mode, 0, 0])
    }),
    ("chmod", |before| {
        fs::set_permissions(before.path("file"), fs::Permissions::from_mode(0o600))
    }),
    ("fchmod", |before| {
        before.log.set_permissions(fs::Permissions::from_mode(0o600))
    }),
    ("chown", |before| {
        let own = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        std::os::unix::fs::chown(before.path("file"), Some(own.0), Some(own.1))
    }),
    ("utimes", |before| {
        before.log.set_modified(std::time::SystemTime::UNIX_EPOCH)
    }),
    ("rename a log", |before| {
        fs::rename(before.path("log"), before.path("log.1"))
    }),
    ("remove a log", |before| fs::remove_file(before.path("log"))),
    ("rmdir", |before| fs::remove_dir(before.path("empty"))),
    ("write to an open log", |before| before.log.write_all(b"line\n")),
    ("cut an open log", |before| before.log.set_len(0)),
    ("write where one likes in an open log", |before| {
        let flags = rustix::fs::fcntl_getfl(&before.log)?;
        Ok(rustix::fs::fcntl_setfl(
            &before.log,
            flags.difference(rustix::fs::OFlags::APPEND),
        )?)
    }),
    ("open the ScriptLog", |before| {
        opened(before.path("script_log"), OpenOptions::new().append(true).create(true))
    }),
    ("spool a long body", |_| {
        let mut spool = Spool::new()?;
        spool.add(&vec![b'x'; 1024 * 1024])?;
        let mut back = Vec::new();
        File::from(spool.into_reader()?).read_to_end(&mut back)?;
        assert_eq!(back.len(), 1024 * 1024);
        Ok(())
    }),
    ("read what is served", |before| {
        File::open(before.path("htdocs/index.html")).map(drop)
    }),
    ("read what ConfineReading names", |before| {
        File::open(before.path("named/file")).map(drop)
    }),
    ("read elsewhere", |before| File::open(before.path("file")).map(drop)),
    ("list elsewhere", |before| {
        let directory = rustix::fs::open(
            &before.directory,
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY,
            rustix::fs::Mode::empty(),
        )?;
        rustix::fs::fstat(directory.as_fd())?;
        Ok(())
    }),
    ("local time", |_| {
        let zone = fs::read("/usr/share/zoneinfo/Europe/Berlin");
        match zone {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // not installed
            other => other.map(drop),
        }
    }),
];
