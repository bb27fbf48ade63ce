//! Who is it: the client's answer to a challenge by the Digest scheme (RFC 7616), and those who know the hashes of passwords. The
//! order of the checks is mod_auth_digest's.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use crate::auth::digest::{self, Credentials, Queries, Server, Unusable};
use crate::auth::nonce::{NONCE, SECRET, Secret};
use crate::config::directives::authn::Provider;
use crate::config::directives::digest::{Digest, Lifetime};
use crate::exchange::Exchange;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::exchange::trace::Step;
use crate::http::status::Status;
use crate::http::target::{CleanPath, EncodedSlashes, Slashes, Target};
use crate::lang::log_level::Level;
use crate::phases::access::Closed;
use crate::phases::{auth_files, authn};

/// A nonce that is to expire within this time is followed by the next.
const NEXT_NONCE: Duration = Duration::from_secs(30);

/// What tells a client that its password may be right all the same.
const STALE: &[u8] = b", stale=true";

static SIGNED_WITH: OnceLock<Secret> = OnceLock::new();

/// Signs nonces with this secret from now on; for a process that begins, and shares the secret with others.
pub fn sign_with(secret: [u8; SECRET]) {
    // Whoever has signed already goes on with what it has.
    let _kept = SIGNED_WITH.set(Secret::new(secret));
}

/// The secret; one of our own where nobody gave us another.
fn secret() -> &'static Secret {
    SIGNED_WITH.get_or_init(|| {
        let mut secret = [0; SECRET];
        let filled = rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty());
        assert_eq!(filled, Ok(secret.len()), "the system gives random numbers");
        Secret::new(secret)
    })
}

/// Finds out who the client is.
pub(super) fn run(ex: &mut Exchange, place: &Place) -> Result<(), Closed> {
    let url = String::from_utf8_lossy(ex.target.path.as_bytes()).into_owned();
    let credentials = match ex.head.field(b"Authorization").map(Credentials::parse) {
        Some(Ok(credentials)) if credentials.nonce.len() == NONCE => credentials,
        Some(Err(Unusable::Scheme(scheme))) => {
            let scheme = String::from_utf8_lossy(&scheme);
            let note = format!("client used wrong authentication scheme `{scheme}': {url}");
            return Err(challenge(ex, place, note).into());
        }
        Some(Ok(_) | Err(Unusable::Incomplete)) => {
            let what = "missing user, realm, nonce, uri, digest, cnonce, or nonce_count";
            return Err(challenge(ex, place, format!("{what} in authorization header: {url}")).into());
        }
        None => {
            ex.trace(|| Step::User("the request has no answer for AuthType Digest".to_owned()));
            return Err(challenge(ex, place, "").into());
        }
    };
    // Logs and error documents have the name even where it is wrong, as in Apache.
    ex.client.user = Some(credentials.username.clone());
    ex.client.auth_type = Some("Digest");
    let made = judged(ex, place, &credentials, &url)?;
    ex.client.authenticated = Some(made);
    Ok(())
}

