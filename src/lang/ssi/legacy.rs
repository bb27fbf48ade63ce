//! The conditions of Apache 2.2, which `SSILegacyExprParser on` asks for: `$X = /re/ && !(a || "b" < c)`.
//!
//! Read by the same rules as there, odd ones included: `!` takes all that follows it up to a closing parenthesis, `&&` and
//! `||` bind alike, and several words are one string.

#[cfg(test)]
mod tests;

use crate::lang::ssi::scan::is_space;

/// What a condition asks of its document.
pub trait Document {
    /// A string with its variables filled in.
    fn expand(&mut self, text: &[u8]) -> Vec<u8>;

    /// Whether a pattern is found in a string; the groups are kept for `$1`.
    fn matches(&mut self, text: &[u8], pattern: &[u8]) -> bool;

    /// Whether the client could have a URL.
    fn is_accessible(&mut self, url: &[u8]) -> bool;
}

/// Why a condition has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is none.
    Invalid,
    /// `-A` has no URL behind it.
    NoUrl,
    /// A `(` has no `)`.
    Open,
    /// A `)` has no `(`.
    Close,
}

impl Fault {
    /// What is wrong, for the error log.
    pub fn reason(self) -> &'static str {
        match self {
            Fault::Invalid => "it is no condition",
            Fault::NoUrl => "`-A` needs a URL behind it",
            Fault::Open => "a `(` has no `)`",
            Fault::Close => "a `)` has no `(`",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    String(Vec<u8>),
    Regex(Vec<u8>),
    And,
    Or,
    Not,
    Compare(Comparison),
    Open,
    Close,
    Group,
    Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
    LessOrEqual,
    Less,
}

/// A node of the tree, which is built leaf by leaf.
#[derive(Debug)]
struct Node {
    token: Token,
    parent: Option<usize>,
    left: Option<usize>,
    right: Option<usize>,
    value: Option<bool>,
}

/// Whether a condition is true. An empty one is not.
pub fn evaluate(text: &[u8], document: &mut impl Document) -> Result<bool, Fault> {
    let mut tree = Tree::default();
    let mut words = Words { rest: text };
    loop {
        let behind_access = tree.current.is_some_and(|at| tree.token(at) == Some(&Token::Access));
        let Some(token) = words.next(behind_access) else {
            break;
        };
        tree.add(token)?;
    }
    tree.evaluate(document)
}

/// The tokens of a condition.
struct Words<'t> {
    rest: &'t [u8],
}

impl Words<'_> {
    /// The next token; a `/` behind `-A` begins a path, and no pattern.
    fn next(&mut self, behind_access: bool) -> Option<Token> {
        let space = self.rest.iter().take_while(|byte| is_space(**byte)).count();
        self.rest = self.rest.get(space..).unwrap_or_default();
        let first = *self.rest.first()?;
        let second = self.rest.get(1).copied();
        let (token, length) = match (first, second) {
            (b'(', _) => (Token::Open, 1),
            (b')', _) => (Token::Close, 1),
            (b'=', Some(b'=')) => (Token::Compare(Comparison::Equal), 2),
            (b'=', _) => (Token::Compare(Comparison::Equal), 1),
            (b'!', Some(b'=')) => (Token::Compare(Comparison::NotEqual), 2),
            (b'!', _) => (Token::Not, 1),
            (b'|', Some(b'|')) => (Token::Or, 2),
            (b'&', Some(b'&')) => (Token::And, 2),
            (b'>', Some(b'=')) => (Token::Compare(Comparison::GreaterOrEqual), 2),
            (b'>', _) => (Token::Compare(Comparison::Greater), 1),
            (b'<', Some(b'=')) => (Token::Compare(Comparison::LessOrEqual), 2),
            (b'<', _) => (Token::Compare(Comparison::Less), 1),
            (b'-', Some(b'A')) => (Token::Access, 2),
            (b'\'', _) => return Some(Token::String(self.quoted(b'\''))),
            (b'/', _) if !behind_access => return Some(Token::Regex(self.quoted(b'/'))),
            _ => return Some(Token::String(self.bare())),
        };
        self.rest = self.rest.get(length..).unwrap_or_default();
        Some(token)
    }

    /// What stands up to the same quote again; nothing where there is none.
    fn quoted(&mut self, quote: u8) -> Vec<u8> {
        let inside = self.rest.get(1..).unwrap_or_default();
        let (mut at, mut backslashes) = (0, 0);
        while let Some(byte) = inside.get(at) {
            if *byte == quote {
                self.rest = inside.get(at + 1..).unwrap_or_default();
                return unescaped(inside.get(..at).unwrap_or_default(), backslashes);
            }
            if *byte == b'\\' && at + 1 < inside.len() {
                backslashes += 1;
                at += 1;
            }
            at += 1;
        }
        self.rest = &[];
        Vec::new()
    }

    /// A word without quotes.
    fn bare(&mut self) -> Vec<u8> {
        let (mut at, mut backslashes) = (1, 0);
        while let Some(byte) = self.rest.get(at) {
            let next = self.rest.get(at + 1);
            match byte {
                b'\\' if next.is_some() => {
                    backslashes += 1;
                    at += 1;
                }
                b'(' | b')' | b'=' | b'!' | b'<' | b'>' => break,
                b'|' | b'&' if next == Some(byte) => break,
                byte if is_space(*byte) => break,
                _ => {}
            }
            at += 1;
        }
        let (word, rest) = self.rest.split_at(at.min(self.rest.len()));
        self.rest = rest;
        unescaped(word, backslashes)
    }
}

