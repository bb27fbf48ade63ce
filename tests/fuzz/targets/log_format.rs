//! Access log formats: any format compiles or is refused, and no request can put a control byte into a line or break the
//! JSON of the ready-made one. The first line of the input is the format, the rest is what the client sent.

#![no_main]

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;

use lychgate::lang::log_format::LogFormat;
use lychgate::lang::log_format::condition::LogCondition;
use lychgate::lang::log_format::record::{AccessRecord, ConnectionState, Which};
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
    let mut out = Vec::new();
    format.append(request, &mut out);
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

impl AccessRecord for Sent<'_> {
    fn vars(&self) -> &dyn Vars {
        self
    }

    fn request_field(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        Vars::request_field(self, name)
    }

    fn request_line(&self) -> Option<&[u8]> {
        Some(self.0)
    }

    fn protocol(&self) -> &[u8] {
        b"HTTP/1.1"
    }

    fn method(&self, _pass: Which) -> Option<&[u8]> {
        Some(self.0)
    }

    fn path(&self, _pass: Which) -> Option<&[u8]> {
        Some(self.0)
    }

    fn query(&self, _pass: Which) -> Option<&[u8]> {
        Some(self.0)
    }

    fn status(&self, _pass: Which) -> u16 {
        200
    }

    fn user(&self, _pass: Which) -> Option<&[u8]> {
        // An empty one is `""`, as in Apache.
        Some(self.0).filter(|name| !name.is_empty())
    }

    fn filename(&self, _pass: Which) -> Option<&[u8]> {
        Some(self.0)
    }

    fn handler(&self, _pass: Which) -> Option<&[u8]> {
        Some(b"cgi-script")
    }

    fn body_bytes(&self) -> u64 {
        12
    }

    fn bytes_in(&self) -> u64 {
        345
    }

    fn bytes_out(&self) -> u64 {
        678
    }

    fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)
    }

    fn duration(&self) -> Duration {
        Duration::from_micros(4321)
    }

    fn first_byte(&self) -> Option<Duration> {
        Some(Duration::from_micros(1234))
    }

    fn client(&self) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], 40_000))
    }

    fn peer(&self) -> SocketAddr {
        self.client()
    }

    fn local(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 80))
    }

    fn remote_host(&self) -> Option<&[u8]> {
        Some(self.0)
    }

    fn keepalive_number(&self) -> u32 {
        3
    }

    fn connection(&self) -> ConnectionState {
        ConnectionState::KeptAlive
    }

    fn log_id(&self) -> Option<&[u8]> {
        None
    }

    fn server_name(&self) -> &[u8] {
        b"a.example"
    }

    fn canonical_name(&self) -> &[u8] {
        b"a.example"
    }

    fn server_port(&self) -> u16 {
        80
    }

    fn pid(&self) -> u32 {
        1
    }

    fn tid(&self) -> u64 {
        2
    }
}
