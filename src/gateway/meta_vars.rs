//! The environment a script is given: the meta-variables of RFC 3875 section 4.1, those Apache 2.4 adds, the variables
//! the configuration sets, and the rules for which of them wins.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use crate::base::ascii::{append_decimal, append_ipv4};
use crate::gateway::refused::is_refused;
use crate::gateway::request::{Configured, Credentials, Names, Redirect, Request, Scheme, Script, Transport};

#[cfg(test)]
pub(in crate::gateway) mod tests;

/// PATH for scripts when the server itself has none.
pub const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// What all values of a usual request take, in bytes.
const USUAL: usize = 2048;

/// So many variables a usual request has, and some more.
const USUALLY: usize = 48;

/// Facts of a request that are computed even when they come out as "none": a configured value would be a lie about the
/// body or the path. Apache lets these through when it has none of its own.
const NEVER_CONFIGURED: &[&str] = &["CONTENT_LENGTH", "CONTENT_TYPE", "PATH_INFO", "PATH_TRANSLATED"];

/// The finished environment, in the order of names.
#[derive(Clone, Debug, Default)]
pub struct MetaVars {
    vars: Vec<(Name, Range<usize>)>,
    /// The values one behind the other, so that each does not ask for memory of its own.
    values: Vec<u8>,
    ignored: Vec<Ignored>,
}

/// A variable's name; most are known beforehand.
type Name = Cow<'static, [u8]>;

/// A configured variable that the script does not see as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its name as the script would have seen it.
    pub name: Vec<u8>,
    /// Why it is not there.
    pub why: WhyIgnored,
}

/// Why a configured variable is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyIgnored {
    /// The server computes this one.
    Computed,
    /// One that steers programs, from a place that may not set it.
    Refused,
    /// An empty name, or a NUL in the value: no environment can hold it.
    Impossible,
}

impl MetaVars {
    /// Everything a script is to know about `request`.
    pub fn of(request: &Request<'_>) -> Self {
        let mut meta_vars = Self {
            vars: Vec::with_capacity(USUALLY),
            values: Vec::with_capacity(USUAL),
            ..Self::default()
        };
        meta_vars.fields(request);
        meta_vars.request(request);
        meta_vars.place(&request.place);
        meta_vars.parties(request);
        if let Some(redirect) = &request.redirect {
            meta_vars.redirect(redirect, request.client.user, request.names);
        }
        meta_vars.configured(&request.configured, request.names);
        meta_vars.set("PATH", request.server.path.unwrap_or(DEFAULT_PATH), Replace::No);
        if let Some(time_zone) = request.server.time_zone {
            meta_vars.set("TZ", time_zone, Replace::No);
        }
        meta_vars
    }

