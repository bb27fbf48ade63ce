//! What expressions and log formats may ask of a request.
//!
//! The languages are pure: they know no connection, no file and no clock but through this trait, which the
//! request in progress implements (and a map does in tests).

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::SystemTime;

use crate::http::depends;

/// A request as the little languages see it. What is not answered here is asked of the request beneath, and where there is
/// none the answer is "nothing there".
pub trait Vars {
    /// The request beneath this one, which differs from it in some answers.
    fn beneath(&self) -> Option<&dyn Vars> {
        None
    }

    /// The request's field of that name in any case, values of repeated ones joined by `, `.
    fn request_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.beneath()?.request_field(name)
    }

    /// The response's field of that name, in any case.
    fn response_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.beneath()?.response_field(name)
    }

    /// A variable of the request's environment (SetEnv, SetEnvIf, `[E=…]`). Names are case-sensitive.
    fn env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.beneath()?.env(name)
    }

    /// A server variable; `None` when it has no value for this request. `TIME*` are never asked.
    fn variable(&self, variable: Variable) -> Option<Cow<'_, [u8]>> {
        self.beneath()?.variable(variable)
    }

    /// One of mod_ssl's own variables by its whole name (`SSL_PROTOCOL`), in any case; `None` without TLS.
    fn tls(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.beneath()?.tls(name)
    }

    /// The client's address, after mod_remoteip's rules.
    fn client_ip(&self) -> Option<IpAddr> {
        self.beneath()?.client_ip()
    }

    /// Told of each field of the request that a value depends on, whether or not it is there, but for those asked for by
    /// `req_novary`.
    fn depends_on(&self, field: &str) {
        if let Some(beneath) = self.beneath() {
            beneath.depends_on(field);
        }
    }

    /// A note left by an earlier step of the request.
    fn note(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.beneath()?.note(name)
    }

    /// A field of the request's trailer section.
    fn request_trailer(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.beneath()?.request_trailer(name)
    }

    /// A field of the response's trailer section.
    fn response_trailer(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.beneath()?.response_trailer(name)
    }

    /// A variable of the server process's own environment.
    fn os_env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.beneath()?.os_env(name)
    }

    /// The value of a cookie: the first of that name in any case, without the white space around it. `None` also
    /// for an empty value, as `%{name}C` has it.
    fn cookie(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match self.request_field("Cookie")? {
            Cow::Borrowed(fields) => cookie(fields, name).map(Cow::Borrowed),
            Cow::Owned(fields) => cookie(&fields, name).map(|value| Cow::Owned(value.to_vec())),
        }
    }

    /// Whether `path` on disk is what the operator asks for (`-d`, `-e`, `-f`, `-s`, `-L`, `-x`).
    fn file_is(&self, test: FileTest, path: &[u8]) -> bool {
        self.beneath().is_some_and(|beneath| beneath.file_is(test, path))
    }

    /// The size in bytes of a regular file, for `filesize()`.
    fn file_size(&self, path: &[u8]) -> Option<u64> {
        self.beneath()?.file_size(path)
    }

    /// The contents of a file, for `file()`.
    fn file_contents(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.beneath()?.file_contents(path)
    }

    /// Whether a subrequest for a file (`-F`) or a URL (`-U`, `-A`) would be allowed and successful.
    fn is_accessible(&self, what: Accessible, name: &[u8]) -> bool {
        self.beneath().is_some_and(|beneath| beneath.is_accessible(what, name))
    }

    /// The time that `%{TIME}` and its parts tell.
    fn now(&self) -> SystemTime {
        depends::on_more();
        self.beneath().map_or_else(SystemTime::now, Vars::now)
    }
}

/// What `-d` and its kin ask of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTest {
    /// `-e`
    Exists,
    /// `-d`
    Directory,
    /// `-f`
    Regular,
    /// `-s`: exists and is not empty
    NotEmpty,
    /// `-L`, `-h`
    Symlink,
    /// `-x`
    Executable,
}

/// What `-F`, `-U` and `-A` ask a subrequest about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accessible {
    /// `-F`: a path on disk
    File,
    /// `-U`, `-A`: a path of a URL
    Url,
}

