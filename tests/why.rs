//! `lychgate why`: what it tells is what happens, and nothing happens because it tells.

mod happens;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support::server;
use crate::support::{golden, site};

const PATIENCE: Duration = Duration::from_secs(60);

/// All tests of this file, and those of `happens`.
pub fn trials() -> Vec<Trial> {
    let why = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("why::{name}"), move || test().map_err(Failed::from))
    };
    let mut trials = vec![
        why(
            "every_kind_of_decision_has_its_line",
            every_kind_of_decision_has_its_line,
        ),
        why("nothing_happens", nothing_happens),
        why("the_environment_is_the_scripts", the_environment_is_the_scripts),
        why("what_cannot_be_asked_is_said", what_cannot_be_asked_is_said),
        why("what_only_others_know_is_not_known", what_only_others_know_is_not_known),
        why("root_asks_with_the_servers_rights", root_asks_with_the_servers_rights),
    ];
    trials.extend(happens::trials());
    trials
}

/// Asks with these words about `httpd.conf` of a site.
fn ask(root: &Path, words: &[&str]) -> Result<Output, String> {
    let mut command = server::program(root, false, &[])?;
    command.args(["why", "-f", "httpd.conf", "-d"]).arg(root).args(words);
    server::run(root, command, PATIENCE)
}

