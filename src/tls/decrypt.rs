//! Opens private keys with their pass phrase: PKCS #8 with PBES2 (RFC 8018 section 6.2), and the old form, whose key is one
//! round of MD5 over pass phrase and salt (openssl's `EVP_BytesToKey`).

use std::fmt::{self, Display, Formatter};
use std::num::NonZeroU32;

use aes::{Aes128, Aes192, Aes256};
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use des::TdesEde3;
use md5::{Digest, Md5};
use ring::pbkdf2;

use crate::tls::der::{self, Elements, Malformed, tag};
use crate::tls::pem::{Encryption, KeyForm};

#[cfg(test)]
mod tests;

/// Why a key stays shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecryptError {
    /// What comes out is no key.
    WrongPassPhrase,
    /// A way to encrypt that is not known here; its name or number.
    UnknownWay(String),
    /// The block is not what its label says.
    Malformed,
}

/// More rounds than anybody waits for.
const MOST_ROUNDS: u64 = 20_000_000;

/// The private key in `bytes` of a PEM block that is encrypted so, and its structure.
pub fn decrypt(how: &Encryption, bytes: &[u8], pass_phrase: &[u8]) -> Result<(KeyForm, Vec<u8>), DecryptError> {
    let (form, key) = match how {
        Encryption::Pkcs8 => (KeyForm::Pkcs8, pkcs8(bytes, pass_phrase)?),
        Encryption::Dek { form, cipher, iv } => (*form, dek(cipher, iv, bytes, pass_phrase)?),
    };
    // With a wrong pass phrase the padding is right once in 256 times; the head of a sequence that ends where it should then is not.
    let mut elements = Elements::of(&key);
    match elements.expect(tag::SEQUENCE) {
        Ok(_) if elements.is_empty() => Ok((form, key)),
        _ => Err(DecryptError::WrongPassPhrase),
    }
}

/// The ciphers, all in CBC mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    TripleDes,
}

impl Cipher {
    fn key_length(self) -> usize {
        match self {
            Cipher::Aes128 => 16,
            Cipher::Aes192 | Cipher::TripleDes => 24,
            Cipher::Aes256 => 32,
        }
    }

    fn decrypt(self, key: &[u8], iv: &[u8], bytes: &[u8]) -> Result<Vec<u8>, DecryptError> {
        match self {
            Cipher::Aes128 => open::<Aes128>(key, iv, bytes),
            Cipher::Aes192 => open::<Aes192>(key, iv, bytes),
            Cipher::Aes256 => open::<Aes256>(key, iv, bytes),
            Cipher::TripleDes => open::<TdesEde3>(key, iv, bytes),
        }
    }
}

fn open<C: BlockCipherDecrypt + KeyInit>(key: &[u8], iv: &[u8], bytes: &[u8]) -> Result<Vec<u8>, DecryptError> {
    let cipher = Decryptor::<C>::new_from_slices(key, iv).map_err(|_| DecryptError::Malformed)?;
    cipher
        .decrypt_padded_vec::<Pkcs7>(bytes)
        .map_err(|_| DecryptError::WrongPassPhrase)
}

/// The old form.
fn dek(cipher: &str, iv: &[u8], bytes: &[u8], pass_phrase: &[u8]) -> Result<Vec<u8>, DecryptError> {
    let cipher = match cipher {
        "AES-128-CBC" => Cipher::Aes128,
        "AES-192-CBC" => Cipher::Aes192,
        "AES-256-CBC" => Cipher::Aes256,
        "DES-EDE3-CBC" => Cipher::TripleDes,
        other => return Err(DecryptError::UnknownWay(other.to_string())),
    };
    let salt = iv.get(..8).ok_or(DecryptError::Malformed)?;
    let mut key = Vec::new();
    while key.len() < cipher.key_length() {
        let last = key
            .len()
            .checked_sub(16)
            .and_then(|from| key.get(from..))
            .unwrap_or_default();
        let digest = Md5::new()
            .chain_update(last)
            .chain_update(pass_phrase)
            .chain_update(salt)
            .finalize();
        key.extend_from_slice(&digest);
    }
    key.truncate(cipher.key_length());
    cipher.decrypt(&key, iv, bytes)
}

const PBES2: &str = "1.2.840.113549.1.5.13";
const PBKDF2: &str = "1.2.840.113549.1.5.12";

/// `EncryptedPrivateKeyInfo` (RFC 5958 section 3).
fn pkcs8(bytes: &[u8], pass_phrase: &[u8]) -> Result<Vec<u8>, DecryptError> {
    let mut outer = Elements::of(bytes);
    let mut inside = Elements::of(outer.expect(tag::SEQUENCE)?);
    let mut parameters = algorithm(inside.expect(tag::SEQUENCE)?, PBES2)?;
    let data = inside.expect(tag::OCTET_STRING)?;
    let mut parameters = Elements::of(parameters.element()?.body);
    let derivation = parameters.expect(tag::SEQUENCE)?;
    let (cipher, iv) = cipher(parameters.expect(tag::SEQUENCE)?)?;
    let mut derivation = algorithm(derivation, PBKDF2)?;
    let derivation = Derivation::parse(derivation.expect(tag::SEQUENCE)?)?;
    let mut key = vec![0; cipher.key_length()];
    pbkdf2::derive(
        derivation.function,
        derivation.rounds,
        derivation.salt,
        pass_phrase,
        &mut key,
    );
    cipher.decrypt(&key, iv, data)
}

