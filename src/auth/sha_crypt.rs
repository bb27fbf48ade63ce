//! The hashes of `$5$` and `$6$`: SHA-256 and SHA-512 in rounds, as crypt(3) has them (Drepper, "Unix crypt using
//! SHA-256 and SHA-512").

use sha_crypt::{Params, sha256_crypt, sha512_crypt};

use crate::auth::md5_crypt::append;

/// Rounds where a hash does not say how many.
pub(super) const USUAL_ROUNDS: u32 = 5000;
/// Salts are cut to this length.
const SALT: usize = 16;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Sha256,
    Sha512,
}

/// The characters behind the salt; nothing where the number of rounds is out of the question.
pub(super) fn digest(width: Width, password: &[u8], salt: &[u8], rounds: u32) -> Option<Vec<u8>> {
    let params = Params::new(rounds).ok()?;
    let salt = salt.get(..SALT).unwrap_or(salt);
    let mut text = Vec::with_capacity(86);
    match width {
        Width::Sha256 => {
            let hash = sha256_crypt(password, salt, params);
            let (mut a, mut b, mut c) = (0, 10, 20);
            for _ in 0..10 {
                triple(&mut text, [hash[a], hash[b], hash[c]]);
                (a, b, c) = (c + 1, a + 1, b + 1);
            }
            append(&mut text, u32::from(hash[31]) << 8 | u32::from(hash[30]), 3);
        }
        Width::Sha512 => {
            let hash = sha512_crypt(password, salt, params);
            let (mut a, mut b, mut c) = (0, 21, 42);
            for _ in 0..21 {
                triple(&mut text, [hash[a], hash[b], hash[c]]);
                (a, b, c) = (b + 1, c + 1, a + 1);
            }
            append(&mut text, u32::from(hash[63]), 2);
        }
    }
    Some(text)
}

fn triple(text: &mut Vec<u8>, [a, b, c]: [u8; 3]) {
    append(text, u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c), 4);
}
