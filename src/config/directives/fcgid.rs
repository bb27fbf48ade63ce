//! FastCGI programs among a site's files that the server starts when they are wanted: `mod_fcgid`.

use std::time::Duration;

use crate::config::setting::{Appended, Mapped, Setting, settings};
use crate::config::table::{Directive, Override, SERVER, SERVER_FILES, SITES, Set, Words};
use crate::config::words::{Args, Said, below, shown};

settings! {
    /// How many processes there are in all.
    pub struct ServerFcgid {
        /// `FcgidMaxProcesses`
        most: Setting<u64>,
    }
}

settings! {
    /// The processes of a site.
    pub struct SiteFcgid {
        /// `FcgidBusyTimeout`
        busy: Setting<Duration>,
        /// `FcgidCmdOptions`, by program.
        commands: Mapped<Vec<u8>, CommandOptions>,
        /// `FcgidConnectTimeout`
        connect: Setting<Duration>,
        /// `FcgidIdleTimeout`
        idle: Setting<Duration>,
        /// `FcgidProcessLifeTime`
        lifetime: Setting<Duration>,
        /// `FcgidMaxProcessesPerClass`
        most_of_a_class: Setting<u64>,
        /// `FcgidMinProcessesPerClass`
        least_of_a_class: Setting<u64>,
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
    /// Whether it is for names of which there is no file.
    pub asks: Asks,
}

/// What a wrapper is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Files that are there.
    Files,
    /// Whatever the URL says (`virtual`).
    Names,
}

/// How the processes of a program are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treatment {
    /// How long a request waits for one.
    pub connect: Duration,
    /// How long one may be silent.
    pub silence: Duration,
    /// How long one may have nothing to do; zero is for ever.
    pub idle: Duration,
    /// How long one lives; zero is for ever.
    pub lifetime: Duration,
    /// So many there may be.
    pub most: u64,
    /// So many are left to themselves when they are idle.
    pub least: u64,
    /// After so many requests one ends; 0 is no bound.
    pub most_requests: u64,
}

impl Default for Treatment {
    fn default() -> Treatment {
        Treatment {
            connect: Duration::from_secs(3),
            silence: Duration::from_secs(40),
            idle: Duration::from_secs(300),
            lifetime: Duration::from_secs(3600),
            most: 100,
            least: 3,
            most_requests: 0,
        }
    }
}

/// What is said of one program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandOptions {
    /// How its processes are treated.
    pub treatment: Treatment,
    /// Variables of their environment.
    pub initial_env: Vec<(Vec<u8>, Vec<u8>)>,
}

impl SiteFcgid {
    /// How the processes of a program are treated, which goes by its absolute file name.
    pub fn treatment(&self, program: &[u8]) -> Treatment {
        if let Some(own) = self.commands.find(program) {
            return own.treatment;
        }
        let usual = Treatment::default();
        Treatment {
            connect: self.connect.or(usual.connect),
            silence: self.silence.or(usual.silence),
            idle: self.idle.or(usual.idle),
            lifetime: self.lifetime.or(usual.lifetime),
            most: self.most_of_a_class.or(usual.most),
            least: self.least_of_a_class.or(usual.least),
            most_requests: self.most_requests.or(usual.most_requests),
        }
    }

