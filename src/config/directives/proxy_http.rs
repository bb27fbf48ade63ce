//! What other servers are told over HTTP, and what becomes of their answers: `mod_proxy`, as far as it concerns HTTP.

use crate::config::setting::{Appended, Setting, settings};
use crate::config::table::{Directive, LOCATIONS, Override, SERVER_FILES, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::http::received::BadLine;

settings! {
    /// Servers that speak HTTP, of a place.
    pub struct ProxyHttp {
        /// `ProxyPassReverse`, in the order in which they are tried.
        reverse: Appended<Reverse>,
        /// `ProxyPassReverseCookieDomain`, likewise.
        cookie_domains: Appended<Cookie>,
        /// `ProxyPassReverseCookiePath`, likewise.
        cookie_paths: Appended<Cookie>,
        /// `ProxyPreserveHost`.
        preserve_host: Setting<bool>,
        /// `ProxyAddHeaders`.
        add_headers: Setting<bool>,
        /// `ProxyForwarded`.
        forwarded: Setting<bool>,
        /// `ProxyErrorOverride`.
        error_override: Setting<ErrorOverride>,
        /// `Proxy100Continue`.
        forward_continue: Setting<bool>,
    }
}

settings! {
    /// Servers that speak HTTP, of a site.
    pub struct SiteProxyHttp {
        /// `ProxyVia`.
        via: Setting<Via>,
        /// `ProxyBadHeader`.
        bad_header: Setting<BadLine>,
        /// `ProxyMaxForwards`; `None` sets none.
        max_forwards: Setting<Option<u64>>,
    }
}

/// The beginning of URLs in answers, and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverse {
    /// The other server's URL, or a path of it.
    pub theirs: Vec<u8>,
    /// The path here, or a URL.
    pub ours: Vec<u8>,
}

/// An attribute of cookies: what it begins with there, and what it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// There.
    pub theirs: Vec<u8>,
    /// Here.
    pub ours: Vec<u8>,
}

/// Which answers are replaced by the error pages here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorOverride {
    /// None.
    Off,
    /// All of 400 to 599.
    Errors,
    /// These.
    Codes(Vec<u16>),
}

