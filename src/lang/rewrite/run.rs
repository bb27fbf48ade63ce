//! Rules at work on one request: pattern, conditions, substitution, flags, rule after rule.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::time::{Duration, Instant};

use crate::lang::regex::Groups;

use super::cond::{Cond, Order, Test, integer};
use super::cookie;
use super::flags::Query;
use super::rule::Rule;
use super::seen::Seen;
use super::uri;
use super::{Effects, EnvChange, Host, Pending, Subject};

/// What the rules of one context made of a request, before it is known where that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// No rule matched, or none changed anything.
    Nothing,
    /// The subject is another.
    Changed(Changed),
    /// The answer is this status.
    Status(u16),
    /// The answer is 500: too many rounds of `[N]`.
    TooManyRounds,
    /// The answer is 403: a query came out of a question mark that is not the rule's own.
    Unsafe3F,
    /// The answer is 500: a rule makes its path longer and longer.
    TooLong(String),
}

/// How it was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of a rule or says what became of its result"
)]
pub(super) struct Changed {
    /// `[NE]` of the last rule that changed something.
    pub(super) no_escape: bool,
    pub(super) pass_through: bool,
    pub(super) proxy: bool,
    /// The status of a redirect.
    pub(super) redirect: Option<u16>,
    /// It was an absolute URL of our own.
    pub(super) was_reduced: bool,
}

/// One request in one context.
pub(super) struct Run<'r> {
    pub(super) host: &'r dyn Host,
    /// The directory of the context, with its final slash; none for the server's.
    pub(super) directory: Option<&'r [u8]>,
    pub(super) subject: Subject,
    pub(super) effects: Effects,
    /// The name that the rule's pattern sees.
    pub(super) uri: Vec<u8>,
    pub(super) rule_match: Option<(Vec<u8>, Groups)>,
    pub(super) cond_match: Option<(Vec<u8>, Groups)>,
    pub(super) vary: Vec<String>,
    changed: Changed,
    /// The last rule that changed something.
    pub(super) last: Option<&'r Rule>,
}

/// How long `[N]` may lead round; longer is an error, whatever the number of rounds. No directive moves it.
const ROUNDS_TIME: Duration = Duration::from_secs(1);

/// What became of one rule.
enum Step {
    NoMatch,
    /// It matched and changes nothing.
    Stays,
    Changes,
    Unsafe3F,
}

