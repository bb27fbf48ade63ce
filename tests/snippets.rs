//! What Debian's tree serves with the snippets of its packages, and with the programs that they are for: the requests of
//! `tests/beside/debian.requests`, asked of Apache and of lychgate with the same tree.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::beside::{Request, value_of};
use crate::debian::SNIPPETS;
use crate::support::debian::{Tree, real_name, run};
use crate::support::server::{self, Server, bench, free_port};
use crate::support::wire::{Judge, Reply, Wire, show};

const PATIENCE: Duration = Duration::from_secs(60);
const REQUESTS: &str = include_str!("beside/debian.requests");

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let snippets = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("snippets::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        snippets("answers_are_apaches", answers_are_apaches),
        snippets("starts_without_any_environment", starts_without_any_environment),
        snippets("a2enconf_and_graceful_make_it_hold", a2enconf_and_graceful),
    ]
}

fn answers_are_apaches() -> Result<(), String> {
    let tree = Tree::new("beside-debian")?;
    for (name, modules) in SNIPPETS {
        tree.modules(modules)?;
        tree.snippets(&[&real_name(name)?])?;
    }
    furnish(&tree)?;
    tree.settle_here()?;
    let servers = (Booted::new(&tree, "lychgate")?, Booted::new(&tree, "theirs")?);
    let count = servers_agree(servers, &tree, REQUESTS)?;
    println!("{count} requests of Debian's tree");
    Ok(())
}

/// Asks both servers every request of a text, says where they do not answer the same, and how many there were. The form is that
/// of a pair's requests, and `=> TEXT` behind one is in the answer of both.
pub fn servers_agree((ours, theirs): (Booted, Booted), tree: &Tree, requests: &str) -> Result<usize, String> {
    let (mut faults, mut count) = (Vec::new(), 0);
    let lines = requests.lines().map(str::trim).zip(1..);
    for (line, number) in lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')) {
        let line = line.replace("$ROOT", &tree.root.to_string_lossy());
        let (request, within) = line.split_once(" => ").unwrap_or((&line, ""));
        let mut request = Request::parse(request, number, true).ok_or(format!("{line}: not a request"))?;
        // Their own ports differ, and come back in redirects.
        request.bytes = replaced(
            &request.bytes,
            b"\r\nHost: localhost\r\n",
            b"\r\nHost: localhost:8080\r\n",
        );
        let ask = || Ok::<_, String>((nameless(ours.ask(&request)?), nameless(theirs.ask(&request)?)));
        let mut answers = ask()?;
        // Some tell the time, and the next second may just have begun; on a busy machine that is often.
        for _ in 0..20 {
            if request.judge(&answers.0, &answers.1).is_ok() {
                break;
            }
            answers = ask()?;
        }
        if std::env::var_os("SHOW").is_some() {
            let told = |reply: &Reply| format!("{}\n{:.300}", show(&reply.status_line), show(&reply.body));
            println!("{line}\n{}\n{}", told(&answers.0), told(&answers.1));
        }
        if let Err(fault) = request.judge(&answers.0, &answers.1) {
            faults.push(format!("line {number}: {line}: {fault}"));
        } else if !String::from_utf8_lossy(&answers.0.body).contains(within) {
            faults.push(format!("line {number}: {line}: neither answer has it"));
        }
        count += 1;
    }
    ours.server.settle(PATIENCE)?;
    ours.server.stop()?;
    theirs.server.stop()?;
    if faults.is_empty() {
        return Ok(count);
    }
    let logs = ["error.log", "error_log"].map(|name| tree.root.join("var/log/apache2").join(name));
    let log: String = logs.iter().filter_map(|log| fs::read_to_string(log).ok()).collect();
    Err(format!("{}\n--- error log\n{log}", faults.join("\n")))
}

/// An answer whose body does not tell which server it is from.
fn nameless(mut reply: Reply) -> Reply {
    let server = reply.fields.iter().find_map(|line| value_of(line, "server"));
    if let Some(server) = server.map(<[u8]>::to_vec).filter(|server| !server.is_empty()) {
        reply.body = replaced(&reply.body, &server, b"a server");
    }
    reply
}

fn replaced(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match text.windows(old.len()).position(|part| part == old) {
        Some(at) => [&text[..at], new, &text[at + old.len()..]].concat(),
        None => text.to_vec(),
    }
}

/// As after a boot: no variable is set, and those of the tree's own `envvars` are said once.
fn starts_without_any_environment() -> Result<(), String> {
    let tree = Tree::new("debian-starts")?;
    tree.settle_here()?;
    let booted = Booted::new(&tree, "lychgate")?;
    let request = Request::parse("GET /", 1, true).ok_or("not a request")?;
    let reply = booted.ask(&request)?;
    if !reply.status_line.starts_with(b"HTTP/1.1 200 ") || !show(&reply.body).contains("Apache2 Debian Default Page") {
        return Err(format!("{reply:?}"));
    }
    booted.server.stop()?;
    let log = fs::read_to_string(tree.root.join("var/log/apache2/error.log")).map_err(|error| error.to_string())?;
    let told = "lychgate/envvars: variables that the environment does not have are taken from here";
    match log.matches(told).count() {
        1 => Ok(()),
        times => Err(format!("said {times} times: {told}: {log}")),
    }
}

