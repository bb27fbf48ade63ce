//! Who roles and scripts are where the server is started as root: what data cannot say. Each test needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::server::{self, Server, privileged};
use crate::support::site::{ask, end, role, said};
use crate::support::wire::{Judge, show};

/// All tests of this file; none where the tests do not run as root.
pub fn trials() -> Vec<Trial> {
    let identity = |name: &str, test: fn() -> Result<(), String>| {
        Trial::test(format!("identity::{name}"), move || test().map_err(Failed::from))
    };
    if !privileged() {
        return Vec::new();
    }
    vec![
        identity("a_spawner_is_user_where_it_can_be", a_spawner_is_user_where_it_can_be),
        identity("a_spawner_keeps_what_suexec_needs", a_spawner_keeps_what_suexec_needs),
        identity(
            "set_user_id_programs_are_for_scripts_of_user",
            set_user_id_programs_are_for_scripts_of_user,
        ),
        identity("root_raises_a_hard_limit", root_raises_a_hard_limit),
        identity(
            "a_script_under_a_directory_of_its_user_runs",
            a_script_under_a_directory_of_its_user_runs,
        ),
        identity(
            "a_script_outlives_the_spawner_that_made_it_another",
            a_script_outlives_the_spawner_that_made_it_another,
        ),
        identity(
            "roles_and_scripts_see_the_jail_alone",
            roles_and_scripts_see_the_jail_alone,
        ),
        identity("scripts_of_others_run_in_the_jail", scripts_of_others_run_in_the_jail),
        identity(
            "who_stops_his_own_scripts_stops_no_others",
            who_stops_his_own_scripts_stops_no_others,
        ),
    ]
}

/// Capability sets, user, groups and no_new_privs of a role.
fn status(server: &Server, role: &str) -> Result<Vec<String>, String> {
    let pid = pid(server, role)?;
    let text = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
    let wanted = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb"];
    let lines = text.lines().filter_map(|line| line.split_once(":\t"));
    let found = lines.filter(|(name, _)| wanted.contains(name));
    Ok(found
        .map(|(name, value)| format!("{name} {}", value.trim().replace('\t', " ")))
        .collect())
}

fn expect_status(server: &Server, role: &str, expected: [&str; 7]) -> Result<(), String> {
    let found = status(server, role)?;
    if found == expected {
        Ok(())
    } else {
        Err(format!("{role}: {found:?}"))
    }
}

const NOBODY: [&str; 3] = [
    "Uid 65534 65534 65534 65534",
    "Gid 65534 65534 65534 65534",
    "Groups 65534",
];
const NONE: &str = "0000000000000000";

fn a_spawner_is_user_where_it_can_be() -> Result<(), String> {
    let root = site("as-user", "echo $(id -u)", 65534)?;
    let server = boot(&root, &["RLimitCPU 20 30".into(), "Umask 022".into()], &[])?;
    let caps = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(|set| format!("{set} {NONE}"));
    let [uid, gid, groups] = NOBODY;
    expect_status(
        &server,
        "spawner",
        [uid, gid, groups, &caps[0], &caps[1], &caps[2], &caps[3]],
    )?;
    expect_reply(&server, "65534\n")?;
    end(&root, server)
}

fn a_spawner_keeps_what_suexec_needs() -> Result<(), String> {
    let root = site(
        "as-root",
        "echo $(id -u) $(sed -n 's/^CapEff:.//p' /proc/self/status)",
        41_003,
    )?;
    let server = boot(&root, &["SuexecUserGroup #41003 #41003".into()], &[])?;
    // CAP_DAC_READ_SEARCH, CAP_KILL, CAP_SETGID, CAP_SETUID
    let caps = ["CapPrm", "CapEff"].map(|set| format!("{set} 00000000000000e4"));
    let none = ["CapInh", "CapAmb"].map(|set| format!("{set} {NONE}"));
    let found = status(&server, "spawner")?;
    if found.first().is_none_or(|uid| uid != "Uid 0 0 0 0")
        || found.get(3..) != Some(&[none[0].clone(), caps[0].clone(), caps[1].clone(), none[1].clone()])
    {
        return Err(format!("{found:?}"));
    }
    let worker = status(&server, "worker")?;
    if worker.get(..3) != Some(&NOBODY.map(String::from)) {
        return Err(format!("{worker:?}"));
    }
    expect_reply(&server, &format!("41003 {NONE}\n"))?;
    end(&root, server)
}

