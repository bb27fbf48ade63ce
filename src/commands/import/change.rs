//! What to write in the place of a line that the server does not start with. A line may be left out only where nothing is
//! opened by that: what guards a place, or answers for files, is left to a person, or its whole virtual host is left out.

use crate::base::quoting;
use crate::base::quoting::trim_start;
use crate::config::directives;
use crate::config::directives::foreign::{self, Answer};
use crate::config::error::{ConfigError, Severity};
use crate::config::node::Node;

use super::texts::{Texts, without_end};

/// What to do about a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing needs to be done.
    None,
    /// It becomes this line.
    Line(Vec<u8>),
    /// It becomes a comment, with all lines up to this one.
    LeaveOut {
        /// The number of the last line.
        last: u32,
    },
    /// The virtual host around it becomes a comment.
    LeaveOutHost {
        /// The number of its first line.
        first: u32,
        /// That of its last.
        last: u32,
    },
    /// Somebody has to decide.
    ByHand,
}

/// Words that switch something off, or ask for what holds anyway; the first that an answer takes as harmless is suggested.
const HARMLESS: &[&str] = &["Off", "None", "http", "Script", "standalone", "/dev/null"];

/// Modules whose lines open nothing when they are left out: they say neither who may see what, nor who answers for files that would
/// be shown instead.
const OPENS_NOTHING: &[&str] = &[
    "core",
    "mod_cern_meta",
    "mod_cgid",
    "mod_charset_lite",
    "mod_dir",
    "mod_echo",
    "mod_http2",
    "mod_log_agent",
    "mod_log_config",
    "mod_log_forensic",
    "mod_log_referer",
    "mod_mime",
    "mod_proxy_express",
    "mod_proxy_html",
    "mod_proxy_scgi",
    "mod_sed",
    "mod_speling",
    "mod_substitute",
    "mod_usertrack",
    "mod_xsendfile",
    "mpm",
];

/// One of these that changes what patterns match, those of guards among them.
const CHANGES_PATTERNS: &str = "RegexDefaultOptions";

/// What to do about the line that `error` is about. `nodes` are the settings that it stands in.
pub fn of(error: &ConfigError, nodes: &[Node], texts: &Texts) -> Change {
    if error.severity < Severity::Error {
        return Change::None;
    }
    let Some(name) = &error.directive else {
        return Change::ByHand;
    };
    let Some((line, last)) = texts.line(&error.span, name) else {
        return Change::ByHand;
    };
    if directives::all().any(|own| own.name.eq_ignore_ascii_case(name)) {
        return Change::ByHand;
    }
    let Some(known) = foreign::find(name) else {
        let near = foreign::did_you_mean(name);
        return near.map_or(Change::ByHand, |near| Change::Line(renamed(&line, name, near)));
    };
    if !OPENS_NOTHING.contains(&known.module) || known.name == CHANGES_PATTERNS {
        return host_around(nodes, error, texts).unwrap_or(Change::ByHand);
    }
    if name.starts_with('<') {
        let last = texts.section_end(&error.span, name);
        return last.map_or(Change::ByHand, |last| Change::LeaveOut { last });
    }
    let harmless = HARMLESS
        .iter()
        .find(|word| matches!(known.answer, Answer::By(decide) if is_harmless(decide(&[word.as_bytes().to_vec()]))));
    match harmless {
        Some(word) => Change::Line(with_words(&line, word)),
        None => Change::LeaveOut { last },
    }
}

fn is_harmless(answer: Answer) -> bool {
    matches!(answer, Answer::Ignored(_))
}

/// The virtual host in which the error is, if its lines are in the same file.
fn host_around(nodes: &[Node], error: &ConfigError, texts: &Texts) -> Option<Change> {
    let hosts = nodes
        .iter()
        .filter(|node| node.name().eq_ignore_ascii_case("VirtualHost"));
    let host = hosts.into_iter().find(|host| holds(host, error))?;
    let (first, name) = (host.span(), "<VirtualHost>");
    texts.line(first, name)?;
    let last = texts.section_end(first, name)?;
    let is_inside = first.file == error.span.file && (first.line..last).contains(&error.span.line);
    is_inside.then_some(Change::LeaveOutHost {
        first: first.line,
        last,
    })
}