/// What is said of us in Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Nothing; what others said stays.
    Off,
    /// Our name.
    On,
    /// Our name and version.
    Full,
    /// Nothing, and what others said is taken out.
    Block,
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "Proxy100Continue",
        module: "mod_proxy",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "On",
        summary: "Say whether Expect: 100-continue is passed on to servers behind this one.",
        manual: "Where it is, the client is asked for its body when the server behind asks for it, or is silent for a second; a server \
that answers at once gets none. Where it is not, this server asks for the body.",
        set: Set::Dir(|conf, args| {
            conf.proxy_http.forward_continue.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyAddHeaders",
        module: "mod_proxy",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "On",
        summary: "Tell servers behind this one of the client in X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Server.",
        manual: "What a client sends in these fields stays before what is added. RemoteIPHeader takes out what it has read of such a \
field, and RequestHeader unset takes out all of it.",
        set: Set::Dir(|conf, args| {
            conf.proxy_http.add_headers.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyBadHeader",
        module: "mod_proxy",
        syntax: "IsError|Ignore|StartBody",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "IsError",
        summary: "Say what becomes of an answer with a line in its head that is no field.",
        manual: "With IsError the answer is 502, with Ignore the line is left out, with StartBody the body begins with it. A first line \
that is no status line is always an error. (Apache takes such an answer for one of HTTP/0.9 and sends it on.)",
        set: Set::Site(|site, args| {
            let choices = [
                ("IsError", BadLine::Refused),
                ("Ignore", BadLine::LeftOut),
                ("StartBody", BadLine::BeginsBody),
            ];
            site.proxy_http.bad_header.set(args.choice(0, &choices)?);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyErrorOverride",
        module: "mod_proxy",
        syntax: "Off|On [status ...]",
        words: Words::AtLeast(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "Off",
        summary: "Answer with the error pages of this server where a server behind it answers with an error.",
        manual: "Without statuses it holds for 400 to 599, else for those alone; a line of an inner section takes the outer one's place (Apache joins \
their statuses). WWW-Authenticate of a 401 stays, and Allow of a 405. It holds \
for servers of HTTP and for FastCGI applications, whose cookies stay too; not for SCGI applications.",
        set: Set::Dir(|conf, args| {
            conf.proxy_http.error_override.set(error_override(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyForwarded",
        module: "mod_proxy",
        syntax: "On|Off",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "Off",
        summary: "Tell servers behind this one of the client in Forwarded (RFC 7239).",
        manual: "It says for, host and proto. What a client sends in the field stays before what is added. Apache does not have the \
directive.",
        set: Set::Dir(|conf, args| {
            conf.proxy_http.forwarded.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyMaxForwards",
        module: "mod_proxy",
        syntax: "number",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "-1",
        summary: "Say through how many servers a request may go whose Max-Forwards does not say it.",
        manual: "With -1 nothing is said. A request that says 0 is not passed on: OPTIONS is answered here, others with 400.",
        set: Set::Site(|site, args| {
            let number = match args.bytes(0) {
                [b'-', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => None,
                _ => Some(args.number(0, 0..=i64::MAX.unsigned_abs())?),
            };
            site.proxy_http.max_forwards.set(number);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyPassReverse",
        module: "mod_proxy",
        syntax: "[path] url",
        words: Words::Between(1, 3),
        allowed: LOCATIONS,
        overrides: Override::None,
        default: "",
        summary: "Lead back here what an answer's Location, Content-Location, URI or Destination says of the server behind.",
        manual: "Where such a field begins with the URL, the path takes its place, behind the name of this server. In a <Location> it \
stands without the path. A URL that begins with a slash is a path of whatever server the field names. Fields alone are changed, and no links in pages.",
        set: Set::Dir(|conf, args| {
            if let Some([ours, theirs]) = mapped(args)? {
                conf.proxy_http.reverse.push(Reverse { theirs, ours });
            }
            Ok(())
        }),
    },
    Directive {
        name: "ProxyPassReverseCookieDomain",
        module: "mod_proxy",
        syntax: "internal-domain public-domain",
        words: Words::Between(2, 3),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "",
        summary: "Change the Domain of the cookies that a server behind this one sets.",
        manual: "The first whose internal domain the attribute begins with takes its place.",
        set: Set::Dir(|conf, args| {
            conf.proxy_http.cookie_domains.push(cookie(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyPassReverseCookiePath",
        module: "mod_proxy",
        syntax: "internal-path public-path",
        words: Words::Between(2, 3),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "",
        summary: "Change the Path of the cookies that a server behind this one sets.",
        manual: "The first whose internal path the attribute begins with takes the place of all of it.",
        set: Set::Dir(|conf, args| {
            conf.proxy_http.cookie_paths.push(cookie(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyPreserveHost",
        module: "mod_proxy",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "Off",
        summary: "Give servers behind this one the Host that the client sent, not the one in their URL.",
        manual: "",
        set: Set::Dir(|conf, args| {
            conf.proxy_http.preserve_host.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyRequests",
        module: "mod_proxy",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: SITES,
        overrides: Override::None,
        default: "Off",
        summary: "Say that this is no forward proxy.",
        manual: "On is refused: whoever may connect could have this server connect anywhere. What ProxyPass, rules and handlers name needs \
Off. A request for http://another.example/ is one for the site of that name here.",
        set: Set::Site(|_, args| {
            if args.flag(0)? {
                return Err(
                    "not supported; lychgate is no forward proxy, which connects wherever a client says: write `Off`; \
                            ProxyPass does not need it"
                        .into(),
                );
            }
            Ok(())
        }),
    },
    Directive {
        name: "ProxyVia",
        module: "mod_proxy",
        syntax: "On|Off|Full|Block",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "Off",
        summary: "Say whether Via names this server, in requests to servers behind it and in their answers.",
        manual: "Full adds the version. Block takes out what others have said.",
        set: Set::Site(|site, args| {
            let choices = [
                ("On", Via::On),
                ("Off", Via::Off),
                ("Full", Via::Full),
                ("Block", Via::Block),
            ];
            site.proxy_http.via.set(args.choice(0, &choices)?);
            Ok(())
        }),
    },
];

fn error_override(args: &Args) -> Said<ErrorOverride> {
    if !args.flag(0)? {
        return match args.rest(1) {
            [] => Ok(ErrorOverride::Off),
            _ => Err("takes no statuses with `Off`".into()),
        };
    }
    if args.rest(1).is_empty() {
        return Ok(ErrorOverride::Errors);
    }
    let mut codes = Vec::new();
    for n in 1..args.count() {
        codes.push(u16::try_from(args.number(n, 100..=999)?).unwrap_or(0));
    }
    Ok(ErrorOverride::Codes(codes))
}

/// Refuses what would have a value for each request.
fn without_interpolate(words: &[Vec<u8>]) -> Said<&[Vec<u8>]> {
    match words.split_last() {
        Some((last, before)) if last.eq_ignore_ascii_case(b"interpolate") && !before.is_empty() => {
            Err("`interpolate` is not supported by this version".into())
        }
        _ => Ok(words),
    }
}

/// A path of this server, which a `<Location>` says where the line does not, and what stands for it there. An expression is no
/// path; Apache would write it into Location.
fn mapped(args: &Args) -> Said<Option<[Vec<u8>; 2]>> {
    match (without_interpolate(args.words)?, args.section) {
        ([theirs], Some(section)) if section.starts_with(b"/") => Ok(Some([section.to_vec(), theirs.clone()])),
        ([_], Some(section)) => {
            args.remark(format!(
                "{} is no path that could stand for the URL, so this is ignored; write `/path http://host:port/` outside of the section",
                shown(section)
            ));
            Ok(None)
        }
        ([_], None) => Err("a URL is missing; write `/path http://host:port/`".into()),
        ([_, _], Some(section)) if section.starts_with(b"/") => {
            Err("takes a URL alone in a section, whose path it stands for".into())
        }
        ([ours, theirs], _) => Ok(Some([ours.clone(), theirs.clone()])),
        ([_, _, third, ..], _) => Err(format!("{} is not `interpolate`", shown(third))),
        ([], _) => Err("takes a path and a URL".into()),
    }
}

fn cookie(args: &Args) -> Said<Cookie> {
    match without_interpolate(args.words)? {
        [theirs, ours] => Ok(Cookie {
            theirs: theirs.clone(),
            ours: ours.clone(),
        }),
        _ => Err("takes what it is there and what it is here".into()),
    }
}
