//! The script that would answer: who it would be, its command line, its environment, and what would be in its way.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::base::quote::shell_word;
use crate::commands::why::outside::Script;
use crate::commands::why::page::Page;
use crate::config::directives::cgi::{ClientGone, ProcessTree};
use crate::config::directives::sandbox::{Hold, Level, Sandbox, Tcp};
use crate::process::child::NewPrivileges;
use crate::process::identity::{shown_group, shown_user};
use crate::process::limits::Limit;
use crate::scripts::Care;
use crate::scripts::diagnosis::obstacle::{Runner, obstacles};
use crate::spawner::Explained;

const WORD: &str = "script";

/// Tells all of it.
pub(super) fn tell(page: &mut Page, script: &Script) {
    let started = &script.started;
    page.line(WORD, 0, &String::from_utf8_lossy(&script.path), None);
    let mut line = |text: &str| page.line(WORD, 1, text, None);
    line(&identity(started));
    let directory = shell_word(&started.directory);
    line(&format!("in {directory}"));
    let words: Vec<_> = started.command.iter().map(|word| shell_word(word)).collect();
    line(&format!("command: {}", words.join(" ")));
    if started.program != started.command.first().map_or(&b""[..], Vec::as_slice) {
        line(&format!(
            "executed as {} in that directory",
            shell_word(&started.program)
        ));
    }
    for limit in &started.limits {
        line(&shown_limit(limit));
    }
    if let Some(umask) = started.umask {
        line(&format!("umask {umask:03o}"));
    }
    if let Some(nice) = started.nice {
        line(&format!("nice value {nice}"));
    }
    line(&sandbox(&started.sandbox));
    if started.new_privileges == NewPrivileges::Never {
        line("set-user-id programs give it nothing");
    }
    line(&care(&script.care, started.tree));
    let path = variable(started, b"PATH");
    for obstacle in obstacles(file(&script.path), &runner(started, path), None) {
        let diagnosis = obstacle.diagnosis(file(&script.path), &runner(started, path));
        let cure = diagnosis.cure.map_or(String::new(), |cure| format!("; {cure}"));
        line(&format!("it would not start: {}{cure}", diagnosis.cause));
    }
    page.gap();
    for ignored in &script.ignored {
        page.line("environ", 0, ignored, None);
    }
    for variable in started.env.lines() {
        page.line("environ", 0, &String::from_utf8_lossy(variable), None);
    }
}

fn file(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

fn variable<'a>(started: &'a Explained, name: &[u8]) -> &'a [u8] {
    started.env.find(name).unwrap_or_default()
}

fn runner(started: &Explained, path: &[u8]) -> Runner {
    match &started.identity {
        None => Runner::current(path),
        Some(identity) => Runner {
            uid: identity.uid,
            gids: [&[identity.gid], identity.groups.as_slice()].concat(),
            path: path.to_vec(),
        },
    }
}

fn identity(started: &Explained) -> String {
    let (uid, gid) = match &started.identity {
        Some(identity) => (identity.uid, identity.gid),
        None => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
    };
    let why = if started.by_suexec {
        ", by SuexecUserGroup"
    } else {
        ", as the server"
    };
    format!(
        "as {} ({uid}) and group {} ({gid}){why}",
        shown_user(uid),
        shown_group(gid)
    )
}

fn shown_limit(limit: &Limit) -> String {
    let number = |bound: Option<u64>| bound.map_or_else(|| "max".to_owned(), |bound| bound.to_string());
    format!(
        "{} {} {}",
        limit.resource.directive(),
        number(limit.soft),
        number(limit.hard)
    )
}

fn sandbox(sandbox: &Sandbox) -> String {
    if sandbox.level() == Level::Off {
        return "ScriptSandbox off".to_owned();
    }
    let mut line = "ScriptSandbox basic".to_owned();
    if sandbox.hold() == Hold::Required {
        line.push_str(" required");
    }
    line.push_str(match sandbox.tcp() {
        Tcp::None => ", without network",
        Tcp::Loopback => ", TCP to this machine only",
        Tcp::Any => ", with network",
    });
    for (what, paths) in [("reads", &sandbox.read), ("writes", &sandbox.write)] {
        let paths: Vec<_> = paths.iter().map(|path| shell_word(path)).collect();
        if !paths.is_empty() {
            line.extend([", ", what, " ", paths.join(" ").as_str()]);
        }
    }
    line
}

fn care(care: &Care, tree: ProcessTree) -> String {
    let gone = match care.client_gone {
        ClientGone::Terminate => "ended when the client leaves",
        ClientGone::Finish => "runs to its end when the client leaves",
        ClientGone::PipeOnly => "left alone when the client leaves",
    };
    let ends = match tree {
        ProcessTree::Group => "its process group ends with it",
        ProcessTree::Kill => "all that it started ends with it",
    };
    format!("may be silent for {:?}; {gone}; {ends}", care.silence)
}
