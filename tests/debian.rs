//! The configuration that Debian ships with Apache, and the snippets that its packages add, read as they are
//! (`tests/packages` fetches them); and what is served with them, beside Apache with the same.

use libtest_mimic::{Failed, Trial};

use crate::support::debian::{Tree, check, real_name};

/// Snippets, and the modules that their packages switch on or ask for.
pub const SNIPPETS: &[(&str, &[&str])] = &[
    ("awstats", &["cgi"]),
    (
        "backuppc",
        &["auth_basic", "authz_groupfile", "authn_file", "authz_user", "cgi"],
    ),
    ("cgit", &["cgi"]),
    ("dwww", &["cgi"]),
    ("gitweb", &["cgi"]),
    ("javascript-common", &[]),
    ("munin", &["cgi"]),
    ("nagios4-cgi", &["auth_digest", "authz_groupfile", "cgi"]),
    ("php-fpm", &["proxy_fcgi", "setenvif"]),
    ("roundcube", &["rewrite", "expires", "headers", "deflate", "brotli"]),
    ("smokeping", &["cgi"]),
    ("xymon", &["cgi", "rewrite", "include"]),
];

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let debian = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("debian::{name}"), move || test().map_err(Failed::from))
    };
    let mut trials = vec![
        debian("the_whole_tree_is_read_without_an_error", the_whole_tree),
        debian("all_snippets_together_are_read_without_an_error", all_snippets),
    ];
    trials.extend(SNIPPETS.iter().map(|(name, modules)| {
        Trial::test(format!("debian::{name}_is_read_without_an_error"), move || {
            one_snippet(name, modules).map_err(Failed::from)
        })
    }));
    trials
}

/// As it is installed; with every site and snippet of its own; and with every module there is.
fn the_whole_tree() -> Result<(), String> {
    let tree = Tree::configuration("debian")?;
    well(&tree)?;
    // The one site of Debian's that is for TLS alone.
    tree.everything_but("sites", &["default-ssl.conf"])?;
    tree.snippets(&["charset", "localized-error-pages", "security", "serve-cgi-bin"])?;
    well(&tree)?;
    // There is no lychgate of two kinds of processes, and nor is there an Apache.
    let other = [
        "mpm_prefork.load",
        "mpm_prefork.conf",
        "mpm_worker.load",
        "mpm_worker.conf",
    ];
    tree.everything_but("mods", &other)?;
    well(&tree)
}

fn one_snippet(name: &str, modules: &[&str]) -> Result<(), String> {
    let tree = Tree::configuration(name)?;
    let name = real_name(name)?;
    tree.modules(modules)?;
    tree.snippets(&[&name])?;
    well(&tree)?;
    let (said, _) = check(&tree.file(), &["-D", "DUMP_INCLUDES"])?;
    let file = format!("conf-enabled/{name}.conf");
    if said.iter().any(|line| line.ends_with(&file)) {
        Ok(())
    } else {
        Err(format!("{file} is not read: {said:#?}"))
    }
}

fn all_snippets() -> Result<(), String> {
    let tree = Tree::configuration("snippets")?;
    for (name, modules) in SNIPPETS {
        tree.modules(modules)?;
        tree.snippets(&[&real_name(name)?])?;
    }
    well(&tree)
}

/// `-t` has notes and warnings, and no error; the variables come from `envvars`, which is said once.
fn well(tree: &Tree) -> Result<(), String> {
    let (said, is_well) = check(&tree.file(), &[])?;
    let told = |line: &&String| !line.contains(": note: ") && !line.contains(": warning: ") && *line != "Syntax OK";
    let odd: Vec<&String> = said.iter().filter(told).collect();
    let taken = "envvars: note: variables that the environment does not have are taken from here";
    if !is_well || !odd.is_empty() {
        return Err(format!("{odd:#?}"));
    }
    match said.iter().filter(|line| line.ends_with(taken)).count() {
        1 => Ok(()),
        times => Err(format!("said {times} times: {taken}")),
    }
}
