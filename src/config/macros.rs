//! `<Macro>`: lines kept under a name, used with other words in their place (mod_macro).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memchr::memmem;

use crate::base::quoting;
use crate::config::error::Span;

/// The macros defined so far, by name in lower case.
#[derive(Debug, Default)]
pub(crate) struct Macros {
    known: BTreeMap<Vec<u8>, Arc<Macro>>,
}

/// One macro.
#[derive(Debug)]
pub(crate) struct Macro {
    /// In lower case.
    pub name: String,
    parameters: Vec<Vec<u8>>,
    body: Vec<Vec<u8>>,
    span: Span,
}

impl Macro {
    /// A macro without a body, from the line after `<Macro`, with the `>`; or a sentence.
    pub fn from_heading(args: &[u8], span: Span) -> Result<Macro, String> {
        let end = args
            .iter()
            .rposition(|b| *b == b'>')
            .ok_or("the closing `>` is missing; end the line with it")?;
        let mut words = quoting::words(args.get(..end).unwrap_or_default()).into_iter();
        let name = words.next().filter(|name| !name.is_empty());
        let name = name.ok_or("the macro has no name; write for example `<Macro VHost $name $port>`")?;
        let parameters: Vec<Vec<u8>> = words.skip_while(|word| word.starts_with(b"/Ignore")).collect();
        let mut seen = BTreeSet::new();
        for parameter in &parameters {
            let shown = String::from_utf8_lossy(parameter);
            if parameter.is_empty() {
                return Err("a parameter has an empty name; write for example `$name`".to_owned());
            }
            if !seen.insert(parameter) {
                return Err(format!("the parameter `{shown}` is named twice; rename one"));
            }
        }
        Ok(Macro {
            name: String::from_utf8_lossy(&name.to_ascii_lowercase()).into_owned(),
            parameters,
            body: Vec::new(),
            span,
        })
    }

    /// Adds a line to the body.
    pub fn push_line(&mut self, line: Vec<u8>) {
        self.body.push(line);
    }

    /// How Apache names the place of a line that came from this macro used at `used`.
    pub fn place(&self, used: &Span) -> String {
        let Span { file, line } = &self.span;
        let (name, used_line, used_file) = (&self.name, used.line, &used.file);
        format!("macro '{name}' (defined on line {line} of \"{file}\") used on line {used_line} of \"{used_file}\"")
    }

    /// Sentences about what is probably a slip in the definition.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.body.is_empty() {
            doubts.push(format!("the macro `{}` is empty", self.name));
            return doubts;
        }
        for parameter in &self.parameters {
            let shown = String::from_utf8_lossy(parameter);
            if !parameter.first().is_some_and(|b| b"$%@".contains(b)) {
                doubts.push(format!(
                    "the parameter `{shown}` replaces that word wherever it occurs; begin it with `$`, `%` or `@`"
                ));
            }
            if parameter.starts_with(b"${") {
                doubts.push(format!(
                    "the parameter `{shown}` looks like a defined variable; write `$(...)`"
                ));
            }
            if !self.body.iter().any(|line| memmem::find(line, parameter).is_some()) {
                doubts.push(format!("the parameter `{shown}` is not used"));
            }
        }
        doubts
    }

    /// The body with `values` in place of the parameters, or a sentence.
    pub fn lines(&self, values: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
        if values.len() != self.parameters.len() {
            let (name, want, got, place) = (&self.name, self.parameters.len(), values.len(), &self.span);
            return Err(format!(
                "the macro `{name}` ({place}) takes {want} arguments and gets {got}"
            ));
        }
        Ok(self.body.iter().map(|line| self.fill(line, values)).collect())
    }

    /// One line with every parameter replaced: the first to occur, and of those that begin there the longest. A
    /// parameter that begins with `@` is replaced by the value in quotes.
    fn fill(&self, line: &[u8], values: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::with_capacity(line.len());
        let mut rest = line;
        loop {
            let found = self.parameters.iter().zip(values).filter_map(|(parameter, value)| {
                let at = memmem::find(rest, parameter)?;
                Some((at, std::cmp::Reverse(parameter.len()), parameter, value))
            });
            let Some((at, _, parameter, value)) = found.min_by_key(|(at, length, ..)| (*at, *length)) else {
                out.extend_from_slice(rest);
                return out;
            };
            out.extend_from_slice(rest.get(..at).unwrap_or_default());
            if parameter.starts_with(b"@") {
                out.extend_from_slice(&quoting::quoted(value));
            } else {
                out.extend_from_slice(value);
            }
            rest = rest.get(at + parameter.len()..).unwrap_or_default();
        }
    }
}

impl Macros {
    /// Keeps a macro; one of the same name is replaced, and its place returned.
    pub fn add(&mut self, new: Macro) -> Option<Span> {
        let old = self.known.insert(new.name.clone().into_bytes(), Arc::new(new));
        old.map(|old| old.span.clone())
    }

    /// The macro of that name, in any case.
    pub fn named(&self, name: &[u8]) -> Option<Arc<Macro>> {
        self.known.get(&name.to_ascii_lowercase()).map(Arc::clone)
    }

    /// Forgets a macro; says whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        self.known.remove(&name.to_ascii_lowercase()).is_some()
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.values().map(|known| known.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Macro;
    use crate::config::error::Span;

    fn of(heading: &str, body: &[&str]) -> Result<Macro, String> {
        let mut new = Macro::from_heading(heading.as_bytes(), Span::new(&Arc::from("x.conf"), 3))?;
        for line in body {
            new.push_line(line.as_bytes().to_vec());
        }
        Ok(new)
    }

    #[test]
    fn parameters_are_replaced_first_and_longest() {
        for (heading, body, values, want) in [
            ("F $a>", "x $a$a y", vec!["1"], "x 11 y"),
            ("F $a $ab>", "$ab $a", vec!["1", "2"], "2 1"),
            ("F %a>", "SetEnv X \"%a\"", vec!["1 2"], "SetEnv X \"1 2\""),
            ("F @c>", "SetEnv C @c", vec!["f\"o \\x"], "SetEnv C \"f\\\"o \\\\x\""),
            ("F $a>", "$a", vec!["$a"], "$a"),
            ("F /IgnoreEmptyArgs $a>", "<$a>", vec![""], "<>"),
        ] {
            let values: Vec<Vec<u8>> = values.into_iter().map(|v| v.as_bytes().to_vec()).collect();
            let lines = of(heading, &[body]).and_then(|made| made.lines(&values));
            assert_eq!(lines, Ok(vec![want.as_bytes().to_vec()]), "{heading} {body}");
        }
    }

    #[test]
    fn wrong_macros_are_told() {
        for (heading, want) in [
            ("F", "the closing `>` is missing; end the line with it"),
            (
                ">",
                "the macro has no name; write for example `<Macro VHost $name $port>`",
            ),
            ("F $a $a>", "the parameter `$a` is named twice; rename one"),
            ("F \"\">", "a parameter has an empty name; write for example `$name`"),
        ] {
            assert_eq!(of(heading, &[]).err().as_deref(), Some(want), "{heading}");
        }
        let made = of("F $a>", &["x"]).expect("the heading is good");
        let want = "the macro `f` (x.conf:3) takes 1 arguments and gets 0";
        assert_eq!(made.lines(&[]), Err(want.to_owned()));
        assert_eq!(made.doubts(), ["the parameter `$a` is not used"]);
    }
}
