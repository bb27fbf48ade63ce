//! Apache syntax to typed settings; the directive table; the manual pages made from it.

mod acting;
pub mod condition;
pub mod define;
pub mod directives;
pub mod dump;
pub mod error;
pub mod file;
pub mod handlers;
pub mod hosts;
pub mod include;
pub mod lines;
pub mod links;
pub mod load;
pub mod logs;
mod macros;
pub mod manual;
pub mod node;
pub mod places;
pub mod quoting;
pub mod reader;
pub mod resolve;
mod sections;
pub mod setting;
pub mod site;
pub mod suggest;
pub mod table;
pub mod words;
