//! Which filters bodies pass: `SetOutputFilter` and `SetInputFilter`, and the chains of mod_filter, whose filters are chosen
//! when the answer's head is known.

use crate::config::directives::DirConf;
use crate::config::filters::{self, Filter, Stage};
use crate::config::setting::{Mapped, Merge, Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, SERVER_FILES, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::lang::expr::Expr;

settings! {
    /// The filters of a place.
    pub struct Filters {
        /// `SetOutputFilter`.
        output: Setting<Vec<Filter>>,
        /// `SetInputFilter`.
        input: Setting<Vec<Filter>>,
        /// The filters of mod_filter by their names.
        declared: Mapped<Vec<u8>, Chosen>,
        /// `FilterChain`.
        chain: Chain,
    }
}

/// A filter of mod_filter: which filter it stands for is chosen for each answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// When it has its turn.
    pub stage: Stage,
    /// What it says of itself (`FilterProtocol`).
    pub protocol: Protocol,
    /// What it may stand for, in the order of the settings. The last one that suits is it, as in Apache.
    pub providers: Vec<Provider>,
}

impl Chosen {
    fn at(stage: Stage) -> Chosen {
        Chosen {
            stage,
            protocol: Protocol::default(),
            providers: Vec::new(),
        }
    }

    fn add(&mut self, filter: Filter, when: When) {
        self.providers.push(Provider {
            filter,
            when,
            protocol: Protocol::default(),
        });
    }
}

/// A filter that another may stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// The filter.
    pub filter: Filter,
    /// When it suits.
    pub when: When,
    /// What it says of itself.
    pub protocol: Protocol,
}

/// When a filter suits an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// Its media type is one of these.
    Types(Vec<Vec<u8>>),
    /// This holds.
    Holds(Expr),
}

/// What a filter does to the message around the content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "Apache's flags, each of them set or not")]
pub struct Protocol {
    /// It changes the content: what is said of the content's bytes goes.
    pub changes: bool,
    /// It works on whole content only.
    pub no_ranges: bool,
    /// Not on what other servers say.
    pub no_proxy: bool,
    /// Not on what other servers say where they forbid it (`no-transform`).
    pub transforms: bool,
    /// Its work is not to be kept.
    pub no_cache: bool,
}

/// A chain of filters by their names. An inner section adds to it; nothing in it stands for "forget what came before".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain(Vec<Option<Vec<u8>>>);

impl Chain {
    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().flatten().map(Vec::as_slice)
    }

    /// Adds, or takes away, as Apache's sign before the name says.
    fn change(&mut self, word: &[u8]) {
        let (sign, name) = match word.split_first() {
            Some((sign @ (b'+' | b'@' | b'-' | b'!' | b'='), name)) => (*sign, name.to_vec()),
            _ => (b'+', word.to_vec()),
        };
        match sign {
            b'@' => self.0.insert(0, Some(name)),
            b'-' => self
                .0
                .retain(|known| known.as_ref().is_none_or(|known| !known.eq_ignore_ascii_case(&name))),
            b'!' => self.0 = vec![None],
            b'=' => self.0 = vec![None, Some(name)],
            _ => self.0.push(Some(name)),
        }
    }
}

