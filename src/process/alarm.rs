//! A timer that goes off once for each time it is set (timerfd_create(2)).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;

use super::watched::Watched;

/// A timer that is none of the runtime's: to the next one of those every wait of the runtime for the kernel is set anew, which
/// costs more than this one where it is near and the waits are many.
pub struct Alarm(Watched<OwnedFd>);

impl Alarm {
    /// One that is not set; must be made within the runtime that is to wait for it.
    pub fn new() -> io::Result<Alarm> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Alarm(Watched::new(timer, Interest::READABLE)?))
    }

    /// Sets it, to go off once after this time.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(after).map_err(io::Error::other)?,
        };
        timerfd_settime(self.0.inner(), TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Waits until it has gone off since the last time.
    pub async fn gone_off(&self) -> io::Result<()> {
        self.0
            .read(|timer| {
                rustix::io::read(timer, &mut [0; size_of::<u64>()])?;
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Alarm;

    #[tokio::test]
    async fn goes_off_once_each_time_it_is_set() {
        let alarm = Alarm::new().expect("made");
        for after in [Duration::from_millis(30), Duration::from_millis(3)] {
            let began = Instant::now();
            alarm.set(after).expect("set");
            alarm.gone_off().await.expect("waited for");
            assert!(began.elapsed() >= after);
        }
        let again = tokio::time::timeout(Duration::from_millis(50), alarm.gone_off()).await;
        assert!(again.is_err(), "it went off without having been set");
    }
}
