//! The grammar of the manual page, by recursive descent.

use super::functions;
use super::scan::{Scanner, Token, leading_name};
use super::{Condition, Function, GlobKind, Subnet, Trust, Word};
use crate::lang::regex::Regex;
use crate::lang::tls_variable;
use crate::lang::vars::{self, Accessible, FileTest, Variable};

/// How deep parentheses, negations and calls may nest. (Apache gives up at 20 when it evaluates.)
const MAX_DEPTH: usize = 40;

/// Why a question is refused where expressions are not to look at files.
const LOOKS_AT_FILES: &str = "looks at files, which is not allowed here";

/// Reads a boolean expression.
pub(super) fn boolean(text: &str, trust: Trust) -> Result<Condition, String> {
    whole(Parser::new(text, trust))
}

/// Reads the expression of SSLRequire.
pub(super) fn of_ssl_require(text: &str, trust: Trust) -> Result<Condition, String> {
    let mut parser = Parser::new(text, trust);
    parser.compares = Compares::ByLength;
    whole(parser)
}

fn whole(mut parser: Parser<'_>) -> Result<Condition, String> {
    let condition = parser.any()?;
    match parser.scanner.peek()? {
        Token::End => Ok(condition),
        _ => Err(parser.scanner.unexpected()),
    }
}

/// Reads a string expression.
pub(super) fn string(text: &str, trust: Trust) -> Result<Word, String> {
    let mut parser = Parser::new(text, trust);
    parser.text(Ends::AtTheEnd)
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    trust: Trust,
    compares: Compares,
    depth: usize,
}

/// How two words are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compares {
    /// As texts or as numbers, whatever the operator says.
    AsSaid,
    /// As SSLRequire does.
    ByLength,
}

