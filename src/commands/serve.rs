//! `lychgate serve DIR`: a directory as a site, without any configuration. What it serves by is a configuration all the
//! same, written here, so that there is one way to everything.

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::quoting::quoted;

/// What `lychgate serve` was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    /// The directory.
    pub directory: PathBuf,
    /// Where to listen.
    pub listen: ListenAddress,
    /// The directory of scripts; without one, `cgi-bin` below the directory, if it is there.
    pub scripts: Option<PathBuf>,
    /// What is spoken.
    pub scheme: Scheme,
}

/// What `lychgate serve` speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP.
    #[default]
    Http,
    /// The same within TLS, with a certificate that is made for the moment: `--tls`.
    Https,
}

/// Where the settings have the certificate that is made: in no file. What is at hand is found there.
pub const MADE: &str = "/made by lychgate serve";

impl Scheme {
    /// As URLs begin.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// Where `lychgate serve` listens: `--listen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address; `None` is all of both families.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl Default for ListenAddress {
    fn default() -> Self {
        ListenAddress {
            address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: 8000,
        }
    }
}

impl ListenAddress {
    /// `PORT` (of 127.0.0.1), `ADDRESS:PORT`, `[IPV6]:PORT` or `*:PORT`. The error is a sentence.
    pub fn read(word: &str) -> Result<ListenAddress, String> {
        let wrong = || "write a port, or an address and a port as in `192.0.2.1:8000` or `[::1]:8000`".to_owned();
        if let Ok(port) = word.parse() {
            return Ok(ListenAddress {
                port,
                ..ListenAddress::default()
            });
        }
        if let Some(port) = word.strip_prefix("*:") {
            let port = port.parse().map_err(|_| wrong())?;
            return Ok(ListenAddress { address: None, port });
        }
        let address: SocketAddr = word.replace("localhost:", "127.0.0.1:").parse().map_err(|_| wrong())?;
        Ok(ListenAddress {
            address: Some(address.ip()),
            port: address.port(),
        })
    }

    /// Whether other machines reach it.
    pub fn is_public(self) -> bool {
        !self.address.is_some_and(|address| address.is_loopback())
    }

    /// Who it is asked as: names, and addresses as far as they are known.
    pub fn names(self) -> (Vec<String>, Vec<IpAddr>) {
        let machine = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .to_ascii_lowercase();
        let is_name = !machine.is_empty()
            && machine
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        let mut names = vec!["localhost".to_owned()];
        names.extend(Some(machine).filter(|machine| is_name && machine != "localhost"));
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        match self.address {
            Some(address) if !addresses.contains(&address) => addresses.push(address),
            Some(_) => {}
            None => addresses.extend(outgoing()),
        }
        (names, addresses)
    }

    /// As `Listen` takes it.
    fn directive(self) -> String {
        match self.address {
            None => self.port.to_string(),
            Some(address) => SocketAddr::new(address, self.port).to_string(),
        }
    }
}

impl Serve {
    /// The configuration it serves by. An error names what is not there.
    pub fn configuration(&self) -> Result<Vec<u8>, String> {
        let directory = existing(&self.directory)?;
        let scripts = match &self.scripts {
            Some(scripts) => Some(existing(scripts)?),
            None => existing(&directory.join("cgi-bin")).ok(),
        };
        let mut text = format!("Listen {}\n", self.listen.directive()).into_bytes();
        text.extend_from_slice(FIXED.as_bytes());
        if self.scheme == Scheme::Https {
            text.extend_from_slice(format!("SSLEngine on\nSSLCertificateFile \"{MADE}\"\n").as_bytes());
        }
        append(&mut text, "DocumentRoot", &directory, b"")?;
        if let Some(scripts) = scripts {
            append(&mut text, "ScriptAlias /cgi-bin/", &scripts, b"/")?;
        }
        Ok(text)
    }
}

/// The addresses that this machine has for others: those it would ask them from. Nothing is sent.
fn outgoing() -> Vec<IpAddr> {
    let own = |from: &str, to: &str| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    // Addresses of documentation (RFC 5737, RFC 3849), behind the way to everybody.
    let found = [own("0.0.0.0:0", "192.0.2.1:9"), own("[::]:0", "[2001:db8::1]:9")];
    found.into_iter().flatten().collect()
}

/// What does not depend on the command line. Names that begin with a dot are not served: they hold settings, passwords
/// and histories that nobody means to publish.
const FIXED: &str = "ErrorLog /dev/stderr
CustomLog /dev/stderr combined
Options Indexes FollowSymLinks
DirectoryIndex index.html index.htm
<LocationMatch \"/\\.\">
    Require all denied
</LocationMatch>
";

/// The directory's absolute name, or why there is none.
fn existing(directory: &Path) -> Result<PathBuf, String> {
    let told = |error: io::Error| format!("{}: {error}", directory.display());
    let path = directory.canonicalize().map_err(told)?;
    if path.is_dir() {
        Ok(path)
    } else {
        Err(told(io::ErrorKind::NotADirectory.into()))
    }
}

fn append(text: &mut Vec<u8>, directive: &str, path: &Path, end: &[u8]) -> Result<(), String> {
    let path = path.as_os_str().as_bytes();
    if path.contains(&b'\n') {
        let shown = OsStr::from_bytes(path).display();
        return Err(format!(
            "{shown}: a name with a line feed in it cannot be served; rename it"
        ));
    }
    text.extend_from_slice(directive.as_bytes());
    text.push(b' ');
    text.extend(quoted(&[path, end].concat()));
    text.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests;
