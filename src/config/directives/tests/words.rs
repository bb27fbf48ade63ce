//! Every directive with wrong words and in wrong places: what is said names file, line and directive, and nothing else happens.

use std::path::Path;

use crate::config::directives::overrides::Overrides;
use crate::config::directives::{all, foreign};
use crate::config::error::{ConfigError, Severity};
use crate::config::htaccess::{self, Around};
use crate::config::load::load_text;
use crate::config::site::Config;
use crate::config::table::{Contexts, DIRECTORY, HTACCESS, SERVER, VHOST};

/// Words that are too few, too many, and none of anybody's.
const WORDS: &[&[u8]] = &[
    b"",
    b"nonsense",
    b"a b c d e f g h i j k l m n o p q r s t",
    b"\"",
    b"\"\" \"\"",
    b"( (",
    b"%{ %{",
    b"%{HTTP:x} expr=%{nonsense} env=!",
    b"-1 -1 -1",
    b"99999999999999999999 99999999999999999999",
    b"\xff\xfe \x00 \x7f",
    b"/ / /",
    b"+ - =",
    b"<",
    b"not",
    b"on off default",
];

/// Every name that may stand in such a place, ours and others'; sections stand in `<>`.
fn names(context: Contexts) -> Vec<&'static str> {
    let own = all().filter(|directive| directive.allowed.covers(context));
    let others = foreign::all().filter(|foreign| foreign.allowed.covers(context));
    let names = own.map(|directive| directive.name);
    names.chain(others.map(|foreign| foreign.name)).collect()
}

/// A line, or a section's first and last.
fn written(name: &str, words: &[u8]) -> Vec<u8> {
    match name.strip_prefix('<').and_then(|name| name.strip_suffix('>')) {
        Some(section) => [
            b"<",
            section.as_bytes(),
            b" ",
            words,
            b">\n</",
            section.as_bytes(),
            b">\n",
        ]
        .concat(),
        None => [name.as_bytes(), b" ", words, b"\n"].concat(),
    }
}

fn everything_is_allowed() -> Overrides {
    let text = b"<Directory />\nAllowOverride All\n</Directory>\n";
    let config = load_text("a.conf", text, Path::new("/")).config;
    config.sites[0].directories[0].conf.overrides.clone()
}

