//! The tree of directives and sections that is left when the language has done its part.

use crate::base::quoting;
use crate::config::define::Defines;
use crate::config::error::Span;

/// A directive or a section, with every variable replaced, every file included and every macro expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// One directive.
    Directive {
        /// The name as it was written; only ASCII letters, digits, `_` and `-`.
        name: String,
        /// What follows the name, quotes and all.
        args_raw: Vec<u8>,
        /// The same as words.
        words: Vec<Vec<u8>>,
        /// Where it stands.
        span: Span,
    },
    /// A section and what is in it.
    Section {
        /// The name as it was written, without `<`.
        name: String,
        /// What stands between the name and `>`, quotes and all.
        args_raw: Vec<u8>,
        /// The same as words.
        words: Vec<Vec<u8>>,
        /// What is inside.
        children: Vec<Node>,
        /// Where it begins.
        span: Span,
    },
}

impl Node {
    /// A directive; `args_raw` has no white space at its ends.
    pub fn directive(name: &str, args_raw: &[u8], span: Span) -> Node {
        Node::Directive {
            name: name.to_owned(),
            args_raw: args_raw.to_vec(),
            words: quoting::words(args_raw),
            span,
        }
    }

    /// A section; `args_raw` has no white space at its ends.
    pub fn section(name: &str, args_raw: &[u8], children: Vec<Node>, span: Span) -> Node {
        Node::Section {
            name: name.to_owned(),
            args_raw: args_raw.to_vec(),
            words: quoting::words(args_raw),
            children,
            span,
        }
    }

    /// The name as it was written, without `<`.
    pub fn name(&self) -> &str {
        match self {
            Node::Directive { name, .. } | Node::Section { name, .. } => name,
        }
    }

    /// What follows the name, quotes and all.
    pub fn args_raw(&self) -> &[u8] {
        match self {
            Node::Directive { args_raw, .. } | Node::Section { args_raw, .. } => args_raw,
        }
    }

    /// What follows the name, as words.
    pub fn words(&self) -> &[Vec<u8>] {
        match self {
            Node::Directive { words, .. } | Node::Section { words, .. } => words,
        }
    }

    /// Where it stands.
    pub fn span(&self) -> &Span {
        match self {
            Node::Directive { span, .. } | Node::Section { span, .. } => span,
        }
    }

    /// What is inside; nothing for a directive.
    pub fn children(&self) -> &[Node] {
        match self {
            Node::Directive { .. } => &[],
            Node::Section { children, .. } => children,
        }
    }
}

/// Everything the configuration files said, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The directives and sections outside every section.
    pub nodes: Vec<Node>,
    /// What is defined at the end; `.htaccess` files are read with it.
    pub defines: Defines,
    /// `ServerRoot` at the end, without a final slash.
    pub server_root: Vec<u8>,
}
