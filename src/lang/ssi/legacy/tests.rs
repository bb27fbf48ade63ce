//! The old conditions, as Apache 2.4.71 answers them with `SSILegacyExprParser on`.

use super::{Document, Fault, evaluate};
use crate::base::testing::{Dice, every_cut};
use crate::lang::ssi::expand::{Unset, expand};

#[derive(Default)]
struct Table {
    asked: usize,
}

impl Document for Table {
    fn expand(&mut self, text: &[u8]) -> Vec<u8> {
        let find = |name: &[u8]| match name {
            b"A" => Some(b"one".to_vec()),
            b"B" => Some(b"two".to_vec()),
            _ => None,
        };
        expand(text, Unset::Dropped, find).text
    }

    fn matches(&mut self, text: &[u8], pattern: &[u8]) -> bool {
        self.asked += 1;
        text.windows(pattern.len().max(1)).any(|part| part == pattern)
    }

    fn is_accessible(&mut self, url: &[u8]) -> bool {
        url.starts_with(b"/open")
    }
}

#[test]
fn conditions_are_true_or_not() {
    for (text, want) in [
        ("", Ok(false)),
        ("x", Ok(true)),
        ("''", Ok(false)),
        ("$A", Ok(true)),
        ("$none", Ok(false)),
        ("!$none", Ok(true)),
        ("!", Ok(false)),
        ("()", Ok(true)),
        ("$A = one", Ok(true)),
        ("$A == one", Ok(true)),
        ("$A != one", Ok(false)),
        ("$A=one", Ok(true)),
        ("$A = 'one'", Ok(true)),
        ("$A = one two", Ok(false)),
        ("one two = 'one two'", Ok(true)),
        ("$A < $B", Ok(true)),
        ("$A <= one", Ok(true)),
        ("$A > $B", Ok(false)),
        ("100 < 20", Ok(true)),
        ("$A >= one", Ok(true)),
        ("$A = /n/", Ok(true)),
        ("$A != /n/", Ok(false)),
        ("$A = one && $B = two", Ok(true)),
        ("$A = one && $B = three", Ok(false)),
        ("$none || $B = two", Ok(true)),
        ("($A = x || $B = two) && !($none)", Ok(true)),
        ("!$A = one", Err(Fault::Invalid)),
        ("!($A = one)", Ok(false)),
        ("a \\= b", Ok(false)),
        ("a\\=b", Ok(true)),
        ("\\$A = \\$A", Ok(true)),
        ("-A /open", Ok(true)),
        ("-A /closed", Ok(false)),
        ("-A /open && x", Ok(true)),
        ("-A", Err(Fault::NoUrl)),
        ("(x", Err(Fault::Open)),
        ("x)", Err(Fault::Close)),
        ("/x/", Err(Fault::Invalid)),
        ("= x", Err(Fault::Invalid)),
        ("x = = y", Err(Fault::Invalid)),
        ("x = y = z", Err(Fault::Invalid)),
        ("x && ", Err(Fault::Invalid)),
        ("&& x", Err(Fault::Invalid)),
        ("x < /y/", Err(Fault::Invalid)),
        ("x !y", Err(Fault::Invalid)),
        ("(x) y", Err(Fault::Invalid)),
        ("a & b | c", Ok(true)),
    ] {
        assert_eq!(evaluate(text.as_bytes(), &mut Table::default()), want, "{text}");
    }
}

#[test]
fn a_pattern_is_searched_for_even_where_it_does_not_decide() {
    let mut document = Table::default();
    assert_eq!(evaluate(b"x || $A = /n/", &mut document), Ok(true));
    assert_eq!(document.asked, 1);
}

#[test]
fn any_bytes_have_an_answer() {
    let mut dice = Dice::new(6);
    for _ in 0..20_000 {
        let mut text = b"($A = /n/ || !x) && -A '/open' < \\$B".to_vec();
        dice.damage(&mut text);
        dice.damage(&mut text);
        let _either_is_well = evaluate(&text, &mut Table::default());
    }
    let deep = vec![b'('; 60_000];
    assert_eq!(evaluate(&deep, &mut Table::default()), Err(Fault::Open));
    every_cut(b"($A = /n/ || !x) && -A '/open' < \\$B", |head, tail| {
        let _either_is_well = evaluate(head, &mut Table::default());
        let _either_is_well = evaluate(tail, &mut Table::default());
    });
}
