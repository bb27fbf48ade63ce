//! A program that was built without TLS: nothing of it can be there.

use std::convert::Infallible;
use std::io::{self, IoSlice};

use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;
use crate::config::site::{Config, Site};

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

/// What a client said first.
pub struct Hello(Infallible);

/// What was agreed upon.
#[derive(Debug)]
pub struct Secured {
    /// The name of the server that the client asked for, lower case.
    pub server_name: Option<Box<[u8]>>,
    /// The number of the site whose certificate it was shown.
    pub site: usize,
    never: Infallible,
}

/// The state of a connection's TLS.
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
}
