//! The variables of mod_ssl by their names, as log formats (`%{NAME}x`), rules (`%{SSL:NAME}`), fields (`%{NAME}s`) and
//! SSLUserName ask for them: its own, and the server variables that it knows besides.

use std::borrow::Cow;

use crate::lang::local_time;
use crate::lang::vars::{self, Variable, Vars};

/// The server variables that mod_ssl knows besides its own; of those of expressions it lacks some.
const OTHERS: [Variable; 20] = [
    Variable::RequestMethod,
    Variable::RequestScheme,
    Variable::RequestUri,
    Variable::RequestFilename,
    Variable::RemoteAddr,
    Variable::RemoteHost,
    Variable::RemoteIdent,
    Variable::RemoteUser,
    Variable::ServerAdmin,
    Variable::ServerName,
    Variable::ServerPort,
    Variable::ServerProtocol,
    Variable::ServerSoftware,
    Variable::ScriptFilename,
    Variable::PathInfo,
    Variable::QueryString,
    Variable::IsSubreq,
    Variable::DocumentRoot,
    Variable::AuthType,
    Variable::TheRequest,
];

/// Whether a name is one of mod_ssl's own: it begins with `SSL_`, in any case.
pub fn is_own(name: &str) -> bool {
    name.len() > 4 && name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SSL_"))
}

/// The value of a variable; nothing where there is none, or an empty one.
pub fn lookup<'v>(name: &str, vars: &'v dyn Vars) -> Option<Cow<'v, [u8]>> {
    found(name, vars).filter(|value| !value.is_empty())
}

fn found<'v>(name: &str, vars: &'v dyn Vars) -> Option<Cow<'v, [u8]>> {
    if is_own(name) {
        return vars.tls(name);
    }
    let prefixed = |prefix: &str| {
        let start = name.get(..prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some(&name[prefix.len()..])
    };
    if let Some(field) = prefixed("HTTP:").or_else(|| vars::field_of_variable(name)) {
        return vars.request_field(field);
    }
    if let Some(name) = prefixed("ENV:") {
        return vars.note(name).or_else(|| vars.env(name)).or_else(|| vars.os_env(name));
    }
    if let Some(format) = vars::time_of_variable(name) {
        let now = local_time::zoned(local_time::since_epoch(vars.now()));
        return Some(Cow::Owned(now.strftime(format).to_string().into_bytes()));
    }
    let variable = Variable::from_name(name)?;
    match variable {
        Variable::Https => vars.variable(variable).or(Some(Cow::Borrowed(b"off"))),
        Variable::ApiVersion => vars.variable(variable),
        _ if OTHERS.contains(&variable) => vars.variable(variable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::lookup;
    use crate::lang::vars::testing::Table;

    #[test]
    fn names_are_mod_ssls_own_or_of_the_others_it_knows() {
        let vars = Table {
            request: vec![("Host", b"a.example"), ("X-Y", b"z")],
            env: vec![("E", b"e")],
            notes: vec![("N", b"n")],
            variables: vec![("REMOTE_USER", b"u"), ("HANDLER", b"h"), ("PATH_INFO", b"")],
            tls: vec![("SSL_PROTOCOL", b"TLSv1.3")],
            ..Table::default()
        };
        let table: [(&str, Option<&[u8]>); 13] = [
            ("SSL_PROTOCOL", Some(b"TLSv1.3")),
            ("ssl_Protocol", Some(b"TLSv1.3")),
            ("SSL_CIPHER", None),
            ("SSL_", None),
            ("HTTPS", Some(b"off")),
            ("HTTP_HOST", Some(b"a.example")),
            ("http:x-y", Some(b"z")),
            ("ENV:E", Some(b"e")),
            ("env:N", Some(b"n")),
            ("REMOTE_USER", Some(b"u")),
            ("PATH_INFO", None),
            ("HANDLER", None),
            ("", None),
        ];
        for (name, want) in table {
            assert_eq!(lookup(name, &vars).as_deref(), want, "{name}");
        }
        assert_eq!(lookup("TIME_YEAR", &vars).map(|year| year.len()), Some(4));
    }
}
