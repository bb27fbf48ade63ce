//! Who may: the requirements of a place, alone and in `<RequireAll>`, `<RequireAny>` and `<RequireNone>`, and how they join
//! those of the sections around it (mod_authz_core).

use std::sync::Arc;

use crate::config::directives::limit::Methods;
use crate::config::directives::require::{self, Requirement};
use crate::config::directives::status;
use crate::config::error::Span;
use crate::config::setting::{Merge, Setting, settings};
use crate::config::table::{Contexts, DIRECTORY, Directive, HTACCESS, Override, SERVER, Set, Words};
use crate::config::words::{Args, Said};

settings! {
    /// Access to a place.
    pub struct Authz {
        /// `Require` and its containers.
        rules: Rules,
        /// `AuthzSendForbiddenOnFailure`: 403 where a known user may not.
        forbidden_on_failure: Setting<bool>,
    }
}

/// What a place requires; without anything access is granted, as in Apache.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What all lines come to.
    pub top: Option<Arc<Rule>>,
    merging: Option<Merging>,
}

/// What becomes of the requirements around a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merging {
    /// Those of the place take their place.
    Off,
    /// Both are required.
    And,
    /// One of them is enough.
    Or,
}

/// A requirement, or several.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Whether what it finds is turned round.
    pub sense: Sense,
    /// What it asks.
    pub test: Test,
    /// The methods it is about; all of them outside of `<Limit>`.
    methods: Option<Methods>,
    /// How it was written; empty for the container around lines without one.
    pub written: Box<str>,
    /// Where it stands; not for what merging made.
    pub span: Option<Span>,
}

/// Whether what a rule finds is turned round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// It is taken as it is.
    Plain,
    /// `Require not`, `<RequireNone>`: it can refuse, and never grant.
    Negated,
}

/// What a rule asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `<RequireAll>`
    All(Vec<Rule>),
    /// `<RequireAny>`, `<RequireNone>`, and lines without a container.
    Any(Vec<Rule>),
    /// `Require`
    One(Requirement),
}

/// The kinds of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `<RequireAll>`
    All,
    /// `<RequireAny>`
    Any,
    /// `<RequireNone>`
    None,
}

impl Container {
    /// The container of that name in lower case.
    pub fn named(name: &str) -> Option<Container> {
        match name {
            "requireall" => Some(Container::All),
            "requireany" => Some(Container::Any),
            "requirenone" => Some(Container::None),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Container::All => "<RequireAll>",
            Container::Any => "<RequireAny>",
            Container::None => "<RequireNone>",
        }
    }

    /// A container with nothing in it yet.
    fn rule(self) -> Rule {
        let (test, sense) = match self {
            Container::All => (Test::All(Vec::new()), Sense::Plain),
            Container::Any => (Test::Any(Vec::new()), Sense::Plain),
            Container::None => (Test::Any(Vec::new()), Sense::Negated),
        };
        Rule {
            sense,
            test,
            methods: None,
            written: self.name().into(),
            span: None,
        }
    }
}

impl Rule {
    /// A requirement of its own; `written` is what follows `Require`.
    fn one(sense: Sense, requirement: Requirement, methods: Option<&Methods>, written: &str, span: &Span) -> Rule {
        Rule {
            sense,
            test: Test::One(requirement),
            methods: methods.cloned(),
            written: format!("Require {written}").into(),
            span: Some(span.clone()),
        }
    }

    /// The rules inside of a container.
    pub fn inner(&self) -> &[Rule] {
        match &self.test {
            Test::All(rules) | Test::Any(rules) => rules,
            Test::One(_) => &[],
        }
    }

    /// Whether every rule in it must hold.
    pub fn wants_all(&self) -> bool {
        matches!(self.test, Test::All(_))
    }

    fn inner_only_refuse(&self) -> bool {
        let refuses = |rule: &Rule| rule.sense == Sense::Negated || rule.wants_all() && rule.inner_only_refuse();
        !self.inner().is_empty() && self.inner().iter().all(refuses)
    }

    /// Whether it is about requests with this method: a container is if one of its rules is.
    pub fn covers(&self, method: crate::http::method::Method) -> bool {
        match &self.test {
            Test::One(_) => self.methods.as_ref().is_none_or(|methods| methods.cover(method)),
            Test::All(rules) | Test::Any(rules) => rules.iter().any(|rule| rule.covers(method)),
        }
    }
}

impl Rules {
    /// One rule alone, as if it had been written there.
    pub fn only(requirement: Requirement, written: &str, span: &Span) -> Rules {
        let mut rules = Rules::default();
        let added = rules.add(Rule::one(Sense::Plain, requirement, None, written, span), "");
        debug_assert_eq!(added, Ok(()), "a plain rule is never refused");
        rules
    }

    /// Adds a rule to those of the innermost container; `name` is how it was written.
    pub fn add(&mut self, rule: Rule, name: &str) -> Said<()> {
        let top = self.top.get_or_insert_with(|| {
            Arc::new(Rule {
                written: Box::default(),
                ..Container::Any.rule()
            })
        });
        match &mut Arc::make_mut(top).test {
            Test::Any(_) if rule.sense == Sense::Negated => Err(format!(
                "{name} has no effect here, where one rule that grants is enough; write it in <RequireAll>"
            )),
            Test::All(rules) | Test::Any(rules) => {
                rules.push(rule);
                Ok(())
            }
            Test::One(_) => Err("stands in no container".into()),
        }
    }

