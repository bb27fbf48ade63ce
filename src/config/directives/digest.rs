//! Who is it: names and passwords by HTTP's Digest scheme (mod_auth_digest).

use std::time::Duration;

use crate::config::directives::DirConf;
use crate::config::directives::authn::{Provider, provider};
use crate::config::table::{DIRECTORY, Directive, HTACCESS, Override, Set, Words};
use crate::config::words::shown;

/// What the directives of one section say; it replaces all that was said around it, as in Apache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// `AuthDigestProvider`, in the order in which they are asked; none is `file`.
    pub providers: Vec<Provider>,
    /// `AuthDigestDomain`.
    pub domain: Vec<Vec<u8>>,
    /// `AuthDigestNonceLifetime`.
    pub lifetime: Lifetime,
}

/// How long a nonce is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// For so long.
    For(Duration),
    /// As long as the server has its secret.
    Ever,
}

impl Default for Lifetime {
    fn default() -> Lifetime {
        Lifetime::For(Duration::from_secs(300))
    }
}

fn digest(conf: &mut DirConf, change: impl FnOnce(&mut Digest)) {
    let mut digest = conf.authn.digest.value().cloned().unwrap_or_default();
    change(&mut digest);
    conf.authn.digest.set(digest);
}

/// An entry of this file's.
const fn entry(
    name: &'static str,
    syntax: &'static str,
    words: Words,
    default: &'static str,
    texts: (&'static str, &'static str),
    set: Set,
) -> Directive {
    Directive {
        name,
        module: "mod_auth_digest",
        syntax,
        words,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::AuthConfig,
        default,
        summary: texts.0,
        manual: texts.1,
        set,
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    entry(
        "AuthDigestAlgorithm",
        "MD5",
        Words::exactly(1),
        "MD5",
        (
            "Say by which hash clients prove that they know the password.",
            "There is no other than MD5, as in Apache. What a section says by one of these directives replaces all that sections around \
it say by any of them.",
        ),
        Set::Dir(|conf, args| {
            args.choice(0, &[("MD5", ())])?;
            digest(conf, |_| ());
            Ok(())
        }),
    ),
    entry(
        "AuthDigestDomain",
        "url ...",
        Words::AtLeast(1),
        "",
        (
            "Tell clients which URLs share the password.",
            "Each stands for all URLs below it. Without it clients send the name with every request to the server.",
        ),
        Set::Dir(|conf, args| {
            if let Some(word) = args.words.iter().find(|word| word.contains(&b'"')) {
                return Err(format!("{} has a quotation mark; write `%22`", shown(word)));
            }
            digest(conf, |digest| digest.domain.extend_from_slice(args.words));
            Ok(())
        }),
    ),
    entry(
        "AuthDigestNcCheck",
        "Off",
        Words::Flag,
        "Off",
        (
            "Say whether a nonce must count upwards with each request.",
            "Only Off is supported: what a client sent can be sent again until the nonce expires, see AuthDigestNonceLifetime.",
        ),
        Set::Dir(|conf, args| {
            if args.flag(0)? {
                return Err(
                    "`On` is not supported by this version; write `Off`, and a short AuthDigestNonceLifetime".into(),
                );
            }
            digest(conf, |_| ());
            Ok(())
        }),
    ),
    entry(
        "AuthDigestNonceLifetime",
        "seconds",
        Words::exactly(1),
        "300",
        (
            "Say how long a challenge can be answered.",
            "Whoever answers later gets another, and browsers do not ask for the password again. A number below zero is for ever; zero, a \
nonce for each request, is not supported.",
        ),
        Set::Dir(|conf, args| {
            let lifetime = lifetime(args.bytes(0))?;
            digest(conf, |digest| digest.lifetime = lifetime);
            Ok(())
        }),
    ),
    entry(
        "AuthDigestProvider",
        "file|alias ...",
        Words::AtLeast(1),
        "file",
        (
            "Name those who know the hashes of passwords, in the order in which they are asked.",
            "The first who knows the name decides. An alias is one of <AuthnProviderAlias> for file. The lines of AuthUserFile are \
name:realm:hash, as htdigest writes them, and the realm is AuthName. Whoever can read the file can get in: keep it where no URL leads to it.",
        ),
        Set::Dir(|conf, args| {
            let mut providers = Vec::new();
            for word in args.words {
                match provider(word, Some(args.span))? {
                    Some(Provider::Anonymous) => {
                        return Err(format!("{} has no hashes; write `file`", shown(word)));
                    }
                    known => providers.extend(known),
                }
            }
            digest(conf, |digest| digest.providers.extend(providers));
            Ok(())
        }),
    ),
    entry(
        "AuthDigestQop",
        "auth",
        Words::AtLeast(1),
        "auth",
        (
            "Say what clients' answers protect.",
            "There is no other than auth, as in Apache: method and URL.",
        ),
        Set::Dir(|conf, args| {
            if args.words.iter().any(|word| !word.eq_ignore_ascii_case(b"auth")) {
                return Err("only `auth` is supported, as in Apache".into());
            }
            digest(conf, |_| ());
            Ok(())
        }),
    ),
];

fn lifetime(word: &[u8]) -> Result<Lifetime, String> {
    let wrong = || format!("{} is not a number of seconds; write `300`", shown(word));
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let seconds: u64 = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(wrong)?;
    match seconds {
        0 => Err("a nonce for each request is not supported by this version; write a number above 0".into()),
        _ if digits.len() < word.len() => Ok(Lifetime::Ever),
        seconds => Ok(Lifetime::For(Duration::from_secs(seconds))),
    }
}