/// The page, which must be there.
fn page(root: &Path, words: &[&str]) -> Result<String, String> {
    let output = ask(root, words)?;
    site::done(&output)?;
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// A site's directory with these lines and files.
fn lay_out(name: &str, lines: &str, files: &[(&str, &str)]) -> Result<PathBuf, String> {
    let root = server::fresh_root(name);
    for (file, text) in files {
        server::write(&root.join(file), text.as_bytes())?;
        if text.starts_with("#!") {
            server::set_mode(&root.join(file), 0o755)?;
        }
    }
    let at = root.display().to_string();
    let apps = server::bench().directory.join("apps").display().to_string();
    let text = lines.replace("$ROOT", &at).replace("$APPS", &apps);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    server::write_config(&root, &lines, "127.0.0.1:8000")?;
    server::hand_over(&root, false)?;
    Ok(root)
}

const SITE: &str = "\
ServerName main.example
Options None
SetEnvIf User-Agent ^Robot robot=$0
<Directory />
  AllowOverride None
  Require all denied
</Directory>
<Directory \"$ROOT/htdocs\">
  AllowOverride All
  Options FollowSymLinks Indexes
  Require all granted
</Directory>
<Directory \"$ROOT/cgi-bin\">
  Require all granted
</Directory>
<Directory \"$ROOT/htdocs/pages\">
  Options +Includes
  SetOutputFilter INCLUDES
</Directory>
<Directory \"$ROOT/htdocs/many\">
  Options +MultiViews
  AddLanguage de .de
  AddLanguage en .en
  AddHandler type-map .var
</Directory>
<Location /closed>
  AuthType Basic
  AuthName \"who?\"
  AuthUserFile \"$ROOT/users\"
  <RequireAll>
    Require method GET HEAD
    <RequireAny>
      Require user alice
      Require ip 192.0.2.0/24
    </RequireAny>
  </RequireAll>
</Location>
<Location /old>
  Order deny,allow
  Deny from 192.0.2.0/24
</Location>
<VirtualHost *:8000>
  ServerName one.example
  DocumentRoot \"$ROOT/htdocs\"
</VirtualHost>
<VirtualHost *:8000>
  ServerName two.example
  ServerAlias *.two.example
  DocumentRoot \"$ROOT/htdocs\"
  ScriptAlias /cgi-bin/ \"$ROOT/cgi-bin/\"
  Alias /files \"$ROOT/htdocs/sub\"
  Redirect 301 /gone http://else.example/
  ErrorDocument 403 /sorry.html
  SetEnv COLOUR blue
  RequestHeader set X-Seen yes
  RewriteEngine On
  RewriteCond %{HTTP:X-Beta} =yes
  RewriteRule ^/new/(.*)$ /sub/$1
  <Location /pressed>
    AddOutputFilterByType DEFLATE text/html
    SetOutputFilter BROTLI_COMPRESS
    SetEnvIf X-Plain . no-gzip
  </Location>
  Alias /pressed \"$ROOT/htdocs\"
  <Files \"*.bak\">
    Require all denied
  </Files>
  <If \"%{QUERY_STRING} =~ /plain/\">
    ForceType text/plain
  </If>
  <Else>
    Header set X-Else 1
  </Else>
</VirtualHost>
";

const ACCESS_FILE: &str = "\
# what is below
RewriteEngine On
RewriteRule ^pretty/(.*)$ page.html [E=seen:$1]
<IfModule mod_headers.c>
  Header set X-Sub yes
</IfModule>
<Files page.html>
  SetEnv from_files 1
</Files>
";

/// bcrypt for `secret` would take its time; this is apr1.
const USERS: &str = "alice:$apr1$lkEq6ILc$cRAQq89nQxwBqVcuuK0YH.\n";

/// The files of the site.
const FILES: &[(&str, &str)] = &[
    ("htdocs/index.html", "home"),
    ("htdocs/sorry.html", "sorry"),
    ("htdocs/x.bak", "old"),
    ("htdocs/sub/.htaccess", ACCESS_FILE),
    (
        "htdocs/sub/page.html",
        "<p>A page that is long enough to be compressed, again and again and again and again.</p>",
    ),
    ("htdocs/list/a.txt", "a"),
    ("htdocs/many/page.html.de", "deutsch"),
    ("htdocs/many/page.html.en", "english"),
    ("htdocs/many/page.txt", "plain"),
    (
        "htdocs/many/map.var",
        "URI: page.html.de\nContent-Type: text/html;qs=0.4\n\nURI: page.txt\nContent-Type: text/plain\n",
    ),
    ("htdocs/pages/a.shtml", "<!--#include virtual=\"/cgi-bin/s.cgi\" -->"),
    ("cgi-bin/s.cgi", "#!/bin/sh\n"),
    ("users", USERS),
];

fn every_kind_of_decision_has_its_line() -> Result<(), String> {
    let root = lay_out("why-decisions", SITE, FILES)?;
    let questions: &[(&str, &[&str])] = &[
        ("first of its address", &["GET", "http://nobody.example/"]),
        (
            "alias and .htaccess",
            &["GET", "http://www.two.example/files/pretty/a?plain"],
        ),
        (
            "rules of the site",
            &["GET", "http://two.example/new/page.html", "--header", "X-Beta: yes"],
        ),
        (
            "a rule that does not hold",
            &["GET", "http://two.example/new/page.html"],
        ),
        ("redirect", &["GET", "http://two.example/gone/x?y"]),
        ("closed by <Files>", &["GET", "http://two.example/x.bak"]),
        ("no name and password", &["GET", "http://two.example/closed/"]),
        (
            "wrong password",
            &["GET", "http://two.example/closed/", "--user", "alice:wrong"],
        ),
        (
            "by address",
            &["GET", "http://two.example/closed/", "--from", "192.0.2.7"],
        ),
        ("Deny", &["GET", "http://two.example/old", "--from", "192.0.2.7"]),
        ("listing", &["HEAD", "http://two.example/list/"]),
        ("slash", &["GET", "http://two.example/sub"]),
        (
            "main server",
            &["GET", "http://main.example:81/", "--header", "User-Agent: Robot 1"],
        ),
        (
            "script",
            &["GET", "http://two.example/cgi-bin/s.cgi/more?a+b", "--header", "X-Y: z"],
        ),
        (
            "variants",
            &[
                "GET",
                "http://two.example/many/page",
                "--header",
                "Accept-Language: de;q=0.8, fr",
            ],
        ),
        (
            "no variant",
            &["GET", "http://two.example/many/page", "--header", "Accept: image/png"],
        ),
        ("a type map", &["GET", "http://two.example/many/map.var"]),
        (
            "a type map under the same settings",
            &["GET", "http://one.example/many/map.var"],
        ),
        ("a page", &["GET", "http://two.example/pages/a.shtml"]),
        (
            "filters",
            &[
                "GET",
                "http://two.example/pressed/sub/page.html",
                "--header",
                "Accept-Encoding: gzip",
            ],
        ),
        (
            "filters that do nothing",
            &[
                "GET",
                "http://two.example/pressed/sub/page.html",
                "--header",
                "X-Plain: yes",
            ],
        ),
        ("bad Host", &["GET", "http://two.example/", "--header", "Host: a/b"]),
        ("OPTIONS", &["OPTIONS", "*"]),
    ];
    let mut text = String::new();
    for (what, words) in questions {
        let (words, told) = (words.join(" "), page(&root, words)?);
        text.extend(["=== ", what, ": ", &words, "\n\n", &told, "\n"]);
    }
    let text = text.replace(&root.display().to_string(), "$ROOT");
    golden::compare("why.txt", masked(&text).as_bytes())?;
    let _left_for_the_end = fs::remove_dir_all(&root);
    Ok(())
}

/// What changes from run to run, made the same.
fn masked(text: &str) -> String {
    let masks = [
        (r"(?m)(Last-Modified|Expires): .*$", "$1: (a date)"),
        (r#"ETag: (W/)?"[^"]*""#, "ETag: (a tag)"),
        (r"as \S+ \(\d+\) and group \S+ \(\d+\)", "as (somebody)"),
        // Where lines are broken depends on how long the names of files are, and so on where the tests run.
        (r"\n +\(", "  ("),
        (r"/\S*/lychgate-tests\.\S+", "(on the way)"),
        (r"(?m)RLimit(\w+) \d+ \d+$", "RLimit$1 (n) (n)"),
        (r"REMOTE_PORT=\d+", "REMOTE_PORT=(n)"),
        (r"SERVER_SOFTWARE=.*", "SERVER_SOFTWARE=(us)"),
        (r"\d+ bytes that the server", "(n) bytes that the server"),
    ];
    let mut text = text.to_owned();
    for (pattern, with) in masks {
        let pattern = regex::Regex::new(pattern).expect("well-formed");
        text = pattern.replace_all(&text, with).into_owned();
    }
    text
}

fn nothing_happens() -> Result<(), String> {
    let touches = "#!/bin/sh\ntouch \"$(dirname \"$0\")/../it-ran\"\nprintf 'Content-Type: text/plain\\n\\nx\\n'\n";
    let root = lay_out(
        "why-nothing",
        "ErrorLog \"$ROOT/logs/error.log\"\nCustomLog \"|$ROOT/cgi-bin/s\" common\nScriptAlias /cgi-bin/ \"$ROOT/cgi-bin/\"\n\
         RewriteEngine On\nRewriteMap asked \"prg:$ROOT/cgi-bin/s\"\nRewriteRule ^/ask/(.*) /${asked:$1}\n\
         PidFile \"$ROOT/logs/pid\"\nListen 127.0.0.1:8000\n",
        &[("cgi-bin/s", touches), ("htdocs/f.txt", "x")],
    )?;
    // The directory may be written by whoever asks, so that all would be seen that could be made.
    server::write(&root.join("logs/here"), b"")?;
    server::hand_over(&root, false)?;
    let before = entries(&root);
    let script = page(&root, &["GET", "/cgi-bin/s"])?;
    let map = page(&root, &["GET", "/ask/this"])?;
    let file = page(&root, &["GET", "/f.txt"])?;
    let here: Vec<_> = entries(&root)
        .into_iter()
        .filter(|entry| !before.contains(entry))
        .collect();
    // The standard output and error of what was asked are the test's own.
    let made: Vec<_> = here.iter().filter(|entry| !entry.starts_with("run.")).collect();
    if !made.is_empty() {
        return Err(format!("it made {made:?}"));
    }
    has(&script, "what the script says; it was not run")?;
    has(
        &map,
        "unknown    a rule asks the program of RewriteMap asked for `this`",
    )?;
    has(&map, "applying pattern '^/ask/(.*)' to uri '/ask/this'")?;
    has(&file, "200 OK")?;
    let _left_for_the_end = fs::remove_dir_all(&root);
    Ok(())
}

fn entries(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let inside = entries(&entry.path());
        found.extend(inside.into_iter().map(|inner| format!("{name}/{inner}")));
        found.push(name);
    }
    found
}

fn has(page: &str, words: &str) -> Result<(), String> {
    if page.contains(words) {
        return Ok(());
    }
    Err(format!("it does not say `{words}`:\n{page}"))
}

fn the_environment_is_the_scripts() -> Result<(), String> {
    let port = server::free_port();
    let lines = format!(
        "Listen 127.0.0.1:{port}\nServerName here.example\nScriptAlias /cgi-bin/ \"$APPS/\"\nSetEnv PLAIN yes\nSetEnv LD_X y\n\
         SetEnvIf Request_URI testapp found=$0\nErrorDocument 404 /cgi-bin/testapp/env\n\
         <Location /cgi-bin>\nAuthType Basic\nAuthName x\nAuthUserFile \"$ROOT/users\"\nRequire valid-user\nCGIPassAuth On\n</Location>\n\
         RewriteEngine On\nRewriteRule ^/to/(.*) /cgi-bin/testapp/env/$1?from=rule [PT,E=rule:$1]\n"
    );
    let root = lay_out("why-environment", &lines, &[("users", USERS)])?;
    let mut command = server::program(&root, false, &[])?;
    command
        .arg("-f")
        .arg(root.join("httpd.conf"))
        .args(["-D", "FOREGROUND"]);
    let server = server::Server::boot_as(&root, command, &format!("127.0.0.1:{port}"))?;
    for path in [
        "/cgi-bin/testapp/env?a=b",
        "/cgi-bin/testapp/env/c%20d",
        "/to/there",
        "/nowhere?x",
    ] {
        let mut wire = crate::support::wire::Wire::connect(&server.listeners[0], PATIENCE)?;
        let fields = "Host: here.example\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\nX-Field: 1\r\nCookie: c=d\r\n";
        wire.send(format!("GET {path} HTTP/1.1\r\n{fields}\r\n").as_bytes())?;
        let reply = wire.reply(crate::support::wire::Judge::Strict)?;
        let got = variables(&String::from_utf8_lossy(&reply.body), "");
        let local = format!("127.0.0.1:{port}");
        let words = [
            "GET",
            path,
            "--host",
            "here.example",
            "--user",
            "alice:secret",
            "--header",
            "X-Field: 1",
            "--header",
            "Cookie: c=d",
            "--local",
            &local,
        ];
        let told = page(&root, &words)?;
        let told = variables(&told, "           ");
        if told != got || got.len() < 20 {
            return Err(format!(
                "{path}: told\n  {}\ngot\n  {}",
                told.join("\n  "),
                got.join("\n  ")
            ));
        }
    }
    site::end(&root, server)
}

/// The lines that set variables, but for those that no two requests have alike.
fn variables(text: &str, margin: &str) -> Vec<String> {
    let form = regex::Regex::new("^(environ    )?[A-Za-z_]+=").expect("well-formed");
    let lines = text.lines().map(|line| line.strip_prefix(margin).unwrap_or(line));
    let lines = lines.filter(|line| form.is_match(line));
    let mut found: Vec<String> = lines
        .map(|line| line.trim_start_matches("environ    ").to_owned())
        .collect();
    found.retain(|line| !line.contains("REMOTE_PORT=") && !line.contains("UNIQUE_ID="));
    found.sort();
    found
}

fn what_cannot_be_asked_is_said() -> Result<(), String> {
    let root = lay_out(
        "why-bad",
        "<Directory \"$ROOT/htdocs\">\nAllowOverride All\n</Directory>\n",
        &[
            ("htdocs/bad/.htaccess", "Options +Nonsense\n"),
            ("htdocs/bad/f.txt", "x"),
        ],
    )?;
    server::write(&root.join("broken.conf"), b"Listen 80\nNonsense here\n")?;
    server::hand_over(&root, false)?;
    for (words, code, want) in [
        (
            &["-f", "httpd.conf", "GET", "nothing"][..],
            2,
            "neither a URL nor a path",
        ),
        (
            &["-f", "httpd.conf", "GET", "/", "--header", "no colon"],
            2,
            "is not a field",
        ),
        (&["-f", "httpd.conf", "GET", "/", "--from", "somewhere"], 2, "--from"),
        (&["-f", "httpd.conf", "GET"], 2, "URL"),
        (&["-f", "httpd.conf"], 2, "METHOD"),
        (&["-f", "broken.conf", "GET", "/"], 1, "broken.conf:2: Nonsense"),
        (&["-f", "missing.conf", "GET", "/"], 1, "missing.conf"),
    ] {
        let mut command = server::program(&root, false, &[])?;
        command.arg("why").arg("-d").arg(&root).args(words);
        let output = server::run(&root, command, PATIENCE)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(code) || !said.contains(want) || !output.stdout.is_empty() {
            return Err(format!("{words:?}: {}: {said}", output.status));
        }
    }
    let broken = page(&root, &["GET", "/bad/f.txt"])?;
    has(&broken, "htdocs/bad/.htaccess: of no use, which closes the directory")?;
    has(&broken, ".htaccess:1: Options: `+Nonsense`")?;
    has(&broken, "answer     500")?;
    let unknown = page(&root, &["GET", "http://unknown.example:99/bad/g"])?;
    has(&unknown, "no Listen line is for 127.0.0.1:99")?;
    let _left_for_the_end = fs::remove_dir_all(&root);
    Ok(())
}

fn what_only_others_know_is_not_known() -> Result<(), String> {
    let root = lay_out(
        "why-unknown",
        "HostnameLookups On\n<Location /h>\nRequire host good.example\n</Location>\n\
         <Location /f>\nRequire forward-dns good.example\n</Location>\n\
         ProxyPass /behind/ http://127.0.0.1:9/x/\n",
        &[("htdocs/h", "x"), ("htdocs/f", "x"), ("htdocs/shut", "x")],
    )?;
    let page = |path: &str| page(&root, &["GET", path]);
    has(
        &page("/h")?,
        "note       the client's name was not looked up, and is taken for unknown",
    )?;
    has(&page("/h")?, "Require host good.example: denied")?;
    has(
        &page("/f")?,
        "whether good.example leads to the client was not looked up",
    )?;
    has(
        &page("/behind/a%20b?q")?,
        "server `127.0.0.1:9` is asked for `/x/a%20b?q`; nobody is asked here, so that what it answers is not known",
    )?;
    has(
        &page("/shut")?,
        "the client's name, for HostnameLookups, was not looked up",
    )?;
    if !server::privileged() {
        return Ok(());
    }
    let shut = root.join("htdocs/shut");
    std::os::unix::fs::chown(&shut, Some(0), Some(0)).map_err(|error| error.to_string())?;
    server::set_mode(&shut, 0o600)?;
    has(
        &page("/shut")?,
        "htdocs/shut may not be read by you; the server perhaps may read it",
    )?;
    has(
        &page("/shut")?,
        "answer     403 Forbidden, to you: the server may have the rights that you lack",
    )
}

/// With ChrootDir, root looks from inside, and nobody else can.
fn jailed(root: &Path) -> Result<(), String> {
    let lines = format!(
        "Listen 8000\nUser nobody\nGroup nogroup\nChrootDir {}\nDocumentRoot /htdocs\nTypesConfig /dev/null\n",
        root.display()
    );
    server::write(&root.join("jail.conf"), lines.as_bytes())?;
    server::write(&root.join("htdocs/inside.txt"), b"x")?;
    let ask = |as_root| {
        let mut command = server::program(root, as_root, &[])?;
        command.args(["why", "-f", "jail.conf", "GET", "/inside.txt"]);
        server::run(root, command, PATIENCE)
    };
    let told = ask(true)?;
    has(
        &String::from_utf8_lossy(&told.stdout),
        "found      /htdocs/inside.txt: a file",
    )?;
    let refused = ask(false)?;
    has(
        &String::from_utf8_lossy(&refused.stderr),
        "ChrootDir: only root can look from inside; ask as root",
    )
}

fn root_asks_with_the_servers_rights() -> Result<(), String> {
    if !server::privileged() {
        return Ok(());
    }
    let root = lay_out(
        "why-root",
        "User nobody\nGroup nogroup\nScriptAlias /cgi-bin/ \"$ROOT/cgi-bin/\"\n<Directory \"$ROOT/own\">\n\
         SuexecUserGroup daemon daemon\n</Directory>\nSuexecMinUid 1\nSuexecMinGid 1\nAlias /own \"$ROOT/own\"\nScriptAlias /suexec/ \"$ROOT/own/\"\n",
        &[
            ("htdocs/shut", "x"),
            ("cgi-bin/s", "#!/bin/sh\n"),
            ("own/s", "#!/bin/sh\n"),
        ],
    )?;
    let told = |error: std::io::Error| error.to_string();
    std::os::unix::fs::chown(root.join("htdocs/shut"), Some(0), Some(0)).map_err(told)?;
    server::set_mode(&root.join("htdocs/shut"), 0o600)?;
    let page = |path: &str| {
        let mut command = server::program(&root, true, &[])?;
        command.args(["why", "-f", "httpd.conf", "GET", path]);
        let output = server::run(&root, command, PATIENCE)?;
        site::done(&output)?;
        String::from_utf8(output.stdout).map_err(|error| error.to_string())
    };
    let shut = page("/shut")?;
    has(&shut, "with the rights of nobody, the server's User")?;
    has(&shut, "answer     403")?;
    has(
        &page("/cgi-bin/s")?,
        "as nobody (65534) and group nogroup (65534), as the server",
    )?;
    // Who owns the directory is looked at as root.
    has(
        &page("/suexec/s")?,
        "belongs to nobody and nogroup, and its scripts are to run as daemon",
    )?;
    for path in ["own", "own/s"] {
        std::os::unix::fs::chown(root.join(path), Some(1), Some(1)).map_err(told)?;
    }
    has(
        &page("/suexec/s")?,
        "as daemon (1) and group daemon (1), by SuexecUserGroup",
    )?;
    jailed(&root)?;
    let _left_for_the_end = fs::remove_dir_all(&root);
    Ok(())
}
