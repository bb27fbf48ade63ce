//! `lychgate compare OLD NEW --access-log FILE`: the safe requests of a log, asked of two servers, and in what their answers
//! differ. Nothing is sent but GET and HEAD, each request once, and once more to the old server where the answers differ: what
//! differs from itself is no difference between the two.

mod client;
mod difference;
mod lines;
mod log_file;
mod page;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, mpsc::Receiver};
use std::time::Duration;

use crate::base::printed::printed;
use crate::http::fields::{is_field_name, is_field_value};
use crate::http::method::Method;
use crate::net::tls::Belief;
use crate::process::signal::{Signal, Signals};

use client::Server;
use difference::{Difference, Reading, between};
use lines::Logged;

pub use crate::commands::import::Form;
pub use log_file::Urls;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Compare {
    /// The URL of the server that is known to be right.
    pub old: String,
    /// That of the other.
    pub new: String,
    /// The log; `-` is the standard input.
    pub log: PathBuf,
    /// Who is believed to be who they say, over TLS.
    pub belief: Belief,
    /// The Host for lines that name none.
    pub host: Option<Vec<u8>>,
    /// More fields, `Name: value`.
    pub fields: Vec<Vec<u8>>,
    /// Fields of answers that do not count.
    pub ignored: Vec<String>,
    /// Which URLs are sent.
    pub urls: Urls,
    /// How many requests are under way at a time.
    pub jobs: usize,
    /// No more requests than this; nothing is no bound.
    pub limit: Option<usize>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How it is told.
    pub form: Form,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing differs.
    Same,
    /// Something differs, or was not answered.
    Differs,
}

/// After so many requests without an answer there is no use in more.
const MOST_FAILURES: usize = 100;

/// The most requests at a time.
pub const MOST_JOBS: usize = 64;

/// How often is looked whether somebody wants an end.
const GLANCE: Duration = Duration::from_millis(100);

/// One request, how often the log has it, and what became of it.
struct Asked {
    logged: Logged,
    count: u64,
    outcome: Option<Outcome>,
}

/// What became of a request.
enum Outcome {
    /// The answers are the same, but for what changes by itself.
    Same { changing: Vec<String> },
    /// They differ.
    Differs(Vec<Difference>),
    /// There is no answer; of the old server or the new one, a sentence each.
    Unanswered([Option<String>; 2]),
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everything was asked.
    All,
    /// Somebody stopped it.
    Stopped,
    /// Too little was answered.
    Failing,
}

/// Compares, tells of it on `out`, and what is about to be done on `err`. An error is a sentence.
pub fn run(compare: &Compare, out: &mut dyn Write, err: &mut dyn Write) -> Result<Verdict, String> {
    let fields = checked(&compare.fields)?;
    if let Some(host) = compare
        .host
        .as_ref()
        .filter(|host| !is_field_value(host) || host.contains(&b' ') || host.is_empty())
    {
        return Err(format!("--host {}: not a host", String::from_utf8_lossy(host)));
    }
    let servers = [
        Server::of(&compare.old, compare.belief)?,
        Server::of(&compare.new, compare.belief)?,
    ];
    let requests = log_file::read(&compare.log, compare.urls)?;
    let mut asked: Vec<Asked> = requests
        .distinct
        .iter()
        .map(|(logged, count)| Asked {
            logged: logged.clone(),
            count: *count,
            outcome: None,
        })
        .collect();
    if asked.is_empty() {
        let left_out = page::left_out(&requests.unfit);
        return Err(format!("{}: no request to send{left_out}", compare.log.display()));
    }
    asked.truncate(compare.limit.unwrap_or(usize::MAX));
    for server in &servers {
        let reached = server.connect(compare.timeout);
        reached.map_err(|error| format!("{}: {error}; nothing was sent", server.url))?;
    }
    let jobs = compare.jobs.clamp(1, MOST_JOBS);
    // Whoever reads the report need not read this.
    let _unheard = writeln!(err, "lychgate: {}", page::plan(&servers, asked.len(), jobs, &requests));
    let questions = asked
        .iter()
        .map(|asked| Question::of(&asked.logged, &servers, compare, &fields))
        .collect();
    let end = ask_all(servers.clone(), questions, jobs, compare.timeout, &mut asked)?;
    let text = match compare.form {
        Form::Page => page::of(&servers, &asked, end),
        Form::Json => format!("{}\n", page::json(&servers, &asked, &requests, end)),
    };
    printed(out.write_all(text.as_bytes())).map_err(|error| format!("cannot write: {error}"))?;
    let is_same = |asked: &Asked| matches!(asked.outcome, None | Some(Outcome::Same { .. }));
    Ok(if asked.iter().all(is_same) && end == End::All {
        Verdict::Same
    } else {
        Verdict::Differs
    })
}

