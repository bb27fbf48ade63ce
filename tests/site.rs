//! What ships, as it ships: `conf/`, `htdocs/` and `cgi-bin/` are copied, and of `httpd.conf` only the Listen line is
//! another one, so that the tests share a machine. Every page, every link, every script; then `lychgate serve`, and the
//! examples in `conf/extra/`.

pub mod browser;
mod extra;
mod scripts;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use regex::Regex;

use crate::programs::absent;
use crate::support::applications;
use crate::support::server::{self, Server};
use crate::support::tls::Over;
use crate::support::wire::{Judge, Reply, Wire, show};

const PATIENCE: Duration = Duration::from_secs(20);

/// All tests of this file and of those in `site/`.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        site("every_page_is_there_with_its_type", every_page_is_there_with_its_type),
        site(
            "every_link_of_every_page_leads_somewhere",
            every_link_of_every_page_leads_somewhere,
        ),
        site("error_pages_are_pages_of_the_site", error_pages_are_pages_of_the_site),
        site("what_is_private_stays_private", what_is_private_stays_private),
        site("serve_a_directory", serve_a_directory),
        site("serve_over_tls", serve_over_tls),
        site(
            "serve_with_scripts_of_another_place",
            serve_with_scripts_of_another_place,
        ),
        site("extra_vhosts_serve", extra_vhosts_serve),
        site("extra_behind_a_proxy_serves", extra_behind_a_proxy_serves),
        Trial::ignorable_test("site::extra_cgi_serves", extra_cgi_serves),
        Trial::ignorable_test("site::extra_php_fpm_serves", extra_php_fpm_serves),
    ];
    trials.extend(browser::trials());
    trials.extend(scripts::trials());
    trials.extend(extra::trials());
    trials
}

/// A trial of the site.
fn site(name: &str, test: fn() -> Result<(), String>) -> Trial {
    Trial::test(format!("site::{name}"), move || test().map_err(Failed::from))
}

fn every_page_is_there_with_its_type() -> Result<(), String> {
    let site = Site::boot("pages", "")?;
    for (path, media_type) in [
        ("/", "text/html; charset=UTF-8"),
        ("/index.html", "text/html; charset=UTF-8"),
        ("/forms.html", "text/html; charset=UTF-8"),
        ("/type.html", "text/html; charset=UTF-8"),
        ("/style.css", "text/css"),
        ("/favicon.svg", "image/svg+xml"),
        ("/robots.txt", "text/plain; charset=UTF-8"),
        ("/errors/403.html", "text/html; charset=UTF-8"),
        ("/errors/404.html", "text/html; charset=UTF-8"),
        ("/errors/500.html", "text/html; charset=UTF-8"),
        ("/errors/503.html", "text/html; charset=UTF-8"),
    ] {
        let reply = site.fetch(path)?;
        expect(path, &reply, 200, &format!("Content-Type: {media_type}"))?;
        let name = if path == "/" { "index.html" } else { &path[1..] };
        let file = fs::read(site.root.join("htdocs").join(name)).map_err(|e| format!("{name}: {e}"))?;
        if reply.body != file {
            return Err(format!("{path} is not the file {name}"));
        }
    }
    site.end()
}

fn every_link_of_every_page_leads_somewhere() -> Result<(), String> {
    let site = Site::boot("links", "")?;
    let link = Regex::new("(?:href|src|action)=\"([^\"]*)\"").expect("the pattern is well-formed");
    let mut pages = vec!["/".to_string()];
    let mut seen = BTreeSet::new();
    while let Some(page) = pages.pop() {
        let (path, fragment) = page.split_once('#').unwrap_or((page.as_str(), ""));
        if !seen.insert(page.clone()) {
            continue;
        }
        if path.starts_with("/cgi-bin/clock") || path.starts_with("/cgi-bin/nph-progress") {
            continue;
        }
        let reply = site.fetch(path)?;
        // One link is there to show the page for what is not there.
        let wanted = if path == "/no/such/page" { 404 } else { 200 };
        if status(&reply) != wanted {
            return Err(format!("{page}: {}", show(&reply.status_line)));
        }
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        if !fragment.is_empty() && !text.contains(&format!("id=\"{fragment}\"")) {
            return Err(format!("{page}: no such place in the page"));
        }
        if !reply.lines().any(|line| line.starts_with(b"Content-Type: text/html")) {
            continue;
        }
        for found in link.captures_iter(&text) {
            let target = found[1].replace("&amp;", "&");
            if target.starts_with('/') {
                pages.push(target);
            } else if target.starts_with('#') {
                pages.push(format!("{path}{target}"));
            } else if !target.starts_with("https://") {
                return Err(format!("{page}: a link of another kind: {target}"));
            }
        }
    }
    for expected in [
        "/forms.html",
        "/type.html",
        "/cgi-bin/finger",
        "/cgi-bin/clock",
        "/errors/503.html",
    ] {
        if !seen.contains(expected) {
            return Err(format!("no page links to {expected}"));
        }
    }
    site.end()
}

