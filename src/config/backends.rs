//! Application servers by their URLs, as `proxy:` handlers, ProxyPass and rules name them (`mod_proxy`), and all of them that
//! the server's own files name: nothing else is ever connected to.

use std::fmt;
use std::net::IpAddr;

use crate::base::ascii;
use crate::config::balancers;
use crate::config::directives::core::SetHandler;
use crate::config::directives::proxy::{Terms, To};
use crate::config::places;
use crate::config::setting::Merge;
use crate::config::site::Site;
use crate::config::words::{self, Pattern, Said, shown};

/// The protocol that an application server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `fcgi:`
    FastCgi,
    /// `scgi:`
    Scgi,
    /// `http:`
    Http,
    /// `https:`
    Https,
    /// `ws:`, which is HTTP to a server of WebSockets.
    WebSocket,
    /// `wss:`, the same within TLS.
    SecureWebSocket,
    /// `handoff:`: a service takes the client's connection itself.
    HandOff,
}

impl Scheme {
    /// All there are.
    pub const ALL: [Scheme; 7] = [
        Scheme::FastCgi,
        Scheme::Scgi,
        Scheme::Http,
        Scheme::Https,
        Scheme::WebSocket,
        Scheme::SecureWebSocket,
        Scheme::HandOff,
    ];

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::FastCgi => "fcgi",
            Scheme::Scgi => "scgi",
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::WebSocket => "ws",
            Scheme::SecureWebSocket => "wss",
            Scheme::HandOff => "handoff",
        }
    }

    /// The port of a URL without one, as Apache has it.
    fn port(self) -> u16 {
        match self {
            Scheme::FastCgi => 8000,
            Scheme::Scgi => 4000,
            // Nobody listens at a port for connections to be handed over.
            Scheme::Http | Scheme::WebSocket | Scheme::HandOff => 80,
            Scheme::Https | Scheme::SecureWebSocket => 443,
        }
    }

    /// Whether it is HTTP, bare or within TLS.
    pub fn is_http(self) -> bool {
        !matches!(self, Scheme::FastCgi | Scheme::Scgi)
    }

    /// Whether it is spoken within TLS.
    pub fn is_secure(self) -> bool {
        matches!(self, Scheme::Https | Scheme::SecureWebSocket)
    }

    /// Whether it is for WebSockets.
    pub fn is_for_web_sockets(self) -> bool {
        matches!(self, Scheme::WebSocket | Scheme::SecureWebSocket)
    }

    /// The module that has it in Apache, without `mod_`.
    pub fn module(self) -> &'static str {
        match self {
            Scheme::FastCgi => "proxy_fcgi",
            Scheme::Scgi => "proxy_scgi",
            Scheme::Http | Scheme::Https | Scheme::WebSocket | Scheme::SecureWebSocket => "proxy_http",
            Scheme::HandOff => "proxy",
        }
    }

    fn unknown(name: &[u8]) -> String {
        let shown = name.escape_ascii();
        let known: Vec<String> = Scheme::ALL
            .iter()
            .map(|scheme| format!("`{}:`", scheme.name()))
            .collect();
        format!(
            "`{shown}:` is not supported by this version, which speaks {}; keep the server that does it in front",
            known.join(", ")
        )
    }

    fn parse(name: &[u8]) -> Said<Scheme> {
        let is_it = |scheme: &Scheme| scheme.name().as_bytes().eq_ignore_ascii_case(name);
        let scheme = Scheme::ALL
            .into_iter()
            .find(is_it)
            .ok_or_else(|| Scheme::unknown(name))?;
        if scheme.is_secure() && !cfg!(feature = "tls") {
            let shown = name.escape_ascii();
            return Err(format!(
                "`{shown}:` needs TLS, which this program was built without; plain HTTP never takes its place"
            ));
        }
        Ok(scheme)
    }
}

/// A handler of this beginning is an application server.
pub const HANDLER: &[u8] = b"proxy:";

/// The handler of what ProxyPass or a rule gives away.
pub const SERVER: &[u8] = b"proxy-server";

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A socket in the file system, by its absolute name.
    Unix(Vec<u8>),
    /// A service of ours, by its name; or a program that was started for a request, by its absolute file name.
    Service(Vec<u8>),
    /// A port of a host, which is a name in lower case or an address without brackets.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Address {
    /// Whether it surely is on this machine, and so sees the same files.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Unix(_) | Address::Service(_) => true,
            Address::Tcp { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.escape_ascii()),
            Address::Service(name) if name.starts_with(b"/") => write!(f, "{}", name.escape_ascii()),
            Address::Service(name) => write!(f, "service:{}", name.escape_ascii()),
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// What the URL of an application server says: `[unix:PATH|]fcgi://host[:port][/path]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What it speaks.
    pub scheme: Scheme,
    /// Where it listens.
    pub address: Address,
    /// `fcgi://host`, with the port where it is not the usual one.
    pub base: Vec<u8>,
    /// What follows: empty, or with a leading slash.
    pub path: Vec<u8>,
}

