//! Rules: any words are read or refused, and what is read can be applied to any request and comes to an end. The first line of
//! the input is a condition, the second a rule, the third the path and the rest the query.

#![no_main]

use std::borrow::Cow;
use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;

use lychgate::lang::expr::Trust;
use lychgate::lang::rewrite::{self, Ahead, Cond, Decision, Host, InDirectory, Pending, Rule, Subject, Variable};
use lychgate::lang::vars::{self, Vars};

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(4, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (cond, rule, path, query) = (words(next()), words(next()), next(), next());
    let conds = match cond.as_slice() {
        [text, pattern, flags @ ..] => {
            let Ok(cond) = Cond::parse(text, pattern, flags.first().copied(), Trust::Restricted) else {
                return;
            };
            vec![cond]
        }
        _ => Vec::new(),
    };
    let [pattern, substitution, flags @ ..] = rule.as_slice() else {
        return;
    };
    let rule = match Rule::parse(conds, pattern, substitution, flags.first().copied()) {
        Ok(rule) => rule,
        Err(error) => return assert!(!error.is_empty()),
    };
    let host = Sent(query);
    let subject = |start: &[u8]| Subject {
        filename: [start, path].concat(),
        path_info: Vec::new(),
        query: (!query.is_empty()).then(|| query.to_vec()),
    };
    let _either = rewrite::server(&host, &[&rule], subject(b"/"));
    if let Ok(outcome) = rewrite::directory(&host, &[&rule], b"/srv/", None, InDirectory::ByContext, subject(b"/srv/")) {
        // What goes through the server again is a path, and no request can have brought its bytes into the query raw.
        if let Decision::Again(path) = outcome.decision {
            assert!(path.starts_with(b"/"));
            assert!(!outcome.query.unwrap_or_default().iter().any(|byte| *byte <= b' '));
        }
    }
});

fn words(line: &[u8]) -> Vec<&[u8]> {
    line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect()
}

/// A request whose every part is what the client sent.
struct Sent<'a>(&'a [u8]);

impl Vars for Sent<'_> {
    fn request_field(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn response_field(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        None
    }

    fn env(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn variable(&self, _variable: vars::Variable) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn client_ip(&self) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, 7]))
    }
}

impl Host for Sent<'_> {
    fn is_own(&self, host: &[u8], _port: Option<u16>) -> bool {
        host == b"a"
    }

    fn own_url(&self, path: &[u8]) -> Vec<u8> {
        [b"http://a", path].concat()
    }

    fn server_address(&self) -> Option<Vec<u8>> {
        None
    }

    fn map(&self, _map: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, Pending> {
        match key {
            b"later" => Err(Pending),
            key => Ok(Some(key.to_vec())),
        }
    }

    fn ahead(&self, _ahead: Ahead, path: &[u8], _variable: &Variable) -> Option<Vec<u8>> {
        Some(path.to_vec())
    }
}
