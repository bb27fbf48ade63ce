//! Has the word of their authorities go with the certificates that the worker shows (OCSP, RFC 6066 section 8), as long as it takes
//! connections. It is asked for in the background: a handshake takes what is there.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::backend::responder;
use crate::base::date::HttpDate;
use crate::lang::log_level::Level;
use crate::net::tls::Subject;
use crate::process::channel::{Channel, Wait};
use crate::process::message::FromWorker;
use crate::tls::ocsp::{Judged, State};
use crate::worker::thread::Thread;

/// When a responder is asked again first that gave no good answer.
const AFTER_FIRST_ERROR: Duration = Duration::from_secs(10);

/// Asks, and asks again, until the order to stop.
pub async fn keep(thread: Rc<Thread>, launcher: Arc<Channel>) {
    let mut keeping = JoinSet::new();
    for subject in thread.engines.subjects() {
        let herald = Herald {
            subject: Arc::clone(subject),
            thread: Rc::clone(&thread),
            launcher: Arc::clone(&launcher),
        };
        keeping.spawn_local(herald.keep());
    }
    tokio::select! {
        () = async { while keeping.join_next().await.is_some() {} } => {}
        () = thread.drain.asked() => {}
    }
}

/// What one certificate needs.
struct Herald {
    subject: Arc<Subject>,
    thread: Rc<Thread>,
    launcher: Arc<Channel>,
}

impl Herald {
    async fn keep(self) {
        let subject = &self.subject;
        let (mut errors, mut told) = (0_u32, None);
        if let Some((answer, pause)) = subject.left() {
            self.leave(answer);
            sleep(pause).await;
        }
        loop {
            let pause = match self.answer().await {
                Ok((answer, judged)) => {
                    self.leave(&answer);
                    subject.show(&answer, &judged);
                    if told != Some(judged.state) {
                        self.tell(&judged);
                    }
                    (errors, told) = (0, Some(judged.state));
                    subject.pause(&judged, SystemTime::now())
                }
                Err(why) => {
                    (errors, told) = (errors.saturating_add(1), None);
                    let (file, responder) = (subject.file(), subject.responder());
                    self.note(
                        Level::Error,
                        format_args!("OCSP: {responder}, asked about {file}: {why}"),
                    );
                    after_error(errors, subject.terms().pause_after_error)
                }
            };
            sleep(pause).await;
        }
    }

    async fn answer(&self) -> Result<(Vec<u8>, Judged), String> {
        let subject = &self.subject;
        let (question, patience) = (subject.question(), subject.terms().patience);
        let asked = timeout(patience, responder::ask(subject.responder(), &question)).await;
        let answer = asked.map_err(|_| {
            let seconds = patience.as_secs();
            format!("it did not answer within {seconds} seconds (SSLStaplingResponderTimeout)")
        })??;
        let judged = subject.judge(&answer, SystemTime::now())?;
        Ok((answer, judged))
    }

    /// Leaves an answer to the next worker.
    fn leave(&self, answer: &[u8]) {
        let message = FromWorker::Stapled {
            name: self.subject.name(),
            answer: answer.to_vec(),
        };
        // Where the launcher does not listen at the moment, the next worker asks for itself.
        let _unheard = self.launcher.tell(&message, Wait::No);
    }

    fn tell(&self, judged: &Judged) {
        let until = HttpDate::from(judged.until).to_bytes();
        let (file, until) = (self.subject.file(), String::from_utf8_lossy(&until));
        match judged.state {
            State::Revoked => self.note(
                Level::Error,
                format_args!("OCSP: {file}: the certificate is revoked; that is sent along until {until}"),
            ),
            State::Good | State::Unknown => self.note(
                Level::Info,
                format_args!("OCSP: {file}: an answer is sent along until {until}"),
            ),
        }
    }

    fn note(&self, level: Level, what: std::fmt::Arguments<'_>) {
        self.thread
            .logs
            .error_of(self.thread.main_site())
            .note(level, "ssl", what);
    }
}

/// When a responder is asked again behind so many errors in a row.
fn after_error(errors: u32, most: Duration) -> Duration {
    let doublings = errors.saturating_sub(1).min(16);
    (AFTER_FIRST_ERROR * 2_u32.pow(doublings)).min(most)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::after_error;

    #[test]
    fn it_is_asked_less_and_less_often() {
        let most = Duration::from_secs(600);
        let seconds: Vec<u64> = (1..=9).map(|errors| after_error(errors, most).as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(after_error(u32::MAX, most), most);
        assert_eq!(after_error(1, Duration::from_secs(1)), Duration::from_secs(1));
    }
}
