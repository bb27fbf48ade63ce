//! `lychgate fcgiwrap`: CGI scripts for other web servers, which ask for them over FastCGI; the heir of fcgiwrap(1) and
//! slowcgi(8). What it runs by is a configuration, written here, so that scripts have one way to be started.

pub mod socket;

use std::ffi::OsStr;
use std::fmt::Write;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::quoting::quoted;
use crate::config::node::Node;

use socket::{Owner, SocketUrl};

/// What it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fcgiwrap {
    /// `-s`; without it the socket is one that was given.
    pub socket: Option<SocketUrl>,
    /// `-p`: scripts, and directories of scripts.
    pub places: Vec<PathBuf>,
    /// `-c`: so many scripts at once.
    pub count: Option<u32>,
    /// `-f`.
    pub errors: Errors,
    /// `-u`: who scripts run as.
    pub user: Option<Owner>,
    /// `-U`: whose the socket is.
    pub owner: Option<Owner>,
    /// `-M`: who may connect to the socket.
    pub mode: u32,
    /// `-C`: lines of settings.
    pub lines: Vec<String>,
    /// `-F`: a file of them.
    pub file: Option<PathBuf>,
}

/// Where the error output of scripts goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// To the error log.
    Log,
    /// To the client.
    Client,
}

impl Fcgiwrap {
    /// The configuration it runs scripts by. The error is a sentence.
    pub fn configuration(&self) -> Result<Vec<u8>, String> {
        let mut text = String::from("ErrorLog /dev/stderr\n");
        if let Some(count) = self.count {
            let _never_fails = writeln!(text, "CGIMaxScripts {count}");
        }
        let mut text = text.into_bytes();
        if let Some(Owner { user, group }) = &self.user {
            append(&mut text, "User", user.as_bytes())?;
            if let Some(group) = group {
                append(&mut text, "Group", group.as_bytes())?;
            }
        }
        if self.places.is_empty() {
            return Err(
                "say with `-p` which script may be run, or which directory's scripts; `-p /` is all there are"
                    .to_owned(),
            );
        }
        for (number, place) in self.places.iter().enumerate() {
            let place = allowed(place)?;
            append(&mut text, &format!("ScriptAlias /{number}"), place)?;
        }
        text.extend(self.settings()?);
        Ok(text)
    }

    /// What of it others have written: a line for each `-C`, then what `-F` names. The error is a sentence.
    pub fn settings(&self) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        for line in &self.lines {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        if let Some(file) = &self.file {
            let file = file
                .canonicalize()
                .map_err(|error| format!("-F {}: {error}", file.display()))?;
            append(&mut text, "Include", file.as_os_str().as_bytes())?;
        }
        Ok(text)
    }
}

/// What `-p` names, as clients will name it: links stay what they are.
fn allowed(place: &Path) -> Result<&[u8], String> {
    let told = |why: &str| format!("-p {}: {why}", place.display());
    if !place.is_absolute() {
        return Err(told("write its whole name, beginning with a slash"));
    }
    if place.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(told("write its name without `..`"));
    }
    if let Err(error) = place.metadata() {
        return Err(told(&error.to_string()));
    }
    let name = place.as_os_str().as_bytes();
    let end = name.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    Ok(name.get(..end).unwrap_or(name))
}

fn append(text: &mut Vec<u8>, directive: &str, word: &[u8]) -> Result<(), String> {
    if word.contains(&b'\n') {
        let shown = OsStr::from_bytes(word).display();
        return Err(format!("{shown}: a name with a line feed in it cannot be used"));
    }
    text.extend_from_slice(directive.as_bytes());
    text.push(b' ');
    text.extend(quoted(word));
    text.push(b'\n');
    Ok(())
}

/// Complaints about settings that do nothing here: there is a line for each.
pub fn out_of_place(nodes: &[Node]) -> Vec<String> {
    let mut found = Vec::new();
    look(nodes, &mut found);
    found
}

fn look(nodes: &[Node], found: &mut Vec<String>) {
    for node in nodes {
        let known = match node {
            Node::Directive { name, .. } => is_among(DIRECTIVES, name),
            Node::Section { name, children, .. } => {
                look(children, found);
                is_among(SECTIONS, name)
            }
        };
        if !known {
            found.push(format!(
                "{}: {} does nothing for `lychgate fcgiwrap`; take it out",
                node.span(),
                node.name()
            ));
        }
    }
}

fn is_among(list: &[&str], name: &str) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// What there is to say of scripts, of the log, and of who may ask.
const DIRECTIVES: &[&str] = &[
    "CGIClientGone",
    "CGIKillGrace",
    "CGIMaxScripts",
    "CGIProcessTree",
    "CGIQueueLength",
    "CGIQueueTime",
    "CGIQuietTime",
    "CGIScriptTimeout",
    "CGIStderrLimit",
    "ConfineReading",
    "ErrorLog",
    "GracefulShutdownTimeout",
    "LogLevel",
    "MaxConnections",
    "Nice",
    "Options",
    "PassEnv",
    "RLimitCORE",
    "RLimitCPU",
    "RLimitFSIZE",
    "RLimitMEM",
    "RLimitNOFILE",
    "RLimitNPROC",
    "ScriptLog",
    "ScriptLogBuffer",
    "ScriptLogLength",
    "ScriptSandbox",
    "ScriptSandboxRead",
    "ScriptSandboxTCP",
    "ScriptSandboxWrite",
    "ServerRoot",
    "ServerThreads",
    "SetEnv",
    "Suexec",
    "SuexecMinGid",
    "SuexecMinUid",
    "SuexecUserGroup",
    "Timeout",
    "Umask",
    "UnsetEnv",
];

const SECTIONS: &[&str] = &["Directory", "DirectoryMatch", "Files", "FilesMatch"];

/// The addresses that may connect over TCP, of FCGI_WEB_SERVER_ADDRS (section 3.2 of the specification). The error is a
/// sentence.
pub fn web_servers(value: &str) -> Result<Vec<IpAddr>, String> {
    let addresses = value.split(',').map(str::trim);
    let read = |word: &str| {
        let address = word.parse::<IpAddr>();
        let told =
            |_| format!("FCGI_WEB_SERVER_ADDRS: `{word}` is no address; write addresses with commas between them");
        address.map(|address| address.to_canonical()).map_err(told)
    };
    addresses.map(read).collect()
}

#[cfg(test)]
mod tests;
