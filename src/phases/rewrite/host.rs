//! What rules ask of a request: its fields and variables, its site, what a subrequest would come to, maps.

use std::borrow::Cow;
use std::fmt::Arguments;

use crate::config::directives::rewrite::RewriteOptions;
use crate::exchange::Exchange;
use crate::exchange::place::Place;
use crate::exchange::rewriting::Look;
use crate::exchange::trace::Step;
use crate::exchange::view::View;
use crate::lang::log_level::Level;
use crate::lang::rewrite::{Ahead, Host, Pending, Variable};
use crate::lang::vars::{self, Accessible, Vars};
use crate::phases::ahead::{self, Answer};

/// A request that rules are applied to.
pub(in crate::phases) struct Asked<'a> {
    ex: &'a Exchange,
    view: View<'a>,
    /// The place, in the context of a directory.
    place: Option<&'a Place>,
}

impl<'a> Asked<'a> {
    /// A request in the server's context.
    pub(in crate::phases) fn new(ex: &'a Exchange) -> Asked<'a> {
        Asked {
            ex,
            view: View { ex, response: None },
            place: None,
        }
    }

    /// A request at its place.
    pub(super) fn of_place(ex: &'a Exchange, place: &'a Place) -> Asked<'a> {
        Asked {
            place: Some(place),
            ..Asked::new(ex)
        }
    }

    /// Whether this is a look itself, which looks no further.
    fn looks(&self) -> bool {
        self.ex.rewriting.look == Look::Ahead
    }

    /// What a look by `-F` or `-U` came to; nothing for a look within a look.
    fn sight(&self, what: Accessible, name: &[u8]) -> Option<Answer> {
        if self.looks() {
            return None;
        }
        ahead::look(self.ex, what, name)
    }
}

impl Vars for Asked<'_> {
    fn beneath(&self) -> Option<&dyn Vars> {
        Some(&self.view)
    }

    fn variable(&self, variable: vars::Variable) -> Option<Cow<'_, [u8]>> {
        match (variable, self.place) {
            (vars::Variable::ContextPrefix, Some(place)) => Some(Cow::Borrowed(&place.context_prefix)),
            (vars::Variable::ContextDocumentRoot, Some(place)) => Some(Cow::Borrowed(&place.context_root)),
            (vars::Variable::IsSubreq, _) => Some(Cow::Borrowed(if self.is_subrequest() { b"true" } else { b"false" })),
            (vars::Variable::ScriptUser | vars::Variable::ScriptGroup, _) => {
                let known = self.view.variable(variable);
                Some(known.unwrap_or(Cow::Borrowed(b"<unknown>")))
            }
            _ => self.view.variable(variable),
        }
    }

    fn is_accessible(&self, what: Accessible, name: &[u8]) -> bool {
        self.sight(what, name).is_some_and(|sight| sight.succeeds)
    }
}

