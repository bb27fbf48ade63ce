//! Scripts: their time, their number, their log. `mod_cgi`, and what lychgate adds to it.

use std::time::Duration;

use crate::config::directives::DirConf;
use crate::config::setting::{Setting, settings};
use crate::config::table::{
    ANYWHERE, DIRECTORY, Directive, HTACCESS, Override, PATHS, SERVER, SERVER_FILES, SITES, Set, Words,
};
use crate::config::words::{Args, shown};

settings! {
    /// Scripts of a place.
    pub struct Cgi {
        /// `CGIScriptTimeout`; without it, Timeout.
        script_timeout: Setting<Duration>,
        /// `CGIPassAuth`.
        pass_auth: Setting<bool>,
        /// `CGIVar REQUEST_URI`.
        request_uri: Setting<RequestUri>,
        /// `CGIClientGone`.
        client_gone: Setting<ClientGone>,
        /// `CGIKillGrace`.
        kill_grace: Setting<Duration>,
        /// `CGIProcessTree`.
        process_tree: Setting<ProcessTree>,
        /// `CGIQuietTime`.
        quiet_time: Setting<Duration>,
        /// `CGIStderrLimit` in bytes.
        stderr_limit: Setting<u64>,
    }
}

settings! {
    /// A site's script log.
    pub struct ScriptLogs {
        /// `ScriptLog`.
        file: Setting<Vec<u8>>,
        /// `ScriptLogLength` in bytes.
        length: Setting<u64>,
        /// `ScriptLogBuffer` in bytes.
        buffer: Setting<u64>,
    }
}

settings! {
    /// Scripts of the whole server.
    pub struct ScriptLimits {
        /// `CGIMaxScripts`.
        max_scripts: Setting<u64>,
        /// `CGIQueueLength`.
        queue_length: Setting<u64>,
        /// `CGIQueueTime`.
        queue_time: Setting<Duration>,
    }
}

/// What REQUEST_URI says after an internal redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestUri {
    /// The client's request target.
    OriginalUri,
    /// The target of the redirect.
    CurrentUri,
}

/// What happens to a script whose client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientGone {
    /// Its process group gets SIGTERM, and SIGKILL after the grace.
    Terminate,
    /// It runs to its end, its output thrown away.
    Finish,
    /// Its pipes are closed and it is left alone.
    PipeOnly,
}

