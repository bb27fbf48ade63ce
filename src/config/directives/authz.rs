//! Who may: in this version all, nobody, or clients on this machine.

use crate::config::directives::limit::Methods;
use crate::config::setting::{Setting, settings};
use crate::config::table::{DIRECTORY, Directive, HTACCESS, Override, Set, Words};

settings! {
    /// Access to a place.
    pub struct Authz {
        /// `Require`; without it access is granted, as in Apache.
        require: Setting<Require>,
        /// The same inside `<Limit>` and `<LimitExcept>`.
        limited: Setting<Vec<(Methods, Require)>>,
    }
}

/// The access that a place gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Require {
    /// Nobody may.
    Denied,
    /// Clients on this machine may.
    Local,
    /// Everybody may.
    Granted,
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "Require",
    module: "mod_authz_core",
    syntax: "all granted|all denied|local",
    words: Words::AtLeast(1),
    allowed: DIRECTORY.or(HTACCESS),
    overrides: Override::AuthConfig,
    default: "",
    summary: "Say who may see a place.",
    manual: "This version has all granted, all denied and local (clients on this machine). Several lines of a section \
             are alternatives. Every other kind of requirement is refused when the configuration is \
read, so that nothing is served that the file means to protect.",
    set: Set::Dir(|conf, args| {
        let require = match (args.keyword(0).as_str(), args.keyword(1).as_str(), args.count()) {
            ("all", "granted", 2) => Require::Granted,
            ("all", "denied", 2) => Require::Denied,
            ("local", _, 1) => Require::Local,
            ("all", _, _) => return Err("write `Require all granted` or `Require all denied`".into()),
            (kind, _, _) => {
                return Err(format!(
                    "`{kind}` is not supported by this version; it has `all granted`, `all denied` and `local`"
                ));
            }
        };
        if let Some(methods) = args.methods {
            let mut limited = conf.authz.limited.value().cloned().unwrap_or_default();
            limited.push((methods.clone(), require));
            conf.authz.limited.set(limited);
            return Ok(());
        }
        // Lines without a container are RequireAny: one that grants is enough.
        let so_far = conf.authz.require.or(Require::Denied);
        conf.authz.require.set(require.max(so_far));
        Ok(())
    }),
}];
