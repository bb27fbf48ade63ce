//! One request to a FastCGI application: its records, and what is made of its answers.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::backend::pool::{Keep, Lease};
use crate::backend::wire::{Repeatable, Serves, Trouble, Wire};
use crate::gateway::fastcgi::answers::{Answer, Answers, Fault};
use crate::gateway::fastcgi::params::{self, Pair};
use crate::gateway::fastcgi::record::{self, Connection, MAX_CONTENT, Message, RecordReader, Role, Stream};
use crate::gateway::fastcgi::whole::Whole;

/// The only request on its connection.
const ID: u16 = record::ONLY;

/// What the application is told of its connection.
pub fn connection(keep: Keep) -> Connection {
    match keep {
        Keep::Yes => Connection::Keep,
        Keep::No => Connection::Close,
    }
}

/// A request that an application serves.
#[derive(Debug)]
pub struct Conversation {
    wire: Wire,
    answers: Answers,
    unread: Bytes,
    /// What went wrong before anybody has asked for an answer.
    trouble: Option<Trouble>,
}

impl Conversation {
    /// Begins a request. Variables whose names or values are too long for the protocol are left out. The application may be
    /// silent for `silence`.
    pub fn begin<'p>(
        lease: Lease,
        role: Role,
        variables: impl Iterator<Item = (&'p [u8], &'p [u8])>,
        silence: Duration,
    ) -> Conversation {
        let mut head = Vec::with_capacity(4096);
        record::begin(&mut head, ID, role, connection(lease.keep()));
        let mut pairs = Vec::with_capacity(4096);
        for (name, value) in variables {
            let _too_long_for_the_protocol = params::append(&mut pairs, name, value);
        }
        record::stream(&mut head, ID, Stream::Params, &pairs);
        record::stream_header(&mut head, ID, Stream::Params, 0);
        Conversation {
            wire: Wire::new(lease, head, silence),
            answers: Answers::new(ID),
            unread: Bytes::new(),
            trouble: None,
        }
    }

    /// Begins a request without standard input, whose words are all there: those of [`record::request`]. The application may be
    /// silent for `silence`.
    pub fn begin_with(lease: Lease, words: Bytes, silence: Duration) -> Conversation {
        let mut wire = Wire::to(Serves::Few, lease, words, silence);
        let _is_said = wire.end_input();
        Conversation {
            wire,
            answers: Answers::new(ID),
            unread: Bytes::new(),
            trouble: None,
        }
    }

    /// Whether it has room for more of standard input.
    pub fn wants_input(&self) -> bool {
        self.wire.wants_input()
    }

    /// Whether the application has closed its side, and so reads no more of standard input.
    pub fn reads_no_more(&self) -> bool {
        self.wire.reads_no_more()
    }

    /// Hands over the next bytes of standard input.
    pub fn put(&mut self, bytes: &Bytes) {
        if bytes.is_empty() || !self.wire.begin_input() {
            return;
        }
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(MAX_CONTENT));
            self.push_header(u16::try_from(part.len()).unwrap_or(u16::MAX));
            self.wire.push(part);
        }
    }

    /// Standard input has ended.
    pub fn put_end(&mut self) {
        if self.wire.end_input() {
            self.push_header(0);
        }
    }

    fn push_header(&mut self, length: u16) {
        let mut header = Vec::with_capacity(record::HEADER);
        record::stream_header(&mut header, ID, Stream::Stdin, length);
        self.wire.push(Bytes::from(header));
    }

    /// The silence so far is not the application's fault.
    pub fn excuse_silence(&mut self) {
        self.wire.excuse_silence();
    }

    /// Writes the request and waits for the first bytes of its answers, or for what goes wrong instead. Nothing is taken from the
    /// answers.
    pub fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.wire.poll_read(cx)) {
            Ok(Some(bytes)) => self.unread = bytes,
            Ok(None) => self.trouble = Some(Trouble::Fault(self.answers.closed())),
            Err(trouble) => self.trouble = Some(trouble),
        }
        Poll::Ready(())
    }

    /// All of the answer, if that is what the first bytes were.
    pub fn whole(&self) -> Option<Whole> {
        Whole::of(&self.unread)
    }

    /// Ends a request whose answer was whole: its connection is kept where that was agreed.
    pub fn end_whole(self) {
        if self.wire.is_drained() {
            self.wire.keep_for_another();
        }
    }

    /// The application's next answer. Behind [`Answer::End`] and trouble there is nothing to ask.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Trouble>> {
        if let Some(trouble) = self.trouble.take() {
            return Poll::Ready(Err(trouble));
        }
        loop {
            match self.answers.next(&mut self.unread) {
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Err(Trouble::Fault(fault))),
            }
            match ready!(self.wire.poll_read(cx))? {
                Some(bytes) => self.unread = bytes,
                None => return Poll::Ready(Err(Trouble::Fault(self.answers.closed()))),
            }
        }
    }

    /// Whether a request that has failed may be told to the application again. Only a kept connection can have been closed
    /// before; and of standard input nothing must be lost.
    pub fn repeatable(&self) -> Repeatable {
        self.wire.repeatable()
    }

    /// Ends a request whose last answer is there: its connection is kept where that was agreed.
    pub fn end(self) {
        let is_whole = self.answers.are_whole(&self.unread) && self.wire.is_drained();
        if is_whole && self.wire.is_input_whole() {
            self.wire.keep_for_another();
        }
    }

    /// Tells the application that nobody waits for the request any more, and closes the connection.
    pub fn abort(mut self) {
        let mut record = Vec::with_capacity(record::HEADER);
        record::abort(&mut record, ID);
        self.wire.say_at_once(&record);
    }
}

/// What an application says of itself (FCGI_GET_VALUES, section 4.1) on a connection of its own, which is closed behind it: of
/// the names those that it knows; nothing where it does not know the question. It may be silent for `silence`. One that
/// answers is alive, whatever it answers.
pub async fn values(lease: Lease, names: &[&str], silence: Duration) -> Result<Vec<Pair>, Trouble> {
    let mut question = Vec::new();
    record::ask_values(&mut question, names);
    let mut wire = Wire::new(lease, question, silence);
    let mut records = RecordReader::new();
    let mut passed_over = 0;
    while let Some(mut bytes) = poll_fn(|cx| wire.poll_read(cx)).await? {
        passed_over += bytes.len();
        let message = records.next(&mut bytes);
        match message.map_err(|error| Trouble::Fault(Fault::Record(error)))? {
            None => {}
            Some(Message::Values(pairs)) => return Ok(pairs),
            Some(Message::UnknownType(_)) => return Ok(Vec::new()),
            Some(_) => return Err(Trouble::Fault(Fault::OutOfPlace("a record that nobody asked for"))),
        }
        if passed_over > MAX_VALUES {
            return Err(Trouble::Fault(Fault::IdleTalk));
        }
    }
    Err(Trouble::Fault(if records.is_between_records() {
        Fault::Closed
    } else {
        Fault::CutShort
    }))
}

/// So many bytes are read for an answer about values; no directive moves it.
const MAX_VALUES: usize = 128 * 1024;
