//! A worker that was taken over: the test binary is executed again, confines itself by the worker's own function and with
//! settings that it reads, and tries what it must not be able to.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::attempts::{ATTEMPTS, Before};
use super::{Debuggers, enter};
use crate::config::load::load_text;
use crate::process::child::{Bounding, ChildSpec, NewPrivileges, Program, spawn};
use crate::process::identity::Identity;
use crate::process::landlock;
use crate::process::seccomp::lists::{self, Unlinking};
use crate::process::seccomp::{Filter, Refused, When};

const PLACE: &str = "LYCHGATE_TAKEN_OVER";

/// The process of the other tests; on its own it does nothing.
#[test]
fn as_taken_over() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else {
        return;
    };
    let mut before = Before::prepare(&place);
    let text = fs::read_to_string(place.join("httpd.conf")).expect("the settings are there");
    let text = text.replace("@PORT@", &before.port().to_string());
    let loaded = load_text("httpd.conf", text.as_bytes(), &place);
    assert!(!loaded.is_fatal(), "{:?}", loaded.complaints);
    let told = match enter(&loaded.config, std::iter::empty(), Debuggers::KeptOut) {
        Ok(confined) => confined.to_string(),
        Err(error) => format!("not confined: {error}"),
    };
    let mut answers = format!("\nconfined: {told}\n");
    for (name, attempt) in ATTEMPTS {
        let outcome = match attempt(&mut before) {
            Ok(()) => "allowed".to_owned(),
            Err(error) => error.raw_os_error().map_or_else(
                || error.to_string(),
                |errno| format!("{:?}", nix::errno::Errno::from_raw(errno)),
            ),
        };
        writeln!(answers, "{name}: {outcome}").expect("memory");
    }
    println!("{answers}");
}

/// What the system lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lacking {
    Nothing,
    Landlock,
    Seccomp,
    /// Files without a name (O_TMPFILE).
    NamelessFiles,
}

impl Lacking {
    fn filter(self) -> Option<Filter> {
        const NAMELESS: u32 = 0o20_000_000; // __O_TMPFILE
        let refuse = |call, when, errno| Some(Filter::refusing(&[Refused { call, when, errno }]));
        match self {
            Lacking::Nothing => None,
            Lacking::Landlock => refuse(libc::SYS_landlock_create_ruleset, When::Always, libc::ENOSYS),
            Lacking::Seccomp => refuse(libc::SYS_seccomp, When::Always, libc::ENOSYS),
            Lacking::NamelessFiles => refuse(libc::SYS_openat, When::AnyBit(2, NAMELESS), libc::EOPNOTSUPP),
        }
    }
}

/// A place that only the confinement protects: it belongs to the user who is confined.
fn place(name: &str, more: &str) -> PathBuf {
    let place = std::env::temp_dir().join(format!("lychgate-confine-{name}-{}", std::process::id()));
    let _left_by_a_run_before = fs::remove_dir_all(&place);
    for directory in ["htdocs", "named", "empty", "spool"] {
        fs::create_dir_all(place.join(directory)).expect("ours");
    }
    for file in ["htdocs/index.html", "named/file", "script_log"] {
        fs::write(place.join(file), "text\n").expect("ours");
    }
    let settings = format!(
        "ServerRoot {0}\nDocumentRoot {0}/htdocs\nScriptLog {0}/script_log\n{more}\n",
        place.display()
    );
    fs::write(place.join("httpd.conf"), settings).expect("ours");
    give(&place);
    place
}

/// Gives a tree to whom the worker is to be.
fn give(path: &Path) {
    let Some(identity) = identity() else { return };
    std::os::unix::fs::chown(path, Some(identity.uid), Some(identity.gid)).expect("we are root");
    for entry in fs::read_dir(path).into_iter().flatten() {
        give(&entry.expect("ours").path());
    }
}

fn identity() -> Option<Identity> {
    Identity::process_is_root().then(|| Identity::look_up(b"nobody", None).expect("every system has one"))
}

/// What a worker that is taken over says: how it is confined, and the outcome of each attempt.
fn taken_over(name: &str, more: &str, lacking: Lacking) -> (String, BTreeMap<String, String>) {
    let place = place(name, more);
    let program = File::open("/proc/self/exe").expect("we are running");
    let null = File::open("/dev/null").expect("it is there");
    let (mut reader, writer) = io::pipe().expect("pipes work");
    let argv = [
        "test",
        "--exact",
        "worker::confine::tests::as_taken_over",
        "--nocapture",
    ];
    let argv = argv.map(|word| CString::new(word).expect("no NUL"));
    let descriptors = vec![null.as_fd(), writer.as_fd(), writer.as_fd()];
    let (identity, filter) = (identity(), lacking.filter());
    let mut spec = ChildSpec::new(Program::Descriptor(program.as_fd()), argv.to_vec(), descriptors);
    spec.env.push(PLACE.as_bytes(), place.as_os_str().as_bytes());
    spec.env.push(b"TMPDIR", place.join("spool").as_os_str().as_bytes());
    spec.identity = identity.as_ref();
    spec.new_privileges = NewPrivileges::Never;
    spec.bounding = Bounding::Empty;
    spec.filter = filter.as_ref();
    let child = spawn(&spec).expect("it starts");
    drop(spec);
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    let exit = child.pidfd.wait().expect("ours").exit;
    assert!(exit.is_success(), "{name}: {exit}: {text}");
    fs::remove_dir_all(&place).expect("ours");
    let mut answers: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        .collect();
    (answers.remove("confined").expect("it is told"), answers)
}

