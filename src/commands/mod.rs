//! What the binary does besides serving, one file each.

pub mod compare;
pub mod ctl;
pub mod doctor;
pub mod fcgiwrap;
pub mod import;
pub mod passwd;
pub mod serve;
pub mod why;
