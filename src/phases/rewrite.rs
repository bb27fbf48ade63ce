//! Rewriting: the rules of the site before its paths are translated, and those of the place once it is found.
//!
//! The rules themselves are `lang::rewrite`; here is what they ask of a request, and what becomes of their answers.

mod host;
mod maps;

use crate::base::quote;
use crate::config::backends;
use crate::config::directives::DirConf;
use crate::config::directives::dir::Slash;
use crate::config::directives::options::Options;
use crate::config::directives::proxy::PathForm;
use crate::config::directives::rewrite::{RewriteOptions, Rules};
use crate::config::site::{Section, document_root};
use crate::exchange::Again;
use crate::exchange::Exchange;
use crate::exchange::allowed;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::{Alias, Landing, Place};
use crate::exchange::response::{Body, Outcome, Response, Stop};
use crate::exchange::rewriting::Look;
use crate::exchange::trace::Step;
use crate::http::status::Status;
use crate::http::target::{CleanPath, EncodedSlashes, Slashes, TargetError, percent_decode};
use crate::lang::rewrite::{self, Decision, Effects, Host, InDirectory, Pending, Subject};
use crate::phases::proxy_pass;
use crate::phases::redirect;
use crate::phases::static_first;
use crate::phases::translate::{self, Translated};
use crate::phases::walk::locations;

pub(super) use host::Asked;

/// Applies the site's rules to a request for the server itself (`OPTIONS *`), where AllowAnyURI asks for it. What they make
/// that is no answer has nowhere to go.
pub fn of_server_itself(ex: &mut Exchange) -> Result<(), Stop> {
    let rules = &ex.site.settings.rewrite.rules.0;
    if !rules.engine_is_on() || !rules.says_anything() {
        return Ok(());
    }
    if !rules.options().has(RewriteOptions::ALLOW_ANY_URI) {
        Asked::new(ex).trace(
            8,
            None,
            format_args!(
                "Declining, request-URI '*' is not a URL-path. Consult the manual entry for the RewriteOptions directive for \
                 options and caveats about matching other strings."
            ),
        );
        return Ok(());
    }
    let subject = Subject {
        filename: b"*".to_vec(),
        ..Subject::default()
    };
    let outcome = rewrite::server(&Asked::new(ex), &rules.list(), subject).map_err(unanswered)?;
    take_effects(ex, outcome.effects, Keep::NoTypes);
    match outcome.decision {
        Decision::Declined | Decision::File(_) | Decision::BelowDocumentRoot(_) | Decision::Url(_) => Ok(()),
        other => Err(elsewhere(ex, other)),
    }
}

/// Whether the site's rules are applied to this path: a `<Location>` around it may say so too. A virtual host that says nothing
/// of rewriting has none, whatever the main server says.
fn engine_is_on(ex: &Exchange) -> bool {
    let path = ex.target.path.as_bytes();
    let says = |section: &&Section| section.conf.rewrite.engine().is_some();
    let mut sections = ex.site.locations.iter().filter(says);
    if let Some(section) = sections.rfind(|section| section.covers_location(path)) {
        return section.conf.rewrite.engine_is_on();
    }
    let rules = &ex.site.settings.rewrite.rules.0;
    rules.engine_is_on() && rules.says_anything()
}

/// What Apache says of a request that `[END]` has kept from further rules.
const ENDED: &str = "Declining, no further rewriting due to END flag";

/// Applies the site's rules to the path of this pass, and translates what they make of it. What is answered at once is answered
/// with the settings of the `<Location>` sections around the path.
pub(super) fn of_server(ex: &mut Exchange) -> Result<Translated, Stop> {
    let early = locations::count_early(ex.site).then(|| locations::run(ex));
    let found = rewritten(ex, early.as_deref());
    if found.is_err() && !ex.client.is_in_doubt() {
        let conf = early.unwrap_or_else(|| locations::run(ex));
        ex.set_conf(conf);
    }
    found
}

