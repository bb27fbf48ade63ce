//! What a script is told of its request: from the exchange and the place to its meta-variables (RFC 3875 section 4.1).

use crate::config::directives::DirConf;
use crate::config::directives::cgi::RequestUri;
use crate::config::places::confs;
use crate::config::site::Config;
use crate::exchange::place::Place;
use crate::exchange::tls_variables::SNI;
use crate::exchange::{Exchange, Previous};
use crate::gateway::meta_vars::{Ignored, MetaVars, WhyIgnored};
use crate::gateway::refused::is_refused;
use crate::gateway::request::{
    Client, Configured, Names, Origin, Redirect, Request, Scheme, Script, Server, Transport,
};
use crate::gateway::script_path::split_path;
use crate::handlers::framed;
use crate::scripts::Inherited;
use crate::scripts::notes::{Notes, Weight, escaped};

/// What else of a program's environment depends on who runs it.
#[derive(Clone, Copy, Debug)]
pub(in crate::handlers) struct Told<'a> {
    /// SCRIPT_FILENAME.
    pub(in crate::handlers) script_filename: &'a [u8],
    /// What of the path is not the program's name; empty where all of it is.
    pub(in crate::handlers) path_info: &'a [u8],
    /// PATH_TRANSLATED; empty without one.
    pub(in crate::handlers) path_translated: &'a [u8],
    /// PATH of the server's own environment.
    pub(in crate::handlers) path: Option<&'a [u8]>,
    /// TZ of the server's own environment.
    pub(in crate::handlers) time_zone: Option<&'a [u8]>,
    /// How the names of variables that were set are passed.
    pub(in crate::handlers) names: Names,
}

/// The script's environment. `length` is what its standard input will bring.
pub(in crate::handlers) fn of_script(
    ex: &Exchange,
    place: &Place,
    inherited: &Inherited,
    length: Option<u64>,
) -> MetaVars {
    let told = Told {
        script_filename: &place.path,
        path_info: &place.path_info,
        path_translated: &place.path_translated,
        path: inherited.path.as_deref(),
        time_zone: inherited.time_zone.as_deref(),
        names: Names::Plain,
    };
    of(ex, place, told, length)
}

/// What a page that is parsed for includes can show: the environment of a script in its place.
pub fn of_page(ex: &Exchange, place: &Place) -> Vec<(Vec<u8>, Vec<u8>)> {
    let inherited = Inherited::here();
    of_script(ex, place, &inherited, None).into_pairs()
}

/// A program's environment.
pub(in crate::handlers) fn of(ex: &Exchange, place: &Place, told: Told<'_>, length: Option<u64>) -> MetaVars {
    let root = ex.document_root();
    // In what a page includes Apache does not take the PATH_INFO off.
    let (script_name, path_info) = if ex.is_subrequest() {
        (ex.target.path.as_bytes(), told.path_info)
    } else {
        split_path(ex.target.path.as_bytes(), told.path_info)
    };
    let (software, signature, request_target) = (ex.software(), signature(ex), request_target(ex, place));
    MetaVars::of(&Request {
        method: ex.method_name(),
        request_target,
        protocol: ex.protocol().as_bytes(),
        scheme: if ex.scheme() == b"https" {
            Scheme::Https
        } else {
            Scheme::Http
        },
        transport: if ex.is_secure() {
            Transport::Tls
        } else {
            Transport::Bare
        },
        query: ex.target.query.as_deref().unwrap_or_default(),
        authority: ex.head.target().ok().and_then(|target| target.authority()),
        fields: ex
            .head
            .fields()
            .filter(|(name, _)| !is_of_a_lost_body(ex, name))
            .collect(),
        credentials: framed::credentials(place),
        content_type: content_type(ex),
        content_length: length,
        place: Script {
            script_name,
            path_info,
            path_translated: Some(told.path_translated).filter(|path| !path.is_empty()),
            script_filename: told.script_filename,
            document_root: &root,
            context_prefix: &place.context_prefix,
            context_document_root: &place.context_root,
        },
        server: Server {
            name: ex.server_name(),
            port: ex.server_port(),
            admin: ex.site.settings.core.admin.value().map(Vec::as_slice),
            signature: &signature,
            software: &software,
            path: told.path,
            time_zone: told.time_zone,
        },
        local: ex.connection.local,
        peer: ex.connection.client,
        client: Client {
            host: ex.client.host.as_deref(),
            user: ex.client.user.as_deref(),
            auth_type: ex.client.auth_type.map(str::as_bytes),
            ..Client::default()
        },
        unique_id: Some(&ex.unique_id),
        configured: configured(ex),
        names: told.names,
        redirect: ex.previous.as_deref().map(|previous| redirect(ex, previous)),
    })
}

