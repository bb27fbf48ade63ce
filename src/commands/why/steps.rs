//! The steps of a request on their way to the page: sections with what stands in them, rules with their places, requirements
//! within their containers.

use std::collections::HashSet;

use crate::commands::why::page::Page;
use crate::commands::why::written::{Line, Sections};
use crate::config::error::Span;
use crate::config::site::Config;
use crate::exchange::trace::{AccessFile, Step};

/// Whether what we may read decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// We have those of the server.
    TheServers,
    /// They were enough.
    Enough,
    /// They were not; the server's may be others.
    Wanting,
}

/// A container of requirements.
struct Inside {
    /// Whether it stands in the settings.
    is_written: bool,
    /// How many rules of it were asked.
    rules: usize,
}

/// Steps on their way to the page.
pub(super) struct Telling<'a> {
    page: &'a mut Page,
    sections: &'a mut Sections,
    config: &'a Config,
    /// Where the rule stands whose first step is still to come.
    rule: Option<String>,
    /// The containers of requirements that are open.
    containers: Vec<Inside>,
    /// The places of the lines that were told; they are not told again.
    told: HashSet<Span>,
    rights: Rights,
}

impl<'a> Telling<'a> {
    /// Begins with the rights that are known of.
    pub(super) fn new(
        page: &'a mut Page,
        sections: &'a mut Sections,
        config: &'a Config,
        rights: Rights,
    ) -> Telling<'a> {
        Telling {
            page,
            sections,
            config,
            rule: None,
            containers: Vec::new(),
            told: HashSet::new(),
            rights,
        }
    }

    /// Tells the steps; whether rights were wanting.
    pub(super) fn steps(mut self, steps: &[Step]) -> Rights {
        for step in steps {
            self.step(step);
        }
        self.rights
    }

    fn step(&mut self, step: &Step) {
        let (word, text, place) = (step.topic().word(), step.to_string(), step.place());
        match step {
            Step::Again { status, .. } if status.is_error() => {
                self.page
                    .heading(&format!("the error document for {}: {text}", status.code()));
            }
            Step::Again { .. } => self.page.heading(&format!("once more, with {text}")),
            Step::Instead { .. } => self.page.heading(&text),
            Step::NoRights(_) if self.rights == Rights::TheServers => {}
            Step::NoRights(_) => {
                self.rights = Rights::Wanting;
                self.page.line(word, 0, &text, None);
            }
            Step::Rule(_) => self.rule = place,
            Step::Rewriting(_) => {
                let place = self.rule.take();
                self.page.line(word, 1, &text, place.as_deref());
            }
            Step::Container(_) => {
                if !text.is_empty() {
                    self.page.line(word, self.depth(), &text, None);
                }
                self.containers.push(Inside {
                    is_written: !text.is_empty(),
                    rules: 0,
                });
            }
            Step::ContainerEnd(_) => {
                let ended = self.containers.pop();
                if ended.is_none_or(|ended| ended.is_written || ended.rules > 1) {
                    self.page.line(word, self.depth(), &text, None);
                }
                self.count_rule();
            }
            Step::Requirement { .. } => {
                self.page.line(word, self.depth(), &text, place.as_deref());
                self.count_rule();
            }
            Step::Section { at, .. } => {
                self.page.line(word, 0, &text, place.as_deref());
                self.tell_lines(self.sections.lines(at).to_vec());
            }
            Step::Condition { at, holds, .. } => {
                self.page.line(word, 0, &text, place.as_deref());
                if *holds == Some(true) {
                    self.tell_lines(self.sections.lines(at).to_vec());
                }
            }
            Step::AccessFile(AccessFile::Read, paths) => {
                self.page.line(word, 0, &text, None);
                for path in paths {
                    let lines = self.sections.access_file(path, self.config);
                    self.tell_lines(lines);
                }
            }
            _ => {
                // A request that was refused within containers leaves them.
                self.containers.clear();
                self.page.line(word, 0, &text, place.as_deref());
            }
        }
    }

    /// How deep in containers that are written.
    fn depth(&self) -> usize {
        self.containers.iter().filter(|container| container.is_written).count()
    }

    fn count_rule(&mut self) {
        if let Some(container) = self.containers.last_mut() {
            container.rules += 1;
        }
    }

    fn tell_lines(&mut self, lines: Vec<Line>) {
        for line in lines {
            if !self.told.insert(line.span.clone()) {
                continue;
            }
            let place = format!(":{}", line.span.line);
            self.page.line("section", 1 + line.depth, &line.text, Some(&place));
        }
    }
}
