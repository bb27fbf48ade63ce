//! The error log: one line an entry, in the shape that Apache 2.4 gives it.
//!
//! ```text
//! [Wed Oct 11 14:32:52.123456 2000] [core:error] [pid 35708:tid 35712] (13)Permission denied: [client 72.15.99.187:1234] message, referer: http://…
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use crate::base::syslog::{self, Header};
use crate::lang::error_format::{ErrorFormats, Facts, Scope};
use crate::lang::local_time;
use crate::lang::log_format::escape;
use crate::lang::log_level::{Level, LogLevels};
use crate::log::losses::Report;
use crate::log::sink::{Sink, strerror};

pub use crate::lang::error_format::RequestFacts;

/// Longer lines are cut, as in Apache (`MAX_STRING_LEN`).
const LINE_LIMIT: usize = 8192;

/// The error log of a site or of the server. Every method can be called from anywhere and never fails.
#[derive(Debug)]
pub struct ErrorLog {
    sink: Arc<Sink>,
    levels: LogLevels,
    shape: Shape,
    /// What stands before each line, where they go into the system's log.
    header: Option<Header>,
}

/// What lines look like.
#[derive(Debug)]
enum Shape {
    /// As Apache's do.
    Usual,
    /// As `ErrorLogFormat` says.
    Own(Box<Formats>),
}

/// The formats of a site, and what was told before the first line about a connection and a request.
#[derive(Debug)]
struct Formats {
    said: ErrorFormats,
    server_name: Box<[u8]>,
    told: Mutex<Told>,
}

/// The names of connections and requests that had their lines before the first one; the oldest are forgotten.
#[derive(Debug, Default)]
struct Told {
    connections: VecDeque<Vec<u8>>,
    requests: VecDeque<Vec<u8>>,
}

/// So many names are remembered.
const REMEMBERED: usize = 1000;

/// One line to be.
#[derive(Clone, Copy)]
pub struct Entry<'e> {
    /// How urgent it is.
    pub level: Level,
    /// Apache's short name of the module whose work it is about: `core`, `cgi`, `rewrite`.
    pub module: &'e str,
    /// The client whose request it is about.
    pub client: Option<SocketAddr>,
    /// The request's Referer.
    pub referer: Option<&'e [u8]>,
    /// What else is known of the request, where formats ask for that.
    pub request: Option<&'e RequestFacts>,
    /// The system's error behind it.
    pub os_error: Option<&'e io::Error>,
    /// What happened.
    pub message: Message<'e>,
}

