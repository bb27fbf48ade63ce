//! What stands in the sections and access files that applied, line by line, as it was written.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::error::Span;
use crate::config::htaccess;
use crate::config::node::Node;
use crate::config::site::Config;

/// Every section by the place where it starts.
#[derive(Default)]
pub(super) struct Sections(HashMap<Span, Vec<Line>>);

/// A directive in a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// How deep it stands.
    pub(super) depth: usize,
    /// As it was written.
    pub(super) text: String,
    /// Where it stands.
    pub(super) span: Span,
}

impl Sections {
    /// The sections among these nodes, and in them.
    pub(super) fn add(&mut self, nodes: &[Node]) {
        for node in nodes {
            if let Node::Section { children, span, .. } = node {
                self.0.entry(span.clone()).or_insert_with(|| inside(children));
                self.add(children);
            }
        }
    }

    /// What stands in the section that starts there.
    pub(super) fn lines(&self, at: &Span) -> &[Line] {
        self.0.get(at).map_or(&[], Vec::as_slice)
    }

    /// What stands in an access file, whose sections are known from here on.
    pub(super) fn access_file(&mut self, path: &[u8], config: &Config) -> Vec<Line> {
        let name = Path::new(OsStr::from_bytes(path));
        let text = std::fs::read(name).unwrap_or_default();
        let nodes = htaccess::nodes(name, &text, htaccess::Around::of(config));
        self.add(&nodes);
        inside(&nodes)
    }
}

/// The directives, with those of sections that say nothing of other places.
fn inside(nodes: &[Node]) -> Vec<Line> {
    let mut lines = Vec::new();
    add_lines(nodes, 0, &mut lines);
    lines
}

fn add_lines(nodes: &[Node], depth: usize, lines: &mut Vec<Line>) {
    for node in nodes {
        let args = String::from_utf8_lossy(node.args_raw());
        let space = if args.is_empty() { "" } else { " " };
        let line = |text| Line {
            depth,
            text,
            span: node.span().clone(),
        };
        match node {
            Node::Directive { name, .. } => lines.push(line(format!("{name}{space}{args}"))),
            // Where these apply they are told as sections of their own.
            Node::Section { name, .. } if is_of_its_own(name) => {}
            Node::Section { name, children, .. } => {
                lines.push(line(format!("<{name}{space}{args}>")));
                add_lines(children, depth + 1, lines);
            }
        }
    }
}

fn is_of_its_own(name: &str) -> bool {
    ["files", "filesmatch", "if", "elseif", "else"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}
