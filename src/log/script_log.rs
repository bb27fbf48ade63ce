//! `ScriptLog`: what a failing script was asked and what it said, in mod_cgi's layout.

use std::sync::Arc;
use std::time::SystemTime;

use crate::lang::local_time;
use crate::log::sink::Sink;

/// The file of `ScriptLog` with its bounds.
#[derive(Debug)]
pub struct ScriptLog {
    sink: Arc<Sink>,
    length: u64,
    buffer: usize,
}

/// The request that a script was started for.
#[derive(Clone, Copy, Debug)]
pub struct ScriptRequest<'r> {
    /// The method.
    pub method: &'r [u8],
    /// The target's path, decoded.
    pub path: &'r [u8],
    /// The query, without `?`.
    pub query: Option<&'r [u8]>,
    /// `HTTP/1.1`
    pub protocol: &'r [u8],
    /// The script's path on disk.
    pub script: &'r [u8],
}

/// What went in and out of a script that failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conversation<'c> {
    /// The request's fields, in order.
    pub request_fields: &'c [(&'c [u8], &'c [u8])],
    /// The beginning of the request's body, up to [`ScriptLog::buffer`] bytes; none when the method has none.
    pub request_body: Option<&'c [u8]>,
    /// The response fields that the script had produced.
    pub response_fields: &'c [(&'c [u8], &'c [u8])],
    /// The line at which its reply stopped being one.
    pub bad_line: Option<&'c [u8]>,
    /// What it printed after that.
    pub stdout: &'c [u8],
}

impl ScriptLog {
    /// Apache's default for `ScriptLogLength`, in bytes.
    pub const DEFAULT_LENGTH: u64 = 10_385_760;
    /// Apache's default for `ScriptLogBuffer`, in bytes.
    pub const DEFAULT_BUFFER: usize = 1024;

    /// A script log in the file behind `sink`; nothing more is written once it is longer than `length` bytes.
    pub fn new(sink: Arc<Sink>, length: u64, buffer: usize) -> ScriptLog {
        ScriptLog { sink, length, buffer }
    }

    /// How much of a request's body is worth keeping for the log, in bytes.
    pub fn buffer(&self) -> usize {
        self.buffer
    }

    /// Writes that the script could not be run, or a line of its standard error: a `%error` record.
    pub fn error(&self, request: &ScriptRequest<'_>, status: u16, message: &[u8]) {
        if self.is_full() {
            return;
        }
        let mut record = head(request, status, SystemTime::now());
        record.extend_from_slice(b"%error\n");
        record.extend_from_slice(message);
        record.push(b'\n');
        self.sink.write(&record);
    }

    /// Writes the whole conversation with a script whose reply was none.
    pub fn failure(&self, request: &ScriptRequest<'_>, status: u16, conversation: &Conversation<'_>) {
        if self.is_full() {
            return;
        }
        let mut record = head(request, status, SystemTime::now());
        record.extend_from_slice(b"%request\n");
        fields(conversation.request_fields, &mut record);
        if let Some(body) = conversation.request_body {
            record.push(b'\n');
            record.extend_from_slice(body.get(..self.buffer).unwrap_or(body));
            record.push(b'\n');
        }
        record.extend_from_slice(b"%response\n");
        fields(conversation.response_fields, &mut record);
        if let Some(line) = conversation.bad_line {
            record.extend_from_slice(line);
            record.push(b'\n');
        }
        if !conversation.stdout.is_empty() {
            record.extend_from_slice(b"%stdout\n");
            record.extend_from_slice(conversation.stdout);
            record.push(b'\n');
        }
        self.sink.write(&record);
    }

    fn is_full(&self) -> bool {
        self.sink.size() > self.length
    }
}

fn head(request: &ScriptRequest<'_>, status: u16, now: SystemTime) -> Vec<u8> {
    let time = local_time::since_epoch(now);
    let mut record = b"%% [".to_vec();
    record.extend_from_slice(&local_time::error(time.as_secs()));
    record.extend_from_slice(b"] ");
    record.extend_from_slice(request.method);
    record.push(b' ');
    record.extend_from_slice(request.path);
    if let Some(query) = request.query {
        record.push(b'?');
        record.extend_from_slice(query);
    }
    record.push(b' ');
    record.extend_from_slice(request.protocol);
    record.extend_from_slice(format!("\n%% {status} ").as_bytes());
    record.extend_from_slice(request.script);
    record.push(b'\n');
    record
}

