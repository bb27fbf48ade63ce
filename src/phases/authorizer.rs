//! FastCGI authorizers: as a provider of AuthBasicProvider, as a kind of Require, and in the place of AuthType
//! (mod_authnz_fcgi); and the programs of FcgidAccessChecker, FcgidAuthenticator and FcgidAuthorizer (mod_fcgid).

use crate::config::directives::authorizer::{Check, Kind, Provider};
use crate::config::setting::Setting;
use crate::exchange::Exchange;
use crate::exchange::authorizers::{Authorizing, Part, Refusal, Standing, Whom};
use crate::exchange::client::{Answer, Question};
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::trace::Step;
use crate::exchange::view::View;
use crate::phases::access::Closed;
use crate::phases::authn;
use crate::phases::authz::Found;

/// What came of a question.
pub(super) enum Said<'a> {
    Granted,
    Refused(&'a Refusal),
    /// It gave no proper answer, and others have the word.
    Nothing,
}

/// The authorizer of this name.
pub(super) fn provider<'c>(ex: &Exchange, name: &[u8]) -> Option<&'c Provider> {
    ex.config.server.authorizers.providers.find(name)
}

fn asked<'e>(
    ex: &'e Exchange,
    name: &[u8],
    part: Part,
    user: Option<&[u8]>,
    password: Option<&[u8]>,
) -> Result<Said<'e>, Closed> {
    let asking = Authorizing {
        whom: Whom::Provider(name.to_vec()),
        part,
        standing: Standing::Authoritative,
        user: user.map(<[u8]>::to_vec),
        password: password.map(<[u8]>::to_vec),
        path: ex.target.path.as_bytes().to_vec(),
    };
    answered(ex, asking)
}

fn answered(ex: &Exchange, asking: Authorizing) -> Result<Said<'_>, Closed> {
    let standing = asking.standing;
    let module = match asking.whom {
        Whom::Provider(_) => "authnz_fcgi",
        Whom::Program(_) => PROGRAMS,
    };
    let question = Question::Authorizer(asking);
    match ex.client.answer(&question) {
        Some(Answer::Granted(_)) => Ok(Said::Granted),
        Some(Answer::Refused(refusal)) => Ok(Said::Refused(refusal)),
        Some(_) if standing == Standing::Passing => Ok(Said::Nothing),
        Some(_) => {
            let name = match &question {
                Question::Authorizer(asking) => asking.whom.to_string(),
                _ => String::new(),
            };
            let fail = Fail::internal(format!("authorizer `{name}`: it gave no answer"));
            Err(fail.of_module(module).into())
        }
        None => Err(Closed::Ask(question)),
    }
}

/// The module in whose name programs are spoken of.
const PROGRAMS: &str = "fcgid";

/// What a program of the place has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByProgram<'a> {
    Granted,
    /// It refused, and has the last word.
    Refused(&'a Refusal),
    /// There is none, or others have the word.
    Declined,
}

/// FcgidAccessChecker.
pub(super) fn access_checker<'e>(ex: &'e Exchange, place: &Place) -> Result<ByProgram<'e>, Closed> {
    let own = &place.conf.access_programs;
    by_program(
        ex,
        &own.checker,
        own.checker_authoritative.or(true),
        (Part::AccessChecker, None),
    )
}

/// FcgidAuthenticator.
pub(super) fn authenticator<'e>(ex: &'e Exchange, place: &Place, password: &[u8]) -> Result<ByProgram<'e>, Closed> {
    let own = &place.conf.access_programs;
    let asks = (Part::Authenticator, Some(password));
    by_program(ex, &own.authenticator, own.authenticator_authoritative.or(true), asks)
}

/// FcgidAuthorizer.
pub(super) fn authorizer<'e>(ex: &'e Exchange, place: &Place) -> Result<ByProgram<'e>, Closed> {
    let own = &place.conf.access_programs;
    by_program(
        ex,
        &own.authorizer,
        own.authorizer_authoritative.or(true),
        (Part::Authorizer, None),
    )
}

