//! `mod_fastcgi`: programs that run from the start on, those that others run, and how those are treated that are started when
//! they are wanted. The first are services, the second application servers, the third what mod_fcgid has.

use std::time::Duration;

use crate::config::backends::{Address, Scheme, Target};
use crate::config::directives::fcgid::SiteFcgid;
use crate::config::directives::proxy::Terms;
use crate::config::directives::service::{Processes, Service};
use crate::config::error::Span;
use crate::config::setting::{Appended, Merge, settings};
use crate::config::table::{Directive, Override, SERVER, SITES, Set, Words};
use crate::config::words::{Args, Said, below, shown};

settings! {
    /// What mod_fastcgi's directives say of the server.
    pub struct OldFastCgi {
        /// `FastCgiServer` and `FastCgiExternalServer`
        programs: Appended<OldProgram>,
        /// `FastCgiConfig`
        dynamic: SiteFcgid,
    }
}

/// A file whose requests an application gets.
#[derive(Clone, Debug)]
pub struct OldProgram {
    /// Its absolute name; of an application that others run there need be no such file.
    pub file: Vec<u8>,
    /// Where the application listens.
    pub target: Target,
    /// `-appConnTimeout` and `-idle-timeout`
    pub terms: Terms,
    /// `-pass-header`
    pub pass_headers: Vec<Vec<u8>>,
    /// Where it is named.
    pub span: Span,
    /// The service that runs it, where it is ours.
    pub service: Option<Box<Service>>,
}

impl OldFastCgi {
    /// The program of the file of this name.
    pub fn program(&self, file: &[u8]) -> Option<&OldProgram> {
        self.programs.iter().find(|program| program.file == file)
    }
}

/// What one program is given to wait for an answer, where nothing is said.
const SILENCE: Duration = Duration::from_secs(30);

/// The longest part of a file's name that is part of its service's.
const LONGEST_PART: usize = 20;

impl OldProgram {
    fn new(known: &OldFastCgi, args: &Args) -> Said<OldProgram> {
        let file = below(args.server_root, args.bytes(0));
        if known.program(&file).is_some() {
            return Err(format!("{} has an application already", shown(&file)));
        }
        Ok(OldProgram {
            file,
            target: Target {
                scheme: Scheme::FastCgi,
                address: Address::Unix(Vec::new()),
                base: b"fcgi://localhost".to_vec(),
                path: Vec::new(),
            },
            terms: Terms {
                timeout: Some(SILENCE),
                ..Terms::default()
            },
            pass_headers: Vec::new(),
            span: args.span.clone(),
            service: None,
        })
    }

