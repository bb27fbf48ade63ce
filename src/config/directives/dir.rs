//! What a URL that ends at a directory leads to: `mod_dir`.

use crate::config::setting::{Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};

settings! {
    /// Directories.
    pub struct Dir {
        /// `DirectoryCheckHandler`.
        check_handler: Setting<bool>,
        /// `DirectoryIndex`; an empty list is `disabled`.
        index: Setting<Vec<Vec<u8>>>,
        /// `DirectorySlash`.
        slash: Setting<Slash>,
        /// `DirectoryIndexRedirect`: the status to redirect with; `None` is off.
        index_redirect: Setting<Option<u16>>,
        /// `FallbackResource`; `None` is `disabled`.
        fallback: Setting<Option<Vec<u8>>>,
    }
}

/// What happens to a directory's URL that lacks its final slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slash {
    /// It is redirected.
    On,
    /// It is left alone.
    Off,
    /// It is left alone, and not refused where a listing would be shown.
    NotFound,
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "DirectoryCheckHandler",
        module: "mod_dir",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "Off",
        summary: "Leave directories alone that SetHandler gives another handler.",
        manual: "With On such a directory has no index files.",
        set: Set::Dir(|conf, args| {
            conf.dir.check_handler.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "DirectoryIndex",
        module: "mod_dir",
        syntax: "disabled|url-path ...",
        words: Words::AtLeast(0),
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "index.html",
        summary: "Name the files that stand for a directory.",
        manual: "Each is looked up by GET as a client's request for it would be, and the first that leads to a file is served: one that is \
closed, or that rules send away, is passed over. Where none is left and one was closed, that is the answer, and there is no listing. A \
name is a URL, with escapes, a query before the client's own, and a path behind a script; with a leading slash it is a path of the \
site. Several lines of one section add up; disabled alone empties the list. A section whose only line has no word has no \
index files.",
        set: Set::Dir(|conf, args| {
            if args.count() == 1 && args.keyword(0) == "disabled" {
                conf.dir.index.set(Vec::new());
                return Ok(());
            }
            let mut names = conf.dir.index.value().cloned().unwrap_or_default();
            names.extend_from_slice(args.words);
            conf.dir.index.set(names);
            Ok(())
        }),
    },
    Directive {
        name: "DirectoryIndexRedirect",
        module: "mod_dir",
        syntax: "on|off|permanent|temp|seeother|status",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "off",
        summary: "Redirect to the index file instead of serving it in place.",
        manual: "On is the same as temp (302). The query goes along; Apache drops it.",
        set: Set::Dir(|conf, args| {
            conf.dir.index_redirect.set(match args.keyword(0).as_str() {
                "off" => None,
                "on" | "temp" => Some(302),
                "permanent" => Some(301),
                "seeother" => Some(303),
                _ => Some(u16::try_from(args.number(0, 300..=399)?).map_err(|e| e.to_string())?),
            });
            Ok(())
        }),
    },
    Directive {
        name: "DirectorySlash",
        module: "mod_dir",
        syntax: "On|Off|NotFound",
        words: Words::Flag,
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "On",
        summary: "Redirect the URL of a directory to the same with a slash at its end.",
        manual: "Relative links in the directory's pages need the slash. Off can show a listing in spite of an index file.",
        set: Set::Dir(|conf, args| {
            conf.dir.slash.set(args.choice(
                0,
                &[("On", Slash::On), ("Off", Slash::Off), ("NotFound", Slash::NotFound)],
            )?);
            Ok(())
        }),
    },
    Directive {
        name: "FallbackResource",
        module: "mod_dir",
        syntax: "disabled|url-path",
        words: Words::Between(1, 2),
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "disabled",
        summary: "Name a page or script for everything that does not exist.",
        manual: "The path may have a query, which goes before the client's own. Without a leading slash it is beside the one that is \
asked for: FallbackResource index.php stands for /b/nope with /b/index.php, and for /b/sub/nope with /b/sub/index.php. Where it leads to \
nothing the answer is 404, and not 500 as in Apache.",
        set: Set::Dir(|conf, args| {
            if args.keyword(0) == "disabled" {
                conf.dir.fallback.set(None);
                return Ok(());
            }
            if args.bytes(0).is_empty() {
                return Err("the path is empty; write a path of the site, or `disabled`".to_owned());
            }
            conf.dir.fallback.set(Some(args.bytes(0).to_vec()));
            Ok(())
        }),
    },
];
