//! The contents of the files that TLS needs: read once by whoever may read them, and handed on by descriptor. They are in no
//! text of the settings.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::directives::SiteSettings;
use crate::config::directives::tls::Named;
use crate::config::error::ConfigError;
use crate::config::site::Config;

/// The contents of files, by their absolute paths. A directory's are those of its files, one behind the other.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keyring(BTreeMap<Vec<u8>, Vec<u8>>);

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

/// Reads a file, or all files of a directory in the order of their names.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_dir() {
        return fs::read(path);
    }
    let mut files: Vec<_> = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    let mut all = Vec::new();
    // A directory of certificates has other things in it too: links that lead nowhere, directories.
    for text in files
        .iter()
        .filter(|file| file.is_file())
        .filter_map(|file| fs::read(file).ok())
    {
        all.extend_from_slice(&text);
        all.push(b'\n');
    }
    Ok(all)
}

impl Keyring {
    /// Reads the files of all sites that have to do with TLS, and what is wrong with any of them.
    pub fn read(config: &Config) -> (Keyring, Vec<ConfigError>) {
        let mut ring = Keyring::default();
        let mut faults = Vec::new();
        let sites = config.sites.iter().map(|site| &site.settings);
        for (directive, file) in sites.filter(|site| site.tls.is_on()).flat_map(needed) {
            if ring.0.contains_key(&file.path) {
                continue;
            }
            match contents(Path::new(OsStr::from_bytes(&file.path))) {
                Ok(text) => {
                    ring.0.insert(file.path.clone(), text);
                }
                Err(error) => {
                    let sentence = format!("{}: {error}", String::from_utf8_lossy(&file.path));
                    faults.push(ConfigError::error(&file.span, directive, sentence));
                }
            }
        }
        (ring, faults)
    }

    /// What a file has.
    pub fn contents(&self, path: &[u8]) -> Option<&[u8]> {
        self.0.get(path).map(Vec::as_slice)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it as bytes, for another process.
    pub fn pack(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in self.0.iter().flat_map(|(path, text)| [path, text]) {
            bytes.extend_from_slice(&(word.len() as u64).to_le_bytes());
            bytes.extend_from_slice(word);
        }
        bytes
    }

    /// Reads what was packed; `None` where it was not.
    pub fn unpack(mut bytes: &[u8]) -> Option<Keyring> {
        let mut ring = Keyring::default();
        while !bytes.is_empty() {
            let path = word(&mut bytes)?;
            ring.0.insert(path.to_vec(), word(&mut bytes)?.to_vec());
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

    #[test]
    fn what_is_packed_is_unpacked_and_every_cut_is_refused() {
        let mut ring = Keyring::default();
        ring.0.insert(b"/a.pem".to_vec(), b"text".to_vec());
        ring.0.insert(b"/b.pem".to_vec(), Vec::new());
        let packed = ring.pack();
        assert!(Keyring::unpack(&packed) == Some(ring));
        let ends = [0, 8 + 6 + 8 + 4];
        for cut in (0..packed.len()).filter(|cut| !ends.contains(cut)) {
            assert!(Keyring::unpack(&packed[..cut]).is_none(), "{cut}");
        }
    }
}
