//! Apache syntax to typed settings; the directive table; the manual pages made from it.

mod acting;
pub mod condition;
pub mod define;
pub mod directives;
pub mod dump;
pub mod error;
pub mod include;
pub mod lines;
mod macros;
pub mod node;
pub mod quoting;
pub mod reader;
mod sections;
pub mod setting;
pub mod site;
pub mod suggest;
pub mod table;
pub mod words;
