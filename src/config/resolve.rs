//! From the tree of directives and sections to typed settings: every directive checked against its table entry, every
//! section put where it is merged from, and what only the whole can tell worked out once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::config::backends::{self, Scheme};
use crate::config::balancers;
use crate::config::define::Defines;
use crate::config::directives::authz::Rules;
use crate::config::directives::balancer;
use crate::config::directives::core::{FilesSection, files_pattern};
use crate::config::directives::log::Reach;
use crate::config::directives::old_fastcgi;
use crate::config::directives::proxy::Terms;
use crate::config::directives::require::Requirement;
use crate::config::directives::service::Service;
use crate::config::directives::{DirConf, Server, SiteSettings};
use crate::config::error::{ConfigError, Span};
use crate::config::handlers;
use crate::config::hosts;
use crate::config::inside::{Around, GoesBy, Inside, Kind, Source, complaint, entry};
use crate::config::node::{Node, Settings};
use crate::config::places;
use crate::config::programs;
use crate::config::providers;
use crate::config::services;
use crate::config::setting::Merge;
use crate::config::site::{Config, Section, Site};
use crate::config::table::{SERVER, Set, VHOST};
use crate::config::tls_addresses;
use crate::config::tls_behind;
use crate::config::words::{self, Args, Pattern, Surroundings, shown};
use crate::lang::expr::Trust;

/// How files that settings name are read: from the disk, or from what was read before.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// The types that hold where no TypesConfig says otherwise.
const BUILT_IN_TYPES: &[u8] = include_bytes!("../../conf/mime.types");

/// Makes settings of a tree. All complaints come back, not the first alone; the settings are of use when none is fatal.
pub fn resolve(settings: &Settings, read: ReadFile<'_>) -> (Config, Vec<ConfigError>) {
    let mut resolver = Resolver {
        root: settings.server_root.clone(),
        defines: settings.defines.clone(),
        server: Server::default(),
        main: Scope::default(),
        hosts: Vec::new(),
        services: Vec::new(),
        types: None,
        complaints: Vec::new(),
    };
    close_what_is_never_for_clients(&mut resolver.main);
    for node in &settings.nodes {
        resolver.node(node, &At::Server);
    }
    let unknown = services::unknown(&settings.nodes, &resolver.services);
    resolver.complaints.extend(unknown);
    let (config, mut complaints) = resolver.finish(read);
    complaints.extend(handlers::unanswered(&settings.nodes, &config));
    (config, complaints)
}

/// One site while it is read.
#[derive(Default)]
struct Scope {
    settings: SiteSettings,
    base: DirConf,
    directories: Vec<Section>,
    directory_matches: Vec<Section>,
    locations: Vec<Section>,
    proxies: Vec<Section>,
}

/// A virtual host while it is read.
struct Host {
    scope: Scope,
    addresses: Vec<Vec<u8>>,
    span: Span,
}

/// Where the reader stands.
#[derive(Clone, Copy)]
enum At {
    Server,
    Host(usize),
}

struct Resolver {
    root: Vec<u8>,
    defines: Defines,
    server: Server,
    main: Scope,
    hosts: Vec<Host>,
    services: Vec<Service>,
    /// Where the TypesConfig that holds stands.
    types: Option<Span>,
    complaints: Vec<ConfigError>,
}

impl Resolver {
    fn scope(&mut self, at: &At) -> &mut Scope {
        match at {
            At::Host(n) if *n < self.hosts.len() => &mut self.hosts[*n].scope,
            _ => &mut self.main,
        }
    }

    fn complain(&mut self, node: &Node, message: impl Into<String>) {
        self.complaints.push(complaint(node, message));
    }

    fn node(&mut self, node: &Node, at: &At) {
        match node {
            Node::Directive { .. } => self.directive(node, at),
            Node::Section { name, .. } if name.eq_ignore_ascii_case("VirtualHost") => self.virtual_host(node, at),
            Node::Section { .. } => self.section(node, at),
        }
    }

    fn virtual_host(&mut self, node: &Node, at: &At) {
        if matches!(at, At::Host(_)) {
            return self.complain(node, "stands in another <VirtualHost>; close that first");
        }
        if node.words().is_empty() {
            return self.complain(node, "an address is missing; write `<VirtualHost *:80>`");
        }
        let number = self.hosts.len();
        self.hosts.push(Host {
            scope: Scope::default(),
            addresses: node.words().to_vec(),
            span: node.span().clone(),
        });
        for child in node.children() {
            self.node(child, &At::Host(number));
        }
    }

