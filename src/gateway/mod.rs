//! How a program is spoken to: CGI/1.1 meta-variables and replies (RFC 3875). No I/O.
