//! Who is it: the name and password of the request's Authorization field (RFC 7617), and those who know them.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::auth::hash::{Effort, Hash};
use crate::config::directives::authn::{AuthType, Authn, Base, Provider, Stored};
use crate::exchange::Exchange;
use crate::exchange::authorizers::Part;
use crate::exchange::client::{Answer, Question};
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::exchange::trace::Step;
use crate::exchange::view::View;
use crate::http::depends;
use crate::http::status::Status;
use crate::lang::log_level::Level;
use crate::phases::access::Closed;
use crate::phases::authorizer::{self, ByProgram, Checked};
use crate::phases::{answers, auth_files, digest, tls_access};

/// Finds out who the client is, where the place asks. Without AuthType nobody is asked, and there is no user.
pub(super) fn run(ex: &mut Exchange, place: &Place) -> Result<(), Closed> {
    depends::on_more();
    tls_access::take_certificate(ex, place)?;
    if let Some(Some(check)) = place.conf.authorizer.check.value()
        && let Checked::Known = authorizer::check(ex, place, check)?
    {
        return Ok(());
    }
    match place.conf.authn.auth_type.or(AuthType::None) {
        AuthType::None => return Ok(()),
        AuthType::Basic => {}
        AuthType::Digest if place.conf.authn.realm.value().is_none() => {
            let note = "AuthType Digest needs an AuthName";
            return Err(failed(note).of_module("auth_digest").into());
        }
        AuthType::Digest => return digest::run(ex, place),
    }
    if place.conf.authn.realm.value().is_none() {
        return Err(failed("AuthType Basic needs an AuthName").into());
    }
    ex.client.auth_type = Some("Basic");
    let Some((user, password)) = credentials(ex) else {
        ex.trace(|| Step::User("the request has no name and password for AuthType Basic".to_owned()));
        let note = unusable(ex);
        return Err(challenge(ex, place, note).into());
    };
    // Logs and error documents have the name even where it is wrong, as in Apache.
    ex.client.user = Some(user.clone());
    let is_authoritative = place.conf.authn.authoritative.or(true);
    let shown = String::from_utf8_lossy(&user).into_owned();
    let url = String::from_utf8_lossy(ex.target.path.as_bytes()).into_owned();
    let program = place.conf.access_programs.authenticator.value();
    // A place that names nobody else who knows passwords has its program for them.
    let names_others = place.conf.authn.user_file.value().is_some() || place.conf.authn.providers.value().is_some();
    let known = match program {
        Some(_) if !names_others => Known::NoSuchUser,
        _ => asked(ex, place, &user, &password)?,
    };
    if matches!(known, Known::NoSuchUser | Known::Trouble) && (!is_authoritative || !names_others) {
        match authorizer::authenticator(ex, place, &password)? {
            ByProgram::Granted => return Ok(()),
            ByProgram::Refused(refusal) => {
                let note = authorizer::refused(ex, Part::Authenticator);
                let fail = challenge(ex, place, note).of_module("fcgid");
                return Err(fail.with_fields_of(&refusal.fields).into());
            }
            ByProgram::Declined => {}
        }
    }
    match known {
        Known::Good => Ok(()),
        Known::Wrong => {
            let note = format!("user {shown}: authentication failure for \"{url}\": Password Mismatch");
            Err(challenge(ex, place, note).into())
        }
        Known::NoSuchUser | Known::Trouble if !is_authoritative => Err(failed(format!(
            "user {shown}: {url}: no provider knows the user, and with AuthBasicAuthoritative Off nobody refuses it"
        ))
        .into()),
        Known::NoSuchUser => Err(challenge(ex, place, format!("user {shown} not found: {url}")).into()),
        // The provider has said why.
        Known::Trouble => Err(failed("").into()),
    }
}

fn failed(note: impl Into<String>) -> Fail {
    Fail::site(Status::INTERNAL_SERVER_ERROR, note).of_module("auth_basic")
}