    /// A directive outside the sections of places.
    fn directive(&mut self, node: &Node, at: &At) {
        let (context, inside) = match at {
            At::Server => (SERVER, "the server's part"),
            At::Host(_) => (VHOST, "<VirtualHost>"),
        };
        let entry = match entry(node, context, inside) {
            Ok(entry) => entry,
            Err(error) => return self.complaints.push(error),
        };
        let root = self.root.clone();
        let divided = entry.words.divided(node.args_raw());
        let remarks = RefCell::default();
        let args = Args {
            words: divided.as_deref().unwrap_or(node.words()),
            server_root: &root,
            span: node.span(),
            section: None,
            around: Surroundings::Site,
            methods: None,
            options: None,
            trust: Trust::Full,
            remarks: &remarks,
        };
        if let Some(sentence) = entry.words.passed_over(args.words) {
            args.remark(sentence);
        }
        let result = match entry.set {
            Set::Server(set) | Set::ServerOrService(set, _) => set(&mut self.server, &args),
            Set::Site(set) | Set::SiteOrDir(set, _) => set(&mut self.scope(at).settings, &args),
            Set::SiteAndDir(of_site, of_dir) => {
                let scope = self.scope(at);
                of_site(&mut scope.settings, &args).and_then(|()| of_dir(&mut scope.base, &args))
            }
            Set::Dir(set) => set(&mut self.scope(at).base, &args),
            Set::Language | Set::Service(_) => Ok(()),
            Set::Ignored(why) => return self.note(node, why),
        };
        if let Err(message) = result {
            self.complain(node, message);
        }
        if entry.name == "TypesConfig" {
            self.types = Some(node.span().clone());
        }
        self.remark(node, remarks);
    }

    fn remark(&mut self, node: &Node, remarks: RefCell<Vec<String>>) {
        for remark in remarks.into_inner() {
            self.complaints
                .push(ConfigError::warning(node.span(), node.name(), remark));
        }
    }

    fn note(&mut self, node: &Node, why: &str) {
        self.complaints
            .push(ConfigError::note(node.span(), node.name(), format!("ignored: {why}")));
    }

    /// `<Directory>` and its kin.
    fn section(&mut self, node: &Node, at: &At) {
        let root = self.root.clone();
        let mut inside = Inside::new(&root, Source::Server);
        let name = node.name().to_ascii_lowercase();
        if matches!(name.as_str(), "authnprovideralias" | "authzprovideralias") {
            self.provider_alias(node, at);
        } else if name == "service" {
            self.service(node, at);
        } else if matches!(name.as_str(), "proxy" | "proxymatch") {
            self.proxy_section(node, &mut inside, at);
        } else if matches!(name.as_str(), "if" | "elseif" | "else") {
            let around = Around {
                kind: Kind::If,
                name: node.name(),
                path: None,
                methods: None,
                goes_by: GoesBy::Request,
            };
            if let Some((branch, follows)) = inside.branch(node, &name, around) {
                inside.add_branch(node, branch, follows, &mut self.scope(at).base);
            }
        } else if let Some((kind, pattern)) = inside.heading(node) {
            let mut conf = DirConf::default();
            let path = path_of(kind, &pattern, node);
            let around = Around {
                kind,
                name: node.name(),
                path: Some(&path),
                methods: None,
                goes_by: GoesBy::of(kind),
            };
            inside.all(node.children(), around, &mut conf);
            self.add_section(node, kind, pattern, conf, at);
        }
        self.complaints.append(&mut inside.complaints);
    }

