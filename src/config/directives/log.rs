//! Where requests and errors are written down: `mod_log_config`, and `core`'s ErrorLog.

use crate::base::syslog::{self, Header};
use crate::config::directives::SiteSettings;
use crate::config::error::Span;
use crate::config::setting::{Appended, Mapped, Setting, settings};
use crate::config::table::{Directive, Override, SERVER, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::lang::error_format::{ErrorFormat, ErrorFormats, Use};
use crate::lang::log_format::LogFormat;
use crate::lang::log_format::condition::LogCondition;

settings! {
    /// A site's logs.
    pub struct Logs {
        /// `ErrorLog`.
        error: Setting<LogTarget>,
        /// `ErrorLogFormat`.
        error_format: Setting<ErrorFormat>,
        /// `ErrorLogFormat connection`.
        connection_formats: Setting<Vec<ErrorFormat>>,
        /// `ErrorLogFormat request`.
        request_formats: Setting<Vec<ErrorFormat>>,
        /// `LogFormat` with a nickname.
        formats: Mapped<Vec<u8>, Vec<u8>>,
        /// `LogFormat` without: TransferLog's format.
        transfer_format: Setting<Vec<u8>>,
        /// `CustomLog` and `TransferLog`, in order. A virtual host with none uses the main server's.
        access: Appended<AccessLog>,
    }
}

impl Logs {
    /// What the lines of the error log look like.
    pub fn error_formats(&self) -> ErrorFormats {
        ErrorFormats {
            line: self.error_format.value().cloned(),
            connection: self.connection_formats.value().cloned().unwrap_or_default(),
            request: self.request_formats.value().cloned().unwrap_or_default(),
        }
    }
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogTarget {
    /// A file, by its absolute name.
    File(Vec<u8>),
    /// A program's standard input; run directly (`|` and `||`) or by a shell (`|$`).
    Program {
        /// The command line.
        command: Vec<u8>,
        /// Whether `/bin/sh -c` runs it.
        shell: bool,
    },
    /// The system's log.
    System(Header),
}

impl std::fmt::Display for LogTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LogTarget::File(path) => write!(f, "{}", path.escape_ascii()),
            LogTarget::Program { command, .. } => write!(f, "|{}", command.escape_ascii()),
            LogTarget::System(header) => {
                let facility = syslog::name_of(header.facility);
                write!(f, "syslog:{facility}:{}", header.tag.escape_ascii())
            }
        }
    }
}

/// Whose requests a log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those of its site, and of virtual hosts without logs.
    Site,
    /// Those of all virtual hosts too (`GlobalLog`).
    AllSites,
}

