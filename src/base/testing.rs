//! What tests of pure rooms share.

/// Calls `try_cut` with `input` cut in two at every place, both ends included.
pub fn every_cut(input: &[u8], mut try_cut: impl FnMut(&[u8], &[u8])) {
    for at in 0..=input.len() {
        let (head, tail) = input.split_at(at);
        try_cut(head, tail);
    }
}