/// Outcomes by attempt: with all that the kernel has, without Landlock, without seccomp. `?` is the system's own affair.
#[rustfmt::skip]
const OUTCOMES: &[(&str, [&str; 3])] = &[
    ("execve", ["EPERM", "EPERM", "EACCES"]),
    ("execveat", ["EPERM", "EPERM", "EACCES"]),
    ("fork", ["EPERM", "EPERM", "allowed"]),
    ("thread", ["allowed", "allowed", "allowed"]),
    ("ptrace a process of the same user", ["EPERM", "EPERM", "EPERM"]),
    ("process_vm_readv", ["EPERM", "EPERM", "?"]),
    ("pidfd_getfd", ["EPERM", "EPERM", "EPERM"]),
    ("/proc/PID/mem of a process of the same user", ["EACCES", "?", "EACCES"]),
    ("/proc/PID/mem of the parent", ["EACCES", "?", "EACCES"]),
    ("kill a process of the same user", ["EPERM", "EPERM", "EPERM"]),
    ("kill everybody", ["EPERM", "EPERM", "?"]),
    ("kill itself", ["allowed", "allowed", "allowed"]),
    ("pidfd_send_signal", ["EPERM", "EPERM", "EPERM"]),
    ("limits of another process", ["EPERM", "EPERM", "allowed"]),
    ("setuid 0", ["EPERM", "EPERM", "EPERM"]),
    ("setgroups", ["EPERM", "EPERM", "EPERM"]),
    ("a user namespace", ["EPERM", "EPERM", "?"]),
    ("mount", ["EPERM", "EPERM", "EPERM"]),
    ("chroot", ["EPERM", "EPERM", "EPERM"]),
    ("bpf", ["EPERM", "EPERM", "?"]),
    ("io_uring", ["ENOSYS", "ENOSYS", "?"]),
    ("raw socket", ["ESOCKTNOSUPPORT", "ESOCKTNOSUPPORT", "?"]),
    ("packet socket", ["EAFNOSUPPORT", "EAFNOSUPPORT", "EPERM"]),
    ("netlink socket", ["EAFNOSUPPORT", "EAFNOSUPPORT", "allowed"]),
    ("SCTP socket", ["EPROTONOSUPPORT", "EPROTONOSUPPORT", "?"]),
    ("TCP connect", ["EACCES", "allowed", "EACCES"]),
    ("TCP connect with the first data", ["EOPNOTSUPP", "EOPNOTSUPP", "?"]),
    ("TCP bind", ["EPERM", "EPERM", "EACCES"]),
    ("UDP bind", ["EPERM", "EPERM", "allowed"]),
    ("TCP accept on what was inherited", ["allowed", "allowed", "allowed"]),
    ("abstract socket of another", ["EPERM", "allowed", "EPERM"]),
    ("names of hosts", ["allowed", "allowed", "allowed"]),
    ("open for writing", ["EACCES", "allowed", "EACCES"]),
    ("create", ["EACCES", "allowed", "EACCES"]),
    ("create in the spool", ["EACCES", "allowed", "EACCES"]),
    ("truncate", ["EPERM", "EPERM", "EACCES"]),
    ("mkdir", ["EPERM", "EPERM", "EACCES"]),
    ("link", ["EPERM", "EPERM", "EACCES"]),
    ("symlink", ["EPERM", "EPERM", "EACCES"]),
    ("fifo", ["EPERM", "EPERM", "EACCES"]),
    ("chmod", ["EPERM", "EPERM", "allowed"]),
    ("fchmod", ["EPERM", "EPERM", "allowed"]),
    ("chown", ["EPERM", "EPERM", "allowed"]),
    ("utimes", ["EPERM", "EPERM", "allowed"]),
    ("rename a log", ["EPERM", "EPERM", "EACCES"]),
    ("remove a log", ["EPERM", "EPERM", "EACCES"]),
    ("rmdir", ["EPERM", "EPERM", "EACCES"]),
    ("write to an open log", ["allowed", "allowed", "allowed"]),
    ("cut an open log", ["EPERM", "EPERM", "allowed"]),
    ("write where one likes in an open log", ["EPERM", "EPERM", "allowed"]),
    ("open the ScriptLog", ["EACCES", "allowed", "EACCES"]),
    ("spool a long body", ["allowed", "allowed", "allowed"]),
    ("read what is served", ["allowed", "allowed", "allowed"]),
    ("read what ConfineReading names", ["allowed", "allowed", "allowed"]),
    ("read elsewhere", ["allowed", "allowed", "allowed"]),
    ("list elsewhere", ["allowed", "allowed", "allowed"]),
    ("local time", ["allowed", "allowed", "allowed"]),
];

