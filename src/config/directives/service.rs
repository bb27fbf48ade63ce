//! `<Service>`: programs that the server starts itself, watches, and talks to over a socket of their own. lychgate's own.

use std::time::Duration;

use crate::config::directives::DirConf;
use crate::config::table::{Directive, Override, SERVER, SERVICE, Set, Words};
use crate::config::words::{Args, Said, shown};

/// A program that the server keeps running.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name: lower-case letters, digits, `.`, `-` and `_`.
    pub name: String,
    /// `Command`: the program's absolute name and its arguments.
    pub command: Vec<Vec<u8>>,
    /// `User`
    pub user: Option<Vec<u8>>,
    /// `Group`
    pub group: Option<Vec<u8>>,
    /// `ChrootDir`
    pub root: Option<Vec<u8>>,
    /// `Processes`
    pub processes: Processes,
    /// `MaxIdle`
    pub idle: Duration,
    /// `MaxRequests`; 0 is no bound.
    pub max_requests: u64,
    /// `MaxLifetime`; zero is no bound.
    pub max_lifetime: Duration,
    /// `MaxMemory` in bytes; 0 is no bound.
    pub max_memory: u64,
    /// `Queue`
    pub queue: u16,
    /// `Watchdog`; zero is none.
    pub watchdog: Duration,
    /// `CrashLimit`
    pub crash_limit: CrashLimit,
    /// Limits, sandbox, variables.
    pub conf: DirConf,
}

/// How many processes there are of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processes {
    /// So many are always there.
    pub least: u16,
    /// So many there may be while there is work for them.
    pub most: u16,
}

/// How many deaths within which time are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashLimit {
    /// So many.
    pub deaths: u32,
    /// In so long.
    pub within: Duration,
}

/// The most processes of one service.
const MOST_PROCESSES: u64 = 1000;

impl Service {
    /// One of this name of which nothing was said yet.
    pub fn new(name: &str) -> Service {
        Service {
            name: name.to_owned(),
            command: Vec::new(),
            user: None,
            group: None,
            root: None,
            processes: Processes { least: 1, most: 1 },
            idle: Duration::from_secs(60),
            max_requests: 0,
            max_lifetime: Duration::ZERO,
            max_memory: 0,
            queue: 128,
            watchdog: Duration::from_secs(60),
            crash_limit: CrashLimit {
                deaths: 30,
                within: Duration::from_secs(50),
            },
            conf: DirConf::default(),
        }
    }
}

