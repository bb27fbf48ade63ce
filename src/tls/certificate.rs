//! What a certificate says of itself, in the words of mod_ssl's variables (RFC 5280 section 4.1; Apache: mod_ssl,
//! "Environment Variables"). A client's certificate comes from a stranger.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::date::HttpDate;
use crate::tls::der::{self, Elements, Malformed, tag};
use crate::tls::name::{Charset, DnForm, Name, append_digits, string};
use crate::tls::object;

#[cfg(test)]
mod tests;

/// A certificate, read as far as its variables need it; its signature is not looked at. Nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    der: &'a [u8],
    version: &'a [u8],
    serial: &'a [u8],
    signature: &'a [u8],
    issuer: Name<'a>,
    start: Time<'a>,
    end: Time<'a>,
    subject: Name<'a>,
    key: &'a [u8],
    extensions: &'a [u8],
}

/// Whose certificate it is: of the client's, a few more things are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The variables begin with `SSL_SERVER_`.
    Server,
    /// The variables begin with `SSL_CLIENT_`.
    Client,
}

/// The bytes are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotACertificate;

/// Longer serial numbers are not written in decimal; RFC 5280 section 4.1.2.2 allows 20 bytes.
const LONGEST_DECIMAL: usize = 64;
/// How many bytes of a serial number stand on one line.
const SERIAL_LINE: usize = 35;
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 17];
/// `otherName` with a user principal name of Microsoft's, 1.3.6.1.4.1.311.20.2.3.
const PRINCIPAL_NAME: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 20, 2, 3];

impl<'a> Certificate<'a> {
    /// Reads a certificate; `der` is all of it.
    pub fn from_der(der: &'a [u8]) -> Result<Certificate<'a>, NotACertificate> {
        parse(der).map_err(|Malformed| NotACertificate)
    }

    /// The variable whose name is `SSL_CLIENT_` or `SSL_SERVER_` and this, such as `S_DN_CN`; `None` if there is none.
    /// The letter of subject or issuer
    /// and the names of attributes (`CN`) are told apart by case, as Apache does; the rest is not.
    pub fn variable(&self, name: &str, form: DnForm, now: HttpDate) -> Option<Vec<u8>> {
        let upper = name.to_ascii_uppercase();
        match upper.as_str() {
            "M_VERSION" => Some(self.version()),
            "M_SERIAL" => Some(serial(self.serial)),
            "V_START" => Some(self.start.text()),
            "V_END" => Some(self.end.text()),
            "V_REMAIN" => Some(self.end.days_from(now)),
            "A_SIG" => Some(algorithm(self.signature)),
            "A_KEY" => Some(algorithm(self.key)),
            "CERT" => Some(self.pem()),
            "CERT_RFC4523_CEA" => self.exact_assertion(),
            _ => {
                if let Some(rest) = name.get(1..).filter(|_| upper.get(1..4) == Some("_DN")) {
                    return self.of_name(name.get(..1)?, rest.get(3..)?, form);
                }
                let rest = upper.strip_prefix("SAN_")?;
                let rest = name.get(name.len() - rest.len()..)?;
                let (kind, number) = rest.rsplit_once('_')?;
                self.alternative(kind, number.parse().ok()?)
            }
        }
    }

    /// The variables that `SSLOptions +StdEnvVars` sets, each without its beginning `SSL_CLIENT_` or `SSL_SERVER_`.
    pub fn each_standard(&self, owner: Owner, form: DnForm, now: HttpDate, mut take: impl FnMut(&str, Vec<u8>)) {
        take("M_VERSION", self.version());
        take("M_SERIAL", serial(self.serial));
        take("V_START", self.start.text());
        take("V_END", self.end.text());
        if owner == Owner::Client {
            take("V_REMAIN", self.end.days_from(now));
            if let Some(assertion) = self.exact_assertion() {
                take("CERT_RFC4523_CEA", assertion);
            }
        }
        take("A_SIG", algorithm(self.signature));
        take("A_KEY", algorithm(self.key));
        for (letter, name) in [('S', self.subject), ('I', self.issuer)] {
            if let Some(text) = name.text(form) {
                take(&format!("{letter}_DN"), text);
            }
            name.each(|tag, number, value| match number {
                0 => take(&format!("{letter}_DN_{tag}"), value),
                _ => take(&format!("{letter}_DN_{tag}_{number}"), value),
            });
        }
        let mut seen = [0; KINDS.len()];
        for (kind, value) in self.alternatives() {
            let number = &mut seen[kind as usize];
            take(&format!("SAN_{}_{number}", KINDS[kind as usize]), value);
            *number += 1;
        }
    }

    /// As PEM, with a line feed at its end: `SSL_CLIENT_CERT`, and its like with `SSLOptions +ExportCertData`.
    pub fn pem(&self) -> Vec<u8> {
        let text = STANDARD.encode(self.der);
        let mut pem = Vec::with_capacity(text.len() + text.len() / 64 + 64);
        pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.extend_from_slice(line);
            pem.push(b'\n');
        }
        pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
        pem
    }

