//! An application and its client, watched together: body in, output out, errors into the log, and whether the client has left.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::backend::conversation::{Conversation, Talks};
use crate::backend::wire::{Repeatable, Trouble};
use crate::exchange::body::{BodyError, RequestBody};
use crate::gateway::fastcgi::answers::Answer;
use crate::handlers::application::input::Input;
use crate::handlers::between::{Between, Turn};
use crate::scripts::notes::{Notes, Weight};
use crate::scripts::stderr::Stderr;

/// An application at work for a client.
pub(super) struct Talk {
    between: Between<Conversation>,
    stderr: Stderr,
    notes: Rc<Notes>,
}

/// What happened.
pub(super) enum Event {
    /// Output.
    Output(Bytes),
    /// The request has ended.
    End,
    /// It will not be answered, or not to its end.
    Trouble(Trouble),
    /// The body could not be read to its end.
    Body(BodyError),
    /// The client has left.
    Gone,
}

impl Talk {
    /// A conversation for the client that `client` is the connection of; boxed, for it goes through several hands. So many bytes of
    /// errors are logged.
    pub(super) fn new(
        conversation: Conversation,
        input: Input,
        client: RequestBody,
        notes: Rc<Notes>,
        stderr_limit: u64,
    ) -> Box<Talk> {
        Box::new(Talk {
            between: Between::new(conversation, input, client),
            stderr: Stderr::new(stderr_limit),
            notes,
        })
    }

    /// Notes about the request.
    pub(super) fn notes(&self) -> &Rc<Notes> {
        &self.notes
    }

    /// Whether the request may be told again.
    pub(super) fn repeatable(&self) -> Repeatable {
        self.between.conversation().repeatable()
    }

    /// Standard input, of which nothing was read.
    pub(super) fn into_input(self: Box<Self>) -> Input {
        self.between.into_input()
    }

    /// The next event.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let answer = match std::task::ready!(self.between.poll(cx)) {
                Turn::Answer(answer) => answer,
                Turn::Body(error) => return Poll::Ready(Event::Body(error)),
                Turn::Gone => return Poll::Ready(Event::Gone),
            };
            match answer {
                Ok(Answer::Output(bytes)) => {
                    self.between.client_was_told();
                    return Poll::Ready(Event::Output(bytes));
                }
                Ok(Answer::Errors(bytes)) => {
                    let notes = &self.notes;
                    self.stderr.push(&bytes, |line| notes.complaint(None, line));
                }
                Ok(Answer::OutputEnd) => {}
                Ok(Answer::End(status)) => {
                    if status != 0 {
                        let told = format!("the application ended the request with status {status}");
                        self.notes.note(Weight::Info, None, &told);
                    }
                    return Poll::Ready(Event::End);
                }
                Err(trouble) => return Poll::Ready(Event::Trouble(trouble)),
            }
        }
    }

    /// The application's last answer is there.
    pub(super) fn end(mut self: Box<Self>) {
        self.tell_rest();
        self.between.into_conversation().end();
    }

    /// Nobody waits for its answers any more.
    pub(super) fn abort(mut self: Box<Self>) {
        self.tell_rest();
        self.between.into_conversation().abort();
    }

    /// What came without a line end, and how much was not logged.
    pub(super) fn tell_rest(&mut self) {
        let notes = &self.notes;
        let dropped = self.stderr.end(|line| notes.complaint(None, line));
        if dropped > 0 {
            let told = format!("{dropped} more bytes of its error output are not logged (CGIStderrLimit)");
            notes.note(Weight::Warning, None, &told);
        }
    }
}
