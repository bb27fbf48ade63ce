//! What handlers may ask about other paths: what a request for them would come to, and what it would answer.

use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Place, Types};
use crate::exchange::response::Body;
use crate::fs::open::Seen;
use crate::http::status::Status;

/// What a request for something else came to, without an answer.
#[derive(Debug)]
pub struct Sight {
    /// The status so far.
    pub status: Status,
    /// What the file's name says of its type, where the phases came so far.
    pub types: Types,
    /// The file, where it is one that the client could have.
    pub file: Option<Seen>,
}

/// Handlers do not know the phases; they look ahead by this.
pub trait Looks {
    /// What a request for an entry of the directory would come to.
    fn at_entry(&self, ex: &Exchange, directory: &Place, name: &[u8]) -> impl Future<Output = Sight>;

    /// The file that a URL path, absolute or beside the request's, with its query leads to; nothing where the client could not
    /// have it.
    fn at_url(&self, ex: &Exchange, url: &[u8]) -> impl Future<Output = Option<(Exchange, Place)>>;

    /// What a request for the file of this name beside that of the place would come to.
    fn at_sibling(&self, ex: &Exchange, place: &Place, name: &[u8]) -> impl Future<Output = (Status, Exchange)>;

    /// The body of what a look found, whole, with its includes filled in.
    fn body(&self, look: &mut Exchange, place: Place) -> impl Future<Output = Result<Body, Fail>>;
}
