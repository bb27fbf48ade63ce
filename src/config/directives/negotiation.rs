//! Which variant of a resource a client gets: `mod_negotiation`, and `MultiviewsMatch` of `mod_mime`.

use crate::config::setting::{Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, SITES, Set, Words};
use crate::config::words::{Args, Said};

settings! {
    /// Variants in a place.
    pub struct Negotiation {
        /// `LanguagePriority`.
        priority: Setting<Vec<Vec<u8>>>,
        /// `ForceLanguagePriority`.
        force: Setting<Force>,
        /// `MultiviewsMatch`.
        matching: Setting<Matching>,
    }
}

settings! {
    /// Variants on a site.
    pub struct SiteNegotiation {
        /// `CacheNegotiatedDocs`.
        is_kept: Setting<bool>,
    }
}

/// When the order of languages in the settings decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Force {
    /// Where the client likes several as much.
    pub prefer: bool,
    /// Where it likes none.
    pub fallback: bool,
}

impl Force {
    const NONE: Force = Force {
        prefer: false,
        fallback: false,
    };
    /// What holds where nothing is said.
    pub const USUAL: Force = Force {
        prefer: true,
        fallback: false,
    };
}

/// Which extensions a variant may have that the name asked for has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// Any.
    Any,
    /// Those that say something of the content, or stand for these.
    Known {
        /// A handler.
        handlers: bool,
        /// Filters.
        filters: bool,
    },
}

impl Matching {
    /// What holds where nothing is said: type, charset, language and coding.
    pub const USUAL: Matching = Matching::Known {
        handlers: false,
        filters: false,
    };
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "CacheNegotiatedDocs",
        module: "mod_negotiation",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: SITES,
        overrides: Override::None,
        default: "Off",
        summary: "Let proxies of HTTP/1.0 keep what a type map has chosen.",
        manual: "They know no Vary, so that without it the answer to a request of HTTP/1.0 says by Expires that it is old already.",
        set: Set::Site(|site, args| {
            site.negotiation.is_kept.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ForceLanguagePriority",
        module: "mod_negotiation",
        syntax: "None|Prefer|Fallback [Prefer|Fallback]",
        words: Words::AtLeast(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "Prefer",
        summary: "Say when LanguagePriority decides.",
        manual: "Prefer: where the client likes several variants as much, so that there is no answer 300. Fallback: where it likes no \
language that there is, so that there is no answer 406. Lines of one section add up.",
        set: Set::Dir(|conf, args| {
            let setting = &mut conf.negotiation.force;
            let mut force = setting.value().copied();
            for n in 0..args.count() {
                force = Some(forced(force, args, n)?);
            }
            if let Some(force) = force {
                setting.set(force);
            }
            Ok(())
        }),
    },
    Directive {
        name: "LanguagePriority",
        module: "mod_negotiation",
        syntax: "language ...",
        words: Words::AtLeast(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Put languages in order, the best first.",
        manual: "ForceLanguagePriority says when the order counts. A language stands for all whose tags begin with it. Lines of one \
section add up; those of an inner one take the place of the others.",
        set: Set::Dir(|conf, args| {
            let setting = &mut conf.negotiation.priority;
            let mut languages = setting.value().cloned().unwrap_or_default();
            languages.extend_from_slice(args.words);
            setting.set(languages);
            Ok(())
        }),
    },
    Directive {
        name: "MultiviewsMatch",
        module: "mod_mime",
        syntax: "Any|NegotiatedOnly|Filters|Handlers [Filters|Handlers]",
        words: Words::AtLeast(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "NegotiatedOnly",
        summary: "Say which extensions Options MultiViews adds to a name.",
        manual: "NegotiatedOnly: those that have a media type, charset, language or coding. Handlers and Filters: also those of AddHandler, \
and of AddOutputFilter and AddInputFilter. Any: all, so that page finds page.old.html, too.",
        set: Set::Dir(|conf, args| {
            let setting = &mut conf.negotiation.matching;
            let mut matching = setting.value().copied();
            for n in 0..args.count() {
                matching = Some(matched(matching, args, n)?);
            }
            if let Some(matching) = matching {
                setting.set(matching);
            }
            Ok(())
        }),
    },
];

/// What word `n` makes of what was said before it.
fn forced(before: Option<Force>, args: &Args, n: usize) -> Said<Force> {
    let force = args.choice(
        n,
        &[
            ("None", Force::NONE),
            ("Prefer", Force::USUAL),
            (
                "Fallback",
                Force {
                    prefer: false,
                    fallback: true,
                },
            ),
        ],
    )?;
    match before {
        Some(before) if (before == Force::NONE) != (force == Force::NONE) => {
            Err("`None` stands alone: take it, or the other words, out".to_owned())
        }
        Some(before) => Ok(Force {
            prefer: before.prefer || force.prefer,
            fallback: before.fallback || force.fallback,
        }),
        None => Ok(force),
    }
}

fn matched(before: Option<Matching>, args: &Args, n: usize) -> Said<Matching> {
    let (handlers, filters) = (
        Matching::Known {
            handlers: true,
            filters: false,
        },
        Matching::Known {
            handlers: false,
            filters: true,
        },
    );
    let matching = args.choice(
        n,
        &[
            ("Any", Matching::Any),
            ("NegotiatedOnly", Matching::USUAL),
            ("Filters", filters),
            ("Handlers", handlers),
        ],
    )?;
    match (before, matching) {
        (None, _) => Ok(matching),
        (Some(before), matching) if before == matching => Ok(matching),
        (
            Some(Matching::Known {
                handlers: some,
                filters: others,
            }),
            Matching::Known { handlers, filters },
        ) if (some || others) && (handlers || filters) => Ok(Matching::Known {
            handlers: some || handlers,
            filters: others || filters,
        }),
        _ => Err("only `Filters` and `Handlers` go together: take the other words out".to_owned()),
    }
}
