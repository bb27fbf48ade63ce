//! Questions as OpenSSL asks them, and its answers: whole, cut, and changed.

use std::fs;
use std::path::Path;

use super::{Answer, AnswerError, CertId, Single, State, must_be_stapled, responder};
use crate::base::testing::every_cut;
use crate::tls::pem;

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)).expect("it is there")
}

fn certificate(name: &str) -> Vec<u8> {
    pem::blocks(&file(name)).expect("PEM").swap_remove(0).bytes
}

fn id() -> CertId {
    CertId::of(&certificate("server.pem"), &certificate("ca.pem")).expect("it has issued it")
}

#[test]
fn the_question_is_that_of_openssl() {
    // openssl ocsp -issuer ca.pem -cert server.pem -no_nonce -reqout
    let asked = "305530533051304f304d300906052b0e03021a050004140b7028ea87509ab9d5a3303e8024bad15cd433ab0414\
4c5e8ca4ce092f72dde0cf4b8c0b26ad1c06e5a802141d970f76db82709387f46dbd61f43a5829b473c3";
    let question: Vec<String> = id().question().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(question.concat(), asked);
}

#[test]
fn who_has_not_issued_a_certificate_is_not_asked_about_it() {
    assert_eq!(CertId::of(&certificate("server.pem"), &certificate("link.pem")), None);
    assert_eq!(CertId::of(b"", &certificate("ca.pem")), None);
    assert_eq!(CertId::of(&certificate("server.pem"), b"\x30\x03\x30\x01\x00"), None);
    every_cut(&certificate("server.pem"), |head, _| {
        let _none_of_them = (CertId::of(head, head), responder(head), must_be_stapled(head));
    });
}

#[test]
fn what_an_answer_says_is_told() {
    for (name, state, certificates) in [
        ("good.ocsp", State::Good, 1),
        ("delegated.ocsp", State::Good, 1),
        ("dead.ocsp", State::Revoked, 1),
        ("unsure.ocsp", State::Unknown, 1),
    ] {
        let bytes = file(name);
        let answer = Answer::from_der(&bytes).expect(name);
        assert_eq!(answer.certificates.len(), certificates, "{name}");
        let said = answer.about(&id()).expect(name).expect(name);
        assert_eq!(said.state, state, "{name}");
        assert!(said.until.is_some_and(|until| until > said.since), "{name}");
    }
    let other = CertId::of(&certificate("ecdsa.pem"), &certificate("ca.pem")).expect("it has issued it");
    let good = file("good.ocsp");
    assert_eq!(Answer::from_der(&good).expect("an answer").about(&other), Ok(None));
}

#[test]
fn what_is_cut_or_more_is_no_answer() {
    for name in ["good.ocsp", "delegated.ocsp", "dead.ocsp"] {
        let bytes = file(name);
        every_cut(&bytes, |head, _| {
            if head.len() < bytes.len() {
                assert_eq!(
                    Answer::from_der(head),
                    Err(AnswerError::Malformed),
                    "{name} {}",
                    head.len()
                );
            }
        });
        assert_eq!(
            Answer::from_der(&[&bytes[..], b"\0"].concat()),
            Err(AnswerError::Malformed)
        );
    }
}

#[test]
fn a_byte_that_is_another_breaks_nothing() {
    let mut bytes = file("good.ocsp");
    for at in 0..bytes.len() {
        let byte = bytes[at];
        for other in [0, byte ^ 1, byte ^ 0x80, 0xff] {
            bytes[at] = other;
            let answer = Answer::from_der(&bytes);
            let _said: Option<Single> = answer.ok().and_then(|answer| answer.about(&id()).ok()).flatten();
        }
        bytes[at] = byte;
    }
}

#[test]
fn a_responder_that_refuses_says_why() {
    for (status, told) in [
        (3, "it answered that it should be asked later (tryLater)"),
        (6, "it answered that it does not answer us (unauthorized)"),
        (9, "it answered with the status 9"),
    ] {
        let error = Answer::from_der(&[0x30, 3, 10, 1, status]).expect_err("none");
        assert_eq!(error, AnswerError::Refused(status));
        assert_eq!(error.to_string(), told);
    }
}
