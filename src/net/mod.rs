//! Listening, streams, deadlines.
