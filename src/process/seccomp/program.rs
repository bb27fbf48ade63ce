//! A program for the kernel that is written from its end: jumps lead forward only, and so each knows how far its target is.

use libc::{BPF_JGE, sock_filter};

use super::{jump, skip};

/// The furthest a jump on a condition reaches, less one that may come between.
const NEAR: usize = 254;

/// A program, its last instruction first.
#[derive(Debug, Default)]
pub(super) struct Backwards(Vec<sock_filter>);

/// Where an instruction is: so many are there from it to the end, with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

/// Numbers in ranges: where each begins, in order, and what decides on those in it.
#[derive(Debug, Default)]
pub(super) struct Ranges(pub(super) Vec<(u32, Place)>);

impl Ranges {
    /// This decides from this number on, which is none below those before.
    pub(super) fn from(&mut self, first: u32, decides: Place) {
        self.0.pop_if(|(last, _)| *last == first);
        if self.0.last().is_none_or(|(_, last)| *last != decides) {
            self.0.push((first, decides));
        }
    }
}

impl Backwards {
    /// Instructions that stand together.
    pub(super) fn block(&mut self, instructions: &[sock_filter]) -> Place {
        self.0.extend(instructions.iter().rev());
        Place(self.0.len())
    }

    /// An instruction that ends the program, once.
    pub(super) fn end(&mut self, ending: sock_filter) -> Place {
        let same = |other: &sock_filter| (other.code, other.k) == (ending.code, ending.k);
        match self.0.iter().position(same) {
            Some(at) => Place(at + 1),
            None => self.block(&[ending]),
        }
    }

    /// Goes on at a place.
    pub(super) fn go(&mut self, place: Place) -> Place {
        match self.distance(place) {
            0 => place,
            far => self.block(&[skip(far)]),
        }
    }

    /// What decides on a number that is loaded, by the range that it is in: halves, down to one.
    pub(super) fn among(&mut self, ranges: &[(u32, Place)]) -> Place {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let Some((first, decides)) = high.first() else {
            return Place(self.0.len());
        };
        if low.is_empty() {
            return *decides;
        }
        let (high, low) = (self.among(high), self.among(low));
        let (high, low) = (self.near(high), self.near(low));
        let reach = |place| u8::try_from(self.distance(place)).unwrap_or(u8::MAX);
        let test = jump(BPF_JGE, *first, reach(high), reach(low));
        self.block(&[test])
    }

    /// The program as the kernel reads it.
    pub(super) fn forwards(mut self) -> Vec<sock_filter> {
        self.0.reverse();
        self.0
    }

    /// How many instructions are between a place and what is written next.
    fn distance(&self, place: Place) -> usize {
        self.0.len() - place.0
    }

    /// A place that a jump on a condition reaches and that leads to this one: jumps without a condition reach any.
    fn near(&mut self, place: Place) -> Place {
        if self.distance(place) > NEAR {
            self.go(place)
        } else {
            place
        }
    }
}