    /// `<Proxy>` and `<ProxyMatch>`
    fn proxy_section(&mut self, node: &Node, inside: &mut Inside<'_>, at: &At) {
        let Some((url, parameters)) = node.words().split_first() else {
            return self.complain(node, "a URL is missing; write `<Proxy \"fcgi://127.0.0.1:9000\">`");
        };
        let url = backends::of_handler(url).unwrap_or(url);
        let (pattern, mut conf) = (backends::section(node.name(), url), DirConf::default());
        for parameter in parameters {
            let taken = match &pattern {
                Ok(Pattern::Plain(url)) => match balancers::split(url) {
                    Some((name, _)) => {
                        let sharing = balancer::sharing(std::slice::from_ref(parameter));
                        sharing.map(|sharing| conf.balancer.sharing.push((name, sharing)))
                    }
                    None => conf.proxy.terms.take(parameter),
                },
                _ => Err("takes parameters with a plain URL alone".to_owned()),
            };
            if let Err(message) = taken {
                self.complain(node, message);
            }
        }
        let around = Around {
            kind: Kind::Location,
            name: node.name(),
            path: Some(url),
            methods: None,
            goes_by: GoesBy::Request,
        };
        inside.all(node.children(), around, &mut conf);
        if !matches!(pattern, Ok(Pattern::Plain(_))) && conf.proxy.terms != Terms::default() {
            self.complain(node, "ProxySet belongs to a plain URL alone, without wildcards");
        }
        match pattern {
            Ok(pattern) => self.scope(at).proxies.push(Section {
                pattern,
                conf: Arc::new(conf),
                span: node.span().clone(),
            }),
            Err(message) => self.complain(node, message),
        }
    }

    /// `<Service>`
    fn service(&mut self, node: &Node, at: &At) {
        if matches!(at, At::Host(_)) {
            return self.complain(node, "cannot stand in <VirtualHost>; it belongs in: server config");
        }
        let (service, mut complaints) = services::read(node, &self.root);
        self.complaints.append(&mut complaints);
        let Some(service) = service else { return };
        if self.services.iter().any(|known| known.name == service.name) {
            return self.complain(
                node,
                format!("there is another <Service {}>; name it otherwise", service.name),
            );
        }
        self.services.push(service);
    }

    /// `<AuthnProviderAlias>` and `<AuthzProviderAlias>`
    fn provider_alias(&mut self, node: &Node, at: &At) {
        if matches!(at, At::Host(_)) {
            return self.complain(node, "cannot stand in <VirtualHost>; it belongs in: server config");
        }
        let mut complaints = providers::make(node, &mut self.server, &self.root);
        self.complaints.append(&mut complaints);
    }

    /// Providers and requirements that there are not.
    fn missing_providers(&mut self, config: &Config) {
        let mut missing: Vec<ConfigError> = Vec::new();
        for error in places::roots(config).flat_map(|conf| providers::missing(conf, &config.server)) {
            // What the main server says is every virtual host's too.
            if !missing.iter().any(|known| known.to_string() == error.to_string()) {
                missing.push(error);
            }
        }
        self.complaints.append(&mut missing);
    }

    fn add_section(&mut self, node: &Node, kind: Kind, pattern: Pattern, conf: DirConf, at: &At) {
        let scope = self.scope(at);
        if kind == Kind::Files {
            return scope.base.core.files.push(Arc::new(FilesSection {
                name: pattern,
                conf: Arc::new(conf),
                span: node.span().clone(),
            }));
        }
        let section = Section {
            pattern,
            conf: Arc::new(conf),
            span: node.span().clone(),
        };
        let sections = match (kind, &section.pattern) {
            (Kind::Location, _) => &mut scope.locations,
            (_, Pattern::Regex(_)) => &mut scope.directory_matches,
            (_, Pattern::Plain(_) | Pattern::Glob(_)) => &mut scope.directories,
        };
        sections.push(section);
    }

