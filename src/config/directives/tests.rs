//! What holds for every entry of the table.

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::service::Service;
use super::{DirConf, Server, SiteSettings, all, foreign};
use crate::base::quoting;
use crate::config::error::Span;
use crate::config::table::{Contexts, DIRECTORY, HTACCESS, Override, SERVER, Set, VHOST, Words};
use crate::config::words::{Args, Surroundings};
use crate::lang::expr::Trust;

#[test]
fn names_are_there_once() {
    let mut seen = BTreeSet::new();
    for directive in all() {
        assert!(
            seen.insert(directive.name.to_ascii_lowercase()),
            "{} is there twice",
            directive.name
        );
    }
}

#[test]
fn every_directive_is_explained() {
    for directive in all() {
        let (name, summary) = (directive.name, directive.summary);
        assert!(
            summary.ends_with('.') && summary.len() > 10,
            "{name}: `{summary}` is no sentence"
        );
        assert!(!summary.contains('\n'), "{name}: a summary is one line");
        assert!(!directive.module.is_empty(), "{name}: of which module?");
        assert!(!directive.allowed.names().is_empty(), "{name}: it may stand nowhere");
    }
}

#[test]
fn a_default_is_what_its_own_setter_takes() {
    let span = Span::new(&Arc::from("default"), 1);
    for directive in all().filter(|directive| !directive.default.is_empty()) {
        let words = match directive.words {
            Words::Raw => vec![directive.default.as_bytes().to_vec()],
            Words::Between(..) | Words::AtLeast(_) | Words::Leading(..) | Words::Flag => {
                quoting::words(directive.default.as_bytes())
            }
        };
        let name = directive.name;
        assert!(
            directive.words.takes(words.len()),
            "{name}: the default has {} words",
            words.len()
        );
        let remarks = std::cell::RefCell::default();
        let args = Args {
            words: &words,
            server_root: b"/root",
            span: &span,
            section: None,
            around: Surroundings::Site,
            methods: None,
            options: None,
            trust: Trust::Full,
            remarks: &remarks,
        };
        let result = match directive.set {
            Set::Server(set) | Set::ServerOrService(set, _) => set(&mut Server::default(), &args),
            Set::Service(set) => set(&mut Service::new("a"), &args),
            Set::Site(set) | Set::SiteOrDir(set, _) | Set::SiteAndDir(set, _) => {
                set(&mut SiteSettings::default(), &args)
            }
            Set::Dir(set) => set(&mut DirConf::default(), &args),
            Set::Language | Set::Ignored(_) => Ok(()),
        };
        assert_eq!(result, Ok(()), "{name} {}", directive.default);
    }
}

#[test]
fn entries_of_a_file_are_in_order() {
    for entries in super::BY_FEATURE {
        for pair in entries.windows(2) {
            let key = |name: &str| name.trim_start_matches('<').to_ascii_lowercase();
            let (one, other) = (pair[0].name, pair[1].name);
            assert!(key(one) < key(other), "{one} stands before {other}");
        }
    }
}

/// Places where a directive may stand, as `apache.txt` has them: outside of sections, in those of places, in access files.
fn places(allowed: Contexts) -> String {
    let outside = allowed.covers(SERVER) || allowed.covers(VHOST);
    let held = [
        (outside, 'o'),
        (allowed.covers(DIRECTORY), 'd'),
        (allowed.covers(HTACCESS), 'h'),
    ];
    held.iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, letter)| *letter)
        .collect()
}

/// What Apache says of its directives, by their names in lower case: places, and classes with `+` between them.
fn apache() -> BTreeMap<String, (&'static str, &'static str)> {
    let lines = include_str!("apache.txt").lines().filter(|line| !line.starts_with('#'));
    let words = lines.map(|line| line.splitn(3, ' ').collect::<Vec<_>>());
    words
        .map(|words| (words[0].to_ascii_lowercase(), (words[1], words[2])))
        .collect()
}

fn is_the_class(class: Override, theirs: &str) -> bool {
    match class {
        Override::None => theirs == "-",
        Override::Access => theirs == "AuthConfig+Limit",
        class => theirs.split('+').any(|name| name == format!("{class:?}")),
    }
}

/// Directives that stand elsewhere than in Apache, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("Alias", "in sections it is refused"),
    ("ScriptAlias", "in sections it is refused"),
    ("Define", "it has no meaning in a section of a place"),
    (
        "RewriteBase",
        "Apache refuses it outside of sections when it reads its words",
    ),
    (
        "SSLCACertificateFile",
        "Apache refuses it in sections when it reads its words",
    ),
    (
        "SSLCACertificatePath",
        "Apache refuses it in sections when it reads its words",
    ),
    ("SuexecUserGroup", "ours is for directories too"),
    ("<Macro>", "macros are the administrator's"),
    ("MacroIgnoreBadNesting", "macros are the administrator's"),
    ("MacroIgnoreEmptyArgs", "macros are the administrator's"),
    ("UndefMacro", "macros are the administrator's"),
    ("Use", "macros are the administrator's"),
];

/// Every directive stands where it stands in Apache, and needs the same class in an access file.
#[test]
fn places_and_classes_are_apaches() {
    let apache = apache();
    let mut differing = Vec::new();
    for directive in all() {
        let Some((theirs, classes)) = apache.get(&directive.name.to_ascii_lowercase()) else {
            continue;
        };
        let ours = places(directive.allowed);
        let fits = ours == *theirs && is_the_class(directive.overrides, classes);
        // Apache's own list does not tell of <Proxy>.
        let is_of_proxy = directive.name.starts_with("SSLProxy") && directive.overrides == Override::None;
        if !fits && !is_of_proxy && !ELSEWHERE.iter().any(|(name, _)| *name == directive.name) {
            let name = directive.name;
            differing.push(format!(
                "{name}: {ours} {:?}, Apache {theirs} {classes}",
                directive.overrides
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What is answered without effect must be no way around AllowOverride either.
#[test]
fn foreign_directives_have_apaches_class_in_access_files() {
    let apache = apache();
    let mut differing = Vec::new();
    for foreign in foreign::all() {
        let Some((theirs, classes)) = apache.get(&foreign.name.to_ascii_lowercase()) else {
            continue;
        };
        let stands = foreign.allowed.covers(HTACCESS);
        if stands != theirs.contains('h') || stands && !is_the_class(foreign.overrides, classes) {
            let (name, ours) = (foreign.name, places(foreign.allowed));
            differing.push(format!(
                "{name}: {ours} {:?}, Apache {theirs} {classes}",
                foreign.overrides
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
