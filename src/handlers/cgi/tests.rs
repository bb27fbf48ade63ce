//! Requests for real scripts.
