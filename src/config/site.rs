//! The settings as the rest of the house reads them: the server, its sites, and the sections of each in merge order.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::base::glob::Slash;
use crate::base::path;
use crate::config::backends::{Address, Agreement};
use crate::config::balancers::{Balancer, Member};
use crate::config::define::Defines;
use crate::config::directives::service::Service;
use crate::config::directives::{DirConf, Server, SiteSettings};
use crate::config::error::Span;
use crate::config::programs::OwnProgram;
use crate::config::words::Pattern;

/// Everything that a configuration says.
#[derive(Debug, Default)]
pub struct Config {
    /// What holds for the server as a whole.
    pub server: Server,
    /// `ServerRoot`, without a final slash.
    pub server_root: Vec<u8>,
    /// What is defined, for `.htaccess` files.
    pub defines: Defines,
    /// The machine's own name, for sites without ServerName.
    pub host_name: Vec<u8>,
    /// The main server first, then the virtual hosts in order.
    pub sites: Vec<Site>,
    /// Which virtual hosts an address has.
    pub hosts: Hosts,
    /// Whether any site expects a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whether services are named that take connections over.
    pub gives_away: bool,
    /// Media types by extension (lower case, no dot), from the file that TypesConfig names.
    pub media_types: HashMap<Vec<u8>, Arc<[u8]>>,
    /// The targets of ScriptAlias: what lies there is never shown.
    pub script_only: Vec<Vec<u8>>,
    /// The places whose files may be started as scripts; a place's number is its index.
    pub script_places: Vec<ScriptPlace>,
    /// The programs that the settings name and that are started when they are wanted.
    pub programs: Vec<OwnProgram>,
    /// The programs that the server keeps running, in order.
    pub services: Vec<Service>,
    /// The addresses of the application servers of all sites.
    pub backends: Vec<Address>,
    /// The balancers of all sites; a balancer's number is its index.
    pub balancers: Vec<Balancer>,
}

/// A virtual host, or the main server, ready to serve.
#[derive(Debug, Default)]
pub struct Site {
    /// Its index in [`Config::sites`].
    pub number: usize,
    /// Where its section starts; `None` for the main server.
    pub span: Option<Span>,
    /// Whether it has a ServerName of its own, not the main server's.
    pub names_itself: bool,
    /// Its settings, merged over the main server's.
    pub settings: SiteSettings,
    /// What holds everywhere in it, before any section.
    pub base: Arc<DirConf>,
    /// `<Directory>` sections with a literal path or shell-style pattern, shortest first.
    pub directories: Vec<Section>,
    /// `<Directory ~>` and `<DirectoryMatch>`, in order.
    pub directory_matches: Vec<Section>,
    /// `<Location>` and `<LocationMatch>`, in order.
    pub locations: Vec<Section>,
    /// `<Proxy>` and `<ProxyMatch>`, in order.
    pub proxies: Vec<Section>,
    /// The balancers that its settings name, the main server's among them.
    pub balancers: Vec<Balancer>,
    /// The terms on which application servers are talked to.
    pub agreements: Vec<Agreement>,
    /// The addresses of the application servers that its settings name, the main server's among them.
    pub backends: Vec<Address>,
}

impl Config {
    /// What the sites are called, each by another name: ServerName, and where its section begins if others have the same.
    pub fn names_of_sites(&self) -> Vec<String> {
        let name = |site: &Site| match site.settings.core.name.value() {
            Some(name) => String::from_utf8_lossy(&name.host).into_owned(),
            None => String::from_utf8_lossy(&self.host_name).into_owned(),
        };
        let names: Vec<String> = self.sites.iter().map(name).collect();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for name in &names {
            *counts.entry(name).or_default() += 1;
        }
        let told = |(site, name): (&Site, &String)| match &site.span {
            Some(span) if counts.get(name.as_str()).is_some_and(|count| *count > 1) => format!("{name} ({span})"),
            _ => name.clone(),
        };
        self.sites.iter().zip(&names).map(told).collect()
    }
}

impl Site {
    /// The balancer of this name.
    pub fn balancer(&self, name: &[u8]) -> Option<&Balancer> {
        self.balancers.iter().find(|balancer| balancer.name == name)
    }

    /// Its members.
    pub fn members_of(&self, name: &[u8]) -> impl Iterator<Item = &Member> {
        self.balancer(name).into_iter().flat_map(|balancer| &balancer.members)
    }
}

/// A section: settings for the paths that a pattern matches.
#[derive(Clone, Debug)]
pub struct Section {
    /// What paths are compared with; a literal one has no final slash (but for the root).
    pub pattern: Pattern,
    /// The settings inside.
    pub conf: Arc<DirConf>,
    /// Where it starts.
    pub span: Span,
}

impl Section {
    /// Whether a `<Directory>` section names `path`: a directory, without its final slash (but for the root), or a file.
    /// A regular expression takes the name as the request came to it, with the final slash it had.
    pub fn covers_directory(&self, path: &[u8]) -> bool {
        match &self.pattern {
            Pattern::Plain(plain) => plain == path,
            Pattern::Glob(glob) => glob.matches(path, Slash::Stops),
            Pattern::Regex(regex) => regex.is_match(path),
        }
    }

