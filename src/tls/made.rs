//! A certificate that a server makes for itself, for the moment: nobody but itself vouches for it.

use std::net::IpAddr;

use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};
use sha2::{Digest, Sha256};

use crate::base::secret::Secret;

/// A certificate and its key.
pub struct Made {
    /// Both, in PEM form.
    pub pem: Secret,
    /// The SHA-256 of the certificate, as browsers show it: `AB:CD:…`.
    pub fingerprint: String,
}

/// How long it is good; a client that keeps it for longer than the server runs has no use for it.
const DAYS: i64 = 30;

/// Makes one for these names and addresses, good from yesterday on. The error is a sentence.
pub fn made(names: &[String], addresses: &[IpAddr]) -> Result<Made, String> {
    let told = |error: &dyn std::fmt::Display| format!("cannot make a certificate: {error}");
    let mut params = CertificateParams::new(names).map_err(|error| told(&error))?;
    let addresses = addresses.iter().map(|address| SanType::IpAddress(*address));
    params.subject_alt_names.extend(addresses);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "lychgate serve");
    let day = |days| {
        let (year, month, day) = date(days);
        date_time_ymd(year, month, day)
    };
    (params.not_before, params.not_after) = (day(-1), day(DAYS));
    params.use_authority_key_identifier_extension = false;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(|error| told(&error))?;
    let certificate = params.self_signed(&key).map_err(|error| told(&error))?;
    let key = Secret::from(key.serialize_pem().into_bytes());
    let digest = Sha256::digest(certificate.der());
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(Made {
        pem: Secret::joined(&[certificate.pem().as_bytes(), &key]),
        fingerprint: pairs.join(":"),
    })
}

/// Year, month and day, so many days from now.
fn date(days: i64) -> (i32, u8, u8) {
    let now = jiff::Timestamp::now();
    let then = now
        .checked_add(jiff::SignedDuration::from_hours(24 * days))
        .unwrap_or(now);
    let date = then.to_zoned(jiff::tz::TimeZone::UTC).date();
    let number = |number: i8| u8::try_from(number).unwrap_or(1);
    (date.year().into(), number(date.month()), number(date.day()))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use sha2::{Digest, Sha256};

    use super::made;
    use crate::tls::pem::{Kind, blocks};

    #[test]
    fn a_certificate_and_its_key_are_made() {
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let made = made(&["localhost".to_owned()], &addresses).expect("random numbers");
        let blocks = blocks(&made.pem).expect("it is whole");
        let kinds: Vec<bool> = blocks.iter().map(|block| block.kind == Kind::Certificate).collect();
        assert_eq!(kinds, [true, false]);
        let digest = Sha256::digest(&blocks[0].bytes);
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(made.fingerprint, pairs.join(":"));
        assert!(super::made(&["no\u{e9}t ascii".to_owned()], &[]).is_err());
    }
}