/// What ends a string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    AtTheEnd,
    WithQuote(u8),
    WithBrace,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, trust: Trust) -> Parser<'t> {
        Parser {
            scanner: Scanner { rest: text },
            trust,
            compares: Compares::AsSaid,
            depth: 0,
        }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!("the expression nests deeper than {MAX_DEPTH}"));
        }
        self.depth += 1;
        let inner = inner(self);
        self.depth -= 1;
        inner
    }

    fn eat(&mut self, wanted: Token<'_>) -> Result<bool, String> {
        let mut ahead = self.scanner;
        let found = ahead.token()? == wanted;
        if found {
            self.scanner = ahead;
        }
        Ok(found)
    }

    fn expect(&mut self, punctuation: u8) -> Result<(), String> {
        if self.eat(Token::Punctuation(punctuation))? {
            return Ok(());
        }
        let why = self.scanner.unexpected();
        Err(format!("{why}; `{}` is missing", char::from(punctuation)))
    }

    /// `a || b || …`
    fn any(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.all()?];
        while self.eat(Token::Or)? {
            all.push(self.all()?);
        }
        Ok(single_or(all, Condition::Any))
    }

    /// `a && b && …`
    fn all(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.one()?];
        while self.eat(Token::And)? {
            all.push(self.one()?);
        }
        Ok(single_or(all, Condition::All))
    }

    fn one(&mut self) -> Result<Condition, String> {
        let before = self.scanner;
        match self.scanner.token()? {
            Token::True => Ok(Condition::Always(true)),
            Token::False => Ok(Condition::Always(false)),
            Token::Not => {
                let inner = self.nested(Self::one)?;
                Ok(Condition::Not(Box::new(inner)))
            }
            Token::Punctuation(b'(') => {
                let inner = self.nested(Self::any)?;
                self.expect(b')')?;
                Ok(inner)
            }
            Token::Unary(letter) => self.unary(letter),
            _ => {
                self.scanner = before;
                self.comparison()
            }
        }
    }

    fn unary(&mut self, letter: u8) -> Result<Condition, String> {
        let name = char::from(letter);
        let file = |test| move |word| Condition::File(test, word);
        let word = match letter {
            b'R' => {
                let before = self.scanner;
                return match self.word()? {
                    Word::Literal(text) => Ok(Condition::ClientIn(subnet(&text)?)),
                    _ => Err(format!(
                        "`-R` needs a network in quotes, not `{}`",
                        before.rest.trim_start()
                    )),
                };
            }
            b'd' | b'e' | b'f' | b's' | b'L' | b'h' | b'x' if self.trust == Trust::Document => {
                return Err(format!("`-{name}` {LOOKS_AT_FILES}"));
            }
            b'd' | b'e' | b'f' | b's' | b'L' | b'h' | b'x' | b'F' | b'U' | b'A' | b'n' | b'z' | b'T' => self.word()?,
            _ => return Err(format!("`-{name}` is not an operator")),
        };
        Ok(match letter {
            b'd' => file(FileTest::Directory)(word),
            b'e' => file(FileTest::Exists)(word),
            b'f' => file(FileTest::Regular)(word),
            b's' => file(FileTest::NotEmpty)(word),
            b'x' => file(FileTest::Executable)(word),
            b'L' | b'h' => file(FileTest::Symlink)(word),
            b'F' => Condition::Accessible(Accessible::File, word),
            b'U' | b'A' => Condition::Accessible(Accessible::Url, word),
            b'n' => Condition::NotEmpty(word),
            b'z' => Condition::Empty(word),
            _ => Condition::Truth(word),
        })
    }

    fn refuse_restricted(&self, name: &str) -> Result<(), String> {
        match self.trust {
            Trust::Full => Ok(()),
            Trust::Restricted | Trust::Document => Err(format!("`{name}` {LOOKS_AT_FILES}")),
        }
    }

    /// A word, an operator and what belongs to it.
    fn comparison(&mut self) -> Result<Condition, String> {
        let left = self.word()?;
        let before = self.scanner;
        match self.scanner.token()? {
            Token::Strings(how) | Token::Integers(how) if self.compares == Compares::ByLength => {
                Ok(Condition::Lengths(left, how, self.word()?))
            }
            Token::Strings(how) => Ok(Condition::Strings(left, how, self.word()?)),
            Token::Integers(how) => Ok(Condition::Integers(left, how, self.word()?)),
            Token::Matches => Ok(Condition::Matches(left, Box::new(self.regex()?))),
            Token::MatchesNot => {
                let matches = Condition::Matches(left, Box::new(self.regex()?));
                Ok(Condition::Not(Box::new(matches)))
            }
            Token::In => Ok(Condition::In(left, self.list()?)),
            Token::Binary(name) => self.binary(left, name),
            Token::End => Err("a word alone is no condition; `-n` asks whether it is not empty".to_owned()),
            _ => Err(before.unexpected()),
        }
    }

    fn binary(&mut self, left: Word, name: &str) -> Result<Condition, String> {
        let kind = match name.to_ascii_lowercase().as_str() {
            "strmatch" => GlobKind::Strmatch,
            "strcmatch" => GlobKind::Strcmatch,
            "fnmatch" => GlobKind::Fnmatch,
            "ipmatch" => {
                return match self.word()? {
                    Word::Literal(text) => Ok(Condition::AddressIn(left, subnet(&text)?)),
                    _ => Err("`-ipmatch` needs a network in quotes".to_owned()),
                };
            }
            _ => return Err(format!("`-{name}` is not an operator")),
        };
        Ok(Condition::Globs(left, kind, self.word()?))
    }

    /// `{ word, word … }`. Lists made by functions exist in mod_ssl only.
    fn list(&mut self) -> Result<Vec<Word>, String> {
        self.expect(b'{')?;
        let mut words = vec![self.word()?];
        while self.eat(Token::Punctuation(b','))? {
            words.push(self.word()?);
        }
        self.expect(b'}')?;
        Ok(words)
    }

    /// `/pattern/i`, `m#pattern#i`. The pattern ends at the next delimiter; it cannot be escaped.
    fn regex(&mut self) -> Result<Regex, String> {
        let Token::Regex(delimiter) = self.scanner.peek()? else {
            return Err("`=~` and `!~` need a pattern such as `/…/` or `m#…#`".to_owned());
        };
        self.scanner.token()?;
        let rest = self.scanner.rest;
        let Some(end) = rest.find(char::from(delimiter)) else {
            return Err(format!("the pattern has no closing `{}`", char::from(delimiter)));
        };
        self.scanner.rest = &rest[end + 1..];
        let ignore_case = self.scanner.rest.starts_with('i');
        if ignore_case {
            self.scanner.rest = &self.scanner.rest[1..];
        }
        Regex::new(&rest[..end], ignore_case).map_err(|e| e.0)
    }

    /// `word . word …`
    fn word(&mut self) -> Result<Word, String> {
        let mut words = vec![self.simple_word()?];
        while self.eat(Token::Dot)? {
            words.push(self.simple_word()?);
        }
        Ok(joined(words))
    }

    fn simple_word(&mut self) -> Result<Word, String> {
        let before = self.scanner;
        match self.scanner.token()? {
            Token::Digits(digits) => Ok(Word::Literal(digits.into())),
            Token::Quote(quote) => self.text(Ends::WithQuote(quote)),
            Token::Variable => self.variable(),
            Token::Group(number) => Ok(Word::Group(number)),
            Token::Name(name) => {
                let function = self.function(name)?;
                self.expect(b'(')?;
                let argument = self.nested(Self::word)?;
                self.expect(b')')?;
                Ok(Word::Call(function, Box::new(argument)))
            }
            _ => Err(before.unexpected()),
        }
    }

    fn function(&self, name: &str) -> Result<Function, String> {
        let function = match functions::by_name(name) {
            None if self.trust == Trust::Document && name.eq_ignore_ascii_case("v") => Some(Function::RequestEnv),
            function => function,
        };
        let function = function.ok_or_else(|| format!("`{name}` is not a function"))?;
        if matches!(function, Function::File | Function::FileSize) {
            self.refuse_restricted(&name.to_ascii_lowercase())?;
        }
        Ok(function)
    }

    /// After `%{`: `NAME}` or `function:text}`.
    fn variable(&mut self) -> Result<Word, String> {
        let name = leading_name(self.scanner.rest);
        let after = &self.scanner.rest[name.len()..];
        match after.as_bytes().first() {
            Some(b'}') => {
                self.scanner.rest = &after[1..];
                variable(name)
            }
            Some(b':') => {
                let function = self.function(name)?;
                self.scanner.rest = &after[1..];
                if self.scanner.rest.starts_with('}') {
                    return Err(format!("`%{{{name}:}}` needs an argument"));
                }
                let argument = self.nested(|parser| parser.text(Ends::WithBrace))?;
                Ok(Word::Call(function, Box::new(argument)))
            }
            Some(_) => Err(format!("`%{{{name}` is followed by what no variable's name has")),
            None => Err(format!("`%{{{name}` has no `}}`")),
        }
    }

    /// A string's text up to its end, which is taken too.
    fn text(&mut self, ends: Ends) -> Result<Word, String> {
        let mut words = Vec::new();
        let mut literal = Vec::new();
        loop {
            let rest = self.scanner.rest;
            let Some(c) = rest.chars().next() else {
                match ends {
                    Ends::AtTheEnd => break,
                    Ends::WithQuote(quote) => return Err(format!("a string has no closing `{}`", char::from(quote))),
                    Ends::WithBrace => return Err("a `%{…:` has no `}`".to_owned()),
                }
            };
            if ends == Ends::WithBrace && c == '}' || ends == Ends::WithQuote(u8::try_from(c).unwrap_or(0)) {
                self.scanner.rest = &rest[1..];
                break;
            }
            if let Some(word) = self.substitution()? {
                flush(&mut literal, &mut words);
                words.push(word);
            } else if let Some(after) = rest.strip_prefix('\\') {
                self.scanner.rest = escape(after, &mut literal)?;
            } else if c == '\n' {
                return Err("a string goes over the end of the line".to_owned());
            } else {
                let (head, after) = rest.split_at(c.len_utf8());
                literal.extend_from_slice(head.as_bytes());
                self.scanner.rest = after;
            }
        }
        flush(&mut literal, &mut words);
        Ok(joined(words))
    }

    /// `%{…}` or `$1` inside a string.
    fn substitution(&mut self) -> Result<Option<Word>, String> {
        let rest = self.scanner.rest;
        if let Some(after) = rest.strip_prefix("%{") {
            self.scanner.rest = after;
            return self.nested(Self::variable).map(Some);
        }
        if let [b'$', digit @ b'0'..=b'9', ..] = rest.as_bytes() {
            self.scanner.rest = &rest[2..];
            return Ok(Some(Word::Group(digit - b'0')));
        }
        Ok(None)
    }
}

