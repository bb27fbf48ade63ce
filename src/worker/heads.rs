//! Heads to read requests into, which keep their memory from one request to the next: a thread has a few, and a connection
//! borrows one while a head is coming in.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::http::head::RequestHead;

/// So many are kept.
const SPARES: usize = 64;
/// One with more bytes than this is not.
const LARGE: usize = 16 * 1024;

thread_local! {
    #[expect(clippy::vec_box, reason = "they go to connections as they are")]
    static SPARE: RefCell<Vec<Box<RequestHead>>> = const { RefCell::new(Vec::new()) };
}

/// A head that is given back when it is dropped.
pub struct Borrowed(Option<Box<RequestHead>>);

impl Borrowed {
    /// An empty one.
    pub fn new() -> Borrowed {
        Borrowed(Some(SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()))
    }

    /// The head itself, which is not given back.
    pub fn into_head(mut self) -> Box<RequestHead> {
        self.0.take().unwrap_or_default()
    }

    /// The head itself, for a while: nothing but an empty one is here meanwhile.
    pub fn lend(&mut self) -> Box<RequestHead> {
        self.0.take().unwrap_or_default()
    }

    /// What was lent comes back.
    pub fn take_back(&mut self, head: Box<RequestHead>) {
        self.0 = Some(head);
    }

    /// Where the head is, for another to take its place for a while.
    pub fn place(&mut self) -> &mut Box<RequestHead> {
        self.0.get_or_insert_default()
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let Some(mut head) = self.0.take().filter(|head| head.capacity() <= LARGE) else {
            return;
        };
        head.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARES {
                spare.push(head);
            }
        });
    }
}

/// What stands in for a head that was taken out; nobody has it then.
static NONE: RequestHead = RequestHead::new();

impl Deref for Borrowed {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Borrowed {
    fn deref_mut(&mut self) -> &mut RequestHead {
        self.place()
    }
}