fn by_program<'e>(
    ex: &'e Exchange,
    program: &Setting<Vec<Vec<u8>>>,
    authoritative: bool,
    (part, password): (Part, Option<&[u8]>),
) -> Result<ByProgram<'e>, Closed> {
    let Some(command) = program.value() else {
        return Ok(ByProgram::Declined);
    };
    let asking = Authorizing {
        whom: Whom::Program(command.clone()),
        part,
        standing: if authoritative {
            Standing::Authoritative
        } else {
            Standing::Passing
        },
        user: ex.client.user.clone(),
        password: password.map(<[u8]>::to_vec),
        path: ex.target.path.as_bytes().to_vec(),
    };
    let whom = asking.whom.to_string();
    let (judged, says) = match answered(ex, asking)? {
        Said::Granted => (ByProgram::Granted, "grants".to_owned()),
        Said::Refused(refusal) => {
            let judged = if authoritative {
                ByProgram::Refused(refusal)
            } else {
                ByProgram::Declined
            };
            (judged, format!("refuses, with status {}", refusal.status.code()))
        }
        Said::Nothing => (ByProgram::Declined, "says nothing".to_owned()),
    };
    ex.trace(|| Step::Access(format!("{} `{whom}` {says}", directive(part))));
    Ok(judged)
}

/// What a program's refusal is to be called in the log.
pub(super) fn refused(ex: &Exchange, part: Part) -> String {
    let url = String::from_utf8_lossy(ex.target.path.as_bytes()).into_owned();
    let user = match &ex.client.user {
        Some(user) => format!("user {}: ", String::from_utf8_lossy(user)),
        None => String::new(),
    };
    format!("{user}the program of {} refused \"{url}\"", directive(part))
}

fn directive(part: Part) -> &'static str {
    match part {
        Part::AccessChecker => "FcgidAccessChecker",
        Part::Authenticator => "FcgidAuthenticator",
        Part::Authorizer | Part::Both => "FcgidAuthorizer",
    }
}

/// Whether a password is right, as AuthBasicProvider asks it.
pub(super) fn password(ex: &Exchange, name: &[u8], kind: Kind, user: &[u8], password: &[u8]) -> Result<bool, Closed> {
    let part = match kind {
        Kind::Both => Part::Both,
        Kind::Authn | Kind::Authz => Part::Authenticator,
    };
    let said = asked(ex, name, part, Some(user), Some(password))?;
    Ok(matches!(said, Said::Granted))
}

/// What Require finds.
pub(super) fn require(ex: &Exchange, name: &[u8], kind: Kind) -> Result<Found, Closed> {
    let Some(user) = ex.client.user.as_deref() else {
        return Ok(Found::DeniedWithoutUser);
    };
    let is_granted = match kind {
        Kind::Authn => false,
        // It has been asked for both at once.
        Kind::Both => ex.client.is_let_in_by(name, ex.target.path.as_bytes()),
        Kind::Authz => matches!(asked(ex, name, Part::Authorizer, Some(user), None)?, Said::Granted),
    };
    Ok(if is_granted { Found::Granted } else { Found::Denied })
}

/// Whether it is known now who the client is.
pub(super) enum Checked {
    Known,
    /// It is for others to say.
    Declined,
}

/// AuthnzFcgiCheckAuthnProvider.
pub(super) fn check(ex: &mut Exchange, place: &Place, check: &Check) -> Result<Checked, Closed> {
    let credentials = authn::basic_credentials(ex, place);
    if credentials.is_none() && check.needs_credentials && authn::is_basic(place) {
        return Err(authn::challenge(ex, place, "").into());
    }
    if let Some((user, _)) = &credentials {
        ex.client.auth_type = Some("Basic");
        ex.client.user = Some(user.clone());
    }
    let user = ex.client.user.clone();
    let password = credentials.as_ref().map(|(_, password)| password.as_slice());
    match asked(ex, &check.provider, Part::Authenticator, user.as_deref(), password)? {
        Said::Granted => {}
        Said::Refused(refusal) if check.authoritative => return Err(Closed::Answered(refusal.clone())),
        Said::Refused(_) | Said::Nothing => return Ok(Checked::Declined),
    }
    take_variables(ex);
    if let Some(expression) = &check.user {
        let user = expression.eval(&View { ex, response: None }).unwrap_or_default();
        ex.client.user = match (user.as_slice(), &check.default_user) {
            ([], None) => {
                let name = String::from_utf8_lossy(&check.provider);
                let note = format!(
                    "authorizer `{name}`: UserExpr has no value behind its answer, and there is no DefaultUser"
                );
                return Err(Fail::internal(note).of_module("authnz_fcgi").into());
            }
            ([], Some(user)) => Some(user.clone()),
            (user, _) => Some(user.to_vec()),
        };
    }
    if ex.client.user.is_none() {
        return Err(authn::challenge(ex, place, "").into());
    }
    Ok(Checked::Known)
}

/// The variables that authorizers have set for this path.
pub(super) fn take_variables(ex: &mut Exchange) {
    let variables = ex.client.granted_variables(ex.target.path.as_bytes());
    ex.variables.extend(variables);
}
