//! Clients' certificates and what is told of them, and the files that certificates and keys are in.

#![no_main]

use libfuzzer_sys::fuzz_target;

use lychgate::base::date::HttpDate;
use lychgate::tls::certificate::{Certificate, Owner};
use lychgate::tls::name::DnForm;
use lychgate::tls::pem::blocks;

fuzz_target!(|input: &[u8]| {
    let _ = blocks(input);
    let Ok(certificate) = Certificate::from_der(input) else {
        return;
    };
    let now = HttpDate::from_seconds(1_800_000_000);
    for form in [DnForm::Rfc2253, DnForm::Legacy] {
        let mut length = 0;
        certificate.each_standard(Owner::Client, form, now, |name, value| {
            assert_eq!(certificate.variable(name, form, now).as_ref(), Some(&value), "{name}");
            length += name.len() + value.len();
        });
        assert!(length < 64 * input.len() + 4096, "{length} bytes of {}", input.len());
    }
    let _ = certificate.variable("S_DN_CN_RAW", DnForm::Rfc2253, now);
    let pem = blocks(&certificate.pem()).expect("what is written is read");
    assert_eq!(pem[0].bytes, input);
});