impl Target {
    /// As it would be written.
    pub fn url(&self) -> Vec<u8> {
        let socket = match &self.address {
            Address::Unix(path) => [b"unix:", path.as_slice(), b"|"].concat(),
            Address::Service(name) => [SERVICE, name.as_slice(), b"|"].concat(),
            Address::Tcp { .. } => Vec::new(),
        };
        [socket.as_slice(), &self.base, &self.path].concat()
    }

    /// The same with a path behind its own.
    #[must_use]
    pub fn with_path(&self, rest: &[u8]) -> Target {
        let own = self.path.strip_suffix(b"/").unwrap_or(&self.path);
        Target {
            path: [own, rest].concat(),
            ..self.clone()
        }
    }

    /// The host of the URL, without a port and brackets.
    pub fn host(&self) -> &[u8] {
        let base = &self.base;
        let at = memchr::memmem::find(base, b"://").map_or(0, |at| at + 3);
        let host = base.get(at..).unwrap_or_default();
        match host.strip_prefix(b"[") {
            Some(rest) => rest.split(|byte| *byte == b']').next().unwrap_or_default(),
            None => host.split(|byte| *byte == b':').next().unwrap_or_default(),
        }
    }

    /// Reads a URL. The error is a sentence.
    pub fn parse(text: &[u8]) -> Said<Target> {
        if let Some(usual) = Usual::of(text) {
            return Ok(usual.target());
        }
        let (socket, url) = of_socket(text)?;
        let (name, rest) =
            split_at(url, b':').ok_or_else(|| format!("{} is not a URL; write `fcgi://host:port`", shown(url)))?;
        let scheme = Scheme::parse(name)?;
        if scheme == Scheme::HandOff && socket.is_none() {
            return Err(format!(
                "{} has no socket; descriptors travel over those of the file system alone: write \
                 `unix:/run/app.sock|handoff:`",
                shown(url)
            ));
        }
        let authority = rest.strip_prefix(b"//");
        let (host, path) = match authority {
            // Of a socket, the host says nothing.
            None if socket.is_some() => (&b""[..], rest),
            None => return Err(format!("{} has no host; write `fcgi://host:port`", shown(url))),
            Some(authority) => {
                let end = authority
                    .iter()
                    .position(|byte| *byte == b'/')
                    .unwrap_or(authority.len());
                authority.split_at(end)
            }
        };
        let host = if host.is_empty() && socket.is_some() {
            b"localhost"
        } else {
            host
        };
        let (host, port) = host_and_port(host).ok_or_else(|| format!("{} has no host that could be", shown(url)))?;
        let [open, close] = if host.contains(':') { ["[", "]"] } else { ["", ""] };
        let mut base = [scheme.name(), "://", open, &host, close].concat().into_bytes();
        if let Some(port) = port.filter(|port| *port != scheme.port()) {
            base.extend_from_slice(format!(":{port}").as_bytes());
        }
        let address = match socket {
            Some(socket) => socket,
            None => Address::Tcp {
                host,
                port: port.unwrap_or(scheme.port()),
            },
        };
        Ok(Target {
            scheme,
            address,
            base,
            path: path.to_vec(),
        })
    }
}

/// A URL that is written as it would be written here: most are, and each request to another server comes by one.
pub struct Usual<'u> {
    scheme: Scheme,
    host: &'u str,
    port: u16,
    /// The URL up to the path.
    pub server: &'u [u8],
    /// The path.
    pub path: &'u [u8],
}

