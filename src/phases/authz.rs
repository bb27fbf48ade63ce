//! What the requirements of a place come to (mod_authz_core and the modules that give it kinds).

use std::sync::Arc;

use crate::auth::groups::Groups;
use crate::config::directives::authz::{Rule, Sense, Test};
use crate::config::directives::require::{Requirement, Wants, Word};
use crate::exchange::Exchange;
use crate::exchange::client::{Answer, Question};
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::trace::{Finding, Step};
use crate::exchange::view::View;
use crate::http::depends;
use crate::http::method::Method;
use crate::lang::log_level::Level;
use crate::net::tls::Verified;
use crate::phases::access::Closed;
use crate::phases::{auth_files, authorizer, host_name};

/// What a rule finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Granted,
    Denied,
    /// Denied, and a user could make it otherwise.
    DeniedWithoutUser,
    /// It has nothing to say.
    Neutral,
}

/// What a section's rules find.
pub(super) fn apply(ex: &Exchange, place: &Place, rule: &Rule) -> Result<Found, Closed> {
    inside(ex, place, rule, Around::All)
}

/// The container around a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    All,
    Any,
}

fn inside(ex: &Exchange, place: &Place, rule: &Rule, around: Around) -> Result<Found, Closed> {
    if !rule.covers(ex.method) {
        return Ok(match around {
            Around::All => Found::Granted,
            Around::Any => Found::Denied,
        });
    }
    let found = match &rule.test {
        Test::One(requirement) => one(ex, place, requirement, place.conf.authn.group_file.value())?,
        Test::All(rules) => {
            ex.trace(|| Step::Container(rule.written.to_string()));
            all(ex, place, rules)?
        }
        Test::Any(rules) => {
            ex.trace(|| Step::Container(rule.written.to_string()));
            any(ex, place, rules)?
        }
    };
    let found = match (rule.sense, found) {
        (Sense::Plain, found) => found,
        (Sense::Negated, Found::Granted) => Found::Denied,
        // That something was not refused does not grant anything.
        (Sense::Negated, _) => Found::Neutral,
    };
    ex.trace(|| told(rule, found));
    Ok(found)
}

#[cold]
fn told(rule: &Rule, found: Found) -> Step {
    let found = match found {
        Found::Granted => Finding::Granted,
        Found::Denied => Finding::Denied,
        Found::DeniedWithoutUser => Finding::NeedsUser,
        Found::Neutral => Finding::Neutral,
    };
    match rule.test {
        Test::One(_) => Step::Requirement {
            what: rule.written.to_string(),
            found,
            at: rule.span.clone(),
        },
        Test::All(_) | Test::Any(_) => Step::ContainerEnd(found),
    }
}

fn all(ex: &Exchange, place: &Place, rules: &[Rule]) -> Result<Found, Closed> {
    let mut so_far = Found::Neutral;
    for rule in rules {
        match inside(ex, place, rule, Around::All)? {
            Found::Denied => return Ok(Found::Denied),
            Found::DeniedWithoutUser => so_far = Found::DeniedWithoutUser,
            Found::Granted if so_far == Found::Neutral => so_far = Found::Granted,
            Found::Granted | Found::Neutral => {}
        }
    }
    Ok(so_far)
}

fn any(ex: &Exchange, place: &Place, rules: &[Rule]) -> Result<Found, Closed> {
    let mut so_far = Found::Neutral;
    for rule in rules {
        match inside(ex, place, rule, Around::Any)? {
            Found::Granted => return Ok(Found::Granted),
            Found::DeniedWithoutUser => so_far = Found::DeniedWithoutUser,
            Found::Denied if so_far == Found::Neutral => so_far = Found::Denied,
            Found::Denied | Found::Neutral => {}
        }
    }
    Ok(so_far)
}

