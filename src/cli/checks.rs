//! What is looked for on this machine besides the settings themselves, as Apache does at every start.

pub(super) mod named;
pub(super) mod sandbox;

use std::net::SocketAddr;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::process::DumpableBehavior;

use super::privileges::Asker;
use crate::config::directives::server::Listen;
use crate::config::error::{ConfigError, Severity};
use crate::config::keyring::Keyring;
use crate::config::load::Loaded;
use crate::config::node::{Node, Settings};
use crate::config::words::{below, shown};
use crate::net::tls::{Clients, Engines};
use crate::process::identity::Identity;

/// The Listen lines that name an address another one has named; an error in Apache too. Port 0 is another each time.
pub(super) fn repeated_listeners(lines: &[Listen]) -> Vec<ConfigError> {
    let mut repeated = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.port != 0) {
        let before = lines.iter().take(at);
        let mut same = before.filter(|other| (other.address, other.port) == (line.address, line.port));
        if let Some(first) = same.next() {
            let address = line.address.map_or_else(
                || format!("port {}", line.port),
                |address| SocketAddr::new(address, line.port).to_string(),
            );
            let sentence = format!("{} names {address} already; one of the two lines is enough", first.span);
            repeated.push(ConfigError::error(&line.span, "Listen", sentence));
        }
    }
    repeated
}

