//! A balancer's request (`mod_proxy_balancer`): which member gets it, what is told of that in variables, and who comes next where
//! one cannot be reached. Asking is the business of those who speak the member's protocol.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::backend::Backends;
use crate::backend::balance::{Balance, Busy, By, Chosen, NoMember};
use crate::config::backends::{self, Scheme};
use crate::config::balancers::{self, Balancer, Errors, Member};
use crate::exchange::Exchange;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::{Alias, Place};
use crate::exchange::response::{Body, BodyStream, Broken, Outcome};
use crate::http::status::Status;

/// The module in whose name the log speaks.
const MODULE: &str = "proxy_balancer";

/// A request of a balancer.
pub struct Turn {
    balancer: &'static Balancer,
    balance: Arc<Balance>,
    /// What follows the balancer's name.
    rest: Vec<u8>,
    session: Option<Session>,
    /// How many more members may be tried.
    left: usize,
    /// Who has it now.
    chosen: Option<Chosen>,
}

/// What the client says of its session.
struct Session {
    /// The cookie or the parameter that says it.
    by: Vec<u8>,
    /// The member it belongs to.
    route: Vec<u8>,
}

/// What comes of a member's answer.
pub enum Judged {
    /// It is the answer.
    Final(Result<Outcome, Fail>),
    /// The member could not be reached, and the next one is asked.
    Next(Fail),
}

/// The balancer that a place names, and what follows its name.
fn named(place: &Place) -> Option<(Vec<u8>, Vec<u8>)> {
    let url = match place.alias {
        Alias::Proxied => backends::of_handler(&place.path),
        Alias::None | Alias::Files | Alias::Scripts => place.types.handler.as_deref().and_then(backends::of_handler),
    };
    let (name, rest) = balancers::split(url?)?;
    Some((name, rest.to_vec()))
}

/// The balancer of `place`, which nobody is asked for.
pub fn explain(ex: &Exchange, place: &Place) -> Result<&'static Balancer, Fail> {
    let (name, _) = named(place).ok_or_else(|| Fail::internal("the place names no balancer"))?;
    ex.site.balancer(&name).ok_or_else(|| unknown(&name))
}

fn unknown(name: &[u8]) -> Fail {
    let name = String::from_utf8_lossy(name);
    let note = format!("`{name}` has no members; `<Proxy \"{name}\">` with BalancerMember would give it some");
    Fail::site(Status::SERVICE_UNAVAILABLE, note).of_module(MODULE)
}

impl Turn {
    /// Finds the balancer of `place`, and the client's session.
    pub fn begin(ex: &Exchange, place: &Place, backends: &Backends) -> Result<Turn, Fail> {
        let (name, rest) = named(place).ok_or_else(|| Fail::internal("the place names no balancer"))?;
        let balancer = ex.site.balancer(&name).ok_or_else(|| unknown(&name))?;
        let balance = backends.balance(balancer).ok_or_else(|| unknown(&name))?;
        let left = match balancer.sharing.attempts {
            Some(attempts) => usize::try_from(attempts).unwrap_or(usize::MAX),
            None => balancer.members.len().saturating_sub(1),
        };
        Ok(Turn {
            session: session(ex, balancer, &rest),
            balancer,
            balance: Arc::clone(balance),
            rest,
            left,
            chosen: None,
        })
    }

    /// Chooses a member and puts its URL into the place; what it speaks.
    pub async fn choose(&mut self, ex: &mut Exchange, place: &mut Place) -> Result<Scheme, Fail> {
        let chosen = self.found().await.map_err(|why| self.nobody(why))?;
        let member = self.balancer.members.get(chosen.member);
        let member = member.ok_or_else(|| Fail::internal("a member that the settings do not have"))?;
        let url = [backends::HANDLER, &member.target.with_path(&self.rest).url()].concat();
        match place.alias {
            Alias::Proxied => place.path = url,
            Alias::None | Alias::Files | Alias::Scripts => place.types.handler = Some(url),
        }
        self.tell(ex, member, chosen.by);
        self.chosen = Some(chosen);
        Ok(member.target.scheme)
    }