/// Beside scripts of other users, those that run as User find set-user-id programs in order, as in Apache.
fn set_user_id_programs_are_for_scripts_of_user() -> Result<(), String> {
    let root = site("set-user-id", "../id -u", 65534)?;
    copy(Path::new("/usr/bin/id"), &root.join("id"))?;
    server::set_mode(&root.join("id"), 0o4755)?;
    let other = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n../../id -u\n";
    install(&root.join("cgi-bin/other/s"), other.as_bytes(), 41_007)?;
    // Where the file system is mounted nosuid, nobody gains anything.
    let gained = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args([root.join("id").as_os_str(), "-u".as_ref()])
        .output()
        .map_err(|e| format!("setpriv: {e}"))?
        .stdout;
    let section = format!("<Directory \"{}/cgi-bin/other\">", root.display());
    let lines = [section, "SuexecUserGroup #41007 #41007".into(), "</Directory>".into()];
    let server = boot(&root, &lines, &[])?;
    expect_reply(&server, &String::from_utf8_lossy(&gained))?;
    let reply = ask(&server, "/cgi-bin/other/s")?.reply(Judge::Strict)?;
    if reply.body != b"41007\n" {
        return Err(show(&reply.body));
    }
    end(&root, server)
}

fn root_raises_a_hard_limit() -> Result<(), String> {
    let root = site("raised", "ulimit -S -n; ulimit -H -n; id -u", 65534)?;
    let lines = ["RLimitNOFILE 3000 4000".into()];
    let before = ["prlimit", "--nofile=1000:2000"];
    let raise = Command::new("prlimit")
        .args(["--nofile=1000:2000", "prlimit", "--nofile=3000:4000", "true"])
        .output();
    if !raise.map_err(|e| format!("prlimit: {e}"))?.status.success() {
        // Root of a container that is not trusted so far.
        let refused = boot(&root, &lines, &before).err().unwrap_or_default();
        let words = "RLimitNOFILE: it is above 2000, the hard limit that the server runs under; to raise that takes CAP_SYS_RESOURCE";
        return if refused.contains(words) { Ok(()) } else { Err(refused) };
    }
    let server = boot(&root, &lines, &before)?;
    expect_reply(&server, "3000\n4000\n65534\n")?;
    end(&root, server)
}

/// Only the user himself, and the server's group, can come to where the script is: the spawner finds it all the same.
fn a_script_under_a_directory_of_its_user_runs() -> Result<(), String> {
    let root = site("home", "id -u", 41_004)?;
    std::os::unix::fs::chown(root.join("cgi-bin"), Some(41_004), Some(65534)).map_err(|e| e.to_string())?;
    let inner = root.join("cgi-bin/inner");
    fs::create_dir(&inner).map_err(|e| e.to_string())?;
    fs::rename(root.join("cgi-bin/s"), inner.join("s")).map_err(|e| e.to_string())?;
    std::os::unix::fs::chown(&inner, Some(41_004), Some(41_004)).map_err(|e| e.to_string())?;
    server::set_mode(&inner, 0o755)?;
    server::set_mode(&root.join("cgi-bin"), 0o710)?;
    let server = boot(&root, &["SuexecUserGroup #41004 #41004".into()], &[])?;
    let reply = ask(&server, "/cgi-bin/inner/s")?.reply(Judge::Strict)?;
    if reply.body != b"41004\n" {
        return Err(format!("{reply:?}"));
    }
    end(&root, server)
}

