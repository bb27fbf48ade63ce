//! Expires and `Cache-Control: max-age`: how long an answer may be kept.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use crate::base::date::HttpDate;
use crate::config::directives::expires::{Base, Expires, Lifetime};
use crate::exchange::Exchange;
use crate::exchange::response::Response;
use crate::filters::tables::Tables;
use crate::http::depends;

/// Whether there is anything to do.
pub fn concern(ex: &Exchange) -> bool {
    ex.conf().expires.active.or(false)
}

/// Adds the fields. Errors get none, and an answer that has Expires keeps it.
pub fn apply(ex: &Exchange, response: &Response, tables: &mut Tables) {
    if !concern(ex) || response.head.status.is_error() {
        return;
    }
    if tables.always.contains("Expires") || tables.success.contains("Expires") {
        return;
    }
    let Some(lifetime) = lifetime(&ex.conf().expires, tables.media_type.as_deref()) else {
        return;
    };
    let Some(until) = until(ex, lifetime) else { return };
    let age = until.duration_since(ex.began.wall).unwrap_or_default();
    let age = format!("max-age={}", age.as_secs());
    tables.success.merge("Cache-Control", age.as_bytes());
    let mut date = Vec::with_capacity(29);
    HttpDate::from(until).append_to(&mut date);
    tables.success.set("Expires", date);
}

/// By the type, by the kind of type, or by default.
fn lifetime(expires: &Expires, media_type: Option<&[u8]>) -> Option<Lifetime> {
    let bare = media_type.map(|value| value.split(|byte| *byte == b';').next().unwrap_or_default());
    let bare = bare.map(|value| value.trim_ascii().to_ascii_lowercase());
    let by_type = bare.as_ref().and_then(|bare| expires.by_type.find(bare));
    let by_kind = || {
        let bare = bare.as_ref().filter(|_| expires.has_kinds)?;
        let slash = bare.iter().position(|byte| *byte == b'/')?;
        let kind = [bare.get(..=slash)?, b"*"].concat();
        expires.by_type.find(&kind)
    };
    by_type.or_else(by_kind).or(expires.default.value()).copied()
}

/// When the lifetime ends, but not before the request; nothing where it counts from a file that is not there.
fn until(ex: &Exchange, lifetime: Lifetime) -> Option<SystemTime> {
    depends::on_second(ex.began.wall);
    let base = match lifetime.base {
        Base::Access => ex.began.wall,
        Base::Modification => {
            depends::on_more();
            std::fs::metadata(OsStr::from_bytes(&ex.file)).ok()?.modified().ok()?
        }
    };
    let length = Duration::from_secs(lifetime.seconds.unsigned_abs());
    let until = if lifetime.seconds < 0 {
        base.checked_sub(length)
    } else {
        base.checked_add(length)
    };
    Some(until?.max(ex.began.wall))
}
