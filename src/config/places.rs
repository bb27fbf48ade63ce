//! The script places: where the settings let files be started as scripts, so that the spawner can refuse everything else.

use crate::base::glob::Glob;
use crate::base::path;
use crate::config::directives::DirConf;
use crate::config::directives::alias::{AliasFrom, AliasKind, PlaceTarget};
use crate::config::directives::options::Options;
use crate::config::links;
use crate::config::setting::Merge;
use crate::config::site::{Config, ScriptPlace, Section, Site, document_root};
use crate::config::words::Pattern;

/// All places of all sites, each once: the targets of ScriptAlias, the directories that Options ExecCGI covers, and those
/// whose access files may turn it on.
pub fn of(config: &Config) -> Vec<ScriptPlace> {
    let mut places: Vec<ScriptPlace> = Vec::new();
    for site in &config.sites {
        for place in site_places(config, site) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// The directories and files that ScriptAlias leads to: what is in them runs, and is shown by no other way. One that holds a
/// site's whole DocumentRoot is not meant so.
pub fn script_only(config: &Config) -> Vec<Vec<u8>> {
    let roots: Vec<_> = config.sites.iter().map(|site| document_root(config, site)).collect();
    let aliases = config.sites.iter().flat_map(|site| site.settings.aliases.list.iter());
    let scripts = aliases.filter(|alias| alias.kind == AliasKind::Scripts);
    let mut only: Vec<_> = scripts.map(|alias| trimmed(alias.literal_target())).collect();
    let sites = config.sites.iter();
    only.extend(
        sites
            .flat_map(|site| place_aliases(site, AliasKind::Scripts))
            .map(trimmed),
    );
    only.retain(|target| !roots.iter().any(|root| path::below(root, target).is_some()));
    only.sort();
    only.dedup();
    only
}

fn site_places(config: &Config, site: &Site) -> Vec<ScriptPlace> {
    let place = |root: &[u8]| {
        let root = trimmed(root);
        ScriptPlace {
            site: site.number,
            links: links::in_directory(site, &root),
            root,
        }
    };
    let aliases = &site.settings.aliases.list;
    let script_aliases = aliases.iter().filter(|alias| alias.kind == AliasKind::Scripts);
    let mut places: Vec<_> = script_aliases.map(|alias| place(alias.literal_target())).collect();
    places.extend(place_aliases(site, AliasKind::Scripts).map(place));
    let hosts = &site.settings.virtual_hosts;
    places.extend(
        hosts
            .scripts
            .value()
            .into_iter()
            .flatten()
            .map(|pattern| place(pattern.known_part())),
    );
    let shell = site.settings.ssi.shell.value().and_then(Option::as_deref);
    places.extend(shell.map(place));
    for section in site.directories.iter().chain(&site.directory_matches) {
        if lets_exec(&section.conf) {
            places.push(place(literal_root(section)));
        }
    }
    if by_everywhere(site) {
        places.push(place(&document_root(config, site)));
        places.extend(
            hosts
                .root
                .value()
                .into_iter()
                .flatten()
                .map(|pattern| place(pattern.known_part())),
        );
        let files = aliases
            .iter()
            .filter(|alias| alias.kind == AliasKind::Files && alias.from != AliasFrom::Prefix(b"/".to_vec()));
        places.extend(files.map(|alias| place(alias.literal_target())));
        places.extend(place_aliases(site, AliasKind::Files).map(place));
    }
    places
}

/// Whether a section makes scripts of files, or lets access files do so, which nobody reads here.
fn lets_exec(conf: &DirConf) -> bool {
    gives_exec(conf) || conf.overrides.may_give().has(Options::EXEC_CGI)
}

/// The targets of aliases that stand in the site's `<Location>` sections, as far as they are known at the start.
pub fn place_aliases(site: &Site, kind: AliasKind) -> impl Iterator<Item = &[u8]> {
    let aliases = site
        .locations
        .iter()
        .filter_map(|section| section.conf.aliases.alias.value());
    aliases
        .filter(move |alias| alias.kind == kind)
        .filter_map(|alias| match &alias.to {
            PlaceTarget::Path(path) => Some(path.as_slice()),
            PlaceTarget::Computed(_) => None,
        })
}

fn gives_exec(conf: &DirConf) -> bool {
    conf.core.options.gives(Options::EXEC_CGI) || inner(conf).any(gives_exec)
}

/// The settings of the `<Files>` and `<If>` inside.
fn inner(conf: &DirConf) -> impl Iterator<Item = &DirConf> {
    let branches = conf.core.ifs.iter().flat_map(|section| &section.branches);
    let branches = branches.map(|branch| &*branch.conf);
    conf.core.files.iter().map(|files| &*files.conf).chain(branches)
}

/// The name without slashes at its end.
fn trimmed(root: &[u8]) -> Vec<u8> {
    let mut root = root.to_vec();
    while root.len() > 1 && root.last() == Some(&b'/') {
        root.pop();
    }
    root
}

/// The settings that the site's `<Directory>`, `<DirectoryMatch>` and `<Files>` sections give the file `path` of a script
/// place. `<Location>` sections go by URL, which whoever asks for a script could choose: they have no say here.
pub fn conf_of(config: &Config, place: &ScriptPlace, path: &[u8]) -> DirConf {
    let Some(site) = config.sites.get(place.site) else {
        return DirConf::default();
    };
    let mut conf = DirConf::clone(&site.base);
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let ends = ends.map(|(at, _)| at.max(1)).chain([path.len()]);
    for end in ends {
        let name = path.get(..end).unwrap_or(path);
        for section in site.directories.iter().filter(|section| section.covers_directory(name)) {
            conf.merge(&section.conf);
        }
    }
    for section in site
        .directory_matches
        .iter()
        .filter(|section| section.covers_directory(path))
    {
        conf.merge(&section.conf);
    }
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let files: Vec<_> = conf
        .core
        .files
        .iter()
        .filter(|files| files.covers(name))
        .cloned()
        .collect();
    for files in files {
        conf.merge(&files.conf);
    }
    conf
}

/// The tree that the script `path` of a place belongs to: the narrowest of the site's script places around it, with patterns taken
/// for what they match here. Goes by the path alone, so that nothing is gained by naming a wider place. Where only a regular
/// expression makes it a script, or all that there is would be its tree, it is the script's directory.
pub fn tree_of(config: &Config, place: &ScriptPlace, path: &[u8]) -> Vec<u8> {
    let directory_end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0).max(1);
    let directory = path.get(..directory_end).unwrap_or(path);
    let Some(site) = config.sites.get(place.site) else {
        return directory.to_vec();
    };
    let literal = |root: &[u8]| path::below(path, root).map(|_| root.len());
    let aliases = site.settings.aliases.list.iter();
    let aliases = aliases.filter(|alias| alias.kind == AliasKind::Scripts);
    let aliases = aliases.filter_map(|alias| literal(&trimmed(alias.literal_target())));
    let sections = site.directories.iter().filter(|section| lets_exec(&section.conf));
    let sections = sections.filter_map(|section| {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut ends = ends.map(|(at, _)| at.max(1)).chain([path.len()]);
        ends.find(|end| path.get(..*end).is_some_and(|name| section.covers_directory(name)))
    });
    let hosts = &site.settings.virtual_hosts;
    let of_host = hosts.scripts.value().into_iter().flatten();
    let of_host = of_host.filter_map(|pattern| pattern.length_in(path));
    let mut narrowest = aliases.chain(sections).chain(of_host).max();
    if narrowest.is_none() && by_everywhere(site) {
        let files = site.settings.aliases.list.iter();
        let files = files.filter(|alias| alias.kind == AliasKind::Files);
        let files = files.filter_map(|alias| literal(&trimmed(alias.literal_target())));
        let of_host = hosts.root.value().into_iter().flatten();
        let of_host = of_host.filter_map(|pattern| pattern.length_in(path));
        let root = literal(&trimmed(&document_root(config, site)));
        narrowest = files.chain(root).chain(of_host).max();
    }
    match narrowest.filter(|length| *length > 1) {
        Some(length) => path.get(..length).unwrap_or(directory).to_vec(),
        None => directory.to_vec(),
    }
}

/// Whether a section that goes by URL or by file name gives scripts wherever the site reaches.
fn by_everywhere(site: &Site) -> bool {
    gives_exec(&site.base) || site.locations.iter().any(|section| gives_exec(&section.conf))
}

/// Everything that any site says of its places, section by section.
pub fn confs(config: &Config) -> Vec<&DirConf> {
    config.sites.iter().flat_map(confs_of).collect()
}

/// The same of one site.
pub fn confs_of(site: &Site) -> Vec<&DirConf> {
    let mut confs = Vec::new();
    roots_of(site).for_each(|conf| add_with_inner(conf, &mut confs));
    confs
}

/// The same of all sites, without the sections inside of sections.
pub(super) fn roots(config: &Config) -> impl Iterator<Item = &DirConf> {
    config.sites.iter().flat_map(roots_of)
}

fn roots_of(site: &Site) -> impl Iterator<Item = &DirConf> {
    let sections = site.directories.iter().chain(&site.directory_matches);
    let sections = sections.chain(&site.locations).chain(&site.proxies);
    std::iter::once(&*site.base).chain(sections.map(|section| &*section.conf))
}

/// Adds settings, and those of the sections inside.
pub(super) fn add_with_inner<'a>(conf: &'a DirConf, confs: &mut Vec<&'a DirConf>) {
    confs.push(conf);
    for inner in inner(conf) {
        add_with_inner(inner, confs);
    }
}