/// The parameters of an `AlgorithmIdentifier` that must name this algorithm.
fn algorithm<'a>(body: &'a [u8], wanted: &str) -> Result<Elements<'a>, DecryptError> {
    let (name, parameters) = identifier(body)?;
    if name == wanted {
        Ok(parameters)
    } else {
        Err(DecryptError::UnknownWay(known_by_name(&name)))
    }
}

fn identifier(body: &[u8]) -> Result<(String, Elements<'_>), DecryptError> {
    let mut inside = Elements::of(body);
    let name = der::dotted(inside.expect(tag::OID)?).ok_or(DecryptError::Malformed)?;
    Ok((name, inside))
}

/// What people call those that they may meet.
fn known_by_name(dotted: &str) -> String {
    let name = match dotted {
        "1.2.840.113549.1.5.3" => "PBE-MD5-DES",
        "1.2.840.113549.1.5.10" => "PBE-SHA1-DES",
        "1.2.840.113549.1.12.1.3" => "PBE-SHA1-3DES",
        "1.2.840.113549.1.12.1.6" => "PBE-SHA1-RC2-40",
        "1.3.6.1.4.1.11591.4.11" => "scrypt",
        "1.2.840.113549.2.8" => "hmacWithSHA224",
        "1.3.14.3.2.7" => "DES-CBC",
        _ => dotted,
    };
    name.to_string()
}

fn cipher(body: &[u8]) -> Result<(Cipher, &[u8]), DecryptError> {
    let (name, mut parameters) = identifier(body)?;
    let cipher = match name.as_str() {
        "2.16.840.1.101.3.4.1.2" => Cipher::Aes128,
        "2.16.840.1.101.3.4.1.22" => Cipher::Aes192,
        "2.16.840.1.101.3.4.1.42" => Cipher::Aes256,
        "1.2.840.113549.3.7" => Cipher::TripleDes,
        other => return Err(DecryptError::UnknownWay(known_by_name(other))),
    };
    Ok((cipher, parameters.expect(tag::OCTET_STRING)?))
}

/// How a pass phrase becomes a key (RFC 8018 appendix A.2).
struct Derivation<'a> {
    salt: &'a [u8],
    rounds: NonZeroU32,
    function: pbkdf2::Algorithm,
}

impl<'a> Derivation<'a> {
    fn parse(body: &'a [u8]) -> Result<Derivation<'a>, DecryptError> {
        let mut inside = Elements::of(body);
        let salt = inside.expect(tag::OCTET_STRING)?;
        let rounds = inside.expect(tag::INTEGER)?;
        // The length of the key, which the cipher says as well.
        inside.optional(tag::INTEGER)?;
        let function = match inside.optional(tag::SEQUENCE)? {
            Some(body) => identifier(body)?.0,
            None => "1.2.840.113549.2.7".to_string(),
        };
        let function = match function.as_str() {
            "1.2.840.113549.2.7" => pbkdf2::PBKDF2_HMAC_SHA1,
            "1.2.840.113549.2.9" => pbkdf2::PBKDF2_HMAC_SHA256,
            "1.2.840.113549.2.10" => pbkdf2::PBKDF2_HMAC_SHA384,
            "1.2.840.113549.2.11" => pbkdf2::PBKDF2_HMAC_SHA512,
            other => return Err(DecryptError::UnknownWay(known_by_name(other))),
        };
        let count = rounds
            .iter()
            .fold(0_u64, |sum, byte| (sum << 8 | u64::from(*byte)).min(MOST_ROUNDS + 1));
        let rounds = u32::try_from(count).ok().filter(|_| count <= MOST_ROUNDS);
        Ok(Derivation {
            salt,
            rounds: rounds.and_then(NonZeroU32::new).ok_or(DecryptError::Malformed)?,
            function,
        })
    }
}

impl From<Malformed> for DecryptError {
    fn from(Malformed: Malformed) -> DecryptError {
        DecryptError::Malformed
    }
}

impl Display for DecryptError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DecryptError::WrongPassPhrase => f.write_str("the pass phrase does not open it"),
            DecryptError::UnknownWay(way) => write!(
                f,
                "it is encrypted by {way}, which is not known here; `openssl pkcs8 -topk8 -v2 aes-256-cbc` writes it anew"
            ),
            DecryptError::Malformed => f.write_str("what says how it is encrypted is malformed"),
        }
    }
}

impl std::error::Error for DecryptError {}