/// Text of ours, or bytes that may be anything. Both are escaped, unless that was done before.
#[derive(Clone, Copy)]
pub enum Message<'e> {
    /// As `format_args!` makes it.
    Text(fmt::Arguments<'e>),
    /// As it came, such as a line of a script's standard error.
    Bytes(&'e [u8]),
    /// Text in which whatever others wrote is escaped already, and whose backslashes stand as they are: the cure of a fault
    /// may be a command to paste.
    Escaped(&'e str),
}

impl<'e> Entry<'e> {
    /// A line about no request.
    pub fn new(level: Level, module: &'e str, message: Message<'e>) -> Entry<'e> {
        Entry {
            level,
            module,
            client: None,
            referer: None,
            request: None,
            os_error: None,
            message,
        }
    }
}

impl ErrorLog {
    /// An error log at Apache's default level, `warn`. Several may share a sink.
    pub fn new(sink: impl Into<Arc<Sink>>) -> ErrorLog {
        ErrorLog {
            sink: sink.into(),
            levels: LogLevels::default(),
            shape: Shape::Usual,
            header: None,
        }
    }

    /// The same log for lines that go into the system's.
    #[must_use]
    pub fn with_system_log(self, header: Option<Header>) -> ErrorLog {
        ErrorLog { header, ..self }
    }

    /// The same log with lines of other shapes, for a site of this name.
    #[must_use]
    pub fn with_formats(self, formats: ErrorFormats, server_name: &[u8]) -> ErrorLog {
        let own = |formats| {
            Shape::Own(Box::new(Formats {
                said: formats,
                server_name: server_name.into(),
                told: Mutex::default(),
            }))
        };
        let shape = if formats.is_empty() { Shape::Usual } else { own(formats) };
        ErrorLog { shape, ..self }
    }

    /// The same log with other levels.
    #[must_use]
    pub fn with_levels(self, levels: LogLevels) -> ErrorLog {
        ErrorLog { levels, ..self }
    }

    /// The levels of the server or site.
    pub fn levels(&self) -> &LogLevels {
        &self.levels
    }

    /// Writes a line about no request, if the log's own levels allow it.
    pub fn note(&self, level: Level, module: &str, message: fmt::Arguments<'_>) {
        if self.levels.allow(level, module) {
            self.write(&Entry::new(level, module, Message::Text(message)));
        }
    }

    /// Writes a line if the levels in force for the request allow it.
    pub fn record(&self, levels: &LogLevels, entry: &Entry<'_>) {
        if levels.allow(entry.level, entry.module) {
            self.write(entry);
        }
    }

    /// Writes a line whatever the levels.
    pub fn write(&self, entry: &Entry<'_>) {
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        self.tell_losses(&self.sink, "core");
        // No buffer while the thread ends, or when writing an entry writes another (a `Display` in it might).
        let written = LINE.try_with(|buffer| {
            let mut line = buffer.try_borrow_mut().ok()?;
            self.write_with(&mut line, entry);
            Some(())
        });
        if !matches!(written, Ok(Some(()))) {
            self.write_with(&mut Vec::new(), entry);
        }
    }

    fn write_with(&self, line: &mut Vec<u8>, entry: &Entry<'_>) {
        line.clear();
        self.append(entry, line);
        self.sink.write(line);
    }

    /// Appends the entry's line, and those that come before the first one.
    fn append(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match &self.shape {
            Shape::Usual => append(entry, SystemTime::now(), self.header.as_ref(), out),
            Shape::Own(formats) => formats.append(entry, self.header.as_ref(), out),
        }
    }

    /// Writes what waits for a slow reader, and what is due to be told of this log's own lost lines.
    pub fn flush(&self) {
        self.sink.write_waiting();
        self.tell_losses(&self.sink, "core");
    }

    /// Tells of the lines that a log lost, this one or another, once a minute.
    pub fn tell_losses(&self, of: &Sink, module: &str) {
        if of.owes_report()
            && let Some(report) = of.loss_report(Instant::now())
        {
            self.tell(of, module, &report);
        }
    }

    /// Tells of the last lines that a log lost: the process ends.
    pub fn tell_last_losses(&self, of: &Sink, module: &str) {
        if let Some(report) = of.last_report() {
            self.tell(of, module, &report);
        }
    }

    #[cold]
    fn tell(&self, of: &Sink, module: &str, report: &Report) {
        let entry = Entry::new(Level::Error, module, Message::Bytes(report.text.as_bytes()));
        let mut line = Vec::new();
        if self.levels.allow(entry.level, entry.module) {
            self.append(&entry, &mut line);
        }
        self.sink.tell(&line, report, of);
    }
}

impl Formats {
    fn append(&self, entry: &Entry<'_>, header: Option<&Header>, out: &mut Vec<u8>) {
        let start = Start {
            header,
            level: entry.level,
        };
        let words = entry.os_error.map(strerror);
        let mut facts = Facts {
            now: SystemTime::now(),
            said: None,
            pid: std::process::id(),
            tid: thread_id(),
            os_error: None,
            client: entry.client,
            request: entry.request,
            scope: Scope::Connection,
            server_name: &self.server_name,
        };
        let none = |_: &mut Vec<u8>| {};
        let (is_new_connection, is_new_request) = entry.request.map_or((false, false), |request| self.are_new(request));
        for format in self.said.connection.iter().filter(|_| is_new_connection) {
            start.line(out, |out| format.append(&facts, none, out));
        }
        facts.scope = Scope::Request;
        for format in self.said.request.iter().filter(|_| is_new_request) {
            start.line(out, |out| format.append(&facts, none, out));
        }
        let Some(format) = &self.said.line else {
            return append(entry, facts.now, header, out);
        };
        facts.said = Some((entry.level, entry.module));
        let number = entry.os_error.and_then(io::Error::raw_os_error);
        facts.os_error = number.zip(words.as_deref());
        start.line(out, |out| {
            format.append(&facts, |out| message(entry.message, out), out);
        });
    }

    /// Whether this is the first line about the connection, and about the request.
    fn are_new(&self, request: &RequestFacts) -> (bool, bool) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new_connection = is_new(&mut told.connections, &request.connection_id);
        (is_new_connection, is_new(&mut told.requests, &request.id))
    }
}

/// Whether a name is none of those, to which it is added.
fn is_new(names: &mut VecDeque<Vec<u8>>, name: &[u8]) -> bool {
    if names.iter().rev().any(|known| known == name) {
        return false;
    }
    if names.len() >= REMEMBERED {
        names.pop_front();
    }
    names.push_back(name.to_vec());
    true
}

