//! Variables that depend on the request: `mod_setenvif`.

use crate::config::directives::DirConf;
use crate::config::error::Span;
use crate::config::setting::{Appended, settings};
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::lang::expr::Expr;
use crate::lang::regex::Regex;

settings! {
    /// Conditional variables of a place, in the order in which they are tried.
    pub struct SetEnvIf {
        /// The rules.
        rules: Appended<Rule>,
    }
}

/// When a request is of a kind, variables are set or taken away.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Of which kind.
    pub condition: Condition,
    /// The variables, with their values (`$1` is the pattern's first group); `None` takes one away.
    pub variables: Vec<Change>,
    /// How the values are meant.
    pub values: Values,
    /// Where it stands.
    pub span: Span,
}

/// How the values of variables are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// The match's groups are filled in.
    Filled,
    /// As they are written.
    Literal,
}

/// A variable and its new value; `None` takes it away.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// What must be true of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A part of it matches.
    Matches(Attribute, Regex),
    /// An expression is true.
    Holds(Expr),
}

/// A part of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// `Remote_Host`.
    RemoteHost,
    /// `Remote_Addr`.
    RemoteAddr,
    /// `Server_Addr`.
    ServerAddr,
    /// `Request_Method`.
    RequestMethod,
    /// `Request_Protocol`.
    RequestProtocol,
    /// `Request_URI`: the path without the query.
    RequestUri,
    /// A field, or a variable that is set already.
    Named(Vec<u8>),
    /// Any field whose name matches.
    Fields(Regex),
}

macro_rules! rule {
    ($name:literal, $syntax:literal, $least:literal, $ignore_case:literal, $attribute:expr, $summary:literal, $manual:literal) => {
        Directive {
            name: $name,
            module: "mod_setenvif",
            syntax: $syntax,
            words: Words::AtLeast($least),
            allowed: ANYWHERE,
            overrides: Override::FileInfo,
            default: "",
            summary: $summary,
            manual: $manual,
            set: Set::Dir(|conf, args| add(conf, args, $attribute, $ignore_case)),
        }
    };
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    rule!(
        "BrowserMatch",
        "regex [!]name[=value] ...",
        2,
        false,
        Some(b"User-Agent"),
        "Set variables by the User-Agent field.",
        "The same as SetEnvIf User-Agent."
    ),
    rule!(
        "BrowserMatchNoCase",
        "regex [!]name[=value] ...",
        2,
        true,
        Some(b"User-Agent"),
        "Set variables by the User-Agent field, in any case.",
        "The same as SetEnvIfNoCase User-Agent."
    ),
    rule!(
        "SetEnvIf",
        "attribute regex [!]name[=value] ...",
        3,
        false,
        None,
        "Set variables by parts of the request.",
        "The attribute is Remote_Host, Remote_Addr, Server_Addr, Request_Method, Request_Protocol, Request_URI, the name of a \
         field, a pattern for names of fields, or a variable that an earlier line has set. A name without a value gets 1; one \
         with an exclamation mark is taken away; in a value, $0 to $9 stand for the pattern's match and its groups, unless the \
         pattern is plain text, as in Apache. What is not there is compared as nothing, so ^$ finds its absence. Of several fields \
         whose names match, each is tried; Apache tries the last only. Request_URI is the path decoded and without dot segments; \
         outside of sections Apache compares it as the client has written it, so that an escape gets past a pattern. \
         Lines for a place are asked of what the client asked for, not of an index file or a fallback that stands for it."
    ),
    Directive {
        name: "SetEnvIfExpr",
        module: "mod_setenvif",
        syntax: "expression [!]name[=value] ...",
        words: Words::AtLeast(2),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Set variables where an expression is true.",
        manual: "The expressions are those of Apache 2.4; -F, -U and -A, which ask for another request, are never true. In a value, \
$1 to $9 stand for the groups of the last pattern that matched.",
        set: Set::Dir(add_expression),
    },
    rule!(
        "SetEnvIfNoCase",
        "attribute regex [!]name[=value] ...",
        3,
        true,
        None,
        "Set variables by parts of the request, in any case.",
        "The same as SetEnvIf, but the pattern matches in any case."
    ),
];

