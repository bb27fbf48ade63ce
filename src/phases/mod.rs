//! The steps before a handler, one file each.