/// Fields that a request may be given, each with its line's end.
fn checked(fields: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    const OURS: &[&str] = &[
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "expect",
        "upgrade",
    ];
    let mut head = Vec::new();
    for field in fields {
        let shown = String::from_utf8_lossy(field).into_owned();
        let colon = field.iter().position(|byte| *byte == b':');
        let parts = colon.and_then(|at| Some((field.get(..at)?, field.get(at + 1..)?.trim_ascii())));
        match parts {
            Some((name, value)) if is_field_name(name) && is_field_value(value) => {
                if OURS.iter().any(|ours| ours.as_bytes().eq_ignore_ascii_case(name)) {
                    return Err(format!(
                        "--header {shown}: this field is written by lychgate (`--host` names a host)"
                    ));
                }
                head.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
            }
            _ => return Err(format!("--header {shown}: not a field; write `Name: value`")),
        }
    }
    Ok(head)
}

/// What is sent, and how the answers are read.
struct Question {
    method: Method,
    /// The hosts that are asked for.
    hosts: [Vec<u8>; 2],
    requests: [Vec<u8>; 2],
    reading: Reading,
}

impl Question {
    fn of(logged: &Logged, servers: &[Server; 2], compare: &Compare, fields: &[u8]) -> Question {
        let host = logged.host.as_ref().or(compare.host.as_ref());
        let request = |server: &Server| {
            let own = server.authority().into_bytes();
            let parts: [&[u8]; 7] = [
                &logged.method,
                b" ",
                &logged.target,
                b" HTTP/1.1\r\nHost: ",
                host.unwrap_or(&own),
                b"\r\nConnection: close\r\nUser-Agent: lychgate-compare\r\n",
                fields,
            ];
            [&parts.concat()[..], b"\r\n"].concat()
        };
        let [old, new] = servers;
        Question {
            method: if logged.method == b"HEAD" {
                Method::Head
            } else {
                Method::Get
            },
            hosts: [old, new].map(|server| host.cloned().unwrap_or_else(|| server.authority().into_bytes())),
            requests: [request(old), request(new)],
            reading: Reading {
                own_names: [own_names(old, host), own_names(new, host)],
                ignored: compare.ignored.iter().map(|name| name.to_ascii_lowercase()).collect(),
            },
        }
    }

    fn ask(&self, servers: &[Server; 2], timeout: Duration) -> Outcome {
        let [old, new] = servers;
        let [to_old, to_new] = &self.requests;
        let [old_host, new_host] = &self.hosts;
        let one = old.ask(old_host, to_old, self.method, timeout);
        let other = new.ask(new_host, to_new, self.method, timeout);
        let (one, other) = match (one, other) {
            (Ok(one), Ok(other)) => (one, other),
            (one, other) => return Outcome::Unanswered([one.err(), other.err()]),
        };
        let mut found = between(&one, &other, &self.reading);
        let mut changing = Vec::new();
        if !found.is_empty()
            && let Ok(again) = old.ask(old_host, to_old, self.method, timeout)
        {
            let own = Reading {
                own_names: [self.reading.own_names[0].clone(), self.reading.own_names[0].clone()],
                ignored: self.reading.ignored.clone(),
            };
            changing.extend(between(&one, &again, &own).into_iter().map(|itself| itself.what));
            found.retain(|difference| !changing.contains(&difference.what));
        }
        if found.is_empty() {
            Outcome::Same { changing }
        } else {
            Outcome::Differs(found)
        }
    }
}

