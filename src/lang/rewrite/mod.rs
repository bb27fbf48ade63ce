//! mod_rewrite's language: RewriteRule and RewriteCond, read when settings are and applied to a request.
//!
//! The rules see the request through [`Host`] and read no file themselves. Where an answer is not there yet (a program that
//! serves as a map) they stop with [`Pending`] and are applied again, from the start, once it is.

mod cond;
mod cookie;
mod end;
mod expand;
mod flags;
#[cfg(test)]
mod properties;
mod rule;
mod run;
mod seen;
mod template;
#[cfg(test)]
mod tests;
mod uri;

use crate::lang::vars::{Accessible, Vars};

pub use cond::Cond;
pub use end::{InDirectory, directory, server};
pub use flags::Flags;
pub use rule::Rule;
pub use template::{Template, Variable};

/// How the name of a request begins that goes to a backend.
const BACKEND: &[u8] = b"proxy:";

/// What rules work on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The URL path in the server's context, the file's name in a directory's, or `proxy:` and the backend's URL.
    pub filename: Vec<u8>,
    /// What follows the file in the URL.
    pub path_info: Vec<u8>,
    /// The query, undecoded.
    pub query: Option<Vec<u8>>,
}

impl Subject {
    /// Whether it is the URL of a backend, which is below no directory.
    fn is_of_backend(&self) -> bool {
        self.filename.starts_with(BACKEND)
    }
}

/// What rules ask besides what expressions ask.
pub trait Host: Vars {
    /// Whether this is a look at what another request would come to, not a request itself.
    fn is_subrequest(&self) -> bool {
        false
    }

    /// The scheme of our own URLs.
    fn scheme(&self) -> &'static str {
        "http"
    }

    /// Whether a host, with the port if one was named, is the site's own.
    fn is_own(&self, host: &[u8], port: Option<u16>) -> bool;

    /// The whole URL of a path of this site.
    fn own_url(&self, path: &[u8]) -> Vec<u8>;

    /// The most bytes that a path may grow to; rules that make more of it end with 500.
    fn longest(&self) -> usize {
        2 * 8190
    }

    /// Whether a URL of our own may name a file outside of DocumentRoot (LegacyPrefixDocRoot).
    fn own_urls_name_files(&self) -> bool {
        false
    }

    /// Whether any result may name a file outside of DocumentRoot (UnsafePrefixStat).
    fn requests_name_files(&self) -> bool {
        false
    }

    /// Whether the answer has a cookie of this name already.
    fn has_cookie(&self, _name: &[u8]) -> bool {
        false
    }

    /// Whether a subrequest would succeed, for a condition with `-F` or `-U`.
    fn would_succeed(&self, what: Accessible, name: &[u8]) -> bool {
        self.is_accessible(what, name)
    }

    /// The address the request came to.
    fn server_address(&self) -> Option<Vec<u8>>;

    /// What a map has for a key.
    fn map(&self, map: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, Pending>;

    /// `RewriteBase` of the directory.
    fn base(&self) -> Option<&[u8]> {
        None
    }

    /// The value of a variable in a subrequest for `path`.
    fn ahead(&self, ahead: Ahead, path: &[u8], variable: &Variable) -> Option<Vec<u8>>;

    /// The rule that stands at `place` is applied to a request from here on; `directory` is that of the context.
    fn applies(&self, _place: &str, _directory: Option<&[u8]>) {}

    /// A line about a step, of Apache's trace level 1 to 8; `directory` is that of the context.
    fn trace(&self, _level: u8, _directory: Option<&[u8]>, _text: std::fmt::Arguments<'_>) {}
}

/// An answer is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending;

/// By what a subrequest looks ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// By a URL path.
    Url,
    /// By a file's name.
    File,
}

/// What rules came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Where the request goes.
    pub decision: Decision,
    /// The query it has now.
    pub query: Option<Vec<u8>>,
    /// What follows the file now, which `[DPI]` drops.
    pub path_info: Vec<u8>,
    /// What the rules did besides.
    pub effects: Effects,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// On as it was.
    Declined,
    /// To this status.
    Status(u16),
    /// To 500: `[N]` led round too often.
    TooManyRounds,
    /// To 403: a query came out of a question mark that a group, a variable or a map brought (`UnsafeAllow3F` would let it).
    Unsafe3F,
    /// To 403: the query that rules made has a control character or a space.
    UnsafeQuery,
    /// To 500: the path that rules made is too long.
    TooLong(String),
    /// To 400: what the rules made is no path.
    NoPath(Vec<u8>),
    /// The client shall ask elsewhere.
    Redirect {
        /// The status.
        status: u16,
        /// The URL.
        location: Vec<u8>,
    },
    /// On with this file's name, absolute.
    File(Vec<u8>),
    /// On with this path below DocumentRoot.
    BelowDocumentRoot(Vec<u8>),
    /// On with this URL path, to be translated (`[PT]`).
    Url(Vec<u8>),
    /// Through the server again with this URL path, decoded.
    Again(Vec<u8>),
    /// On as it was, although rules matched: what they made is what it was.
    Stays,
    /// To a backend (`[P]`), whose URL is yet to be escaped.
    Proxy(Vec<u8>),
    /// To a backend, whose URL stays as it is (`[P,NE]`).
    ProxyAsItIs(Vec<u8>),
    /// To the backend that it would have gone to, by this URL, which is yet to be escaped.
    Renamed(Vec<u8>),
}

/// What rules did besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// `[E]`, in order.
    pub env: Vec<EnvChange>,
    /// `[CO]`: names, and `Set-Cookie` fields.
    pub cookies: Vec<(Vec<u8>, Vec<u8>)>,
    /// The request's fields that decided.
    pub vary: Vec<String>,
    /// `[T]`
    pub media_type: Option<Vec<u8>>,
    /// `[H]`
    pub handler: Option<Vec<u8>>,
    /// `[END]`
    pub end: bool,
}

/// A variable set or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvChange {
    /// Its name.
    pub name: Vec<u8>,
    /// Its value; none takes it away.
    pub value: Option<Vec<u8>>,
}