impl<'r> Run<'r> {
    pub(super) fn new(host: &'r dyn Host, directory: Option<&'r [u8]>, subject: Subject) -> Run<'r> {
        Run {
            host,
            directory,
            subject,
            effects: Effects::default(),
            uri: Vec::new(),
            rule_match: None,
            cond_match: None,
            vary: Vec::new(),
            changed: Changed::default(),
            last: None,
        }
    }

    /// Applies the rules in their order.
    pub(super) fn apply(&mut self, rules: &[&'r Rule]) -> Result<Made, Pending> {
        let (mut has_changed, mut rounds, mut next) = (false, 1_u32, 0);
        let began = Instant::now();
        while let Some(rule) = rules.get(next) {
            next += 1;
            let not_here = rule.flags.no_subrequest || rule.flags.proxy || rule.flags.is_redirect;
            if self.host.is_subrequest() && not_here {
                continue;
            }
            match self.rule(rule)? {
                Step::NoMatch => {
                    let mut chained = rule;
                    while chained.flags.chain {
                        let Some(rule) = rules.get(next) else { break };
                        chained = rule;
                        next += 1;
                    }
                    continue;
                }
                Step::Unsafe3F => {
                    self.substitutes(rule);
                    return Ok(Made::Unsafe3F);
                }
                Step::Stays => {}
                Step::Changes => {
                    has_changed = true;
                    self.changed.no_escape = rule.flags.no_escape;
                    self.substitutes(rule);
                }
            }
            if self.subject.filename.len() > self.host.longest() {
                let (pattern, longest) = (rule.regex.pattern(), self.host.longest());
                return Ok(Made::TooLong(format!(
                    "RewriteRule '{pattern}' made a path that is longer than {longest} bytes"
                )));
            }
            self.add_vary();
            if let Some(status) = rule.flags.status {
                return Ok(Made::Status(status));
            }
            if rule.flags.pass_through {
                self.trace(
                    2,
                    format_args!(
                        "forcing '{}' to get passed through to next API URI-to-filename handler",
                        shown(&self.subject.filename)
                    ),
                );
                self.changed.pass_through = true;
                has_changed = true;
                break;
            }
            if rule.flags.end {
                self.trace(
                    8,
                    format_args!("Rule has END flag, no further rewriting for this request"),
                );
                self.effects.end = true;
                break;
            }
            if rule.flags.proxy || rule.flags.last {
                break;
            }
            if let Some(bound) = rule.flags.next {
                rounds += 1;
                if rounds >= bound || rounds % 64 == 0 && began.elapsed() > ROUNDS_TIME {
                    return Ok(Made::TooManyRounds);
                }
                next = 0;
                continue;
            }
            next += rule.flags.skip;
        }
        Ok(if has_changed {
            Made::Changed(self.changed)
        } else {
            Made::Nothing
        })
    }

    /// Notes the last rule that has a substitution.
    fn substitutes(&mut self, rule: &'r Rule) {
        let output = shown(&rule.output);
        self.trace(2, format_args!("setting lastsub to rule with output {output}"));
        self.last = Some(rule);
    }

    fn rule(&mut self, rule: &Rule) -> Result<Step, Pending> {
        self.host.applies(&rule.place, self.directory);
        self.uri = self.seen_uri();
        self.trace(
            3,
            format_args!(
                "applying pattern '{}' to uri '{}'",
                rule.regex.pattern(),
                shown(&self.uri)
            ),
        );
        let groups = rule.regex.captures(&self.uri);
        if groups.is_some() == rule.negated {
            return Ok(Step::NoMatch);
        }
        self.cond_match = None;
        self.rule_match = groups
            .filter(|_| !rule.negated)
            .map(|groups| (self.uri.clone(), groups));
        if !self.conditions_hold(&rule.conds)? {
            return Ok(Step::NoMatch);
        }
        // A response varies by what conditions ask, not by what substitutions put in.
        let vary = std::mem::take(&mut self.vary);
        let step = self.substitute(rule);
        self.vary = vary;
        step
    }

    /// What a rule does whose pattern and conditions hold.
    fn substitute(&mut self, rule: &Rule) -> Result<Step, Pending> {
        let made = match &rule.substitution {
            None => None,
            Some(substitution) => {
                let (made, marks) = self.expand(substitution, Some(&rule.flags.escape))?;
                self.trace(2, format_args!("rewrite '{}' -> '{}'", shown(&self.uri), shown(&made)));
                if !rule.flags.allow_3f && question_mark(&made, rule).is_some_and(|mark| marks.contains(&mark)) {
                    return Ok(Step::Unsafe3F);
                }
                Some(made)
            }
        };
        self.variables_and_cookies(rule)?;
        let Some(made) = made else {
            self.types(rule)?;
            if let Some(status) = rule.flags.status {
                let file = shown(&self.subject.filename);
                self.trace(2, format_args!("forcing responsecode {status} for {file}"));
            }
            return Ok(Step::Stays);
        };
        self.becomes(&made, rule)?;
        Ok(Step::Changes)
    }

    /// The name that patterns see: of a directory's context only what is below it.
    fn seen_uri(&self) -> Vec<u8> {
        let Some(directory) = self.directory else {
            return self.subject.filename.clone();
        };
        let mut uri = self.subject.filename.clone();
        if !self.subject.path_info.is_empty() {
            self.trace(
                3,
                format_args!(
                    "add path info postfix: {} -> {}{}",
                    shown(&uri),
                    shown(&uri),
                    shown(&self.subject.path_info)
                ),
            );
            uri.extend_from_slice(&self.subject.path_info);
        }
        if let Some(below) = uri.strip_prefix(directory) {
            self.trace(
                3,
                format_args!("strip per-dir prefix: {} -> {}", shown(&uri), shown(below)),
            );
            return below.to_vec();
        }
        uri
    }

    fn conditions_hold(&mut self, conds: &[Cond]) -> Result<bool, Pending> {
        let mut conds = conds.iter();
        let mut varies = Vec::new();
        while let Some(cond) = conds.next() {
            self.vary.clear();
            let mut holds = self.condition(cond)?;
            if cond.flags.no_vary {
                self.vary.clear();
            }
            if cond.flags.or_next {
                if !holds {
                    continue;
                }
                // One is enough: the others up to the last of the alternatives are not asked.
                let mut alternative = cond;
                while alternative.flags.or_next {
                    let Some(next) = conds.next() else { break };
                    alternative = next;
                }
                holds = true;
            }
            if !holds {
                return Ok(false);
            }
            varies.append(&mut self.vary);
        }
        self.vary = varies;
        Ok(true)
    }

    fn condition(&mut self, cond: &Cond) -> Result<bool, Pending> {
        let input = match cond.test {
            Test::Holds(_) => Vec::new(),
            _ => self.expand(&cond.input, None)?.0,
        };
        let no_case = cond.flags.no_case;
        let holds = match &cond.test {
            Test::Matches(regex) => match regex.captures(&input) {
                Some(groups) => {
                    if !cond.negated {
                        self.cond_match = Some((input.clone(), groups));
                    }
                    true
                }
                None => false,
            },
            Test::Text(Order::Equal, text) if no_case => input.eq_ignore_ascii_case(text),
            Test::Text(Order::Equal, text) => input == *text,
            Test::Text(order, text) if no_case => {
                order.allows(input.to_ascii_lowercase().cmp(&text.to_ascii_lowercase()))
            }
            Test::Text(order, text) => order.allows(lexicography(&input, text)),
            Test::Number(order, number) => order.allows(integer(&input).cmp(number)),
            Test::File(test) => self.host.file_is(*test, &input),
            Test::Accessible(what) => !input.is_empty() && self.host.would_succeed(*what, &input),
            Test::Holds(expr) => match expr.matched(&self.seen()) {
                Ok(Some(matched)) => {
                    if !cond.negated {
                        self.cond_match = Some(matched);
                    }
                    true
                }
                Ok(None) => false,
                // A file that could not be read decides nothing in favour of a rule.
                Err(_) => cond.negated,
            },
        };
        let holds = holds != cond.negated;
        self.tell_condition(cond, &input, holds);
        Ok(holds)
    }

    fn tell_condition(&self, cond: &Cond, input: &[u8], holds: bool) {
        let result = if holds { "matched" } else { "not-matched" };
        let input = match &cond.test {
            // As Apache has it, which has no input here.
            Test::Holds(_) => "(null)".into(),
            _ => shown(input),
        };
        let no_case = if cond.flags.no_case { " [NC]" } else { "" };
        self.trace(
            4,
            format_args!(
                "RewriteCond: input='{input}' pattern='{}'{no_case} => {result}",
                cond.pattern
            ),
        );
    }

    /// The request as expressions see it now.
    pub(super) fn seen(&self) -> Seen<'_> {
        Seen {
            host: self.host,
            subject: &self.subject,
            env: &self.effects.env,
        }
    }

    /// The subject becomes what a rule made of it.
    fn becomes(&mut self, made: &[u8], rule: &Rule) -> Result<(), Pending> {
        let redirect = rule.flags.redirect;
        let is_relative = made.first() != Some(&b'/') && uri::absolute(made).is_none();
        let prefix = match self.directory {
            Some(directory) if is_relative && !self.subject.is_of_backend() => directory,
            None if is_relative && !rule.flags.proxy && redirect.is_none() => b"/",
            _ => b"",
        };
        self.subject.filename = [prefix, made].concat();
        if !prefix.is_empty() {
            let kind = if self.directory.is_some() { "per-dir" } else { "root" };
            let (made, whole) = (shown(made), shown(&self.subject.filename));
            self.trace(3, format_args!("add {kind} prefix: {made} -> {whole}"));
        }
        if self.directory.is_some() && rule.flags.discard_path {
            self.subject.path_info.clear();
        }
        self.split_query(rule);
        if rule.flags.proxy {
            self.changed.proxy = true;
            return Ok(());
        }
        if let Some(status) = redirect {
            if uri::absolute(&self.subject.filename).is_none() {
                let slash: &[u8] = if self.subject.filename.starts_with(b"/") {
                    b""
                } else {
                    b"/"
                };
                let path = [slash, self.subject.filename.as_slice()].concat();
                self.subject.filename = self.host.own_url(&path);
            }
            let url = shown(&self.subject.filename);
            self.trace(2, format_args!("explicitly forcing redirect with {url}"));
            self.changed.redirect = Some(status);
            return Ok(());
        }
        self.reduce();
        if uri::absolute(&self.subject.filename).is_some() {
            let url = shown(&self.subject.filename);
            // Apache's words have no closing bracket either.
            self.trace(2, format_args!("implicitly forcing redirect (rc=302 with {url}"));
            self.changed.redirect = Some(302);
            return Ok(());
        }
        if prefix.is_empty() && !rule.output.starts_with(b"//") {
            let slashes = self.subject.filename.iter().take_while(|byte| **byte == b'/').count();
            self.subject.filename.drain(..slashes.saturating_sub(1));
        }
        self.types(rule)
    }

    /// A URL of our own is a path.
    fn reduce(&mut self) {
        let Some((host, port, path)) = uri::own_parts(&self.subject.filename, self.host.scheme()) else {
            return;
        };
        if self.host.is_own(host, port) {
            let path = path.to_vec();
            self.trace_plainly(
                3,
                format_args!("reduce {} -> {}", shown(&self.subject.filename), shown(&path)),
            );
            self.subject.filename = path;
            self.changed.was_reduced = true;
        }
    }

    fn split_query(&mut self, rule: &Rule) {
        if rule.no_query {
            self.trace_plainly(2, format_args!("discarding query string, no parse from substitution"));
            self.subject.query = None;
            return;
        }
        if matches!(uri::absolute(&self.subject.filename), Some((_, false))) {
            self.subject.query = None;
            return;
        }
        let (append, discard) = match rule.flags.query {
            Query::Replaced => (false, false),
            Query::Appended => (true, false),
            Query::Discarded => (false, true),
            Query::DiscardedThenAppended => (true, true),
        };
        if discard {
            self.subject.query = None;
            self.trace_plainly(2, format_args!("discarding query string"));
        }
        let Some(mark) = question_mark(&self.subject.filename, rule) else {
            return;
        };
        let before = self.subject.filename.clone();
        let mut query = self.subject.filename.split_off(mark);
        query.remove(0);
        if append && query.is_empty() {
            query = self.subject.query.take().unwrap_or_default();
        } else if append {
            query.push(b'&');
            query.extend_from_slice(self.subject.query.as_deref().unwrap_or_default());
        }
        let is_none = query.is_empty();
        if query.last() == Some(&b'&') {
            query.pop();
        }
        self.trace_plainly(
            3,
            format_args!(
                "split uri={} -> uri={}, args={}",
                shown(&before),
                shown(&self.subject.filename),
                if is_none { "<none>".into() } else { shown(&query) }
            ),
        );
        self.subject.query = (!is_none).then_some(query);
    }

    fn variables_and_cookies(&mut self, rule: &Rule) -> Result<(), Pending> {
        for env in &rule.flags.env {
            let text = self.expand(env, None)?.0;
            if let Some(name) = text.strip_prefix(b"!") {
                self.trace_plainly(5, format_args!("unsetting env variable '{}'", shown(name)));
                self.effects.env.push(EnvChange {
                    name: name.to_vec(),
                    value: None,
                });
                continue;
            }
            let (name, value) = match text.iter().position(|byte| *byte == b':') {
                Some(colon) => (text[..colon].to_vec(), text[colon + 1..].to_vec()),
                None => (text, Vec::new()),
            };
            self.trace_plainly(
                5,
                format_args!("setting env variable '{}' to '{}'", shown(&name), shown(&value)),
            );
            self.effects.env.push(EnvChange {
                name,
                value: Some(value),
            });
        }
        for template in &rule.flags.cookies {
            let text = self.expand(template, None)?.0;
            let Some((name, field)) = cookie::field(&text, self.host.now()) else {
                continue;
            };
            if self.host.has_cookie(&name) || self.effects.cookies.iter().any(|(known, _)| *known == name) {
                self.trace_plainly(5, format_args!("skipping already set cookie '{}'", shown(&name)));
                continue;
            }
            self.trace_plainly(5, format_args!("setting cookie '{}'", shown(&field)));
            self.effects.cookies.push((name, field));
        }
        Ok(())
    }

    fn types(&mut self, rule: &Rule) -> Result<(), Pending> {
        if let Some(media_type) = &rule.flags.media_type {
            let text = self.expand(media_type, None)?.0.to_ascii_lowercase();
            if !text.is_empty() {
                self.trace(
                    2,
                    format_args!(
                        "remember {} to have MIME-type '{}'",
                        shown(&self.subject.filename),
                        shown(&text)
                    ),
                );
                self.effects.media_type = Some(text);
            }
        }
        if let Some(handler) = &rule.flags.handler {
            let text = self.expand(handler, None)?.0.to_ascii_lowercase();
            if !text.is_empty() {
                self.trace(
                    2,
                    format_args!(
                        "remember {} to have Content-handler '{}'",
                        shown(&self.subject.filename),
                        shown(&text)
                    ),
                );
                self.effects.handler = Some(text);
            }
        }
        Ok(())
    }

    fn add_vary(&mut self) {
        for name in std::mem::take(&mut self.vary) {
            if !self.effects.vary.contains(&name) {
                self.effects.vary.push(name);
            }
        }
    }

    pub(super) fn trace(&self, level: u8, text: std::fmt::Arguments<'_>) {
        self.host.trace(level, self.directory, text);
    }

    /// The same without the directory, where Apache does not tell it.
    pub(super) fn trace_plainly(&self, level: u8, text: std::fmt::Arguments<'_>) {
        self.host.trace(level, None, text);
    }
}

/// Where the query of a substitution begins.
fn question_mark(made: &[u8], rule: &Rule) -> Option<usize> {
    let mut bytes = made.iter();
    if rule.flags.query_last {
        bytes.rposition(|byte| *byte == b'?')
    } else {
        bytes.position(|byte| *byte == b'?')
    }
}

/// Apache's order of texts: the shorter one first, then byte by byte.
fn lexicography(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// Bytes for a trace line.
pub(super) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