/// Judges an answer, and makes what the client is told of it.
fn judged(ex: &Exchange, place: &Place, credentials: &Credentials, url: &str) -> Result<Vec<u8>, Closed> {
    let text = String::from_utf8_lossy;
    let user = text(&credentials.username);
    if !is_for_this(ex, credentials) {
        let (uri, asked) = (text(&credentials.uri), text(ex.head.target_bytes()));
        let note = format!("uri mismatch - <{uri}> does not match request-uri <{asked}>");
        return Err(fail(Status::BAD_REQUEST, note).into());
    }
    if let Some(opaque) = &credentials.opaque {
        let note = format!("received an opaque `{}' that was not given", text(opaque));
        return Err(challenge_again(ex, place, note, STALE).into());
    }
    let realm = authn::realm_of(ex, place);
    if credentials.realm != realm {
        let note = format!(
            "realm mismatch - got `{}' but expected `{}'",
            text(&credentials.realm),
            text(&realm)
        );
        return Err(challenge(ex, place, note).into());
    }
    if let Some(algorithm) = credentials
        .algorithm
        .as_ref()
        .filter(|name| !name.eq_ignore_ascii_case(b"MD5"))
    {
        let note = format!("unknown algorithm `{}' received: {url}", text(algorithm));
        return Err(challenge(ex, place, note).into());
    }
    let Some(stored) = stored(ex, place, &credentials.username, &realm)? else {
        let note = format!("user `{user}' in realm `{}' not found: {url}", text(&realm));
        return Err(challenge(ex, place, note).into());
    };
    let qop = credentials.qop.as_deref().unwrap_or_default();
    if !qop.eq_ignore_ascii_case(b"auth") {
        let note = format!(
            "invalid or missing qop value '{}', RFC 2069 is no longer supported: {url}",
            text(qop)
        );
        return Err(challenge(ex, place, note).into());
    }
    if !credentials.is_of(&stored, ex.head.method_bytes()) {
        ex.trace(|| Step::User(format!("{user}: the answer is not that of who knows the password")));
        return Err(challenge(ex, place, format!("user {user}: password mismatch: {url}")).into());
    }
    let age = age_of_nonce(ex, place, credentials, &realm)?;
    ex.trace(|| {
        Step::User(format!(
            "{user}: the answer is right, to a nonce {} s old",
            age.as_secs()
        ))
    });
    Ok(told(ex, place, credentials, &stored, &realm, age))
}

fn fail(status: Status, note: impl Into<String>) -> Fail {
    Fail::new(status, Blame::Site, note).of_module("auth_digest")
}

/// 401 with a challenge; `note` is for the log.
pub(super) fn challenge(ex: &Exchange, place: &Place, note: impl Into<String>) -> Fail {
    challenge_again(ex, place, note, b"")
}

fn challenge_again(ex: &Exchange, place: &Place, note: impl Into<String>, stale: &[u8]) -> Fail {
    let realm = authn::realm_of(ex, place);
    let nonce = secret().nonce(&realm, b"", now(ex));
    let mut field = b"Digest realm=\"".to_vec();
    authn::quote(&mut field, &realm);
    field.extend_from_slice(b"\", nonce=\"");
    field.extend_from_slice(&nonce);
    field.extend_from_slice(b"\", algorithm=MD5");
    let domain = &settings(place).domain;
    if !domain.is_empty() {
        field.extend_from_slice(b", domain=\"");
        field.extend_from_slice(&domain.join(&b' '));
        field.push(b'"');
    }
    field.extend_from_slice(stale);
    field.extend_from_slice(b", qop=\"auth\"");
    fail(Status::UNAUTHORIZED, note).with_field("WWW-Authenticate", field)
}

fn settings(place: &Place) -> Cow<'_, Digest> {
    match place.conf.authn.digest.value() {
        Some(digest) => Cow::Borrowed(digest),
        None => Cow::Owned(Digest::default()),
    }
}

