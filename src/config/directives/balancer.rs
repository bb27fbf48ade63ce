//! The members of balancers, and how requests are shared out: `mod_proxy_balancer`.

use std::time::Duration;

use crate::config::backends::Target;
use crate::config::balancers::{self, Duty, Errors, Member, Method, Sharing};
use crate::config::directives::proxy::{Terms, switch, time};
use crate::config::setting::{Appended, settings};
use crate::config::table::{Directive, Override, SERVER_FILES, Set, Words};
use crate::config::words::{Args, Said, duration, shown};

/// How long a member is left alone that could not be reached.
const RETRY: Duration = Duration::from_secs(60);

settings! {
    /// What is said of balancers, each with its name.
    pub struct Balancers {
        /// `BalancerMember`.
        members: Appended<(Vec<u8>, Member)>,
        /// `ProxySet`, and the parameters of `ProxyPass` and `<Proxy>`.
        sharing: Appended<(Vec<u8>, Sharing)>,
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "BalancerMember",
    module: "mod_proxy",
    syntax: "[balancer://name] url [key=value ...]",
    words: Words::AtLeast(1),
    allowed: SERVER_FILES,
    overrides: Override::None,
    default: "",
    summary: "Name an application server that shares the requests of a balancer.",
    manual: "It stands in <Proxy \"balancer://name\">, or names the balancer itself. What is given to balancer://name/path, by ProxyPass or otherwise, \
is given to one of its members, with the path behind the member's own; members may speak different protocols.\n\nParameters of a member, besides those that \
ProxyPass explains: loadfactor=number (1 to 100, 1 without it) is its share of the requests; lbset=number (0 to 99): members of a higher set are asked \
only when none of the lower ones can be; route=word names it for sessions, redirect=word the one that takes its sessions where it cannot be used; retry=seconds \
(60 without it) is how long a member is left alone that could not be reached; status= with +D or +S (not used), +N (for sessions that it has), \
+H (where no other can be used), +R (in the place of one that cannot be used), +I (never left alone), or - to take one away.\n\nParameters \
of the balancer stand behind ProxyPass, in the heading of <Proxy>, or behind ProxySet. lbmethod=byrequests shares by loadfactor; \
bybusyness asks the member that has the fewest requests. stickysession=cookie|parameter keeps a session with its member: what follows the \
first stickysessionsep (a dot; Off for none) in the cookie or in the path's or query's parameter is the route; with \
scolonpathdelim=On a semicolon ends the parameter too. With nofailover=On a session whose member cannot be used gets 503. A member that cannot \
be reached is followed by others at once, maxattempts of them (one fewer than there are members without it); one whose reply has a status of \
failonstatus=list, or that does not answer in time with failontimeout=On, is left alone likewise. Where all members are left alone they are tried all the same, \
unless forcerecovery=Off; then, or where none may be used, timeout=seconds waits for one, and the answer is 503. \
The state is the worker's, for all its threads, and is new after a reload.\n\nVariables tell who was chosen: BALANCER_NAME, BALANCER_WORKER_NAME, \
BALANCER_WORKER_ROUTE, BALANCER_ROUTE_CHANGED, BALANCER_SESSION_STICKY and BALANCER_SESSION_ROUTE. This keeps clients with their member:\n\n\
    Header add Set-Cookie \"ROUTEID=.%{BALANCER_WORKER_ROUTE}e; path=/\" env=BALANCER_ROUTE_CHANGED",
    set: Set::SiteOrDir(
        |site, args| {
            let (name, rest) = args.words.split_first().ok_or("takes a URL")?;
            let (name, path) =
                balancers::split(name).ok_or("takes the balancer first outside of <Proxy>, as `balancer://name`")?;
            check_path(path)?;
            site.balancer.members.push((name, member(rest)?));
            Ok(())
        },
        |conf, args| {
            let name = section(args).ok_or("belongs into <Proxy \"balancer://name\">")?;
            conf.balancer.members.push((name, member(args.words)?));
            Ok(())
        },
    ),
}];

/// The balancer whose section is around a directive.
pub fn section(args: &Args) -> Option<Vec<u8>> {
    args.section.and_then(balancers::split).map(|(name, _)| name)
}

fn check_path(path: &[u8]) -> Said<()> {
    match path {
        b"" | b"/" => Ok(()),
        _ => Err("takes a balancer without a path".into()),
    }
}

fn member(words: &[Vec<u8>]) -> Said<Member> {
    let (url, rest) = words.split_first().ok_or("takes a URL")?;
    let mut member = Member {
        target: Target::parse(url)?,
        terms: Terms::default(),
        load: 100,
        set: 0,
        route: Vec::new(),
        redirect: Vec::new(),
        retry: RETRY,
        duty: Duty::Regular,
        errors: Errors::Count,
    };
    for word in rest {
        take(&mut member, word)?;
    }
    // Whether it is left alone is the balancer's to decide.
    member.terms.retry = Some(Duration::ZERO);
    Ok(member)
}

