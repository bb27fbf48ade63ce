//! Expressions: any text is read or refused, and what is read can be asked of any request. The first line of the input is
//! the expression, the rest is what the client sent.

#![no_main]

use std::borrow::Cow;
use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;

use lychgate::lang::expr::{Expr, StringExpr, Trust};
use lychgate::lang::vars::{Variable, Vars};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (text, sent) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let request = Sent(sent);
    for trust in [Trust::Full, Trust::Restricted] {
        match Expr::parse(text, trust) {
            Ok(expr) => assert_eq!(expr.eval(&request), expr.eval(&request)),
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
struct Sent<'a>(&'a [u8]);

impl Vars for Sent<'_> {
    fn request_field(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn response_field(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn env(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn variable(&self, _variable: Variable) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn client_ip(&self) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, 7]))
    }
}
