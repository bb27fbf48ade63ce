//! FastCGI programs among a site's files that the server starts when they are wanted: `mod_fcgid`.

use std::time::Duration;

use crate::config::setting::{Appended, Mapped, Setting, settings};
use crate::config::table::{Directive, Override, PATHS, SERVER, SITES, Set, Words};
use crate::config::words::{Args, Said, below, shown};

settings! {
    /// How many processes there are in all, and how long.
    pub struct ServerFcgid {
        /// `FcgidMaxProcesses`
        most: Setting<u64>,
        /// `FcgidMaxProcessesPerClass`
        most_of_a_class: Setting<u64>,
        /// `FcgidMinProcessesPerClass`
        least_of_a_class: Setting<u64>,
        /// `FcgidIdleTimeout`
        idle: Setting<Duration>,
        /// `FcgidProcessLifeTime`
        lifetime: Setting<Duration>,
    }
}

settings! {
    /// The processes of a site.
    pub struct SiteFcgid {
        /// `FcgidBusyTimeout`
        busy: Setting<Duration>,
        /// `FcgidConnectTimeout`
        connect: Setting<Duration>,
        /// `FcgidIOTimeout`
        silence: Setting<Duration>,
        /// `FcgidInitialEnv`
        initial_env: Mapped<Vec<u8>, Vec<u8>>,
        /// `FcgidMaxRequestLen`
        longest_body: Setting<u64>,
        /// `FcgidMaxRequestsPerProcess`; 0 is no bound.
        most_requests: Setting<u64>,
        /// `FcgidPassHeader`
        pass_headers: Appended<Vec<u8>>,
    }
}

settings! {
    /// The programs of a place.
    pub struct Fcgid {
        /// `FcgidWrapper`
        wrappers: Appended<Wrapper>,
    }
}

/// A program that is started in the place of files of some kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapper {
    /// Its absolute name, and its arguments.
    pub command: Vec<Vec<u8>>,
    /// How the names of the files end: `.php`; all of them where nothing is said.
    pub suffix: Option<Vec<u8>>,
}

impl Fcgid {
    /// The wrapper of a file of this name: of several the one that stands last.
    pub fn wrapper(&self, path: &[u8]) -> Option<&Wrapper> {
        let fits = |wrapper: &&Wrapper| match &wrapper.suffix {
            Some(suffix) => path.ends_with(suffix),
            None => true,
        };
        let mut own = self.wrappers.iter().rev();
        let by_suffix = own.find(|wrapper| wrapper.suffix.is_some() && fits(wrapper));
        by_suffix.or_else(|| self.wrappers.iter().rev().find(fits))
    }
}

fn wrapper(args: &Args) -> Said<Wrapper> {
    let mut command = crate::config::quoting::words(args.bytes(0));
    let Some(program) = command.first_mut() else {
        return Err("has no program".into());
    };
    *program = below(args.server_root, program);
    if command.iter().any(|word| word.contains(&0)) {
        return Err("has a NUL in it".into());
    }
    let mut suffix = None;
    for word in args.rest(1) {
        if word.eq_ignore_ascii_case(b"virtual") {
            return Err("`virtual` is not supported by this version; a program without files is a <Service>".into());
        }
        if word.first() != Some(&b'.') || suffix.is_some() {
            return Err(format!("{} is not the end of file names; write `.php`", shown(word)));
        }
        suffix = Some(word.clone());
    }
    Ok(Wrapper { command, suffix })
}

