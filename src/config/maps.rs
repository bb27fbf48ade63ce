//! The programs that are maps (`RewriteMap name prg:…`) of all sites in one list, each once, so that the launcher that starts
//! them and the workers that ask them number them alike.

use crate::config::directives::rewrite::Map;
use crate::config::site::Config;

/// A program, and who it runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program<'c> {
    /// The name of the map, for messages.
    pub name: &'c [u8],
    /// The command line.
    pub command: &'c [u8],
    /// `user:group`, where it was named.
    pub identity: Option<&'c [u8]>,
}

/// Every program of the configuration, in order; its number is its index.
pub fn programs(config: &Config) -> Vec<Program<'_>> {
    let mut programs: Vec<Program<'_>> = Vec::new();
    for site in &config.sites {
        for (name, map) in site.settings.rewrite.maps.iter() {
            if let Map::Program { command, identity } = map
                && number_in(&programs, command, identity.as_deref()).is_none()
            {
                programs.push(Program {
                    name,
                    command,
                    identity: identity.as_deref(),
                });
            }
        }
    }
    programs
}

/// The number of a program.
pub fn number(config: &Config, command: &[u8], identity: Option<&[u8]>) -> Option<usize> {
    number_in(&programs(config), command, identity)
}

fn number_in(programs: &[Program<'_>], command: &[u8], identity: Option<&[u8]>) -> Option<usize> {
    let is_it = |program: &Program<'_>| program.command == command && program.identity == identity;
    programs.iter().position(is_it)
}
