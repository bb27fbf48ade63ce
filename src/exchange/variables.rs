//! The request's variables by name, as log formats and expressions ask for them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User};

use crate::base::{ascii, version};
use crate::config::directives::server::Tokens;
use crate::exchange::{Exchange, Previous};
use crate::http::depends;
use crate::http::method::Method;
use crate::lang::local_time;
use crate::lang::vars::Variable;

/// The name of a user. Where the system asks elsewhere for it, it waits: few expressions ask.
fn user(uid: u32) -> Option<String> {
    Some(User::from_uid(Uid::from_raw(uid)).ok()??.name)
}

/// The name of a group, likewise.
fn group(gid: u32) -> Option<String> {
    Some(Group::from_gid(Gid::from_raw(gid)).ok()??.name)
}

/// Stands before the names of former passes' variables.
const PREFIX: &[u8] = b"REDIRECT_";

impl Previous {
    /// A variable by the name that it has in the pass behind this one, with `REDIRECT_` before its own.
    fn renamed(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let name = name
            .get(PREFIX.len()..)
            .filter(|_| ascii::starts_with_ignore_case(name, PREFIX))?;
        if name.eq_ignore_ascii_case(b"STATUS") {
            return Some(Cow::Owned(self.status.digits().to_vec()));
        }
        let own = self.variables.get(name).map(|value| Cow::Borrowed(value.as_slice()));
        own.or_else(|| self.before.as_deref()?.renamed(name))
    }
}