fn rewritten(ex: &mut Exchange, early: Option<&DirConf>) -> Result<Translated, Stop> {
    let rules = &ex.site.settings.rewrite.rules.0;
    if !engine_is_on(ex) {
        return translated(ex, early);
    }
    name_the_url(ex);
    if ex.rewriting.ended && ex.rewriting.look == Look::Ahead {
        Asked::new(ex).trace(8, None, format_args!("{ENDED}"));
        return translated(ex, early);
    }
    if !rules.list().is_empty() {
        ex.trace(|| Step::Rules(None));
    }
    let path = ex.target.path.as_bytes().to_vec();
    let subject = Subject {
        filename: path,
        path_info: Vec::new(),
        query: ex.target.query.clone(),
    };
    let outcome = rewrite::server(&Asked::new(ex), &rules.list(), subject).map_err(unanswered)?;
    if ex.client.is_in_doubt() {
        return Err(in_doubt());
    }
    take_effects(ex, outcome.effects, Keep::Types);
    if matches!(outcome.decision, Decision::Declined) {
        return translated(ex, early);
    }
    let root = document_root(ex.config, ex.site);
    let below = |path: &[u8]| Translated {
        path: [root.as_slice(), path].concat(),
        alias: Alias::None,
        context_prefix: Vec::new(),
        context_root: root.clone(),
        document_root: None,
    };
    let found = match outcome.decision {
        Decision::File(path) => named(ex, Translated { path, ..below(b"") }),
        Decision::BelowDocumentRoot(path) => {
            // What a rule took from the client must not lead out of the site.
            let path = CleanPath::from_decoded(&path, Slashes::Keep).map_err(|error| leads_astray(&path, error))?;
            named(ex, below(path.as_bytes()))
        }
        Decision::Url(path) => {
            ex.target.path =
                CleanPath::from_decoded(&path, Slashes::Merge).map_err(|error| leads_astray(&path, error))?;
            ex.target.query = outcome.query;
            return translated(ex, early);
        }
        Decision::Proxy(url) => {
            ex.target.query = outcome.query;
            return Ok(proxy_pass::to_url(ex, &url, PathForm::Canonical)?);
        }
        Decision::ProxyAsItIs(url) => {
            ex.target.query = outcome.query;
            return Ok(proxy_pass::to_url(ex, &url, PathForm::AsSent)?);
        }
        other => return Err(elsewhere(ex, other)),
    };
    ex.target.query = outcome.query;
    Ok(found)
}

/// Where the rules of a place lead, as far as what comes behind them has a say in it.
pub(super) enum Rewritten {
    /// Nowhere else.
    Here,
    /// To the URL of an application server.
    ToApplication(Vec<u8>, PathForm),
    /// Through the server again. In Apache a handler does that, behind all fixups: redirects of the place come before it.
    Again(Again),
}

