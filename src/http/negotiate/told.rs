//! What a client is told of the variants: Vary, Alternates (RFC 2295 section 8.3), and a list for people.

use crate::base::{ascii, quote};
use crate::http::negotiate::Variant;

/// The fields of a request by which the variants differ, for Vary; empty where they do not. A transparently negotiable resource
/// varies by Negotiate as well.
pub fn vary(variants: &[Variant], is_transparent: bool) -> Vec<u8> {
    let differs = |by: fn(&Variant, &Variant) -> bool| {
        let first = variants.first();
        first.is_some_and(|first| variants.iter().any(|other| by(first, other)))
    };
    let names = [
        ("negotiate", is_transparent),
        ("accept", differs(|one, other| one.media_type != other.media_type)),
        (
            "accept-language",
            differs(|one, other| one.languages != other.languages),
        ),
        ("accept-charset", differs(|one, other| one.charset != other.charset)),
        ("accept-encoding", differs(|one, other| one.encoding != other.encoding)),
    ];
    let names = names
        .iter()
        .filter(|(_, applies)| *applies)
        .map(|(name, _)| name.as_bytes());
    names.collect::<Vec<_>>().join(&b", "[..])
}

/// The value of Alternates; nothing without variants.
pub fn alternates(variants: &[Variant]) -> Option<Vec<u8>> {
    if variants.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    for variant in variants {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(b"{\"");
        quote::escape_segment(&mut list, &variant.name);
        list.extend_from_slice(b"\" ");
        list.extend_from_slice(shortened(variant.source_quality).as_bytes());
        let languages = variant.languages.join(&b',');
        for (what, value) in [
            ("type", &variant.media_type),
            ("charset", &variant.charset),
            ("language", &languages),
            ("encoding", &variant.encoding),
        ] {
            if !value.is_empty() {
                list.extend_from_slice(format!(" {{{what} ").as_bytes());
                list.extend(
                    value
                        .iter()
                        .map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }),
                );
                list.push(b'}');
            }
        }
        if let Some(length) = variant.length.filter(|_| !variant.is_made) {
            list.extend_from_slice(b" {length ");
            ascii::append_decimal(&mut list, length);
            list.push(b'}');
        }
        list.push(b'}');
    }
    Some(list)
}

/// A weight with as few digits as tell it.
fn shortened(quality: f32) -> String {
    let long = format!("{quality:.3}");
    let short = long.trim_end_matches('0').trim_end_matches('.');
    match short {
        "" => "0".to_owned(),
        short => short.to_owned(),
    }
}

/// The variants as HTML, for the pages 300 and 406.
pub fn list(variants: &[Variant]) -> Vec<u8> {
    let mut html = b"<p>Available variants:</p>\n<ul>\n".to_vec();
    for variant in variants {
        html.extend_from_slice(b"<li><a href=\"");
        quote::escape_segment(&mut html, &variant.name);
        html.extend_from_slice(b"\">");
        quote::escape_html(&mut html, &variant.name);
        html.extend_from_slice(b"</a> ");
        quote::escape_html(&mut html, &variant.description);
        let languages = variant.languages.join(&b',');
        for (what, value) in [
            ("type", &variant.media_type),
            ("language", &languages),
            ("charset", &variant.charset),
            ("encoding", &variant.encoding),
        ] {
            if !value.is_empty() {
                html.extend_from_slice(format!(", {what} ").as_bytes());
                quote::escape_html(&mut html, value);
            }
        }
        html.extend_from_slice(b"</li>\n");
    }
    html.extend_from_slice(b"</ul>\n");
    html
}
