//! The writing side of a connection: heads and small bodies are collected and go out together, large files by the kernel,
//! streams as they come.

use std::cell::{Ref, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::exchange::response::{Body, BodyStream, Copied, FileBody, FilePart};
use crate::fs::contents::Content;
use crate::http::chunked::{CHUNK_END, ChunkHead, LAST_CHUNK};
use crate::http::framing::ResponseFraming;
use crate::net::stream::{More, Stream};

/// More than this is not collected before it is sent.
const COLLECT: usize = 64 * 1024;
/// The same of a stream: an answer of 64 KiB goes out in one write with its head and what frames it.
const STREAMED: usize = 96 * 1024;
/// A file part up to this size is read and sent with the head in one write; a larger one is sent by the kernel.
pub(super) const SMALL_FILE: u64 = 32 * 1024;
/// A body that is there is not copied from this size on.
const LARGE_BODY: usize = 16 * 1024;
/// Chunks of this size are mostly followed by more.
const LARGE_CHUNK: usize = 4 * 1024;
/// What one sendfile(2) call is asked for, so that one client does not hold the thread. After each call the others have their
/// turn, whatever it took: a client that reads meanwhile has room again when ours comes. In CPU milliseconds per GiB, 16 clients of
/// a file of 1 MiB: 129 (128 KiB: 146; 512 KiB: 119); 4 of 100 MiB: 105 (131; 86, but at two thirds of the rate).
const SEND_FILE: usize = 256 * 1024;
/// So much of a large file is looked for in memory at one time.
const AT_HAND: u64 = 1024 * 1024;

/// So long a streamed body may keep the thread.
const LONGEST_TURN: Duration = Duration::from_millis(10);

/// What is read at one time of a large file that is not in memory.
const FETCH: usize = 256 * 1024;

/// What a new buffer has room for: a head and a small file.
const HEAD: usize = 12 * 1024;
/// So many empty buffers are kept for the connections of a thread that have something to say.
const SPARES: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The writing side of a connection.
pub struct Writer {
    stream: Rc<Stream>,
    out: Vec<u8>,
    /// What follows `out` and is not copied: nothing more is collected behind it.
    tail: Option<Tail>,
    /// How long a wait for room may last (Timeout).
    pub timeout: Duration,
    /// Bytes handed to the system since the connection began.
    pub bytes_out: u64,
    /// Bytes of bodies, without framing, since the connection began.
    pub body_bytes: u64,
}

/// A content that is kept.
struct Tail {
    content: Rc<Content>,
    /// With the head that is kept before it.
    with_head: bool,
}

impl Tail {
    fn bytes(&self) -> Ref<'_, [u8]> {
        if self.with_head {
            self.content.answer()
        } else {
            self.content.body()
        }
    }
}

/// Why a response could not be sent whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The client is gone, or takes nothing.
    Client,
    /// The body broke off: its file shrank, its script failed.
    Body,
}

impl From<io::Error> for Cut {
    /// An error of the stream is always the client's end of it.
    fn from(_: io::Error) -> Cut {
        Cut::Client
    }
}

impl Writer {
    /// Writes to `stream`.
    pub fn new(stream: Rc<Stream>) -> Writer {
        Writer {
            stream,
            out: Vec::new(),
            tail: None,
            timeout: Duration::from_secs(60),
            bytes_out: 0,
            body_bytes: 0,
        }
    }

    /// Where a head is put; it goes out with what follows it.
    pub fn head(&mut self) -> &mut Vec<u8> {
        self.collect_tail();
        self.buffer()
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        if self.out.capacity() == 0 {
            self.out = SPARE
                .with_borrow_mut(Vec::pop)
                .unwrap_or_else(|| Vec::with_capacity(HEAD));
        }
        &mut self.out
    }

    /// Puts the content of a file behind its head. Sent before anything else is collected, it is not copied.
    pub fn put_content(&mut self, content: Rc<Content>) {
        self.collect_tail();
        self.put_tail(content, false);
    }

    /// The same with the head that is kept before it, where nothing waits to be sent.
    pub fn put_answer(&mut self, content: Rc<Content>) {
        self.put_tail(content, true);
    }

    fn put_tail(&mut self, content: Rc<Content>, with_head: bool) {
        self.body_bytes += content.body().len() as u64;
        self.tail = Some(Tail { content, with_head });
    }

    fn collect_tail(&mut self) {
        if let Some(tail) = self.tail.take() {
            self.buffer().extend_from_slice(&tail.bytes());
        }
    }

    /// Puts a part of a body behind its head; it waits for [`Writer::flush`].
    pub fn put(&mut self, bytes: &[u8]) {
        self.body_bytes += bytes.len() as u64;
        self.out.extend_from_slice(bytes);
    }

