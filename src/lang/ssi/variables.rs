//! The variables of a document, which the documents that it includes share.

/// So many bytes may all names and values be together. No directive moves it.
pub const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Names and values, in the order in which they were first set. Names are the same in any case, as in Apache's tables.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    list: Vec<(Vec<u8>, Value)>,
    bytes: usize,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// It is known.
    Text(Vec<u8>),
    /// It is worked out when somebody asks for it.
    Later(Later),
}

/// What is worked out when somebody asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// `DATE_LOCAL`
    DateLocal,
    /// `DATE_GMT`
    DateGmt,
    /// `LAST_MODIFIED`
    LastModified,
    /// `USER_NAME`
    UserName,
}

/// There is no room for another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Variables {
    /// The value of a variable.
    pub fn find(&self, name: &[u8]) -> Option<&Value> {
        let found = self.list.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &[u8], value: Value) -> Result<(), Full> {
        let length = size(&value);
        let known = self.list.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let before = known.as_ref().map_or(0, |(_, value)| size(value));
        let bytes = self.bytes - before + length + if known.is_some() { 0 } else { name.len() + EACH };
        if bytes > MOST_BYTES {
            return Err(Full);
        }
        self.bytes = bytes;
        match known {
            Some((_, known)) => *known = value,
            None => self.list.push((name.to_vec(), value)),
        }
        Ok(())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.list.iter().map(|(name, value)| (name.as_slice(), value))
    }
}

/// What an entry costs besides its bytes.
const EACH: usize = 64;

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Later(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{Full, Later, MOST_BYTES, Value, Variables};

    #[test]
    fn names_are_the_same_in_any_case_and_keep_their_place() {
        let mut variables = Variables::default();
        variables.set(b"One", Value::Later(Later::DateGmt)).expect("room");
        variables.set(b"two", Value::Text(b"2".to_vec())).expect("room");
        variables.set(b"ONE", Value::Text(b"1".to_vec())).expect("room");
        assert_eq!(variables.find(b"oNe"), Some(&Value::Text(b"1".to_vec())));
        assert_eq!(variables.find(b"three"), None);
        let names: Vec<&[u8]> = variables.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&b"One"[..], b"two"]);
    }

    #[test]
    fn there_is_an_end_to_what_can_be_kept() {
        let mut variables = Variables::default();
        let half = || Value::Text(vec![b'x'; MOST_BYTES / 2]);
        assert_eq!(variables.set(b"a", half()), Ok(()));
        assert_eq!(variables.set(b"b", half()), Err(Full));
        assert_eq!(variables.set(b"a", half()), Ok(()));
        assert_eq!(variables.set(b"a", Value::Text(Vec::new())), Ok(()));
        assert_eq!(variables.set(b"b", half()), Ok(()));
    }
}