/// How a line begins.
#[derive(Clone, Copy)]
struct Start<'h> {
    header: Option<&'h Header>,
    level: Level,
}

impl Start<'_> {
    /// Appends a line, if there is anything in it: cut to its limit, and with its end.
    fn line(self, out: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) {
        let whole = out.len();
        if let Some(header) = self.header {
            // The levels of the system's log have the same numbers, and the least urgent one ends them.
            header.append(u8::try_from(self.level as u32).unwrap_or(syslog::DEBUG), out);
        }
        let start = out.len();
        append(out);
        if out.len() - start >= LINE_LIMIT {
            cut(out, start);
        }
        if out.len() == start {
            return out.truncate(whole);
        }
        if self.header.is_some() {
            // What a format breaks into several lines is one message there.
            for byte in out.iter_mut().skip(start).filter(|byte| **byte == b'\n') {
                *byte = b' ';
            }
        }
        out.push(b'\n');
    }
}

/// Appends the entry's line in the usual shape.
fn append(entry: &Entry<'_>, now: SystemTime, header: Option<&Header>, out: &mut Vec<u8>) {
    let start = Start {
        header,
        level: entry.level,
    };
    start.line(out, |out| {
        if header.is_none() {
            time(now, out);
        }
        prefix(entry, out);
        message(entry.message, out);
        if let Some(referer) = entry.referer {
            out.extend_from_slice(b", referer: ");
            escape::error(referer, out);
        }
    });
}

fn message(message: Message<'_>, out: &mut Vec<u8>) {
    match message {
        Message::Text(text) => {
            let _ = fmt::write(&mut Escaping(out), text);
        }
        Message::Bytes(bytes) => escape::error(bytes, out),
        Message::Escaped(text) => {
            for (n, piece) in text.as_bytes().split(|b| *b == b'\\').enumerate() {
                if n > 0 {
                    out.push(b'\\');
                }
                escape::error(piece, out);
            }
        }
    }
}

fn time(now: SystemTime, out: &mut Vec<u8>) {
    let time = local_time::since_epoch(now);
    let date = local_time::error(time.as_secs());
    let (day_and_time, year) = date.split_at(date.len() - 5);
    out.push(b'[');
    out.extend_from_slice(day_and_time);
    let micros = time.subsec_micros();
    // Writing to a Vec cannot fail.
    let _ = write!(out, ".{micros:06}");
    out.extend_from_slice(year);
    out.extend_from_slice(b"] ");
}

fn prefix(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let (module, level) = (entry.module, entry.level.name());
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "[{module}:{level}] [pid {}:tid {}] ",
        std::process::id(),
        thread_id()
    );
    if let Some(error) = entry.os_error {
        if let Some(number) = error.raw_os_error() {
            let _ = write!(out, "({number})");
        }
        escape::error(strerror(error).as_bytes(), out);
        out.extend_from_slice(b": ");
    }
    if let Some(client) = entry.client {
        let _ = write!(out, "[client {}:{}] ", client.ip(), client.port());
    }
}

/// The kernel's number of this thread.
fn thread_id() -> i32 {
    thread_local! {
        static ID: Cell<i32> = const { Cell::new(0) };
    }
    let mut id = ID.get();
    if id == 0 {
        id = rustix::thread::gettid().as_raw_nonzero().get();
        ID.set(id);
    }
    id
}

/// Cuts the line to its limit, not inside an escape (`\xhh` is the longest).
fn cut(out: &mut Vec<u8>, start: usize) {
    let mut end = start + LINE_LIMIT - 1;
    let near = out.get(end - 4..end).unwrap_or_default();
    // An escape's backslash follows an even number of backslashes; the run before may be long.
    if let Some(at) = near.iter().rposition(|b| *b == b'\\') {
        let backslash = end - 4 + at;
        let before = out[start..backslash].iter().rev().take_while(|b| **b == b'\\').count();
        let len = if out.get(backslash + 1) == Some(&b'x') { 4 } else { 2 };
        if before % 2 == 0 && backslash + len > end {
            end = backslash;
        }
    }
    out.truncate(end);
}