/// A number of bytes; `K`, `M` and `G` stand for the powers of 1024.
fn bytes(word: &[u8]) -> Said<u64> {
    let wrong = || format!("{} is not a size; write `300M`", shown(word));
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = word.split_at(digits);
    let number: u64 = std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(wrong)?;
    let factor = match unit.to_ascii_uppercase().as_slice() {
        b"" => 1,
        b"K" => 1 << 10,
        b"M" => 1 << 20,
        b"G" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

fn processes(args: &Args) -> Said<Processes> {
    let least = args.number(0, 0..=MOST_PROCESSES)?;
    let most = if args.count() > 1 {
        args.number(1, 1..=MOST_PROCESSES)?
    } else {
        least
    };
    if most == 0 {
        return Err("with none at all nobody serves; write `0 1` for one that is started when it is wanted".into());
    }
    if least > most {
        return Err(format!("{least} is above {most}; write the lower number first"));
    }
    let narrow = |number| u16::try_from(number).unwrap_or(u16::MAX);
    Ok(Processes {
        least: narrow(least),
        most: narrow(most),
    })
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "Command",
        module: "lychgate",
        syntax: "program [argument ...]",
        words: Words::AtLeast(1),
        allowed: SERVICE,
        overrides: Override::None,
        default: "",
        summary: "Name the program of a service, and its arguments.",
        manual: "No shell reads it. A relative name is below ServerRoot. The program starts in the directory it is in; one that anybody may \
write to is not started.",
        set: Set::Service(|service, args| {
            let mut command = vec![args.path(0)];
            command.extend_from_slice(args.rest(1));
            if command.iter().any(|word| word.contains(&0)) {
                return Err("has a NUL in it".into());
            }
            service.command = command;
            Ok(())
        }),
    },
    Directive {
        name: "CrashLimit",
        module: "lychgate",
        syntax: "number time",
        words: Words::exactly(2),
        allowed: SERVICE,
        overrides: Override::None,
        default: "30 50",
        summary: "Say when a service that keeps dying is given up.",
        manual: "When its processes have ended so often within this time without being asked to, none is started any more: the service \
has failed, the error log says so, and its requests get a 503 at once. A reload, lychgate ctl start with its name, or a restart of the \
server begins anew. Ends with status 0 after a second or more are no deaths.",
        set: Set::Service(|service, args| {
            service.crash_limit = CrashLimit {
                deaths: u32::try_from(args.number(0, 1..=1_000_000)?).unwrap_or(u32::MAX),
                within: args.duration(1)?,
            };
            Ok(())
        }),
    },
    Directive {
        name: "MaxIdle",
        module: "lychgate",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVICE,
        overrides: Override::None,
        default: "60",
        summary: "Say how long a process beyond the least number may have nothing to do.",
        manual: "Then it is ended. See Processes.",
        set: Set::Service(|service, args| {
            service.idle = args.duration(0)?;
            Ok(())
        }),
    },
    Directive {
        name: "MaxLifetime",
        module: "lychgate",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVICE,
        overrides: Override::None,
        default: "0",
        summary: "Replace a process of a service that has run for so long.",
        manual: "Another is started on a new socket, to which new requests go; the old one gets SIGTERM when it has none left. 0 is for \
ever.",
        set: Set::Service(|service, args| {
            service.max_lifetime = args.duration(0)?;
            Ok(())
        }),
    },
    Directive {
        name: "MaxMemory",
        module: "lychgate",
        syntax: "bytes",
        words: Words::exactly(1),
        allowed: SERVICE,
        overrides: Override::None,
        default: "0",
        summary: "Replace a process of a service that has so much resident memory.",
        manual: "It is looked at once a second; K, M and G may follow the number. See MaxLifetime for how; 0 is no bound. RLimitMEM bounds \
it hard.",
        set: Set::Service(|service, args| {
            service.max_memory = bytes(args.bytes(0))?;
            Ok(())
        }),
    },
    Directive {
        name: "MaxRequests",
        module: "lychgate",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVICE,
        overrides: Override::None,
        default: "0",
        summary: "Replace a process of a service that has had so many requests.",
        manual: "They are counted in portions, so that it may be a tenth more. See MaxLifetime for how; 0 is no bound.",
        set: Set::Service(|service, args| {
            service.max_requests = args.number(0, 0..=u64::MAX)?;
            Ok(())
        }),
    },
    Directive {
        name: "Processes",
        module: "lychgate",
        syntax: "least [most]",
        words: Words::Between(1, 2),
        allowed: SERVICE,
        overrides: Override::None,
        default: "1",
        summary: "Say how many processes a service has.",
        manual: "One serves many clients if the program can. With a second number more are started while all that run have a request, and \
end when they are idle (MaxIdle); with `0 1' none runs until it is wanted. Each has a socket of its own, and a request goes to the \
one that has fewest.",
        set: Set::Service(|service, args| {
            service.processes = processes(args)?;
            Ok(())
        }),
    },
    Directive {
        name: "Queue",
        module: "lychgate",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVICE,
        overrides: Override::None,
        default: "128",
        summary: "Bound how many connections wait until a process of a service takes them.",
        manual: "It is the length of the queue of each of its sockets (listen(2)), which net.core.somaxconn bounds too. Where the queue \
stays full the request gets a 503 with Retry-After.",
        set: Set::Service(|service, args| {
            service.queue = u16::try_from(args.number(0, 1..=65_535)?).unwrap_or(u16::MAX);
            Ok(())
        }),
    },
    Directive {
        name: "<Service>",
        module: "lychgate",
        syntax: "name",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Describe a program that the server starts, watches and gives requests to.",
        manual: "The section holds a Command, and what else is to hold for it. The program is started with the server, and gets a \
listening Unix socket as descriptor 0, which is what FastCGI and SCGI programs expect; it is descriptor 3 too, with LISTEN_FDS=1 and \
LISTEN_PID, as systemd(1) has it for others. What it writes to standard output and error goes to the error log with its name.\n\n\
Requests come to it by `service:name|' before a URL that says what it speaks, wherever `unix:path|' may stand: \
SetHandler \"proxy:service:wiki|fcgi://localhost\" or ProxyPass /wiki/ \"service:wiki|fcgi://localhost/\".\n\n\
It runs as User and Group of the section, else as those of the server, and never as root. Of limits, sandbox and variables it has what \
the section says (RLimitCPU and its kin, Umask, Nice, ScriptSandbox and its kin, SetEnv, PassEnv); nothing of it comes from outside of \
the section, so that a limit on scripts does not end it. Under ScriptSandbox basic its own tree is the directory that the program is in.\n\n\
A process that ends is started again: at once the first time, then after a growing pause of at most a second, until CrashLimit. \
Requests that come meanwhile wait in its socket. A request that a dying process had not begun to answer is told once more where that does \
no harm (GET, HEAD, OPTIONS, PUT and DELETE whose body was not begun); others get a 502.\n\n\
At a reload a service whose section is the same keeps its processes; a new one appears, another goes when it has answered what it had, and one \
that is described otherwise is replaced. The sockets are in ServiceDir.",
        set: Set::Language,
    },
    Directive {
        name: "ServiceDir",
        module: "lychgate",
        syntax: "directory",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Name the directory of the sockets of services.",
        manual: "The server makes it, with mode 0700 for the user that requests are served as. Without it, it is beside PidFile and has its \
name with .services in the place of .pid. With ChrootDir it must be named, as it is inside.",
        set: Set::Server(|server, args| {
            server.core.service_dir.set(args.path(0));
            Ok(())
        }),
    },
    Directive {
        name: "Watchdog",
        module: "lychgate",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVICE,
        overrides: Override::None,
        default: "60",
        summary: "Say when a process of a service is taken to be stuck.",
        manual: "A process that has requests, none of which it has begun to answer, and has said nothing for so long, is ended and started \
again. Requests that wait for their client do not count against it. 0 lets it be.",
        set: Set::Service(|service, args| {
            service.watchdog = args.duration(0)?;
            Ok(())
        }),
    },
];

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_units() {
        for (word, size) in [("0", 0), ("300M", 300 << 20), ("4k", 4096), ("2G", 2 << 30)] {
            assert_eq!(bytes(word.as_bytes()), Ok(size), "{word}");
        }
        for word in ["", "M", "1T", "-1", "99999999999G"] {
            assert!(bytes(word.as_bytes()).is_err(), "{word}");
        }
    }
}
