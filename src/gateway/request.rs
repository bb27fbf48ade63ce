//! A request as a program behind the server is told of it: the plain values [`MetaVars`](super::meta_vars::MetaVars)
//! are made from.

use std::net::SocketAddr;

/// A request as a script is told of it. Paths are decoded; `request_target` and `query` are as the client sent them.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// REQUEST_METHOD.
    pub method: &'a [u8],
    /// REQUEST_URI: the whole request target of the request line, undecoded, whatever was rewritten since.
    pub request_target: &'a [u8],
    /// SERVER_PROTOCOL, as `HTTP/1.1`; `INCLUDED` for a server-side include.
    pub protocol: &'a [u8],
    /// REQUEST_SCHEME.
    pub scheme: Scheme,
    /// HTTPS.
    pub transport: Transport,
    /// QUERY_STRING, without the `?`; empty when there is none.
    pub query: &'a [u8],
    /// The authority in force, which replaces every Host field when the target was in absolute form.
    pub authority: Option<&'a [u8]>,
    /// The fields of the request in order, names in any case, values trimmed.
    pub fields: Vec<(&'a [u8], &'a [u8])>,
    /// Do the script's HTTP_* variables include the client's credentials? (CGIPassAuth)
    pub credentials: Credentials,
    /// CONTENT_TYPE.
    pub content_type: Option<&'a [u8]>,
    /// CONTENT_LENGTH: the bytes standard input will carry, when there is a body.
    pub content_length: Option<u64>,
    /// Where the request landed.
    pub place: Script<'a>,
    /// Who serves.
    pub server: Server<'a>,
    /// SERVER_ADDR.
    pub local: SocketAddr,
    /// REMOTE_ADDR and REMOTE_PORT.
    pub peer: SocketAddr,
    /// Who asks.
    pub client: Client<'a>,
    /// UNIQUE_ID.
    pub unique_id: Option<&'a [u8]>,
    /// What SetEnv, PassEnv, SetEnvIf and RewriteRule set, in the order of effect: the last of a name counts.
    pub configured: Vec<Configured<'a>>,
    /// How their names are passed, and those of the request before.
    pub names: Names,
    /// The request this one was redirected from inside the server.
    pub redirect: Option<Redirect<'a>>,
}

/// How the names of configured variables are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As a shell takes them: a leading digit and everything but letters, digits and `_` becomes `_`.
    Plain,
    /// As they are written: what FastCGI and SCGI carry is no process's environment.
    AsWritten,
}

/// The scheme of the site's own URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// REQUEST_SCHEME=http.
    Http,
    /// REQUEST_SCHEME=https.
    Https,
}

/// How the client reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Without TLS: HTTPS is not set.
    Bare,
    /// HTTPS=on.
    Tls,
}

/// What happens to Authorization and Proxy-Authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The script does not see them: the default.
    Withheld,
    /// `CGIPassAuth On`.
    Passed,
}

/// The script and its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// SCRIPT_NAME, see [`split_path`](super::script_path::split_path).
    pub script_name: &'a [u8],
    /// PATH_INFO; empty means there is none.
    pub path_info: &'a [u8],
    /// PATH_TRANSLATED: the file PATH_INFO would name as a URL path of this site. Unset without PATH_INFO.
    pub path_translated: Option<&'a [u8]>,
    /// SCRIPT_FILENAME.
    pub script_filename: &'a [u8],
    /// DOCUMENT_ROOT.
    pub document_root: &'a [u8],
    /// CONTEXT_PREFIX: the alias that led here, as written; empty when none did.
    pub context_prefix: &'a [u8],
    /// CONTEXT_DOCUMENT_ROOT: that alias' directory, as written, or the document root.
    pub context_document_root: &'a [u8],
}

/// The server's names.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// SERVER_NAME: a name, an IPv4 address, or an IPv6 address in brackets.
    pub name: &'a [u8],
    /// SERVER_PORT.
    pub port: u16,
    /// SERVER_ADMIN; `[no address given]` without one.
    pub admin: Option<&'a [u8]>,
    /// SERVER_SIGNATURE; empty when switched off.
    pub signature: &'a [u8],
    /// SERVER_SOFTWARE.
    pub software: &'a [u8],
    /// PATH of the server's own environment.
    pub path: Option<&'a [u8]>,
    /// TZ of the server's own environment.
    pub time_zone: Option<&'a [u8]>,
}

/// What is known of the client beyond its address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client<'a> {
    /// REMOTE_HOST, with HostnameLookups.
    pub host: Option<&'a [u8]>,
    /// REMOTE_IDENT.
    pub ident: Option<&'a [u8]>,
    /// REMOTE_USER.
    pub user: Option<&'a [u8]>,
    /// AUTH_TYPE.
    pub auth_type: Option<&'a [u8]>,
}

/// A variable that was set rather than computed.
#[derive(Clone, Copy, Debug)]
pub struct Configured<'a> {
    /// Its name as written.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// Who set it.
    pub origin: Origin,
}

/// Who set a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The server's configuration, with a value written there.
    Server,
    /// A `.htaccess`.
    Htaccess,
    /// Anywhere, with a value that comes from the request.
    Request,
}

/// An internal redirect on the way here: ErrorDocument, DirectoryIndex, Action or a script's local redirect.
#[derive(Clone, Debug, Default)]
pub struct Redirect<'a> {
    /// REDIRECT_STATUS.
    pub status: u16,
    /// REDIRECT_URL: the decoded path of the request before.
    pub url: &'a [u8],
    /// REDIRECT_QUERY_STRING, when that request had a query.
    pub query: Option<&'a [u8]>,
    /// REDIRECT_REQUEST_METHOD: for an error page, whose own method is GET.
    pub method: Option<&'a [u8]>,
    /// REDIRECT_ERROR_NOTES.
    pub error_notes: Option<&'a [u8]>,
    /// REDIRECT_REMOTE_USER: who had asked, when the new request has no user of its own.
    pub user: Option<&'a [u8]>,
    /// The variables of the request before; each gets REDIRECT_ before its name.
    pub before: Vec<(&'a [u8], &'a [u8])>,
}
