//! lychgate before an Apache that stays as it is (StaticFirst): the same requests to Apache itself and through lychgate have
//! the same answers, what surely is a plain file never reaches Apache, and everything else does, as it came.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use libtest_mimic::{Completion, Failed, Trial};

use crate::programs::absent;
use crate::support::applications::{self, Application, php_fpm_program};
use crate::support::server::{self, Server, free_port, poll};
use crate::support::site::end;
use crate::support::wire::{Judge, Reply, Wire, show};

const PATIENCE: Duration = Duration::from_secs(30);

/// So many requests are compared; STATIC_FIRST_REQUESTS says another number (5000 have been tried).
const REQUESTS: usize = 2000;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::ignorable_test("static_first::answers_are_those_of_the_server_behind", || {
            answers_are_those_of_the_server_behind()
        }),
        Trial::ignorable_test("static_first::each_doubt_is_for_the_server_behind", || {
            each_doubt_is_for_the_server_behind()
        }),
        Trial::ignorable_test("static_first::files_are_served_while_the_server_behind_is_gone", || {
            files_are_served_while_the_server_behind_is_gone()
        }),
        Trial::ignorable_test("static_first::the_server_behind_learns_who_asks", || {
            the_server_behind_learns_who_asks()
        }),
    ]
}

/// An Apache, and lychgate before it, with the same documents.
struct Both {
    root: PathBuf,
    apache: Server,
    ours: Server,
    _php: Application,
}

/// The files of the site, and whether they are plain.
const FILES: &[(&str, bool)] = &[
    ("index.html", true),
    ("a.txt", true),
    ("style.css", true),
    ("app.min.js", true),
    ("pic.png", true),
    ("pic.gif", true),
    ("doc.pdf", false),
    ("data.json", true),
    ("empty.txt", true),
    ("sp ace.txt", true),
    ("\u{fc}.txt", true),
    ("dir/index.html", true),
    ("dir/deep/f.txt", true),
    ("archive.tar.gz", true),
    ("page.html.en", false),
    ("noext", false),
    ("what.unknown", false),
    ("run.txt", false),
    ("hidden.txt", false),
    ("link.txt", false),
    ("ways/f.txt", false),
    ("closed/f.txt", false),
    ("ruled/f.txt", false),
    (".secret.txt", false),
    ("old.php.txt", false),
    ("page.php", false),
    ("private/f.txt", false),
    ("cgi-bin/f.txt", false),
];

const SCRIPT: &str = "#!/bin/sh\n\
    printf 'Content-Type: text/plain\\r\\nX-Script: yes\\r\\n\\r\\n'\n\
    for name in REQUEST_METHOD QUERY_STRING PATH_INFO REQUEST_URI HTTP_HOST HTTP_COOKIE HTTP_ACCEPT HTTP_X_TEST CONTENT_TYPE CONTENT_LENGTH \
    SERVER_NAME SERVER_PORT; do\n\
    eval printf \"'%s=%s\\\\n' $name \\\"\\$$name\\\"\"\ndone\n\
    cksum\n";

fn plant(root: &Path) -> Result<(), String> {
    let htdocs = root.join("htdocs");
    for (name, _) in FILES {
        let text = match *name {
            "page.php" => {
                "<?php header('X-Php: yes'); echo $_SERVER['REQUEST_URI'], ' ', $_GET['q'] ?? '', \"\\n\";".to_owned()
            }
            "empty.txt" => String::new(),
            name => format!("{name}\n").repeat(name.len() * 40),
        };
        server::write(&htdocs.join(name), text.as_bytes())?;
        server::set_mode(&htdocs.join(name), 0o644)?;
        // Not of this moment, or their tags would be weak for another.
        let file = fs::File::options().write(true).open(htdocs.join(name));
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        file.and_then(|file| file.set_modified(old))
            .map_err(|e| e.to_string())?;
    }
    server::set_mode(&htdocs.join("run.txt"), 0o755)?;
    // Readable by its owner, who serves.
    server::set_mode(&htdocs.join("hidden.txt"), 0o640)?;
    fs::remove_file(htdocs.join("link.txt")).map_err(|e| e.to_string())?;
    symlink("a.txt", htdocs.join("link.txt")).map_err(|e| e.to_string())?;
    fs::remove_dir_all(htdocs.join("ways")).map_err(|e| e.to_string())?;
    symlink("dir/deep", htdocs.join("ways")).map_err(|e| e.to_string())?;
    server::write(&htdocs.join("closed/.htaccess"), b"Require all denied\n")?;
    server::write(
        &htdocs.join("ruled/.htaccess"),
        b"RewriteEngine On\nRewriteRule ^f\\.txt$ /a.txt\n",
    )?;
    server::write(&root.join("cgi-bin/s"), SCRIPT.as_bytes())?;
    server::set_mode(&root.join("cgi-bin/s"), 0o755)
}

