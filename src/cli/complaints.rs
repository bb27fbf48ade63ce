//! What there is to say of a configuration, on standard error.

use std::collections::HashSet;

use crate::config::error::{ConfigError, Severity};

use super::terminal;

/// The lines for complaints of at least this weight. Notes of the same words are said once, at their first place.
pub(super) fn lines(complaints: &[ConfigError], least: Severity) -> Vec<String> {
    let mut noted = HashSet::new();
    complaints
        .iter()
        .filter(|complaint| complaint.severity >= least)
        .filter(|complaint| {
            complaint.severity > Severity::Note || {
                let name = complaint.directive.as_deref().map(str::to_ascii_lowercase);
                noted.insert((name, complaint.message.as_str()))
            }
        })
        .map(ConfigError::to_string)
        .collect()
}

/// Prints them.
pub(super) fn print(complaints: &[ConfigError], least: Severity) {
    for line in lines(complaints, least) {
        terminal::err(&line);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::lines;
    use crate::config::error::{ConfigError, Severity, Span};

    #[test]
    fn notes_are_said_once_and_errors_always() {
        let file = Arc::from("a.conf");
        let at = |line| Span::new(&file, line);
        let complaints = [
            ConfigError::note(&at(1), "LoadModule", "ignored: built in"),
            ConfigError::note(&at(2), "loadmodule", "ignored: built in"),
            ConfigError::note(&at(3), "Mutex", "ignored: built in"),
            ConfigError::warning(&at(4), "X", "odd"),
            ConfigError::error(&at(5), "Y", "wrong"),
            ConfigError::error(&at(6), "Y", "wrong"),
        ];
        assert_eq!(
            lines(&complaints, Severity::Note),
            [
                "a.conf:1: note: LoadModule: ignored: built in",
                "a.conf:3: note: Mutex: ignored: built in",
                "a.conf:4: warning: X: odd",
                "a.conf:5: Y: wrong",
                "a.conf:6: Y: wrong",
            ]
        );
        assert_eq!(lines(&complaints, Severity::Warning).len(), 3);
        assert_eq!(lines(&complaints, Severity::Error).len(), 2);
    }
}
