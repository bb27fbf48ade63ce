//! Programs that the server's own files name and that are started when they are wanted: those of FcgidWrapper and those that
//! say who may come in. The spawner reads the same files, and starts what stands there and nothing else.

use crate::config::directives::DirConf;
use crate::config::places;
use crate::config::site::{Config, ScriptLinks, ScriptPlace, Site};

/// A program that a site's settings name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnProgram {
    /// The number of the site, whose sections say on which terms the program runs.
    pub site: usize,
    /// Its absolute name and its arguments.
    pub command: Vec<Vec<u8>>,
}

impl OwnProgram {
    /// The place that it alone is in. Whoever wrote its name may have named a link.
    pub fn place(&self) -> ScriptPlace {
        ScriptPlace {
            site: self.site,
            root: self.command.first().cloned().unwrap_or_default(),
            links: ScriptLinks::Follow,
        }
    }
}

/// All programs of all sites, each once.
pub fn of(config: &Config) -> Vec<OwnProgram> {
    let mut programs: Vec<OwnProgram> = Vec::new();
    for site in &config.sites {
        for program in of_site(site) {
            if !programs.contains(&program) {
                programs.push(program);
            }
        }
    }
    programs
}

fn of_site(site: &Site) -> impl Iterator<Item = OwnProgram> {
    let commands = places::confs_of(site).into_iter().flat_map(commands);
    commands.map(|command| OwnProgram {
        site: site.number,
        command: command.clone(),
    })
}

fn commands(conf: &DirConf) -> impl Iterator<Item = &Vec<Vec<u8>>> {
    let wrappers = conf.fcgid.wrappers.iter().map(|wrapper| &wrapper.command);
    wrappers.chain(conf.access_programs.commands())
}

impl Config {
    /// The number by which the spawner knows a program of a site; they follow those of the script places.
    pub fn program(&self, site: usize, command: &[Vec<u8>]) -> Option<u32> {
        let mut programs = self.programs.iter();
        let at = programs.position(|program| program.site == site && program.command == command)?;
        u32::try_from(self.script_places.len() + at).ok()
    }
}