    /// An option that both kinds have; `false` if it is none of them.
    fn option(&mut self, args: &Args, n: usize) -> Said<bool> {
        match args.keyword(n).as_str() {
            "-appconntimeout" => {
                let time = args.duration(n + 1)?;
                self.terms.connect = (!time.is_zero()).then_some(time);
            }
            "-idle-timeout" => self.terms.timeout = Some(args.duration(n + 1)?),
            "-pass-header" => self.pass_headers.push(args.bytes(n + 1).to_vec()),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The name of the service that runs a file, which no other has.
fn service_name(known: &OldFastCgi, file: &[u8]) -> String {
    let last = file.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_part = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'.';
    let part: String = last
        .to_ascii_lowercase()
        .into_iter()
        .map(|byte| if is_part(&byte) { char::from(byte) } else { '-' })
        .take(LONGEST_PART)
        .collect();
    let name = format!("fastcgi-{part}");
    let is_taken = |name: &str| {
        let mut services = known.programs.iter().filter_map(|program| program.service.as_deref());
        services.any(|service| service.name == name)
    };
    let mut numbered = (2..).map(|number: u32| format!("{name}-{number}"));
    if is_taken(&name) {
        numbered.find(|name| !is_taken(name)).unwrap_or(name)
    } else {
        name
    }
}

/// Options that say how mod_fastcgi itself goes to work.
fn is_without_effect(option: &str) -> Option<Takes> {
    match option {
        "-flush" | "-nph" | "-autoupdate" | "-restart" => Some(Takes::Nothing),
        "-init-start-delay" | "-restart-delay" | "-min-server-life" | "-max-failure-count" | "-gainvalue"
        | "-killinterval" | "-minprocesses" | "-multithreshold" | "-processslack" | "-singlethreshold"
        | "-startdelay" | "-updateinterval" => Some(Takes::Value),
        _ => None,
    }
}

/// What stands behind an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
}

/// Reads the options from word `first` on. `set` records the one at a word, or says that there is none such.
fn options(args: &Args, first: usize, mut set: impl FnMut(&Args, usize) -> Said<bool>) -> Said<()> {
    let mut n = first;
    while n < args.count() {
        let option = args.keyword(n);
        let without = is_without_effect(&option);
        if without == Some(Takes::Nothing) {
            n += 1;
            continue;
        }
        if n + 1 >= args.count() {
            return Err(format!(
                "{} is not an option, or needs a value behind it",
                shown(args.bytes(n))
            ));
        }
        if without.is_none() && !set(args, n)? {
            return Err(format!("{} is not an option of it", shown(args.bytes(n))));
        }
        n += 2;
    }
    Ok(())
}

fn variable(word: &[u8]) -> Said<(Vec<u8>, Vec<u8>)> {
    let end = memchr::memchr(b'=', word).unwrap_or(word.len());
    let (name, value) = word.split_at(end);
    if name.is_empty() {
        return Err(format!("{} is not a variable; write `NAME=value`", shown(word)));
    }
    Ok((name.to_vec(), value.strip_prefix(b"=").unwrap_or(value).to_vec()))
}

fn static_server(known: &OldFastCgi, args: &Args) -> Said<OldProgram> {
    let mut program = OldProgram::new(known, args)?;
    let mut service = Service::new(&service_name(known, &program.file));
    service.command = vec![program.file.clone()];
    options(args, 1, |args, n| {
        let value = n + 1;
        match args.keyword(n).as_str() {
            "-processes" => {
                let number = u16::try_from(args.number(value, 1..=1000)?).unwrap_or(u16::MAX);
                service.processes = Processes {
                    least: number,
                    most: number,
                };
            }
            "-initial-env" => {
                let (name, value) = variable(args.bytes(value))?;
                service.conf.env.insert(&name, &value);
            }
            "-listen-queue-depth" => {
                service.queue = u16::try_from(args.number(value, 1..=65535)?).unwrap_or(u16::MAX);
            }
            "-priority" => {
                let nice = args.text(value)?.parse().ok().filter(|nice| (-20..=19).contains(nice));
                let nice = nice.ok_or_else(|| format!("{} is not a nice value", shown(args.bytes(value))))?;
                service.conf.process.nice.set(nice);
            }
            "-user" => service.user = Some(args.bytes(value).to_vec()),
            "-group" => service.group = Some(args.bytes(value).to_vec()),
            "-socket" | "-port" => {
                return Err(format!(
                    "{} is not supported by this version; the program has a socket of its own in ServiceDir",
                    shown(args.bytes(n))
                ));
            }
            _ => return program.option(args, n),
        }
        Ok(true)
    })?;
    program.target.address = Address::Service(service.name.clone().into_bytes());
    program.service = Some(Box::new(service));
    Ok(program)
}

fn external_server(known: &OldFastCgi, args: &Args) -> Said<OldProgram> {
    let mut program = OldProgram::new(known, args)?;
    let mut target = None;
    options(args, 1, |args, n| {
        let value = args.bytes(n + 1);
        match args.keyword(n).as_str() {
            "-host" => {
                target = Some(Target::parse(&[b"fcgi://", value].concat())?);
            }
            "-socket" => {
                target = Some(Target::parse(&[b"unix:", value, b"|fcgi://localhost"].concat())?);
            }
            _ => return program.option(args, n),
        }
        Ok(true)
    })?;
    program.target = target.ok_or("has no address; write `-socket /path` or `-host host:port`")?;
    Ok(program)
}

fn dynamic(own: &mut SiteFcgid, most: &mut Option<u64>, args: &Args) -> Said<()> {
    options(args, 0, |args, n| {
        let value = n + 1;
        match args.keyword(n).as_str() {
            "-appconntimeout" => {
                let time = args.duration(value)?;
                if !time.is_zero() {
                    own.connect.set(time);
                }
            }
            "-idle-timeout" => own.silence.set(args.duration(value)?),
            "-maxclassprocesses" => own.most_of_a_class.set(args.number(value, 1..=1000)?),
            "-maxprocesses" => *most = Some(args.number(value, 1..=1000)?),
            "-pass-header" => own.pass_headers.push(args.bytes(value).to_vec()),
            "-initial-env" => {
                let (name, value) = variable(args.bytes(value))?;
                own.initial_env.insert(name, value);
            }
            // The queue of a socket and the nice value are the server's here.
            "-listen-queue-depth" | "-priority" => {}
            _ => return Ok(false),
        }
        Ok(true)
    })
}

/// What `FastCgiConfig` says holds below what a site says itself.
pub fn lay_under(dynamic: &SiteFcgid, site: &mut SiteFcgid) {
    let own = std::mem::replace(site, dynamic.clone());
    site.merge(&own);
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "FastCgiConfig",
        module: "mod_fastcgi",
        syntax: "option [value] ...",
        words: Words::AtLeast(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Say how FastCGI programs are treated that are started when they are wanted.",
        manual: "Those are files whose handler is fastcgi-script and of which no FastCgiServer tells; they are those of mod_fcgid, which have the handler fcgid-script: \
see FcgidWrapper. The options say what its directives do: -appConnTimeout FcgidConnectTimeout, -idle-timeout FcgidIOTimeout, -initial-env NAME=value \
FcgidInitialEnv, -maxClassProcesses FcgidMaxProcessesPerClass, -maxProcesses FcgidMaxProcesses, -pass-header FcgidPassHeader. Where a site has such a directive, that \
counts. Options that say how mod_fastcgi itself decides when to start and to end programs have no effect.",
        set: Set::Server(|server, args| {
            let mut most = None;
            dynamic(&mut server.old_fastcgi.dynamic, &mut most, args)?;
            if let Some(most) = most {
                server.fcgid.most.set(most);
            }
            Ok(())
        }),
    },
    Directive {
        name: "FastCgiExternalServer",
        module: "mod_fastcgi",
        syntax: "file -socket path|-host host:port [option value ...]",
        words: Words::AtLeast(3),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Give requests for a file to a FastCGI application that somebody else runs.",
        manual: "There need be no such file; what follows its name in a URL's path is PATH_INFO. It is so in all sites. The options are -appConnTimeout and -idle-timeout (30 \
seconds), and -pass-header for a field that applications are not told otherwise, such as Authorization. The name of a socket is absolute. What the file's \
place says of handlers and of ExecCGI does not matter.",
        set: Set::Server(|server, args| {
            let program = external_server(&server.old_fastcgi, args)?;
            server.old_fastcgi.programs.push(program);
            Ok(())
        }),
    },
    Directive {
        name: "FastCgiServer",
        module: "mod_fastcgi",
        syntax: "file [option value ...]",
        words: Words::AtLeast(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Keep a FastCGI program running, and give it the requests for its file.",
        manual: "It is a service like those of <Service>, by the name fastcgi-FILE, which lychgate ctl status shows, and is watched and started again like them. The options \
are -processes, -initial-env NAME=value, -listen-queue-depth (Queue), -priority (a nice value), -user and -group (User and Group), and those of FastCgiExternalServer. -flush, \
-init-start-delay and -restart-delay have no effect. What the file's place says of handlers and of ExecCGI does not matter.",
        set: Set::Server(|server, args| {
            let program = static_server(&server.old_fastcgi, args)?;
            server.old_fastcgi.programs.push(program);
            Ok(())
        }),
    },
];
