//! What is given to other servers, and on which terms: `mod_proxy`. What concerns HTTP alone is in `proxy_http`.

use std::time::Duration;

use crate::base::glob::Glob;
use crate::config::backends::{self, Target};
use crate::config::balancers::{self, Sharing};
use crate::config::directives::{DirConf, SiteSettings, balancer};
use crate::config::error::Span;
use crate::config::setting::{Appended, Merge, Setting, settings};
use crate::config::table::{Directive, LOCATIONS, Override, SERVER_FILES, SITES, Set, Words};
use crate::config::words::{Args, Said, duration, shown};
use crate::lang::regex::Regex;

settings! {
    /// Application servers of a place.
    pub struct Proxy {
        /// `ProxyPass` or `ProxyPassMatch` of a `<Location>`.
        pass: Setting<Pass>,
        /// `ProxySet` in `<Proxy>`, and what stands in its heading.
        terms: Terms,
    }
}

settings! {
    /// Application servers of a site.
    pub struct SiteProxy {
        /// `ProxyPass` and `ProxyPassMatch`, in the order in which they are tried; a virtual host's own come last, as in Apache.
        passes: Appended<Pass>,
        /// `ProxyPassInherit`.
        inherit: Setting<bool>,
        /// `ProxySet` with a URL.
        set: Appended<(Vec<u8>, Terms)>,
        /// `ProxyTimeout`.
        timeout: Setting<Duration>,
    }
}

/// URL paths that an application server is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// Which.
    pub from: From,
    /// To whom.
    pub to: To,
    /// How the path is written there.
    pub path: PathForm,
    /// On which terms.
    pub terms: Terms,
    /// Where it is a balancer: its name, and what is said of it.
    pub sharing: Option<(Vec<u8>, Sharing)>,
    /// Where the line stands.
    pub span: Span,
}

/// What a URL path is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum From {
    /// A path of whole segments.
    Prefix(Vec<u8>),
    /// A regular expression.
    Match(Regex),
    /// With nothing: no path of a request is like it.
    Nothing,
}

/// Where a URL path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// To nobody: it stays here (`!`).
    Here,
    /// To this URL, with `$1` and so on for a match.
    Url(Vec<u8>),
}

impl To {
    /// The URL, as far as no request decides it.
    pub fn url(&self) -> Option<&[u8]> {
        match self {
            To::Here => None,
            To::Url(url) => url.split(|byte| *byte == b'$').next(),
        }
    }
}

/// How a path is written in the URL of an application server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathForm {
    /// Decoded and escaped again.
    Canonical,
    /// As the client wrote it (`nocanon`).
    AsSent,
}

/// The terms on which an application server is talked to. Each is unset where nobody said it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// `enablereuse`, or the opposite of `disablereuse`.
    pub reuse: Option<bool>,
    /// `timeout`
    pub timeout: Option<Duration>,
    /// `connectiontimeout`
    pub connect: Option<Duration>,
    /// `retry`
    pub retry: Option<Duration>,
    /// `acquire`
    pub acquire: Option<Duration>,
    /// `max`
    pub max: Option<u64>,
    /// `ttl`
    pub ttl: Option<Duration>,
    /// `responsefieldsize`, in bytes
    pub field_size: Option<u64>,
    /// `upgrade`
    pub upgrade: Option<Upgrade>,
}

/// To which protocols a client may have the connection changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// To none.
    Never,
    /// To the WebSocket protocol.
    WebSocket,
    /// To any but another HTTP.
    Any,
}

impl Merge for Terms {
    fn merge(&mut self, inner: &Terms) {
        let Terms {
            reuse,
            timeout,
            connect,
            retry,
            acquire,
            max,
            ttl,
            field_size,
            upgrade,
        } = *inner;
        self.reuse = reuse.or(self.reuse);
        self.timeout = timeout.or(self.timeout);
        self.connect = connect.or(self.connect);
        self.retry = retry.or(self.retry);
        self.acquire = acquire.or(self.acquire);
        self.max = max.or(self.max);
        self.ttl = ttl.or(self.ttl);
        self.field_size = field_size.or(self.field_size);
        self.upgrade = upgrade.or(self.upgrade);
    }
}

