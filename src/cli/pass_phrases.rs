//! Encrypted private keys are opened while the settings are read, with the pass phrases of SSLPassPhraseDialog's program.

use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use crate::base::secret::Secret;
use crate::config::directives::tls::Named;
use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;
use crate::config::site::{Config, Site};
use crate::process::child::{ChildSpec, Program, Session, spawn};
use crate::process::null;
use crate::process::pidfd::signal_group;
use crate::tls::decrypt::{DecryptError, decrypt};
use crate::tls::pem::{self, Block, Encryption, Kind};

/// How long the program may take; no directive moves it.
const LIMIT: Duration = Duration::from_secs(10);

/// A pass phrase is no longer than that.
const LONGEST: usize = 4096;

/// Opens the encrypted keys of all sites, in place. What cannot be opened is told.
pub(super) fn open(config: &Config, keyring: &mut Keyring) -> Vec<ConfigError> {
    let mut known = Vec::new();
    let mut faults = Vec::new();
    for site in config.sites.iter().filter(|site| site.settings.tls.is_on()) {
        for (number, (directive, file)) in keys(site).enumerate() {
            let text = keyring.contents(&file.path).unwrap_or_default();
            let Some(block) = encrypted(text) else { continue };
            match open_one(config, site, number, &block, &mut known) {
                Ok(key) => keyring.put_before(&file.path, &key),
                Err(why) => {
                    let shown = String::from_utf8_lossy(&file.path);
                    faults.push(ConfigError::error(&file.span, directive, format!("{shown}: {why}")));
                }
            }
        }
    }
    faults
}

/// The files that the keys of a site are in.
fn keys(site: &Site) -> impl Iterator<Item = (&'static str, &Named)> {
    let tls = &site.settings.tls;
    let keys = tls.keys.value().map_or(&[][..], Vec::as_slice);
    let certificates = tls.certificates.value().map_or(&[][..], Vec::as_slice);
    certificates.iter().enumerate().map(|(number, certificate)| {
        keys.get(number).map_or(("SSLCertificateFile", certificate), |key| {
            ("SSLCertificateKeyFile", key)
        })
    })
}

/// The first key of a file, if it is encrypted. What is wrong with the file otherwise is found by others.
fn encrypted(text: &[u8]) -> Option<(Encryption, Secret)> {
    let blocks = pem::blocks(text).ok()?;
    let is_key = |block: &Block| matches!(block.kind, Kind::Key(_) | Kind::Encrypted(_));
    match blocks.into_iter().find(is_key)? {
        Block {
            kind: Kind::Encrypted(how),
            bytes,
            ..
        } => Some((how, Secret::from(bytes))),
        _ => None,
    }
}

/// The key as a block of a PEM file. The error is a sentence.
fn open_one(
    config: &Config,
    site: &Site,
    number: usize,
    (how, bytes): &(Encryption, Secret),
    known: &mut Vec<Secret>,
) -> Result<Secret, String> {
    let opened =
        |phrase: &Secret| decrypt(how, bytes, phrase).map(|(form, key)| pem::key_block(form, &Secret::from(key)));
    if let Some(key) = known.iter().find_map(|phrase| opened(phrase).ok()) {
        return Ok(key);
    }
    let program = config.server.pass_phrases.program.value();
    let Some((program, arguments)) = program.and_then(|words| words.split_first()) else {
        return Err("its private key is encrypted, and nobody is asked at the terminal; name a program that knows the pass phrase with \
             `SSLPassPhraseDialog exec:`, or decrypt it with `openssl pkey`"
            .to_owned());
    };
    let about = [address(config, site), kind(number)];
    let told = |why: String| format!("SSLPassPhraseDialog: {}: {why}", String::from_utf8_lossy(program));
    let phrase = ask(program, arguments, &about).map_err(told)?;
    let key = opened(&phrase).map_err(|error| match error {
        DecryptError::WrongPassPhrase => told("this is not the pass phrase of the private key".to_owned()),
        DecryptError::UnknownWay(way) => {
            format!("its private key is encrypted in a way that is not understood ({way})")
        }
        DecryptError::Malformed => "its encrypted private key cannot be read".to_owned(),
    })?;
    known.push(phrase);
    Ok(key)
}

/// `name:port`, as Apache calls a site.
fn address(config: &Config, site: &Site) -> Vec<u8> {
    let name = site.settings.core.name.value();
    let host = name.map_or(&config.host_name, |name| &name.host);
    let port = name.and_then(|name| name.port).or_else(|| {
        let of = |(port, sites): (Option<u16>, &Vec<usize>)| port.filter(|_| sites.contains(&site.number));
        let any = config.hosts.any.iter().map(|(port, sites)| (*port, sites));
        any.chain(config.hosts.exact.iter().map(|((_, port), sites)| (*port, sites)))
            .filter_map(of)
            .min()
    });
    [host.as_slice(), b":", port.unwrap_or(443).to_string().as_bytes()].concat()
}

/// What Apache calls a key, whatever it is.
fn kind(number: usize) -> Vec<u8> {
    let names = ["RSA", "DSA", "ECC"];
    names
        .get(number)
        .map_or_else(|| number.to_string(), ToString::to_string)
        .into_bytes()
}

/// What the program prints, without the end of the line.
fn ask(program: &[u8], arguments: &[Vec<u8>], about: &[Vec<u8>]) -> Result<Secret, String> {
    let told = |error: io::Error| error.to_string();
    let text = |word: &[u8]| CString::new(word).map_err(|error| error.to_string());
    let path = text(program)?;
    let words = [program]
        .into_iter()
        .chain(arguments.iter().chain(about).map(Vec::as_slice));
    let argv = words.map(text).collect::<Result<Vec<_>, _>>()?;
    let null = null::open().map_err(told)?;
    let (output, theirs) = io::pipe().map_err(told)?;
    let stderr = rustix::stdio::stderr();
    let mut spec = ChildSpec::new(Program::Path(&path), argv, vec![null.as_fd(), theirs.as_fd(), stderr]);
    spec.session = Session::Group;
    spec.env = std::env::vars_os()
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect();
    let child = spawn(&spec).map_err(|error| error.to_string())?;
    drop(theirs);
    let until = Instant::now() + LIMIT;
    let read = Secret::read(Bounded { output, until }, LONGEST, LONGEST);
    let in_time = read.is_ok()
        && child
            .pidfd
            .ends_within(until.saturating_duration_since(Instant::now()))
            .map_err(told)?;
    if !in_time {
        // What it started may go on with the pipe.
        let _ended_already = signal_group(child.pid, Signal::KILL);
    }
    let ended = child.pidfd.wait().map_err(told)?;
    let phrase = read.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => format!("it took longer than {LIMIT:?}"),
        _ => error.to_string(),
    })?;
    if !ended.exit.is_success() {
        return Err(format!("it ended with {}", ended.exit));
    }
    let line = phrase
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .next()
        .unwrap_or_default();
    if line.is_empty() {
        return Err("it printed nothing".to_owned());
    }
    Ok(Secret::joined(&[line]))
}

/// The end of a pipe, which is read until some time.
struct Bounded {
    output: io::PipeReader,
    until: Instant,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        let limit = Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        };
        let ready = rustix::event::poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&limit))?;
        if ready == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.output.read(buffer)
    }
}