impl Exchange {
    /// A variable that the settings or a phase set, of this pass. As in Apache, what it was before SetEnv counts until a program
    /// or a page parsed for includes was told of the request: that one, and who asks behind it, sees what SetEnv says.
    pub fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        let before = self
            .rewriting
            .overlaid
            .get(name)
            .filter(|_| !self.target.landed.is_told);
        before.or_else(|| self.variables.get(name)).map(Vec::as_slice)
    }

    /// Sets a variable in place of any of its name.
    pub fn set_variable(&mut self, name: Vec<u8>, value: Vec<u8>) {
        self.rewriting.overlaid.remove(&name);
        self.variables.insert(name, value);
    }

    /// Takes a variable away.
    pub fn unset_variable(&mut self, name: &[u8]) {
        self.rewriting.overlaid.remove(name);
        self.variables.remove(name);
    }

    /// Sets a variable as SetEnv does, for scripts above all: see [`Exchange::variable`].
    pub fn overlay_variable(&mut self, name: &[u8], value: &[u8]) {
        if let Some(before) = self.variables.insert(name.to_vec(), value.to_vec()) {
            self.rewriting.overlaid.insert_new(name.to_vec(), before);
        }
    }

    /// A variable as conditions ask for it: one of this pass, or one of a pass before it, which has `REDIRECT_` before its name, or UNIQUE_ID.
    pub fn environment(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let own = self.variable(name).map(Cow::Borrowed);
        own.or_else(|| self.previous.as_deref()?.renamed(name))
            .or_else(|| self.name_of_request(name))
    }

    /// UNIQUE_ID, which every request has from its beginning (Apache mod_unique_id).
    fn name_of_request(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        if !name.eq_ignore_ascii_case(b"UNIQUE_ID") {
            return None;
        }
        depends::on_more();
        Some(Cow::Borrowed(&self.unique_id))
    }

    /// The name of this pass's method.
    pub fn method_name(&self) -> &[u8] {
        self.name_of(self.method)
    }

    /// The name of a method that a pass of this request had.
    pub fn name_of(&self, method: Method) -> &[u8] {
        match method {
            Method::Other => self.head.method_bytes(),
            method => method.as_str().as_bytes(),
        }
    }

    /// A variable that the server computes; `None` where it has no value.
    pub fn server_variable(&self, variable: Variable) -> Option<Cow<'_, [u8]>> {
        let text = |text: &'static str| Some(Cow::Borrowed(text.as_bytes()));
        let bytes = |bytes: &'_ [u8]| Some(Cow::Owned(bytes.to_vec()));
        match variable {
            Variable::RequestMethod => bytes(self.method_name()),
            Variable::RequestScheme => Some(Cow::Borrowed(self.scheme())),
            Variable::RequestUri | Variable::DocumentUri => bytes(self.target.path.as_bytes()),
            Variable::RequestFilename | Variable::ScriptFilename => bytes(&self.file),
            Variable::ScriptUser => bytes(user(self.file_status()?.st_uid)?.as_bytes()),
            Variable::ScriptGroup => bytes(group(self.file_status()?.st_gid)?.as_bytes()),
            Variable::LastModified => {
                let modified =
                    local_time::zoned(Duration::from_secs(u64::try_from(self.file_status()?.st_mtime).ok()?));
                bytes(modified.strftime("%Y%m%d%H%M%S").to_string().as_bytes())
            }
            Variable::PathInfo => bytes(&self.target.landed.path_info),
            Variable::ContextPrefix => bytes(&self.target.landed.context_prefix),
            Variable::ContextDocumentRoot => match self.target.landed.context_root.as_slice() {
                [] => bytes(&self.document_root()),
                root => bytes(root),
            },
            Variable::QueryString => bytes(self.target.query.as_deref().unwrap_or(b"")),
            Variable::IsSubreq => text(if self.is_subrequest() { "true" } else { "false" }),
            Variable::Http2 => text("off"),
            Variable::Https => text(if self.is_secure() { "on" } else { "off" }),
            Variable::TheRequest => bytes(self.head.request_line()),
            Variable::RemoteAddr => bytes(self.client_ip().as_bytes()),
            Variable::ConnRemoteAddr => {
                depends::on_more();
                bytes(self.connection.peer.ip().to_canonical().to_string().as_bytes())
            }
            Variable::RemotePort => {
                depends::on_more();
                bytes(self.connection.client.port().to_string().as_bytes())
            }
            Variable::RemoteHost => match &self.client.host {
                Some(host) => bytes(host),
                None => bytes(self.client_ip().as_bytes()),
            },
            Variable::RemoteUser => self.client.user.as_deref().and_then(bytes),
            Variable::AuthType => self.client.auth_type.and_then(|known| bytes(known.as_bytes())),
            Variable::ServerName => bytes(self.server_name()),
            Variable::ServerPort => bytes(self.server_port().to_string().as_bytes()),
            Variable::ServerAdmin => self.site.settings.core.admin.value().and_then(|admin| bytes(admin)),
            Variable::ServerProtocol => text(self.protocol()),
            Variable::ServerSoftware => bytes(&version::software(
                self.config.server.core.tokens.or(Tokens::Full).detail(),
            )),
            Variable::DocumentRoot => bytes(&self.document_root()),
            Variable::Handler => Some(Cow::Borrowed(self.handler.as_slice())).filter(|handler| !handler.is_empty()),
            Variable::Ipv6 => {
                depends::on_client();
                let is_it = self.connection.client.ip().to_canonical().is_ipv6();
                text(if is_it { "on" } else { "off" })
            }
            Variable::RequestLogId => {
                depends::on_more();
                bytes(&self.unique_id)
            }
            Variable::ApiVersion => text("20120211:133"),
            _ => None,
        }
    }

    /// What the system knows of the file that the request has landed on.
    fn file_status(&self) -> Option<rustix::fs::Stat> {
        depends::on_more();
        rustix::fs::stat(self.file.as_slice()).ok()
    }

    /// The client's address as text; an IPv4 client of an IPv6 socket is told as IPv4.
    pub fn client_ip(&self) -> String {
        depends::on_client();
        match self.connection.client.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                let mut text = Vec::with_capacity("255.255.255.255".len());
                ascii::append_decimal(&mut text, a.into());
                for octet in [b, c, d] {
                    text.push(b'.');
                    ascii::append_decimal(&mut text, octet.into());
                }
                String::from_utf8(text).unwrap_or_default()
            }
            IpAddr::V6(ip) => ip.to_string(),
        }
    }
}
