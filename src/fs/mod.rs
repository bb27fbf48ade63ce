//! Files under a root: opened safely, listed, spooled.

pub mod cold;
pub mod dirlist;
pub mod open;
pub mod spool;
