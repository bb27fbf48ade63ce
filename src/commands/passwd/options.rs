//! The command line of `lychgate passwd`: letters as htpasswd has them, alone or together.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::auth::hash::{MOST_COST, MOST_ROUNDS, Method};
use crate::commands::passwd::{Code, Failure, USAGE};

const LONGEST_USER: usize = 255;
pub(super) const LONGEST_PASSWORD: usize = 256;
const USUAL_COST: u32 = 10;
const USUAL_ROUNDS: u32 = 5000;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) deed: Deed,
    pub(super) method: Method,
    pub(super) source: Source,
    /// Nothing with `-n`.
    pub(super) file: Option<PathBuf>,
    pub(super) user: Vec<u8>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Update,
    Create,
    Print,
    Verify,
    Delete,
}

/// Where the password comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Asked,
    Input,
    Given(Vec<u8>),
}

/// Letters as they were given.
struct Letters {
    deeds: Vec<Deed>,
    kind: u8,
    cost: u32,
    rounds: u32,
    batch: bool,
    input: bool,
}

fn usage(message: &str) -> Failure {
    (Code::Syntax, format!("lychgate passwd: {message}\n{USAGE}"))
}

/// Reads the words behind `passwd`.
pub(super) fn parse(words: &[OsString]) -> Result<Request, Failure> {
    let mut letters = Letters {
        deeds: Vec::new(),
        kind: b'B',
        cost: USUAL_COST,
        rounds: USUAL_ROUNDS,
        batch: false,
        input: false,
    };
    let mut rest = words.iter();
    let mut others: Vec<&OsStr> = Vec::new();
    while let Some(word) = rest.next() {
        match word.as_bytes() {
            b"--" => {
                others.extend(rest.by_ref().map(OsString::as_os_str));
            }
            [b'-', given @ ..] if others.is_empty() && !given.is_empty() => letters.take(given, &mut rest)?,
            _ => others.push(word),
        }
    }
    letters.request(&others)
}

impl Letters {
    fn take<'a>(&mut self, mut given: &[u8], rest: &mut impl Iterator<Item = &'a OsString>) -> Result<(), Failure> {
        while let [letter, behind @ ..] = given {
            given = behind;
            match letter {
                b'c' => self.deeds.push(Deed::Create),
                b'n' => self.deeds.push(Deed::Print),
                b'v' => self.deeds.push(Deed::Verify),
                b'D' => self.deeds.push(Deed::Delete),
                b'b' => self.batch = true,
                b'i' => self.input = true,
                b'm' | b'B' | b'2' | b'5' | b's' => self.kind = *letter,
                b'C' | b'r' => {
                    let value = if behind.is_empty() {
                        rest.next().map(|word| word.as_bytes().to_vec()).unwrap_or_default()
                    } else {
                        behind.to_vec()
                    };
                    given = &[];
                    let number = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                    let number = number.ok_or_else(|| usage("-C and -r take a number"))?;
                    *(if *letter == b'C' {
                        &mut self.cost
                    } else {
                        &mut self.rounds
                    }) = number;
                }
                b'd' => {
                    return Err(usage(
                        "-d makes hashes that are known in a moment, and is not supported",
                    ));
                }
                b'p' => return Err(usage("-p stores plain text, and is not supported")),
                b'h' => return Err((Code::Syntax, USAGE.to_owned())),
                other => {
                    return Err(usage(&format!(
                        "there is no option -{}",
                        char::from(*other).escape_default()
                    )));
                }
            }
        }
        Ok(())
    }

    fn request(self, others: &[&OsStr]) -> Result<Request, Failure> {
        let deed = match self.deeds.as_slice() {
            [] => Deed::Update,
            [deed, more @ ..] if more.iter().all(|other| other == deed) => *deed,
            _ => return Err(usage("only one of -c -n -v -D may be specified")),
        };
        if self.batch && self.input {
            return Err(usage("only one of -b and -i may be specified"));
        }
        let takes_password = self.batch && deed != Deed::Delete;
        let (file, user, given) = match (deed, takes_password, others) {
            (Deed::Print, false, [user]) => (None, user, None),
            (Deed::Print, true, [user, password]) => (None, user, Some(password)),
            (Deed::Print, ..) => return Err(usage("words are missing, or there are too many")),
            (_, false, [file, user]) => (Some(file), user, None),
            (_, true, [file, user, password]) => (Some(file), user, Some(password)),
            _ => return Err(usage("words are missing, or there are too many")),
        };
        let user = user.as_bytes();
        fits(user, "username", LONGEST_USER)?;
        if user.contains(&b':') || user.iter().any(u8::is_ascii_control) {
            let message = "lychgate passwd: username contains illegal character ':' or a control character";
            return Err((Code::BadUser, message.to_owned()));
        }
        if let Some(password) = given {
            fits(password.as_bytes(), "password", LONGEST_PASSWORD)?;
        }
        Ok(Request {
            deed,
            method: self.method()?,
            source: match given {
                Some(password) => Source::Given(password.as_bytes().to_vec()),
                None if self.input => Source::Input,
                None => Source::Asked,
            },
            file: file.map(PathBuf::from),
            user: user.to_vec(),
        })
    }

    fn method(&self) -> Result<Method, Failure> {
        let range = |is_in: bool, message: &str| {
            if is_in {
                Ok(())
            } else {
                Err((Code::Mismatch, format!("lychgate passwd: {message}")))
            }
        };
        let rounds_are = |rounds: u32| (1000..=MOST_ROUNDS).contains(&rounds);
        let rounds = "rounds are from 1000 to 10000000";
        Ok(match self.kind {
            b'm' => Method::Apr1,
            b's' => Method::Sha1,
            b'2' => {
                range(rounds_are(self.rounds), rounds)?;
                Method::Sha256(self.rounds)
            }
            b'5' => {
                range(rounds_are(self.rounds), rounds)?;
                Method::Sha512(self.rounds)
            }
            _ => {
                range(
                    (4..=MOST_COST).contains(&self.cost),
                    "the cost of bcrypt is from 4 to 17",
                )?;
                Method::Bcrypt(self.cost)
            }
        })
    }
}

/// Whether a name or password is short enough.
pub(super) fn fits(word: &[u8], what: &str, longest: usize) -> Result<(), Failure> {
    if word.len() > longest {
        return Err((Code::TooLong, format!("lychgate passwd: {what} too long (> {longest})")));
    }
    Ok(())
}