/// Debian's way to switch on a snippet, with lychgate's for Apache's reload.
fn a2enconf_and_graceful() -> Result<(), String> {
    let tree = Tree::new("debian-a2enconf")?;
    tree.settle_here()?;
    let booted = Booted::new(&tree, "lychgate")?;
    let request = Request::parse("GET /javascript/jquery/jquery.min.js", 1, true).ok_or("not a request")?;
    let status = || booted.ask(&request).map(|reply| show(&reply.status_line));
    let before = status()?;
    tree.snippets_of("lychgate", &["javascript-common"])?;
    let configuration = tree.root.join("etc/lychgate/apache2.conf");
    run(Command::new(&bench().program)
        .arg("-f")
        .arg(configuration)
        .args(["-k", "graceful"])
        .env_clear())?;
    let after = status()?;
    booted.server.stop()?;
    if before.contains(" 404 ") && after.contains(" 200 ") {
        Ok(())
    } else {
        Err(format!("before: {before}; after: {after}"))
    }
}

/// What an administrator and the programs would have put there.
fn furnish(tree: &Tree) -> Result<(), String> {
    let root = tree.root.display();
    let lua = format!("{root}/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let here = format!(
        "# Compression is for another version.\nSetEnv no-gzip 1\nSetEnv GITWEB_CONFIG {root}/etc/gitweb.conf\n\
         SetEnv CGIT_CONFIG {root}/etc/cgitrc\nSetEnv LD_LIBRARY_PATH {lua}\n\
         SetEnv AWSTATS_ENABLE_CONFIG_DIR {root}/etc/awstats\nSetEnv NAGIOS_CGI_CONFIG {root}/etc/nagios4/cgi.cfg\n"
    );
    let log = "192.0.2.1 - - [01/Mar/2020:10:00:00 +0000] \"GET /a-page.html HTTP/1.1\" 200 2326 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0\"\n";
    let gitweb = format!("$projectroot = \"{root}/srv/git\";\n$projects_list = $projectroot;\n");
    let cgit = format!("css=/cgit-css/cgit.css\nlogo=/cgit-css/cgit.png\nscan-path={root}/srv/git\n");
    let awstats = format!(
        "LogFile=\"{root}/var/log/awstats.log\"\nLogFormat=1\nLogType=W\nSiteDomain=\"localhost\"\nDNSLookup=0\nUseFramesWhenCGI=0\n\
         DirData=\"{root}/var/lib/awstats\"\nDirIcons=\"/awstats-icon\"\nDirLang=\"{root}/usr/share/awstats/lang\"\nAllowToUpdateStatsFromBrowser=0\n"
    );
    for (file, text) in [
        ("etc/apache2/conf-enabled/zz-here.conf", here.as_str()),
        ("etc/gitweb.conf", &gitweb),
        ("etc/cgitrc", &cgit),
        ("etc/awstats/awstats.localhost.conf", &awstats),
        ("var/log/awstats.log", log),
        // ann, with the password `secret`.
        ("etc/backuppc/htpasswd", "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"),
        ("etc/xymon/xymonpasswd", "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"),
        ("etc/nagios4/htdigest.users", ""),
        ("var/cache/munin/www/index.html", "<title>Munin</title>\n"),
        ("var/cache/munin/www/localhost/cpu-day.png", "no picture\n"),
        ("var/cache/munin/www/.htaccess", "Require all granted\n"),
        ("var/cache/smokeping/images/a.png", "no picture\n"),
        ("var/lib/xymon/www/xymon.html", "<title>green</title>\n"),
        ("var/lib/xymon/www/nongreen.shtml", "<!--#echo var=\"DATE_LOCAL\" -->\n"),
        ("var/www/dwww/index.html", "<title>dwww</title>\n"),
        ("var/www/html/info.php", "<?php secret();\n"),
        ("var/www/html/info.phtml", "<?php secret();\n"),
        ("var/www/html/info.phar", "<?php secret();\n"),
        ("var/www/html/info.phps", "<?php secret();\n"),
        ("var/www/html/.php", "<?php secret();\n"),
        ("var/www/html/.htpasswd", "secret\n"),
        ("var/www/html/plain/a b.txt", "plain\n"),
        ("var/www/html/plain/page.html.de", "<p>deutsch</p>\n"),
        ("var/www/html/plain/x.tar.gz", "packed\n"),
        ("var/www/html/plain/latin.html.iso8859-1", "<p>latin</p>\n"),
    ] {
        server::write(&tree.root.join(file), text.as_bytes())?;
    }
    tree.edit("etc/roundcube/apache.conf", |text| {
        text.replace("#    Alias /roundcube", "    Alias /roundcube")
    })?;
    repository(&tree.root)?;
    statistics(&tree.root)?;
    let readable = ["srv", "var/www", "var/log", "var/cache", "var/lib", "etc"].map(|part| tree.root.join(part));
    run(Command::new("chmod").args(["-R", "u+rwX,go+rX"]).args(readable))
}

