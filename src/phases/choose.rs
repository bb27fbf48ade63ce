//! Who answers.

use crate::base::path;
use crate::config::backends::{self, Scheme, Target};
use crate::config::balancers;
use crate::config::directives::fastcgi::Backend;
use crate::config::directives::fcgid::Asks;
use crate::config::directives::options::Options;
use crate::config::directives::status::Access;
use crate::config::filters::Named;
use crate::config::handlers;
use crate::exchange::Exchange;
use crate::exchange::allowed;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Alias, Landing, Place};
use crate::exchange::response::{Outcome, Stop};
use crate::exchange::trace::Step;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::phases::{action, authz, fixup, proxy_pass, walk};

/// The things that answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// `handlers::static_file`.
    StaticFile,
    /// `handlers::static_file::options`.
    Options,
    /// `handlers::autoindex`.
    Autoindex,
    /// `handlers::as_is`.
    AsIs,
    /// `handlers::type_map`.
    TypeMap,
    /// `handlers::cgi`.
    Cgi,
    /// `handlers::application`.
    Application,
    /// `handlers::application::on_demand`.
    Fcgid,
    /// `handlers::proxy`.
    Proxy,
    /// `handlers::handoff`.
    HandOff,
    /// `handlers::balance`, and who it chooses.
    Balancer,
    /// `handlers::status`.
    Status,
    /// `handlers::metrics`.
    Metrics,
    /// `handlers::settings`.
    Settings,
}

/// Chooses the handler of a place; or the request goes on with the script that an Action says.
pub fn run(ex: &mut Exchange, place: &Place) -> Result<Handler, Stop> {
    if !has_own_handler(ex, place)
        && let Some(again) = action::find(ex, place)?
    {
        return Err(Stop::Outcome(Box::new(Outcome::Again(again))));
    }
    let handler = chosen(ex, place)?;
    ex.trace(|| told(place, handler));
    Ok(handler)
}

#[cold]
fn told(place: &Place, handler: Handler) -> Step {
    let (name, why) = match handler {
        Handler::StaticFile => ("file", "no handler is set, so that it is sent as it is"),
        Handler::Options => ("options", "the method asks what else may be asked"),
        Handler::Autoindex => (
            "listing",
            "a directory without an index file, and Options Indexes is on",
        ),
        Handler::AsIs => ("as is", "its handler says that the file has a head of its own"),
        Handler::TypeMap => ("type map", "it lists the variants of which one is chosen"),
        Handler::Fcgid => ("FastCGI program", "its handler has it started where it does not run"),
        Handler::Application => ("application", "an application server is named for it"),
        Handler::Proxy => ("proxy", "another server is named for it"),
        Handler::HandOff => ("hand-off", "a service is named that takes the connection itself"),
        Handler::Balancer => ("balancer", "a balancer of application servers is named for it"),
        Handler::Status | Handler::Metrics | Handler::Settings => {
            ("status page", "its handler has the server tell of itself")
        }
        Handler::Cgi if place.alias == Alias::Scripts => ("script", "ScriptAlias makes a script of it"),
        Handler::Cgi => (
            "script",
            "its handler or type makes a script of it, and Options ExecCGI is on",
        ),
    };
    Step::Handler(name, why.to_owned())
}

/// Whether a handler takes the place before any Action is asked.
fn has_own_handler(ex: &Exchange, place: &Place) -> bool {
    match (place.alias, place.types.handler.as_deref()) {
        (Alias::Proxied, _) | (Alias::Scripts, None) => true,
        (_, Some(named))
            if handlers::is_script(named) || handlers::is_on_demand(named) || backends::of_handler(named).is_some() =>
        {
            true
        }
        // A script is run whatever its handler, unless that has another script.
        (Alias::Scripts, Some(named)) => place.conf.actions.by_kind.find(named).is_none(),
        (_, None) if place.landing() == Landing::Directory => matches!(ex.method, Method::Get | Method::Head),
        (_, None) if place.types.media_type.as_deref() == Some(b"application/x-httpd-cgi") => true,
        _ => has_own_head(ex, place),
    }
}

