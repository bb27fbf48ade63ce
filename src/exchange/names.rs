//! What the server calls itself towards a client: SERVER_NAME, SERVER_PORT, and full URLs of its own.

use crate::base::{quote, version};
use crate::config::directives::core::{CanonicalName, Signature};
use crate::config::directives::server::Tokens;
use crate::config::directives::tls::Engine;
use crate::config::site::document_root;
use crate::exchange::{Exchange, PassTarget};

impl Exchange {
    /// SERVER_NAME by UseCanonicalName: what the client asked for, or what ServerName says.
    pub fn server_name(&self) -> &[u8] {
        match self.conf().core.use_canonical_name.or(CanonicalName::Off) {
            CanonicalName::Off if !self.host.is_empty() => &self.host,
            CanonicalName::Off | CanonicalName::On | CanonicalName::Dns => self.site_name(),
        }
    }

    /// DOCUMENT_ROOT: where the site lies, as far as the walk knows it yet.
    pub fn document_root(&self) -> Vec<u8> {
        match &self.target.landed.document_root {
            Some(root) => root.clone(),
            None => document_root(self.config, self.site),
        }
    }

    /// What ServerName says, or the machine's own name.
    pub fn site_name(&self) -> &[u8] {
        match self.site.settings.core.name.value() {
            Some(name) => &name.host,
            None => &self.config.host_name,
        }
    }

    /// SERVER_PORT by UseCanonicalName and UseCanonicalPhysicalPort.
    pub fn server_port(&self) -> u16 {
        let core = &self.conf().core;
        let asked = match core.use_canonical_name.or(CanonicalName::Off) {
            CanonicalName::Off => self.host_port,
            CanonicalName::On | CanonicalName::Dns => None,
        };
        let own = self.own_port();
        let physical = core
            .use_canonical_physical_port
            .or(false)
            .then(|| self.connection.local.port());
        let port = match core.use_canonical_name.or(CanonicalName::Off) {
            CanonicalName::On => own.or(physical),
            CanonicalName::Off | CanonicalName::Dns => asked.or(physical).or(own),
        };
        port.unwrap_or(self.usual_port())
    }

    /// The port of the site as the settings tell it, for `%p`: ServerName's, whatever the client asked for.
    pub fn canonical_port(&self) -> u16 {
        self.own_port().unwrap_or(self.usual_port())
    }

    /// ServerName's port. A virtual host without a name is known by the address that it is at.
    fn own_port(&self) -> Option<u16> {
        if !self.has_own_name() {
            return Some(self.connection.local.port());
        }
        self.site.settings.core.name.value().and_then(|name| name.port)
    }

    /// Whether ServerName is the site's own: a virtual host without one has the main server's, but for its scheme and port.
    fn has_own_name(&self) -> bool {
        self.site.number == 0 || self.site.names_itself
    }

    /// Whether the client speaks TLS with us.
    pub fn is_secure(&self) -> bool {
        self.connection.tls.is_some()
    }

    /// The scheme of the site's own URLs: https where it speaks TLS (with this client, where it speaks both), else what ServerName
    /// says, else http.
    pub fn scheme(&self) -> &'static [u8] {
        let settings = &self.site.settings;
        let name = settings.core.name.value().filter(|_| self.has_own_name());
        let named = name.and_then(|name| name.scheme.as_deref());
        match settings.tls.spoken() {
            Engine::On => b"https",
            Engine::Optional if self.is_secure() => b"https",
            Engine::Off if named == Some(b"https") => b"https",
            Engine::Optional | Engine::Off => b"http",
        }
    }

    /// The port that a URL of that scheme does not name.
    fn usual_port(&self) -> u16 {
        if self.scheme() == b"https" { 443 } else { 80 }
    }

    /// A full URL of this server for a path that is already escaped, as redirects need it.
    pub fn own_url(&self, escaped_path: &[u8]) -> Vec<u8> {
        let mut url = [self.scheme(), b"://"].concat();
        url.extend_from_slice(self.server_name());
        let port = self.server_port();
        if port != self.usual_port() {
            url.extend_from_slice(format!(":{port}").as_bytes());
        }
        url.extend_from_slice(escaped_path);
        url
    }

    /// The full URL of a pass's target, its query included.
    pub(super) fn full_url(&self, target: &PassTarget) -> Vec<u8> {
        let mut path = Vec::new();
        quote::escape_path(&mut path, target.path.as_bytes());
        if let Some(query) = &target.query {
            path.push(b'?');
            path.extend_from_slice(query);
        }
        self.own_url(&path)
    }

    /// What the server calls itself: the Server field, SERVER_SOFTWARE.
    pub fn software(&self) -> Vec<u8> {
        version::software(self.config.server.core.tokens.or(Tokens::Full).detail())
    }

    /// The line under a page, HTML already, as ServerSignature asks for it.
    pub fn signature(&self) -> Option<Vec<u8>> {
        let kind = self.conf().core.server_signature.or(Signature::Off);
        if kind == Signature::Off {
            return None;
        }
        let mut line = self.software();
        line.extend_from_slice(b" Server at ");
        let admin = self.site.settings.core.admin.value();
        let admin = admin.filter(|_| kind == Signature::EMail);
        if let Some(admin) = admin {
            line.extend_from_slice(b"<a href=\"");
            if !admin.starts_with(b"http:") && !admin.starts_with(b"https:") {
                line.extend_from_slice(b"mailto:");
            }
            quote::escape_html(&mut line, admin);
            line.extend_from_slice(b"\">");
        }
        quote::escape_html(&mut line, self.server_name());
        if admin.is_some() {
            line.extend_from_slice(b"</a>");
        }
        line.extend_from_slice(format!(" Port {}", self.server_port()).as_bytes());
        Some(line)
    }
}