    fn finish(mut self, read: ReadFile<'_>) -> (Config, Vec<ConfigError>) {
        let mut config = Config {
            server_root: self.root.clone(),
            defines: std::mem::take(&mut self.defines),
            host_name: own_name(),
            ..Config::default()
        };
        let types = self.types(read);
        config.media_types = types;
        for (number, host) in std::mem::take(&mut self.hosts).into_iter().enumerate() {
            match hosts::add(&mut config.hosts, &host.addresses, number + 1) {
                Ok(()) => {}
                Err(message) => self
                    .complaints
                    .push(ConfigError::error(&host.span, "<VirtualHost>", message)),
            }
            config
                .sites
                .push(laid_over(&self.main, host.scope, host.span, number + 1));
        }
        config.server = std::mem::take(&mut self.server);
        config.services = std::mem::take(&mut self.services);
        self.old_fastcgi(&mut config);
        let mut main = site(std::mem::take(&mut self.main), 0);
        sort(&mut main.directories);
        sort_matches(&mut main.directory_matches);
        config.sites.insert(0, main);
        config.proxy_protocol = config.sites.iter().any(|site| site.settings.remote_ip.expects_header());
        config.script_places = places::of(&config);
        config.programs = programs::of(&config);
        config.script_only = places::script_only(&config);
        for site in &mut config.sites {
            for mut balancer in balancers::of(site) {
                balancer.number = balancers::numbered(&mut config.balancers, balancer.clone());
                site.balancers.push(balancer);
            }
            for warning in balancers::without_members(site)
                .into_iter()
                .chain(tls_behind::switched_off(site))
            {
                // What the main server says is every virtual host's too.
                if !self
                    .complaints
                    .iter()
                    .any(|known| known.to_string() == warning.to_string())
                {
                    self.complaints.push(warning);
                }
            }
            site.agreements = backends::agreements(site);
            for (scheme, address) in backends::of(site) {
                config.gives_away |= scheme == Scheme::HandOff;
                if !site.backends.contains(&address) {
                    site.backends.push(address);
                }
            }
            let old = config.server.old_fastcgi.programs.iter();
            for address in old.map(|program| &program.target.address) {
                if !site.backends.contains(address) {
                    site.backends.push(address.clone());
                }
            }
            old_fastcgi::lay_under(&config.server.old_fastcgi.dynamic, &mut site.settings.fcgid);
            let news = site
                .backends
                .iter()
                .filter(|address| !config.backends.contains(address));
            config.backends.extend(news.cloned().collect::<Vec<_>>());
        }
        for (_, provider) in config.server.authorizers.providers.iter() {
            if !config.backends.contains(&provider.target.address) {
                config.backends.push(provider.target.address.clone());
            }
        }
        self.complaints.extend(tls_addresses::contradictions(&config));
        self.missing_providers(&config);
        (config, self.complaints)
    }

    /// The services of FastCgiServer.
    fn old_fastcgi(&mut self, config: &mut Config) {
        for program in config.server.old_fastcgi.programs.iter() {
            let Some(service) = program.service.as_deref() else {
                continue;
            };
            if config.services.iter().any(|known| known.name == service.name) {
                let sentence = format!("`{}` is the name of a <Service> too; give that another", service.name);
                self.complaints
                    .push(ConfigError::error(&program.span, "FastCgiServer", sentence));
            } else {
                config.services.push(service.clone());
            }
        }
    }

    fn types(&mut self, read: ReadFile<'_>) -> HashMap<Vec<u8>, Arc<[u8]>> {
        use std::os::unix::ffi::OsStrExt;
        let named = self.server.core.types_config.value().cloned();
        let path = named
            .clone()
            .unwrap_or_else(|| words::below(&self.root, b"conf/mime.types"));
        match read(Path::new(std::ffi::OsStr::from_bytes(&path))) {
            Ok(text) => media_types(&text),
            Err(error) => {
                if let (true, Some(place)) = (named.is_some(), &self.types) {
                    let sentence = format!("{} cannot be read: {error}; name a file that is there", shown(&path));
                    self.complaints.push(ConfigError::error(place, "TypesConfig", sentence));
                }
                media_types(BUILT_IN_TYPES)
            }
        }
    }
}

/// Files that hold settings or passwords, and the innards of version control, are closed unless a later section opens them:
/// Apache leaves that to every administrator, and many forget.
fn close_what_is_never_for_clients(main: &mut Scope) {
    let mut denied = DirConf::default();
    let place = Span::new(&Arc::from("built-in settings"), 0);
    denied.authz.rules = Rules::only(Requirement::Denied, "all denied", &place);
    let denied = Arc::new(denied);
    main.base.core.files.push(Arc::new(FilesSection {
        name: files_pattern(b".ht*"),
        conf: Arc::clone(&denied),
        span: place.clone(),
    }));
    let innards = words::regex(br"/\.(git|svn|hg|bzr)(/|$)").map(Pattern::Regex);
    let section = innards.map(|pattern| Section {
        pattern,
        conf: denied,
        span: place,
    });
    main.directory_matches.extend(section);
}

