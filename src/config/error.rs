//! Where a setting stands, and what is wrong with it: the messages the administrator reads.

use std::fmt;
use std::sync::Arc;

/// The file name of directives that were given with `-c` or `-C`.
pub const COMMAND_LINE: &str = "command line";

/// A place in the configuration: a file, a macro in use, or the command line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The file as it was opened, or [`COMMAND_LINE`].
    pub file: Arc<str>,
    /// The line a directive begins on, counted from 1; 0 is the file as a whole.
    pub line: u32,
}

impl Span {
    /// The place `file:line`.
    pub fn new(file: &Arc<str>, line: u32) -> Span {
        Span {
            file: Arc::clone(file),
            line,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file), // the file as a whole
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth saying once; nothing is wrong.
    Note,
    /// The server starts, but perhaps not as was meant.
    Warning,
    /// The server does not start.
    Error,
}

/// One complaint about the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub span: Span,
    /// The directive or section it is about, in the writer's case; sections with their `<`.
    pub directive: Option<String>,
    /// What is wrong; what would be right.
    pub message: String,
}

impl ConfigError {
    /// A complaint of the given severity; an empty `directive` stands for none.
    pub fn new(severity: Severity, span: &Span, directive: &str, message: impl Into<String>) -> ConfigError {
        ConfigError {
            severity,
            span: span.clone(),
            directive: (!directive.is_empty()).then(|| directive.to_owned()),
            message: message.into(),
        }
    }

    /// Something the server does not start with.
    pub fn error(span: &Span, directive: &str, message: impl Into<String>) -> ConfigError {
        ConfigError::new(Severity::Error, span, directive, message)
    }

    /// Something the server starts with.
    pub fn warning(span: &Span, directive: &str, message: impl Into<String>) -> ConfigError {
        ConfigError::new(Severity::Warning, span, directive, message)
    }

    /// Something to know.
    pub fn note(span: &Span, directive: &str, message: impl Into<String>) -> ConfigError {
        ConfigError::new(Severity::Note, span, directive, message)
    }

    /// Whether it keeps the server from starting.
    pub fn is_fatal(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.span)?;
        match self.severity {
            Severity::Error => {}
            Severity::Warning => f.write_str("warning: ")?,
            Severity::Note => f.write_str("note: ")?,
        }
        if let Some(directive) = &self.directive {
            write!(f, "{directive}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{ConfigError, Span};

    #[test]
    fn a_complaint_reads_place_directive_sentence() {
        let span = Span::new(&Arc::from("conf/httpd.conf"), 42);
        let sentence = "`5x` is not a duration; write `5` (seconds) or `500ms`";
        for (complaint, want) in [
            (
                ConfigError::error(&span, "KeepAliveTimeout", sentence),
                "conf/httpd.conf:42: KeepAliveTimeout: `5x` is not a duration; write `5` (seconds) or `500ms`",
            ),
            (
                ConfigError::warning(&span, "", "odd"),
                "conf/httpd.conf:42: warning: odd",
            ),
            (
                ConfigError::note(&span, "Mutex", "not needed"),
                "conf/httpd.conf:42: note: Mutex: not needed",
            ),
        ] {
            assert_eq!(complaint.to_string(), want);
        }
    }
}
