//! The cipher suites there are, by OpenSSL's names, and what the lists of SSLCipherSuite choose of them (openssl-ciphers(1);
//! Apache: mod_ssl, SSLCipherSuite).
//!
//! Each rule of a list moves or removes suites one by one, so that it can be played with ours alone.

use std::fmt::{self, Display, Formatter};

use crate::tls::ciphers::words::Condition;

#[cfg(test)]
mod tests;
mod words;

/// A cipher suite.
#[derive(Debug, PartialEq, Eq)]
pub struct Suite {
    /// Its number in TLS, as IANA has it.
    pub id: u16,
    /// OpenSSL's name for it: `SSL_CIPHER`.
    pub name: &'static str,
    /// The bits of its key: `SSL_CIPHER_USEKEYSIZE` and `SSL_CIPHER_ALGKEYSIZE`, which are the same, and enough for
    /// `SSL_CIPHER_EXPORT` to be `false`.
    pub bits: u16,
    kind: Kind,
    encryption: Encryption,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tls13,
    /// TLS 1.2, keys by ECDHE, signed by a certificate with such a key.
    Rsa,
    Ecdsa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Aes128,
    Aes256,
    ChaCha20,
}

/// Those of TLS 1.3, then those of TLS 1.2, each in OpenSSL's order.
pub static SUITES: [Suite; 9] = {
    use Encryption::{Aes128, Aes256, ChaCha20};
    use Kind::{Ecdsa, Rsa, Tls13};
    [
        suite(0x1302, "TLS_AES_256_GCM_SHA384", Tls13, Aes256),
        suite(0x1303, "TLS_CHACHA20_POLY1305_SHA256", Tls13, ChaCha20),
        suite(0x1301, "TLS_AES_128_GCM_SHA256", Tls13, Aes128),
        suite(0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", Ecdsa, Aes256),
        suite(0xc030, "ECDHE-RSA-AES256-GCM-SHA384", Rsa, Aes256),
        suite(0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", Ecdsa, ChaCha20),
        suite(0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", Rsa, ChaCha20),
        suite(0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", Ecdsa, Aes128),
        suite(0xc02f, "ECDHE-RSA-AES128-GCM-SHA256", Rsa, Aes128),
    ]
};

const fn suite(id: u16, name: &'static str, kind: Kind, encryption: Encryption) -> Suite {
    let bits = match encryption {
        Encryption::Aes128 => 128,
        Encryption::Aes256 | Encryption::ChaCha20 => 256,
    };
    Suite {
        id,
        name,
        bits,
        kind,
        encryption,
    }
}

/// The suite of this number.
pub fn by_id(id: u16) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.id == id)
}

/// What a list chooses.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection {
    /// The suites in the order of preference. May be empty: OpenSSL knows more of them than there are here.
    pub suites: Vec<&'static Suite>,
    /// Words that name nothing; OpenSSL passes over them without a word.
    pub unknown: Vec<String>,
}

/// Why a list cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CipherError {
    /// A rule without a word, or a character that no word has, and what stands from there on.
    Syntax(String),
    /// What stands behind `@` is no command.
    Command(String),
}

/// The suites of TLS 1.3 that a list names, `TLS_AES_256_GCM_SHA384:…`: what stands behind `SSLCipherSuite TLSv1.3`.
pub fn tls13(list: &[u8]) -> Selection {
    let mut chosen = Selection {
        suites: Vec::new(),
        unknown: Vec::new(),
    };
    for word in list.split(|byte| *byte == b':') {
        let word = word.trim_ascii();
        let named = |suite: &&Suite| suite.kind == Kind::Tls13 && suite.name.as_bytes() == word;
        match SUITES.iter().find(named) {
            Some(suite) if chosen.suites.contains(&suite) => {}
            Some(suite) => chosen.suites.push(suite),
            None if word.is_empty() || words::OF_TLS13.iter().any(|name| name.as_bytes() == word) => {}
            None => chosen.unknown.push(String::from_utf8_lossy(word).into_owned()),
        }
    }
    chosen
}

/// The suites of TLS 1.2 that a list chooses: `HIGH:!aNULL`, `ECDHE+AESGCM:…`, `DEFAULT@SECLEVEL=2`.
pub fn tls12(list: &[u8]) -> Result<Selection, CipherError> {
    let mut game = Game::new();
    let mut rest = list;
    if let Some((_, suites)) = words::SUITE_B
        .iter()
        .find(|(name, _)| list.starts_with(name.as_bytes()))
    {
        rest = suites.as_bytes();
    }
    // Words only where they begin the list, and what they stand for chooses all of ours. The second is Fedora's.
    if let Some(after) = rest.strip_prefix(b"DEFAULT").or(rest.strip_prefix(b"PROFILE=SYSTEM")) {
        rest = after;
        game.play(Rule::Add, |_| true);
    }
    while let Some((&first, after)) = rest.split_first() {
        if SEPARATORS.contains(&first) {
            rest = after;
            continue;
        }
        let (rule, words) = match first {
            b'-' => (Rule::Delete, after),
            b'+' => (Rule::MoveToEnd, after),
            b'!' => (Rule::Kill, after),
            b'@' => {
                rest = game.command(after)?;
                continue;
            }
            _ => (Rule::Add, rest),
        };
        rest = game.rule(rule, words)?;
    }
    Ok(game.end())
}

