//! `lychgate import`: what it says of the trees that Debian and Apache's authors ship, that it is what `-t` says, that the copy it
//! writes starts, and that it touches nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::debian::SNIPPETS;
use crate::support::debian::{Tree, check, real_name};
use crate::support::server;

use crate::upstream::{EXTRAS, TLS, include, settled};

const PATIENCE: Duration = Duration::from_secs(60);

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let import = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("import::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        import("debians_tree_would_start", debians_tree),
        import("debians_snippets_would_start", debians_snippets),
        import("debians_site_for_tls_needs_no_change", debians_tls),
        import("upstreams_examples_need_no_change", upstreams_examples),
        import("red_hats_layout_is_read_from_its_directory", red_hats_layout),
        import("files_outside_of_the_tree_are_copied_too", files_outside),
        import("what_guards_is_left_in_the_copy", what_guards),
        import("what_cannot_be_read_is_said", what_cannot_be_read),
        import("access_files_are_told_with_their_lines", access_files),
    ]
}

/// Asks with these words; the user is the one that servers run as.
fn ask(root: &Path, words: &[&str]) -> Result<Output, String> {
    let mut command = server::program(root, false, &[])?;
    command.arg("import").args(words);
    server::run(root, command, PATIENCE)
}

/// The page, and whether the server would start.
fn page(root: &Path, words: &[&str]) -> Result<(String, bool), String> {
    let output = ask(root, words)?;
    let said = shown(&output.stdout);
    match output.status.code() {
        Some(0) => Ok((said, true)),
        Some(1) => Ok((said, false)),
        _ => Err(format!("{}: {said}{}", output.status, shown(&output.stderr))),
    }
}

fn holds(page: &str, texts: &[&str]) -> Result<(), String> {
    match texts.iter().find(|text| !page.contains(*text)) {
        None => Ok(()),
        Some(text) => Err(format!("not there: {text}\n{page}")),
    }
}

/// All files below a directory with their content.
fn content(directory: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, String> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).map_err(|error| error.to_string())? {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            } else {
                let text = fs::read(&path).unwrap_or_default();
                all.insert(path, text);
            }
        }
    }
    Ok(all)
}

/// Every complaint of `-t` is told, and nothing is an error that is none there.
fn agrees_with_check(tree: &Tree) -> Result<(), String> {
    let (said, is_well) = check(&tree.file(), &["-T"])?;
    let (page, starts) = page(&tree.root, &["-T", &tree.apache().display().to_string()])?;
    if is_well != starts {
        return Err(format!("-t: {is_well}, import: {starts}\n{page}"));
    }
    for line in said.iter().filter(|line| *line != "Syntax OK") {
        let (_, sentence) = line.split_once(": ").ok_or(line.clone())?;
        let sentence = sentence.rsplit("ignored: ").next().unwrap_or(sentence);
        let sentence = sentence.trim_start_matches("note: ").trim_start_matches("warning: ");
        let sentence = match sentence.split_once(": ") {
            Some((name, rest)) if !name.contains(' ') => rest,
            _ => sentence,
        };
        if !page.contains(sentence) {
            return Err(format!("-t says: {line}\nthe page has not: {sentence}\n{page}"));
        }
    }
    Ok(())
}

fn debians_tree() -> Result<(), String> {
    let tree = Tree::configuration("import-debian")?;
    server::hand_over(&tree.root, false)?;
    let before = content(&tree.root)?;
    let (page, starts) = page(&tree.root, &["-T", &tree.apache().display().to_string()])?;
    if !starts {
        return Err(page);
    }
    holds(
        &page,
        &[
            "It would start as it is.",
            "mpm_event_module: not needed: lychgate sizes its processes and threads itself",
            "envvars\n      variables that the environment does not have are taken from here",
            "AddIcon (39)",
            "lychgate import --htaccess",
        ],
    )?;
    agrees_with_check(&tree)?;
    let after = content(&tree.root)?;
    let changed: Vec<_> = after
        .iter()
        .filter(|(path, text)| before.get(*path) != Some(text))
        .collect();
    let ours = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("run.std"))
    };
    match changed.iter().find(|(path, _)| !ours(path)) {
        Some((path, _)) => Err(format!("{} was changed", path.display())),
        None => Ok(()),
    }
}

fn debians_snippets() -> Result<(), String> {
    let tree = Tree::configuration("import-snippets")?;
    for (name, modules) in SNIPPETS {
        tree.modules(modules)?;
        tree.snippets(&[&real_name(name)?])?;
    }
    server::hand_over(&tree.root, false)?;
    agrees_with_check(&tree)?;
    let (page, starts) = page(&tree.root, &["-T", &tree.apache().display().to_string()])?;
    if starts { Ok(()) } else { Err(page) }
}