/// The text without so many backslashes, each of which stands for the byte behind it.
fn unescaped(text: &[u8], backslashes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    for _ in 0..backslashes {
        let Some(at) = rest.iter().position(|byte| *byte == b'\\') else {
            break;
        };
        let (before, escaped) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend(escaped.get(1));
        rest = escaped.get(2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

#[derive(Debug, Default)]
struct Tree {
    nodes: Vec<Node>,
    root: Option<usize>,
    current: Option<usize>,
    /// How many patterns there are whose groups may be asked for.
    patterns: usize,
}

impl Tree {
    fn token(&self, at: usize) -> Option<&Token> {
        self.nodes.get(at).map(|node| &node.token)
    }

    fn node(&self, at: usize) -> Result<&Node, Fault> {
        self.nodes.get(at).ok_or(Fault::Invalid)
    }

    fn node_mut(&mut self, at: usize) -> Result<&mut Node, Fault> {
        self.nodes.get_mut(at).ok_or(Fault::Invalid)
    }

    fn parent(&self, at: usize) -> Option<usize> {
        self.nodes.get(at)?.parent
    }

    fn push(&mut self, token: Token) -> usize {
        self.nodes.push(Node {
            token,
            parent: None,
            left: None,
            right: None,
            value: None,
        });
        self.nodes.len() - 1
    }

    fn add(&mut self, token: Token) -> Result<(), Fault> {
        let Some(current) = self.current else {
            return self.begin(token);
        };
        let before = self.token(current).ok_or(Fault::Invalid)?.clone();
        match (&token, &before) {
            (Token::String(more), Token::String(_)) => self.lengthen(current, more),
            (
                Token::String(_) | Token::Not | Token::Access | Token::Open,
                Token::Regex(_) | Token::Close | Token::Group,
            )
            | (Token::Not | Token::Access | Token::Open, Token::String(_)) => Err(Fault::Invalid),
            (Token::String(_) | Token::Not | Token::Access | Token::Open, _) => self.hang(current, token),
            (Token::Regex(_), Token::Compare(Comparison::Equal | Comparison::NotEqual)) => {
                self.patterns += 1;
                self.hang(current, token)
            }
            (Token::And | Token::Or, Token::String(_) | Token::Regex(_) | Token::Group) => {
                let mut above = self.parent(current);
                while let Some(at) = above {
                    if matches!(self.token(at), Some(Token::And | Token::Or | Token::Open)) {
                        break;
                    }
                    above = self.parent(at);
                }
                self.insert(above, token)
            }
            (Token::Compare(_), Token::String(_)) => {
                let above = self.parent(current);
                let may_stand =
                    above.is_none_or(|at| matches!(self.token(at), Some(Token::Open | Token::And | Token::Or)));
                if may_stand {
                    self.insert(above, token)
                } else {
                    Err(Fault::Invalid)
                }
            }
            (Token::Close, _) => self.close(current),
            _ => Err(Fault::Invalid),
        }
    }

    fn begin(&mut self, token: Token) -> Result<(), Fault> {
        if !matches!(token, Token::String(_) | Token::Not | Token::Access | Token::Open) {
            return Err(Fault::Invalid);
        }
        let new = self.push(token);
        (self.root, self.current) = (Some(new), Some(new));
        Ok(())
    }

    fn lengthen(&mut self, at: usize, more: &[u8]) -> Result<(), Fault> {
        if let Token::String(text) = &mut self.node_mut(at)?.token {
            if !text.is_empty() {
                text.push(b' ');
            }
            text.extend_from_slice(more);
        }
        Ok(())
    }

    /// Puts a token to the right below `above`.
    fn hang(&mut self, above: usize, token: Token) -> Result<(), Fault> {
        let new = self.push(token);
        self.node_mut(above)?.right = Some(new);
        self.node_mut(new)?.parent = Some(above);
        self.current = Some(new);
        Ok(())
    }

    /// Puts an operator between `above`, or nothing, and what has hung there.
    fn insert(&mut self, above: Option<usize>, token: Token) -> Result<(), Fault> {
        let below = match above {
            Some(at) => self.node(at)?.right,
            None => self.root,
        };
        let new = self.push(token);
        self.node_mut(new)?.left = below;
        self.node_mut(new)?.parent = above;
        if let Some(below) = below {
            self.node_mut(below)?.parent = Some(new);
        }
        match above {
            Some(at) => self.node_mut(at)?.right = Some(new),
            None => self.root = Some(new),
        }
        self.current = Some(new);
        Ok(())
    }

    fn close(&mut self, current: usize) -> Result<(), Fault> {
        let mut at = Some(current);
        while let Some(here) = at {
            if self.token(here) == Some(&Token::Open) {
                self.node_mut(here)?.token = Token::Group;
                self.current = at;
                return Ok(());
            }
            at = self.parent(here);
        }
        Err(Fault::Close)
    }

    /// Works the tree out without recursion: how deep it is, its writer decides.
    fn evaluate(&mut self, document: &mut impl Document) -> Result<bool, Fault> {
        let mut current = self.root;
        while let Some(at) = current {
            match self.work(at, document)? {
                Work::First(below) => current = Some(below),
                Work::Done(value) => {
                    let node = self.node_mut(at)?;
                    node.value = Some(value);
                    current = node.parent;
                }
            }
        }
        Ok(self.root.and_then(|root| self.nodes.get(root)?.value).unwrap_or(false))
    }

    fn work(&mut self, at: usize, document: &mut impl Document) -> Result<Work, Fault> {
        let node = self.node(at)?;
        let (left, right) = (node.left, node.right);
        match &node.token {
            Token::String(text) => Ok(Work::Done(!document.expand(text).is_empty())),
            Token::And | Token::Or => {
                let is_and = node.token == Token::And;
                let (left, right) = (left.ok_or(Fault::Invalid)?, right.ok_or(Fault::Invalid)?);
                let Some(first) = self.node(left)?.value else {
                    return Ok(Work::First(left));
                };
                // The groups of a pattern are kept even where it does not decide.
                if first != is_and && self.patterns == 0 {
                    return Ok(Work::Done(first));
                }
                Ok(match self.node(right)?.value {
                    None => Work::First(right),
                    Some(second) if is_and => Work::Done(first && second),
                    Some(second) => Work::Done(first || second),
                })
            }
            Token::Compare(comparison) => {
                let comparison = *comparison;
                self.compare(comparison, left, right, document).map(Work::Done)
            }
            Token::Not | Token::Group => {
                let is_not = node.token == Token::Not;
                let Some(below) = right else {
                    return Ok(Work::Done(!is_not));
                };
                Ok(match self.node(below)?.value {
                    None => Work::First(below),
                    Some(value) => Work::Done(value != is_not),
                })
            }
            Token::Access => {
                let right = right.ok_or(Fault::NoUrl)?;
                let Token::String(url) = &self.node(right)?.token else {
                    return Err(Fault::NoUrl);
                };
                let url = document.expand(url);
                Ok(Work::Done(document.is_accessible(&url)))
            }
            Token::Regex(_) => Err(Fault::Invalid),
            Token::Open => Err(Fault::Open),
            Token::Close => Err(Fault::Close),
        }
    }

    fn compare(
        &mut self,
        comparison: Comparison,
        left: Option<usize>,
        right: Option<usize>,
        document: &mut impl Document,
    ) -> Result<bool, Fault> {
        let (left, right) = (left.ok_or(Fault::Invalid)?, right.ok_or(Fault::Invalid)?);
        let Token::String(first) = &self.node(left)?.token else {
            return Err(Fault::Invalid);
        };
        let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        let is_same = match &self.node(right)?.token {
            Token::Regex(pattern) if equality => {
                let (first, pattern) = (document.expand(first), document.expand(pattern));
                let found = document.matches(&first, &pattern);
                self.patterns = self.patterns.saturating_sub(1);
                return Ok(found == (comparison == Comparison::Equal));
            }
            Token::String(second) => {
                let (first, second) = (document.expand(first), document.expand(second));
                first.cmp(&second)
            }
            _ => return Err(Fault::Invalid),
        };
        Ok(match comparison {
            Comparison::Equal => is_same.is_eq(),
            Comparison::NotEqual => is_same.is_ne(),
            Comparison::GreaterOrEqual => is_same.is_ge(),
            Comparison::Greater => is_same.is_gt(),
            Comparison::LessOrEqual => is_same.is_le(),
            Comparison::Less => is_same.is_lt(),
        })
    }
}

enum Work {
    /// This node first.
    First(usize),
    Done(bool),
}
