//! Files under a root: opened safely, listed, spooled, and remembered.

pub mod cache;
pub mod cold;
pub mod contents;
pub mod dirlist;
pub mod open;
pub mod spool;
