//! The hash of `$apr1$` and `$1$`: a thousand rounds of MD5 over password and salt, as apr_md5_encode has it.

use md5::{Digest, Md5};

/// Salts are cut to this length.
const SALT: usize = 8;
const ROUNDS: usize = 1000;

/// The alphabet of all hashes of crypt(3).
pub(super) const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The 22 characters behind the salt; `magic` is `$apr1$` or `$1$`.
pub(super) fn digest(password: &[u8], magic: &[u8], salt: &[u8]) -> Vec<u8> {
    let salt = salt.get(..SALT).unwrap_or(salt);
    let inner: [u8; 16] = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize()
        .into();
    let mut hash = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for part in password.chunks(16) {
        hash.update(&inner[..part.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        if bits & 1 == 1 {
            hash.update([0]);
        } else {
            hash.update(password.get(..1).unwrap_or_default());
        }
        bits >>= 1;
    }
    let mut last: [u8; 16] = hash.finalize().into();
    for round in 0..ROUNDS {
        last = one_round(round, &last, password, salt);
    }
    let mut text = Vec::with_capacity(22);
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        let bits = u32::from(last[a]) << 16 | u32::from(last[b]) << 8 | u32::from(last[c]);
        append(&mut text, bits, 4);
    }
    append(&mut text, u32::from(last[11]), 2);
    text
}

fn one_round(round: usize, last: &[u8; 16], password: &[u8], salt: &[u8]) -> [u8; 16] {
    let mut hash = Md5::new();
    let is_odd = round % 2 == 1;
    hash.update(if is_odd { password } else { last });
    if !round.is_multiple_of(3) {
        hash.update(salt);
    }
    if !round.is_multiple_of(7) {
        hash.update(password);
    }
    hash.update(if is_odd { last } else { password });
    hash.finalize().into()
}

/// Appends `count` characters, six bits each, the lowest first.
pub(super) fn append(text: &mut Vec<u8>, mut bits: u32, count: usize) {
    for _ in 0..count {
        text.push(ALPHABET[(bits & 63) as usize]);
        bits >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::digest;

    /// The first is `openssl passwd -apr1`, the second `openssl passwd -1`.
    #[test]
    fn hashes_are_those_of_others() {
        let long = "a".repeat(40);
        let table = [
            ("password", "$apr1$", "saltsalt", "yAAkm4libquA.ZWLHbSBq/"),
            ("password", "$1$", "saltsalt", "qjXMvbEw8oaL.CzflDtaK/"),
            (long.as_str(), "$apr1$", "x", "mq8o9qeJvNxS/DeCHNxsy1"),
        ];
        for (password, magic, salt, want) in table {
            assert_eq!(
                digest(password.as_bytes(), magic.as_bytes(), salt.as_bytes()),
                want.as_bytes()
            );
        }
    }
}
