//! What the watching of a script has to say about it, for the error log.

/// How much a note weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The script failed, or complains.
    Error,
    /// Something of it was left out.
    Warning,
    /// Nothing is wrong.
    Info,
}

/// Takes notes about one script's request, which it knows.
pub trait Notes {
    /// Writes one record. `pid` is the script's; the text is one line, with all that comes from the script escaped.
    fn note(&self, weight: Weight, pid: Option<i32>, text: &str);
}
