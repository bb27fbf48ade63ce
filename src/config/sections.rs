//! The nesting of sections: beginning, ending, skipping, and what is said when ends do not fit.

use crate::base::quoting;
use crate::config::condition::{Condition, Facts};
use crate::config::error::Span;
use crate::config::lines::{trim, trim_end};
use crate::config::node::Node;
use crate::config::reader::{Decided, Input, Reader};
use crate::config::suggest;

/// How deep sections may stand in one another, conditions and included files counted; more is an error. No directive
/// moves it: nothing sensible comes near.
const MAX_SECTIONS: usize = 200;
/// Directives, in lower case, that close places.
const CLOSING: &[&[u8]] = &[
    b"<limit",
    b"<limitexcept",
    b"<requireall",
    b"<requireany",
    b"<requirenone",
    b"allow",
    b"allowmethods",
    b"authtype",
    b"deny",
    b"order",
    b"require",
    b"satisfy",
    b"sslrequire",
    b"sslrequiressl",
    b"sslverifyclient",
];
const TOO_DEEP: &str = "more than 200 sections stand in one another; close some";

/// The sections that are open in one file, and the nodes read in the innermost.
#[derive(Default)]
pub(super) struct Building {
    pub(super) nodes: Vec<Node>,
    open: Vec<Open>,
}

/// A section that waits for its end.
struct Open {
    name: String,
    span: Span,
    /// `None` for a condition, which leaves no node.
    section: Option<Outside>,
}

/// What closing a section needs.
struct Outside {
    args: Vec<u8>,
    before: Vec<Node>,
}

impl Building {
    /// How many sections are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        if let Some(outside) = open.section {
            let children = std::mem::replace(&mut self.nodes, outside.before);
            self.nodes
                .push(Node::section(&open.name, &outside.args, children, open.span));
        }
    }
}

