//! `AddDefaultCharset`: a character set for text that names none.

use crate::config::directives::DirConf;

/// A Content-Type of `text/html` or `text/plain` with the place's default character set; nothing where the value stays as
/// it is, because it names one, is of another type, or the place has no default.
pub fn completed(conf: &DirConf, content_type: &[u8]) -> Option<Vec<u8>> {
    let charset = conf.core.default_charset.value()?.as_ref()?;
    let whole = content_type.trim_ascii();
    let bare = whole.split(|byte| *byte == b';').next()?.trim_ascii();
    let is_text = bare.eq_ignore_ascii_case(b"text/html") || bare.eq_ignore_ascii_case(b"text/plain");
    // As Apache does, whatever ends in `charset` is taken for it.
    let parameters = whole.get(bare.len()..)?.to_ascii_lowercase();
    let names_one = memchr::memmem::find(&parameters, b"charset=").is_some();
    (is_text && !names_one).then(|| [whole, b"; charset=", charset.as_slice()].concat())
}
