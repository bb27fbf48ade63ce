//! Lists of ciphers, beside what OpenSSL makes of them.

use super::*;
use crate::base::testing::{Dice, every_cut};

/// Lists met in the wild and lists made to try the rules, with OpenSSL's answers.
const OPENSSL: &str = include_str!("openssl.txt");

fn names(suites: &[&Suite]) -> String {
    suites.iter().map(|suite| suite.name).collect::<Vec<_>>().join(" ")
}

#[test]
fn lists_choose_what_they_choose_with_openssl() {
    let mut lines = OPENSSL.lines();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let Some(list) = line.strip_prefix("? ") else {
            continue;
        };
        let answer = lines.next().expect("an answer to each");
        let ours = match tls12(list.as_bytes()) {
            Ok(chosen) => format!("= {}", names(&chosen.suites)).trim_end().to_string(),
            Err(_) => "!".to_string(),
        };
        assert_eq!(ours, answer, "{list}");
        count += 1;
    }
    assert!(count > 150, "{count} lists");
}

#[test]
fn words_that_name_nothing_are_told() {
    let cases: [(&str, &[&str]); 9] = [
        (
            "HIGH:!aNULL:!MD5:!KRB5-DES-CBC3-SHA:!SSLv2:EXP-EDH-RSA-DES-CBC-SHA:PSK-3DES-EDE-CBC-SHA",
            &[],
        ),
        ("high:HIGH", &["high"]),
        ("HIGH:DEFAULT", &["DEFAULT"]),
        ("ECDHE+AESGMC:!anull:@STRENGTH", &["ECDHE+AESGMC", "anull"]),
        ("HIGH:+eNUL,FOO BAR", &["eNUL", "FOO", "BAR"]),
        ("ECDHE-RSA-AES256-GCM-SHA512:ECDHE", &["ECDHE-RSA-AES256-GCM-SHA512"]),
        ("ECDHE-RSA-AES256-CGM-SHA384", &["ECDHE-RSA-AES256-CGM-SHA384"]),
        ("TLS_AES_128_GCM_SHA256:HIGH", &["TLS_AES_128_GCM_SHA256"]),
        ("PROFILE=SYSTEM:!AES", &[]),
    ];
    for (list, unknown) in cases {
        assert_eq!(tls12(list.as_bytes()).expect(list).unknown, unknown, "{list}");
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    let cases = [
        ("HIGH:!", "the list ends where the name of ciphers is needed"),
        (
            "HIGH:AES+:x",
            "`AES+:x` does not begin with the name of ciphers, such as `HIGH`",
        ),
        ("HIGH:*", "`*` does not begin with the name of ciphers, such as `HIGH`"),
        (
            "HIGH:@FOO:x",
            "`@FOO` is not known; write `@STRENGTH`, or `@SECLEVEL=` and a digit from 0 to 5",
        ),
        (
            "@SECLEVEL=6",
            "`@SECLEVEL=6` is not known; write `@STRENGTH`, or `@SECLEVEL=` and a digit from 0 to 5",
        ),
    ];
    for (list, message) in cases {
        assert_eq!(tls12(list.as_bytes()).expect_err(list).to_string(), message, "{list}");
    }
}

#[test]
fn suites_of_tls_1_3_are_named_one_by_one() {
    let cases: [(&str, &str, &[&str]); 7] = [
        (
            "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
            "TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384",
            &[],
        ),
        (
            " TLS_AES_128_GCM_SHA256 :: TLS_AES_128_GCM_SHA256",
            "TLS_AES_128_GCM_SHA256",
            &[],
        ),
        ("TLS_AES_128_CCM_SHA256", "", &[]),
        ("", "", &[]),
        ("tls_aes_128_gcm_sha256:FOO", "", &["tls_aes_128_gcm_sha256", "FOO"]),
        ("ECDHE-RSA-AES128-GCM-SHA256", "", &["ECDHE-RSA-AES128-GCM-SHA256"]),
        (
            "TLS_CHACHA20_POLY1305_SHA256,x",
            "",
            &["TLS_CHACHA20_POLY1305_SHA256,x"],
        ),
    ];
    for (list, suites, unknown) in cases {
        let chosen = tls13(list.as_bytes());
        assert_eq!(names(&chosen.suites), suites, "{list}");
        assert_eq!(chosen.unknown, unknown, "{list}");
    }
}

#[test]
fn the_profile_of_fedora_is_its_default() {
    let chosen = tls12(b"PROFILE=SYSTEM:!AES").expect("a list");
    assert_eq!(
        names(&chosen.suites),
        "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305"
    );
}

#[test]
fn a_list_may_be_cut_or_be_noise() {
    for line in OPENSSL.lines() {
        every_cut(line.as_bytes(), |head, _| {
            let _ = tls12(head);
        });
    }
    let mut dice = Dice::new(3);
    for _ in 0..2000 {
        let noise: Vec<u8> = (0..dice.below(40))
            .map(|_| u8::try_from(dice.below(256)).expect("a byte"))
            .collect();
        let _ = (tls12(&noise), tls13(&noise));
    }
}

#[test]
fn suites_are_found_by_their_numbers() {
    assert_eq!(
        by_id(0xc02f).map(|suite| (suite.name, suite.bits)),
        Some(("ECDHE-RSA-AES128-GCM-SHA256", 128))
    );
    assert_eq!(
        by_id(0x1303).map(|suite| (suite.name, suite.bits)),
        Some(("TLS_CHACHA20_POLY1305_SHA256", 256))
    );
    assert_eq!(by_id(0x002f), None);
}
