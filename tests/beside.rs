//! Apache and lychgate side by side: the same site, the same requests, and their answers compared. A pair is a file in
//! `tests/beside/`: configuration and files as in a case, then a line `requests`, then a request a line:
//!
//! ```text
//! GET /path?query
//! GET /path HTTP/1.0
//! GET /path HTTP/1.0 | nohost         without a Host field
//! POST /path | Field: value | Other: value
//! POST /path | body=text            or gzip=text, which is sent compressed, or base64=bytes
//! GET /path | digest=ann:secret       by the Digest scheme, in answer to a challenge; see digest.rs
//! GET /path                         = 500   what Apache answers too
//! GET /path                         ~ (405) why they differ here, and may
//! GET /path                         ~ (Vary body) why
//! GET /path                         ~~ why their traces differ here, and may
//! !traces                           what mod_rewrite traces of all requests is compared too
//! !bodies                           bodies are not compared in what follows
//! !over tls sni=NAME                what follows goes over TLS, in a way that the words say (see support/tls.rs); `!over plain` ends that
//! !refused why                      most of the requests are refused
//! !complains AH00671                what Apache says when it starts, and may
//! ```
//!
//! Over TLS, an agreement that comes to nothing is an answer too: its status is 000, and `X-TLS` has what the server's alert says.
//!
//! Compared are the status, the fields that clients act upon, and the body of every answer that is no page of the server's
//! own; bodies that are compressed are compared as what they are without. A difference that has a reason is what stands in the parentheses (our status, fields, `body`), no less and no more.
//!
//! A pair that shows nothing fails: where Apache complains when it starts, where it answers 500 and the pair does not say so
//! with `= 500`, and where it refuses more than half of the requests without a line `!refused`.

mod coding;
pub mod digest;
mod traces;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use libtest_mimic::{Failed, Trial};

use crate::support::case::{self, Case};
use crate::support::play;
use crate::support::server::{self, Server};
use crate::support::tls::Over;
use crate::support::wire::{Judge, Reply, Wire, show};

const PATIENCE: Duration = Duration::from_secs(20);

/// The fields that are compared, besides those that begin with `X-`.
pub const FIELDS: &[&str] = &[
    "Allow",
    "Authentication-Info",
    "Alternates",
    "Cache-Control",
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Location",
    "Content-MD5",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Expires",
    "Last-Modified",
    "Link",
    "Location",
    "Pragma",
    "Set-Cookie",
    "TCN",
    "Vary",
    "WWW-Authenticate",
];

/// What the pairs of this run came to.
static SUM: Mutex<Sum> = Mutex::new(Sum {
    pairs: 0,
    requests: 0,
    meant: BTreeMap::new(),
});

struct Sum {
    pairs: usize,
    requests: usize,
    /// Differences that have a reason, by the reason.
    meant: BTreeMap<String, usize>,
}

/// One line about all pairs that were played; none if there were none.
pub fn summary() -> Option<String> {
    let sum = SUM.lock().unwrap_or_else(PoisonError::into_inner);
    let meant: Vec<String> = sum.meant.iter().map(|(why, n)| format!("{n} x {why}")).collect();
    (sum.pairs > 0).then(|| {
        format!(
            "beside: {} pairs, {} requests, {} meant differences: {}",
            sum.pairs,
            sum.requests,
            sum.meant.values().sum::<usize>(),
            meant.join("; ")
        )
    })
}

/// A test for each file.
pub fn trials() -> Vec<Trial> {
    pairs().iter().map(|path| trial(path)).collect()
}

/// The files.
pub fn pairs() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/beside");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "pair"))
        .collect();
    paths.sort();
    paths
}

fn trial(path: &Path) -> Trial {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = fs::read_to_string(path);
    Trial::test(format!("beside/{name}"), move || {
        let text = text.map_err(|error| error.to_string())?;
        let pair = Pair::parse(&text)?;
        pair.play(&name).map_err(Failed::from)
    })
}

/// A site, and what is asked of it.
pub struct Pair {
    /// The site.
    pub site: Case,
    /// The requests.
    pub requests: Vec<Request>,
    /// Why most requests are refused.
    refused: Option<String>,
    /// Words of the complaints that Apache may have about the site.
    complaints: Vec<String>,
    traces: bool,
}

