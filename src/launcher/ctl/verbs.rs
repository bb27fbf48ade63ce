//! What is asked for over the control socket, and its doing.

use std::time::{Duration, Instant};

use super::super::asking::Asker;
use super::super::generation::Generation;
use super::super::{Change, Ending, Launcher, take_stderr};
use super::service::Deed;
use super::status::Form;
use super::{FAILED, Stage, USAGE, Visitor};
use crate::process::ctl::words::{Line, lines};

/// What the reports of the roles are waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// To be shown.
    Status(Form),
    /// They say that the roles have the new logs; this could not be opened.
    Reopened(Vec<String>),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verb {
    Status(Form),
    Reload,
    Reopen,
    Check,
    /// In this time, if it is not the one of the settings.
    Drain(Option<Duration>),
    /// Of a service, by its name.
    Service(Deed, String),
    /// Likewise.
    StatusOf(String, Form),
}

impl Verb {
    fn read(words: &[Vec<u8>]) -> Option<Verb> {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        Some(match words.as_slice() {
            [b"status"] => Verb::Status(Form::Text),
            [b"status", b"--json"] => Verb::Status(Form::Json),
            [b"status", name] => Verb::StatusOf(text(name)?, Form::Text),
            [b"status", b"--json", name] => Verb::StatusOf(text(name)?, Form::Json),
            [b"restart", name] => Verb::Service(Deed::Restart, text(name)?),
            [b"start", name] => Verb::Service(Deed::Start, text(name)?),
            [b"stop", name] => Verb::Service(Deed::Stop, text(name)?),
            [b"reload"] => Verb::Reload,
            [b"reopen"] => Verb::Reopen,
            [b"check"] => Verb::Check,
            [b"drain"] => Verb::Drain(None),
            [b"drain", millis] => Verb::Drain(Some(Duration::from_millis(text(millis)?.parse().ok()?))),
            _ => return None,
        })
    }
}

fn text(word: &[u8]) -> Option<String> {
    String::from_utf8(word.to_vec()).ok()
}

impl Launcher<'_> {
    /// Hears who has come to the control socket, does what can be done, and answers.
    pub(in crate::launcher) fn attend_desk(&mut self, now: Instant) {
        for (number, words) in self.desk.hear(now) {
            match Verb::read(&words) {
                Some(verb) => self.obey(number, verb),
                None => self.for_visitor(number, |visitor| visitor.end("this server does not know that", USAGE)),
            }
        }
        self.read_reports(now);
        self.look_after_stops(now);
        self.put_question(now);
        self.desk.speak();
    }

    fn obey(&mut self, number: u64, verb: Verb) {
        match verb {
            Verb::Status(form) => {
                self.for_visitor(number, |visitor| visitor.wait(Stage::Reports(Then::Status(form), None)));
            }
            Verb::Reload => {
                self.for_visitor(number, |visitor| visitor.wait(Stage::Reload));
                self.want(Change::Graceful, Some(Asker::Visitor(number)));
            }
            Verb::Reopen => {
                let problems = self.reopen_all_logs();
                let then = Then::Reopened(problems);
                self.for_visitor(number, |visitor| visitor.wait(Stage::Reports(then, None)));
            }
            Verb::Check => {
                let checked = (self.launch.check)();
                self.for_visitor(number, |visitor| visitor.tell_check(&checked));
            }
            Verb::Drain(limit) => {
                self.finish_and_end(limit);
                self.desk.show_at = Some(Instant::now());
                self.for_visitor(number, |visitor| visitor.wait(Stage::End(String::new())));
            }
            Verb::Service(deed, name) => self.do_to_service(number, deed, &name),
            Verb::StatusOf(name, form) => self.show_service(number, &name, form),
        }
    }

    pub(super) fn for_visitor(&mut self, number: u64, act: impl FnOnce(&mut Visitor)) {
        // One that has left meanwhile needs nothing.
        if let Some(visitor) = self.desk.visitor(number) {
            act(visitor);
        }
    }

    /// Opens all log files by their names, at once; what cannot be opened goes on where it is.
    fn reopen_all_logs(&mut self) -> Vec<String> {
        let mut problems = Vec::new();
        let candidate = self.candidate.as_mut().map(|candidate| &mut candidate.generation);
        for generation in candidate.into_iter().chain(&mut self.old) {
            generation.reopen_moved_logs();
        }
        if let Some(current) = &mut self.current {
            let (reopened, told) = current.reopen_moved_logs();
            problems = told;
            if reopened {
                take_stderr(current);
            }
        }
        problems
    }

    /// Puts the next question to the roles, if somebody waits for what they report.
    fn put_question(&mut self, now: Instant) {
        let waits = |visitor: &Visitor| matches!(visitor.stage, Stage::Reports(_, None));
        let is_wanted = self.desk.visitors.iter().any(waits) || self.desk.show_at.is_some_and(|at| at <= now);
        if !is_wanted || self.desk.inquiry.is_under_way() {
            return;
        }
        let candidate = self.candidate.as_mut().map(|candidate| &mut candidate.generation);
        let generations = self.current.iter_mut().chain(candidate).chain(&mut self.old);
        let number = self.desk.inquiry.put(generations, now);
        self.desk.show_at = None;
        for visitor in &mut self.desk.visitors {
            if let Stage::Reports(_, question @ None) = &mut visitor.stage {
                *question = Some(number);
            }
        }
    }

    /// Answers those who wait for reports, once they are there.
    fn read_reports(&mut self, now: Instant) {
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.generation);
        let generations = || self.current.iter().chain(candidate).chain(&self.old);
        let Some(question) = self.desk.inquiry.ended(generations(), now) else {
            return;
        };
        let progress = progress(generations(), question);
        let are_reopened = generations().all(|generation| generation.has_answered(question));
        let is_shown = |one: &Visitor| matches!(one.stage, Stage::Reports(Then::Status(_), Some(n)) if n == question);
        let status = self.desk.visitors.iter().any(is_shown).then(|| self.status(question));
        let mut is_end_awaited = false;
        for visitor in &mut self.desk.visitors {
            match &mut visitor.stage {
                Stage::Reports(then, Some(number)) if *number == question => match then.clone() {
                    Then::Status(form) => {
                        let shown = status.as_ref().map(|status| form.shown(status));
                        visitor.succeed(&shown.unwrap_or_default());
                    }
                    Then::Reopened(problems) => visitor.tell_reopened(&problems, are_reopened),
                },
                Stage::End(shown) => {
                    is_end_awaited = true;
                    if *shown != progress {
                        shown.clone_from(&progress);
                        visitor.say(&Line::Out(progress.clone()));
                    }
                }
                _ => {}
            }
        }
        self.desk.show_at = is_end_awaited.then(|| now + SHOW_EVERY);
    }

    /// Whether a graceful stop came to its end by itself.
    pub(in crate::launcher) fn has_ended_whole(&self) -> bool {
        match self.ending {
            Ending::Graceful(Some(until)) => Instant::now() + super::super::orders::AFTER_LIMIT < until,
            Ending::Graceful(None) => true,
            Ending::No | Ending::Now(_) => false,
        }
    }
}

