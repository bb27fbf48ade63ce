//! The sections that are read or skipped as a whole: `<IfModule>`, `<IfDefine>`, `<IfVersion>`, `<IfFile>`,
//! `<IfDirective>`, `<IfSection>`.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::base::quoting;
use crate::config::define::Defines;
use crate::config::include::below;
use crate::lang::regex::Regex;

/// What the server is made of, for `<IfModule>`, `<IfDirective>` and `<IfSection>`.
pub trait Modules {
    /// Whether a module of this name is there: `mod_alias.c`, `alias_module`, `core.c`; case matters, as in Apache.
    fn has(&self, module: &str) -> bool;
    /// Whether there is a directive (`Alias`) or section (`<Directory`) of this name, in any case.
    fn has_directive(&self, name: &str) -> bool;
}

/// What a condition can ask for.
pub(crate) struct Facts<'a> {
    pub modules: &'a dyn Modules,
    /// Those that LoadModule has named so far: `ssl_module`.
    pub loaded: &'a HashSet<Vec<u8>>,
    pub defines: &'a Defines,
    pub version: [u32; 3],
    pub server_root: &'a [u8],
}

impl Facts<'_> {
    /// Whether a module counts only where LoadModule names it, and other modules are named, but this is not: what is meant for
    /// TLS would be done without it, such as Debian's `Listen 443`.
    fn is_left_out(&self, module: &str) -> bool {
        let is_of_tls = matches!(module, "mod_ssl.c" | "ssl_module");
        is_of_tls && !self.loaded.is_empty() && !self.loaded.contains(&b"ssl_module"[..])
    }
}

/// The sections that are conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Module,
    Define,
    Version,
    File,
    Directive,
    Section,
}

const UNCLOSED: &str = "the closing `>` is missing; end the line with it";

impl Condition {
    /// The condition that a section's name (without `<`) stands for.
    pub fn named(name: &str) -> Option<Condition> {
        [
            ("IfModule", Condition::Module),
            ("IfDefine", Condition::Define),
            ("IfVersion", Condition::Version),
            ("IfFile", Condition::File),
            ("IfDirective", Condition::Directive),
            ("IfSection", Condition::Section),
        ]
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, condition)| condition)
    }

    /// Whether it holds; `args` is the line after the section's name, with the `>`.
    pub fn holds(self, args: &[u8], facts: &Facts) -> Result<bool, String> {
        if self == Condition::Version {
            return version_holds(args, facts.version);
        }
        let end = args.iter().rposition(|b| *b == b'>').ok_or(UNCLOSED)?;
        let args = args.get(..end).unwrap_or_default();
        let (args, negated) = match args.strip_prefix(b"!") {
            Some(rest) => (rest, true),
            None => (args, false),
        };
        let word = quoting::next_word(args)
            .map(|(word, _)| word)
            .filter(|word| !word.is_empty());
        let word = word.ok_or_else(|| self.missing().to_owned())?;
        let text = String::from_utf8_lossy(&word);
        let holds = match self {
            Condition::Module => facts.modules.has(&text) && !facts.is_left_out(&text),
            Condition::Directive => facts.modules.has_directive(&text),
            Condition::Section => facts.modules.has_directive(&format!("<{text}")),
            Condition::Define => facts.defines.has(&word),
            Condition::File => Path::new(OsStr::from_bytes(&below(facts.server_root, &word))).exists(),
            Condition::Version => false,
        };
        Ok(holds != negated)
    }

    /// The module that `<IfModule>` asks for, and whether it asks if the module is absent.
    pub fn module(self, args: &[u8]) -> Option<(String, bool)> {
        let end = args.iter().rposition(|b| *b == b'>')?;
        let asked = args.get(..end).filter(|_| self == Condition::Module)?;
        let (asked, is_absence) = match asked.strip_prefix(b"!") {
            Some(rest) => (rest, true),
            None => (asked, false),
        };
        let (word, _) = quoting::next_word(asked)?;
        Some((String::from_utf8_lossy(&word).into_owned(), is_absence))
    }

    fn missing(self) -> &'static str {
        match self {
            Condition::Module => "no module is named; write for example `<IfModule mod_alias.c>`",
            Condition::Define => "no name is given; write for example `<IfDefine NAME>`",
            Condition::Version => "no version is given; write for example `<IfVersion >= 2.4>`",
            Condition::File => "no file is named; write for example `<IfFile conf/local.conf>`",
            Condition::Directive => "no directive is named; write for example `<IfDirective Alias>`",
            Condition::Section => "no section is named; write for example `<IfSection Directory>`",
        }
    }
}

