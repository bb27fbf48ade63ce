//! What the settings allow of symbolic links on the way to a script: Options FollowSymLinks and SymLinksIfOwnerMatch of
//! the directory that a link lies in, as the walk of a request judges them (Apache core: Options).

use crate::config::directives::options::{Options, OptionsEdit};
use crate::config::setting::Merge;
use crate::config::site::{ScriptLinks, Site};

/// The policies for the directories on the way to the file of this absolute name, from the root down: the length of the
/// directory's name (1 for the root), and what it allows of the links in it.
pub fn on_the_way(site: &Site, name: &[u8]) -> Vec<(usize, ScriptLinks)> {
    let mut options = site.base.core.options;
    let ends = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let mut policies = Vec::new();
    for end in ends.map(|(at, _)| at.max(1)) {
        lay_over(&mut options, site, name.get(..end).unwrap_or(name));
        policies.push((end, policy(options)));
    }
    policies
}

/// What the directory of this absolute name allows of the links in it.
pub fn in_directory(site: &Site, name: &[u8]) -> ScriptLinks {
    let inside = [name, b"/"].concat();
    let policies = on_the_way(site, if name == b"/" { name } else { &inside });
    policies.last().map_or(ScriptLinks::Beneath, |(_, policy)| *policy)
}

fn lay_over(options: &mut OptionsEdit, site: &Site, directory: &[u8]) {
    let covering = site.directories.iter();
    for section in covering.filter(|section| section.covers_directory(directory)) {
        options.merge(&section.conf.core.options);
    }
}

fn policy(options: OptionsEdit) -> ScriptLinks {
    let options = options.in_force();
    if options.has(Options::FOLLOW_SYM_LINKS) {
        ScriptLinks::Follow
    } else if options.has(Options::SYM_LINKS_IF_OWNER_MATCH) {
        ScriptLinks::OwnerMatch
    } else {
        ScriptLinks::Beneath
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{in_directory, on_the_way};
    use crate::config::load::load_text;
    use crate::config::site::ScriptLinks::{Beneath, Follow, OwnerMatch};

    #[test]
    fn each_directory_has_its_policy() {
        let text = b"<Directory />\nOptions None\n</Directory>\n\
            <Directory /srv>\nOptions FollowSymLinks\n</Directory>\n\
            <Directory \"/srv/*/cgi\">\nOptions +SymLinksIfOwnerMatch -FollowSymLinks\n</Directory>\n\
            ScriptAlias /cgi/ /srv/alice/cgi/\nScriptAlias /bin/ /srv/bin/\nScriptAlias /none/ /none/\n";
        let config = load_text("a.conf", text, Path::new("/")).config;
        let site = &config.sites[0];
        let expected = [
            (1, Beneath),
            (4, Follow),
            (10, Follow),
            (14, OwnerMatch),
            (16, OwnerMatch),
        ];
        assert_eq!(on_the_way(site, b"/srv/alice/cgi/x/a.cgi"), expected);
        assert_eq!(in_directory(site, b"/"), Beneath);
        assert_eq!(in_directory(site, b"/srv"), Follow);
        let places = config.script_places.iter();
        let links: Vec<_> = places.map(|place| (place.root.as_slice(), place.links)).collect();
        let expected: [(&[u8], _); 3] = [
            (b"/srv/alice/cgi", OwnerMatch),
            (b"/srv/bin", Follow),
            (b"/none", Beneath),
        ];
        assert_eq!(links, expected);
    }
}