impl Merge for Chain {
    fn merge(&mut self, inner: &Self) {
        for name in &inner.0 {
            if name.is_none() {
                self.0.clear();
            }
            self.0.push(name.clone());
        }
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "AddOutputFilterByType",
        module: "mod_filter",
        syntax: "filter[;filter...] media-type ...",
        words: Words::AtLeast(2),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Let answers of a media type pass filters.",
        manual: "The type is compared with the answer's own, also with what a script says. Only answers with status 200 pass, \
unless the variable filter-errordocs is set. As in Apache, what a section says of a filter replaces what outer sections say of \
the same filter: name all its types again.",
        set: Set::Dir(by_type),
    },
    Directive {
        name: "FilterChain",
        module: "mod_filter",
        syntax: "[+=-@!]name ...",
        words: Words::AtLeast(1),
        allowed: ANYWHERE,
        overrides: Override::Options,
        default: "",
        summary: "Let answers pass filters that FilterProvider tells of.",
        manual: "A plain name, or one with +, is put at the end of the chain, one with @ at its beginning. - takes a name of the same \
section away, ! empties the chain, = makes a new one that begins with the name; these two forget outer sections too.",
        set: Set::Dir(|conf, args| {
            for word in args.words {
                conf.filters.chain.change(word);
            }
            Ok(())
        }),
    },
    Directive {
        name: "FilterDeclare",
        module: "mod_filter",
        syntax: "name [stage]",
        words: Words::Between(1, 2),
        allowed: ANYWHERE,
        overrides: Override::Options,
        default: "",
        summary: "Declare a filter that stands for others.",
        manual: "The stage is RESOURCE, CONTENT_SET, PROTOCOL, TRANSCODE, CONNECTION or NETWORK and says when it has its turn; it is \
RESOURCE where none is named.",
        set: Set::Dir(|conf, args| {
            declare(conf, args);
            Ok(())
        }),
    },
    Directive {
        name: "FilterProtocol",
        module: "mod_filter",
        syntax: "name [provider] flags",
        words: Words::Between(2, 3),
        allowed: ANYWHERE,
        overrides: Override::Options,
        default: "",
        summary: "Say what a filter does to the message around the content.",
        manual: "The flags are change=yes, change=1:1, byteranges=no, proxy=no, proxy=transform and cache=no, with commas or semicolons \
between them. The compressing filters see to all of it themselves.",
        set: Set::Dir(protocol),
    },
    Directive {
        name: "FilterProvider",
        module: "mod_filter",
        syntax: "name filter expression",
        words: Words::exactly(3),
        allowed: ANYWHERE,
        overrides: Override::Options,
        default: "",
        summary: "Say what a declared filter stands for when an expression holds.",
        manual: "The expression is asked when the answer's head is known: %{CONTENT_TYPE} and %{resp:...} are the answer's. Of several \
that hold, the one that was named last counts.",
        set: Set::Dir(provider),
    },
    Directive {
        name: "FilterTrace",
        module: "mod_filter",
        syntax: "name level",
        words: Words::exactly(2),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "",
        summary: "Taken without effect; lychgate why tells which filters an answer passes.",
        manual: "",
        set: Set::Ignored("`lychgate why` tells which filters an answer passes"),
    },
    Directive {
        name: "SetInputFilter",
        module: "core",
        syntax: "filter[;filter...]",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "NONE",
        summary: "Let the bodies of requests pass a filter.",
        manual: "There is DEFLATE, which takes gzip off a body that says in its Content-Encoding that it has it. \
DeflateInflateLimitRequestBody and its neighbours say how much a small body may become.",
        set: Set::Dir(|conf, args| {
            conf.filters.input.set(filters::input_names(args.bytes(0))?);
            Ok(())
        }),
    },
    Directive {
        name: "SetOutputFilter",
        module: "core",
        syntax: "filter[;filter...]",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "NONE",
        summary: "Let answers pass filters.",
        manual: "There are DEFLATE, BROTLI_COMPRESS and ZSTD_COMPRESS, which compress for clients that take it (the first that the client \
takes does), and INFLATE, which takes gzip off. It adds to what AddOutputFilter and AddOutputFilterByType say.

The variables no-gzip, no-brotli and no-zstd keep an answer from being compressed, gzip-only-text/html with the value 1 all but \
pages from gzip; force-gzip compresses for everybody. Answers of up to 68 bytes are not compressed with gzip, nor are parts of \
files: a range is always of the file as it is. How long a compressed page is tells something of what is in it: one that repeats what \
the request says beside a secret, such as a token, should not be compressed where others can see its length (the BREACH attack); \
set no-gzip and its like for it, also over TLS that ends in front of this server.",
        set: Set::Dir(|conf, args| {
            conf.filters.output.set(filters::names_here(args.bytes(0))?);
            Ok(())
        }),
    },
];

/// Each filter has one entry of its own in the chain, whose name no `FilterDeclare` would choose.
fn by_type(conf: &mut DirConf, args: &Args) -> Said<()> {
    let types = args.rest(1).to_vec();
    for filter in filters::names_here(args.bytes(0))? {
        let name = format!("BYTYPE:{}", filter.name()).into_bytes();
        let mut chosen = conf.filters.declared.find(&name).cloned().unwrap_or_else(|| {
            conf.filters.chain.change(&name);
            Chosen::at(filter.stage())
        });
        chosen.add(filter, When::Types(types.clone()));
        conf.filters.declared.insert(name, chosen);
    }
    Ok(())
}