/// Whether a place is sent as it is, with a head of its own; to methods that do not read it is as any file.
fn has_own_head(ex: &Exchange, place: &Place) -> bool {
    let types = &place.types;
    let kind = types.handler.as_deref().or(types.media_type.as_deref());
    matches!(ex.method, Method::Get | Method::Head) && kind.is_some_and(handlers::is_as_is)
}

fn chosen(ex: &mut Exchange, place: &Place) -> Result<Handler, Fail> {
    check_filters(place)?;
    if place.alias != Alias::Proxied && ex.config.server.old_fastcgi.program(&place.path).is_some() {
        return Ok(Handler::Application);
    }
    let named = place.types.handler.as_deref();
    let is_script = match (place.alias, named) {
        (Alias::Proxied, _) => {
            let url = backends::of_handler(&place.path).unwrap_or_default();
            if backends::scheme_of(url) == Some(Scheme::Http) {
                return Ok(Handler::Proxy);
            }
            if let Some((name, rest)) = balancers::split(url) {
                for member in ex.site.members_of(&name) {
                    proxy_pass::goes_through_no_file(ex, place, &member.target.with_path(rest))?;
                }
                return Ok(Handler::Balancer);
            }
            let target = parsed(&place.path)?;
            proxy_pass::goes_through_no_file(ex, place, &target)?;
            return Ok(speaks(target.scheme));
        }
        (Alias::Scripts, Some(named)) if handlers::is_on_demand(named) => {
            if !needs_no_file(place) {
                script(ex, place)?;
            }
            return Ok(Handler::Fcgid);
        }
        (Alias::Scripts, _) => return script(ex, place),
        (_, Some(named)) if backends::of_handler(named).is_some() => return application(ex, place, named),
        (_, Some(named)) if handlers::is_type_map(named) => return Ok(Handler::TypeMap),
        (_, None) if place.types.media_type.as_deref().is_some_and(handlers::is_type_map) => {
            return Ok(Handler::TypeMap);
        }
        (_, Some(named)) if tells_of_server(named).is_some() => {
            let handler = tells_of_server(named).unwrap_or(Handler::Status);
            return of_server(ex, place, named, handler);
        }
        (_, Some(named)) if handlers::is_script(named) || handlers::is_on_demand(named) => true,
        (_, Some(b"default-handler") | None) => place.types.media_type.as_deref() == Some(b"application/x-httpd-cgi"),
        (_, Some(named)) if handlers::is_as_is(named) => false,
        // Served as it is, a PHP file would show its source.
        (_, Some(other)) => return Err(unknown(other)),
    };
    // What a place can be asked for is told whether or not there is anything, as Apache does; a script answers for itself.
    if !is_script {
        allowed::check(ex)?;
        if ex.method == Method::Options {
            return Ok(Handler::Options);
        }
    }
    // As in Apache, a script that may not be run is not looked for, and a directory is none.
    if is_script && !place.conf.core.options.in_force().has(Options::EXEC_CGI) {
        return Err(not_a_script_here(ex));
    }
    if named.is_some_and(handlers::is_on_demand) && needs_no_file(place) {
        return Ok(Handler::Fcgid);
    }
    match place.landing() {
        Landing::Missing if is_script && !named.is_some_and(handlers::is_on_demand) => script(ex, place),
        Landing::Missing => Err(missing(ex)),
        Landing::Directory if is_script => script(ex, place),
        // The handlers of files have nothing to show of a directory, and that of listings does not know POST.
        Landing::Directory if ex.method == Method::Post => Err(missing(ex)),
        Landing::Directory if named.is_some_and(|named| named == b"default-handler" || handlers::is_as_is(named)) => {
            Err(missing(ex))
        }
        Landing::Directory => directory(ex, place),
        Landing::File if has_own_head(ex, place) => Ok(Handler::AsIs),
        Landing::File if !is_script => file(ex, place),
        Landing::File if named.is_some_and(handlers::is_on_demand) => Ok(Handler::Fcgid),
        Landing::File => Ok(Handler::Cgi),
    }
}

/// Whether a handler is one by which the server tells of itself.
fn tells_of_server(named: &[u8]) -> Option<Handler> {
    match named {
        b"server-status" => Some(Handler::Status),
        b"metrics" => Some(Handler::Metrics),
        b"server-info" => Some(Handler::Settings),
        _ => None,
    }
}

