//! What is said of files that are not as they should be, each made by rcgen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd,
};

use super::Engines;
use crate::config::error::{ConfigError, Severity};
use crate::config::keyring::Keyring;
use crate::config::load::load_text;

/// A directory of our own, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("lychgate-engines-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a name of our own");
        Directory(path)
    }

    fn write(&self, name: &str, pieces: &[&str]) -> &Directory {
        let path = self.0.join(name);
        fs::write(&path, pieces.concat()).expect("ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        self
    }

    /// What is said of a site with these lines, its files without this directory.
    fn said(&self, lines: &str) -> Vec<String> {
        let text = format!("ServerName www.example\nSSLEngine on\n{lines}\n");
        let loaded = load_text("a.conf", text.as_bytes(), Path::new(&self.0));
        assert_eq!(loaded.complaints, []);
        let (keyring, mut said) = Keyring::read(&loaded.config, Severity::Error);
        if said.iter().all(|fault| fault.severity < Severity::Error) {
            said.extend(Engines::remarks(&loaded.config, &keyring));
        }
        let here = format!("{}/", self.0.display());
        said.iter()
            .map(ConfigError::to_string)
            .map(|line| line.replace(&here, ""))
            .collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

fn params(name: &str, from: i32, to: i32) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, "a server");
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params
}

/// A certificate by itself, and its key.
fn alone(name: &str, key: &KeyPair) -> (String, String) {
    let certificate = params(name, 2000, 4000).self_signed(key).expect("it can sign");
    (certificate.pem(), key.serialize_pem())
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("random numbers")
}

const BOTH: &str = "SSLCertificateFile c.pem\nSSLCertificateKeyFile k.pem";

#[test]
fn what_is_as_it_should_be_is_passed_over() {
    let directory = Directory::new("good");
    for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(kind).expect("random numbers");
        for name in ["www.example", "*.example"] {
            let (certificate, key) = alone(name, &key);
            directory.write("c.pem", &[&certificate]).write("k.pem", &[&key]);
            assert_eq!(directory.said(BOTH), [""; 0]);
            directory.write(
                "c.pem",
                &[
                    "\u{feff}",
                    &key.replace('\n', "\r\n"),
                    "\r\n",
                    &certificate.replace('\n', "\r\n"),
                ],
            );
            assert_eq!(directory.said("SSLCertificateFile c.pem"), [""; 0]);
        }
    }
}

#[test]
fn who_says_that_it_must_be_stapled_is_heard() {
    let directory = Directory::new("stapled");
    let key = new_key();
    let mut params = params("www.example", 2000, 4000);
    // RFC 7633: a list with the number of the extension `status_request`.
    let features = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![0x30, 3, 2, 1, 5]);
    params.custom_extensions.push(features);
    let certificate = params.self_signed(&key).expect("it can sign");
    directory
        .write("c.pem", &[&certificate.pem()])
        .write("k.pem", &[&key.serialize_pem()]);
    let refused = "clients are to refuse it so, says the certificate (RFC 7633)";
    let off = format!(
        "a.conf:3: warning: SSLCertificateFile: c.pem: the certificate is sent without an answer of OCSP; {refused}; write \
         `SSLUseStapling on`"
    );
    let on = format!(
        "a.conf:5: warning: SSLUseStapling: c.pem: it is sent without an answer of OCSP: the certificate names no responder, and \
         there is no SSLStaplingForceURL; {refused}"
    );
    assert_eq!(directory.said(BOTH), [off]);
    assert_eq!(directory.said(&format!("{BOTH}\nSSLUseStapling on")), [on]);
}

#[test]
fn files_that_cannot_serve_are_told_with_their_lines() {
    let directory = Directory::new("bad");
    let (certificate, key) = alone("www.example", &new_key());
    let (other, _) = alone("www.example", &new_key());
    let second = other.lines().count() + 1;
    let first = format!(
        "a.conf:3: SSLCertificateFile: c.pem: the certificate of its key begins on line {second}; it must be the first"
    );
    let half = certificate.split_at(certificate.len() / 2).0;
    for (c, k, expected) in [
        (
            other.clone(),
            key.clone(),
            "a.conf:3: SSLCertificateFile: c.pem: it is not the certificate of its key, which is in k.pem",
        ),
        (format!("{other}{certificate}"), key.clone(), first.as_str()),
        (
            key.clone(),
            key.clone(),
            "a.conf:3: SSLCertificateFile: c.pem: there is no certificate in it, in PEM form",
        ),
        (
            certificate.clone(),
            certificate.clone(),
            "a.conf:4: SSLCertificateKeyFile: k.pem: there is no private key in it, in PEM form",
        ),
        (
            half.to_owned(),
            key.clone(),
            "a.conf:3: SSLCertificateFile: c.pem: line 1: `-----BEGIN CERTIFICATE-----` without its `-----END CERTIFICATE-----`",
        ),
        (
            certificate.clone(),
            key.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
            "a.conf:4: SSLCertificateKeyFile: k.pem: a key of a kind that is not understood; RSA of 2,048 bits and more, the curves \
             P-256 and P-384, and Ed25519 are",
        ),
        (
            certificate.clone(),
            key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
            "a.conf:4: SSLCertificateKeyFile: k.pem: its private key is encrypted",
        ),
    ] {
        directory.write("c.pem", &[&c]).write("k.pem", &[&k]);
        assert_eq!(directory.said(BOTH), [expected]);
    }
    directory.write("c.pem", &[&certificate]).write("k.pem", &[&key]);
    let der = rcgen::KeyPair::from_pem(&key).expect("ours").serialize_der();
    fs::write(directory.0.join("k.pem"), der).expect("ours");
    let said = directory.said(BOTH).concat();
    assert!(said.starts_with("a.conf:4: SSLCertificateKeyFile: k.pem: "), "{said}");
}

