//! HTTP/1 messages as data: heads, framing, ranges, conditions (RFC 9110, RFC 9112). No I/O.