macro_rules! variables {
    ($($variant:ident = $name:literal,)*) => {
        /// The server variables of the manual page "Expressions in Apache HTTP Server" (those that are fields of
        /// the request are not here: `HTTP_HOST` is the field `Host`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is named after its variable")]
        pub enum Variable { $($variant,)* }

        impl Variable {
            /// The variable of that name, in any case as in Apache.
            pub fn from_name(name: &str) -> Option<Variable> {
                $(if name.eq_ignore_ascii_case($name) {
                    return Some(Variable::$variant);
                })*
                None
            }

            /// The variable's name.
            pub fn name(self) -> &'static str {
                match self { $(Variable::$variant => $name,)* }
            }
        }
    };
}

variables! {
    RequestMethod = "REQUEST_METHOD",
    RequestScheme = "REQUEST_SCHEME",
    RequestUri = "REQUEST_URI",
    DocumentUri = "DOCUMENT_URI",
    RequestFilename = "REQUEST_FILENAME",
    ScriptFilename = "SCRIPT_FILENAME",
    LastModified = "LAST_MODIFIED",
    ScriptUser = "SCRIPT_USER",
    ScriptGroup = "SCRIPT_GROUP",
    PathInfo = "PATH_INFO",
    QueryString = "QUERY_STRING",
    IsSubreq = "IS_SUBREQ",
    TheRequest = "THE_REQUEST",
    RemoteAddr = "REMOTE_ADDR",
    RemotePort = "REMOTE_PORT",
    RemoteHost = "REMOTE_HOST",
    RemoteUser = "REMOTE_USER",
    RemoteIdent = "REMOTE_IDENT",
    ServerName = "SERVER_NAME",
    ServerPort = "SERVER_PORT",
    ServerAdmin = "SERVER_ADMIN",
    ServerProtocol = "SERVER_PROTOCOL",
    ServerSoftware = "SERVER_SOFTWARE",
    DocumentRoot = "DOCUMENT_ROOT",
    AuthType = "AUTH_TYPE",
    ContentType = "CONTENT_TYPE",
    Handler = "HANDLER",
    Http2 = "HTTP2",
    Https = "HTTPS",
    Ipv6 = "IPV6",
    RequestStatus = "REQUEST_STATUS",
    RequestLogId = "REQUEST_LOG_ID",
    ConnLogId = "CONN_LOG_ID",
    ConnRemoteAddr = "CONN_REMOTE_ADDR",
    ContextPrefix = "CONTEXT_PREFIX",
    ContextDocumentRoot = "CONTEXT_DOCUMENT_ROOT",
    ApiVersion = "API_VERSION",
}

/// The first cookie called `name` in a `Cookie` field, found as mod_log_config does.
fn cookie<'f>(fields: &'f [u8], name: &str) -> Option<&'f [u8]> {
    let value = fields.split(|b| *b == b';').find_map(|pair| {
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (left, right) = pair.split_at(equals);
        left.trim_ascii()
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| right[1..].trim_ascii())
    })?;
    (!value.is_empty()).then_some(value)
}

/// The fields that have a variable of their own.
const FIELDS: [(&str, &str); 7] = [
    ("HTTP_ACCEPT", "Accept"),
    ("HTTP_COOKIE", "Cookie"),
    ("HTTP_FORWARDED", "Forwarded"),
    ("HTTP_HOST", "Host"),
    ("HTTP_PROXY_CONNECTION", "Proxy-Connection"),
    ("HTTP_REFERER", "Referer"),
    ("HTTP_USER_AGENT", "User-Agent"),
];

/// The parts of the time, by strftime.
const TIMES: [(&str, &str); 8] = [
    ("TIME", "%Y%m%d%H%M%S"),
    ("TIME_YEAR", "%Y"),
    ("TIME_MON", "%m"),
    ("TIME_DAY", "%d"),
    ("TIME_HOUR", "%H"),
    ("TIME_MIN", "%M"),
    ("TIME_SEC", "%S"),
    ("TIME_WDAY", "%w"),
];

/// The field that the server variable of this name, in any case, stands for: `Host` for `HTTP_HOST`.
pub fn field_of_variable(name: &str) -> Option<&'static str> {
    find(&FIELDS, name)
}

