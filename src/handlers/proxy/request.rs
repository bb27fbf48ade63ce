//! What a server behind this one is asked: the request's head as Apache's `mod_proxy_http` forms it, without what concerns the
//! connection to the client alone (RFC 9110 section 7.6.1).

use std::net::IpAddr;

use bytes::Bytes;

use crate::backend::http::Expects;
use crate::backend::pool::Keep;
use crate::base::{ascii, version};
use crate::config::backends::Target;
use crate::config::directives::headers::{Action, Rule};
use crate::config::directives::proxy::Upgrade;
use crate::config::directives::proxy_http::Via;
use crate::exchange::Exchange;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::handlers::proxy::MODULE;
use crate::http::fields::{Fields, is_field_value, list_has_token, list_members};
use crate::http::framing::Framing;
use crate::http::head::Version;
use crate::http::status::Status;

/// Fields that are written anew or that end at this server.
const OURS: [&[u8]; 13] = [
    b"host",
    b"connection",
    b"proxy-connection",
    b"keep-alive",
    b"te",
    b"trailer",
    b"upgrade",
    b"transfer-encoding",
    b"content-length",
    b"expect",
    b"max-forwards",
    // No client has a use for it, and programs take it for a setting of theirs (httpoxy).
    b"proxy",
    b"http2-settings",
];

/// What is decided of the request before its head is written.
pub(super) struct Plan<'a> {
    /// Who is asked, for which path.
    pub(super) target: &'a Target,
    /// In which version.
    pub(super) version: Version,
    /// How the body is framed.
    pub(super) framing: Framing,
    /// Whether the server is to ask for the body.
    pub(super) expects: Expects,
    /// The protocol that the client wants to change to.
    pub(super) upgrade: Option<&'a [u8]>,
    /// Whether the connection is kept.
    pub(super) keep: Keep,
    /// What Max-Forwards says.
    pub(super) max_forwards: Option<u64>,
}

/// The head, with the empty line.
pub(super) fn head(ex: &Exchange, place: &Place, plan: &Plan<'_>) -> Result<Bytes, Fail> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(ex.method_name());
    out.push(b' ');
    let path = out.len();
    out.extend_from_slice(&plan.target.path);
    if let Some(query) = &ex.target.query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    let is_odd = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    if out.get(path..).unwrap_or_default().iter().any(is_odd) {
        let note = "the path or query that the server behind would be asked for has spaces or control characters";
        return Err(Fail::new(Status::FORBIDDEN, Blame::Client, note).of_module(MODULE));
    }
    out.push(b' ');
    out.extend_from_slice(plan.version.as_str().as_bytes());
    out.extend_from_slice(b"\r\n");
    fields(ex, place, plan).append_to(&mut out);
    out.extend_from_slice(b"\r\n");
    Ok(Bytes::from(out))
}

fn fields(ex: &Exchange, place: &Place, plan: &Plan<'_>) -> Fields {
    let mut fields = Fields::with_room(24, 768);
    fields.append("Host", host(ex, place, plan.target));
    let dropped: Vec<&[u8]> = ex.head.values(b"connection").flat_map(list_members).collect();
    let has_user = ex.client.user.is_some() && ex.variable(b"proxy-chain-auth").is_none();
    for (name, _) in ex.head.fields() {
        let is = |other: &&[u8]| name.eq_ignore_ascii_case(other);
        let is_dropped = OURS.iter().any(is)
            || dropped.iter().any(is) && !is_set_here(ex, name)
            || has_user && name.eq_ignore_ascii_case(b"proxy-authorization");
        // As in Apache, lines of one name become one.
        if !is_dropped && !fields.contains(name) {
            fields.append(name, ex.head.joined(name).unwrap_or_default());
        }
    }
    via(ex, &mut fields);
    if ex.site.settings.static_first.is_server(plan.target) {
        // It is to know who asks, not who they say they are.
        for name in ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Server", "Forwarded"] {
            fields.remove(name);
        }
    }
    forwarded(ex, place, &mut fields);
    of_message(ex, plan, &mut fields);
    fields
}

