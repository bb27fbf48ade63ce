//! Tests of PEM files.

use super::*;
use crate::base::testing::every_cut;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";

fn der(texts: &[&str]) -> Vec<Block> {
    blocks(texts.concat().as_bytes()).expect("it is a PEM file")
}

fn kinds(text: &str) -> Vec<Kind> {
    der(&[text]).into_iter().map(|block| block.kind).collect()
}

#[test]
fn blocks_come_in_their_order_with_their_lines() {
    let found = der(&[
        "Bag Attributes\n    friendlyName: x\n-----END of nothing\n",
        CERTIFICATE,
        "\nsubject=CN = x\n",
        "-----BEGIN PRIVATE KEY-----\r\nMAMC\r\nAQI=\r\n-----END PRIVATE KEY-----   \r\n",
        "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----",
    ]);
    let seen: Vec<(&Kind, usize, &[u8])> = found.iter().map(|b| (&b.kind, b.line, b.bytes.as_slice())).collect();
    assert_eq!(
        seen,
        [
            (&Kind::Certificate, 4, &[0x30, 3, 2, 1, 1][..]),
            (&Kind::Key(KeyForm::Pkcs8), 9, &[0x30, 3, 2, 1, 2]),
            (&Kind::Crl, 13, &[0x30, 0]),
        ]
    );
}

#[test]
fn the_label_says_what_is_inside() {
    let cases = [
        ("X509 CERTIFICATE", Kind::Certificate),
        ("TRUSTED CERTIFICATE", Kind::Certificate),
        ("RSA PRIVATE KEY", Kind::Key(KeyForm::Pkcs1)),
        ("EC PRIVATE KEY", Kind::Key(KeyForm::Sec1)),
        ("ENCRYPTED PRIVATE KEY", Kind::Encrypted(Encryption::Pkcs8)),
        ("DH PARAMETERS", Kind::Other("DH PARAMETERS".to_string())),
        ("certificate", Kind::Other("certificate".to_string())),
    ];
    for (label, kind) in cases {
        let text = format!("-----BEGIN {label}-----\nMAMCAQE=\n-----END {label}-----\n");
        assert_eq!(kinds(&text), [kind], "{label}");
    }
}

#[test]
fn blocks_of_no_concern_may_hold_anything() {
    let text = "-----BEGIN PGP SIGNATURE-----\nVersion: 1\n\n=ab$\n-----END PGP SIGNATURE-----\n";
    assert_eq!(kinds(text), [Kind::Other("PGP SIGNATURE".to_string())]);
}

#[test]
fn the_old_head_says_how_a_key_is_encrypted() {
    let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00ffA0\n\nMAA=\n\
        -----END RSA PRIVATE KEY-----\n";
    let found = der(&[text]);
    assert_eq!(
        found[0].kind,
        Kind::Encrypted(Encryption::Dek {
            form: KeyForm::Pkcs1,
            cipher: "AES-128-CBC".to_string(),
            iv: vec![0, 0xff, 0xa0]
        })
    );
    assert_eq!(found[0].bytes, [0x30, 0]);
}

#[test]
fn a_head_without_encryption_is_passed_over() {
    let text = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,MIC-CLEAR\n\nMAA=\n-----END EC PRIVATE KEY-----\n";
    assert_eq!(kinds(text), [Kind::Key(KeyForm::Sec1)]);
}

#[test]
fn what_trust_adds_to_a_certificate_is_cut_off() {
    let text = "-----BEGIN TRUSTED CERTIFICATE-----\nMAMCAQEwAA==\n-----END TRUSTED CERTIFICATE-----\n";
    assert_eq!(der(&[text])[0].bytes, [0x30, 3, 2, 1, 1]);
    assert_eq!(first_element(&[0x30, 0x82, 0x00, 0x01, 9, 9]), 5);
    assert_eq!(first_element(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 9]), 7);
    assert_eq!(first_element(&[0x30]), 1);
    assert_eq!(first_element(&[]), 0);
}

#[test]
fn lines_may_end_as_anybody_ends_them() {
    for text in [CERTIFICATE.replace('\n', "\r\n"), CERTIFICATE.replace('\n', "\r")] {
        assert_eq!(kinds(&text), [Kind::Certificate], "{text:?}");
    }
    assert_eq!(kinds(&format!("\u{feff}{CERTIFICATE}")), [Kind::Certificate]);
}

#[test]
fn a_text_without_blocks_has_none() {
    for text in ["", "hello\n", "-----BEGIN-----\n", " -----BEGIN CERTIFICATE-----\n"] {
        assert_eq!(kinds(text), [], "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_told() {
    let cases = [
        (
            "\n-----BEGIN CERTIFICATE----\n",
            "line 2: `-----BEGIN` without five dashes at its end",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMAA=\n",
            "line 1: `-----BEGIN CERTIFICATE-----` without its `-----END CERTIFICATE-----`",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMAA=\n-----BEGIN CERTIFICATE-----\n",
            "line 3: `-----END CERTIFICATE-----` is missing before it",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMAA=\n-----END PRIVATE KEY-----\n",
            "line 3: `-----END CERTIFICATE-----` is missing before it",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMAMC\n\u{e4}\nAQE=\n-----END CERTIFICATE-----\n",
            "line 3: it is not base64, or base64 is cut short before it",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMAMCA\n-----END CERTIFICATE-----\n",
            "line 3: it is not base64, or base64 is cut short before it",
        ),
        (
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
            "line 1: the block that begins there is empty",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0\n\nMAA=\n\
             -----END RSA PRIVATE KEY-----\n",
            "line 3: `Proc-Type: 4,ENCRYPTED` needs a `DEK-Info:` with a cipher and an initial vector, such as \
             `DEK-Info: AES-256-CBC,` and 32 hexadecimal digits",
        ),
    ];
    for (text, expected) in cases {
        let error = blocks(text.as_bytes()).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text:?}");
    }
    assert_eq!(
        blocks(&[0x30, 0x82, 3, 9]).expect_err("DER").to_string(),
        "it is DER, not PEM; `openssl x509 -inform DER` (or `openssl pkey -inform DER` for a key) converts it"
    );
}

#[test]
fn a_file_that_is_cut_is_an_error_or_has_fewer_blocks() {
    let text = format!("{CERTIFICATE}{}", CERTIFICATE.replace("CERTIFICATE", "X509 CRL"));
    every_cut(text.as_bytes(), |head, _| {
        if let Ok(found) = blocks(head) {
            assert!(found.len() <= 2);
            assert!(found.iter().all(|block| block.bytes == [0x30, 3, 2, 1, 1]));
        }
    });
}
