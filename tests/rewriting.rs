//! A rewrite that changes nothing changes nothing: sites with rules that do not match, or match and leave the URL as it is,
//! answer as the site without rules does, in every context that rules have.

use std::fmt::Write;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support::case;
use crate::support::play;
use crate::support::random::Random;
use crate::support::server::{self, Server};
use crate::support::site;
use crate::support::wire::{Judge, Reply, Wire, show};

const PATIENCE: Duration = Duration::from_secs(20);

/// How many sites with rules there are; the site without is a further one.
const SITES: usize = 48;
/// How many requests each is asked.
const REQUESTS: usize = 32;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![Trial::test("rewriting::what_changes_nothing_changes_nothing", || {
        what_changes_nothing_changes_nothing().map_err(Failed::from)
    })]
}

/// The site that all virtual hosts have in common.
const SITE: &str = "# a site
config
file htdocs/index.html
| index
file htdocs/f.txt
| f
file htdocs/a&c.txt
| odd
file htdocs/d/f.txt
| d f
file htdocs/d/index.html
| d index
file htdocs/empty/f.txt
| empty f
file htdocs/closed/f.txt
| closed
file htdocs/env.cgi 0755
| #!/bin/sh
| printf 'Content-Type: text/plain\\n\\n'
| env | sort
file htdocs/d/env.cgi 0755
| #!/bin/sh
| printf 'Content-Type: text/plain\\nStatus: 404 None\\n\\n'
| env | sort
file other/f.txt
| other f
file other/env.cgi 0755
| #!/bin/sh
| printf 'Location: /env.cgi/from/other?x\\n\\n'
";

/// What each virtual host says besides its rules.
const HOST: &str = "DocumentRoot \"$ROOT/htdocs\"
Options +ExecCGI +FollowSymLinks +Indexes
AddHandler cgi-script .cgi
DirectoryIndex index.html env.cgi
Alias /other \"$ROOT/other\"
Redirect /away http://away.example/
RedirectMatch ^/old/(.*)$ /f.txt?$1
ErrorDocument 404 /env.cgi?missing
SetEnvIf Request_URI ^/d/ T_URI=d
<Directory \"$ROOT\">
Require all granted
AllowOverride All
</Directory>
<Directory \"$ROOT/htdocs/closed\">
Require all denied
</Directory>
";

/// Rules that leave any request as it is, wherever they stand.
const ANYWHERE: &[&str] = &[
    "RewriteRule ^/?never-asked-for$ /f.txt [R=301,L]",
    "RewriteRule .* -",
    "RewriteRule ^ - [L]",
    "RewriteRule !^ /f.txt [F]",
    "RewriteRule (.*) - [NC,NE,QSA,B]",
    "RewriteRule . - [S=1]\nRewriteRule ^zzz /f.txt",
    "RewriteRule ^zzz - [C]\nRewriteRule .* - [F]",
    "RewriteCond %{REQUEST_URI} ^/zzz\nRewriteRule .* - [F]",
    "RewriteCond %{REQUEST_FILENAME} -f [OR]\nRewriteCond %{REQUEST_FILENAME} !-f\nRewriteRule ^(.*)$ -",
    "RewriteCond %{LA-U:REQUEST_FILENAME} /zzz$\nRewriteRule .* - [G]",
    "RewriteCond %{LA-F:REQUEST_FILENAME} .\nRewriteRule .* - [L]",
    "RewriteCond %{LA-U:REMOTE_USER} .\nRewriteRule .* - [F]",
    "RewriteCond %{REQUEST_URI} -U\nRewriteRule .* -",
    "RewriteCond %{REQUEST_FILENAME} !-F\nRewriteRule .* -",
    "RewriteCond expr \"%{REQUEST_URI} =~ m#^/(.*)$# && $1 == 'zzz'\"\nRewriteRule .* - [F]",
    "RewriteCond %{QUERY_STRING} (.*)\nRewriteRule ^ - [E=!T_NONE]",
    "RewriteCond %{TIME_YEAR}%{SERVER_PORT}%{HTTPS} ^$\nRewriteRule ^ /zzz [END]",
    "RewriteCond ${none:%{REQUEST_URI}|x} =y\nRewriteRule .* http://zzz.example/ [R]",
    "RewriteRule (?=zzz)(.*)$ - [F]",
];

/// The same for those that see the URL path.
const OF_SERVERS: &[&str] = &[
    "RewriteRule ^(/.*)$ $1 [PT]",
    "RewriteRule ^/(.*)$ /$1 [PT,NE]",
    "RewriteRule ^(/.*)$ $1 [PT,QSA]",
    "RewriteRule ^(/f\\.txt)$ $1",
    "RewriteRule ^(/f\\.txt)$ %{DOCUMENT_ROOT}$1",
];

/// And for those that see a file's name.
const OF_DIRECTORIES: &[&str] = &[
    "RewriteRule ^(f\\.txt)$ $1",
    "RewriteRule ^(f\\.txt)$ $1 [QSA,L]",
    "RewriteRule ^(f\\.txt)$ \"%{REQUEST_FILENAME}\"",
];

/// Where a site's rules stand.
const CONTEXTS: &[&str] = &["server", "directory", "location", "htaccess", "below"];