fn outcomes(column: usize) -> BTreeMap<String, String> {
    let rows = OUTCOMES
        .iter()
        .map(|(name, outcomes)| ((*name).to_owned(), outcomes[column].to_owned()));
    rows.collect()
}

/// As expected, but for what the system decides and what libtest says.
fn judged(mut answers: BTreeMap<String, String>, expected: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    answers.retain(|name, _| name != "test result");
    for (name, outcome) in expected.iter().filter(|(_, outcome)| *outcome == "?") {
        answers.insert(name.clone(), outcome.clone());
    }
    answers
}

#[test]
fn a_worker_taken_over_can_do_little_even_where_the_kernel_lacks_something() {
    let landlock = "confined by Landlock 7: files, truncation, TCP ports, devices, signals, abstract sockets; ";
    let calls = lists::calls(&lists::worker(Unlinking::Refused));
    for (column, lacking, told) in [
        (0, Lacking::Nothing, format!("{landlock}{calls} system calls refused")),
        (
            1,
            Lacking::Landlock,
            format!(
                "not confined in files, ports and signals (this kernel has no Landlock); {calls} system calls refused"
            ),
        ),
        (
            2,
            Lacking::Seccomp,
            format!("{landlock}no system calls refused (Function not implemented (os error 38))"),
        ),
    ] {
        let (said, answers) = taken_over(&format!("{lacking:?}"), "", lacking);
        let said = said.replace(&format!("Landlock {}:", landlock::abi()), "Landlock 7:");
        assert_eq!(said, told);
        let expected = outcomes(column);
        assert_eq!(judged(answers, &expected), expected, "{lacking:?}");
    }
}

#[test]
fn where_every_file_has_a_name_long_bodies_are_kept_all_the_same() {
    let mut expected = outcomes(0);
    // Files may be removed, and then by Landlock's leave, which is for this directory alone.
    expected.insert("create in the spool".to_owned(), "allowed".to_owned());
    expected.insert("remove a log".to_owned(), "EACCES".to_owned());
    let (_, answers) = taken_over("names", "", Lacking::NamelessFiles);
    assert_eq!(judged(answers, &expected), expected);
}

#[test]
fn confined_reading_leaves_what_is_served_and_named() {
    let mut expected = outcomes(0);
    for name in ["read elsewhere", "list elsewhere"] {
        expected.insert(name.to_owned(), "EACCES".to_owned());
    }
    let lines = "ConfineReading On\nConfineReading On named nowhere\n<Directory />\nRequire all denied\n</Directory>";
    let (said, answers) = taken_over("reading", lines, Lacking::Nothing);
    assert!(said.contains("; reads "), "{said}");
    assert_eq!(judged(answers, &expected), expected);
}

#[test]
fn ports_of_applications_can_be_reached() {
    let mut expected = outcomes(0);
    for (line, outcome) in [
        ("ProxyPass /a fcgi://localhost:@PORT@/", "allowed"),
        ("SetHandler proxy:fcgi://127.0.0.1:@PORT@", "allowed"),
        ("<Proxy fcgi://127.0.0.1:@PORT@>\n</Proxy>", "allowed"),
        ("RewriteRule /(.*) fcgi://127.0.0.1:@PORT@/$1 [P]", "allowed"),
        ("ProxyPass /a fcgi://127.0.0.1:1/", "EACCES"),
        ("ProxyPass /a unix:/run/app.sock|fcgi://127.0.0.1:@PORT@/", "EACCES"),
    ] {
        expected.insert("TCP connect".to_owned(), outcome.to_owned());
        let (_, answers) = taken_over("applications", line, Lacking::Nothing);
        assert_eq!(judged(answers, &expected), expected, "{line}");
    }
}

#[test]
fn what_is_served_is_what_the_settings_name() {
    let text = b"ServerRoot /s
DocumentRoot /s/www/
Alias /a /x/files/
AliasMatch ^/b/(.*) /x/match/$1
AliasMatch ^/c/(.*) /$1
ScriptAlias /cgi-bin/ /x/scripts/
<Directory />
</Directory>
<Directory /y/plain>
</Directory>
<Directory /y/*/wild>
</Directory>
<DirectoryMatch ^/z>
</DirectoryMatch>
<VirtualHost *:80>
DocumentRoot /s/other
Alias /d /x/files
</VirtualHost>
";
    let loaded = load_text("httpd.conf", text, Path::new("/s"));
    let served: Vec<String> = super::served(&loaded.config)
        .into_iter()
        .map(|path| String::from_utf8(path).expect("text"))
        .collect();
    let expected = [
        "/s/other",
        "/s/www",
        "/x/files",
        "/x/files/",
        "/x/match/",
        "/x/scripts/",
        "/y/plain",
    ];
    assert_eq!(served, expected);
}
