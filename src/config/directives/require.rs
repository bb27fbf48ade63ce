//! What one `Require` asks for: its kinds and their words.

use crate::base::quoting;
use crate::config::directives::authz::Sense;
use crate::config::error::Span;
use crate::config::words::{Args, Said, shown};
use crate::http::method::Method;
use crate::lang::expr::{Expr, StringExpr, Subnet, Trust};

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Requirement {
    /// `all granted`
    Granted,
    /// `all denied`
    Denied,
    /// `ip`: the client's address is in one of these.
    Address(Vec<Subnet>),
    /// `host`: the client's name is one of these or ends with one.
    Host(Vec<Word>),
    /// `forward-dns`: one of these names leads to the client's address.
    ForwardDns(Vec<Word>),
    /// `local`: the client is on this machine.
    Local,
    /// `env`: one of these variables is set.
    Env(Vec<Vec<u8>>),
    /// `method`
    Method(Vec<Method>),
    /// `user`
    User(Vec<Word>),
    /// `valid-user`
    ValidUser,
    /// `group`
    Group(Vec<Word>),
    /// `file-owner`: the user owns the file.
    FileOwner,
    /// `file-group`: the user is in the file's group.
    FileGroup,
    /// `ssl`: the client speaks TLS.
    Tls,
    /// `ssl-verify-client`: it has shown a good certificate.
    TlsVerified,
    /// `expr`
    Expr(Box<Expr>, Wants),
    /// One of `<AuthzProviderAlias>`, and where it was asked for.
    Alias(Vec<u8>, Span),
}

/// A requirement with a name of its own.
#[derive(Clone, Debug)]
pub struct RequirementAlias {
    /// What it asks for.
    pub requirement: Requirement,
    /// AuthGroupFile inside of the section.
    pub group_file: Option<Vec<u8>>,
}

/// Whether a name and password could make a requirement true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// It asks for REMOTE_USER.
    User,
    /// It does not.
    Nothing,
}

/// A word, which may depend on the request.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// As it is written.
    Literal(Vec<u8>),
    /// With `%{...}` in it; what it makes may be several words.
    Computed(StringExpr),
}

/// The text of the manual.
pub(super) const MANUAL: &str = "Several lines are alternatives, unless they stand in <RequireAll>. The kinds are: \
all granted; all denied; ip with addresses, networks, or the beginnings of IPv4 addresses; host with names or the ends of names, \
where the client's name must lead back to its address; forward-dns with names that lead to its address; local (a client on this \
machine); env with variables; method with methods; user with names; valid-user; group with groups of AuthGroupFile; file-owner \
and file-group (the file belongs to the user, or to a group of the user's); ssl (the client speaks TLS); ssl-verify-client (it has shown a certificate that is believed, see SSLVerifyClient); expr with an expression.

Words of user, group, host and forward-dns may hold %{...}. With not, a line refuses instead of granting, and stands in \
<RequireAll>. The name of an <AuthzProviderAlias> stands for what that says. Kinds \
of other modules are refused when the configuration is read.";

/// Reads what follows `Require`.
pub(super) fn parse(args: &Args) -> Said<(Sense, Requirement)> {
    let raw = args.bytes(0).trim_ascii();
    let (kind, rest) = quoting::next_word(raw).ok_or("says nothing; write `Require all granted` or the like")?;
    if kind.eq_ignore_ascii_case(b"not") {
        let (kind, rest) = quoting::next_word(rest.trim_ascii()).ok_or("says nothing behind `not`")?;
        return Ok((Sense::Negated, named(args, kind, rest.trim_ascii())?));
    }
    Ok((Sense::Plain, named(args, kind, rest.trim_ascii())?))
}

/// Words behind an alias are passed over, as in Apache.
fn named(args: &Args, kind: Vec<u8>, rest: &[u8]) -> Said<Requirement> {
    if !is_kind(&kind) {
        return Ok(Requirement::Alias(kind, args.span.clone()));
    }
    requirement(&kind, rest, args.trust)
}

/// The kinds there are. Apache knows its providers by these very names.
const KINDS: &[&[u8]] = &[
    b"all",
    b"ip",
    b"host",
    b"forward-dns",
    b"local",
    b"env",
    b"method",
    b"user",
    b"valid-user",
    b"group",
    b"file-owner",
    b"file-group",
    b"ssl",
    b"ssl-verify-client",
    b"expr",
];

/// Whether that is a kind of requirement.
pub fn is_kind(name: &[u8]) -> bool {
    KINDS.contains(&name)
}

/// The requirement of a kind with its words, as the administrator wrote them.
pub fn of_kind(kind: &[u8], words: &[u8]) -> Said<Requirement> {
    requirement(kind, words, Trust::Full)
}

