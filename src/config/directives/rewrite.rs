//! Rewriting: the rules of the server, of virtual hosts and of directories, and the maps they ask. `mod_rewrite`.

use std::sync::Arc;

use crate::config::backends;
use crate::config::directives::SiteSettings;
use crate::config::setting::{Mapped, Merge, settings};
use crate::config::table::{ANYWHERE, DIRECTORY, Directive, HTACCESS, Override, SITES, Set, Words};
use crate::config::words::{Args, Said, below, shown};
use crate::lang::rewrite::{Cond, Rule};

settings! {
    /// Maps, and the rules of a site's own context.
    pub struct SiteRewrite {
        /// The rules.
        rules: SiteRules,
        /// `RewriteMap` by name.
        maps: Mapped<Vec<u8>, Map>,
    }
}

/// The rules of one scope.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Whether the scope says anything of rewriting.
    said: bool,
    engine: Option<bool>,
    options: Option<RewriteOptions>,
    base: Option<Vec<u8>>,
    /// The directory of the scope or the path of a `<Location>`, with its final slash.
    directory: Vec<u8>,
    list: Vec<Arc<Rule>>,
    /// Conditions whose rule is still to come.
    conds: Vec<Cond>,
}

/// The rules of a site. Unlike those of directories, they give way to the inner scope's where that says nothing: a virtual host
/// has those of the main server only if one of the two asks for it.
#[derive(Clone, Debug, Default)]
pub struct SiteRules(pub Rules);

impl Merge for SiteRules {
    fn merge(&mut self, inner: &SiteRules) {
        self.0.take_in(&inner.0);
        self.0.said = inner.0.said;
    }
}

/// What `RewriteOptions` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RewriteOptions(u16);

impl RewriteOptions {
    /// `Inherit`
    pub const INHERIT: RewriteOptions = RewriteOptions(1);
    /// `InheritBefore`
    pub const INHERIT_BEFORE: RewriteOptions = RewriteOptions(2);
    /// `InheritDown`
    pub const INHERIT_DOWN: RewriteOptions = RewriteOptions(4);
    /// `InheritDownBefore`
    pub const INHERIT_DOWN_BEFORE: RewriteOptions = RewriteOptions(8);
    /// `IgnoreInherit`
    pub const IGNORE_INHERIT: RewriteOptions = RewriteOptions(16);
    /// `AllowNoSlash`
    pub const ALLOW_NO_SLASH: RewriteOptions = RewriteOptions(32);
    /// `AllowAnyURI`
    pub const ALLOW_ANY_URI: RewriteOptions = RewriteOptions(64);
    /// `MergeBase`
    pub const MERGE_BASE: RewriteOptions = RewriteOptions(128);
    /// `IgnoreContextInfo`
    pub const IGNORE_CONTEXT_INFO: RewriteOptions = RewriteOptions(256);
    /// `LegacyPrefixDocRoot`
    pub const LEGACY_PREFIX_DOC_ROOT: RewriteOptions = RewriteOptions(512);
    /// `UnsafePrefixStat`
    pub const UNSAFE_PREFIX_STAT: RewriteOptions = RewriteOptions(1024);

    /// Whether an option is on.
    pub fn has(self, other: RewriteOptions) -> bool {
        self.0 & other.0 == other.0
    }

    fn with(self, other: RewriteOptions) -> RewriteOptions {
        RewriteOptions(self.0 | other.0)
    }
}

/// Where a map looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Map {
    /// `txt:`: a file of keys and values.
    Text(Vec<u8>),
    /// `rnd:`: the same, one of the alternatives of the value.
    Random(Vec<u8>),
    /// `int:`
    Internal(Function),
    /// `prg:`: a program and its arguments, and the user and group it runs as.
    Program {
        /// The command line.
        command: Vec<u8>,
        /// `user:group`, where it was named.
        identity: Option<Vec<u8>>,
    },
}

/// The functions that are maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `toupper`
    ToUpper,
    /// `tolower`
    ToLower,
    /// `escape`
    Escape,
    /// `unescape`
    Unescape,
}

