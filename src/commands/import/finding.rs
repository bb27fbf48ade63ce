//! What there is to say of each line: from the complaints of whoever reads the configuration, from the conditions that were
//! decided otherwise than under Apache, and from what the manual says of the directives in use.

use std::collections::{BTreeMap, HashMap};

use crate::config::directives;
use crate::config::directives::foreign;
use crate::config::error::{ConfigError, Severity, Span};
use crate::config::node::Node;
use crate::config::reader::Decided;
use crate::config::table::{Directive, Set};

use super::change::{self, Change};
use super::modules::{Modules, Presence, presence};
use super::texts::Texts;

/// How a line fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The server does not start with it.
    Refused,
    /// It is taken, and something is otherwise than under Apache.
    Differs,
    /// It is left out, with what is inside, where Apache has it.
    LeftOut,
    /// It is taken without effect, and nothing is missed.
    Ignored,
    /// Good to know.
    Remark,
}

/// One thing to say.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How the line fares.
    pub kind: Kind,
    /// Where it stands.
    pub place: Span,
    /// The directive; empty where it is about a file.
    pub directive: String,
    /// The sentence.
    pub message: String,
    /// The line as it stands there.
    pub line: Option<Vec<u8>>,
    /// What to do about it.
    pub change: Change,
}

impl Finding {
    /// A complaint as a finding.
    pub fn of(complaint: &ConfigError, nodes: &[Node], texts: &Texts) -> Finding {
        let directive = complaint.directive.clone().unwrap_or_default();
        let kind = match complaint.severity {
            Severity::Error => Kind::Refused,
            Severity::Warning => Kind::Differs,
            Severity::Note if complaint.message.starts_with("ignored") => Kind::Ignored,
            Severity::Note => Kind::Remark,
        };
        let message = complaint
            .message
            .strip_prefix("ignored: ")
            .filter(|_| kind == Kind::Ignored);
        Finding {
            kind,
            message: message.unwrap_or(&complaint.message).to_owned(),
            line: texts
                .line(&complaint.span, &directive)
                .map(|(line, _)| discreet(line, &directive)),
            change: change::of(complaint, nodes, texts),
            place: complaint.span.clone(),
            directive,
        }
    }

    /// What is to be said of a condition.
    pub fn of_condition(decided: &Decided, modules: &Modules, texts: &Texts) -> Option<Finding> {
        let (module, is_absence) = decided.asked.as_ref()?;
        let apache_has = modules.apache_has(module)?;
        let (kind, message) = match (apache_has != *is_absence, decided.holds) {
            (true, false) if !is_absence => match presence(&modules.find(module)?.identifier) {
                Presence::Needless(why) => (Kind::Ignored, format!("what is inside is left out: {why}")),
                Presence::Here | Presence::Missing => {
                    if decided.passed_over.is_empty() {
                        return None;
                    }
                    (Kind::LeftOut, left_out(module, &decided.passed_over))
                }
            },
            (true, false) => {
                let message =
                    format!("left out, for lychgate has `{module}` built in; Apache, which does not load it, reads it");
                (Kind::Differs, message)
            }
            (false, true) if *is_absence => {
                let message = format!(
                    "holds here, for lychgate does not have `{module}`; Apache loads it and passes over what is inside"
                );
                (Kind::Differs, message)
            }
            (false, true) => {
                let message = format!(
                    "holds here, for `{module}` is built in; no LoadModule names it, so that Apache passes over what is inside"
                );
                (Kind::Differs, message)
            }
            (true, true) | (false, false) => return None,
        };
        let directive = format!("<{}>", decided.name);
        Some(Finding {
            kind,
            message,
            line: texts.line(&decided.span, &directive).map(|(line, _)| line),
            change: Change::None,
            place: decided.span.clone(),
            directive,
        })
    }
}

/// The line without what is nobody's business who reads a report.
fn discreet(line: Vec<u8>, directive: &str) -> Vec<u8> {
    let lower = directive.to_ascii_lowercase();
    if ["password", "passphrase", "secret"]
        .iter()
        .any(|word| lower.contains(word))
    {
        format!("{directive} ***").into_bytes()
    } else {
        line
    }
}

/// So many names are told of what is left out.
const MOST_NAMES: usize = 8;

