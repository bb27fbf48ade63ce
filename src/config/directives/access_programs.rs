//! FastCGI programs that say who may come in, started when they are wanted (`mod_fcgid`, and `mod_fastcgi` before it).

use crate::config::directives::fcgid;
use crate::config::setting::{Setting, settings};
use crate::config::table::{DIRECTORY, Directive, HTACCESS, Override, Set, Words};

settings! {
    /// The programs of a place, each with its arguments.
    pub struct AccessPrograms {
        /// `FcgidAccessChecker`
        checker: Setting<Vec<Vec<u8>>>,
        /// `FcgidAccessCheckerAuthoritative`
        checker_authoritative: Setting<bool>,
        /// `FcgidAuthenticator`
        authenticator: Setting<Vec<Vec<u8>>>,
        /// `FcgidAuthenticatorAuthoritative`
        authenticator_authoritative: Setting<bool>,
        /// `FcgidAuthorizer`
        authorizer: Setting<Vec<Vec<u8>>>,
        /// `FcgidAuthorizerAuthoritative`
        authorizer_authoritative: Setting<bool>,
    }
}

impl AccessPrograms {
    /// All of them.
    pub fn commands(&self) -> impl Iterator<Item = &Vec<Vec<u8>>> {
        let all = [&self.checker, &self.authenticator, &self.authorizer];
        all.into_iter().filter_map(Setting::value)
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "FastCgiAccessChecker",
        module: "mod_fastcgi",
        syntax: "file",
        words: Words::exactly(1),
        allowed: DIRECTORY,
        overrides: Override::None,
        default: "",
        summary: "The same as FcgidAccessChecker, in the words of mod_fastcgi.",
        manual: "A file of which FastCgiServer or FastCgiExternalServer tells is asked where that says. The option -compat is not supported.",
        set: Set::Dir(|conf, args| {
            conf.access_programs.checker.set(fcgid::command(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "FastCgiAccessCheckerAuthoritative",
        module: "mod_fastcgi",
        syntax: "on|off",
        words: Words::Flag,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::AuthConfig,
        default: "on",
        summary: "The same as FcgidAccessCheckerAuthoritative, in the words of mod_fastcgi.",
        manual: "",
        set: Set::Dir(|conf, args| {
            conf.access_programs.checker_authoritative.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FastCgiAuthenticator",
        module: "mod_fastcgi",
        syntax: "file",
        words: Words::exactly(1),
        allowed: DIRECTORY,
        overrides: Override::None,
        default: "",
        summary: "The same as FcgidAuthenticator, in the words of mod_fastcgi.",
        manual: "A file of which FastCgiServer or FastCgiExternalServer tells is asked where that says. The option -compat is not supported.",
        set: Set::Dir(|conf, args| {
            conf.access_programs.authenticator.set(fcgid::command(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "FastCgiAuthenticatorAuthoritative",
        module: "mod_fastcgi",
        syntax: "on|off",
        words: Words::Flag,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::AuthConfig,
        default: "on",
        summary: "The same as FcgidAuthenticatorAuthoritative, in the words of mod_fastcgi.",
        manual: "",
        set: Set::Dir(|conf, args| {
            conf.access_programs.authenticator_authoritative.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FastCgiAuthorizer",
        module: "mod_fastcgi",
        syntax: "file",
        words: Words::exactly(1),
        allowed: DIRECTORY,
        overrides: Override::None,
        default: "",
        summary: "The same as FcgidAuthorizer, in the words of mod_fastcgi.",
        manual: "A file of which FastCgiServer or FastCgiExternalServer tells is asked where that says. The option -compat is not supported.",
        set: Set::Dir(|conf, args| {
            conf.access_programs.authorizer.set(fcgid::command(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "FastCgiAuthorizerAuthoritative",
        module: "mod_fastcgi",
        syntax: "on|off",
        words: Words::Flag,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::AuthConfig,
        default: "on",
        summary: "The same as FcgidAuthorizerAuthoritative, in the words of mod_fastcgi.",
        manual: "",
        set: Set::Dir(|conf, args| {
            conf.access_programs.authorizer_authoritative.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidAccessChecker",
        module: "mod_fcgid",
        syntax: "command",
        words: Words::exactly(1),
        allowed: DIRECTORY,
        overrides: Override::None,
        default: "",
        summary: "Ask a FastCGI program whether the client may come in, before anybody asks who it is.",
        manual: "The program gets the request's variables without those of a script, and FCGI_APACHE_ROLE, which is ACCESS_CHECKER. With status 200 and no Location the client may go on, \
and its fields Variable-NAME become variables; with anything else the answer is 401, as in Apache, whatever else it says, unless \
FcgidAccessCheckerAuthoritative Off leaves the word to others. Where it gives no proper answer, that is 500.\n\nSuch programs are started like those \
of FcgidWrapper, by what is said of their own files, and are told of by FcgidCmdOptions too. The command is one word, quoted where it has arguments. \
They cannot stand in .htaccess, unlike in Apache, for the process that starts programs reads the server's own files alone.",
        set: Set::Dir(|conf, args| {
            conf.access_programs.checker.set(fcgid::command(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidAccessCheckerAuthoritative",
        module: "mod_fcgid",
        syntax: "on|off",
        words: Words::Flag,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::FileInfo,
        default: "on",
        summary: "Say whether a refusal by the access checker of FcgidAccessChecker is the last word.",
        manual: "With off, or where it gives no proper answer then, others are asked as if it were not there.",
        set: Set::Dir(|conf, args| {
            conf.access_programs.checker_authoritative.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidAuthenticator",
        module: "mod_fcgid",
        syntax: "command",
        words: Words::exactly(1),
        allowed: DIRECTORY,
        overrides: Override::None,
        default: "",
        summary: "Ask a FastCGI program whether the client's name and password are right.",
        manual: "It is asked where Require needs a user and AuthType is Basic, when those who know passwords otherwise do not know the name and AuthBasicAuthoritative is \
Off, or when the place names neither an AuthUserFile nor an AuthBasicProvider, where Apache has a 500. It gets REMOTE_USER, REMOTE_PASSWD and FCGI_APACHE_ROLE, which \
is AUTHENTICATOR; the rest is as with FcgidAccessChecker.",
        set: Set::Dir(|conf, args| {
            conf.access_programs.authenticator.set(fcgid::command(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidAuthenticatorAuthoritative",
        module: "mod_fcgid",
        syntax: "on|off",
        words: Words::Flag,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::FileInfo,
        default: "on",
        summary: "Say whether a refusal by the authenticator of FcgidAuthenticator is the last word.",
        manual: "With off, or where it gives no proper answer then, others are asked as if it were not there.",
        set: Set::Dir(|conf, args| {
            conf.access_programs.authenticator_authoritative.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidAuthorizer",
        module: "mod_fcgid",
        syntax: "command",
        words: Words::exactly(1),
        allowed: DIRECTORY,
        overrides: Override::None,
        default: "",
        summary: "Ask a FastCGI program whether a user may come in.",
        manual: "It is asked where Require needs a user, when it is known who that is, and before Require is: with status 200 the client may come in whatever Require says, with any \
other it may not, unless FcgidAuthorizerAuthoritative Off leaves it to Require. It gets REMOTE_USER and FCGI_APACHE_ROLE, which is AUTHORIZER; the rest is as \
with FcgidAccessChecker.",
        set: Set::Dir(|conf, args| {
            conf.access_programs.authorizer.set(fcgid::command(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "FcgidAuthorizerAuthoritative",
        module: "mod_fcgid",
        syntax: "on|off",
        words: Words::Flag,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::FileInfo,
        default: "on",
        summary: "Say whether a refusal by the authorizer of FcgidAuthorizer is the last word.",
        manual: "With off, or where it gives no proper answer then, others are asked as if it were not there.",
        set: Set::Dir(|conf, args| {
            conf.access_programs.authorizer_authoritative.set(args.flag(0)?);
            Ok(())
        }),
    },
];