fn debians_tls() -> Result<(), String> {
    let tree = Tree::configuration("import-tls")?;
    tree.modules(&["ssl"])?;
    tree.everything_but("sites", &["000-default.conf"])?;
    server::hand_over(&tree.root, false)?;
    let site = tree.apache().join("sites-enabled/default-ssl.conf");
    let copy = tree.root.join("copy");
    let words = [
        "-T",
        "--write",
        &copy.display().to_string(),
        &tree.apache().display().to_string(),
    ];
    let (page, starts) = page(&tree.root, &words)?;
    if !starts || page.contains("ssl_module: not here") {
        return Err(page);
    }
    let text = |path: &Path| fs::read_to_string(path).map_err(|error| error.to_string());
    let copied = text(&copy.join("sites-enabled/default-ssl.conf"))?;
    if copied == text(&site)? { Ok(()) } else { Err(copied) }
}

fn upstreams_examples() -> Result<(), String> {
    let tree = settled(Tree::configuration("import-upstream")?)?;
    tree.edit("etc/apache2/apache2.conf", |text| {
        text.replace("#LoadModule", "LoadModule")
    })?;
    for extra in EXTRAS.iter().filter(|extra| **extra != TLS.0) {
        include(&tree, extra)?;
    }
    agrees_with_check(&tree)?;
    include(&tree, TLS.0)?;
    server::hand_over(&tree.root, false)?;
    let (page, starts) = page(&tree.root, &["-T", &tree.apache().display().to_string()])?;
    if starts {
        return Err(page);
    }
    // The certificate that the example names is nowhere; nothing else is wrong.
    holds(
        &page,
        &[
            "server.crt: No such file",
            "server.key: No such file",
            " 2 not supported",
        ],
    )
}

/// A directory with these files, in which `$ROOT` is its name.
fn laid_out(name: &str, files: &[(&str, &str)]) -> Result<PathBuf, String> {
    let root = server::fresh_root(name);
    for (file, text) in files {
        let text = text.replace("$ROOT", &root.display().to_string());
        server::write(&root.join(file), text.as_bytes())?;
    }
    server::hand_over(&root, false)?;
    Ok(root)
}

fn red_hats_layout() -> Result<(), String> {
    let root = laid_out(
        "import-redhat",
        &[
            (
                "httpd/conf/httpd.conf",
                "ServerRoot \"$ROOT/httpd\"\nListen 80\nInclude conf.modules.d/*.conf\nStrictHostCheck ON\nIncludeOptional conf.d/*.conf\n",
            ),
            (
                "httpd/conf.modules.d/00-base.conf",
                "LoadModule nowhere_module modules/mod_nowhere.so\nLoadModule systemd_module x.so\n",
            ),
            (
                "httpd/conf.d/a.conf",
                "Alias /a /srv/a\n<IfModule mod_nowhere.c>\n  Nowhere on\n  Else x\n</IfModule>\n<IfModule mod_rewrite.c>\nRewriteEngine On\n</IfModule>\n",
            ),
        ],
    )?;
    let copy = root.join("copy");
    let at = root.join("httpd").display().to_string();
    let (page, starts) = page(&root, &["--write", &copy.display().to_string(), &at])?;
    if starts {
        return Err(page);
    }
    holds(
        &page,
        &[
            &format!("{at}/conf/httpd.conf:4: StrictHostCheck ON"),
            "    - StrictHostCheck ON\n    + StrictHostCheck Off\n",
            &format!(
                "{at}/conf.d/a.conf:2: <IfModule mod_nowhere.c>\n      left out, for lychgate does not have `mod_nowhere.c`: 2 directives (Nowhere, Else)"
            ),
            &format!(
                "{at}/conf.d/a.conf:6: <IfModule mod_rewrite.c>\n      holds here, for `mod_rewrite.c` is built in; no LoadModule names it"
            ),
            "nowhere_module: not here; none of its directives stands outside of <IfModule>",
            "systemd_module: not needed",
            "It would not start as it is: one thing has to change.",
            "The copy would start.",
        ],
    )?;
    let (said, is_well) = check(&copy.join("conf/httpd.conf"), &[])?;
    if is_well { Ok(()) } else { Err(format!("{said:#?}")) }
}

fn files_outside() -> Result<(), String> {
    let root = laid_out(
        "import-outside",
        &[
            (
                "etc/httpd.conf",
                "Listen 80\nInclude $ROOT/else/*.inc\nAlias /x relative\n",
            ),
            ("else/one.inc", "AgentLog agents\nServerName here.example\n"),
            ("else/two.inc", "ServerAdmin me\n"),
        ],
    )?;
    let copy = root.join("copy");
    let (page, _) = page(
        &root,
        &[
            "--write",
            &copy.display().to_string(),
            &root.join("etc").display().to_string(),
        ],
    )?;
    holds(&page, &["The copy would start."])?;
    let one = copy.join(format!("outside{}/else/one.inc", root.display()));
    let text = fs::read_to_string(&one).map_err(|error| format!("{}: {error}\n{page}", one.display()))?;
    holds(
        &text,
        &[
            "# lychgate: AgentLog: ",
            "\n#AgentLog agents\nServerName here.example\n",
        ],
    )?;
    let main = fs::read_to_string(copy.join("httpd.conf")).map_err(|error| error.to_string())?;
    holds(
        &main,
        &[
            &format!("ServerRoot \"{}/etc\"\n", root.display()),
            &one.display().to_string(),
            "two.inc\"\n",
        ],
    )?;
    // A second copy goes nowhere where something is.
    let output = ask(
        &root,
        &[
            "--write",
            &copy.display().to_string(),
            &root.join("etc").display().to_string(),
        ],
    )?;
    match output.status.code() {
        Some(2) => holds(&shown(&output.stderr), &["there is something in it"]),
        code => Err(format!("{code:?}")),
    }
}

