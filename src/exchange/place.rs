//! Where a target landed: made by the walk alone, so that no handler opens a file that no walk has judged.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::directives::DirConf;
use crate::config::directives::options::Options;
use crate::config::directives::ssi::XBitHack;
use crate::config::filters::{Filter, Named};
use crate::fs::open::Found;

/// Where a target landed.
#[derive(Debug)]
pub struct Place {
    /// The settings merged from every section that covers it.
    pub conf: Arc<DirConf>,
    /// The file's absolute name, without what follows it in the URL.
    pub path: Vec<u8>,
    /// What follows the file in the URL: empty, or with a leading slash.
    pub path_info: Vec<u8>,
    /// The file that `path_info` would name as a path of this site, for PATH_TRANSLATED; empty without one.
    pub path_translated: Vec<u8>,
    /// What was found under the name.
    pub found: Found,
    /// The alias that led here, if one did.
    pub alias: Alias,
    /// The part of the URL path that CONTEXT_PREFIX names, and the directory it stands for.
    pub context_prefix: Vec<u8>,
    /// CONTEXT_DOCUMENT_ROOT.
    pub context_root: Vec<u8>,
    /// What the file's name says of its type; empty before the fixups.
    pub types: Types,
}

/// What kind of alias led to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alias {
    /// None: it is below DocumentRoot.
    None,
    /// Alias or AliasMatch.
    Files,
    /// ScriptAlias or ScriptAliasMatch: it is a script whatever its name.
    Scripts,
    /// None: it is the URL of an application server.
    Proxied,
}

/// What a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Nothing.
    Missing,
}

/// What a file's name says of it.
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// Its media type.
    pub media_type: Option<Arc<[u8]>>,
    /// Its character set.
    pub charset: Option<Vec<u8>>,
    /// Its languages.
    pub languages: Vec<Vec<u8>>,
    /// Its content codings, in the order in which they were applied.
    pub encodings: Vec<Vec<u8>>,
    /// The name of its handler.
    pub handler: Option<Vec<u8>>,
    /// The filters that it passes, in order.
    pub output_filters: Vec<Named>,
    /// The filters that the request's body passes.
    pub input_filters: Vec<Filter>,
}

impl Place {
    /// Whether the mode of a page says that it is as old as its file (`XBitHack full`).
    pub fn is_kept_by_its_mode(&self) -> bool {
        let Found::File(seen) = &self.found else { return false };
        self.conf.ssi.by_bit.or(XBitHack::Off) == XBitHack::Full && seen.meta.mode & 0o010 != 0
    }

    /// Whether a filter may be asked to parse its body for includes. What that is has no ETag, and no parts of it are sent.
    pub fn may_be_parsed(&self) -> bool {
        let filters = &self.conf.filters;
        let is_it = |filter: &Filter| *filter == Filter::Includes;
        let mut names = filters.chain.names();
        self.types.output_filters.contains(&Named::Here(Filter::Includes))
            || filters.output.value().is_some_and(|set| set.iter().any(is_it))
            || names.any(|name| {
                let declared = filters.declared.find(name);
                declared.is_some_and(|chosen| chosen.providers.iter().any(|provider| is_it(&provider.filter)))
            })
    }

    /// Whether `Options` lets it be parsed for includes.
    pub fn has_includes(&self) -> bool {
        let options = self.conf.core.options.in_force();
        options.has(Options::INCLUDES) || options.has(Options::INCLUDES_NO_EXEC)
    }

    /// The name of what is there, that of a directory with a slash at its end.
    pub fn full_name(&self) -> Cow<'_, [u8]> {
        if self.landing() == Landing::Directory && !self.path.ends_with(b"/") {
            Cow::Owned([&self.path, &b"/"[..]].concat())
        } else {
            Cow::Borrowed(&self.path)
        }
    }

    /// What it is.
    pub fn landing(&self) -> Landing {
        match self.found {
            Found::File(_) => Landing::File,
            Found::Directory(_) => Landing::Directory,
            Found::Missing => Landing::Missing,
        }
    }
}