/// How strftime writes the server variable of this name, in any case, if it is a part of the time.
pub fn time_of_variable(name: &str) -> Option<&'static str> {
    find(&TIMES, name)
}

fn find(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let row = table.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    row.map(|(_, meaning)| *meaning)
}

#[cfg(test)]
pub(crate) mod testing {
    //! A request made of tables.

    use std::borrow::Cow;
    use std::net::IpAddr;
    use std::time::{Duration, SystemTime};

    use super::{FileTest, Variable, Vars};

    type Pairs = Vec<(&'static str, &'static [u8])>;

    /// Answers from its lists.
    #[derive(Default)]
    pub(crate) struct Table {
        pub(crate) request: Pairs,
        pub(crate) response: Pairs,
        pub(crate) env: Pairs,
        pub(crate) notes: Pairs,
        pub(crate) os_env: Pairs,
        pub(crate) variables: Pairs,
        pub(crate) files: Pairs,
        pub(crate) tls: Pairs,
    }

    fn find<'t>(pairs: &'t Pairs, name: &str) -> Option<Cow<'t, [u8]>> {
        let pair = pairs.iter().find(|(key, _)| *key == name);
        pair.map(|(_, value)| Cow::Borrowed(*value))
    }

    fn find_field<'t>(pairs: &'t Pairs, name: &str) -> Option<Cow<'t, [u8]>> {
        let pair = pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        pair.map(|(_, value)| Cow::Borrowed(*value))
    }

    impl Vars for Table {
        fn request_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            find_field(&self.request, name)
        }
        fn response_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            find_field(&self.response, name)
        }
        fn env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            find(&self.env, name)
        }
        fn variable(&self, variable: Variable) -> Option<Cow<'_, [u8]>> {
            find(&self.variables, variable.name())
        }
        fn tls(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            find_field(&self.tls, name)
        }
        fn client_ip(&self) -> Option<IpAddr> {
            let address = find(&self.variables, "REMOTE_ADDR")?;
            str::from_utf8(&address).ok()?.parse().ok()
        }
        fn note(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            find_field(&self.notes, name)
        }
        fn os_env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            find(&self.os_env, name)
        }
        fn file_is(&self, test: FileTest, path: &[u8]) -> bool {
            let file = self.files.iter().find(|(name, _)| name.as_bytes() == path);
            match test {
                FileTest::Directory => path.ends_with(b"/") && file.is_some(),
                FileTest::NotEmpty => file.is_some_and(|(_, text)| !text.is_empty()),
                FileTest::Symlink => path.ends_with(b"@") && file.is_some(),
                FileTest::Exists | FileTest::Regular | FileTest::Executable => file.is_some(),
            }
        }
        fn file_size(&self, path: &[u8]) -> Option<u64> {
            self.file_contents(path).and_then(|text| u64::try_from(text.len()).ok())
        }
        fn file_contents(&self, path: &[u8]) -> Option<Vec<u8>> {
            let file = self.files.iter().find(|(name, _)| name.as_bytes() == path);
            file.map(|(_, text)| text.to_vec())
        }
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_170_787)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Table;
    use super::{Variable, Vars};

    /// Seen with `%{a}C` of Apache 2.4.71.
    #[test]
    fn cookies_are_found_as_in_mod_log_config() {
        let vars = Table {
            request: vec![("cookie", b"z=1; a = hello ; B=\"q w\"; a=second; empty=; lone")],
            ..Table::default()
        };
        let table: [(&str, Option<&[u8]>); 6] = [
            ("a", Some(b"hello")),
            ("A", Some(b"hello")),
            ("B", Some(b"\"q w\"")),
            ("empty", None),
            ("lone", None),
            ("y", None),
        ];
        for (name, want) in table {
            assert_eq!(vars.cookie(name).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn variables_are_known_by_name_in_any_case() {
        assert_eq!(Variable::from_name("remote_ADDR"), Some(Variable::RemoteAddr));
        assert_eq!(Variable::RemoteAddr.name(), "REMOTE_ADDR");
        assert_eq!(Variable::from_name("REMOTE"), None);
    }
}
