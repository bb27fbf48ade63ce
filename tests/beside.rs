//! Apache and lychgate side by side: the same site, the same requests, and their answers compared. A pair is a file in
//! `tests/beside/`: configuration and files as in a case, then a line `requests`, then a request a line:
//!
//! ```text
//! GET /path?query
//! POST /path | Field: value | Other: value
//! GET /path                         ~ why they differ here, and may
//! GET /path                         ~~ why their traces differ here, and may
//! !fields Vary                      fields that are not compared in what follows
//! !bodies                           nor are bodies
//! !traces                           what mod_rewrite traces of all requests is compared too
//! ```
//!
//! Compared are the status, the fields that clients act upon, and the body of every answer that is no page of the server's
//! own. A difference that has a reason must still be there, or the reason goes.

mod traces;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support::case::{self, Case};
use crate::support::play;
use crate::support::server::{self, Server};
use crate::support::wire::{Judge, Reply, Wire, show};

const PATIENCE: Duration = Duration::from_secs(20);

/// The fields that are compared, besides those that begin with `X-`.
pub const FIELDS: &[&str] = &[
    "Allow",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Location",
    "Content-Type",
    "Expires",
    "Link",
    "Location",
    "Pragma",
    "Set-Cookie",
    "Vary",
    "WWW-Authenticate",
];

static COMPARED: AtomicUsize = AtomicUsize::new(0);

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
    traces: bool,
}

/// A request.
pub struct Request {
    /// Where it stands.
    pub line: usize,
    /// As it is sent.
    pub bytes: Vec<u8>,
    differs: Option<String>,
    traces_differ: Option<String>,
    without: Vec<String>,
    bodies: bool,
}

impl Pair {
    /// Reads a pair.
    pub fn parse(text: &str) -> Result<Pair, String> {
        let (site, rest) = text.split_once("\nrequests\n").ok_or("no line `requests`")?;
        let site_lines = site.lines().count() + 1;
        let (mut without, mut bodies, mut traces, mut requests) = (Vec::new(), true, false, Vec::new());
        for (number, line) in rest.lines().enumerate() {
            let line_number = site_lines + number + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(names) = line.strip_prefix("!fields ") {
                without.extend(names.split_whitespace().map(str::to_ascii_lowercase));
                continue;
            }
            if line == "!bodies" {
                bodies = false;
                continue;
            }
            if line == "!traces" {
                traces = true;
                continue;
            }
            let (line, traces_differ) = with_reason(line, " ~~ ");
            let (request, differs) = with_reason(line, " ~ ");
            requests.push(Request {
                line: line_number,
                bytes: bytes_of(request).ok_or(format!("{line_number}: not a request"))?,
                differs,
                traces_differ,
                without: without.clone(),
                bodies,
            });
        }
        Ok(Pair {
            site: case::parse(site)?,
            requests,
            traces,
        })
    }

    fn play(&self, name: &str) -> Result<(), String> {
        let root = server::fresh_root(&format!("beside-{name}"));
        play::lay_out(&root, &self.site)?;
        if self.traces {
            trace_rewriting(&root)?;
        }
        let ours = Booted::new(&root, "lychgate")?;
        let theirs = Booted::new(&root, "apache")?;
        let mut traces = self.traces.then(|| traces::Logs::new(&root));
        let (mut faults, mut broken) = (Vec::new(), 0);
        for request in &self.requests {
            let answers = (ours.ask(request)?, theirs.ask(request)?);
            COMPARED.fetch_add(1, Ordering::Relaxed);
            broken += usize::from(answers.1.status_line.get(9..12) == Some(b"500"));
            if std::env::var_os("SHOW").is_some() {
                let told = |reply: &Reply| format!("{}\n{:.600}", show(&reply.status_line), show(&reply.body));
                println!("line {}:\n{}\n{}", request.line, told(&answers.0), told(&answers.1));
            }
            match (differences(request, &answers.0, &answers.1), &request.differs) {
                (found, None) if found.is_empty() => {}
                (found, None) => faults.push(format!("line {}: {}", request.line, found.join("; "))),
                (found, Some(why)) if found.is_empty() => {
                    faults.push(format!("line {}: they do not differ (any more): {why}", request.line));
                }
                (_, Some(_)) => {}
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
        if broken == self.requests.len() {
            faults.push("Apache finds all of it an error, so nothing is compared".to_owned());
        }
        ours.server.stop()?;
        theirs.server.stop()?;
        if faults.is_empty() {
            let _left_for_the_end = fs::remove_dir_all(&root);
            println!("{} answers compared so far", COMPARED.load(Ordering::Relaxed));
            return Ok(());
        }
        let log = fs::read_to_string(root.join("lychgate.error.log")).unwrap_or_default();
        Err(format!("{}\n--- error log\n{log}", faults.join("\n")))
    }
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
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    let (mut body, mut has_host) = (String::new(), false);
    for field in parts {
        if let Some(content) = field.strip_prefix("body=") {
            content.clone_into(&mut body);
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
    text.push_str(&body);
    Some(text.into_bytes())
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
            server::apache(root)?
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
        let mut wire = Wire::connect(&self.address, PATIENCE)?;
        wire.send(&request.bytes)?;
        wire.reply(Judge::Loose)
            .map_err(|error| format!("line {}: {}: {error}", request.line, self.address))
    }
}

fn differences(request: &Request, ours: &Reply, theirs: &Reply) -> Vec<String> {
    let mut found = Vec::new();
    let status = |reply: &Reply| reply.status_line.get(9..12).unwrap_or_default().to_vec();
    if status(ours) != status(theirs) {
        found.push(format!("status {} not {}", show(&status(ours)), show(&status(theirs))));
        return found;
    }
    for name in names(ours, theirs) {
        let values = |reply: &Reply| {
            let named = reply.fields.iter().filter_map(|line| value_of(line, &name));
            named.map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        if !request.without.contains(&name) && values(ours) != values(theirs) {
            let told = |values: Vec<Vec<u8>>| show(&values.join(&b"` `"[..]));
            found.push(format!(
                "{name}: `{}` not `{}`",
                told(values(ours)),
                told(values(theirs))
            ));
        }
    }
    let is_page = |reply: &Reply| reply.status_line.get(9..10) != Some(b"2");
    if request.bodies && !is_page(ours) && ours.body != theirs.body {
        found.push(format!("body\n  {}\nnot\n  {}", show(&ours.body), show(&theirs.body)));
    }
    found
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
    // What a server's own page is written in is its own affair.
    if ours.status_line.get(9..10) != Some(b"2") {
        names.retain(|name| name != "content-type");
    }
    names
}

fn value_of<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    let rest = line.get(name.len()..)?.strip_prefix(b":")?;
    line[..name.len()]
        .eq_ignore_ascii_case(name.as_bytes())
        .then(|| rest.trim_ascii())
}