    /// Begins a container; what is returned goes to [`Rules::close`].
    pub fn open(&mut self, container: Container) -> Option<Arc<Rule>> {
        self.top.replace(Arc::new(container.rule()))
    }

    /// Whether the innermost container can only refuse: it holds nothing but negative requirements.
    pub fn only_refuse(&self) -> bool {
        self.top.as_ref().is_some_and(|rule| rule.inner_only_refuse())
    }

    /// Ends a container and adds it to what was `around` it.
    pub fn close(&mut self, container: Container, around: Option<Arc<Rule>>) -> Said<()> {
        let Some(rule) = std::mem::replace(&mut self.top, around) else {
            return Ok(());
        };
        let rule = Arc::unwrap_or_clone(rule);
        if rule.inner().is_empty() {
            return Err("holds no requirement; write `Require ...` in it".into());
        }
        self.add(rule, container.name())
    }
}

impl Merge for Rules {
    fn merge(&mut self, inner: &Self) {
        let joined = match (&self.top, &inner.top, inner.merging) {
            (Some(outer), None, None | Some(Merging::And | Merging::Or)) => Some(Arc::clone(outer)),
            (Some(outer), Some(inner), Some(merging @ (Merging::And | Merging::Or))) => {
                let both = vec![Rule::clone(outer), Rule::clone(inner)];
                let test = if merging == Merging::And {
                    Test::All(both)
                } else {
                    Test::Any(both)
                };
                Some(Arc::new(Rule {
                    sense: Sense::Plain,
                    test,
                    methods: None,
                    written: format!("AuthMerging {}", if merging == Merging::And { "And" } else { "Or" }).into(),
                    span: None,
                }))
            }
            (_, inner, _) => inner.clone(),
        };
        self.top = joined;
    }
}

const IN_PLACES: Contexts = DIRECTORY.or(HTACCESS);

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "AuthMerging",
        module: "mod_authz_core",
        syntax: "Off|And|Or",
        words: Words::exactly(1),
        allowed: IN_PLACES,
        overrides: Override::AuthConfig,
        default: "Off",
        summary: "Say what becomes of the requirements of the sections around a place.",
        manual: "With Off those of the place take their place; with And both are required; with Or one of them is enough. \
It is about the section that it stands in.",
        set: Set::Dir(|conf, args| {
            let choices = [("off", Merging::Off), ("and", Merging::And), ("or", Merging::Or)];
            conf.authz.rules.merging = Some(args.choice(0, &choices)?);
            Ok(())
        }),
    },
    Directive {
        name: "<AuthzProviderAlias>",
        module: "mod_authz_core",
        syntax: "kind name [\"word ...\"]",
        words: Words::AtLeast(2),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Give a requirement a name, which Require can use.",
        manual: "The kind is one of Require, or a name given before; several words stand in quotes. Inside may stand \
AuthGroupFile, which is used in place of that around the Require.",
        set: Set::Language,
    },
    Directive {
        name: "AuthzSendForbiddenOnFailure",
        module: "mod_authz_core",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: IN_PLACES,
        overrides: Override::AuthConfig,
        default: "Off",
        summary: "Answer 403 instead of 401 to a user who is known and may not.",
        manual: "Browsers ask for another name and password on 401.",
        set: Set::Dir(|conf, args| {
            conf.authz.forbidden_on_failure.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "Require",
        module: "mod_authz_core",
        syntax: "[not] kind [word] ...",
        words: Words::Raw,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::AuthConfig,
        default: "",
        summary: "Say who may see a place.",
        manual: require::MANUAL,
        set: Set::Dir(|conf, args| {
            let (sense, requirement) = require::parse(args)?;
            add(conf, args, sense, requirement)
        }),
    },
    container(
        "<RequireAll>",
        "Grant access where no requirement inside refuses and at least one grants.",
        "Require not has its place here.",
    ),
    container(
        "<RequireAny>",
        "Grant access where one requirement inside grants.",
        "Lines outside of any container stand in one like this.",
    ),
    container(
        "<RequireNone>",
        "Refuse access where one requirement inside grants.",
        "It never grants by itself, so that its place is in <RequireAll>.",
    ),
];

fn add(conf: &mut crate::config::directives::DirConf, args: &Args, sense: Sense, requirement: Requirement) -> Said<()> {
    let written = String::from_utf8_lossy(args.bytes(0).trim_ascii());
    let rule = Rule::one(sense, requirement, args.methods, &written, args.span);
    status::note_access(conf);
    conf.authz.rules.add(rule, "Require not")
}

const fn container(name: &'static str, summary: &'static str, manual: &'static str) -> Directive {
    Directive {
        name,
        module: "mod_authz_core",
        syntax: "",
        words: Words::exactly(0),
        allowed: IN_PLACES,
        overrides: Override::AuthConfig,
        default: "",
        summary,
        manual,
        set: Set::Language,
    }
}
