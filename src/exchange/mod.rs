//! The request in progress: what is known of it, its body, its outcome.
