//! Answers that depend on what is asked for: `off` needs no support.

use crate::config::directives::foreign::Answer::{self, Ignored, Refused, Warned};

/// Word `n` in lower case.
fn word(words: &[Vec<u8>], n: usize) -> String {
    let word = words.get(n).map(Vec::as_slice).unwrap_or_default();
    String::from_utf8_lossy(word).to_ascii_lowercase()
}

/// Ignored when the first word is one of `harmless`, otherwise refused with the sentence.
fn unless(words: &[Vec<u8>], harmless: &[&str], refusal: &'static str) -> Answer {
    if harmless.contains(&word(words, 0).as_str()) {
        Ignored("it asks for what holds anyway")
    } else {
        Refused(refusal)
    }
}

pub(super) fn off_only(words: &[Vec<u8>]) -> Answer {
    unless(
        words,
        &["off"],
        "not supported by this version; write `off`, or leave it out",
    )
}

pub(super) fn off_only_trailers(words: &[Vec<u8>]) -> Answer {
    let refusal = "not supported by this version; trailers are read and dropped: write `off`";
    unless(words, &["off"], refusal)
}

pub(super) fn off_only_hosts(words: &[Vec<u8>]) -> Answer {
    let refusal = "not supported by this version; unknown hosts get the first `<VirtualHost>`: let that one deny them";
    unless(words, &["off"], refusal)
}

pub(super) fn off_only_security(words: &[Vec<u8>]) -> Answer {
    let refusal =
        "not supported by this version; no rules look at requests: keep the firewall in front, and write `Off`";
    unless(words, &["off"], refusal)
}

pub(super) fn off_only_xsendfile(words: &[Vec<u8>]) -> Answer {
    let refusal = "not supported by this version; let the script send the file, or redirect to it";
    unless(words, &["off"], refusal)
}

pub(super) fn protocol(words: &[Vec<u8>]) -> Answer {
    unless(
        words,
        &["http"],
        "not supported by this version; listeners speak plain HTTP: write `http`",
    )
}

/// Clients choose among what is offered, so fewer protocols serve them all the same.
pub(super) fn protocols(words: &[Vec<u8>]) -> Answer {
    if words.iter().all(|word| word.eq_ignore_ascii_case(b"http/1.1")) {
        Ignored("it asks for what holds anyway")
    } else {
        Warned("HTTP/2 is not supported by this version; clients are served with HTTP/1.1")
    }
}

pub(super) fn interpreter_source(words: &[Vec<u8>]) -> Answer {
    unless(
        words,
        &["script"],
        "there is no registry to ask; scripts name their interpreter in the `#!` line",
    )
}

/// Nothing is opened by it: what it adds are ways to write. Another provider than that of files shows what is no file.
pub(super) fn dav(words: &[Vec<u8>]) -> Answer {
    if matches!(word(words, 0).as_str(), "on" | "filesystem") {
        return Warned("WebDAV is not served by this version: files can be read as without it, and nothing is written");
    }
    unless(
        words,
        &["off"],
        "not supported by this version; WebDAV is not served: write `Off`",
    )
}

pub(super) fn identity_check(words: &[Vec<u8>]) -> Answer {
    unless(
        words,
        &["off"],
        "not supported; nobody is asked who a user is (RFC 1413): write `Off`",
    )
}

pub(super) fn gnutls_enable(words: &[Vec<u8>]) -> Answer {
    let refusal = "not supported; TLS is mod_ssl's here: write SSLEngine, SSLCertificateFile and SSLCertificateKeyFile";
    unless(words, &["off"], refusal)
}

pub(super) fn off_only_ocsp(words: &[Vec<u8>]) -> Answer {
    let refusal = "not supported by this version; nobody is asked whether a client's certificate was revoked: write `off`, and \
SSLCARevocationFile with SSLCARevocationCheck";
    unless(words, &["off"], refusal)
}

pub(super) fn tls_compression(words: &[Vec<u8>]) -> Answer {
    if word(words, 0) == "off" {
        Ignored("it asks for what holds anyway")
    } else {
        Warned("TLS does not compress here, for that gives secrets away (CRIME); Content-Encoding does")
    }
}

pub(super) fn insecure_renegotiation(words: &[Vec<u8>]) -> Answer {
    if word(words, 0) == "off" {
        Ignored("it asks for what holds anyway")
    } else {
        Warned("there is no renegotiation, and TLS 1.2 is spoken with clients of any kind without it")
    }
}

pub(super) fn crypto_device(words: &[Vec<u8>]) -> Answer {
    if word(words, 0) == "builtin" {
        Ignored("it asks for what holds anyway")
    } else {
        Warned("keys are worked with by the processor, and by no device")
    }
}

pub(super) fn fips(words: &[Vec<u8>]) -> Answer {
    unless(
        words,
        &["off"],
        "not supported; the cryptography here (ring) is not validated by FIPS 140: write `off`",
    )
}

pub(super) fn second_file(words: &[Vec<u8>]) -> Answer {
    unless(
        words,
        &["/dev/null"],
        "it left Apache with 2.0; write `Include` with the file",
    )
}

pub(super) fn server_type(words: &[Vec<u8>]) -> Answer {
    unless(
        words,
        &["standalone"],
        "lychgate keeps running and is not started by inetd; write `standalone`, or leave it out",
    )
}
