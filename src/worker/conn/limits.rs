//! What a site lets pass of heads, and what becomes of those that it does not.

use crate::config::directives::site::{Methods, SimpleRequests, Strictness};
use crate::config::site::{Config, Site};
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::http::head::{self, HeadLimits, Http09, ParseError, ProtocolOptions, Syntax, Version};
use crate::worker::reader::Filler;

/// What becomes of a request whose head cannot be read.
pub fn broken(error: ParseError) -> Fail {
    Fail::client(error.status(), error.to_string()).closing()
}

/// The limits that a site sets to heads.
pub fn limits_of(site: &Site) -> HeadLimits {
    let core = &site.settings.core;
    let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    HeadLimits {
        line: bytes(core.limit_request_line.or(8190)),
        field_size: bytes(core.limit_request_field_size.or(8190)),
        fields: bytes(core.limit_request_fields.or(100)),
    }
}

/// What a site lets pass of odd syntax.
pub fn options_of(site: &Site, config: &'static Config) -> ProtocolOptions {
    let protocol = &site.settings.core.protocol;
    ProtocolOptions {
        syntax: match protocol.strictness.or(Strictness::Strict) {
            Strictness::Strict => Syntax::Strict,
            Strictness::Unsafe => Syntax::Unsafe,
        },
        http09: match protocol.simple_requests.or(SimpleRequests::Allowed) {
            SimpleRequests::Allowed => Http09::Allow,
            SimpleRequests::Refused => Http09::Refuse,
        },
        methods: match protocol.methods.or(Methods::Lenient) {
            Methods::Lenient => head::Methods::Lenient,
            Methods::Registered => head::Methods::Registered,
        },
        more_methods: &config.server.core.methods,
    }
}

/// Interim responses are for clients of HTTP/1.1 (RFC 9110 section 15.2).
pub(super) fn interim(ex: &Exchange) -> Filler {
    if ex.head.version() == Version::V11 {
        Filler::Interim
    } else {
        Filler::None
    }
}
