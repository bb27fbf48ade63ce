//! Expressions: any text is read or refused, and what is read can be asked of any request. The first line of the input is
//! the expression, the rest is what the client sent.

#![no_main]

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;

use lychgate::lang::expr::{Expr, StringExpr, Trust};
use lychgate::lang::vars::{Accessible, FileTest, Variable, Vars};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (text, sent) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let request = Sent(sent.split(|byte| *byte == 0).collect());
    for trust in [Trust::Full, Trust::Restricted] {
        match Expr::parse(text, trust) {
            Ok(expr) => {
                let holds = expr.eval(&request);
                assert_eq!(holds, expr.eval(&request));
                assert_eq!(holds, expr.matched(&request).map(|matched| matched.is_some()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        if let Ok(string) = StringExpr::parse(text, trust) {
            let _value_or_none = string.eval(&request);
        }
    }
    // What may be asked of a trusted text only is asked of no other.
    assert!(Expr::parse(text, Trust::Full).is_ok() || Expr::parse(text, Trust::Restricted).is_err());
});

/// A request whose every part is what the client sent.
struct Sent<'a>(Vec<&'a [u8]>);

impl Sent<'_> {
    fn part(&self, number: usize) -> Option<Cow<'_, [u8]>> {
        self.0
            .get(number % self.0.len().max(1))
            .map(|part| Cow::Borrowed(*part))
    }
}

impl Vars for Sent<'_> {
    fn request_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.part(name.len())
    }

    fn response_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.part(name.len() + 1)
    }

    fn env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.part(name.len() + 2).filter(|part| !part.is_empty())
    }

    fn variable(&self, variable: Variable) -> Option<Cow<'_, [u8]>> {
        self.part(variable.name().len()).filter(|part| !part.is_empty())
    }

    fn client_ip(&self) -> Option<IpAddr> {
        let text = self.part(1)?;
        str::from_utf8(&text).ok()?.parse().ok()
    }

    fn note(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.part(name.len() + 3)
    }

    fn os_env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.part(name.len() + 4)
    }

    fn file_is(&self, _test: FileTest, path: &[u8]) -> bool {
        path.len() % 2 == 0
    }

    fn file_size(&self, path: &[u8]) -> Option<u64> {
        u64::try_from(path.len()).ok().filter(|size| size % 2 == 0)
    }

    fn file_contents(&self, path: &[u8]) -> Option<Vec<u8>> {
        (path.len() % 2 == 0).then(|| path.to_vec())
    }

    fn is_accessible(&self, _what: Accessible, name: &[u8]) -> bool {
        name.len() % 2 == 0
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}
