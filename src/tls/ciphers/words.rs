//! The words of cipher lists: those that choose some of our suites, those of OpenSSL's that choose none, and the names of other
//! suites.

use crate::tls::ciphers::{Encryption, Kind, SUITES, Suite};

/// What a word asks of a suite.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    All,
    None,
    /// `HIGH` and `FIPS` are strengths to OpenSSL, of which a suite has one: together they choose nothing.
    High,
    Fips,
    Signed(Kind),
    Encrypted(Encryption),
    Aes,
    Is(u16),
}

impl Condition {
    pub fn holds(self, suite: &Suite) -> bool {
        match self {
            Condition::All | Condition::High => true,
            Condition::None => false,
            Condition::Signed(kind) => suite.kind == kind,
            Condition::Encrypted(encryption) => suite.encryption == encryption,
            Condition::Aes | Condition::Fips => suite.encryption != Encryption::ChaCha20,
            Condition::Is(id) => suite.id == id,
        }
    }
}

/// What begins a list and stands for all of it (RFC 6460).
pub(super) const SUITE_B: [(&str, &str); 4] = [
    ("SUITEB128ONLY", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("SUITEB128C2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (
        "SUITEB128",
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    ("SUITEB192", "ECDHE-ECDSA-AES256-GCM-SHA384"),
];

/// Suites of TLS 1.3 that OpenSSL has and we do not.
pub(super) const OF_TLS13: [&str; 4] = [
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
    "TLS_SHA256_SHA256",
    "TLS_SHA384_SHA384",
];

/// What a word means; nothing if OpenSSL does not know it either.
pub(super) fn condition(word: &[u8]) -> Option<Condition> {
    let word = std::str::from_utf8(word).ok()?;
    let ours = match word {
        "HIGH" => Condition::High,
        "FIPS" => Condition::Fips,
        "ALL" | "TLSv1.2" | "ECDH" | "EECDH" | "ECDHE" | "kECDHE" | "kEECDH" => Condition::All,
        "aRSA" => Condition::Signed(Kind::Rsa),
        "aECDSA" | "ECDSA" => Condition::Signed(Kind::Ecdsa),
        "AES" | "AESGCM" => Condition::Aes,
        "AES128" => Condition::Encrypted(Encryption::Aes128),
        "AES256" => Condition::Encrypted(Encryption::Aes256),
        "CHACHA20" => Condition::Encrypted(Encryption::ChaCha20),
        _ => match SUITES.iter().find(|suite| suite.name == word) {
            Some(suite) => Condition::Is(suite.id),
            None if OTHERS.contains(&word) || is_suite(word) => Condition::None,
            None => return None,
        },
    };
    Some(ours)
}

/// Words of OpenSSL's, the present one's and older ones', that choose none of our suites.
const OTHERS: &[&str] = &[
    "3DES",
    "ADH",
    "AECDH",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "CBC",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "DES",
    "DH",
    "DHE",
    "DSS",
    "EDH",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "FZA",
    "GOST12",
    "GOST2012",
    "GOST89",
    "GOST89MAC",
    "GOST94",
    "IDEA",
    "KRB5",
    "LOW",
    "MD5",
    "MEDIUM",
    "NULL",
    "PSK",
    "RC2",
    "RC4",
    "RSA",
    "SEED",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SRP",
    "SSLv2",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "aDH",
    "aDSS",
    "aECDH",
    "aFZA",
    "aGOST",
    "aGOST01",
    "aGOST12",
    "aGOST94",
    "aKRB5",
    "aNULL",
    "aPSK",
    "aSRP",
    "eFZA",
    "eNULL",
    "kDH",
    "kDHE",
    "kDHEPSK",
    "kDHd",
    "kDHr",
    "kECDH",
    "kECDHEPSK",
    "kECDHe",
    "kECDHr",
    "kEDH",
    "kFZA",
    "kGOST",
    "kGOST18",
    "kKRB5",
    "kPSK",
    "kRSA",
    "kRSAPSK",
    "kSRP",
];

/// Whether a word is made as OpenSSL's names of suites are, of at least two parts.
fn is_suite(word: &str) -> bool {
    const PARTS: &[&str] = &[
        "3DES",
        "ADH",
        "AECDH",
        "AES128",
        "AES256",
        "ARIA128",
        "ARIA256",
        "CAMELLIA128",
        "CAMELLIA256",
        "CBC",
        "CBC3",
        "CCM",
        "CCM8",
        "CHACHA20",
        "DES",
        "DH",
        "DHE",
        "DSS",
        "ECDH",
        "ECDHE",
        "ECDSA",
        "EDE",
        "EDH",
        "EXP",
        "EXP1024",
        "GCM",
        "GOST2001",
        "GOST2012",
        "GOST89",
        "GOST8912",
        "GOST94",
        "IDEA",
        "KRB5",
        "LEGACY",
        "MD5",
        "NULL",
        "OLD",
        "POLY1305",
        "PSK",
        "RC2",
        "RC4",
        "RSA",
        "SEED",
        "SHA",
        "SHA256",
        "SHA384",
        "SRP",
        "64",
        "40",
        "IANA",
        "3DES_EDE",
    ];
    word.contains('-') && word.split('-').all(|part| PARTS.contains(&part))
}
