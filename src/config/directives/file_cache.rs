//! What is kept of files and of the answers that they give: `FileCacheSize`, `FileCacheCheck`.

use std::time::Duration;

use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SERVER, Set, Words};
use crate::config::words::shown;

/// How an answer that is kept is compared with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// For every request.
    Request,
    /// Once for all requests of a turn of the event loop.
    Turn,
    /// Once in this time.
    Every(Duration),
}

settings! {
    /// What is kept of files.
    pub struct FileCache {
        /// `FileCacheSize`.
        size: Setting<u64>,
        /// `FileCacheCheck`.
        check: Setting<Check>,
    }
}

/// How many bytes all threads keep together at most, where nothing is said.
pub const SIZE: u64 = 256 << 20;

/// Where nothing is said it is no more than one part in so many of the machine's memory.
pub const SHARE: u64 = 16;

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "FileCacheCheck",
        module: "lychgate",
        syntax: "turn|request|time",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "turn",
        summary: "How often an answer that is kept is compared with its files.",
        manual: "With turn it is done once for all requests that a thread finds waiting at one time, which is a millisecond \
at most: a file that was changed is answered as it is now. With request it is done for each of them. With a time (5s, 500ms) \
it is done once in that time, so that a change may be seen so much later; that saves a system call for each file and .htaccess \
that was looked at.",
        set: Set::Server(|server, args| {
            let check = match args.keyword(0).as_str() {
                "turn" => Check::Turn,
                "request" => Check::Request,
                _ => Check::Every(args.duration(0)?),
            };
            server.file_cache.check.set(check);
            Ok(())
        }),
    },
    Directive {
        name: "FileCacheSize",
        module: "lychgate",
        syntax: "size|off",
        words: Words::exactly(1),
        allowed: SERVER,
        overrides: Override::None,
        default: "256M",
        summary: "How much memory answers made of files may take.",
        manual: "The server keeps answers that depend on nothing but files and the request's head, and gives them again as long as \
those files, and the .htaccess files on the way, are as they were: see FileCacheCheck. Of a file up to 32 KiB that is asked for again \
the content is kept as well, as far as there is room; otherwise the file is opened for each request. Of requests for scripts, \
applications and servers behind that are asked for again the way there is kept, and no answer. The size, in bytes or with K, M \
or G behind the number, is that of all threads of the process together; where there is no such line it is a sixteenth of the \
machine's memory, and 256M at most. What is asked for often stays; a crawl through a million files does not drive it out. Answers are \
the same with off, only slower.",
        set: Set::Server(|server, args| {
            server.file_cache.size.set(size(args.bytes(0))?);
            Ok(())
        }),
    },
];

/// A number of bytes; `off` is none.
fn size(word: &[u8]) -> Result<u64, String> {
    let wrong = || format!("{} is neither `off` nor a size as `64M`", shown(word));
    let text = std::str::from_utf8(word).map_err(|_| wrong())?.to_ascii_lowercase();
    if text == "off" {
        return Ok(0);
    }
    let units = [("k", 10), ("m", 20), ("g", 30)];
    let unit = units
        .iter()
        .find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, *bits)));
    let (number, bits) = unit.unwrap_or((&text, 0));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << bits).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        for (word, want) in [
            ("off", Some(0)),
            ("0", Some(0)),
            ("100", Some(100)),
            ("4k", Some(4096)),
            ("64M", Some(64 << 20)),
            ("2G", Some(2 << 30)),
            ("on", None),
            ("", None),
            ("M", None),
            ("-1", None),
            ("99999999999G", None),
        ] {
            assert_eq!(size(word.as_bytes()).ok(), want, "{word}");
        }
    }
}
