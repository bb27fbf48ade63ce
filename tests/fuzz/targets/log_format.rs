//! Access log formats: any format compiles or is refused, and no request can put a control byte into a line or break the
//! JSON of the ready-made one. The first line of the input is the format, the rest is what the client sent.

#![no_main]

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;

use lychgate::lang::log_format::condition::LogCondition;
use lychgate::lang::log_format::{AccessRecord, ConnectionState, LogFormat, Pass};
use lychgate::lang::vars::{Variable, Vars};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (format, sent) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Ok(format) = std::str::from_utf8(format) else {
        return;
    };
    let request = Sent(sent);
    if let Ok(condition) = LogCondition::parse(format) {
        condition.holds(&request);
    }
    if let Ok(compiled) = LogFormat::parse(format) {
        let line = line(&compiled, &request);
        let plain = !format.contains(['\\', '{']) && !format.bytes().any(|byte| byte.is_ascii_control());
        assert!(line.ends_with(b"\n"));
        assert!(!plain || !line[..line.len() - 1].iter().any(u8::is_ascii_control));
    }
    for nickname in ["combined", "vhost_combined"] {
        let line = line(&LogFormat::named(nickname).expect("it is ready-made"), &request);
        let body = &line[..line.len() - 1];
        assert!(!body.iter().any(u8::is_ascii_control));
        assert_eq!(quotes(body), 6, "a quote that was not escaped");
    }
    let line = line(&LogFormat::named("json").expect("it is ready-made"), &request);
    assert!(!line[..line.len() - 1].contains(&b'\n'));
    serde_json::from_slice::<serde_json::Value>(&line).expect("valid JSON");
});

fn quotes(line: &[u8]) -> usize {
    let mut escaped = false;
    let mut count = 0;
    for byte in line {
        count += usize::from(*byte == b'"' && !escaped);
        escaped = *byte == b'\\' && !escaped;
    }
    count
}

fn line(format: &LogFormat, request: &Sent) -> Vec<u8> {
    let client = SocketAddr::from(([192, 0, 2, 7], 40_000));
    let pass = Pass {
        method: Some(request.0),
        path: Some(request.0),
        query: Some(request.0),
        status: 200,
        user: Some(request.0).filter(|name| !name.is_empty()), // an empty one is `""`, as in Apache
        filename: Some(request.0),
        handler: Some(b"cgi-script"),
    };
    let record = AccessRecord {
        vars: request,
        request_line: Some(request.0),
        protocol: b"HTTP/1.1",
        first: pass,
        last: pass,
        body_bytes: 12,
        bytes_in: 345,
        bytes_out: 678,
        started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        duration: Duration::from_micros(4321),
        first_byte: Some(Duration::from_micros(1234)),
        client,
        peer: client,
        local: SocketAddr::from(([127, 0, 0, 1], 80)),
        remote_host: Some(request.0),
        remote_logname: Some(request.0),
        keepalive_number: 3,
        connection: ConnectionState::KeptAlive,
        log_id: None,
        connection_log_id: None,
        server_name: "a.example",
        canonical_name: "a.example",
        server_port: 80,
        pid: 1,
        tid: 2,
    };
    let mut out = Vec::new();
    format.append(&record, &mut out);
    out
}

/// A request whose every part is what the client sent.
struct Sent<'a>(&'a [u8]);

impl Vars for Sent<'_> {
    fn request_field(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn response_field(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn env(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn variable(&self, _variable: Variable) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }

    fn client_ip(&self) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, 7]))
    }

    fn note(&self, _name: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(self.0))
    }
}
