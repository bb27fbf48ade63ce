//! Contents of small files beside the answers that are made of them. An answer keeps its place in the cache without one, and so
//! is its own ghost: how often it was given decides whether its content stays when others come.

use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// An answer counts as given so often at most; as many times it is passed over when room is needed.
const MOST: u8 = 3;

/// So many answers are looked at for room that a new content needs; it is not kept if they are all in use.
const LOOKS: usize = 32;

/// The content of a file behind the head of its answer, so that both can be sent as they lie there.
pub struct Content {
    whole: RefCell<Box<[u8]>>,
    /// Where the head has its date.
    date: usize,
    /// Where the content begins.
    body: usize,
    held: Rc<Held>,
}

/// Bytes of a date (RFC 9110 section 5.6.7).
const DATE: usize = 29;

impl Content {
    /// `head`: what it says before its date and behind it.
    fn new((front, back): (&[u8], &[u8]), content: &[u8], held: &Rc<Held>) -> Content {
        let whole = [front, &[b' '; DATE], back, b"\r\n", content]
            .concat()
            .into_boxed_slice();
        held.contents.set(held.contents.get() + 1);
        held.bytes.set(held.bytes.get() + whole.len() as u64);
        Content {
            date: front.len(),
            body: whole.len() - content.len(),
            whole: RefCell::new(whole),
            held: Rc::clone(held),
        }
    }

    /// The content by itself.
    pub fn body(&self) -> Ref<'_, [u8]> {
        Ref::map(self.whole.borrow(), |whole| whole.get(self.body..).unwrap_or_default())
    }

    /// The head, which says nothing of the connection, and the content.
    pub fn answer(&self) -> Ref<'_, [u8]> {
        Ref::map(self.whole.borrow(), |whole| &**whole)
    }

    /// Has the head say this date.
    pub fn set_date(&self, date: &[u8; DATE]) {
        if let Some(place) = self.whole.borrow_mut().get_mut(self.date..self.date + DATE) {
            place.copy_from_slice(date);
        }
    }
}

/// What there is of contents.
#[derive(Default)]
struct Held {
    contents: Cell<usize>,
    bytes: Cell<u64>,
}

impl Drop for Content {
    fn drop(&mut self) {
        self.held.contents.set(self.held.contents.get() - 1);
        let length = self.whole.borrow().len() as u64;
        self.held.bytes.set(self.held.bytes.get() - length);
    }
}

/// The place for a content in an answer.
#[derive(Default)]
pub struct Slot {
    content: RefCell<Option<Rc<Content>>>,
    uses: Cell<u8>,
}

impl Slot {
    /// The content, if it is there, for the answer that is given now.
    pub fn content(&self) -> Option<Rc<Content>> {
        self.uses.set((self.uses.get() + 1).min(MOST));
        self.content.borrow().clone()
    }

    /// Makes room; whether it did.
    fn gives_way(&self) -> bool {
        if self.uses.get() > 0 && self.content.borrow().is_some() {
            self.uses.set(self.uses.get() - 1);
            return false;
        }
        self.content.take();
        true
    }
}

/// The answers of one thread that have contents, in the order in which they are asked for room.
pub struct Contents<T> {
    ring: RefCell<VecDeque<Weak<T>>>,
    held: Rc<Held>,
}

impl<T> Default for Contents<T> {
    fn default() -> Contents<T> {
        Contents {
            ring: RefCell::default(),
            held: Rc::default(),
        }
    }
}