#[test]
fn a_certificate_out_of_time_or_for_another_name_is_a_warning() {
    let directory = Directory::new("odd");
    let key = new_key();
    for (name, from, to, expected) in [
        (
            "www.example",
            2000,
            2020,
            "the certificate on line 1 expired at 2020-01-01T00:00:00Z",
        ),
        (
            "www.example",
            3000,
            4000,
            "the certificate on line 1 is not valid before 3000-01-01T00:00:00Z",
        ),
        ("other.example", 2000, 4000, "it is not for the ServerName www.example"),
        ("*.www.example", 2000, 4000, "it is not for the ServerName www.example"),
    ] {
        let certificate = params(name, from, to).self_signed(&key).expect("it can sign");
        directory
            .write("c.pem", &[&certificate.pem()])
            .write("k.pem", &[&key.serialize_pem()]);
        let expected = format!("a.conf:3: warning: SSLCertificateFile: c.pem: {expected}");
        assert_eq!(directory.said(BOTH), [expected]);
    }
}

#[test]
fn a_chain_out_of_order_is_a_warning() {
    let directory = Directory::new("chain");
    let authority = |name: &str, by: Option<&(Certificate, Issuer<'static, KeyPair>)>| {
        let (key, mut params) = (new_key(), params(name, 2000, 4000));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = match by {
            Some((_, issuer)) => params.signed_by(&key, issuer),
            None => params.self_signed(&key),
        };
        (certificate.expect("it can sign"), Issuer::new(params, key))
    };
    let top = authority("the root", None);
    let middle = authority("the middle", Some(&top));
    let key = new_key();
    let leaf = params("www.example", 2000, 4000)
        .signed_by(&key, &middle.1)
        .expect("it can sign")
        .pem();
    let (top, middle) = (top.0.pem(), middle.0.pem());
    directory
        .write("k.pem", &[&key.serialize_pem()])
        .write("middle.pem", &[&middle])
        .write("top.pem", &[&top]);
    for (pieces, chain, expected) in [
        (vec![&leaf, &middle, &top], "", None),
        (vec![&leaf], "middle.pem", None),
        (
            vec![&leaf, &top, &middle],
            "",
            Some((3, "SSLCertificateFile: c.pem", leaf.lines().count() + 1)),
        ),
        (
            vec![&leaf, &middle],
            "middle.pem",
            Some((5, "SSLCertificateChainFile: middle.pem", 1)),
        ),
        (vec![&leaf], "top.pem", Some((5, "SSLCertificateChainFile: top.pem", 1))),
    ] {
        directory.write("c.pem", &pieces.iter().map(|piece| piece.as_str()).collect::<Vec<_>>());
        let lines = if chain.is_empty() {
            BOTH.to_owned()
        } else {
            format!("{BOTH}\nSSLCertificateChainFile {chain}")
        };
        let expected = expected.map(|(at, file, line)| {
            format!("a.conf:{at}: warning: {file}: the certificate on line {line} has not signed the one that is sent before it")
        });
        assert_eq!(directory.said(&lines), expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn of_two_certificates_of_a_kind_the_first_is_told_to_be_of_no_use() {
    let directory = Directory::new("two");
    let (certificate, key) = alone("www.example", &new_key());
    directory.write("c.pem", &[&certificate]).write("k.pem", &[&key]);
    let (certificate, key) = alone(
        "www.example",
        &KeyPair::generate_for(&PKCS_ED25519).expect("random numbers"),
    );
    directory.write("d.pem", &[&certificate, &key]);
    let (certificate, key) = alone("www.example", &new_key());
    directory.write("e.pem", &[&certificate]).write("f.pem", &[&key]);
    let lines = format!(
        "{BOTH}\nSSLCertificateFile d.pem\nSSLCertificateKeyFile d.pem\n{}",
        BOTH.replace("c.pem", "e.pem").replace("k.pem", "f.pem")
    );
    assert_eq!(
        directory.said(&lines),
        [
            "a.conf:3: warning: SSLCertificateFile: c.pem: a.conf:7 has another one for the same kind of key, which takes its place"
        ]
    );
}

#[test]
fn a_key_that_others_can_read_is_a_warning() {
    let directory = Directory::new("open");
    let (certificate, key) = alone("www.example", &new_key());
    directory.write("c.pem", &[&certificate]).write("k.pem", &[&key]);
    fs::set_permissions(directory.0.join("k.pem"), fs::Permissions::from_mode(0o644)).expect("ours");
    let expected = "a.conf:4: warning: SSLCertificateKeyFile: k.pem: every user of this machine can read the private key in it; \
                    `chmod 600` keeps it secret";
    assert_eq!(directory.said(BOTH), [expected]);
    // It is nobody's business who can read a certificate.
    fs::set_permissions(directory.0.join("k.pem"), fs::Permissions::from_mode(0o600)).expect("ours");
    fs::set_permissions(directory.0.join("c.pem"), fs::Permissions::from_mode(0o644)).expect("ours");
    assert_eq!(directory.said(BOTH), [""; 0]);
}
