//! A request as it stands between two rules: what the rules have changed so far lies over what the request said.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::SystemTime;

use crate::lang::vars::{Accessible, FileTest, Variable, Vars};

use super::{EnvChange, Host, Subject};

/// The request with the changes of the rules before.
pub(super) struct Seen<'s> {
    pub(super) host: &'s dyn Host,
    pub(super) subject: &'s Subject,
    pub(super) env: &'s [EnvChange],
}

impl Vars for Seen<'_> {
    fn request_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.host.request_field(name)
    }

    fn response_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.host.response_field(name)
    }

    fn env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match self.env.iter().rev().find(|change| change.name == name.as_bytes()) {
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

    fn depends_on(&self, name: &str) {
        self.host.depends_on(name);
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.host.client_ip()
    }

    fn note(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.host.note(name)
    }

    fn os_env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.host.os_env(name)
    }

    fn file_is(&self, test: FileTest, path: &[u8]) -> bool {
        self.host.file_is(test, path)
    }

    fn file_size(&self, path: &[u8]) -> Option<u64> {
        self.host.file_size(path)
    }

    fn file_contents(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.host.file_contents(path)
    }

    fn is_accessible(&self, what: Accessible, name: &[u8]) -> bool {
        self.host.is_accessible(what, name)
    }

    fn now(&self) -> SystemTime {
        self.host.now()
    }
}