/// How often those who wait for the end are shown how far it is.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// What is still to be finished.
fn progress<'a>(generations: impl Iterator<Item = &'a Generation>, question: u64) -> String {
    let (mut connections, mut requests, mut scripts) = (0, 0, 0);
    for generation in generations {
        let counts = generation.counts(question).unwrap_or_default();
        connections += counts.connections;
        requests += counts.requests;
        scripts += generation.scripts(question).unwrap_or_default();
    }
    format!("finishing: connections {connections}, requests {requests}, scripts {scripts}")
}

impl Visitor {
    /// What a look at the settings showed: remarks, and whether they would do.
    fn tell_check(&mut self, (remarks, would_do): &(Vec<String>, bool)) {
        for remark in remarks {
            lines(remark, Line::Err).for_each(|line| self.say(&line));
        }
        if *would_do {
            self.succeed("Syntax OK");
        } else {
            self.leave(FAILED);
        }
    }

    fn tell_reopened(&mut self, problems: &[String], by_all: bool) {
        for problem in problems {
            lines(problem, Line::Err).for_each(|line| self.say(&line));
        }
        match (problems.is_empty(), by_all) {
            (true, true) => self.succeed("the logs are open again"),
            (_, false) => self.end("a process does not answer: it may still write to the old files", FAILED),
            (false, true) => self.leave(FAILED),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Deed, Form, Verb};
    use crate::process::ctl::words::words;

    #[test]
    fn requests_are_known_words() {
        for (line, verb) in [
            ("status", Some(Verb::Status(Form::Text))),
            ("status --json", Some(Verb::Status(Form::Json))),
            ("reload", Some(Verb::Reload)),
            ("reopen", Some(Verb::Reopen)),
            ("check", Some(Verb::Check)),
            ("drain", Some(Verb::Drain(None))),
            ("drain 1500", Some(Verb::Drain(Some(Duration::from_millis(1500))))),
            ("drain soon", None),
            ("drain -1", None),
            ("status blog", Some(Verb::StatusOf("blog".into(), Form::Text))),
            ("status --json blog", Some(Verb::StatusOf("blog".into(), Form::Json))),
            ("restart blog", Some(Verb::Service(Deed::Restart, "blog".into()))),
            ("start blog", Some(Verb::Service(Deed::Start, "blog".into()))),
            ("stop a%20b", Some(Verb::Service(Deed::Stop, "a b".into()))),
            ("stop %ff", None),
            ("status one two", None),
            ("Reload", None),
            ("restart", None),
            ("stop", None),
            ("stop one two", None),
            ("", None),
        ] {
            assert_eq!(Verb::read(&words(line.as_bytes())), verb, "{line}");
        }
    }
}