    /// Waits for a member as long as the balancer's `timeout` says.
    async fn found(&self) -> Result<Chosen, NoMember> {
        let wait = self.balancer.sharing.wait.unwrap_or_default();
        let until = Instant::now() + wait;
        // As often as Apache looks.
        let step = (wait / 100).max(Duration::from_millis(10));
        let route = self.session.as_ref().map(|session| session.route.as_slice());
        loop {
            let now = Instant::now();
            match self.balance.choose(self.balancer, route, now) {
                Err(NoMember::NoneUsable) if now < until => sleep(step).await,
                found => return found,
            }
        }
    }

    fn nobody(&self, why: NoMember) -> Fail {
        let name = String::from_utf8_lossy(&self.balancer.name);
        let why = match why {
            NoMember::Empty => return unknown(&self.balancer.name),
            NoMember::NoneUsable => "no member can be used: they could not be reached, or are switched off (status)",
            NoMember::SessionsOwn => "the member of the session cannot be used, and no other may be (nofailover)",
        };
        Fail::new(Status::SERVICE_UNAVAILABLE, Blame::Server, format!("`{name}`: {why}"))
            .with_field("Retry-After", "5")
            .of_module(MODULE)
    }

    /// Who was chosen, in Apache's variables.
    fn tell(&self, ex: &mut Exchange, member: &Member, by: By) {
        let mut set = |name: &[u8], value: &[u8]| {
            ex.variables.insert(name.to_vec(), value.to_vec());
        };
        set(b"BALANCER_NAME", &self.balancer.name);
        set(
            b"BALANCER_WORKER_NAME",
            &[member.target.base.as_slice(), &member.target.path].concat(),
        );
        set(b"BALANCER_WORKER_ROUTE", &member.route);
        let is_changed = match by {
            By::Session => false,
            By::Redirect => true,
            By::Turn => self.balancer.sharing.sticky.is_some(),
        };
        if is_changed {
            set(b"BALANCER_ROUTE_CHANGED", b"1");
        }
        if let Some(session) = &self.session {
            set(b"BALANCER_SESSION_STICKY", &session.by);
            set(b"BALANCER_SESSION_ROUTE", &session.route);
        }
    }

    /// What comes of the chosen member's answer.
    pub fn judge(&mut self, outcome: Result<Outcome, Fail>) -> Judged {
        let Some(chosen) = self.chosen.take() else {
            return Judged::Final(outcome);
        };
        let ignores = self
            .balancer
            .members
            .get(chosen.member)
            .is_some_and(|member| member.errors == Errors::Ignore);
        if !ignores && self.is_failure(&outcome) {
            self.balance.failed(chosen.member, Instant::now());
        }
        match outcome {
            Err(fail) if fail.is_unreached() && !ignores && self.left > 0 => {
                self.left -= 1;
                Judged::Next(fail)
            }
            Ok(Outcome::Reply(mut response)) => {
                response.body = held(response.body, chosen.busy);
                Judged::Final(Ok(Outcome::Reply(response)))
            }
            outcome => Judged::Final(outcome),
        }
    }

    /// Whether the member is to be left alone for a while.
    fn is_failure(&self, outcome: &Result<Outcome, Fail>) -> bool {
        let sharing = &self.balancer.sharing;
        match outcome {
            Ok(Outcome::Reply(response)) => {
                let status = response.head.status.code();
                sharing.fail_on.as_ref().is_some_and(|list| list.contains(&status))
            }
            Ok(Outcome::Again(_)) => false,
            Err(fail) if fail.status() == Status::GATEWAY_TIMEOUT => sharing.fail_on_timeout == Some(true),
            Err(fail) => fail.is_unreached(),
        }
    }
}

