//! Directives that lychgate does not have.

use crate::config::directives;
use crate::config::error::ConfigError;
use crate::config::node::Node;
use crate::config::suggest;

/// What to say of a directive or section that the table does not have.
pub fn answer(node: &Node) -> Option<ConfigError> {
    let name = node.name();
    let message = match suggest::nearest(name, directives::all().map(|d| d.name)) {
        Some(near) => format!("is not a directive; did you mean `{near}`?"),
        None => "is not a directive".to_owned(),
    };
    Some(ConfigError::error(node.span(), name, message))
}
