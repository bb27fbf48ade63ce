//! Server-side includes, the language of Apache's `mod_include`: a document with elements such as `<!--#echo var="X" -->`.
//!
//! Everything here is pure. [`scan`] takes a document apart as it comes, [`expand`] fills in variables, [`legacy`] reads the
//! conditions of `SSILegacyExprParser on`, [`codec`] knows the encodings of `echo` and `set`, and [`moment`] writes dates.

pub mod codec;
pub mod expand;
pub mod legacy;
pub mod moment;
pub mod scan;
pub mod size;
pub mod variables;