/// A request, and what is known of its answers.
pub struct Request {
    /// Where it stands.
    pub line: usize,
    /// What is sent.
    pub bytes: Vec<u8>,
    /// By whom.
    pub digest: Option<digest::Credentials>,
    /// What Apache answers, where the pair says so.
    status: Option<String>,
    meant: Option<Meant>,
    traces_differ: Option<String>,
    bodies: bool,
    /// How it goes over TLS, if it does.
    pub over: Option<String>,
}

/// A difference that has a reason.
struct Meant {
    /// What differs, in order: our status, names of fields in lower case, `body`.
    what: Vec<String>,
    why: String,
}

/// What differs: a word for [`Meant::what`], and how.
type Difference = (String, String);

impl Pair {
    /// Reads a pair.
    pub fn parse(text: &str) -> Result<Pair, String> {
        let (site, rest) = text.split_once("\nrequests\n").ok_or("no line `requests`")?;
        let site_lines = site.lines().count() + 1;
        let (mut bodies, mut refused, mut traces) = (true, None, false);
        let (mut complaints, mut requests, mut over) = (Vec::new(), Vec::new(), None);
        for (number, line) in rest.lines().enumerate() {
            let line_number = site_lines + number + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(why) = line.strip_prefix("!refused ") {
                refused = Some(why.to_owned());
            } else if let Some(words) = line.strip_prefix("!complains ") {
                complaints.push(words.to_owned());
            } else if let Some(words) = line.strip_prefix("!over ") {
                over = words.strip_prefix("tls").map(ToOwned::to_owned);
            } else if line == "!traces" {
                traces = true;
            } else if line == "!bodies" {
                bodies = false;
            } else {
                let request = Request::parse(line, line_number, bodies);
                let request = request.ok_or(format!("{line_number}: not a request"))?;
                let over = over.clone();
                requests.push(Request { over, ..request });
            }
        }
        Ok(Pair {
            site: case::parse(site)?,
            requests,
            refused,
            complaints,
            traces,
        })
    }

    fn play(&self, name: &str) -> Result<(), String> {
        let root = server::fresh_root(&format!("beside-{name}"));
        let _until_the_end = play::lay_out(&root, &self.site)?;
        age(&root, SystemTime::now() - Duration::from_secs(100_000)).map_err(|error| error.to_string())?;
        if self.traces {
            trace_rewriting(&root)?;
        }
        let ours = Booted::new(&root, "lychgate")?;
        let theirs = Booted::new(&root, "apache")?;
        let mut traces = self.traces.then(|| traces::Logs::new(&root));
        let mut faults = self.complaints(&root)?;
        let mut refusals = 0;
        for request in &self.requests {
            let mut answers = match (ours.ask(request), theirs.ask(request)) {
                (Ok(ours), Ok(theirs)) => (ours, theirs),
                (ours, theirs) => {
                    faults.extend([ours.err(), theirs.err()].into_iter().flatten());
                    continue;
                }
            };
            // Where time is told by the second, the clock may have gone on between the two.
            if differences(request, &answers.0, &answers.1)
                .iter()
                .any(|(what, _)| matches!(what.as_str(), "expires" | "cache-control"))
            {
                answers = (ours.ask(request)?, theirs.ask(request)?);
            }
            refusals += usize::from(answers.1.status_line[9..12] > b"401"[..]);
            if std::env::var_os("SHOW").is_some() {
                let told = |reply: &Reply| format!("{}\n{:.6000}", show(&reply.status_line), show(&reply.body));
                println!("line {}:\n{}\n{}", request.line, told(&answers.0), told(&answers.1));
            }
            if let Err(fault) = request.judge(&answers.0, &answers.1) {
                faults.push(format!("line {}: {fault}", request.line));
            }
            if let Some(logs) = &mut traces {
                match (logs.difference()?, &request.traces_differ) {
                    (Some(found), None) => faults.push(format!("line {}: {found}", request.line)),
                    (None, Some(why)) => {
                        faults.push(format!("line {}: traces do not differ (any more): {why}", request.line));
                    }
                    _ => {}
                }
            }
        }
        if refusals * 2 > self.requests.len() && self.refused.is_none() {
            faults.push(format!(
                "Apache refuses {refusals} of {} requests, so that little is compared",
                self.requests.len()
            ));
        }
        ours.server.stop()?;
        theirs.server.stop()?;
        if faults.is_empty() {
            let _left_for_the_end = fs::remove_dir_all(&root);
            self.count();
            return Ok(());
        }
        let log = |who: &str| fs::read_to_string(root.join(format!("{who}.error.log"))).unwrap_or_default();
        Err(format!(
            "{}\n--- error log\n{}--- Apache's\n{}",
            faults.join("\n"),
            log("lychgate"),
            log("apache")
        ))
    }

