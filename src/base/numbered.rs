//! Things that are found by a number, which is the smallest that is free or one that was given back.

/// Things and their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

/// Room for so many is kept when there are none.
const KEPT: usize = 64;

impl<T> Default for Numbered<T> {
    fn default() -> Numbered<T> {
        Numbered {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Numbered<T> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Takes one in, and gives its number.
    pub fn insert(&mut self, thing: T) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            // There are not so many descriptors, of whose owners this is.
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.places.get_mut(number as usize) {
            *place = Some(thing);
        }
        number
    }

    /// The one with this number.
    pub fn of_mut(&mut self, number: u32) -> Option<&mut T> {
        self.places.get_mut(number as usize)?.as_mut()
    }

    /// Gives up the one with this number, which becomes free. Behind the last one of many no memory is kept.
    pub fn take(&mut self, number: u32) -> Option<T> {
        let thing = self.places.get_mut(number as usize)?.take()?;
        self.free.push(number);
        if self.is_empty() && self.places.capacity() > KEPT {
            *self = Numbered::default();
        }
        Some(thing)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let numbers = 0_u32..;
        numbers
            .zip(&self.places)
            .filter_map(|(number, place)| Some((number, place.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::Numbered;

    #[test]
    fn numbers_are_given_again_and_nothing_is_kept_of_none() {
        let mut all = Numbered::default();
        assert!(all.is_empty());
        let numbers: Vec<u32> = ["a", "b", "c"].map(|thing| all.insert(thing)).to_vec();
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!((all.take(1), all.take(1), all.take(7)), (Some("b"), None, None));
        assert_eq!(
            (all.count(), all.of_mut(1).is_none(), all.of_mut(2).is_some()),
            (2, true, true)
        );
        assert_eq!(all.insert("d"), 1);
        *all.of_mut(0).expect("it is there") = "e";
        assert_eq!(all.iter().collect::<Vec<_>>(), [(0, &"e"), (1, &"d"), (2, &"c")]);
        assert!((0..3).all(|number| all.take(number).is_some()));
        assert!(all.is_empty());
        let many: Vec<u32> = (0..1000).map(|_| all.insert("f")).collect();
        assert!(many.into_iter().all(|number| all.take(number).is_some()));
        assert_eq!((all.places.capacity(), all.free.capacity()), (0, 0));
    }
}