impl Reader<'_> {
    pub(super) fn begin_section(
        &mut self,
        name: &str,
        args: &[u8],
        span: &Span,
        input: &mut Input,
        building: &mut Building,
    ) {
        let shown = format!("<{name}>");
        if name.eq_ignore_ascii_case("Macro") {
            self.define_macro(args, span, input);
        } else if self.around + building.depth() >= MAX_SECTIONS {
            self.give_up(&shown, span, input);
            while building.depth() > 0 {
                building.close();
            }
        } else if let Some(condition) = Condition::named(name) {
            let facts = Facts {
                modules: self.language.modules,
                loaded: &self.loaded,
                defines: &self.defines,
                version: self.language.version,
                server_root: &self.server_root,
            };
            let holds = condition.holds(args, &facts);
            self.decided.push(Decided {
                span: span.clone(),
                name: name.to_owned(),
                asked: condition.module(args),
                holds: holds == Ok(true),
                passed_over: Vec::new(),
            });
            match holds {
                Ok(true) => building.open.push(Open {
                    name: name.to_owned(),
                    span: span.clone(),
                    section: None,
                }),
                Ok(false) => {
                    let asked = condition.module(args).filter(|(_, is_absence)| !is_absence);
                    let missed = asked.map(|(module, _)| module).filter(|module| self.is_loaded(module));
                    self.skip_section(name, span, input, missed.as_deref());
                }
                Err(sentence) => {
                    self.error(span, &shown, sentence);
                    self.skip_section(name, span, input, None);
                }
            }
        } else {
            let args = self.section_args(name, args, span);
            let before = std::mem::take(&mut building.nodes);
            let section = Some(Outside { args, before });
            building.open.push(Open {
                name: name.to_owned(),
                span: span.clone(),
                section,
            });
        }
    }

    /// What stands before the last `>` of a section's first line.
    fn section_args(&mut self, name: &str, args: &[u8], span: &Span) -> Vec<u8> {
        let Some(end) = args.iter().rposition(|b| *b == b'>') else {
            let text = String::from_utf8_lossy(args);
            let message = format!("the closing `>` is missing; write `<{name} {text}>`");
            self.error(span, &format!("<{name}>"), message);
            return args.to_vec();
        };
        let (inside, after) = args.split_at_checked(end).unwrap_or_default();
        if after.len() > 1 {
            let text = String::from_utf8_lossy(trim(after.get(1..).unwrap_or_default())).into_owned();
            self.warn(
                span,
                &format!("<{name}>"),
                format!("`{text}` after the `>` is ignored; write it on a line of its own"),
            );
        }
        trim_end(inside).to_vec()
    }

    pub(super) fn end_section(&mut self, name: &[u8], args: &[u8], span: &Span, building: &mut Building) {
        let closed = name.strip_suffix(b">");
        let name = String::from_utf8_lossy(closed.unwrap_or(name)).into_owned();
        let shown = format!("</{name}>");
        if closed.is_none() {
            self.error(span, "", format!("`</{name}` has no closing `>`; write `</{name}>`"));
        } else if !args.is_empty() {
            let text = String::from_utf8_lossy(args).into_owned();
            self.warn(
                span,
                &shown,
                format!("`{text}` after the section's end is ignored; write it on a line of its own"),
            );
        }
        let open = building
            .open
            .iter()
            .rposition(|open| open.name.eq_ignore_ascii_case(&name));
        let Some(at) = open else {
            let begun = building.open.last().map(|open| (open.name.clone(), open.span.line));
            match begun {
                Some((begun, line)) => {
                    let message = format!(
                        "no section of that name is open; the innermost is `<{begun}>` of line {line}, which `</{begun}>` ends"
                    );
                    self.error(span, &shown, message);
                    if suggest::nearest(&name, [begun.as_str()]).is_some() {
                        building.close();
                    }
                }
                None => self.error(
                    span,
                    &shown,
                    format!("no section is open here; write `<{name} ...>` before it"),
                ),
            }
            return;
        };
        while building.open.len() > at + 1 {
            let Some(open) = building.open.last() else { break };
            let message = format!(
                "the section is not closed before `{shown}` in line {}; write `</{}>` before that",
                span.line, open.name
            );
            let (inner, place) = (format!("<{}>", open.name), open.span.clone());
            self.error(&place, &inner, message);
            building.close();
        }
        building.close();
    }

    /// Whether LoadModule has named the module that `<IfModule>` calls so: `mod_ssl.c` or `ssl_module`.
    fn is_loaded(&self, module: &str) -> bool {
        let file = module.strip_prefix("mod_").and_then(|module| module.strip_suffix(".c"));
        let identifier = file.map_or_else(|| module.to_owned(), |name| format!("{name}_module"));
        self.loaded.contains(identifier.as_bytes())
    }

    /// Reads on to the end of a section without a look at what is in it, except for sections' ends. Where the section is for
    /// a module that is `missed`, the first line that would close something is told of.
    fn skip_section(&mut self, name: &str, span: &Span, input: &mut Input, missed: Option<&str>) {
        let mut missed = missed;
        let mut open = vec![name.to_ascii_lowercase().into_bytes()];
        while let Some((place, line)) = input.next() {
            let Some((word, _)) = quoting::next_word(&line.text) else {
                continue;
            };
            let lower = word.to_ascii_lowercase();
            let end = lower.strip_suffix(b">").unwrap_or(&lower);
            if let Some(module) = missed.filter(|_| CLOSING.contains(&end)) {
                missed = None;
                let shown = String::from_utf8_lossy(&word).into_owned();
                let message = format!(
                    "passed over, for lychgate does not have `{module}`, which LoadModule names; what it closes under Apache is \
                     not closed here: write it outside of the <{name}>"
                );
                self.warn(&place, &shown, message);
            }
            if let Some(name) = end.strip_prefix(b"</") {
                if let Some(at) = open.iter().rposition(|known| known == name) {
                    open.truncate(at);
                } else {
                    let inner = open.last().map(|known| String::from_utf8_lossy(known).into_owned());
                    let shown = String::from_utf8_lossy(&word).into_owned();
                    let inner = inner.unwrap_or_default();
                    let message = format!("no section of that name is open; the innermost is `<{inner}>`");
                    self.error(&place, &shown, message);
                }
            } else if let Some(name) = end.strip_prefix(b"<") {
                open.push(name.to_vec());
            } else if let Some(decided) = self.decided.last_mut() {
                let name = String::from_utf8_lossy(&word).into_owned();
                decided.passed_over.push((place, name));
                continue;
            }
            if open.len() > MAX_SECTIONS {
                return self.give_up("", &place, input);
            }
            if open.is_empty() {
                return;
            }
        }
        self.error(
            span,
            &format!("<{name}>"),
            format!("the section is not closed; write `</{name}>` where it ends"),
        );
    }

    /// Says that sections stand too deep, and leaves out the rest of the file.
    fn give_up(&mut self, section: &str, span: &Span, input: &mut Input) {
        self.error(span, section, TOO_DEEP);
        while input.next().is_some() {}
    }

    /// Closes what is open at the end of a file. A condition that held is left open in silence by Apache.
    pub(super) fn close_all(&mut self, building: &mut Building) {
        while let Some(open) = building.open.last() {
            let (name, span) = (open.name.clone(), open.span.clone());
            let message = format!("the section is not closed; write `</{name}>` where it ends");
            if open.section.is_some() {
                self.error(&span, &format!("<{name}>"), message);
            } else {
                self.warn(&span, &format!("<{name}>"), message);
            }
            building.close();
        }
    }
}
