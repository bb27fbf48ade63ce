//! How a program is spoken to: CGI/1.1 meta-variables and replies (RFC 3875), FastCGI records, SCGI headers. No I/O.

pub mod command_line;
pub mod fastcgi;
pub mod frame;
pub mod handoff;
pub mod meta_vars;
pub mod refused;
pub mod request;
pub mod scgi;
pub mod script_path;
pub mod script_reply;
