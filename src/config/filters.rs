//! The filters that bodies pass, by their names, and the order of their stages (Apache's `ap_filter_type`).

use std::sync::Arc;

use crate::config::words::{Said, shown};

/// A filter that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Server-side includes.
    Includes,
    /// Decompression: of answers by its own name, of requests by the name `DEFLATE`, as in Apache.
    Inflate,
    /// Compression with gzip.
    Deflate,
    /// Compression with Brotli.
    Brotli,
    /// Compression with Zstandard.
    Zstd,
}

/// When a filter has its turn; those of the same stage keep the order in which they were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Before those that make content.
    Decoding,
    /// Makes or changes content.
    Resource,
    /// Changes how content is sent.
    ContentSet,
    /// Makes messages of it.
    Protocol,
    /// Codes messages.
    Transcode,
    /// Belongs to the connection.
    Connection,
    /// Belongs to the network.
    Network,
}

/// A filter as the settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// One that is here.
    Here(Filter),
    /// One that is not, in lower case.
    Missing(Vec<u8>),
}

impl Named {
    /// The filter, if it is here.
    pub fn here(&self) -> Option<Filter> {
        match self {
            Named::Here(filter) => Some(*filter),
            Named::Missing(_) => None,
        }
    }
}

/// Filters in the order in which the settings name them.
pub type Names = Arc<[Named]>;

const NAMES: [(&str, Filter, Stage); 5] = [
    ("INCLUDES", Filter::Includes, Stage::Resource),
    ("INFLATE", Filter::Inflate, Stage::Decoding),
    ("DEFLATE", Filter::Deflate, Stage::ContentSet),
    ("BROTLI_COMPRESS", Filter::Brotli, Stage::ContentSet),
    ("ZSTD_COMPRESS", Filter::Zstd, Stage::ContentSet),
];

impl Filter {
    /// The filter of that name, in any case.
    pub fn named(name: &[u8]) -> Option<Filter> {
        let known = NAMES
            .iter()
            .find(|(known, ..)| name.eq_ignore_ascii_case(known.as_bytes()));
        known.map(|(_, filter, _)| *filter)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, filter, _)| *filter == self)
            .map_or("", |(name, ..)| name)
    }

    /// When it has its turn.
    pub fn stage(self) -> Stage {
        NAMES
            .iter()
            .find(|(_, filter, _)| *filter == self)
            .map_or(Stage::Resource, |(.., stage)| *stage)
    }
}

/// The filters of a word, divided by semicolons; `none` is no filter.
pub fn names(word: &[u8]) -> Names {
    word.split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"none"))
        .map(|name| match Filter::named(name) {
            Some(filter) => Named::Here(filter),
            None => Named::Missing(name.to_ascii_lowercase()),
        })
        .collect()
}

/// The filters of a word; it is refused if one of them is not here.
pub fn names_here(word: &[u8]) -> Said<Vec<Filter>> {
    names(word)
        .iter()
        .map(|named| match named {
            Named::Here(filter) => Ok(*filter),
            Named::Missing(name) => Err(not_here(name)),
        })
        .collect()
}

/// The filters of request bodies in a word; `DEFLATE` is the one there is, and takes gzip off.
pub fn input_names(word: &[u8]) -> Said<Vec<Filter>> {
    names(word)
        .iter()
        .map(|named| match named {
            Named::Here(Filter::Deflate) => Ok(Filter::Inflate),
            Named::Here(other) => Err(format!(
                "the filter {} is not one of request bodies; there is DEFLATE",
                shown(other.name().as_bytes())
            )),
            Named::Missing(name) => Err(format!(
                "the filter {} is not supported; there is DEFLATE",
                shown(&name.to_ascii_uppercase())
            )),
        })
        .collect()
}

/// What is said of a filter that is not here.
pub fn not_here(name: &[u8]) -> String {
    let name = name.to_ascii_uppercase();
    let known: Vec<&str> = NAMES.iter().map(|(name, ..)| *name).collect();
    let instead = match name.as_slice() {
        b"SUBSTITUTE" | b"SED" => "let a script change the text",
        b"RATE_LIMIT" => "limit rates in the packet filter, or in a server in front",
        _ => {
            return format!(
                "the filter {} is not supported; there are {}",
                shown(&name),
                known.join(", ")
            );
        }
    };
    format!("the filter {} is not supported; {instead}", shown(&name))
}

#[cfg(test)]
mod tests {
    use super::{Filter, Named, Stage, names, names_here};

    #[test]
    fn names_are_read_in_any_case() {
        let found = names(b"inflate; SUBSTITUTE ;Deflate;none;;BROTLI_COMPRESS");
        let want = [
            Named::Here(Filter::Inflate),
            Named::Missing(b"substitute".to_vec()),
            Named::Here(Filter::Deflate),
            Named::Here(Filter::Brotli),
        ];
        assert_eq!(found[..], want);
        assert_eq!(Filter::Zstd.name(), "ZSTD_COMPRESS");
        assert!(Filter::Inflate.stage() < Filter::Includes.stage());
        assert!(Filter::Includes.stage() < Filter::Deflate.stage());
        assert_eq!(Filter::Deflate.stage(), Stage::ContentSet);
    }

    #[test]
    fn what_is_not_here_is_refused_with_a_sentence() {
        assert_eq!(names_here(b"NONE"), Ok(Vec::new()));
        for (word, want) in [
            (
                "DEFLATE;SUBSTITUTE",
                "the filter `SUBSTITUTE` is not supported; let a script change the text",
            ),
            (
                "rate_limit",
                "the filter `RATE_LIMIT` is not supported; limit rates in the packet filter, or in a server in front",
            ),
            (
                "fixtext",
                "the filter `FIXTEXT` is not supported; there are INCLUDES, INFLATE, DEFLATE, BROTLI_COMPRESS, ZSTD_COMPRESS",
            ),
        ] {
            assert_eq!(names_here(word.as_bytes()), Err(want.to_owned()));
        }
    }
}