fn one(ex: &Exchange, place: &Place, requirement: &Requirement, group_file: Option<&Vec<u8>>) -> Result<Found, Closed> {
    Ok(when(match requirement {
        Requirement::Granted => true,
        Requirement::Denied => false,
        Requirement::Address(networks) => {
            depends::on_client();
            let address = ex.connection.client.ip();
            networks.iter().any(|network| network.contains(address))
        }
        Requirement::Local => is_local(ex),
        Requirement::Env(names) => names.iter().any(|name| ex.environment(name).is_some()),
        Requirement::Method(methods) => {
            let asked = if ex.method == Method::Head {
                Method::Get
            } else {
                ex.method
            };
            methods.contains(&asked)
        }
        Requirement::Host(names) => {
            let names = computed(ex, names);
            match host_name::of(ex)? {
                Some(host) => names.iter().any(|name| host_name::ends_with(host, name)),
                None => false,
            }
        }
        Requirement::ForwardDns(names) => leads_here(ex, computed(ex, names))?,
        Requirement::Tls => ex.is_secure(),
        Requirement::TlsVerified => matches!(ex.verified(), Verified::Good(_)),
        Requirement::Expr(expr, wants) => {
            let holds = expr.eval(&View { ex, response: None }).map_err(|missing| {
                let path = String::from_utf8_lossy(&missing.path).into_owned();
                Fail::internal(format!("Require expr: `{path}` cannot be read")).of_module("authz_core")
            })?;
            if !holds && *wants == Wants::User {
                return Ok(Found::DeniedWithoutUser);
            }
            holds
        }
        Requirement::Alias(name, _) => match ex.config.server.providers.requirements.find(name) {
            Some(alias) => {
                let group_file = alias.group_file.as_ref().or(group_file);
                return one(ex, place, &alias.requirement, group_file);
            }
            None => match authorizer::provider(ex, name).filter(|provider| provider.kind.grants()) {
                Some(provider) => return authorizer::require(ex, name, provider.kind),
                None => false,
            },
        },
        of_user => return by_user(ex, place, of_user, group_file),
    }))
}

fn when(granted: bool) -> Found {
    if granted { Found::Granted } else { Found::Denied }
}

/// The kinds that are about a user.
fn by_user(
    ex: &Exchange,
    place: &Place,
    requirement: &Requirement,
    group_file: Option<&Vec<u8>>,
) -> Result<Found, Closed> {
    let Some(user) = ex.client.user.as_deref() else {
        return Ok(Found::DeniedWithoutUser);
    };
    Ok(when(match requirement {
        Requirement::ValidUser => true,
        Requirement::User(names) => computed(ex, names).iter().any(|name| name == user),
        Requirement::Group(names) => match groups(ex, group_file) {
            Some(groups) => computed(ex, names).iter().any(|name| groups.has(name, user)),
            None => false,
        },
        Requirement::FileOwner => named(ex, Question::Owner(place.path.clone()))?.is_some_and(|owner| owner == user),
        Requirement::FileGroup => match groups(ex, group_file) {
            Some(groups) => {
                named(ex, Question::Group(place.path.clone()))?.is_some_and(|group| groups.has(group, user))
            }
            None => false,
        },
        _ => false,
    }))
}

fn named(ex: &Exchange, question: Question) -> Result<Option<&[u8]>, Closed> {
    match ex.client.answer(&question) {
        Some(Answer::Name(name)) => Ok(Some(name)),
        Some(_) => Ok(None),
        None => Err(Closed::Ask(question)),
    }
}

fn leads_here(ex: &Exchange, names: Vec<Vec<u8>>) -> Result<bool, Closed> {
    for name in names {
        let question = Question::LeadsHere(name);
        match ex.client.answer(&question) {
            Some(Answer::Yes) => return Ok(true),
            Some(_) => {}
            None => return Err(Closed::Ask(question)),
        }
    }
    Ok(false)
}

/// The groups of that file. Without its file, nobody is in any.
fn groups(ex: &Exchange, file: Option<&Vec<u8>>) -> Option<Arc<Groups>> {
    let say = |text: String| ex.rewriting.lines.push(Level::Error, "authz_groupfile", text);
    let Some(file) = file else {
        say("a group is required, and there is no AuthGroupFile".to_owned());
        return None;
    };
    match auth_files::groups(file) {
        Ok(groups) => Some(groups),
        Err(error) => {
            auth_files::no_rights(ex, file, &error);
            let file = String::from_utf8_lossy(file);
            say(format!("AuthGroupFile: `{file}` cannot be read: {error}"));
            None
        }
    }
}

/// The words of a requirement for this request.
fn computed(ex: &Exchange, words: &[Word]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for word in words {
        match word {
            Word::Literal(word) => all.push(word.clone()),
            Word::Computed(text) => {
                let text = text.eval(&View { ex, response: None }).unwrap_or_default();
                let words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                all.extend(words.map(<[u8]>::to_vec));
            }
        }
    }
    all
}

/// Whether the client is on this machine: a loopback address, or the same address at both ends.
pub(super) fn is_local(ex: &Exchange) -> bool {
    depends::on_client();
    let (peer, local) = (
        ex.connection.client.ip().to_canonical(),
        ex.connection.local.ip().to_canonical(),
    );
    peer.is_loopback() || peer == local
}
