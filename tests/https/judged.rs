//! What testssl.sh says of a server as it is without any directive of ciphers or protocols, and what many handshakes leave.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};

use crate::support::processes;
use crate::support::server::{self, Server, ordinary_by_wish};
use crate::support::tls::{self, Over};
use crate::support::wire::{Judge, Wire};

const PATIENCE: Duration = Duration::from_secs(300);
/// How many handshakes; `tests/soak/run` has more.
const HANDSHAKES: usize = 200;
/// What is done to protocols, ciphers and forward secrecy, and how each of the faults of the last years ends.
const GRADES: &[(&str, &str)] = &[
    ("SSLv2", "OK"),
    ("SSLv3", "OK"),
    ("TLS1", "INFO"),
    ("TLS1_1", "INFO"),
    ("TLS1_2", "OK"),
    ("TLS1_3", "OK"),
    ("cipherlist_NULL", "OK"),
    ("cipherlist_aNULL", "OK"),
    ("cipherlist_EXPORT", "OK"),
    ("cipherlist_LOW", "OK"),
    ("cipherlist_STRONG", "OK"),
    ("heartbleed", "OK"),
    ("CCS", "OK"),
    ("ticketbleed", "OK"),
    ("ROBOT", "OK"),
    ("secure_renego", "OK"),
    ("secure_client_renego", "OK"),
    ("CRIME_TLS", "OK"),
    ("BREACH", "OK"),
    ("POODLE_SSL", "OK"),
    ("fallback_SCSV", "OK"),
    ("SWEET32", "OK"),
    ("FREAK", "OK"),
    ("DROWN", "OK"),
    ("LOGJAM", "OK"),
    ("LOGJAM-common_primes", "OK"),
    ("BEAST", "OK"),
    ("LUCKY13", "OK"),
];

/// All tests of this file.
pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::ignorable_test("https::testssl_finds_no_fault", testssl_finds_no_fault),
        Trial::test("https::handshakes_leave_nothing_behind", || {
            handshakes_leave_nothing_behind().map_err(Failed::from)
        }),
    ]
}

/// A site with a page, and certificates of both kinds.
pub(super) fn boot(name: &str, more: &[&str]) -> Result<(PathBuf, Server), String> {
    let root = server::fresh_root(name);
    let certificate = |kind: &str| {
        let file = tls::directory().join(kind).to_string_lossy().into_owned();
        format!("SSLCertificateFile {file}.pem\nSSLCertificateKeyFile {file}.key")
    };
    let mut lines = vec!["SSLEngine on".to_owned(), certificate("server"), certificate("ecdsa")];
    lines.extend(more.iter().map(|line| line.replace("ROOT", &root.to_string_lossy())));
    server::write(&root.join("htdocs/index.html"), b"<p>hello\n")?;
    server::write_config(&root, &lines, "127.0.0.1:0")?;
    server::hand_over(&root, false)?;
    let command = server::program(&root, false, &[])?;
    let server = Server::boot(&root, command, &[], "")?;
    Ok((root, server))
}

/// Ends it, when it is at rest again.
pub(super) fn end(root: PathBuf, server: Server) -> Result<(), String> {
    server.settle(PATIENCE)?;
    server.stop()?;
    let _left_for_the_end_of_the_run = fs::remove_dir_all(root);
    Ok(())
}

fn testssl_finds_no_fault() -> Result<Completion, Failed> {
    if Command::new("testssl")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        return Ok(Completion::ignored_with("testssl.sh is not installed"));
    }
    let (root, server) = boot("https-testssl", &[])?;
    let report = root.join("report.csv");
    let mut command = Command::new("testssl");
    command
        .args([
            "--quiet",
            "--warnings",
            "off",
            "--color",
            "0",
            "--nodns",
            "none",
            "--fast",
        ])
        .args(["--protocols", "--standard", "--vulnerable", "--csvfile"])
        .arg(&report)
        .arg(&server.listeners[0])
        .stdin(Stdio::null())
        .env("TMPDIR", &root);
    let output = server::run(&root, command, PATIENCE)?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = grades(&fs::read_to_string(&report)?);
    let mut faults = Vec::new();
    for (id, wanted) in GRADES {
        if found.get(*id).map(String::as_str) != Some(wanted) {
            faults.push(format!("{id}: {:?} in the place of {wanted}", found.get(*id)));
        }
    }
    // A warning is of what the OpenSSL here cannot ask.
    let bad = |grade: &str| !["OK", "INFO", "WARN", "DEBUG"].contains(&grade);
    faults.extend(
        found
            .iter()
            .filter(|(_, grade)| bad(grade))
            .map(|(id, grade)| format!("{id}: {grade}")),
    );
    if !faults.is_empty() {
        return Err(format!("{faults:#?}\n{told}").into());
    }
    println!("testssl.sh: {} findings, none bad", found.len());
    end(root, server)?;
    Ok(Completion::Completed)
}

/// The grade of each finding: `"id","address","port","severity",…`.
fn grades(report: &str) -> BTreeMap<String, String> {
    let graded = report.lines().skip(1).filter_map(|line| {
        let mut words = line.split("\",\"");
        Some((words.next()?.trim_matches('"').to_owned(), words.nth(2)?.to_owned()))
    });
    graded.collect()
}

/// Full and resumed, by both versions: no descriptor stays, and the memory of a first round is enough for a second.
fn handshakes_leave_nothing_behind() -> Result<(), String> {
    let (root, server) = boot("https-handshakes", &[])?;
    many_handshakes(&server)?;
    server.settle(PATIENCE)?;
    let before = resident(&server);
    many_handshakes(&server)?;
    server.settle(PATIENCE)?;
    let grown = resident(&server).saturating_sub(before);
    println!("{HANDSHAKES} handshakes: {grown} KiB more");
    if grown > 2048 && !ordinary_by_wish() {
        return Err(format!("{HANDSHAKES} handshakes took {grown} KiB"));
    }
    end(root, server)
}

fn many_handshakes(server: &Server) -> Result<(), String> {
    let kinds = [
        ("tls1.2", "handshake full"),
        ("tls1.3", "handshake full"),
        ("tls1.2 resume", "handshake resumed"),
        ("tls1.3 resume", "handshake resumed"),
    ];
    for (words, kind) in kinds {
        let over = Over::parse(words)?;
        for number in 0..=HANDSHAKES / kinds.len() {
            let mut wire = Wire::connect(&server.listeners[0], PATIENCE)?;
            wire.secure(&over)?;
            wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let reply = wire.reply(Judge::Strict)?;
            // The first of those that resume has nothing yet to resume.
            let as_meant = number == 0 || wire.facts().iter().any(|fact| fact == kind);
            if reply.body != b"<p>hello\n" || !as_meant {
                return Err(format!("{words}: {:?}: {reply:?}", wire.facts()));
            }
        }
    }
    Ok(())
}

/// KiB of the server's processes.
pub(super) fn resident(server: &Server) -> u64 {
    let children = processes::descendants(server.pid())
        .into_iter()
        .map(|process| process.pid);
    let own = children.chain([server.pid()]);
    own.filter_map(processes::resident_kib).sum()
}
