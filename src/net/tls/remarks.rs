//! What is odd about the certificates of a site although they serve: one that has expired, one for other names, a chain that is
//! out of order, one that another takes the place of. Apache warns of names alone (AH01909).

use std::time::SystemTime;

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use super::certificates::{Certificates, Link, Source, chain, kind, named};
use super::stapling::Unasked;
use crate::config::error::{ConfigError, Severity};
use crate::config::keyring::Keyring;
use crate::config::site::Site;

/// What there is to say of a site that serves.
pub(super) fn of(site: &Site, keyring: &Keyring) -> Vec<ConfigError> {
    let tls = &site.settings.tls;
    let host = site
        .settings
        .core
        .name
        .value()
        .map(|name| name.host.to_ascii_lowercase());
    let mut remarks = replaced(site, keyring);
    for (file, _) in named(tls) {
        let Ok(links) = chain(tls, file, keyring) else { continue };
        let read: Vec<(&Link<'_>, Certificate)> = links
            .iter()
            .filter_map(|link| Some((link, Certificate::from_der(&link.der).ok()?)))
            .collect();
        remarks.extend(
            read.iter()
                .filter_map(|(link, certificate)| out_of_time(link, certificate)),
        );
        remarks.extend(out_of_order(&read));
        if let (Some((link, first)), Some(host)) = (read.first(), &host)
            && !names(first).iter().any(|name| matches(name, host))
        {
            let host = String::from_utf8_lossy(host);
            remarks.push(warning(link.source, &format!("it is not for the ServerName {host}")));
        }
    }
    remarks.extend(asks_in_vain(site));
    remarks
}

/// Apache says so when it starts: "you want to request client authentication, but no CAs are known for verification!?"
fn asks_in_vain(site: &Site) -> Option<ConfigError> {
    let span = site.settings.tls_clients.asks_in_vain()?;
    let what = "no certificate of a client will be good, for no authority is known; name some with SSLCACertificateFile or \
                SSLCACertificatePath";
    Some(ConfigError::warning(span, "SSLVerifyClient", what))
}

/// What there is to say of certificates that the word of their authorities should go with.
pub(super) fn of_stapling(
    site: &Site,
    certificates: &Certificates,
    unasked: &[(Vec<u8>, Unasked)],
) -> Vec<ConfigError> {
    let settings = &site.settings;
    let is_on = settings.tls_stapling.in_force().is_some();
    let must: Vec<&[u8]> = certificates.to_be_stapled().collect();
    let refused = "; clients are to refuse it so, says the certificate (RFC 7633)";
    let named = settings.tls.certificates.value().into_iter().flatten();
    let mut remarks: Vec<ConfigError> = Vec::new();
    for file in named.filter(|file| !is_on && must.contains(&file.path.as_slice())) {
        let path = String::from_utf8_lossy(&file.path);
        let what =
            format!("{path}: the certificate is sent without an answer of OCSP{refused}; write `SSLUseStapling on`");
        remarks.push(ConfigError::warning(&file.span, "SSLCertificateFile", what));
    }
    let Some(span) = settings.tls_stapling.at.value() else {
        return remarks;
    };
    for (file, why) in unasked {
        let why = match why {
            Unasked::NoResponder => "the certificate names no responder, and there is no SSLStaplingForceURL",
            Unasked::NoIssuer => {
                "the certificate of its issuer is needed to ask for an answer of OCSP, and stands neither behind it nor in \
                 SSLCertificateChainFile"
            }
        };
        let refused = if must.contains(&file.as_slice()) { refused } else { "" };
        let path = String::from_utf8_lossy(file);
        let what = format!("{path}: it is sent without an answer of OCSP: {why}{refused}");
        remarks.push(ConfigError::warning(span, "SSLUseStapling", what));
    }
    remarks
}

fn warning(source: Source<'_>, what: &str) -> ConfigError {
    let mut warning = source.fault(what);
    warning.severity = Severity::Warning;
    warning
}

/// Certificates that another takes the place of: of each kind of key, the last is shown.
fn replaced(site: &Site, keyring: &Keyring) -> Vec<ConfigError> {
    let kinds: Vec<_> = named(&site.settings.tls)
        .map(|(file, key)| (file, kind(key, keyring)))
        .collect();
    let mut found = Vec::new();
    for (number, (file, kind)) in kinds.iter().enumerate() {
        let mut later = kinds.iter().skip(number + 1);
        if let Some((other, _)) = later.rfind(|(_, other)| other == kind) {
            let what = format!(
                "{} has another one for the same kind of key, which takes its place",
                other.file.span
            );
            found.push(warning(*file, &what));
        }
    }
    found
}

fn out_of_time(link: &Link<'_>, certificate: &Certificate) -> Option<ConfigError> {
    let validity = &certificate.tbs_certificate.validity;
    let now = SystemTime::now();
    let shown = |time: &Time| time.to_date_time().to_string();
    let what = if validity.not_after.to_system_time() < now {
        format!("expired at {}", shown(&validity.not_after))
    } else if validity.not_before.to_system_time() > now {
        format!("is not valid before {}", shown(&validity.not_before))
    } else {
        return None;
    };
    Some(warning(
        link.source,
        &format!("the certificate on line {} {what}", link.line),
    ))
}

/// The first certificate of a chain that has not signed the one before it (RFC 5246 section 7.4.2).
fn out_of_order(chain: &[(&Link<'_>, Certificate)]) -> Option<ConfigError> {
    let pairs = chain.iter().zip(chain.iter().skip(1));
    let mut wrong = pairs.filter(|((_, one), (_, next))| one.tbs_certificate.issuer != next.tbs_certificate.subject);
    let (_, (link, _)) = wrong.next()?;
    let what = format!(
        "the certificate on line {} has not signed the one that is sent before it",
        link.line
    );
    Some(warning(link.source, &what))
}

/// What a certificate is for: the names and addresses of its extension, and its subject's common names.
fn names(certificate: &Certificate) -> Vec<Vec<u8>> {
    let subject = certificate.tbs_certificate.subject.0.iter();
    let mut names: Vec<Vec<u8>> = subject
        .flat_map(|part| part.0.iter())
        .filter(|attribute| attribute.oid == x509_cert::der::oid::db::rfc4519::CN)
        .map(|attribute| attribute.value.value().to_ascii_lowercase())
        .collect();
    if let Ok(Some((_, more))) = certificate.tbs_certificate.get::<SubjectAltName>() {
        names.extend(more.0.iter().filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.as_bytes().to_ascii_lowercase()),
            GeneralName::IpAddress(address) => shown_address(address.as_bytes()),
            _ => None,
        }));
    }
    names
}

fn shown_address(bytes: &[u8]) -> Option<Vec<u8>> {
    let address = match bytes.len() {
        4 => std::net::IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => std::net::IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(address.to_string().into_bytes())
}

/// Whether a host is meant by a name, of which the first label may be `*` (RFC 9525 section 6.3). Both are in lower case.
fn matches(name: &[u8], host: &[u8]) -> bool {
    let host = host
        .strip_prefix(b"[")
        .and_then(|host| host.strip_suffix(b"]"))
        .unwrap_or(host);
    let behind_first = || {
        host.iter()
            .position(|byte| *byte == b'.')
            .and_then(|dot| host.get(dot..))
    };
    match name.strip_prefix(b"*") {
        Some(rest) => behind_first() == Some(rest),
        None => name == host,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_one_label() {
        for (name, host, expected) in [
            ("a.example", "a.example", true),
            ("a.example", "b.example", false),
            ("*.example", "a.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", "example", false),
            ("::1", "[::1]", true),
        ] {
            assert_eq!(matches(name.as_bytes(), host.as_bytes()), expected, "{name} {host}");
        }
    }
}
