//! The manual of Apache in three languages, as Debian's apache2-doc has it, browsed beside Apache: in Debian's own layout, with a
//! directory for each language, and in that of Apache's authors, where a type map stands before the languages of each page.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::snippets::{Booted, servers_agree};
use crate::support::debian::{Tree, run, unpacked};
use crate::support::server;
use crate::upstream;

const LANGUAGES: [&str; 3] = ["de", "en", "fr"];
/// The manual in a tree of Debian's, and where Apache's authors put it.
const DEBIAN: &str = "usr/share/doc/apache2-doc/manual";
const UPSTREAM: &str = "usr/share/apache2/default-site/htdocs/manual";

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let manual = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("manual::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        manual("in_directories_of_languages", in_directories),
        manual("by_type_maps", by_type_maps),
    ]
}

fn in_directories() -> Result<(), String> {
    let tree = Tree::new("beside-manual")?;
    unpack(&tree)?;
    tree.modules(&["alias"])?;
    tree.snippets(&["apache2-doc"])?;
    tree.settle_here()?;
    let pages = pages(&tree.root.join(DEBIAN).join("de"))?;
    let mut requests = vec![
        "GET /manual".to_owned(),
        "GET /manual/ => en/index.html".to_owned(),
        "GET /manual/style/css/manual.css".to_owned(),
        "GET /manual/de/ => lang=\"de\"".to_owned(),
        "GET /manual/fr/mod".to_owned(),
        "GET /manual/de/missing.html".to_owned(),
    ];
    for page in &pages {
        requests.extend(LANGUAGES.map(|language| format!("GET /manual/{language}/{page}")));
    }
    let requests = requests.join("\n");
    let servers = (Booted::new(&tree, "lychgate")?, Booted::new(&tree, "theirs")?);
    let count = servers_agree(servers, &tree, &requests)?;
    println!("{count} requests of the manual in directories");
    Ok(())
}

fn by_type_maps() -> Result<(), String> {
    let requests = |tree: &Tree| {
        unpack(tree)?;
        let pages = pages(&tree.root.join(DEBIAN).join("de"))?;
        for page in &pages {
            lay_out(tree, page)?;
        }
        let (from, to) = (tree.root.join(DEBIAN).join("style"), tree.root.join(UPSTREAM));
        run(Command::new("cp").arg("-a").arg(from).arg(to))?;
        Ok::<_, String>(asked_of(&pages))
    };
    let count = upstream::asked("beside-manual-maps", &["httpd-manual.conf"], requests)?;
    println!("{count} requests of the manual by type maps");
    Ok(())
}

/// Every page by what clients like, and by the language in its path.
fn asked_of(pages: &[String]) -> String {
    let mut requests = vec![
        "GET /manual".to_owned(),
        "GET /manual/".to_owned(),
        "GET /manual/de/fr/index.html".to_owned(),
        "GET /manual/ | Accept-Language: fr => lang=\"fr\"".to_owned(),
        "GET /manual/ko/ => lang=\"en\"".to_owned(),
        "GET /manual/missing.html".to_owned(),
    ];
    for (number, page) in pages.iter().enumerate() {
        for language in LANGUAGES {
            let within = format!("=> lang=\"{language}\"");
            requests.push(format!("GET /manual/{page} | Accept-Language: {language} {within}"));
            requests.push(format!("GET /manual/{language}/{page} | Accept-Language: ja {within}"));
        }
        requests.push(match number % 4 {
            0 => format!("GET /manual/{page} | Accept-Language: ja => lang=\"en\""),
            1 => format!("GET /manual/{page} | Accept-Language: ko, fr;q=0.5, de-AT;q=0.6 => lang=\"de\""),
            2 => format!("GET /manual/{page} | Negotiate: trans"),
            _ => format!("GET /manual/{page} | Accept: image/png"),
        });
    }
    requests.join("\n")
}

/// A page in all languages beside each other, with a map before them.
fn lay_out(tree: &Tree, page: &str) -> Result<(), String> {
    let (mut map, name) = (Vec::new(), page.rsplit('/').next().unwrap_or(page));
    for language in LANGUAGES {
        let from = tree.root.join(DEBIAN).join(language).join(page);
        let text = fs::read(&from).map_err(|error| format!("{}: {error}", from.display()))?;
        let is_latin = memchr::memmem::find(&text, b"ISO-8859-1").is_some();
        let charset = if is_latin { "ISO-8859-1" } else { "UTF-8" };
        map.push(format!(
            "URI: {name}.{language}\nContent-Language: {language}\nContent-type: text/html; charset={charset}\n"
        ));
        server::write(&tree.root.join(UPSTREAM).join(format!("{page}.{language}")), &text)?;
    }
    server::write(&tree.root.join(UPSTREAM).join(page), map.join("\n").as_bytes())
}

/// Whether a page is in this language; those that nobody translated are there in English.
fn is_translated(directory: &Path, language: &str, page: &str) -> bool {
    let text = fs::read(directory.join("..").join(language).join(page)).unwrap_or_default();
    memchr::memmem::find(&text, format!("lang=\"{language}\"").as_bytes()).is_some()
}

/// The pages below a directory that are translated, in order.
fn pages(directory: &Path) -> Result<Vec<String>, String> {
    let (mut found, mut open) = (Vec::new(), vec![String::new()]);
    let is_in_all = |name: &str| {
        LANGUAGES
            .iter()
            .all(|language| is_translated(directory, language, name))
    };
    while let Some(inner) = open.pop() {
        let told = |error: std::io::Error| format!("{}: {error}", directory.display());
        for entry in fs::read_dir(directory.join(&inner)).map_err(told)? {
            let entry = entry.map_err(told)?;
            let name = format!("{inner}{}", entry.file_name().to_string_lossy());
            if entry.file_type().map_err(told)?.is_dir() {
                open.push(name + "/");
            } else if name.strip_suffix(".html").is_some() && is_in_all(&name) {
                found.push(name);
            }
        }
    }
    found.sort();
    match found.len() {
        0..20 => Err(format!("only {} pages are there in every language", found.len())),
        _ => Ok(found),
    }
}

/// Unpacks what the tree leaves out of apache2-doc.
fn unpack(tree: &Tree) -> Result<(), String> {
    let debs = unpacked()?.with_file_name("debs");
    let entries = fs::read_dir(&debs).map_err(|error| format!("{}: {error}", debs.display()))?;
    let mut names = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let deb = names.find(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("apache2-doc_"))
    });
    let wanted = ["de", "en", "fr", "style", "index.html"]
        .map(|part| format!("'./{DEBIAN}/{part}'"))
        .join(" ");
    let script = format!(
        "set -e; dpkg-deb --fsys-tarfile \"$0\" | tar -x --no-same-owner --no-same-permissions -C \"$1\" {wanted}"
    );
    let deb = deb.ok_or(format!("{}: apache2-doc is not there", debs.display()))?;
    run(Command::new("sh").arg("-c").arg(script).arg(deb).arg(&tree.root))
}
