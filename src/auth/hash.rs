//! Stored passwords: what kind a hash is, what it costs to try a password on it, and whether the password is the one.
//!
//! The kinds are those that Apache knows on Linux, without the crypt(3) of DES and of later C libraries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::auth::md5_crypt;
use crate::auth::sha_crypt::{self, USUAL_ROUNDS, Width};

/// bcrypt of more than this is not tried: `htpasswd -C` goes no further, and it takes seconds. No directive moves it.
pub const MOST_COST: u32 = 17;
/// crypt(3) of more rounds than this is not tried. No directive moves it.
pub const MOST_ROUNDS: u32 = 10_000_000;
/// A longer password is none; no directive moves it.
const LONGEST_PASSWORD: usize = 1024;

/// A stored password that can be compared with one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash {
    text: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bcrypt,
    Md5(&'static [u8]),
    Sha1,
    ShaCrypt(Width),
}

/// Why a stored password can be compared with none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is plain text, or hashed with something that is not known here.
    Unknown,
    /// To try one password would take too long.
    TooCostly,
}

impl Unusable {
    /// The reason as a clause for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Unusable::Unknown => {
                "it is neither bcrypt, $apr1$, {SHA} nor crypt(3) with MD5, SHA-256 or SHA-512; `lychgate passwd` makes such"
            }
            Unusable::TooCostly => {
                "its cost is above bcrypt's 17 or 10,000,000 rounds; `lychgate passwd` makes a cheaper one"
            }
        }
    }
}

/// What it takes to try a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Less than a millisecond or two.
    Light,
    /// More than an event loop can wait for.
    Heavy,
}

/// How a new password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// bcrypt with this cost.
    Bcrypt(u32),
    /// `$apr1$`
    Apr1,
    /// `{SHA}`
    Sha1,
    /// crypt(3) with SHA-256 and so many rounds.
    Sha256(u32),
    /// crypt(3) with SHA-512 and so many rounds.
    Sha512(u32),
}

impl Hash {
    /// Reads a stored password.
    pub fn parse(text: &[u8]) -> Result<Hash, Unusable> {
        let kind = match text {
            [b'$', b'2', b'a' | b'b' | b'x' | b'y', b'$', ..] if text.len() == 60 => {
                let cost = number(text.get(4..6).unwrap_or_default()).ok_or(Unusable::Unknown)?;
                if cost > MOST_COST {
                    return Err(Unusable::TooCostly);
                }
                Kind::Bcrypt
            }
            [b'$', b'a', b'p', b'r', b'1', b'$', ..] => Kind::Md5(b"$apr1$"),
            [b'$', b'1', b'$', ..] => Kind::Md5(b"$1$"),
            [b'$', width @ (b'5' | b'6'), b'$', rest @ ..] => {
                let (rounds, _, _) = sha_parts(rest).ok_or(Unusable::Unknown)?;
                if rounds > MOST_ROUNDS {
                    return Err(Unusable::TooCostly);
                }
                Kind::ShaCrypt(if *width == b'5' { Width::Sha256 } else { Width::Sha512 })
            }
            _ if text.starts_with(b"{SHA}") => Kind::Sha1,
            _ => return Err(Unusable::Unknown),
        };
        Ok(Hash {
            text: text.to_vec(),
            kind,
        })
    }

    /// The stored text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What it takes to try a password.
    pub fn effort(&self) -> Effort {
        match self.kind {
            Kind::Sha1 => Effort::Light,
            Kind::Bcrypt | Kind::Md5(_) | Kind::ShaCrypt(_) => Effort::Heavy,
        }
    }

    /// Whether the password is the one. How long this takes does not tell how much of it is right.
    pub fn is_of(&self, password: &[u8]) -> bool {
        if password.contains(&0) || password.len() > LONGEST_PASSWORD {
            return false;
        }
        let made = match self.kind {
            Kind::Bcrypt => return self.bcrypt_is_of(password),
            Kind::Sha1 => Some(sha1(password)),
            Kind::Md5(magic) => {
                let rest = self.text.get(magic.len()..).unwrap_or_default();
                let salt = rest.split(|byte| *byte == b'$').next().unwrap_or_default();
                Some(md5(password, magic, salt))
            }
            Kind::ShaCrypt(width) => {
                let rest = self.text.get(3..).unwrap_or_default();
                sha_parts(rest).and_then(|(rounds, salt, _)| {
                    let before = self.text.len().saturating_sub(rest.len());
                    let head = before + rest.iter().rposition(|byte| *byte == b'$')? + 1;
                    let digest = sha_crypt::digest(width, password, salt, rounds)?;
                    Some([self.text.get(..head)?, &digest].concat())
                })
            }
        };
        made.is_some_and(|made| are_equal(&made, &self.text))
    }

    fn bcrypt_is_of(&self, password: &[u8]) -> bool {
        let text = match self.text.as_slice() {
            // What a broken bcrypt made (`$2x$`): it read bytes from 0x80 on as negative numbers, and all others right.
            [b'$', b'2', b'x', rest @ ..] if password.is_ascii() => [b"$2y", rest].concat(),
            [b'$', b'2', b'x', ..] => return false,
            text => text.to_vec(),
        };
        std::str::from_utf8(&text).is_ok_and(|text| bcrypt::verify(password, text).unwrap_or(false))
    }

