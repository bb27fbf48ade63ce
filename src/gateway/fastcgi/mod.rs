//! FastCGI 1.0 (the Open Market specification of 29 April 1996): records, name-value pairs, and what a client may be
//! answered and asked. Both sides' records are here; no I/O is.

pub mod answers;
pub mod params;
pub mod record;
pub mod requests;
pub mod script;
pub mod whole;

#[cfg(test)]
mod tests;
