//! Requests without end, static and for scripts, on connections that stay and on new ones, while something happens to
//! the server. Each answer names the settings it was made by, twice; not one request may fail.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::server;
use crate::support::tls::Over;
use crate::support::wire::{Judge, Reply, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

/// Clients at work.
pub struct Traffic {
    state: Arc<State>,
    clients: Vec<JoinHandle<Result<u64, String>>>,
}

struct State {
    address: String,
    /// How TLS is spoken, if it is.
    over: Option<Over>,
    ended: AtomicBool,
    /// Settings that a new connection may no longer miss.
    least: AtomicU64,
}

/// What a client asks for, and whether it keeps its connection.
#[derive(Clone, Copy, Debug)]
enum Client {
    Static(Connection),
    Script(Connection),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Kept,
    New,
}

/// The lines of a configuration that traffic needs; what differs from one to the next is in `version.conf`.
pub fn config(root: &Path) -> Result<Vec<String>, String> {
    server::write(&root.join("htdocs/file.vers"), b"content\n")?;
    server::write(
        &root.join("cgi-bin/version"),
        b"#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\necho \"$ONE $OTHER\"\n",
    )?;
    server::set_mode(&root.join("cgi-bin/version"), 0o755)?;
    version(root, 0)?;
    Ok(vec![
        format!("ScriptAlias /cgi-bin/ \"{}/cgi-bin/\"", root.display()),
        format!("Include \"{}/version.conf\"", root.display()),
        "MaxKeepAliveRequests 0".into(),
    ])
}

/// Makes the settings those of version `number`; a reload is up to the caller.
pub fn version(root: &Path, number: u64) -> Result<(), String> {
    let text = format!(
        "SetEnv ONE {number}\nSetEnv OTHER {number}\nAddType text/x-{number} .vers\nAddCharset x-{number} .vers\n"
    );
    let new = root.join("version.new");
    server::write(&new, text.as_bytes())?;
    std::fs::rename(&new, root.join("version.conf")).map_err(|e| format!("version.conf: {e}"))
}

impl Traffic {
    /// Sets clients of every kind to work.
    pub fn start(address: &str) -> Traffic {
        Traffic::begin(address, None)
    }

    /// The same over TLS.
    pub fn secured(address: &str, over: Over) -> Traffic {
        Traffic::begin(address, Some(over))
    }

    fn begin(address: &str, over: Option<Over>) -> Traffic {
        let state = Arc::new(State {
            address: address.to_owned(),
            over,
            ended: AtomicBool::new(false),
            least: AtomicU64::new(0),
        });
        let kinds = [
            Client::Static(Connection::Kept),
            Client::Static(Connection::Kept),
            Client::Static(Connection::New),
            Client::Script(Connection::Kept),
            Client::Script(Connection::New),
        ];
        let work = |client: Client| {
            let state = Arc::clone(&state);
            std::thread::spawn(move || state.work(client).map_err(|e| format!("{client:?}: {e}")))
        };
        let clients = kinds.map(work).into();
        Traffic { state, clients }
    }

    /// From now on new connections are answered by the settings of version `number`, or later ones.
    pub fn expect(&self, number: u64) {
        self.state.least.store(number, Ordering::SeqCst);
    }

    /// Ends the clients: how many requests were answered, or what went wrong first.
    pub fn end(self) -> Result<u64, String> {
        self.state.ended.store(true, Ordering::SeqCst);
        let mut total = 0;
        for client in self.clients {
            total += client.join().map_err(|_| "a client panicked")??;
        }
        Ok(total)
    }
}

impl State {
    fn work(&self, client: Client) -> Result<u64, String> {
        let (Client::Static(connection) | Client::Script(connection)) = client;
        let path = match client {
            Client::Static(_) => "/file.vers",
            Client::Script(_) => "/cgi-bin/version",
        };
        let field = match connection {
            Connection::Kept => "",
            Connection::New => "Connection: close\r\n",
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n");
        let mut answered = 0;
        while !self.ended.load(Ordering::SeqCst) {
            let mut least = self.least.load(Ordering::SeqCst);
            let mut wire = Wire::connect(&self.address, PATIENCE)?;
            if let Some(over) = &self.over {
                wire.secure(over)?;
                if let Some(fault) = wire.fault() {
                    return Err(format!("request {answered}: {fault}"));
                }
            }
            loop {
                wire.send(request.as_bytes())?;
                let reply = wire.reply(Judge::Strict)?;
                let number = version_of(client, &reply).ok_or(format!("request {answered}: {reply:?}"))?;
                if number < least {
                    return Err(format!(
                        "request {answered} is answered by settings {number}, not {least}"
                    ));
                }
                answered += 1;
                // What was begun by some settings goes on by them, until the connection ends.
                least = number;
                let closes = reply
                    .fields
                    .iter()
                    .any(|f| f.eq_ignore_ascii_case(b"connection: close"));
                if closes || self.ended.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
        Ok(answered)
    }
}

/// By which settings a reply was made; none if it is no good reply, or by two.
fn version_of(client: Client, reply: &Reply) -> Option<u64> {
    if reply.status_line != b"HTTP/1.1 200 OK" || reply.cut {
        return None;
    }
    let twice = match client {
        Client::Script(_) => String::from_utf8(reply.body.clone()).ok()?,
        Client::Static(_) => {
            let is_type = |field: &&Vec<u8>| field.starts_with(b"Content-Type: ");
            let field = reply.fields.iter().find(is_type)?;
            let text = std::str::from_utf8(field).ok()?;
            text.strip_prefix("Content-Type: text/x-")?
                .replace(";charset=x-", " ")
                .replace("; charset=x-", " ")
        }
    };
    let (one, other) = twice.trim_end().split_once(' ')?;
    (one == other).then(|| one.parse().ok())?
}
