//! The modules that a configuration loads: which of them are here, which are needless here, and which are missing.

use std::collections::BTreeMap;

use crate::config::error::Span;
use crate::config::load::MODULES;
use crate::config::node::Node;

/// What there is of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is built in.
    Here,
    /// Nothing is missed without it; why.
    Needless(&'static str),
    /// It is not here.
    Missing,
}

/// A module that LoadModule names.
#[derive(Clone, Debug)]
pub struct Module {
    /// `ssl_module`.
    pub identifier: String,
    /// The line that names it.
    pub place: Span,
    /// What there is of it.
    pub presence: Presence,
}

/// Modules that do nothing that a client could see; names that begin so.
const NEEDLESS: &[(&str, &str)] = &[
    ("mpm_", "lychgate sizes its processes and threads itself"),
    ("socache_", "nothing that is here shares its memory through it"),
    ("slotmem_", "nothing that is here shares its memory through it"),
    ("systemd_module", "systemd is told of a start and a reload without it"),
    ("watchdog_module", "nothing that is here needs it"),
];

/// Modules that a usual Apache has without a LoadModule line.
const STATIC: &[&str] = &[
    "core_module",
    "http_module",
    "log_config_module",
    "logio_module",
    "so_module",
    "unixd_module",
    "version_module",
    "watchdog_module",
];

/// The modules of a configuration, by their identifiers.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// In the order in which they are loaded.
    pub loaded: Vec<Module>,
}

impl Modules {
    /// Those that the settings load.
    pub fn of(nodes: &[Node]) -> Modules {
        let mut modules = Modules::default();
        for node in nodes {
            if let (true, [name, ..]) = (node.name().eq_ignore_ascii_case("LoadModule"), node.words()) {
                let identifier = String::from_utf8_lossy(name).into_owned();
                if modules.find(&identifier).is_none() {
                    modules.loaded.push(Module {
                        presence: presence(&identifier),
                        identifier,
                        place: node.span().clone(),
                    });
                }
            }
        }
        modules
    }

    /// The loaded module that `<IfModule>` calls so: `mod_ssl.c` or `ssl_module`.
    pub fn find(&self, name: &str) -> Option<&Module> {
        let identifier = identifier(name);
        self.loaded.iter().find(|module| module.identifier == identifier)
    }

    /// Whether an Apache with these lines has the module that `<IfModule>` calls so; nothing where that cannot be told,
    /// for its modules are not loaded by lines.
    pub fn apache_has(&self, name: &str) -> Option<bool> {
        let is_static = STATIC.contains(&identifier(name).as_str());
        (!self.loaded.is_empty()).then(|| is_static || self.find(name).is_some())
    }

    /// How many there are of each presence: here, needless, missing.
    pub fn counts(&self) -> [usize; 3] {
        let count = |is: fn(&Presence) -> bool| self.loaded.iter().filter(|module| is(&module.presence)).count();
        [
            count(|presence| *presence == Presence::Here),
            count(|presence| matches!(presence, Presence::Needless(_))),
            count(|presence| *presence == Presence::Missing),
        ]
    }
}

/// What is here of a module.
pub fn presence(identifier: &str) -> Presence {
    if MODULES.iter().any(|(_, known)| *known == identifier) {
        return Presence::Here;
    }
    let mut needless = NEEDLESS.iter();
    let found = needless.find(|(begin, _)| identifier.starts_with(begin));
    found.map_or(Presence::Missing, |(_, why)| Presence::Needless(why))
}

/// The identifier of a module that is called by its source file, or by its identifier already.
pub fn identifier(name: &str) -> String {
    if let Some((_, known)) = MODULES.iter().find(|(file, _)| *file == name) {
        return (*known).to_owned();
    }
    match name.strip_suffix(".c") {
        Some(mpm @ ("prefork" | "worker" | "event" | "itk")) => format!("mpm_{mpm}_module"),
        // PHP's file has the name of all its versions.
        Some(file) => format!("{}_module", file.strip_prefix("mod_").unwrap_or(file)),
        None => name.to_owned(),
    }
}

/// How many directives of each module are in use, by the name of its source file without the end: `mod_ssl`.
pub fn in_use<'a>(uses: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut count = BTreeMap::new();
    for module in uses {
        *count.entry(module).or_insert(0) += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Modules, Presence, identifier};
    use crate::config::load::load_text;

    #[test]
    fn modules_are_known_by_both_their_names() {
        for (name, want) in [
            ("mod_ssl.c", "ssl_module"),
            ("ssl_module", "ssl_module"),
            ("http_core.c", "http_module"),
            ("prefork.c", "mpm_prefork_module"),
            ("mpm_event_module", "mpm_event_module"),
        ] {
            assert_eq!(identifier(name), want, "{name}");
        }
    }

    #[test]
    fn what_apache_has_follows_from_its_lines() {
        let text = b"LoadModule dav_module a.so\nLoadModule mpm_event_module b.so\nLoadModule alias_module c.so\n\
                     LoadModule dav_module a.so\n";
        let modules = Modules::of(&load_text("a.conf", text, Path::new("/")).settings.nodes);
        assert_eq!(modules.counts(), [1, 1, 1]);
        assert_eq!(
            modules.find("mod_dav.c").map(|found| found.presence),
            Some(Presence::Missing)
        );
        assert_eq!(modules.apache_has("mod_alias.c"), Some(true));
        assert_eq!(modules.apache_has("mod_version.c"), Some(true));
        assert_eq!(modules.apache_has("mod_rewrite.c"), Some(false));
        assert_eq!(Modules::default().apache_has("mod_rewrite.c"), None);
    }
}
