//! A site: its names, its root, and how its connections are kept. Apache's `core` and `mod_reqtimeout`, per virtual host.

use std::time::Duration;

use crate::config::directives::SiteSettings;
use crate::config::directives::keep_alive::KeptRequests;
use crate::config::setting::{Appended, Own, Setting, Yielding, settings};
use crate::config::table::{Directive, Override, SERVER, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// What a site is and how its connections are kept.
    pub struct Core {
        /// `DocumentRoot`, absolute, without a final slash.
        document_root: Setting<Vec<u8>>,
        /// `ServerName`.
        name: Setting<ServerName>,
        /// `ServerAlias`, lower case; may have wildcards.
        aliases: Appended<Vec<u8>>,
        /// `ServerPath`.
        path: Setting<Vec<u8>>,
        /// `ServerAdmin`.
        admin: Setting<Vec<u8>>,
        /// `AccessFileName`.
        access_file_names: Setting<Vec<Vec<u8>>>,
        /// `Timeout`.
        timeout: Yielding<Duration>,
        /// `KeepAlive`.
        keep_alive: Setting<bool>,
        /// `KeepAliveTimeout`.
        keep_alive_timeout: Yielding<Duration>,
        /// `MaxKeepAliveRequests`.
        max_keep_alive_requests: Yielding<KeptRequests>,
        /// `LimitRequestLine` in bytes.
        limit_request_line: Setting<u64>,
        /// `LimitRequestFieldSize` in bytes.
        limit_request_field_size: Setting<u64>,
        /// `LimitRequestFields`; 0 is no limit.
        limit_request_fields: Setting<u64>,
        /// `LimitInternalRecursion`.
        limit_internal_recursion: Setting<u64>,
        /// `LimitInternalRecursion`: of requests that pages make.
        limit_subrequests: Setting<u64>,
        /// `RequestReadTimeout`.
        read_timeout: ReadTimeout,
        /// `HttpProtocolOptions`.
        protocol: ProtocolOptions,
        /// `TraceEnable`.
        trace: Setting<Trace>,
        /// `AllowEncodedSlashes`.
        encoded_slashes: Own<EncodedSlashes>,
        /// `MergeSlashes`.
        merge_slashes: Setting<bool>,
    }
}

/// `ServerName`: scheme and port where they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    /// `http` or `https`.
    pub scheme: Option<Vec<u8>>,
    /// The name, as it was written.
    pub host: Vec<u8>,
    /// The port.
    pub port: Option<u16>,
}

settings! {
    /// `RequestReadTimeout`, by stage.
    pub struct ReadTimeout {
        /// For the handshake of TLS.
        handshake: Setting<StageTimeout>,
        /// For the request's head.
        header: Setting<StageTimeout>,
        /// For the request's body.
        body: Setting<StageTimeout>,
    }
}

/// How long a stage of reading may take: at first so long, with more time for every so many bytes, up to a most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageTimeout {
    /// The time at first; zero is no limit.
    pub first: Duration,
    /// The time in all, where bytes earn more.
    pub most: Option<Duration>,
    /// Bytes that earn one more second; zero earns none.
    pub min_rate: u64,
}

impl StageTimeout {
    /// Apache's default for the head: 20 s, up to 40 s at 500 bytes a second.
    pub const HEADER: StageTimeout = StageTimeout {
        first: Duration::from_secs(20),
        most: Some(Duration::from_secs(40)),
        min_rate: 500,
    };
    /// Apache's default for the body: 20 s, more at 500 bytes a second.
    pub const BODY: StageTimeout = StageTimeout {
        first: Duration::from_secs(20),
        most: None,
        min_rate: 500,
    };
}

settings! {
    /// `HttpProtocolOptions`.
    pub struct ProtocolOptions {
        /// `Strict` or `Unsafe`.
        strictness: Setting<Strictness>,
        /// `RegisteredMethods` or `LenientMethods`.
        methods: Setting<Methods>,
        /// `Allow0.9` or `Require1.0`.
        simple_requests: Setting<SimpleRequests>,
    }
}

/// How exactly a request's head must follow RFC 9112.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// To the letter.
    Strict,
    /// With bare line feeds, folded fields and stray blanks.
    Unsafe,
}

/// Which methods are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Methods {
    /// Any token.
    Lenient,
    /// Known ones only; 501 for the others.
    Registered,
}

