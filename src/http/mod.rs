//! HTTP/1 messages as data: heads, framing, ranges, conditions (RFC 9110, RFC 9112). No I/O.

pub mod accept;
pub mod chunked;
pub mod coding;
pub mod conditional;
pub mod depends;
pub mod fields;
pub mod framing;
pub mod head;
pub mod host;
pub mod method;
pub mod negotiate;
pub mod proxy_protocol;
pub mod range;
pub mod received;
pub mod response;
pub mod status;
pub mod target;