/// 401 with a challenge; `note` is for the log.
pub(super) fn challenge(ex: &Exchange, place: &Place, note: impl Into<String>) -> Fail {
    depends::on_more();
    let auth_type = place.conf.authn.auth_type.or(AuthType::None);
    if auth_type == AuthType::Digest {
        return digest::challenge(ex, place, note);
    }
    let fail = Fail::new(Status::UNAUTHORIZED, Blame::Site, note).of_module("auth_basic");
    if auth_type == AuthType::None {
        return fail;
    }
    let mut field = b"Basic realm=\"".to_vec();
    quote(&mut field, &realm_of(ex, place));
    field.push(b'"');
    fail.with_field("WWW-Authenticate", field)
}

/// AuthName.
pub(super) fn realm_of(ex: &Exchange, place: &Place) -> Vec<u8> {
    let realm = place.conf.authn.realm.value();
    let realm = realm.and_then(|realm| realm.eval(&View { ex, response: None }).ok());
    realm.unwrap_or_default()
}

/// Quotes get a backslash unless they have one; what would end the line is left out.
pub(super) fn quote(field: &mut Vec<u8>, realm: &[u8]) {
    let mut bytes = realm
        .iter()
        .filter(|byte| !matches!(byte, b'\r' | b'\n' | 0))
        .peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(next)) => {
                field.extend_from_slice(&[b'\\', **next]);
                bytes.next();
            }
            (b'"', _) => field.extend_from_slice(b"\\\""),
            (byte, _) => field.push(*byte),
        }
    }
}

/// Base64 as clients write it: padding may lack.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The name and the password that the request has.
pub(super) fn credentials(ex: &Exchange) -> Option<(Vec<u8>, Vec<u8>)> {
    parse(ex.head.field(b"Authorization")?)
}

/// The same, where the place asks for them by AuthType Basic.
pub(super) fn basic_credentials(ex: &Exchange, place: &Place) -> Option<(Vec<u8>, Vec<u8>)> {
    depends::on_more();
    if is_basic(place) { credentials(ex) } else { None }
}

/// Whether the place asks by AuthType Basic.
pub(super) fn is_basic(place: &Place) -> bool {
    place.conf.authn.auth_type.or(AuthType::None) == AuthType::Basic
}

fn parse(field: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let at = field.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = field.split_at_checked(at)?;
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return None;
    }
    let text = LENIENT.decode(rest.trim_ascii()).ok()?;
    if text.contains(&0) {
        return None;
    }
    match text.iter().position(|byte| *byte == b':') {
        Some(colon) => Some((text.get(..colon)?.to_vec(), text.get(colon + 1..)?.to_vec())),
        None => Some((text, Vec::new())),
    }
}

/// What the log has of an Authorization field that has no name and password, in Apache's words, which other programs look for.
fn unusable(ex: &mut Exchange) -> String {
    let Some(field) = ex.head.field(b"Authorization") else {
        return String::new();
    };
    let scheme = field.split(|byte| *byte == b' ').next().unwrap_or_default();
    let url = String::from_utf8_lossy(ex.target.path.as_bytes()).into_owned();
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return format!("client used wrong authentication scheme: {url}");
    }
    ex.client.user = Some(Vec::new());
    format!("user  not found: {url}: its name and password cannot be read")
}

/// What a provider knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Good,
    Wrong,
    NoSuchUser,
    Trouble,
}

/// Asks the providers one after the other; the first who knows the name decides.
fn asked(ex: &Exchange, place: &Place, user: &[u8], password: &[u8]) -> Result<Known, Closed> {
    let own = &place.conf.authn;
    let usual = [Provider::File];
    for provider in own.providers.value().map_or(&usual[..], Vec::as_slice) {
        let known = match provider {
            Provider::File => by_file(ex, place, own.user_file.value(), user, password)?,
            Provider::Anonymous => anonymous(ex, place, own, user, password),
            Provider::Alias(name, _) => match ex.config.server.providers.aliases.find(name) {
                Some(alias) if alias.base == Base::File => {
                    let file = alias.conf.user_file.value().or(own.user_file.value());
                    by_file(ex, place, file, user, password)?
                }
                Some(alias) if alias.conf.anonymous.value().is_some() => {
                    anonymous(ex, place, &alias.conf, user, password)
                }
                Some(_) => anonymous(ex, place, own, user, password),
                None => by_authorizer(ex, name, user, password)?,
            },
        };
        ex.trace(|| known_told(ex, provider, own, user, known));
        if known != Known::NoSuchUser {
            return Ok(known);
        }
    }
    Ok(Known::NoSuchUser)
}

