//! Lychgate's own page of a listing: it fits small screens, has its icons in itself, and is sorted by a click.

use std::sync::Arc;

use crate::base::quote;
use crate::base::size;
use crate::base::zone;
use crate::config::directives::autoindex::options::Looks;
use crate::config::directives::autoindex::{Direction, Key, Listing};
use crate::exchange::Exchange;
use crate::exchange::looks::Looks as LooksAhead;
use crate::exchange::page as house;
use crate::exchange::response::Body;
use crate::fs::dirlist;
use crate::handlers::autoindex::page::{Page, Rows};
use crate::handlers::autoindex::query::Wanted;
use crate::handlers::autoindex::rows::Row;
use crate::handlers::autoindex::{self as listing, Amble};

const STYLE: &str = "\
main{max-width:60rem;padding-top:clamp(1rem,5vw,3.5rem)}\
h1 a{text-decoration:none}h1 a:hover,.l a:hover{text-decoration:underline}h1 i{font-style:normal;color:var(--soft);font-weight:400;padding:0 .15em}\
svg{width:1.25rem;height:1.25rem;flex:none;fill:none;stroke:var(--soft);stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round}\
svg.d{stroke:var(--link);fill:color-mix(in srgb,var(--link) 18%,transparent)}\
.l{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
.l th{text-align:left;font-weight:600;font-size:.85rem;padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line);white-space:nowrap}\
.l th a{color:var(--soft);text-decoration:none}.l th[aria-sort] a{color:var(--ink)}\
.l td{padding:0 .75rem 0 0;border-bottom:1px solid var(--line);color:var(--soft);vertical-align:middle}\
.l td:first-child{width:100%}.l td a{display:flex;gap:.7rem;align-items:center;padding:.5rem 0;min-height:2.75rem;text-decoration:none;overflow-wrap:anywhere}\
.l td:nth-child(n+2){white-space:nowrap;font-size:.9rem}.l .n{text-align:right}.l td.t{white-space:normal;min-width:14rem}\
.l th:last-child,.l td:last-child{padding-right:0}\
.l tbody tr:hover{background:color-mix(in srgb,var(--ink) 5%,transparent)}\
.e{color:var(--soft);padding:1rem 0}.s{color:var(--soft);font-size:.85rem}pre{overflow-x:auto}\
@media(max-width:40rem){.l,.l tbody,.l thead{display:block}.l tr{display:grid;grid-template-columns:1fr auto;border-bottom:1px solid var(--line)}\
.l thead tr{display:flex;gap:1.25rem}.l th.n{margin-left:auto}.l th.t,.l td:empty{display:none}.l th,.l td,.l td:first-child{border:0;width:auto}\
.l td a{padding-bottom:.35rem}.l td:first-child{grid-area:1/1}.l td.n{grid-area:1/2;align-self:center;padding:0}.l td.m{grid-area:2/1/3/3}.l td.t{grid-area:3/1/4/3}.l th:nth-last-child(2){padding-right:0}.l td.m,.l td.t{padding:0 0 .45rem 1.95rem;margin-top:-.3rem;font-size:.8rem}}";

const ICONS: &str = "<svg hidden style=\"display:none\"><defs>\
<symbol id=\"u\" viewBox=\"0 0 24 24\"><path d=\"M9 5 4 10l5 5M4 10h10a6 6 0 0 1 6 6v3\"/></symbol>\
<symbol id=\"d\" viewBox=\"0 0 24 24\"><path d=\"M3 6.5A1.5 1.5 0 0 1 4.5 5H9l2.5 2.5h8A1.5 1.5 0 0 1 21 9v9a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 18z\"/></symbol>\
<symbol id=\"f\" viewBox=\"0 0 24 24\"><path d=\"M6 3h8l5 5v13H6zM14 3v5h5\"/></symbol>\
<symbol id=\"t\" viewBox=\"0 0 24 24\"><path d=\"M6 3h8l5 5v13H6zM14 3v5h5M9 12h7M9 15h7M9 18h4\"/></symbol>\
<symbol id=\"i\" viewBox=\"0 0 24 24\"><path d=\"M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9.5h.01\"/></symbol>\
<symbol id=\"a\" viewBox=\"0 0 24 24\"><path d=\"M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z\"/></symbol>\
<symbol id=\"v\" viewBox=\"0 0 24 24\"><path d=\"M4 5h16v14H4zM10 9v6l5-3z\"/></symbol>\
<symbol id=\"z\" viewBox=\"0 0 24 24\"><path d=\"M6 3h12v18H6zM11 3v2h2v2h-2v2h2v2h-2M11 14h2v3h-2z\"/></symbol>\
</defs></svg>\n";

