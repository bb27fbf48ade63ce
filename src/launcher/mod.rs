//! The parent role: binds, starts the other roles, watches, stops.
