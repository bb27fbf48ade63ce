//! A program that was built without TLS: nothing of it can be there.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};

use super::secured::Secured;
use crate::config::directives::tls_proxy::TlsProxy;
use crate::config::directives::tls_stapling::Stapling;
use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;
use crate::config::site::{Config, Site};
use crate::tls::ocsp::Judged;
use crate::tls::responder::Responder;

/// What reads from and writes to the socket below, without waiting.
pub trait Below {
    /// Reads what is there; 0 is the end.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes what there is room for, from several pieces.
    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// What the sites need: nothing, since none of them can ask for TLS.
#[derive(Debug, Default)]
pub struct Engines;

/// What one site needs.
#[derive(Clone, Debug)]
pub struct Engine(Infallible);

/// A certificate that an authority is asked about.
#[derive(Debug)]
pub struct Subject(Infallible);

/// What a client said first.
pub struct Hello<S>(Infallible, PhantomData<S>);

/// The state of a connection's TLS.
#[derive(Debug)]
pub struct Session(Infallible);

impl Engines {
    /// Nothing.
    pub fn new(_: &Config, _: &Keyring) -> Result<Engines, Vec<ConfigError>> {
        Ok(Engines)
    }

    /// Nothing.
    pub fn remarks(_: &Config, _: &Keyring) -> Vec<ConfigError> {
        Vec::new()
    }

    /// Never.
    pub fn are_there(&self) -> bool {
        false
    }

    /// None.
    pub fn of(&self, _: &Site) -> Option<&Engine> {
        None
    }

    /// None.
    pub fn subjects(&self) -> &[Arc<Subject>] {
        &[]
    }
}

impl Subject {
    /// Nobody.
    pub fn responder(&self) -> &Responder {
        match self.0 {}
    }

    /// Nothing.
    pub fn question(&self) -> Vec<u8> {
        match self.0 {}
    }

    /// Never.
    pub fn terms(&self) -> &Stapling {
        match self.0 {}
    }

    /// None.
    pub fn file(&self) -> &str {
        match self.0 {}
    }

    /// None.
    pub fn name(&self) -> Vec<u8> {
        match self.0 {}
    }

    /// None.
    pub fn left(&self) -> Option<(&[u8], Duration)> {
        match self.0 {}
    }

    /// Never.
    pub fn show(&self, _: &[u8], _: &Judged) {
        match self.0 {}
    }

    /// Never.
    pub fn pause(&self, _: &Judged, _: SystemTime) -> Duration {
        match self.0 {}
    }

    /// Never.
    pub fn judge(&self, _: &[u8], _: SystemTime) -> Result<Judged, String> {
        match self.0 {}
    }
}

/// Nobody comes here: no site has an engine.
pub async fn begin<S: AsyncRead + AsyncWrite + Unpin>(_: S) -> io::Result<Hello<S>> {
    Err(io::ErrorKind::Unsupported.into())
}

impl<S> Hello<S> {
    /// None.
    pub fn server_name(&self) -> Option<Vec<u8>> {
        match self.0 {}
    }

    /// Never.
    #[expect(clippy::unused_async, reason = "with TLS it waits")]
    pub async fn agree(self, _: &Engine, _: usize) -> io::Result<(Session, Secured)> {
        match self.0 {}
    }
}

impl Session {
    /// Never.
    pub fn try_agree(&self, _: &impl Below) -> io::Result<()> {
        match self.0 {}
    }

    /// Never.
    pub fn wants_to_send(&self) -> bool {
        match self.0 {}
    }

    /// Never.
    pub fn has_plaintext(&self) -> bool {
        match self.0 {}
    }

    /// Never.
    pub fn try_read(&self, _: &impl Below, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }

    /// Never.
    pub fn try_write(&self, _: &impl Below, _: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0 {}
    }

    /// Never.
    pub fn try_push(&self, _: &impl Below) -> io::Result<()> {
        match self.0 {}
    }

    /// Never.
    pub fn end(&self, _: &impl Below) {
        match self.0 {}
    }
}

/// What is needed to ask servers over TLS: nothing, since none can be named.
#[derive(Debug, Default)]
pub struct Clients;

/// What is needed under some settings.
#[derive(Clone, Debug)]
pub struct Client(Infallible);

/// A server that is asked over TLS.
#[derive(Clone, Debug, PartialEq)]
pub struct Partner(Infallible);

impl Clients {
    /// Nothing.
    pub fn new(_: &Config, _: Keyring) -> Result<Clients, Vec<ConfigError>> {
        Ok(Clients)
    }

    /// None.
    pub fn of(&self, _: &TlsProxy) -> Result<Client, Vec<ConfigError>> {
        Err(Vec::new())
    }
}

/// Whom a command of ours believes to be who they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// Those whose certificates the system trusts.
    Trusted,
    /// Everybody.
    Anybody,
}

impl Client {
    /// None.
    pub fn of_command(_: Belief) -> Result<Client, String> {
        Err("this program was built without TLS".to_owned())
    }

    /// None.
    pub fn partner(&self, _: &[u8]) -> Result<Partner, String> {
        match self.0 {}
    }
}

impl Partner {
    /// Never.
    pub fn begin(&self) -> io::Result<Session> {
        match self.0 {}
    }
}

/// Never.
pub fn disagreement(error: &io::Error) -> String {
    error.to_string()
}
