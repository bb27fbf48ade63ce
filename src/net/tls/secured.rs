//! What was agreed upon with a client, as the requests of its connection see it. Nothing here is made into text before
//! somebody asks.

use std::sync::Arc;

/// What was agreed upon.
#[derive(Debug)]
pub struct Secured {
    /// The name of the server that the client asked for, lower case.
    pub server_name: Option<Box<[u8]>>,
    /// The number of the site whose certificate it was shown.
    pub site: usize,
    /// Which version of the protocol is spoken.
    pub protocol: Protocol,
    /// The cipher suite's number (IANA's registry of TLS cipher suites).
    pub suite: u16,
    /// A number that no other connection has, made of its keys: it stands for the session's.
    pub session: [u8; 32],
    /// Whether it goes on with a session of before.
    pub resumption: Resumption,
    /// The certificate that the client was shown, in DER.
    pub own: Option<Arc<[u8]>>,
    /// The certificates that the client has shown, its own first, in DER; none where it was not asked or had none.
    pub chain: Vec<Box<[u8]>>,
    /// What is to be thought of them.
    pub verified: Verified,
}

/// What is to be thought of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It has shown none.
    Nothing,
    /// It is believed.
    Good(Known),
    /// It is not.
    Doubtful(Doubt),
}

/// A certificate that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// How far it is from one that the site knows: 0 where it is one itself, 1 where such a one has signed it.
    pub depth: usize,
}

/// Why a certificate is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// In the words of OpenSSL.
    pub why: &'static str,
    /// Whether nothing else is wrong with it than that no authority that is known has signed it.
    pub leads_nowhere: bool,
}

impl Doubt {
    /// There are too many certificates between it and one that is known.
    pub const TOO_LONG: &str = "certificate chain too long";

    /// That something is wrong with it.
    pub fn of(why: &'static str) -> Doubt {
        Doubt {
            why,
            leads_nowhere: false,
        }
    }

    /// That nobody known has signed it.
    pub fn leading_nowhere(why: &'static str) -> Doubt {
        Doubt {
            why,
            leads_nowhere: true,
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// 1.2 (RFC 5246)
    Tls12,
    /// 1.3 (RFC 8446)
    Tls13,
}

/// Whether a handshake goes on with a session of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// All was agreed upon anew.
    Initial,
    /// It does.
    Resumed,
}

impl Protocol {
    /// As SSL_PROTOCOL has it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tls12 => "TLSv1.2",
            Protocol::Tls13 => "TLSv1.3",
        }
    }
}

impl Resumption {
    /// As SSL_SESSION_RESUMED has it.
    pub fn name(self) -> &'static str {
        match self {
            Resumption::Initial => "Initial",
            Resumption::Resumed => "Resumed",
        }
    }
}

/// A cipher suite as OpenSSL calls it, and the bits of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cipher {
    /// Its name.
    pub name: &'static str,
    /// The bits of its key, all of which are used.
    pub bits: u16,
}

impl Secured {
    /// The cipher suite; none where it is one that this program does not know.
    pub fn cipher(&self) -> Option<Cipher> {
        let known = SUITES.iter().find(|(number, ..)| *number == self.suite);
        known.map(|(_, name, bits)| Cipher { name, bits: *bits })
    }
}

/// Number, OpenSSL's name, bits.
const SUITES: [(u16, &str, u16); 9] = [
    (0x1301, "TLS_AES_128_GCM_SHA256", 128),
    (0x1302, "TLS_AES_256_GCM_SHA384", 256),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256", 256),
    (0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", 128),
    (0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", 256),
    (0xc02f, "ECDHE-RSA-AES128-GCM-SHA256", 128),
    (0xc030, "ECDHE-RSA-AES256-GCM-SHA384", 256),
    (0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", 256),
    (0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", 256),
];

#[cfg(all(test, feature = "tls"))]
mod tests {
    use tokio_rustls::rustls::crypto::ring;

    use super::SUITES;

    #[test]
    fn every_suite_that_is_spoken_has_a_name() {
        let mut spoken: Vec<u16> = ring::ALL_CIPHER_SUITES
            .iter()
            .map(|suite| u16::from(suite.suite()))
            .collect();
        spoken.sort_unstable();
        assert_eq!(spoken, SUITES.map(|(number, ..)| number));
    }
}
