//! What the settings allow of symbolic links on the way to a script: Options FollowSymLinks and SymLinksIfOwnerMatch of
//! the directory that a link lies in, as the walk of a request judges them (Apache core: Options).

use crate::config::directives::options::{Options, OptionsEdit};
use crate::config::directives::overrides::Overrides;
use crate::config::setting::Merge;
use crate::config::site::{ScriptLinks, Site};

/// The policies for the directories on the way to the file of this absolute name, from the root down: the length of the
/// directory's name (1 for the root), and what it allows of the links in it. Access files are not read: what they may allow
/// is allowed here, and the walk judges what they say.
pub fn on_the_way(site: &Site, name: &[u8]) -> Vec<(usize, ScriptLinks)> {
    let mut so_far = SoFar {
        options: site.base.core.options,
        overrides: site.base.overrides.clone(),
        may_be_given: Options::default(),
    };
    let ends = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let mut policies = Vec::new();
    for end in ends.map(|(at, _)| at.max(1)) {
        so_far.enter(site, name.get(..end).unwrap_or(name));
        policies.push((end, so_far.policy()));
    }
    policies
}

/// What the directory of this absolute name allows of the links in it.
pub fn in_directory(site: &Site, name: &[u8]) -> ScriptLinks {
    let inside = [name, b"/"].concat();
    let policies = on_the_way(site, if name == b"/" { name } else { &inside });
    policies.last().map_or(ScriptLinks::Beneath, |(_, policy)| *policy)
}

/// What the sections of a directory and of those above it come to.
struct SoFar {
    options: OptionsEdit,
    overrides: Overrides,
    /// The options that access files on the way may have turned on.
    may_be_given: Options,
}

impl SoFar {
    fn enter(&mut self, site: &Site, directory: &[u8]) {
        let covering = site.directories.iter();
        for section in covering.filter(|section| section.covers_directory(directory)) {
            self.options.merge(&section.conf.core.options);
            self.overrides.merge(&section.conf.overrides);
            self.may_be_given = section.conf.core.options.leave(self.may_be_given);
        }
        self.may_be_given = self.may_be_given.with(self.overrides.may_give());
    }

    /// The widest that can be.
    fn policy(&self) -> ScriptLinks {
        let (sure, may) = (self.options.in_force(), self.may_be_given);
        let (follow, match_owner) = (Options::FOLLOW_SYM_LINKS, Options::SYM_LINKS_IF_OWNER_MATCH);
        if may.has(follow) || sure.has(follow) && (!sure.has(match_owner) || may.has(match_owner)) {
            ScriptLinks::Follow
        } else if may.has(match_owner) || sure.has(match_owner) {
            ScriptLinks::OwnerMatch
        } else {
            ScriptLinks::Beneath
        }
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
    #[test]
    fn what_an_access_file_may_give_is_given() {
        let text = b"<Directory />\nOptions None\n</Directory>\n\
            <Directory /a>\nAllowOverride All\n</Directory>\n\
            <Directory /a/b>\nAllowOverride None\n</Directory>\n\
            <Directory /a/b/c>\nOptions ExecCGI\n</Directory>\n\
            <Directory /o>\nAllowOverride Options=SymLinksIfOwnerMatch\n</Directory>\n\
            <Directory /o/f>\nOptions FollowSymLinks SymLinksIfOwnerMatch\n</Directory>\n\
            <Directory /f>\nAllowOverride FileInfo\nOptions +SymLinksIfOwnerMatch\n</Directory>\n\
            <Directory /l>\nAllowOverride None\nAllowOverrideList Options\n</Directory>\n";
        let config = load_text("a.conf", text, Path::new("/")).config;
        for (name, want) in [
            ("/x", Beneath),
            ("/a", Follow),
            ("/a/x", Follow),
            // A file in /a may have given it; nothing below takes it back.
            ("/a/b", Follow),
            ("/a/b/c", Beneath),
            ("/o", OwnerMatch),
            ("/o/f", Follow),
            ("/f", OwnerMatch),
            ("/l", Follow),
        ] {
            assert_eq!(in_directory(&config.sites[0], name.as_bytes()), want, "{name}");
        }
    }

    #[test]
    fn where_an_access_file_may_give_scripts_is_a_place_for_them() {
        let place = |words: &str| {
            let text = format!("<Directory /srv>\n{words}\n</Directory>\n");
            let config = load_text("a.conf", text.as_bytes(), Path::new("/")).config;
            config.script_places.iter().any(|place| place.root == b"/srv")
        };
        for (words, want) in [
            ("AllowOverride All", true),
            ("AllowOverride Options", true),
            ("AllowOverride Options=ExecCGI", true),
            ("AllowOverride Options=Indexes,ExecCGI FileInfo", true),
            ("AllowOverride None\nAllowOverrideList Options", true),
            ("<If \"true\">\nOptions +ExecCGI\n</If>", true),
            ("AllowOverride Options=Indexes", false),
            ("AllowOverride FileInfo AuthConfig Indexes Limit", false),
            ("AllowOverride Nonfatal=All", false),
            ("AllowOverride None", false),
            ("AllowOverrideList AddHandler", false),
            ("Options Indexes", false),
        ] {
            assert_eq!(place(words), want, "{words}");
        }
    }
}