impl Both {
    /// Boots them; `more` goes to lychgate.
    fn boot(name: &str, more: &[&str]) -> Result<Both, String> {
        let root = server::fresh_root(name);
        plant(&root)?;
        let at = root.display();
        let port = free_port();
        let types = format!("{}/tests/support/mime.types", env!("CARGO_MANIFEST_DIR"));
        server::write(&root.join("mime.types"), &fs::read(types).map_err(|e| e.to_string())?)?;
        let theirs = [
            format!("ServerRoot {at}"),
            format!("Listen 127.0.0.1:{port}"),
            "ServerName localhost".into(),
            format!("PidFile {at}/apache.pid"),
            format!("ErrorLog {at}/apache.error.log"),
            format!("CustomLog {at}/apache.access.log \"%{{X-Id}}i %m %U%q\""),
            format!("TypesConfig {at}/mime.types"),
            format!("DocumentRoot {at}/htdocs"),
            format!("ScriptAlias /cgi-bin/ {at}/cgi-bin/"),
            format!("Alias /private {at}/htdocs/private"),
            "RemoteIPHeader X-Forwarded-For".into(),
            "RemoteIPInternalProxy 127.0.0.1".into(),
            format!(
                "<Directory {at}>\nRequire all granted\nAllowOverride All\nOptions FollowSymLinks Indexes\n</Directory>"
            ),
            "<FilesMatch \"\\.php$\">".into(),
            format!("SetHandler \"proxy:unix:{at}/php.sock|fcgi://localhost\""),
            "</FilesMatch>".into(),
            "DirectoryIndex index.html".into(),
        ];
        server::write(&root.join("apache.conf"), (theirs.join("\n") + "\n").as_bytes())?;
        let mut lines = vec![
            format!("TypesConfig {at}/mime.types"),
            "Options FollowSymLinks".into(),
            format!("StaticFirst http://127.0.0.1:{port}"),
            "StaticFirstExcept /Private/".into(),
        ];
        lines.extend(more.iter().map(ToString::to_string));
        server::write_config(&root, &lines, "127.0.0.1:0")?;
        server::hand_over(&root, false)?;
        let php = applications::start("php-fpm 2", &root, false, 0)?;
        let mut command = server::apache(&root)?;
        command
            .arg("-f")
            .arg(root.join("apache.conf"))
            .args(["-D", "FOREGROUND"]);
        let apache = Server::boot_silent(&root, command, &format!("127.0.0.1:{port}"))?;
        let ours = Server::boot(&root, server::program(&root, false, &[])?, &[], "")?;
        Ok(Both {
            root,
            apache,
            ours,
            _php: php,
        })
    }

    /// The requests that Apache has seen, by their X-Id.
    fn seen_by_apache(&self) -> Result<BTreeSet<String>, String> {
        let log = fs::read_to_string(self.root.join("apache.access.log")).map_err(|e| e.to_string())?;
        Ok(log
            .lines()
            .filter_map(|line| Some(line.split(' ').next()?.to_owned()))
            .collect())
    }

    /// Waits until Apache has logged the request.
    fn is_seen(&self, id: &str) -> Result<(), String> {
        poll(PATIENCE, || {
            let seen = self.seen_by_apache()?;
            seen.contains(id)
                .then_some(())
                .ok_or(format!("{id} has not reached Apache"))
        })
    }

    fn end(self) -> Result<(), String> {
        self.apache.stop()?;
        end(&self.root, self.ours)
    }
}

fn needs() -> Option<&'static str> {
    if !Path::new("/usr/sbin/apache2").exists() {
        return Some("apache2");
    }
    php_fpm_program().is_none().then_some("php-fpm")
}

/// A request as text, and who is expected to answer it.
struct Question {
    text: String,
    is_ours: bool,
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap_or(0)
    }

    fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }
}

fn encoded(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").unwrap_or_default(),
        }
    }
    out
}

