//! A request as it stands between two rules: what the rules have changed so far lies over what the request said.

use std::borrow::Cow;

use crate::lang::vars::{Variable, Vars};

use super::{EnvChange, Host, Subject};

/// The request with the changes of the rules before.
pub(super) struct Seen<'s> {
    pub(super) host: &'s dyn Host,
    pub(super) subject: &'s Subject,
    pub(super) env: &'s [EnvChange],
}

impl Vars for Seen<'_> {
    fn beneath(&self) -> Option<&dyn Vars> {
        Some(self.host)
    }

    fn env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match self
            .env
            .iter()
            .rev()
            .find(|change| change.name.eq_ignore_ascii_case(name.as_bytes()))
        {
            Some(change) => change.value.as_deref().map(Cow::Borrowed),
            None => self.host.env(name),
        }
    }

    fn variable(&self, variable: Variable) -> Option<Cow<'_, [u8]>> {
        match variable {
            Variable::RequestFilename | Variable::ScriptFilename => Some(Cow::Borrowed(&self.subject.filename)),
            Variable::PathInfo => Some(Cow::Borrowed(&self.subject.path_info)),
            Variable::QueryString => Some(Cow::Borrowed(self.subject.query.as_deref().unwrap_or_default())),
            _ => self.host.variable(variable),
        }
    }
}
