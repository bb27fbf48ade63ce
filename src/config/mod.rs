//! Apache syntax to typed settings; the directive table; the manual pages made from it.

pub mod directives;
pub mod error;
pub mod setting;
pub mod site;
pub mod table;
pub mod words;