    /// What Apache finds wrong with the site before it is asked for anything, against what it may.
    fn complaints(&self, root: &Path) -> Result<Vec<String>, String> {
        // It listens before it has read everything.
        let log = server::poll(PATIENCE, || {
            let log = fs::read_to_string(root.join("apache.error.log")).unwrap_or_default();
            let begun = log
                .split_once("resuming normal operations")
                .map(|(log, _)| log.to_owned());
            begun.ok_or("Apache never says that it has begun".to_owned())
        })?;
        let harmless = ["notice]", "info]", "debug]", "trace1]", "trace2]", "trace3]", "trace8]"];
        // No session is kept where nobody asked for it.
        let is_harmless =
            |line: &str| harmless.iter().any(|level| line.contains(&format!(":{level}"))) || line.contains("AH01873:");
        let lines: Vec<&str> = log.lines().filter(|line| !is_harmless(line)).collect();
        let is_meant = |line: &str| self.complaints.iter().any(|words| line.contains(words.as_str()));
        let has = |words: &str| lines.iter().any(|line| line.contains(words));
        let unheard = self.complaints.iter().filter(|words| !has(words));
        Ok(lines
            .iter()
            .filter(|line| !is_meant(line))
            .map(|line| format!("Apache complains: {line}"))
            .chain(unheard.map(|words| format!("Apache does not complain (any more): {words}")))
            .collect())
    }

    fn count(&self) {
        let mut sum = SUM.lock().unwrap_or_else(PoisonError::into_inner);
        sum.pairs += 1;
        sum.requests += self.requests.len();
        for meant in self.requests.iter().filter_map(|request| request.meant.as_ref()) {
            *sum.meant.entry(meant.why.clone()).or_default() += 1;
        }
    }
}

impl Request {
    /// Reads line `number`; nothing if it is no request.
    pub fn parse(line: &str, number: usize, bodies: bool) -> Option<Request> {
        let (line, traces_differ) = with_reason(line, " ~~ ");
        let (line, meant) = match line.split_once(" ~ (") {
            Some((request, rest)) => {
                let (what, why) = rest.split_once(") ")?;
                let what = what.split_whitespace().map(str::to_ascii_lowercase).collect();
                let why = why.trim().to_owned();
                (request.trim_end(), Some(Meant { what, why }))
            }
            None if line.contains(" ~ ") => return None,
            None => (line.trim_end(), None),
        };
        let (line, status) = match line.rsplit_once(" = ") {
            Some((request, status)) if status.len() == 3 => (request.trim_end(), Some(status.to_owned())),
            _ => (line, None),
        };
        Some(Request {
            line: number,
            bytes: bytes_of(line)?,
            digest: match line.split(" | ").find_map(|field| field.strip_prefix("digest=")) {
                Some(text) => Some(digest::Credentials::parse(text)?),
                None => None,
            },
            status,
            meant,
            traces_differ,
            bodies,
            over: None,
        })
    }

    /// Says what is wrong with the two answers.
    pub fn judge(&self, ours: &Reply, theirs: &Reply) -> Result<(), String> {
        let differences = differences(self, ours, theirs);
        let what: Vec<&String> = differences.iter().map(|(what, _)| what).collect();
        let how: Vec<&str> = differences.iter().map(|(_, how)| how.as_str()).collect();
        let answered = String::from_utf8_lossy(&theirs.status_line[9..12]);
        let said = self.status.as_deref();
        let words = |what: &[&String]| what.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(" ");
        match &self.meant {
            None if !what.is_empty() => Err(how.join("; ")),
            Some(meant) if what.is_empty() => Err(format!("they do not differ (any more): {}", meant.why)),
            Some(meant) if !meant.what.iter().eq(what.iter().copied()) => {
                Err(format!("they differ in ({}): {}", words(&what), how.join("; ")))
            }
            _ if said.is_some_and(|said| said != answered) => Err(format!("Apache answers {answered}")),
            None if said.is_none() && answered == "500" => Err("Apache answers 500; if that is meant, say so".into()),
            _ => Ok(()),
        }
    }
}