/// A random request.
fn question(dice: &mut Dice, id: &str, tags: &BTreeMap<&str, String>) -> Question {
    let (name, plain) = *dice.one(FILES);
    let tag = tags.get(name).map_or("\"none\"", String::as_str);
    let mut path = format!("/{}", encoded(name));
    let mut is_ours = plain;
    if dice.below(4) == 0 {
        is_ours = false;
        path = match dice.below(10) {
            0 => "/".into(),
            1 => "/dir".into(),
            2 => "/dir/".into(),
            3 => "/none.txt".into(),
            4 => "/cgi-bin/s/more/path".into(),
            5 => format!("/.{path}"),
            6 => format!("/{path}"),
            7 => format!("/dir/..{path}"),
            8 => format!("{path}/more"),
            _ => "/cgi-bin/s".into(),
        };
    }
    if dice.below(8) == 0 {
        is_ours = false;
        path.push_str(dice.one::<&str>(&["?", "?q=1", "?q=a%20b&c", "?../x"]));
    }
    let method = match dice.below(12) {
        0 => "HEAD",
        1 => "POST",
        2 => *dice.one(&["OPTIONS", "PUT", "DELETE", "PROPFIND", "BREW"]),
        _ => "GET",
    };
    is_ours &= matches!(method, "GET" | "HEAD");
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Id: {id}\r\n");
    for _ in 0..dice.below(4) {
        let field = *dice.one(&[
            "Accept: text/html, */*;q=0.1",
            "Accept-Encoding: gzip, br",
            "Accept-Language: de, en;q=0.5",
            "Cookie: a=b; c=\"d\"",
            "User-Agent: test/1.0 (x)",
            "Referer: http://localhost/x?y",
            "X-Test: some value",
            "Range: bytes=0-9",
            "Range: bytes=-5",
            "Range: bytes=1-2,20-30",
            "Range: bytes=900000-",
            "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT",
            "If-Modified-Since: Thu, 01 Jan 1998 00:00:00 GMT",
            "If-Unmodified-Since: Thu, 01 Jan 1998 00:00:00 GMT",
            "If-None-Match: *",
            "If-None-Match: \"other\", \"ETAG\"",
            "If-None-Match: \"other\"",
            "If-Range: \"ETAG\"",
            "If-Range: \"other\"",
            "If-Match: \"none\"",
            "Cache-Control: no-cache",
            "Authorization: Basic eDp5",
            "TE: trailers",
        ]);
        let name = field.split(':').next().unwrap_or_default();
        if !text.contains(&format!("\r\n{name}:")) {
            is_ours &= match name {
                "Authorization" | "TE" | "If-Match" | "If-Unmodified-Since" => false,
                "If-None-Match" => {
                    !field.contains('*') && !text.contains("\r\nIf-Modified-Since:") && !text.contains("\r\nRange:")
                }
                "If-Modified-Since" => !text.contains("\r\nIf-None-Match:"),
                "Range" => {
                    method != "HEAD"
                        && (!field.contains("900000") || path == "/empty.txt")
                        && !text.contains("\r\nIf-None-Match:")
                }
                _ => true,
            };
            write!(text, "{}\r\n", field.replace("\"ETAG\"", tag)).unwrap_or_default();
        }
    }
    if matches!(method, "POST" | "PUT" | "PROPFIND") {
        let length = dice.below(5000);
        write!(text, "Content-Type: text/x-test\r\nContent-Length: {length}\r\n\r\n").unwrap_or_default();
        text.push_str(&"b".repeat(length));
    } else {
        text.push_str("\r\n");
    }
    Question { text, is_ours }
}

/// Of an answer, what must be the same.
fn essence(reply: &Reply) -> (String, BTreeMap<String, String>, Vec<u8>) {
    const APART: [&str; 6] = [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "date",
        "server",
        "content-length",
    ];
    let mut fields = BTreeMap::new();
    for line in &reply.fields {
        let line = show(line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let name = name.to_ascii_lowercase();
        if !APART.contains(&name.as_str()) {
            let whole: &mut String = fields.entry(name).or_default();
            whole.push_str(value.trim());
            whole.push('\n');
        }
    }
    // Parts of a file have a boundary that is made anew each time.
    let status = show(&reply.status_line);
    let body = if fields
        .get("content-type")
        .is_some_and(|kind| kind.starts_with("multipart/"))
    {
        fields.remove("content-type");
        Vec::new()
    } else {
        reply.body.clone()
    };
    (status, fields, body)
}

/// A connection that is made anew when it was closed.
struct Kept {
    address: String,
    wire: Option<Wire>,
}

impl Kept {
    fn ask(&mut self, text: &str) -> Result<Reply, String> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::connect(&self.address, PATIENCE)?,
        };
        wire.send(text.as_bytes())?;
        let reply = wire.reply(Judge::Strict)?;
        let closes = reply
            .value("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
        self.wire = (!closes).then_some(wire);
        Ok(reply)
    }
}

