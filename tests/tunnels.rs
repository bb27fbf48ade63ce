//! Connections that have changed their protocol, while the server is reloaded or stops: as in Apache, one goes on for as long as
//! its two ends want, but not beyond the time that a graceful stop has.

use std::path::PathBuf;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support::applications::{self, Application};
use crate::support::processes;
use crate::support::server::{self, Server};
use crate::support::site::{ask, done, end};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(30);

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let tunnel = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("tunnels::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        tunnel("a_reload_leaves_one_open", a_reload_leaves_one_open),
        tunnel("a_restart_closes_one", a_restart_closes_one),
        tunnel(
            "a_graceful_stop_waits_until_one_is_closed",
            a_graceful_stop_waits_until_one_is_closed,
        ),
        tunnel("a_graceful_stop_keeps_to_its_limit", a_graceful_stop_keeps_to_its_limit),
    ]
}

struct Site {
    root: PathBuf,
    server: Server,
    _application: Application,
    /// The client's end.
    tunnel: Wire,
}

/// Boots a server before an application that gives back what comes, and opens a connection through it.
fn boot(name: &str, line: &str) -> Result<Site, String> {
    let root = server::fresh_root(name);
    let lines = [
        format!(
            "ProxyPass /ws \"unix:{}/app.sock|http://localhost/x\" upgrade=websocket ttl=1",
            root.display()
        ),
        line.to_owned(),
    ];
    let listen = format!("127.0.0.1:{}", server::free_port());
    server::write_config(&root, &lines, &listen)?;
    server::write(&root.join("htdocs/page"), b"a page\n")?;
    server::hand_over(&root, false)?;
    let application = applications::start("testapp --http", &root, false, server::free_port())?;
    let server = Server::boot(&root, server::program(&root, false, &[])?, &[], "")?;
    let mut tunnel = Wire::connect(&server.listeners[0], PATIENCE)?;
    tunnel
        .send(b"GET /ws?websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")?;
    tunnel.wait_for(b"hello")?;
    let mut site = Site {
        root,
        server,
        _application: application,
        tunnel,
    };
    site.goes_on("before")?;
    Ok(site)
}

impl Site {
    /// What goes in comes back.
    fn goes_on(&mut self, word: &str) -> Result<(), String> {
        self.tunnel.send(word.as_bytes())?;
        self.tunnel.wait_for(word.as_bytes())
    }

    fn control(&self, verb: &str) -> Result<(), String> {
        let mut command = server::program(&self.root, false, &[])?;
        command.arg("-f").arg(self.root.join("httpd.conf")).args(["-k", verb]);
        done(&server::run(&self.root, command, PATIENCE)?)
    }

    /// So many processes serve.
    fn roles_are(&self, count: usize) -> Result<(), String> {
        server::poll(PATIENCE, || {
            let left = processes::descendants(self.server.pid());
            if left.len() == count {
                Ok(())
            } else {
                Err(format!("not {count} but {left:?}"))
            }
        })
    }

    /// The launcher ends by itself.
    fn is_gone(&self) -> Result<(), String> {
        server::poll(PATIENCE, || match processes::process(self.server.pid()) {
            Some(one) if one.state != 'Z' => Err("it still runs".to_owned()),
            _ => Ok(()),
        })
    }
}

fn a_reload_leaves_one_open() -> Result<(), String> {
    let mut site = boot("tunnel-reload", "")?;
    site.control("graceful")?;
    let page = ask(&site.server, "/page")?.reply(Judge::Strict)?;
    if page.body != b"a page\n" {
        return Err("the new worker does not serve".into());
    }
    site.goes_on("behind the reload")?;
    // The old worker is there for it, and for nothing else.
    site.tunnel.half_close();
    site.tunnel.wait_for(b"bye")?;
    site.roles_are(2)?;
    end(&site.root, site.server)
}

fn a_restart_closes_one() -> Result<(), String> {
    let mut site = boot("tunnel-restart", "")?;
    site.control("restart")?;
    let _whatever_way_it_ends = site.tunnel.rest();
    site.roles_are(2)?;
    end(&site.root, site.server)
}

fn a_graceful_stop_waits_until_one_is_closed() -> Result<(), String> {
    let mut site = boot("tunnel-graceful-stop", "")?;
    site.server.signal("WINCH")?;
    server::poll(PATIENCE, || match Wire::connect(&site.server.listeners[0], PATIENCE) {
        Ok(_) => Err("it still listens".to_owned()),
        Err(_) => Ok(()),
    })?;
    site.goes_on("while it stops")?;
    site.tunnel.half_close();
    site.tunnel.wait_for(b"bye")?;
    site.is_gone()?;
    end(&site.root, site.server)
}

fn a_graceful_stop_keeps_to_its_limit() -> Result<(), String> {
    let mut site = boot("tunnel-graceful-limit", "GracefulShutdownTimeout 1")?;
    site.server.signal("WINCH")?;
    let _whatever_way_it_ends = site.tunnel.rest();
    site.is_gone()?;
    end(&site.root, site.server)
}
