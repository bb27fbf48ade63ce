//! The contents of the files that TLS needs: read once by whoever may read them, and handed on by descriptor. They are in no
//! text of the settings.

mod openness;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::base::secret::Secret;
use crate::config::directives::SiteSettings;
use crate::config::directives::tls::Named;
use crate::config::directives::tls_proxy::TlsProxy;
use crate::config::error::{ConfigError, Severity};
use crate::config::site::{Config, Site};
use crate::config::tls_behind;
use crate::tls::ocsp::CertId;

/// More than this is no file of keys or certificates; no directive moves it.
const MOST: usize = 16 * 1024 * 1024;

/// The contents of files, by their absolute paths. A directory's are those of its files, one behind the other. They are wiped
/// when the ring is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keyring(BTreeMap<Vec<u8>, Secret>);

/// What stands in the place of a path for the certificates that the system trusts.
const TRUSTED: &[u8] = b"trusted by the system";

/// What the names of answers of OCSP begin with.
const ANSWER: &[u8] = b"answer of OCSP ";

/// More answers are not kept for the next worker. No directive moves it.
const MOST_ANSWERS: usize = 1000;

/// The longest answer that is kept.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What stands in the place of a path for an answer of OCSP about a certificate.
pub fn answer_name(id: &CertId) -> Vec<u8> {
    let hash = Sha256::digest(id.question());
    let hash = hash.iter().map(|byte| format!("{byte:02x}"));
    [ANSWER, hash.collect::<String>().as_bytes()].concat()
}

/// What stands there for the secret that all workers share.
const SECRET: &[u8] = b"shared by the workers";

/// The files of one site: the directive that names each, and what it says.
fn needed(site: &SiteSettings) -> impl Iterator<Item = (&'static str, &Named)> {
    let tls = &site.tls;
    let certificates = tls.certificates.value().into_iter().flatten();
    let keys = tls.keys.value().into_iter().flatten();
    certificates
        .map(|file| ("SSLCertificateFile", file))
        .chain(keys.map(|file| ("SSLCertificateKeyFile", file)))
        .chain(tls.chain.value().map(|file| ("SSLCertificateChainFile", file)))
        .chain(site.tls_clients.files())
}

/// The secret of a site's tickets.
fn ticket_key(site: &Site) -> Option<(&'static str, &Named)> {
    let key = site
        .settings
        .tls_sessions
        .key
        .value()
        .filter(|_| site.settings.tls.is_on())?;
    Some(("SSLSessionTicketKeyFile", key))
}

/// Reads a file, or all files of a directory in the order of their names.
fn contents(path: &Path) -> io::Result<Secret> {
    if !fs::metadata(path)?.is_dir() {
        return file(path);
    }
    let mut files: Vec<_> = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    // A directory of certificates has other things in it too: links that lead nowhere, directories.
    let texts: Vec<Secret> = files
        .iter()
        .filter(|path| path.is_file())
        .filter_map(|path| file(path).ok())
        .collect();
    let pieces: Vec<&[u8]> = texts.iter().flat_map(|text| [text, &b"\n"[..]]).collect();
    Ok(Secret::joined(&pieces))
}

/// A FIFO is not waited for, and a device that never ends is refused.
fn file(path: &Path) -> io::Result<Secret> {
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let length = file.metadata()?.len();
    Secret::read(file, usize::try_from(length).unwrap_or(MOST), MOST)
}

/// What is in a file that nobody else should read.
fn secret_in(directive: &str, text: &[u8]) -> Option<&'static str> {
    if directive == "SSLSessionTicketKeyFile" {
        return Some("secret");
    }
    memchr::memmem::find(text, b" PRIVATE KEY-----").map(|_| "private key")
}

