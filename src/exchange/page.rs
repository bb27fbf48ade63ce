//! The look of the pages that the server makes itself: error pages and listings.

use crate::base::quote;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2327;--soft:#5b6670;--line:#d9dee2;--back:#fbfbf9;--link:#1a5fb4}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--soft:#9aa5ae;--line:#353b40;--back:#16191c;--link:#8ab8f0}}\
*{box-sizing:border-box}\
body{margin:0;font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--back)}\
main{max-width:44rem;margin:0 auto;padding:clamp(1.5rem,7vw,5rem) 1.25rem 2rem}\
h1{font-size:clamp(1.4rem,4.5vw,2rem);line-height:1.2;margin:0 0 1rem;overflow-wrap:anywhere;font-weight:650}\
p{margin:.6rem 0}a{color:var(--link)}\
address{margin-top:2.5rem;padding-top:.8rem;border-top:1px solid var(--line);color:var(--soft);font-size:.85rem;font-style:normal}";

/// A page up to and with its heading.
pub fn begin(title: &[u8]) -> Vec<u8> {
    let mut page = head(title, "", b"");
    page.extend_from_slice(b"<h1>");
    quote::escape_html(&mut page, title);
    page.extend_from_slice(b"</h1>\n");
    page
}

/// A page up to its heading, with more styles and more text in its head.
pub fn head(title: &[u8], style: &str, more: &[u8]) -> Vec<u8> {
    let mut page = b"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>"
        .to_vec();
    quote::escape_html(&mut page, title);
    page.extend_from_slice(b"</title>\n<style>");
    page.extend_from_slice(STYLE.as_bytes());
    page.extend_from_slice(style.as_bytes());
    page.extend_from_slice(b"</style>\n");
    page.extend_from_slice(more);
    page.extend_from_slice(b"</head>\n<body>\n<main>\n");
    page
}

/// The rest of a page; the signature is HTML already.
pub fn end(page: &mut Vec<u8>, signature: Option<&[u8]>) {
    if let Some(signature) = signature {
        page.extend_from_slice(b"<address>");
        page.extend_from_slice(signature);
        page.extend_from_slice(b"</address>\n");
    }
    page.extend_from_slice(b"</main>\n</body>\n</html>\n");
}
