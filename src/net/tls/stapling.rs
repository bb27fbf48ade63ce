//! The word of an authority that a certificate is not revoked, which goes with it (RFC 6066 section 8, RFC 6960). It is asked for
//! in the background: a handshake takes what is there.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::base::date::HttpDate;
use crate::config::directives::tls_stapling::Stapling;
use crate::config::keyring::{Keyring, answer_name};
use crate::tls::ocsp::{Answer, CertId, Judged, Single, State, responder};
use crate::tls::responder::Responder;

/// A certificate that is shown, with what goes with it at the moment.
#[derive(Debug)]
pub(super) struct Staple {
    bare: Arc<CertifiedKey>,
    stapled: RwLock<Option<Stapled>>,
}

#[derive(Debug)]
struct Stapled {
    key: Arc<CertifiedKey>,
    until: SystemTime,
}

impl Staple {
    /// A certificate with nothing.
    pub(super) fn new(bare: &Arc<CertifiedKey>) -> Staple {
        Staple {
            bare: Arc::clone(bare),
            stapled: RwLock::default(),
        }
    }

    /// What is shown now: with the answer as long as that is good.
    pub(super) fn key(&self, now: SystemTime) -> Arc<CertifiedKey> {
        let stapled = self.stapled.read().unwrap_or_else(PoisonError::into_inner);
        let good = stapled.as_ref().filter(|stapled| now < stapled.until);
        Arc::clone(good.map_or(&self.bare, |stapled| &stapled.key))
    }

    fn put(&self, answer: &[u8], until: SystemTime) {
        let mut key = CertifiedKey::clone(&self.bare);
        key.ocsp = Some(answer.to_vec());
        let key = Arc::new(key);
        *self.stapled.write().unwrap_or_else(PoisonError::into_inner) = Some(Stapled { key, until });
    }
}

/// A certificate that an authority is asked about.
#[derive(Debug)]
pub struct Subject {
    id: CertId,
    issuer: CertificateDer<'static>,
    responder: Responder,
    terms: Stapling,
    /// For the log: the file of the certificate.
    file: String,
    /// Where the answers go.
    staples: Vec<Arc<Staple>>,
    /// The answer that an earlier worker has left, and when it is asked again behind that.
    left: Option<(Vec<u8>, Duration)>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Why nobody is asked about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unasked {
    /// It names nobody.
    NoResponder,
    /// Its issuer's certificate is not there.
    NoIssuer,
}

/// So often a responder is asked at most, whatever the answers say.
const SHORTEST: Duration = Duration::from_secs(1);

impl Subject {
    /// What is to be asked about a certificate of this file.
    pub(super) fn of(key: &CertifiedKey, terms: &Stapling, file: &[u8]) -> Result<Subject, Unasked> {
        let Some((own, others)) = key.cert.split_first() else {
            return Err(Unasked::NoIssuer);
        };
        let responder = terms.responder.clone().or_else(|| responder(own));
        let responder = responder.ok_or(Unasked::NoResponder)?;
        let by = |issuer: &CertificateDer<'static>| Some((CertId::of(own, issuer)?, issuer.clone()));
        let (id, issuer) = others.iter().find_map(by).ok_or(Unasked::NoIssuer)?;
        Ok(Subject {
            id,
            issuer,
            responder,
            terms: terms.clone(),
            file: String::from_utf8_lossy(file).into_owned(),
            staples: Vec::new(),
            left: None,
            algorithms: ring::default_provider().signature_verification_algorithms,
        })
    }

    /// Takes in another that is about the same certificate, under the same terms; whether it is.
    pub(super) fn takes(&mut self, other: &Subject, staple: &Arc<Staple>) -> bool {
        let is_same = self.id == other.id && self.responder == other.responder && self.terms == other.terms;
        if is_same {
            self.staples.push(Arc::clone(staple));
        }
        is_same
    }

    /// Sends the answers there as well.
    pub(super) fn feed(&mut self, staple: Arc<Staple>) {
        self.staples.push(staple);
    }

    /// Begins with the answer that an earlier worker has left, if that is still good.
    pub(super) fn begin(&mut self, keyring: &Keyring) {
        let now = SystemTime::now();
        let left = keyring.contents(&answer_name(&self.id));
        let judged = left.and_then(|answer| Some((answer, self.judge(answer, now).ok()?)));
        if let Some((answer, judged)) = judged {
            self.show(answer, &judged);
            self.left = Some((answer.to_vec(), self.pause(&judged, now)));
        }
    }