impl Rules {
    /// Whether the rules are to be applied: the engine is on, and there are some.
    pub fn are_on(&self) -> bool {
        self.engine == Some(true) && !self.list.is_empty()
    }

    /// Whether the engine is on at all.
    pub fn engine_is_on(&self) -> bool {
        self.engine == Some(true)
    }

    /// Whether the scope says anything of rewriting.
    pub fn says_anything(&self) -> bool {
        self.said
    }

    /// What the scope says of the engine, if anything.
    pub fn engine(&self) -> Option<bool> {
        self.engine
    }

    /// The rules in their order.
    pub fn list(&self) -> Vec<&Rule> {
        self.list.iter().map(|rule| &**rule).collect()
    }

    /// The options in force.
    pub fn options(&self) -> RewriteOptions {
        self.options.unwrap_or_default()
    }

    /// `RewriteBase`.
    pub fn base(&self) -> Option<&[u8]> {
        self.base.as_deref()
    }

    /// The directory that patterns are relative to.
    pub fn directory(&self) -> &[u8] {
        &self.directory
    }

    /// Conditions behind which no rule stands.
    pub fn has_lone_conditions(&self) -> bool {
        !self.conds.is_empty()
    }

    fn in_scope(&mut self, args: &Args) -> &mut Rules {
        self.said = true;
        if let Some(path) = args.section {
            let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
            self.directory = [path, slash].concat();
        }
        self
    }
}

/// Rules are not merged: those of the inner scope take the place of the outer ones, unless one of the two asks for both.
impl Merge for Rules {
    fn merge(&mut self, inner: &Rules) {
        if inner.said {
            self.take_in(inner);
        }
    }
}

