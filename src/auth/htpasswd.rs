//! Files of names and stored passwords, `name:hash` a line, as mod_authn_file reads them.

use std::collections::HashMap;

/// What a file of passwords says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Htpasswd {
    users: HashMap<Vec<u8>, Vec<u8>>,
    first: Option<Vec<u8>>,
}

impl Htpasswd {
    /// Reads a file's text. Of two lines with the same name the first counts. A line without a colon is a user whom no password
    /// lets in.
    pub fn parse(text: &[u8]) -> Htpasswd {
        let mut file = Htpasswd::default();
        for line in lines(text) {
            let (name, rest) = split_at_colons(&line).unwrap_or((&line, b""));
            let hash = rest.split(|byte| *byte == b':').next().unwrap_or_default().to_vec();
            if file.first.is_none() && !hash.is_empty() {
                file.first = Some(hash.clone());
            }
            file.users.entry(name.to_vec()).or_insert(hash);
        }
        file
    }

    /// The stored password of a user.
    pub fn stored(&self, user: &[u8]) -> Option<&[u8]> {
        self.users.get(user).map(Vec::as_slice)
    }

    /// Some stored password, for names that are not there: the answer to them shall take as long.
    pub fn any_stored(&self) -> Option<&[u8]> {
        self.first.as_deref()
    }
}

/// The lines that say something: without white space around them, those that end with a backslash with the next ones.
pub(super) fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut begun: Vec<u8> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        begun.extend_from_slice(line);
        if begun.last() == Some(&b'\\') {
            begun.pop();
            continue;
        }
        lines.push(std::mem::take(&mut begun));
    }
    lines.push(begun);
    let said = lines.iter().map(|line| line.trim_ascii());
    said.filter(|line| !line.is_empty() && line.first() != Some(&b'#'))
        .map(<[u8]>::to_vec)
        .collect()
}

/// What is before the first colon and what is behind it; colons in a row count as one.
pub(super) fn split_at_colons(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == b':')?;
    let (name, rest) = line.split_at_checked(at)?;
    let colons = rest.iter().take_while(|byte| **byte == b':').count();
    Some((name, rest.get(colons..)?))
}

#[cfg(test)]
mod tests {
    use super::Htpasswd;

    #[test]
    fn files_are_read_as_in_apache() {
        let text = b"# comment\n\n  a:one  \nb:two:rest\r\na:again\nc::three\nbare\nd:\nlong:a\\\nb\n:none";
        let file = Htpasswd::parse(text);
        let table: [(&str, Option<&[u8]>); 8] = [
            ("a", Some(b"one")),
            ("b", Some(b"two")),
            ("c", Some(b"three")),
            ("d", Some(b"")),
            ("long", Some(b"ab")),
            ("", Some(b"none")),
            ("bare", Some(b"")),
            ("# comment", None),
        ];
        for (user, want) in table {
            assert_eq!(file.stored(user.as_bytes()), want, "{user}");
        }
        assert_eq!(file.any_stored(), Some(&b"one"[..]));
        for end in 0..text.len() {
            Htpasswd::parse(&text[..end]);
        }
    }
}
