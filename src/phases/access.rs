//! Whether the place may be seen: `Order`, `Allow`, `Deny` and `AllowMethods` first, then `Require`, and who it is between
//! the two looks at it, as in Apache's `ap_process_request_internal`.

use std::sync::Arc;

use crate::base::path::file_name;
use crate::config::directives::authn::AuthType;
use crate::config::directives::compat::{From, Lists, Order, Satisfy};
use crate::config::setting::Laid;
use crate::exchange::authorizers::{Part, Refusal};
use crate::exchange::client::Question;
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::trace::Step;
use crate::exchange::{Exchange, Previous};
use crate::http::depends;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::phases::authorizer::ByProgram;
use crate::phases::authz::{self, Found};
use crate::phases::tls_access::{self, Weight};
use crate::phases::{authn, authorizer, host_name};

/// Why a place is not open, or not yet.
#[derive(Debug)]
pub enum Closed {
    /// It is not.
    Fail(Fail),
    /// It is not, in these words of an authorizer's.
    Answered(Refusal),
    /// It depends on this.
    Ask(Question),
}

impl std::convert::From<Fail> for Closed {
    fn from(fail: Fail) -> Closed {
        Closed::Fail(fail)
    }
}

/// Refuses what the settings close to this client, and says who it is. Where something has to be asked first, it is to be
/// called again with the answer.
pub fn run(ex: &mut Exchange, place: &Place) -> Result<(), Closed> {
    // A redirect inside the server that stays under the same settings is not judged again: the error document of a closed
    // place may lie in it, as in Apache. Those of sections for names hold of one name, so that an index is judged by its own.
    if ex
        .client
        .admitted
        .as_ref()
        .is_some_and(|conf| Arc::ptr_eq(conf, &place.conf) && conf.laid == Laid::default())
    {
        ex.trace(|| Step::Access("open under these very settings already".to_owned()));
        return Ok(());
    }
    if let Some(previous) = ex
        .previous
        .as_ref()
        .filter(|previous| is_same_ground(ex, previous, place))
    {
        ex.client.user.clone_from(&previous.user);
        ex.client.auth_type = previous.auth_type;
        ex.trace(|| Step::Access("not judged again under the settings of the pass before".to_owned()));
        return Ok(());
    }
    ex.client.forget_user();
    let judged = judge(ex, place);
    if !matches!(judged, Err(Closed::Ask(_))) {
        authorizer::take_variables(ex);
    }
    judged?;
    ex.client.admitted = Some(Arc::clone(&place.conf));
    Ok(())
}

/// Whether the pass before was judged under the very settings of this one.
fn is_same_ground(ex: &Exchange, previous: &Previous, place: &Place) -> bool {
    let laid = place.conf.laid;
    Arc::ptr_eq(&previous.conf, &place.conf)
        && !laid.branches
        && (!laid.files || file_name(&previous.file) == file_name(&place.path))
        && (!laid.locations || previous.url == ex.target.path.as_bytes())
}

fn judge(ex: &mut Exchange, place: &Place) -> Result<(), Closed> {
    let lists = place.conf.compat.lists.value();
    let satisfy = lists.map_or(Satisfy::All, |lists| lists.satisfy(ex.method));
    let by_tls = match tls_access::run(ex, place) {
        Err((fail, Weight::Strict)) => return Err(fail.into()),
        Err((fail, Weight::Usual)) => Err(fail),
        Ok(()) => Ok(()),
    };
    let by_address = match (methods(ex, place), lists) {
        (Ok(()), Some(lists)) => by_lists(ex, place, lists, satisfy)?,
        (allowed, _) => allowed,
    };
    let by_address = match by_address {
        Ok(()) => by_checker(ex, place)?,
        refused => refused,
    };
    let by_address = by_tls.and(by_address);
    match satisfy {
        Satisfy::All => by_address?,
        Satisfy::Any if by_address.is_ok() => {
            ex.trace(|| Step::Access("Satisfy Any: that is enough".to_owned()));
            return Ok(());
        }
        Satisfy::Any => {}
    }
    by_user(ex, place)
}

/// FcgidAccessChecker.
fn by_checker(ex: &Exchange, place: &Place) -> Result<Result<(), Fail>, Closed> {
    Ok(match authorizer::access_checker(ex, place)? {
        ByProgram::Granted | ByProgram::Declined => Ok(()),
        ByProgram::Refused(refusal) => {
            let note = authorizer::refused(ex, Part::AccessChecker);
            let fail = Fail::site(Status::UNAUTHORIZED, note).of_module("fcgid");
            Err(fail.with_fields_of(&refusal.fields))
        }
    })
}

/// What `Require` says, and a name and password where it needs them.
fn by_user(ex: &mut Exchange, place: &Place) -> Result<(), Closed> {
    let Some(rule) = place.conf.authz.rules.top.as_deref() else {
        ex.trace(|| Step::Access("nothing is required".to_owned()));
        return without_rules(ex, place);
    };
    match authz::apply(ex, place, rule)? {
        Found::Granted => return Ok(()),
        Found::DeniedWithoutUser => {}
        Found::Denied | Found::Neutral => return Err(denied(ex).into()),
    }
    authn::run(ex, place)?;
    if ex.client.user.is_none() {
        let url = url(ex);
        let note = format!("{url}: a user is required, and nobody is asked who it is: AuthType is missing or None");
        return Err(Fail::site(Status::INTERNAL_SERVER_ERROR, note).of_module("core").into());
    }
    match authorizer::authorizer(ex, place)? {
        ByProgram::Granted => return Ok(()),
        ByProgram::Refused(refusal) => {
            let note = authorizer::refused(ex, Part::Authorizer);
            let fail = authn::challenge(ex, place, note).of_module("fcgid");
            return Err(fail.with_fields_of(&refusal.fields).into());
        }
        ByProgram::Declined => {}
    }
    match authz::apply(ex, place, rule)? {
        Found::Granted => Ok(()),
        Found::DeniedWithoutUser => Err(authn::challenge(ex, place, "").into()),
        Found::Denied | Found::Neutral => Err(not_authorized(ex, place).into()),
    }
}