fn what_guards() -> Result<(), String> {
    let root = laid_out(
        "import-guards",
        &[(
            "httpd.conf",
            "Listen 80\n<Location /secret>\nAuthDBMUserFile users\n</Location>\nAgentLog agents\n",
        )],
    )?;
    let copy = root.join("copy");
    let (page, starts) = page(
        &root,
        &[
            "--write",
            &copy.display().to_string(),
            &root.join("httpd.conf").display().to_string(),
        ],
    )?;
    if starts {
        return Err(page);
    }
    holds(
        &page,
        &[
            "The copy would not start; these are for you to decide:",
            "httpd.conf:5: AuthDBMUserFile: ",
        ],
    )?;
    let text = fs::read_to_string(copy.join("httpd.conf")).map_err(|error| error.to_string())?;
    holds(&text, &["\nAuthDBMUserFile users\n", "\n#AgentLog agents\n"])
}

fn what_cannot_be_read() -> Result<(), String> {
    let root = laid_out(
        "import-unreadable",
        &[
            (
                "httpd.conf",
                "Listen 80\nInclude $ROOT/closed.conf\n<Location />\nAuthType Basic\nAuthName x\nAuthUserFile $ROOT/users\nRequire valid-user\n</Location>\n",
            ),
            ("closed.conf", "ServerName x\n"),
            ("users", "a:b\n"),
        ],
    )?;
    for name in ["closed.conf", "users"] {
        server::set_mode(&root.join(name), 0)?;
    }
    let (page, starts) = page(&root, &[&root.join("httpd.conf").display().to_string()])?;
    if starts {
        return Err(page);
    }
    let at = root.display();
    holds(
        &page,
        &[
            &format!(
                "{at}/httpd.conf:2: Include {at}/closed.conf\n      `{at}/closed.conf` cannot be read: Permission denied"
            ),
            &format!(
                "{at}/httpd.conf:6: AuthUserFile {at}/users\n      `{at}/users` cannot be read by you: it was not looked at"
            ),
        ],
    )
}

fn access_files() -> Result<(), String> {
    let root = laid_out(
        "import-htaccess",
        &[
            (
                "httpd.conf",
                "Listen 80\nDocumentRoot $ROOT/htdocs\nLoadModule alias_module a.so\n<Directory />\nAuthLDAPBindPassword hidden\n</Directory>\n",
            ),
            (
                "htdocs/.htaccess",
                "Options -Indexes\nphp_value a b\n<IfModule mod_headers.c>\nHeader set A b\n</IfModule>\n",
            ),
            ("htdocs/deep/.htaccess", "ServerName x\n"),
        ],
    )?;
    let (documents, file) = (
        root.join("htdocs").display().to_string(),
        root.join("httpd.conf").display().to_string(),
    );
    let (page_of_all, starts) = page(&root, &["--htaccess", &documents, &file])?;
    holds(
        &page_of_all,
        &[
            &format!("{documents}/deep/.htaccess:1: ServerName x\n      cannot stand in a .htaccess file"),
            &format!("{documents}/.htaccess:2: php_value a b\n"),
            &format!(
                "{documents}/.htaccess:3: <IfModule mod_headers.c>\n      holds here, for `mod_headers.c` is built in; no LoadModule"
            ),
            "httpd.conf:5: AuthLDAPBindPassword ***\n",
            "3 files, 2 of them access files",
        ],
    )?;
    if starts || page_of_all.contains("hidden") {
        return Err(page_of_all);
    }
    let alone = root.join("htdocs/.htaccess").display().to_string();
    let (page_of_one, starts) = page(&root, &[&alone])?;
    if !starts {
        return Err(page_of_one);
    }
    // For programs, the same in one line.
    let output = ask(&root, &["--json", "--htaccess", &documents, &file])?;
    let line = shown(&output.stdout);
    if line.lines().count() != 1 {
        return Err(line);
    }
    holds(
        &line,
        &[
            "\"verdict\":\"refused\"",
            "\"kind\":\"refused\",\"directive\":\"ServerName\"",
            &format!(
                "{{\"file\":\"{documents}/.htaccess\",\"line\":2,\"kind\":\"differs\",\"directive\":\"php_value\""
            ),
        ],
    )
}
