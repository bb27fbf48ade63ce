//! Children, privileges, signals, and messages that carry descriptors. The only room with `unsafe`.
//!
//! A child is described by a [`child::ChildSpec`] and started by [`child::spawn`], or by [`child::launch`] where nobody
//! waits: the only door to `exec` but [`handover::execute`], by which the launcher becomes another version of itself, and
//! [`exec::exec`], by which a process that was started for it becomes a service. Roles talk over a [`channel::Channel`] in the
//! small enums of [`message`]; what a role inherits is listed in an [`inherit::Outfit`].
#![expect(
    unsafe_code,
    reason = "system calls that no safe wrapper offers live here and nowhere else"
)]

pub mod alarm;
pub mod answer;
pub mod backoff;
pub mod bounded;
pub mod capabilities;
pub mod channel;
pub mod child;
mod clone;
#[cfg(test)]
pub mod counted;
pub mod counts;
pub mod ctl;
pub mod descendants;
pub mod environment;
pub mod exec;
pub mod footprint;
pub mod fork;
pub mod handover;
pub mod identity;
pub mod inherit;
pub mod jail;
pub mod landlock;
pub mod limits;
pub mod listening;
pub mod mark;
pub mod memfd;
pub mod message;
pub mod names;
pub mod notify;
pub mod null;
pub mod pidfd;
pub mod pidfile;
pub mod probe;
#[cfg(test)]
pub mod raw;
pub mod replace;
pub mod report;
pub mod say;
pub mod seccomp;
pub mod signal;
pub mod supervise;
pub mod title;
pub mod usage;
pub mod watched;
mod wire;
pub mod write_now;
