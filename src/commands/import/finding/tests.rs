//! Findings and counts, of texts and of every name there is.

use std::path::Path;

use super::{Finding, Kind, Tally, differences, sentences};
use crate::commands::import::modules::Modules;
use crate::commands::import::texts::Texts;
use crate::config::directives;
use crate::config::directives::foreign;
use crate::config::load::{Loaded, load_text};

fn findings(loaded: &Loaded) -> Vec<Finding> {
    let (texts, nodes) = (Texts::default(), &loaded.settings.nodes);
    let modules = Modules::of(nodes);
    let complaints = loaded
        .complaints
        .iter()
        .map(|complaint| Finding::of(complaint, nodes, &texts));
    let decided = loaded.decided.iter();
    let conditions = decided.filter_map(|decided| Finding::of_condition(decided, &modules, &texts));
    complaints.chain(conditions).collect()
}

fn told(text: &str) -> Vec<String> {
    let loaded = load_text("a.conf", text.as_bytes(), Path::new("/"));
    let findings = findings(&loaded);
    let told = |finding: &Finding| {
        let Finding {
            kind,
            place,
            directive,
            message,
            ..
        } = finding;
        format!("{kind:?} {place} {directive} {message}")
    };
    findings.iter().map(told).collect()
}

#[test]
fn conditions_that_apache_decides_otherwise_are_told() {
    let text = "LoadModule nowhere_module a.so\nLoadModule mpm_event_module b.so\n\
        <IfModule mod_nowhere.c>\nOne x\nTwo x\none y\n</IfModule>\n\
        <IfModule !mod_nowhere.c>\nServerAdmin a@b\n</IfModule>\n\
        <IfModule mod_rewrite.c>\nRewriteEngine On\n</IfModule>\n\
        <IfModule !mod_rewrite.c>\nRedirect / /x\n</IfModule>\n\
        <IfModule mpm_event_module>\nStartServers 2\n</IfModule>\n\
        <IfModule mod_other.c>\nOther\n</IfModule>\n<IfModule mod_version.c>\nServerName x\n</IfModule>\n\
        <IfDefine NOTHING>\nNothing\n</IfDefine>\n";
    assert_eq!(
        told(text),
        [
            "LeftOut a.conf:3 <IfModule> left out, for lychgate does not have `mod_nowhere.c`: 3 directives (One, Two)",
            "Differs a.conf:8 <IfModule> holds here, for lychgate does not have `mod_nowhere.c`; Apache loads it and passes over \
             what is inside",
            "Differs a.conf:11 <IfModule> holds here, for `mod_rewrite.c` is built in; no LoadModule names it, so that Apache \
             passes over what is inside",
            "Differs a.conf:14 <IfModule> left out, for lychgate has `mod_rewrite.c` built in; Apache, which does not load it, \
             reads it",
            "Ignored a.conf:17 <IfModule> what is inside is left out: lychgate sizes its processes and threads itself",
        ]
    );
}

#[test]
fn without_load_module_nothing_is_said_of_conditions() {
    assert_eq!(
        told("<IfModule mod_rewrite.c>\nRewriteEngine On\n</IfModule>\n"),
        Vec::<String>::new()
    );
}

#[test]
fn every_known_name_comes_to_exactly_one_end() {
    let names = include_str!("../../../config/directives/foreign/names.txt");
    let tiers = include_str!("../../../config/directives/foreign/tiers.txt");
    let names: Vec<&str> = names
        .lines()
        .chain(tiers.lines())
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let text: String = names
        .iter()
        .map(|name| match name.strip_prefix('<') {
            Some(section) => {
                let section = section.trim_end_matches('>');
                format!("<{section} x>\n</{section}>\n")
            }
            None => format!("{name} x y\n"),
        })
        .collect();
    let loaded = load_text("a.conf", text.as_bytes(), Path::new("/"));
    let findings = findings(&loaded);
    let tally = Tally::of(&loaded.settings.nodes, &findings);
    let ends = tally.ignored + tally.differing + tally.refused + tally.supported.values().sum::<usize>();
    assert_eq!(ends, tally.all);
    assert!(tally.all > 700, "{}", tally.all);
    let own = |name: &str| directives::all().any(|own| own.name.eq_ignore_ascii_case(name));
    for name in names
        .into_iter()
        .filter(|name| !own(name) && foreign::find(name).is_some())
    {
        let is_told = findings
            .iter()
            .any(|finding| finding.directive.eq_ignore_ascii_case(name));
        assert!(is_told, "{name}");
    }
}

#[test]
fn the_worst_of_a_line_counts() {
    let text =
        "ServerName a\nKeepAliveTimeout soon\n<Directory />\nEnableMMAP on\nOptions None\n</Directory>\nServerName b\n";
    let loaded = load_text("a.conf", text.as_bytes(), Path::new("/"));
    let found = findings(&loaded);
    let tally = Tally::of(&loaded.settings.nodes, &found);
    assert_eq!((tally.all, tally.refused, tally.ignored, tally.differing), (6, 1, 1, 0));
    let supported: Vec<_> = tally.supported.into_iter().collect();
    assert_eq!(supported, [("<Directory>", 1), ("Options", 1), ("ServerName", 2)]);
    let kinds: Vec<Kind> = found.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [Kind::Refused, Kind::Ignored]);
}

#[test]
fn the_manual_tells_differences_in_whole_sentences() {
    let text = "One. Two 0.5 of it! (Apache logs that.) Apache's default is off. As in Apache.";
    assert_eq!(
        sentences(text).collect::<Vec<_>>(),
        [
            "One.",
            "Two 0.5 of it!",
            "(Apache logs that.)",
            "Apache's default is off.",
            "As in Apache."
        ]
    );
    assert_eq!(differences(text).collect::<Vec<_>>(), ["(Apache logs that.)"]);
    let text = b"LimitRequestFields 50\nServerName x\nLimitRequestFields 60\n";
    let loaded = load_text("a.conf", text, Path::new("/"));
    let tally = Tally::of(&loaded.settings.nodes, &[]).with_defaults();
    let told: Vec<String> = tally
        .told
        .iter()
        .map(|(place, name, said)| format!("{place} {name} {said:?}"))
        .collect();
    assert_eq!(
        told,
        ["a.conf:1 LimitRequestFields [\"More are answered with 431 (Apache: 400).\"]"]
    );
    assert!(tally.unset.contains(&("TraceEnable", "Apache's default is on.")));
}