/// Whether RequestHeader has a say about the field: then no client takes it out by naming it in Connection.
fn is_set_here(ex: &Exchange, name: &[u8]) -> bool {
    let is_it = |rule: &Rule| rule.name.eq_ignore_ascii_case(name) && !matches!(rule.action, Action::Unset);
    let before = std::iter::successors(ex.previous.as_deref(), |pass| pass.before.as_deref());
    let mut confs = [ex.conf(), &ex.site.base]
        .into_iter()
        .chain(before.map(|pass| &pass.conf));
    confs.any(|conf| conf.headers.request.iter().any(is_it))
}

/// The host that the client asked for.
fn asked_host(ex: &Exchange) -> Option<&[u8]> {
    let authority = ex.head.target().ok().and_then(|target| target.authority());
    authority.or(ex.head.field(b"host")).filter(|host| !host.is_empty())
}

fn host<'a>(ex: &'a Exchange, place: &Place, target: &'a Target) -> &'a [u8] {
    let is_of_all = ex.site.settings.static_first.is_server(target);
    if place.conf.proxy_http.preserve_host.or(is_of_all) {
        return asked_host(ex).unwrap_or(ex.site_name());
    }
    let base = &target.base;
    let at = memchr::memmem::find(base, b"://").map_or(0, |at| at + 3);
    base.get(at..).unwrap_or_default()
}

/// The host that the certificate of a server must name, and that it is asked for: without a port, as in Apache.
pub(super) fn tls_host<'a>(ex: &'a Exchange, place: &Place, target: &'a Target) -> &'a [u8] {
    let is_of_all = ex.site.settings.static_first.is_server(target);
    if !place.conf.proxy_http.preserve_host.or(is_of_all) {
        return target.host();
    }
    let asked = asked_host(ex).unwrap_or(ex.site_name());
    match asked.strip_prefix(b"[") {
        Some(rest) => rest.split(|byte| *byte == b']').next().unwrap_or_default(),
        None => asked.split(|byte| *byte == b':').next().unwrap_or_default(),
    }
}

/// Adds a member to a list field, behind all that is said.
pub(super) fn add(fields: &mut Fields, name: &str, member: &[u8]) {
    let whole = match fields.joined(name.as_bytes()) {
        None => return fields.append(name, member),
        Some(said) if said.is_empty() => None,
        Some(said) => Some([&said, &b", "[..], member].concat()),
    };
    fields.set(name, whole.as_deref().unwrap_or(member));
}

fn via(ex: &Exchange, fields: &mut Fields) {
    match ex.site.settings.proxy_http.via.or(Via::Off) {
        Via::Off => {}
        Via::Block => {
            fields.remove("Via");
        }
        kind => add(fields, "Via", &via_member(ex, ex.head.version(), kind)),
    }
}

/// This server in Via, behind the version that the message was received in: by a name of its own, as in Apache, not by one that the
/// client has asked for.
pub(super) fn via_member(ex: &Exchange, version: Version, kind: Via) -> Vec<u8> {
    let mut member = version
        .as_str()
        .strip_prefix("HTTP/")
        .unwrap_or("1.1")
        .as_bytes()
        .to_vec();
    member.push(b' ');
    member.extend_from_slice(ex.site_name());
    let port = ex.server_port();
    if port != 80 {
        member.extend_from_slice(format!(":{port}").as_bytes());
    }
    if kind == Via::Full {
        member.extend_from_slice(format!(" (lychgate/{})", version::VERSION).as_bytes());
    }
    member
}

/// Who the client is, and what it asked for.
fn forwarded(ex: &Exchange, place: &Place, fields: &mut Fields) {
    let asked = asked_host(ex).filter(|host| is_field_value(host));
    if place.conf.proxy_http.add_headers.or(true) {
        add(fields, "X-Forwarded-For", ex.client_ip().as_bytes());
        if let Some(host) = asked {
            add(fields, "X-Forwarded-Host", host);
        }
        add(fields, "X-Forwarded-Server", ex.site_name());
    }
    if place.conf.proxy_http.forwarded.or(false) {
        add(
            fields,
            "Forwarded",
            &forwarded_element(ex.connection.client.ip(), asked, ex.is_secure()),
        );
    }
}

