//! Fields of answers and of requests: `mod_headers`.

use crate::config::directives::DirConf;
use crate::config::setting::{Appended, settings};
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::http::fields::is_field_name;
use crate::lang::expr::{Expr, StringExpr};
use crate::lang::field_format::FieldFormat;
use crate::lang::regex::Regex;

settings! {
    /// What happens to fields, in order.
    pub struct Headers {
        /// `RequestHeader`.
        request: Appended<Rule>,
        /// `Header always`.
        always: Appended<Rule>,
        /// `Header`: answers that a handler has made.
        success: Appended<Rule>,
    }
}

/// One directive.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// The field; for `echo` what was written.
    pub name: Vec<u8>,
    /// When it does it.
    pub when: When,
}

/// What is done to a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// One more line.
    Add(Value),
    /// Behind a comma.
    Append(Value),
    /// Behind a comma, unless the list has it.
    Merge(Value),
    /// In place of what is there.
    Set(Value),
    /// If there is none.
    SetIfEmpty(Value),
    /// No line.
    Unset,
    /// The request's fields whose names match.
    Echo(Regex),
    /// Replaced where it matches.
    Edit(Regex, Value, Matches),
    /// Copied into a note.
    Note(Value),
}

/// Which matches are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matches {
    /// The first.
    First,
    /// All.
    All,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text with `%` tags.
    Format(FieldFormat),
    /// `expr=`.
    Expr(StringExpr),
}

/// When a rule acts.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// At the end.
    Late,
    /// Before anything else; in the server's part and in virtual hosts alone.
    Early,
    /// Where a variable is set.
    Set(Vec<u8>),
    /// Where it is not.
    Unset(Vec<u8>),
    /// Where an expression is true.
    Holds(Expr),
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "Header",
        module: "mod_headers",
        syntax: "[always|onsuccess] action field [value [replacement]] [early|env=[!]name|expr=expression]",
        words: Words::AtLeast(2),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Change the fields of answers.",
        manual: "The actions are add, append, echo, edit, edit*, merge, note, set, setifempty and unset. Without always, answers that \
the server makes itself (errors, redirects, 304) are left alone, and of a script's answer only ETag, Last-Modified, Location and \
Content-Type are seen: a script's other fields are changed with always, as in Apache. In a value, %D is the time taken and %t the \
time of the request in microseconds, %l the load, %i and %b the idle and busy percentage of the server, %{NAME}e a variable, \
which behind a program is also what it was told of the request, as in Apache (HTTP_ORIGIN, REMOTE_USER); \
expr= stands before an expression. The fields that frame a message (Content-Length, Transfer-Encoding, Connection and the like) \
stay as they are, but for Connection: close.",
        set: Set::Dir(|conf, args| {
            let (always, words) = match args.keyword(0).as_str() {
                "always" => (true, args.rest(1)),
                "onsuccess" => (false, args.rest(1)),
                _ => (false, args.rest(0)),
            };
            let rule = rule(args, words)?;
            if always {
                conf.headers.always.push(rule);
            } else {
                conf.headers.success.push(rule);
            }
            Ok(())
        }),
    },
    Directive {
        name: "RequestHeader",
        module: "mod_headers",
        syntax: "action field [value [replacement]] [early|env=[!]name|expr=expression]",
        words: Words::AtLeast(2),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Change the fields of the request, as the rest of the server and scripts see them.",
        manual: "The actions are those of Header without echo. Which site answers, how long the body is, and whom a script runs as \
are settled before and stay as they are.",
        set: Set::Dir(|conf: &mut DirConf, args| {
            let rule = rule(args, args.words)?;
            if matches!(rule.action, Action::Echo(_)) {
                return Err("`echo` is for Header alone".into());
            }
            conf.headers.request.push(rule);
            Ok(())
        }),
    },
];

const ACTIONS: &str = "`add`, `append`, `echo`, `edit`, `edit*`, `merge`, `note`, `set`, `setifempty` and `unset`";

