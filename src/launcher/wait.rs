//! The one wait of the launcher's loop.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::trial::Trial;
use super::{Ending, Launcher};

impl Launcher<'_> {
    /// Waits for a signal, a message or the next time something is due; says when that was. By this time the round goes:
    /// should we be held up in the middle of it, the worker's silence meanwhile is not counted, and the next round forgives it.
    pub(super) fn wait(&mut self) -> io::Result<Instant> {
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.generation);
        let generations = || self.current.iter().chain(candidate).chain(&self.old);
        let channels = generations()
            .flat_map(|one| [&one.worker.channel, &one.spawner.channel])
            .flatten();
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        polled.extend(channels.map(|channel| PollFd::new(channel, PollFlags::IN)));
        polled.extend(self.desk.polled());
        polled.extend(
            self.services
                .polled()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        let ending = match self.ending {
            Ending::Now(until) => Some(until),
            Ending::Graceful(until) => until,
            Ending::No => None,
        };
        let times = generations()
            .filter_map(|one| one.next_time(self.stock.silence))
            .chain(self.programs.next_restart())
            .chain(self.services.next_time())
            .chain(self.current.is_some().then_some(self.look_at))
            .chain(self.notifier.next_time())
            .chain(self.desk.next_time())
            .chain(self.trial.as_ref().map(Trial::until))
            .chain(ending);
        let next = times.min();
        let limit = next.map(|at| timespec(at.saturating_duration_since(Instant::now())));
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, limit.as_ref()))?;
        let now = Instant::now();
        if next.is_some_and(|next| now > next + HELD_UP) {
            self.generations().for_each(|generation| generation.forgive(now));
        }
        Ok(now)
    }
}

/// Later than this we were not only busy but stopped: nobody's silence meanwhile means anything.
const HELD_UP: Duration = Duration::from_secs(2);

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    }
}
