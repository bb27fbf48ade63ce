//! From text to tokens, as Apache's scanner cuts them: the longest match, operators in lower case.

use super::Comparison;

/// One token outside strings. What follows a [`Token::Quote`], [`Token::Variable`] or [`Token::Regex`] is not
/// cut into tokens; the parser takes it from the scanner's rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    End,
    True,
    False,
    And,
    Or,
    Not,
    Dot,
    In,
    Strings(Comparison),
    Integers(Comparison),
    Matches,
    MatchesNot,
    Unary(u8),
    Binary(&'t str),
    Digits(&'t str),
    Name(&'t str),
    Punctuation(u8),
    Quote(u8),
    Variable,
    Group(u8),
    Regex(u8),
}

/// The text not yet read.
#[derive(Clone, Copy)]
pub(super) struct Scanner<'t> {
    pub(super) rest: &'t str,
}

/// What may stand after the `m` of `m#…#`.
const DELIMITERS: &[u8] = b"/#$%^,;:_?|!.'\"-";

impl<'t> Scanner<'t> {
    /// Takes the next token.
    pub(super) fn token(&mut self) -> Result<Token<'t>, String> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let Some(&byte) = self.rest.as_bytes().first() else {
            return Ok(Token::End);
        };
        if let Some((token, len)) = self.operator() {
            self.skip(len);
            return Ok(token);
        }
        let token = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => return Ok(self.name()),
            b'0'..=b'9' => return Ok(self.digits(0)),
            b'-' => return self.dashed(),
            b'"' | b'\'' => Token::Quote(byte),
            b'/' => Token::Regex(b'/'),
            b'.' => Token::Dot,
            b'(' | b')' | b'{' | b'}' | b',' => Token::Punctuation(byte),
            b'$' => match self.rest.as_bytes().get(1) {
                Some(digit @ b'0'..=b'9') => {
                    self.skip(2);
                    return Ok(Token::Group(digit - b'0'));
                }
                _ => return Err(self.unexpected()),
            },
            _ => return Err(self.unexpected()),
        };
        self.skip(1);
        Ok(token)
    }

    /// The next token, left where it is.
    pub(super) fn peek(&self) -> Result<Token<'t>, String> {
        let mut ahead = *self;
        ahead.token()
    }

    /// A sentence about what stands here.
    pub(super) fn unexpected(&self) -> String {
        let rest = self.rest.trim_start();
        if rest.is_empty() {
            return "the expression ends too early".to_owned();
        }
        let near: String = rest.chars().take(20).collect();
        format!("`{near}` is not expected there")
    }

    fn skip(&mut self, len: usize) {
        self.rest = &self.rest[len..];
    }

    fn operator(&self) -> Option<(Token<'t>, usize)> {
        let two = self.rest.get(..2).and_then(|two| {
            Some(match two {
                "==" => Token::Strings(Comparison::Equal),
                "!=" => Token::Strings(Comparison::NotEqual),
                "<=" => Token::Strings(Comparison::LessOrEqual),
                ">=" => Token::Strings(Comparison::GreaterOrEqual),
                "=~" => Token::Matches,
                "!~" => Token::MatchesNot,
                "&&" => Token::And,
                "||" => Token::Or,
                "%{" => Token::Variable,
                _ => return None,
            })
        });
        if let Some(token) = two {
            return Some((token, 2));
        }
        let one = match self.rest.as_bytes().first()? {
            b'=' => Token::Strings(Comparison::Equal),
            b'<' => Token::Strings(Comparison::Less),
            b'>' => Token::Strings(Comparison::Greater),
            b'!' => Token::Not,
            _ => return None,
        };
        Some((one, 1))
    }

    fn name(&mut self) -> Token<'t> {
        let name = leading_name(self.rest);
        let next = self.rest.as_bytes().get(name.len()).copied();
        self.skip(name.len());
        if let (b"m", Some(delimiter)) = (name.as_bytes(), next)
            && DELIMITERS.contains(&delimiter)
        {
            self.skip(1);
            return Token::Regex(delimiter);
        }
        match name {
            "true" => Token::True,
            "false" => Token::False,
            "and" => Token::And,
            "or" => Token::Or,
            "not" => Token::Not,
            "in" => Token::In,
            _ => integer_comparison(name).map_or(Token::Name(name), Token::Integers),
        }
    }

    fn digits(&mut self, from: usize) -> Token<'t> {
        let digits = self.rest.bytes().skip(from).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(from + digits);
        self.rest = rest;
        Token::Digits(digits)
    }

    /// After a minus: a number, or an operator.
    fn dashed(&mut self) -> Result<Token<'t>, String> {
        let word = &self.rest[1..];
        match word.as_bytes().first() {
            Some(b'0'..=b'9') => return Ok(self.digits(1)),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => {}
            _ => return Err(self.unexpected()),
        }
        let name = leading_name(word);
        self.skip(1 + name.len());
        Ok(match name.as_bytes() {
            b"in" => Token::In,
            [letter] => Token::Unary(*letter),
            _ => integer_comparison(name).map_or(Token::Binary(name), Token::Integers),
        })
    }
}

/// The letters, digits and underscores that `text` begins with.
pub(super) fn leading_name(text: &str) -> &str {
    let len = text
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count();
    &text[..len]
}

fn integer_comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "eq" => Comparison::Equal,
        "ne" => Comparison::NotEqual,
        "lt" => Comparison::Less,
        "le" => Comparison::LessOrEqual,
        "gt" => Comparison::Greater,
        "ge" => Comparison::GreaterOrEqual,
        _ => return None,
    })
}