/// What follows a backslash: up to three octal digits, a C letter, or a character that stands for itself.
fn escape<'t>(after: &'t str, literal: &mut Vec<u8>) -> Result<&'t str, String> {
    let octal = after.bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
    if octal > 0 {
        let (digits, rest) = after.split_at(octal);
        match u8::from_str_radix(digits, 8) {
            Ok(0) => {
                return Err(format!(
                    "`\\{digits}` would end the string in Apache, and is refused here"
                ));
            }
            Ok(byte) => literal.push(byte),
            Err(_) => return Err(format!("`\\{digits}` is more than a byte")),
        }
        return Ok(rest);
    }
    let Some(c) = after.chars().next() else {
        return Err("a string ends in a backslash".to_owned());
    };
    let (head, rest) = after.split_at(c.len_utf8());
    match c {
        'n' => literal.push(b'\n'),
        'r' => literal.push(b'\r'),
        't' => literal.push(b'\t'),
        'b' => literal.push(0x08),
        'f' => literal.push(0x0c),
        '0'..='9' => return Err(format!("`\\{c}` is not an octal digit")),
        _ => literal.extend_from_slice(head.as_bytes()),
    }
    Ok(rest)
}

fn flush(literal: &mut Vec<u8>, words: &mut Vec<Word>) {
    if !literal.is_empty() {
        words.push(Word::Literal(std::mem::take(literal)));
    }
}