    /// Whether a `<Location>` section covers the URL path. One with wildcards covers what it matches and nothing below, as
    /// in Apache.
    pub fn covers_location(&self, path: &[u8]) -> bool {
        match &self.pattern {
            Pattern::Plain(plain) => path
                .strip_prefix(plain.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/') || plain.last() == Some(&b'/')),
            Pattern::Glob(glob) => glob.matches(path, Slash::Stops),
            Pattern::Regex(regex) => regex.is_match(path),
        }
    }

    /// Whether a `<Proxy>` section covers the URL of an application server. In its wildcards a slash is as any byte, as in
    /// Apache.
    pub fn covers_backend(&self, url: &[u8]) -> bool {
        match &self.pattern {
            Pattern::Plain(plain) => url.starts_with(plain),
            Pattern::Glob(glob) => glob.matches(url, Slash::Ordinary),
            Pattern::Regex(regex) => regex.is_match(url),
        }
    }
}

/// A place whose files may be started as scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptPlace {
    /// The number of the site it belongs to, whose sections say on which terms its scripts run.
    pub site: usize,
    /// A directory, or one file; absolute, without a final slash.
    pub root: Vec<u8>,
    /// Whether symbolic links below it may lead out of it.
    pub links: ScriptLinks,
}

/// Symbolic links below a script place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptLinks {
    /// They are followed, wherever they lead.
    Follow,
    /// They are followed to what belongs to their own owner.
    OwnerMatch,
    /// They must stay below the place.
    Beneath,
}

impl Config {
    /// The narrowest script place of the site that holds the file `path`: its number, and the path below it (empty for the
    /// place itself).
    pub fn script_place<'a>(&self, site: usize, path: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let numbered = self.script_places.iter().enumerate();
        numbered
            .filter(|(_, place)| place.site == site)
            .filter_map(|(number, place)| Some((number, path::below(path, &place.root)?, place.root.len())))
            .max_by_key(|(_, _, length)| *length)
            .map(|(number, rest, _)| (number, rest.strip_prefix(b"/").unwrap_or(rest)))
    }

    /// The site for a connection to `local` and a request for `host` (lower case, without port), by Apache's rules: the
    /// addresses decide first, then the names among those of the address, then the first of them. A request that names no
    /// host may name a ServerPath.
    pub fn site_for(&self, local: SocketAddr, host: Option<&[u8]>, raw_target: &[u8]) -> &Site {
        let candidates = || self.hosts.at(local).iter().filter_map(|number| self.sites.get(*number));
        let named = match host {
            Some(host) => candidates()
                .find(|site| site.answers_to(host))
                .or_else(|| candidates().find(|site| self.hosts.is_written(site.number, local, host))),
            None => candidates().find(|site| site.has_server_path(raw_target)),
        };
        named.or_else(|| candidates().next()).unwrap_or(&self.sites[0])
    }
}

/// The directory a site is served from, without a final slash.
pub fn document_root(config: &Config, site: &Site) -> Vec<u8> {
    match site.settings.core.document_root.value() {
        Some(root) => root.clone(),
        None => crate::config::words::below(&config.server_root, b"htdocs"),
    }
}

impl Site {
    fn has_server_path(&self, raw_target: &[u8]) -> bool {
        let path = self.settings.core.path.value();
        let url = raw_target.split(|byte| *byte == b'?').next().unwrap_or_default();
        path.is_some_and(|path| path::below(url, path).is_some())
    }

    /// Whether `host` is this site's name or one of its aliases.
    pub fn answers_to(&self, host: &[u8]) -> bool {
        let core = &self.settings.core;
        core.name
            .value()
            .is_some_and(|name| self.names_itself && name.host.eq_ignore_ascii_case(host))
            || core
                .aliases
                .iter()
                .any(|alias| crate::base::glob::Glob::new(alias).matches(host, Slash::Ordinary))
    }
}

/// The virtual hosts of each address, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct Hosts {
    /// By address and port; a port of `None` is `*`.
    pub exact: HashMap<(IpAddr, Option<u16>), Vec<usize>>,
    /// `*:port` and `_default_:port`.
    pub any: HashMap<Option<u16>, Vec<usize>>,
    /// How the addresses of `exact` were written: site, address, port, and the word before the port, in lower case.
    pub written: Vec<(usize, IpAddr, Option<u16>, Vec<u8>)>,
}

impl Hosts {
    /// The first virtual host of an address of this one, if that is another.
    pub fn first_beside(&self, number: usize) -> Option<usize> {
        let lists = self.exact.values().chain(self.any.values());
        let with_it = lists.filter(|list| list.contains(&number));
        with_it
            .filter_map(|list| list.first())
            .copied()
            .min()
            .filter(|first| *first != number)
    }

    /// Whether virtual host `number` has the address `local` by this name or number. As in Apache, a host that no ServerName
    /// and no ServerAlias names is looked for there.
    pub fn is_written(&self, number: usize, local: SocketAddr, host: &[u8]) -> bool {
        let address = local.ip().to_canonical();
        self.written.iter().any(|(site, ip, port, word)| {
            *site == number && *ip == address && port.is_none_or(|port| port == local.port()) && word == host
        })
    }

    /// The virtual hosts for connections to `local`; none means the main server.
    pub fn at(&self, local: SocketAddr) -> &[usize] {
        let (address, port) = (local.ip().to_canonical(), local.port());
        self.exact
            .get(&(address, Some(port)))
            .or_else(|| self.exact.get(&(address, None)))
            .or_else(|| self.any.get(&Some(port)))
            .or_else(|| self.any.get(&None))
            .map_or(&[], Vec::as_slice)
    }
}
