//! Names that are the same in any case of their letters, as those of Apache's tables are: of variables above all.

use std::cmp::Ordering;
use std::ops::Deref;

/// Which of two names comes first, whatever the case of their letters.
fn order(one: &[u8], other: &[u8]) -> Ordering {
    let one = one.iter().map(u8::to_ascii_uppercase);
    one.cmp(other.iter().map(u8::to_ascii_uppercase))
}

/// A name, written as it was first said.
#[derive(Clone, Debug)]
pub struct Name(pub Vec<u8>);

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        order(self, other)
    }
}

/// Names and values, in the order of the names. Who sets a name again changes its value; it stays as it was written first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(Vec<(Vec<u8>, Vec<u8>)>);

impl Table {
    fn place_of(&self, name: &[u8]) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| order(known, name))
    }

    /// The value of a name.
    pub fn get(&self, name: &[u8]) -> Option<&Vec<u8>> {
        let (_, value) = self.0.get(self.place_of(name).ok()?)?;
        Some(value)
    }

    /// Whether a name has a value.
    pub fn contains_key(&self, name: &[u8]) -> bool {
        self.place_of(name).is_ok()
    }

    /// Gives a name a value; the one that it had before.
    pub fn insert(&mut self, name: Vec<u8>, value: Vec<u8>) -> Option<Vec<u8>> {
        match self.place_of(&name) {
            Ok(at) => {
                let (_, known) = self.0.get_mut(at)?;
                Some(std::mem::replace(known, value))
            }
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// Gives a name a value unless it has one.
    pub fn insert_new(&mut self, name: Vec<u8>, value: Vec<u8>) {
        if let Err(at) = self.place_of(&name) {
            self.0.insert(at, (name, value));
        }
    }

    /// Takes a name away; the value that it had.
    pub fn remove(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let at = self.place_of(name).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// All names.
    pub fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.0.iter().map(|(name, _)| name)
    }
}

impl Extend<(Vec<u8>, Vec<u8>)> for Table {
    fn extend<I: IntoIterator<Item = (Vec<u8>, Vec<u8>)>>(&mut self, pairs: I) {
        for (name, value) in pairs {
            self.insert(name, value);
        }
    }
}

impl FromIterator<(Vec<u8>, Vec<u8>)> for Table {
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, Vec<u8>)>>(pairs: I) -> Table {
        let mut table = Table::default();
        table.extend(pairs);
        table
    }
}

impl IntoIterator for Table {
    type Item = (Vec<u8>, Vec<u8>);
    type IntoIter = std::vec::IntoIter<(Vec<u8>, Vec<u8>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, Table};

    fn table(names: &[&str]) -> Table {
        names
            .iter()
            .enumerate()
            .map(|(number, name)| (name.as_bytes().to_vec(), number.to_string().into_bytes()))
            .collect()
    }

    #[test]
    fn a_name_is_the_same_in_any_case_and_stays_as_it_was_written_first() {
        let mut table = table(&["B_x", "a", "BAD", "b_X", "A"]);
        let pairs: Vec<(&[u8], &[u8])> = table.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(pairs, [(&b"a"[..], &b"4"[..]), (b"BAD", b"2"), (b"B_x", b"3")]);
        assert_eq!(table.get(b"bad"), Some(&b"2".to_vec()));
        assert!(table.contains_key(b"b_x") && !table.contains_key(b"b"));
        table.insert_new(b"Bad".to_vec(), b"new".to_vec());
        assert_eq!(table.remove(b"bAD"), Some(b"2".to_vec()));
        assert_eq!(table.get(b"BAD"), None);
        table.insert_new(b"Bad".to_vec(), b"new".to_vec());
        assert!(table.keys().any(|name| name == b"Bad"));
    }

    #[test]
    fn names_are_in_the_order_of_capitals() {
        let names = ["A1", "AB", "A_B", "a-"].map(|name| Name(name.into()));
        let mut sorted = names.to_vec();
        sorted.sort();
        let shown: Vec<&[u8]> = sorted.iter().map(|name| &**name).collect();
        assert_eq!(shown, [&b"a-"[..], b"A1", b"AB", b"A_B"]);
        assert!(Name(b"x".to_vec()) == Name(b"X".to_vec()));
    }
}