/// Takes `key=value`.
fn take(member: &mut Member, word: &[u8]) -> Said<()> {
    let Some((key, value)) = divided(word) else {
        return member.terms.take(word);
    };
    match key.as_str() {
        "loadfactor" => member.load = load(value)?,
        "lbset" => member.set = number(&key, value, 99)?,
        "route" => member.route = value.to_vec(),
        "redirect" => member.redirect = value.to_vec(),
        "retry" => member.retry = duration(value)?,
        "status" => status(member, value)?,
        _ => member.terms.take(word)?,
    }
    Ok(())
}

fn divided(word: &[u8]) -> Option<(String, &[u8])> {
    let at = memchr::memchr(b'=', word)?;
    let (key, value) = (word.get(..at)?, word.get(at + 1..)?);
    Some((String::from_utf8_lossy(key).to_ascii_lowercase(), value))
}

fn number(key: &str, value: &[u8], most: u32) -> Said<u32> {
    let text = std::str::from_utf8(value).ok();
    let number = text.and_then(|text| text.parse::<u32>().ok());
    number
        .filter(|number| *number <= most)
        .ok_or_else(|| format!("{key}: {} is not a number from 0 to {most}", shown(value)))
}

/// A share, in hundredths.
fn load(value: &[u8]) -> Said<u32> {
    let wrong = || format!("loadfactor: {} is not a number from 1 to 100", shown(value));
    let text = std::str::from_utf8(value).map_err(|_| wrong())?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if part.len() > 2 || !is_number(part) || !is_number(whole) {
        return Err(wrong());
    }
    let hundredths = format!("{whole}{part:0<2}").parse::<u32>().map_err(|_| wrong())?;
    if (100..=10_000).contains(&hundredths) {
        Ok(hundredths)
    } else {
        Err(wrong())
    }
}

/// Takes flags, each put by `+` or nothing and taken away by `-`.
fn status(member: &mut Member, flags: &[u8]) -> Said<()> {
    let mut takes_away = false;
    for flag in flags {
        let duty = match flag.to_ascii_uppercase() {
            b'+' => {
                takes_away = false;
                continue;
            }
            b'-' => {
                takes_away = true;
                continue;
            }
            b'I' => {
                member.errors = if takes_away { Errors::Count } else { Errors::Ignore };
                continue;
            }
            // It would be tried at once.
            b'E' => continue,
            b'D' | b'S' => Duty::Off,
            b'N' => Duty::Draining,
            b'H' => Duty::Standby,
            b'R' => Duty::Spare,
            _ => {
                return Err(format!(
                    "status: `{}` is none of `D`, `S`, `N`, `H`, `R` and `I`",
                    flag.escape_ascii()
                ));
            }
        };
        if !takes_away {
            member.duty = duty;
        } else if member.duty == duty {
            member.duty = Duty::Regular;
        }
    }
    Ok(())
}

/// Reads the parameters of a balancer.
pub fn sharing(words: &[Vec<u8>]) -> Said<Sharing> {
    let mut sharing = Sharing::default();
    for word in words {
        let (key, value) =
            divided(word).ok_or_else(|| format!("{} is not a parameter; write `key=value`", shown(word)))?;
        match key.as_str() {
            "lbmethod" => sharing.method = Some(method(value)?),
            "stickysession" => sharing.sticky = Some(sticky(value)?),
            "stickysessionsep" => sharing.separator = Some(separator(value)?),
            "scolonpathdelim" => sharing.semicolon = Some(switch(value)?),
            "nofailover" => sharing.failover = Some(!switch(value)?),
            "timeout" => sharing.wait = Some(time(value, b"")?),
            "maxattempts" => sharing.attempts = Some(number(&key, value, 1000)?),
            "failonstatus" => sharing.fail_on = Some(statuses(value)?),
            "failontimeout" => sharing.fail_on_timeout = Some(switch(value)?),
            "forcerecovery" => sharing.force = Some(switch(value)?),
            // Members are added nowhere but in the settings.
            "growth" | "nonce" => {}
            _ => return Err(format!("`{key}=` is not a parameter that a balancer has")),
        }
    }
    Ok(sharing)
}

fn method(value: &[u8]) -> Said<Method> {
    match value {
        b"byrequests" => Ok(Method::ByRequests),
        b"bybusyness" => Ok(Method::ByBusyness),
        _ => Err(format!(
            "lbmethod: {} is not in this version; write `byrequests` or `bybusyness`",
            shown(value)
        )),
    }
}

fn sticky(value: &[u8]) -> Said<(Vec<u8>, Vec<u8>)> {
    let mut names = value.split(|byte| *byte == b'|');
    let cookie = names.next().unwrap_or_default().to_vec();
    let parameter = names.next().map_or_else(|| cookie.clone(), <[u8]>::to_vec);
    if cookie.is_empty() || parameter.is_empty() {
        return Err(format!("stickysession: {} names no session", shown(value)));
    }
    Ok((cookie, parameter))
}