/// Complaints name the file and a line that is there.
fn assert_names_a_line(complaints: &[ConfigError], file: &str, text: &[u8]) {
    let lines = text.split(|byte| *byte == b'\n').count();
    for complaint in complaints {
        let said = complaint.to_string();
        let rest = said.strip_prefix(file).and_then(|rest| rest.strip_prefix(':'));
        let number = rest.and_then(|rest| rest.split(':').next()?.parse().ok());
        let shown = String::from_utf8_lossy(text);
        assert!(
            number.is_some_and(|number: usize| (1..=lines).contains(&number)),
            "`{said}` of:\n{shown}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
}

const AROUND: &[(&str, &str)] = &[
    ("", ""),
    ("<Files f>\n", "</Files>\n"),
    ("<If \"true\">\n", "</If>\n"),
    ("<Limit GET>\n", "</Limit>\n"),
    ("<RequireAll>\n", "</RequireAll>\n"),
    ("<IfModule mod_mime.c>\n", "</IfModule>\n"),
];

#[test]
fn any_words_in_an_access_file_are_taken_or_said_to_be_wrong() {
    let (overrides, config) = (everything_is_allowed(), Config::default());
    let mut tried = 0;
    for name in names(HTACCESS) {
        let alone = WORDS.iter().map(|words| (words, &AROUND[0]));
        let around = AROUND[1..].iter().map(|around| (&WORDS[1], around));
        for (words, (begin, end)) in alone.chain(around) {
            let line = written(name, words);
            let text = [begin.as_bytes(), &line, end.as_bytes()].concat();
            let file = htaccess::read(
                Path::new("/d/.htaccess"),
                &text,
                b"/d/",
                Around::of(&config),
                &overrides,
            );
            assert_names_a_line(&file.errors, "/d/.htaccess", &text);
            assert_names_a_line(&file.notes, "/d/.htaccess", &text);
            tried += 1;
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn any_words_in_the_servers_files_are_taken_or_said_to_be_wrong() {
    for (context, begin, end) in [
        (SERVER, "", ""),
        (VHOST, "<VirtualHost *>\n", "</VirtualHost>\n"),
        (DIRECTORY, "<Directory /d>\n", "</Directory>\n"),
        (DIRECTORY, "<Location /d>\n", "</Location>\n"),
        (DIRECTORY, "<FilesMatch f>\n", "</FilesMatch>\n"),
    ] {
        // One text for all: the table of types is read again for each.
        for words in WORDS {
            let names = names(context).into_iter().filter(|name| !name.starts_with("Include"));
            let lines: Vec<u8> = names.flat_map(|name| written(name, words)).collect();
            let text = [begin.as_bytes(), &lines, end.as_bytes()].concat();
            let loaded = load_text("a.conf", &text, Path::new("/"));
            assert!(loaded.complaints.len() > 50, "most words are wrong");
            assert_names_a_line(&loaded.complaints, "a.conf", &text);
        }
    }
}

/// Directives of the language itself, which act while the text is read, wherever it is.
const LANGUAGE: &[&str] = &[
    "Define",
    "Error",
    "UnDefine",
    "Warning",
    "Include",
    "IncludeOptional",
    "ServerRoot",
    "Use",
    "UndefMacro",
    "MacroIgnoreBadNesting",
    "MacroIgnoreEmptyArgs",
    "<Macro>",
    "<IfDefine>",
    "<IfDirective>",
    "<IfFile>",
    "<IfModule>",
    "<IfSection>",
    "<IfVersion>",
];

#[test]
fn in_the_wrong_place_every_directive_says_where_it_belongs() {
    let (overrides, config) = (everything_is_allowed(), Config::default());
    let mut silent = Vec::new();
    for (context, begin, end) in [
        (SERVER, "", ""),
        (VHOST, "<VirtualHost *>\n", "</VirtualHost>\n"),
        (DIRECTORY, "<Directory /d>\n", "</Directory>\n"),
        (DIRECTORY, "<Location /d>\n", "</Location>\n"),
        (DIRECTORY, "<Files d>\n", "</Files>\n"),
        (DIRECTORY, "<If \"true\">\n", "</If>\n"),
        (HTACCESS, "", ""),
    ] {
        let mut text = begin.as_bytes().to_vec();
        let strangers = all().filter(|directive| !directive.allowed.covers(context));
        let strangers: Vec<_> = strangers.filter(|own| !LANGUAGE.contains(&own.name)).collect();
        for directive in &strangers {
            let words = if directive.default.is_empty() {
                "/x"
            } else {
                directive.default
            };
            text.extend(written(directive.name, words.as_bytes()));
        }
        text.extend_from_slice(end.as_bytes());
        let complaints = if context == HTACCESS {
            htaccess::read(
                Path::new("/d/.htaccess"),
                &text,
                b"/d/",
                Around::of(&config),
                &overrides,
            )
            .errors
        } else {
            load_text("a.conf", &text, Path::new("/")).complaints
        };
        for directive in strangers {
            // It says that it stands in another.
            if directive.name == "<VirtualHost>" && context == VHOST {
                continue;
            }
            let names_it = |complaint: &ConfigError| {
                let said = complaint.to_string();
                let begins = said.contains(&format!(": {}: cannot stand ", directive.name));
                complaint.severity == Severity::Error && begins
            };
            if !complaints.iter().any(names_it) {
                let said = complaints.iter().map(ToString::to_string);
                let said = said.filter(|said| said.contains(directive.name));
                let said: Vec<String> = said.collect();
                silent.push(format!("{begin}{}: {}", directive.name, said.join("; ")));
            }
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}