/// The page.
pub async fn page<L: LooksAhead>(
    ex: &Exchange,
    settings: &Listing,
    wanted: &Wanted,
    rows: Vec<Row>,
    is_cut: bool,
    looks: &L,
) -> Body {
    let url = ex.target.path.as_bytes();
    let mut page = Page::new();
    page.text(head(settings, url));
    match listing::above(ex, settings, looks).await {
        Some(Amble::Html(body)) => page.body(body),
        Some(Amble::Text(file)) => {
            page.text(trail(url));
            listing::add_text(&mut page, file);
        }
        None => page.text(trail(url)),
    }
    let own = Own {
        rows,
        has_descriptions: false,
    };
    own.add_to(&mut page, wanted, is_cut);
    let mut end = Vec::new();
    let mut signature = ex.signature();
    match listing::below(ex, settings, looks).await {
        Some(Amble::Html(body)) => {
            page.body(body);
            signature = None;
        }
        Some(Amble::Text(file)) => {
            listing::add_text(&mut page, file);
            signature = None;
        }
        None => {}
    }
    house::end(&mut end, signature.as_deref());
    page.text(end);
    page.into_body()
}

/// The page up to its heading.
fn head(settings: &Listing, url: &[u8]) -> Vec<u8> {
    let mut more = Vec::new();
    if let Some(sheet) = settings.style_sheet.value() {
        more.extend_from_slice(b"<link rel=\"stylesheet\" href=\"");
        quote::escape_html(&mut more, sheet);
        more.extend_from_slice(b"\">\n");
    }
    more.extend_from_slice(settings.head_insert.value().map_or(&[], Vec::as_slice));
    let mut page = house::head(&[b"Index of ", url].concat(), STYLE, &more);
    page.extend_from_slice(ICONS.as_bytes());
    page
}

/// The heading: the way to here, each directory a link.
fn trail(url: &[u8]) -> Vec<u8> {
    let mut out = b"<h1>".to_vec();
    let mut segments = url
        .split(|byte| *byte == b'/')
        .filter(|segment| !segment.is_empty())
        .peekable();
    let depth = segments.clone().count();
    if depth == 0 {
        out.extend_from_slice(b"Index of /");
    } else {
        out.extend_from_slice(b"<a href=\"");
        out.extend_from_slice(&b"../".repeat(depth));
        out.extend_from_slice("\" aria-label=\"Top directory\">\u{2302}</a>".as_bytes());
    }
    let mut left = depth;
    while let Some(segment) = segments.next() {
        left -= 1;
        out.extend_from_slice(b"<i>/</i>");
        if segments.peek().is_some() {
            out.extend_from_slice(b"<a href=\"");
            out.extend_from_slice(&b"../".repeat(left));
            out.extend_from_slice(b"\">");
        }
        quote::escape_html(&mut out, segment);
        if segments.peek().is_some() {
            out.extend_from_slice(b"</a>");
        }
    }
    out.extend_from_slice(b"</h1>\n");
    out
}

struct Own {
    rows: Vec<Row>,
    has_descriptions: bool,
}

impl Own {
    fn add_to(mut self, page: &mut Page, wanted: &Wanted, is_cut: bool) {
        self.has_descriptions = self.rows.iter().any(|row| row.description.is_some());
        let count = self.rows.iter().filter(|row| !row.is_parent).count();
        page.text(self.columns(wanted));
        let sum = self.sum();
        page.rows(Box::new(self));
        let mut end = b"</tbody>\n</table>\n".to_vec();
        if count == 0 {
            end.extend_from_slice(b"<p class=\"e\">Nothing to show here.</p>\n");
        } else {
            end.extend_from_slice(format!("<p class=\"s\">{sum}</p>\n").as_bytes());
        }
        if is_cut {
            let note = format!("<p>Only {} names are shown.</p>\n", dirlist::MOST_ENTRIES);
            end.extend_from_slice(note.as_bytes());
        }
        page.text(end);
    }