/// Parameters that only tune.
const WITHOUT_EFFECT: &[&str] = &[
    "addressttl",
    "flushpackets",
    "flushwait",
    "iobuffersize",
    "keepalive",
    "min",
    "ping",
    "receivebuffersize",
    "smax",
];

impl Terms {
    /// Takes `key=value`.
    pub fn take(&mut self, word: &[u8]) -> Said<()> {
        let Some(at) = memchr::memchr(b'=', word) else {
            return Err(format!("{} is not a parameter; write `key=value`", shown(word)));
        };
        let (key, value) = (&word[..at], &word[at + 1..]);
        let key = String::from_utf8_lossy(key).to_ascii_lowercase();
        match key.as_str() {
            "enablereuse" => self.reuse = Some(switch(value)?),
            "disablereuse" => self.reuse = Some(!switch(value)?),
            "timeout" => self.timeout = Some(time(value, b"")?),
            "connectiontimeout" => self.connect = Some(time(value, b"")?),
            "retry" => self.retry = Some(duration(value)?),
            "acquire" => self.acquire = Some(time(value, b"ms")?),
            "ttl" => self.ttl = Some(time(value, b"")?),
            "max" => self.max = Some(number(&key, value)?),
            "responsefieldsize" => self.field_size = Some(number(&key, value)?),
            "upgrade" => self.upgrade = Some(upgrade(value)?),
            other if WITHOUT_EFFECT.contains(&other) => {}
            "loadfactor" | "lbset" | "redirect" | "route" | "status" => {
                return Err(format!(
                    "`{key}=` is for members of a balancer; write it behind BalancerMember"
                ));
            }
            _ => return Err(format!("`{key}=` is not a parameter of application servers here")),
        }
        Ok(())
    }
}

fn number(key: &str, value: &[u8]) -> Said<u64> {
    let number = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    number.ok_or_else(|| format!("{key}: {} is not a number", shown(value)))
}

fn upgrade(word: &[u8]) -> Said<Upgrade> {
    match word.to_ascii_lowercase().as_slice() {
        b"none" => Ok(Upgrade::Never),
        b"any" => Ok(Upgrade::Any),
        b"websocket" => Ok(Upgrade::WebSocket),
        _ => Err(format!(
            "upgrade: {} is not one of `WebSocket`, `ANY`, `NONE`",
            shown(word)
        )),
    }
}

/// `on` or `off`.
pub fn switch(word: &[u8]) -> Said<bool> {
    match word.to_ascii_lowercase().as_slice() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(format!("{} is neither `on` nor `off`", shown(word))),
    }
}

