//! The order to start a script.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::MessageError;
use super::parts::{Beside, read_limit};
use crate::process::environment::Environment;
use crate::process::limits::Limit;
use crate::process::wire::{Reader, Writer};

/// A script to be started, with the ends of its pipes.
#[derive(Debug)]
pub struct Start {
    /// The worker's number for it, used once per channel.
    pub id: u64,
    /// What is to be started.
    pub order: Order,
    /// Scripts to let go of before this one is started, as [`super::ScriptOrder::Release`] has it: a message less.
    pub released: Vec<u64>,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// What is to be started.
#[derive(Debug)]
pub struct Order {
    /// The number of the script place in the settings, or of the program behind them.
    pub place: u32,
    /// The path below the place, without leading slash; empty when the place is the script itself.
    pub path: Vec<u8>,
    /// What is executed for it.
    pub runs: Runs,
    /// The arguments after the script's name (RFC 3875 §4.4).
    pub arguments: Vec<Vec<u8>>,
    /// The whole environment.
    pub env: Environment,
    /// Limits that hold besides those of the place, which they can only lower.
    pub limits: Vec<Limit>,
    /// When the worker is to hear that it runs. Until then it has nobody who feeds it or reads what it writes. Should the spawner
    /// die meanwhile it is started a second time.
    pub first_news: FirstNews,
    /// Standard input; /dev/null when there is none.
    pub stdin: Option<OwnedFd>,
}

/// What is executed for a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runs {
    /// It itself.
    #[default]
    Itself,
    /// The program that the spawner's own settings name for it (FcgidWrapper).
    Wrapper,
    /// The program of this number, with its arguments, which the spawner's own settings name.
    Program,
}

impl Runs {
    const ALL: [Runs; 3] = [Runs::Itself, Runs::Wrapper, Runs::Program];

    fn number(self) -> u8 {
        match self {
            Runs::Itself => 0,
            Runs::Wrapper => 1,
            Runs::Program => 2,
        }
    }
}

/// When a worker is to hear that its script runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstNews {
    /// As soon as it does: [`super::ScriptNews::Started`].
    #[default]
    AtOnce,
    /// With its end, where that comes soon: [`super::ScriptNews::Ran`]. Nobody is woken in between, and there is one message
    /// instead of two. One that goes on is told of as soon as that is known.
    WithEnd,
}

impl FirstNews {
    const ALL: [FirstNews; 2] = [FirstNews::AtOnce, FirstNews::WithEnd];

    fn number(self) -> u8 {
        match self {
            FirstNews::AtOnce => 0,
            FirstNews::WithEnd => 1,
        }
    }
}

impl Start {
    /// The message that asks for this script, as [`super::ScriptOrder::Start`] encodes it.
    pub fn encode(&self) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
        let order = &self.order;
        let writer = Writer::with_room(self.length()).u8(1);
        let mut writer = writer.u64(self.id).u32(order.place).bytes(&order.path);
        writer = writer.u8(order.runs.number());
        writer = writer.count(order.arguments.len());
        for argument in &order.arguments {
            writer = writer.bytes(argument);
        }
        writer = writer.bytes(order.env.bytes());
        writer = writer.count(order.limits.len());
        for limit in &order.limits {
            let (soft, hard) = (limit.soft.unwrap_or(u64::MAX), limit.hard.unwrap_or(u64::MAX));
            writer = writer.u8(limit.resource.number()).u64(soft).u64(hard);
        }
        writer = writer.u8(order.first_news.number());
        writer = writer.u8(u8::from(order.stdin.is_some())).numbers(&self.released);
        let descriptors = order
            .stdin
            .iter()
            .chain([&self.stdout, &self.stderr])
            .map(AsFd::as_fd)
            .collect();
        (writer.done(), descriptors)
    }

    /// Of its bytes.
    fn length(&self) -> usize {
        let order = &self.order;
        let arguments: usize = order.arguments.iter().map(|argument| 4 + argument.len()).sum();
        36 + order.path.len() + arguments + order.env.bytes().len() + 17 * order.limits.len() + 8 * self.released.len()
    }

    pub(super) fn decode(reader: &mut Reader<'_>, beside: &mut Beside) -> Result<Start, MessageError> {
        Ok(Start {
            id: reader.u64()?,
            order: Order::decode(reader, beside)?,
            released: reader.list(|reader| reader.u64())?,
            stdout: beside.next()?,
            stderr: beside.next()?,
        })
    }
}

impl Order {
    fn decode(reader: &mut Reader<'_>, beside: &mut Beside) -> Result<Order, MessageError> {
        Ok(Order {
            place: reader.u32()?,
            path: reader.bytes()?,
            runs: {
                let number = reader.u8()?;
                let mut all = Runs::ALL.into_iter();
                all.find(|runs| runs.number() == number)
                    .ok_or(MessageError::Malformed)?
            },
            arguments: reader.list(|reader| reader.bytes())?,
            env: Environment::of_bytes(reader.bytes()?),
            limits: reader.list(read_limit)?,
            first_news: {
                let number = reader.u8()?;
                let mut all = FirstNews::ALL.into_iter();
                all.find(|news| news.number() == number)
                    .ok_or(MessageError::Malformed)?
            },
            stdin: match reader.u8()? {
                0 => None,
                1 => Some(beside.next()?),
                _ => return Err(MessageError::Malformed),
            },
        })
    }
}