    /// Hashes a new password; `random` are at least 16 bytes that nobody can guess.
    pub fn make(method: Method, password: &[u8], random: [u8; 16]) -> Option<Vec<u8>> {
        let salt = |length: usize| -> Vec<u8> {
            let characters = random.iter().map(|byte| md5_crypt::ALPHABET[usize::from(byte & 63)]);
            characters.take(length).collect()
        };
        Some(match method {
            Method::Bcrypt(cost) => {
                let parts = bcrypt::hash_with_salt(password, cost, random).ok()?;
                parts.format_for_version(bcrypt::Version::TwoY).into_bytes()
            }
            Method::Apr1 => md5(password, b"$apr1$", &salt(8)),
            Method::Sha1 => sha1(password),
            Method::Sha256(rounds) => sha(Width::Sha256, password, &salt(16), rounds)?,
            Method::Sha512(rounds) => sha(Width::Sha512, password, &salt(16), rounds)?,
        })
    }
}

fn md5(password: &[u8], magic: &[u8], salt: &[u8]) -> Vec<u8> {
    let cut = salt.get(..8).unwrap_or(salt);
    [magic, cut, b"$", &md5_crypt::digest(password, magic, salt)].concat()
}

fn sha1(password: &[u8]) -> Vec<u8> {
    let digest: [u8; 20] = Sha1::digest(password).into();
    [b"{SHA}", STANDARD.encode(digest).as_bytes()].concat()
}

fn sha(width: Width, password: &[u8], salt: &[u8], rounds: u32) -> Option<Vec<u8>> {
    let magic: &[u8] = if width == Width::Sha256 { b"$5$" } else { b"$6$" };
    let said = match rounds {
        USUAL_ROUNDS => String::new(),
        rounds => format!("rounds={rounds}$"),
    };
    let digest = sha_crypt::digest(width, password, salt, rounds)?;
    Some([magic, said.as_bytes(), salt, b"$", &digest].concat())
}

/// Rounds, salt and digest of what follows `$5$` or `$6$`.
fn sha_parts(rest: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let mut parts = rest.splitn(3, |byte| *byte == b'$');
    let first = parts.next()?;
    let (rounds, salt, digest) = match first.strip_prefix(b"rounds=") {
        Some(digits) => (number(digits)?, parts.next()?, parts.next()?),
        None => (USUAL_ROUNDS, first, parts.next()?),
    };
    let fits = !digest.contains(&b'$') && parts.next().is_none();
    fits.then_some((rounds, salt, digest))
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Compares without a look at where two texts differ.
pub(super) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::{Hash, Method, Unusable};

    /// Made by htpasswd and openssl; the two of 40 bytes by openssl too.
    #[test]
    fn passwords_that_others_hashed_are_known() {
        let table = [
            ("pw", "$2y$04$xp7QiUz2HZu7AyQO0JxBUu.Lf0kJ/7E5GmFOVNcZJK5Q.XPYJUBzG"),
            ("secret", "$2x$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"),
            ("password", "$apr1$saltsalt$yAAkm4libquA.ZWLHbSBq/"),
            ("password", "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/"),
            ("pw", "{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM="),
            ("password", "$5$saltsalt$gOjOtoMpVhru2uyjeJSEc/JaLQWOXMNmlOnj6T4AtC."),
            (
                "password",
                "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
            ),
            // From the text that defines SHA-crypt.
            (
                "Hello world!",
                "$5$rounds=10000$saltstringsaltst$3xv.VbSCBX41eDL9L3voZSsWlxiaRxRmrX3HAnn6tT7",
            ),
        ];
        for (password, text) in table {
            let hash = Hash::parse(text.as_bytes()).expect(text);
            let is_of = hash.is_of(password.as_bytes());
            // The last salt is longer in the text than what is used of it.
            assert_eq!(is_of, !text.contains("rounds"), "{text}");
            assert!(!hash.is_of(b"other"), "{text}");
            assert!(!hash.is_of(b""), "{text}");
            for end in 0..text.len() {
                // Hundreds of tries would take long; those with most of the text are the ones that could go wrong.
                if let (Ok(cut), true) = (Hash::parse(&text.as_bytes()[..end]), end + 3 > text.len()) {
                    assert!(!cut.is_of(password.as_bytes()), "{text} cut at {end}");
                }
            }
        }
    }

    #[test]
    fn what_is_made_is_known_again() {
        for method in [
            Method::Bcrypt(4),
            Method::Apr1,
            Method::Sha1,
            Method::Sha256(5000),
            Method::Sha512(1000),
        ] {
            let text = Hash::make(method, b"secret", [7; 16]).expect("made");
            let hash = Hash::parse(&text).expect("known");
            assert!(hash.is_of(b"secret"), "{method:?}");
            assert!(!hash.is_of(b"secreT") && !hash.is_of(b"secret\0"), "{method:?}");
        }
    }

    #[test]
    fn what_would_take_too_long_is_not_tried() {
        let bcrypt = "$2y$31$xp7QiUz2HZu7AyQO0JxBUu.Lf0kJ/7E5GmFOVNcZJK5Q.XPYJUBzG";
        for (text, want) in [
            (bcrypt, Unusable::TooCostly),
            ("$6$rounds=999999999$salt$x", Unusable::TooCostly),
            ("UzKI58ijfl69I", Unusable::Unknown),
            ("plain", Unusable::Unknown),
            ("", Unusable::Unknown),
            ("$y$j9T$a$b", Unusable::Unknown),
            (
                "$2y$xx$xp7QiUz2HZu7AyQO0JxBUu.Lf0kJ/7E5GmFOVNcZJK5Q.XPYJUBzG",
                Unusable::Unknown,
            ),
        ] {
            assert_eq!(Hash::parse(text.as_bytes()), Err(want), "{text}");
        }
    }
}