/// One CustomLog, GlobalLog or TransferLog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where its lines go.
    pub target: LogTarget,
    /// A nickname, or a format; `None` is TransferLog's format.
    pub format: Option<Vec<u8>>,
    /// `env=` or `expr=` with what follows.
    pub condition: Option<Vec<u8>>,
    /// Whose requests it has.
    pub reach: Reach,
    /// Where it stands, for messages.
    pub span: Span,
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "CustomLog",
        module: "mod_log_config",
        syntax: "file|pipe format|nickname [env=[!]variable|expr=expression]",
        words: Words::Between(1, 3),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Write an access log.",
        manual: "Lines are written at once while little happens. While much does, those of the same few milliseconds are written \
together, about 3 ms after their request at the latest. A file that was renamed or removed is made again within two seconds, \
and another one in its place is written from then on: no signal is needed when logs are rotated. A pipe is a vertical bar and a command line; the program is \
started with the server and started again when it ends. What it has not read waits for its successor, 64 KiB in the pipe and \
256 KiB in each process that serves; lines beyond that are counted, and the error log says how many were lost. What it had \
read when it ended is gone with it. No request waits for a log: lines for a disk that is full are counted too, and a file \
that takes more than 20 ms to write gets a thread of its own, for which 1 MiB waits. The nicknames common, combined, combinedio, vhost_combined and json are there from the start. A virtual host without \
any CustomLog writes to the main server's.",
        set: Set::Site(|site, args| {
            site.logs.access.push(custom_log(args, Reach::Site)?);
            Ok(())
        }),
    },
    Directive {
        name: "ErrorLog",
        module: "core",
        syntax: "file|pipe|syslog[:[facility][:tag]]",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "logs/error_log",
        summary: "Say where errors are written.",
        manual: "A pipe is a vertical bar and a command line. /dev/stderr is the server's own standard error output. With syslog, lines go \
into the system's log, by the facility local7 and the tag lychgate where none are named; virtual hosts may have others. Whatever the system's log \
does, no request waits for it: lines wait while it is started again or has no room, 256 KiB of them in each process, and lines beyond that are counted, and told of \
when there is room.",
        set: Set::Site(|site, args| {
            let target = match args.keyword(0).split(':').next() {
                Some("syslog") => LogTarget::System(system_log(args)?),
                Some("journald") => {
                    return Err("the journal has no form of its own here, as in Apache 2.4; write `syslog`, which it reads too, or \
                                `./journald` for a file of that name"
                        .into());
                }
                _ => target(args, 0)?,
            };
            site.logs.error.set(target);
            Ok(())
        }),
    },
    Directive {
        name: "ErrorLogFormat",
        module: "core",
        syntax: "[connection|request] format",
        words: Words::Between(1, 2),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Describe the lines of the error log.",
        manual: "The items are those of Apache: %a and %{c}a client and peer, %A the address here, %{name}e a variable, %E the system's \
error, %{name}i a field of the request, %k the number of the request on its connection, %l level, %L and %{c}L the names of request and connection, \
%m module, %M message, %{name}n a note, %P process, %t time (with c for ISO 8601, u for microseconds, m for milliseconds and z for the zone in \
braces, or a format of strftime(3)), %T thread, %v and %V the server's name. %F says nothing here. A field begins at a space that has no backslash before \
it, or at a percent sign with a space, which writes nothing; where an item has nothing to say its field is left out, but with - a hyphen stands for it. A number before \
the letter leaves the item out of lines that are more urgent: %7F is for debug and beyond. (Apache does so too; its manual says the contrary.)\n\nWith connection or request the format is that of a \
line before the first line about a connection or request, which has no message; where an item with + has nothing to say there is no such line. Several add up; an empty one \
takes the main server's back. What the launcher and the spawner have to say keeps the usual shape.",
        set: Set::Site(|site, args| {
            let logs = &mut site.logs;
            let (formats, text) = match (args.count(), args.keyword(0).as_str()) {
                (1, _) => {
                    logs.error_format.set(ErrorFormat::parse(args.text(0)?, Use::Line)?);
                    return Ok(());
                }
                (_, "connection") => (&mut logs.connection_formats, args.text(1)?),
                (_, "request") => (&mut logs.request_formats, args.text(1)?),
                _ => {
                    return Err(format!(
                        "{} is neither `connection` nor `request`",
                        shown(args.bytes(0))
                    ));
                }
            };
            let mut all = formats.value().cloned().unwrap_or_default();
            if !text.is_empty() {
                all.push(ErrorFormat::parse(text, Use::Once)?);
            }
            formats.set(all);
            Ok(())
        }),
    },
    Directive {
        name: "GlobalLog",
        module: "mod_log_config",
        syntax: "file|pipe format|nickname [env=[!]variable|expr=expression]",
        words: Words::Between(2, 3),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Write an access log for the main server and all virtual hosts.",
        manual: "As CustomLog, but virtual hosts with a CustomLog of their own write it too; %v in the format tells them apart.",
        set: Set::Site(|site, args| {
            site.logs.access.push(custom_log(args, Reach::AllSites)?);
            Ok(())
        }),
    },
    Directive {
        name: "LogFormat",
        module: "mod_log_config",
        syntax: "format [nickname]",
        words: Words::Between(1, 2),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Describe the lines of an access log.",
        manual: "With a nickname, for CustomLog to name; without, for the TransferLog lines that follow.",
        set: Set::Site(|site, args| {
            check_format(args.bytes(0))?;
            if args.count() == 2 {
                site.logs.formats.insert(args.bytes(1).to_vec(), args.bytes(0).to_vec());
            } else {
                site.logs.transfer_format.set(args.bytes(0).to_vec());
            }
            Ok(())
        }),
    },
    Directive {
        name: "TransferLog",
        module: "mod_log_config",
        syntax: "file|pipe",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Write an access log in the format of the last LogFormat without a nickname.",
        manual: "Without such a line, in the common format.",
        set: Set::Site(|site, args| {
            let target = target(args, 0)?;
            site.logs.access.push(AccessLog {
                target,
                format: None,
                condition: None,
                reach: Reach::Site,
                span: args.span.clone(),
            });
            Ok(())
        }),
    },
];

