//! FastCGI authorizers (mod_authnz_fcgi): as a provider of AuthBasicProvider, as a kind of Require, and in the place of
//! AuthType.

use crate::config::directives::authorizer::{Check, Kind, Provider};
use crate::exchange::Exchange;
use crate::exchange::authorizers::{Authorizing, Part, Refusal};
use crate::exchange::client::{Answer, Question};
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::view::View;
use crate::phases::access::Closed;
use crate::phases::authn;
use crate::phases::authz::Found;

/// What came of a question.
pub(super) enum Said<'a> {
    Granted,
    Refused(&'a Refusal),
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
    let question = Question::Authorizer(Authorizing {
        provider: name.to_vec(),
        part,
        user: user.map(<[u8]>::to_vec),
        password: password.map(<[u8]>::to_vec),
        path: ex.target.path.as_bytes().to_vec(),
    });
    match ex.client.answer(&question) {
        Some(Answer::Granted(_)) => Ok(Said::Granted),
        Some(Answer::Refused(refusal)) => Ok(Said::Refused(refusal)),
        Some(_) => {
            let name = String::from_utf8_lossy(name);
            Err(Fail::internal(format!("authorizer `{name}`: it gave no answer"))
                .of_module("authnz_fcgi")
                .into())
        }
        None => Err(Closed::Ask(question)),
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
        Said::Refused(_) => return Ok(Checked::Declined),
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
