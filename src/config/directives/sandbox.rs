//! ScriptSandbox: what scripts may reach of files, of the network and of the kernel, without root. lychgate's own.

use crate::config::setting::{Appended, Setting, settings};
use crate::config::table::{Directive, Override, PATHS, SERVICE, Set, Words};
use crate::config::words::shown;

settings! {
    /// How the scripts of a place are confined.
    pub struct Sandbox {
        /// `ScriptSandbox`.
        chosen: Setting<Chosen>,
        /// `ScriptSandboxRead`.
        read: Appended<Vec<u8>>,
        /// `ScriptSandboxWrite`.
        write: Appended<Vec<u8>>,
        /// `ScriptSandboxTCP`.
        tcp: Setting<Tcp>,
    }
}

/// What a `ScriptSandbox` line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// How much is kept from scripts.
    pub level: Level,
    /// What happens where the kernel cannot do it all.
    pub hold: Hold,
}

/// How much is kept from scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing but what their user may not have.
    Off,
    /// Files that are not theirs, the network, other processes, and the system calls that only break-ins need.
    Basic,
}

/// What happens where the kernel cannot hold all of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// What it can hold is held, and a warning says what is not.
    AsFarAsPossible,
    /// Nothing is started.
    Required,
}

/// Which TCP connections scripts may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tcp {
    /// None, and they have no Internet sockets at all.
    None,
    /// To this machine's own loopback addresses; no Internet sockets but those of TCP.
    Loopback,
    /// Any, and UDP.
    Any,
}

impl Sandbox {
    /// The level in force.
    pub fn level(&self) -> Level {
        self.chosen.value().map_or(Level::Off, |chosen| chosen.level)
    }

    /// What happens where the kernel cannot hold it.
    pub fn hold(&self) -> Hold {
        self.chosen.value().map_or(Hold::AsFarAsPossible, |chosen| chosen.hold)
    }

    /// The TCP connections in force.
    pub fn tcp(&self) -> Tcp {
        self.tcp.or(Tcp::None)
    }
}

/// What every script under `basic` may read and execute.
pub const PROGRAMS: &[&str] = &["/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr"];

/// What every script under `basic` may read: what the C library, interpreters and name look-ups ask for, of `/proc` and
/// `/sys` what tells of the machine and not of processes, and the devices that give nothing away. A name that ends with `*`
/// stands for all that begin so.
pub const READABLE: &[&str] = &[
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/etc/ImageMagick-*",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/gitconfig",
    "/etc/gitweb.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/machine-id",
    "/etc/magic",
    "/etc/magic.mime",
    "/etc/mime.types",
    "/etc/networks",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/perl",
    "/etc/php",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/protocols",
    "/etc/python3*",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system/cpu",
    "/sys/kernel/mm/transparent_hugepage",
];