fn a_script_outlives_the_spawner_that_made_it_another() -> Result<(), String> {
    let root = site(
        "outlives",
        "echo begun; until [ -e ../go ]; do sleep 0.02; done; id -u",
        41_005,
    )?;
    let server = boot(&root, &["SuexecUserGroup #41005 #41005".into()], &[])?;
    let mut wire = ask(&server, "/cgi-bin/s")?;
    wire.wait_for(b"begun")?;
    let spawner = i32::try_from(pid(&server, "spawner")?).ok().and_then(Pid::from_raw);
    kill_process(spawner.ok_or("no spawner")?, Signal::KILL).map_err(|e| e.to_string())?;
    said(&root, "the spawner died (signal 9 (SIGKILL)): it is started again")?;
    server::write(&root.join("go"), b"")?;
    let reply = wire.reply(Judge::Strict)?;
    if reply.body != b"begun\n41005\n" {
        return Err(format!("{reply:?}"));
    }
    expect_reply(&server, "begun\n41005\n")?;
    end(&root, server)
}

fn roles_and_scripts_see_the_jail_alone() -> Result<(), String> {
    let root = jail("jail", 65534)?;
    let server = boot_jail(&root, &[])?;
    let inside = fs::read_dir(root.join("jail")).map_err(|e| e.to_string())?;
    let mut inside: Vec<String> = inside.flatten().map(|e| e.file_name().display().to_string()).collect();
    inside.sort();
    let script = format!("/cgi-bin: {}\n65534\n", inside.join(" "));
    for (path, expected) in [("/", "inside\n"), ("/cgi-bin/s", &script)] {
        let reply = ask(&server, path)?.reply(Judge::Strict)?;
        if reply.body != expected.as_bytes() {
            return Err(format!("{path}: {}", show(&reply.body)));
        }
    }
    let caps = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(|set| format!("{set} {NONE}"));
    let [uid, gid, groups] = NOBODY;
    for role in ["worker", "spawner"] {
        expect_status(
            &server,
            role,
            [uid, gid, groups, &caps[0], &caps[1], &caps[2], &caps[3]],
        )?;
        let seen = fs::read_link(format!("/proc/{}/root", pid(&server, role)?)).map_err(|e| e.to_string())?;
        if seen != root.join("jail") {
            return Err(format!("{role}: {}", seen.display()));
        }
    }
    // A role that is started again takes its place as the first one did.
    let worker = i32::try_from(pid(&server, "worker")?).ok().and_then(Pid::from_raw);
    kill_process(worker.ok_or("no worker")?, Signal::KILL).map_err(|e| e.to_string())?;
    said(&root, "the worker died (signal 9 (SIGKILL)): it is started again")?;
    let reply = ask(&server, "/")?.reply(Judge::Strict)?;
    if reply.body != b"inside\n" {
        return Err(show(&reply.body));
    }
    end(&root, server)
}

fn scripts_of_others_run_in_the_jail() -> Result<(), String> {
    let root = jail("jail-suexec", 41_006)?;
    let server = boot_jail(&root, &["SuexecUserGroup #41006 #41006".into()])?;
    let reply = ask(&server, "/cgi-bin/s")?.reply(Judge::Strict)?;
    if !reply.body.ends_with(b"\n41006\n") {
        return Err(show(&reply.body));
    }
    let caps = status(&server, "spawner")?;
    if caps
        .get(5)
        .is_none_or(|effective| effective != "CapEff 00000000000000e4")
    {
        return Err(format!("{caps:?}"));
    }
    end(&root, server)
}

/// From the moment on that it is its user's a process can be stopped by him, and that is before it executes the script.
fn who_stops_his_own_scripts_stops_no_others() -> Result<(), String> {
    let root = site("stops", "id -u", 65534)?;
    let stops = "#!/usr/bin/perl\n$| = 1; print \"Content-Type: text/plain\\n\\nbegun\"; kill STOP => -1 while 1;\n";
    install(&root.join("cgi-bin/his/stops"), stops.as_bytes(), 41_008)?;
    install(&root.join("cgi-bin/his/s"), b"#!/bin/sh\n", 41_008)?;
    let section = format!("<Directory \"{}/cgi-bin/his\">", root.display());
    let lines = [section, "SuexecUserGroup #41008 #41008".into(), "</Directory>".into()];
    let server = boot(&root, &lines, &[])?;
    let mut stopping = ask(&server, "/cgi-bin/his/stops")?;
    stopping.wait_for(b"begun")?;
    let mut stopped = Vec::new();
    for _ in 0..20 {
        stopped.push(ask(&server, "/cgi-bin/his/s")?);
        expect_reply(&server, "65534\n")?;
    }
    end(&root, server)
}

