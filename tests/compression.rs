//! Answers that are compressed while a script writes them, bodies of requests that are larger than they look, and clients that
//! take compressed answers.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Failed, Trial};

use crate::programs::absent;
use crate::support::server::{self, Server};
use crate::support::site;
use crate::support::wire::{Judge, Wire, show};

const PATIENCE: Duration = Duration::from_secs(60);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = CODINGS
        .iter()
        .map(|(coding, _)| {
            Trial::test(format!("compression::{coding}_is_sent_as_a_script_writes"), move || {
                sent_as_written(coding).map_err(Failed::from)
            })
        })
        .collect();
    trials.push(Trial::test("compression::a_bomb_is_refused", || {
        bomb().map_err(Failed::from)
    }));
    trials.push(Trial::ignorable_test("compression::curl_takes_it", curl));
    trials
}

const CODINGS: [(&str, &str); 3] = [
    ("gzip", "DEFLATE"),
    ("br", "BROTLI_COMPRESS"),
    ("zstd", "ZSTD_COMPRESS"),
];

/// Says a line, waits for a file, and says another.
const SCRIPT: &str = "#!/bin/sh
printf 'Content-Type: text/plain\\n\\nbefore\\n'
while [ ! -e ${0%/*}/../go ]; do sleep 0.02; done
echo after
";

/// What can be read so far of a compressed body.
fn readable(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn Read + '_> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(body)),
        "br" => Box::new(brotli::Decompressor::new(body, 4096)),
        _ => match zstd::stream::read::Decoder::new(body) {
            Ok(decoder) => Box::new(decoder),
            Err(_) => return Vec::new(),
        },
    };
    let (mut out, mut piece) = (Vec::new(), [0; 256]);
    // Without its end it ends with an error, behind all that there is.
    while let Ok(n) = reader.read(&mut piece) {
        if n == 0 {
            break;
        }
        out.extend_from_slice(&piece[..n]);
    }
    out
}

/// The chunks that have come whole.
fn dechunked(mut text: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = memchr::memmem::find(text, b"\r\n") {
        let length = std::str::from_utf8(&text[..end]).unwrap_or("");
        let length = usize::from_str_radix(length, 16).unwrap_or(0);
        let Some(chunk) = text.get(end + 2..end + 2 + length) else {
            break;
        };
        body.extend_from_slice(chunk);
        text = text.get(end + 4 + length..).unwrap_or_default();
        if length == 0 {
            break;
        }
    }
    body
}

fn sent_as_written(coding: &str) -> Result<(), String> {
    let filter = CODINGS
        .iter()
        .find(|(name, _)| *name == coding)
        .map_or("", |(_, filter)| filter);
    let line = format!("SetOutputFilter {filter}");
    let (root, server) = site::boot_script(&format!("written-{coding}"), SCRIPT, &[&line])?;
    let told = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(&server.listeners[0]).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    let request =
        format!("GET /cgi-bin/s HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(told)?;
    let (mut all, mut piece, mut is_let_go) = (Vec::new(), [0; 4096], false);
    loop {
        let n = stream
            .read(&mut piece)
            .map_err(|error| format!("{error}; so far: {}", show(&all)))?;
        all.extend_from_slice(&piece[..n]);
        let head = memchr::memmem::find(&all, b"\r\n\r\n").map_or(all.len(), |at| at + 4);
        let text = readable(coding, &dechunked(&all[head..]));
        if text == b"before\n" && !is_let_go {
            server::write(&root.join("go"), b"")?;
            is_let_go = true;
        }
        if n == 0 {
            let coded = format!("Content-Encoding: {coding}\r\n");
            return match (text.as_slice(), memchr::memmem::find(&all, coded.as_bytes())) {
                (b"before\nafter\n", Some(_)) => site::end(&root, server),
                _ => Err(format!("it sent {}", show(&all))),
            };
        }
    }
}

/// A body that would become a thousand times as large, where nothing else bounds it: it is refused at its beginning.
fn bomb() -> Result<(), String> {
    let lines = ["SetInputFilter DEFLATE", "LimitRequestBody 0"];
    let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nwc -c\n";
    let (root, server) = site::boot_script("bomb", script, &lines)?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let zeros = vec![0; 1 << 20];
    for _ in 0..32 {
        encoder.write_all(&zeros).map_err(|error| error.to_string())?;
    }
    let bomb = encoder.finish().map_err(|error| error.to_string())?;
    let before = resident(&server);
    let began = Instant::now();
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    let head = format!(
        "POST /cgi-bin/s HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        bomb.len()
    );
    wire.send(&[head.as_bytes(), &bomb].concat())?;
    let reply = wire.reply(Judge::Strict)?;
    if !reply.status_line.starts_with(b"HTTP/1.1 400") {
        return Err(format!("it is answered with {}", show(&reply.status_line)));
    }
    let grown = resident(&server).saturating_sub(before);
    if grown > 16 * 1024 || began.elapsed() > Duration::from_secs(10) {
        return Err(format!("it took {grown} KiB and {:?}", began.elapsed()));
    }
    site::end(&root, server)
}

/// What the worker holds in memory, in KiB.
fn resident(server: &Server) -> usize {
    let worker = site::role(server, "worker").map(|pid| pid.as_raw_nonzero().get());
    let status = worker.map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default());
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// curl takes what it knows, and gets the same text; the settings are those that Debian ships.
fn curl() -> Result<Completion, Failed> {
    let debian = Path::new("/etc/apache2/mods-available/deflate.conf");
    if !Path::new("/usr/bin/curl").exists() || !debian.exists() {
        return absent("curl and Debian's deflate.conf");
    }
    let text = "A line that says the same thing again and again.\n".repeat(1500);
    let line = format!("Include {}", debian.display());
    let lines = [line.as_str(), "AddOutputFilterByType BROTLI_COMPRESS text/plain"];
    let script = format!("#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\ncat <<'END'\n{text}END\n");
    let (root, server) = site::boot_script("curl", &script, &lines)?;
    server::write(&root.join("htdocs/a.txt"), text.as_bytes())?;
    for path in ["/cgi-bin/s", "/a.txt"] {
        for coding in ["gzip", "br", "identity"] {
            let url = format!("http://{}{path}", server.listeners[0]);
            let mut command = Command::new("/usr/bin/curl");
            let accepts = format!("Accept-Encoding: {coding}");
            command.args(["-s", "--compressed", "-H", &accepts, "-w", "%{size_download}", &url]);
            let output = command.output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            let Some(size) = said.strip_prefix(text.as_str()) else {
                return Err(format!("{path} {coding}: another text of {} bytes", said.len()).into());
            };
            let size: usize = size.parse()?;
            if (size < text.len() / 20) == (coding == "identity") {
                return Err(format!("{path} {coding}: {size} bytes were sent").into());
            }
        }
    }
    site::end(&root, server)?;
    Ok(Completion::Completed)
}
