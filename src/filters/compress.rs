//! DEFLATE, BROTLI_COMPRESS and ZSTD_COMPRESS: which answers are compressed, and what their heads say then. It is decided as
//! Apache's mod_deflate and mod_brotli decide, but for one thing: a coding with `q=0` is not wanted (RFC 9110 section 12.5.3).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::config::directives::compress::{AlterETag, Compress};
use crate::exchange::Exchange;
use crate::exchange::response::{Body, BodyStream, Broken, Note, Response};
use crate::exchange::stream::Untold;
use crate::filters::chain::{Coded, Verdict, patience};
use crate::filters::coder::Coder;
use crate::filters::compressed::{Compressed, notes_of, told};
use crate::http::coding::Coding;
use crate::http::fields::{Fields, list_members};
use crate::http::method::Method;
use crate::http::status::Status;

/// An answer is not worth gzip's frame and the fields that tell of it if it is no longer than this, as in Apache.
const SMALL: u64 = 68;
/// How long the first bytes of an answer may wait for more, to find out whether it is small.
const HESITATION: Duration = Duration::from_millis(100);
/// A body up to this size that is in memory is compressed in one go, so that its length is known.
const AT_ONCE: u64 = 64 * 1024;

const PART: &str = "it is a part";

/// Compresses an answer where it may be compressed.
pub async fn apply(ex: &mut Exchange, response: &mut Response, coding: Coding) -> Verdict {
    if let Some(why) = unfit(ex, response, coding) {
        return Verdict::new(why);
    }
    // Ranges are of the file, not of what a compressor makes of it: who has part of one cannot be given the rest of the other.
    if let Body::File(part) = &response.body
        && response.head.status == Status::PARTIAL_CONTENT
    {
        let is_small = coding == Coding::Gzip && part.file.meta.size <= SMALL;
        return Verdict::coded(PART, if is_small { Coded::No } else { Coded::Perhaps });
    }
    if response.head.fields.contains("Content-Range") {
        return Verdict::new(PART);
    }
    if coding == Coding::Gzip && is_small(ex, response).await {
        return Verdict::new("it is too short");
    }
    let forced = coding == Coding::Gzip && ex.variable(b"force-gzip").is_some();
    if !forced && !accepts(ex, coding) {
        return Verdict::coded("the client does not take it", Coded::Perhaps);
    }
    let etag = etag_of(coding, &ex.site.settings.compress);
    if response.head.status == Status::NOT_MODIFIED {
        alter_etag(response, coding.name(), etag);
        return Verdict::coded("there is no content, but its entity tag", Coded::Perhaps);
    }
    change_head(response, coding, etag);
    if !ex.is_explained() {
        change_body(ex, response, coding);
    }
    Verdict::coded("compressed", Coded::Yes)
}

/// Why an answer is not compressed whatever the client takes.
fn unfit(ex: &Exchange, response: &Response, coding: Coding) -> Option<&'static str> {
    let fields = &response.head.fields;
    let status = response.head.status;
    if status == Status::NO_CONTENT || status == Status::NOT_MODIFIED && coding == Coding::Gzip {
        return Some("there is no content");
    }
    if ex.variable(coding.refusal()).is_some() {
        return Some("a variable forbids it");
    }
    let is_html = fields
        .value("Content-Type")
        .is_some_and(|value| value.starts_with(b"text/html"));
    if coding == Coding::Gzip && !is_html && ex.variable(b"gzip-only-text/html") == Some(b"1") {
        return Some("the variable gzip-only-text/html is set");
    }
    let said = fields.joined(b"Content-Encoding").unwrap_or_default();
    let is_plain = |coding: &[u8]| matches!(coding, b"identity" | b"7bit" | b"8bit" | b"binary");
    if !list_members(&said).all(is_plain) {
        return Some("it has a coding already");
    }
    None
}

/// Whether the client takes the coding.
fn accepts(ex: &Exchange, coding: Coding) -> bool {
    let said = ex.head.joined(b"accept-encoding");
    said.is_some_and(|said| coding.weight(&said).is_some())
}

fn etag_of(coding: Coding, settings: &Compress) -> AlterETag {
    let setting = match coding {
        Coding::Gzip => &settings.deflate.etag,
        Coding::Brotli => &settings.brotli.etag,
        Coding::Zstd => &settings.zstd.etag,
    };
    setting.or(AlterETag::AddSuffix)
}

fn change_head(response: &mut Response, coding: Coding, etag: AlterETag) {
    let fields = &mut response.head.fields;
    let said = fields.joined(b"Content-Encoding").unwrap_or_default().into_owned();
    if said.is_empty() || said.eq_ignore_ascii_case(b"identity") {
        fields.set("Content-Encoding", coding.name());
    } else {
        fields.merge("Content-Encoding", coding.name().as_bytes());
    }
    fields.remove("Content-Length");
    fields.remove("Content-MD5");
    alter_etag(response, coding.name(), etag);
}

/// Has the entity tag say that the bytes are others.
pub fn alter_etag(response: &mut Response, suffix: &str, alter: AlterETag) {
    let fields = &mut response.head.fields;
    match alter {
        AlterETag::NoChange => {}
        AlterETag::Remove => {
            fields.remove("ETag");
        }
        AlterETag::AddSuffix => {
            let known = fields.value("ETag").unwrap_or_default();
            if let Some(opaque) = known.strip_suffix(b"\"").filter(|opaque| opaque.len() > 1) {
                let tag = [opaque, b"-", suffix.as_bytes(), b"\""].concat();
                fields.set("ETag", tag);
            }
        }
    }
}

