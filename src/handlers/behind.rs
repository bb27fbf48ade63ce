//! Those behind this server, whatever they speak: a connection to one, what is told where there is none, and whether a request
//! that a connection lost is told again.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use crate::backend::Backends;
use crate::backend::pool::{Agreed, Lease, NoLease, Pool, Which};
use crate::backend::wire::Repeatable;
use crate::config::backends::{Address, Target};
use crate::exchange::Exchange;
use crate::exchange::body::Gone;
use crate::exchange::fail::{Blame, Fail};
use crate::http::method::Method;
use crate::http::status::Status;

/// What is behind, as messages call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// A program that is told what a script would be.
    Application,
    /// A server that speaks HTTP.
    Server,
    /// A service that takes the connection itself.
    Service,
}

impl Behind {
    fn word(self) -> &'static str {
        match self {
            Behind::Application => "application",
            Behind::Server => "server",
            Behind::Service => "service",
        }
    }

    /// Waits for a connection, but not for a client that has left; the log speaks in the name of `module`.
    pub(super) async fn lease(
        self,
        ex: &Exchange,
        pool: &Arc<Pool>,
        agreed: &Agreed,
        which: Which,
        module: &'static str,
    ) -> Result<Lease, Fail> {
        // Mostly one is there.
        if let Some(lease) = pool.lease_kept(agreed, which) {
            return Ok(lease);
        }
        let mut leased = Box::pin(pool.lease(agreed, which));
        let leased = poll_fn(|cx| {
            if let Poll::Ready(leased) = leased.as_mut().poll(cx) {
                return Poll::Ready(Some(leased));
            }
            match ex.body.poll_gone(cx) {
                Poll::Ready(Gone::Reset) => Poll::Ready(None),
                Poll::Ready(Gone::SendingClosed) | Poll::Pending => Poll::Pending,
            }
        });
        match leased.await {
            None => Err(Fail::ClientGone),
            Some(Ok(lease)) => Ok(lease),
            Some(Err(why)) => Err(self.unreachable(pool.address(), &why).of_module(module)),
        }
    }

    fn unreachable(self, address: &Address, why: &NoLease) -> Fail {
        let status = match why {
            NoLease::Disagreed(_) => Status::BAD_GATEWAY,
            NoLease::SlowHandshake(_) => Status::GATEWAY_TIMEOUT,
            _ => Status::SERVICE_UNAVAILABLE,
        };
        let fail = Fail::new(
            status,
            Blame::Backend,
            format!("{} `{address}`: {why}{}", self.word(), self.cure(address, why)),
        );
        match why {
            NoLease::Disagreed(_) | NoLease::SlowHandshake(_) => fail.telling("The server behind this one failed."),
            NoLease::Unreachable(_) if !matches!(address, Address::Service(_)) => fail,
            _ => fail.with_field("Retry-After", "5"),
        }
    }

    /// What would help.
    fn cure(self, address: &Address, why: &NoLease) -> &'static str {
        let NoLease::Unreachable(error) = why else { return "" };
        match (address, error.raw_os_error()) {
            (Address::Service(_), Some(libc::ENOENT | libc::ECONNREFUSED)) => {
                "; it does not run: it has failed or was stopped, as the error log says"
            }
            (Address::Unix(_), Some(libc::ENOENT)) => match self {
                Behind::Application => "; is it running, and is that its socket (php-fpm: `listen`)?",
                Behind::Server | Behind::Service => "; is it running, and is that its socket?",
            },
            (_, Some(libc::ECONNREFUSED)) => "; nobody listens there: is it running?",
            (Address::Unix(_), Some(libc::EACCES)) => match self {
                Behind::Application => {
                    "; the server's user must be allowed to write to the socket (php-fpm: `listen.owner`, `listen.group`, \
                     `listen.mode`) and to search the directories above it"
                }
                Behind::Server | Behind::Service => {
                    "; the server's user must be allowed to write to the socket and to search the directories above it"
                }
            },
            (Address::Tcp { .. }, Some(libc::EACCES)) => {
                "; the worker confined itself without this port: restart the server"
            }
            _ => "",
        }
    }

    /// The connections to `target`, if the site may ask it.
    pub(super) fn pool<'b>(
        self,
        ex: &Exchange,
        backends: &'b Backends,
        target: &Target,
    ) -> Result<&'b Arc<Pool>, Fail> {
        let named = ex.site.backends.contains(&target.address);
        let pool = backends.to(target.scheme, &target.address).filter(|_| named);
        pool.ok_or_else(|| self.not_named(target))
    }

    /// The failure of a request whose site may not ask `target`.
    pub(super) fn not_named(self, target: &Target) -> Fail {
        let (address, scheme) = (&target.address, target.scheme.name());
        let url = match address {
            Address::Unix(_) | Address::Service(_) => format!("{address}|{scheme}://localhost"),
            Address::Tcp { .. } => format!("{scheme}://{address}"),
        };
        let word = self.word();
        Fail::site(
            Status::INTERNAL_SERVER_ERROR,
            format!(
                "{word} `{address}`: the server's own files do not name it for this site, and only they decide who may be \
                 asked; `<Proxy \"{url}\"></Proxy>` there would"
            ),
        )
        .of_module(target.scheme.module())
    }
}

/// Whether a request that a kept connection lost may be told again, on a new one.
pub(super) fn may_repeat(method: Method, repeatable: Repeatable) -> bool {
    match repeatable {
        Repeatable::Yes => true,
        // RFC 9110 section 9.2.2.
        Repeatable::IfIdempotent => matches!(
            method,
            Method::Get | Method::Head | Method::Options | Method::Put | Method::Delete
        ),
        Repeatable::No => false,
    }
}

#[cfg(test)]
mod tests {
    use super::may_repeat;
    use crate::backend::wire::Repeatable;
    use crate::http::method::Method;

    #[test]
    fn what_may_have_been_done_is_not_done_twice() {
        for (method, repeatable, may) in [
            (Method::Get, Repeatable::IfIdempotent, true),
            (Method::Delete, Repeatable::IfIdempotent, true),
            (Method::Post, Repeatable::IfIdempotent, false),
            (Method::Other, Repeatable::IfIdempotent, false),
            (Method::Post, Repeatable::Yes, true),
            (Method::Get, Repeatable::No, false),
        ] {
            assert_eq!(may_repeat(method, repeatable), may, "{method:?} {repeatable:?}");
        }
    }
}
