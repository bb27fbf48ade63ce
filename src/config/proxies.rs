//! The proxies of mod_remoteip as addresses: files of them are read and names are looked up once, by whoever reads the
//! configuration from disk. The roles see addresses only.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

use crate::config::directives::remote_ip::LISTS;
use crate::config::error::ConfigError;
use crate::config::file;
use crate::config::node::{Node, Settings};
use crate::config::words::{below, shown};
use crate::lang::expr::Subnet;

/// What the system is asked.
pub struct System<'a> {
    /// The text of a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The addresses of a name.
    pub look_up: &'a dyn Fn(&str) -> io::Result<Vec<IpAddr>>,
}

/// The real one.
pub const SYSTEM: System<'static> = System {
    read: &file::read,
    look_up: &|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()),
};

/// Puts addresses in the place of names and of files; what cannot be done is told.
pub fn settle(settings: &mut Settings, system: &System<'_>) -> Vec<ConfigError> {
    let mut complaints = Vec::new();
    let root = settings.server_root.clone();
    settle_all(&mut settings.nodes, &root, system, &mut complaints);
    complaints
}

fn settle_all(nodes: &mut [Node], root: &[u8], system: &System<'_>, complaints: &mut Vec<ConfigError>) {
    for node in nodes {
        if let Node::Section { children, .. } = node {
            settle_all(children, root, system, complaints);
            continue;
        }
        match settled(node, root, system) {
            Ok(Some(new)) => *node = new,
            Ok(None) => {}
            Err(sentence) => complaints.push(ConfigError::error(node.span(), node.name(), sentence)),
        }
    }
}

/// What stands in a directive's place.
fn settled(node: &Node, root: &[u8], system: &System<'_>) -> Result<Option<Node>, String> {
    let is = |name: &str| node.name().eq_ignore_ascii_case(name);
    let Some((list, single)) = LISTS.iter().find(|(list, single)| is(list) || is(single)) else {
        return Ok(None);
    };
    let words = match node.words() {
        [name] if is(list) => words_of(&below(root, name), system)?,
        _ if is(list) => return Ok(None), // the count of its words is told elsewhere
        words => words.to_vec(),
    };
    let mut addresses = Vec::new();
    for word in &words {
        addresses.push(address(word, system)?);
    }
    let args = addresses.join(" ");
    Ok(Some(Node::directive(single, args.as_bytes(), node.span().clone())))
}

fn words_of(path: &[u8], system: &System<'_>) -> Result<Vec<Vec<u8>>, String> {
    use std::os::unix::ffi::OsStrExt;
    let text = (system.read)(Path::new(std::ffi::OsStr::from_bytes(path)))
        .map_err(|error| format!("{} cannot be read: {error}; name a file that is there", shown(path)))?;
    let lines = text.split(|byte| *byte == b'\n');
    let said = lines.map(|line| line.split(|byte| *byte == b'#').next().unwrap_or_default());
    let words = said.flat_map(|line| line.split(u8::is_ascii_whitespace).map(<[u8]>::to_vec));
    let words: Vec<Vec<u8>> = words.filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        // To have nobody named is to trust everybody.
        return Err(format!("{} names nobody; put an address into it", shown(path)));
    }
    Ok(words)
}

/// A network as it is, or the addresses of a name.
fn address(word: &[u8], system: &System<'_>) -> Result<String, String> {
    let text = std::str::from_utf8(word).map_err(|_| format!("{} is not text", shown(word)))?;
    let is_numeric = text.bytes().all(|byte| byte.is_ascii_digit() || b"./:".contains(&byte));
    if Subnet::parse(text).is_some() || is_numeric || text.contains(['/', ':']) {
        return Ok(text.to_owned());
    }
    let found = (system.look_up)(text).map_err(|error| format!("{} cannot be looked up: {error}", shown(word)))?;
    let found: BTreeSet<String> = found.iter().map(|address| address.to_canonical().to_string()).collect();
    if found.is_empty() {
        return Err(format!("{} has no address", shown(word)));
    }
    Ok(found.into_iter().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::{System, settle};
    use crate::config::define::Defines;
    use crate::config::error::Span;
    use crate::config::node::{Node, Settings};

    fn settled(name: &str, args: &str) -> String {
        let span = Span::new(&Arc::from("httpd.conf"), 7);
        let inner = Node::directive(name, args.as_bytes(), span.clone());
        let mut settings = Settings {
            nodes: vec![Node::section("VirtualHost", b"*:80", vec![inner], span)],
            defines: Defines::from_names([]),
            server_root: b"/srv".to_vec(),
        };
        let system = System {
            read: &|path| match path.to_str() {
                Some("/srv/conf/list") => Ok(b"# ours\n10.0.2.0/24\t#all\n\n 192.0.2.1 gate # two\n".to_vec()),
                Some("/srv/conf/empty") => Ok(b"# nobody\n".to_vec()),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
            look_up: &|name| match name {
                "gate" => Ok(vec![
                    "192.0.2.7".parse().expect("one"),
                    "2001:db8::7".parse().expect("one"),
                ]),
                "empty" => Ok(Vec::new()),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
        };
        let complaints = settle(&mut settings, &system);
        if let Some(complaint) = complaints.first() {
            return complaint.to_string();
        }
        let node = &settings.nodes[0].children()[0];
        format!("{} {}", node.name(), node.args_raw().escape_ascii())
    }

    #[test]
    fn files_and_names_become_addresses() {
        for (name, args, expected) in [
            (
                "RemoteIPTrustedProxy",
                "10.1 2001:db8::/32 gate",
                "RemoteIPTrustedProxy 10.1 2001:db8::/32 192.0.2.7 2001:db8::7",
            ),
            (
                "remoteipinternalproxylist",
                "conf/list",
                "RemoteIPInternalProxy 10.0.2.0/24 192.0.2.1 192.0.2.7 2001:db8::7",
            ),
            (
                "RemoteIPTrustedProxyList",
                "conf/list",
                "RemoteIPTrustedProxy 10.0.2.0/24 192.0.2.1 192.0.2.7 2001:db8::7",
            ),
            ("RemoteIPTrustedProxyList", "a b", "RemoteIPTrustedProxyList a b"),
            ("RemoteIPTrustedProxy", "10.1.2.3.4", "RemoteIPTrustedProxy 10.1.2.3.4"),
            ("RemoteIPHeader", "gate", "RemoteIPHeader gate"),
        ] {
            assert_eq!(settled(name, args), expected);
        }
    }

    #[test]
    fn what_cannot_be_found_is_an_error() {
        for (name, args, part) in [
            (
                "RemoteIPTrustedProxyList",
                "conf/none",
                "`/srv/conf/none` cannot be read",
            ),
            (
                "RemoteIPTrustedProxyList",
                "conf/empty",
                "`/srv/conf/empty` names nobody",
            ),
            ("RemoteIPTrustedProxy", "nowhere", "`nowhere` cannot be looked up"),
            ("RemoteIPTrustedProxy", "empty", "`empty` has no address"),
        ] {
            let said = settled(name, args);
            assert!(said.contains(part) && said.contains("httpd.conf:7"), "{said}");
        }
    }
}