    /// The variables that the settings give a program's environment.
    pub fn initial_env_of(&self, program: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let owned = |(name, value): (&Vec<u8>, &Vec<u8>)| (name.clone(), value.clone());
        match self.commands.find(program) {
            Some(own) => own.initial_env.clone(),
            None => self.initial_env.iter().map(owned).collect(),
        }
    }
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

/// A program and its arguments, from one word.
pub(super) fn command(args: &Args) -> Said<Vec<Vec<u8>>> {
    let mut command = crate::base::quoting::words(args.bytes(0));
    let Some(program) = command.first_mut() else {
        return Err("has no program".into());
    };
    *program = below(args.server_root, program);
    if command.iter().any(|word| word.contains(&0)) {
        return Err("has a NUL in it".into());
    }
    Ok(command)
}

fn wrapper(args: &Args) -> Said<Wrapper> {
    let command = command(args)?;
    let (mut suffix, mut asks) = (None, Asks::Files);
    for word in args.rest(1) {
        if asks == Asks::Names {
            return Err(format!("{} stands behind `virtual`; write that last", shown(word)));
        }
        if word.eq_ignore_ascii_case(b"virtual") {
            asks = Asks::Names;
            continue;
        }
        if word.first() != Some(&b'.') || suffix.is_some() {
            return Err(format!("{} is not the end of file names; write `.php`", shown(word)));
        }
        suffix = Some(word.clone());
    }
    Ok(Wrapper { command, suffix, asks })
}

/// The words of `FcgidMaxRequestsPerProcess`.
fn requests(args: &Args, n: usize) -> Said<u64> {
    match args.bytes(n) {
        b"-1" => Ok(0),
        _ => args.number(n, 0..=u64::MAX),
    }
}

/// The options of `FcgidCmdOptions`; of what they do not say, the defaults hold, as in Apache.
fn command_options(args: &Args) -> Said<CommandOptions> {
    let mut options = CommandOptions::default();
    for n in (1..args.count()).step_by(2) {
        if n + 1 == args.count() {
            return Err(format!("{} needs a value behind it", shown(args.bytes(n))));
        }
        let (treatment, value) = (&mut options.treatment, n + 1);
        match args.keyword(n).as_str() {
            "connecttimeout" => treatment.connect = some_time(args, value)?,
            "idletimeout" => treatment.idle = args.duration(value)?,
            "iotimeout" => treatment.silence = some_time(args, value)?,
            "maxprocesses" => treatment.most = args.number(value, 1..=1000)?,
            "maxprocesslifetime" => treatment.lifetime = args.duration(value)?,
            "maxrequestsperprocess" => treatment.most_requests = requests(args, value)?,
            "minprocesses" => treatment.least = args.number(value, 0..=1000)?,
            "initialenv" => {
                let word = args.bytes(value);
                let end = memchr::memchr(b'=', word).unwrap_or(word.len());
                let (name, set) = word.split_at(end);
                if name.is_empty() {
                    return Err(format!("{} is not a variable; write `NAME=value`", shown(word)));
                }
                let set = set.strip_prefix(b"=").unwrap_or(set);
                options.initial_env.retain(|(known, _)| known != name);
                options.initial_env.push((name.to_vec(), set.to_vec()));
            }
            _ => {
                return Err(format!(
                    "{} is none of `ConnectTimeout`, `IdleTimeout`, `InitialEnv`, `IOTimeout`, `MaxProcesses`, `MaxProcessLifeTime`, \
                     `MaxRequestsPerProcess` and `MinProcesses`",
                    shown(args.bytes(n))
                ));
            }
        }
    }
    Ok(options)
}

fn some_time(args: &Args, n: usize) -> Said<Duration> {
    let time = args.duration(n)?;
    if time.is_zero() {
        return Err(format!(
            "{} is no time to wait; write at least `1`",
            shown(args.bytes(n))
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
        name: "FcgidCmdOptions",
        module: "mod_fcgid",
        syntax: "program option value ...",
        words: Words::AtLeast(3),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Say of one FastCGI program that is started on demand how its processes are treated.",
        manual: "The program goes by its absolute file name, that of the file or the first word of its FcgidWrapper. The options are ConnectTimeout, \
IdleTimeout, InitialEnv (NAME=value, as often as there are variables), IOTimeout, MaxProcesses (FcgidMaxProcessesPerClass), MaxProcessLifeTime \
(FcgidProcessLifeTime), MaxRequestsPerProcess and MinProcesses (FcgidMinProcessesPerClass). For such a program none of these directives counts: of what its options \
do not say, the defaults hold, and its environment has none of FcgidInitialEnv.",
        set: Set::Site(|site, args| {
            let program = below(args.server_root, args.bytes(0));
            site.fcgid.commands.insert(program, command_options(args)?);
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
            site.fcgid.connect.set(some_time(args, 0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidIdleTimeout",
        module: "mod_fcgid",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "300",
        summary: "Say how long a process that was started on demand may have nothing to do.",
        manual: "Then it is ended, unless that would leave fewer than FcgidMinProcessesPerClass. 0 is for ever.",
        set: Set::Site(|site, args| {
            site.fcgid.idle.set(args.duration(0)?);
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
        manual: "SetEnv and PassEnv reach them with each request instead. A=1 as one word gives A the value 1=, as in Apache, with a warning.",
        set: Set::Site(|site, args| {
            let (name, value) = initial_variable(args);
            if name.is_empty() {
                return Err(format!("{} is not a variable's name", shown(args.bytes(0))));
            }
            site.fcgid.initial_env.insert(name, value);
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
            site.fcgid.silence.set(some_time(args, 0)?);
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
        allowed: SITES,
        overrides: Override::None,
        default: "100",
        summary: "Bound how many processes one FastCGI program has that is started on demand.",
        manual: "A class is one program as one user under the same limits and sandbox. Each process has one request at a time.",
        set: Set::Site(|site, args| {
            site.fcgid.most_of_a_class.set(args.number(0, 1..=1000)?);
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
            site.fcgid.most_requests.set(requests(args, 0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidMinProcessesPerClass",
        module: "mod_fcgid",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "3",
        summary: "Say how many processes of a program are left to themselves when they are idle.",
        manual: "See FcgidIdleTimeout. None is started for it.",
        set: Set::Site(|site, args| {
            site.fcgid.least_of_a_class.set(args.number(0, 0..=1000)?);
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
        manual: "It becomes a variable of that name with underscores for hyphens, and one as CGI has it, HTTP_AUTHORIZATION. A name that programs heed for \
other reasons, such as PATH, is not passed.",
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
        allowed: SITES,
        overrides: Override::None,
        default: "3600",
        summary: "Say how long a process that was started on demand may live; then it ends when it has nothing to do.",
        manual: "0 is for ever.",
        set: Set::Site(|site, args| {
            site.fcgid.lifetime.set(args.duration(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidWrapper",
        module: "mod_fcgid",
        syntax: "command [suffix] [virtual]",
        words: Words::Between(1, 3),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "",
        summary: "Start this program for files whose handler is fcgid-script, in the place of the file itself.",
        manual: "The command is one word, quoted where it has arguments. With a suffix it is for files whose names end so; one without a suffix \
is for all others. The file need not be executable then; it is named by SCRIPT_FILENAME. The program runs as the file would: as its user, with its \
limits and sandbox, in its directory. With virtual there need be no file of the URL's name. Such a program, and one that <Location> or <If> names, \
runs by what is said of its own file, and in that one's directory. It cannot stand in .htaccess, for the process that starts programs \
reads the server's own files alone.\n\nFiles whose handler is fcgid-script, in a place with \
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

/// A variable of a program's environment. As in Apache a name goes on over its equals signs; the program sees it end at the first.
fn initial_variable(args: &Args) -> (Vec<u8>, Vec<u8>) {
    let (word, value) = (args.bytes(0), args.bytes(1));
    let Some(sign) = word.iter().position(|byte| *byte == b'=') else {
        return (word.to_vec(), value.to_vec());
    };
    let (name, behind) = word.split_at(sign);
    let value = [behind.get(1..).unwrap_or_default(), b"=", value].concat();
    args.remark(format!(
        "{} has the value {}, as in Apache; write the name and the value as two words",
        shown(name),
        shown(&value)
    ));
    (name.to_vec(), value)
}

#[cfg(test)]
mod tests {
    use super::{Asks, Fcgid, Wrapper};

    #[test]
    fn a_wrapper_is_found_by_the_end_of_a_name() {
        let mut fcgid = Fcgid::default();
        for (program, suffix) in [("all", None), ("php", Some(".php")), ("php8", Some(".php"))] {
            fcgid.wrappers.push(Wrapper {
                command: vec![program.into()],
                suffix: suffix.map(|suffix: &str| suffix.into()),
                asks: Asks::Files,
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