/// A time that is none of no length; a bare number has the unit.
pub fn time(word: &[u8], unit: &[u8]) -> Said<Duration> {
    let bare = word.iter().all(u8::is_ascii_digit);
    let time = duration(&if bare { [word, unit].concat() } else { word.to_vec() })?;
    if time.is_zero() {
        return Err(format!("{} is no time to wait; write at least `1ms`", shown(word)));
    }
    Ok(time)
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "<Proxy>",
        module: "mod_proxy",
        syntax: "url [key=value ...]",
        words: Words::AtLeast(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Hold the settings of what is given to an application server, and the terms on which it is talked to.",
        manual: "The settings hold for what ProxyPass and rules give to URLs that begin with this one, or that it matches where it \
has wildcards; <Location> comes behind them. The parameters, which ProxyPass explains, hold for every request whose application server has \
the longest such URL, however it got there; `unix:` and the socket's name may stand before it, or be left out.\n\nAn application server \
that is named here may be named in .htaccess files and in expressions.",
        set: Set::Language,
    },
    Directive {
        name: "<ProxyMatch>",
        module: "mod_proxy",
        syntax: "regex",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Hold the settings of what is given to application servers whose URL a regular expression matches.",
        manual: "",
        set: Set::Language,
    },
    Directive {
        name: "ProxyPass",
        module: "mod_proxy",
        syntax: "[path] !|url [key=value ...] [nocanon]",
        words: Words::AtLeast(1),
        allowed: LOCATIONS,
        overrides: Override::None,
        default: "",
        summary: "Give the URL paths below a path to another server, or to an application.",
        manual: "The URL is http://host:port/path of a server that speaks HTTP, or fcgi:// or scgi:// of an application; \
unix:/socket|http://host/path reaches one by a socket in the file system. What follows the path in the request is added to it. With ! the paths stay here: \
such a line must stand before a wider one. In a <Location> it stands without the path; where that has any of *?[, also in <LocationMatch>, this is ProxyPassMatch. nocanon adds the path as the client has written it; \
otherwise it is decoded and escaped again. https:// and wss:// need SSLProxyEngine; other schemes are refused by this version.\n\nOf a FastCGI application it becomes \
SCRIPT_FILENAME, as ProxyFCGIBackendType says. An SCGI application learns it from SCRIPT_NAME, and from \
PATH_INFO where `SetEnvIf Request_URI . proxy-scgi-pathinfo` stands. A server of HTTP is asked for it as Apache asks; its answer comes back as it is, \
with its own Date and Server. ws:// is http:// with upgrade=WebSocket, and wss:// is https:// with it. A service that \
unix:/socket|handoff: names takes the client's connection over, and answers on it itself: lychgate-handoff(7).\n\nParameters: \
connections to a server of HTTP are kept for further requests unless enablereuse=off or disablereuse=on; \
those to an application are with enablereuse=on, which one \
that serves one connection at a time should not have: while a connection is kept its process serves nobody else (kept ones are closed where another request \
waits for the same application). ttl=seconds says for how long, 60 without it. timeout=seconds is how long it may be silent (ProxyTimeout, then Timeout), \
connectiontimeout=seconds how long connecting may take (the same). max=number bounds the requests that are given to it \
at one time; others wait, acquire=milliseconds at most, else as long as connecting may take, and get 503. \
retry=seconds keeps requests from what could not be reached: they get 503 for so long; without it, a server of HTTP is left alone for 60 seconds, and \
of an application, unlike in Apache, each request tries. upgrade=WebSocket lets a client change the connection's protocol to that one, upgrade=ANY to any but another HTTP, \
upgrade=NONE to none, which holds without it; such a connection goes on behind a reload, and a graceful stop waits for it until GracefulShutdownTimeout. \
responsefieldsize=bytes bounds a line in the head of an answer; it is 8192. \
Parameters that only tune are taken without effect.\n\nThe variables force-proxy-request-1.0, proxy-nokeepalive, proxy-sendcl, proxy-sendchunked, proxy-initial-not-pooled, \
proxy-interim-response, proxy-chain-auth and no-proxy are Apache's.\n\nA connection is made only if the server's own files name \
its address, in whichever directive of the virtual host or the main server; of those of TCP the worker can make no others \
(lychgate-privileges(7)).\n\nCGIPassAuth and CGIStderrLimit hold for applications as they do for scripts.",
        set: Set::SiteOrDir(
            |site, args| pass(site, args, Compared::Prefix),
            |conf, args| pass_place(conf, args, Compared::Prefix),
        ),
    },
    Directive {
        name: "ProxyPassInherit",
        module: "mod_proxy",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: SITES,
        overrides: Override::None,
        default: "On",
        summary: "Say whether a virtual host has the main server's ProxyPass lines before its own.",
        manual: "Apache does not mind it.",
        set: Set::Site(|site, args| {
            site.proxy.inherit.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyPassMatch",
        module: "mod_proxy",
        syntax: "[regex] !|url [key=value ...] [nocanon]",
        words: Words::AtLeast(1),
        allowed: LOCATIONS,
        overrides: Override::None,
        default: "",
        summary: "Give the URL paths that a regular expression matches to another server, or to an application.",
        manual: "In the URL, $1 to $9 stand for the expression's groups; where there are none, the whole path is added. Host and port cannot \
depend on the request.\n\nWhere the path goes through a regular file of this machine, as /upload.jpg/x.php may, the path up to that file must match \
too, or the answer is 404: php-fpm would run upload.jpg, which nobody calls a script.",
        set: Set::SiteOrDir(
            |site, args| pass(site, args, Compared::Match),
            |conf, args| pass_place(conf, args, Compared::Match),
        ),
    },
    Directive {
        name: "ProxySet",
        module: "mod_proxy",
        syntax: "[url] key=value ...",
        words: Words::AtLeast(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "",
        summary: "Say on which terms an application server is talked to.",
        manual: "In <Proxy> it stands without the URL. ProxyPass explains the parameters.",
        set: Set::SiteOrDir(
            |site, args| {
                let url = args.bytes(0);
                if let Some((name, _)) = balancers::split(url) {
                    let sharing = balancer::sharing(args.rest(1))?;
                    site.balancer.sharing.push((name, sharing));
                    return Ok(());
                }
                Target::parse(url)?;
                site.proxy.set.push((url.to_vec(), terms(args.rest(1))?));
                Ok(())
            },
            |conf, args| {
                if args.section.is_none_or(|section| !backends::is_url(section)) {
                    return Err("belongs outside of sections with a URL, or into <Proxy>".into());
                }
                match balancer::section(args) {
                    Some(name) => conf.balancer.sharing.push((name, balancer::sharing(args.words)?)),
                    None => conf.proxy.terms.merge(&terms(args.words)?),
                }
                Ok(())
            },
        ),
    },
    Directive {
        name: "ProxyTimeout",
        module: "mod_proxy",
        syntax: "time",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "",
        summary: "Say how long an application server may be silent.",
        manual: "Without it Timeout holds. An application that says nothing for so long before its reply begins costs a 504; later, \
the reply is cut so that the client can see it.",
        set: Set::Site(|site, args| {
            site.proxy.timeout.set(time(args.bytes(0), b"")?);
            Ok(())
        }),
    },
];

/// The terms that words of the form `key=value` make.
pub(super) fn terms(words: &[Vec<u8>]) -> Said<Terms> {
    let mut terms = Terms::default();
    for word in words {
        terms.take(word)?;
    }
    Ok(terms)
}

/// How a directive compares paths.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    Prefix,
    Match,
}

fn pass(site: &mut SiteSettings, args: &Args, compared: Compared) -> Said<()> {
    let (compared, words) = match args.words.split_first() {
        Some((tilde, rest)) if tilde == b"~" && compared == Compared::Prefix => (Compared::Match, rest),
        _ => (compared, args.words),
    };
    let (from, rest) = words.split_first().ok_or("takes a path and a URL")?;
    site.proxy.passes.push(made(from, rest, compared, args.span)?);
    Ok(())
}

fn pass_place(conf: &mut DirConf, args: &Args, compared: Compared) -> Said<()> {
    let section = args
        .section
        .filter(|section| compared == Compared::Match || !backends::is_url(section));
    let Some(section) = section else {
        return Err("cannot stand here; it belongs outside of sections, or into <Location>".into());
    };
    if args.bytes(0).first() == Some(&b'/') {
        return Err("takes a URL alone in a section, whose path it stands for".into());
    }
    // As in Apache, the path of a section is an expression where it looks like a pattern, be it one for the shell.
    let compared = if Glob::is_pattern(section) {
        Compared::Match
    } else {
        compared
    };
    if compared == Compared::Prefix && !section.starts_with(b"/") {
        // It takes the place of an outer section's line all the same, and keeps its requests here.
        let from = From::Nothing;
        let pass = made(b"/", args.words, compared, args.span)?;
        conf.proxy.pass.set(Pass { from, ..pass });
        args.remark(format!(
            "{} has none of `*`, `?` and `[`, and is taken for a path, which no request has; write ProxyPassMatch",
            shown(section)
        ));
        return Ok(());
    }
    conf.proxy.pass.set(made(section, args.words, compared, args.span)?);
    Ok(())
}

fn made(from: &[u8], rest: &[Vec<u8>], compared: Compared, span: &Span) -> Said<Pass> {
    let (url, rest) = rest
        .split_first()
        .ok_or("a URL is missing; write `fcgi://host:port/`")?;
    let from = match compared {
        Compared::Match => From::Match(crate::config::words::regex(from)?),
        Compared::Prefix if from.first() == Some(&b'/') => From::Prefix(from.to_vec()),
        Compared::Prefix => {
            return Err(format!(
                "{} is not a URL path; write one that starts with a slash",
                shown(from)
            ));
        }
    };
    let to = if url == b"!" { To::Here } else { To::Url(url.clone()) };
    if let Some(literal) = to.url() {
        backends::check(literal)?;
    }
    let balancer = balancers::split(url);
    let mut sharing = Sharing::default();
    let mut path = PathForm::Canonical;
    let mut terms = Terms::default();
    for word in rest {
        match word.to_ascii_lowercase().as_slice() {
            b"nocanon" => path = PathForm::AsSent,
            // An application gets the query as a variable of its own.
            b"noquery" => {}
            b"interpolate" => return Err("`interpolate` is not supported by this version".into()),
            word if word.starts_with(b"mapping=") => {
                return Err("`mapping=` is not supported by this version".into());
            }
            _ if balancer.is_some() => sharing.merge(&balancer::sharing(std::slice::from_ref(word))?),
            _ => terms.take(word)?,
        }
    }
    let sharing = balancer.map(|(name, _)| (name, sharing));
    Ok(Pass {
        from,
        to,
        path,
        terms,
        sharing,
        span: span.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Terms, Upgrade};

    #[test]
    fn parameters_have_apaches_units() {
        let mut terms = Terms::default();
        for word in [
            "enablereuse=On",
            "timeout=30",
            "connectiontimeout=500ms",
            "retry=0",
            "acquire=250",
            "max=4",
            "ttl=5",
            "flushpackets=on",
            "responsefieldsize=100",
            "upgrade=WebSocket",
        ] {
            assert_eq!(terms.take(word.as_bytes()), Ok(()), "{word}");
        }
        let expected = Terms {
            reuse: Some(true),
            timeout: Some(Duration::from_secs(30)),
            connect: Some(Duration::from_millis(500)),
            retry: Some(Duration::ZERO),
            acquire: Some(Duration::from_millis(250)),
            max: Some(4),
            ttl: Some(Duration::from_secs(5)),
            field_size: Some(100),
            upgrade: Some(Upgrade::WebSocket),
        };
        assert_eq!(terms, expected);
        assert_eq!(terms.take(b"disablereuse=on"), Ok(()));
        assert_eq!(terms.reuse, Some(false));
    }

    #[test]
    fn parameters_that_are_none_are_refused_with_a_sentence() {
        for (word, said) in [
            ("timeout", "`timeout` is not a parameter; write `key=value`"),
            ("timeout=0", "`0` is no time to wait; write at least `1ms`"),
            ("timeout=x", "`x` is not a duration; write `5` (seconds) or `500ms`"),
            ("enablereuse=yes", "`yes` is neither `on` nor `off`"),
            ("max=-1", "max: `-1` is not a number"),
            ("upgrade=h2c", "upgrade: `h2c` is not one of `WebSocket`, `ANY`, `NONE`"),
            (
                "route=a",
                "`route=` is for members of a balancer; write it behind BalancerMember",
            ),
            ("secret=x", "`secret=` is not a parameter of application servers here"),
        ] {
            assert_eq!(Terms::default().take(word.as_bytes()), Err(said.to_owned()), "{word}");
        }
    }
}
