//! What `lychgate why` tells of the requests in `tests/beside/` is what the server answers to them: status and fields.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use libtest_mimic::{Failed, Trial};

use super::PATIENCE;
use crate::beside::{self, Booted, FIELDS, Pair, Request};
use crate::support::play;
use crate::support::server;
use crate::support::site;
use crate::support::wire::{Reply, show};

/// One of so many requests of a pair is asked about: each costs a start of the program. `EVERY=1` asks about all.
const EVERY: usize = 4;

/// A test for each pair.
pub fn trials() -> Vec<Trial> {
    beside::pairs().iter().map(|path| trial(path)).collect()
}

fn trial(path: &Path) -> Trial {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = fs::read_to_string(path);
    Trial::test(format!("why/{name}"), move || {
        let text = text.map_err(|error| error.to_string())?;
        play(&name, &Pair::parse(&text)?).map_err(Failed::from)
    })
}

fn play(name: &str, pair: &Pair) -> Result<(), String> {
    let root = server::fresh_root(&format!("why-{name}"));
    let _until_the_end = play::lay_out(&root, &pair.site)?;
    // A tag is weak for a second after its file's change: what is asked now and later has one tag.
    beside::age(&root, SystemTime::now() - Duration::from_secs(100_000)).map_err(|error| error.to_string())?;
    let ours = Booted::new(&root, "lychgate")?;
    let mut faults = Vec::new();
    let every = std::env::var("EVERY")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(EVERY);
    // The command has no handshake to ask for; and what is said plainly to an address of TLS is refused before any of what is told here.
    let speaks_tls = pair.requests.iter().any(|request| request.over.is_some());
    let plain = pair.requests.iter().filter(|_| !speaks_tls);
    for request in plain.step_by(every) {
        let Some(words) = words(request) else { continue };
        let reply = ours.ask(request)?;
        let told = told(&root, &words, &ours.address)?;
        if let Some(fault) = difference(&told, &reply) {
            faults.push(format!("line {}: {fault}\n{told}", request.line));
        }
    }
    ours.server.stop()?;
    if faults.is_empty() {
        let _left_for_the_end = fs::remove_dir_all(&root);
        return Ok(());
    }
    Err(faults.join("\n"))
}

/// The words of the command line that ask about a request; nothing for one with a body, or with a whole URL.
fn words(request: &Request) -> Option<Vec<String>> {
    // An answer is made of the challenge.
    if request.digest.is_some() {
        return None;
    }
    let text = std::str::from_utf8(&request.bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let (method, target) = lines.next()?.strip_suffix(" HTTP/1.1")?.split_once(' ')?;
    if !body.is_empty() || !target.starts_with('/') {
        return None;
    }
    let mut words = vec![method.to_owned(), target.to_owned()];
    for line in lines.filter(|line| !line.starts_with("Connection:")) {
        words.extend(["--header".to_owned(), line.to_owned()]);
    }
    Some(words)
}

fn told(root: &Path, words: &[String], local: &str) -> Result<String, String> {
    let mut command = server::program(root, false, &[])?;
    command.args(["why", "-f"]).arg(root.join("lychgate.conf"));
    command.args(["--local", local]).args(words);
    let output = server::run(root, command, PATIENCE)?;
    site::done(&output).map_err(|error| format!("{words:?}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn difference(told: &str, reply: &Reply) -> Option<String> {
    // What only a program or a name server knows is not told, and what follows neither.
    if told.contains("\nunknown ") || told.contains(" was not looked up") {
        return None;
    }
    let status = show(reply.status_line.get(9..12).unwrap_or_default());
    let Some((_, answer)) = told.split_once("\nanswer     ") else {
        return Some("there is no answer".to_owned());
    };
    let is_script = answer.starts_with("what the script says");
    if is_script
        || answer
            .lines()
            .next()
            .is_some_and(|line| line.contains("the script says"))
    {
        return None;
    }
    if !answer.starts_with(&status) {
        return Some(format!("it is {status}"));
    }
    let fields: Vec<(&str, &str)> = answer.lines().filter_map(|line| line.trim().split_once(": ")).collect();
    let values = |name: &str| {
        let named = fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named
            .map(|(_, value)| value.trim_start_matches("W/").to_owned())
            .collect::<Vec<_>>()
    };
    let names = FIELDS.iter().copied().chain(["Last-Modified", "ETag", "Accept-Ranges"]);
    // These go by the clock.
    let names = names.filter(|name| !matches!(*name, "Expires" | "Cache-Control"));
    // So does a nonce.
    let is_nonce = reply
        .value("WWW-Authenticate")
        .is_some_and(|value| value.starts_with(b"Digest "));
    let names = names.filter(|name| !(is_nonce && *name == "WWW-Authenticate"));
    let mut names = names;
    names.find_map(|name| {
        let sent = reply.fields.iter().filter_map(|line| {
            let line = std::str::from_utf8(line).ok()?;
            let (known, value) = line.split_once(':')?;
            // A tag is weak for a second after its file's change.
            let value = value.trim().trim_start_matches("W/");
            known.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        let sent: Vec<String> = sent.collect();
        (sent != values(name)).then(|| format!("{name} is {sent:?}"))
    })
}