/// Gives every file below `directory` the same time of last change: long ago enough for a strong entity tag. Files that the pair
/// gives an earlier time keep it.
pub fn age(directory: &Path, time: SystemTime) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            age(&path, time)?;
        }
        // A FIFO would wait for its writer.
        if !path.is_dir() && !path.is_file() {
            continue;
        }
        if let Ok(file) = fs::File::open(&path)
            && file.metadata()?.modified()? > time
        {
            file.set_modified(time)?;
        }
    }
    Ok(())
}

/// What stands before a mark, and the reason behind it.
fn with_reason<'l>(line: &'l str, mark: &str) -> (&'l str, Option<String>) {
    match line.split_once(mark) {
        Some((line, why)) => (line.trim_end(), Some(why.trim().to_owned())),
        None => (line.trim_end(), None),
    }
}

/// Has both tell every step of mod_rewrite.
fn trace_rewriting(root: &Path) -> Result<(), String> {
    let file = root.join("httpd.conf");
    let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    server::write(&file, format!("{text}\nLogLevel warn rewrite:trace8\n").as_bytes())
}

fn bytes_of(request: &str) -> Option<Vec<u8>> {
    let mut parts = request.split(" | ");
    let (method, target) = parts.next()?.split_once(' ')?;
    let (target, version) = match target.strip_suffix(" HTTP/1.0") {
        Some(target) => (target, "HTTP/1.0"),
        None => (target, "HTTP/1.1"),
    };
    let mut text = format!("{method} {target} {version}\r\n");
    let (mut body, mut has_host) = (Vec::new(), false);
    for field in parts {
        if field.starts_with("digest=") {
            continue;
        }
        if field == "nohost" {
            has_host = true;
            continue;
        }
        if let Some(content) = field.strip_prefix("body=") {
            body = content.as_bytes().to_vec();
        } else if let Some(content) = field.strip_prefix("gzip=") {
            body = coding::zipped(content.as_bytes());
        } else if let Some(content) = field.strip_prefix("base64=") {
            body = base64::engine::general_purpose::STANDARD.decode(content).ok()?;
        } else {
            has_host |= field.to_ascii_lowercase().starts_with("host:");
            text.push_str(field);
            text.push_str("\r\n");
        }
    }
    if !has_host {
        text.push_str("Host: localhost\r\n");
    }
    if !body.is_empty() {
        text = text + "Content-Length: " + &body.len().to_string() + "\r\n";
    }
    text.push_str("Connection: close\r\n\r\n");
    Some([text.into_bytes(), body].concat())
}

/// One of the two servers.
pub struct Booted {
    /// It.
    pub server: Server,
    /// Where it listens.
    pub address: String,
}

impl Booted {
    /// Boots it by `WHO.conf`.
    pub fn new(root: &Path, who: &str) -> Result<Booted, String> {
        let text = fs::read_to_string(root.join("httpd.conf")).map_err(|error| error.to_string())?;
        let address = format!("127.0.0.1:{}", server::free_port());
        let mut text = text.replace("Listen 127.0.0.1:0\n", &format!("Listen {address}\n"));
        for name in ["httpd.pid", "error.log", "access.log"] {
            let path = format!("{}/{name}", root.display());
            text = text.replace(&path, &format!("{}/{who}.{name}", root.display()));
        }
        let file = root.join(format!("{who}.conf"));
        server::write(&file, text.as_bytes())?;
        let ours = who == "lychgate";
        let mut command = if ours {
            server::program(root, false, &[])?
        } else {
            // As it is here unless the site says otherwise.
            let mut command = server::apache(root)?;
            command.args(["-C", "TraceEnable Off"]);
            command
        };
        command.arg("-f").arg(&file).args(["-D", "FOREGROUND"]);
        let server = if ours {
            Server::boot_as(root, command, &address)?
        } else {
            Server::boot_silent(root, command, &address)?
        };
        Ok(Booted { server, address })
    }

    /// Asks it.
    pub fn ask(&self, request: &Request) -> Result<Reply, String> {
        let mut reply = self.send(request, &request.bytes)?;
        let answer = request.digest.as_ref();
        let answer = answer.and_then(|credentials| credentials.answer(&reply, &request.bytes));
        if let Some(answer) = &answer {
            let at = request.bytes.windows(2).position(|end| end == b"\r\n").unwrap_or(0) + 2;
            let (before, behind) = request.bytes.split_at(at);
            let bytes = [before, answer.line.as_bytes(), behind].concat();
            if answer.again {
                self.send(request, &bytes)?;
            }
            reply = self.send(request, &bytes)?;
        }
        digest::judge(&mut reply, answer.as_ref());
        Ok(reply)
    }

