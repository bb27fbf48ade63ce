//! Files of names, realms and hashes for HTTP's Digest scheme, `name:realm:hash` a line, as mod_authn_file reads them; the hash
//! is that of `name:realm:password` by MD5 (RFC 7616 section 3.4.2).

use std::collections::HashMap;

use md5::{Digest, Md5};

use crate::auth::hash::are_equal;
use crate::auth::htpasswd::{lines, split_at_colons};

/// What such a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Htdigest {
    users: HashMap<(Vec<u8>, Vec<u8>), Vec<u8>>,
}

impl Htdigest {
    /// Reads a file's text. Of two lines with the same name and realm the first counts.
    pub fn parse(text: &[u8]) -> Htdigest {
        let mut file = Htdigest::default();
        for line in lines(text) {
            let Some((name, rest)) = split_at_colons(&line) else {
                continue;
            };
            let (realm, rest) = split_at_colons(rest).unwrap_or((rest, b""));
            let hash = rest.split(|byte| *byte == b':').next().unwrap_or_default();
            let of = (name.to_vec(), realm.to_vec());
            file.users.entry(of).or_insert_with(|| hash.to_vec());
        }
        file
    }

    /// What is stored for the user in the realm: the hash of name, realm and password.
    pub fn stored(&self, user: &[u8], realm: &[u8]) -> Option<&[u8]> {
        let stored = self.users.get(&(user.to_vec(), realm.to_vec()));
        stored.map(Vec::as_slice)
    }

    /// Whether the password is that of the user in the realm; nothing where there is no such user. How long this takes does not
    /// tell how much of it is right.
    pub fn is_of(&self, user: &[u8], realm: &[u8], password: &[u8]) -> Option<bool> {
        let made = hash(user, realm, password);
        Some(are_equal(&made, self.stored(user, realm)?))
    }
}

/// The hash in 32 hexadecimal digits, lower case.
fn hash(user: &[u8], realm: &[u8], password: &[u8]) -> Vec<u8> {
    let hash = Md5::digest([user, b":", realm, b":", password].concat());
    hash.iter()
        .flat_map(|byte| format!("{byte:02x}").into_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Htdigest;

    #[test]
    fn files_are_read_as_in_apache() {
        // RFC 7616 section 3.9.1: the hash of Mufasa's name, realm and password.
        let text = b"# ann:x:y\nMufasa:http-auth@example.org:3d78807defe7de2157e2b0b6573a855f:more\n\
                     Mufasa:other:00000000000000000000000000000000\nbare\nann:place\n\
                     Mufasa:http-auth@example.org:11111111111111111111111111111111\n";
        let file = Htdigest::parse(text);
        let realm: &[u8] = b"http-auth@example.org";
        for (user, realm, password, want) in [
            ("Mufasa", realm, "Circle of Life", Some(true)),
            ("Mufasa", realm, "Circle of life", Some(false)),
            ("Mufasa", b"other", "Circle of Life", Some(false)),
            ("Mufasa", b"none", "Circle of Life", None),
            ("mufasa", realm, "Circle of Life", None),
            ("ann", b"place", "", Some(false)),
            ("bare", b"", "", None),
        ] {
            assert_eq!(file.is_of(user.as_bytes(), realm, password.as_bytes()), want, "{user}");
        }
        for end in 0..text.len() {
            Htdigest::parse(&text[..end]);
        }
    }
}
