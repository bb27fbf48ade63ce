//! `.htaccess` files of any bytes: an error is a 500 that names file and line, and what was closed stays closed.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support::server::{self, Server, bench};
use crate::support::site;
use crate::support::wire::{Judge, Wire, show};

const PATIENCE: Duration = Duration::from_secs(30);

/// A test of this file.
type Test = fn() -> Result<(), String>;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 2] = [
        (
            "what_is_closed_stays_closed_beside_any_bytes",
            what_is_closed_stays_closed_beside_any_bytes,
        ),
        (
            "any_directive_with_wrong_words_is_an_error_or_harmless",
            any_directive_with_wrong_words_is_an_error_or_harmless,
        ),
    ];
    tests
        .into_iter()
        .map(|(name, test)| Trial::test(format!("htaccess::{name}"), move || test().map_err(Failed::from)))
        .collect()
}

/// A site whose directories may hold access files of their own.
fn boot(name: &str) -> Result<(std::path::PathBuf, Server), String> {
    let lines = [
        "<Directory />",
        "Options None",
        "</Directory>",
        "<DirectoryMatch \"/htdocs/(own|words)\">",
        "AllowOverride All",
        "</DirectoryMatch>",
        "<Directory \"htdocs/theirs\">",
        "AllowOverride FileInfo Indexes Options",
        "Require all denied",
        "</Directory>",
    ];
    site::boot_script(name, "#!/bin/sh\n", &lines)
}

/// Status and body.
type Answer = (Vec<u8>, Vec<u8>);

/// The answers for these paths, in order; eight are asked for at a time.
fn asked(server: &Server, paths: &[String]) -> Result<Vec<Answer>, String> {
    let one = |path: &String| -> Result<Answer, String> {
        let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
        let reply = wire.reply(Judge::Loose).map_err(|error| format!("{path}: {error}"))?;
        Ok((reply.status_line[9..12].to_vec(), reply.body))
    };
    std::thread::scope(|scope| {
        let parts = paths.chunks(paths.len().div_ceil(8));
        let asking: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(one).collect::<Result<Vec<Answer>, String>>()))
            .collect();
        let mut answers = Vec::new();
        for part in asking {
            answers.extend(part.join().map_err(|_| "it panicked".to_owned())??);
        }
        Ok(answers)
    })
}

/// Every 500 has its line in the log, and the server is as it was.
fn judged(root: &Path, server: Server, paths: &[String], answers: &[Answer], says: &str) -> Result<(), String> {
    server::write(&root.join("htdocs/own/last/.htaccess"), b"NoSuchDirective")?;
    let last = asked(&server, &["/own/last/".to_owned(), "/f.txt".to_owned()])?;
    if last[0].0 != b"500" || last[1].0 != b"200" {
        return Err(format!("in the end: {} {}", show(&last[0].0), show(&last[1].0)));
    }
    site::said(root, "NoSuchDirective")?;
    let log = fs::read(root.join("error.log")).map_err(|error| error.to_string())?;
    let log = String::from_utf8_lossy(&log).into_owned();
    let mut named = HashSet::new();
    for piece in log.split("/htdocs/").skip(1) {
        let mut parts = piece.splitn(3, '/');
        if let (Some(tree), Some(number), Some(rest)) = (parts.next(), parts.next(), parts.next())
            && rest.starts_with(says)
        {
            named.insert(format!("/{tree}/{number}/f.txt"));
        }
    }
    for (path, (status, _)) in paths.iter().zip(answers) {
        if status == b"500" && !named.contains(path) {
            let file = root.join(format!("htdocs{}", path.replace("f.txt", ".htaccess")));
            let text = fs::read(file).unwrap_or_default();
            return Err(format!(
                "{path}: 500, and no line about it; the file is:\n{}",
                show(&text)
            ));
        }
    }
    if log.contains("has died") || log.contains("was killed") {
        return Err(format!("a worker died:\n{}", &log[log.len().saturating_sub(4000)..]));
    }
    site::end(root, server)
}