fn add(conf: &mut DirConf, args: &Args, attribute: Option<&[u8]>, ignore_case: bool) -> Said<()> {
    let (attribute, rest) = match attribute {
        Some(field) => (Attribute::Named(field.to_vec()), 0),
        None => (attribute_of(args.bytes(0))?, 1),
    };
    let pattern =
        std::str::from_utf8(args.bytes(rest)).map_err(|_| format!("{} is not UTF-8 text", shown(args.bytes(rest))))?;
    let values = if is_plain(pattern.as_bytes()) {
        Values::Literal
    } else {
        Values::Filled
    };
    let pattern = Regex::new(pattern, ignore_case).map_err(|e| e.0)?;
    let variables = variables(args.rest(rest + 1))?;
    let condition = Condition::Matches(attribute, pattern);
    let span = args.span.clone();
    conf.set_env_if.rules.push(Rule {
        condition,
        variables,
        values,
        span,
    });
    Ok(())
}

fn add_expression(conf: &mut DirConf, args: &Args) -> Said<()> {
    let expr = Expr::parse(args.text(0)?, args.trust).map_err(|e| e.0)?;
    let variables = variables(args.rest(1))?;
    let condition = Condition::Holds(expr);
    let span = args.span.clone();
    conf.set_env_if.rules.push(Rule {
        condition,
        variables,
        values: Values::Filled,
        span,
    });
    Ok(())
}

/// Whether a pattern is text in which nothing has a meaning of its own that is not escaped. Apache seeks such text without the
/// engine of its patterns, and has no groups then.
fn is_plain(pattern: &[u8]) -> bool {
    let mut escaped = false;
    for byte in pattern {
        let is_special = b"^.$|()[]*+?{}".contains(byte);
        match (byte, escaped) {
            (b'\\', _) => escaped = !escaped,
            _ if is_special != escaped => return false,
            _ => escaped = false,
        }
    }
    true
}

fn variables(words: &[Vec<u8>]) -> Said<Vec<Change>> {
    words.iter().map(|word| variable(word)).collect()
}

fn attribute_of(word: &[u8]) -> Said<Attribute> {
    Ok(match word.to_ascii_lowercase().as_slice() {
        b"remote_host" => Attribute::RemoteHost,
        b"remote_addr" => Attribute::RemoteAddr,
        b"server_addr" => Attribute::ServerAddr,
        b"request_method" => Attribute::RequestMethod,
        b"request_protocol" => Attribute::RequestProtocol,
        b"request_uri" => Attribute::RequestUri,
        _ if word
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) =>
        {
            Attribute::Named(word.to_vec())
        }
        _ => {
            let pattern = std::str::from_utf8(word).map_err(|_| format!("{} is not UTF-8 text", shown(word)))?;
            Attribute::Fields(Regex::new(pattern, true).map_err(|e| e.0)?)
        }
    })
}

fn variable(word: &[u8]) -> Said<Change> {
    let (name, value) = match word.iter().position(|b| *b == b'=') {
        _ if word.first() == Some(&b'!') => (&word[1..], None),
        Some(at) => (&word[..at], Some(word[at + 1..].to_vec())),
        None => (word, Some(b"1".to_vec())),
    };
    if name.is_empty() {
        Err(format!("{} names no variable", shown(word)))
    } else {
        Ok((name.to_vec(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn plain_patterns_are_told_from_others() {
        for (pattern, plain) in [
            ("Mozilla", true),
            ("a b/c-d_e:0", true),
            (r"www\.example", true),
            (r"a\\b", true),
            ("", true),
            ("www.example", false),
            ("^a", false),
            ("a$", false),
            (r"\w", false),
            (r"B\x6ft", false),
            (r"a\\.b", false),
            ("a|b", false),
        ] {
            assert_eq!(is_plain(pattern.as_bytes()), plain, "{pattern}");
        }
    }
}
