//! The settings that hold of a path before it is translated: the site's and those of its `<Location>` sections, with their
//! `<If>`. Apache has merged them when it looks for redirects and aliases.

use std::sync::Arc;

use crate::config::directives::DirConf;
use crate::config::site::Site;
use crate::config::words::Pattern;
use crate::exchange::Exchange;
use crate::phases::walk::{Piece, export, locations_of, with_branches};

/// Whether the sections of the site say anything that counts so early: where they redirect to, and named groups, which rules and
/// aliases may ask for.
pub(in crate::phases) fn count_early(site: &Site) -> bool {
    let has_names = |pattern: &Pattern| matches!(pattern, Pattern::Regex(regex) if !regex.names().is_empty());
    let mut sections = site.locations.iter();
    redirects(&site.base) || sections.any(|section| has_names(&section.pattern) || redirects(&section.conf))
}

fn redirects(conf: &DirConf) -> bool {
    let mut branches = conf.core.ifs.iter().flat_map(|section| &section.branches);
    conf.redirects.section.value().is_some() || branches.any(|branch| redirects(&branch.conf))
}

/// The settings; named groups of the sections' patterns become variables. The walk to the place tells of the sections.
pub(in crate::phases) fn run(ex: &mut Exchange) -> Arc<DirConf> {
    let site = ex.site;
    if site.locations.is_empty() && site.base.core.ifs.is_empty() {
        return Arc::clone(&site.base);
    }
    let url = ex.target.path.as_bytes();
    let mut pieces = Vec::new();
    for section in locations_of(site, url) {
        export(&mut ex.variables, &section.pattern, url);
        pieces.push(Piece::Location(&section.conf));
    }
    let mark = ex.trail_mark();
    let conf = with_branches(ex, pieces, Vec::new()).conf;
    ex.forget_steps(mark);
    conf
}
