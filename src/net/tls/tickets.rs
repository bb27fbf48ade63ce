//! Session tickets: what a client needs to take up a session again, encrypted for the server alone (RFC 5077, RFC 8446 section
//! 4.6.1). Their keys are derived from a secret that all workers of a server share, from the site, and from the time: so every
//! thread and every successor of a worker can read them, no other site can, and old ones can be read by nobody for long.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use tokio_rustls::rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use super::certificates::Source;
use crate::config::directives::tls_sessions::LIFETIME;
use crate::config::error::ConfigError;
use crate::config::keyring::Keyring;
use crate::config::site::Site;

/// The keys of a site's tickets.
pub(super) struct Tickets {
    secret: Prk,
    /// What the site is: another one's tickets are not for it.
    site: [u8; 32],
    lifetime: Duration,
}

/// How long one key makes tickets; it reads them for as long again.
const TURN: Duration = Duration::from_secs(12 * 60 * 60);

/// How many bytes tell which key a ticket is made with.
const NAME: usize = 16;

/// What is in a ticket before the session: when it was made, in seconds since 1970.
const TIME: usize = 8;

/// A file for SSLSessionTicketKeyFile has so many bytes.
const FILE: usize = 48;

#[derive(Clone, Copy)]
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Tickets {
    /// Those of a site, which asks for certificates of clients in this manner; `None` where it has none.
    pub(super) fn new(site: &Site, asks: &impl fmt::Debug, keyring: &Keyring) -> Result<Option<Tickets>, ConfigError> {
        let settings = &site.settings.tls_sessions;
        if !settings.tickets.or(true) {
            return Ok(None);
        }
        // For who only checks the settings, and makes no tickets.
        let mut drawn = [0; 32];
        if SystemRandom::new().fill(&mut drawn).is_err() {
            return Ok(None);
        }
        let secret = match settings.key.value() {
            Some(file) => {
                let directive = "SSLSessionTicketKeyFile";
                let source = Source { directive, file };
                let secret = keyring
                    .contents(&file.path)
                    .ok_or_else(|| source.fault("it was not read"))?;
                if secret.len() != FILE {
                    let what = format!(
                        "it has {} bytes, not {FILE}; `openssl rand -out FILE {FILE}` makes one",
                        secret.len()
                    );
                    return Err(source.fault(what));
                }
                secret
            }
            None => keyring.secret().unwrap_or(&drawn),
        };
        Ok(Some(Tickets {
            secret: Salt::new(HKDF_SHA256, b"lychgate session tickets").extract(secret),
            site: keyring.fingerprint(site, asks),
            lifetime: settings.lifetime.or(LIFETIME),
        }))
    }

    /// The name and the key of a turn.
    fn key(&self, turn: u64) -> Option<([u8; NAME], LessSafeKey)> {
        let mut bytes = Zeroizing::new([0; NAME + 32]);
        let parts: [&[u8]; 2] = [&self.site, &turn.to_be_bytes()];
        let derived = self.secret.expand(&parts, Length(bytes.len())).ok()?;
        derived.fill(&mut *bytes).ok()?;
        let (name, key) = bytes.split_first_chunk()?;
        Some((*name, LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?)))
    }

    fn turn(now: Duration) -> u64 {
        now.as_secs() / TURN.as_secs()
    }

    fn encrypt_at(&self, now: Duration, plain: &[u8]) -> Option<Vec<u8>> {
        let (name, key) = self.key(Tickets::turn(now))?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = [&now.as_secs().to_be_bytes(), plain].concat();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut sealed)
            .ok()?;
        Some([&name[..], &nonce, &sealed].concat())
    }

    fn decrypt_at(&self, now: Duration, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let turn = Tickets::turn(now);
        // The clock of another machine may be ahead of ours.
        let turns = turn.saturating_sub(self.turns_back())..=turn.saturating_add(1);
        let (_, key) = turns
            .rev()
            .find_map(|turn| self.key(turn).filter(|(known, _)| known == name))?;
        let mut bytes = sealed.to_vec();
        let plain = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(*name), &mut bytes)
            .ok()?;
        let (made, session) = plain.split_first_chunk::<TIME>()?;
        let age = now.as_secs().saturating_sub(u64::from_be_bytes(*made));
        (age <= self.lifetime.as_secs()).then(|| session.to_vec())
    }

    /// How many turns a ticket may be old.
    fn turns_back(&self) -> u64 {
        self.lifetime.as_secs().div_ceil(TURN.as_secs())
    }
}

fn now() -> Duration {
    // Before 1970 there are no sessions.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(now(), plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(now(), ticket)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tickets for {:?}", self.lifetime)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ring::hkdf::{HKDF_SHA256, Salt};

    use super::{TURN, Tickets};

    fn tickets(secret: &[u8], site: u8, lifetime: Duration) -> Tickets {
        Tickets {
            secret: Salt::new(HKDF_SHA256, b"test").extract(secret),
            site: [site; 32],
            lifetime,
        }
    }

    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[test]
    fn a_ticket_is_good_for_its_time_its_site_and_its_secret() {
        let of_a = tickets(b"secret", 1, HOUR);
        for seconds in [TURN.as_secs() * 1000, TURN.as_secs() * 1001 - 1] {
            let made = Duration::from_secs(seconds);
            let ticket = of_a.encrypt_at(made, b"session").expect("random numbers");
            assert_eq!(of_a.decrypt_at(made + HOUR, &ticket).as_deref(), Some(&b"session"[..]));
            // Another machine's clock.
            assert_eq!(
                of_a.decrypt_at(made.saturating_sub(HOUR), &ticket).as_deref(),
                Some(&b"session"[..])
            );
            assert_eq!(of_a.decrypt_at(made + HOUR + Duration::from_secs(1), &ticket), None);
            assert_eq!(
                tickets(b"secret", 1, HOUR).decrypt_at(made, &ticket).as_deref(),
                Some(&b"session"[..])
            );
            assert_eq!(tickets(b"secret", 2, HOUR).decrypt_at(made, &ticket), None);
            assert_eq!(tickets(b"other", 1, HOUR).decrypt_at(made, &ticket), None);
        }
        let of_a_week = tickets(b"secret", 1, TURN * 14);
        let ticket = of_a_week.encrypt_at(TURN * 1000, b"session").expect("random numbers");
        assert!(of_a_week.decrypt_at(TURN * 1014, &ticket).is_some());
        assert!(of_a_week.decrypt_at(TURN * 1015, &ticket).is_none());
    }

    #[test]
    fn a_ticket_that_is_cut_or_changed_is_none() {
        let tickets = tickets(b"secret", 1, HOUR);
        let ticket = tickets.encrypt_at(HOUR, b"session").expect("random numbers");
        for at in 0..ticket.len() {
            assert_eq!(tickets.decrypt_at(HOUR, &ticket[..at]), None, "cut at {at}");
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt_at(HOUR, &changed), None, "changed at {at}");
        }
    }
}
