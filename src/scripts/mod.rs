//! Programs asked for and watched: queue, caps, deadlines, stderr, diagnosis.

pub mod client;
pub mod diagnosis;
