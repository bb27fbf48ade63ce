//! What TLS has to do with who may come in (mod_ssl): whether it is spoken at all, the client's certificate, the conditions of
//! SSLRequire, and the user's name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::directives::tls;
use crate::config::directives::tls_access::{TlsOptions, Verify};
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::trace::Step;
use crate::exchange::view::View;
use crate::http::status::Status;
use crate::lang::log_level::Level;
use crate::lang::tls_variable;
use crate::net::tls::{Doubt, Verified};
use crate::phases::authn;

/// How much a refusal weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// `Satisfy Any` may let the client in all the same.
    Usual,
    /// It may not (`SSLOptions +StrictRequire`).
    Strict,
}

/// Refuses whom the place does not want for reasons of TLS; else sets the user where SSLUserName says so.
pub(super) fn run(ex: &mut Exchange, place: &Place) -> Result<(), (Fail, Weight)> {
    let weight = if place.conf.tls_access.options.in_force().has(TlsOptions::STRICT_REQUIRE) {
        Weight::Strict
    } else {
        Weight::Usual
    };
    judge(ex, place).map_err(|fail| (fail, weight))
}

fn judge(ex: &mut Exchange, place: &Place) -> Result<(), Fail> {
    let access = &place.conf.tls_access;
    if !ex.is_secure() {
        if access.required.or(false) || asks_for_tls(ex, place) {
            return Err(refused(ex, "SSL connection required"));
        }
        return Ok(());
    }
    let site = &ex.site.settings.tls_clients;
    let verify = access.verify.or(site.verify.or(Verify::None));
    if let Some(why) = lacks(ex, verify, access.depth.or(site.depth.or(1))) {
        ex.trace(|| Step::Access(format!("SSLVerifyClient: {why}")));
        return Err(refused(ex, &format!("client verification failed: {why}")));
    }
    if let Some(variable) = access.user.value() {
        name_user(ex, variable);
    }
    for requirement in access.requirements.iter() {
        let holds = requirement.expr.eval(&View { ex, response: None });
        ex.trace(|| {
            let outcome = if holds == Ok(true) {
                "it holds"
            } else {
                "it does not hold"
            };
            Step::Access(format!("SSLRequire {}: {outcome}", requirement.written))
        });
        if holds != Ok(true) {
            let why = format!("SSL requirement expression not fulfilled: {}", requirement.written);
            return Err(refused(ex, &why));
        }
    }
    Ok(())
}

/// Whether what is asked of clients can only be had within TLS, where they have the choice: by SSLEngine optional.
fn asks_for_tls(ex: &Exchange, place: &Place) -> bool {
    let access = &place.conf.tls_access;
    let verify = access.verify.value().or(ex.site.settings.tls_clients.verify.value());
    ex.site.settings.tls.spoken() == tls::Engine::Optional
        && (verify == Some(&Verify::Require) || access.requirements.iter().next().is_some())
}

fn refused(ex: &Exchange, why: &str) -> Fail {
    let file = String::from_utf8_lossy(&ex.file);
    Fail::site(Status::FORBIDDEN, format!("access to {file} failed, reason: {why}")).of_module("ssl")
}

/// What the client's certificate lacks.
fn lacks(ex: &Exchange, verify: Verify, depth: usize) -> Option<&'static str> {
    // Not to have looked lets the answer be given to others.
    if verify == Verify::None {
        return None;
    }
    let verified = match ex.verified() {
        Verified::Good(known) if known.depth > depth => Verified::Doubtful(Doubt::of(Doubt::TOO_LONG)),
        verified => verified,
    };
    match (verify, verified) {
        (Verify::None | Verify::Optional | Verify::OptionalNoCa, Verified::Nothing) | (_, Verified::Good(_)) => None,
        (Verify::OptionalNoCa, Verified::Doubtful(doubt)) if doubt.leads_nowhere => None,
        (Verify::Require, Verified::Nothing) => Some("client certificate missing"),
        (_, Verified::Doubtful(doubt)) => Some(doubt.why),
    }
}

/// SSLUserName.
fn name_user(ex: &mut Exchange, variable: &str) {
    let value = tls_variable::lookup(variable, &View { ex, response: None }).map(|value| value.into_owned());
    let Some(user) = value else {
        let text = format!("SSLUserName: `{variable}` has no value; nobody is the user");
        ex.rewriting.lines.push(Level::Warn, "ssl", text);
        return;
    };
    ex.trace(|| Step::User(format!("{}, by SSLUserName {variable}", String::from_utf8_lossy(&user))));
    ex.client.user = Some(user);
}

/// The password that goes with a certificate's subject.
const PASSWORD: &[u8] = b"password";

/// FakeBasicAuth: who has shown a good certificate asks in its subject's name. Nobody else may ask in the name of a subject.
pub(super) fn take_certificate(ex: &mut Exchange, place: &Place) -> Result<(), Fail> {
    let forbidden = |why: &str| Fail::site(Status::FORBIDDEN, why.to_owned()).of_module("ssl");
    let subject = ex.believed_subject();
    if let Some((user, password)) = authn::credentials(ex)
        && user.first() == Some(&b'/')
        && password == PASSWORD
    {
        // A pass before this one may have put it there.
        if subject.as_ref() == Some(&user) {
            return Ok(());
        }
        let user = String::from_utf8_lossy(&user).into_owned();
        return Err(forbidden(&format!(
            "the subject of a certificate was given as a name with its password: {user}"
        )));
    }
    let options = place.conf.tls_access.options.in_force();
    let Some(subject) = subject.filter(|_| options.has(TlsOptions::FAKE_BASIC_AUTH)) else {
        return Ok(());
    };
    if subject.contains(&b':') {
        return Err(forbidden(
            "the subject of the client's certificate has a colon, as no user's name may",
        ));
    }
    ex.trace(|| Step::User(format!("FakeBasicAuth makes it {}", String::from_utf8_lossy(&subject))));
    let encoded = STANDARD.encode([subject.as_slice(), b":", PASSWORD].concat());
    ex.head
        .set_field(b"Authorization", &[b"Basic ", encoded.as_bytes()].concat());
    Ok(())
}
