//! The walk where there is no file: to the URL of an application server; and the walk to a file by another URL.

use std::sync::Arc;

use crate::config::backends;
use crate::config::directives::DirConf;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Alias, Place, Types};
use crate::exchange::{self, Exchange};
use crate::fs::open::{self, Found};
use crate::gateway::script_path::split_path;
use crate::http::target::{CleanPath, Slashes};
use crate::phases::translate::Translated;
use crate::phases::walk::{Landed, directories_of, export, judge, piece, refused, with_branches};

/// The place behind the URL of an application server: no file, and the settings of `<Proxy>` and `<Location>` alone.
pub fn proxied(ex: &mut Exchange, translated: &Translated) -> Place {
    let site = ex.site;
    ex.file.clone_from(&translated.path);
    ex.target.landed = exchange::Landed {
        context_root: translated.context_root.clone(),
        ..exchange::Landed::default()
    };
    let backend = backends::of_handler(&translated.path).unwrap_or_default();
    let backend = match memchr::memchr(b'|', backend) {
        Some(at) => backend.get(at + 1..).unwrap_or_default(),
        None => backend,
    };
    let mut pieces = Vec::new();
    for section in site.proxies.iter().filter(|section| section.covers_backend(backend)) {
        export(&mut ex.variables, &section.pattern, backend);
        pieces.push(piece(ex, "Proxy", section));
    }
    let url = ex.target.path.as_bytes();
    for section in site.locations.iter().filter(|section| section.covers_location(url)) {
        export(&mut ex.variables, &section.pattern, url);
        pieces.push(piece(ex, "Location", section));
    }
    // Sections may ask for it, as in Apache.
    ex.handler = backends::SERVER.to_vec();
    let judged = with_branches(ex, pieces, Vec::new());
    ex.set_conf(Arc::clone(&judged.conf));
    for field in &judged.fields {
        ex.rewriting.vary.add(field);
    }
    Place {
        conf: judged.conf,
        path: translated.path.clone(),
        path_info: Vec::new(),
        path_translated: Vec::new(),
        found: Found::Missing,
        alias: Alias::Proxied,
        context_prefix: Vec::new(),
        context_root: translated.context_root.clone(),
        types: Types::default(),
    }
}

/// The settings that the file of `place` has when it is asked for by its own URL, without what follows it in this one.
pub fn by_its_own_url(ex: &mut Exchange, place: &Place) -> Result<Arc<DirConf>, Fail> {
    let (own, _) = split_path(ex.target.path.as_bytes(), &place.path_info);
    let own = CleanPath::from_decoded(own, Slashes::Keep).map_err(|error| Fail::internal(error.to_string()))?;
    let extent = open::extent(&place.path).map_err(|error| refused(ex, &place.path, error))?;
    let (whole, variables) = (std::mem::replace(&mut ex.target.path, own), ex.variables.clone());
    let path_info = std::mem::take(&mut ex.target.landed.path_info);
    let mark = ex.trail_mark();
    let landed = Landed::new(&place.path, &extent);
    let judged = judge(ex, &landed, &directories_of(&place.path, &extent));
    ex.forget_steps(mark);
    ex.target.path = whole;
    ex.target.landed.path_info = path_info;
    ex.variables = variables;
    judged.map(|judged| judged.conf)
}