/// Whether any script is to run as another user than the server's: whether SuexecUserGroup stands anywhere.
pub fn change_identity(config: &Config) -> bool {
    confs(config).iter().any(|conf| conf.suexec.target.value().is_some())
}

/// The directory above every path that a section can match.
fn literal_root(section: &Section) -> &[u8] {
    match &section.pattern {
        Pattern::Plain(path) => path,
        Pattern::Glob(glob) => up_to_slash(glob.pattern(), |byte| Glob::is_pattern(&[byte])),
        Pattern::Regex(_) => b"/",
    }
}

fn up_to_slash(pattern: &[u8], special: impl Fn(u8) -> bool) -> &[u8] {
    let end = pattern.iter().position(|byte| special(*byte)).unwrap_or(pattern.len());
    let slash = pattern[..end].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    if slash == 0 { b"/" } else { &pattern[..slash] }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::tree_of;
    use crate::config::load::load_text;

    #[test]
    fn a_script_belongs_to_the_narrowest_place_around_it() {
        let text = b"ScriptAlias /bin/ /srv/bin/\nScriptAlias /one /srv/one/one.cgi\n\
            <Directory /srv/wide>\nOptions +ExecCGI\n</Directory>\n\
            <Directory /srv/wide/narrow>\nOptions +ExecCGI\n</Directory>\n\
            <Directory /srv/wide/plain>\nOptions Indexes\n</Directory>\n\
            <Directory \"/home/*/cgi\">\nOptions +ExecCGI\n</Directory>\n\
            <DirectoryMatch \"^/data/\">\nOptions +ExecCGI\n</DirectoryMatch>\n\
            <Directory />\n<Files x.pl>\nOptions +ExecCGI\n</Files>\n</Directory>\n";
        let everywhere = b"DocumentRoot /www\nAlias /files/ /srv/files/\nOptions +ExecCGI\n";
        let (sections, everywhere) = (
            load_text("a.conf", text, Path::new("/")),
            load_text("b.conf", everywhere, Path::new("/")),
        );
        assert!(
            !sections.is_fatal() && !everywhere.is_fatal(),
            "{:?}",
            sections.complaints
        );
        for (loaded, script, want) in [
            (&sections, "/srv/bin/a.cgi", "/srv/bin"),
            (&sections, "/srv/bin/deep/down/a.cgi", "/srv/bin"),
            (&sections, "/srv/one/one.cgi", "/srv/one/one.cgi"),
            (&sections, "/srv/wide/a.cgi", "/srv/wide"),
            (&sections, "/srv/wide/plain/a.cgi", "/srv/wide"),
            (&sections, "/srv/wide/narrow/deep/a.cgi", "/srv/wide/narrow"),
            (&sections, "/home/alice/cgi/deep/a.cgi", "/home/alice/cgi"),
            (&sections, "/data/deep/down/a.cgi", "/data/deep/down"),
            (&sections, "/etc/deep/x.pl", "/etc/deep"),
            (&sections, "/x.pl", "/"),
            (&everywhere, "/www/deep/a.cgi", "/www"),
            (&everywhere, "/srv/files/deep/a.cgi", "/srv/files"),
        ] {
            let config = &loaded.config;
            let held = config.script_place(0, script.as_bytes());
            let (number, _) = held.expect("a place holds it");
            let tree = tree_of(config, &config.script_places[number], script.as_bytes());
            assert_eq!(String::from_utf8_lossy(&tree), want, "{script}");
        }
    }
}