impl<T: AsRef<Slot>> Contents<T> {
    /// Keeps the content of an answer that has none, behind what its head says before its date and behind it, if all of them have
    /// so much room that its turn comes.
    pub fn keep(&self, answer: &Rc<T>, head: (&[u8], &[u8]), content: &[u8], room: u64) {
        let length = head.0.len() + DATE + head.1.len() + b"\r\n".len() + content.len();
        if !self.make_room(length as u64, room) {
            return;
        }
        let mut ring = self.ring.borrow_mut();
        // Answers that are gone leave their places behind.
        if ring.len() > 2 * self.held.contents.get() + LOOKS {
            ring.retain(|one| {
                one.upgrade()
                    .is_some_and(|one| (*one).as_ref().content.borrow().is_some())
            });
        }
        // The use that it is read for gives no credit: what is asked for once goes first.
        let uses = &(**answer).as_ref().uses;
        uses.set(uses.get().saturating_sub(1));
        let content = Rc::new(Content::new(head, content, &self.held));
        if (**answer).as_ref().content.replace(Some(content)).is_none() {
            ring.push_back(Rc::downgrade(answer));
        }
    }

    /// Lets go of some, should they and so many bytes more have no room; whether they have it then.
    pub fn make_room(&self, more: u64, room: u64) -> bool {
        let has_room = || self.held.bytes.get() + more <= room;
        let mut ring = self.ring.borrow_mut();
        for _ in 0..LOOKS {
            if has_room() {
                break;
            }
            let Some(first) = ring.pop_front() else { break };
            if first.upgrade().is_some_and(|other| !(*other).as_ref().gives_way()) {
                ring.push_back(first);
            }
        }
        has_room()
    }

    /// How many there are, and of how many bytes.
    pub fn counts(&self) -> (u64, u64) {
        (self.held.contents.get() as u64, self.held.bytes.get())
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{Contents, LOOKS, Slot};

    struct Answer(Slot);

    impl AsRef<Slot> for Answer {
        fn as_ref(&self) -> &Slot {
            &self.0
        }
    }

    #[test]
    fn an_answer_lies_whole_and_says_when() {
        let (contents, answers) = (Contents::default(), answers(1));
        contents.keep(&answers[0], (b"Date: ", b"\r\n"), b"hello", 100);
        let Some(content) = answers[0].0.content() else {
            panic!("it is kept")
        };
        for date in [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 08:49:38 GMT"] {
            content.set_date(date);
            let expected = [b"Date: ", &date[..], b"\r\n\r\nhello"].concat();
            assert_eq!(&*content.answer(), expected);
            assert_eq!(&*content.body(), b"hello");
        }
        assert_eq!(contents.counts(), (1, content.answer().len() as u64));
    }

    fn answers(count: usize) -> Vec<Rc<Answer>> {
        (0..count).map(|_| Rc::new(Answer(Slot::default()))).collect()
    }

    /// As an answer is given: whether its content was there; it is kept otherwise.
    fn given(contents: &Contents<Answer>, answer: &Rc<Answer>, room: u64) -> bool {
        let is_there = answer.0.content().is_some();
        if !is_there {
            contents.keep(answer, (b"a", b"b"), &[1; 967], room);
        }
        is_there
    }

    #[test]
    fn what_is_kept_fits_into_the_room_there_is() {
        let (contents, answers) = (Contents::default(), answers(1000));
        for room in [100_000, 50_000, 200_000] {
            for answer in answers.iter().cycle().take(5000) {
                given(&contents, answer, room);
                let (count, bytes) = contents.counts();
                assert_eq!(bytes, count * 1000);
            }
            let (_, bytes) = contents.counts();
            assert!(bytes <= room && bytes > room / 2, "{bytes} of {room}");
        }
    }

    #[test]
    fn what_is_asked_for_often_stays() {
        let (contents, hot, cold) = (Contents::default(), answers(50), answers(5000));
        let mut there = 0;
        for (step, answer) in cold.iter().enumerate() {
            there += usize::from(given(&contents, &hot[step % hot.len()], 100_000));
            given(&contents, answer, 100_000);
        }
        assert!(there * 100 >= cold.len() * 95, "{there} of {}", cold.len());
    }

    #[test]
    fn an_answer_that_goes_takes_its_content_along() {
        let contents = Contents::default();
        for _ in 0..1000 {
            given(&contents, &answers(1)[0], 10_000_000);
        }
        assert_eq!(contents.counts(), (0, 0));
        assert!(contents.ring.borrow().len() <= 2 * LOOKS);
    }
}