fn answers_are_those_of_the_server_behind() -> Result<Completion, Failed> {
    if let Some(missing) = needs() {
        return absent(missing);
    }
    let both = Both::boot("static-first", &[])?;
    let count = std::env::var("STATIC_FIRST_REQUESTS")
        .ok()
        .and_then(|text| text.parse().ok());
    let [mut theirs, mut ours] = [&both.apache, &both.ours].map(|server| Kept {
        address: server.listeners[0].clone(),
        wire: None,
    });
    let mut tags = BTreeMap::new();
    for (name, _) in FILES {
        let reply = theirs.ask(&format!(
            "HEAD /{} HTTP/1.1\r\nHost: localhost\r\nX-Id: tag\r\n\r\n",
            encoded(name)
        ))?;
        if let Some(tag) = reply.value("etag") {
            tags.insert(*name, show(tag));
        }
    }
    let mut dice = Dice(0x5eed);
    let (mut for_us, mut for_them) = (BTreeMap::new(), BTreeMap::new());
    let mut differences = Vec::new();
    for number in 0..count.unwrap_or(REQUESTS) {
        let id = format!("through-{number}");
        let question = question(&mut dice, &id, &tags);
        let direct = theirs.ask(&question.text.replace("X-Id: through", "X-Id: direct"))?;
        let through = ours.ask(&question.text)?;
        if essence(&direct) != essence(&through) {
            let head = question.text.split("\r\n\r\n").next().unwrap_or_default();
            let told = |(status, fields, body): (String, BTreeMap<String, String>, Vec<u8>)| {
                format!("{status} {fields:?} {}", show(&body))
            };
            differences.push(format!(
                "{head}\n  {}\n  {}",
                told(essence(&direct)),
                told(essence(&through))
            ));
        }
        if question.is_ours {
            for_us.insert(id, question.text);
        } else {
            for_them.insert(id, question.text);
        }
    }
    if !differences.is_empty() {
        differences.truncate(10);
        return Err(differences.join("\n\n").into());
    }
    // Each kind is there by the hundred, or the comparison says little.
    assert!(count.is_some() || for_us.len() > 200 && for_them.len() > 800);
    for (id, text) in &for_them {
        both.is_seen(id).map_err(|error| format!("{text}{error}"))?;
    }
    let seen = both.seen_by_apache()?;
    if let Some((_, text)) = for_us.iter().find(|(id, _)| seen.contains(*id)) {
        return Err(format!("{text}Apache was asked for a plain file").into());
    }
    both.end()?;
    Ok(Completion::Completed)
}

