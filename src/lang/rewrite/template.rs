//! Text with back-references, variables and map lookups in it: test strings, substitutions, and what flags carry.

use std::fmt::Write as _;

use crate::lang::vars;

/// A text to be filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// It stands for itself.
    Literal(Vec<u8>),
    /// `$N`: a group of the rule's pattern.
    RuleGroup(usize),
    /// `%N`: a group of the last condition's pattern that matched.
    CondGroup(usize),
    /// `%{NAME}`, as it was written.
    Variable(Variable),
    /// `${map:key|default}`.
    Map {
        /// The map's name.
        map: Vec<u8>,
        /// What is looked up.
        key: Template,
        /// What stands for it when nothing is found.
        default: Option<Template>,
    },
}

/// A variable by where it is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `%{ENV:NAME}`
    Env(String),
    /// `%{SSL:NAME}`
    Ssl(String),
    /// `%{HTTP:Name}`, and `%{HTTP_HOST}` and its kin: a field of the request.
    Field(String),
    /// `%{LA-U:NAME}`: as it will be once the URL has been looked at.
    AheadUrl(Box<Variable>),
    /// `%{LA-F:NAME}`: as it will be once the file has been looked at.
    AheadFile(Box<Variable>),
    /// A part of the time of day, as strftime writes it.
    Time(&'static str),
    /// A variable of the server.
    Server(crate::lang::vars::Variable),
    /// `%{SERVER_ADDR}`: the address the request came to.
    ServerAddress,
    /// None of Apache's names: it stands for nothing.
    Unknown(String),
}

impl Template {
    /// Reads a text. Every text is a template: what is no reference stands for itself.
    pub fn parse(text: &[u8]) -> Template {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            if let Some((piece, behind)) = reference(byte, after) {
                flush(&mut literal, &mut pieces);
                pieces.push(piece);
                rest = behind;
                continue;
            }
            if let (b'\\', Some((&escaped, behind))) = (byte, after.split_first()) {
                literal.push(escaped);
                rest = behind;
            } else {
                literal.push(byte);
                rest = after;
            }
        }
        flush(&mut literal, &mut pieces);
        Template { pieces }
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What it begins with, as far as that stands for itself.
    pub(super) fn literal_start(&self) -> &[u8] {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            _ => b"",
        }
    }

    /// The maps it asks.
    pub fn maps(&self) -> Vec<&[u8]> {
        let mut names = Vec::new();
        for piece in &self.pieces {
            if let Piece::Map { map, key, default } = piece {
                names.push(map.as_slice());
                names.extend(key.maps());
                names.extend(default.iter().flat_map(|default| default.maps()));
            }
        }
        names
    }
}

/// What begins with `$` or `%`, and what follows it.
fn reference(byte: u8, after: &[u8]) -> Option<(Piece, &[u8])> {
    if !matches!(byte, b'$' | b'%') {
        return None;
    }
    match after.split_first()? {
        (digit @ b'0'..=b'9', behind) => {
            let number = usize::from(digit - b'0');
            let piece = if byte == b'$' {
                Piece::RuleGroup(number)
            } else {
                Piece::CondGroup(number)
            };
            Some((piece, behind))
        }
        (b'{', inside) => {
            let end = closing_curly(inside)?;
            let (name, behind) = (inside.get(..end)?, inside.get(end + 1..)?);
            if byte == b'%' {
                return Some((Piece::Variable(Variable::parse(name)), behind));
            }
            let colon = in_curlies(b':', name)?;
            let (map, key) = (name.get(..colon)?, name.get(colon + 1..)?);
            let (key, default) = match in_curlies(b'|', key) {
                Some(bar) => (key.get(..bar)?, key.get(bar + 1..)),
                None => (key, None),
            };
            let piece = Piece::Map {
                map: map.to_vec(),
                key: Template::parse(key),
                default: default.map(Template::parse),
            };
            Some((piece, behind))
        }
        _ => None,
    }
}

/// Where the brace closes that was opened before `text`.
fn closing_curly(text: &[u8]) -> Option<usize> {
    let mut depth = 1_usize;
    text.iter().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// Where `wanted` stands outside of inner braces.
fn in_curlies(wanted: u8, text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    text.iter().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *byte == wanted
    })
}

