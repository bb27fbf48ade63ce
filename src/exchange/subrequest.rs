//! Requests within a request: what a page includes is found by the phases and answered by a handler, as if the client had
//! asked for it, and only its body becomes part of the page.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use crate::exchange::fail::Fail;
use crate::exchange::negotiated::Negotiated;
use crate::exchange::place::Place;
use crate::exchange::response::{Outcome, Response, Stop};
use crate::exchange::rewriting::Look;
use crate::exchange::{Exchange, Landed, PassTarget};
use crate::http::fields::Fields;
use crate::http::method::Method;
use crate::http::target::CleanPath;
use crate::lang::ssi::variables::Variables;

/// A future of this thread.
pub type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Who carries out requests within a request: the driver.
pub trait Subrequests {
    /// Finds the place of a request, up to the choice of its handler.
    fn locate<'a>(&'a self, sub: &'a mut Exchange, aim: &'a Aim) -> Local<'a, Result<Place, Stop>>;

    /// Answers for a place. Failures are told to nobody yet.
    fn answer<'a>(&'a self, sub: &'a mut Exchange, place: Place) -> Local<'a, Result<Response, Fail>>;

    /// Has the program of a place run with these arguments, whose answer is a script's.
    fn run<'a>(
        &'a self,
        sub: &'a mut Exchange,
        place: &'a Place,
        arguments: Vec<Vec<u8>>,
    ) -> Local<'a, Result<Outcome, Fail>>;

    /// What a script of this place would have as its environment.
    fn environment(&self, ex: &Exchange, place: &Place) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// Writes the lines that a request has for the error log.
    fn tell(&self, ex: &Exchange);
}

/// What a request within a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aim {
    /// A URL of this site.
    Url,
    /// A file.
    File(Vec<u8>),
}

/// The page that a request is made for.
#[derive(Debug)]
pub struct Main {
    /// How many pages are around it.
    pub depth: u64,
    /// What all pages of a request share.
    pub shared: Rc<Shared>,
}

/// What the page that the client asked for shares with those that it includes.
#[derive(Debug)]
pub struct Shared {
    /// Its variables.
    pub variables: RefCell<Variables>,
    /// Those that the server computes for each request anew, in upper case.
    pub computed: BTreeSet<Vec<u8>>,
    /// When its file was changed, since 1970.
    pub modified: Duration,
    /// Who owns its file.
    pub owner: Option<u32>,
    /// How many requests were made for it.
    pub made: Cell<u32>,
    /// A page lets others have their turn: what there is of it and of those around it waits, until the outermost has said so.
    pub others_turn: Cell<bool>,
}

impl Exchange {
    /// A copy for a page whose body is made while it is sent; it has no body to be read.
    #[must_use]
    pub fn for_page(&self) -> Exchange {
        Exchange {
            config: self.config,
            site: self.site,
            connection: self.connection.clone(),
            head: self.head.clone(),
            host: self.host.clone(),
            host_port: self.host_port,
            body: self.body.without_data(),
            began: self.began,
            method: self.method,
            target: self.target.clone(),
            variables: self.variables.clone(),
            previous: self.previous.clone(),
            unique_id: self.unique_id,
            file: self.file.clone(),
            handler: self.handler.clone(),
            rewriting: self.rewriting.clone(),
            client: self.client.clone(),
            trail: self.trail.clone(),
            conf: std::sync::Arc::clone(&self.conf),
        }
    }

    /// A request for `target`, a URL path with an encoded path and perhaps a query, that is made for a page of this one. A
    /// fragment is none of its business (RFC 3986 section 3.5), and is cut off, as by Apache.
    #[must_use]
    pub fn subrequest(&self, target: &[u8], main: Rc<Main>) -> Exchange {
        let mut sub = self.for_page();
        let end = target.iter().position(|byte| *byte == b'#');
        let target = target.get(..end.unwrap_or(target.len())).unwrap_or_default();
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            Some(at) => (target.get(..at), target.get(at + 1..)),
            None => (Some(target), None),
        };
        sub.target = PassTarget {
            raw_path: path.unwrap_or_default().to_vec(),
            path: CleanPath::root(),
            query: query.map(<[u8]>::to_vec),
            landed: Landed::default(),
            filters: Vec::new(),
        };
        sub.method = Method::Get;
        sub.previous = None;
        sub.handler = Vec::new();
        sub.rewriting.look = Look::Ahead;
        sub.rewriting.ended = false;
        sub.rewriting.media_type = None;
        sub.rewriting.handler = None;
        sub.rewriting.cookies = Vec::new();
        sub.rewriting.said = Fields::new();
        sub.rewriting.asked = Rc::default();
        sub.rewriting.negotiated = Negotiated::default();
        sub.rewriting.main = Some(main);
        sub.set_conf(std::sync::Arc::clone(&self.site.base));
        for name in OF_A_BODY_OR_A_CONDITION {
            sub.head.remove_field(name);
        }
        sub
    }

    /// SERVER_PROTOCOL (RFC 3875 section 4.1.16).
    pub fn protocol(&self) -> &'static str {
        if self.is_subrequest() {
            "INCLUDED"
        } else {
            self.head.version().as_str()
        }
    }

    /// Whether it is made for a page.
    pub fn is_subrequest(&self) -> bool {
        self.rewriting.main.is_some()
    }
}

/// Fields that are about the client's own request, and not about what a page includes: that is no message of its own, and is
/// never compressed alone.
const OF_A_BODY_OR_A_CONDITION: [&[u8]; 16] = [
    b"Accept-Encoding",
    b"Content-Encoding",
    b"Content-Language",
    b"Content-Length",
    b"Content-Location",
    b"Content-MD5",
    b"Content-Range",
    b"Content-Type",
    b"Expires",
    b"If-Match",
    b"If-Modified-Since",
    b"If-None-Match",
    b"If-Range",
    b"If-Unmodified-Since",
    b"Range",
    b"Transfer-Encoding",
];
