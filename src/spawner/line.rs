//! The channel to one worker thread, with the news it has not taken yet.

use std::collections::VecDeque;
use std::io;

use rustix::event::PollFlags;

use crate::process::channel::{Channel, Heard, Wait};
use crate::process::message::{ScriptNews, ScriptOrder};
use crate::process::say::Complaints;

/// One worker thread's channel.
pub(super) struct Line {
    key: u64,
    channel: Channel,
    unsent: VecDeque<ScriptNews>,
    /// What is wrong with its orders.
    pub(super) complaints: Complaints,
}

impl Line {
    pub(super) fn new(key: u64, channel: Channel) -> Line {
        Line {
            key,
            channel,
            unsent: VecDeque::new(),
            complaints: Complaints::default(),
        }
    }

    /// Its number here, never used for another.
    pub(super) fn key(&self) -> u64 {
        self.key
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// What to poll for. A worker that does not take its news is not asked for more orders.
    pub(super) fn interest(&self) -> PollFlags {
        match self.unsent.len() {
            0 => PollFlags::IN,
            1..MOST_UNSENT => PollFlags::IN | PollFlags::OUT,
            _ => PollFlags::OUT,
        }
    }

    /// Sends news, now or when there is room.
    pub(super) fn tell(&mut self, news: ScriptNews) -> io::Result<()> {
        self.unsent.push_back(news);
        self.flush()
    }

    /// Sends as much as there is room for.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(news) = self.unsent.front() {
            match self.channel.tell(news, Wait::No) {
                Ok(()) => drop(self.unsent.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next order; `WouldBlock` when there is none, or too much is unsent.
    pub(super) fn hear(&self) -> io::Result<Heard<ScriptOrder>> {
        if self.unsent.len() >= MOST_UNSENT {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.channel.hear(Wait::No)
    }
}

/// Beyond this many unsent news a line's orders wait.
const MOST_UNSENT: usize = 256;