impl Host for Asked<'_> {
    fn is_subrequest(&self) -> bool {
        self.looks()
    }

    fn is_own(&self, host: &[u8], port: Option<u16>) -> bool {
        let host = host.to_ascii_lowercase();
        let core = &self.ex.site.settings.core;
        let is_name = self.ex.site.answers_to(&host)
            || core
                .name
                .value()
                .is_some_and(|name| name.host.eq_ignore_ascii_case(&host));
        let is_name = is_name || host.eq_ignore_ascii_case(self.ex.server_name());
        let own_port = core.name.value().and_then(|name| name.port);
        is_name && port.unwrap_or(80) == own_port.unwrap_or_else(|| self.ex.connection.local.port())
    }

    fn own_urls_name_files(&self) -> bool {
        let options = self.ex.site.settings.rewrite.rules.0.options();
        options.has(RewriteOptions::LEGACY_PREFIX_DOC_ROOT)
    }

    fn longest(&self) -> usize {
        let line = self.ex.site.settings.core.limit_request_line.or(8190);
        usize::try_from(line).unwrap_or(usize::MAX).saturating_mul(2)
    }

    fn requests_name_files(&self) -> bool {
        let options = self.ex.site.settings.rewrite.rules.0.options();
        options.has(RewriteOptions::UNSAFE_PREFIX_STAT)
    }

    fn has_cookie(&self, name: &[u8]) -> bool {
        self.ex.rewriting.cookies.iter().any(|(known, _)| known == name)
    }

    fn own_url(&self, path: &[u8]) -> Vec<u8> {
        self.ex.own_url(path)
    }

    fn base(&self) -> Option<&[u8]> {
        self.place.and_then(|place| place.conf.rewrite.base())
    }

    fn server_address(&self) -> Option<Vec<u8>> {
        let address = self.ex.connection.local.ip().to_canonical();
        Some(address.to_string().into_bytes())
    }

    fn would_succeed(&self, what: Accessible, name: &[u8]) -> bool {
        let Some(sight) = self.sight(what, name) else {
            return false;
        };
        let (path, status) = (String::from_utf8_lossy(name), sight.status.code());
        match what {
            Accessible::Url => self.trace(
                5,
                None,
                format_args!("RewriteCond URI (-U check: path={path} -> status={status}"),
            ),
            Accessible::File => self.trace(
                5,
                None,
                format_args!(
                    "RewriteCond file (-F check: path={path} -> file={} status={status}",
                    String::from_utf8_lossy(&sight.file)
                ),
            ),
        }
        sight.succeeds
    }

    fn map(&self, map: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, Pending> {
        super::maps::look_up(self.ex, map, key, &|text| self.trace(5, None, text))
    }

    fn ahead(&self, ahead: Ahead, path: &[u8], variable: &Variable) -> Option<Vec<u8>> {
        if self.looks() {
            return None;
        }
        let (look, _place) = match ahead {
            Ahead::Url => ahead::at_url(self.ex, path)?,
            Ahead::File => ahead::at_file(self.ex, path),
        };
        let view = View {
            ex: &look,
            response: None,
        };
        let value = match variable {
            Variable::Env(name) => view.env(name).map(Cow::into_owned),
            Variable::Field(name) => view.request_field(name).map(Cow::into_owned),
            Variable::Server(vars::Variable::IsSubreq) => Some(b"true".to_vec()),
            Variable::Server(variable) => view.variable(*variable).map(Cow::into_owned),
            _ => None,
        };
        Some(value.unwrap_or_default())
    }

    fn applies(&self, place: &str, _directory: Option<&[u8]>) {
        self.ex.trace(|| Step::Rule(place.to_owned()));
    }

    fn trace(&self, level: u8, directory: Option<&[u8]>, text: Arguments<'_>) {
        self.ex.trace(|| Step::Rewriting(text.to_string()));
        let level = match level {
            1 => Level::Trace1,
            2 => Level::Trace2,
            3 => Level::Trace3,
            4 => Level::Trace4,
            5 => Level::Trace5,
            6 => Level::Trace6,
            7 => Level::Trace7,
            _ => Level::Trace8,
        };
        let levels = &self.ex.conf().core.log_level;
        if !levels.allow(level, "rewrite") {
            return;
        }
        let kind = if self.is_subrequest() { "subreq" } else { "initial" };
        let redirects = match self.ex.redirects() {
            0 => String::new(),
            times => format!("/redir#{times}"),
        };
        let directory = directory.map(|path| format!("[perdir {}] ", String::from_utf8_lossy(path)));
        let line = format!(
            "{} - - [{}/sid#{}][rid#{}/{kind}{redirects}] {}{text}",
            self.ex.client_ip(),
            String::from_utf8_lossy(self.ex.site_name()),
            self.ex.site.number,
            String::from_utf8_lossy(&self.ex.unique_id),
            directory.unwrap_or_default(),
        );
        self.ex.rewriting.lines.push(level, "rewrite", line);
    }
}