    /// How much there is.
    fn sum(&self) -> String {
        let plural = |count: usize, one: &str, more: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {more}")),
        };
        let entries = || self.rows.iter().filter(|row| !row.is_parent);
        let directories = entries().filter(|row| row.is_directory).count();
        let files = entries().count() - directories;
        let bytes: u64 = entries().filter_map(|row| row.size).fold(0, u64::saturating_add);
        let files = plural(files, "file", "files").map(|files| format!("{files}, {}", size::abbreviated(bytes).trim()));
        let parts = [plural(directories, "folder", "folders"), files];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn columns(&self, wanted: &Wanted) -> Vec<u8> {
        let mut out = b"<table class=\"l\">\n<thead><tr>".to_vec();
        let columns = [
            (Key::Name, "N", "", "Name"),
            (Key::Date, "M", " class=\"m\"", "Last modified"),
            (Key::Size, "S", " class=\"n\"", "Size"),
            (Key::Description, "D", " class=\"t\"", "Description"),
        ];
        for (key, letter, class, words) in columns {
            if key == Key::Description && !self.has_descriptions {
                continue;
            }
            let is_this = wanted.order.key == key;
            let ascends = wanted.order.direction == Direction::Ascending;
            let (sorted, arrow) = match (is_this, ascends) {
                (false, _) => ("", ""),
                (true, true) => (" aria-sort=\"ascending\"", " \u{2191}"),
                (true, false) => (" aria-sort=\"descending\"", " \u{2193}"),
            };
            out.extend_from_slice(format!("<th{class}{sorted}>").as_bytes());
            if wanted.looks.has(Looks::NO_SORTING) {
                out.extend_from_slice(words.as_bytes());
            } else {
                let turned = if is_this && ascends { "D" } else { "A" };
                out.extend_from_slice(format!("<a href=\"?C={letter};O={turned}").as_bytes());
                out.extend_from_slice(&wanted.kept);
                out.extend_from_slice(format!("\">{words}{arrow}</a>").as_bytes());
            }
            out.extend_from_slice(b"</th>");
        }
        out.extend_from_slice(b"</tr></thead>\n<tbody>\n");
        out
    }
}

impl Rows for Own {
    fn write(&self, number: usize, out: &mut Vec<u8>) -> Option<()> {
        let row = self.rows.get(number)?;
        let symbol = symbol(row);
        let class = if symbol == "d" { " class=\"d\"" } else { "" };
        out.extend_from_slice(b"<tr><td><a href=\"");
        quote::escape_html(out, &quote::url_relative(&row.name));
        out.extend_from_slice(
            format!("\"><svg{class} aria-hidden=\"true\"><use href=\"#{symbol}\"/></svg><span>").as_bytes(),
        );
        if row.is_parent {
            out.extend_from_slice(b"Parent directory");
        } else {
            quote::escape_html(out, &row.name);
        }
        out.extend_from_slice(b"</span></a></td><td class=\"m\">");
        if let Some((seconds, _)) = row.modified {
            out.extend_from_slice(day_and_time(seconds).as_bytes());
        }
        out.extend_from_slice(b"</td><td class=\"n\">");
        if let Some(bytes) = row.size {
            out.extend_from_slice(size::abbreviated(bytes).trim().as_bytes());
        }
        out.extend_from_slice(b"</td>");
        if self.has_descriptions {
            out.extend_from_slice(b"<td class=\"t\">");
            out.extend_from_slice(row.description.as_ref().map_or(&b""[..], Arc::as_ref));
            out.extend_from_slice(b"</td>");
        }
        out.extend_from_slice(b"</tr>\n");
        Some(())
    }
}

/// The icon of an entry: its kind's, by the media type.
fn symbol(row: &Row) -> &'static str {
    if row.is_parent {
        return "u";
    }
    if row.is_directory {
        return "d";
    }
    let media_type = row.media_type.as_deref().unwrap_or_default();
    let is_archive = [
        "application/zip",
        "application/gzip",
        "application/x-gzip",
        "application/x-tar",
        "application/x-xz",
        "application/x-bzip2",
        "application/x-7z-compressed",
        "application/zstd",
        "application/vnd.debian.binary-package",
        "application/x-rpm",
        "application/java-archive",
    ]
    .iter()
    .any(|known| known.as_bytes() == media_type);
    match media_type.split(|byte| *byte == b'/').next() {
        _ if is_archive => "z",
        Some(b"text") => "t",
        Some(b"image") => "i",
        Some(b"audio") => "a",
        Some(b"video") => "v",
        _ => match media_type {
            b"application/pdf" | b"application/json" | b"application/xml" | b"application/javascript" => "t",
            _ => "f",
        },
    }
}

fn day_and_time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.to_zoned(zone::local()).strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}
