//! Who is it: how a place asks for a name (mod_authn_core), names and passwords by HTTP's Basic scheme (mod_auth_basic), from
//! files (mod_authn_file, mod_authz_groupfile) or from whoever comes along (mod_authn_anon).

use std::sync::Arc;

use crate::config::directives::digest::Digest;
use crate::config::directives::require::RequirementAlias;
use crate::config::error::Span;
use crate::config::setting::{Mapped, Setting, settings};
use crate::config::table::{Contexts, DIRECTORY, Directive, HTACCESS, Override, SERVER, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::lang::expr::StringExpr;

settings! {
    /// How the users of a place are known.
    pub struct Authn {
        /// `AuthType`.
        auth_type: Setting<AuthType>,
        /// `AuthName`.
        realm: Setting<StringExpr>,
        /// `AuthBasicProvider`, in the order in which they are asked.
        providers: Setting<Vec<Provider>>,
        /// `AuthBasicAuthoritative`.
        authoritative: Setting<bool>,
        /// `AuthBasicUseDigestAlgorithm`.
        stored: Setting<Stored>,
        /// `AuthBasicFake`.
        fake: Setting<Option<Fake>>,
        /// `AuthDigestProvider` and its kin; what one section says replaces all that was said around it.
        digest: Setting<Digest>,
        /// `AuthUserFile`.
        user_file: Setting<Vec<u8>>,
        /// `AuthGroupFile`.
        group_file: Setting<Vec<u8>>,
        /// `Anonymous` and its kin; what one section says replaces all that was said around it.
        anonymous: Setting<Anonymous>,
    }
}

settings! {
    /// Providers of the whole server.
    pub struct Providers {
        /// `<AuthnProviderAlias>`, by name.
        aliases: Mapped<Vec<u8>, Arc<Alias>>,
        /// `<AuthzProviderAlias>`, by name.
        requirements: Mapped<Vec<u8>, Arc<RequirementAlias>>,
    }
}

/// In which form passwords are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// As the Basic scheme's files have them.
    Hashed,
    /// As the Digest scheme's files have them: with name and realm, by MD5.
    DigestMd5,
}

/// How a client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthType {
    /// It is not asked.
    None,
    /// RFC 7617.
    Basic,
    /// RFC 7616, with MD5.
    Digest,
}

/// Who knows passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// AuthUserFile.
    File,
    /// Anonymous.
    Anonymous,
    /// An alias, and where it was asked for.
    Alias(Vec<u8>, Span),
}

/// A provider with settings of its own.
#[derive(Clone, Debug)]
pub struct Alias {
    /// What it is.
    pub base: Base,
    /// Its settings.
    pub conf: Authn,
}

/// What an alias can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// AuthUserFile.
    File,
    /// Anonymous.
    Anonymous,
}

/// The name and the password that are passed on instead of the user's.
#[derive(Clone, Debug, PartialEq)]
pub struct Fake {
    /// The name.
    pub user: StringExpr,
    /// The password.
    pub password: StringExpr,
}

/// Who may come without being known.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a directive of its own that is on or off"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anonymous {
    /// Names that will do, in any case.
    pub users: Vec<Vec<u8>>,
    /// Any name will do (`*`).
    pub any: bool,
    /// No name will do too.
    pub nameless: bool,
    /// The password must not be empty.
    pub must_give_email: bool,
    /// The password must look like an address.
    pub verify_email: bool,
    /// The password is logged.
    pub log_email: bool,
}

impl Default for Anonymous {
    fn default() -> Anonymous {
        Anonymous {
            users: Vec::new(),
            any: false,
            nameless: false,
            must_give_email: true,
            verify_email: false,
            log_email: true,
        }
    }
}

impl Base {
    /// What `<AuthnProviderAlias>` names first.
    pub fn named(word: &[u8]) -> Said<Base> {
        match provider(word, None)? {
            Some(Provider::File) => Ok(Base::File),
            Some(Provider::Anonymous) => Ok(Base::Anonymous),
            _ => Err(format!("{} is not a provider; write `file` or `anon`", shown(word))),
        }
    }
}

/// The provider of that name.
pub(super) fn provider(word: &[u8], span: Option<&Span>) -> Said<Option<Provider>> {
    match word {
        b"file" => Ok(Some(Provider::File)),
        b"anon" => Ok(Some(Provider::Anonymous)),
        b"dbm" | b"dbd" | b"ldap" | b"socache" | b"fcgi" => Err(format!(
            "{} is not supported; write `file`, and keep the passwords in an AuthUserFile",
            shown(word)
        )),
        _ => Ok(span.map(|span| Provider::Alias(word.to_vec(), span.clone()))),
    }
}

