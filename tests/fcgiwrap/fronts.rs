//! nginx, Apache and lychgate in front of `lychgate fcgiwrap`.

use std::fs;
use std::path::Path;

use libtest_mimic::{Completion, Failed};

use super::{PATIENCE, Wrap, program, runs, scripts};
use crate::programs::{absent, commit, git, git_http_backend, repository};
use crate::support::server::{self, Server, poll};
use crate::support::wire::{Judge, Reply, Wire, show};

/// nginx as it ships with the example of `conf/extra`, in front of a wrap.
pub(super) struct Nginx {
    pub(super) address: String,
    pub(super) server: Server,
}

impl Nginx {
    /// `None` where nginx is not there. `more` is for the example's location.
    pub(super) fn boot(wrap: &Wrap, more: &str) -> Result<Option<Nginx>, String> {
        if !Path::new("/usr/sbin/nginx").exists() {
            return Ok(None);
        }
        let (root, port) = (wrap.root.join("nginx"), server::free_port());
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/extra/nginx-fcgiwrap.conf");
        let example = fs::read_to_string(&example).map_err(|e| format!("{}: {e}", example.display()))?;
        let here = wrap.root.display();
        let location = replaced(&example, "root /usr/lib;", &format!("root {here};"))?;
        let location = replaced(
            &location,
            "include fastcgi_params;",
            "include /etc/nginx/fastcgi_params;",
        )?;
        let location = replaced(
            &location,
            "unix:/run/lychgate-fcgiwrap.sock;",
            &format!("unix:{here}/fcgi.sock;\n{more}"),
        )?;
        let at = root.display();
        let temporary: Vec<String> = ["client_body", "fastcgi", "proxy", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {at}/{name};"))
            .collect();
        let text = format!(
            "daemon off;\nworker_processes 1;\npid {at}/nginx.pid;\nerror_log {at}/error.log info;\nevents {{ }}\nhttp {{\n\
             access_log off;\nclient_max_body_size 0;\n{}\nserver {{\nlisten 127.0.0.1:{port};\n{location}\n}}\n}}\n",
            temporary.join("\n")
        );
        server::write(&root.join("nginx.conf"), text.as_bytes())?;
        server::hand_over(&wrap.root.join("nginx"), false)?;
        let mut command = server::program_at(Path::new("/usr/sbin/nginx"), &root, false, &[])?;
        command
            .arg("-p")
            .arg(&root)
            .arg("-c")
            .arg(root.join("nginx.conf"))
            .arg("-e")
            .arg(root.join("error.log"));
        let address = format!("127.0.0.1:{port}");
        let server = Server::boot_silent(&root, command, &address)?;
        Ok(Some(Nginx { address, server }))
    }
}

/// Waits until this is in its error log.
pub(super) fn nginx_said(wrap: &Wrap, part: &str) -> Result<(), String> {
    poll(PATIENCE, || {
        // It writes what it gets as it is.
        let log = fs::read(wrap.root.join("nginx/error.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.contains(part)
            .then_some(())
            .ok_or(format!("nginx did not log {part}: {log}"))
    })
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String, String> {
    if text.contains(from) {
        Ok(text.replace(from, to))
    } else {
        Err(format!("the example has no `{from}`"))
    }
}

pub(super) fn get(address: &str, target: &str, fields: &str) -> Result<Reply, String> {
    let mut wire = Wire::connect(address, PATIENCE)?;
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n").as_bytes())?;
    wire.reply(Judge::Loose)
}

fn post(address: &str, target: &str, body: &[u8]) -> Result<Reply, String> {
    let mut wire = Wire::connect(address, PATIENCE)?;
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    wire.send(&[head.as_bytes(), body].concat())?;
    wire.reply(Judge::Loose)
}

/// Status, and a part of the answer.
fn shows(reply: &Reply, status: &str, part: &str) -> Result<(), String> {
    let (line, body) = (show(&reply.status_line), String::from_utf8_lossy(&reply.body));
    if line.contains(&format!(" {status} ")) && body.contains(part) {
        Ok(())
    } else {
        Err(format!("not {status} with `{part}`: {line}: {body}"))
    }
}

/// What every web server in front must get of them.
fn scripts_answer(address: &str) -> Result<(), String> {
    for (target, status, part) in [
        ("/cgi-bin/hello.sh?a=b", "200", "hello a=b \n"),
        ("/cgi-bin/hello.pl?c", "200", "hello c \n"),
        ("/cgi-bin/hello", "200", "hello, world"),
        ("/cgi-bin/hello.sh/more/info?q", "200", "hello q /more/info\n"),
        ("/cgi-bin/nph-made", "201", "nph\n"),
        ("/cgi-bin/none", "404", ""),
        ("/cgi-bin/", "404", ""),
        ("/cgi-bin/testapp/exit/3", "502", ""),
        ("/cgi-bin/testapp/bytes/1000000", "200", "xxxxxxxxxx"),
    ] {
        let reply = get(address, target, "")?;
        shows(&reply, status, part).map_err(|e| format!("{target}: {e}"))?;
    }
    let reply = get(
        address,
        "/cgi-bin/testapp/env?x=1",
        "Proxy: http://evil.example\r\nX-Own: yes\r\n",
    )?;
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTP_X_OWN=yes",
        "PATH_INFO=/env",
        "QUERY_STRING=x=1",
        "REMOTE_ADDR=127.0.0.1",
        "REQUEST_METHOD=GET",
        "SCRIPT_NAME=/cgi-bin/testapp",
    ] {
        body.lines()
            .find(|found| *found == line)
            .ok_or(format!("no {line} in {body}"))?;
    }
    if body.contains("HTTP_PROXY") || !body.contains("SCRIPT_FILENAME=/") {
        return Err(body);
    }
    shows(&post(address, "/cgi-bin/testapp/echo", b"a body")?, "200", "a body")?;
    let own = b"Status: 418 Short\nX-Own: 1\r\r\nSet-Cookie: a=b\nContent-Type: text/plain\n\nbody".as_slice();
    let reply = post(address, "/cgi-bin/head", own)?;
    shows(&reply, "418", "body")?;
    if reply.value("Set-Cookie").map(<[u8]>::to_vec) != Some(b"a=b".to_vec()) {
        return Err(format!("a field is missing: {reply:?}"));
    }
    // What a server in front would take for a second field.
    let split = b"Content-Type: text/plain\nX-Own: a\rInjected: 1\n\nbody".as_slice();
    let reply = post(address, "/cgi-bin/head", split)?;
    shows(&reply, "200", "body")?;
    if reply.value("Injected").is_some() {
        return Err("a carriage return makes a field".into());
    }
    Ok(())
}

/// What [`scripts_answer`] leaves in the log.
const TOLD: &[&str] = &[
    "cgi-bin/none: the script is not there",
    "no script: `",
    "the script ended with exit status 3",
    "X-Own",
];

pub(super) fn nginx_runs_scripts() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-nginx", &[])?;
    let Some(nginx) = Nginx::boot(&wrap, "")? else {
        return absent("nginx");
    };
    scripts_answer(&nginx.address)?;
    let mut wire = Wire::connect(&nginx.address, PATIENCE)?;
    wire.send(b"HEAD /cgi-bin/testapp/bytes/100 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let head = wire.rest()?;
    let head_is_all = head.body.starts_with(b"HTTP/1.1 200 OK\r\n") && head.body.ends_with(b"\r\n\r\n");
    if !head_is_all {
        return Err(format!("HEAD: {head:?}").into());
    }
    drop(wire);
    nginx.server.stop()?;
    wrap.end(TOLD)
}

/// 8 MiB up and 32 MiB down, by a kept connection, and without nginx' buffers.
pub(super) fn nginx_passes_large_bodies_both_ways() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-large", &[])?;
    let more = "fastcgi_buffering off;\nfastcgi_request_buffering off;\nfastcgi_keep_conn on;\n";
    for more in [more, ""] {
        let Some(nginx) = Nginx::boot(&wrap, more)? else {
            return absent("nginx");
        };
        let body: Vec<u8> = (0..8_u32 << 20).map(|n| (n % 251).to_le_bytes()[0]).collect();
        let up = post(&nginx.address, "/cgi-bin/testapp/echo", &body)?;
        if up.body != body {
            return Err(format!("{} bytes of {} came back", up.body.len(), body.len()).into());
        }
        let down = get(&nginx.address, &format!("/cgi-bin/testapp/bytes/{}", 32 << 20), "")?;
        if down.body.len() != 32 << 20 {
            return Err(format!("{} bytes came", down.body.len()).into());
        }
        shows(
            &post(&nginx.address, "/cgi-bin/testapp/count", &body)?,
            "200",
            "read 8388608 of 8388608",
        )?;
        shows(
            &post(&nginx.address, "/cgi-bin/testapp/noread", &body)?,
            "200",
            "not read",
        )?;
        nginx.server.stop()?;
    }
    wrap.end(&[])
}

/// git-http-backend by its manual page, with nginx' variables.
pub(super) fn git_clones_and_pushes_through_nginx() -> Result<Completion, Failed> {
    let Some(backend) = git_http_backend() else {
        return absent("git-http-backend");
    };
    let root = server::fresh_root("fcgiwrap-git");
    let name = repository(&root)?;
    scripts(&root)?;
    server::hand_over(&root, false)?;
    let socket = root.join("fcgi.sock");
    let project_root = format!("SetEnv GIT_PROJECT_ROOT \"{}/repositories\"", root.display());
    let mut command = program(&root, &["-C", &project_root, "-C", "SetEnv GIT_HTTP_EXPORT_ALL"])?;
    command
        .arg("-p")
        .arg(&backend)
        .arg("-s")
        .arg(format!("unix:{}", socket.display()));
    let server = Server::boot_fcgiwrap(&root, command)?;
    let wrap = Wrap { root, socket, server };
    let location = format!(
        "}}\nlocation ~ ^/git(/.*)$ {{\ninclude /etc/nginx/fastcgi_params;\nfastcgi_param SCRIPT_FILENAME {};\n\
         fastcgi_param PATH_INFO $1;\nfastcgi_pass unix:{};\n",
        backend.display(),
        wrap.socket.display()
    );
    let Some(nginx) = Nginx::boot(&wrap, &location)? else {
        return absent("nginx");
    };
    let url = format!("http://{}/git/{name}", nginx.address);
    git(&wrap.root, &["clone", "-q", &url, "one"])?;
    let one = wrap.root.join("one");
    let noise: Vec<u8> = (0..400_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    server::write(&one.join("large"), &noise)?;
    commit(&one, "large")?;
    // git sends it in chunks; nginx tells the length.
    git(&one, &["-c", "http.postBuffer=1024", "push", "-q", "origin", "main"])?;
    git(&wrap.root, &["clone", "-q", &url, "two"])?;
    if fs::read(wrap.root.join("two/large"))? != noise {
        return Err("the second clone is not the first".into());
    }
    nginx.server.stop()?;
    wrap.end(&[])
}

pub(super) fn a_client_of_nginx_that_leaves_ends_its_script() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-leaves", &["-C", "CGIKillGrace 1"])?;
    let Some(nginx) = Nginx::boot(&wrap, "")? else {
        return absent("nginx");
    };
    for behaviour in ["silent/100", "stubborn/100"] {
        let mut wire = Wire::connect(&nginx.address, PATIENCE)?;
        let ask = format!("GET /cgi-bin/testapp/{behaviour} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        wire.send(ask.as_bytes())?;
        poll(PATIENCE, || runs(&wrap, "testapp"))?;
        wire.reset();
        wrap.server.settle(PATIENCE)?;
    }
    wrap.is_well()?;
    nginx.server.stop()?;
    wrap.end(&[])
}

pub(super) fn apache_runs_scripts() -> Result<Completion, Failed> {
    if !Path::new("/usr/sbin/apache2").exists() {
        return absent("apache2");
    }
    let wrap = Wrap::boot("fcgiwrap-apache", &[])?;
    let (root, port) = (wrap.root.join("apache"), server::free_port());
    let (here, socket) = (wrap.root.display(), wrap.socket.display());
    for (number, lines) in [
        // By a handler: Apache finds the script, and what is behind it.
        vec![
            format!("Alias /cgi-bin/ \"{here}/cgi-bin/\""),
            format!("<Directory \"{here}/cgi-bin\">"),
            "Require all granted".to_owned(),
            format!("SetHandler \"proxy:unix:{socket}|fcgi://localhost\""),
            "</Directory>".to_owned(),
        ],
        // By URL: the script is found here.
        vec![format!(
            "ProxyPass \"/cgi-bin/\" \"unix:{socket}|fcgi://localhost{here}/cgi-bin/\""
        )],
    ]
    .into_iter()
    .enumerate()
    {
        fs::create_dir_all(root.join("htdocs"))?;
        server::write_config(&root, &lines, &format!("127.0.0.1:{port}"))?;
        server::hand_over(&root, false)?;
        let mut command = server::apache(&root)?;
        command
            .arg("-f")
            .arg(root.join("httpd.conf"))
            .args(["-D", "FOREGROUND"]);
        let address = format!("127.0.0.1:{port}");
        let apache = Server::boot_silent(&root, command, &address)?;
        scripts_answer(&address).map_err(|e| format!("configuration {number}: {e}"))?;
        apache.stop()?;
    }
    wrap.end(TOLD)
}

pub(super) fn lychgate_runs_scripts() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-lychgate", &[])?;
    let root = wrap.root.join("front");
    let (here, socket) = (wrap.root.display(), wrap.socket.display());
    let lines = [
        format!("Alias /cgi-bin/ \"{here}/cgi-bin/\""),
        format!("<Directory \"{here}/cgi-bin\">"),
        "Require all granted".to_owned(),
        format!("SetHandler \"proxy:unix:{socket}|fcgi://localhost\""),
        "</Directory>".to_owned(),
        "<Proxy \"fcgi://localhost\" enablereuse=on>".to_owned(),
        "</Proxy>".to_owned(),
    ];
    fs::create_dir_all(root.join("htdocs"))?;
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let front = Server::boot(&root, command, &[], "")?;
    let address = front.listeners[0].clone();
    // Its handler finds out itself that a file is not there.
    for (target, status, part) in [
        ("/cgi-bin/hello.sh?a=b", "200", "hello a=b \n"),
        ("/cgi-bin/hello.sh/more/info?q", "200", "hello q /more/info\n"),
        ("/cgi-bin/nph-made", "201", "nph\n"),
        ("/cgi-bin/none", "404", ""),
        ("/cgi-bin/testapp/exit/3", "502", ""),
        ("/cgi-bin/testapp/bytes/1000000", "200", "xxxxxxxxxx"),
    ] {
        shows(&get(&address, target, "")?, status, part).map_err(|e| format!("{target}: {e}"))?;
    }
    shows(
        &post(&address, "/cgi-bin/testapp/echo", &vec![b'b'; 1 << 20])?,
        "200",
        "bbbb",
    )?;
    front.stop()?;
    wrap.end(&["the script ended with exit status 3"])
}

pub(super) fn lighttpd_runs_scripts() -> Result<Completion, Failed> {
    let program = Path::new("/usr/sbin/lighttpd");
    if !program.exists() {
        return absent("lighttpd");
    }
    let wrap = Wrap::boot("fcgiwrap-lighttpd", &[])?;
    let (root, port) = (wrap.root.join("lighttpd"), server::free_port());
    let (here, socket) = (wrap.root.display(), wrap.socket.display());
    let text = format!(
        "server.modules = ( \"mod_fastcgi\" )\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
         server.document-root = \"{here}\"\nserver.errorlog = \"{here}/lighttpd/error.log\"\n\
         server.upload-dirs = ( \"{here}/lighttpd\" )\n\
         fastcgi.server = ( \"/cgi-bin/\" => (( \"socket\" => \"{socket}\", \"check-local\" => \"disable\" )) )\n"
    );
    server::write(&root.join("lighttpd.conf"), text.as_bytes())?;
    server::hand_over(&root, false)?;
    let mut command = server::program_at(program, &root, false, &[])?;
    command.arg("-D").arg("-f").arg(root.join("lighttpd.conf"));
    let address = format!("127.0.0.1:{port}");
    let lighttpd = Server::boot_silent(&root, command, &address)?;
    scripts_answer(&address)?;
    // How it ends says nothing: it may be 1 where connections were open.
    drop(lighttpd);
    wrap.end(TOLD)
}

/// Caddy takes a path apart by the endings it is told; where scripts have none it is given whole.
pub(super) fn caddy_runs_scripts() -> Result<Completion, Failed> {
    let program = Path::new("/usr/bin/caddy");
    if !program.exists() {
        return absent("caddy");
    }
    let wrap = Wrap::boot("fcgiwrap-caddy", &[])?;
    let (root, port) = (wrap.root.join("caddy"), server::free_port());
    let (here, socket) = (wrap.root.display(), wrap.socket.display());
    let text = format!(
        "{{\n admin off\n auto_https off\n storage file_system {here}/caddy/data\n}}\n\
         http://:{port} {{\n bind 127.0.0.1\n reverse_proxy unix/{socket} {{\n  transport fastcgi {{\n   root {here}\n\
         env SCRIPT_FILENAME {here}{{http.request.uri.path}}\n env SCRIPT_NAME {{http.request.uri.path}}\n env PATH_INFO \"\"\n\
         }}\n }}\n}}\n"
    );
    server::write(&root.join("Caddyfile"), text.as_bytes())?;
    server::hand_over(&root, false)?;
    let mut command = server::program_at(program, &root, false, &[])?;
    command.env("HOME", &root).args(["run", "--config"]);
    command.arg(root.join("Caddyfile"));
    let address = format!("127.0.0.1:{port}");
    let caddy = Server::boot_silent(&root, command, &address)?;
    scripts_answer(&address)?;
    drop(caddy);
    wrap.end(TOLD)
}
