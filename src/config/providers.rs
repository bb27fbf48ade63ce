//! `<AuthnProviderAlias>` and `<AuthzProviderAlias>`: providers and requirements with a name of their own; and those that
//! settings name and nobody has made.

use std::sync::Arc;

use crate::config::directives::authn::{Alias, Base, Provider};
use crate::config::directives::authz::{Rule, Test};
use crate::config::directives::require::{self, Requirement, RequirementAlias};
use crate::config::directives::{DirConf, Server, authorizer};
use crate::config::error::ConfigError;
use crate::config::inside::{Around, GoesBy, Inside, Kind, Source, complaint};
use crate::config::node::Node;
use crate::config::places;
use crate::config::words::shown;

/// Makes what a section of a provider says.
pub(super) fn make(node: &Node, server: &mut Server, root: &[u8]) -> Vec<ConfigError> {
    let mut complaints = Vec::new();
    let made = if node.name().eq_ignore_ascii_case("AuthnProviderAlias") {
        provider(node, server, root, &mut complaints)
    } else {
        requirement(node, server, root, &mut complaints)
    };
    if let Err(message) = made {
        complaints.push(complaint(node, message));
    }
    complaints
}

/// `<AuthnProviderAlias>`
fn provider(node: &Node, server: &mut Server, root: &[u8], complaints: &mut Vec<ConfigError>) -> Result<(), String> {
    let [base, name] = node.words() else {
        return Err("takes two words; write `<AuthnProviderAlias file NAME>`".into());
    };
    let base = Base::named(base)?;
    let known = server.providers.aliases.find(name).is_some();
    if known || matches!(name.as_slice(), b"file" | b"anon") {
        return Err(taken(name, "a provider"));
    }
    let belongs = |name: &str| name == "authuserfile" || name.starts_with("anonymous");
    let conf = settings(node, root, &belongs, "AuthUserFile and Anonymous... can", complaints);
    let alias = Alias { base, conf: conf.authn };
    server.providers.aliases.insert(name.clone(), Arc::new(alias));
    Ok(())
}

/// `<AuthzProviderAlias>`
fn requirement(node: &Node, server: &mut Server, root: &[u8], complaints: &mut Vec<ConfigError>) -> Result<(), String> {
    let [base, name, words @ ..] = node.words() else {
        return Err(
            "takes the kind, a name, and the words in quotes; write `<AuthzProviderAlias ip NAME \"192.0.2.1\">`"
                .into(),
        );
    };
    if words.len() > 1 {
        let message = "only the first of the words counts; put quotes around all of them";
        complaints.push(ConfigError::warning(node.span(), "<AuthzProviderAlias>", message));
    }
    let words = words.first().map(Vec::as_slice).unwrap_or_default();
    let known = server.providers.requirements.find(name).is_some();
    if known || require::is_kind(name) {
        return Err(taken(name, "a kind of requirement"));
    }
    // One that is made of another has its settings too.
    let mut alias = match server.providers.requirements.find(base) {
        Some(base) => RequirementAlias::clone(base),
        None => RequirementAlias {
            requirement: require::of_kind(base, words)?,
            group_file: None,
        },
    };
    let belongs = |name: &str| name == "authgroupfile";
    let conf = settings(node, root, &belongs, "AuthGroupFile can", complaints);
    if let Some(file) = conf.authn.group_file.value() {
        alias.group_file = Some(file.clone());
    }
    server.providers.requirements.insert(name.clone(), Arc::new(alias));
    Ok(())
}

fn taken(name: &[u8], what: &str) -> String {
    format!("{} is {what} already; choose another name", shown(name))
}

/// The settings inside of a section, which holds only what `belongs` there.
fn settings(
    node: &Node,
    root: &[u8],
    belongs: &dyn Fn(&str) -> bool,
    what_can: &str,
    complaints: &mut Vec<ConfigError>,
) -> DirConf {
    let mut inside = Inside::new(root, Source::Server);
    let around = Around {
        kind: Kind::Directory,
        goes_by: GoesBy::of(Kind::Directory),
        name: node.name(),
        path: None,
        methods: None,
    };
    let mut conf = DirConf::default();
    for child in node.children() {
        let is_directive = matches!(child, Node::Directive { .. });
        if is_directive && belongs(&child.name().to_ascii_lowercase()) {
            inside.all(std::slice::from_ref(child), around, &mut conf);
        } else {
            let message = format!("cannot stand in <{}>; {what_can}", node.name());
            complaints.push(complaint(child, message));
        }
    }
    complaints.append(&mut inside.complaints);
    conf
}

/// What settings, and those of the sections inside, name that the server as a whole does not have.
pub(super) fn missing(conf: &DirConf, server: &Server) -> Vec<ConfigError> {
    let mut missing = Vec::new();
    let mut confs = Vec::new();
    places::add_with_inner(conf, &mut confs);
    for conf in confs {
        for provider in conf.authn.digest.value().iter().flat_map(|digest| &digest.providers) {
            if let Provider::Alias(name, span) = provider
                && server
                    .providers
                    .aliases
                    .find(name)
                    .is_none_or(|alias| alias.base != Base::File)
            {
                let sentence = "is not a provider that has hashes; write `file`, or <AuthnProviderAlias file> first";
                let sentence = format!("{} {sentence}", shown(name));
                missing.push(ConfigError::error(span, "AuthDigestProvider", sentence));
            }
        }
        for provider in conf.authn.providers.value().into_iter().flatten() {
            if let Provider::Alias(name, span) = provider
                && server.providers.aliases.find(name).is_none()
                && !is_authorizer(server, name, authorizer::Kind::knows_users)
            {
                let sentence = "is not a provider; write `file` or `anon`, or <AuthnProviderAlias> first";
                let sentence = format!("{} {sentence}", shown(name));
                missing.push(ConfigError::error(span, "AuthBasicProvider", sentence));
            }
        }
        if let Some(Some(check)) = conf.authorizer.check.value()
            && !is_authorizer(server, &check.provider, authorizer::Kind::knows_users)
        {
            let sentence = "is not an authorizer that knows users; write AuthnzFcgiDefineProvider first";
            let sentence = format!("{} {sentence}", shown(&check.provider));
            missing.push(ConfigError::error(
                &check.span,
                "AuthnzFcgiCheckAuthnProvider",
                sentence,
            ));
        }
        if let Some(rule) = conf.authz.rules.top.as_deref() {
            missing_in_rule(rule, server, &mut missing);
        }
    }
    missing
}

fn is_authorizer(server: &Server, name: &[u8], can: fn(authorizer::Kind) -> bool) -> bool {
    let provider = server.authorizers.providers.find(name);
    provider.is_some_and(|provider| can(provider.kind))
}

fn missing_in_rule(rule: &Rule, server: &Server, missing: &mut Vec<ConfigError>) {
    if let Test::One(Requirement::Alias(name, span)) = &rule.test
        && server.providers.requirements.find(name).is_none()
        && !is_authorizer(server, name, authorizer::Kind::grants)
    {
        missing.push(ConfigError::error(span, "Require", require::unknown(name)));
    }
    for inner in rule.inner() {
        missing_in_rule(inner, server, missing);
    }
}
