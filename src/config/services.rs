//! `<Service>` sections: read, and what they lead to: the sockets by which their processes are reached.

use std::cell::RefCell;

use crate::config::backends;
use crate::config::directives::core::SetHandler;
use crate::config::directives::sandbox::Tcp;
use crate::config::directives::service::Service;
use crate::config::error::ConfigError;
use crate::config::handlers;
use crate::config::inside::{complaint, entry};
use crate::config::node::Node;
use crate::config::places;
use crate::config::site::Config;
use crate::config::table::{SERVICE, Set};
use crate::config::words::{Args, Said, Surroundings, below, shown};
use crate::lang::expr::Trust;

/// The longest name: with the directory and the number of a process it must fit into the address of a socket.
const LONGEST_NAME: usize = 32;

/// Reads a section. What is wrong is told; there is no service then.
pub(super) fn read(node: &Node, root: &[u8]) -> (Option<Service>, Vec<ConfigError>) {
    let mut complaints = Vec::new();
    let name = match name(node) {
        Ok(name) => name,
        Err(message) => return (None, vec![complaint(node, message)]),
    };
    let mut service = Service::new(name);
    for child in node.children() {
        line(child, &mut service, root, &mut complaints);
    }
    if service.command.is_empty() && complaints.is_empty() {
        complaints.push(complaint(node, "has no Command; write the program that is to run"));
    }
    if service.conf.sandbox.tcp() == Tcp::Loopback {
        let message =
            "ScriptSandboxTCP loopback is for scripts alone, for which somebody connects; write `any` or `none`";
        complaints.push(complaint(node, message));
    }
    (
        (!complaints.iter().any(ConfigError::is_fatal)).then_some(service),
        complaints,
    )
}

fn name(node: &Node) -> Said<&str> {
    let [name] = node.words() else {
        return Err("takes a name; write `<Service wiki>`".into());
    };
    let is_part = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(byte);
    let begins = name.first().is_some_and(u8::is_ascii_alphanumeric);
    let text = std::str::from_utf8(name).ok();
    text.filter(|text| begins && text.len() <= LONGEST_NAME && name.iter().all(is_part))
        .ok_or_else(|| {
            format!(
                "{} is not the name of a service; write at most {LONGEST_NAME} lower-case letters, digits, `.`, `-` and `_`",
                shown(name)
            )
        })
}

fn line(node: &Node, service: &mut Service, root: &[u8], complaints: &mut Vec<ConfigError>) {
    if let Node::Section { .. } = node {
        return complaints.push(complaint(node, "cannot stand in <Service>"));
    }
    let entry = match entry(node, SERVICE, "<Service>") {
        Ok(entry) => entry,
        Err(error) => return complaints.push(error),
    };
    let divided = entry.words.divided(node.args_raw());
    let remarks = RefCell::default();
    let args = Args {
        words: divided.as_deref().unwrap_or(node.words()),
        server_root: root,
        span: node.span(),
        section: None,
        around: Surroundings::Site,
        methods: None,
        options: None,
        trust: Trust::Full,
        remarks: &remarks,
    };
    let result = match entry.set {
        Set::Service(set) | Set::ServerOrService(_, set) => set(service, &args),
        Set::Dir(set) | Set::SiteOrDir(_, set) | Set::SiteAndDir(_, set) => set(&mut service.conf, &args),
        Set::Server(_) | Set::Site(_) | Set::Language | Set::Ignored(_) => Err("has no meaning in <Service>".into()),
    };
    if let Err(message) = result {
        complaints.push(complaint(node, message));
    }
    let remarks = remarks.into_inner().into_iter();
    complaints.extend(remarks.map(|remark| ConfigError::warning(node.span(), node.name(), remark)));
}

/// The lines that name services which there are not.
pub(super) fn unknown(nodes: &[Node], services: &[Service]) -> Vec<ConfigError> {
    let mut unknown = Vec::new();
    for node in nodes {
        let named = node.words().iter().filter_map(|word| backends::service_named(word));
        for name in named.filter(|name| !services.iter().any(|service| service.name.as_bytes() == *name)) {
            let name = name.escape_ascii();
            unknown.push(complaint(
                node,
                format!("there is no service `{name}`; write a section `<Service {name}>`"),
            ));
        }
        if let Node::Section { children, .. } = node {
            unknown.extend(self::unknown(children, services));
        }
    }
    unknown
}

/// Whether the settings let FastCGI programs be started when they are wanted: they name one, or a handler says so.
pub fn are_started_on_demand(config: &Config) -> bool {
    let named = |handler: &[u8]| handlers::is_on_demand(&handler.to_ascii_lowercase());
    !config.programs.is_empty()
        || places::confs(config).into_iter().any(|conf| {
            let set = matches!(conf.core.set_handler.value(), Some(SetHandler::Named(handler)) if named(handler));
            set || conf.mime.handlers.iter().any(|(_, handler)| named(handler))
        })
}

/// Where the sockets are, as whoever has ChrootDir for a root sees it. The error is a sentence.
pub fn directory(config: &Config) -> Said<Vec<u8>> {
    let core = &config.server.core;
    match (core.service_dir.value(), core.chroot.value()) {
        (Some(directory), _) => Ok(directory.clone()),
        (None, Some(_)) => {
            Err("with ChrootDir, ServiceDir must name a directory below it, as it is inside, for <Service>".into())
        }
        (None, None) => {
            let pid_file = core.pid_file.value().cloned();
            let pid_file = pid_file.unwrap_or_else(|| below(&config.server_root, b"logs/httpd.pid"));
            let start = pid_file.strip_suffix(b".pid").unwrap_or(&pid_file);
            Ok([start, b".services"].concat())
        }
    }
}

/// The name of the socket of a process, by its number from 0 on, in the directory of all.
pub fn socket(directory: &[u8], name: &str, number: u16) -> Vec<u8> {
    [directory, b"/", name.as_bytes(), format!(".{number}").as_bytes()].concat()
}