impl<'u> Usual<'u> {
    /// Reads `http://host:port/path`, without a socket; `None` where it is not so simple.
    pub fn of(text: &'u [u8]) -> Option<Usual<'u>> {
        let (name, _) = split_at(text, b':')?;
        let is_it = |scheme: &Scheme| scheme.name().as_bytes() == name;
        let scheme = [Scheme::Http, Scheme::FastCgi].into_iter().find(is_it)?;
        let authority = text.get(name.len()..)?.strip_prefix(b"://")?;
        let length = memchr::memchr(b'/', authority).unwrap_or(authority.len());
        let (authority, path) = authority.split_at_checked(length)?;
        let (host, port) = match split_at(authority, b':') {
            Some((host, digits)) => (host, Some(digits)),
            None => (authority, None),
        };
        let is_usual = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
        if host.is_empty() || !host.iter().all(is_usual) {
            return None;
        }
        let port = match port {
            None => scheme.port(),
            // A zero before it would not be written, nor the usual port.
            Some([b'1'..=b'9', ..]) => {
                let port = ascii::parse_decimal(port?).and_then(|port| u16::try_from(port).ok());
                port.filter(|port| *port != scheme.port())?
            }
            Some(_) => return None,
        };
        Some(Usual {
            scheme,
            host: std::str::from_utf8(host).ok()?,
            port,
            server: text.get(..text.len() - path.len())?,
            path,
        })
    }

    fn target(&self) -> Target {
        Target {
            scheme: self.scheme,
            address: Address::Tcp {
                host: self.host.to_owned(),
                port: self.port,
            },
            base: self.server.to_vec(),
            path: self.path.to_vec(),
        }
    }
}

/// What is spoken to the server of a URL, where that is written as it would be here.
pub fn scheme_of(url: &[u8]) -> Option<Scheme> {
    Usual::of(url).map(|usual| usual.scheme)
}

/// The socket that stands before a URL, and the URL.
fn of_socket(text: &[u8]) -> Said<(Option<Address>, &[u8])> {
    if let Some(rest) = strip_word(text, b"unix:") {
        let (path, url) = split_at(rest, b'|')
            .ok_or_else(|| format!("{} has no URL; write `unix:/path|fcgi://localhost`", shown(text)))?;
        return Ok((Some(Address::Unix(socket(path)?)), url));
    }
    let Some(rest) = strip_word(text, SERVICE) else {
        return Ok((None, text));
    };
    let (name, url) = split_at(rest, b'|')
        .ok_or_else(|| format!("{} has no URL; write `service:name|fcgi://localhost`", shown(text)))?;
    Ok((Some(Address::Service(name.to_vec())), url))
}

/// What stands before the name of a service.
const SERVICE: &[u8] = b"service:";

/// The name of the service that a word of the settings names, if it does.
pub(super) fn service_named(word: &[u8]) -> Option<&[u8]> {
    let word = of_handler(word).unwrap_or(word);
    Some(split_at(strip_word(word, SERVICE)?, b'|')?.0)
}

fn socket(path: &[u8]) -> Said<Vec<u8>> {
    if path.first() != Some(&b'/') || path.contains(&0) {
        return Err(format!(
            "{} is not the name of a socket; write an absolute one, as `unix:/run/php/php-fpm.sock|fcgi://localhost`",
            shown(path)
        ));
    }
    Ok(path.to_vec())
}

fn split_at(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// What follows a key word, in any case.
fn strip_word<'t>(text: &'t [u8], word: &[u8]) -> Option<&'t [u8]> {
    let (start, rest) = text.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

fn host_and_port(text: &[u8]) -> Option<(String, Option<u16>)> {
    let text = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            let port = if behind.is_empty() {
                None
            } else {
                Some(behind.strip_prefix(':')?)
            };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text.as_str(), None),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_name) {
        return None;
    }
    let port = match port {
        None => None,
        Some(digits) => Some(digits.parse::<u16>().ok().filter(|port| *port > 0)?),
    };
    Some((host.to_owned(), port))
}

/// The URL of a handler that is an application server.
pub fn of_handler(handler: &[u8]) -> Option<&[u8]> {
    strip_word(handler, HANDLER)
}

/// Whether a URL is one of an application server or of a balancer. The error is a sentence.
pub fn check(url: &[u8]) -> Said<()> {
    match balancers::split(url) {
        Some((name, _)) if name.ends_with(b"/") => Err(format!("{} has no name; write `balancer://name`", shown(url))),
        Some(_) => Ok(()),
        None => Target::parse(url).map(drop),
    }
}

/// What a `<Proxy>` section of this name and word is about. The error is a sentence.
pub fn section(name: &str, url: &[u8]) -> Said<Pattern> {
    if name.eq_ignore_ascii_case("ProxyMatch") {
        return words::regex(url).map(Pattern::Regex);
    }
    let pattern = match balancers::split(url) {
        Some((name, path)) => Pattern::wild(&[&name, path].concat()),
        None => Pattern::wild(url),
    };
    if let (Pattern::Plain(url), true) = (&pattern, memchr::memmem::find(url, b":").is_some()) {
        check(url)?;
    }
    Ok(pattern)
}

/// Whether a section with this word is about application servers, not about paths.
pub fn is_url(word: &[u8]) -> bool {
    word == b"*" || memchr::memmem::find(word, b"://").is_some()
}