/// What a provider knew.
#[cold]
fn known_told(ex: &Exchange, provider: &Provider, own: &Authn, user: &[u8], known: Known) -> Step {
    let file = |file: Option<&Vec<u8>>| match file {
        Some(file) => format!(", AuthUserFile {}", String::from_utf8_lossy(file)),
        None => String::new(),
    };
    let provider = match provider {
        Provider::File => format!("file{}", file(own.user_file.value())),
        Provider::Anonymous => "anon".to_owned(),
        Provider::Alias(name, _) => {
            let alias = ex.config.server.providers.aliases.find(name);
            let of_alias = alias.and_then(|alias| alias.conf.user_file.value());
            format!("{}{}", String::from_utf8_lossy(name), file(of_alias))
        }
    };
    let user = String::from_utf8_lossy(user);
    let says = match known {
        Known::Good => "the password is right",
        Known::Wrong => "the password is wrong",
        Known::NoSuchUser => "there is no such user",
        Known::Trouble => "it cannot tell",
    };
    Step::User(format!("{user}, by provider {provider}: {says}"))
}

fn by_authorizer(ex: &Exchange, name: &[u8], user: &[u8], password: &[u8]) -> Result<Known, Closed> {
    let provider = authorizer::provider(ex, name).filter(|provider| provider.kind.knows_users());
    let Some(provider) = provider else {
        return Ok(Known::Trouble);
    };
    let is_right = authorizer::password(ex, name, provider.kind, user, password)?;
    Ok(if is_right { Known::Good } else { Known::Wrong })
}

fn say(ex: &Exchange, text: String) {
    ex.rewriting.lines.push(Level::Error, "auth_basic", text);
}

fn by_file(
    ex: &Exchange,
    place: &Place,
    file: Option<&Vec<u8>>,
    user: &[u8],
    password: &[u8],
) -> Result<Known, Closed> {
    let Some(path) = file else {
        say(ex, "AuthUserFile is missing".to_owned());
        return Ok(Known::Trouble);
    };
    if is_for_digest(place) {
        return Ok(by_digest_file(ex, place, path, user, password));
    }
    let shown = String::from_utf8_lossy(path);
    let users = match auth_files::users(path) {
        Ok(users) => users,
        Err(error) => return Ok(unreadable(ex, path, &error)),
    };
    let Some(stored) = users.stored(user) else {
        // To be refused takes as long as with a name that is there, so that nobody learns which names are.
        if let Some(Ok(hash)) = users.any_stored().map(Hash::parse) {
            let _whatever_it_is = is_password(ex, hash, password)?;
        }
        return Ok(Known::NoSuchUser);
    };
    match Hash::parse(stored) {
        Ok(hash) => Ok(if is_password(ex, hash, password)? {
            Known::Good
        } else {
            Known::Wrong
        }),
        Err(unusable) => {
            let user = String::from_utf8_lossy(user);
            let why = unusable.reason();
            say(
                ex,
                format!("AuthUserFile: `{shown}`: the password of `{user}` is of no use: {why}"),
            );
            Ok(Known::Wrong)
        }
    }
}

fn unreadable(ex: &Exchange, path: &[u8], error: &std::io::Error) -> Known {
    auth_files::no_rights(ex, path, error);
    let shown = String::from_utf8_lossy(path);
    say(ex, format!("AuthUserFile: `{shown}` cannot be read: {error}"));
    Known::Trouble
}

fn is_for_digest(place: &Place) -> bool {
    place.conf.authn.stored.or(Stored::Hashed) == Stored::DigestMd5
}

/// AuthBasicUseDigestAlgorithm MD5.
fn by_digest_file(ex: &Exchange, place: &Place, path: &[u8], user: &[u8], password: &[u8]) -> Known {
    match auth_files::digests(path) {
        Ok(users) => match users.is_of(user, &realm_of(ex, place), password) {
            Some(true) => Known::Good,
            Some(false) => Known::Wrong,
            None => Known::NoSuchUser,
        },
        Err(error) => unreadable(ex, path, &error),
    }
}

