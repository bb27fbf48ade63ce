//! What FastCGI applications are told: `mod_proxy_fcgi`.

use crate::config::setting::{Appended, Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};
use crate::lang::expr::{Expr, StringExpr, Trust};

settings! {
    /// FastCGI applications of a place.
    pub struct FastCgi {
        /// `ProxyFCGIBackendType`.
        backend: Setting<Backend>,
        /// `ProxyFCGISetEnvIf`, in order.
        fixups: Appended<Fixup>,
    }
}

/// What kind of application it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// php-fpm.
    Fpm,
    /// Any other.
    Generic,
}

/// A variable that is changed before the application gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fixup {
    /// For which requests.
    pub condition: Expr,
    /// Its name.
    pub name: Vec<u8>,
    /// What it becomes; `None` takes it away.
    pub value: Option<StringExpr>,
    /// Whose word it is: the administrator's, or an access file's.
    pub trust: Trust,
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "ProxyFCGIBackendType",
        module: "mod_proxy_fcgi",
        syntax: "FPM|GENERIC",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "FPM",
        summary: "Say what kind of FastCGI application is behind a place.",
        manual: "With FPM, the application's SCRIPT_FILENAME begins with proxy:fcgi:// and a host, as php-fpm knows it from \
Apache and takes off. With GENERIC it is the path alone, as other applications want it.\n\nWith FPM, what files are given to an application on this machine by \
SetHandler or AddHandler must be regular files: what is none is answered with 404 and the application is not asked. (Apache asks it.) An application that has URLs of its own and no files gets \
them by GENERIC, or where its handler stands in a <Location>.",
        set: Set::Dir(|conf, args| {
            conf.fastcgi
                .backend
                .set(args.choice(0, &[("FPM", Backend::Fpm), ("GENERIC", Backend::Generic)])?);
            Ok(())
        }),
    },
    Directive {
        name: "ProxyFCGISetEnvIf",
        module: "mod_proxy_fcgi",
        syntax: "expression [!]variable [value]",
        words: Words::Between(2, 3),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Change a variable before a FastCGI application gets it, where an expression is true of the request.",
        manual: "As reqenv, the expressions see what the application would get. The value may hold %{...}, and $0 to $9 for the last \
pattern of the condition that matched. With ! the variable is taken away. Unlike with SetEnv, those that the server computes can \
be changed: it is the last word. An .htaccess file cannot change what SetEnv there cannot, such as PHP_ADMIN_VALUE.",
        set: Set::Dir(|conf, args| {
            let condition = Expr::parse(args.text(0)?, args.trust).map_err(|error| error.0)?;
            let name = args.bytes(1);
            let (name, value) = match name.strip_prefix(b"!") {
                Some(b"") => return Err("`!` needs the name of a variable behind it".into()),
                Some(_) if args.count() > 2 => return Err("takes no value for a variable that is taken away".into()),
                Some(name) => (name, None),
                None => {
                    let value = if args.count() > 2 { args.text(2)? } else { "" };
                    let value = StringExpr::parse(value, args.trust).map_err(|error| error.0)?;
                    (name, Some(value))
                }
            };
            conf.fastcgi.fixups.push(Fixup {
                condition,
                name: name.to_vec(),
                value,
                trust: args.trust,
            });
            Ok(())
        }),
    },
];