/// Whether the URL of a rule with `[P]` can be one of an application server, as far as no request decides it. The error is a
/// sentence.
pub fn check_rule(literal: &[u8]) -> Said<()> {
    let begins_as = |known: &[u8]| {
        let common = literal.len().min(known.len());
        literal.get(..common).is_some_and(|start| {
            known
                .get(..common)
                .is_some_and(|known| start.eq_ignore_ascii_case(known))
        })
    };
    let is_begun = |scheme: Scheme| begins_as(format!("{}://", scheme.name()).as_bytes());
    let is_known = Scheme::ALL.into_iter().any(is_begun) || begins_as(b"unix:/");
    if is_known || begins_as(b"balancer://") || begins_as(SERVICE) {
        return Ok(());
    }
    check(literal)
}

/// The terms on which an application server is talked to.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// The socket, where one was named.
    socket: Option<Address>,
    /// The beginning of the URLs they are for.
    url: Vec<u8>,
    terms: Terms,
}

/// All terms that a site's settings name.
pub fn agreements(site: &Site) -> Vec<Agreement> {
    let mut agreements = Vec::new();
    let mut add = |url: &[u8], terms: &Terms| {
        if let (Ok(target), true) = (Target::parse(url), *terms != Terms::default()) {
            agreements.push(Agreement {
                socket: match target.address {
                    socket @ (Address::Unix(_) | Address::Service(_)) => Some(socket),
                    Address::Tcp { .. } => None,
                },
                url: [target.base, target.path].concat(),
                terms: *terms,
            });
        }
    };
    for member in site.balancers.iter().flat_map(|balancer| &balancer.members) {
        add(&member.target.url(), &member.terms);
    }
    for section in &site.proxies {
        if let Pattern::Plain(url) = &section.pattern {
            add(url, &section.conf.proxy.terms);
        }
    }
    for (url, terms) in site.settings.proxy.set.iter() {
        add(url, terms);
    }
    let places = site
        .locations
        .iter()
        .filter_map(|section| section.conf.proxy.pass.value());
    let fallback = site.settings.static_first.to.value().and_then(Option::as_ref);
    for pass in site.settings.proxy.passes.iter().chain(places).chain(fallback) {
        if let Some(url) = pass.to.url() {
            add(url, &pass.terms);
        }
    }
    agreements
}

/// The terms for a URL: those of the longest that it begins with, of several the later.
pub fn terms(site: &Site, target: &Target) -> Terms {
    let url = [target.base.as_slice(), &target.path].concat();
    let fits = |agreement: &&Agreement| {
        let is_there = agreement.socket.as_ref().is_none_or(|known| *known == target.address);
        // `fcgi://localhost/` is for `fcgi://localhost` too.
        is_there && (url.starts_with(&agreement.url) || agreement.url.strip_suffix(b"/") == Some(&url))
    };
    let longest = site
        .agreements
        .iter()
        .filter(fits)
        .map(|agreement| agreement.url.len())
        .max();
    let mut terms = Terms::default();
    let chosen = site.agreements.iter().filter(fits);
    for agreement in chosen.filter(|agreement| Some(agreement.url.len()) == longest) {
        terms.merge(&agreement.terms);
    }
    terms
}

/// Every address that a site's own settings name, each once with each of what is spoken there.
pub fn of(site: &Site) -> Vec<(Scheme, Address)> {
    let mut addresses = Vec::new();
    for target in targets(site) {
        let named = (target.scheme, target.address);
        if !addresses.contains(&named) {
            addresses.push(named);
        }
    }
    addresses
}

/// Every application server that a site's own settings name.
pub fn targets(site: &Site) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut add = |url: &[u8]| targets.extend(Target::parse(url));
    let members = site.balancers.iter().flat_map(|balancer| &balancer.members);
    members.for_each(|member| add(&member.target.url()));
    let fallback = site.settings.static_first.to.value().and_then(Option::as_ref);
    let passes = site.settings.proxy.passes.iter().chain(fallback).map(|pass| &pass.to);
    passes.filter_map(To::url).for_each(&mut add);
    for (url, _) in site.settings.proxy.set.iter() {
        add(url);
    }
    for section in &site.proxies {
        if let Pattern::Plain(url) = &section.pattern {
            add(url);
        }
    }
    let rules = site.settings.rewrite.rules.0.list();
    rules.iter().filter_map(|rule| rule.proxied()).for_each(&mut add);
    for conf in places::confs_of(site) {
        if let Some(SetHandler::Named(handler)) = conf.core.set_handler.value() {
            of_handler(handler).into_iter().for_each(&mut add);
        }
        let by_name = conf.mime.handlers.iter().filter_map(|(_, handler)| of_handler(handler));
        by_name.for_each(&mut add);
        let pass = conf.proxy.pass.value().and_then(|pass| pass.to.url());
        pass.into_iter().for_each(&mut add);
        let rules = conf.rewrite.list();
        rules.iter().filter_map(|rule| rule.proxied()).for_each(&mut add);
    }
    targets
}

#[cfg(test)]
mod tests;