/// Numbers that are the same in each run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Lines as they are met, to be spoilt.
const LINES: &[&str] = &[
    "Options -Indexes +ExecCGI",
    "AddHandler cgi-script .cgi .pl",
    "SetHandler none",
    "RewriteEngine On",
    "RewriteBase /",
    "RewriteCond %{REQUEST_FILENAME} !-f",
    "RewriteCond %{HTTP:X-Forwarded-Proto} !=https [NC,OR]",
    "RewriteRule ^(.*)$ /index.php?q=$1 [L,QSA,E=A:%{ENV:B}]",
    "RewriteRule ^a/(?<b>[a-z]+)(?=x)\\1$ - [F,CO=a:b:c:1:/:secure]",
    "<IfModule mod_rewrite.c>\nSetHandler none\n</IfModule>",
    "<Files \"*.inc\">\nSetHandler none\n</Files>",
    "<FilesMatch \"\\.(bak|old)$\">\nSetHandler none\n</FilesMatch>",
    "<If \"%{QUERY_STRING} =~ /x(.*)y/ && -f '/etc/passwd'\">\n</If>",
    "<If \"false\">\n</If>\n<ElseIf \"%{TIME_HOUR} -ge 25\">\n</ElseIf>\n<Else>\nForceType a/b\n</Else>",
    "<Limit GET POST>\n</Limit>",
    "Header set X-A \"%{A}e %t\" env=!B",
    "Header edit Set-Cookie ^(.*)$ \"$1; Secure\"",
    "RequestHeader append X-B expr=%{REMOTE_ADDR}",
    "SetEnvIf User-Agent \"^(.*)$\" A=$1 !B",
    "SetEnvIfExpr \"tolower(req('x')) == 'y'\" A=b",
    "ExpiresActive On",
    "ExpiresByType text/html \"access plus 1 month\"",
    "ErrorDocument 404 \"gone %{REQUEST_URI}\"",
    "ErrorDocument 403 /nothing.html",
    "Redirect 301 /a http://b.example/",
    "RedirectMatch gone \\.old$",
    "DirectoryIndex index.php index.html",
    "FallbackResource /index.php",
    "AddType text/x-a;level=1 .a",
    "AddCharset utf-8 .b",
    "ForceType application/octet-stream",
    "FileETag +INode",
    "AuthType Basic",
    "AuthName \"A \\\"place\\\"\"",
    "AuthUserFile /nowhere/users",
    "php_value memory_limit 1G",
    "# a comment \\",
];

/// Words that grant, which a file that is to stay closed must not hold in any case.
const GRANTING: &[&str] = &["require", "satisfy", "allow", "order", "deny"];

fn bytes(numbers: &mut Numbers) -> Vec<u8> {
    let length = numbers.below(200);
    (0..length).map(|_| numbers.next().to_le_bytes()[0]).collect()
}

fn spoilt_lines(numbers: &mut Numbers) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..=numbers.below(4) {
        text.extend_from_slice(numbers.one_of(LINES).as_bytes());
        text.push(b'\n');
    }
    for _ in 0..numbers.below(4) {
        let at = numbers.below(text.len());
        match numbers.below(6) {
            0 => text[at] = numbers.next().to_le_bytes()[0],
            1 => {
                text.remove(at);
            }
            2 => text.insert(at, *numbers.one_of(b"\"'\\<>%{}()[]$!,;:=+-*\0\r\n\t /")),
            3 => text.truncate(at + 1),
            4 => {
                let end = (at + numbers.below(40)).min(text.len());
                let piece = text[at..end].to_vec();
                let to = numbers.below(text.len());
                text.splice(to..to, piece);
            }
            _ => {
                let end = (at + numbers.below(20)).min(text.len());
                text.drain(at..end);
                text.push(b'\n');
            }
        }
        if text.is_empty() {
            text.push(b'\n');
        }
    }
    text
}