/// What a server calls itself in its answers to such a Host, the longest first.
fn own_names(server: &Server, host: Option<&Vec<u8>>) -> Vec<Vec<u8>> {
    let mut names = vec![
        format!("{}:{}", server.host, server.port).into_bytes(),
        server.authority().into_bytes(),
    ];
    if let Some(host) = host {
        let colon = host
            .iter()
            .rposition(|byte| *byte == b':')
            .filter(|_| !host.ends_with(b"]"));
        let bare = host.get(..colon.unwrap_or(host.len())).unwrap_or(host);
        names.push([bare, format!(":{}", server.port).as_bytes()].concat());
        names.push(bare.to_vec());
        names.push(host.clone());
    }
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.dedup();
    names
}

/// Asks everything, so many at a time, until all is answered or somebody stops it.
fn ask_all(
    servers: [Server; 2],
    questions: Vec<Question>,
    jobs: usize,
    timeout: Duration,
    asked: &mut [Asked],
) -> Result<End, String> {
    let told = |error: io::Error| format!("cannot run: {error}");
    // Before there is a second thread: whoever stops us gets what there is.
    let signals = Signals::take(&[Signal::SIGINT, Signal::SIGTERM]).map_err(told)?;
    let shared = Arc::new((servers, questions, AtomicUsize::new(0), AtomicBool::new(false)));
    let (tell, results) = mpsc::channel();
    for _ in 0..jobs {
        let (shared, tell) = (Arc::clone(&shared), tell.clone());
        let work = move || {
            let (servers, questions, next, is_over) = &*shared;
            while !is_over.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(question) = questions.get(at) else { break };
                if tell.send((at, question.ask(servers, timeout))).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().spawn(work).map_err(told)?;
    }
    drop(tell);
    let end = collect(&results, &signals, asked).map_err(told)?;
    // Those that still wait for an answer end with the program.
    shared.3.store(true, Ordering::Relaxed);
    Ok(end)
}

fn collect(results: &Receiver<(usize, Outcome)>, signals: &Signals, asked: &mut [Asked]) -> io::Result<End> {
    let mut failures = 0;
    loop {
        if signals.next()?.is_some() {
            return Ok(End::Stopped);
        }
        match results.recv_timeout(GLANCE) {
            Ok((at, outcome)) => {
                failures += usize::from(matches!(outcome, Outcome::Unanswered(_)));
                if let Some(asked) = asked.get_mut(at) {
                    asked.outcome = Some(outcome);
                }
                if failures >= MOST_FAILURES {
                    return Ok(End::Failing);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(End::All),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{checked, own_names};
    use crate::commands::compare::client::Server;
    use crate::net::tls::Belief;

    #[test]
    fn fields_that_would_make_another_request_are_refused() {
        let told =
            |field: &str| checked(&[field.as_bytes().to_vec()]).map(|head| String::from_utf8_lossy(&head).into_owned());
        assert_eq!(told("Accept-Language: de").as_deref(), Ok("Accept-Language: de\r\n"));
        for field in [
            "Host: x",
            "content-length: 5",
            "X",
            "X: a\r\nY: b",
            "X Y: a",
            "Transfer-Encoding: chunked",
        ] {
            assert!(told(field).is_err(), "{field}");
        }
    }

    #[test]
    fn a_server_is_known_by_its_address_and_by_the_host_that_was_asked() {
        let told = |url: &str, host: Option<&str>| -> Vec<String> {
            let server = Server::of(url, Belief::Anybody).expect("a URL");
            let names = own_names(&server, host.map(|host| host.as_bytes().to_vec()).as_ref());
            names
                .iter()
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect()
        };
        assert_eq!(told("http://127.0.0.1:8081", None), ["127.0.0.1:8081"]);
        assert_eq!(told("http://127.0.0.1", None), ["127.0.0.1:80", "127.0.0.1"]);
        assert_eq!(
            told("http://127.0.0.1:81", Some("w.example:8080")),
            ["w.example:8080", "127.0.0.1:81", "w.example:81", "w.example"]
        );
    }
}