fn change_body(ex: &mut Exchange, response: &mut Response, coding: Coding) {
    let site = ex.site;
    let settings = &site.settings.compress;
    if ex.method == Method::Head && !matches!(response.body, Body::Stream(..)) {
        response.body = Body::Stream(Box::new(Untold), None);
        return;
    }
    if let Some((bytes, notes)) = at_once(&response.body, coding, settings) {
        response.body = Body::Bytes(bytes);
        ex.rewriting.notes.extend(notes);
        return;
    }
    let body = std::mem::replace(&mut response.body, Body::Empty);
    response.body = match Compressed::new(body.into_stream(patience(ex)), coding, settings) {
        Ok(stream) => Body::Stream(Box::new(stream), None),
        Err(_) => Body::Stream(Box::new(Torn), None),
    };
}

/// What a small body that is in memory is when it is compressed, with the notes about it.
fn at_once(body: &Body, coding: Coding, settings: &Compress) -> Option<(Bytes, Vec<Note>)> {
    let length = body.length().filter(|length| *length <= AT_ONCE)?;
    let plain = match body {
        Body::Bytes(bytes) => bytes.clone(),
        Body::File(file) => {
            let [part] = file.parts.as_slice() else { return None };
            let mut bytes = vec![0; usize::try_from(length).ok()?];
            let is_whole = part.length == length && file.file.fill_at_once(&mut bytes, part.offset);
            is_whole.then(|| bytes.into())?
        }
        _ => return None,
    };
    let mut coder = Coder::new(coding, settings).ok()?;
    coder.push(&plain).ok()?;
    let mut bytes = coder.take();
    let finished = coder.finish().ok()?;
    bytes.extend_from_slice(&finished.last);
    let notes = told(notes_of(coding, settings), finished.total_in, finished.total_out);
    Some((bytes.into(), notes))
}

/// What a compressor without memory makes.
struct Torn;

impl BodyStream for Torn {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        Poll::Ready(Some(Err(Broken)))
    }
}

/// Whether a body is too short to be compressed. One whose length is not known is looked at; what was read of it stays part of
/// it, and what its maker has said is not kept back for long. What is only explained has no maker.
async fn is_small(ex: &Exchange, response: &mut Response) -> bool {
    if ex.is_explained() && !matches!(response.body, Body::File(_) | Body::Bytes(_)) {
        return false;
    }
    if let Some(length) = response.body.length() {
        return length <= SMALL;
    }
    let Body::Stream(stream, length) = std::mem::replace(&mut response.body, Body::Empty) else {
        return false;
    };
    let mut begun = Begun {
        read: VecDeque::new(),
        over: false,
        rest: stream,
    };
    let looked = tokio::time::timeout(HESITATION, begun.look()).await;
    response.body = Body::Stream(Box::new(begun), length);
    looked.unwrap_or(false)
}

/// A stream whose beginning was read.
struct Begun {
    read: VecDeque<Result<Bytes, Broken>>,
    over: bool,
    rest: Box<dyn BodyStream>,
}

impl Begun {
    /// Reads until it is known whether it is small.
    async fn look(&mut self) -> bool {
        let mut length = 0;
        while length <= SMALL {
            match poll_fn(|cx| self.rest.poll_chunk(cx)).await {
                Some(Ok(bytes)) => {
                    length += bytes.len() as u64;
                    self.read.push_back(Ok(bytes));
                }
                Some(Err(broken)) => {
                    self.read.push_back(Err(broken));
                    return false;
                }
                None => {
                    self.over = true;
                    return true;
                }
            }
        }
        false
    }
}

impl BodyStream for Begun {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        match self.read.pop_front() {
            Some(read) => Poll::Ready(Some(read)),
            None if self.over => Poll::Ready(None),
            None => self.rest.poll_chunk(cx),
        }
    }

    fn notes(&self) -> Vec<Note> {
        self.rest.notes()
    }

    fn take_trailer(&mut self) -> Fields {
        self.rest.take_trailer()
    }
}

#[cfg(test)]
mod tests {
    use super::alter_etag;
    use crate::config::directives::compress::AlterETag;
    use crate::exchange::response::{Body, Response};
    use crate::http::status::Status;

    #[test]
    fn an_entity_tag_ends_with_the_coding() {
        for (tag, alter, want) in [
            ("\"a-b\"", AlterETag::AddSuffix, Some("\"a-b-gzip\"")),
            ("W/\"a\"", AlterETag::AddSuffix, Some("W/\"a-gzip\"")),
            ("\"\"", AlterETag::AddSuffix, Some("\"\"")),
            ("bare", AlterETag::AddSuffix, Some("bare")),
            ("\"a\"", AlterETag::NoChange, Some("\"a\"")),
            ("\"a\"", AlterETag::Remove, None),
        ] {
            let mut response = Response::new(Status::OK, Body::Empty);
            response.head.fields.append("ETag", tag);
            alter_etag(&mut response, "gzip", alter);
            let found = response.head.fields.value("ETag").map(String::from_utf8_lossy);
            assert_eq!(found.as_deref(), want, "{tag}");
        }
    }
}