/// The path of a section: of a directory with its final slash, else as it was written.
fn path_of(kind: Kind, pattern: &Pattern, node: &Node) -> Vec<u8> {
    match (kind, pattern) {
        (Kind::Directory, Pattern::Plain(path)) if path.ends_with(b"/") => path.clone(),
        (Kind::Directory, Pattern::Plain(path)) => [path.as_slice(), b"/"].concat(),
        _ => node.words().last().cloned().unwrap_or_default(),
    }
}

fn site(scope: Scope, number: usize) -> Site {
    Site {
        number,
        span: None,
        names_itself: scope.settings.core.name.value().is_some(),
        settings: scope.settings,
        base: Arc::new(scope.base),
        directories: scope.directories,
        directory_matches: scope.directory_matches,
        locations: scope.locations,
        proxies: scope.proxies,
        balancers: Vec::new(),
        agreements: Vec::new(),
        backends: Vec::new(),
    }
}

/// A virtual host over the main server: single settings replace, sections come behind the main server's, aliases before them.
fn laid_over(main: &Scope, host: Scope, span: Span, number: usize) -> Site {
    let names_itself = host.settings.core.name.value().is_some();
    let mut settings = main.settings.clone();
    settings.merge(&host.settings);
    settings.core.aliases = host.settings.core.aliases.clone();
    settings.core.path = host.settings.core.path.clone();
    settings.aliases = host.settings.aliases.clone();
    settings.aliases.merge(&main.settings.aliases);
    if settings.proxy.inherit.value() == Some(&false) {
        settings.proxy.passes = host.settings.proxy.passes.clone();
    }
    if !host.settings.logs.access.is_empty() {
        settings.logs.access = host.settings.logs.access.clone();
        let main = main.settings.logs.access.iter();
        main.filter(|log| log.reach == Reach::AllSites)
            .for_each(|log| settings.logs.access.push(log.clone()));
    }
    let mut base = main.base.clone();
    base.autoindex.close();
    base.merge(&host.base);
    base.autoindex.close();
    let chain = |outer: &[Section], inner: Vec<Section>| outer.iter().cloned().chain(inner).collect::<Vec<_>>();
    let mut directories = chain(&main.directories, host.directories);
    sort(&mut directories);
    let mut directory_matches = chain(&main.directory_matches, host.directory_matches);
    sort_matches(&mut directory_matches);
    Site {
        number,
        span: Some(span),
        names_itself,
        settings,
        base: Arc::new(base),
        directories,
        directory_matches,
        locations: chain(&main.locations, host.locations),
        proxies: chain(&main.proxies, host.proxies),
        balancers: Vec::new(),
        agreements: Vec::new(),
        backends: Vec::new(),
    }
}

/// Shortest first, by segments; those of the same length stay in order.
fn sort(directories: &mut [Section]) {
    directories.sort_by_key(|section| match &section.pattern {
        Pattern::Plain(path) => segments(path),
        Pattern::Glob(glob) => segments(glob.pattern()),
        Pattern::Regex(_) => usize::MAX,
    });
}

/// As in Apache, a pattern with more slashes counts later (`reorder_sorter`), wherever it stands. What is built in has no line, and
/// counts first.
fn sort_matches(sections: &mut [Section]) {
    sections.sort_by_key(|section| match &section.pattern {
        Pattern::Regex(regex) if section.span.line > 0 => regex.pattern().matches('/').count(),
        _ => 0,
    });
}

fn segments(path: &[u8]) -> usize {
    path.split(|b| *b == b'/').filter(|segment| !segment.is_empty()).count()
}

/// The lines of a types file: a media type, and its extensions.
fn media_types(text: &[u8]) -> HashMap<Vec<u8>, Arc<[u8]>> {
    let mut types = HashMap::new();
    for line in text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(media_type) = words.next().filter(|word| word.first() != Some(&b'#')) else {
            continue;
        };
        let media_type: Arc<[u8]> = media_type.into();
        for extension in words {
            types.insert(extension.to_ascii_lowercase(), Arc::clone(&media_type));
        }
    }
    types
}

fn own_name() -> Vec<u8> {
    let name = rustix::system::uname();
    let name = name.nodename().to_bytes();
    if name.is_empty() {
        b"localhost".to_vec()
    } else {
        name.to_ascii_lowercase()
    }
}
