//! What of a directive is shown to people who ask a server for its settings: not the values that programs are told in
//! confidence, not the passwords in URLs.

use crate::config::node::Node;

/// What stands in place of a value.
const HIDDEN: &[u8] = "\u{2026}".as_bytes();

/// Directives whose values are left out behind so many words that are shown.
const HIDING: &[(&str, usize)] = &[
    ("AuthnCacheSOCache", 0),
    ("Environment", 1),
    ("FcgidInitialEnv", 1),
    ("PassEnv", 0),
    ("ProxyFCGISetEnvIf", 2),
    ("RequestHeader", 2),
    ("SetEnv", 1),
    ("SetEnvIf", 2),
    ("SetEnvIfExpr", 1),
    ("SetEnvIfNoCase", 2),
];

/// Parts of names by which a directive is known to hold something that is not to be told.
const TELLING: &[&str] = &["password", "passphrase", "secret", "token"];

/// What is shown behind the name of a node.
pub fn shown(node: &Node) -> Vec<u8> {
    let name = node.name();
    let lower = name.to_ascii_lowercase();
    // How much of itself a server shows is no secret.
    if lower != "servertokens" && TELLING.iter().any(|part| lower.contains(part)) {
        return HIDDEN.to_vec();
    }
    if lower == "command" || is_program(node) {
        let first = node.words().first().map_or(&b""[..], |word| first_word(word));
        return with_rest_hidden(
            first.to_vec(),
            node.words().len() > 1 || node.args_raw().len() > first.len(),
        );
    }
    let hiding = HIDING.iter().find(|(hiding, _)| hiding.eq_ignore_ascii_case(name));
    let told = match hiding {
        Some((_, words)) => {
            let words: Vec<Vec<u8>> = node
                .words()
                .iter()
                .take(*words)
                .map(|word| before_value(word))
                .collect();
            let shown = words.join(&b' ');
            with_rest_hidden(shown, node.words().len() > words.len())
        }
        None => node.args_raw().to_vec(),
    };
    without_passwords(&told)
}

/// Whether a log or a map is a program, whose command line may hold what is not to be told.
fn is_program(node: &Node) -> bool {
    let of_program = |word: &Vec<u8>| word.starts_with(b"|") || word.starts_with(b"prg:");
    node.words().first().is_some_and(|word| word.starts_with(b"|")) || node.words().iter().skip(1).any(of_program)
}

fn first_word(word: &[u8]) -> &[u8] {
    word.split(u8::is_ascii_whitespace).next().unwrap_or_default()
}

fn with_rest_hidden(mut shown: Vec<u8>, has_more: bool) -> Vec<u8> {
    if has_more {
        if !shown.is_empty() {
            shown.push(b' ');
        }
        shown.extend_from_slice(HIDDEN);
    }
    shown
}

/// `NAME=value` without the value.
fn before_value(word: &[u8]) -> Vec<u8> {
    match word.iter().position(|byte| *byte == b'=') {
        Some(at) => [word.get(..=at).unwrap_or_default(), HIDDEN].concat(),
        None => word.to_vec(),
    }
}

/// `//name:password@host` without the password.
fn without_passwords(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"//") {
        let (before, behind) = rest.split_at(at + 2);
        out.extend_from_slice(before);
        let authority = behind
            .iter()
            .position(|byte| matches!(byte, b'/' | b'"' | b'\'') || byte.is_ascii_whitespace())
            .unwrap_or(behind.len());
        let (authority, next) = behind.split_at(authority);
        let host = memchr::memrchr(b'@', authority);
        let colon = memchr::memchr(b':', authority);
        match (colon, host) {
            (Some(colon), Some(host)) if colon < host => {
                out.extend_from_slice(authority.get(..=colon).unwrap_or_default());
                out.extend_from_slice(HIDDEN);
                out.extend_from_slice(authority.get(host..).unwrap_or_default());
            }
            _ => out.extend_from_slice(authority),
        }
        rest = next;
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::shown;
    use crate::config::error::Span;
    use crate::config::node::Node;

    #[test]
    fn secrets_are_not_shown() {
        for (name, args, expected) in [
            ("DocumentRoot", "/srv/www", "/srv/www"),
            ("SetEnv", "API_KEY s3cret", "API_KEY …"),
            ("setenv", "FLAG", "FLAG"),
            ("SetEnvIf", "Host ^a KEY=s3cret", "Host ^a …"),
            ("Environment", "DB=postgres://u:s3cret@db/x", "DB=…"),
            ("FcgidInitialEnv", "KEY=s3cret", "KEY=…"),
            (
                "RequestHeader",
                "set Authorization \"Basic s3cret\"",
                "set Authorization …",
            ),
            ("PassEnv", "KEY", "…"),
            ("Command", "/usr/bin/app --key s3cret", "/usr/bin/app …"),
            (
                "CustomLog",
                "\"|/usr/bin/send --key s3cret\" combined",
                "|/usr/bin/send …",
            ),
            ("CustomLog", "logs/access.log combined", "logs/access.log combined"),
            ("RewriteMap", "users \"prg:/usr/bin/map s3cret\"", "users …"),
            ("AuthLDAPBindPassword", "s3cret", "…"),
            ("ServerTokens", "Prod", "Prod"),
            ("ProxyPass", "/a http://u:s3cret@b/c//d", "/a http://u:…@b/c//d"),
            ("Redirect", "/a http://u@b:80/", "/a http://u@b:80/"),
            ("ProxyPass", "/ \"http://[::1]:80/\"", "/ \"http://[::1]:80/\""),
            ("Alias", "//", "//"),
        ] {
            let span = Span::new(&Arc::from("a.conf"), 1);
            let node = Node::directive(name, args.as_bytes(), span);
            assert_eq!(String::from_utf8_lossy(&shown(&node)), expected, "{name} {args}");
        }
    }
}
