//! Certificates and what Apache said of them; and certificates that are none.

use std::collections::BTreeMap;

use super::*;
use crate::base::testing::{Dice, every_cut};

/// Written by `samples.py` beside it.
const SAMPLES: &str = include_str!("samples.txt");

/// 2026-11-21 00:00:00 UTC.
const NOW: HttpDate = HttpDate::from_seconds(1_795_219_200);

/// A certificate, and what Apache says of it: by mark and name, the value.
struct Sample {
    title: &'static str,
    der: Vec<u8>,
    said: Vec<(char, &'static str, Vec<u8>)>,
}

fn samples() -> Vec<Sample> {
    SAMPLES.split("\n# ").skip(1).map(sample).collect()
}

fn sample(text: &'static str) -> Sample {
    let mut lines = text.lines();
    let title = lines.next().expect("a sample has a title");
    let der = lines.next().and_then(|line| line.strip_prefix("< "));
    let der = STANDARD
        .decode(der.expect("a sample has a certificate"))
        .expect("base64");
    let said = lines.filter(|line| !line.is_empty()).map(|line| {
        let (mark, rest) = line.split_at(2);
        let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
        (mark.chars().next().expect("two bytes"), name, unescape(value))
    });
    Sample {
        title,
        der,
        said: said.collect(),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend(before.as_bytes());
        if let Some(digits) = after.strip_prefix('x') {
            bytes.push(u8::from_str_radix(&digits[..2], 16).expect("two digits"));
            rest = &digits[2..];
        } else {
            bytes.push(b'\\');
            rest = &after[1..];
        }
    }
    bytes.extend(rest.as_bytes());
    bytes
}

fn shown(value: &[u8]) -> String {
    value.escape_ascii().to_string()
}

#[test]
fn scripts_see_what_apache_shows_them() {
    let mut count = 0;
    for Sample { title, der, said } in samples() {
        let certificate = Certificate::from_der(&der).expect(title);
        let expected: BTreeMap<String, String> = said
            .iter()
            .filter(|(mark, ..)| *mark == '=')
            .map(|(_, name, value)| ((*name).to_string(), shown(value)))
            .collect();
        let mut ours = BTreeMap::new();
        certificate.each_standard(Owner::Client, DnForm::Rfc2253, NOW, |name, value| {
            if name != "V_REMAIN" {
                assert_eq!(
                    certificate.variable(name, DnForm::Rfc2253, NOW).as_deref(),
                    Some(&*value),
                    "{name}"
                );
                ours.insert(name.to_string(), shown(&value));
            }
        });
        assert_eq!(ours, expected, "{title}");
        count += 1;
    }
    assert!(count > 30, "{count} samples");
}

#[test]
fn single_variables_are_those_of_apache() {
    for Sample { title, der, said } in samples() {
        let certificate = Certificate::from_der(&der).expect(title);
        for (mark, name, value) in said {
            let form = if mark == '/' { DnForm::Legacy } else { DnForm::Rfc2253 };
            // A field of the response cannot hold a line feed.
            let shown = |value: Vec<u8>| shown(&value).replace("\\n", " ");
            let expected = (mark != '!').then(|| shown(value));
            let ours = certificate.variable(name, form, NOW).map(shown);
            assert_eq!(ours, expected, "{title}: {name}");
        }
    }
}

#[test]
fn of_a_servers_certificate_less_is_told() {
    let all = samples();
    let certificate = Certificate::from_der(&all[0].der).expect("the first one");
    let names = |owner| {
        let mut names = Vec::new();
        certificate.each_standard(owner, DnForm::Legacy, NOW, |name, _| names.push(name.to_string()));
        names
    };
    let of_server = names(Owner::Server);
    let more = names(Owner::Client)
        .into_iter()
        .filter(|name| !of_server.contains(name));
    assert_eq!(more.collect::<Vec<_>>(), ["V_REMAIN", "CERT_RFC4523_CEA"]);
}

#[test]
fn the_days_that_are_left_are_counted() {
    let all = samples();
    let certificate = Certificate::from_der(&all[0].der).expect("the first one");
    let end = certificate.end().expect("it has an end").seconds();
    let cases = [
        (end - 86_400, "1"),
        (end - 86_399, "0"),
        (end, "0"),
        (end + 9_999_999, "0"),
        (end - 86_400 * 100 - 1, "100"),
    ];
    for (now, left) in cases {
        let ours = certificate.variable("V_REMAIN", DnForm::Rfc2253, HttpDate::from_seconds(now));
        assert_eq!(ours.as_deref(), Some(left.as_bytes()), "{now}");
    }
}

#[test]
fn pem_is_written_as_it_is_read() {
    for Sample { title, der, .. } in samples() {
        let pem = Certificate::from_der(&der).expect(title).pem();
        let blocks = crate::tls::pem::blocks(&pem).expect(title);
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].bytes, der, "{title}");
        assert!(pem.ends_with(b"\n-----END CERTIFICATE-----\n"));
        assert!(pem.split(|byte| *byte == b'\n').all(|line| line.len() <= 64));
    }
}

