//! The server as a whole: where it listens, who it runs as, what it calls itself. Apache's `core`, `mod_unixd` and MPMs.

use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use crate::base::version::Detail;
use crate::config::error::Span;
use crate::config::setting::{Appended, Mapped, Setting, settings};
use crate::config::table::{Directive, Override, SERVER, SERVICE, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// The server as a whole.
    pub struct Core {
        /// `Listen`, in order.
        listen: Appended<Listen>,
        /// `ListenBacklog`.
        backlog: Setting<u64>,
        /// `AcceptFilter`: whether clients of a protocol, in lower case, have said something when their connections are taken.
        accept_filters: Mapped<String, bool>,
        /// `ListenTCPDeferAccept`, in seconds.
        defer_accept: Setting<u64>,
        /// `User`: a name or `#` and a number.
        user: Setting<Vec<u8>>,
        /// `Group`, likewise.
        group: Setting<Vec<u8>>,
        /// `ChrootDir`.
        chroot: Setting<Vec<u8>>,
        /// `ServiceDir`.
        service_dir: Setting<Vec<u8>>,
        /// `PidFile`.
        pid_file: Setting<Vec<u8>>,
        /// `ServerTokens`.
        tokens: Setting<Tokens>,
        /// `ControlSocket`; none where it says so.
        control_socket: Setting<Option<Vec<u8>>>,
        /// `TypesConfig`.
        types_config: Setting<Vec<u8>>,
        /// `GracefulShutdownTimeout`; zero is no limit.
        graceful_shutdown: Setting<Duration>,
        /// `RegisterHttpMethod`.
        methods: Appended<Vec<u8>>,
        /// `MaxConnections`.
        max_connections: Setting<u64>,
        /// `ServerThreads`.
        threads: Setting<u64>,
        /// `SyslogSocket`.
        syslog_socket: Setting<Vec<u8>>,
    }
}

/// One `Listen` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; without one, all of both families.
    pub address: Option<IpAddr>,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// What AcceptFilter calls it.
    pub protocol: &'static str,
    /// Where it stands.
    pub span: Span,
}

/// What the Server field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// `lychgate`.
    ProductOnly,
    /// `lychgate/0`.
    Major,
    /// `lychgate/0.1`.
    Minor,
    /// `lychgate/0.1.0`.
    Minimal,
    /// `lychgate/0.1.0 (Linux)`.
    Os,
    /// The same; there are no modules to name.
    Full,
}

