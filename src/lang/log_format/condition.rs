//! The third word of CustomLog: `env=NAME`, `env=!NAME` or `expr=…`, whether a request is logged at all.

use crate::lang::expr::{Expr, Trust};
use crate::lang::vars::Vars;

use super::LogFormatError;

/// A condition on the finished request.
#[derive(Clone, Debug, PartialEq)]
pub enum LogCondition {
    /// The variable is in the request's environment, whatever its value.
    EnvSet(Box<str>),
    /// It is not.
    EnvUnset(Box<str>),
    /// The expression is true.
    Expr(Expr),
}

impl LogCondition {
    /// Reads the word; `env=` and `expr=` in any case.
    pub fn parse(word: &str) -> Result<LogCondition, LogFormatError> {
        let refused = |sentence: String| Err(LogFormatError(sentence));
        let Some((kind, rest)) = word.split_once('=') else {
            return refused(format!(
                "`{word}` is not a condition; write `env=NAME`, `env=!NAME` or `expr=…`"
            ));
        };
        if kind.eq_ignore_ascii_case("expr") {
            let expr = Expr::parse(rest, Trust::Full).map_err(|e| LogFormatError(e.0))?;
            return Ok(LogCondition::Expr(expr));
        }
        if !kind.eq_ignore_ascii_case("env") {
            return refused(format!(
                "`{kind}=` is not a condition; write `env=NAME`, `env=!NAME` or `expr=…`"
            ));
        }
        match rest.strip_prefix('!') {
            _ if matches!(rest, "" | "!") => refused(format!("`{word}` names no environment variable")),
            Some(name) => Ok(LogCondition::EnvUnset(name.into())),
            None => Ok(LogCondition::EnvSet(rest.into())),
        }
    }

    /// Whether the request is to be logged; not when the expression has no value, as in Apache.
    pub fn holds(&self, vars: &dyn Vars) -> bool {
        match self {
            LogCondition::EnvSet(name) => vars.env(name).is_some(),
            LogCondition::EnvUnset(name) => vars.env(name).is_none(),
            LogCondition::Expr(expr) => expr.eval(vars).unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LogCondition;
    use crate::lang::vars::testing::Table;

    #[test]
    fn conditions_look_at_the_environment_or_an_expression() {
        let vars = Table {
            env: vec![("gif-image", b"")],
            variables: vec![("REQUEST_STATUS", b"405")],
            ..Table::default()
        };
        let table = [
            ("env=gif-image", true),
            ("ENV=GIF-image", false),
            ("env=!gif-image", false),
            ("env=!other", true),
            ("expr=%{REQUEST_STATUS} -in {'405','410'}", true),
            ("EXPR=%{REQUEST_STATUS} -ge 410", false),
            ("expr=file('/none') == ''", false),
        ];
        for (word, want) in table {
            assert_eq!(LogCondition::parse(word).expect(word).holds(&vars), want, "{word}");
        }
        for word in ["env=", "env=!", "gif-image", "when=x", "expr=", "expr=%{"] {
            assert!(LogCondition::parse(word).is_err(), "{word}");
        }
    }
}
