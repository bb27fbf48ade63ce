//! What a worker has in hand and has done, in numbers, for `lychgate ctl status`.

/// The numbers of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open connections of clients.
    pub connections: u64,
    /// Requests whose head was read and whose response was not sent to its end.
    pub requests: u64,
    /// Scripts that were asked for and have not ended.
    pub scripts: u64,
    /// Requests that wait for their turn to start a script.
    pub waiting: u64,
    /// Requests that were answered since the worker was started.
    pub answered: u64,
    /// Bytes that these answers had, with their heads.
    pub bytes: u64,
}

impl Counts {
    /// The numbers in their order.
    pub(super) fn numbers(&self) -> [u64; 6] {
        [
            self.connections,
            self.requests,
            self.scripts,
            self.waiting,
            self.answered,
            self.bytes,
        ]
    }

    /// Reads them back; none if there are more or fewer.
    pub(super) fn from_numbers(numbers: &[u64]) -> Option<Counts> {
        let &[connections, requests, scripts, waiting, answered, bytes] = numbers else {
            return None;
        };
        Some(Counts {
            connections,
            requests,
            scripts,
            waiting,
            answered,
            bytes,
        })
    }
}
