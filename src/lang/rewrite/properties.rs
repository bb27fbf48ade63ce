//! What holds of any rules and any request, tried with thousands: the same ones in every run.

use super::tests::{Site, rules, subject};
use super::{Decision, InDirectory, Outcome, directory, server};
use crate::lang::vars::testing::Table;

const TRIES: usize = 4000;

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Bytes of all kinds, those that rules look at among them; none that `refused` has.
    fn bytes(&mut self, refused: &[u8]) -> Vec<u8> {
        let length = self.below(12);
        let mut byte = || match self.below(3) {
            0 => self.one_of(b"/?%&+$\\ .:#=_-"),
            1 => self.one_of(b"abcXYZ019"),
            _ => u8::try_from(1 + self.below(255)).unwrap_or(1),
        };
        let bytes = (0..length).map(|_| byte()).filter(|byte| !refused.contains(byte));
        bytes.collect()
    }

    fn lines<'l>(&mut self, known: &[&[&'l str]]) -> Vec<&'l str> {
        let rules = 1 + self.below(4);
        (0..rules).flat_map(|_| self.one_of(known).to_vec()).collect()
    }
}

/// Rules that leave any request as it is.
const NEUTRAL: &[&[&str]] = &[
    &["^zzz /other [R,L]"],
    &[".* -"],
    &["^ - [L]"],
    &["!^ - [F]"],
    &["(.*) - [QSA,B,NE,NC]"],
    &[". - [S=1]", "^zzz - [F]"],
    &["^zzz - [C]", ".* - [F]"],
    &["? %{REQUEST_URI} zzz", ".* - [F]"],
    &["? a a [OR]", "? a b", "(.*) -"],
    &["? ${none:$1|x} =y", "(.*) /x [R]"],
    &["(?=zzz) - [G]"],
];

#[test]
fn what_changes_nothing_in_the_server_changes_nothing() {
    let mut random = Random(0x5eed_0001);
    for _ in 0..TRIES {
        let mut lines = random.lines(NEUTRAL);
        let passes = random.below(3) == 0 && !lines.iter().any(|line| line.contains("[L]") || line.contains('S'));
        if passes {
            lines.push("^(/.*)$ $1 [PT]");
        }
        let mut url = b"/".to_vec();
        // An encoded question mark is not passed on unasked, and slashes in a row become one.
        url.extend(random.bytes(if passes { b"?/" } else { b"" }));
        let query = random
            .bytes(b" \t\n\x0b\x0c\r")
            .into_iter()
            .filter(|byte| *byte > b' ' && *byte != 0x7f);
        let query: Vec<u8> = query.collect();
        let asked = subject(&url, &query);
        let rules = rules(&lines);
        let outcome = server(&Site::default(), &rules.iter().collect::<Vec<_>>(), asked.clone()).expect("no map");
        let decision = if passes { Decision::Url(url) } else { Decision::Declined };
        let plain = Outcome {
            decision,
            query: asked.query,
            path_info: Vec::new(),
            effects: super::Effects::default(),
        };
        assert_eq!(outcome, plain, "{lines:?}");
    }
}

#[test]
fn what_changes_nothing_in_a_directory_changes_nothing() {
    let mut random = Random(0x5eed_0002);
    for _ in 0..TRIES {
        let mut lines = random.lines(NEUTRAL);
        let same = random.below(3) == 0 && !lines.iter().any(|line| line.contains("[L]") || line.contains('S'));
        if same {
            lines.push("^(.*)$ $1 [NE]");
        }
        let mut asked = subject(b"/srv/www/", b"a=b");
        // A name of its own is one that is no URL, and has no query.
        asked.filename.push(b'x');
        asked.filename.extend(random.bytes(b"?:"));
        let rules = rules(&lines);
        let list: Vec<_> = rules.iter().collect();
        let options = random.one_of(&[InDirectory::ByContext, InDirectory::IgnoreContext]);
        let outcome = directory(&Site::default(), &list, b"/srv/www/", None, options, asked.clone()).expect("no map");
        let decision = if same { Decision::Stays } else { Decision::Declined };
        assert_eq!((outcome.decision, outcome.query), (decision, asked.query), "{lines:?}");
        assert_eq!(outcome.effects, super::Effects::default(), "{lines:?}");
    }
}

#[test]
fn what_is_escaped_reads_back() {
    let mut random = Random(0x5eed_0003);
    for _ in 0..TRIES {
        let sent = random.bytes(b"");
        let url = [b"/", sent.as_slice()].concat();
        for (line, plus) in [
            ("(?s)^/(.*)$ /to?q=$1 [R,B,NE]", b' '),
            ("(?s)^/(.*)$ /to?q=$1 [R,B,BNP,NE]", b'+'),
        ] {
            let rules = rules(&[line]);
            let outcome = server(&Site::default(), &[&rules[0]], subject(&url, b"")).expect("no map");
            let Decision::Redirect { location, .. } = outcome.decision else {
                panic!("{line}: {:?}", outcome.decision);
            };
            let query = location.strip_prefix(b"http://www.example/to?q=").expect("the rule's");
            assert!(
                query
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_%+".contains(byte)),
                "{line}"
            );
            assert_eq!(decoded(query, plus), sent, "{line}");
        }
    }
}

#[test]
fn the_path_of_a_redirect_is_the_path_that_rules_made() {
    let mut random = Random(0x5eed_0004);
    for _ in 0..TRIES {
        let sent = random.bytes(b"?");
        let url = [b"/", sent.as_slice()].concat();
        let rules = rules(&["(?s)^/(.*)$ /to/$1 [R]"]);
        let outcome = server(&Site::default(), &[&rules[0]], subject(&url, b"")).expect("no map");
        let Decision::Redirect { location, .. } = outcome.decision else {
            panic!("{:?}", outcome.decision);
        };
        assert!(
            location.iter().all(|byte| byte.is_ascii_graphic()),
            "{}",
            location.escape_ascii()
        );
        let path = location.strip_prefix(b"http://www.example/to/").expect("the rule's");
        assert_eq!(decoded(path, b'+'), sent);
    }
}

#[test]
fn rounds_come_to_an_end() {
    let mut random = Random(0x5eed_0005);
    let known: &[&[&str]] = &[
        &["^(.*)$ $1x [N]"],
        &["^(.*)x$ $1 [N]"],
        &["^ - [N]"],
        &["^(.*)a(.*)$ $1b$2 [N]"],
        &["^(.*)b(.*)$ $1a$2 [N]"],
        &["^(.*)$ /y?$1 [QSA,N=100]"],
        &["^(?=(.*))(.*)$ $2$1 [N]"],
    ];
    for _ in 0..4 {
        let lines = random.lines(known);
        let rules = rules(&lines);
        let site = Site {
            table: Table::default(),
            is_subrequest: false,
        };
        let url = [b"/", random.bytes(b"").as_slice()].concat();
        // It is enough that this returns.
        let _any = server(&site, &rules.iter().collect::<Vec<_>>(), subject(&url, b"")).expect("no map");
    }
}

fn decoded(text: &[u8], plus: u8) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.split_at_checked(2)) {
            (b'%', Some((digits, behind))) => {
                let digits = str::from_utf8(digits).expect("hex");
                out.push(u8::from_str_radix(digits, 16).expect("hex"));
                rest = behind;
            }
            (b'+', _) => out.push(plus),
            _ => out.push(byte),
        }
    }
    out
}
