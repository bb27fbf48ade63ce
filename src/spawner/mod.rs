//! The role that starts scripts.