    /// The last moment at which it is valid; nothing if it is not a moment.
    pub fn end(&self) -> Option<HttpDate> {
        self.end.date()
    }

    fn version(&self) -> Vec<u8> {
        let number = self.version.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        number.saturating_add(1).to_string().into_bytes()
    }

    /// `CN`, `OU_1` or `CN_RAW` of subject or issuer, or all of it.
    fn of_name(&self, letter: &str, rest: &str, form: DnForm) -> Option<Vec<u8>> {
        let name = match letter {
            "S" => self.subject,
            "I" => self.issuer,
            _ => return None,
        };
        if rest.is_empty() {
            return name.text(form);
        }
        let rest = rest.strip_prefix('_')?;
        let (rest, charset) = match rest.strip_suffix("_RAW") {
            Some(rest) => (rest, Charset::Latin1),
            None => (rest, Charset::Utf8),
        };
        let (tag, number) = match rest.split_once('_') {
            Some((tag, number)) => (tag, number.parse().ok()?),
            None => (rest, 0),
        };
        name.attribute(tag, number, charset)
    }

    fn alternative(&self, kind: &str, number: usize) -> Option<Vec<u8>> {
        let kind = KINDS.iter().position(|name| name.eq_ignore_ascii_case(kind))?;
        let mut of_kind = self.alternatives().filter(|(found, _)| *found as usize == kind);
        of_kind.nth(number).map(|(_, value)| value)
    }

    /// The alternative names that have variables, in their order (RFC 5280 section 4.2.1.6). Empty ones and principal
    /// names of another type do not count (nor do they for Apache's scripts; where it is asked for one by its number, they do).
    fn alternatives(&self) -> impl Iterator<Item = (Kind, Vec<u8>)> {
        let names = self.extension(ALTERNATIVE_NAMES).unwrap_or_default();
        let mut outer = Elements::of(names);
        let inside = outer.expect(tag::SEQUENCE).unwrap_or_default();
        Elements::of(inside).filter_map(|name| {
            let (kind, value) = match name.tag {
                0x81 => (Kind::Email, name),
                0x82 => (Kind::Dns, name),
                0xa0 => (Kind::PrincipalName, principal_name(name.body).ok()?),
                _ => return None,
            };
            (!value.body.is_empty()).then(|| (kind, string(&value, Charset::Utf8)))
        })
    }

    /// What the extension of this identifier holds; nothing if it is not there exactly once.
    pub(super) fn extension(&self, identifier: &[u8]) -> Option<&'a [u8]> {
        let mut found = Elements::of(self.extensions).filter_map(|extension| {
            let mut inside = Elements::of(extension.body);
            let matches = inside.expect(tag::OID).ok()? == identifier;
            inside.optional(tag::BOOLEAN).ok()?;
            inside.expect(tag::OCTET_STRING).ok().filter(|_| matches)
        });
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// Serial number and issuer in the words of RFC 4523 appendix A.1.
    fn exact_assertion(&self) -> Option<Vec<u8>> {
        let number = decimal(self.serial)?;
        let issuer = self.issuer.text(DnForm::Rfc2253).unwrap_or_default();
        let mut text = b"{ serialNumber ".to_vec();
        text.extend_from_slice(&number);
        text.extend_from_slice(b", issuer rdnSequence:\"");
        text.extend_from_slice(&issuer);
        text.extend_from_slice(b"\" }");
        Some(text)
    }
}

/// The kinds of alternative names that have variables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Email,
    Dns,
    PrincipalName,
}

/// What they are called.
const KINDS: [&str; 3] = ["Email", "DNS", "OTHER_msUPN"];

fn parse(der: &[u8]) -> Result<Certificate<'_>, Malformed> {
    let mut outer = Elements::of(der);
    let mut whole = Elements::of(outer.expect(tag::SEQUENCE)?);
    let mut tbs = Elements::of(whole.expect(tag::SEQUENCE)?);
    whole.expect(tag::SEQUENCE)?;
    whole.expect(tag::BIT_STRING)?;
    if !outer.is_empty() || !whole.is_empty() {
        return Err(Malformed);
    }
    let version = match tbs.optional(0xa0)? {
        Some(inside) => Elements::of(inside).expect(tag::INTEGER)?,
        None => &[],
    };
    if version.len() > 8 {
        return Err(Malformed);
    }
    let serial = tbs.expect(tag::INTEGER)?;
    let signature = Elements::of(tbs.expect(tag::SEQUENCE)?).expect(tag::OID)?;
    let issuer = Name::parse(tbs.expect(tag::SEQUENCE)?)?;
    let mut validity = Elements::of(tbs.expect(tag::SEQUENCE)?);
    let (start, end) = (time(&mut validity)?, time(&mut validity)?);
    let subject = Name::parse(tbs.expect(tag::SEQUENCE)?)?;
    let mut key = Elements::of(tbs.expect(tag::SEQUENCE)?);
    let key = Elements::of(key.expect(tag::SEQUENCE)?).expect(tag::OID)?;
    // The unique identifiers of version 2.
    for unique in [0x81, 0x82, 0xa1, 0xa2] {
        tbs.optional(unique)?;
    }
    let extensions = match tbs.optional(0xa3)? {
        Some(inside) => Elements::of(inside).expect(tag::SEQUENCE)?,
        None => &[],
    };
    Ok(Certificate {
        der,
        version,
        serial,
        signature,
        issuer,
        start,
        end,
        subject,
        key,
        extensions,
    })
}