/// mod_version's `<IfVersion [[!]operator] version>`, its odd spellings included.
fn version_holds(args: &[u8], version: [u32; 3]) -> Result<bool, String> {
    let mut words = quoting::words(args);
    let last = words
        .last_mut()
        .ok_or_else(|| Condition::Version.missing().to_owned())?;
    if last.pop() != Some(b'>') {
        return Err(UNCLOSED.to_owned());
    }
    if last.is_empty() {
        words.pop();
    }
    let (operator, wanted) = match words.as_slice() {
        [] => return Err(Condition::Version.missing().to_owned()),
        [wanted] => (&b"="[..], wanted),
        [operator, wanted] => (operator.as_slice(), wanted),
        _ => return Err("more than an operator and a version; write for example `<IfVersion >= 2.4>`".to_owned()),
    };
    let (plain, negated) = match operator.strip_prefix(b"!") {
        Some(rest) => (rest, true),
        None => (operator, false),
    };
    let wanted = String::from_utf8_lossy(wanted);
    let holds = match plain {
        b"=" | b"==" => match wanted.strip_prefix('/') {
            Some(pattern) => match pattern.strip_suffix('/') {
                Some(pattern) => version_matches(pattern, version)?,
                None => return Err(format!("`{wanted}` begins as a regular expression; end it with `/`")),
            },
            None => compare(version, &wanted)?.is_eq(),
        },
        b"~" => version_matches(&wanted, version)?,
        b">" => compare(version, &wanted)?.is_gt(),
        b">=" => compare(version, &wanted)?.is_ge(),
        b"<" => compare(version, &wanted)?.is_lt(),
        b"<=" => compare(version, &wanted)?.is_le(),
        _ => {
            let operator = String::from_utf8_lossy(operator);
            return Err(format!(
                "`{operator}` is not an operator; use `=`, `>`, `>=`, `<`, `<=` or `~`, or one of them after `!`"
            ));
        }
    };
    Ok(holds != negated)
}

fn version_matches(pattern: &str, [major, minor, patch]: [u32; 3]) -> Result<bool, String> {
    let regex = Regex::new(pattern, false).map_err(|e| format!("`{pattern}` is not a regular expression: {}", e.0))?;
    Ok(regex.is_match(format!("{major}.{minor}.{patch}").as_bytes()))
}

/// How `version` compares to `major[.minor[.patch]]`; parts left out count as 0, and a final dot is allowed.
fn compare(version: [u32; 3], wanted: &str) -> Result<Ordering, String> {
    let wrong = || format!("`{wanted}` is not a version; write `major`, `major.minor` or `major.minor.patch`");
    let mut other = [0; 3];
    let digits = wanted.strip_suffix('.').unwrap_or(wanted);
    for (at, part) in digits.split('.').enumerate() {
        let number = part
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| part.parse().ok())
            .flatten();
        *other.get_mut(at).ok_or_else(wrong)? = number.ok_or_else(wrong)?;
    }
    Ok(version.cmp(&other))
}

#[cfg(test)]
mod tests {
    use super::{Condition, version_holds};

    #[test]
    fn versions_compare_as_in_mod_version() {
        for (args, want) in [
            ("> 2>", true),
            ("> 2.4>", true),
            ("> 2.4.71>", false),
            ("> 2.5>", false),
            ("< 2.5>", true),
            (">= 2.4.>", true),
            (">= 2.4.71>", true),
            (">= \"2.4\">", true),
            (">= \"2.4\" >", true),
            (">= 2.4 >", true),
            ("<= 2>", false),
            ("<= 2.5>", true),
            ("= 2.4>", false),
            ("2.4.71>", true),
            ("\"2.4.71\" >", true),
            ("== 2.4.71>", true),
            ("!= 2.4>", true),
            ("!> 2.4.71>", true),
            ("!>= 2.4>", false),
            ("~ ^2\\.4>", true),
            ("!~ ^2\\.5>", true),
            ("= /^2.4/>", true),
            ("/^2.5/>", false),
            ("= \"/2.4/\" >", true),
        ] {
            assert_eq!(version_holds(args.as_bytes(), [2, 4, 71]), Ok(want), "{args}");
        }
    }

    #[test]
    fn what_apache_refuses_is_refused() {
        for (args, want) in [
            ("", "no version is given; write for example `<IfVersion >= 2.4>`"),
            (">", "no version is given; write for example `<IfVersion >= 2.4>`"),
            (">= 2.4", "the closing `>` is missing; end the line with it"),
            (
                ">= 2.x>",
                "`2.x` is not a version; write `major`, `major.minor` or `major.minor.patch`",
            ),
            (
                "2.4.71.1>",
                "`2.4.71.1` is not a version; write `major`, `major.minor` or `major.minor.patch`",
            ),
            (
                "> -1>",
                "`-1` is not a version; write `major`, `major.minor` or `major.minor.patch`",
            ),
            ("/2.4/i>", "`/2.4/i` begins as a regular expression; end it with `/`"),
            (
                ">= 2.4 foo>",
                "more than an operator and a version; write for example `<IfVersion >= 2.4>`",
            ),
            (
                "=> 2.4>",
                "`=>` is not an operator; use `=`, `>`, `>=`, `<`, `<=` or `~`, or one of them after `!`",
            ),
        ] {
            assert_eq!(
                version_holds(args.as_bytes(), [2, 4, 71]),
                Err(want.to_owned()),
                "{args}"
            );
        }
    }

    #[test]
    fn names_of_conditions_are_in_any_case() {
        assert_eq!(Condition::named("IFMODULE"), Some(Condition::Module));
        assert_eq!(Condition::named("Directory"), None);
    }
}