/// Reads the files that TLS needs, and tries what they have. Who holds keys is not looked into: no core file of this process
/// is written, and what it has open is nobody's but root's.
pub(super) fn keys(loaded: &mut Loaded, asker: Asker) {
    if Keyring::is_needed(&loaded.config) {
        // No kernel refuses it (prctl(2)).
        let _never_fails = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    let denied = match asker {
        Asker::Checker if !Identity::process_is_root() => Severity::Warning,
        Asker::Checker | Asker::Server => Severity::Error,
    };
    #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "there are no keys to open"))]
    let (mut keyring, mut faults) = Keyring::read(&loaded.config, denied);
    #[cfg(feature = "tls")]
    faults.extend(super::pass_phrases::open(&loaded.config, &mut keyring));
    if faults.iter().all(|fault| fault.severity < Severity::Error) {
        faults.extend(Engines::remarks(&loaded.config, &keyring));
    }
    let is_right = faults.iter().all(|fault| fault.severity < Severity::Error);
    if let Some(behind) = keyring.for_servers_behind(&loaded.config).filter(|_| is_right) {
        faults.extend(Clients::new(&loaded.config, behind).err().into_iter().flatten());
    }
    loaded.keyring = keyring;
    loaded.complaints.extend(faults);
}

/// The programs of `<Service>` sections that are not there, and the users that nobody knows. Programs of one that has a root of
/// its own are looked for below it.
pub(super) fn unfit_services(settings: &Settings) -> Vec<ConfigError> {
    let mut unfit = Vec::new();
    let services = settings.nodes.iter();
    for service in services.filter(|node| node.name().eq_ignore_ascii_case("Service")) {
        let said = |name: &str| {
            let mut children = service.children().iter();
            children.find(|child| child.name().eq_ignore_ascii_case(name))
        };
        let word = |node: &Node| node.words().first().cloned().unwrap_or_default();
        if let Some(command) = said("Command") {
            let root = said("ChrootDir").map_or_else(Vec::new, |root| below(&settings.server_root, &word(root)));
            let path = [root, below(&settings.server_root, &word(command))].concat();
            if let Err(error) = rustix::fs::access(path.as_slice(), rustix::fs::Access::EXEC_OK) {
                let sentence = format!("{} cannot be executed: {error}", shown(&path));
                unfit.push(ConfigError::warning(command.span(), command.name(), sentence));
            }
        }
        if let Some(user) = said("User").filter(|_| Identity::process_is_root()) {
            let group = said("Group").map(word);
            match Identity::look_up(&word(user), group.as_deref()) {
                Ok(identity) if identity.uid == 0 => {
                    let sentence = "a service does not run as root; name another user";
                    unfit.push(ConfigError::warning(user.span(), user.name(), sentence));
                }
                Ok(_) => {}
                Err(error) => unfit.push(ConfigError::warning(user.span(), user.name(), error.what())),
            }
        }
    }
    unfit
}

/// The DocumentRoots that are not there below `jail` (ChrootDir, or the root of all): an error for the main server, a warning for a virtual host, as in Apache.
pub(super) fn missing_document_roots(settings: &Settings, jail: &[u8]) -> Vec<ConfigError> {
    let mut missing = Vec::new();
    for node in &settings.nodes {
        look(node, Severity::Error, settings, jail, &mut missing);
        if node.name().eq_ignore_ascii_case("VirtualHost") {
            for child in node.children() {
                look(child, Severity::Warning, settings, jail, &mut missing);
            }
        }
    }
    missing
}

fn look(node: &Node, severity: Severity, settings: &Settings, jail: &[u8], missing: &mut Vec<ConfigError>) {
    let [root] = node.words() else { return };
    let path = below(&settings.server_root, root);
    if node.name().eq_ignore_ascii_case("DocumentRoot") && !is_directory(jail, &path) {
        let sentence = format!(
            "{} is not a directory{}; make it, or name one that is there",
            shown(&path),
            if jail == b"/" { "" } else { " below ChrootDir" }
        );
        missing.push(ConfigError::new(severity, node.span(), node.name(), sentence));
    }
}

/// Whether the path is a directory for a process whose root is `jail`: links inside lead to what is inside.
fn is_directory(jail: &[u8], path: &[u8]) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(jail, flags, Mode::empty())
        .and_then(|jail| rustix::fs::openat2(jail, path, flags, Mode::empty(), ResolveFlags::IN_ROOT));
    opened.is_ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{missing_document_roots, repeated_listeners};
    use crate::config::load::{Source, load, load_text};

    #[test]
    fn an_address_is_named_once() {
        let text = b"Listen 80\nListen 127.0.0.1:80\nListen *:80\nListen 0.0.0.0:80\nListen 127.0.0.1:80\nListen 0\nListen 0\n";
        let loaded = load_text("a.conf", text, Path::new("/"));
        let repeated: Vec<String> = repeated_listeners(&loaded.config.server.core.listen)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            repeated,
            [
                "a.conf:3: Listen: a.conf:1 names port 80 already; one of the two lines is enough",
                "a.conf:5: Listen: a.conf:2 names 127.0.0.1:80 already; one of the two lines is enough",
            ]
        );
    }

    #[test]
    fn document_roots_must_be_there() {
        let text = b"DocumentRoot /nowhere/main\n<VirtualHost *:80>\nDocumentRoot \"/nowhere/a b\"\n</VirtualHost>\n\
            <VirtualHost *:81>\nDocumentRoot /tmp\n</VirtualHost>\nDocumentRoot etc\n";
        let loaded = load_text("a.conf", text, Path::new("/"));
        let missing: Vec<String> = missing_document_roots(&loaded.settings, b"/")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            missing,
            [
                "a.conf:1: DocumentRoot: `/nowhere/main` is not a directory; make it, or name one that is there",
                "a.conf:3: warning: DocumentRoot: `/nowhere/a b` is not a directory; make it, or name one that is there",
            ]
        );
    }

    #[test]
    fn what_is_shipped_is_right() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in ["conf/httpd.conf", "conf/extra/vhosts.conf", "conf/extra/cgi.conf"] {
            let loaded = load(&Source {
                file: top.join(file),
                server_root: top.to_owned(),
                ..Source::default()
            });
            assert_eq!(loaded.complaints, [], "{file}");
            if file == "conf/httpd.conf" {
                assert_eq!(missing_document_roots(&loaded.settings, b"/"), []);
                assert_eq!(repeated_listeners(&loaded.config.server.core.listen), []);
            }
        }
    }
}