/// Text of old files may be in Latin-1: it stands for itself, where nothing in it is to be computed.
fn string(args: &Args, n: usize) -> Said<StringExpr> {
    let word = args.bytes(n);
    let is_plain = !word.contains(&b'%') && !word.contains(&b'\\') && !word.contains(&b'$');
    if is_plain && std::str::from_utf8(word).is_err() {
        return Ok(StringExpr::literal(word));
    }
    StringExpr::parse(args.text(n)?, args.trust).map_err(|error| error.0)
}

fn anonymous(conf: &mut crate::config::directives::DirConf, change: impl FnOnce(&mut Anonymous)) {
    let mut anonymous = conf.authn.anonymous.value().cloned().unwrap_or_default();
    change(&mut anonymous);
    conf.authn.anonymous.set(anonymous);
}

/// An entry of this file's.
const fn entry(
    name: &'static str,
    module: &'static str,
    syntax: &'static str,
    words: Words,
    default: &'static str,
    texts: (&'static str, &'static str),
    set: Set,
) -> Directive {
    Directive {
        name,
        module,
        syntax,
        words,
        allowed: IN_PLACES,
        overrides: Override::AuthConfig,
        default,
        summary: texts.0,
        manual: texts.1,
        set,
    }
}

const IN_PLACES: Contexts = DIRECTORY.or(HTACCESS);
const ONE: Words = Words::exactly(1);

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    entry(
        "Anonymous",
        "mod_authn_anon",
        "user ...",
        Words::AtLeast(1),
        "",
        (
            "Name users who are let in with any password.",
            "The star stands for any name. The provider is anon.",
        ),
        Set::Dir(|conf, args| {
            anonymous(conf, |anonymous| {
                for word in args.words {
                    if word == b"*" {
                        anonymous.any = true;
                    } else {
                        anonymous.users.push(word.clone());
                    }
                }
            });
            Ok(())
        }),
    ),
    entry(
        "Anonymous_LogEmail",
        "mod_authn_anon",
        "On|Off",
        Words::Flag,
        "On",
        ("Write the passwords of anonymous users into the error log.", ""),
        Set::Dir(|conf, args| {
            let flag = args.flag(0)?;
            anonymous(conf, |anonymous| anonymous.log_email = flag);
            Ok(())
        }),
    ),
    entry(
        "Anonymous_MustGiveEmail",
        "mod_authn_anon",
        "On|Off",
        Words::Flag,
        "On",
        ("Let no anonymous user in without a password.", ""),
        Set::Dir(|conf, args| {
            let flag = args.flag(0)?;
            anonymous(conf, |anonymous| anonymous.must_give_email = flag);
            Ok(())
        }),
    ),
    entry(
        "Anonymous_NoUserID",
        "mod_authn_anon",
        "On|Off",
        Words::Flag,
        "Off",
        ("Let users in who give no name.", ""),
        Set::Dir(|conf, args| {
            let flag = args.flag(0)?;
            anonymous(conf, |anonymous| anonymous.nameless = flag);
            Ok(())
        }),
    ),
    entry(
        "Anonymous_VerifyEmail",
        "mod_authn_anon",
        "On|Off",
        Words::Flag,
        "Off",
        ("Want an @ and a dot in the passwords of anonymous users.", ""),
        Set::Dir(|conf, args| {
            let flag = args.flag(0)?;
            anonymous(conf, |anonymous| anonymous.verify_email = flag);
            Ok(())
        }),
    ),
    entry(
        "AuthBasicAuthoritative",
        "mod_auth_basic",
        "On|Off",
        Words::Flag,
        "On",
        (
            "Refuse users that no provider knows.",
            "With Off somebody else would have to know them; there is nobody else, and the answer is 500, as in Apache.",
        ),
        Set::Dir(|conf, args| {
            conf.authn.authoritative.set(args.flag(0)?);
            Ok(())
        }),
    ),
    entry(
        "AuthBasicFake",
        "mod_auth_basic",
        "off|user [password]",
        Words::Between(1, 2),
        "off",
        (
            "Put another name and password into the request's Authorization field.",
            "Both may hold %{...}; without a password it is the word password. An empty name takes the field out.",
        ),
        Set::Dir(|conf, args| {
            if args.count() == 1 && args.keyword(0) == "off" {
                conf.authn.fake.set(None);
                return Ok(());
            }
            let password = if args.bytes(1).is_empty() {
                StringExpr::parse("password", args.trust).map_err(|error| error.0)?
            } else {
                string(args, 1)?
            };
            conf.authn.fake.set(Some(Fake {
                user: string(args, 0)?,
                password,
            }));
            Ok(())
        }),
    ),
    entry(
        "AuthBasicProvider",
        "mod_auth_basic",
        "file|anon|alias ...",
        Words::AtLeast(1),
        "file",
        (
            "Name those who know passwords, in the order in which they are asked.",
            "The first who knows the name decides. An alias is one of <AuthnProviderAlias>.",
        ),
        Set::Dir(|conf, args| {
            let mut providers = conf.authn.providers.value().cloned().unwrap_or_default();
            for word in args.words {
                providers.extend(provider(word, Some(args.span))?);
            }
            conf.authn.providers.set(providers);
            Ok(())
        }),
    ),
    entry(
        "AuthBasicUseDigestAlgorithm",
        "mod_auth_basic",
        "MD5|Off",
        ONE,
        "Off",
        (
            "Compare passwords with those of a file for the Digest scheme.",
            "With MD5 the lines of AuthUserFile are name:realm:hash, as htdigest writes them, and the realm is AuthName. The provider is \
file. The hashes are quick to try for whoever has the file: bcrypt is better.",
        ),
        Set::Dir(|conf, args| {
            let forms = [("MD5", Stored::DigestMd5), ("Off", Stored::Hashed)];
            conf.authn.stored.set(args.choice(0, &forms)?);
            Ok(())
        }),
    ),
    entry(
        "AuthGroupFile",
        "mod_authz_groupfile",
        "file",
        ONE,
        "",
        (
            "Name the file that says which users are in which groups.",
            "A line is a group, a colon, and the names of its users.",
        ),
        Set::Dir(|conf, args| {
            conf.authn.group_file.set(args.path(0));
            Ok(())
        }),
    ),
    entry(
        "AuthName",
        "mod_authn_core",
        "text",
        ONE,
        "",
        (
            "Say what the password is for; browsers show it.",
            "It may hold %{...}. Pages with the same text share a password.",
        ),
        Set::Dir(|conf, args| {
            conf.authn.realm.set(string(args, 0)?);
            Ok(())
        }),
    ),
    Directive {
        name: "<AuthnProviderAlias>",
        module: "mod_authn_core",
        syntax: "file|anon name",
        words: Words::exactly(2),
        allowed: SERVER,
        overrides: Override::None,
        default: "",
        summary: "Give a provider with settings of its own a name.",
        manual: "Inside stand AuthUserFile, or Anonymous and its kin.",
        set: Set::Language,
    },
    entry(
        "AuthType",
        "mod_authn_core",
        "None|Basic|Digest",
        ONE,
        "None",
        (
            "Say how clients tell who they are.",
            "Require says who of them may. Digest is that of MD5 and keeps no password from who listens for long: Basic with bcrypt behind TLS \
is better. Form is refused.",
        ),
        Set::Dir(|conf, args| {
            let known = match args.keyword(0).as_str() {
                "none" => AuthType::None,
                "basic" => AuthType::Basic,
                "digest" => AuthType::Digest,
                "form" => {
                    let word = shown(args.bytes(0));
                    return Err(format!("{word} is not supported by this version; write `Basic`"));
                }
                _ => {
                    return Err(format!(
                        "{} is none of `Basic`, `Digest` and `None`",
                        shown(args.bytes(0))
                    ));
                }
            };
            conf.authn.auth_type.set(known);
            Ok(())
        }),
    ),
    entry(
        "AuthUserFile",
        "mod_authn_file",
        "file",
        ONE,
        "",
        (
            "Name the file with users and their passwords.",
            "A line is a name, a colon and a hash, as lychgate passwd and htpasswd write them: bcrypt, $apr1$, {SHA}, and \
crypt(3) with MD5, SHA-256 or SHA-512. For AuthType Digest see AuthDigestProvider. Plain text and the crypt(3) of DES are not accepted, nor is bcrypt with a cost above 17. \
Keep the file where no URL leads to it.",
        ),
        Set::Dir(|conf, args| {
            conf.authn.user_file.set(args.path(0));
            Ok(())
        }),
    ),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::load::load_text;

    #[test]
    fn a_realm_in_latin_1_is_taken_where_nothing_in_it_is_computed() {
        for (realm, is_taken) in [
            (&b"Gesch\xfctzt"[..], true),
            (b"Gesch\xc3\xbctzt %{HTTP_HOST}", true),
            (b"Gesch\xfctzt %{HTTP_HOST}", false),
        ] {
            let text = [b"<Directory /x>\nAuthName \"", realm, b"\"\n</Directory>\n"].concat();
            let complaints = load_text("a.conf", &text, Path::new("/")).complaints;
            let is_wrong = complaints.iter().any(|complaint| complaint.is_fatal());
            assert_eq!(!is_wrong, is_taken, "{}", String::from_utf8_lossy(realm));
        }
    }
}
