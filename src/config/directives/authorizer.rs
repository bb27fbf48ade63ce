//! FastCGI applications that say who may come in: `mod_authnz_fcgi`.

use crate::config::backends::{Scheme, Target};
use crate::config::error::Span;
use crate::config::setting::{Mapped, Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, SERVER, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::lang::expr::StringExpr;

settings! {
    /// The authorizers of the server.
    pub struct Authorizers {
        /// `AuthnzFcgiDefineProvider`, by name.
        providers: Mapped<Vec<u8>, Provider>,
    }
}

settings! {
    /// The authorizer of a place.
    pub struct PlaceAuthorizer {
        /// `AuthnzFcgiCheckAuthnProvider`; `None` inside for `None`.
        check: Setting<Option<Check>>,
    }
}

/// An authorizer.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// What it can be asked.
    pub kind: Kind,
    /// Where it is.
    pub target: Target,
}

/// What an authorizer can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who the client is.
    Authn,
    /// Whether a user may come in.
    Authz,
    /// Both at once.
    Both,
}

impl Kind {
    /// Whether it can be asked who the client is.
    pub fn knows_users(self) -> bool {
        matches!(self, Kind::Authn | Kind::Both)
    }

    /// Whether it can be asked who may come in.
    pub fn grants(self) -> bool {
        matches!(self, Kind::Authz | Kind::Both)
    }
}

/// How an authorizer is asked who the client is.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Its name.
    pub provider: Vec<u8>,
    /// Where it was asked for.
    pub span: Span,
    /// Whether nobody else is asked where it refuses.
    pub authoritative: bool,
    /// Whether it is asked only about clients that give a name and a password.
    pub needs_credentials: bool,
    /// The user where `user` has no value.
    pub default_user: Option<Vec<u8>>,
    /// The user, from what it answered.
    pub user: Option<StringExpr>,
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "AuthnzFcgiCheckAuthnProvider",
        module: "mod_authnz_fcgi",
        syntax: "provider|None [option value ...]",
        words: Words::AtLeast(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "None",
        summary: "Let a FastCGI authorizer find out who the client is.",
        manual: "It is asked where Require needs a user. A status other than 200 is the answer, with its fields and its body (64 KiB at most), \
unless Authoritative Off leaves the word to AuthType. The user is what UserExpr comes to, an expression that may look at the variables which \
the authorizer sets (%{reqenv:NAME}), or DefaultUser where that is empty; without UserExpr it is the name that the client gave by AuthType Basic. With \
RequireBasicAuth On a client that gives none is asked for it first.",
        set: Set::Dir(|conf, args| {
            conf.authorizer.check.set(check(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "AuthnzFcgiDefineProvider",
        module: "mod_authnz_fcgi",
        syntax: "authn|authz|authnz name fcgi://host:port",
        words: Words::exactly(3),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Name a FastCGI application that says who may come in.",
        manual: "The name stands behind AuthBasicProvider where it is of type authn or authnz, and behind Require with authz or authnz; one of type \
authnz is asked once for both. The application has the role of an authorizer: it gets the request's variables without SCRIPT_NAME, PATH_INFO, \
PATH_TRANSLATED and CONTENT_LENGTH, and FCGI_ROLE, FCGI_APACHE_ROLE (AUTHENTICATOR or AUTHORIZER; nothing for both), REMOTE_USER and REMOTE_PASSWD. With status 200 \
the client may go on, and its fields Variable-NAME become variables; with any other, or a Location, it may not. Where it cannot be reached, or does \
not answer within ProxyTimeout, the answer is 500. Unlike in Apache, its address may be a Unix socket: unix:/path|fcgi://localhost.",
        set: Set::Server(|server, args| {
            let name = args.bytes(1).to_vec();
            if server.authorizers.providers.find(&name).is_some() || matches!(name.as_slice(), b"file" | b"anon") {
                return Err(format!("{} is a provider already; choose another name", shown(&name)));
            }
            let kinds = [("authn", Kind::Authn), ("authz", Kind::Authz), ("authnz", Kind::Both)];
            let (kind, target) = (args.choice(0, &kinds)?, Target::parse(args.bytes(2))?);
            if target.scheme != Scheme::FastCgi || !matches!(target.path.as_slice(), b"" | b"/") {
                return Err(format!(
                    "{} is not an address; write `fcgi://host:port`",
                    shown(args.bytes(2))
                ));
            }
            server.authorizers.providers.insert(name, Provider { kind, target });
            Ok(())
        }),
    },
];

fn check(args: &Args) -> Said<Option<Check>> {
    let provider = args.bytes(0);
    if provider.eq_ignore_ascii_case(b"None") {
        return match args.count() {
            1 => Ok(None),
            _ => Err("takes no options with `None`".into()),
        };
    }
    let mut check = Check {
        provider: provider.to_vec(),
        span: args.span.clone(),
        authoritative: true,
        needs_credentials: false,
        default_user: None,
        user: None,
    };
    for n in (1..args.count()).step_by(2) {
        if n + 1 == args.count() {
            return Err(format!("{} needs a value behind it", shown(args.bytes(n))));
        }
        match args.keyword(n).as_str() {
            "authoritative" => check.authoritative = args.flag(n + 1)?,
            "requirebasicauth" => check.needs_credentials = args.flag(n + 1)?,
            "defaultuser" => check.default_user = Some(args.bytes(n + 1).to_vec()),
            "userexpr" => {
                let text = args.text(n + 1)?;
                check.user = Some(StringExpr::parse(text, args.trust).map_err(|error| error.0)?);
            }
            _ => {
                return Err(format!(
                    "{} is none of `Authoritative`, `DefaultUser`, `RequireBasicAuth` and `UserExpr`",
                    shown(args.bytes(n))
                ));
            }
        }
    }
    Ok(Some(check))
}