#[test]
fn times_that_are_none_are_told_so() {
    let cases = [
        (2, "240229235959Z", "Feb 29 23:59:59 2024 GMT"),
        (2, "500101000000Z", "Jan  1 00:00:00 1950 GMT"),
        (4, "20500110000000Z", "Jan 10 00:00:00 2050 GMT"),
        (2, "241301000000Z", "Bad time value"),
        (2, "240001000000Z", "Bad time value"),
        (2, "240231000000Z", "Bad time value"),
        (2, "240101240000Z", "Bad time value"),
        (2, "2401010000Z", "Bad time value"),
        (2, "240101000000+0100", "Bad time value"),
        (4, "20240101000000.5Z", "Bad time value"),
        (2, "2401010000 0Z", "Bad time value"),
        (2, "", "Bad time value"),
    ];
    for (year, text, expected) in cases {
        let time = Time {
            text: text.as_bytes(),
            year,
        };
        assert_eq!(shown(&time.text()), expected, "{text}");
    }
}

#[test]
fn serial_numbers_are_written_in_decimal_up_to_a_length() {
    let longest = decimal(&[0x7f; LONGEST_DECIMAL]).map(|digits| digits.len());
    assert_eq!(longest, Some(154));
    let cases: [(&[u8], Option<&str>); 4] = [
        (&[], Some("0")),
        (&[0, 0xff], Some("255")),
        (&[0xff; 20], Some("-1")),
        (&[1; LONGEST_DECIMAL + 1], None),
    ];
    for (body, expected) in cases {
        let ours = decimal(body).map(|digits| shown(&digits));
        assert_eq!(ours.as_deref(), expected, "{body:?}");
    }
}

/// Everything that can be asked of a certificate.
fn ask_everything(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else {
        return false;
    };
    let mut length = 0;
    for form in [DnForm::Rfc2253, DnForm::Legacy] {
        certificate.each_standard(Owner::Client, form, NOW, |name, value| {
            length += name.len() + value.len();
        });
        for name in ["S_DN_CN_RAW", "I_DN_O_1_RAW", "SAN_DNS_7", "CERT"] {
            length += certificate.variable(name, form, NOW).unwrap_or_default().len();
        }
    }
    assert!(length < 64 * der.len() + 4096, "{length} bytes of {}", der.len());
    true
}

#[test]
fn a_certificate_that_is_cut_is_none() {
    for Sample { title, der, .. } in samples() {
        every_cut(&der, |head, _| {
            assert_eq!(ask_everything(head), head.len() == der.len(), "{title}: {}", head.len());
        });
        assert!(!ask_everything(&[&der[..], b"\0"].concat()), "{title}");
    }
}

#[test]
fn a_certificate_with_wrong_bytes_does_no_harm() {
    let mut dice = Dice::new(7);
    for Sample { der, .. } in samples() {
        for _ in 0..300 {
            let mut changed = der.clone();
            for _ in 0..=dice.below(4) {
                let at = dice.below(changed.len());
                changed[at] ^= u8::try_from(dice.below(255) + 1).expect("a byte");
            }
            ask_everything(&changed);
        }
    }
}

#[test]
fn names_of_variables_may_be_anything() {
    let all = samples();
    let certificate = Certificate::from_der(&all[0].der).expect("the first one");
    let none = [
        "",
        "S",
        "S_DN_",
        "S_DN__",
        "S_DN_CN_",
        "S_DN_CN_x",
        "S_DN_CN_-1",
        "S_DN_CN_99999999999999999999999",
        "\u{e4}_DN",
        "S_DN\u{e4}",
        "SAN_",
        "SAN_DNS",
        "SAN_DNS_",
        "SAN_\u{df}_0",
        "sAN_DNS_x",
        "VERIFY",
        "CERT_CHAIN_0",
    ];
    for name in none {
        assert_eq!(certificate.variable(name, DnForm::Rfc2253, NOW), None, "{name}");
    }
}