const SEPARATORS: &[u8] = b": ;,";

/// What a rule does with the suites that it is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Add,
    Delete,
    MoveToEnd,
    Kill,
}

/// The suites while the rules of a list are played, in the order that OpenSSL's list has at the time.
struct Game {
    suites: Vec<(&'static Suite, State)>,
    unknown: Vec<String>,
    least_bits: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Chosen,
    Waiting,
}

impl Game {
    fn new() -> Game {
        let ours = SUITES.iter().filter(|suite| suite.kind != Kind::Tls13);
        Game {
            suites: ours.map(|suite| (suite, State::Waiting)).collect(),
            unknown: Vec::new(),
            least_bits: 0,
        }
    }

    /// Reads one rule, its sign being read already, and plays it; gives what stands behind it.
    fn rule<'a>(&mut self, rule: Rule, words: &'a [u8]) -> Result<&'a [u8], CipherError> {
        let mut rest = words;
        let mut conditions = Vec::new();
        loop {
            let end = rest.iter().position(|byte| !is_of_word(*byte)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if word.is_empty() {
                return Err(CipherError::Syntax(String::from_utf8_lossy(words).into_owned()));
            }
            let Some(condition) = words::condition(word) else {
                // The whole rule is passed over.
                let (passed, after) = separated(words);
                self.unknown.push(String::from_utf8_lossy(passed).into_owned());
                return Ok(after);
            };
            conditions.push(condition);
            if let Some(more) = after.strip_prefix(b"+") {
                rest = more;
                continue;
            }
            let both = [Condition::High, Condition::Fips]
                .iter()
                .all(|c| conditions.contains(c));
            self.play(rule, |suite| !both && conditions.iter().all(|c| c.holds(suite)));
            return Ok(after);
        }
    }

    /// Plays `@STRENGTH` or `@SECLEVEL=n`; gives what stands behind it.
    fn command<'a>(&mut self, text: &'a [u8]) -> Result<&'a [u8], CipherError> {
        let end = text.iter().position(|byte| !is_of_word(*byte)).unwrap_or(text.len());
        let (word, after) = text.split_at(end);
        match word {
            b"STRENGTH" => self.suites.sort_by_key(|(suite, _)| std::cmp::Reverse(suite.bits)),
            [
                b'S',
                b'E',
                b'C',
                b'L',
                b'E',
                b'V',
                b'E',
                b'L',
                b'=',
                level @ b'0'..=b'5',
            ] => {
                self.least_bits = match level {
                    b'4' => 192,
                    b'5' => 256,
                    // Ours have 128 and more.
                    _ => 0,
                };
            }
            _ => return Err(CipherError::Command(String::from_utf8_lossy(word).into_owned())),
        }
        // Whatever is joined to a command is passed over.
        Ok(separated(after).1)
    }

    fn play(&mut self, rule: Rule, is_meant: impl Fn(&Suite) -> bool) {
        let state = match rule {
            Rule::Add => State::Waiting,
            Rule::Delete | Rule::MoveToEnd => State::Chosen,
            Rule::Kill => {
                self.suites.retain(|(suite, _)| !is_meant(suite));
                return;
            }
        };
        let is_moved = |(suite, now): &(&'static Suite, State)| *now == state && is_meant(suite);
        let (mut moved, mut others): (Vec<_>, Vec<_>) = self.suites.iter().copied().partition(is_moved);
        let next = if rule == Rule::Delete {
            State::Waiting
        } else {
            State::Chosen
        };
        for (_, state) in &mut moved {
            *state = next;
        }
        self.suites = if rule == Rule::Delete {
            // What is deleted comes first when it is added again.
            moved.append(&mut others);
            moved
        } else {
            others.append(&mut moved);
            others
        };
    }

    fn end(self) -> Selection {
        let chosen = self
            .suites
            .into_iter()
            .filter(|(suite, state)| *state == State::Chosen && suite.bits >= self.least_bits);
        Selection {
            suites: chosen.map(|(suite, _)| suite).collect(),
            unknown: self.unknown,
        }
    }
}

/// What stands before the first separator, and the rest.
fn separated(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| SEPARATORS.contains(byte));
    text.split_at(end.unwrap_or(text.len()))
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'=')
}

impl Display for CipherError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            CipherError::Syntax(rest) if rest.is_empty() => {
                f.write_str("the list ends where the name of ciphers is needed")
            }
            CipherError::Syntax(rest) => write!(f, "`{rest}` does not begin with the name of ciphers, such as `HIGH`"),
            CipherError::Command(word) => {
                write!(
                    f,
                    "`@{word}` is not known; write `@STRENGTH`, or `@SECLEVEL=` and a digit from 0 to 5"
                )
            }
        }
    }
}

impl std::error::Error for CipherError {}
