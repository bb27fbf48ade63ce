//! `lychgate passwd` beside htpasswd: each reads what the other writes, and both end with the same codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use libtest_mimic::{Failed, Trial};

use crate::support::server;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    let passwd = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("passwd::{name}"), move || test().map_err(Failed::from))
    };
    vec![
        passwd("each_reads_what_the_other_writes", each_reads_what_the_other_writes),
        passwd("exit_codes_are_those_of_htpasswd", exit_codes_are_those_of_htpasswd),
        passwd("permissions_and_links_stay", permissions_and_links_stay),
    ]
}

/// Where htpasswd is; without it there is nothing to compare with.
fn htpasswd() -> Option<&'static Path> {
    let path = Path::new("/usr/bin/htpasswd");
    if !path.exists() {
        println!("htpasswd is not installed: nothing compared");
    }
    path.exists().then_some(path)
}

fn run(mut command: Command, at: &Path, line: &str) -> Result<Output, String> {
    let words = line.split(' ').filter(|word| !word.is_empty());
    command.args(words).current_dir(at);
    command.output().map_err(|error| error.to_string())
}

fn ours(at: &Path, line: &str) -> Result<Output, String> {
    let mut command = Command::new(&server::bench().program);
    command.arg("passwd");
    run(command, at, line)
}

fn each_reads_what_the_other_writes() -> Result<(), String> {
    let Some(htpasswd) = htpasswd() else { return Ok(()) };
    let root = server::fresh_root("passwd-both");
    let other = |line: &str| run(Command::new(htpasswd), &root, line);
    for method in ["-B -C 4", "-m", "-s", "-2", "-5", "-5 -r 2000"] {
        for (writer, reader, name) in [
            (&ours as &dyn Fn(&Path, &str) -> Result<Output, String>, false, "ours"),
            (&|_: &Path, line: &str| other(line), true, "theirs"),
        ] {
            let wrote = writer(&root, &format!("-cb {method} users ann secret"))?;
            if !wrote.status.success() {
                return Err(format!("{method} {name}: {}", String::from_utf8_lossy(&wrote.stderr)));
            }
            for (password, want) in [("secret", 0), ("other", 3)] {
                let line = format!("-vb users ann {password}");
                let read = if reader { ours(&root, &line)? } else { other(&line)? };
                if read.status.code() != Some(want) {
                    return Err(format!("{method} {name} {password}: {:?}", read.status));
                }
            }
        }
    }
    Ok(())
}

fn exit_codes_are_those_of_htpasswd() -> Result<(), String> {
    let Some(htpasswd) = htpasswd() else { return Ok(()) };
    let long = "x".repeat(300);
    let lines = [
        "-cbm users ann one".to_owned(),
        "-bm users bob two".to_owned(),
        "-bs users ann three".to_owned(),
        "-vb users ann three".to_owned(),
        "-vb users ann four".to_owned(),
        "-vb users zoe four".to_owned(),
        "-D users zoe".to_owned(),
        "-D users bob".to_owned(),
        "-vb users bob two".to_owned(),
        "-bm none ann one".to_owned(),
        "-cbm none/none ann one".to_owned(),
        "-b users ann".to_owned(),
        "-cn users ann".to_owned(),
        "-cD users ann".to_owned(),
        "-nbm a:b one".to_owned(),
        "-nbB -C 3 ann one".to_owned(),
        "-nbB -C 18 ann one".to_owned(),
        "-nbm ann one".to_owned(),
        format!("-nbm {long} one"),
        format!("-nbm ann {long}"),
        "-bm garbage ann one".to_owned(),
        "-q".to_owned(),
        String::new(),
    ];
    let (one, other) = (server::fresh_root("passwd-ours"), server::fresh_root("passwd-theirs"));
    for root in [&one, &other] {
        fs::write(root.join("garbage"), "no file of passwords\n").map_err(|error| error.to_string())?;
    }
    for line in lines {
        let (ours, theirs) = (ours(&one, &line)?, run(Command::new(htpasswd), &other, &line)?);
        if ours.status.code() != theirs.status.code() {
            let said = String::from_utf8_lossy(&ours.stderr).into_owned();
            return Err(format!("`{line}`: {:?} not {:?}: {said}", ours.status, theirs.status));
        }
    }
    Ok(())
}

fn permissions_and_links_stay() -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let root = server::fresh_root("passwd-links");
    let told = |error: std::io::Error| error.to_string();
    fs::write(root.join("users"), "ann:x\n").map_err(told)?;
    fs::set_permissions(root.join("users"), fs::Permissions::from_mode(0o640)).map_err(told)?;
    std::os::unix::fs::symlink("users", root.join("link")).map_err(told)?;
    let done = ours(&root, "-bs link bob one")?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    let meta = fs::symlink_metadata(root.join("link")).map_err(told)?;
    let text = fs::read_to_string(root.join("users")).map_err(told)?;
    let mode = fs::metadata(root.join("users")).map_err(told)?.permissions().mode() & 0o777;
    if !meta.is_symlink() || mode != 0o640 || !text.starts_with("ann:x\nbob:{SHA}") {
        return Err(format!("link: {}, mode {mode:o}, text {text}", meta.is_symlink()));
    }
    Ok(())
}
