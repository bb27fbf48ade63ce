//! Templates filled in: groups, variables, maps, and what a look ahead tells.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::base::ascii;
use crate::lang::local_time;
use crate::lang::regex::group;
use crate::lang::tls_variable;
use crate::lang::vars::{self, Vars};

use super::flags::{Escape, Which};
use super::run::{Run, shown};
use super::template::{Piece, Template, Variable};
use super::{Ahead, Pending};

impl Run<'_> {
    /// A template filled in, and where in it question marks came that are not written in it: with groups (the client had written
    /// them as `%3f`), variables and maps.
    pub(super) fn expand(
        &mut self,
        template: &Template,
        escape: Option<&Escape>,
    ) -> Result<(Vec<u8>, Vec<usize>), Pending> {
        let (mut out, mut marks) = (Vec::new(), Vec::new());
        for piece in template.pieces() {
            let start = out.len();
            match piece {
                Piece::Literal(text) => {
                    out.extend_from_slice(text);
                    continue;
                }
                Piece::RuleGroup(number) | Piece::CondGroup(number) => {
                    let from_rule = matches!(piece, Piece::RuleGroup(_));
                    let matched = if from_rule { &self.rule_match } else { &self.cond_match };
                    let Some((subject, groups)) = matched else { continue };
                    let text = group(*number, subject, groups);
                    match escape.filter(|escape| escape.which != Which::None) {
                        Some(escape) => {
                            append_escaped(&mut out, text, escape);
                            self.tell_escaped(text, out.get(start..).unwrap_or_default());
                        }
                        None => out.extend_from_slice(text),
                    }
                }
                Piece::Variable(variable) => {
                    let value = self.variable(variable);
                    out.extend_from_slice(&value);
                }
                Piece::Map { map, key, default } => {
                    let key = self.expand(key, escape)?.0;
                    let found = self.host.map(map, &key)?;
                    let found = match (found, default) {
                        (Some(found), _) => found,
                        (None, Some(default)) => self.expand(default, escape)?.0,
                        (None, None) => Vec::new(),
                    };
                    out.extend_from_slice(&found);
                }
            }
            let brought = out.iter().enumerate().skip(start).filter(|(_, byte)| **byte == b'?');
            marks.extend(brought.map(|(at, _)| at));
        }
        Ok((out, marks))
    }

    fn tell_escaped(&self, text: &[u8], escaped: &[u8]) {
        if !text.is_empty() {
            let (text, escaped) = (shown(text), shown(escaped));
            self.trace(5, format_args!("escaping backreference '{text}' to '{escaped}'"));
        }
    }

    fn variable(&mut self, variable: &Variable) -> Vec<u8> {
        let value = match variable {
            Variable::Field(name) => {
                let value = self.host.request_field(name).map(Cow::into_owned);
                // RFC 9110 section 12.5.5 and Apache: a response never varies by Host.
                if value.is_some() && !name.eq_ignore_ascii_case("Host") && !self.vary.contains(name) {
                    self.vary.push(name.clone());
                }
                value
            }
            Variable::Env(name) => {
                let seen = self.seen();
                let value = seen.env(name).or_else(|| self.host.os_env(name));
                value.map(Cow::into_owned)
            }
            Variable::Ssl(name) => tls_variable::lookup(name, &self.seen()).map(Cow::into_owned),
            Variable::Time(format) => {
                let value = formatted(self.host.now(), format);
                if format.len() > "%Y".len() {
                    self.trace(1, format_args!("RESULT='{}'", shown(&value)));
                }
                Some(value)
            }
            Variable::Server(variable) => {
                let value = self.seen().variable(*variable).map(Cow::into_owned);
                if *variable == vars::Variable::Ipv6 {
                    self.trace(
                        1,
                        format_args!("IPV6='{}'", shown(value.as_deref().unwrap_or_default())),
                    );
                }
                value
            }
            Variable::ServerAddress => self.host.server_address(),
            Variable::AheadUrl(inner) => self.ahead(Ahead::Url, inner),
            Variable::AheadFile(inner) => self.ahead(Ahead::File, inner),
            Variable::Unknown(_) => None,
        };
        value.unwrap_or_default()
    }

    /// The value a variable will have once the request has been looked at as a whole.
    fn ahead(&mut self, ahead: Ahead, variable: &Variable) -> Option<Vec<u8>> {
        if self.host.is_subrequest() {
            return None;
        }
        let (ahead, path) = match (self.directory, ahead) {
            (None, _) => (ahead, self.uri.clone()),
            // What is not below the directory is a URL, whatever was asked for.
            (Some(_), _) if self.uri.starts_with(b"/") => (Ahead::Url, self.uri.clone()),
            (Some(directory), Ahead::File) => (ahead, [directory, self.uri.as_slice()].concat()),
            // Without RewriteBase Apache takes the directory's own name for a URL.
            (Some(directory), Ahead::Url) => {
                let base = self.host.base().unwrap_or(directory);
                (ahead, [base, self.uri.as_slice()].concat())
            }
        };
        let value = self.host.ahead(ahead, &path, variable);
        self.trace(
            5,
            format_args!(
                "lookahead: path={} var={} -> val={}",
                shown(&path),
                variable.told(),
                shown(value.as_deref().unwrap_or_default())
            ),
        );
        value
    }
}

/// A part of the time of day, as `strftime` writes it.
fn formatted(now: SystemTime, format: &str) -> Vec<u8> {
    let now = local_time::zoned(local_time::since_epoch(now));
    now.strftime(format).to_string().into_bytes()
}

fn append_escaped(out: &mut Vec<u8>, text: &[u8], escape: &Escape) {
    for &byte in text {
        let is_odd = match &escape.which {
            Which::None => false,
            Which::NotWords => !byte.is_ascii_alphanumeric() && byte != b'_',
            Which::Controls => byte.is_ascii_control() || byte == b' ',
            Which::These(these) => these.contains(&byte),
        };
        if !is_odd || escape.but.contains(&byte) {
            out.push(byte);
        } else if byte == b' ' && !escape.no_plus {
            out.push(b'+');
        } else {
            out.push(b'%');
            ascii::append_hex_byte(out, byte);
        }
    }
}
