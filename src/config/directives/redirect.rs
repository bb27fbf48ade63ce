//! Sending clients elsewhere: the Redirect family of `mod_alias`.

use crate::config::directives::DirConf;
use crate::config::error::Span;
use crate::config::setting::{Prepended, Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};
use crate::config::words::{Args, Said, Surroundings, shown};
use crate::lang::expr::StringExpr;
use crate::lang::regex::Regex;

settings! {
    /// Redirects of a place. Those of inner sections are tried first.
    pub struct Redirects {
        /// In the order in which they are tried.
        list: Prepended<Redirect>,
        /// The one of a section that names no path; everything there is sent to it.
        section: Setting<SectionRedirect>,
        /// `RedirectRelative`.
        relative: Setting<bool>,
    }
}

/// One Redirect or RedirectMatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// What the URL path is compared with.
    pub from: From,
    /// The status of the answer.
    pub status: u16,
    /// Where to: a URL, or a path of this server; nothing for a status that is no redirect.
    pub to: Option<Vec<u8>>,
    /// Where it stands.
    pub span: Span,
}

/// What a redirect compares the URL path with.
#[derive(Clone, Debug, PartialEq)]
pub enum From {
    /// A path of whole segments; what follows it is added to the target.
    Prefix(Vec<u8>),
    /// A regular expression; the target has `$1` and so on.
    Match(Regex),
}

/// A Redirect of a section that names no path.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionRedirect {
    /// The status of the answer.
    pub status: u16,
    /// Where to; nothing for a status that is no redirect.
    pub to: Option<StringExpr>,
    /// Where it stands.
    pub span: Span,
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "Redirect",
        module: "mod_alias",
        syntax: "[status] [url-path] URL",
        words: Words::Between(1, 3),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Send clients to another URL.",
        manual: "The status is permanent (301), temp (302, which holds without one), seeother (303), gone (410) or a number. What \
                 follows the path in the request is added to the URL, and the query too, unless the URL has one. A status that is \
                 no redirect takes no URL: Redirect 204 /favicon.ico. In a section of a place the path may be left out: everything there is sent to the URL, which may \
                 hold %{...} as expressions do, and comes before the redirects that name a path; in a <Location> also before anybody is asked for a password. \
                 A path that does not begin with a slash redirects nothing, as in Apache; a warning says so. Redirects come before every Alias. A rule of the server that makes a file of a path comes before its redirects; a rule of a \
                 place that leads elsewhere inside the server comes behind those of the place.",
        set: Set::Dir(|conf, args| {
            let (status, words) = leading_status(args)?;
            match words {
                [from, to] => add(conf, args, prefix(from), status.unwrap_or(302), Some(to)),
                [from] if !is_redirect(status.unwrap_or(302)) => {
                    add(conf, args, prefix(from), status.unwrap_or(302), None)
                }
                [to] if args.around == Surroundings::Section => {
                    add_section(conf, args, status.unwrap_or(302), Some(to))
                }
                [] if args.around == Surroundings::Section && !is_redirect(status.unwrap_or(302)) => {
                    add_section(conf, args, status.unwrap_or(302), None)
                }
                _ => Err("takes `[status] url-path URL`".into()),
            }
        }),
    },
    Directive {
        name: "RedirectMatch",
        module: "mod_alias",
        syntax: "[status] regex [URL]",
        words: Words::Between(1, 3),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Send clients to another URL where the path matches a pattern.",
        manual: "In the URL, $1 to $9 stand for the pattern's groups. The rest is as for Redirect.",
        set: Set::Dir(|conf, args| {
            let (status, words) = leading_status(args)?;
            let status = status.unwrap_or(302);
            match words {
                [from, to] => add(
                    conf,
                    args,
                    From::Match(crate::config::words::regex(from)?),
                    status,
                    Some(to),
                ),
                [from] if !is_redirect(status) => add(
                    conf,
                    args,
                    From::Match(crate::config::words::regex(from)?),
                    status,
                    None,
                ),
                _ => Err("takes `[status] regex URL`".into()),
            }
        }),
    },
    Directive {
        name: "RedirectPermanent",
        module: "mod_alias",
        syntax: "url-path URL",
        words: Words::exactly(2),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Send clients to another URL for good (301).",
        manual: "The same as Redirect permanent.",
        set: Set::Dir(|conf, args| add(conf, args, prefix(args.bytes(0)), 301, Some(args.bytes(1)))),
    },
    Directive {
        name: "RedirectRelative",
        module: "mod_alias",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "Off",
        summary: "Leave the target of a redirect within the server a path.",
        manual: "Off writes the server's name before it.",
        set: Set::Dir(|conf, args| {
            conf.redirects.relative.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "RedirectTemp",
        module: "mod_alias",
        syntax: "url-path URL",
        words: Words::exactly(2),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Send clients to another URL for now (302).",
        manual: "The same as Redirect temp.",
        set: Set::Dir(|conf, args| add(conf, args, prefix(args.bytes(0)), 302, Some(args.bytes(1)))),
    },
];

/// A status in front, if there is one, and the words behind it.
fn leading_status<'a>(args: &Args<'a>) -> Said<(Option<u16>, &'a [Vec<u8>])> {
    let status = match args.keyword(0).as_str() {
        "permanent" => Some(301),
        "temp" => Some(302),
        "seeother" => Some(303),
        "gone" => Some(410),
        word if !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) => {
            Some(u16::try_from(args.number(0, 200..=599)?).map_err(|e| e.to_string())?)
        }
        _ => None,
    };
    Ok((status, args.rest(usize::from(status.is_some()))))
}

fn is_redirect(status: u16) -> bool {
    (300..400).contains(&status)
}

fn prefix(word: &[u8]) -> From {
    From::Prefix(word.to_vec())
}

fn add(conf: &mut DirConf, args: &Args, from: From, status: u16, to: Option<&[u8]>) -> Said<()> {
    match to {
        Some(_) if !is_redirect(status) => return Err(format!("{status} is no redirect, so it takes no URL")),
        Some(to) if !to.contains(&b':') && to.first() != Some(&b'/') && !matches!(from, From::Match(_)) => {
            return Err(format!(
                "{} is neither a URL nor a path that starts with a slash",
                shown(to)
            ));
        }
        _ => {}
    }
    // As in Apache, such a line is taken although it has never done anything.
    if let From::Prefix(word) = &from
        && word.first() != Some(&b'/')
    {
        args.remark(format!(
            "{} is not a URL path, and redirects nothing; write one that starts with a slash",
            shown(word)
        ));
        return Ok(());
    }
    conf.redirects.list.push(Redirect {
        from,
        status,
        to: to.map(<[u8]>::to_vec),
        span: args.span.clone(),
    });
    Ok(())
}

fn add_section(conf: &mut DirConf, args: &Args, status: u16, to: Option<&[u8]>) -> Said<()> {
    let to = match to {
        None => None,
        Some(_) if !is_redirect(status) => return Err(format!("{status} is no redirect, so it takes no URL")),
        Some(to) => {
            let text = std::str::from_utf8(to).map_err(|_| format!("{} is not UTF-8 text", shown(to)))?;
            Some(StringExpr::parse(text, args.trust).map_err(|e| e.0)?)
        }
    };
    let span = args.span.clone();
    conf.redirects.section.set(SectionRedirect { status, to, span });
    Ok(())
}