/// Whether HTTP/0.9 is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimpleRequests {
    /// A request line without a version is answered.
    Allowed,
    /// It is refused with 400.
    Refused,
}

/// What TRACE does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// 405.
    Off,
    /// The head is sent back.
    On,
    /// The body too.
    Extended,
}

/// What `%2F` in a path does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedSlashes {
    /// 404.
    Refused,
    /// It becomes a slash.
    Decoded,
    /// It stays as it is.
    Kept,
}

macro_rules! number {
    ($name:literal, $field:ident, $default:literal, $range:expr, $summary:literal, $manual:literal) => {
        Directive {
            name: $name,
            module: "core",
            syntax: "number",
            words: Words::exactly(1),
            allowed: SITES,
            overrides: Override::None,
            default: $default,
            summary: $summary,
            manual: $manual,
            set: Set::Site(|site, args| {
                site.core.$field.set(args.number(0, $range)?);
                Ok(())
            }),
        }
    };
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "AccessFileName",
        module: "core",
        syntax: "name ...",
        words: Words::AtLeast(0),
        allowed: SITES,
        overrides: Override::None,
        default: ".htaccess",
        summary: "Name the per-directory configuration files.",
        manual: "See AllowOverride. Without a name there are none.",
        set: Set::Site(|site, args| {
            site.core.access_file_names.set(args.words.to_vec());
            Ok(())
        }),
    },
    Directive {
        name: "AllowEncodedSlashes",
        module: "core",
        syntax: "On|Off|NoDecode",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "Off",
        summary: "Say what a slash written as %2F does.",
        manual: "Off: 404. On: it is decoded. NoDecode: it is left as %2F. As in Apache, a virtual host that does not say it refuses \
them, whatever the main server says.",
        set: Set::Site(|site, args| {
            site.core.encoded_slashes.set(args.choice(
                0,
                &[
                    ("On", EncodedSlashes::Decoded),
                    ("Off", EncodedSlashes::Refused),
                    ("NoDecode", EncodedSlashes::Kept),
                ],
            )?);
            Ok(())
        }),
    },
    Directive {
        name: "DocumentRoot",
        module: "core",
        syntax: "directory",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "htdocs",
        summary: "Name the directory that the site is served from.",
        manual: "Apache's own default is fixed when it is built; here it is htdocs below ServerRoot.",
        set: Set::Site(|site, args| {
            let mut path = args.path(0);
            while path.len() > 1 && path.last() == Some(&b'/') {
                path.pop();
            }
            site.core.document_root.set(path);
            Ok(())
        }),
    },
    Directive {
        name: "HttpProtocolOptions",
        module: "core",
        syntax: "Strict|Unsafe|RegisteredMethods|LenientMethods|Allow0.9|Require1.0 ...",
        words: Words::Between(1, 3),
        allowed: SITES,
        overrides: Override::None,
        default: "Strict LenientMethods Allow0.9",
        summary: "Say how exactly requests must follow the standard.",
        manual: "Strict follows RFC 9112 to the letter. Unsafe takes bare line feeds, folded fields and stray blanks as old programs \
sent them. RegisteredMethods answers methods that are not known with 501. Require1.0 refuses HTTP/0.9.",
        set: Set::Site(set_protocol_options),
    },
    Directive {
        name: "LimitInternalRecursion",
        module: "core",
        syntax: "redirects [subrequests]",
        words: Words::Between(1, 2),
        allowed: SITES,
        overrides: Override::None,
        default: "10",
        summary: "Bound how often a request may be redirected inside the server, and how deep pages may include each other.",
        manual: "A request that is redirected more often is answered with 500; a page within too many others is not included. A single \
number is for both.",
        set: Set::Site(|site, args| {
            let redirects = args.number(0, 1..=1000)?;
            site.core.limit_internal_recursion.set(redirects);
            let subrequests = if args.count() > 1 {
                args.number(1, 1..=100)?
            } else {
                redirects.min(100)
            };
            site.core.limit_subrequests.set(subrequests);
            Ok(())
        }),
    },
    number!(
        "LimitRequestFields",
        limit_request_fields,
        "100",
        0..=32767,
        "Bound the number of request fields.",
        "More are answered with 431 (Apache: 400). 0 is no bound but what LimitRequestFieldSize allows for a hundred thousand."
    ),
    number!(
        "LimitRequestFieldSize",
        limit_request_field_size,
        "8190",
        1..=16_777_216,
        "Bound the bytes of one request field.",
        "A longer field is answered with 431 (Apache: 400)."
    ),
    number!(
        "LimitRequestLine",
        limit_request_line,
        "8190",
        1..=16_777_216,
        "Bound the bytes of a request line.",
        "A longer line is answered with 414."
    ),
    Directive {
        name: "MergeSlashes",
        module: "core",
        syntax: "ON|OFF",
        words: Words::Flag,
        allowed: SITES,
        overrides: Override::None,
        default: "ON",
        summary: "Take several slashes in a row of a URL path as one.",
        manual: "",
        set: Set::Site(|site, args| {
            site.core.merge_slashes.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "RequestReadTimeout",
        module: "mod_reqtimeout",
        syntax: "[handshake=time[-most][,MinRate=rate]] [header=time[-most][,MinRate=rate]] [body=time[-most][,MinRate=rate]]",
        words: Words::AtLeast(1),
        allowed: SITES,
        overrides: Override::None,
        default: "handshake=0 header=20-40,MinRate=500 body=20,MinRate=500",
        summary: "Bound how long a client may take to send a request.",
        manual: "For the handshake of TLS, the head and the body: a time, the most it may grow to, and how many bytes earn one second more. A client that \
is too slow is answered with 408 and its connection closed; in the handshake it is closed without an answer. 0 is no bound but Timeout's.",
        set: Set::Site(set_read_timeout),
    },
    Directive {
        name: "ServerAdmin",
        module: "core",
        syntax: "address|URL",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Tell whom to write to, for SERVER_ADMIN and ServerSignature EMail.",
        manual: "",
        set: Set::Site(|site, args| {
            site.core.admin.set(args.bytes(0).to_vec());
            Ok(())
        }),
    },
    Directive {
        name: "ServerAlias",
        module: "core",
        syntax: "name ...",
        words: Words::AtLeast(0),
        allowed: crate::config::table::VHOST,
        overrides: Override::None,
        default: "",
        summary: "Give a virtual host more names.",
        manual: "Names may have * and ? in them.",
        set: Set::Site(|site, args| {
            for name in args.words {
                site.core.aliases.push(name.to_ascii_lowercase());
            }
            Ok(())
        }),
    },
    Directive {
        name: "ServerName",
        module: "core",
        syntax: "[scheme://]name[:port]",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Name the site.",
        manual: "The name is compared with the request's Host field, and used in redirects when UseCanonicalName is On. Without it \
the machine's own name is taken.",
        set: Set::Site(|site, args| {
            site.core.name.set(server_name(args.bytes(0))?);
            Ok(())
        }),
    },
    Directive {
        name: "ServerPath",
        module: "core",
        syntax: "url-path",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Let clients that send no Host field reach a virtual host by a path.",
        manual: "What is below the path is served as if that were the site's root. That of the main server holds for it alone.",
        set: Set::Site(|site, args| {
            site.core.path.set(args.bytes(0).to_vec());
            Ok(())
        }),
    },
    Directive {
        name: "Timeout",
        module: "core",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "60",
        summary: "Bound every wait for a client's bytes, for room to send more, and for a script.",
        manual: "Seconds, or a number with ms, s, min or h. In a virtual host, 0 is what the main server says.",
        set: Set::Site(|site, args| {
            site.core.timeout.set(args.duration(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "TraceEnable",
        module: "core",
        syntax: "on|off|extended",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "off",
        summary: "Answer TRACE requests.",
        manual: "Apache's default is on. A TRACE shows a script on the client's side what fields were sent, so here it must be asked for.",
        set: Set::Site(|site, args| {
            site.core.trace.set(args.choice(
                0,
                &[("on", Trace::On), ("off", Trace::Off), ("extended", Trace::Extended)],
            )?);
            Ok(())
        }),
    },
];

/// The directives that hold for the whole server but belong to this feature.
pub const SERVER_WIDE: &[Directive] = &[Directive {
    name: "RegisterHttpMethod",
    module: "core",
    syntax: "method ...",
    words: Words::AtLeast(1),
    allowed: SERVER,
    overrides: Override::None,
    default: "",
    summary: "Make more methods known, for HttpProtocolOptions RegisteredMethods.",
    manual: "",
    set: Set::Server(|server, args| {
        for method in args.words {
            server.core.methods.push(method.clone());
        }
        Ok(())
    }),
}];

fn server_name(word: &[u8]) -> Said<ServerName> {
    let wrong = || {
        format!(
            "{} is not a server's name; write `www.example.com` or `www.example.com:8080`",
            shown(word)
        )
    };
    let (scheme, rest) = match word.windows(3).position(|w| w == b"://") {
        Some(at) => (Some(word[..at].to_ascii_lowercase()), &word[at + 3..]),
        None => (None, word),
    };
    let colon = match rest.iter().rposition(|b| *b == b']') {
        Some(bracket) => rest[bracket..].iter().position(|b| *b == b':').map(|at| bracket + at),
        None => rest.iter().rposition(|b| *b == b':'),
    };
    let (host, port) = match colon {
        Some(at) => {
            let port = std::str::from_utf8(&rest[at + 1..])
                .ok()
                .and_then(|p| p.parse().ok())
                .ok_or_else(wrong)?;
            (&rest[..at], Some(port))
        }
        None => (rest, None),
    };
    if host.is_empty() || host.iter().any(|b| b.is_ascii_whitespace() || *b == b'/') {
        return Err(wrong());
    }
    Ok(ServerName {
        scheme,
        host: host.to_vec(),
        port,
    })
}

fn set_protocol_options(site: &mut SiteSettings, args: &Args) -> Said<()> {
    for n in 0..args.count() {
        match args.keyword(n).as_str() {
            "strict" => site.core.protocol.strictness.set(Strictness::Strict),
            "unsafe" => site.core.protocol.strictness.set(Strictness::Unsafe),
            "registeredmethods" => site.core.protocol.methods.set(Methods::Registered),
            "lenientmethods" => site.core.protocol.methods.set(Methods::Lenient),
            "allow0.9" => site.core.protocol.simple_requests.set(SimpleRequests::Allowed),
            "require1.0" => site.core.protocol.simple_requests.set(SimpleRequests::Refused),
            _ => {
                return Err(format!(
                    "{} is not one of `Strict`, `Unsafe`, `RegisteredMethods`, `LenientMethods`, `Allow0.9`, `Require1.0`",
                    shown(args.bytes(n))
                ));
            }
        }
    }
    Ok(())
}

fn set_read_timeout(site: &mut SiteSettings, args: &Args) -> Said<()> {
    for n in 0..args.count() {
        let word = args.keyword(n);
        let Some((stage, times)) = word.split_once('=') else {
            return Err(format!(
                "{} has no `=`; write `header=20-40,MinRate=500`",
                shown(args.bytes(n))
            ));
        };
        let times = stage_timeout(times, args.bytes(n))?;
        match stage {
            "header" => site.core.read_timeout.header.set(times),
            "body" => site.core.read_timeout.body.set(times),
            "handshake" => site.core.read_timeout.handshake.set(times),
            _ => {
                return Err(format!(
                    "`{stage}` is not a stage; write `header`, `body` or `handshake`"
                ));
            }
        }
    }
    Ok(())
}

fn stage_timeout(text: &str, word: &[u8]) -> Said<StageTimeout> {
    let wrong = || {
        format!(
            "{} is not a stage's time; write `header=20-40,MinRate=500`",
            shown(word)
        )
    };
    let seconds = |text: &str| {
        text.parse::<u32>()
            .map(|s| Duration::from_secs(u64::from(s)))
            .map_err(|_| wrong())
    };
    let (times, rate) = match text.split_once(",minrate=") {
        Some((times, rate)) => (times, rate.parse().map_err(|_| wrong())?),
        None => (text, 0),
    };
    let (first, most) = match times.split_once('-') {
        Some((first, most)) => (seconds(first)?, Some(seconds(most)?)),
        None => (seconds(times)?, None),
    };
    if most.is_some_and(|most| most <= first) {
        return Err(format!("{}: the most must be longer than the first time", shown(word)));
    }
    // As in Apache, a range without a rate grows at 500 bytes a second.
    let min_rate = if most.is_some() && rate == 0 { 500 } else { rate };
    Ok(StageTimeout { first, most, min_rate })
}
