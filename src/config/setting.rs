//! The cells of which settings are made, and how an inner section's merge over an outer one's.

use std::collections::BTreeMap;
use std::ops::Deref;

/// What an inner scope does to the settings of the scope around it.
pub trait Merge {
    /// Lays `inner` over `self`.
    fn merge(&mut self, inner: &Self);
}

/// One value, which an inner section replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T>(Option<T>);

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Setting(None)
    }
}

impl<T> Setting<T> {
    /// Records `value`, replacing an earlier one of the same scope.
    pub fn set(&mut self, value: T) {
        self.0 = Some(value);
    }

    /// The value, if any scope gave one.
    pub fn value(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: Copy> Setting<T> {
    /// The value, or `default` where no scope gave one.
    pub fn or(&self, default: T) -> T {
        self.0.unwrap_or(default)
    }
}

impl<T: Clone> Merge for Setting<T> {
    fn merge(&mut self, inner: &Self) {
        if inner.0.is_some() {
            self.0.clone_from(&inner.0);
        }
    }
}

/// One value, which an inner scope replaces, but with nothing: that of its type (0) stands for the outer scope's, as in Apache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yielding<T>(Setting<T>);

impl<T> Default for Yielding<T> {
    fn default() -> Self {
        Yielding(Setting::default())
    }
}

impl<T> Yielding<T> {
    /// Records `value`, replacing an earlier one of the same scope.
    pub fn set(&mut self, value: T) {
        self.0.set(value);
    }
}

impl<T: Copy> Yielding<T> {
    /// The value, or `default` where no scope gave one.
    pub fn or(&self, default: T) -> T {
        self.0.or(default)
    }
}

impl<T: Clone + Default + PartialEq> Merge for Yielding<T> {
    fn merge(&mut self, inner: &Self) {
        if inner.0.value() != Some(&T::default()) {
            self.0.merge(&inner.0);
        }
    }
}

/// One value of a scope's own: an inner scope that gives none has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own<T>(Setting<T>);

impl<T> Default for Own<T> {
    fn default() -> Self {
        Own(Setting::default())
    }
}

impl<T> Own<T> {
    /// Records `value`, replacing an earlier one of the same scope.
    pub fn set(&mut self, value: T) {
        self.0.set(value);
    }
}

impl<T: Copy> Own<T> {
    /// The value, or `default` where the scope gave none.
    pub fn or(&self, default: T) -> T {
        self.0.or(default)
    }
}

impl<T: Clone> Merge for Own<T> {
    fn merge(&mut self, inner: &Self) {
        self.0.clone_from(&inner.0);
    }
}

/// A list to which inner sections add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended<T>(Vec<T>);

impl<T> Default for Appended<T> {
    fn default() -> Self {
        Appended(Vec::new())
    }
}

impl<T> Appended<T> {
    /// Adds one at the end.
    pub fn push(&mut self, value: T) {
        self.0.push(value);
    }

    /// The last one, to be completed.
    pub fn last_mut(&mut self) -> Option<&mut T> {
        self.0.last_mut()
    }
}

impl<T> Deref for Appended<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Clone> Merge for Appended<T> {
    fn merge(&mut self, inner: &Self) {
        self.0.extend_from_slice(&inner.0);
    }
}

/// A list that inner sections begin: what they say is tried first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepended<T>(Vec<T>);

impl<T> Default for Prepended<T> {
    fn default() -> Self {
        Prepended(Vec::new())
    }
}

impl<T> Prepended<T> {
    /// Adds one behind the others of the same scope.
    pub fn push(&mut self, value: T) {
        self.0.push(value);
    }
}

impl<T> Deref for Prepended<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Clone> Merge for Prepended<T> {
    fn merge(&mut self, inner: &Self) {
        let outer = std::mem::replace(&mut self.0, inner.0.clone());
        self.0.extend(outer);
    }
}

/// A map whose entries an inner section replaces one by one, or takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped<K, V>(BTreeMap<K, Option<V>>);

impl<K, V> Default for Mapped<K, V> {
    fn default() -> Self {
        Mapped(BTreeMap::new())
    }
}

impl<K: Ord, V> Mapped<K, V> {
    /// Gives `key` a value.
    pub fn insert(&mut self, key: K, value: V) {
        self.0.insert(key, Some(value));
    }

    /// Takes `key` away, from outer scopes too.
    pub fn remove(&mut self, key: K) {
        self.0.insert(key, None);
    }

    /// The value of `key`, if it has one that was not taken away.
    pub fn find<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.0.get(key)?.as_ref()
    }

    /// Whether a scope took `key` away, and none gave it a value since.
    pub fn has_lost<Q>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        matches!(self.0.get(key), Some(None))
    }

    /// Whether no scope said anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries that have a value, in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)))
    }
}

impl<K: Ord + Clone, V: Clone> Merge for Mapped<K, V> {
    fn merge(&mut self, inner: &Self) {
        for (key, value) in &inner.0 {
            self.0.insert(key.clone(), value.clone());
        }
    }
}

/// Which sections that are looked through anew for each name have a part in settings; who merges says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Laid {
    /// `<Files>`.
    pub files: bool,
    /// `<Location>`.
    pub locations: bool,
    /// A branch of `<If>`.
    pub branches: bool,
}

impl Merge for Laid {
    fn merge(&mut self, _inner: &Self) {}
}

/// Writes a settings struct together with its merge, so that no field can be forgotten there.
macro_rules! settings {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub struct $name { $($(#[$field_meta])* pub $field: $kind,)* }

        impl $crate::config::setting::Merge for $name {
            fn merge(&mut self, inner: &Self) {
                $($crate::config::setting::Merge::merge(&mut self.$field, &inner.$field);)*
            }
        }
    };
}
pub(crate) use settings;

#[cfg(test)]
mod tests {
    use super::{Appended, Mapped, Merge, Own, Setting, Yielding};

    #[test]
    fn an_inner_scope_replaces_adds_and_takes_away() {
        let (mut outer, mut inner) = (Setting::default(), Setting::default());
        outer.set(1);
        outer.merge(&inner);
        assert_eq!(outer.or(0), 1);
        inner.set(2);
        outer.merge(&inner);
        assert_eq!(outer.or(0), 2);

        for (said, want) in [(3, 3), (0, 1)] {
            let (mut outer, mut inner) = (Yielding::default(), Yielding::default());
            outer.set(1);
            outer.merge(&inner);
            assert_eq!(outer.or(7), 1);
            inner.set(said);
            outer.merge(&inner);
            assert_eq!(outer.or(7), want);
        }

        let (mut outer, inner) = (Own::default(), Own::default());
        outer.set(1);
        outer.merge(&inner);
        assert_eq!(outer.or(0), 0);

        let (mut outer, mut inner) = (Appended::default(), Appended::default());
        outer.push(1);
        inner.push(2);
        outer.merge(&inner);
        assert_eq!(&outer[..], [1, 2]);

        let (mut outer, mut inner) = (Mapped::default(), Mapped::default());
        outer.insert("a", 1);
        outer.insert("b", 2);
        inner.remove("a");
        outer.merge(&inner);
        assert_eq!((outer.find("a"), outer.find("b")), (None, Some(&2)));
    }
}