fn is_password(ex: &Exchange, hash: Hash, password: &[u8]) -> Result<bool, Closed> {
    if hash.effort() == Effort::Light {
        return Ok(hash.is_of(password));
    }
    if answers::is_remembered(&hash, password) {
        return Ok(true);
    }
    let question = Question::Password {
        hash,
        password: password.to_vec(),
    };
    match ex.client.answer(&question) {
        Some(answer) => Ok(*answer == Answer::Yes),
        None => Err(Closed::Ask(question)),
    }
}

fn anonymous(ex: &Exchange, place: &Place, authn: &Authn, user: &[u8], password: &[u8]) -> Known {
    if is_for_digest(place) {
        say(
            ex,
            "AuthBasicUseDigestAlgorithm: the provider `anon` has no hashes".to_owned(),
        );
        return Known::Trouble;
    }
    let Some(conf) = authn
        .anonymous
        .value()
        .filter(|conf| conf.any || !conf.users.is_empty())
    else {
        return Known::NoSuchUser;
    };
    let is_known = if user.is_empty() {
        conf.nameless
    } else {
        conf.any || conf.users.iter().any(|name| name.eq_ignore_ascii_case(user))
    };
    if !is_known {
        return Known::NoSuchUser;
    }
    let looks_right = !conf.verify_email || password.contains(&b'@') && password.contains(&b'.');
    if conf.must_give_email && password.is_empty() || !looks_right {
        return Known::Wrong;
    }
    if conf.log_email && ex.previous.is_none() {
        let text = format!("Anonymous: Passwd <{}> Accepted", String::from_utf8_lossy(password));
        ex.rewriting.lines.push(Level::Info, "authn_anon", text);
    }
    Known::Good
}

/// AuthBasicFake: puts another name and password into the field.
pub(super) fn fake(ex: &mut Exchange, place: &Place) -> Result<(), Fail> {
    let Some(Some(fake)) = place.conf.authn.fake.value() else {
        return Ok(());
    };
    let view = View { ex, response: None };
    let (Ok(user), Ok(password)) = (fake.user.eval(&view), fake.password.eval(&view)) else {
        return Err(failed("AuthBasicFake: the words have no value for this request"));
    };
    if user.is_empty() || password.is_empty() {
        ex.head.remove_field(b"Authorization");
        return Ok(());
    }
    ex.trace(|| Step::User(format!("AuthBasicFake makes it {}", String::from_utf8_lossy(&user))));
    let text = [user.as_slice(), b":", &password].concat();
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    ex.head
        .set_field(b"Authorization", &[b"Basic ", encoded.as_bytes()].concat());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{parse, quote};

    #[test]
    fn hostile_fields_are_no_credentials_or_harmless_ones() {
        let pair = |user: &str, password: &str| Some((user.as_bytes().to_vec(), password.as_bytes().to_vec()));
        for (field, want) in [
            ("Basic dXNlcjpwYXNz", pair("user", "pass")),
            ("basic   dXNlcjpwYXNz", pair("user", "pass")),
            ("Basic dXNlcjpwYTpzcw==", pair("user", "pa:ss")),
            ("Basic dXNlcjpwYTpzcw", pair("user", "pa:ss")),
            ("Basic dXNlcg==", pair("user", "")),
            ("Basic ", pair("", "")),
            ("Basic OnA=", pair("", "p")),
            ("Basic", None),
            ("Basic !!!!", None),
            ("Basic dXNlcgA6cA==", None),
            ("Digest dXNlcjpwYXNz", None),
            ("", None),
        ] {
            assert_eq!(parse(field.as_bytes()), want, "{field}");
            for end in 0..field.len() {
                let _either_way = parse(&field.as_bytes()[..end]);
            }
        }
        assert!(parse(&[b"Basic ".as_slice(), &vec![b'A'; 1 << 20]].concat()).is_none());
    }

    #[test]
    fn realms_stay_in_their_quotes() {
        for (realm, want) in [
            ("plain", "plain"),
            ("a \"b\"", "a \\\"b\\\""),
            ("a \\\"b", "a \\\"b"),
            ("a\r\nX: b", "aX: b"),
            ("end\\", "end\\"),
        ] {
            let mut field = Vec::new();
            quote(&mut field, realm.as_bytes());
            assert_eq!(field, want.as_bytes(), "{realm}");
        }
    }
}
