//! Debian's packages whose programs speak FastCGI: what they say of mod_fcgid and of mod_fastcgi, read as it is, and their
//! programs asked through it, beside Apache where it has the module.

use std::fs;

use libtest_mimic::{Failed, Trial};

use crate::snippets::{Booted, servers_agree};
use crate::support::debian::Tree;
use crate::support::server::{self, bench};

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let fcgid = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("fcgid::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        fcgid("packages_of_debians_are_served_as_by_apache", served_as_by_apache),
        fcgid("a_package_of_debians_for_mod_fastcgi_is_served", by_mod_fastcgi),
    ]
}

/// iipimage-server has a program; of munin and of Request Tracker, which need a database, another stands in its place.
fn served_as_by_apache() -> Result<(), String> {
    let tree = Tree::new("debian-fcgid")?;
    let read = |file: &str| fs::read_to_string(tree.root.join(file)).map_err(|error| format!("{file}: {error}"));
    tree.modules(&["fcgid", "iipsrv"])?;
    tree.snippets(&["munin"])?;
    let tracker = read("etc/request-tracker5/apache2-fcgid.conf")?;
    enable(&tree, "rt", &tracker)?;
    // Where Apache may write here, and more starts a second than it is used to.
    let root = tree.root.display();
    let here = format!(
        "FcgidIPCDir {root}/var/fcgid\nFcgidProcessTableFile {root}/var/fcgid.table\nFcgidSpawnScoreUpLimit 1000\n\
         FcgidIdleTimeout 1\nFcgidMinProcessesPerClass 0\nSetEnv no-gzip 1\n\
         <Directory {root}/usr/share/request-tracker5/libexec>\nRequire all granted\n</Directory>\n"
    );
    enable(&tree, "zz-here", &here)?;
    fs::create_dir_all(tree.root.join("var/fcgid")).map_err(|error| error.to_string())?;
    server::set_mode(&tree.root.join("var/fcgid"), 0o777)?;
    server::set_mode(&tree.root.join("var"), 0o777)?;
    for program in ["usr/lib/munin/cgi/munin-cgi-graph", TRACKER] {
        stand_in(&tree, program)?;
    }
    tree.settle_here()?;
    let servers = (Booted::new(&tree, "lychgate")?, Booted::new(&tree, "theirs")?);
    servers_agree(servers, &tree, REQUESTS).map(|_| ())
}

const TRACKER: &str = "usr/share/request-tracker5/libexec/rt-server.fcgi";

const REQUESTS: &str = "
GET /iipsrv/iipsrv.fcgi => IIPImage Server
GET /iipsrv/iipsrv.fcgi?FIF=/none.tif&obj=IIP,1.0
GET /iipsrv/nothing.fcgi
GET /rt?bodiless => SCRIPT_NAME=/rt
GET /rt/Ticket/Display.html?bodiless => PATH_INFO=/Ticket/Display.html
GET /rt/REST/1.0/NoAuth/mail-gateway?bodiless => SCRIPT_NAME=/rt
POST /rt/x?count | body=abc => read 3 of 3
GET /rt/x?inherited/RT_SITE_CONFIG => RT_SiteConfig.pm
GET /rt/x?moved
GET /munin-cgi/munin-cgi-graph/localhost/cpu-day.png?bodiless => PATH_INFO=/localhost/cpu-day.png
GET /munin-cgi/munin-cgi-graph?inherited/JPEG_QUALITY => 90
";

fn enable(tree: &Tree, name: &str, text: &str) -> Result<(), String> {
    let file = format!("etc/apache2/conf-available/{name}.conf");
    server::write(&tree.root.join(file), text.as_bytes())?;
    tree.snippets(&[name])
}

fn stand_in(tree: &Tree, program: &str) -> Result<(), String> {
    let program = tree.root.join(program);
    if let Some(directory) = program.parent() {
        fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    }
    let apps = bench().directory.join("apps");
    let script = format!("#!/bin/sh\nexec {}/testapp --service-one\n", apps.display());
    server::write(&program, script.as_bytes())?;
    server::set_mode(&program, 0o755)
}

/// FastCgiServer, as Request Tracker's package has it.
fn by_mod_fastcgi() -> Result<(), String> {
    let tree = Tree::new("debian-fastcgi")?;
    let snippet = tree.root.join("etc/request-tracker5/apache2-fastcgi.conf");
    let snippet = fs::read_to_string(&snippet).map_err(|error| format!("{}: {error}", snippet.display()))?;
    let short = format!("ServiceDir {}/s\n", tree.root.display());
    enable(&tree, "rt", &(short + &snippet))?;
    let open = "<Directory /usr/share/request-tracker5/libexec>\nRequire all granted\n</Directory>\n";
    enable(&tree, "zz-here", open)?;
    stand_in(&tree, TRACKER)?;
    tree.settle_here()?;
    let booted = Booted::new(&tree, "lychgate")?;
    for (target, within) in [
        ("/rt?env", "SCRIPT_NAME=/rt\n"),
        ("/rt/Ticket/Display.html?env", "PATH_INFO=/Ticket/Display.html\n"),
        ("/rt/x?inherited/RT_SITE_CONFIG", "RT_SiteConfig.pm\n"),
    ] {
        let body = booted.body(target)?;
        if !body.contains(within) {
            return Err(format!("{target}: {body}"));
        }
    }
    booted.stop()
}
