//! The request in progress as the little languages see it: expressions and log formats ask through [`Vars`].

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{Access, access};

use crate::exchange::Exchange;
use crate::exchange::response::Response;
use crate::fs::open::{self, Kind};
use crate::http::depends;
use crate::http::status::Status;
use crate::lang::vars::{Accessible, FileTest, Variable, Vars};

/// More of a file than this has no value for `file()`, as in Apache. No directive moves it.
const FILE_LIMIT: u64 = 10 * 1024 * 1024;

/// A request, and its response when there is one.
pub struct View<'a> {
    /// The request.
    pub ex: &'a Exchange,
    /// The response, when it is there.
    pub response: Option<&'a Response>,
}

impl Vars for View<'_> {
    fn request_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.ex.head.joined(name.as_bytes())
    }

    /// The first of several, as in Apache; cookies are shown all, as in its log.
    fn response_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let fields = &self.response?.head.fields;
        if name.eq_ignore_ascii_case("Set-Cookie") {
            return fields.joined(name.as_bytes());
        }
        fields.value(name).map(Cow::Borrowed)
    }

    fn env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let told = self.ex.told(name.as_bytes());
        told.or_else(|| self.ex.environment(name.as_bytes()))
            .or_else(|| self.ex.tls_environment(name).map(Cow::Borrowed))
    }

    fn note(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let note = self.ex.rewriting.notes.get(name.as_bytes())?;
        Some(Cow::Borrowed(note.as_slice()))
    }

    fn variable(&self, variable: Variable) -> Option<Cow<'_, [u8]>> {
        if variable == Variable::RequestStatus {
            // What an error document is looked for with, before there is an answer.
            let before = self
                .ex
                .previous
                .as_deref()
                .map_or(Status::OK, |previous| previous.status);
            let status = self.response.map_or(before, |response| response.head.status);
            return Some(Cow::Owned(status.digits().to_vec()));
        }
        if variable == Variable::ContentType {
            return self.response_field("Content-Type");
        }
        self.ex.server_variable(variable)
    }

    fn tls(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.ex.tls_variable(name)
    }

    fn depends_on(&self, name: &str) {
        // RFC 9110 section 12.5.5 and Apache: a response never varies by Host.
        if !name.eq_ignore_ascii_case("Host") {
            self.ex.rewriting.vary.add(name);
        }
    }

    fn client_ip(&self) -> Option<IpAddr> {
        depends::on_client();
        Some(self.ex.connection.client.ip().to_canonical())
    }

    fn os_env(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        std::env::var_os(name).map(|value| Cow::Owned(value.into_vec()))
    }

    fn file_is(&self, test: FileTest, path: &[u8]) -> bool {
        let meta = || open::stat(path);
        match test {
            FileTest::Exists => meta().is_ok(),
            FileTest::Directory => meta().is_ok_and(|meta| meta.kind == Kind::Directory),
            FileTest::Regular => meta().is_ok_and(|meta| meta.kind == Kind::File),
            FileTest::NotEmpty => meta().is_ok_and(|meta| meta.kind == Kind::File && meta.size > 0),
            FileTest::Symlink => open::is_link(path),
            FileTest::Executable => {
                depends::on_more();
                access(Path::new(OsStr::from_bytes(path)), Access::EXEC_OK).is_ok()
            }
        }
    }

    fn file_size(&self, path: &[u8]) -> Option<u64> {
        depends::on_more();
        let meta = std::fs::metadata(OsStr::from_bytes(path)).ok()?;
        meta.is_file().then_some(meta.len())
    }

    fn file_contents(&self, path: &[u8]) -> Option<Vec<u8>> {
        depends::on_more();
        self.file_size(path).filter(|size| *size <= FILE_LIMIT)?;
        let mut text = Vec::new();
        let file = std::fs::File::open(OsStr::from_bytes(path)).ok()?;
        file.take(FILE_LIMIT).read_to_end(&mut text).ok()?;
        Some(text)
    }

    fn is_accessible(&self, what: Accessible, name: &[u8]) -> bool {
        let ahead = self.ex.rewriting.ahead;
        ahead.is_some_and(|is_accessible| is_accessible(self.ex, what, name))
    }
}

/// A request as [`View`] has it, with the names of the fields that its answers depended on, for `Vary`.
pub struct Noting<'a> {
    view: View<'a>,
    fields: RefCell<Vec<String>>,
}

impl<'a> Noting<'a> {
    /// Answers as `view` does.
    pub fn new(view: View<'a>) -> Noting<'a> {
        Noting {
            view,
            fields: RefCell::default(),
        }
    }

    /// The fields that were asked for, each once; `Host` is no news to a cache (RFC 9110 section 12.5.5).
    pub fn into_fields(self) -> Vec<String> {
        self.fields.into_inner()
    }
}

impl Vars for Noting<'_> {
    fn beneath(&self) -> Option<&dyn Vars> {
        Some(&self.view)
    }

    fn depends_on(&self, field: &str) {
        let mut fields = self.fields.borrow_mut();
        if !field.eq_ignore_ascii_case("Host") && !fields.iter().any(|known| known.eq_ignore_ascii_case(field)) {
            fields.push(field.to_owned());
        }
    }
}