/// Applies the rules of a place to its file's name, or to the URL of the application server that it goes to.
pub(super) fn of_directory(ex: &mut Exchange, place: &Place) -> Result<Rewritten, Stop> {
    let rules = &place.conf.rewrite;
    if !rules.engine_is_on() || is_bare_directory(ex, place, rules) {
        return Ok(Rewritten::Here);
    }
    if ex.rewriting.ended {
        Asked::new(ex).trace(8, Some(rules.directory()), format_args!("{ENDED}"));
        return Ok(Rewritten::Here);
    }
    if !rules.are_on() && rules.directory().is_empty() {
        return Ok(Rewritten::Here);
    }
    let links = place.conf.core.options.in_force();
    if !links.has(Options::FOLLOW_SYM_LINKS) && !links.has(Options::SYM_LINKS_IF_OWNER_MATCH) {
        return Err(links_are_off(ex).into());
    }
    if rules.are_on() {
        ex.trace(|| Step::Rules(Some(rules.directory().to_vec())));
    }
    let mut filename = match place.alias {
        Alias::Proxied => backend_url(&place.path),
        Alias::None | Alias::Files | Alias::Scripts => place.path.clone(),
    };
    if place.landing() == Landing::Directory
        && filename.last() != Some(&b'/')
        && ex.target.path.as_bytes().ends_with(b"/")
    {
        filename.push(b'/');
    }
    let subject = Subject {
        filename,
        path_info: place.path_info.clone(),
        query: ex.target.query.clone(),
    };
    let by_context = if rules.options().has(RewriteOptions::IGNORE_CONTEXT_INFO) {
        InDirectory::IgnoreContext
    } else {
        InDirectory::ByContext
    };
    let asked = Asked::of_place(ex, place);
    let outcome = rewrite::directory(
        &asked,
        &rules.list(),
        rules.directory(),
        rules.base(),
        by_context,
        subject,
    )
    .map_err(unanswered)?;
    if ex.client.is_in_doubt() {
        return Err(in_doubt());
    }
    let keep = match &outcome.decision {
        // What a pass is told of types is lost when another pass follows, as in Apache.
        Decision::Again(path) => {
            let (effects, file) = (&outcome.effects, format!("redirect:{}", String::from_utf8_lossy(path)));
            tell_types(ex, &file, effects.media_type.as_deref(), effects.handler.as_deref());
            Keep::NoTypes
        }
        _ => Keep::Types,
    };
    take_effects(ex, outcome.effects, keep);
    match outcome.decision {
        Decision::Declined => Ok(Rewritten::Here),
        // The redirect that adds the slash comes first, and has the query that the rules made.
        Decision::Again(_) if is_without_slash(ex, place) && place.conf.dir.slash.or(Slash::On) == Slash::On => {
            ex.target.query = outcome.query;
            Ok(Rewritten::Here)
        }
        other => {
            // What follows sees the query that the rules made, the pass before this one included (REDIRECT_QUERY_STRING).
            ex.target.query.clone_from(&outcome.query);
            match other {
                Decision::Stays => Ok(Rewritten::Here),
                Decision::Proxy(url) => Ok(Rewritten::ToApplication(url, PathForm::Canonical)),
                Decision::ProxyAsItIs(url) => Ok(Rewritten::ToApplication(url, PathForm::AsSent)),
                Decision::Renamed(url) => {
                    let url = [socket(&place.path), url.as_slice()].concat();
                    Ok(Rewritten::ToApplication(url, PathForm::Canonical))
                }
                Decision::Again(path) => Ok(Rewritten::Again(again(&path, outcome.query.as_deref()))),
                other => Err(elsewhere(ex, other)),
            }
        }
    }
}

/// The name of an application server's socket in that of a place, with the bar behind it; empty without one.
fn socket(path: &[u8]) -> &[u8] {
    let url = backends::of_handler(path).unwrap_or_default();
    let bar = memchr::memchr(b'|', url).filter(|_| url.starts_with(b"unix:"));
    bar.and_then(|bar| url.get(..=bar)).unwrap_or_default()
}

/// The URL of an application server as rules see it in Apache: decoded, and without the socket's name.
fn backend_url(path: &[u8]) -> Vec<u8> {
    let url = backends::of_handler(path).and_then(|url| url.get(socket(path).len()..));
    let url = url.unwrap_or_default();
    let decoded = percent_decode(url, EncodedSlashes::NoDecode).unwrap_or_else(|_| url.to_vec());
    [backends::HANDLER, &decoded].concat()
}

/// What `[T]` and `[H]` said of the request holds of its place.
pub(super) fn force_types(ex: &Exchange, place: &mut Place) {
    let (media_type, handler) = (ex.rewriting.media_type.as_deref(), ex.rewriting.handler.as_deref());
    tell_types(ex, &String::from_utf8_lossy(&place.path), media_type, handler);
    if let Some(media_type) = media_type {
        place.types.media_type = Some(media_type.into());
    }
    if let Some(handler) = handler {
        place.types.handler = Some(handler.to_vec());
    }
}