/// What is ended when a script is, and when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessTree {
    /// Its process group.
    Group,
    /// Everything it has started, whatever group and session that is in.
    Kill,
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "CGIClientGone",
        module: "lychgate",
        syntax: "terminate|finish|pipe-only",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "terminate",
        summary: "Say what happens to a script when its client leaves.",
        manual: "With terminate the script's process group gets SIGTERM, and SIGKILL after CGIKillGrace. With finish it runs to its \
end and its output is thrown away. With pipe-only its pipes are closed, as Apache does, and it is left alone. A worker process that dies leaves its scripts as \
their clients would.\n\nA client that has only \
closed its sending side may still read. While its script is silent, the server finds out by sending what has no meaning to a reader of \
HTTP/1.1: an interim response 102 before the reply begins, or a leading zero of the next chunk's size.",
        set: Set::Dir(|conf, args| {
            conf.cgi.client_gone.set(args.choice(
                0,
                &[
                    ("terminate", ClientGone::Terminate),
                    ("finish", ClientGone::Finish),
                    ("pipe-only", ClientGone::PipeOnly),
                ],
            )?);
            Ok(())
        }),
    },
    Directive {
        name: "CGIDScriptTimeout",
        module: "mod_cgid",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "",
        summary: "The name that Apache 2.4 has for CGIScriptTimeout.",
        manual: "",
        set: Set::Dir(script_timeout),
    },
    Directive {
        name: "CGIKillGrace",
        module: "lychgate",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "3",
        summary: "Say how long a script has between SIGTERM and SIGKILL.",
        manual: "",
        set: Set::Dir(|conf, args| {
            conf.cgi.kill_grace.set(args.duration(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "CGIMaxScripts",
        module: "lychgate",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "64",
        summary: "Bound how many scripts run at once.",
        manual: "Further requests for scripts wait in a queue (CGIQueueLength, CGIQueueTime). Static files never wait for scripts.",
        set: Set::Server(|server, args| {
            server.scripts.max_scripts.set(args.number(0, 1..=100_000)?);
            Ok(())
        }),
    },
    Directive {
        name: "CGIPassAuth",
        module: "core",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::AuthConfig,
        default: "Off",
        summary: "Let scripts see the Authorization field.",
        manual: "Off keeps passwords that the server checks from scripts that have no need of them.",
        set: Set::Dir(|conf, args| {
            conf.cgi.pass_auth.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "CGIProcessTree",
        module: "lychgate",
        syntax: "group|kill",
        words: Words::exactly(1),
        allowed: PATHS,
        overrides: Override::None,
        default: "group",
        summary: "Say whether what a script starts may outlive it.",
        manual: "With group a signal to a script reaches its process group. What has left the group, as daemons do, and what is left when \
the script has ended may stay, as under Apache.\n\n\
With kill everything ends that the script has started, in whatever group or session it is. When the script itself has ended, by itself or \
by a signal, what is left gets SIGTERM at once, and SIGKILL after CGIKillGrace; the response does not wait for it. That includes a process in \
the background that still writes the response. SIGKILL to a script (CGIScriptTimeout, CGIClientGone, a stop of the server) reaches all of it. \
CGIClientGone finish and pipe-only let a script go on as before; what it leaves when it ends is ended.\n\n\
For this a process of its own, which ps(1) shows as \"lychgate: warden\", stands between the spawner and each such script and is the parent \
of whatever loses its own (PR_SET_CHILD_SUBREAPER in prctl(2)). It counts as a process of the server's user. It costs about 0.3 ms of \
processor time a script, a quarter of what a small program in C costs without. It outlives a spawner that dies.\n\n\
What it may not signal, a set-user-ID program on a server without root, stays, and the error log says so. \
A script that runs as the server's own user can kill its warden and so escape, and the error log says so; \
SuexecUserGroup or ScriptSandbox keeps it from that. Without /proc only the process group is found.",
        set: Set::Dir(|conf, args| {
            let trees = [("group", ProcessTree::Group), ("kill", ProcessTree::Kill)];
            conf.cgi.process_tree.set(args.choice(0, &trees)?);
            Ok(())
        }),
    },
    Directive {
        name: "CGIQueueLength",
        module: "lychgate",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "128",
        summary: "Bound how many requests wait for a script's turn.",
        manual: "A request beyond it is answered with 503 and Retry-After at once.",
        set: Set::Server(|server, args| {
            server.scripts.queue_length.set(args.number(0, 0..=1_000_000)?);
            Ok(())
        }),
    },
    Directive {
        name: "CGIQueueTime",
        module: "lychgate",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "10",
        summary: "Bound how long a request waits for a script's turn.",
        manual: "After that time the answer is 503 with Retry-After.",
        set: Set::Server(|server, args| {
            server.scripts.queue_time.set(args.duration(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "CGIQuietTime",
        module: "lychgate",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "250ms",
        summary: "Say how long an ended script's output is waited for.",
        manual: "A script that has ended may have left a process behind that still holds its output. When nothing has come for this \
long, the response ends; the process is left alone.",
        set: Set::Dir(|conf, args| {
            conf.cgi.quiet_time.set(args.duration(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "CGIScriptTimeout",
        module: "mod_cgid",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "",
        summary: "Bound how long a script may be silent.",
        manual: "After that time its process group is ended, and the answer is 504 if none has begun. Without it, Timeout counts.",
        set: Set::Dir(script_timeout),
    },
    Directive {
        name: "CGIStderrLimit",
        module: "lychgate",
        syntax: "bytes",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "65536",
        summary: "Bound how much of a script's error output a request may log.",
        manual: "What is beyond it is read and dropped, and one line says how much.",
        set: Set::Dir(|conf, args| {
            conf.cgi.stderr_limit.set(args.number(0, 0..=u64::MAX)?);
            Ok(())
        }),
    },
    Directive {
        name: "CGIVar",
        module: "core",
        syntax: "REQUEST_URI original-uri|current-uri",
        words: Words::exactly(2),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Say what REQUEST_URI tells a script after an internal redirect.",
        manual: "With original-uri, and without the directive, it is the client's own request target; with current-uri the path that \
answers, that of an index file or a fallback too, decoded and without the query.",
        set: Set::Dir(|conf, args| {
            if args.keyword(0) != "request_uri" {
                return Err(format!(
                    "{} is not a variable that can be chosen; only REQUEST_URI is",
                    shown(args.bytes(0))
                ));
            }
            conf.cgi.request_uri.set(match args.keyword(1).as_str() {
                "original-uri" => RequestUri::OriginalUri,
                "current-uri" => RequestUri::CurrentUri,
                _ => {
                    return Err(format!(
                        "{} is neither `original-uri` nor `current-uri`",
                        shown(args.bytes(1))
                    ));
                }
            });
            Ok(())
        }),
    },
    Directive {
        name: "ScriptLog",
        module: "mod_cgi",
        syntax: "file",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Keep a record of failed scripts, with what they were sent and what they said.",
        manual: "It is a means to find faults, not for every day. It is opened as other logs are, by the process that starts the \
server, so that User need not be able to write it; where it cannot be opened, that is told, and the server does without.",
        set: Set::Site(|site, args| {
            site.script_log.file.set(args.path(0));
            Ok(())
        }),
    },
    Directive {
        name: "ScriptLogBuffer",
        module: "mod_cgi",
        syntax: "bytes",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "1024",
        summary: "Bound how much of a request's body the script log keeps.",
        manual: "",
        set: Set::Site(|site, args| {
            site.script_log.buffer.set(args.number(0, 0..=u64::from(u32::MAX))?);
            Ok(())
        }),
    },
    Directive {
        name: "ScriptLogLength",
        module: "mod_cgi",
        syntax: "bytes",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "10385760",
        summary: "Bound the size of the script log.",
        manual: "Nothing is added to a file that is larger.",
        set: Set::Site(|site, args| {
            site.script_log.length.set(args.number(0, 0..=u64::MAX)?);
            Ok(())
        }),
    },
];

fn script_timeout(conf: &mut DirConf, args: &Args) -> Result<(), String> {
    conf.cgi.script_timeout.set(args.duration(0)?);
    Ok(())
}
