//! Nonces of the Digest scheme: the time they were made at, signed, so that nothing has to be remembered of them. Twelve
//! characters of base64 and forty hexadecimal digits, as mod_auth_digest writes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::auth::hash::are_equal;

/// How many bytes a secret has.
pub const SECRET: usize = 32;

/// What nonces are signed with.
#[derive(Clone, Copy)]
pub struct Secret([u8; SECRET]);

/// How many bytes a nonce has.
pub const NONCE: usize = STAMP + SIGNATURE;

/// How many characters tell the time.
const STAMP: usize = 12;

/// How many digits sign it.
const SIGNATURE: usize = 40;

impl Secret {
    /// A secret of these bytes, which nobody may be able to guess.
    pub fn new(bytes: [u8; SECRET]) -> Secret {
        Secret(bytes)
    }

    /// A nonce for a realm, made at `time`, in microseconds since 1970. It counts only together with `opaque`.
    pub fn nonce(&self, realm: &[u8], opaque: &[u8], time: u64) -> Vec<u8> {
        let stamp = STANDARD.encode(time.to_le_bytes()).into_bytes();
        let signature = self.sign(realm, opaque, &stamp);
        [stamp, signature].concat()
    }

    /// When a nonce was made, in microseconds since 1970; nothing if it is none of ours for this realm. How long this takes does
    /// not tell how much of it is right.
    pub fn time_of(&self, nonce: &[u8], realm: &[u8], opaque: &[u8]) -> Option<u64> {
        let (stamp, signature) = nonce.split_at_checked(STAMP)?;
        if !are_equal(&self.sign(realm, opaque, stamp), signature) {
            return None;
        }
        let bytes = STANDARD.decode(stamp).ok()?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// A hash of a hash under the secret: the inner one alone could be gone on with.
    fn sign(&self, realm: &[u8], opaque: &[u8], stamp: &[u8]) -> Vec<u8> {
        let mut inner = Sha256::new();
        inner.update(self.0);
        for part in [realm, opaque, stamp] {
            inner.update(part.len().to_le_bytes());
            inner.update(part);
        }
        let outer = Sha256::new()
            .chain_update(self.0)
            .chain_update(inner.finalize())
            .finalize();
        let digits = outer.iter().flat_map(|byte| format!("{byte:02x}").into_bytes());
        digits.take(SIGNATURE).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_nonce_is_ours_only_as_it_was_made() {
        let secret = Secret::new([7; 32]);
        let nonce = secret.nonce(b"realm", b"1f", 1_700_000_000_123_456);
        assert_eq!(nonce.len(), 52);
        assert_eq!(secret.time_of(&nonce, b"realm", b"1f"), Some(1_700_000_000_123_456));
        assert_eq!(secret.time_of(&nonce, b"other", b"1f"), None);
        assert_eq!(secret.time_of(&nonce, b"realm1", b"f"), None);
        assert_eq!(secret.time_of(&nonce, b"realm", b""), None);
        assert_eq!(Secret::new([8; 32]).time_of(&nonce, b"realm", b"1f"), None);
        for at in 0..nonce.len() {
            let mut changed = nonce.clone();
            changed[at] ^= 1;
            assert_eq!(secret.time_of(&changed, b"realm", b"1f"), None, "{at}");
            assert_eq!(secret.time_of(&nonce[..at], b"realm", b"1f"), None, "{at}");
        }
        assert_eq!(
            secret.time_of(&[nonce.as_slice(), b"0"].concat(), b"realm", b"1f"),
            None
        );
    }
}