/// The sentence about a word that is no kind.
pub fn unknown(kind: &[u8]) -> String {
    let sentence = "is no kind of requirement that is known here; write `all`, `ip`, `host`, `forward-dns`, `local`, `env`, \
                    `method`, `user`, `valid-user`, `group`, `file-owner`, `file-group`, `ssl`, `ssl-verify-client` or `expr`";
    format!("{} {sentence}", shown(kind))
}

fn requirement(kind: &[u8], rest: &[u8], trust: Trust) -> Said<Requirement> {
    let words = quoting::words(rest);
    Ok(match kind {
        b"all" => match words.as_slice() {
            [word] if word.eq_ignore_ascii_case(b"granted") => Requirement::Granted,
            [word] if word.eq_ignore_ascii_case(b"denied") => Requirement::Denied,
            _ => return Err("write `Require all granted` or `Require all denied`".into()),
        },
        b"ip" if words.is_empty() => return Err("an address is missing; write `Require ip 192.0.2.0/24`".into()),
        b"ip" => Requirement::Address(words.iter().map(|word| subnet(word)).collect::<Said<_>>()?),
        b"host" => Requirement::Host(computed(&words, trust)?),
        b"forward-dns" => Requirement::ForwardDns(computed(&words, trust)?),
        b"local" => Requirement::Local,
        b"env" => Requirement::Env(words),
        b"method" => Requirement::Method(words.iter().map(|word| method(word)).collect::<Said<_>>()?),
        b"user" => Requirement::User(computed(&words, trust)?),
        b"valid-user" => Requirement::ValidUser,
        b"group" => Requirement::Group(computed(&words, trust)?),
        b"file-owner" => Requirement::FileOwner,
        b"file-group" => Requirement::FileGroup,
        b"ssl" | b"ssl-verify-client" if !words.is_empty() => {
            return Err(format!("{} takes no words behind it", shown(kind)));
        }
        b"ssl" => Requirement::Tls,
        b"ssl-verify-client" => Requirement::TlsVerified,
        b"expr" => expression(rest, trust)?,
        _ => return Err(unknown(kind)),
    })
}

/// A network, in a sentence where it is none.
pub(super) fn subnet(word: &[u8]) -> Said<Subnet> {
    let text = std::str::from_utf8(word).ok();
    text.and_then(Subnet::parse).ok_or_else(|| {
        format!(
            "{} is neither an address nor a network; write `192.0.2.1`, `192.0.2.0/24` or `2001:db8::/32`",
            shown(word)
        )
    })
}

fn method(word: &[u8]) -> Said<Method> {
    match Method::from_bytes(word) {
        Method::Other => Err(format!("{} is not a method that is known here", shown(word))),
        // Who may GET may HEAD.
        Method::Head => Ok(Method::Get),
        method => Ok(method),
    }
}

fn computed(words: &[Vec<u8>], trust: Trust) -> Said<Vec<Word>> {
    let word = |word: &Vec<u8>| {
        if !word.windows(2).any(|pair| pair == b"%{") {
            return Ok(Word::Literal(word.clone()));
        }
        let text = std::str::from_utf8(word).map_err(|_| format!("{} is not UTF-8 text", shown(word)))?;
        StringExpr::parse(text, trust).map(Word::Computed).map_err(|e| e.0)
    };
    words.iter().map(word).collect()
}

fn expression(rest: &[u8], trust: Trust) -> Said<Requirement> {
    let text = match rest {
        [b'"', inner @ .., b'"'] => inner,
        _ => rest,
    };
    let text = std::str::from_utf8(text).map_err(|_| "the expression is not UTF-8 text".to_owned())?;
    let expr = Expr::parse(text, trust).map_err(|error| error.0)?;
    let upper = text.to_ascii_uppercase();
    let wants = if upper.contains("REMOTE_USER") {
        Wants::User
    } else {
        Wants::Nothing
    };
    Ok(Requirement::Expr(Box::new(expr), wants))
}

#[cfg(test)]
mod tests {
    use super::{Requirement, requirement};
    use crate::lang::expr::Trust;

    #[test]
    fn wrong_words_are_refused_and_cut_ones_never_panic() {
        let said = |text: &str| {
            let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
            requirement(kind.as_bytes(), rest.as_bytes(), Trust::Full)
        };
        for text in [
            "all",
            "all maybe",
            "all granted twice",
            "ip",
            "ip x",
            "ip 10.1/16",
            "ip 1.2.3.4/33",
            "method BREW",
            "foo",
            "expr",
            "expr %{",
            "ALL granted",
            "ldap-user x",
            "ssl on",
        ] {
            assert!(said(text).is_err(), "{text}");
        }
        assert_eq!(said("all GRANTED"), Ok(Requirement::Granted));
        let line = "user \"a b\" %{env:X} expr %{REMOTE_USER} == 'x'";
        for end in 0..line.len() {
            let _either_way = said(&line[..end]);
        }
    }
}
