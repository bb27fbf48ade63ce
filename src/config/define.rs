//! `Define`, `UnDefine`, `-D` and the replacement of `${NAME}`.
//!
//! As Apache does it: the whole line is replaced once, before it is divided into words, so a value with spaces makes
//! several words unless the reference stands in quotes. `<IfDefine>` asks for the exact name; a value is found in any
//! case. What neither `Define` nor the environment knows stays as it is, and is worth a warning.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use memchr::memchr;
use memchr::memmem;

/// The names that are defined, and the values of those that have one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defines {
    names: BTreeSet<Vec<u8>>,
    values: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Defines {
    /// The names given with `-D`.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Defines {
        Defines {
            names: names.into_iter().map(|name| name.as_bytes().to_vec()).collect(),
            values: BTreeMap::new(),
        }
    }

    /// `Define NAME [VALUE]`.
    pub fn define(&mut self, name: &[u8], value: Option<&[u8]>) {
        self.names.insert(name.to_vec());
        if let Some(value) = value {
            self.values.insert(name.to_ascii_lowercase(), value.to_vec());
        }
    }

    /// `UnDefine NAME`; an unknown name is no fault.
    pub fn undefine(&mut self, name: &[u8]) {
        self.names.remove(name);
        self.values.remove(&name.to_ascii_lowercase());
    }

    /// Whether `<IfDefine NAME>` holds.
    pub fn has(&self, name: &[u8]) -> bool {
        self.names.contains(name)
    }

    /// The value that `Define` gave to the name, in any case.
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.values.get(&name.to_ascii_lowercase()).map(Vec::as_slice)
    }

    /// Every name that `<IfDefine>` knows.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(Vec::as_slice)
    }

    /// Every value with its name in lower case.
    pub fn values(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Sets a value alone, as [`Defines::values`] gave it.
    pub(crate) fn restore_value(&mut self, name: &[u8], value: &[u8]) {
        self.values.insert(name.to_ascii_lowercase(), value.to_vec());
    }

    /// `line` with every `${NAME}` replaced by its value, or else by what `environment` says; and the names nobody knew.
    pub fn expand<'a>(
        &self,
        line: &'a [u8],
        environment: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> (Cow<'a, [u8]>, Vec<Vec<u8>>) {
        let mut unknown = Vec::new();
        if memmem::find(line, b"${").is_none() {
            return (Cow::Borrowed(line), unknown);
        }
        let mut out = Vec::with_capacity(line.len());
        let mut rest = line;
        while let Some((before, name, after)) = reference(rest) {
            out.extend_from_slice(before);
            if let Some(value) = self.value(name).map(<[u8]>::to_vec).or_else(|| environment(name)) {
                out.extend_from_slice(&value);
            } else {
                out.extend_from_slice(b"${");
                out.extend_from_slice(name);
                out.push(b'}');
                unknown.push(name.to_vec());
            }
            rest = after;
        }
        out.extend_from_slice(rest);
        (Cow::Owned(out), unknown)
    }
}

/// The first `${NAME}` of `text`: what is before it, the name, what is after it.
fn reference(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let at = memmem::find(text, b"${")?;
    let (before, from) = text.split_at_checked(at)?;
    let inner = from.get(2..)?;
    let end = memchr(b'}', inner)?;
    Some((before, inner.get(..end)?, inner.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::Defines;

    fn environment(name: &[u8]) -> Option<Vec<u8>> {
        (name == b"HOME").then(|| b"/root".to_vec())
    }

    #[test]
    fn references_are_replaced_as_apache_replaces_them() {
        let mut defines = Defines::from_names(["BARE"]);
        defines.define(b"Foo", Some(b"a b"));
        defines.define(b"DOLLAR$", Some(b"${Foo}"));
        for (line, want, unknown) in [
            ("x", "x", vec![]),
            ("${Foo}", "a b", vec![]),
            ("${FOO}-${foo}", "a b-a b", vec![]),
            ("${HOME}/x", "/root/x", vec![]),
            ("${home}", "${home}", vec!["home"]),
            ("${BARE}", "${BARE}", vec!["BARE"]),
            ("${DOLLAR$}", "${Foo}", vec![]),
            ("${open", "${open", vec![]),
            ("$x ${} ${HO${HOME}} x$", "$x ${} ${HO${HOME}} x$", vec!["", "HO${HOME"]),
            ("$${x}${HOME}", "$${x}/root", vec!["x"]),
        ] {
            let (got, missing) = defines.expand(line.as_bytes(), &environment);
            assert_eq!(String::from_utf8_lossy(&got), want, "{line}");
            let missing: Vec<String> = missing
                .iter()
                .map(|m| String::from_utf8_lossy(m).into_owned())
                .collect();
            assert_eq!(missing, unknown, "{line}");
        }
    }

    #[test]
    fn a_name_is_exact_for_if_define_and_its_value_is_not() {
        let mut defines = Defines::default();
        defines.define(b"Foo", Some(b"1"));
        assert!(defines.has(b"Foo") && !defines.has(b"FOO"));
        defines.undefine(b"FOO");
        assert!(defines.has(b"Foo") && defines.value(b"Foo").is_none());
    }
}
