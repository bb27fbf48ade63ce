//! Parts of the file system outside DocumentRoot: `mod_alias`.

use crate::base::glob::Glob;
use crate::config::directives::{DirConf, SiteSettings};
use crate::config::error::Span;
use crate::config::setting::{Appended, Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, SERVER_FILES, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::lang::expr::StringExpr;
use crate::lang::regex::Regex;

settings! {
    /// The alias of a `<Location>`.
    pub struct PlaceAliases {
        /// `Alias` or `ScriptAlias` with one word.
        alias: Setting<PlaceAlias>,
        /// `AliasPreservePath`.
        preserve_path: Setting<bool>,
    }
}

/// Where everything in a `<Location>` leads.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceAlias {
    /// The URL path of the section, as it was written.
    pub from: Vec<u8>,
    /// The file name.
    pub to: PlaceTarget,
    /// Whether it is a script.
    pub kind: AliasKind,
    /// Where it stands.
    pub span: Span,
}

/// A file name.
#[derive(Clone, Debug, PartialEq)]
pub enum PlaceTarget {
    /// This one.
    Path(Vec<u8>),
    /// What an expression says.
    Computed(StringExpr),
}

settings! {
    /// Aliases of a site; a virtual host's own come before the main server's.
    pub struct Aliases {
        /// In the order in which they are tried.
        list: Appended<Alias>,
    }
}

/// One Alias, ScriptAlias, AliasMatch or ScriptAliasMatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// What the URL path is compared with.
    pub from: AliasFrom,
    /// The file name it leads to; with `$1` and so on for a match.
    pub to: Vec<u8>,
    /// Whether everything found there is a script.
    pub kind: AliasKind,
    /// Where it stands.
    pub span: Span,
}

/// What an alias compares the URL path with.
#[derive(Clone, Debug, PartialEq)]
pub enum AliasFrom {
    /// A path of whole segments.
    Prefix(Vec<u8>),
    /// A regular expression.
    Match(Regex),
}

/// Files or scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasKind {
    /// Files, handled as anywhere.
    Files,
    /// Scripts, all of them.
    Scripts,
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "Alias",
        module: "mod_alias",
        syntax: "[url-path] path",
        words: Words::Between(1, 2),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "",
        summary: "Serve a URL path from a directory or file elsewhere.",
        manual: "The URL path matches whole segments. With a slash at its end it matches only below that slash; end both words with \
a slash or neither. In a <Location> it stands with the path alone, which may hold %{...} as expressions do: everything there leads \
to that file or directory, or below it with AliasPreservePath.",
        set: Set::SiteOrDir(
            |site, args| add(site, args, AliasKind::Files),
            |conf, args| add_place(conf, args, AliasKind::Files),
        ),
    },
    Directive {
        name: "AliasMatch",
        module: "mod_alias",
        syntax: "regex path",
        words: Words::exactly(2),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Serve the URL paths that match a pattern from elsewhere.",
        manual: "In the path, $1 to $9 stand for the pattern's groups.",
        set: Set::Site(|site, args| add_match(site, args, AliasKind::Files)),
    },
    Directive {
        name: "AliasPreservePath",
        module: "mod_alias",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "Off",
        summary: "Let what follows a <Location> in the URL follow its Alias too.",
        manual: "",
        set: Set::Dir(|conf, args| {
            conf.aliases.preserve_path.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ScriptAlias",
        module: "mod_alias",
        syntax: "[url-path] path",
        words: Words::Between(1, 2),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "",
        summary: "Run everything below a URL path as a script.",
        manual: "Like Alias; every file found there is run, whatever its name, and none is ever shown. The path may name one file, \
with or without a slash at its end; what follows in the URL is then PATH_INFO.",
        set: Set::SiteOrDir(
            |site, args| add(site, args, AliasKind::Scripts),
            |conf, args| add_place(conf, args, AliasKind::Scripts),
        ),
    },
    Directive {
        name: "ScriptAliasMatch",
        module: "mod_alias",
        syntax: "regex path",
        words: Words::exactly(2),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Run the URL paths that match a pattern as scripts.",
        manual: "In the path, $1 to $9 stand for the pattern's groups.",
        set: Set::Site(|site, args| add_match(site, args, AliasKind::Scripts)),
    },
];

fn add(site: &mut SiteSettings, args: &Args, kind: AliasKind) -> Said<()> {
    if args.count() != 2 {
        return Err("takes a URL path and a path, outside of <Location>".into());
    }
    let from = args.bytes(0);
    // As in Apache, such a line is taken although it has never done anything.
    if from.first() != Some(&b'/') {
        args.remark(format!(
            "{} is not a URL path, and leads nowhere; write one that starts with a slash",
            shown(from)
        ));
        return Ok(());
    }
    site.aliases.list.push(Alias {
        from: AliasFrom::Prefix(from.to_vec()),
        to: args.path(1),
        kind,
        span: args.span.clone(),
    });
    Ok(())
}

fn add_place(conf: &mut DirConf, args: &Args, kind: AliasKind) -> Said<()> {
    if args.count() != 1 {
        return Err("takes a path alone in a section, whose URL path it stands for".into());
    }
    let text = args.text(0).ok().filter(|text| text.contains("%{"));
    let to = match text {
        None => PlaceTarget::Path(args.path(0)),
        Some(_) if kind == AliasKind::Scripts => {
            return Err("takes no variables: it must be known at the start what may be run".into());
        }
        Some(text) => PlaceTarget::Computed(StringExpr::parse(text, args.trust).map_err(|e| e.0)?),
    };
    let from = args.section.unwrap_or_default().to_vec();
    let span = args.span.clone();
    conf.aliases.alias.set(PlaceAlias { from, to, kind, span });
    Ok(())
}

fn add_match(site: &mut SiteSettings, args: &Args, kind: AliasKind) -> Said<()> {
    site.aliases.list.push(Alias {
        from: AliasFrom::Match(args.regex(0)?),
        to: args.path(1),
        kind,
        span: args.span.clone(),
    });
    Ok(())
}

impl Alias {
    /// The literal start of the file names that this alias leads to: all of it, or what stands before the first `$`.
    pub fn literal_target(&self) -> &[u8] {
        match &self.from {
            AliasFrom::Prefix(_) => &self.to,
            AliasFrom::Match(_) => {
                let end = self.to.iter().position(|b| *b == b'$').unwrap_or(self.to.len());
                let slash = self.to[..end].iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
                if end == self.to.len() && !Glob::is_pattern(&self.to) {
                    &self.to
                } else {
                    &self.to[..slash]
                }
            }
        }
    }
}
