//! Requests of all kinds, then each number of the metrics beside a count of the access log.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{PATIENCE, boot, connect, text};
use crate::support::server::{self, Server};
use crate::support::wire::Judge;

/// What a line of the log tells, as the configuration below has it.
struct Line {
    method: String,
    status: String,
    bytes_in: u64,
    bytes_out: u64,
    body: u64,
    micros: u64,
    first_byte: u64,
    aborted: bool,
    site: String,
}

const CONFIG: &[&str] = &[
    "ServerThreads 2",
    "LogFormat \"%m %>s %I %O %B %D %^FB %X %v\" numbers",
    "CustomLog $ROOT/numbers.log numbers",
    "LimitRequestBody 100",
    "Redirect /old /new",
    "ErrorDocument 404 /cgi-bin/missing",
    "<VirtualHost *>",
    "ServerName first.example",
    "DocumentRoot $ROOT/htdocs",
    "ScriptAlias /cgi-bin/ \"$ROOT/cgi-bin/\"",
    "</VirtualHost>",
    "<VirtualHost *>",
    "ServerName other.example",
    "DocumentRoot $ROOT/htdocs",
    "ScriptAlias /cgi-bin/ \"$ROOT/cgi-bin/\"",
    "</VirtualHost>",
];

const SCRIPTS: &[(&str, &str)] = &[
    ("echo", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\ncat\n"),
    (
        "missing",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nnot here\\n'\n",
    ),
    ("silent", "#!/bin/sh\nexit 0\n"),
    ("local", "#!/bin/sh\nprintf 'Location: /a.txt\\n\\n'\n"),
    (
        "endless",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nwhile echo 0123456789012345678901234567890123456789; do :; done 2>/dev/null\n",
    ),
];

/// How often each of the requests below is sent.
const ROUNDS: usize = 12;

/// A request with its answers' count.
fn requests() -> Vec<(String, usize)> {
    let one = |line: &str, more: &str| (format!("{line} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"), 1);
    vec![
        one("GET /a.txt", ""),
        one("HEAD /a.txt", ""),
        one("GET /a.txt", "Range: bytes=1-3\r\n"),
        one("GET /a.txt", "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT\r\n"),
        one("GET /large.bin", ""),
        one("GET /none", ""),
        one("GET /old", ""),
        one("OPTIONS /a.txt", ""),
        one("DELETE /a.txt", ""),
        one("BREW /a.txt", ""),
        one("GET /%00", ""),
        one("GET /cgi-bin/echo", ""),
        one("GET /cgi-bin/silent", ""),
        one("GET /cgi-bin/local", ""),
        one("POST /cgi-bin/echo", "Content-Length: 5\r\n\r\nabcde").into_body(),
        one(
            "POST /cgi-bin/echo",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        )
        .into_body(),
        one("POST /cgi-bin/echo", "Content-Length: 1000\r\n"),
        one("GET /status?auto", ""),
        ("GET /a.txt HTTP/1.1\r\nHost: other.example\r\n\r\n".repeat(3), 3),
        ("GET /a.txt HTTP/1.0\r\n\r\n".to_owned(), 1),
        ("GET /a.txt\r\n".to_owned(), 1),
        ("GET /a.txt HTTP/1.1\r\n\r\n".to_owned(), 1),
        ("nonsense\r\n\r\n".to_owned(), 1),
        ("GET /a.txt HTTP/1.1\r\nHost: localhost\r\nBroken\r\n\r\n".to_owned(), 1),
    ]
}

/// A head whose body follows has its end already.
trait IntoBody {
    fn into_body(self) -> Self;
}

impl IntoBody for (String, usize) {
    fn into_body(mut self) -> Self {
        if !self.0.ends_with("0\r\n\r\n") {
            self.0.truncate(self.0.len() - 2);
        }
        self
    }
}

/// Each on connections of its own, one request behind the other; what breaks the connection is sent alone.
fn load(server: &Server) -> Result<(usize, usize), String> {
    let (mut sent, mut connections) = (0, 0);
    for _ in 0..ROUNDS {
        for (request, answers) in requests() {
            let mut wire = connect(server)?;
            connections += 1;
            wire.send(request.as_bytes())?;
            wire.half_close();
            wire.rest()?;
            sent += answers;
        }
        let mut kept = connect(server)?;
        connections += 1;
        for _ in 0..5 {
            kept.send(b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            kept.reply(Judge::Strict)?;
            sent += 1;
        }
        // It leaves in the middle of the answer.
        let mut leaves = connect(server)?;
        connections += 1;
        leaves.send(b"GET /cgi-bin/endless HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        leaves.wait_for(b"0123456789")?;
        leaves.reset();
        sent += 1;
    }
    Ok((sent, connections))
}

/// Several hundred requests, with errors, redirects, scripts, bodies, broken heads, and clients that leave; every counter
/// equals what the lines of the log come to.
pub(super) fn numbers_equal_the_access_log() -> Result<(), String> {
    let (root, server) = boot("counted", CONFIG, SCRIPTS)?;
    server::write(&root.join("htdocs/a.txt"), b"hello\n")?;
    server::write(&root.join("htdocs/large.bin"), &vec![b'x'; 300_000])?;
    server::hand_over(&root, false)?;
    let (sent, connections) = load(&server)?;
    let log = root.join("numbers.log");
    let lines = server::poll(PATIENCE, || {
        let lines = lines(&log)?;
        if lines.len() == sent {
            Ok(lines)
        } else {
            Err(format!("{sent} requests were sent, {} are in the log", lines.len()))
        }
    })?;
    let metrics = samples(&text(&server, "/metrics")?)?;
    let mut differ = Vec::new();
    for (name, expected) in expected(&lines, connections) {
        let told = metrics.get(&name);
        if told != Some(&expected) {
            differ.push(format!("{name}: {told:?}, and the log says {expected}"));
        }
    }
    let counted = |name: &&String| name.starts_with("lychgate_requests_total") || name.starts_with("lychgate_site_");
    let known: BTreeMap<String, String> = expected(&lines, connections).into_iter().collect();
    differ.extend(
        metrics
            .keys()
            .filter(counted)
            .filter(|name| !known.contains_key(*name))
            .cloned(),
    );
    if !differ.is_empty() {
        return Err(differ.join("\n"));
    }
    server.settle(PATIENCE)?;
    server.stop()
}

fn lines(log: &Path) -> Result<Vec<Line>, String> {
    let text = fs::read_to_string(log).map_err(|e| format!("{}: {e}", log.display()))?;
    text.lines()
        .map(|line| parsed(line).ok_or(format!("in the log: {line}")))
        .collect()
}

fn parsed(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split(' ').collect();
    let [
        method,
        status,
        bytes_in,
        bytes_out,
        body,
        micros,
        first_byte,
        state,
        site,
    ] = words.as_slice()
    else {
        return None;
    };
    let known = ["GET", "HEAD", "POST", "OPTIONS", "DELETE"].contains(method);
    Some(Line {
        method: if known {
            (*method).to_owned()
        } else {
            "other".to_owned()
        },
        status: (*status).to_owned(),
        bytes_in: bytes_in.parse().ok()?,
        bytes_out: bytes_out.parse().ok()?,
        body: body.parse().ok()?,
        micros: micros.parse().ok()?,
        first_byte: first_byte.parse().unwrap_or(0),
        aborted: *state == "X",
        site: (*site).to_owned(),
    })
}

/// The samples of the text format by name and labels.
fn samples(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').ok_or(format!("no sample: {line}"))?;
        value.parse::<f64>().map_err(|e| format!("{line}: {e}"))?;
        if samples.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(format!("{name} is told twice"));
        }
    }
    Ok(samples)
}

/// What the log comes to.
fn expected(lines: &[Line], connections: usize) -> Vec<(String, String)> {
    let sum = |of: fn(&Line) -> u64| lines.iter().map(of).sum::<u64>();
    let seconds = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let mut all = vec![
        ("request_bytes_total".to_owned(), sum(|l| l.bytes_in).to_string()),
        ("response_bytes_total".to_owned(), sum(|l| l.bytes_out).to_string()),
        ("response_body_bytes_total".to_owned(), sum(|l| l.body).to_string()),
        ("request_duration_seconds_sum".to_owned(), seconds(sum(|l| l.micros))),
        ("request_duration_seconds_count".to_owned(), lines.len().to_string()),
        ("request_wait_seconds_total".to_owned(), seconds(sum(|l| l.first_byte))),
        (
            "requests_aborted_total".to_owned(),
            sum(|l| u64::from(l.aborted)).to_string(),
        ),
        // The connection that asks for them is one more.
        ("connections_total".to_owned(), (connections + 1).to_string()),
        (
            "requests_kept_total".to_owned(),
            (lines.len() - connections).to_string(),
        ),
    ];
    for (name, limit) in [
        ("0.001", 1000),
        ("0.005", 5000),
        ("0.1", 100_000),
        ("1", 1_000_000),
        ("60", 60_000_000),
    ] {
        let within = lines.iter().filter(|line| line.micros <= limit).count();
        all.push((
            format!("request_duration_seconds_bucket{{le=\"{name}\"}}"),
            within.to_string(),
        ));
    }
    let mut answers: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut sites: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for line in lines {
        *answers.entry((&line.method, &line.status)).or_default() += 1;
        let site = sites.entry(&line.site).or_default();
        *site = (site.0 + 1, site.1 + line.bytes_out);
    }
    for ((method, status), count) in answers {
        let name = format!("requests_total{{method=\"{method}\",status=\"{status}\"}}");
        all.push((name, count.to_string()));
    }
    for (site, (requests, bytes)) in sites {
        all.push((format!("site_requests_total{{site=\"{site}\"}}"), requests.to_string()));
        all.push((
            format!("site_response_bytes_total{{site=\"{site}\"}}"),
            bytes.to_string(),
        ));
    }
    let named = |(name, value)| (format!("lychgate_{name}"), value);
    all.into_iter().map(named).collect()
}