fn fields(fields: &[(&[u8], &[u8])], record: &mut Vec<u8>) {
    for (name, value) in fields {
        record.extend_from_slice(name);
        record.extend_from_slice(b": ");
        record.extend_from_slice(value);
        record.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::{Conversation, ScriptLog, ScriptRequest};
    use crate::log::sink::Sink;

    struct Fixture(PathBuf);

    impl Fixture {
        fn new(name: &str) -> Fixture {
            Fixture(std::env::temp_dir().join(format!("lychgate-script-log-{}-{name}", std::process::id())))
        }

        fn log(&self, length: u64, buffer: usize) -> ScriptLog {
            let sink = Sink::open(&self.0).expect("opened");
            ScriptLog::new(Arc::new(sink), length, buffer)
        }

        /// The text, with every date replaced.
        fn text(&self) -> String {
            let text = String::from_utf8_lossy(&std::fs::read(&self.0).expect("read")).into_owned();
            text.lines()
                .map(|line| match (line.starts_with("%% ["), line.find(']')) {
                    (true, Some(end)) => format!("%% [DATE{}\n", &line[end..]),
                    _ => format!("{line}\n"),
                })
                .collect()
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn request(method: &'static [u8], query: Option<&'static [u8]>, protocol: &'static [u8]) -> ScriptRequest<'static> {
        ScriptRequest {
            method,
            path: b"/cgi/bad.cgi/pi",
            query,
            protocol,
            script: b"/tmp/cgi/bad.cgi",
        }
    }

    /// The records that mod_cgi of Apache 2.4.71 wrote for the same scripts.
    #[test]
    fn records_have_mod_cgis_layout() {
        let fixture = Fixture::new("layout");
        let log = fixture.log(ScriptLog::DEFAULT_LENGTH, 20);
        assert_eq!(log.buffer(), 20);
        let get = request(b"GET", Some(b"x=1"), b"HTTP/1.1");
        log.error(&get, 200, b"on stderr");
        let conversation = Conversation {
            request_fields: &[(b"Host", b"h"), (b"X-Long", b"q")],
            bad_line: Some(b"no header here"),
            stdout: b"more\n",
            ..Conversation::default()
        };
        log.failure(&get, 500, &conversation);
        let post = request(b"POST", None, b"HTTP/1.0");
        let conversation = Conversation {
            request_fields: &[(b"Content-Length", b"30")],
            request_body: Some(b"0123456789abcdefghijklmnopqrst"),
            bad_line: Some(b"broken header line"),
            stdout: b"0123456789abcdefghijklmnopqrst",
            ..Conversation::default()
        };
        log.failure(&post, 500, &conversation);
        log.failure(&post, 500, &Conversation::default());
        let want = "\
%% [DATE] GET /cgi/bad.cgi/pi?x=1 HTTP/1.1
%% 200 /tmp/cgi/bad.cgi
%error
on stderr
%% [DATE] GET /cgi/bad.cgi/pi?x=1 HTTP/1.1
%% 500 /tmp/cgi/bad.cgi
%request
Host: h
X-Long: q
%response
no header here
%stdout
more

%% [DATE] POST /cgi/bad.cgi/pi HTTP/1.0
%% 500 /tmp/cgi/bad.cgi
%request
Content-Length: 30

0123456789abcdefghij
%response
broken header line
%stdout
0123456789abcdefghijklmnopqrst
%% [DATE] POST /cgi/bad.cgi/pi HTTP/1.0
%% 500 /tmp/cgi/bad.cgi
%request
%response
";
        assert_eq!(fixture.text(), want);
    }

    #[test]
    fn nothing_is_written_beyond_the_length() {
        let fixture = Fixture::new("length");
        let log = fixture.log(100, 20);
        let get = request(b"GET", None, b"HTTP/1.0");
        for _ in 0..10 {
            log.error(&get, 404, b"script not found or unable to stat");
        }
        assert_eq!(fixture.text().lines().count(), 4);
    }
}