/// Text on its way into a line.
struct Escaping<'o>(&'o mut Vec<u8>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape::error(text.as_bytes(), self.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, pipe};
    use std::time::{Duration, SystemTime};

    use super::{Entry, ErrorLog, LINE_LIMIT, Message, append, thread_id};
    use crate::lang::local_time;
    use crate::lang::log_level::{Level, LogLevels};
    use crate::log::sink::Sink;

    const SECOND: u64 = 1_795_170_787;

    fn line(entry: &Entry<'_>) -> String {
        let mut out = Vec::new();
        append(
            entry,
            SystemTime::UNIX_EPOCH + Duration::new(SECOND, 7_618_999),
            None,
            &mut out,
        );
        String::from_utf8(out).expect("escaped")
    }

    /// The shapes of lines that Apache 2.4.71 wrote, without its numbers.
    #[test]
    fn lines_have_apaches_shape() {
        let date = String::from_utf8(local_time::error(SECOND).to_vec()).expect("ASCII");
        let (day, year) = date.split_at(date.len() - 5);
        let ids = format!("[pid {}:tid {}]", std::process::id(), thread_id());
        let denied = io::Error::from_raw_os_error(13);
        let client = "127.0.0.1:36286".parse().ok();
        let mut entry = Entry::new(Level::Notice, "core", Message::Bytes(b"resuming"));
        assert_eq!(
            line(&entry),
            format!("[{day}.007618{year}] [core:notice] {ids} resuming\n")
        );
        entry = Entry {
            level: Level::Error,
            module: "cgi",
            client,
            referer: Some(b"http://r/\"\xe9"),
            request: None,
            os_error: None,
            message: Message::Bytes(b"stderr from /cgi/long.cgi: err  \x01\xe9\\\n"),
        };
        let want = r#"[client 127.0.0.1:36286] stderr from /cgi/long.cgi: err  \x01\xe9\\\n, referer: http://r/"\xe9"#;
        assert_eq!(line(&entry), format!("[{day}.007618{year}] [cgi:error] {ids} {want}\n"));
        entry.os_error = Some(&denied);
        entry.referer = None;
        entry.level = Level::Trace3;
        entry.client = "[2001:db8::1]:80".parse().ok();
        entry.message = Message::Bytes(b"exec of '/x' failed");
        let want = "(13)Permission denied: [client 2001:db8::1:80] exec of '/x' failed";
        assert_eq!(
            line(&entry),
            format!("[{day}.007618{year}] [cgi:trace3] {ids} {want}\n")
        );
    }

    #[test]
    fn text_of_ours_is_escaped_too() {
        let name = "a\u{1b}[31m\"é\n";
        let got = line(&Entry::new(
            Level::Error,
            "core",
            Message::Text(format_args!("file `{name}`: gone")),
        ));
        assert!(got.ends_with("] file `a\\x1b[31m\"\\xc3\\xa9\\n`: gone\n"));
    }

    #[test]
    fn backslashes_of_escaped_text_stay() {
        let got = line(&Entry::new(
            Level::Error,
            "cgi",
            Message::Escaped("`sed -i 's/\\r$//' x`\n"),
        ));
        assert!(got.ends_with("] `sed -i 's/\\r$//' x`\\n\n"), "{got}");
    }

    #[test]
    fn long_lines_are_cut_between_escapes() {
        for fill in ["x", "\u{1}", "\\", "\n", "\\\u{1}"] {
            for shift in 0..8 {
                let message = "y".repeat(shift) + &fill.repeat(LINE_LIMIT);
                let line = line(&Entry::new(Level::Error, "core", Message::Bytes(message.as_bytes())));
                assert!(
                    line.len() <= LINE_LIMIT && line.len() >= LINE_LIMIT - 4,
                    "{}",
                    line.len()
                );
                let start = line.find("] y").or_else(|| line.find("] ")).expect("a prefix");
                let text = line[start..]
                    .trim_end()
                    .replace("\\\\", "")
                    .replace("\\n", "")
                    .replace("\\x01", "");
                assert!(!text.contains('\\'), "{fill:?} {shift}: {}", &line[line.len() - 10..]);
            }
        }
    }

    #[test]
    fn levels_decide_what_is_written() {
        let (mut reader, writer) = pipe().expect("a pipe");
        let sink = Sink::inherited("errors", writer.into()).expect("open");
        let log = ErrorLog::new(sink).with_levels(LogLevels::parse(["info", "cgi:crit"]).expect("valid"));
        log.note(Level::Info, "core", format_args!("one"));
        log.note(Level::Debug, "core", format_args!("no"));
        log.note(Level::Error, "cgi", format_args!("no"));
        let entry = Entry::new(Level::Debug, "rewrite", Message::Bytes(b"two"));
        log.record(log.levels(), &entry);
        log.record(&LogLevels::new(Level::Trace8), &entry);
        log.flush();
        drop(log);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        let ends: Vec<&str> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(ends, ["one", "two"]);
    }
}
