//! Listings of directories that have no index file (`mod_autoindex`): pages of lychgate's own, and Apache's.

mod apache;
mod own;
mod page;
mod query;
mod rows;
mod title;

use std::sync::Arc;

use crate::base::date::HttpDate;
use crate::base::quote;
use crate::config::directives::autoindex::Listing;
use crate::config::directives::autoindex::options::Looks;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::looks::Looks as LooksAhead;
use crate::exchange::place::Place;
use crate::exchange::response::{Body, Outcome, Response};
use crate::exchange::tag;
use crate::fs::dirlist;
use crate::fs::open::{Found, OpenFile};
use crate::handlers::autoindex::page::{Page, Shown};
use crate::handlers::autoindex::query::{Form, Wanted};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::lang::log_level::Level;

/// Lists the directory of a place.
pub async fn run<L: LooksAhead>(ex: &mut Exchange, place: &Place, looks: &L) -> Result<Outcome, Fail> {
    ex.handler = b"httpd/unix-directory".to_vec();
    let Found::Directory(seen) = &place.found else {
        return Err(Fail::internal("a place that is no directory was given to the listing"));
    };
    let directory = seen.open().map_err(|error| {
        ex.trace_open_error(&place.path, error);
        refused(place, &error.reason())
    })?;
    let settings = Arc::new(place.conf.autoindex.in_force());
    let wanted = Wanted::new(&settings, ex.target.query.as_deref());
    let mut response = Response::new(Status::OK, Body::Empty);
    add_fields(ex, &settings, wanted.form, &directory, &mut response);
    if ex.method != Method::Head {
        let entries = dirlist::read(&directory).map_err(|error| refused(place, &error.to_string()))?;
        let is_cut = entries.len() >= dirlist::MOST_ENTRIES;
        if is_cut {
            let directory = String::from_utf8_lossy(&place.path);
            let note = format!(
                "`{directory}` has more than {} entries; the others are not listed",
                dirlist::MOST_ENTRIES
            );
            ex.rewriting.lines.push(Level::Warn, "autoindex", note);
        }
        let rows = rows::gather(ex, place, &settings, &wanted, entries, looks).await;
        response.body = match wanted.form {
            Form::Own => own::page(ex, &settings, &wanted, rows, is_cut, looks).await,
            Form::Plain | Form::Fancy | Form::Table => apaches(ex, &settings, wanted, rows, looks).await,
        };
    }
    Ok(Outcome::Reply(response))
}

fn refused(place: &Place, why: &str) -> Fail {
    let note = format!("cannot list `{}`: {why}", String::from_utf8_lossy(&place.path));
    Fail::site(Status::FORBIDDEN, note).of_module("autoindex")
}

fn add_fields(ex: &Exchange, settings: &Listing, form: Form, directory: &OpenFile, response: &mut Response) {
    let options = &settings.options;
    let usual: &[u8] = if form == Form::Own { b"UTF-8" } else { b"ISO-8859-1" };
    let charset = options.charset().unwrap_or(usual);
    let mut media_type = options.media_type().to_vec();
    if !charset.is_empty() {
        media_type.extend_from_slice(b";charset=");
        media_type.extend_from_slice(charset);
    }
    let fields = &mut response.head.fields;
    if options.looks().has(Looks::TRACK_MODIFIED) {
        let modified = HttpDate::from(directory.meta.modified());
        fields.append("Last-Modified", modified.to_bytes());
        if let Some(tag) = tag::of_facts(ex.conf(), &directory.meta, ex.began.wall) {
            fields.append("ETag", tag);
        }
    }
    fields.append("Content-Type", media_type);
}

/// A page as Apache makes it.
async fn apaches<L: LooksAhead>(
    ex: &Exchange,
    settings: &Arc<Listing>,
    wanted: Wanted,
    rows: Vec<rows::Row>,
    looks: &L,
) -> Body {
    let title = heading(ex);
    let whole = wanted.looks.has(Looks::NO_PREAMBLE);
    let preamble = || apache::preamble(settings, wanted.looks, &title);
    let mut page = Page::new();
    match above(ex, settings, looks).await {
        Some(Amble::Html(body)) => {
            if !whole {
                page.text(preamble());
            }
            page.body(body);
        }
        Some(Amble::Text(file)) => {
            page.text(preamble());
            add_text(&mut page, file);
        }
        None => {
            page.text(preamble());
            page.text(apache::heading(settings, &title));
        }
    }
    apache::list(&mut page, settings, wanted, rows);
    let end = b"</body></html>\n";
    match below(ex, settings, looks).await {
        Some(Amble::Html(body)) => {
            page.body(body);
            if !whole {
                page.text(end.to_vec());
            }
        }
        Some(Amble::Text(file)) => {
            add_text(&mut page, file);
            page.text(end.to_vec());
        }
        None => {
            if let Some(signature) = ex.signature() {
                page.text([b"<address>", signature.as_slice(), b"</address>\n"].concat());
            }
            page.text(end.to_vec());
        }
    }
    page.into_body()
}

/// The directory's URL path as HTML, without its final slash.
fn heading(ex: &Exchange) -> Vec<u8> {
    let mut url = ex.target.path.as_bytes();
    while let [rest @ .., b'/'] = url
        && !rest.is_empty()
    {
        url = rest;
    }
    quote::html(url).into_owned()
}

fn add_text(page: &mut Page, file: OpenFile) {
    page.text(b"<pre>\n".to_vec());
    page.file(file, Shown::AsText);
    page.text(b"</pre>\n".to_vec());
}

/// What stands above or below a listing.
enum Amble {
    /// The answer of something that makes HTML.
    Html(Body),
    /// Any other text.
    Text(OpenFile),
}

/// What `HeaderName` names, with the query of the request.
async fn above<L: LooksAhead>(ex: &Exchange, settings: &Listing, looks: &L) -> Option<Amble> {
    let mut url = settings.header.value()?.clone();
    if let Some(query) = &ex.target.query {
        url.push(b'?');
        url.extend_from_slice(query);
    }
    amble(ex, &url, looks).await
}

/// What `ReadmeName` names.
async fn below<L: LooksAhead>(ex: &Exchange, settings: &Listing, looks: &L) -> Option<Amble> {
    amble(ex, settings.readme.value()?, looks).await
}

async fn amble<L: LooksAhead>(ex: &Exchange, url: &[u8], looks: &L) -> Option<Amble> {
    let (mut look, place) = looks.at_url(ex, url).await?;
    let media_type = place.types.media_type.as_deref()?;
    let media_type = media_type.split(|byte| *byte == b';').next()?.trim_ascii();
    let is_html =
        media_type.eq_ignore_ascii_case(b"text/html") || media_type.eq_ignore_ascii_case(b"application/xhtml+xml");
    if is_html {
        let body = looks.body(&mut look, place).await;
        ex.rewriting.lines.take_over(&look.rewriting.lines);
        return body.ok().map(Amble::Html);
    }
    let is_text = media_type
        .get(..5)
        .is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/"));
    match &place.found {
        Found::File(seen) if is_text => seen.open().ok().map(Amble::Text),
        _ => None,
    }
}