fn error_pages_are_pages_of_the_site() -> Result<(), String> {
    let site = Site::boot("errors", "")?;
    let broken = site.root.join("cgi-bin/broken");
    server::write(&broken, b"#!/bin/sh\r\necho\r\n")?;
    server::set_mode(&broken, 0o755)?;
    for (path, code, page) in [
        ("/no/such/page", 404, "404.html"),
        ("/cgi-bin/none", 404, "404.html"),
        ("/cgi-bin/", 403, "403.html"),
        ("/.htaccess", 403, "403.html"),
        ("/cgi-bin/broken", 500, "500.html"),
    ] {
        let reply = site.fetch(path)?;
        expect(path, &reply, code, "Content-Type: text/html; charset=UTF-8")?;
        let file = fs::read(site.root.join("htdocs/errors").join(page)).map_err(|e| format!("{page}: {e}"))?;
        if reply.body != file {
            return Err(format!("{path}: the page is not {page} but {}", show(&reply.body)));
        }
    }
    site.end_saying(&[
        r"/cgi-bin/none: script not found",
        r"is a directory",
        r"/\.htaccess",
        r"ends in CR LF.*sed -i",
    ])
}

fn what_is_private_stays_private() -> Result<(), String> {
    let site = Site::boot("private", "")?;
    for name in [".htaccess", ".htpasswd", ".HTACCESS"] {
        server::write(&site.root.join("htdocs").join(name), b"secret\n")?;
    }
    for path in [
        "/.htaccess",
        "/.htpasswd",
        "/.HTACCESS",
        "/..%2fconf/httpd.conf",
        "/%2e%2e/conf/httpd.conf",
        "/cgi-bin/../../../bin/sh",
        "/cgi-bin/counter/../../conf/httpd.conf",
        "/cgi-bin/counter%20",
        "/cgi-bin/counter.",
        "/cgi-bin/COUNTER",
        "/conf/httpd.conf",
    ] {
        let reply = site.fetch(path)?;
        let body = String::from_utf8_lossy(&reply.body);
        if !matches!(status(&reply), 400 | 403 | 404) || body.contains("secret") || body.contains("#!") {
            // .HTACCESS is a file like any other where names have cases.
            if path != "/.HTACCESS" {
                return Err(format!("{path}: {reply:?}"));
            }
        }
    }
    site.end_saying(&[".*"])
}

fn serve_a_directory() -> Result<(), String> {
    let root = copied("serve", "")?;
    let at = root.join("htdocs");
    let scripts = root.join("cgi-bin");
    fs::rename(&scripts, at.join("cgi-bin")).map_err(|e| format!("rename: {e}"))?;
    fs::create_dir(at.join("empty dir")).map_err(|e| format!("mkdir: {e}"))?;
    server::write(&at.join("empty dir/a&b.txt"), b"text\n")?;
    server::write(&at.join(".git/config"), b"secret\n")?;
    server::hand_over(&root, false)?;
    let site = Site::serve(root, &["serve", "htdocs", "--listen", "0"])?;
    expect("/", &site.fetch("/")?, 200, "Content-Type: text/html")?;
    expect("/style.css", &site.fetch("/style.css")?, 200, "Content-Type: text/css")?;
    expect(
        "/cgi-bin/test-cgi",
        &site.fetch("/cgi-bin/test-cgi?one+two")?,
        200,
        "argc is 2. <one> <two>",
    )?;
    let listing = site.fetch("/empty%20dir/")?;
    expect("listing", &listing, 200, "Content-Type: text/html")?;
    if !String::from_utf8_lossy(&listing.body).contains("<a href=\"a&amp;b.txt\"") {
        return Err(format!("listing: {}", show(&listing.body)));
    }
    expect("slash", &site.fetch("/empty%20dir")?, 301, "/empty%20dir/")?;
    if !matches!(status(&site.fetch("/.git/config")?), 403 | 404) {
        return Err("/.git/config is shown".into());
    }
    site.end_saying(&[".*"])
}

