//! Questions to OCSP responders and their answers (RFC 6960), as bytes. Who has signed an answer is not judged here.

use std::fmt;
use std::time::SystemTime;

use sha1::{Digest, Sha1};

use crate::base::date::HttpDate;
use crate::tls::certificate::{self, Certificate};
use crate::tls::der::{Elements, Malformed, tag};
use crate::tls::responder::Responder;

/// A certificate, as questions and answers name it: by its issuer's name and key, both hashed, and its serial number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertId {
    issuer_name: [u8; 20],
    issuer_key: [u8; 20],
    serial: Vec<u8>,
}

/// What a certificate has that is needed here.
struct Parts<'a> {
    serial: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    key: &'a [u8],
}

/// SHA-1 with the parameters that RFC 3279 asks for: the algorithm of [`CertId`], as every responder knows it.
const SHA1: &[u8] = &[0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0];
const SHA1_OID: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
/// `authorityInfoAccess`, 1.3.6.1.5.5.7.1.1, and the method `ocsp` of it, 1.3.6.1.5.5.7.48.1.
const INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
const BY_OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1];
/// `id-pkix-ocsp-basic`, 1.3.6.1.5.5.7.48.1.1.
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
/// The extension of RFC 7633, 1.3.6.1.5.5.7.1.24, and what it says of stapling: the number of the extension of TLS.
const FEATURES: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 24];
const STATUS_REQUEST: &[u8] = &[5];

/// A URI in a `GeneralName`.
const URI: u8 = 0x86;

impl CertId {
    /// That of a certificate that this issuer has issued; `None` where it has not, by its name, or either is no certificate.
    pub fn of(certificate: &[u8], issuer: &[u8]) -> Option<CertId> {
        let (certificate, issuer) = (parts(certificate).ok()?, parts(issuer).ok()?);
        (certificate.issuer == issuer.subject).then(|| CertId {
            issuer_name: Sha1::digest(issuer.subject).into(),
            issuer_key: Sha1::digest(issuer.key).into(),
            serial: certificate.serial.to_vec(),
        })
    }

    /// The question about it, without a number of its own: the answer is kept, and need not be fresh to the second.
    pub fn question(&self) -> Vec<u8> {
        let mut id = SHA1.to_vec();
        for (tag, body) in [
            (tag::OCTET_STRING, &self.issuer_name[..]),
            (tag::OCTET_STRING, &self.issuer_key),
            (tag::INTEGER, &self.serial),
        ] {
            put(&mut id, tag, body);
        }
        // CertID, Request, requestList, TBSRequest, OCSPRequest
        (0..5).fold(id, |inside, _| {
            let mut outside = Vec::new();
            put(&mut outside, tag::SEQUENCE, &inside);
            outside
        })
    }

    fn is(&self, id: &[u8]) -> Result<bool, Malformed> {
        let mut id = Elements::of(id);
        let mut algorithm = Elements::of(id.expect(tag::SEQUENCE)?);
        let is_sha1 = algorithm.expect(tag::OID)? == SHA1_OID;
        let (name, key) = (id.expect(tag::OCTET_STRING)?, id.expect(tag::OCTET_STRING)?);
        let serial = id.expect(tag::INTEGER)?;
        Ok(is_sha1 && name == self.issuer_name && key == self.issuer_key && serial == self.serial)
    }
}

/// Appends an element. What is written here is short.
fn put(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    match u8::try_from(body.len()) {
        Ok(length @ ..=0x7f) => out.push(length),
        Ok(length) => out.extend([0x81, length]),
        Err(_) => {
            out.push(0x84);
            out.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(body);
}

fn parts(der: &[u8]) -> Result<Parts<'_>, Malformed> {
    let mut certificate = Elements::of(Elements::of(der).expect(tag::SEQUENCE)?);
    let mut tbs = Elements::of(certificate.expect(tag::SEQUENCE)?);
    tbs.optional(0xa0)?;
    let serial = tbs.expect(tag::INTEGER)?;
    tbs.expect(tag::SEQUENCE)?;
    let issuer = tbs.element()?.whole;
    tbs.expect(tag::SEQUENCE)?;
    let subject = tbs.element()?.whole;
    let mut key = Elements::of(tbs.expect(tag::SEQUENCE)?);
    key.expect(tag::SEQUENCE)?;
    Ok(Parts {
        serial,
        issuer,
        subject,
        key: bits(key.expect(tag::BIT_STRING)?)?,
    })
}

/// The bytes of a string of whole bytes.
fn bits(body: &[u8]) -> Result<&[u8], Malformed> {
    body.strip_prefix(&[0]).ok_or(Malformed)
}

/// The responder that a certificate names: the first of plain HTTP.
pub fn responder(certificate: &[u8]) -> Option<Responder> {
    let access = Certificate::from_der(certificate).ok()?.extension(INFO_ACCESS)?;
    let mut ways = Elements::of(Elements::of(access).expect(tag::SEQUENCE).ok()?);
    ways.find_map(|way| {
        let mut way = Elements::of(way.body);
        let is_ocsp = way.expect(tag::OID).ok()? == BY_OCSP;
        let url = way.expect(URI).ok().filter(|_| is_ocsp)?;
        Responder::parse(url)
    })
}

/// Whether a certificate says that clients are to refuse it without an answer beside it (RFC 7633).
pub fn must_be_stapled(certificate: &[u8]) -> bool {
    let read = Certificate::from_der(certificate).ok();
    let features = read.and_then(|read| read.extension(FEATURES));
    let features = features.and_then(|features| Elements::of(features).expect(tag::SEQUENCE).ok());
    features.is_some_and(|features| Elements::of(features).any(|feature| feature.body == STATUS_REQUEST))
}

/// A responder's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// What is signed, whole.
    pub signed: &'a [u8],
    /// The algorithm of the signature, without the outermost header.
    pub algorithm: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
    /// Certificates that came with it, whole; one of them may be the signer's.
    pub certificates: Vec<&'a [u8]>,
    singles: &'a [u8],
}

