//! What SCGI applications may ask for: `mod_proxy_scgi`.

use crate::base::ascii::is_token;
use crate::config::setting::{Setting, settings};
use crate::config::table::{Directive, Override, SERVER_FILES, Set, Words};
use crate::config::words::shown;

settings! {
    /// SCGI applications of a place.
    pub struct Scgi {
        /// `ProxySCGIInternalRedirect`.
        redirect: Setting<Redirects>,
    }
}

/// Which field of a reply is a redirect inside the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Location, as of a script.
    ByLocation,
    /// None.
    Never,
    /// The field of this name.
    ByField(Vec<u8>),
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "ProxySCGIInternalRedirect",
    module: "mod_proxy_scgi",
    syntax: "On|Off|field",
    words: Words::exactly(1),
    allowed: SERVER_FILES,
    overrides: Override::None,
    default: "On",
    summary: "Say whether an SCGI application may redirect inside the server.",
    manual: "With On, a reply with a Location that begins with a slash, and no Status, is answered with what that path has, as it is \
for scripts. With the name of a field, that field does it and Location goes to the client, with 302; with Off nothing does it.",
    set: Set::Dir(|conf, args| {
        let word = args.bytes(0);
        let redirects = match word.to_ascii_lowercase().as_slice() {
            b"on" => Redirects::ByLocation,
            b"off" => Redirects::Never,
            _ if is_token(word) => Redirects::ByField(word.to_vec()),
            _ => {
                return Err(format!(
                    "{} is neither `On` nor `Off` nor the name of a field",
                    shown(word)
                ));
            }
        };
        conf.scgi.redirect.set(redirects);
        Ok(())
    }),
}];