/// What every script under `basic` may write to.
pub const WRITABLE: &[&str] = &["/dev/full", "/dev/null"];

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "ScriptSandbox",
        module: "lychgate",
        syntax: "off|basic [require]",
        words: Words::Between(1, 2),
        allowed: PATHS.or(SERVICE),
        overrides: Override::None,
        default: "off",
        summary: "Confine scripts, without need of root.",
        manual: "With basic a script has what follows and nothing more, and so has all that it starts.\n\n\
It reads and executes what is in its own tree: the target of its ScriptAlias, or the directory whose section gives it Options ExecCGI. \
(Where that section goes by a regular expression, the directory the script is in.) \
It reads and executes /usr, /bin, /sbin and /lib with their kin, where interpreters and libraries are; a set-user-id or set-group-id \
program there has the script's rights only, so that sendmail(8) of many a mail system does not work: send mail by SMTP, with \
ScriptSandboxTCP. \
It reads the files of /etc that the C library, interpreters and look-ups of names need (passwd, group, hosts, resolv.conf, nsswitch.conf, \
ld.so.cache, localtime, mime.types, certificates, and what Perl, PHP, Python, git, fonts and ImageMagick keep there), \
of /proc and /sys what tells of the machine and not of processes, and /dev/null, zero, full, random and urandom. \
It writes to /dev/null. All else is for ScriptSandboxRead and ScriptSandboxWrite to give, the document root and \
/tmp too: a script that needs a place for temporary files gets one by ScriptSandboxWrite, and is told of it by SetEnv TMPDIR. \
What it is given as descriptors 0, 1 and 2 it has in any case.\n\n\
Of the network it has what ScriptSandboxTCP gives. It connects to sockets of the file system whose permissions let it, and to abstract ones of \
its own making. It sends signals to itself and what it started. System calls that only break-ins and administration need are refused: \
ptrace(2) and reading other processes, mounts, namespaces, other roots, modules, keys, BPF, io_uring, tracing, clocks, raw sockets, and 32-bit programs.\n\n\
What is refused fails with EACCES or EPERM; when a script fails to start for it, the error log says so.\n\n\
This is done by Landlock, prctl(2) PR_SET_NO_NEW_PRIVS and seccomp(2), and a line in the error log at every start tells what the kernel holds. \
Where it has no Landlock, or one that is too old, the rest is held and a warning says what is not; \
with require the server does not start there, and -t says so. All of it takes Linux 6.12. \
It costs about 0.2 ms of processor time a script.",
        set: Set::Dir(|conf, args| {
            let levels = [("off", Level::Off), ("basic", Level::Basic)];
            let level = args.choice(0, &levels)?;
            let hold = match (args.count(), args.keyword(1).as_str()) {
                (1, _) => Hold::AsFarAsPossible,
                (_, "require") if level == Level::Off => {
                    return Err(
                        "`off` needs nothing of the kernel; leave `require` out, or write `basic require`".into(),
                    );
                }
                (_, "require") => Hold::Required,
                _ => {
                    return Err(format!(
                        "{} is not `require`, the only word that may follow",
                        shown(args.bytes(1))
                    ));
                }
            };
            conf.sandbox.chosen.set(Chosen { level, hold });
            Ok(())
        }),
    },
    Directive {
        name: "ScriptSandboxRead",
        module: "lychgate",
        syntax: "path ...",
        words: Words::AtLeast(1),
        allowed: PATHS.or(SERVICE),
        overrides: Override::None,
        default: "",
        summary: "Let confined scripts read files and directories, and execute programs there.",
        manual: "A directory is meant with all that is below it. Lines add up, those of inner sections too. A path is looked up whenever a \
script starts, so one that is made or replaced later counts; it may be a symbolic link, and what it leads to counts. A symbolic link \
below it leads nowhere unless its target can be read as well.",
        set: Set::Dir(|conf, args| {
            for path in 0..args.count() {
                conf.sandbox.read.push(args.path(path));
            }
            Ok(())
        }),
    },
    Directive {
        name: "ScriptSandboxTCP",
        module: "lychgate",
        syntax: "none|loopback|any",
        words: Words::exactly(1),
        allowed: PATHS.or(SERVICE),
        overrides: Override::None,
        default: "none",
        summary: "Say which TCP connections confined scripts may make.",
        manual: "With none a script has no Internet sockets at all.\n\nWith loopback it connects by TCP to 127.0.0.0/8 and ::1, \
and to nothing else; a database or a mail server on this machine can be one that listens there. It has no other Internet sockets, not those of UDP \
either, so names are found where they are in /etc/hosts. It listens nowhere, on sockets of Unix neither. \
Each connect(2) is made by the spawner in its place, which takes less than 0.1 ms more; when the spawner has died, \
scripts that it started connect no more (ENOSYS). Where Landlock does not know TCP (before Linux 6.7) it is as none, and where \
kernel.yama.ptrace_scope is 2 or more every connection is refused. Together with SuexecUserGroup it makes the spawner \
keep CAP_SYS_PTRACE, to see where scripts of other users want to connect to.\n\n\
With any it has sockets of TCP and UDP, raw ones never.",
        set: Set::Dir(|conf, args| {
            let choices = [("none", Tcp::None), ("loopback", Tcp::Loopback), ("any", Tcp::Any)];
            conf.sandbox.tcp.set(args.choice(0, &choices)?);
            Ok(())
        }),
    },
    Directive {
        name: "ScriptSandboxWrite",
        module: "lychgate",
        syntax: "path ...",
        words: Words::AtLeast(1),
        allowed: PATHS.or(SERVICE),
        overrides: Override::None,
        default: "",
        summary: "Let confined scripts read and change files and directories.",
        manual: "As ScriptSandboxRead, but for changing too: writing, creating, renaming, removing. Programs there are not executed unless \
ScriptSandboxRead names them as well. What the script's user may not change it cannot change by this either.",
        set: Set::Dir(|conf, args| {
            for path in 0..args.count() {
                conf.sandbox.write.push(args.path(path));
            }
            Ok(())
        }),
    },
];
