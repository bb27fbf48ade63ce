//! One thread's lines for an access log, collected until the thread has nothing else to do.

use std::sync::Arc;

use crate::log::error::ErrorLog;
use crate::log::sink::Sink;

/// Lines beyond this size are written at once.
const AT_ONCE: usize = 16 * 1024;

/// Collects the lines of a thread for one sink and writes them together: [`flush`] is called when the thread's event loop has
/// nothing to do (tokio's `on_thread_park`), but not at each of its turns when they are short.
///
/// [`flush`]: AccessLog::flush
#[derive(Debug)]
pub struct AccessLog {
    sink: Arc<Sink>,
    lines: Vec<u8>,
}

impl AccessLog {
    /// A collection for `sink`, which other threads may collect for too.
    pub fn new(sink: Arc<Sink>) -> AccessLog {
        AccessLog {
            sink,
            lines: Vec::with_capacity(AT_ONCE + 4096),
        }
    }

    /// Takes a line, which has its end.
    pub fn push(&mut self, line: &[u8]) {
        self.push_with(|lines| lines.extend_from_slice(line));
    }

    /// Takes the line that `append` appends, with its end: [`LogFormat::append`] writes here without a copy.
    ///
    /// [`LogFormat::append`]: crate::lang::log_format::LogFormat::append
    pub fn push_with(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        append(&mut self.lines);
        if self.lines.len() >= AT_ONCE {
            self.write();
        }
    }

    /// Writes what was collected and what still waits for a slow reader, and tells `errors` about lost lines.
    pub fn flush(&mut self, errors: &ErrorLog) {
        if self.lines.is_empty() {
            self.sink.write_waiting();
        } else {
            self.write();
        }
        errors.tell_losses(&self.sink, "log_config");
    }

    /// Where its lines go.
    pub fn sink(&self) -> &Sink {
        &self.sink
    }

    fn write(&mut self) {
        self.sink.write(&self.lines);
        self.lines.clear();
        // One huge line must not stay in memory for ever.
        self.lines.shrink_to(4 * AT_ONCE);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.write();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};
    use std::path::Path;
    use std::sync::Arc;

    use super::{AT_ONCE, AccessLog};
    use crate::log::error::ErrorLog;
    use crate::log::sink::Sink;

    fn piped(name: &str) -> (std::io::PipeReader, Sink) {
        let (reader, writer) = pipe().expect("a pipe");
        (reader, Sink::inherited(name, writer.into()).expect("open"))
    }

    fn read(mut reader: std::io::PipeReader) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        text
    }

    #[test]
    fn lines_are_written_when_flushed_or_many() {
        let (mut reader, sink) = piped("access");
        let errors = ErrorLog::new(Sink::open(Path::new("/dev/null")).expect("opened"));
        let mut log = AccessLog::new(Arc::new(sink));
        log.push(b"one\n");
        log.push_with(|lines| lines.extend_from_slice(b"two\n"));
        assert_eq!(log.lines, b"one\ntwo\n");
        log.flush(&errors);
        assert!(log.lines.is_empty());
        let mut got = [0; 8];
        reader.read_exact(&mut got).expect("read");
        assert_eq!(&got, b"one\ntwo\n");
        log.push(&[b'x'; AT_ONCE]);
        assert!(log.lines.is_empty());
        log.push(b"\n");
        drop(log);
        assert_eq!(read(reader).len(), AT_ONCE + 1);
    }

    #[test]
    fn losses_go_to_the_error_log() {
        let (reader, sink) = piped("errors");
        let errors = ErrorLog::new(sink);
        let full = Sink::open(Path::new("/dev/full")).expect("opened");
        let mut log = AccessLog::new(Arc::new(full));
        log.push(b"one\n");
        log.flush(&errors);
        log.push(b"two\n");
        log.flush(&errors);
        drop(errors);
        let text = read(reader);
        assert!(text.contains("[log_config:error]"), "{text}");
        assert!(
            text.ends_with("] log `/dev/full`: 1 line lost: No space left on device\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }
}