/// A place where users are asked for and none is required was not meant to be open: 500, as in Apache.
fn without_rules(ex: &Exchange, place: &Place) -> Result<(), Closed> {
    if place.conf.authn.auth_type.or(AuthType::None) == AuthType::None {
        return Ok(());
    }
    let note = format!("{}: AuthType without a Require", url(ex));
    Err(Fail::site(Status::INTERNAL_SERVER_ERROR, note)
        .of_module("authz_core")
        .into())
}

fn not_authorized(ex: &Exchange, place: &Place) -> Fail {
    if place.conf.authn.auth_type.or(AuthType::None) == AuthType::None {
        return denied(ex);
    }
    let user = String::from_utf8_lossy(ex.client.user.as_deref().unwrap_or_default()).into_owned();
    let note = format!("user {user}: authorization failure for \"{}\"", url(ex));
    if place.conf.authz.forbidden_on_failure.or(false) {
        return Fail::site(Status::FORBIDDEN, note).of_module("authz_core");
    }
    authn::challenge(ex, place, note).of_module("authz_core")
}

fn url(ex: &Exchange) -> String {
    String::from_utf8_lossy(ex.target.path.as_bytes()).into_owned()
}

fn denied(ex: &Exchange) -> Fail {
    let file = String::from_utf8_lossy(&ex.file);
    let note = format!("client denied by server configuration: {file}");
    Fail::site(Status::FORBIDDEN, note).of_module("authz_core")
}

/// AllowMethods.
fn methods(ex: &Exchange, place: &Place) -> Result<(), Fail> {
    let Some(allowed) = place.conf.compat.methods.value().filter(|allowed| !allowed.is_empty()) else {
        return Ok(());
    };
    let asked = if ex.method == Method::Head {
        Method::Get
    } else {
        ex.method
    };
    if allowed.contains(&asked) {
        ex.trace(|| Step::Access("AllowMethods has the method".to_owned()));
        return Ok(());
    }
    let mut names: Vec<&str> = Vec::new();
    for method in Method::all().filter(|method| allowed.contains(method)) {
        names.push(method.as_str());
        if method == Method::Get {
            names.push("HEAD");
        }
    }
    let method = String::from_utf8_lossy(ex.head.method_bytes()).into_owned();
    let file = String::from_utf8_lossy(&ex.file);
    let note = format!("client method denied by server configuration: '{method}' to {file}");
    let fail = Fail::site(Status::METHOD_NOT_ALLOWED, note).of_module("allowmethods");
    Err(fail.with_field("Allow", names.join(",")))
}

/// Order, Allow and Deny.
fn by_lists(ex: &Exchange, place: &Place, lists: &Lists, satisfy: Satisfy) -> Result<Result<(), Fail>, Closed> {
    let order = lists.order(ex.method);
    let is_open = match order {
        Order::DenyAllow => {
            !is_on(ex, "Deny", lists.denied(ex.method))? || is_on(ex, "Allow", lists.allowed(ex.method))?
        }
        Order::AllowDeny | Order::MutualFailure => {
            is_on(ex, "Allow", lists.allowed(ex.method))? && !is_on(ex, "Deny", lists.denied(ex.method))?
        }
    };
    ex.trace(|| Step::Access(lists_told(order, is_open)));
    if is_open {
        return Ok(Ok(()));
    }
    // With Satisfy Any the next step decides, and has the word in the log.
    let is_last = satisfy == Satisfy::All || place.conf.authz.rules.top.is_none();
    let fail = denied(ex).of_module("access_compat");
    Ok(Err(if is_last {
        fail
    } else {
        Fail::client(Status::FORBIDDEN, "")
    }))
}

#[cold]
fn lists_told(order: Order, is_open: bool) -> String {
    let order = match order {
        Order::DenyAllow => "Deny,Allow",
        Order::AllowDeny => "Allow,Deny",
        Order::MutualFailure => "Mutual-failure",
    };
    let outcome = if is_open { "granted" } else { "denied" };
    format!("Order {order}, all in all: {outcome}")
}

fn is_on<'a>(ex: &Exchange, list: &str, froms: impl Iterator<Item = &'a From>) -> Result<bool, Closed> {
    for from in froms {
        let is_meant = match from {
            From::All => true,
            From::Env(name) => ex.environment(name).is_some(),
            From::NotEnv(name) => ex.environment(name).is_none(),
            From::Network(network) => {
                depends::on_client();
                network.contains(ex.connection.client.ip())
            }
            From::Name(name) => host_name::of(ex)?.is_some_and(|host| host_name::ends_with(host, name)),
        };
        if is_meant {
            ex.trace(|| Step::Access(format!("{list} from {from}")));
            return Ok(true);
        }
    }
    Ok(false)
}