fn some_time(args: &Args) -> Said<Duration> {
    let time = args.duration(0)?;
    if time.is_zero() {
        return Err(format!(
            "{} is no time to wait; write at least `1`",
            shown(args.bytes(0))
        ));
    }
    Ok(time)
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "FcgidBusyTimeout",
        module: "mod_fcgid",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "300",
        summary: "Say how long a FastCGI program that was started on demand may take for one request.",
        manual: "Then it is ended. 0 is for ever.",
        set: Set::Site(|site, args| {
            site.fcgid.busy.set(args.duration(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidConnectTimeout",
        module: "mod_fcgid",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "3",
        summary: "Say how long a request waits for a process of its program, where as many run as may.",
        manual: "Then it gets a 503 with Retry-After. A process that has just been started is connected to at once, for its socket is there \
before it.",
        set: Set::Site(|site, args| {
            site.fcgid.connect.set(some_time(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidIdleTimeout",
        module: "mod_fcgid",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "300",
        summary: "Say how long a process that was started on demand may have nothing to do.",
        manual: "Then it is ended, unless that would leave fewer than FcgidMinProcessesPerClass. 0 is for ever.",
        set: Set::Server(|server, args| {
            server.fcgid.idle.set(args.duration(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidInitialEnv",
        module: "mod_fcgid",
        syntax: "name [value]",
        words: Words::Between(1, 2),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Give FastCGI programs that are started on demand a variable of their environment.",
        manual: "SetEnv and PassEnv reach them with each request instead.",
        set: Set::Site(|site, args| {
            let name = args.bytes(0);
            if name.is_empty() || name.contains(&b'=') {
                return Err(format!("{} is not a variable's name", shown(name)));
            }
            site.fcgid.initial_env.insert(name.to_vec(), args.bytes(1).to_vec());
            Ok(())
        }),
    },
    Directive {
        name: "FcgidIOTimeout",
        module: "mod_fcgid",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "40",
        summary: "Say how long a FastCGI program that was started on demand may be silent.",
        manual: "Then its request gets a 504, or is cut if it was begun, and the process is ended.",
        set: Set::Site(|site, args| {
            site.fcgid.silence.set(some_time(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidMaxProcesses",
        module: "mod_fcgid",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "100",
        summary: "Bound how many processes are started on demand for FastCGI programs, of all kinds together.",
        manual: "Apache's default is 1000. Each has a socket that is made when the server starts. Where as many run, one that is idle makes \
place for one of another kind.",
        set: Set::Server(|server, args| {
            server.fcgid.most.set(args.number(0, 1..=1000)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidMaxProcessesPerClass",
        module: "mod_fcgid",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "100",
        summary: "Bound how many processes one FastCGI program has that is started on demand.",
        manual: "A class is one program as one user under the same limits and sandbox. Each process has one request at a time.",
        set: Set::Server(|server, args| {
            server.fcgid.most_of_a_class.set(args.number(0, 1..=1000)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidMaxRequestLen",
        module: "mod_fcgid",
        syntax: "bytes",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "131072",
        summary: "Bound the bodies of requests to FastCGI programs that are started on demand.",
        manual: "A longer one gets a 413, where Apache has a 500. LimitRequestBody holds too.",
        set: Set::Site(|site, args| {
            site.fcgid.longest_body.set(args.number(0, 0..=u64::MAX)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidMaxRequestsPerProcess",
        module: "mod_fcgid",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "0",
        summary: "End a process that was started on demand after so many requests.",
        manual: "0 is no bound; Apache takes -1 for it, and so does this server.",
        set: Set::Site(|site, args| {
            let number = match args.bytes(0) {
                b"-1" => 0,
                _ => args.number(0, 0..=u64::MAX)?,
            };
            site.fcgid.most_requests.set(number);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidMinProcessesPerClass",
        module: "mod_fcgid",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "3",
        summary: "Say how many processes of a program are left to themselves when they are idle.",
        manual: "See FcgidIdleTimeout. None is started for it.",
        set: Set::Server(|server, args| {
            server.fcgid.least_of_a_class.set(args.number(0, 0..=1000)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidPassHeader",
        module: "mod_fcgid",
        syntax: "field",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Pass a field of requests on to FastCGI programs that would be kept from them otherwise, such as Authorization.",
        manual: "",
        set: Set::Site(|site, args| {
            site.fcgid.pass_headers.push(args.bytes(0).to_vec());
            Ok(())
        }),
    },
    Directive {
        name: "FcgidProcessLifeTime",
        module: "mod_fcgid",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "3600",
        summary: "Say how long a process that was started on demand may live; then it ends when it has nothing to do.",
        manual: "0 is for ever.",
        set: Set::Server(|server, args| {
            server.fcgid.lifetime.set(args.duration(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidWrapper",
        module: "mod_fcgid",
        syntax: "command [suffix]",
        words: Words::Between(1, 3),
        allowed: PATHS,
        overrides: Override::None,
        default: "",
        summary: "Start this program for files whose handler is fcgid-script, in the place of the file itself.",
        manual: "The command is one word, quoted where it has arguments. With a suffix it is for files whose names end so; one without a suffix \
is for all others. The file need not be executable then; it is named by SCRIPT_FILENAME. The program runs as the file would: as its user, with its \
limits and sandbox. It cannot stand in <Location> or .htaccess, for the process that starts it goes by files alone.\n\nFiles whose handler is fcgid-script, in a place with \
Options ExecCGI or of a ScriptAlias, are FastCGI programs: one is started when a request finds none free, gets the next requests too, and is looked \
after by the process that serves requests, so that a reload starts others. What starts them is what starts CGI scripts, from the same places and \
under the same directives: SuexecUserGroup, RLimitCPU and its kin, ScriptSandbox. A file that is replaced has new processes. The server's own \
files must give something this handler, or name a wrapper, for an access file to do so.",
        set: Set::Dir(|conf, args| {
            conf.fcgid.wrappers.push(wrapper(args)?);
            Ok(())
        }),
    },
];

#[cfg(test)]
mod tests {
    use super::{Fcgid, Wrapper};

    #[test]
    fn a_wrapper_is_found_by_the_end_of_a_name() {
        let mut fcgid = Fcgid::default();
        for (program, suffix) in [("all", None), ("php", Some(".php")), ("php8", Some(".php"))] {
            fcgid.wrappers.push(Wrapper {
                command: vec![program.into()],
                suffix: suffix.map(|suffix: &str| suffix.into()),
            });
        }
        for (path, program) in [("/a/b.php", "php8"), ("/a/b.fcgi", "all")] {
            let found = fcgid
                .wrapper(path.as_bytes())
                .map(|wrapper| wrapper.command[0].as_slice());
            assert_eq!(found, Some(program.as_bytes()), "{path}");
        }
    }
}