/// When the request began, in microseconds since 1970.
fn now(ex: &Exchange) -> u64 {
    let since = ex.began.wall.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// Whether the answer was made for what the client has asked for, whatever the server made of that since.
fn is_for_this(ex: &Exchange, credentials: &Credentials) -> bool {
    let server = Server {
        name: ex.server_name(),
        port: ex.server_port(),
    };
    let queries = if ex.variables.contains_key(b"AuthDigestEnableQueryStringHack".as_slice()) {
        Queries::MayLack
    } else {
        Queries::Count
    };
    let asked = ex.head.target_bytes();
    let path = Target::parse(ex.head.method(), asked).ok().map(|target| target.path());
    let path = path.and_then(|path| CleanPath::decode(path, EncodedSlashes::On, Slashes::Merge).ok());
    let path = path.map(CleanPath::into_bytes);
    digest::is_same_target(&credentials.uri, asked, path.as_deref(), server, queries)
}

/// What is stored for the user, by the first provider who has the name.
fn stored(ex: &Exchange, place: &Place, user: &[u8], realm: &[u8]) -> Result<Option<Vec<u8>>, Fail> {
    let settings = settings(place);
    let own = &place.conf.authn;
    let usual = [Provider::File];
    let providers = if settings.providers.is_empty() {
        &usual[..]
    } else {
        &settings.providers
    };
    for provider in providers {
        let of_alias = match provider {
            Provider::Alias(name, _) => ex.config.server.providers.aliases.find(name),
            Provider::File | Provider::Anonymous => None,
        };
        let file = of_alias.and_then(|alias| alias.conf.user_file.value());
        let Some(path) = file.or(own.user_file.value()) else {
            say(ex, "AuthUserFile is missing".to_owned());
            return Err(fail(Status::INTERNAL_SERVER_ERROR, ""));
        };
        let shown = String::from_utf8_lossy(path);
        let users = auth_files::digests(path).map_err(|error| {
            auth_files::no_rights(ex, path, &error);
            say(ex, format!("AuthUserFile: `{shown}` cannot be read: {error}"));
            fail(Status::INTERNAL_SERVER_ERROR, "")
        })?;
        let stored = users.stored(user, realm).map(<[u8]>::to_vec);
        ex.trace(|| {
            let user = String::from_utf8_lossy(user);
            let realm = String::from_utf8_lossy(realm);
            let is_there = if stored.is_some() { "is there" } else { "is not there" };
            Step::User(format!(
                "{user} of the realm `{realm}` {is_there}, AuthUserFile {shown}"
            ))
        });
        if stored.is_some() {
            return Ok(stored);
        }
    }
    Ok(None)
}

fn say(ex: &Exchange, text: String) {
    ex.rewriting.lines.push(Level::Error, "auth_digest", text);
}

/// How old the answered nonce is, if it is one of ours and good still.
fn age_of_nonce(ex: &Exchange, place: &Place, credentials: &Credentials, realm: &[u8]) -> Result<Duration, Fail> {
    let again = |note: String| challenge_again(ex, place, note, STALE);
    let shown = String::from_utf8_lossy(&credentials.nonce);
    if ex.is_explained() {
        ex.trace(|| {
            Step::User("whether the nonce is the server's is not known here: it is taken for one of its own".to_owned())
        });
        return Ok(Duration::ZERO);
    }
    let Some(made) = secret().time_of(&credentials.nonce, realm, b"") else {
        ex.trace(|| Step::User("the nonce is none of this server's: it gives another".to_owned()));
        return Err(again(format!(
            "invalid nonce {shown} received - it is none of this server's"
        )));
    };
    let Lifetime::For(lifetime) = settings(place).lifetime else {
        return Ok(Duration::from_micros(now(ex).saturating_sub(made)));
    };
    let Some(age) = now(ex).checked_sub(made).map(Duration::from_micros) else {
        return Err(again(format!(
            "invalid nonce {shown} received - user attempted time travel"
        )));
    };
    if age > lifetime {
        let user = String::from_utf8_lossy(&credentials.username);
        let (age, lifetime) = (age.as_secs_f64(), lifetime.as_secs_f64());
        ex.trace(|| {
            Step::User(format!(
                "the nonce has expired after {lifetime} s: the server gives another"
            ))
        });
        return Err(again(format!(
            "user {user}: nonce expired ({age:.2} seconds old - max lifetime {lifetime:.2}) - sending new nonce"
        )));
    }
    Ok(age)
}

/// What Authentication-Info tells (RFC 7616 section 3.5).
fn told(
    ex: &Exchange,
    place: &Place,
    credentials: &Credentials,
    stored: &[u8],
    realm: &[u8],
    age: Duration,
) -> Vec<u8> {
    let mut field = b"rspauth=\"".to_vec();
    field.extend_from_slice(&credentials.counterpart(stored));
    field.push(b'"');
    if let Lifetime::For(lifetime) = settings(place).lifetime
        && age + NEXT_NONCE > lifetime
    {
        field.extend_from_slice(b", nextnonce=\"");
        field.extend_from_slice(&secret().nonce(realm, b"", now(ex)));
        field.push(b'"');
    }
    field.extend_from_slice(b", cnonce=\"");
    authn::quote(&mut field, &credentials.cnonce);
    field.extend_from_slice(b"\", nc=");
    field.extend_from_slice(&credentials.count);
    field.extend_from_slice(b", qop=");
    field.extend_from_slice(credentials.qop.as_deref().unwrap_or_default());
    field
}