fn left_out(module: &str, inside: &[(Span, String)]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (_, name) in inside {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    let more = match names.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    names.truncate(MOST_NAMES);
    let what = if inside.len() == 1 { "directive" } else { "directives" };
    format!(
        "left out, for lychgate does not have `{module}`: {} {what} ({}{more})",
        inside.len(),
        names.join(", ")
    )
}

/// What the directives of a configuration come to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All directives and sections.
    pub all: usize,
    /// Those that are supported, by the name in the manual, with how often they occur.
    pub supported: BTreeMap<&'static str, usize>,
    /// Those that are taken without effect.
    pub ignored: usize,
    /// Those that were warned of.
    pub differing: usize,
    /// Those that the server does not start with.
    pub refused: usize,
    /// The modules whose directives are in use, a name for each use.
    pub modules: Vec<&'static str>,
    /// The directives that are not in use, whose defaults are not Apache's; the sentence that says so.
    pub unset: Vec<(&'static str, &'static str)>,
    /// The directives in use of which the manual tells a difference: where each is first, and the sentences.
    pub told: Vec<(Span, &'static str, Vec<&'static str>)>,
}

impl Tally {
    /// Counts the nodes and what is inside of them.
    pub fn of(nodes: &[Node], findings: &[Finding]) -> Tally {
        let mut worst: HashMap<(&Span, String), Kind> = HashMap::new();
        for finding in findings {
            let key = (&finding.place, finding.directive.to_ascii_lowercase());
            let kind = worst.entry(key).or_insert(finding.kind);
            *kind = finding.kind.min(*kind);
        }
        let own = directives::all()
            .map(|own| (own.name.to_ascii_lowercase(), own))
            .collect();
        let mut tally = Tally::default();
        tally.add(nodes, &worst, &own);
        tally
    }

    /// Adds what the defaults of a server's directives come to that are not in use.
    #[must_use]
    pub fn with_defaults(mut self) -> Tally {
        let unset = directives::all().filter(|own| !self.supported.contains_key(own.name));
        let of_use = unset.filter(|own| own.module == "core" || self.modules.contains(&own.module));
        self.unset = of_use
            .filter_map(|own| {
                let said = sentences(own.manual).find(|sentence| sentence.contains("Apache's default is"))?;
                Some((own.name, said))
            })
            .collect();
        self
    }

    fn add(
        &mut self,
        nodes: &[Node],
        worst: &HashMap<(&Span, String), Kind>,
        own: &HashMap<String, &'static Directive>,
    ) {
        for node in nodes {
            let name = match node {
                Node::Directive { name, .. } => name.to_ascii_lowercase(),
                Node::Section { name, .. } => format!("<{}>", name.to_ascii_lowercase()),
            };
            self.all += 1;
            let entry = own.get(&name).copied();
            let module = entry.map(|entry| entry.module);
            self.modules
                .extend(module.or_else(|| Some(foreign::find(&name)?.module)));
            let kind = worst.get(&(node.span(), name)).copied();
            match (kind, entry) {
                (Some(Kind::Refused), _) | (None, None) => self.refused += 1,
                (Some(Kind::Differs), _) => self.differing += 1,
                (Some(Kind::Ignored), _) | (Some(_), None) => self.ignored += 1,
                (_, Some(entry)) if matches!(entry.set, Set::Ignored(_)) => self.ignored += 1,
                (_, Some(entry)) => self.support(entry, node.span()),
            }
            self.add(node.children(), worst, own);
        }
    }

    fn support(&mut self, entry: &'static Directive, place: &Span) {
        let count = self.supported.entry(entry.name).or_insert(0);
        *count += 1;
        if *count == 1 && entry.module != "lychgate" {
            let sentences: Vec<_> = differences(entry.manual).collect();
            if !sentences.is_empty() {
                self.told.push((place.clone(), entry.name, sentences));
            }
        }
    }
}

/// How the manual tells of a difference.
const OTHERWISE: &[&str] = &[
    "(Apache",
    "Apache does not mind",
    "Apache logs",
    "In Apache it",
    "ther than in Apache",
    "nlike in Apache",
    "where Apache",
    "which Apache",
];

/// The sentences of a directive's manual text that tell of a difference.
fn differences(manual: &'static str) -> impl Iterator<Item = &'static str> {
    sentences(manual).filter(|sentence| OTHERWISE.iter().any(|words| sentence.contains(words)))
}

fn sentences(text: &'static str) -> impl Iterator<Item = &'static str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let ends = |(at, end): &(usize, &str)| {
            let behind = rest.get(at + end.len()..).unwrap_or_default();
            behind.is_empty() || behind.starts_with(char::is_whitespace)
        };
        let end = [".)", ".", "!", "?"]
            .iter()
            .filter_map(|mark| rest.match_indices(mark).find(|found| ends(found)))
            .map(|(at, mark)| at + mark.len())
            .min();
        let (sentence, more) = rest.split_at(end.unwrap_or(rest.len()));
        rest = more;
        (!sentence.is_empty()).then_some(sentence)
    })
}

#[cfg(test)]
mod tests;