/// Over TLS, with a certificate whose fingerprint is what the server says it is.
fn serve_over_tls() -> Result<(), String> {
    let root = copied("serve-tls", "")?;
    server::hand_over(&root, false)?;
    let mut command = server::program(&root, false, &[])?;
    command.args(["serve", "htdocs", "--tls", "--listen", "0"]);
    let server = Server::boot_as(&root, command, "")?;
    let url = format!("https://{}/", server.listeners[0]);
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    wire.secure(&Over::parse("any")?)?;
    wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let reply = wire.reply(Judge::Strict)?;
    drop(wire);
    let shown = std::process::Command::new("sh")
        .args(["-c", "openssl s_client -connect $0 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256 -ext subjectAltName"])
        .arg(&server.listeners[0])
        .output()
        .map_err(|e| e.to_string())?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let named = [
        "DNS:localhost",
        "IP Address:127.0.0.1",
        "IP Address:0:0:0:0:0:0:0:1",
        "sha256 Fingerprint=",
    ];
    if !reply.status_line.ends_with(b" 200 OK") || !named.iter().all(|name| shown.contains(name)) {
        return Err(format!("{url}: {reply:?}: {shown}"));
    }
    server.stop()?;
    let _left_for_the_end_of_the_run = fs::remove_dir_all(&root);
    Ok(())
}

fn serve_with_scripts_of_another_place() -> Result<(), String> {
    let root = copied("serve-scripts", "")?;
    server::hand_over(&root, false)?;
    let words = ["serve", "--listen", "127.0.0.1:0", "--cgi-bin", "cgi-bin", "htdocs"];
    let site = Site::serve(root, &words)?;
    if !site.server.listeners[0].starts_with("127.0.0.1:") {
        return Err(format!("it listens on {:?}", site.server.listeners));
    }
    expect(
        "/cgi-bin/printenv.pl",
        &site.fetch("/cgi-bin/printenv.pl/x")?,
        200,
        "PATH_INFO=/x",
    )?;
    site.end()
}

