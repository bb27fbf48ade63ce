//! From the URL's world to the file system's: aliases in order, then DocumentRoot.

use crate::base::path;
use crate::config::directives::alias::{Alias as Entry, AliasFrom, AliasKind, PlaceAlias, PlaceTarget};
use crate::config::words::Pattern;
use crate::exchange::Exchange;
use crate::exchange::place::Alias;
use crate::exchange::response::Stop;
use crate::exchange::trace::Step;
use crate::exchange::view::View;
use crate::http::status::Status;
use crate::phases::{redirect, user_dir, virtual_host};

/// The file name a URL path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// Absolute; may go on behind an existing file.
    pub path: Vec<u8>,
    /// The alias that led here.
    pub alias: Alias,
    /// What CONTEXT_PREFIX says: the URL path of the alias.
    pub context_prefix: Vec<u8>,
    /// What CONTEXT_DOCUMENT_ROOT says: the directory it stands for.
    pub context_root: Vec<u8>,
    /// DOCUMENT_ROOT, where it is another than the site's.
    pub document_root: Option<Vec<u8>>,
}

/// Translates the path of this pass. The pages of a user may be elsewhere.
pub fn run(ex: &Exchange) -> Result<Translated, Stop> {
    let url = ex.target.path.as_bytes();
    let (found, by) = way_of(ex, url);
    if matches!(by, By::Host | By::Root)
        && let Some(location) = user_dir::elsewhere(ex, url)
    {
        if let Some(place) = ex.site.settings.user_dirs.place.value() {
            ex.trace(|| Step::Redirect {
                by: "UserDir".to_owned(),
                status: Status::FOUND.code(),
                at: place.clone(),
            });
        }
        return Err(redirect::sent_to(Status::FOUND, location));
    }
    ex.trace(|| by.step(&found));
    Ok(found)
}

/// Translates any path of the site, as PATH_TRANSLATED needs it.
pub fn path_of(ex: &Exchange, url: &[u8]) -> Translated {
    way_of(ex, url).0
}

/// What leads from a path to a file name.
enum By<'a> {
    Section(&'a PlaceAlias),
    Alias(&'a Entry),
    User,
    Host,
    Root,
}

impl By<'_> {
    fn step(&self, found: &Translated) -> Step {
        let kind = |kind| {
            if kind == AliasKind::Scripts {
                "ScriptAlias"
            } else {
                "Alias"
            }
        };
        let (by, at) = match self {
            By::Section(alias) => (format!("{} of the <Location>", kind(alias.kind)), Some(&alias.span)),
            By::Alias(alias) => match &alias.from {
                AliasFrom::Prefix(from) => {
                    let from = String::from_utf8_lossy(from);
                    (format!("{} {from}", kind(alias.kind)), Some(&alias.span))
                }
                AliasFrom::Match(regex) => {
                    let directive = format!("{}Match {}", kind(alias.kind), regex.pattern());
                    (directive, Some(&alias.span))
                }
            },
            By::User => ("UserDir".to_owned(), None),
            By::Host if found.alias == Alias::Scripts => ("VirtualScriptAlias".to_owned(), None),
            By::Host => ("VirtualDocumentRoot".to_owned(), None),
            By::Root => ("DocumentRoot".to_owned(), None),
        };
        Step::Name {
            by,
            path: found.path.clone(),
            at: at.cloned(),
        }
    }
}

fn way_of<'a>(ex: &'a Exchange, url: &[u8]) -> (Translated, By<'a>) {
    if let Some((found, alias)) = of_section(ex, url) {
        return (found, By::Section(alias));
    }
    let mut aliases = ex.site.settings.aliases.list.iter();
    let root = document_root_of(ex);
    if let Some((found, alias)) = aliases.find_map(|alias| Some((through(alias, url, &root)?, alias))) {
        return (found, By::Alias(alias));
    }
    if let Some(found) = user_dir::of(ex, url) {
        return (found, By::User);
    }
    if let Some(found) = virtual_host::of(ex, url) {
        return (found, By::Host);
    }
    let mut path = root.clone();
    path.extend_from_slice(behind_server_path(ex, url));
    let found = Translated {
        path,
        alias: Alias::None,
        context_prefix: Vec::new(),
        context_root: root,
        document_root: None,
    };
    (found, By::Root)
}

