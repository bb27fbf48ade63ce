//! Keys that openssl has encrypted.

use super::*;
use crate::base::testing::{Dice, every_cut};
use crate::tls::pem::{self, Block, Kind};

const KEYS: &str = include_str!("keys.txt");
const PASS_PHRASE: &[u8] = b"a \"pass\" phrase";

/// The three keys as they are, and each block with the command that wrote it.
fn keys() -> (Vec<Block>, Vec<(&'static str, Block)>) {
    let (plain, encrypted) = KEYS.split_at(KEYS.find("\nopenssl ").expect("a command"));
    let plain = pem::blocks(plain.as_bytes()).expect("three keys");
    let encrypted = encrypted.split("\nopenssl ").skip(1).map(|part| {
        let mut blocks = pem::blocks(part.as_bytes()).expect(part);
        (part.lines().next().expect("a command"), blocks.remove(0))
    });
    (plain, encrypted.collect())
}

fn how(block: &Block) -> &Encryption {
    match &block.kind {
        Kind::Encrypted(how) => how,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_that_openssl_encrypted_are_opened() {
    let (plain, encrypted) = keys();
    let mut opened = 0;
    for (command, block) in &encrypted {
        let result = decrypt(how(block), &block.bytes, PASS_PHRASE);
        let unknown = |way: &str| Err(DecryptError::UnknownWay(way.to_string()));
        let expected = match *command {
            c if c.contains("scrypt") => unknown("scrypt"),
            c if c.contains("SHA224") => unknown("hmacWithSHA224"),
            c if c.contains("PBE-SHA1-3DES") => unknown("PBE-SHA1-3DES"),
            c if c.contains("pkcs8") && c.contains("camellia") => unknown("1.2.392.200011.61.1.1.1.2"),
            c if c.contains("camellia") => unknown("CAMELLIA-128-CBC"),
            c => {
                opened += 1;
                let key = match c {
                    c if c.starts_with("pkcs8") => &plain[0],
                    c if c.starts_with("ec ") => &plain[1],
                    _ => &plain[2],
                };
                let Kind::Key(form) = key.kind else { panic!("{key:?}") };
                Ok((form, key.bytes.clone()))
            }
        };
        assert_eq!(result, expected, "{command}");
    }
    assert_eq!(opened, 15);
}

#[test]
fn another_pass_phrase_opens_nothing() {
    for (command, block) in keys().1.iter().filter(|(command, _)| !command.contains("-iter")) {
        for wrong in [&b""[..], b"a \"pass\" phrase ", b"\0", &[b'x'; 2000]] {
            let error = decrypt(how(block), &block.bytes, wrong).expect_err(command);
            assert!(
                matches!(error, DecryptError::WrongPassPhrase | DecryptError::UnknownWay(_)),
                "{command}: {error}"
            );
        }
    }
}

#[test]
fn a_key_that_is_cut_or_changed_does_no_harm() {
    let mut dice = Dice::new(11);
    // Each block that is cut costs its rounds: one of each form will do.
    let few = [
        "pkcs8 -topk8 -in ed.pem -v2 aes-128-cbc",
        "ec -in ec.pem -aes128",
        "rsa -traditional -in rsa.pem -des3",
    ];
    for (command, block) in keys().1.iter().filter(|(command, _)| few.contains(command)) {
        every_cut(&block.bytes, |head, _| {
            if head.len() < block.bytes.len() {
                assert!(decrypt(how(block), head, PASS_PHRASE).is_err(), "{command}");
            }
        });
        for _ in 0..20 {
            let mut bytes = block.bytes.clone();
            let at = dice.below(bytes.len());
            bytes[at] ^= u8::try_from(dice.below(255) + 1).expect("a byte");
            let _ = decrypt(how(block), &bytes, PASS_PHRASE);
        }
    }
}

#[test]
fn an_old_head_with_a_wrong_vector_is_malformed() {
    for length in [0, 7, 8, 15, 17] {
        let how = Encryption::Dek {
            form: KeyForm::Pkcs1,
            cipher: "AES-128-CBC".to_string(),
            iv: vec![1; length],
        };
        assert_eq!(decrypt(&how, &[0; 32], b"x"), Err(DecryptError::Malformed), "{length}");
    }
}

#[test]
fn why_a_key_stays_shut_is_told() {
    let cases = [
        (DecryptError::WrongPassPhrase, "the pass phrase does not open it"),
        (
            DecryptError::UnknownWay("scrypt".to_string()),
            "it is encrypted by scrypt, which is not known here; `openssl pkcs8 -topk8 -v2 aes-256-cbc` writes it anew",
        ),
        (DecryptError::Malformed, "what says how it is encrypted is malformed"),
    ];
    for (error, message) in cases {
        assert_eq!(error.to_string(), message);
    }
}
