//! Several application servers under one name (`mod_proxy_balancer`): `balancer://name`, whose members share its requests.

use std::time::Duration;

use crate::config::backends::Target;
use crate::config::directives::proxy::Terms;
use crate::config::error::ConfigError;
use crate::config::setting::Merge;
use crate::config::site::Site;
use crate::config::words::{Pattern, shown};

/// What the URL of a balancer begins with.
const SCHEME: &[u8] = b"balancer://";

/// A balancer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Balancer {
    /// Its index in [`Config::balancers`](crate::config::site::Config::balancers).
    pub number: usize,
    /// `balancer://name`, in lower case.
    pub name: Vec<u8>,
    /// Its members, in order.
    pub members: Vec<Member>,
    /// How it shares requests out.
    pub sharing: Sharing,
}

/// One of the servers.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Where it is.
    pub target: Target,
    /// On which terms it is talked to.
    pub terms: Terms,
    /// Its share of the requests, in hundredths (`loadfactor`).
    pub load: u32,
    /// Members of a set with a lower number come first (`lbset`).
    pub set: u32,
    /// What a session says that belongs to it (`route`); empty for none.
    pub route: Vec<u8>,
    /// The route of the one that takes its sessions (`redirect`); empty for none.
    pub redirect: Vec<u8>,
    /// How long it is left alone when it could not be reached (`retry`).
    pub retry: Duration,
    /// What it is there for (`status`).
    pub duty: Duty,
    /// Whether it is left alone at all (`status=+I`).
    pub errors: Errors,
}

/// What a member is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// For all requests.
    Regular,
    /// For sessions that it has already (`N`).
    Draining,
    /// For one that cannot be used (`R`).
    Spare,
    /// For all of its set, when none can be used (`H`).
    Standby,
    /// For nothing (`D`, `S`).
    Off,
}

/// What becomes of a member that could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// It is left alone for a while.
    Count,
    /// Nothing (`I`).
    Ignore,
}

/// How a balancer shares requests out. Each is unset where nobody said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// `lbmethod`
    pub method: Option<Method>,
    /// `stickysession`: the names of the cookie and of the path's parameter.
    pub sticky: Option<(Vec<u8>, Vec<u8>)>,
    /// `stickysessionsep`: what stands before the route; `None` inside: all is the route.
    pub separator: Option<Option<u8>>,
    /// `scolonpathdelim`
    pub semicolon: Option<bool>,
    /// The opposite of `nofailover`.
    pub failover: Option<bool>,
    /// `timeout`: how long is waited for a member.
    pub wait: Option<Duration>,
    /// `maxattempts`: how many more are tried.
    pub attempts: Option<u32>,
    /// `failonstatus`
    pub fail_on: Option<Vec<u16>>,
    /// `failontimeout`
    pub fail_on_timeout: Option<bool>,
    /// `forcerecovery`
    pub force: Option<bool>,
}

/// By what the next member is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// How many requests each has had.
    ByRequests,
    /// How many each has now.
    ByBusyness,
}

impl Merge for Sharing {
    fn merge(&mut self, inner: &Sharing) {
        let Sharing {
            method,
            sticky,
            separator,
            semicolon,
            failover,
            wait,
            attempts,
            fail_on,
            fail_on_timeout,
            force,
        } = inner.clone();
        self.method = method.or(self.method);
        self.sticky = sticky.or(self.sticky.take());
        self.separator = separator.or(self.separator);
        self.semicolon = semicolon.or(self.semicolon);
        self.failover = failover.or(self.failover);
        self.wait = wait.or(self.wait);
        self.attempts = attempts.or(self.attempts);
        self.fail_on = fail_on.or(self.fail_on.take());
        self.fail_on_timeout = fail_on_timeout.or(self.fail_on_timeout);
        self.force = force.or(self.force);
    }
}

/// The name and the path of a balancer's URL; `None` where it is none.
pub fn split(url: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (scheme, rest) = url.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    let (name, path) = rest.split_at(end);
    Some(([SCHEME, &name.to_ascii_lowercase()].concat(), path))
}

/// The balancers that a site's settings name, without their numbers.
pub fn of(site: &Site) -> Vec<Balancer> {
    let mut balancers: Vec<Balancer> = Vec::new();
    let sections = site.proxies.iter().map(|section| &section.conf.balancer);
    for said in sections.chain([&site.settings.balancer]) {
        for (name, member) in said.members.iter() {
            named(&mut balancers, name).members.push(member.clone());
        }
        for (name, sharing) in said.sharing.iter() {
            named(&mut balancers, name).sharing.merge(sharing);
        }
    }
    let places = site.locations.iter();
    let passes = places.filter_map(|section| section.conf.proxy.pass.value());
    for pass in site.settings.proxy.passes.iter().chain(passes) {
        if let Some((name, sharing)) = &pass.sharing {
            named(&mut balancers, name).sharing.merge(sharing);
        }
    }
    let names = site.proxies.iter().filter_map(|section| match &section.pattern {
        Pattern::Plain(url) => split(url),
        Pattern::Glob(_) | Pattern::Regex(_) => None,
    });
    for (name, _) in names {
        named(&mut balancers, &name);
    }
    balancers
}

fn named<'b>(balancers: &'b mut Vec<Balancer>, name: &[u8]) -> &'b mut Balancer {
    let at = balancers.iter().position(|known| known.name == name);
    let at = at.unwrap_or_else(|| {
        balancers.push(Balancer {
            name: name.to_vec(),
            ..Balancer::default()
        });
        balancers.len() - 1
    });
    &mut balancers[at]
}

/// Warnings about lines that name a balancer without members.
pub fn without_members(site: &Site) -> Vec<ConfigError> {
    let places = site.locations.iter();
    let passes = places.filter_map(|section| section.conf.proxy.pass.value());
    let mut warnings = Vec::new();
    for pass in site.settings.proxy.passes.iter().chain(passes) {
        if let Some((name, _)) = &pass.sharing
            && site.members_of(name).next().is_none()
        {
            let name = shown(name);
            let message = format!(
                "{name} has no members, and each request gets 503; write BalancerMember in <Proxy> of this name"
            );
            warnings.push(ConfigError::warning(&pass.span, "ProxyPass", message));
        }
    }
    warnings
}

/// A balancer that a site shares with another has one number, and so one state.
pub fn numbered(all: &mut Vec<Balancer>, mut new: Balancer) -> usize {
    let known = all.iter().position(|known| {
        new.number = known.number;
        *known == new
    });
    known.unwrap_or_else(|| {
        new.number = all.len();
        all.push(new);
        all.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn urls_of_balancers_have_a_name_and_a_path() {
        for (url, expected) in [
            ("balancer://App", Some(("balancer://app", ""))),
            ("BALANCER://app/", Some(("balancer://app", "/"))),
            ("balancer://app/A/b", Some(("balancer://app", "/A/b"))),
            ("balancer:/app", None),
            ("fcgi://app", None),
        ] {
            let found = split(url.as_bytes());
            let found = found.as_ref().map(|(name, path)| (name.as_slice(), *path));
            let expected = expected.map(|(name, path): (&str, &str)| (name.as_bytes(), path.as_bytes()));
            assert_eq!(found, expected, "{url}");
        }
    }
}
