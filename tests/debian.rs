//! The configuration that Debian ships with Apache, read as it is.

use std::path::Path;
use std::process::Command;

use libtest_mimic::{Completion, Failed, Trial};

use crate::support::server::{bench, fresh_root};

const TREE: &str = "/etc/apache2";

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![Trial::ignorable_test(
        "debian::the_whole_tree_is_read_without_an_error",
        the_whole_tree_is_read_without_an_error,
    )]
}

/// As it is installed, and with every site and snippet switched on: notes and warnings, no error.
fn the_whole_tree_is_read_without_an_error() -> Result<Completion, Failed> {
    if !Path::new(TREE).join("apache2.conf").exists() {
        return Ok(Completion::ignored_with("Debian's apache2 is not installed"));
    }
    let copy = fresh_root("debian").join("apache2");
    let status = Command::new("cp").arg("-a").arg(TREE).arg(&copy).status()?;
    assert!(status.success(), "cp: {status}");
    let said = check(&copy)?;
    assert!(said.ends_with("Syntax OK\n"), "{said}");
    for kind in ["conf", "sites"] {
        for name in names(&copy.join(format!("{kind}-available")))? {
            // The one site of Debian's that is for TLS alone.
            if name != "default-ssl.conf" {
                let link = copy.join(format!("{kind}-enabled")).join(&name);
                let _there_already = std::os::unix::fs::symlink(format!("../{kind}-available/{name}"), link);
            }
        }
    }
    let said = check(&copy)?;
    assert!(said.ends_with("Syntax OK\n"), "{said}");
    Ok(Completion::Completed)
}

fn names(directory: &Path) -> std::io::Result<Vec<String>> {
    let entries = std::fs::read_dir(directory)?;
    Ok(entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}

/// What `-t` says of the tree, whose variables are in its own `envvars`.
fn check(tree: &Path) -> std::io::Result<String> {
    let output = Command::new(&bench().program)
        .arg("-f")
        .arg(tree.join("apache2.conf"))
        .arg("-t")
        .env_clear()
        .output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        said.contains("envvars: note: variables that the environment does not have are taken from here\n"),
        "{said}"
    );
    assert!(output.status.success(), "{said}");
    let told = |line: &str| line.contains(": note: ") || line.contains(": warning: ") || line == "Syntax OK";
    let odd: Vec<&str> = said.lines().filter(|line| !told(line)).collect();
    assert!(odd.is_empty(), "{odd:#?}");
    Ok(said)
}