/// A site with one script, which is its owner's, and the server's to enter.
fn site(name: &str, script: &str, owner: u32) -> Result<PathBuf, String> {
    let root = server::fresh_root(&format!("identity-{name}"));
    let text = format!("#!/bin/bash\nprintf 'Content-Type: text/plain\\n\\n'\n{script}\n");
    install(&root.join("cgi-bin/s"), text.as_bytes(), owner)?;
    Ok(root)
}

fn install(path: &Path, text: &[u8], owner: u32) -> Result<(), String> {
    server::write(path, text)?;
    server::set_mode(path, 0o755)?;
    for path in [path, path.parent().unwrap_or(path)] {
        std::os::unix::fs::chown(path, Some(owner), Some(owner)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// A site whose DocumentRoot and script are in `jail`, with a shell and what it is linked to.
fn jail(name: &str, owner: u32) -> Result<PathBuf, String> {
    let root = server::fresh_root(&format!("identity-{name}"));
    let jail = root.join("jail");
    server::write(&jail.join("www/index.html"), b"inside\n")?;
    let script = b"#!/sh\nprintf 'Content-Type: text/plain\\n\\n'\ncd /\nset -- *\necho \"$OLDPWD: $*\"\n/id -u\n";
    install(&jail.join("cgi-bin/s"), script, owner)?;
    for (program, to) in [("/bin/sh", "sh"), ("/usr/bin/id", "id")] {
        copy(Path::new(program), &jail.join(to))?;
        let told = Command::new("ldd")
            .arg(program)
            .output()
            .map_err(|e| format!("ldd: {e}"))?;
        for library in String::from_utf8_lossy(&told.stdout)
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            copy(Path::new(library), &jail.join(library.trim_start_matches('/')))?;
        }
    }
    Ok(root)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let told = |e: std::io::Error| format!("{} to {}: {e}", from.display(), to.display());
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(told)?;
    fs::copy(from, to).map_err(told)?;
    Ok(())
}

fn boot_jail(root: &Path, lines: &[String]) -> Result<Server, String> {
    let mut all = vec![
        format!("ChrootDir \"{}/jail\"", root.display()),
        "DocumentRoot /www".into(),
        "DirectoryIndex index.html".into(),
        "ScriptAlias /cgi-bin/ /cgi-bin/".into(),
        "User nobody".into(),
        "Group nogroup".into(),
    ];
    all.extend_from_slice(lines);
    server::write_config(root, &all, "127.0.0.1:0")?;
    Server::boot(root, server::program(root, true, &[])?, &[], "")
}

/// Starts the server as root, through the program `before` with its arguments, if any.
fn boot(root: &Path, lines: &[String], before: &[&str]) -> Result<Server, String> {
    let mut all = vec![
        format!("ScriptAlias /cgi-bin/ \"{}/cgi-bin/\"", root.display()),
        "User nobody".into(),
        "Group nogroup".into(),
    ];
    all.extend_from_slice(lines);
    server::write_config(root, &all, "127.0.0.1:0")?;
    let plain = server::program(root, true, &[])?;
    let command = match before {
        [] => plain,
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(plain.get_program());
            command.current_dir(root).stdin(std::process::Stdio::null());
            command
        }
    };
    Server::boot(root, command, &[], "")
}

fn expect_reply(server: &Server, expected: &str) -> Result<(), String> {
    let reply = ask(server, "/cgi-bin/s")?.reply(Judge::Strict)?;
    if reply.body == expected.as_bytes() {
        Ok(())
    } else {
        Err(format!("{reply:?}"))
    }
}

fn pid(server: &Server, name: &str) -> Result<u32, String> {
    role(server, name).map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
}