fn tell_types(ex: &Exchange, file: &str, media_type: Option<&[u8]>, handler: Option<&[u8]>) {
    for (what, value) in [("MIME-type", media_type), ("the Content-handler", handler)] {
        if let Some(value) = value {
            let value = String::from_utf8_lossy(value);
            Asked::new(ex).trace(1, None, format_args!("force filename {file} to have {what} '{value}'"));
        }
    }
}

/// The rules' own directory asked for without its slash is left to the redirect that adds it, unless AllowNoSlash.
fn is_bare_directory(ex: &Exchange, place: &Place, rules: &Rules) -> bool {
    is_without_slash(ex, place)
        && rules.directory().strip_suffix(b"/") == Some(place.path.strip_suffix(b"/").unwrap_or(&place.path))
        && !rules.options().has(RewriteOptions::ALLOW_NO_SLASH)
}

fn is_without_slash(ex: &Exchange, place: &Place) -> bool {
    place.landing() == Landing::Directory && !ex.target.path.as_bytes().ends_with(b"/")
}

/// The name that the rules made.
fn named(ex: &Exchange, found: Translated) -> Translated {
    ex.trace(|| Step::Name {
        by: "the rules".to_owned(),
        path: found.path.clone(),
        at: None,
    });
    found
}

/// The next phase as it is without rules.
fn translated(ex: &mut Exchange, early: Option<&DirConf>) -> Result<Translated, Stop> {
    if let Some(proxied) = proxy_pass::of(ex)? {
        return Ok(proxied);
    }
    redirect::of_server(ex, early.unwrap_or(&ex.site.base))?;
    let found = translate::run(ex)?;
    match static_first::elsewhere(ex, &found)? {
        Some(proxied) => Ok(proxied),
        None => Ok(found),
    }
}

/// SCRIPT_URL and SCRIPT_URI, which mod_rewrite sets: of the first path that the rules saw, whatever took its place since.
fn name_the_url(ex: &mut Exchange) {
    let first = match ex.rewriting.look {
        Look::Ahead => ex.variable(b"SCRIPT_URL"),
        Look::Request => None,
    };
    let before = ex
        .previous
        .as_ref()
        .and_then(|previous| previous.variables.get(b"SCRIPT_URL".as_slice()));
    let first = first.or(before.map(Vec::as_slice));
    let path = first.unwrap_or(ex.target.path.as_bytes()).to_vec();
    let mut escaped = Vec::new();
    quote::escape_path(&mut escaped, &path);
    let url = ex.own_url(&path);
    ex.variables.insert(b"SCRIPT_URL".to_vec(), path);
    ex.variables.insert(b"SCRIPT_URI".to_vec(), url);
}

/// Whether `[T]` and `[H]` hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Types,
    NoTypes,
}

fn take_effects(ex: &mut Exchange, effects: Effects, keep: Keep) {
    for change in effects.env {
        match change.value {
            Some(value) => {
                ex.set_variable(change.name, value);
            }
            None => {
                ex.unset_variable(&change.name);
            }
        }
    }
    ex.rewriting.cookies.extend(effects.cookies);
    for name in effects.vary {
        ex.rewriting.vary.add(&name);
    }
    ex.rewriting.ended |= effects.end;
    if keep == Keep::Types {
        ex.rewriting.media_type = effects.media_type.or(ex.rewriting.media_type.take());
        ex.rewriting.handler = effects.handler.or(ex.rewriting.handler.take());
    }
}