    /// Puts a body that is there behind its head, as it is framed; it waits for [`Writer::flush`]. Of a large one as much as there is
    /// room for is sent at once: that is not copied.
    pub fn pieces<'p>(&mut self, pieces: impl Iterator<Item = &'p [u8]> + Clone, framing: ResponseFraming) {
        let length: usize = pieces.clone().map(<[u8]>::len).sum();
        self.body_bytes += length as u64;
        let is_chunked = framing == ResponseFraming::Chunked;
        if length < LARGE_BODY {
            for piece in pieces {
                if is_chunked {
                    self.out.extend_from_slice(ChunkHead::new(piece.len()).as_bytes());
                }
                self.out.extend_from_slice(piece);
                if is_chunked {
                    self.out.extend_from_slice(CHUNK_END);
                }
            }
            if is_chunked {
                self.out.extend_from_slice(LAST_CHUNK);
            }
            return;
        }
        self.collect_tail();
        let mut out = std::mem::take(&mut self.out);
        if is_chunked {
            let heads: Vec<ChunkHead> = pieces.clone().map(|piece| ChunkHead::new(piece.len())).collect();
            let chunks = heads.iter().zip(pieces);
            let chunks = chunks.flat_map(|(head, piece)| [head.as_bytes(), piece, CHUNK_END]);
            self.send_parts(&mut out, chunks.chain([LAST_CHUNK]));
        } else {
            self.send_parts(&mut out, pieces);
        }
        self.out = out;
    }

    /// Sends what was collected and these parts as far as there is room for them, and collects the rest.
    fn send_parts<'p>(&mut self, out: &mut Vec<u8>, parts: impl Iterator<Item = &'p [u8]>) {
        let parts: Vec<IoSlice> = parts.map(IoSlice::new).collect();
        let all: Vec<IoSlice> = std::iter::once(IoSlice::new(out))
            .chain(parts.iter().copied())
            .collect();
        // Whatever goes wrong is seen again when the rest is sent.
        let mut sent = self.stream.try_write_vectored(&all).unwrap_or(0);
        self.bytes_out += sent as u64;
        let head = sent.min(out.len());
        out.drain(..head);
        sent -= head;
        for part in &parts {
            let skipped = sent.min(part.len());
            sent -= skipped;
            out.extend_from_slice(part.get(skipped..).unwrap_or_default());
        }
    }

    /// Bytes that the system was handed or is to be, since the connection began.
    pub fn taken_over(&self) -> u64 {
        self.bytes_out + (self.out.len() + self.tail.as_ref().map_or(0, |tail| tail.bytes().len())) as u64
    }

    /// Whether anything waits to be sent.
    pub fn has_unsent(&self) -> bool {
        !self.out.is_empty() || self.tail.is_some()
    }

    /// Whether so much waits to be sent that no more is to be collected.
    pub fn is_full(&self) -> bool {
        self.out.len() >= COLLECT
    }

    /// Sends all that was collected.
    pub async fn flush(&mut self) -> Result<(), Cut> {
        self.flush_with(More::Nothing).await
    }

    async fn flush_with(&mut self, more: More) -> Result<(), Cut> {
        loop {
            match self.try_flush_with(more) {
                Poll::Ready(flushed) => {
                    tokio::task::consume_budget().await;
                    return flushed;
                }
                Poll::Pending => self.room().await?,
            }
        }
    }

    /// Sends of what was collected as much as there is room for; pending when that is not all.
    pub fn try_flush(&mut self) -> Poll<Result<(), Cut>> {
        self.try_flush_with(More::Nothing)
    }

    /// The same, with what is known of what follows.
    pub fn try_flush_with(&mut self, more: More) -> Poll<Result<(), Cut>> {
        let mut sent = 0;
        if let Some(tail) = self.tail.take() {
            let bytes = tail.bytes();
            let all = self.out.len() + bytes.len();
            // Whatever goes wrong is seen again below.
            sent = if self.out.is_empty() {
                self.stream.try_write(&bytes, more)
            } else {
                let pieces = [IoSlice::new(&self.out), IoSlice::new(&bytes)];
                self.stream.try_write_vectored(&pieces)
            }
            .unwrap_or(0);
            self.bytes_out += sent as u64;
            if sent < all {
                self.buffer().extend_from_slice(&bytes);
            } else {
                self.out.clear();
                sent = 0;
            }
        }
        while let Some(rest) = self.out.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.try_write(rest, more) {
                Ok(n) => {
                    sent += n;
                    self.bytes_out += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.out.drain(..sent);
                    return Poll::Pending;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.out.clear();
                    return Poll::Ready(Err(e.into()));
                }
            }
        }
        self.out.clear();
        if self.out.capacity() > 2 * COLLECT {
            self.out = Vec::new();
        }
        match self.stream.try_push() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            pushed => Poll::Ready(pushed.map_err(Cut::from)),
        }
    }

    async fn room(&self) -> Result<(), Cut> {
        self.stream.expect_much();
        match self.stream.writable_by(Instant::now() + self.timeout).await {
            Some(result) => Ok(result?),
            None => Err(Cut::Client),
        }
    }

    /// Gives the empty buffer back: a connection that waits for its next request keeps none.
    pub fn rest(&mut self) {
        if self.out.is_empty() && self.out.capacity() > 0 {
            let out = std::mem::take(&mut self.out);
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < SPARES {
                    spare.push(out);
                }
            });
        }
    }

    /// Puts a body behind its head. Small ones wait for [`Writer::flush`].
    pub async fn body(&mut self, body: &mut Body, framing: ResponseFraming) -> Result<(), Cut> {
        if !framing.has_body() {
            return self.discard(body).await;
        }
        match body {
            Body::Empty | Body::BuiltIn | Body::Tunnel(_) | Body::HandOff(_) => Ok(()),
            Body::Bytes(bytes) => self.bytes(bytes).await,
            Body::File(file) => self.file(file).await,
            Body::Stream(stream, _) => self.streamed(stream.as_mut(), framing).await,
            Body::Raw(stream) => self.streamed(stream.as_mut(), ResponseFraming::UntilClose).await,
        }
    }

    /// A body that is not to be sent: a script behind it still runs to its end.
    async fn discard(&mut self, body: &mut Body) -> Result<(), Cut> {
        if let Body::Stream(stream, _) = body {
            self.flush().await?;
            while let Some(Ok(_)) = poll_fn(|cx| stream.poll_chunk(cx)).await {}
        }
        Ok(())
    }

    async fn bytes(&mut self, bytes: &Bytes) -> Result<(), Cut> {
        self.body_bytes += bytes.len() as u64;
        self.add(bytes).await
    }

    async fn add(&mut self, bytes: &[u8]) -> Result<(), Cut> {
        for piece in bytes.chunks(COLLECT) {
            self.out.extend_from_slice(piece);
            if self.out.len() >= COLLECT {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn file(&mut self, body: &FileBody) -> Result<(), Cut> {
        for part in &body.parts {
            self.bytes(&part.preface).await?;
            if part.length <= SMALL_FILE {
                self.small_part(body, part).await?;
            } else {
                self.large_part(body, part).await?;
            }
        }
        self.bytes(&body.trailer).await
    }

    /// Puts a small file behind its head, and gives its bytes; none if it is no small one, or its disk would have to be waited for.
    pub fn file_at_once(&mut self, body: &FileBody) -> Option<&[u8]> {
        let [part] = body.parts.as_slice() else { return None };
        if part.length > SMALL_FILE || !part.preface.is_empty() || !body.trailer.is_empty() {
            return None;
        }
        let start = self.fill_at_once(body, part)?;
        self.body_bytes += part.length;
        self.out.get(start..)
    }

    /// Collects a part of a file, if that takes no waiting; tells where it stands.
    fn fill_at_once(&mut self, body: &FileBody, part: &FilePart) -> Option<usize> {
        let start = self.out.len();
        self.out.resize(start + usize::try_from(part.length).ok()?, 0);
        let room = self.out.get_mut(start..).unwrap_or_default();
        if body.file.fill_at_once(room, part.offset) {
            return Some(start);
        }
        self.out.truncate(start);
        None
    }

    async fn small_part(&mut self, body: &FileBody, part: &FilePart) -> Result<(), Cut> {
        let length = usize::try_from(part.length).map_err(|_| Cut::Body)?;
        if self.fill_at_once(body, part).is_none() {
            // What stands before the file does not wait for it.
            self.flush_with(More::Follows).await?;
            let bytes = self.fetched(body, length, part.offset).await?;
            if bytes.len() < length {
                // The file shrank after its length was told: the head may go out, wrong bytes must not.
                return Err(Cut::Body);
            }
            self.out.extend_from_slice(&bytes);
        }
        self.body_bytes += part.length;
        if self.out.len() >= COLLECT {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Bytes of a file that are not in memory, or may not be. At the file's end there are fewer, but never none.
    async fn fetched(&self, body: &FileBody, length: usize, offset: u64) -> Result<Vec<u8>, Cut> {
        let reading = body.file.read_by_another(length, offset);
        match tokio::time::timeout(self.timeout, reading).await {
            Ok(Ok(bytes)) if !bytes.is_empty() => Ok(bytes),
            _ => Err(Cut::Body),
        }
    }

    async fn large_part(&mut self, body: &FileBody, part: &FilePart) -> Result<(), Cut> {
        if body.copied == Copied::ByReading {
            return self.read_part(body, part, 0).await;
        }
        if part.length > SEND_FILE as u64 {
            self.stream.expect_much();
        }
        self.flush_with(More::Follows).await?;
        let mut done = 0;
        let mut at_hand = 0;
        while done < part.length {
            if done >= at_hand {
                let ahead = (part.length - done).min(AT_HAND);
                if !body.file.is_at_hand(part.offset + done, ahead) {
                    let count = usize::try_from(ahead).unwrap_or(FETCH).min(FETCH);
                    let bytes = self.fetched(body, count, part.offset + done).await?;
                    done += bytes.len() as u64;
                    self.body_bytes += bytes.len() as u64;
                    self.add(&bytes).await?;
                    self.flush().await?;
                    continue;
                }
                at_hand = done + ahead;
            }
            let count = usize::try_from(at_hand - done).unwrap_or(SEND_FILE).min(SEND_FILE);
            match self.stream.try_send_file(body.file.fd(), part.offset + done, count) {
                Ok(0) => return Err(Cut::Body),
                Ok(n) => {
                    done += n as u64;
                    self.bytes_out += n as u64;
                    self.body_bytes += n as u64;
                    if done < part.length {
                        tokio::task::yield_now().await;
                    } else {
                        tokio::task::consume_budget().await;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.room().await?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // sendfile(2) is not there for every file system; those are read.
                Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
                    return self.read_part(body, part, done).await;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    async fn read_part(&mut self, body: &FileBody, part: &FilePart, mut done: u64) -> Result<(), Cut> {
        let mut buffer = vec![0; COLLECT];
        while done < part.length {
            let count = usize::try_from(part.length - done).unwrap_or(usize::MAX).min(COLLECT);
            let room = buffer.get_mut(..count).unwrap_or_default();
            if body.file.fill_at_once(room, part.offset + done) {
                self.add(room).await?;
                self.body_bytes += count as u64;
                done += count as u64;
                continue;
            }
            let bytes = self.fetched(body, count, part.offset + done).await?;
            self.add(&bytes).await?;
            self.body_bytes += bytes.len() as u64;
            done += bytes.len() as u64;
        }
        Ok(())
    }

    /// Sends a stream as it comes: what is there at once goes out together, and nothing is held back to wait for more.
    async fn streamed(&mut self, stream: &mut dyn BodyStream, framing: ResponseFraming) -> Result<(), Cut> {
        let mut left = match framing {
            ResponseFraming::Length(length) => Some(length),
            _ => None,
        };
        let mut turn = Instant::now();
        loop {
            // One that always has more at once, and little of it, must not keep the thread from the others.
            if turn.elapsed() > LONGEST_TURN {
                tokio::task::yield_now().await;
                turn = Instant::now();
            }
            match self.next_chunk(stream).await? {
                Some(Ok(chunk)) => {
                    let chunk = match left {
                        Some(n) => chunk.slice(..usize::try_from(n).unwrap_or(usize::MAX).min(chunk.len())),
                        None => chunk,
                    };
                    left = left.map(|n| n - chunk.len() as u64);
                    self.body_bytes += chunk.len() as u64;
                    self.chunk(&chunk, framing).await?;
                }
                Some(Err(_)) => {
                    self.flush().await?;
                    return Err(Cut::Body);
                }
                None => break,
            }
        }
        if left.is_some_and(|n| n > 0) {
            self.flush().await?;
            return Err(Cut::Body);
        }
        if framing == ResponseFraming::Chunked {
            let trailer = stream.take_trailer();
            if trailer.is_empty() {
                self.add(LAST_CHUNK).await?;
            } else {
                self.out.extend_from_slice(b"0\r\n");
                trailer.append_to(&mut self.out);
                self.out.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }

    /// The next chunk; what was collected is sent before waiting for it.
    async fn next_chunk(
        &mut self,
        stream: &mut dyn BodyStream,
    ) -> Result<Option<Result<Bytes, crate::exchange::response::Broken>>, Cut> {
        let ready = poll_fn(|cx| Poll::Ready(stream.poll_chunk(cx))).await;
        if let Poll::Ready(chunk) = ready {
            return Ok(chunk);
        }
        self.flush().await?;
        Ok(poll_fn(|cx| stream.poll_chunk(cx)).await)
    }

    async fn chunk(&mut self, chunk: &Bytes, framing: ResponseFraming) -> Result<(), Cut> {
        if chunk.is_empty() {
            return Ok(());
        }
        if framing != ResponseFraming::Chunked {
            return self.add(chunk).await;
        }
        if chunk.len() >= LARGE_CHUNK && self.out.capacity() < STREAMED {
            self.out.reserve_exact(STREAMED - self.out.len());
        }
        self.out.extend_from_slice(ChunkHead::new(chunk.len()).as_bytes());
        self.out.extend_from_slice(chunk);
        self.out.extend_from_slice(CHUNK_END);
        if self.out.len() >= STREAMED {
            self.flush().await
        } else {
            Ok(())
        }
    }
}