impl Rules {
    fn take_in(&mut self, inner: &Rules) {
        let down = self.options();
        let options = inner.options.or(self.options);
        let asks = options.unwrap_or_default();
        let takes_down = !asks.has(RewriteOptions::IGNORE_INHERIT);
        let outer = std::mem::take(&mut self.list);
        self.list.clone_from(&inner.list);
        if asks.has(RewriteOptions::INHERIT) || takes_down && down.has(RewriteOptions::INHERIT_DOWN) {
            self.list.extend(outer);
        } else if asks.has(RewriteOptions::INHERIT_BEFORE)
            || takes_down && down.has(RewriteOptions::INHERIT_DOWN_BEFORE)
        {
            self.list.splice(0..0, outer);
        }
        self.said |= inner.said;
        self.engine = inner.engine.or(self.engine);
        self.options = options;
        if inner.base.is_some() || !asks.has(RewriteOptions::MERGE_BASE) {
            self.base.clone_from(&inner.base);
        }
        self.directory.clone_from(&inner.directory);
        self.conds.clone_from(&inner.conds);
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "RewriteBase",
        module: "mod_rewrite",
        syntax: "URL-path",
        words: Words::exactly(1),
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::FileInfo,
        default: "",
        summary: "Name the URL path of the directory, for relative substitutions.",
        manual: "It is needed where the directory's URL is not what its place below DocumentRoot or an Alias tells.",
        set: Set::Dir(|conf, args| {
            if args.bytes(0).first() != Some(&b'/') {
                return Err(format!(
                    "{} is not a URL path; write one that starts with a slash",
                    shown(args.bytes(0))
                ));
            }
            conf.rewrite.in_scope(args).base = Some(args.bytes(0).to_vec());
            Ok(())
        }),
    },
    Directive {
        name: "RewriteCond",
        module: "mod_rewrite",
        syntax: "test-string pattern [flags]",
        words: Words::Leading(2, 3),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Name a condition of the rule that follows.",
        manual: "The test string may have references: $N (a group of the rule's pattern), %N (a group of the last condition), \
%{VARIABLE}, %{ENV:name}, %{HTTP:field}, %{LA-U:VARIABLE}, %{LA-F:VARIABLE}, ${map:key|default}. The pattern is a regular \
expression, a comparison (<text, >text, =text, <=text, >=text, -eqN, -geN, -gtN, -leN, -ltN, -neN) or a test of a file (-d, -f, \
-h, -l, -L, -s, -x) or of a request (-F, -U); ! before it turns it round. If the test string is expr, the pattern is an expression; \
one that asks for a file which cannot be read is not met, nor is it with ! before it (in Apache it is). The flags are NC, OR and NV.",
        set: Set::SiteOrDir(
            |site, args| condition(&mut site.rewrite.rules.0, args),
            |conf, args| condition(&mut conf.rewrite, args),
        ),
    },
    Directive {
        name: "RewriteEngine",
        module: "mod_rewrite",
        syntax: "on|off",
        words: Words::Flag,
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "off",
        summary: "Say whether rules are applied.",
        manual: "Outside of sections it holds for the rules there, and for those of all directories that say nothing themselves. Virtual hosts do not inherit the rules of the main server, see RewriteOptions.",
        set: Set::SiteAndDir(
            |site, args| engine(&mut site.rewrite.rules.0, args),
            |conf, args| engine(&mut conf.rewrite, args),
        ),
    },
    Directive {
        name: "RewriteMap",
        module: "mod_rewrite",
        syntax: "name type:source [user:group]",
        words: Words::Between(2, 3),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Give a name to a map that rules can ask.",
        manual: "The types are txt (a file with a key and a value on each line), rnd (the same, where the value has \
alternatives between bars), int (toupper, tolower, escape, unescape) and prg (a program that is started once, reads a key a line \
and writes a value a line, or NULL). A program runs as the user and group that are named, which needs root, else as User and Group \
(Apache starts it as root); it is started again when it ends, or when it does not answer within Timeout, and a request that it \
does not answer fails with 500. Files are read again when they have changed. dbm, dbd and fastdbd are refused: make a text \
file of them.",
        set: Set::Site(map),
    },
    Directive {
        name: "RewriteOptions",
        module: "mod_rewrite",
        syntax: "option ...",
        words: Words::AtLeast(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Say how rules are inherited, and what they may see and make.",
        manual: "The options are Inherit, InheritBefore, InheritDown, InheritDownBefore, IgnoreInherit, AllowNoSlash, AllowAnyURI, \
MergeBase, IgnoreContextInfo, LegacyPrefixDocRoot, UnsafePrefixStat, LongURLOptimization (ignored), MaxRedirects (ignored, as in Apache: see \
LimitInternalRecursion).",
        set: Set::SiteOrDir(
            |site, args| options(&mut site.rewrite.rules.0, args),
            |conf, args| options(&mut conf.rewrite, args),
        ),
    },
    Directive {
        name: "RewriteRule",
        module: "mod_rewrite",
        syntax: "pattern substitution [flags]",
        words: Words::Leading(2, 3),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Name a rule: what a URL that matches becomes.",
        manual: "In the server's part and in <VirtualHost> the pattern sees the URL path; in <Directory> and .htaccess it sees what \
of the file's name lies below the directory, and what the rules make is sent through the server again. Of a request that goes to an \
application or another server, the rules of the sections around it see proxy: and the URL there, decoded and without the query; \
where they change it, the request goes to what they make of it. A substitution of - \
changes nothing. The flags are B, B=, BCTLS, BNE=, BNP, C, CO=, DPI, E=, END, F, G, H=, L, N, NC, NE, NS, PT, QSA, QSD, QSL, R, \
R=, S=, T=, UnsafeAllow3F and UnsafePrefixStat. A question mark that a group, a variable or a map brings makes no query: the \
answer is 403, unless UnsafeAllow3F stands there. With P, the URL must be one of FastCGI (fcgi://), as ProxyPass has it; where a request decides its host or port, \
the server's own files must name the address besides, as <Proxy> does.",
        set: Set::SiteOrDir(
            |site, args| rule(&mut site.rewrite.rules.0, args),
            |conf, args| rule(&mut conf.rewrite, args),
        ),
    },
];

fn engine(rules: &mut Rules, args: &Args) -> Said<()> {
    rules.in_scope(args).engine = Some(args.flag(0)?);
    Ok(())
}

fn condition(rules: &mut Rules, args: &Args) -> Said<()> {
    let flags = args.words.get(2).map(Vec::as_slice);
    let cond = Cond::parse(args.bytes(0), args.bytes(1), flags, args.trust)?;
    rules.in_scope(args).conds.push(cond);
    Ok(())
}

fn rule(rules: &mut Rules, args: &Args) -> Said<()> {
    let rules = rules.in_scope(args);
    let conds = std::mem::take(&mut rules.conds);
    let flags = args.words.get(2).map(Vec::as_slice);
    let rule = Rule::parse(conds, args.bytes(0), args.bytes(1), flags)?;
    if let Some(url) = rule.proxied() {
        backends::check_rule(url)?;
    }
    rules.list.push(Arc::new(rule.standing_at(args.span.to_string())));
    Ok(())
}

fn options(rules: &mut Rules, args: &Args) -> Said<()> {
    let rules = rules.in_scope(args);
    let mut options = RewriteOptions::default();
    for word in args.words {
        let lower = String::from_utf8_lossy(word).to_ascii_lowercase();
        options = options.with(match lower.as_str() {
            "inherit" => RewriteOptions::INHERIT,
            "inheritbefore" => RewriteOptions::INHERIT_BEFORE,
            "inheritdown" => RewriteOptions::INHERIT_DOWN,
            "inheritdownbefore" => RewriteOptions::INHERIT_DOWN_BEFORE,
            "ignoreinherit" => RewriteOptions::IGNORE_INHERIT,
            "allownoslash" => RewriteOptions::ALLOW_NO_SLASH,
            "allowanyuri" => RewriteOptions::ALLOW_ANY_URI,
            "mergebase" => RewriteOptions::MERGE_BASE,
            "ignorecontextinfo" => RewriteOptions::IGNORE_CONTEXT_INFO,
            "legacyprefixdocroot" => RewriteOptions::LEGACY_PREFIX_DOC_ROOT,
            "unsafeprefixstat" => RewriteOptions::UNSAFE_PREFIX_STAT,
            "longurloptimization" => RewriteOptions::default(),
            _ if lower.starts_with("maxredirects=") => {
                args.remark("MaxRedirects is ignored, as in Apache: LimitInternalRecursion says how often");
                RewriteOptions::default()
            }
            _ => return Err(format!("{} is not an option of RewriteOptions", shown(word))),
        });
    }
    rules.options = Some(options);
    Ok(())
}

fn map(site: &mut SiteSettings, args: &Args) -> Said<()> {
    let source = args.bytes(1);
    let (kind, rest) = match source.iter().position(|byte| *byte == b':') {
        Some(colon) => (&source[..colon], &source[colon + 1..]),
        None => (&b"txt"[..], source),
    };
    let file = || {
        if rest.is_empty() {
            Err("the name of a file is missing".to_owned())
        } else {
            Ok(below(args.server_root, rest))
        }
    };
    let map = match kind.to_ascii_lowercase().as_slice() {
        b"txt" => Map::Text(file()?),
        b"rnd" => Map::Random(file()?),
        b"int" => Map::Internal(match rest {
            b"toupper" => Function::ToUpper,
            b"tolower" => Function::ToLower,
            b"escape" => Function::Escape,
            b"unescape" => Function::Unescape,
            _ => {
                return Err(format!(
                    "{} is not a function; write toupper, tolower, escape or unescape",
                    shown(rest)
                ));
            }
        }),
        b"prg" => Map::Program {
            command: file()?,
            identity: args.words.get(2).cloned(),
        },
        b"dbm" | b"dbd" | b"fastdbd" => {
            return Err(format!(
                "maps of type {} are not supported; make a text file of it",
                shown(kind)
            ));
        }
        _ => {
            return Err(format!(
                "{} is not a type of map; write txt, rnd, int or prg",
                shown(kind)
            ));
        }
    };
    site.rewrite.maps.insert(args.bytes(0).to_vec(), map);
    Ok(())
}
