//! Real children whose calls wait.
