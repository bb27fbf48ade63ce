//! A program's environment, as execve(2) takes it, in one piece of memory.

use std::ffi::c_char;
use std::{iter, ptr};

/// Variables: each as `NAME=value` with a NUL behind it, so that none holds another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(Vec<u8>);

impl Environment {
    /// None yet, with room for so many bytes: each variable takes two besides its name and its value.
    pub fn with_room(bytes: usize) -> Environment {
        Environment(Vec::with_capacity(bytes))
    }

    /// What somebody else says an environment is: the variables in it, whatever they are.
    pub fn of_bytes(mut bytes: Vec<u8>) -> Environment {
        if bytes.last().is_some_and(|last| *last != 0) {
            bytes.push(0);
        }
        Environment(bytes)
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// One more variable, if it is one.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let _is_one = append(&mut self.0, name, value);
    }

    /// Names and values, those without a name and those that are no pair of them left out.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines().filter_map(pair)
    }

    /// The value of the first variable of this name.
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let value = |line| <[u8]>::strip_prefix(line, name)?.strip_prefix(b"=");
        self.lines().find_map(value)
    }

    /// The same without those that are not wanted, and without what is no variable.
    #[must_use]
    pub fn only(&self, mut is_wanted: impl FnMut(&[u8]) -> bool) -> Environment {
        let mut some = Environment::with_room(self.0.len());
        // Those that are wanted and follow one another go together: mostly that is all of them.
        let (mut end, mut copied) = (0, 0);
        for line in self.lines() {
            let start = end;
            end += line.len() + 1;
            if pair(line).is_none_or(|(name, _)| !is_wanted(name)) {
                some.0.extend_from_slice(self.0.get(copied..start).unwrap_or_default());
                copied = end;
            }
        }
        some.0.extend_from_slice(self.0.get(copied..end).unwrap_or_default());
        some
    }

    /// Each variable as `NAME=value`.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        iter::from_fn(move || {
            let end = memchr::memchr(0, rest)?;
            let (line, more) = rest.split_at_checked(end)?;
            rest = more.get(1..).unwrap_or_default();
            Some(line)
        })
    }

    /// What execve(2) takes: a pointer to each variable, and a null pointer. They hold as long as this does.
    pub(super) fn pointers(&self) -> Vec<*const c_char> {
        // Their number is not known, and not asked for twice.
        let mut pointers = Vec::with_capacity(USUAL);
        pointers.extend(self.lines().map(|line| line.as_ptr().cast()));
        pointers.push(ptr::null());
        pointers
    }
}

/// A usual environment of a script has so many bytes, and somewhat less.
pub const ROOM: usize = 2048;
/// So many variables it has, and somewhat fewer.
const USUAL: usize = 64;

/// Writes a variable behind others. A value ends at its first NUL, where its program would see its end; a name that no environment
/// can hold, an empty one or one with `=` or a NUL, is none: `false`.
pub fn append(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
    if name.is_empty() || name.iter().any(|byte| matches!(byte, b'=' | 0)) {
        return false;
    }
    let end = memchr::memchr(0, value).unwrap_or(value.len());
    for part in [name, b"=", value.get(..end).unwrap_or(value), b"\0"] {
        out.extend_from_slice(part);
    }
    true
}

fn pair(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', line).filter(|at| *at > 0)?;
    Some((line.get(..at)?, line.get(at + 1..)?))
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(N, V)> for Environment {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, variables: I) {
        for (name, value) in variables {
            self.push(name.as_ref(), value.as_ref());
        }
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Environment {
        let mut environment = Environment::with_room(ROOM);
        environment.extend(variables);
        environment
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::{CStr, c_char};

    use super::Environment;

    #[test]
    fn variables_are_lines_with_a_nul_behind_each() {
        let mut environment: Environment = [("A", "b"), ("PATH", "/bin:/x"), ("EMPTY", "")].into_iter().collect();
        environment.push(b"B", b"c=d\0LD_PRELOAD=x");
        for no_name in [&b""[..], b"C=D", b"E\0F"] {
            environment.push(no_name, b"g");
        }
        assert_eq!(environment.bytes(), b"A=b\0PATH=/bin:/x\0EMPTY=\0B=c=d\0");
        assert_eq!(environment.find(b"PATH"), Some(&b"/bin:/x"[..]));
        assert_eq!(environment.find(b"PAT"), None);
        let pointers = environment.pointers();
        let (null, lines) = pointers.split_last().expect("there is one");
        assert!(null.is_null());
        // SAFETY: each points into the environment, which lives, at a line that ends with a NUL.
        let read = |line: &*const c_char| unsafe { CStr::from_ptr(*line) }.to_bytes();
        let lines: Vec<&[u8]> = lines.iter().map(read).collect();
        assert_eq!(lines, environment.lines().collect::<Vec<_>>());
        assert_eq!(lines, [&b"A=b"[..], b"PATH=/bin:/x", b"EMPTY=", b"B=c=d"]);
    }

    #[test]
    fn what_somebody_else_says_is_variables_that_are_judged_one_by_one() {
        for (said, wanted) in [
            (&b""[..], &b""[..]),
            (b"A=b", b"A=b\0"),
            (b"A=b\0LD_PRELOAD=x\0C=d\0", b"A=b\0C=d\0"),
            (b"A=b\0\0\0LD_PRELOAD=x", b"A=b\0"),
            (b"=x\0A\0LD_PRELOAD\0B=\0", b"B=\0"),
        ] {
            let environment = Environment::of_bytes(said.to_vec());
            let some = environment.only(|name| !name.starts_with(b"LD_"));
            assert_eq!(some.bytes(), wanted, "{}", said.escape_ascii());
            assert!(some.lines().count() == some.iter().count() && some.pointers().len() == some.iter().count() + 1);
        }
    }
}
