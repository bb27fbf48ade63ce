//! Debian's `envvars`: a shell script beside the configuration that gives Apache's variables their values. Its plain lines are
//! understood, so that the configuration can be read without a shell.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The name of the file.
const NAME: &str = "envvars";

/// The variables of such a file.
#[derive(Debug)]
pub struct EnvVars {
    /// Where it lies.
    pub file: PathBuf,
    values: HashMap<Vec<u8>, Vec<u8>>,
}

impl EnvVars {
    /// The file beside a configuration, if there is one that can be read.
    pub fn beside(configuration: &Path) -> Option<EnvVars> {
        let file = configuration.parent()?.join(NAME);
        let text = std::fs::read(&file).ok()?;
        Some(EnvVars {
            values: parse(&text),
            file,
        })
    }

    /// Whether there is one.
    pub fn is_beside(configuration: &Path) -> bool {
        configuration
            .parent()
            .is_some_and(|directory| directory.join(NAME).is_file())
    }

    /// The value of a variable.
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.values.get(name).map(Vec::as_slice)
    }
}

/// The lines `export NAME=value`. A reference in a value stands for a variable of an earlier line, of the environment, or for
/// nothing; what only a shell can tell (quotes around blanks, commands) leaves the variable without a value.
fn parse(text: &[u8]) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut values: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        let Some(rest) = line.strip_prefix(b"export ") else {
            continue;
        };
        let Some(equals) = rest.iter().position(|byte| *byte == b'=') else {
            continue;
        };
        let (name, value) = (rest[..equals].trim_ascii(), &rest[equals + 1..]);
        let is_name = !name.is_empty() && name.iter().copied().all(is_of_name);
        if let (true, Some(value)) = (is_name, plain(value, &values)) {
            values.insert(name.to_vec(), value);
        }
    }
    values
}

fn plain(value: &[u8], earlier: &HashMap<Vec<u8>, Vec<u8>>) -> Option<Vec<u8>> {
    let value = unquoted(value)?;
    let mut out = Vec::new();
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'$' {
            out.push(byte);
            continue;
        }
        let (name, behind) = if let Some(inside) = after.strip_prefix(b"{") {
            let end = inside.iter().position(|byte| *byte == b'}')?;
            (&inside[..end], &inside[end + 1..])
        } else {
            let end = after.iter().position(|byte| !is_of_name(*byte)).unwrap_or(after.len());
            after.split_at(end)
        };
        if name.is_empty() || !name.iter().copied().all(is_of_name) {
            return None;
        }
        match earlier.get(name) {
            Some(value) => out.extend_from_slice(value),
            None => out.extend(
                std::env::var_os(OsStr::from_bytes(name))
                    .map(|value| value.as_bytes().to_vec())
                    .unwrap_or_default(),
            ),
        }
        rest = behind;
    }
    Some(out)
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A word as a shell would take it, if there is nothing to it: without its quotes.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let inner = match value.split_first() {
        Some((quote @ (b'"' | b'\''), rest)) => rest.strip_suffix(&[*quote])?,
        _ => value,
    };
    let is_odd = |byte: &u8| {
        matches!(
            byte,
            b'"' | b'\'' | b'`' | b'\\' | b'(' | b')' | b';' | b'|' | b'&' | b'<' | b'>'
        )
    };
    let has_blank = inner.len() == value.len() && inner.iter().any(u8::is_ascii_whitespace);
    let is_literal = value.first() == Some(&b'\'') && inner.contains(&b'$');
    (!inner.iter().any(is_odd) && !has_blank && !is_literal).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn plain_lines_are_understood_and_others_passed_over() {
        let text = b"# envvars\nunset HOME\nif [ x ] ; then\n\tSUFFIX=\"-a\"\nfi\n\
            export APACHE_RUN_USER=www-data\nexport APACHE_RUN_DIR=/var/run/apache2$LYCHGATE_NO_SUCH_SUFFIX\n\
            export APACHE_PID_FILE=\"${APACHE_RUN_DIR}/apache2.pid\"\nexport LANG=C\nexport LANG\n\
            export ODD=`date`\nexport BLANK=a b\nexport LIT='$x'\n#export NOT=1\n  export LAST=x\n";
        let values = parse(text);
        let of = |name: &str| {
            values
                .get(name.as_bytes())
                .map(|value| String::from_utf8_lossy(value).into_owned())
        };
        assert_eq!(of("APACHE_RUN_USER").as_deref(), Some("www-data"));
        assert_eq!(of("APACHE_PID_FILE").as_deref(), Some("/var/run/apache2/apache2.pid"));
        assert_eq!(of("LANG").as_deref(), Some("C"));
        assert_eq!(of("LAST").as_deref(), Some("x"));
        for name in ["SUFFIX", "ODD", "BLANK", "LIT", "NOT", "HOME"] {
            assert_eq!(of(name), None, "{name}");
        }
        for cut in 0..text.len() {
            let _any = parse(&text[..cut]);
        }
    }
}
