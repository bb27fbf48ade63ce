//! Bytes that nobody is to see: keys and pass phrases. They are wiped before their memory is given back, and no message shows
//! them.

use std::fmt;
use std::io::{self, Read};
use std::ops::Deref;

use zeroize::Zeroizing;

/// Secret bytes. They never move to a larger place by themselves, which would leave a copy behind.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Everything that is read, which is probably of this length. More than `most` bytes are an error.
    pub fn read(mut from: impl Read, length: usize, most: usize) -> io::Result<Secret> {
        let mut bytes = Zeroizing::new(vec![0; length.min(most).saturating_add(1)]);
        let mut count = 0;
        loop {
            match from.read(bytes.get_mut(count..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if count > most {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long"));
            }
            if count == bytes.len() {
                let mut larger = Zeroizing::new(vec![0; count.saturating_mul(2)]);
                larger.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
                bytes = larger;
            }
        }
        bytes.truncate(count);
        Ok(Secret(bytes))
    }

    /// These pieces, one behind the other.
    pub fn joined(pieces: &[&[u8]]) -> Secret {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        for piece in pieces {
            bytes.extend_from_slice(piece);
        }
        Secret(bytes)
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }
}

impl Deref for Secret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret of {} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn all_of_it_is_read_whatever_was_expected() {
        let text = vec![b'x'; 5000];
        for expected in [0, 1, 4999, 5000, 5001, 100_000] {
            let secret = Secret::read(text.as_slice(), expected, 5000).expect("it is as long as it may be");
            assert_eq!(&*secret, text.as_slice(), "{expected}");
            assert!(Secret::read(text.as_slice(), expected, 4999).is_err(), "{expected}");
        }
    }

    #[test]
    fn it_is_not_shown() {
        let secret = Secret::joined(&[b"key", b" and more"]);
        assert_eq!(
            (&*secret, format!("{secret:?}").as_str()),
            (&b"key and more"[..], "Secret of 12 bytes")
        );
    }
}