/// The alias of the last `<Location>` that has one and covers the path. One whose expression has no value leads nowhere.
fn of_section<'a>(ex: &'a Exchange, url: &[u8]) -> Option<(Translated, &'a PlaceAlias)> {
    let covering = || {
        ex.site
            .locations
            .iter()
            .rev()
            .filter(|section| section.covers_location(url))
    };
    let (section, alias) = covering().find_map(|section| Some((section, section.conf.aliases.alias.value()?)))?;
    let to = match &alias.to {
        PlaceTarget::Path(path) => path.clone(),
        PlaceTarget::Computed(expr) => {
            let path = expr.eval(&View { ex, response: None }).unwrap_or_default();
            if path.starts_with(b"/") {
                path
            } else {
                b"/dev/null/no-such-file".to_vec()
            }
        }
    };
    let said = covering().find_map(|section| section.conf.aliases.preserve_path.value());
    let keeps_path = said.or(ex.site.base.aliases.preserve_path.value()) == Some(&true);
    let rest = path::below(url, &alias.from).filter(|_| keeps_path && !matches!(section.pattern, Pattern::Regex(_)));
    let (context_prefix, context_root) = match rest {
        Some(_) => (alias.from.clone(), to.clone()),
        None => (Vec::new(), document_root_of(ex)),
    };
    let found = Translated {
        path: [to.as_slice(), rest.unwrap_or_default()].concat(),
        alias: kind_of(alias.kind),
        context_prefix,
        context_root,
        document_root: None,
    };
    Some((found, alias))
}

fn kind_of(kind: AliasKind) -> Alias {
    match kind {
        AliasKind::Files => Alias::Files,
        AliasKind::Scripts => Alias::Scripts,
    }
}

/// The directory of the site.
pub fn document_root_of(ex: &Exchange) -> Vec<u8> {
    crate::config::site::document_root(ex.config, ex.site)
}

/// A site with a ServerPath serves what is below it as if that were its root.
fn behind_server_path<'a>(ex: &Exchange, url: &'a [u8]) -> &'a [u8] {
    let Some(path) = ex.site.settings.core.path.value() else {
        return url;
    };
    let Some(rest) = path::below(url, path) else {
        return url;
    };
    // A slash that ends the ServerPath begins the rest.
    let slash = usize::from(path.ends_with(b"/"));
    url.get(url.len() - rest.len() - slash..).unwrap_or(rest)
}

/// Through one alias. A pattern is no context (CONTEXT_DOCUMENT_ROOT), as in Apache.
fn through(alias: &Entry, url: &[u8], root: &[u8]) -> Option<Translated> {
    let kind = kind_of(alias.kind);
    match &alias.from {
        AliasFrom::Prefix(prefix) => {
            let rest = path::below(url, prefix)?;
            let mut path = alias.to.clone();
            path.extend_from_slice(rest);
            Some(Translated {
                path,
                alias: kind,
                context_prefix: prefix.clone(),
                context_root: alias.to.clone(),
                document_root: None,
            })
        }
        AliasFrom::Match(regex) => {
            let groups = regex.captures(url)?;
            let path = crate::lang::regex::expand(&alias.to, url, &groups);
            if path.first() != Some(&b'/') {
                return None;
            }
            Some(Translated {
                path,
                alias: kind,
                context_prefix: Vec::new(),
                context_root: root.to_vec(),
                document_root: None,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::base::path::below;

    #[test]
    fn an_alias_matches_whole_segments() {
        for (prefix, url, want) in [
            ("/icons", "/icons", Some("")),
            ("/icons", "/icons/a.png", Some("/a.png")),
            ("/icons", "/iconset", None),
            ("/icons/", "/icons", None),
            ("/icons/", "/icons/a.png", Some("a.png")),
        ] {
            assert_eq!(
                below(url.as_bytes(), prefix.as_bytes()),
                want.map(str::as_bytes),
                "{prefix} {url}"
            );
        }
    }
}