/// What awstats makes of its log, every night.
fn statistics(root: &Path) -> Result<(), String> {
    let (scripts, data) = (root.join("usr/lib/cgi-bin"), root.join("var/lib/awstats"));
    fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    server::set_mode(&data, 0o777)?;
    let lib = scripts.join("lib");
    std::os::unix::fs::symlink("../../share/awstats/lib", &lib)
        .map_err(|error| format!("{}: {error}", lib.display()))?;
    run(Command::new(scripts.join("awstats.pl"))
        .args(["-config=localhost", "-update"])
        .arg(format!("-configdir={}", root.join("etc/awstats").display())))
}

/// A bare repository with one commit.
fn repository(root: &Path) -> Result<(), String> {
    let work = root.join("srv/work");
    fs::create_dir_all(root.join("srv/git")).map_err(|error| error.to_string())?;
    server::write(&work.join("README"), b"read me\n")?;
    let git = |words: &[&str]| {
        run(Command::new("git")
            .current_dir(&work)
            .args(["-c", "user.name=Tester", "-c", "user.email=tester@localhost"])
            .args(["-c", "safe.directory=*"])
            .args(words)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_DATE", "2026-11-01T10:00:00Z")
            .env("GIT_COMMITTER_DATE", "2026-11-01T10:00:00Z"))
    };
    git(&["init", "-q", "-b", "main"])?;
    git(&["add", "."])?;
    git(&["commit", "-q", "-m", "the first commit"])?;
    git(&["clone", "-q", "--bare", ".", "../git/first.git"])
}

/// One of the two servers, with a copy of the configuration whose port is its own.
pub struct Booted {
    server: Server,
    address: String,
}

impl Booted {
    /// Starts `lychgate`, or Apache by the name of `theirs`, with all of `etc/apache2`.
    pub fn new(tree: &Tree, who: &str) -> Result<Booted, String> {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let directory = tree.root.join("etc").join(who);
        run(Command::new("cp").arg("-a").arg(tree.apache()).arg(&directory))?;
        let ours = who == "lychgate";
        let logs = if ours { "apache2" } else { who };
        for file in [
            "apache2.conf",
            "envvars",
            "ports.conf",
            "sites-available/000-default.conf",
        ] {
            tree.edit(&format!("etc/{who}/{file}"), |text| {
                let text = text.replace("Listen 80\n", &format!("Listen {address}\n"));
                let text = text.replace("*:80>", &format!("*:{port}>"));
                ["log", "run", "lock"].iter().fold(text, |text, part| {
                    text.replace(&format!("/{part}/apache2"), &format!("/{part}/{logs}"))
                })
            })?;
        }
        // systemd and apache2ctl make them.
        for part in ["var/log/NAME", "var/run/NAME/socks", "var/lock/NAME"] {
            let directory = tree.root.join(part.replace("NAME", logs));
            fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        }
        let file = directory.join("apache2.conf");
        let command = if ours {
            let mut command = Command::new(&bench().program);
            command.arg("-f").arg(file);
            command
        } else {
            let mut command = Command::new("/bin/sh");
            command.args([
                "-c",
                ". $0/envvars; exec /usr/sbin/apache2 -d $0 -f $0/apache2.conf $1 $2",
            ]);
            command.arg(&directory);
            command
        };
        Booted::start(tree, command, ours, address)
    }

    fn start(tree: &Tree, mut command: Command, ours: bool, address: String) -> Result<Booted, String> {
        command
            .args(["-D", "FOREGROUND"])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null());
        let place = tree.root.join(if ours { "ours" } else { "theirs" });
        fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        let server = if ours {
            Server::boot_as(&place, command, &address)?
        } else {
            Server::boot_silent(&place, command, &address)?
        };
        Ok(Booted { server, address })
    }

    /// The body of what a target gives.
    pub fn body(&self, target: &str) -> Result<String, String> {
        let request = Request::parse(&format!("GET {target}"), 1, true).ok_or("not a request")?;
        self.ask(&request).map(|reply| show(&reply.body))
    }

    /// Stops it.
    pub fn stop(self) -> Result<(), String> {
        self.server.stop()
    }

    fn ask(&self, request: &Request) -> Result<Reply, String> {
        let mut wire = Wire::connect(&self.address, PATIENCE)?;
        wire.send(&request.bytes)?;
        wire.reply(Judge::Loose)
            .map_err(|error| format!("line {}: {}: {error}", request.line, self.address))
    }
}