fn what_is_closed_stays_closed_beside_any_bytes() -> Result<(), String> {
    let (root, server) = boot("htaccess-any-bytes")?;
    server::write(&root.join("htdocs/f.txt"), b"open")?;
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut paths = Vec::new();
    while paths.len() < 2000 {
        let text = if numbers.below(4) == 0 {
            bytes(&mut numbers)
        } else {
            spoilt_lines(&mut numbers)
        };
        let lower = text.to_ascii_lowercase();
        let grants = |word: &&str| memchr::memmem::find(&lower, word.as_bytes()).is_some();
        if GRANTING.iter().any(grants) {
            continue;
        }
        let n = paths.len();
        // Closed by the file itself, or by the server around it.
        let (tree, text) = if n % 2 == 0 {
            ("own", [b"Require all denied\n".as_slice(), &text].concat())
        } else {
            ("theirs", text)
        };
        server::write(&root.join(format!("htdocs/{tree}/{n}/.htaccess")), &text)?;
        server::write(&root.join(format!("htdocs/{tree}/{n}/f.txt")), b"secret")?;
        paths.push(format!("/{tree}/{n}/f.txt"));
    }
    let answers = asked(&server, &paths)?;
    let mut broken = 0;
    for (path, (status, body)) in paths.iter().zip(&answers) {
        if memchr::memmem::find(body, b"secret").is_some() || !matches!(status.as_slice(), b"403" | b"500") {
            let file = fs::read(root.join(format!("htdocs{}", path.replace("f.txt", ".htaccess")))).unwrap_or_default();
            return Err(format!("{path}: {} {}\n{}", show(status), show(body), show(&file)));
        }
        broken += usize::from(status == b"500");
    }
    if !(200..1900).contains(&broken) {
        return Err(format!("{broken} of 2000 files are broken, so that little is shown"));
    }
    judged(&root, server, &paths, &answers, ".htaccess:")
}

/// The names of what may stand in an access file, sections in `<>`.
fn directives(root: &Path) -> Result<Vec<String>, String> {
    let mut command = server::program_at(&bench().program, root, false, &[])?;
    command.arg("-L");
    let output = server::run(root, command, PATIENCE)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (mut names, mut name) = (Vec::new(), String::new());
    for line in text.lines() {
        if !line.starts_with('\t') {
            line.split(' ').next().unwrap_or_default().clone_into(&mut name);
        } else if line.contains("in .htaccess") {
            names.push(name.clone());
        }
    }
    Ok(names)
}

fn any_directive_with_wrong_words_is_an_error_or_harmless() -> Result<(), String> {
    let (root, server) = boot("htaccess-words")?;
    server::write(&root.join("htdocs/f.txt"), b"open")?;
    let names = directives(&root)?;
    if names.len() < 80 {
        return Err(format!("-L knows only {} directives for .htaccess", names.len()));
    }
    let mut paths = Vec::new();
    for name in &names {
        for words in [
            "",
            "nonsense",
            "( %{ \"",
            "a b c d e f g h i j k l m n o p",
            "\u{ff} -1 99999999999999999999",
        ] {
            let mut text = String::new();
            let _a_string_takes_all = match name.strip_prefix('<') {
                Some(section) => {
                    let section = section.trim_end_matches('>');
                    writeln!(text, "<{section} {words}>\n</{section}>")
                }
                None => writeln!(text, "{name} {words}"),
            };
            let n = paths.len();
            server::write(&root.join(format!("htdocs/words/{n}/.htaccess")), text.as_bytes())?;
            server::write(&root.join(format!("htdocs/words/{n}/f.txt")), b"some text")?;
            paths.push(format!("/words/{n}/f.txt"));
        }
    }
    let answers = asked(&server, &paths)?;
    judged(&root, server, &paths, &answers, "")
}