    /// Who is asked.
    pub fn responder(&self) -> &Responder {
        &self.responder
    }

    /// What is asked.
    pub fn question(&self) -> Vec<u8> {
        self.id.question()
    }

    /// How it is asked.
    pub fn terms(&self) -> &Stapling {
        &self.terms
    }

    /// The file of the certificate, for the log.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What answers are called that the next worker is left.
    pub fn name(&self) -> Vec<u8> {
        answer_name(&self.id)
    }

    /// The answer that an earlier worker has left, and after which time it is asked again behind that.
    pub fn left(&self) -> Option<(&[u8], Duration)> {
        self.left.as_ref().map(|(answer, pause)| (answer.as_slice(), *pause))
    }

    /// Has an answer go with the certificate from now on.
    pub fn show(&self, answer: &[u8], judged: &Judged) {
        for staple in &self.staples {
            staple.put(answer, judged.until);
        }
    }

    /// After which time it is asked again behind a good answer.
    pub fn pause(&self, judged: &Judged, now: SystemTime) -> Duration {
        let left = judged.until.duration_since(now).unwrap_or_default();
        (left / 2).min(self.terms.pause).max(SHORTEST)
    }

    /// Whether an answer may be shown. The error is a sentence.
    pub fn judge(&self, answer: &[u8], now: SystemTime) -> Result<Judged, String> {
        let answer = Answer::from_der(answer).map_err(|error| error.to_string())?;
        let about = answer.about(&self.id).map_err(|error| error.to_string())?;
        let single = about.ok_or("it answered about another certificate")?;
        if !self.is_signed(&answer, now) {
            return Err(
                "its answer is not signed by the certificate's issuer, nor by whom that has made its responder"
                    .to_owned(),
            );
        }
        if single.state == State::Unknown {
            return Err("it knows nothing of the certificate".to_owned());
        }
        let until = self.in_time(&single, now)?;
        Ok(Judged {
            state: single.state,
            until,
        })
    }

    /// Until when an answer may be shown, if it may now.
    fn in_time(&self, single: &Single, now: SystemTime) -> Result<SystemTime, String> {
        let shown = |time| String::from_utf8_lossy(&HttpDate::from(time).to_bytes()).into_owned();
        let since = system_time(single.since);
        if since > now + self.terms.skew {
            return Err(format!(
                "its answer holds from {} on only (SSLStaplingResponseTimeSkew)",
                shown(since)
            ));
        }
        let said = single.until.map(system_time);
        if let Some(over) = said.filter(|until| *until <= now) {
            return Err(format!("its answer has expired at {}", shown(over)));
        }
        let until = said.unwrap_or(now + self.terms.pause);
        let Some(most) = self.terms.most_age else {
            return Ok(until);
        };
        let too_old = since + most;
        if too_old <= now {
            return Err(format!(
                "its answer is of {}, too old (SSLStaplingResponseMaxAge)",
                shown(since)
            ));
        }
        Ok(until.min(too_old))
    }

    /// Whether an answer is signed by somebody who may (RFC 6960 section 4.2.2.2).
    fn is_signed(&self, answer: &Answer<'_>, now: SystemTime) -> bool {
        let by = |der: &CertificateDer<'_>| {
            let Ok(signer) = EndEntityCert::try_from(der) else {
                return false;
            };
            let known = self.algorithms.all.iter();
            let mut fitting = known.filter(|known| known.signature_alg_id().as_ref() == answer.algorithm);
            fitting.any(|known| signer.verify_signature(*known, answer.signed, answer.signature).is_ok())
        };
        let sent = || answer.certificates.iter().map(|der| CertificateDer::from(*der));
        by(&self.issuer) || sent().any(|der| self.is_delegate(&der, now) && by(&der))
    }

    /// Whether the issuer has made somebody its responder.
    fn is_delegate(&self, der: &CertificateDer<'_>, now: SystemTime) -> bool {
        /// `id-kp-OCSPSigning`, 1.3.6.1.5.5.7.3.9.
        const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
        let Ok(anchor) = anchor_from_trusted_cert(&self.issuer) else {
            return false;
        };
        let Ok(read) = EndEntityCert::try_from(der) else {
            return false;
        };
        let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let usage = KeyUsage::required(OCSP_SIGNING);
        let anchors = [anchor];
        read.verify_for_usage(self.algorithms.all, &anchors, &[], now, usage, None, None)
            .is_ok()
    }
}

fn system_time(date: HttpDate) -> SystemTime {
    let seconds = u64::try_from(date.seconds()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests;
