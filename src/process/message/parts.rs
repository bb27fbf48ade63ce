//! What messages are made of: their descriptors, limits, ends, times.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use super::{FromWorker, MessageError};
use crate::process::limits::{Limit, Resource};
use crate::process::pidfd::{Ended, Exit};
use crate::process::wire::{Malformed, Reader, Writer};

pub(super) fn read_limit(reader: &mut Reader<'_>) -> Result<Limit, Malformed> {
    let resource = Resource::from_number(reader.u8()?).ok_or(Malformed)?;
    let bound = |number| Some(number).filter(|number| *number != u64::MAX);
    Ok(Limit {
        resource,
        soft: bound(reader.u64()?),
        hard: bound(reader.u64()?),
    })
}

pub(super) fn read_ended(reader: &mut Reader<'_>) -> Result<Ended, MessageError> {
    let exit = match (reader.u8()?, reader.i32()?) {
        (0, code) => Exit::Code(code),
        (1, signal) => Exit::Signal(signal),
        _ => return Err(MessageError::Malformed),
    };
    let (user, system) = (reader.u64()?, reader.u64()?);
    Ok(Ended {
        exit,
        user: Duration::from_micros(user),
        system: Duration::from_micros(system),
    })
}

pub(super) fn write_ended(writer: Writer, ended: &Ended) -> Writer {
    let (kind, number) = match ended.exit {
        Exit::Code(code) => (0, code),
        Exit::Signal(signal) => (1, signal),
    };
    let writer = writer.u8(kind).i32(number);
    writer.u64(micros(ended.user)).u64(micros(ended.system))
}

/// The descriptors of a message, taken in order.
pub(super) struct Beside(std::vec::IntoIter<OwnedFd>);

impl Beside {
    pub(super) fn new(descriptors: Vec<OwnedFd>) -> Beside {
        Beside(descriptors.into_iter())
    }

    pub(super) fn next(&mut self) -> Result<OwnedFd, MessageError> {
        self.0.next().ok_or(MessageError::Descriptors)
    }

    pub(super) fn all(&mut self) -> Vec<OwnedFd> {
        self.0.by_ref().collect()
    }
}

/// A message is one only when nothing is left over.
pub(super) fn finish<M>(message: M, reader: Reader<'_>, mut beside: Beside) -> Result<M, MessageError> {
    reader.end()?;
    if beside.next().is_ok() {
        Err(MessageError::Descriptors)
    } else {
        Ok(message)
    }
}

pub(super) fn plain<'a>(writer: Writer) -> (Vec<u8>, Vec<BorrowedFd<'a>>) {
    (writer.done(), Vec::new())
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn stapled(reader: &mut Reader<'_>) -> Result<FromWorker, Malformed> {
    Ok(FromWorker::Stapled {
        name: reader.bytes()?,
        answer: reader.bytes()?,
    })
}