fn separator(value: &[u8]) -> Said<Option<u8>> {
    match value {
        [one] => Ok(Some(*one)),
        word if word.eq_ignore_ascii_case(b"off") => Ok(None),
        _ => Err(format!(
            "stickysessionsep: {} is neither one character nor `Off`",
            shown(value)
        )),
    }
}

fn statuses(value: &[u8]) -> Said<Vec<u16>> {
    let status = |word: &[u8]| {
        let number = std::str::from_utf8(word).ok()?.trim().parse::<u16>().ok()?;
        (100..600).contains(&number).then_some(number)
    };
    let all = value.split(|byte| *byte == b',').map(status).collect::<Option<_>>();
    all.ok_or_else(|| format!("failonstatus: {} is not a list of statuses, as `500,503`", shown(value)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Duty, Errors, Method, member, sharing};

    fn words(text: &str) -> Vec<Vec<u8>> {
        text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn parameters_of_members_have_apaches_units() {
        let made = member(&words(
            "fcgi://a:1/x loadfactor=2.5 lbset=3 route=r redirect=s retry=5 status=+H+I timeout=7 max=4",
        ));
        let made = made.expect("it is right");
        assert_eq!((made.load, made.set, made.retry), (250, 3, Duration::from_secs(5)));
        assert_eq!(
            (made.route.as_slice(), made.redirect.as_slice()),
            (&b"r"[..], &b"s"[..])
        );
        assert_eq!((made.duty, made.errors), (Duty::Standby, Errors::Ignore));
        assert_eq!(made.terms.timeout, Some(Duration::from_secs(7)));
        assert_eq!(made.terms.retry, Some(Duration::ZERO));
    }

    #[test]
    fn flags_are_put_and_taken_away() {
        for (flags, duty, errors) in [
            ("D", Duty::Off, Errors::Count),
            ("+S", Duty::Off, Errors::Count),
            ("N", Duty::Draining, Errors::Count),
            ("+R-R", Duty::Regular, Errors::Count),
            ("H-D", Duty::Standby, Errors::Count),
            ("i", Duty::Regular, Errors::Ignore),
            ("I-I", Duty::Regular, Errors::Count),
            ("E", Duty::Regular, Errors::Count),
        ] {
            let made = member(&words(&format!("fcgi://a status={flags}"))).expect(flags);
            assert_eq!((made.duty, made.errors), (duty, errors), "{flags}");
        }
    }

    #[test]
    fn parameters_of_balancers_are_read() {
        let made = sharing(&words(
            "lbmethod=bybusyness stickysession=C|p stickysessionsep=Off scolonpathdelim=On nofailover=On timeout=2 maxattempts=3 \
             failonstatus=500,503 failontimeout=On forcerecovery=Off growth=5 nonce=None",
        ));
        let made = made.expect("it is right");
        assert_eq!(made.method, Some(Method::ByBusyness));
        assert_eq!(made.sticky, Some((b"C".to_vec(), b"p".to_vec())));
        assert_eq!((made.separator, made.semicolon), (Some(None), Some(true)));
        assert_eq!((made.failover, made.force), (Some(false), Some(false)));
        assert_eq!((made.wait, made.attempts), (Some(Duration::from_secs(2)), Some(3)));
        assert_eq!((made.fail_on, made.fail_on_timeout), (Some(vec![500, 503]), Some(true)));
    }

    #[test]
    fn parameters_that_are_none_are_refused_with_a_sentence() {
        for (word, said) in [
            ("loadfactor=0", "loadfactor: `0` is not a number from 1 to 100"),
            ("loadfactor=1.234", "loadfactor: `1.234` is not a number from 1 to 100"),
            ("lbset=100", "lbset: `100` is not a number from 0 to 99"),
            ("status=C", "status: `C` is none of `D`, `S`, `N`, `H`, `R` and `I`"),
            (
                "status=+é",
                "status: `\\xc3` is none of `D`, `S`, `N`, `H`, `R` and `I`",
            ),
        ] {
            let made = member(&words(&format!("fcgi://a {word}")));
            assert_eq!(made.err().as_deref(), Some(said), "{word}");
        }
        for (word, said) in [
            (
                "lbmethod=heartbeat",
                "lbmethod: `heartbeat` is not in this version; write `byrequests` or `bybusyness`",
            ),
            ("stickysession=", "stickysession: `` names no session"),
            (
                "stickysessionsep=ab",
                "stickysessionsep: `ab` is neither one character nor `Off`",
            ),
            (
                "failonstatus=5,x",
                "failonstatus: `5,x` is not a list of statuses, as `500,503`",
            ),
            ("max=5", "`max=` is not a parameter that a balancer has"),
            ("x", "`x` is not a parameter; write `key=value`"),
        ] {
            assert_eq!(sharing(&words(word)).err().as_deref(), Some(said), "{word}");
        }
    }
}
