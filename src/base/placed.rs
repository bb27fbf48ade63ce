//! Futures that are made where they stay.

use std::pin::Pin;

/// Boxes what `make` makes, like `Box::pin`, which makes it on the stack first and copies all of it from there: 7 KiB for the
/// future of a request, of which few bytes say anything yet. Where the room is there before, the compiler writes those alone.
#[inline]
pub fn placed<T>(make: impl FnOnce() -> T) -> Pin<Box<T>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
