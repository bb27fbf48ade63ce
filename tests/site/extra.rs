//! The examples of application servers in `conf/extra/`, as they stand but for addresses.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;

use super::{Site, copied, expect, site};
use crate::support::applications::{self, Application};
use crate::support::server;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        site("extra_scgi_serves", extra_scgi_serves),
        site("extra_handoff_serves", extra_handoff_serves),
        site("extra_balancer_serves", extra_balancer_serves),
        site("extra_reverse_proxy_serves", extra_reverse_proxy_serves),
        site("extra_static_first_serves", extra_static_first_serves),
        site("extra_services_serve", extra_services_serve),
        site("extra_status_serves", extra_status_serves),
        site("extra_fcgid_serves", extra_fcgid_serves),
    ]
}

/// The example as it stands, but for the name of the socket.
fn extra_scgi_serves() -> Result<(), String> {
    let root = copied("extra-scgi", "Include conf/extra/scgi.conf\n")?;
    let conf = root.join("conf/extra/scgi.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let socket = root.join("app.sock").display().to_string();
    server::write(&conf, text.replace("/run/app.sock", &socket).as_bytes())?;
    server::hand_over(&root, false)?;
    let _application = applications::start("testapp --scgi app.sock", &root, false, 0)?;
    let site = Site::start(root)?;
    expect("its page", &site.fetch("/app/page?env")?, 200, "SCRIPT_NAME=/app/page")?;
    site.end_saying(&[])
}

/// The example as it stands, but for the name of the socket, with the service that stands beside it.
fn extra_handoff_serves() -> Result<(), String> {
    let root = copied("extra-handoff", "Include conf/extra/handoff.conf\n")?;
    let conf = root.join("conf/extra/handoff.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let socket = root.join("echo.sock");
    let text = text.replace("unix:/run/echo.sock", &format!("unix:{}", socket.display()));
    server::write(&conf, text.as_bytes())?;
    server::hand_over(&root, false)?;
    let mut command = Command::new("python3");
    command.arg(root.join("conf/extra/handoff.py")).arg(&socket);
    let _application = Application::begin(command, &root, false, &socket)?;
    let site = Site::start(root)?;
    for path in ["/echo/one", "/echo/two"] {
        expect("its page", &site.fetch(path)?, 200, &format!(" asked for {path}"))?;
    }
    site.end_saying(&[])
}

/// The example as it stands, but that its members are on sockets.
fn extra_balancer_serves() -> Result<(), String> {
    let root = copied("extra-balancer", "Include conf/extra/balancer.conf\n")?;
    let conf = root.join("conf/extra/balancer.conf");
    let mut text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let mut applications = Vec::new();
    for (name, port) in [("one.sock", 9001), ("two.sock", 9002)] {
        let socket = format!("unix:{}|fcgi://{name}", root.join(name).display());
        text = text.replace(&format!("fcgi://127.0.0.1:{port}"), &socket);
    }
    server::write(&conf, text.as_bytes())?;
    server::hand_over(&root, false)?;
    for name in ["one.sock", "two.sock"] {
        applications.push(applications::start(
            &format!("testapp --fastcgi {name}"),
            &root,
            false,
            0,
        )?);
    }
    let site = Site::start(root)?;
    for route in ["one", "two", "one"] {
        expect(
            "its member",
            &site.fetch("/app/page?env")?,
            200,
            &format!("BALANCER_WORKER_ROUTE={route}"),
        )?;
    }
    site.end_saying(&[])
}

/// The example as it stands, but for the port.
fn extra_reverse_proxy_serves() -> Result<(), String> {
    let root = copied("extra-proxy", "Include conf/extra/reverse-proxy.conf\n")?;
    let conf = root.join("conf/extra/reverse-proxy.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let port = server::free_port();
    server::write(&conf, text.replace(":3000/", &format!(":{port}/")).as_bytes())?;
    server::write(
        &root.join("moved"),
        format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/there\r\nContent-Length: 0\r\n\r\n")
            .as_bytes(),
    )?;
    server::hand_over(&root, false)?;
    let _application = applications::start("testapp --http", &root, false, port)?;
    let site = Site::start(root)?;
    expect(
        "its page",
        &site.fetch("/app/page?show")?,
        200,
        "GET /page?show HTTP/1.1",
    )?;
    expect(
        "its live page",
        &site.fetch("/app/live/page?show")?,
        200,
        "GET /live/page?show HTTP/1.1",
    )?;
    let moved = site.fetch("/app/page?rawclose/moved")?;
    if !moved.fields.iter().any(|line| line.ends_with(b"/app/there")) {
        return Err(format!("its redirect leads elsewhere: {moved:?}"));
    }
    site.end_saying(&[])
}

/// The example as it stands, but for the port and the documents.
fn extra_static_first_serves() -> Result<(), String> {
    let root = copied("extra-static-first", "Include conf/extra/static-first.conf\n")?;
    let conf = root.join("conf/extra/static-first.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let port = server::free_port();
    let text = text.replace(":8080\"", &format!(":{port}\""));
    let text = text.replace("timeout=300", "timeout=300 ttl=1");
    let text = text.replace("/srv/www/htdocs", &root.join("htdocs").display().to_string());
    server::write(&conf, text.as_bytes())?;
    server::hand_over(&root, false)?;
    let _application = applications::start("testapp --http", &root, false, port)?;
    let site = Site::start(root)?;
    expect("a file", &site.fetch("/robots.txt")?, 200, "User-agent")?;
    expect(
        "a program",
        &site.fetch("/robots.txt?show")?,
        200,
        "GET /robots.txt?show HTTP/1.1",
    )?;
    expect(
        "what is kept",
        &site.fetch("/intern/x?show")?,
        200,
        "GET /intern/x?show HTTP/1.1",
    )?;
    site.end_saying(&[])
}

/// The example as it stands, with programs of ours where its own are.
fn extra_services_serve() -> Result<(), String> {
    let root = copied("extra-services", "Include conf/extra/services.conf\n")?;
    let conf = root.join("conf/extra/services.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let place = root.join("srv").display().to_string();
    let text = text.replace("wiki.fcgi --quiet", "wiki.fcgi --service");
    let text = text.replace("report.fcgi", "report.fcgi --service-one");
    server::write(&conf, text.replace("/srv", &place).as_bytes())?;
    fs::create_dir_all(root.join("srv/wiki/data")).map_err(|e| e.to_string())?;
    fs::create_dir_all(root.join("srv/report")).map_err(|e| e.to_string())?;
    for name in ["srv/wiki/wiki.fcgi", "srv/report/report.fcgi"] {
        let program = server::bench().directory.join("apps/testapp");
        fs::copy(program, root.join(name)).map_err(|e| format!("{name}: {e}"))?;
    }
    server::hand_over(&root, false)?;
    let site = Site::start(root)?;
    expect("the wiki", &site.fetch("/wiki/page?self")?, 200, "umask=27")?;
    expect(
        "the report",
        &site.fetch("/report/page?env")?,
        200,
        "SCRIPT_NAME=/report/page",
    )?;
    site.end_saying(&[])
}

/// The example as it stands.
fn extra_status_serves() -> Result<(), String> {
    let site = Site::boot("extra-status", "Include conf/extra/status.conf\n")?;
    for (path, told) in [
        ("/server-status", "<h2>Connections</h2>"),
        ("/server-status?auto", "Total Accesses: 1"),
        ("/server-status?json", "\"live\":[{"),
        ("/stats.html", "<h2>Answers</h2>"),
        ("/metrics", "lychgate_requests_total{method=\"GET\",status=\"200\"} 4"),
        ("/server-info", "conf/extra/status.conf</h3>"),
    ] {
        expect(path, &site.fetch(path)?, 200, told)?;
    }
    site.end_saying(&[])
}

/// The example as it stands, with programs of ours where its own are, which end before the test does.
fn extra_fcgid_serves() -> Result<(), String> {
    let root = copied("extra-fcgid", "Include conf/extra/fcgid.conf\n")?;
    let conf = root.join("conf/extra/fcgid.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let place = root.join("srv").display().to_string();
    let text = text.replace("IdleTimeout 5min", "IdleTimeout 1");
    let text = text.replace("/usr/bin/php-cgi", &format!("{place}/bin/members.fcgi"));
    let text = text.replace("IOTimeout 120", "IOTimeout 120 IdleTimeout 1 MinProcesses 0");
    server::write(&conf, text.replace("\"/srv", &format!("\"{place}")).as_bytes())?;
    let apps = server::bench().directory.join("apps");
    let program = format!("#!/bin/sh\nexec {}/testapp --service-one\n", apps.display());
    for name in ["srv/apps/app.fcgi", "srv/bin/members.fcgi"] {
        server::write(&root.join(name), program.as_bytes())?;
        server::set_mode(&root.join(name), 0o755)?;
    }
    server::write(&root.join("srv/php/index.php"), b"<?php\n")?;
    server::write(&root.join("srv/members/x"), b"for members\n")?;
    server::hand_over(&root, false)?;
    let site = Site::start(root)?;
    expect(
        "a program",
        &site.fetch("/apps/app.fcgi?env")?,
        200,
        "SCRIPT_NAME=/apps/app.fcgi",
    )?;
    let variable = "/php/?inherited/PHP_FCGI_MAX_REQUESTS";
    expect("a wrapper", &site.fetch(variable)?, 200, "500")?;
    expect("a member", &site.fetch("/members/x")?, 401, "Unauthorized")?;
    site.end_saying(&[])
}