/// The type of a body that a redirect has taken away would be a riddle, as behind a POST.
fn content_type(ex: &Exchange) -> Option<&[u8]> {
    ex.head.field(b"Content-Type").filter(|_| !has_lost_its_body(ex))
}

/// Its coding would make a script wait for chunks.
fn is_of_a_lost_body(ex: &Exchange, name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"Transfer-Encoding") && has_lost_its_body(ex)
}

fn has_lost_its_body(ex: &Exchange) -> bool {
    ex.previous.is_some() && !ex.body.is_the_clients_own()
}

/// REQUEST_URI.
pub(super) fn request_target<'a>(ex: &'a Exchange, place: &Place) -> &'a [u8] {
    match place.conf.cgi.request_uri.or(RequestUri::OriginalUri) {
        RequestUri::OriginalUri => ex.head.target_bytes(),
        // As in Apache: decoded, and without the query.
        RequestUri::CurrentUri => ex.target.path.as_bytes(),
    }
}

fn signature(ex: &Exchange) -> Vec<u8> {
    match ex.signature() {
        Some(line) => [b"<address>", line.as_slice(), b"</address>\n"].concat(),
        None => Vec::new(),
    }
}

fn configured(ex: &Exchange) -> Vec<Configured<'_>> {
    let variable = |(name, value)| Configured {
        name,
        value,
        origin: origin(ex.config, name, value),
    };
    let own = ex.tls_environment(SNI).map(|name| (SNI.as_bytes(), name));
    let variables = ex.variables.iter();
    variables
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .chain(own)
        .map(variable)
        .collect()
}

/// Who has set a variable, as far as that decides whether a script gets it. The server's own files must say this very value:
/// what access files say, and what is made of a request, comes from those who may not steer programs.
fn origin(config: &Config, name: &[u8], value: &[u8]) -> Origin {
    if !is_refused(name, Origin::Htaccess) {
        return Origin::Server;
    }
    let is_it = |known: &[u8], said: &[u8]| known == name && said == value;
    let says = |conf: &&DirConf| {
        let rules = conf.set_env_if.rules.iter().flat_map(|rule| &rule.variables);
        let mut conditional = rules.filter_map(|(name, value)| Some((name, value.as_ref()?)));
        conf.env.variables.iter().any(|(known, said)| is_it(known, said))
            || conditional.any(|(known, said)| is_it(known, said))
    };
    if confs(config).iter().any(says) {
        Origin::Server
    } else {
        Origin::Htaccess
    }
}

/// What is said of the pass before; REDIRECT_REQUEST_METHOD is for error documents, whose own method is GET.
fn redirect<'a>(ex: &'a Exchange, previous: &'a Previous) -> Redirect<'a> {
    let is_error = previous.leads_to_error_document();
    Redirect {
        status: previous.status.code(),
        url: &previous.redirect_url,
        query: previous.query.as_deref(),
        method: is_error.then(|| ex.name_of(previous.method)),
        error_notes: previous.notes.as_deref().map(str::as_bytes),
        user: former_user(previous),
        before: previous
            .variables
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
            .chain([(b"UNIQUE_ID".as_slice(), ex.unique_id.as_slice())])
            .collect(),
    }
}

/// Who had asked, in the last pass that had a user.
fn former_user(previous: &Previous) -> Option<&[u8]> {
    let mut pass = Some(previous);
    while let Some(previous) = pass {
        if previous.user.is_some() {
            return previous.user.as_deref();
        }
        pass = previous.before.as_deref();
    }
    None
}

/// A variable that was set in vain is worth a line, once.
pub(in crate::handlers) fn warn_ignored(env: &MetaVars, is_news: impl Fn(usize, &[u8]) -> bool, notes: &Notes) {
    let news = |name: &[u8]| is_news(notes.about().site, name);
    for ignored in env.ignored().iter().filter(|ignored| news(&ignored.name)) {
        notes.note(Weight::Warning, None, &told(ignored));
    }
}

/// Why a variable is not passed as it was set.
pub(in crate::handlers) fn told(ignored: &Ignored) -> String {
    let name = escaped(&ignored.name);
    let why = match ignored.why {
        WhyIgnored::Computed => "the server computes this one",
        WhyIgnored::Refused => "it may be set in the server's own configuration only",
        WhyIgnored::Impossible => "no environment can hold it",
    };
    format!("variable `{name}` is not passed as set: {why}")
}