/// The value of an `otherName`, if it is a user principal name in UTF-8.
fn principal_name(body: &[u8]) -> Result<der::Element<'_>, Malformed> {
    let mut inside = Elements::of(body);
    if inside.expect(tag::OID)? != PRINCIPAL_NAME {
        return Err(Malformed);
    }
    let value = Elements::of(inside.expect(0xa0)?).element()?;
    if value.tag == tag::UTF8_STRING {
        Ok(value)
    } else {
        Err(Malformed)
    }
}

fn algorithm(oid: &[u8]) -> Vec<u8> {
    let name = der::dotted(oid).and_then(|dotted| object::algorithm(&dotted));
    name.unwrap_or("UNKNOWN").as_bytes().to_vec()
}

/// A time of either type, not yet understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time<'a> {
    text: &'a [u8],
    /// How many digits its year has.
    year: usize,
}

pub(super) fn time<'a>(elements: &mut Elements<'a>) -> Result<Time<'a>, Malformed> {
    let element = elements.element()?;
    let year = match element.tag {
        tag::UTC_TIME => 2,
        tag::GENERALIZED_TIME => 4,
        _ => return Err(Malformed),
    };
    Ok(Time {
        text: element.body,
        year,
    })
}

impl Time<'_> {
    /// As RFC 5280 section 4.1.2.5 has it: to the second, and of Greenwich.
    pub(super) fn date(self) -> Option<HttpDate> {
        let digits = self.text.strip_suffix(b"Z").filter(|t| t.len() == self.year + 10)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let (year, rest) = std::str::from_utf8(digits).ok()?.split_at_checked(self.year)?;
        let century = match year.len() {
            4 => "",
            _ if year < "50" => "20",
            _ => "19",
        };
        let two = |at: usize| rest.get(at..at + 2).unwrap_or_default();
        let month = two(0).parse::<usize>().ok()?.checked_sub(1)?;
        let month = MONTHS.get(month)?;
        let (day, hour, minute, second) = (two(2), two(4), two(6), two(8));
        let text = format!("Sun, {day} {month} {century}{year} {hour}:{minute}:{second} GMT");
        HttpDate::parse(text.as_bytes(), HttpDate::from_seconds(0))
    }

    /// `Jan  1 00:00:00 2024 GMT`.
    fn text(self) -> Vec<u8> {
        let Some(date) = self.date() else {
            return b"Bad time value".to_vec();
        };
        let text = date.to_bytes();
        let text = String::from_utf8_lossy(&text);
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let (day, month, year, clock) = (part(5, 7), part(8, 11), part(12, 16), part(17, 25));
        let day = day.strip_prefix('0').unwrap_or(day);
        format!("{month} {day:>2} {clock} {year} GMT").into_bytes()
    }

    /// How many whole days are left; 0 if none.
    fn days_from(self, now: HttpDate) -> Vec<u8> {
        let left = self.date().map_or(0, |date| date.seconds() - now.seconds());
        (left / 86_400).max(0).to_string().into_bytes()
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Whether an integer's body is below zero, and the bytes of its magnitude without leading zeros.
fn magnitude(body: &[u8]) -> (bool, Vec<u8>) {
    let is_negative = body.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut bytes = body.to_vec();
    if is_negative {
        // Two's complement: all bits turned, and one more.
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            let (sum, overflows) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, overflows);
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    (is_negative, bytes.split_off(zeros))
}

/// A serial number in hexadecimal digits; a long one is broken by a backslash at the end of the line, as OpenSSL does.
fn serial(body: &[u8]) -> Vec<u8> {
    let (is_negative, bytes) = magnitude(body);
    let mut text = if is_negative { b"-".to_vec() } else { Vec::new() };
    if bytes.is_empty() {
        text.extend_from_slice(b"00");
    }
    for (at, line) in bytes.chunks(SERIAL_LINE).enumerate() {
        if at > 0 {
            text.extend_from_slice(b"\\\n");
        }
        append_digits(&mut text, line);
    }
    text
}

/// A serial number in decimal digits, unless it is far too long.
fn decimal(body: &[u8]) -> Option<Vec<u8>> {
    let (is_negative, mut bytes) = magnitude(body);
    if bytes.len() > LONGEST_DECIMAL {
        return None;
    }
    let mut digits = Vec::new();
    while bytes.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u16;
        for byte in &mut bytes {
            let value = rest << 8 | u16::from(*byte);
            *byte = u8::try_from(value / 10).unwrap_or_default();
            rest = value % 10;
        }
        digits.push(b'0' + u8::try_from(rest).unwrap_or_default());
    }
    if digits.is_empty() {
        digits.push(b'0');
    }
    if is_negative {
        digits.push(b'-');
    }
    digits.reverse();
    Some(digits)
}