/// What an answer says of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Single {
    /// What is known.
    pub state: State,
    /// From when on that is true.
    pub since: HttpDate,
    /// When there is news at the latest.
    pub until: Option<HttpDate>,
}

/// What is known of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was not revoked.
    Good,
    /// It was.
    Revoked,
    /// Nothing.
    Unknown,
}

/// What an answer comes to that may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What is known of the certificate.
    pub state: State,
    /// When it is over.
    pub until: SystemTime,
}

/// Why there is no answer in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// They are cut short, or something else.
    Malformed,
    /// The responder gives none; its reason's number (RFC 6960 section 4.2.1).
    Refused(u8),
}

impl From<Malformed> for AnswerError {
    fn from(_: Malformed) -> AnswerError {
        AnswerError::Malformed
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::Malformed => f.write_str("what it said is no answer of OCSP"),
            AnswerError::Refused(1) => f.write_str("it answered that the question is malformed"),
            AnswerError::Refused(2) => f.write_str("it answered with an internal error"),
            AnswerError::Refused(3) => f.write_str("it answered that it should be asked later (tryLater)"),
            AnswerError::Refused(5) => f.write_str("it answered that the question must be signed"),
            AnswerError::Refused(6) => f.write_str("it answered that it does not answer us (unauthorized)"),
            AnswerError::Refused(reason) => write!(f, "it answered with the status {reason}"),
        }
    }
}

/// More certificates than this in an answer are not looked at.
const MOST_CERTIFICATES: usize = 8;

impl<'a> Answer<'a> {
    /// Reads an answer; `der` is all of it.
    pub fn from_der(der: &'a [u8]) -> Result<Answer<'a>, AnswerError> {
        let mut outermost = Elements::of(der);
        let mut outer = Elements::of(outermost.expect(tag::SEQUENCE)?);
        match outer.expect(tag::ENUMERATED)? {
            [0] => {}
            [reason] => return Err(AnswerError::Refused(*reason)),
            _ => return Err(AnswerError::Malformed),
        }
        let mut bytes = Elements::of(Elements::of(outer.expect(0xa0)?).expect(tag::SEQUENCE)?);
        if !outermost.is_empty() || !outer.is_empty() || bytes.expect(tag::OID)? != BASIC {
            return Err(AnswerError::Malformed);
        }
        let mut basic = Elements::of(Elements::of(bytes.expect(tag::OCTET_STRING)?).expect(tag::SEQUENCE)?);
        let signed = basic.element()?;
        let algorithm = basic.expect(tag::SEQUENCE)?;
        let signature = bits(basic.expect(tag::BIT_STRING)?)?;
        let certificates = match basic.optional(0xa0)? {
            Some(list) => Elements::of(Elements::of(list).expect(tag::SEQUENCE)?)
                .take(MOST_CERTIFICATES)
                .map(|certificate| certificate.whole)
                .collect(),
            None => Vec::new(),
        };
        if signed.tag != tag::SEQUENCE || !basic.is_empty() {
            return Err(AnswerError::Malformed);
        }
        let mut inside = Elements::of(signed.body);
        inside.optional(0xa0)?;
        // The responder's name or key; its signature tells who it is.
        inside.element()?;
        inside.expect(tag::GENERALIZED_TIME)?;
        let singles = inside.expect(tag::SEQUENCE)?;
        Ok(Answer {
            signed: signed.whole,
            algorithm,
            signature,
            certificates,
            singles,
        })
    }

    /// What it says of a certificate; `None` where it says nothing of it.
    pub fn about(&self, id: &CertId) -> Result<Option<Single>, AnswerError> {
        let mut singles = Elements::of(self.singles);
        while !singles.is_empty() {
            let mut single = Elements::of(singles.expect(tag::SEQUENCE)?);
            if !id.is(single.expect(tag::SEQUENCE)?)? {
                continue;
            }
            let state = match single.element()?.tag {
                0x80 => State::Good,
                0xa1 => State::Revoked,
                0x82 => State::Unknown,
                _ => return Err(AnswerError::Malformed),
            };
            let since = date(&mut single)?;
            let until = match single.optional(0xa0)? {
                Some(until) => Some(date(&mut Elements::of(until))?),
                None => None,
            };
            return Ok(Some(Single { state, since, until }));
        }
        Ok(None)
    }
}

fn date(elements: &mut Elements<'_>) -> Result<HttpDate, Malformed> {
    certificate::time(elements)?.date().ok_or(Malformed)
}

#[cfg(test)]
mod tests;