fn single_or(mut all: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match (all.len(), all.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            all.extend(last);
            many(all)
        }
    }
}

fn joined(mut words: Vec<Word>) -> Word {
    match words.len() {
        0 => Word::Literal(Vec::new()),
        1 => words.remove(0),
        _ => Word::Joined(words),
    }
}

fn subnet(text: &[u8]) -> Result<Subnet, String> {
    let text = String::from_utf8_lossy(text);
    Subnet::parse(&text).ok_or_else(|| format!("`{text}` is not a network such as `10.0.0.0/8` or `2001:db8::/32`"))
}

fn variable(name: &str) -> Result<Word, String> {
    if let Some(field) = vars::field_of_variable(name) {
        return Ok(Word::Field(field));
    }
    if let Some(format) = vars::time_of_variable(name) {
        return Ok(Word::Time(format));
    }
    if tls_variable::is_own(name) {
        return Ok(Word::Tls(name.into()));
    }
    let unknown = || match name.get(..5).filter(|start| start.eq_ignore_ascii_case("HTTP_")) {
        Some(_) => format!(
            "`{name}` is not a variable; a field is written `%{{req:{}}}`",
            name[5..].replace('_', "-")
        ),
        None => format!("`{name}` is not a variable"),
    };
    Variable::from_name(name).map(Word::Variable).ok_or_else(unknown)
}
