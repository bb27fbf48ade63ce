//! The short way of a request for an application whose way is known: it has no body, its words are made, and so is a connection. An
//! answer that is all there with the first bytes that come is read where it lies. Wherever something else turns out, the request
//! goes on as any other does, with what was begun.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::backend::fastcgi::Conversation;
use crate::backend::pool::queued::Queued;
use crate::backend::pool::{Lease, Pool, Which};
use crate::config::backends::Scheme;
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Response};
use crate::exchange::stream::Untold;
use crate::gateway::fastcgi::whole::Whole;
use crate::gateway::script_reply::plain::PlainHead;
use crate::handlers::application::known::{Known, Way};
use crate::handlers::cgi::reply::add_what_the_name_says;
use crate::handlers::proxy::reply::overridden;
use crate::http::fields::Fields;
use crate::http::head::RequestHead;
use crate::http::status::Status;

/// The fields of most answers, with those that are added, are no more than so many, of so many bytes.
const FIELDS: usize = 12;
const BYTES: usize = 512;

/// A request whose words are made.
pub struct Worded<'k> {
    way: &'k Way,
    pool: &'k Arc<Pool>,
    words: Bytes,
    unique_id: [u8; 24],
}

/// Whether there is a connection.
pub enum Connected {
    /// There is.
    Now(Box<Begun>),
    /// There may be one soon.
    Soon(Queued),
    /// None without more ado.
    No,
}

impl<'k> Worded<'k> {
    /// A GET request without a body for the application of which this is known, from this client and with this UNIQUE_ID. Nothing
    /// where its words cannot be made like this.
    pub fn of(known: &'k Known, head: &RequestHead, client: SocketAddr, unique_id: [u8; 24]) -> Option<Worded<'k>> {
        let (way, pool) = known.well_known()?;
        if way.asked.target.scheme != Scheme::FastCgi {
            return None;
        }
        let words = known.words(head, client, &unique_id, way.agreed.keep)?;
        Some(Worded {
            way,
            pool,
            words,
            unique_id,
        })
    }

    /// Begins it on a kept connection.
    pub fn connect(&mut self) -> Connected {
        match self.pool.lease_kept(&self.way.agreed, Which::Likely) {
            Some(lease) => Connected::Now(self.begin(lease)),
            None => self.pool.queue(&self.way.agreed).map_or(Connected::No, Connected::Soon),
        }
    }

    /// Begins it on the connection that it waits for; nothing where that does not come.
    pub fn poll_connected(&mut self, queued: &mut Queued, cx: &mut Context<'_>) -> Poll<Option<Box<Begun>>> {
        let leased = queued.poll(cx, &self.way.agreed);
        leased.map(|leased| leased.map(|lease| self.begin(lease)))
    }

    fn begin(&mut self, lease: Lease) -> Box<Begun> {
        let words = std::mem::take(&mut self.words);
        Box::new(Begun {
            conversation: Conversation::begin_with(lease, words, self.way.silence),
            unique_id: self.unique_id,
        })
    }
}

/// A request that an application is being told.
pub struct Begun {
    pub(super) conversation: Conversation,
    /// Its UNIQUE_ID.
    pub unique_id: [u8; 24],
}

impl Begun {
    /// Waits for the first bytes of the answer, or for what comes instead.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.conversation.poll_first(cx)
    }

    /// The answer, if it is there at once, and nothing has to be done about it but to send it: its head, and its body. What stands
    /// in the head for the body says its length alone, where that was promised.
    pub fn answer(&self, place: &Place) -> Option<(Response, Output)> {
        let whole = self.conversation.whole()?;
        let mut response = Response::new(Status::OK, Body::Empty);
        response.head.fields = Fields::with_room(FIELDS, BYTES);
        let head = PlainHead::of(whole.output().next()?, &mut response.head.fields)?;
        if let Some((status, reason)) = head.status {
            response.head.status = Status::new(status)?;
            response.head.reason = (!reason.is_empty()).then(|| reason.to_vec());
        }
        if !response.head.status.allows_body() || overridden(place, response.head.status) {
            return None;
        }
        add_what_the_name_says(&mut response, place);
        let (start, length) = (head.body, head.content_length);
        response.body = Body::Stream(Box::new(Untold), length);
        let body = Output { whole, start };
        let is_promised = |length| length == body.pieces().map(|piece| piece.len() as u64).sum::<u64>();
        length.is_none_or(is_promised).then_some((response, body))
    }

    /// Ends what was answered at once. The connection may carry another request.
    pub fn end(self) {
        self.conversation.end_whole();
    }
}

/// A body that is there.
pub struct Output {
    whole: Whole,
    /// Where the body begins in the first piece of output.
    start: usize,
}

impl Output {
    /// The body in pieces, none of them empty.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let starts = std::iter::once(self.start).chain(std::iter::repeat(0));
        let pieces = self.whole.output().zip(starts);
        let pieces = pieces.filter_map(|(piece, start)| piece.get(start..));
        pieces.filter(|piece| !piece.is_empty())
    }
}