/// Where a decision leads that ends this pass.
fn elsewhere(ex: &Exchange, decision: Decision) -> Stop {
    let reply = |response| Stop::Outcome(Box::new(Outcome::Reply(response)));
    match decision {
        Decision::Status(status) => match Status::new(status) {
            Some(Status::NOT_MODIFIED) => reply(Response::new(Status::NOT_MODIFIED, Body::Empty)),
            Some(status) if status.is_redirect() => reply(Response::new(status, Body::BuiltIn)),
            // Good ones too may have an ErrorDocument, as in Apache.
            Some(status) => allowed::refusal(ex, status, "").into(),
            None => Fail::internal(format!("a rule says {status}, which is no status")).into(),
        },
        Decision::TooManyRounds => {
            Fail::internal("a rule with [N] went round too often; [N=number] moves the bound").into()
        }
        Decision::Unsafe3F => Fail::client(
            Status::FORBIDDEN,
            "a rule would make a query of a question mark that is not its own; [UnsafeAllow3F] would let it",
        )
        .of_module("rewrite")
        .into(),
        Decision::UnsafeQuery => Fail::client(
            Status::FORBIDDEN,
            "rewritten query string contains control characters or spaces; [B] or [BCTLS] would escape them",
        )
        .of_module("rewrite")
        .into(),
        Decision::TooLong(why) => Fail::internal(why).of_module("rewrite").into(),
        Decision::NoPath(path) => no_path(&path),
        Decision::Redirect { status, location } => {
            if location.iter().any(u8::is_ascii_control) {
                return Fail::internal("a rule with [NE] made a Location with a control character")
                    .of_module("rewrite")
                    .into();
            }
            let mut response = Response::new(Status::new(status).unwrap_or(Status::FOUND), Body::BuiltIn);
            response.head.fields.append("Location", location);
            reply(response)
        }
        Decision::Again(_)
        | Decision::Proxy(_)
        | Decision::ProxyAsItIs(_)
        | Decision::Renamed(_)
        | Decision::Declined
        | Decision::Stays
        | Decision::File(_)
        | Decision::BelowDocumentRoot(_)
        | Decision::Url(_) => Fail::internal("rules led nowhere").into(),
    }
}

/// The same request for another path.
fn again(path: &[u8], query: Option<&[u8]>) -> Again {
    // What rules have written is read as a URL, as in Apache: a fragment is none of the path, and the query behind it none either.
    let mut parts = path.splitn(2, |byte| *byte == b'#');
    let mut target = Vec::new();
    quote::escape_path(&mut target, parts.next().unwrap_or_default());
    Again::same(target, query.filter(|_| parts.next().is_none()))
}

fn no_path(path: &[u8]) -> Stop {
    let path = String::from_utf8_lossy(path);
    Fail::new(
        Status::BAD_REQUEST,
        Blame::Site,
        format!("rules made `{path}`, which is no path"),
    )
    .of_module("rewrite")
    .into()
}

/// As Apache answers what it cannot map to a file.
fn leads_astray(path: &[u8], error: TargetError) -> Stop {
    if error != TargetError::AboveRoot {
        return no_path(path);
    }
    let path = String::from_utf8_lossy(path);
    Fail::site(
        Status::FORBIDDEN,
        format!("rules made `{path}`, which leads out of the document root"),
    )
    .of_module("rewrite")
    .into()
}

/// What rules came to before a look ahead had its answers; nobody sees it.
fn in_doubt() -> Stop {
    Fail::internal("not known yet").of_module("rewrite").into()
}

fn unanswered(_: Pending) -> Stop {
    Fail::internal("a map gave no answer").of_module("rewrite").into()
}

fn links_are_off(ex: &Exchange) -> Fail {
    let file = String::from_utf8_lossy(&ex.file);
    Fail::site(
        Status::FORBIDDEN,
        format!(
            "Options FollowSymLinks and SymLinksIfOwnerMatch are both off, so the RewriteRule directive is also forbidden due \
             to its similar ability to circumvent directory restrictions : {file}"
        ),
    )
    .of_module("rewrite")
}