/// What the server tells of itself is for this machine alone, unless the section that sets the handler, or one that is
/// merged over it, says who may see it. (In Apache what other sections say is enough.)
fn of_server(ex: &Exchange, place: &Place, named: &[u8], handler: Handler) -> Result<Handler, Fail> {
    let is_said = place.conf.reach.access.value() == Some(&Access::Said);
    let through_proxy = [&b"x-forwarded-for"[..], b"forwarded", b"via"]
        .into_iter()
        .find(|name| ex.head.field(name).is_some());
    let closed = match through_proxy {
        _ if is_said => None,
        _ if !authz::is_local(ex) => Some("is not on this machine".to_owned()),
        Some(field) => Some(format!(
            "sent `{}`, so that nobody knows where it is",
            String::from_utf8_lossy(field)
        )),
        None => None,
    };
    if let Some(why) = closed {
        let named = String::from_utf8_lossy(named);
        let note = format!(
            "`{}`: the client {why}; handler {named} is for clients on this machine, unless the section that sets it says who may \
             see it (Require)",
            String::from_utf8_lossy(ex.target.path.as_bytes())
        );
        return Err(Fail::site(Status::FORBIDDEN, note).of_module("status"));
    }
    allowed::check(ex)?;
    match ex.method {
        Method::Options => Ok(Handler::Options),
        Method::Post => Err(missing(ex)),
        _ => Ok(handler),
    }
}

/// Whether a wrapper is asked for whatever the URL says.
fn needs_no_file(place: &Place) -> bool {
    let wrapper = place.conf.fcgid.wrapper(&place.path);
    wrapper.is_some_and(|wrapper| wrapper.asks == Asks::Names)
}

/// A file to be shown, unless it is a program by its place or by its type.
fn file(ex: &Exchange, place: &Place) -> Result<Handler, Fail> {
    if let Some(only) = ex
        .config
        .script_only
        .iter()
        .find(|only| path::below(&place.path, only).is_some())
    {
        let (file, only) = (String::from_utf8_lossy(&ex.file), String::from_utf8_lossy(only));
        let note = format!("`{file}` is not shown: a ScriptAlias leads to `{only}`, and what is there is only run");
        return Err(Fail::site(Status::FORBIDDEN, note).of_module("cgi"));
    }
    match place.types.media_type.as_deref() {
        Some(kind) if handlers::is_foreign_type(kind) => Err(unknown(kind)),
        _ => Ok(Handler::StaticFile),
    }
}

fn parsed(name: &[u8]) -> Result<Target, Fail> {
    let url = backends::of_handler(name).unwrap_or_default();
    Target::parse(url).map_err(|why| Fail::internal(why).of_module("proxy"))
}

/// Who talks to a server that speaks this.
fn speaks(scheme: Scheme) -> Handler {
    match scheme {
        Scheme::FastCgi | Scheme::Scgi => Handler::Application,
        Scheme::Http | Scheme::Https | Scheme::WebSocket | Scheme::SecureWebSocket => Handler::Proxy,
        Scheme::HandOff => Handler::HandOff,
    }
}

/// An application server that `SetHandler` names. What is given to php-fpm must be a file, by a name that says so: of
/// /upload.jpg/x.php it would run upload.jpg.
fn application(ex: &mut Exchange, place: &Place, handler: &[u8]) -> Result<Handler, Fail> {
    let url = backends::of_handler(handler).unwrap_or_default();
    let is_fpm = place.conf.fastcgi.backend.or(Backend::Fpm) == Backend::Fpm;
    let sees_files = |target: &Target| is_fpm && target.scheme == Scheme::FastCgi && target.address.is_local();
    let (chosen, sees_files) = if let Some((name, _)) = balancers::split(url) {
        let mut members = ex.site.members_of(&name);
        (Handler::Balancer, members.any(|member| sees_files(&member.target)))
    } else {
        let target = parsed(handler)?;
        (speaks(target.scheme), sees_files(&target))
    };
    if sees_files {
        check_file(ex, place, handler)?;
    }
    Ok(chosen)
}