    /// The value of one variable.
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let at = self.place_of(name).ok()?;
        self.vars.get(at).map(|(_, range)| self.value(range))
    }

    /// Where a variable is, or would be.
    fn place_of(&self, name: &[u8]) -> Result<usize, usize> {
        self.vars.binary_search_by(|(other, _)| other.as_ref().cmp(name))
    }

    fn has(&self, name: &[u8]) -> bool {
        self.place_of(name).is_ok()
    }

    fn value(&self, range: &Range<usize>) -> &[u8] {
        self.values.get(range.clone()).unwrap_or_default()
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.vars.iter().map(|(name, value)| (&**name, self.value(value)))
    }

    /// All names and values, to be kept.
    pub fn into_pairs(self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (vars, values) = (self.vars, self.values);
        let value = |range| values.get::<Range<usize>>(range).unwrap_or_default().to_vec();
        vars.into_iter()
            .map(|(name, range)| (name.into_owned(), value(range)))
            .collect()
    }

    /// The same with these variables besides, where they are not there yet.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        for (name, value) in more {
            if !self.has(&name) {
                self.put(Cow::Owned(name), &value);
            }
        }
        self
    }

    /// The configured variables that had no effect, for a warning.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// HTTP_*: section 4.1.18. Names with other characters than letters, digits and `-` are dropped, so that no two
    /// fields can meet in one variable and `Content_Length` cannot pose as something else. Fields of one name are joined
    /// in order.
    fn fields(&mut self, request: &Request<'_>) {
        for (name, value) in &request.fields {
            let Some(variable) = field_variable(name) else { continue };
            let hidden = match variable.as_slice() {
                // The length is known, so the coding is off: a script told of both might decode again.
                b"HTTP_TRANSFER_ENCODING" => request.content_length.is_some(),
                b"HTTP_HOST" => request.authority.is_some(),
                _ => false,
            };
            if hidden || !is_told(&variable, value, request.credentials) {
                continue;
            }
            let separator: &[u8] = if variable == b"HTTP_COOKIE" { b"; " } else { b", " };
            match self.find(&variable) {
                None => self.put(Cow::Owned(variable), value),
                Some(before) => {
                    let joined = [before, separator, value].concat();
                    self.put(Cow::Owned(variable), &joined);
                }
            }
        }
        self.set_some("HTTP_HOST", request.authority);
    }

    fn request(&mut self, request: &Request<'_>) {
        self.set("GATEWAY_INTERFACE", b"CGI/1.1", Replace::Yes);
        self.set("SERVER_PROTOCOL", request.protocol, Replace::Yes);
        self.set("REQUEST_METHOD", request.method, Replace::Yes);
        self.set("REQUEST_URI", request.request_target, Replace::Yes);
        self.set("QUERY_STRING", request.query, Replace::Yes);
        let scheme: &[u8] = match request.scheme {
            Scheme::Http => b"http",
            Scheme::Https => b"https",
        };
        self.set("REQUEST_SCHEME", scheme, Replace::Yes);
        if request.transport == Transport::Tls {
            self.set("HTTPS", b"on", Replace::Yes);
        }
        self.set_some("CONTENT_TYPE", request.content_type);
        if let Some(length) = request.content_length {
            self.set("CONTENT_LENGTH", length.to_string().as_bytes(), Replace::Yes);
        }
        self.set_some("UNIQUE_ID", request.unique_id);
    }

    fn place(&mut self, place: &Script<'_>) {
        self.set("SCRIPT_NAME", place.script_name, Replace::Yes);
        if !place.path_info.is_empty() {
            self.set("PATH_INFO", place.path_info, Replace::Yes);
            self.set_some("PATH_TRANSLATED", place.path_translated);
        }
        self.set("SCRIPT_FILENAME", place.script_filename, Replace::Yes);
        self.set("DOCUMENT_ROOT", place.document_root, Replace::Yes);
        self.set("CONTEXT_PREFIX", place.context_prefix, Replace::Yes);
        self.set("CONTEXT_DOCUMENT_ROOT", place.context_document_root, Replace::Yes);
    }

    /// Both ends of the connection. An IPv4 client of an IPv6 listener is shown as the IPv4 address it has.
    fn parties(&mut self, request: &Request<'_>) {
        let (server, client) = (&request.server, &request.client);
        self.set("SERVER_NAME", server.name, Replace::Yes);
        let mut shown = Vec::with_capacity(64);
        append_decimal(&mut shown, server.port.into());
        self.set("SERVER_PORT", &shown, Replace::Yes);
        self.set(
            "SERVER_ADMIN",
            server.admin.unwrap_or(b"[no address given]"),
            Replace::Yes,
        );
        self.set("SERVER_SIGNATURE", server.signature, Replace::Yes);
        self.set("SERVER_SOFTWARE", server.software, Replace::Yes);
        for (name, address) in [("SERVER_ADDR", request.local), ("REMOTE_ADDR", request.peer)] {
            shown.clear();
            append_address(&mut shown, address.ip());
            self.set(name, &shown, Replace::Yes);
        }
        shown.clear();
        append_decimal(&mut shown, request.peer.port().into());
        self.set("REMOTE_PORT", &shown, Replace::Yes);
        self.set_some("REMOTE_HOST", client.host);
        self.set_some("REMOTE_IDENT", client.ident);
        self.set_some("REMOTE_USER", client.user);
        self.set_some("AUTH_TYPE", client.auth_type);
    }

    fn redirect(&mut self, redirect: &Redirect<'_>, user: Option<&[u8]>, names: Names) {
        for (name, value) in &redirect.before {
            if let Some(name) = variable_name(&[b"REDIRECT_", *name].concat(), names) {
                self.insert(Cow::Owned(name), value, Replace::Yes);
            }
        }
        self.set("REDIRECT_STATUS", redirect.status.to_string().as_bytes(), Replace::Yes);
        self.set("REDIRECT_URL", redirect.url, Replace::Yes);
        self.set_some("REDIRECT_QUERY_STRING", redirect.query);
        self.set_some("REDIRECT_REQUEST_METHOD", redirect.method);
        self.set_some("REDIRECT_ERROR_NOTES", redirect.error_notes);
        if user.is_none() {
            self.set_some("REDIRECT_REMOTE_USER", redirect.user);
        }
    }

    /// Adds what was set, after everything computed: a computed variable wins (CVE-2025-65082).
    fn configured(&mut self, configured: &[Configured<'_>], names: Names) {
        let mut chosen = BTreeMap::new();
        for variable in configured {
            let name = variable_name(variable.name, names).unwrap_or_default();
            match self.why_ignored(&name, variable) {
                Some(why) => self.ignored.push(Ignored { name, why }),
                None => {
                    chosen.insert(name, variable.value);
                }
            }
        }
        for (name, value) in chosen {
            self.insert(Cow::Owned(name), value, Replace::No);
        }
    }

    fn why_ignored(&self, name: &[u8], variable: &Configured<'_>) -> Option<WhyIgnored> {
        if name.is_empty() || variable.value.contains(&0) {
            Some(WhyIgnored::Impossible)
        } else if self.has(name) || NEVER_CONFIGURED.iter().any(|never| never.as_bytes() == name) {
            Some(WhyIgnored::Computed)
        } else if is_refused(name, variable.origin) {
            Some(WhyIgnored::Refused)
        } else {
            None
        }
    }

    fn set_some(&mut self, name: &'static str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.set(name, value, Replace::Yes);
        }
    }

    fn set(&mut self, name: &'static str, value: &[u8], replace: Replace) {
        self.insert(Cow::Borrowed(name.as_bytes()), value, replace);
    }

    /// A value ends at its first NUL, where the script would see its end anyway; nothing we compute holds one.
    fn insert(&mut self, name: Name, value: &[u8], replace: Replace) {
        if replace == Replace::No && self.has(&name) {
            return;
        }
        let end = memchr::memchr(0, value).unwrap_or(value.len());
        self.put(name, value.get(..end).unwrap_or_default());
    }

    fn put(&mut self, name: Name, value: &[u8]) {
        let start = self.values.len();
        self.values.extend_from_slice(value);
        let range = start..self.values.len();
        match self.place_of(&name) {
            Ok(at) => {
                if let Some((_, before)) = self.vars.get_mut(at) {
                    *before = range;
                }
            }
            Err(at) => self.vars.insert(at, (name, range)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Replace {
    Yes,
    No,
}

/// `X-Forwarded-For` → `HTTP_X_FORWARDED_FOR`; `None` for a name no script is told of.
fn field_variable(name: &[u8]) -> Option<Vec<u8>> {
    let mut variable = Vec::with_capacity(5 + name.len());
    append_field_variable(&mut variable, name).then_some(variable)
}

/// Appends an address as it is written; of one of IPv4 that is little work.
pub(super) fn append_address(out: &mut Vec<u8>, ip: IpAddr) {
    let ip = ip.to_canonical();
    match ip {
        IpAddr::V4(four) => append_ipv4(out, four),
        IpAddr::V6(_) => out.extend_from_slice(ip.to_string().as_bytes()),
    }
}

/// Appends the variable of a field; `false`, and some of it may be there, for a name no script is told of.
#[must_use]
pub(super) fn append_field_variable(out: &mut Vec<u8>, name: &[u8]) -> bool {
    out.extend_from_slice(b"HTTP_");
    out.extend(name.iter().map(|byte| IN_VARIABLES[usize::from(*byte)]));
    !name.is_empty() && name.iter().all(|byte| IN_VARIABLES[usize::from(*byte)] != 0)
}

/// How the bytes of a field's name are written in its variable's; zero for one that no script is told of.
const IN_VARIABLES: [u8; 256] = {
    let (mut table, mut byte) = ([0; 256], 0_u8);
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = byte.to_ascii_uppercase();
        }
        byte += 1;
    }
    table[b'-' as usize] = b'_';
    table
};

/// Whether a script is told of a field as this variable, as far as name and value decide it.
pub fn is_told(variable: &[u8], value: &[u8], credentials: Credentials) -> bool {
    match variable {
        b"HTTP_PROXY" | b"HTTP_CONTENT_LENGTH" | b"HTTP_CONTENT_TYPE" => false,
        b"HTTP_AUTHORIZATION" | b"HTTP_PROXY_AUTHORIZATION" => credentials == Credentials::Passed,
        b"HTTP_TRANSFER_ENCODING" | b"HTTP_HOST" => true,
        _ => !value.contains(&0),
    }
}

/// A configured name as it is passed. `None` for the empty name, and one that cannot be.
fn variable_name(name: &[u8], names: Names) -> Option<Vec<u8>> {
    if names == Names::AsWritten {
        // SCGI ends a name with a NUL.
        return (!name.is_empty() && !name.contains(&0)).then(|| name.to_vec());
    }
    let letter = |byte: &u8| if byte.is_ascii_alphanumeric() { *byte } else { b'_' };
    let mut variable: Vec<u8> = name.iter().map(letter).collect();
    let first = variable.first_mut()?;
    if first.is_ascii_digit() {
        *first = b'_';
    }
    Some(variable)
}
