//! `if`, `elif`, `else` and `endif`, and their conditions in both syntaxes.

use std::borrow::Cow;

use crate::exchange::view::View;
use crate::filters::ssi::page::{Failed, Matched, Page, Shown, Taken, shown};
use crate::lang::expr::{Expr, Trust};
use crate::lang::log_level::Level;
use crate::lang::regex::{Groups, Regex};
use crate::lang::ssi::expand::Unset;
use crate::lang::ssi::legacy::{self, Document};
use crate::lang::ssi::scan::Element;
use crate::lang::vars::{Accessible, Vars};

impl Page {
    /// `if expr="…"`
    pub(super) fn begin_if(&mut self, element: &Element) -> Result<(), Failed> {
        if element.arguments.len() != 1 {
            self.log(self.level(), "element `if` takes one argument, `expr`");
        }
        if self.branch.shown == Shown::No {
            self.branch.hidden += 1;
            return Ok(());
        }
        self.decide(element)
    }

    /// `elif expr="…"`
    pub(super) fn else_if(&mut self, element: &Element) -> Result<(), Failed> {
        if element.arguments.len() != 1 {
            self.log(self.level_here(), "element `elif` takes one argument, `expr`");
        }
        if self.branch.hidden > 0 {
            return Ok(());
        }
        if element.arguments.len() == 1 && self.branch.taken == Taken::Yes && is_condition(element) {
            self.branch.shown = Shown::No;
            return Ok(());
        }
        self.decide(element)
    }

    /// `else`
    pub(super) fn otherwise(&mut self, element: &Element) -> Result<(), Failed> {
        if !element.arguments.is_empty() {
            self.log(self.level_here(), "element `else` takes no arguments");
        }
        if self.branch.hidden > 0 {
            return Ok(());
        }
        if !element.arguments.is_empty() {
            return self.unless_hidden(Err(Failed));
        }
        self.take(self.branch.taken == Taken::No);
        self.branch.taken = Taken::Yes;
        Ok(())
    }

    /// `endif`
    pub(super) fn end_if(&mut self, element: &Element) -> Result<(), Failed> {
        if !element.arguments.is_empty() {
            self.log(self.level_here(), "element `endif` takes no arguments");
        }
        if self.branch.hidden > 0 {
            self.branch.hidden -= 1;
            return Ok(());
        }
        if !element.arguments.is_empty() {
            return Err(Failed);
        }
        self.take(true);
        Ok(())
    }

    /// Where a condition has no answer, an `elif` behind it may be shown, but no `else`. Apache shows that behind an `elif` that is
    /// shown.
    fn decide(&mut self, element: &Element) -> Result<(), Failed> {
        let holds = self.condition(element);
        match holds {
            Err(Failed) => (self.branch.shown, self.branch.taken) = (Shown::No, Taken::Unknown),
            Ok(false) if self.branch.taken == Taken::Unknown => self.branch.shown = Shown::No,
            Ok(holds) => self.take(holds),
        }
        self.branch.hidden = 0;
        holds.map(drop)
    }

    fn take(&mut self, holds: bool) {
        (self.branch.shown, self.branch.taken) = if holds {
            (Shown::Yes, Taken::Yes)
        } else {
            (Shown::No, Taken::No)
        };
    }

    /// How bad a fault is of an element that may belong to a hidden `if`.
    fn level_here(&self) -> Level {
        if self.branch.hidden == 0 {
            Level::Error
        } else {
            Level::Warn
        }
    }

    fn condition(&mut self, element: &Element) -> Result<bool, Failed> {
        let [argument] = element.arguments.as_slice() else {
            return Err(Failed);
        };
        if argument.name != b"expr" {
            return Err(self.unknown(&shown(&element.name), argument));
        }
        let Some(text) = &argument.value else {
            self.log(
                Level::Error,
                &format!("element `{}`: `expr` has no value", shown(&element.name)),
            );
            return Err(Failed);
        };
        if self.place.conf.ssi.legacy.or(false) {
            return legacy::evaluate(text, &mut Legacy(self)).map_err(|fault| {
                self.log(
                    Level::Error,
                    &format!("condition `{}`: {}", shown(text), fault.reason()),
                );
                Failed
            });
        }
        self.expression(text)
    }

    fn expression(&mut self, text: &[u8]) -> Result<bool, Failed> {
        let parsed = match str::from_utf8(text) {
            Ok(text) => Expr::parse(text, Trust::Document).map_err(|error| error.to_string()),
            Err(_) => Err("it is not UTF-8 text".to_owned()),
        };
        let why = match parsed {
            Err(why) => why,
            Ok(expr) => {
                let view = Variables {
                    page: self,
                    view: View {
                        ex: &self.ex,
                        response: None,
                    },
                };
                match expr.matched(&view) {
                    Ok(matched) => {
                        let holds = matched.is_some();
                        self.remember(text, matched);
                        return Ok(holds);
                    }
                    Err(none) => format!("`{}` cannot be read", shown(&none.path)),
                }
            }
        };
        self.log(Level::Error, &format!("condition `{}`: {why}", shown(text)));
        Err(Failed)
    }
}

impl Page {
    /// What an expression matched. Only `$0` is kept, as in Apache; what matches nothing takes it away.
    fn remember(&mut self, text: &[u8], matched: Option<(Vec<u8>, Groups)>) {
        let has_pattern = text.windows(2).any(|pair| matches!(pair, b"=~" | b"!~"));
        let (subject, groups) = matched.unwrap_or_default();
        if groups.is_empty() && !(has_pattern && self.matched.is_some()) {
            return;
        }
        self.matched = Some(Matched {
            subject,
            pattern: shown(text),
            groups: Some(groups),
            group_count: 1,
        });
    }
}

fn is_condition(element: &Element) -> bool {
    let mut arguments = element.arguments.iter();
    arguments.all(|argument| argument.name == b"expr" && argument.value.is_some())
}

/// The request with the variables of the page.
struct Variables<'a> {
    page: &'a Page,
    view: View<'a>,
}

impl Vars for Variables<'_> {
    fn beneath(&self) -> Option<&dyn Vars> {
        Some(&self.view)
    }

    fn env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.page.find(name.as_bytes()).map(Cow::Owned)
    }
}

/// The page as conditions of Apache 2.2 ask it.
struct Legacy<'a>(&'a mut Page);

impl Document for Legacy<'_> {
    fn expand(&mut self, text: &[u8]) -> Vec<u8> {
        self.0.expanded(text, Unset::Dropped)
    }

    /// What is no pattern is found, as in Apache.
    fn matches(&mut self, text: &[u8], pattern: &[u8]) -> bool {
        let pattern = String::from_utf8_lossy(pattern).into_owned();
        let regex = match Regex::new(&pattern, false) {
            Ok(regex) => regex,
            Err(error) => {
                self.0.log(Level::Error, &error.to_string());
                return true;
            }
        };
        let groups = regex.captures(text);
        let found = groups.is_some();
        self.0.matched = Some(Matched {
            subject: text.to_vec(),
            pattern,
            group_count: regex.group_count(),
            groups,
        });
        found
    }

    fn is_accessible(&mut self, url: &[u8]) -> bool {
        let view = View {
            ex: &self.0.ex,
            response: None,
        };
        view.is_accessible(Accessible::Url, url)
    }
}