/// The example is served by its own names, with its own directories made below the test's root.
fn extra_vhosts_serve() -> Result<(), String> {
    let root = copied("vhosts", "Include conf/extra/vhosts.conf\n")?;
    let conf = root.join("conf/extra/vhosts.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let place = root.join("srv").display().to_string();
    let text = text.replace("/srv", &place).replace("*:80", "*");
    server::write(&conf, text.as_bytes())?;
    let files: [(&str, &str, u32); 5] = [
        ("srv/www/example.com/htdocs/index.html", "example.com\n", 0o644),
        (
            "srv/www/example.com/cgi-bin/hello",
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello\\n'\n",
            0o755,
        ),
        (
            "srv/www/old.example.net/index.cgi",
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nold\\n'\n",
            0o755,
        ),
        (
            "srv/www/old.example.net/uploads/evil.cgi",
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nran\\n'\n",
            0o755,
        ),
        ("logs/.keep", "", 0o644),
    ];
    for (name, content, mode) in files {
        server::write(&root.join(name), content.as_bytes())?;
        server::set_mode(&root.join(name), mode)?;
    }
    server::hand_over(&root, false)?;
    let site = Site::start(root)?;
    for (host, path, line) in [
        ("www.example.com", "/", "example.com"),
        ("shop.EXAMPLE.com", "/cgi-bin/hello", "hello"),
        ("elsewhere.test", "/", "example.com"),
        ("old.example.net", "/", "old"),
    ] {
        expect(host, &site.fetch_from(host, path)?, 200, line)?;
    }
    let upload = site.fetch_from("old.example.net", "/uploads/evil.cgi")?;
    if upload.body.starts_with(b"ran") {
        return Err("a script among the uploads was run".into());
    }
    let log = site.root.join("logs/example.com-access_log");
    let lines = fs::read_to_string(&log).unwrap_or_default();
    if lines.lines().count() != 3 {
        return Err(format!("{}: {lines}", log.display()));
    }
    site.end_saying(&[r"uploads/evil\.cgi` would be run as a script"])
}

/// As it stands: the tests are on this machine, so they are the proxy.
fn extra_behind_a_proxy_serves() -> Result<(), String> {
    let more = "Include conf/extra/behind-a-proxy.conf\nCustomLog logs/proxied proxied\n";
    let site = Site::boot("proxied", more)?;
    let mut wire = site.wire()?;
    wire.send(b"GET /cgi-bin/printenv.pl HTTP/1.0\r\nX-Forwarded-For: 10.9.8.7, 192.0.2.7\r\n\r\n")?;
    let reply = wire.reply(Judge::Strict)?;
    expect("its address", &reply, 200, "REMOTE_ADDR=192.0.2.7")?;
    expect("what is left", &reply, 200, "HTTP_X_FORWARDED_FOR=10.9.8.7")?;
    let log = site.root.join("logs/proxied");
    server::poll(PATIENCE, || {
        let lines = fs::read_to_string(&log).unwrap_or_default();
        if lines.starts_with("192.0.2.7 - - [") && lines.ends_with("via 127.0.0.1\n") {
            Ok(())
        } else {
            Err(format!("{}: {lines}", log.display()))
        }
    })?;
    site.end()
}

/// The example as it stands; what Debian has not installed here is cut out of it, as its first lines say.
fn extra_cgi_serves() -> Result<Completion, Failed> {
    let backend = "/usr/lib/git-core/git-http-backend";
    if !Path::new(backend).exists() {
        return absent(backend);
    }
    let root = copied("extra-cgi", "Include conf/extra/cgi.conf\n")?;
    server::hand_over(&root, false)?;
    let site = Site::start(root)?;
    let reply = site.fetch("/git/none.git/info/refs?service=git-upload-pack")?;
    if status(&reply) != 404 || reply.lines().any(|l| l == b"Content-Type: text/html; charset=UTF-8") {
        return Err(format!("git-http-backend was not asked: {reply:?}").into());
    }
    site.end_saying(&[".*"])?;
    Ok(Completion::Completed)
}

/// The example as it stands, but for the name of the socket.
fn extra_php_fpm_serves() -> Result<Completion, Failed> {
    if applications::php_fpm_program().is_none() {
        return absent("php-fpm");
    }
    let root = copied("extra-php", "Include conf/extra/php-fpm.conf\n")?;
    let conf = root.join("conf/extra/php-fpm.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let socket = root.join("php.sock").display().to_string();
    server::write(&conf, text.replace("/run/php/php-fpm.sock", &socket).as_bytes())?;
    let page = "<?php echo 'user ', $_SERVER['PHP_AUTH_USER'] ?? '-', ' at ', $_SERVER['SCRIPT_NAME'], \"\\n\";";
    for name in ["htdocs/php/index.php", "htdocs/php/source.phps", "htdocs/php/.php"] {
        server::write(&root.join(name), page.as_bytes())?;
    }
    server::hand_over(&root, false)?;
    let _application = applications::start("php-fpm 2", &root, false, 0)?;
    let site = Site::start(root)?;
    expect("its index", &site.fetch("/php/")?, 200, "user - at /php/index.php")?;
    for (target, code) in [("/php/source.phps", 403), ("/php/.php", 403), ("/php/none.php", 404)] {
        let reply = site.fetch(target)?;
        if status(&reply) != code {
            return Err(format!("{target}: {reply:?}").into());
        }
    }
    site.end_saying(&[".*"])?;
    Ok(Completion::Completed)
}

/// The site, running.
struct Site {
    root: PathBuf,
    server: Server,
}

impl Site {
    /// The site with `more` lines at the end of its configuration, started as the README says: without a word, in the
    /// directory that it is in.
    fn boot(name: &str, more: &str) -> Result<Site, String> {
        let root = copied(name, more)?;
        server::hand_over(&root, false)?;
        Site::start(root)
    }

    fn start(root: PathBuf) -> Result<Site, String> {
        Site::serve(root, &[])
    }

    /// The program with these words, in `root`.
    fn serve(root: PathBuf, words: &[&str]) -> Result<Site, String> {
        let environment = [("COUNTER_DIR".to_string(), root.join("counters").display().to_string())];
        let mut command = server::program(&root, false, &environment)?;
        command.args(words);
        let server = Server::boot_as(&root, command, "")?;
        Ok(Site { root, server })
    }

    fn wire(&self) -> Result<Wire, String> {
        Wire::connect(&self.server.listeners[0], PATIENCE)
    }

    fn fetch(&self, path: &str) -> Result<Reply, String> {
        self.fetch_from("localhost", path)
    }

    fn fetch_from(&self, host: &str, path: &str) -> Result<Reply, String> {
        let mut wire = self.wire()?;
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
        wire.reply(Judge::Strict)
    }

    fn post(&self, path: &str, media_type: &str, body: &[u8]) -> Result<Reply, String> {
        let mut wire = self.wire()?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        wire.send(&[head.as_bytes(), body].concat())?;
        wire.reply(Judge::Strict)
    }

    /// Nothing is left behind, and nothing was complained about.
    fn end(self) -> Result<(), String> {
        self.end_saying(&[])
    }

    /// The same, but each warning or error matches one of `expected`, and each of those is there (`.*` need not be).
    fn end_saying(self, expected: &[&str]) -> Result<(), String> {
        self.server.settle(PATIENCE)?;
        self.server.stop()?;
        let text = fs::read_to_string(self.root.join("stderr")).unwrap_or_default();
        let complaints: Vec<&str> = text
            .lines()
            .filter(|l| l.contains(":error]") || l.contains(":warn]"))
            .collect();
        let patterns: Vec<Regex> = expected.iter().map(|p| Regex::new(p).expect("well-formed")).collect();
        if let Some(line) = complaints
            .iter()
            .find(|line| !patterns.iter().any(|p| p.is_match(line)))
        {
            return Err(format!("unexpected in the error log: {line}"));
        }
        let unsaid = patterns
            .iter()
            .find(|p| p.as_str() != ".*" && !complaints.iter().any(|line| p.is_match(line)));
        if let Some(pattern) = unsaid {
            return Err(format!("no line of the error log matches `{pattern}`: {text}"));
        }
        let _left_for_the_end_of_the_run = fs::remove_dir_all(&self.root);
        Ok(())
    }
}

/// A copy of what ships, with its Listen line replaced and `more` behind it. Its counters are kept in the copy.
fn copied(name: &str, more: &str) -> Result<PathBuf, String> {
    let root = server::fresh_root(&format!("site-{name}"));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
    for directory in ["conf", "htdocs", "cgi-bin"] {
        copy(&shipped.join(directory), &root.join(directory)).map_err(|e| format!("{directory}: {e}"))?;
    }
    fs::create_dir(root.join("counters")).map_err(|e| format!("counters: {e}"))?;
    let conf = root.join("conf/httpd.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let shipped_line = "\nListen 127.0.0.1:8080\n";
    if text.matches(shipped_line).count() != 1 {
        return Err("conf/httpd.conf has not one line `Listen 127.0.0.1:8080`".into());
    }
    let text = text.replace(shipped_line, "\nListen 127.0.0.1:0\n") + "\nPassEnv COUNTER_DIR\n" + more;
    server::write(&conf, text.as_bytes())?;
    Ok(root)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn status(reply: &Reply) -> u16 {
    let code = reply.status_line.get(9..12).and_then(|c| std::str::from_utf8(c).ok());
    code.and_then(|c| c.parse().ok()).unwrap_or(0)
}

/// The reply has this status, and a line that holds `part`.
fn expect(what: &str, reply: &Reply, code: u16, part: &str) -> Result<(), String> {
    let holds = |line: &[u8]| memchr::memmem::find(line, part.as_bytes()).is_some();
    if status(reply) == code && reply.lines().any(holds) {
        return Ok(());
    }
    let fields: Vec<String> = reply.fields.iter().map(|f| show(f)).collect();
    Err(format!(
        "{what}: not {code} with `{part}`, but {} {fields:?} {}",
        show(&reply.status_line),
        show(&reply.body)
    ))
}
