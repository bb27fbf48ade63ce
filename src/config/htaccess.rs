//! `.htaccess`: the text of an access file to the settings it makes for its directory.

use std::path::Path;
use std::sync::Arc;

use crate::base::version;
use crate::config::define::Defines;
use crate::config::directives::DirConf;
use crate::config::directives::overrides::Overrides;
use crate::config::error::ConfigError;
use crate::config::inside::{Around, GoesBy, Inside, Kind, Source};
use crate::config::load::Here;
use crate::config::reader::{self, Language, Origin};

/// What an access file says.
#[derive(Debug)]
pub struct AccessFile {
    /// Its settings; of no use when anything is wrong.
    pub conf: DirConf,
    /// What is wrong with it, the first thing first; it closes the directory.
    pub errors: Vec<ConfigError>,
    /// What was passed over.
    pub notes: Vec<ConfigError>,
}

/// Reads the text of the access file `name` of `directory`, which has a final slash. `overrides` says what it may hold.
pub fn read(name: &Path, text: &[u8], directory: &[u8], server_root: &[u8], overrides: &Overrides) -> AccessFile {
    let language = Language {
        modules: &Here,
        environment: &|_| None,
        version: version::APACHE,
        server_root: server_root.to_vec(),
        defines: Defines::from_names([]),
        origin: Origin::Htaccess,
    };
    let shown = name.to_string_lossy();
    let reading = reader::read_text(&shown, text, &language);
    let mut inside = Inside::new(server_root, Source::AccessFile(overrides));
    inside.complaints = reading.complaints;
    let mut conf = DirConf::default();
    let around = Around {
        kind: Kind::AccessFile,
        name: ".htaccess",
        path: Some(directory),
        methods: None,
        goes_by: GoesBy::of(Kind::AccessFile),
    };
    inside.all(&reading.settings.nodes, around, &mut conf);
    let (errors, notes) = inside.complaints.into_iter().partition(ConfigError::is_fatal);
    AccessFile { conf, errors, notes }
}

/// The names of a site's access files, in the order in which they are looked for.
pub fn names(configured: Option<&Vec<Vec<u8>>>) -> Arc<[Vec<u8>]> {
    match configured {
        Some(names) => names.as_slice().into(),
        None => Arc::new([b".htaccess".to_vec()]),
    }
}