impl Keyring {
    /// Reads the files of all sites that have to do with TLS, and what is wrong with any of them: `denied` tells how bad it is
    /// that we may not read one. A key that others may read is worth a warning.
    pub fn read(config: &Config, denied: Severity) -> (Keyring, Vec<ConfigError>) {
        let mut ring = Keyring::default();
        let mut faults = Vec::new();
        let sites = config.sites.iter().map(|site| &site.settings);
        let behind = tls_behind::confs(config);
        let of_servers_behind = behind.iter().flat_map(TlsProxy::files);
        let of_sites = sites.filter(|site| site.tls.is_on()).flat_map(needed);
        let of_tickets = config.sites.iter().filter_map(ticket_key);
        for (directive, file) in of_sites.chain(of_tickets).chain(of_servers_behind) {
            if ring.0.contains_key(&file.path) {
                continue;
            }
            let path = Path::new(OsStr::from_bytes(&file.path));
            let shown = path.display();
            match contents(path) {
                Ok(text) => {
                    let secret = secret_in(directive, &text);
                    if let Some((secret, readers)) = secret.zip(secret.and_then(|_| openness::readers(path))) {
                        let sentence =
                            format!("{shown}: {readers} can read the {secret} in it; `chmod 600` keeps it secret");
                        faults.push(ConfigError::warning(&file.span, directive, sentence));
                    }
                    ring.0.insert(file.path.clone(), text);
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && denied < Severity::Error => {
                    let sentence =
                        format!("{shown}: {error}: it is not checked; a server that root starts can read it");
                    faults.push(ConfigError::new(denied, &file.span, directive, sentence));
                }
                Err(error) => faults.push(ConfigError::error(&file.span, directive, format!("{shown}: {error}"))),
            }
        }
        if let Some(asking) = behind.iter().find(|tls| tls.trusts_the_system()) {
            match tls_behind::trusted_by_the_system() {
                Some(text) => ring.0.extend([(TRUSTED.to_vec(), text.into())]),
                None => faults.extend(tls_behind::nothing_is_trusted(asking)),
            }
        }
        (ring, faults)
    }

    /// One that has this text under a name, in the place of a file.
    pub fn of(name: &[u8], text: Secret) -> Keyring {
        Keyring(BTreeMap::from([(name.to_vec(), text)]))
    }

    /// Whether a file that this site needs was not read.
    pub fn lacks(&self, site: &Site) -> bool {
        let mut files = needed(&site.settings).chain(ticket_key(site));
        files.any(|(_, file)| !self.0.contains_key(&file.path))
    }

    /// Puts this text before that of a file.
    pub fn put_before(&mut self, path: &[u8], text: &[u8]) {
        if let Some(old) = self.0.get_mut(path) {
            *old = Secret::joined(&[text, &*old]);
        }
    }

    /// Adds the secret that all workers share and nobody else knows.
    pub fn add_secret(&mut self, secret: &[u8]) {
        self.0.insert(SECRET.to_vec(), Secret::joined(&[secret]));
    }

    /// Adds what a worker says that an answer of OCSP is. It can take the place of nothing else, and grows to a bound.
    pub fn add_answer(&mut self, name: Vec<u8>, answer: Vec<u8>) {
        let has_room = self.0.len() < MOST_ANSWERS || self.0.contains_key(&name);
        if name.starts_with(ANSWER) && answer.len() <= LONGEST_ANSWER && has_room {
            self.0.insert(name, Secret::from(answer));
        }
    }

    /// That secret, in a worker.
    pub fn secret(&self) -> Option<&[u8]> {
        self.contents(SECRET)
    }

    /// Other bytes as soon as anything is otherwise that is said of TLS for a site, or that is in its files, or `more`.
    pub fn fingerprint(&self, site: &Site, more: &impl fmt::Debug) -> [u8; 32] {
        let settings = &site.settings;
        let mut hash = Sha256::new();
        hash.update(format!("{:?}{:?}{more:?}", settings.tls, settings.tls_clients));
        for (_, file) in needed(settings).chain(ticket_key(site)) {
            hash.update(Sha256::digest(self.contents(&file.path).unwrap_or_default()));
        }
        hash.finalize().into()
    }

    /// Whether any file is needed.
    pub fn is_needed(config: &Config) -> bool {
        config.sites.iter().any(|site| site.settings.tls.is_on()) || !tls_behind::confs(config).is_empty()
    }

    /// The part of it that servers behind are asked with; `None` where a file was not read.
    pub fn for_servers_behind(&self, config: &Config) -> Option<Keyring> {
        let confs = tls_behind::confs(config);
        let mut part = Keyring::default();
        for (_, file) in confs.iter().flat_map(TlsProxy::files) {
            part.0.insert(file.path.clone(), self.0.get(&file.path)?.clone());
        }
        let trusted = self.0.get_key_value(TRUSTED);
        part.0.extend(trusted.map(|(name, text)| (name.clone(), text.clone())));
        Some(part)
    }

    /// The certificates that the system trusts, in PEM form, where they are needed.
    pub fn trusted_by_the_system(&self) -> Option<&[u8]> {
        self.contents(TRUSTED)
    }

    /// One of what the system trusts alone, if it says what that is.
    pub fn of_the_system() -> Option<Keyring> {
        let text = tls_behind::trusted_by_the_system()?;
        Some(Keyring([(TRUSTED.to_vec(), text.into())].into()))
    }

    /// What a file has.
    pub fn contents(&self, path: &[u8]) -> Option<&[u8]> {
        self.0.get(path).map(|text| &**text)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it as bytes, for another process.
    pub fn pack(&self) -> Secret {
        let words: Vec<&[u8]> = self.0.iter().flat_map(|(path, text)| [path.as_slice(), text]).collect();
        let lengths: Vec<[u8; 8]> = words.iter().map(|word| (word.len() as u64).to_le_bytes()).collect();
        let pieces = lengths
            .iter()
            .zip(&words)
            .flat_map(|(length, word)| [&length[..], *word]);
        Secret::joined(&pieces.collect::<Vec<_>>())
    }

    /// Reads what was packed; `None` where it was not.
    pub fn unpack(mut bytes: &[u8]) -> Option<Keyring> {
        let mut ring = Keyring::default();
        while !bytes.is_empty() {
            let path = word(&mut bytes)?;
            ring.0.insert(path.to_vec(), Secret::joined(&[word(&mut bytes)?]));
        }
        Some(ring)
    }
}

fn word<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (word, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(word)
}

/// Keys are not for logs.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring of {} files", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Keyring;
    use crate::base::secret::Secret;

    #[test]
    fn an_answer_takes_the_place_of_nothing_else() {
        let mut ring = Keyring::default();
        ring.add_answer(b"/a.pem".to_vec(), b"mine".to_vec());
        ring.add_answer([super::ANSWER, b"long"].concat(), vec![0; super::LONGEST_ANSWER + 1]);
        assert!(ring.is_empty());
        for number in 0..=super::MOST_ANSWERS {
            ring.add_answer([super::ANSWER, number.to_string().as_bytes()].concat(), b"old".to_vec());
        }
        ring.add_answer([super::ANSWER, b"7"].concat(), b"new".to_vec());
        assert_eq!(ring.0.len(), super::MOST_ANSWERS);
        assert_eq!(ring.contents(&[super::ANSWER, b"7"].concat()), Some(&b"new"[..]));
    }

    #[test]
    fn what_is_packed_is_unpacked_and_every_cut_is_refused() {
        let mut ring = Keyring::default();
        ring.0.insert(b"/a.pem".to_vec(), Secret::from(b"text".to_vec()));
        ring.0.insert(b"/b.pem".to_vec(), Secret::default());
        let packed = ring.pack();
        assert!(Keyring::unpack(&packed) == Some(ring));
        let ends = [0, 8 + 6 + 8 + 4];
        for cut in (0..packed.len()).filter(|cut| !ends.contains(cut)) {
            assert!(Keyring::unpack(&packed[..cut]).is_none(), "{cut}");
        }
    }
}
