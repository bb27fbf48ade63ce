//! Scripts in their cages.
