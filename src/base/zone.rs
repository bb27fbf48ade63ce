//! The system's time zone, also for a process that can no longer see the files that describe it.

use std::sync::OnceLock;

use jiff::tz::TimeZone;

static KEPT: OnceLock<TimeZone> = OnceLock::new();

/// The system's time zone: as it is now, or as it was when it was kept.
pub fn local() -> TimeZone {
    KEPT.get().cloned().unwrap_or_else(TimeZone::system)
}

/// Keeps the system's time zone as it is now, for good: before a chroot(2).
pub fn keep() {
    KEPT.get_or_init(TimeZone::system);
}
