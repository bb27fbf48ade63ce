//! Services that have a client's connection (lychgate-handoff(7)): while the server is reloaded, when it ends, and when they die.

use std::path::PathBuf;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use rustix::process::Signal;

use crate::support::applications::{self, Application};
use crate::support::processes;
use crate::support::server::{self, Server};
use crate::support::services::{apps, boot, end, running, section};
use crate::support::site;
use crate::support::wire::{Judge, Wire, show};

const PATIENCE: Duration = Duration::from_secs(30);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let trial = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("handoff::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        trial(
            "what_comes_back_behind_a_reload_is_answered",
            what_comes_back_behind_a_reload_is_answered,
        ),
        trial(
            "an_end_waits_for_what_services_have",
            an_end_waits_for_what_services_have,
        ),
        trial(
            "a_service_of_ours_takes_connections_and_ends_with_them",
            a_service_of_ours_takes_connections_and_ends_with_them,
        ),
    ]
}

struct Site {
    root: PathBuf,
    server: Server,
    _application: Application,
    client: Wire,
}

/// Boots a server whose service has a connection.
fn given(name: &str) -> Result<Site, String> {
    let root = server::fresh_root(name);
    let line = format!("ProxyPass /own/ \"unix:{}/app.sock|handoff:\"", root.display());
    server::write_config(&root, &[line], &format!("127.0.0.1:{}", server::free_port()))?;
    server::write(&root.join("htdocs/page"), b"a page\n")?;
    server::hand_over(&root, false)?;
    let application = applications::start("testapp --handoff app.sock", &root, false, 0)?;
    let server = Server::boot(&root, server::program(&root, false, &[])?, &[], "")?;
    let client = Wire::connect(&server.listeners[0], PATIENCE)?;
    let mut site = Site {
        root,
        server,
        _application: application,
        client,
    };
    site.asks("/own/a", b"GET /own/a HTTP/1.1")?;
    Ok(site)
}

impl Site {
    /// What the client is answered, which must have these words.
    fn asks(&mut self, path: &str, words: &[u8]) -> Result<(), String> {
        self.client
            .send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let reply = self.client.reply(Judge::Strict)?;
        let has_words = reply.body.windows(words.len()).any(|part| part == words);
        has_words.then_some(()).ok_or_else(|| show(&reply.body))
    }

    fn control(&self, verb: &str) -> Result<(), String> {
        let mut command = server::program(&self.root, false, &[])?;
        command.arg("-f").arg(self.root.join("httpd.conf")).args(["-k", verb]);
        site::done(&server::run(&self.root, command, PATIENCE)?)
    }

    /// So many processes serve.
    fn roles_are(&self, count: usize) -> Result<(), String> {
        server::poll(PATIENCE, || match processes::descendants(self.server.pid()) {
            left if left.len() == count => Ok(()),
            left => Err(format!("not {count} but {left:?}")),
        })
    }
}

fn what_comes_back_behind_a_reload_is_answered() -> Result<(), String> {
    let mut site = given("handoff-reload")?;
    site.control("graceful")?;
    site::ask(&site.server, "/page")?.reply(Judge::Strict)?;
    site.asks("/own/b", b"GET /own/b HTTP/1.1")?;
    // Not the service's: the worker of before has it back.
    site.asks("/page", b"a page\n")?;
    site.client.ending()?;
    site.roles_are(2)?;
    site::end(&site.root, site.server)
}

fn an_end_waits_for_what_services_have() -> Result<(), String> {
    let mut site = given("handoff-end")?;
    site.control("graceful-stop")?;
    site::said(&site.root, "stopping when the last connection has ended")?;
    site.asks("/own/b", b"GET /own/b HTTP/1.1")?;
    site.asks("/page", b"a page\n")?;
    site.client.ending()?;
    server::poll(PATIENCE, || match processes::process(site.server.pid()) {
        Some(one) if one.state != 'Z' => Err("it still runs".to_owned()),
        _ => Ok(()),
    })
}

/// Nobody but the service holds the connection: with its process it ends, and the next process takes the next one.
fn a_service_of_ours_takes_connections_and_ends_with_them() -> Result<(), String> {
    let command = format!("Command {}/testapp --handoff", apps());
    let mut lines = section("echo", &command);
    lines.push("ProxyPass /own/ \"service:echo|handoff:\"".into());
    let (root, server) = boot("handoff", &lines)?;
    for _ in 0..2 {
        let mut client = Wire::connect(&server.listeners[0], PATIENCE)?;
        for path in ["/own/a", "/own/b"] {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
            let reply = client.reply(Judge::Strict)?;
            if !show(&reply.body).contains(path) {
                return Err(show(&reply.body));
            }
        }
        let [pid] = running(&server)[..] else {
            return Err(format!("not one service but {:?}", running(&server)));
        };
        server::kill(pid, Signal::KILL);
        client.ending()?;
    }
    end(
        &root,
        server,
        &["echo: process \\d+ ended \\(signal 9 \\(SIGKILL\\)\\): it is started again"],
    )
}