    fn send(&self, request: &Request, bytes: &[u8]) -> Result<Reply, String> {
        let mut wire = Wire::connect(&self.address, PATIENCE)?;
        if let Some(words) = &request.over {
            wire.secure(&Over::parse(words)?)?;
        }
        wire.send(bytes)?;
        match (wire.reply(Judge::Loose), wire.fault()) {
            (Err(_), Some(fault)) => Ok(Reply {
                status_line: b"HTTP/1.1 000 none".to_vec(),
                fields: vec![format!("X-TLS: {fault}").into_bytes()],
                ..Reply::default()
            }),
            (reply, _) => reply.map_err(|error| format!("line {}: {}: {error}", request.line, self.address)),
        }
    }
}

fn differences(request: &Request, ours: &Reply, theirs: &Reply) -> Vec<Difference> {
    let mut found = Vec::new();
    let status = |reply: &Reply| show(&reply.status_line[9..12]);
    if status(ours) != status(theirs) {
        found.push((status(ours), format!("status {} not {}", status(ours), status(theirs))));
        return found;
    }
    for name in names(ours, theirs) {
        let values = |reply: &Reply| {
            let named = reply.fields.iter().filter_map(|line| value_of(line, &name));
            let mut values: Vec<Vec<u8>> = named.map(<[u8]>::to_vec).collect();
            // Apache's order is that of a hash table.
            if name == "allow" {
                let whole = values.join(&b","[..]);
                values = whole.split(|byte| *byte == b',').map(<[u8]>::to_vec).collect();
                values.sort();
            }
            values
        };
        let (our_values, their_values) = (values(ours), values(theirs));
        // Apache's tag of a variant with its list loses the quote at its end, and another byte for every list more.
        let is_cut = |tag: &Vec<u8>, ours: &Vec<u8>| {
            tag.contains(&b';') && !tag.ends_with(b"\"") && ours.starts_with(tag) && ours.len() <= tag.len() + 3
        };
        let is_cut_tag = name == "etag"
            && their_values
                .iter()
                .zip(&our_values)
                .any(|(tag, ours)| is_cut(tag, ours));
        if our_values != their_values && !is_cut_tag {
            let told = |reply: &Reply| show(&values(reply).join(&b"` `"[..]));
            let how = format!("{name}: `{}` not `{}`", told(ours), told(theirs));
            found.push((name, how));
        }
    }
    let same = match (is_page(ours), is_page(theirs)) {
        (true, true) => true,
        (false, false) => coding::plain(ours) == coding::plain(theirs),
        _ => false,
    };
    if request.bodies && !same {
        found.push((
            "body".to_owned(),
            format!(
                "body\n  {}\nnot\n  {}",
                show(&coding::plain(ours)),
                show(&coding::plain(theirs))
            ),
        ));
    }
    found
}

/// Whether an answer's body is the server's own page about its status, which each writes in its own words.
fn is_page(reply: &Reply) -> bool {
    let begins = |text: &[u8]| reply.body.starts_with(text);
    reply.status_line.get(9..10) != Some(b"2")
        && (begins(b"<!DOCTYPE html>") || begins(b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\""))
}

/// The names of the fields to compare, in lower case.
fn names(ours: &Reply, theirs: &Reply) -> Vec<String> {
    let mut names: Vec<String> = FIELDS.iter().map(|name| name.to_ascii_lowercase()).collect();
    for line in ours.fields.iter().chain(&theirs.fields) {
        let end = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let name = String::from_utf8_lossy(&line[..end]).to_ascii_lowercase();
        if name.starts_with("x-") && !names.contains(&name) {
            names.push(name);
        }
    }
    // What a server's own page is written in is its own affair; of HEAD it cannot be told.
    let error = ours.status_line.get(9..10) != Some(b"2");
    if error && (is_page(ours) && is_page(theirs) || ours.body.is_empty()) {
        names.retain(|name| name != "content-type");
    }
    names
}

/// The value of a field line of this name.
pub fn value_of<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    let rest = line.get(name.len()..)?.strip_prefix(b":")?;
    line[..name.len()]
        .eq_ignore_ascii_case(name.as_bytes())
        .then(|| rest.trim_ascii())
}