fn rule(args: &Args, words: &[Vec<u8>]) -> Said<Rule> {
    let word = |n: usize| words.get(n).map(Vec::as_slice);
    let action = String::from_utf8_lossy(word(0).unwrap_or_default()).to_ascii_lowercase();
    let named = word(1).ok_or("the name of a field is missing")?;
    let name = named.split(|byte| *byte == b':').next().unwrap_or_default();
    let value = || {
        let value = word(2).ok_or_else(|| format!("`{action}` takes a field and a value"))?;
        self::value(args, value)
    };
    let (action, rest) = match action.as_str() {
        "add" => (Action::Add(value()?), 3),
        "append" => (Action::Append(value()?), 3),
        "merge" => (Action::Merge(value()?), 3),
        "set" => (Action::Set(value()?), 3),
        "setifempty" => (Action::SetIfEmpty(value()?), 3),
        "note" => (Action::Note(value()?), 3),
        "unset" => (Action::Unset, 2),
        "echo" => (Action::Echo(regex(named)?), 2),
        "edit" | "edit*" => {
            let (Some(pattern), Some(replacement)) = (word(2), word(3)) else {
                return Err(format!("`{action}` takes a field, a pattern and a replacement"));
            };
            let all = if action == "edit" { Matches::First } else { Matches::All };
            let replacement = self::value(args, replacement)?;
            (Action::Edit(regex(pattern)?, replacement, all), 4)
        }
        _ => {
            let action = shown(words.first().map_or(&[], Vec::as_slice));
            return Err(format!("{action} is no action; there are {ACTIONS}"));
        }
    };
    if !matches!(action, Action::Echo(_)) && !is_field_name(name) {
        return Err(format!("{} is not the name of a field", shown(name)));
    }
    let when = match words.get(rest..).unwrap_or_default() {
        [] => When::Late,
        [clause] => when(args, clause)?,
        [_, more, ..] => {
            let sentence = "is a word too many; a value with spaces stands in quotes";
            return Err(format!("{} {sentence}", shown(more)));
        }
    };
    Ok(Rule {
        action,
        name: name.to_vec(),
        when,
    })
}

fn regex(pattern: &[u8]) -> Said<Regex> {
    crate::config::words::regex(pattern)
}

fn value(args: &Args, word: &[u8]) -> Said<Value> {
    match word.strip_prefix(b"expr=") {
        Some(expr) => {
            let expr = StringExpr::parse(text(expr)?, args.trust).map_err(|e| e.0)?;
            Ok(Value::Expr(expr))
        }
        None => FieldFormat::parse(word).map(Value::Format),
    }
}

fn when(args: &Args, clause: &[u8]) -> Said<When> {
    let lower = clause.to_ascii_lowercase();
    if lower == b"early" {
        if args.section.is_some() {
            args.remark(
                "`early` has no effect in a section or a .htaccess: nothing is known of the place then; take it out",
            );
        }
        return Ok(When::Early);
    }
    if lower.starts_with(b"env=") {
        return match clause.get(4..).unwrap_or_default() {
            [] | [b'!'] => Err("the name of a variable is missing; write `env=NAME`".into()),
            [b'!', name @ ..] => Ok(When::Unset(name.to_vec())),
            name => Ok(When::Set(name.to_vec())),
        };
    }
    if lower.starts_with(b"expr=") {
        let expr = text(clause.get(5..).unwrap_or_default())?;
        return Expr::parse(expr, args.trust).map(When::Holds).map_err(|e| e.0);
    }
    Err(format!(
        "{} is no condition; write `early`, `env=NAME` or `\"expr=...\"`, and a value with spaces in quotes",
        shown(clause)
    ))
}

fn text(bytes: &[u8]) -> Said<&str> {
    std::str::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", shown(bytes)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::load::load_text;

    #[test]
    fn wrong_words_are_refused_with_words() {
        for (line, said) in [
            ("Header", "takes"),
            ("Header set X", "takes a field and a value"),
            ("Header put X y", "is no action"),
            ("Header set X a b", "is no condition"),
            ("Header set X a env=", "variable is missing"),
            ("Header set X a env=! ", "variable is missing"),
            ("Header set X a env=v more", "a word too many"),
            ("Header set X %q", "means nothing"),
            ("Header set X a \"expr=(\"", "Header"),
            ("Header edit X a", "a replacement"),
            ("Header edit X ( b", "Header"),
            ("Header echo (", "Header"),
            ("Header set \"a b\" c", "not the name of a field"),
            ("RequestHeader echo X", "for Header alone"),
        ] {
            let loaded = load_text("a.conf", format!("{line}\n").as_bytes(), Path::new("/nonexistent"));
            let complaints: Vec<String> = loaded.complaints.iter().map(ToString::to_string).collect();
            assert!(loaded.is_fatal(), "{line}: {complaints:?}");
            assert!(
                complaints.iter().any(|one| one.contains(said)),
                "{line}: {complaints:?}"
            );
        }
    }
}