fn custom_log(args: &Args, reach: Reach) -> Said<AccessLog> {
    let format = (args.count() > 1).then(|| args.bytes(1).to_vec());
    let condition = (args.count() > 2).then(|| args.bytes(2).to_vec());
    if let Some(format) = format.as_ref().filter(|format| format.contains(&b'%')) {
        check_format(format)?;
    }
    if condition.is_some() {
        LogCondition::parse(args.text(2)?).map_err(|e| e.0)?;
    }
    Ok(AccessLog {
        target: target(args, 0)?,
        format,
        condition,
        reach,
        span: args.span.clone(),
    })
}

fn check_format(format: &[u8]) -> Said<()> {
    let text = std::str::from_utf8(format).map_err(|_| format!("{} is not UTF-8 text", shown(format)))?;
    LogFormat::parse(text).map(|_| ()).map_err(|e| e.0)
}

/// `syslog[:[facility][:tag]]`
fn system_log(args: &Args) -> Said<Header> {
    let mut parts = args.bytes(0).splitn(3, |byte| *byte == b':').skip(1);
    let facility = match parts.next().unwrap_or_default() {
        b"" => syslog::DEFAULT_FACILITY,
        name => {
            let known = std::str::from_utf8(name).ok().and_then(syslog::facility);
            known.ok_or_else(|| format!("{} is not a facility; there are {}", shown(name), syslog::facilities()))?
        }
    };
    let tag = match parts.next().unwrap_or_default() {
        b"" => b"lychgate".to_vec(),
        tag if tag.iter().all(u8::is_ascii_graphic) => tag.to_vec(),
        tag => {
            return Err(format!(
                "{} cannot be a tag; it takes visible ASCII characters without spaces",
                shown(tag)
            ));
        }
    };
    Ok(Header { facility, tag })
}

fn target(args: &Args, n: usize) -> Said<LogTarget> {
    let word = args.bytes(n);
    let Some(command) = word.strip_prefix(b"|") else {
        return Ok(LogTarget::File(args.path(n)));
    };
    let (command, shell) = match command.split_first() {
        Some((b'$', rest)) => (rest, true),
        Some((b'|', rest)) => (rest, false),
        _ => (command, false),
    };
    let command = command.trim_ascii();
    if command.is_empty() {
        return Err("a command is missing behind the bar".into());
    }
    Ok(LogTarget::Program {
        command: command.to_vec(),
        shell,
    })
}

/// The text of an access log's format: what its nickname stands for, or what it says itself.
pub fn format_of<'a>(site: &'a SiteSettings, log: &'a AccessLog) -> &'a [u8] {
    let format = match &log.format {
        Some(format) => format,
        None => match site.logs.transfer_format.value() {
            Some(format) => format,
            None => return b"common",
        },
    };
    site.logs.formats.find(format).unwrap_or(format)
}
