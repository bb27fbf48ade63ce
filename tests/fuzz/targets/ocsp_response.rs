//! Answers of OCSP responders, and what a certificate says of them.

#![no_main]

use libfuzzer_sys::fuzz_target;

use lychgate::tls::ocsp::{Answer, CertId, must_be_stapled, responder};

fuzz_target!(|input: &[u8]| {
    let _ = (responder(input), must_be_stapled(input));
    // A certificate that has issued itself is a subject too.
    let id = CertId::of(input, input);
    if let Some(id) = &id {
        assert!(id.question().len() < input.len() + 256);
    }
    let Ok(answer) = Answer::from_der(input) else {
        return;
    };
    assert!(answer.signed.len() + answer.signature.len() <= input.len());
    if let Some(id) = id {
        let _ = answer.about(&id);
    }
});
