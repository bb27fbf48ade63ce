//! Whose answers are believed, and how long they are shown.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::{Staple, Subject, Unasked};
use crate::config::directives::tls_stapling::Stapling;
use crate::config::keyring::{Keyring, answer_name};
use crate::tls::ocsp::{Answer, Judged, State};
use crate::tls::responder::Responder;

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)).expect("it is there")
}

fn key(chain: &[&str]) -> CertifiedKey {
    let certificate = |name: &&str| CertificateDer::from_pem_slice(&file(name)).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(&file("server.key")).expect("PEM");
    CertifiedKey::new(
        chain.iter().map(certificate).collect(),
        any_supported_type(&key).expect("a key"),
    )
}

fn terms() -> Stapling {
    Stapling {
        responder: Responder::parse(b"http://127.0.0.1/"),
        patience: Duration::from_secs(10),
        pause: Duration::from_secs(3600),
        pause_after_error: Duration::from_secs(600),
        skew: Duration::from_secs(300),
        most_age: None,
    }
}

fn subject() -> Subject {
    Subject::of(&key(&["server.pem", "ca.pem"]), &terms(), b"server.pem").expect("all is there")
}

/// The times from which on and until which an answer holds.
fn times(answer: &[u8]) -> (SystemTime, SystemTime) {
    let read = Answer::from_der(answer).expect("an answer");
    let single = read.about(&subject().id).expect("read").expect("about it");
    (
        super::system_time(single.since),
        super::system_time(single.until.expect("it is said")),
    )
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn only_those_that_may_sign_are_believed() {
    let not_signed = "its answer is not signed by the certificate's issuer, nor by whom that has made its responder";
    for (name, expected) in [
        ("good.ocsp", Ok(State::Good)),
        ("delegated.ocsp", Ok(State::Good)),
        ("dead.ocsp", Ok(State::Revoked)),
        ("unsure.ocsp", Err("it knows nothing of the certificate")),
        ("usurped.ocsp", Err(not_signed)),
    ] {
        let answer = file(name);
        let (since, until) = times(&answer);
        let judged = subject().judge(&answer, since + MINUTE);
        let expected = expected.map(|state| Judged { state, until }).map_err(str::to_owned);
        assert_eq!(judged, expected, "{name}");
    }
}

#[test]
fn a_bit_that_is_another_is_no_answer() {
    let mut answer = file("good.ocsp");
    let now = times(&answer).0 + MINUTE;
    let read = Answer::from_der(&answer).expect("an answer");
    // What is behind the signature are certificates, of which the issuer's is not needed.
    let from = read.signed.as_ptr() as usize - answer.as_ptr() as usize;
    let to = read.signature.as_ptr() as usize - answer.as_ptr() as usize + read.signature.len();
    for at in from..to {
        answer[at] ^= 1;
        assert!(subject().judge(&answer, now).is_err(), "{at}");
        answer[at] ^= 1;
    }
    assert!(subject().judge(&answer, now).is_ok());
}

#[test]
fn an_answer_holds_in_its_time() {
    let answer = file("good.ocsp");
    let (since, until) = times(&answer);
    let aged = Stapling {
        most_age: Some(MINUTE * 3),
        ..terms()
    };
    let second = Duration::from_secs(1);
    for (terms, now, expected) in [
        (terms(), since - MINUTE * 4, Ok(until)),
        (
            terms(),
            since - MINUTE * 6,
            Err("on only (SSLStaplingResponseTimeSkew)"),
        ),
        (terms(), until - second, Ok(until)),
        (terms(), until, Err("its answer has expired at")),
        (aged.clone(), since + MINUTE, Ok(since + MINUTE * 3)),
        (aged, since + MINUTE * 3, Err("too old (SSLStaplingResponseMaxAge)")),
    ] {
        let subject = Subject { terms, ..subject() };
        match (subject.judge(&answer, now).map(|judged| judged.until), expected) {
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
            (judged, expected) => assert_eq!(judged, expected.map_err(str::to_owned)),
        }
    }
}

#[test]
fn nobody_is_asked_without_an_issuer_or_a_responder() {
    let without = Stapling {
        responder: None,
        ..terms()
    };
    for (chain, terms, expected) in [
        (&["server.pem"][..], terms(), Unasked::NoIssuer),
        (&["server.pem", "link.pem"], terms(), Unasked::NoIssuer),
        (&["server.pem", "ca.pem"], without, Unasked::NoResponder),
    ] {
        assert_eq!(Subject::of(&key(chain), &terms, b"").err(), Some(expected), "{chain:?}");
    }
}

#[test]
fn an_answer_is_shown_as_long_as_it_is_good() {
    let bare = Arc::new(key(&["server.pem", "ca.pem"]));
    let staple = Staple::new(&bare);
    let now = SystemTime::now();
    let shown = |now| staple.key(now).ocsp.clone();
    assert_eq!(shown(now), None);
    staple.put(b"answer", now + MINUTE);
    assert_eq!(shown(now).as_deref(), Some(&b"answer"[..]));
    assert_eq!(shown(now + MINUTE), None);
    staple.put(b"next", now + MINUTE * 2);
    assert_eq!(shown(now + MINUTE).as_deref(), Some(&b"next"[..]));
}

#[test]
fn what_an_earlier_worker_has_left_is_judged_again() {
    for (name, expected) in [("good.ocsp", true), ("usurped.ocsp", false)] {
        let staple = Arc::new(Staple::new(&Arc::new(key(&["server.pem", "ca.pem"]))));
        let mut subject = subject();
        // The answers may have been made later than now.
        subject.terms.skew = Duration::from_secs(20 * 365 * 86_400);
        subject.feed(Arc::clone(&staple));
        let mut keyring = Keyring::default();
        keyring.add_answer(answer_name(&subject.id), file(name));
        subject.begin(&keyring);
        assert_eq!(staple.key(SystemTime::now()).ocsp.is_some(), expected, "{name}");
        assert_eq!(subject.left.is_some(), expected, "{name}");
    }
}
