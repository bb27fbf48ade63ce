//! A plain listing of a directory that has no index file.

use bytes::Bytes;

use crate::base::quote;
use crate::base::zone;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::page;
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Outcome, Response};
use crate::fs::dirlist::{self, Entry};
use crate::fs::open::{Found, Kind};
use crate::handlers::static_file::ALLOWED;
use crate::http::method::Method;
use crate::http::status::Status;

/// Lists the directory of a place.
pub fn run(ex: &mut Exchange, place: &Place) -> Result<Outcome, Fail> {
    ex.handler = b"httpd/unix-directory".to_vec();
    match ex.method {
        Method::Get | Method::Head => {}
        Method::Other => return Err(Fail::client(Status::NOT_IMPLEMENTED, "method not known")),
        _ => {
            let note = "a listing can only be read";
            return Err(Fail::client(Status::METHOD_NOT_ALLOWED, note).with_field("Allow", ALLOWED));
        }
    }
    let Found::Directory(seen) = &place.found else {
        return Err(Fail::internal("a place that is no directory was given to the listing"));
    };
    let refused = |why: String| {
        Fail::site(
            Status::FORBIDDEN,
            format!("cannot list `{}`: {why}", String::from_utf8_lossy(&place.path)),
        )
        .of_module("autoindex")
    };
    let directory = seen.open().map_err(|error| {
        ex.trace_open_error(&place.path, error);
        refused(error.reason())
    })?;
    let entries = dirlist::read(&directory).map_err(|error| refused(error.to_string()))?;
    let url = ex.target.path.as_bytes();
    let mut response = Response::new(Status::OK, Body::Bytes(Bytes::from(listing(url, &entries, place))));
    response.head.fields.append("Content-Type", "text/html;charset=UTF-8");
    Ok(Outcome::Reply(response))
}

/// The page. Names that begin with a dot are left out, as are those that look like passwords' and editors' files.
fn listing(url: &[u8], entries: &[Entry], place: &Place) -> Vec<u8> {
    let mut title = b"Index of ".to_vec();
    title.extend_from_slice(url);
    let mut page = page::begin(&title);
    page.extend_from_slice(b"<table class=\"list\">\n<thead><tr><th>Name</th><th>Last modified</th><th class=\"n\">Size</th></tr></thead>\n<tbody>\n");
    if url != b"/" {
        page.extend_from_slice(b"<tr><td><a href=\"../\">Parent directory</a></td><td></td><td></td></tr>\n");
    }
    let (directories, files): (Vec<_>, Vec<_>) = entries
        .iter()
        .filter(|entry| shown(&entry.name) && !place.conf.autoindex.ignores(&entry.name))
        .partition(|entry| entry.meta.kind == Kind::Directory);
    for entry in directories.into_iter().chain(files) {
        row(&mut page, entry);
    }
    page.extend_from_slice(b"</tbody>\n</table>\n");
    if entries.len() >= dirlist::MOST_ENTRIES {
        page.extend_from_slice(
            format!("<p>Only the first {} names are shown.</p>\n", dirlist::MOST_ENTRIES).as_bytes(),
        );
    }
    page::end(&mut page, None);
    page
}

fn shown(name: &[u8]) -> bool {
    name.first() != Some(&b'.') && !name.ends_with(b"~") && !name.ends_with(b"#")
}

fn row(page: &mut Vec<u8>, entry: &Entry) {
    let slash: &[u8] = if entry.meta.kind == Kind::Directory { b"/" } else { b"" };
    page.extend_from_slice(b"<tr><td><a href=\"");
    quote::escape_html(page, &quote::url_relative(&entry.name));
    page.extend_from_slice(slash);
    page.extend_from_slice(b"\">");
    quote::escape_html(page, &entry.name);
    page.extend_from_slice(slash);
    page.extend_from_slice(b"</a></td><td>");
    page.extend_from_slice(day_and_time(entry.meta.mtime.0).as_bytes());
    page.extend_from_slice(b"</td><td class=\"n\">");
    if entry.meta.kind == Kind::File {
        page.extend_from_slice(readable_size(entry.meta.size).as_bytes());
    }
    page.extend_from_slice(b"</td></tr>\n");
}

fn day_and_time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.to_zoned(zone::local()).strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}

/// A size as people read it, as Apache's listings have it: `512`, `1.5K`, `23M`.
fn readable_size(bytes: u64) -> String {
    if bytes < 973 {
        return bytes.to_string();
    }
    let (mut whole, mut rest) = (bytes, 0);
    for unit in ["K", "M", "G", "T", "P", "E"] {
        rest = whole % 1024;
        whole /= 1024;
        if whole < 973 {
            if whole < 9 || (whole == 9 && rest < 973) {
                let tenths = (rest * 5 + 256) / 512;
                let (whole, tenths) = if tenths >= 10 { (whole + 1, 0) } else { (whole, tenths) };
                return format!("{whole}.{tenths}{unit}");
            }
            return format!("{}{unit}", if rest >= 512 { whole + 1 } else { whole });
        }
    }
    format!("{}E", whole + u64::from(rest >= 512))
}

#[cfg(test)]
mod tests {
    use super::readable_size;

    #[test]
    fn sizes_are_short() {
        for (bytes, want) in [
            (0, "0"),
            (972, "972"),
            (973, "1.0K"),
            (1024, "1.0K"),
            (1536, "1.5K"),
            (10 * 1024, "10K"),
            (1_048_576, "1.0M"),
            (5_000_000_000, "4.7G"),
        ] {
            assert_eq!(readable_size(bytes), want, "{bytes}");
        }
    }
}
