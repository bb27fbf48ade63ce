//! Small facts about text, time and paths, so that the rest of the house sees our types.

pub mod glob;