fn holds(node: &Node, error: &ConfigError) -> bool {
    let mut children = node.children().iter();
    children.any(|child| *child.span() == error.span || holds(child, error))
}

/// The line with another name.
fn renamed(line: &[u8], name: &str, near: &str) -> Vec<u8> {
    let (indent, rest) = parted(line);
    // Both are sections, or neither is.
    let (name, near) = (name.trim_end_matches('>'), near.trim_end_matches('>'));
    [indent, near.as_bytes(), rest.get(name.len()..).unwrap_or_default()].concat()
}

/// The line with this word instead of those that it has.
fn with_words(line: &[u8], word: &str) -> Vec<u8> {
    let (indent, rest) = parted(line);
    let name = quoting::next_word(rest).map(|(name, _)| name).unwrap_or_default();
    [indent, &name, b" ", word.as_bytes()].concat()
}

/// White space, and the rest.
fn parted(line: &[u8]) -> (&[u8], &[u8]) {
    let rest = trim_start(line);
    let (indent, _) = line.split_at(line.len() - rest.len());
    (indent, without_end(rest))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Change, of};
    use crate::commands::import::texts::Texts;
    use crate::config::load::load_text;

    fn changes(name: &str, text: &str) -> Vec<Change> {
        let path: PathBuf = std::env::temp_dir().join(format!("lychgate-change-{name}-{}", std::process::id()));
        std::fs::write(&path, text).expect("there is room");
        let loaded = load_text(&path.to_string_lossy(), text.as_bytes(), Path::new("/"));
        let texts = Texts::default();
        let fatal = loaded.complaints.iter().filter(|complaint| complaint.is_fatal());
        let changes = fatal.map(|error| of(error, &loaded.settings.nodes, &texts)).collect();
        std::fs::remove_file(&path).expect("ours");
        changes
    }

    #[test]
    fn what_is_suggested_follows_from_the_table() {
        let line = |text: &str| Change::Line(text.as_bytes().to_vec());
        for (n, (text, want)) in [
            ("  StrictHostCheck ON\n", line("  StrictHostCheck Off")),
            ("MergeTrailers \\\n  on\n", line("MergeTrailers Off")),
            ("\tDirectryIndex a.html\n", line("\tDirectoryIndex a.html")),
            ("<Directry />\n</Directry>\n", line("<Directory />")),
            ("AgentLog \\\nlogs/agents\n", Change::LeaveOut { last: 2 }),
            // A value that is wrong, and a name that is nobody's.
            ("KeepAliveTimeout soon\n", Change::ByHand),
            ("Zzyzzyxx on\n", Change::ByHand),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(changes(&format!("line{n}"), text), [want], "{text}");
        }
    }

    #[test]
    fn what_guards_is_never_left_out_alone() {
        for (n, (text, want)) in [
            ("MDomain a.example\n", Change::ByHand),
            ("RegexDefaultOptions -DOTALL\n", Change::ByHand),
            ("JkMount /*.jsp a\n", Change::ByHand),
            ("SecRuleEngine On\n", Change::ByHand),
            ("PerlAccessHandler A\n", Change::ByHand),
            ("<Location />\nAuthDBMUserFile x\n</Location>\n", Change::ByHand),
            (
                "<VirtualHost *:443>\nMDomain a.example\n</VirtualHost>\n",
                Change::LeaveOutHost { first: 1, last: 3 },
            ),
            (
                "\n<VirtualHost *:443>\n<Location />\nAuthDBMUserFile x\n</Location>\n</VirtualHost>\n",
                Change::LeaveOutHost { first: 2, last: 6 },
            ),
            ("<Directory />\nAuthDBMUserFile x\n</Directory>\n", Change::ByHand),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(changes(&format!("guard{n}"), text), [want], "{text}");
        }
    }
}