/// Whether what is given to php-fpm is a file, by a name that says so.
fn check_file(ex: &mut Exchange, place: &Place, handler: &[u8]) -> Result<(), Fail> {
    match place.landing() {
        Landing::File if place.path_info.is_empty() => Ok(()),
        Landing::File => {
            let own = walk::applications::by_its_own_url(ex, place)?;
            let own = fixup::handler_of(ex, &own, &place.path);
            if own.as_deref() == Some(handler) {
                return Ok(());
            }
            let (url, file) = (
                String::from_utf8_lossy(ex.target.path.as_bytes()),
                String::from_utf8_lossy(&place.path),
            );
            let note =
                format!("{url}: `{file}` is on the way, and by its own URL it would not be given to the application");
            Err(Fail::site(Status::NOT_FOUND, note).of_module("proxy"))
        }
        Landing::Missing | Landing::Directory if is_by_url(ex) => Ok(()),
        Landing::Missing | Landing::Directory => {
            let file = String::from_utf8_lossy(&ex.file);
            let note = format!(
                "`{file}` is no file, so php-fpm is not asked for it; `ProxyFCGIBackendType GENERIC` is for applications that \
                 have no files"
            );
            Err(Fail::client(Status::NOT_FOUND, note).of_module("proxy"))
        }
    }
}

/// Whether a `<Location>` says who answers: then it is about URLs, and there need not be files.
fn is_by_url(ex: &Exchange) -> bool {
    let url = ex.target.path.as_bytes();
    let mut covering = ex.site.locations.iter().filter(|section| section.covers_location(url));
    covering.any(|section| section.conf.core.set_handler.value().is_some())
}

fn script(ex: &Exchange, place: &Place) -> Result<Handler, Fail> {
    match place.landing() {
        Landing::File => Ok(Handler::Cgi),
        Landing::Missing => Err(Fail::site(
            Status::NOT_FOUND,
            format!(
                "stderr from {}: script not found or unable to stat",
                String::from_utf8_lossy(&ex.file)
            ),
        )
        .of_module("cgi")),
        Landing::Directory => Err(Fail::site(
            Status::FORBIDDEN,
            format!(
                "`{}` is a directory, and this place has scripts only",
                String::from_utf8_lossy(&ex.file)
            ),
        )
        .of_module("cgi")),
    }
}

fn not_a_script_here(ex: &Exchange) -> Fail {
    let file = String::from_utf8_lossy(&ex.file);
    Fail::site(
        Status::FORBIDDEN,
        format!("`{file}` would be run as a script, but Options ExecCGI is off here; add `Options +ExecCGI` for its directory"),
    )
    .of_module("cgi")
}

/// What a filter should have changed is not shown without it.
fn check_filters(place: &Place) -> Result<(), Fail> {
    let missed = place.types.output_filters.iter().find_map(|named| match named {
        Named::Missing(name) => Some(name.as_slice()),
        Named::Here(_) => None,
    });
    let Some(filter) = missed.filter(|_| place.landing() == Landing::File) else {
        return Ok(());
    };
    let filter = String::from_utf8_lossy(filter);
    Err(Fail::site(
        Status::INTERNAL_SERVER_ERROR,
        format!("filter `{filter}` is not one that this version has; the file is not shown without it"),
    ))
}

fn unknown(handler: &[u8]) -> Fail {
    let note = handlers::missing_text(&String::from_utf8_lossy(handler));
    Fail::site(Status::INTERNAL_SERVER_ERROR, note)
}

/// Not worth a line in the error log at its usual level: the access log has it.
fn missing(ex: &Exchange) -> Fail {
    Fail::client(
        Status::NOT_FOUND,
        format!("file does not exist: `{}`", String::from_utf8_lossy(&ex.file)),
    )
}

fn directory(ex: &Exchange, place: &Place) -> Result<Handler, Fail> {
    if place.conf.core.options.in_force().has(Options::INDEXES) {
        return Ok(Handler::Autoindex);
    }
    Err(Fail::site(
        Status::FORBIDDEN,
        format!(
            "cannot serve directory `{}`: it has no index file (DirectoryIndex), and Options Indexes is off",
            String::from_utf8_lossy(&ex.file)
        ),
    )
    .of_module("autoindex"))
}