fn what_changes_nothing_changes_nothing() -> Result<(), String> {
    let mut random = Random(0x5eed_cafe);
    let root = server::fresh_root("rewriting-nothing");
    let at = root.display().to_string();
    let mut text = host(&at, 0, "");
    let mut rules_of = vec![String::new()];
    for number in 1..=SITES {
        let context = *random.one_of(CONTEXTS);
        let rules = rules(&mut random, context);
        rules_of.push(format!("{context}:\n{rules}"));
        let inside = match context {
            "server" => rules,
            "directory" => format!("<Directory \"{at}/htdocs\">\n{rules}</Directory>\n"),
            "location" => format!("<Location /d>\n{rules}</Location>\n"),
            _ => {
                let directory = if context == "below" { "htdocs/d" } else { "htdocs" };
                server::write(&root.join(directory).join(format!(".ht-{number}")), rules.as_bytes())?;
                String::new()
            }
        };
        text.push_str(&host(&at, number, &inside));
    }
    let mut config: Vec<String> = text.lines().map(str::to_owned).collect();
    config.push("LogLevel warn".to_owned());
    let case = case::parse(SITE)?;
    play::lay_out(&root, &case)?;
    server::write_config(&root, &config, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    let requests: Vec<String> = (0..REQUESTS).map(|_| request(&mut random)).collect();
    let mut faults = String::new();
    for request in &requests {
        let plain = told(&ask(&server, request, 0)?, 0);
        for (number, rules) in rules_of.iter().enumerate().skip(1) {
            let ours = told(&ask(&server, request, number)?, number);
            if ours != plain && faults.len() < 4000 {
                let _writing_to_a_text = writeln!(faults, "{request}\nwith {rules}answers\n{ours}\nnot\n{plain}\n");
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    site::end(&root, server)
}

/// A virtual host.
fn host(at: &str, number: usize, rules: &str) -> String {
    let common = HOST.replace("$ROOT", at);
    format!(
        "<VirtualHost *>\nServerName v{number:02}.example\nAccessFileName .ht-{number}\n{common}{rules}</VirtualHost>\n"
    )
}

fn rules(random: &mut Random, context: &str) -> String {
    let mut text = "RewriteEngine On\n".to_owned();
    if random.below(4) == 0 {
        text.push_str("RewriteOptions Inherit\n");
    }
    for _ in 0..=random.below(4) {
        let own = match context {
            "server" => OF_SERVERS,
            "location" => ANYWHERE,
            _ => OF_DIRECTORIES,
        };
        let rule = if random.below(3) == 0 {
            random.one_of(own)
        } else {
            random.one_of(ANYWHERE)
        };
        text.push_str(rule);
        text.push('\n');
    }
    text
}

/// A request line's beginning: method and target.
fn request(random: &mut Random) -> String {
    const PATHS: &[&str] = &[
        "/",
        "/f.txt",
        "/f.txt/tail",
        "/d",
        "/d/",
        "/d/f.txt",
        "/d//f.txt",
        "/d/../f.txt",
        "/d/./env.cgi/a%20b",
        "/empty/",
        "/empty",
        "/closed/",
        "/closed/f.txt",
        "/env.cgi",
        "/env.cgi/tail/of/it",
        "/env.cgi/%e2%82%ac%26",
        "/d/env.cgi",
        "/a%26c.txt",
        "/%61&c.txt",
        "/none",
        "/none/deep/er",
        "/d/none",
        "/other/f.txt",
        "/other/env.cgi",
        "/other",
        "/away/x?y",
        "/old/x%20y",
        "/f.txt%00",
        "/%2e%2e/etc/passwd",
        "/a%2fb",
    ];
    const QUERIES: &[&str] = &["", "", "?", "?a=b&c", "?%20%2b%zz", "?a?b"];
    const METHODS: &[&str] = &["GET", "GET", "GET", "HEAD", "POST", "OPTIONS"];
    let (method, path) = (random.one_of(METHODS), random.one_of(PATHS));
    let query = if path.contains('?') { "" } else { random.one_of(QUERIES) };
    format!("{method} {path}{query}")
}

fn ask(server: &Server, request: &str, number: usize) -> Result<Reply, String> {
    let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
    let head = format!("{request} HTTP/1.1\r\nHost: v{number:02}.example\r\nConnection: close\r\n\r\n");
    wire.send(head.as_bytes())?;
    wire.reply(Judge::Loose).map_err(|error| format!("{request}: {error}"))
}

/// The beginnings of variables that are others each time.
const OTHERS: &[&str] = &["REMOTE_PORT=", "UNIQUE_ID=", "SCRIPT_UR"];

/// An answer without what is another's each time: the host's name, ports, numbers, and what mod_rewrite tells scripts.
fn told(reply: &Reply, number: usize) -> String {
    let mut text = show(&reply.status_line) + "\n";
    for field in reply.fields.iter().filter(|field| !field.starts_with(b"Date:")) {
        text.push_str(&show(field));
        text.push('\n');
    }
    let body = String::from_utf8_lossy(&reply.body);
    for line in body.lines() {
        let bare = line.trim_start_matches("REDIRECT_");
        if !OTHERS.iter().any(|start| bare.starts_with(start)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.replace(&format!("v{number:02}.example"), "v.example")
}