/// One element of Forwarded (RFC 7239 section 4).
fn forwarded_element(client: IpAddr, host: Option<&[u8]>, is_secure: bool) -> Vec<u8> {
    let mut element = match client.to_canonical() {
        IpAddr::V4(ip) => format!("for={ip}"),
        IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
    }
    .into_bytes();
    if let Some(host) = host {
        element.extend_from_slice(b";host=");
        if ascii::is_token(host) {
            element.extend_from_slice(host);
        } else {
            element.push(b'"');
            for byte in host {
                if matches!(byte, b'"' | b'\\') {
                    element.push(b'\\');
                }
                element.push(*byte);
            }
            element.push(b'"');
        }
    }
    element.extend_from_slice(if is_secure { b";proto=https" } else { b";proto=http" });
    element
}

/// The fields of this message and its connection.
fn of_message(ex: &Exchange, plan: &Plan<'_>, fields: &mut Fields) {
    if let Some(hops) = plan.max_forwards {
        fields.set("Max-Forwards", hops.to_string());
    }
    if plan.expects == Expects::Continue {
        fields.append("Expect", "100-continue");
    }
    match plan.framing {
        Framing::None => {}
        Framing::Length(length) => fields.append("Content-Length", length.to_string()),
        Framing::Chunked => fields.append("Transfer-Encoding", "chunked"),
    }
    if plan.upgrade.is_none() && takes_trailers(ex, plan) {
        fields.append("TE", "trailers");
    }
    fields.append(
        "Connection",
        match (plan.upgrade, plan.keep) {
            (Some(_), _) => "Upgrade",
            (None, Keep::No) => "close",
            (None, Keep::Yes) => "Keep-Alive",
        },
    );
    if fields.contains("TE") {
        // RFC 9110 section 10.1.4.
        add(fields, "Connection", b"TE");
    }
    if let Some(protocol) = plan.upgrade {
        fields.append("Upgrade", protocol);
    }
}

/// Whether the client can be given trailer fields, and says so.
fn takes_trailers(ex: &Exchange, plan: &Plan<'_>) -> bool {
    plan.version == Version::V11
        && ex.head.version() == Version::V11
        && ex.head.values(b"te").any(|value| list_has_token(value, b"trailers"))
}

/// The protocol that the client asks to change to, where the server may be asked for it. Another HTTP is none: what came
/// behind it would pass unseen.
pub(super) fn upgrade(ex: &Exchange, allowed: Upgrade) -> Option<Vec<u8>> {
    let asks = ex.head.version() == Version::V11
        && ex
            .head
            .values(b"connection")
            .any(|value| list_has_token(value, b"upgrade"));
    let mut protocols = ex.head.values(b"upgrade").flat_map(list_members);
    let (protocol, more) = (protocols.next()?, protocols.next());
    let may = match allowed {
        Upgrade::Never => false,
        Upgrade::WebSocket => protocol.eq_ignore_ascii_case(b"websocket"),
        Upgrade::Any => {
            let start = protocol.get(..2).unwrap_or_default();
            !start.eq_ignore_ascii_case(b"h2")
                && !start.eq_ignore_ascii_case(b"ht")
                && !start.eq_ignore_ascii_case(b"tl")
        }
    };
    (asks && may && more.is_none()).then(|| protocol.to_vec())
}

#[cfg(test)]
mod tests {
    use super::{add, forwarded_element};
    use crate::http::fields::Fields;

    #[test]
    fn members_are_added_behind_all_others() {
        let mut fields = Fields::new();
        add(&mut fields, "Via", b"1.1 a");
        fields.append("Via", "1.1 b");
        add(&mut fields, "Via", b"1.1 c");
        let values: Vec<_> = fields.values(b"via").collect();
        assert_eq!(values, [&b"1.1 a, 1.1 b, 1.1 c"[..]]);
    }

    #[test]
    fn forwarded_quotes_what_is_no_token() {
        for (ip, host, want) in [
            (
                "192.0.2.1",
                Some("a.example"),
                "for=192.0.2.1;host=a.example;proto=http",
            ),
            ("2001:db8::1", None, "for=\"[2001:db8::1]\";proto=http"),
            (
                "::ffff:192.0.2.1",
                Some("a:8080"),
                "for=192.0.2.1;host=\"a:8080\";proto=http",
            ),
        ] {
            let got = forwarded_element(ip.parse().expect("an address"), host.map(str::as_bytes), false);
            assert_eq!(String::from_utf8_lossy(&got), want);
        }
    }
}
