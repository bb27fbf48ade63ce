//! Tests: every foreign directive is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Answer, all, answer, did_you_mean, find};
use crate::base::quoting;
use crate::config::error::Span;
use crate::config::node::Node;
use crate::config::reader::LANGUAGE_NAMES;

#[test]
fn every_name_is_there_once() {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let own = crate::config::directives::all().map(|directive| (directive.name, "the table"));
    let language = LANGUAGE_NAMES.iter().map(|name| (*name, "the language"));
    for (name, place) in own.chain(all().map(|foreign| (foreign.name, foreign.module))) {
        let before = seen.insert(name.to_ascii_lowercase(), place);
        assert_eq!(before, None, "{name} of {place}");
    }
    for (name, _) in language {
        assert!(find(name).is_none(), "{name} is the language's");
    }
}

#[test]
fn tables_are_sorted_and_answers_are_sentences() {
    let tables = [
        super::access::TABLE,
        super::content::TABLE,
        super::gateways::TABLE,
        super::legacy::TABLE,
        super::server::TABLE,
        super::third_party::TABLE,
        super::tls::TABLE,
    ];
    for table in tables {
        let names: Vec<String> = table
            .iter()
            .map(|f| f.name.trim_matches(['<', '>']).to_ascii_lowercase())
            .collect();
        assert!(
            names.is_sorted(),
            "{:?}",
            names.windows(2).find(|pair| pair[0] > pair[1])
        );
    }
    for foreign in all() {
        for words in [vec![], vec![b"off".to_vec()], vec![b"on".to_vec(), b"x".to_vec()]] {
            let (Answer::Ignored(why) | Answer::Warned(why) | Answer::Refused(why)) = foreign.answer(&words) else {
                panic!("{} has no final answer", foreign.name);
            };
            assert!(
                why.len() > 10 && !why.ends_with('.') && !why.contains("  "),
                "{}: {why}",
                foreign.name
            );
        }
    }
}

#[test]
fn the_answers_that_matter_are_pinned() {
    let span = Span::new(&Arc::from("x.conf"), 7);
    for (line, want) in [
        (
            "StartServers 5",
            "x.conf:7: note: StartServers: ignored: lychgate sizes its processes and threads itself",
        ),
        (
            "NameVirtualHost *",
            "x.conf:7: note: NameVirtualHost: ignored: every address takes virtual hosts by name",
        ),
        (
            "php_value a b",
            "x.conf:7: warning: php_value: ignored: PHP does not run inside the server: write the setting into .user.ini \
             beside the scripts, or into the pool of php-fpm",
        ),
        (
            "PassengerEnabled on",
            "x.conf:7: PassengerEnabled: not supported by this version; applications do not run inside the server: keep the server that runs them in front",
        ),
        (
            "Port 80",
            "x.conf:7: Port: it left Apache with 2.0; write `Listen PORT`, and the port in ServerName if it differs",
        ),
        (
            "DocumentRoots /x",
            "x.conf:7: DocumentRoots: there is no such directive; did you mean `DocumentRoot`?",
        ),
        (
            "Frobnicate /x",
            "x.conf:7: Frobnicate: there is no such directive, in Apache or here",
        ),
        (
            "<Frob x",
            "x.conf:7: <Frob>: there is no such section, in Apache or here",
        ),
    ] {
        let (name, args) = quoting::next_word(line.as_bytes()).expect("there is a name");
        let name = String::from_utf8(name).expect("it is ASCII");
        let node = match name.strip_prefix('<') {
            Some(section) => Node::section(section, args, Vec::new(), span.clone()),
            None => Node::directive(&name, args, span.clone()),
        };
        assert_eq!(answer(&node).to_string(), want);
    }
}

#[test]
fn near_names_are_suggested() {
    for (name, want) in [
        ("DocumentRot", Some("DocumentRoot")),
        ("SSLEngin", Some("SSLEngine")),
        ("Inclde", Some("Include")),
        ("<IfModul>", Some("<IfModule>")),
        ("<Limt>", Some("<Limit>")),
        ("Frobnicate", None),
    ] {
        assert_eq!(did_you_mean(name), want, "{name}");
    }
}

/// Every name of Apache 2.4.71's manual (its quick reference), without those of `LANGUAGE_NAMES`.
#[test]
fn every_name_of_the_manual_has_an_answer() {
    assert_eq!(unanswered(include_str!("names.txt")), Vec::<&str>::new());
}

/// The names that real files use, as they were counted in 300 `.htaccess` files, 162 virtual hosts and Debian's snippets;
/// without two that Apache has not either.
#[test]
fn every_name_that_real_files_use_has_an_answer() {
    assert_eq!(unanswered(include_str!("tiers.txt")), Vec::<&str>::new());
}

fn unanswered(names: &'static str) -> Vec<&'static str> {
    let own: Vec<String> = crate::config::directives::all()
        .map(|d| d.name.to_ascii_lowercase())
        .collect();
    let sections = [
        "<directory>",
        "<directorymatch>",
        "<files>",
        "<filesmatch>",
        "<location>",
        "<locationmatch>",
        "<virtualhost>",
    ];
    let lower = |name: &str| name.to_ascii_lowercase();
    let language = |name: &str| LANGUAGE_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
    let answered = |name: &str| {
        own.contains(&lower(name)) || language(name) || sections.contains(&&*lower(name)) || find(name).is_some()
    };
    names.lines().filter(|name| !answered(name)).collect()
}