/// One doubt at a time: none is refused, each is answered by the server behind.
fn each_doubt_is_for_the_server_behind() -> Result<Completion, Failed> {
    if let Some(missing) = needs() {
        return absent(missing);
    }
    let both = Both::boot("static-first-doubts", &[])?;
    let address = &both.ours.listeners[0];
    let mut plain = Vec::new();
    for (number, (method, path, fields, is_ours)) in [
        ("GET", "/a.txt", "", true),
        ("HEAD", "/a.txt", "", true),
        ("GET", "/sp%20ace.txt", "", true),
        ("GET", "/dir/deep/f.txt", "", true),
        // A query.
        ("GET", "/a.txt?", "", false),
        ("GET", "/a.txt?x", "", false),
        // Another way to write a path.
        ("GET", "//a.txt", "", false),
        ("GET", "/./a.txt", "", false),
        ("GET", "/dir/../a.txt", "", false),
        ("GET", "/dir/%2e%2e/a.txt", "", false),
        ("GET", "/dir%2fdeep/f.txt", "", false),
        // Nothing there, or more behind it.
        ("GET", "/none.txt", "", false),
        ("GET", "/a.txt/", "", false),
        ("GET", "/a.txt/x.txt", "", false),
        // Not readable by all, executable, a directory, a link.
        ("GET", "/hidden.txt", "", false),
        ("GET", "/run.txt", "", false),
        ("GET", "/dir", "", false),
        ("GET", "/dir/", "", false),
        ("GET", "/", "", false),
        ("GET", "/link.txt", "", false),
        ("GET", "/ways/f.txt", "", false),
        // A word, its own and one of the settings.
        ("GET", "/cgi-bin/f.txt", "", false),
        ("GET", "/.secret.txt", "", false),
        ("GET", "/old.php.txt", "", false),
        ("GET", "/private/f.txt", "", false),
        // A type that is not known, or more than a type.
        ("GET", "/noext", "", false),
        ("GET", "/what.unknown", "", false),
        // An access file on the way.
        ("GET", "/closed/f.txt", "", false),
        ("GET", "/ruled/f.txt", "", false),
        // Another method, or a request that wants more.
        ("OPTIONS", "/a.txt", "", false),
        ("DELETE", "/a.txt", "", false),
        ("get", "/a.txt", "", false),
        ("POST", "/a.txt", "Content-Length: 1\r\n", false),
        ("GET", "/a.txt", "Content-Length: 1\r\n", false),
        ("GET", "/a.txt", "Authorization: Basic eDp5\r\n", false),
        ("GET", "/a.txt", "If-Match: *\r\n", false),
        ("GET", "/a.txt", "Range: bytes=0-3\r\n", true),
        ("GET", "/a.txt", "Range: bytes=99999-\r\n", false),
        ("GET", "/a.txt", "Connection: upgrade\r\nUpgrade: h2c\r\n", false),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("doubt-{number}");
        let mut wire = Wire::connect(address, PATIENCE)?;
        let body = if fields.starts_with("Content-Length") { "b" } else { "" };
        let text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Id: {id}\r\n{fields}\r\n{body}");
        wire.send(text.as_bytes())?;
        wire.reply(Judge::Strict)
            .map_err(|error| format!("{method} {path}: {error}"))?;
        if is_ours {
            plain.push(id);
        } else {
            both.is_seen(&id)
                .map_err(|error| format!("{method} {path} {fields}: {error}"))?;
        }
    }
    let seen = both.seen_by_apache()?;
    assert!(
        plain.iter().all(|id| !seen.contains(id)),
        "Apache was asked for a plain file"
    );
    both.end()?;
    Ok(Completion::Completed)
}

fn files_are_served_while_the_server_behind_is_gone() -> Result<Completion, Failed> {
    if let Some(missing) = needs() {
        return absent(missing);
    }
    let both = Both::boot("static-first-alone", &[])?;
    let mut kept = Kept {
        address: both.ours.listeners[0].clone(),
        wire: None,
    };
    let mut ask = |path: &str, expected: &str| -> Result<(), String> {
        let reply = kept.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Id: x\r\n\r\n"))?;
        let line = show(&reply.status_line);
        if line.contains(expected) {
            Ok(())
        } else {
            Err(format!("{path}: {line}, not {expected}"))
        }
    };
    ask("/cgi-bin/s", " 200 ")?;
    ask("/a.txt", " 200 ")?;
    let Both { root, apache, ours, .. } = both;
    apache.stop()?;
    for _ in 0..20 {
        ask("/cgi-bin/s", " 503 ")?;
        ask("/a.txt", " 200 ")?;
    }
    end(&root, ours)?;
    Ok(Completion::Completed)
}

/// Whoever asks cannot say that another does.
fn the_server_behind_learns_who_asks() -> Result<Completion, Failed> {
    if let Some(missing) = needs() {
        return absent(missing);
    }
    let both = Both::boot("static-first-who", &[])?;
    let script = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s %s %s\\n' \"$REMOTE_ADDR\" \"$HTTP_X_FORWARDED_FOR\" \
                  \"$HTTP_FORWARDED\"\n";
    server::write(&both.root.join("cgi-bin/who"), script.as_bytes())?;
    server::set_mode(&both.root.join("cgi-bin/who"), 0o755)?;
    server::hand_over(&both.root, false)?;
    let mut wire = Wire::connect_from("127.0.0.7", &both.ours.listeners[0], PATIENCE)?;
    let text =
        "GET /cgi-bin/who HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n";
    wire.send(text.as_bytes())?;
    let body = show(&wire.reply(Judge::Strict)?.body);
    // mod_remoteip has used the field up.
    assert_eq!(body.trim_end(), "127.0.0.7");
    both.end()?;
    Ok(Completion::Completed)
}