/// What the path, the query or a cookie says of the session.
fn session(ex: &Exchange, balancer: &Balancer, rest: &[u8]) -> Option<Session> {
    let (cookie, parameter) = balancer.sharing.sticky.as_ref()?;
    let url = match &ex.target.query {
        Some(query) => [rest, b"?", query].concat(),
        None => rest.to_vec(),
    };
    let delimiters: &[u8] = if balancer.sharing.semicolon == Some(true) {
        b";?&"
    } else {
        b"?&"
    };
    let (by, value) = if let Some(value) = of_parameter(&url, parameter, delimiters) {
        (parameter, value.to_vec())
    } else {
        let cookies = ex
            .head
            .fields()
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"Cookie"));
        let all: Vec<&[u8]> = cookies.map(|(_, value)| value).collect();
        (cookie, of_cookie(&all.join(&b"; "[..]), cookie)?.to_vec())
    };
    let route = match balancer.sharing.separator.unwrap_or(Some(b'.')) {
        None => value,
        Some(separator) => {
            let at = memchr::memchr(separator, &value)?;
            value.get(at + 1..)?.to_vec()
        }
    };
    let by = by.clone();
    Some(Session { by, route })
}

/// The value of a parameter anywhere in a URL, to the next delimiter.
fn of_parameter<'u>(url: &'u [u8], name: &[u8], delimiters: &[u8]) -> Option<&'u [u8]> {
    memchr::memmem::find_iter(url, name).find_map(|at| {
        let value = url.get(at + name.len()..)?.strip_prefix(b"=")?;
        let end = value.iter().position(|byte| delimiters.contains(byte));
        let value = value.get(..end.unwrap_or(value.len()))?;
        (!value.is_empty()).then_some(value)
    })
}

/// The value of a cookie.
fn of_cookie<'c>(cookies: &'c [u8], name: &[u8]) -> Option<&'c [u8]> {
    cookies.split(|byte| matches!(byte, b';' | b',')).find_map(|cookie| {
        let value = cookie.trim_ascii_start().strip_prefix(name)?;
        let value = value.trim_ascii_start().strip_prefix(b"=")?;
        (!value.is_empty()).then_some(value)
    })
}

/// A body that counts as its member's work until it is sent.
fn held(body: Body, busy: Busy) -> Body {
    match body {
        Body::Stream(stream, length) => Body::Stream(Box::new(Held { stream, _busy: busy }), length),
        Body::Raw(stream) => Body::Raw(Box::new(Held { stream, _busy: busy })),
        body => body,
    }
}

struct Held {
    stream: Box<dyn BodyStream>,
    _busy: Busy,
}

impl BodyStream for Held {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        self.stream.poll_chunk(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{of_cookie, of_parameter};

    #[test]
    fn sessions_are_found_where_apache_finds_them() {
        for (url, delimiters, value) in [
            ("/a?sid=x.one&b=c", "?&", Some("x.one")),
            ("/a;sid=x.one?b=c", "?&", Some("x.one")),
            ("/a;sid=x.one;b", "?&", Some("x.one;b")),
            ("/a;sid=x.one;b", ";?&", Some("x.one")),
            ("/a?mysid=x", "?&", Some("x")),
            ("/a?sid2=x&sid=y", "?&", Some("y")),
            ("/a?sid=", "?&", None),
            ("/sid", "?&", None),
        ] {
            let found = of_parameter(url.as_bytes(), b"sid", delimiters.as_bytes());
            assert_eq!(found, value.map(str::as_bytes), "{url}");
        }
        for (cookies, value) in [
            ("sid=a.b", Some("a.b")),
            ("x=1; sid=a.b; y=2", Some("a.b")),
            ("x=1,sid = a", Some(" a")),
            ("mysid=a; sid=b", Some("b")),
            ("sid2=a", None),
            ("sid=; sid=b", Some("b")),
            ("", None),
        ] {
            let found = of_cookie(cookies.as_bytes(), b"sid");
            assert_eq!(found, value.map(str::as_bytes), "{cookies}");
        }
    }
}