fn declare(conf: &mut DirConf, args: &Args) {
    let stage = match args.keyword(1).as_str() {
        "" | "resource" => Stage::Resource,
        "content_set" => Stage::ContentSet,
        "protocol" => Stage::Protocol,
        "transcode" => Stage::Transcode,
        "connection" => Stage::Connection,
        "network" => Stage::Network,
        _ => {
            args.remark(format!(
                "{} is no stage, and is taken for RESOURCE as in Apache",
                shown(args.bytes(1))
            ));
            Stage::Resource
        }
    };
    conf.filters.declared.insert(args.bytes(0).to_vec(), Chosen::at(stage));
}

fn provider(conf: &mut DirConf, args: &Args) -> Said<()> {
    let word = args.bytes(1);
    let filter = Filter::named(word).ok_or_else(|| filters::not_here(word))?;
    let expr = Expr::parse(args.text(2)?, args.trust).map_err(|error| error.0)?;
    let name = args.bytes(0).to_vec();
    let known = conf.filters.declared.find(&name).cloned();
    let mut chosen = known.unwrap_or_else(|| Chosen::at(filter.stage()));
    chosen.add(filter, When::Holds(expr));
    conf.filters.declared.insert(name, chosen);
    Ok(())
}

fn protocol(conf: &mut DirConf, args: &Args) -> Said<()> {
    let name = args.bytes(0);
    let Some(mut chosen) = conf.filters.declared.find(name).cloned() else {
        return Err(format!(
            "{} is not declared in this section; write FilterDeclare first",
            shown(name)
        ));
    };
    let (provider, words) = if args.count() == 3 {
        (Some(args.bytes(1)), args.bytes(2))
    } else {
        (None, args.bytes(1))
    };
    let mut protocol = Protocol::default();
    for flag in words.split(|byte| matches!(byte, b';' | b',' | b' ' | b'\t')) {
        match flag.to_ascii_lowercase().as_slice() {
            b"change=yes" | b"change=1:1" => protocol.changes = true,
            b"byteranges=no" => protocol.no_ranges = true,
            b"proxy=no" => protocol.no_proxy = true,
            b"proxy=transform" => protocol.transforms = true,
            b"cache=no" => protocol.no_cache = true,
            b"" | b"change=no" | b"byteranges=yes" | b"proxy=yes" | b"cache=yes" => {}
            _ => args.remark(format!("{} is no flag, and has no effect as in Apache", shown(flag))),
        }
    }
    match provider {
        None => chosen.protocol = protocol,
        Some(wanted) => {
            let mut providers = chosen.providers.iter_mut().rev();
            let found = providers.find(|known| wanted.eq_ignore_ascii_case(known.filter.name().as_bytes()));
            let found = found.ok_or_else(|| format!("{} is no provider of {}", shown(wanted), shown(name)))?;
            found.protocol = protocol;
        }
    }
    conf.filters.declared.insert(name.to_vec(), chosen);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Chain;
    use crate::config::setting::Merge;

    fn chain(words: &str) -> Chain {
        let mut chain = Chain::default();
        for word in words.split_whitespace() {
            chain.change(word.as_bytes());
        }
        chain
    }

    #[test]
    fn chains_grow_and_shrink_as_their_signs_say() {
        for (outer, inner, want) in [
            ("A B", "", "A B"),
            ("A +B @C", "", "C A B"),
            ("A B A -a", "", "B"),
            ("A", "B", "A B"),
            ("A", "@B", "A B"),
            ("A", "-A", "A"),
            ("A", "! B", "B"),
            ("A", "=B C", "B C"),
            ("A", "!", ""),
            ("! A", "B", "A B"),
        ] {
            let mut whole = chain(outer);
            whole.merge(&chain(inner));
            let names: Vec<_> = whole.names().map(String::from_utf8_lossy).collect();
            assert_eq!(names.join(" "), want, "{outer} / {inner}");
        }
    }
}