impl Tokens {
    /// How much of the version that is.
    pub fn detail(self) -> Detail {
        match self {
            Tokens::ProductOnly => Detail::Product,
            Tokens::Major => Detail::Major,
            Tokens::Minor => Detail::Minor,
            Tokens::Minimal => Detail::Version,
            Tokens::Os | Tokens::Full => Detail::System,
        }
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "AcceptFilter",
        module: "core",
        syntax: "protocol data|none",
        words: Words::exactly(2),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Say whether connections are taken before their clients have said anything.",
        manual: "For the Listen lines of a protocol, http or https. Without the directive, and by any word but none, the system keeps \
a connection to itself until its client has sent something, or for the time of ListenTCPDeferAccept: a request is there when its connection is, \
and who is silent costs the server nothing. Such clients are not counted by MaxConnections, and the time that RequestReadTimeout gives them \
begins when they are handed over; how many there may be is the system's affair (ListenBacklog, net.ipv4.tcp_syncookies). The last line for a protocol holds.",
        set: Set::Server(|server, args| {
            server
                .core
                .accept_filters
                .insert(args.keyword(0), args.keyword(1) != "none");
            Ok(())
        }),
    },
    Directive {
        name: "ChrootDir",
        module: "mod_unixd",
        syntax: "directory",
        words: Words::exactly(1),
        allowed: SERVER.or(SERVICE),
        overrides: Override::None,
        default: "",
        summary: "Make a directory the root of all files for requests and scripts.",
        manual: "Once the settings are read and the logs are open, the processes that serve requests and start scripts can see nothing \
outside of it (chroot(2)). DocumentRoot, aliases and script places are then names as they are inside; the configuration, PidFile and the \
logs stay outside. Scripts need their interpreters, libraries and devices inside; names of clients need etc/resolv.conf there, and long \
request bodies tmp. Names of users and groups are looked up outside beforehand, but for file-owner of SuexecUserGroup.\n\nThe server \
must be started as root, or it does not start.\n\nIn <Service> it is the root of that service alone, whose Command is then a name inside.",
        set: Set::ServerOrService(
            |server, args| {
                server.core.chroot.set(root_directory(args)?);
                Ok(())
            },
            |service, args| {
                service.root = Some(root_directory(args)?);
                Ok(())
            },
        ),
    },
    Directive {
        name: "ControlSocket",
        module: "lychgate",
        syntax: "file|none",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Name the socket by which lychgate ctl talks to the server.",
        manual: "Without it, the name is that of PidFile with .ctl in place of .pid. The socket has mode 0600, and belongs to who starts \
the server: that user and root may use it, but no process that the server itself has started, such as a script or a service of the \
same user. A socket that was left behind is replaced; a file of that name that is no socket is left alone. If the socket cannot be \
made, the server does not start; without this directive that is a warning. See \
lychgate(8), section Control.",
        set: Set::Server(|server, args| {
            let path = (args.keyword(0) != "none").then(|| args.path(0));
            server.core.control_socket.set(path);
            Ok(())
        }),
    },
    Directive {
        name: "GracefulShutdownTimeout",
        module: "mpm_common",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "0",
        summary: "Bound how long a graceful stop waits for requests in progress.",
        manual: "0 is no bound. At the end of that time, scripts and connections are ended as at a stop. A reload waits without a bound, as in Apache.",
        set: Set::Server(|server, args| {
            server.core.graceful_shutdown.set(args.duration(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "Group",
        module: "mod_unixd",
        syntax: "name|#number",
        words: Words::exactly(1),
        allowed: SERVER.or(SERVICE),
        overrides: Override::None,
        default: "",
        summary: "Name the group that requests are served as.",
        manual: "Only where the server is started as root; otherwise it is noted once and ignored. Without it, the group of User. In <Service>, the group of that service.",
        set: Set::ServerOrService(
            |server, args| {
                server.core.group.set(args.bytes(0).to_vec());
                Ok(())
            },
            |service, args| {
                service.group = Some(args.bytes(0).to_vec());
                Ok(())
            },
        ),
    },
    Directive {
        name: "Listen",
        module: "mpm_common",
        syntax: "[address:]port [protocol]",
        words: Words::Between(1, 3),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Name an address and port to listen on.",
        manual: "A port alone listens on all addresses of both families. An IPv6 address stands in brackets; a name stands for its addresses. Port 0 lets the system \
choose one. What goes out at a loopback address is not paced, whatever congestion control the system has chosen for wires (bbr would \
slow it by timers); nor is a large body to a client on this machine that came by another address. A reload may change these lines as it likes, without a connection refused to those that stay. A socket that a service manager \
has opened for the very same address is used; others of its sockets are not, with a warning. The protocol https, which port 443 has by itself, is for AcceptFilter alone, as in Apache: SSLEngine in the <VirtualHost> makes it TLS.",
        set: Set::Server(|server, args| {
            let protocol = match args.keyword(1).as_str() {
                "" => None,
                "http" => Some("http"),
                "https" if cfg!(feature = "tls") => Some("https"),
                "https" => {
                    return Err(
                        "this program was built without TLS; it will not listen in the clear where https is asked for"
                            .into(),
                    );
                }
                _ if args.keyword(1).starts_with("options=") => None,
                other => {
                    args.remark(format!("`{other}` is not a protocol, and passed over; write `http`"));
                    None
                }
            };
            for (address, port) in addresses_and_port(args.bytes(0))? {
                server.core.listen.push(Listen {
                    address,
                    port,
                    protocol: protocol.unwrap_or(if port == 443 { "https" } else { "http" }),
                    span: args.span.clone(),
                });
            }
            Ok(())
        }),
    },
    Directive {
        name: "ListenBacklog",
        module: "mpm_common",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "511",
        summary: "Bound how many connections wait to be accepted.",
        manual: "The system's own limit (net.core.somaxconn) holds as well.",
        set: Set::Server(|server, args| {
            server.core.backlog.set(args.number(0, 1..=65_535)?);
            Ok(())
        }),
    },
    Directive {
        name: "ListenTCPDeferAccept",
        module: "mpm_common",
        syntax: "seconds",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "30",
        summary: "Say how long the system may keep a silent connection to itself.",
        manual: "Where AcceptFilter lets it. The system makes a number of tries of it, the last of which is never earlier.",
        set: Set::Server(|server, args| {
            server.core.defer_accept.set(args.number(0, 1..=3600)?);
            Ok(())
        }),
    },
    Directive {
        name: "MaxConnections",
        module: "lychgate",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Bound how many connections are open at once.",
        manual: "When there are as many, a new connection is taken by closing the one that has been idle longest: between two \
requests, with nothing of the next one received, or for a second without a word since it began. Its client need only \
connect again. While none is idle, new connections wait in the system's queue (ListenBacklog). Without the directive the \
number is what the limit of open files has room for: three quarters of it, when scripts (CGIMaxScripts) have their part. \
Apache's MaxRequestWorkers bounds requests rather than connections, and has no effect here.",
        set: Set::Server(|server, args| {
            server.core.max_connections.set(args.number(0, 1..=1_000_000)?);
            Ok(())
        }),
    },
    Directive {
        name: "PidFile",
        module: "mpm_common",
        syntax: "file",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "logs/httpd.pid",
        summary: "Name the file that holds the server's process id while it accepts.",
        manual: "",
        set: Set::Server(|server, args| {
            server.core.pid_file.set(args.path(0));
            Ok(())
        }),
    },
    Directive {
        name: "ServerThreads",
        module: "lychgate",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Say how many threads serve requests.",
        manual: "Without it, one for each processor.",
        set: Set::Server(|server, args| {
            server.core.threads.set(args.number(0, 1..=256)?);
            Ok(())
        }),
    },
    Directive {
        name: "ServerTokens",
        module: "core",
        syntax: "Full|OS|Minimal|Minor|Major|Prod",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "Full",
        summary: "Say how much the Server field tells.",
        manual: "Prod: lychgate. Minimal: with the version. OS and Full: with the system too.",
        set: Set::Server(|server, args| {
            server.core.tokens.set(args.choice(
                0,
                &[
                    ("prod", Tokens::ProductOnly),
                    ("productonly", Tokens::ProductOnly),
                    ("major", Tokens::Major),
                    ("minor", Tokens::Minor),
                    ("min", Tokens::Minimal),
                    ("minimal", Tokens::Minimal),
                    ("os", Tokens::Os),
                    ("full", Tokens::Full),
                ],
            )?);
            Ok(())
        }),
    },
    Directive {
        name: "SyslogSocket",
        module: "lychgate",
        syntax: "file",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "/dev/log",
        summary: "Say where the system's log listens.",
        manual: "Of lychgate's own, for ErrorLog syslog: the socket that syslog(3) writes to, where it has another name, as in a container.",
        set: Set::Server(|server, args| {
            server.core.syslog_socket.set(root_directory(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "TypesConfig",
        module: "mod_mime",
        syntax: "file",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "conf/mime.types",
        summary: "Name the file that maps file name extensions to media types.",
        manual: "A line is a media type and the extensions it has.",
        set: Set::Server(|server, args| {
            server.core.types_config.set(args.path(0));
            Ok(())
        }),
    },
    Directive {
        name: "User",
        module: "mod_unixd",
        syntax: "name|#number",
        words: Words::exactly(1),
        allowed: SERVER.or(SERVICE),
        overrides: Override::None,
        default: "",
        summary: "Name the user that requests are served as.",
        manual: "Required where the server is started as root, unless it listens on loopback addresses alone. Started as another \
user, it is noted once and ignored. In <Service>, who that service is.",
        set: Set::ServerOrService(
            |server, args| {
                server.core.user.set(args.bytes(0).to_vec());
                Ok(())
            },
            |service, args| {
                service.user = Some(args.bytes(0).to_vec());
                Ok(())
            },
        ),
    },
];

fn root_directory(args: &Args) -> Said<Vec<u8>> {
    let directory = args.path(0);
    if directory.first() != Some(&b'/') {
        return Err(format!("{} is not an absolute name", shown(&directory)));
    }
    Ok(directory)
}

/// `PORT`, `ADDRESS:PORT`, `[IPV6]:PORT`, `*:PORT`.
pub fn address_and_port(word: &[u8]) -> Said<(Option<IpAddr>, u16)> {
    let wrong = || {
        format!(
            "{} is not an address and port; write `80`, `192.0.2.1:80` or `[2001:db8::1]:80`",
            shown(word)
        )
    };
    let text = std::str::from_utf8(word).map_err(|_| wrong())?;
    let (address, port) = match text.rsplit_once(':') {
        Some((address, port)) => (address, port),
        None => ("*", text),
    };
    let port = port.parse::<u16>().map_err(|_| wrong())?;
    let address = match address.strip_prefix('[').and_then(|a| a.strip_suffix(']')) {
        Some(v6) => Some(IpAddr::V6(v6.parse().map_err(|_| wrong())?)),
        None if address == "*" => None,
        None => Some(IpAddr::V4(address.parse().map_err(|_| wrong())?)),
    };
    Ok((address, port))
}

/// The same, where a name may stand for its addresses, as in Apache.
fn addresses_and_port(word: &[u8]) -> Said<Vec<(Option<IpAddr>, u16)>> {
    let wrong = match address_and_port(word) {
        Ok(one) => return Ok(vec![one]),
        Err(wrong) => wrong,
    };
    let named = std::str::from_utf8(word).ok().and_then(|text| text.rsplit_once(':'));
    let named = named.and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
    let is_name = |name: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        name.bytes().all(is_letter) && name.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let (name, port) = named.filter(|(name, _)| is_name(name)).ok_or(wrong)?;
    let found = (name, port)
        .to_socket_addrs()
        .map_err(|error| format!("`{name}` has no address: {error}; write the address itself"))?;
    let mut addresses: Vec<_> = found.map(|address| (Some(address.ip().to_canonical()), port)).collect();
    addresses.dedup();
    Ok(addresses)
}

/// Checks a word as a file of the server's own, for messages.
pub fn names_something(args: &Args) -> Said<()> {
    if args.bytes(0).is_empty() {
        Err("a name is missing".into())
    } else {
        Ok(())
    }
}
