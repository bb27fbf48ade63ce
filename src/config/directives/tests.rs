//! What holds for every entry of the table.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{DirConf, Server, SiteSettings, all};
use crate::config::error::Span;
use crate::config::quoting;
use crate::config::table::{Set, Words};
use crate::config::words::Args;
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
            Words::Between(..) | Words::AtLeast(_) => quoting::words(directive.default.as_bytes()),
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
            methods: None,
            options: None,
            trust: Trust::Full,
            remarks: &remarks,
        };
        let result = match directive.set {
            Set::Server(set) => set(&mut Server::default(), &args),
            Set::Site(set) | Set::SiteOrDir(set, _) => set(&mut SiteSettings::default(), &args),
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