fn flush(literal: &mut Vec<u8>, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal)));
    }
}

impl Variable {
    /// The variable of a name, as it stands between `%{` and `}`.
    pub fn parse(name: &[u8]) -> Variable {
        let name = String::from_utf8_lossy(name).into_owned();
        let prefixed = |prefix: &str| {
            let start = name.get(..prefix.len())?;
            let rest = name.get(prefix.len()..)?;
            (start.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then(|| rest.to_owned())
        };
        if let Some(name) = prefixed("ENV:") {
            return Variable::Env(name);
        }
        if let Some(name) = prefixed("SSL:") {
            return Variable::Ssl(name);
        }
        if let Some(name) = prefixed("HTTP:") {
            return Variable::Field(name);
        }
        if let Some(name) = prefixed("LA-U:") {
            return Variable::AheadUrl(Box::new(Variable::parse(name.as_bytes())));
        }
        if let Some(name) = prefixed("LA-F:") {
            return Variable::AheadFile(Box::new(Variable::parse(name.as_bytes())));
        }
        Variable::of_server(name)
    }

    fn of_server(name: String) -> Variable {
        if let Some(field) = vars::field_of_variable(&name) {
            return Variable::Field(field.to_owned());
        }
        if let Some(format) = vars::time_of_variable(&name) {
            return Variable::Time(format);
        }
        if name.eq_ignore_ascii_case("SERVER_ADDR") {
            return Variable::ServerAddress;
        }
        match vars::Variable::from_name(&name) {
            // Expressions alone know the handler, as in Apache.
            Some(vars::Variable::Handler) | None => Variable::Unknown(name),
            Some(variable) => Variable::Server(variable),
        }
    }

    /// Its name, for messages.
    pub fn told(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _written = match self {
            Variable::Env(name) => write!(text, "ENV:{name}"),
            Variable::Ssl(name) => write!(text, "SSL:{name}"),
            Variable::Field(name) => write!(text, "HTTP:{name}"),
            Variable::AheadUrl(inner) => write!(text, "LA-U:{}", inner.told()),
            Variable::AheadFile(inner) => write!(text, "LA-F:{}", inner.told()),
            Variable::Time(format) => write!(text, "{format}"),
            Variable::Server(variable) => write!(text, "{}", variable.name()),
            Variable::ServerAddress => write!(text, "SERVER_ADDR"),
            Variable::Unknown(name) => write!(text, "{name}"),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, Template, Variable};

    fn literal(text: &str) -> Piece {
        Piece::Literal(text.as_bytes().to_vec())
    }

    fn parsed(text: &str) -> Vec<Piece> {
        Template::parse(text.as_bytes()).pieces
    }

    #[test]
    fn references_are_found_and_all_else_stands_for_itself() {
        assert_eq!(parsed("/a$1b"), [literal("/a"), Piece::RuleGroup(1), literal("b")]);
        assert_eq!(parsed("%0\\$1$"), [Piece::CondGroup(0), literal("$1$")]);
        assert_eq!(parsed("100% ${x} %{open"), [literal("100% ${x} %{open")]);
        assert_eq!(
            parsed("%{HTTP:X-A}%{http_host}"),
            [
                Piece::Variable(Variable::Field("X-A".into())),
                Piece::Variable(Variable::Field("Host".into())),
            ]
        );
        assert_eq!(parsed("a\\"), [literal("a\\")]);
    }

    #[test]
    fn maps_nest() {
        let inner = Template::parse(b"${lower:$1}");
        assert_eq!(
            parsed("${m:${lower:$1}|x|%{ENV:d}}"),
            [Piece::Map {
                map: b"m".to_vec(),
                key: inner,
                default: Some(Template::parse(b"x|%{ENV:d}")),
            }]
        );
        assert_eq!(
            Template::parse(b"${m:${lower:$1}|${d:x}}").maps(),
            [&b"m"[..], b"lower", b"d"]
        );
    }

    #[test]
    fn every_cut_is_a_template() {
        let text = b"/a$1%2\\$${m:${l:$1}|%{HTTP:X}}%{LA-U:REMOTE_USER}%{ENV:a}";
        for cut in 0..text.len() {
            let _any = Template::parse(&text[..cut]);
            let _other = Template::parse(&text[cut..]);
        }
    }
}
