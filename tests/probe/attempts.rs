//! What the probe tries, line by line: the number of the principle it belongs to, a name, a verb of `apps/probe.c` and its
//! words.
//!
//! The numbers are those of the privileges chapter's table: 01 other sites, 02 the server's own files, 03 what a site
//! serves, 04 sources of scripts, 05 other processes, 06 other clients, 07 ports, 08 the network, 09 privileges,
//! 10 the machine's resources, 11 life after the request, 14 the environment, 15 the logs, 16 what stays behind.

use super::world::World;

/// The line about what outlives the request.
pub const LEFT_BEHIND: &str = "11 leave a process behind";

/// What that process calls itself.
pub fn daemon_name(world: &World) -> String {
    format!("left-by-{}", world.port)
}

/// The whole list for a world that runs, as the file that the probe reads.
pub fn list(world: &World) -> String {
    let sites = &world.seen_sites;
    let root = world.root.display().to_string();
    let place = |below: &str| format!("{sites}/{below}");
    let server = |name: &str| format!("{root}/{name}");
    let mut lines = Lines::default();
    files(&mut lines, &place, &server);
    for (who, pid) in [
        ("sibling", world.sibling),
        ("worker", world.worker),
        ("spawner", world.spawner),
        ("launcher", world.launcher),
    ] {
        process(&mut lines, who, &pid.to_string());
    }
    network(&mut lines, world, &place, &server);
    privileges(&mut lines, &place, &server);
    resources(&mut lines, &place);
    lines.add(LEFT_BEHIND, &["daemon", &daemon_name(world)]);
    lines.add("14 names in the environment", &["environment"]);
    lines.add("15 cut the log through stderr", &["cut-stderr"]);
    lines.add("15 forge lines of the log", &["forge", super::FORGED]);
    for directory in ["/tmp", "/var/tmp", "/dev/shm"] {
        // Of each world another: several are tried at once.
        let file = format!("{directory}/lychgate-probe.{}.{}", std::process::id(), world.worker);
        lines.add(&format!("16 create a file in {directory}"), &["create", &file]);
    }
    lines.0
}

fn files(lines: &mut Lines, place: &dyn Fn(&str) -> String, server: &dyn Fn(&str) -> String) {
    for (name, verb, path) in [
        ("00 read own data", "read", place("a/data/own.txt")),
        ("00 write own data", "write", place("a/data/own.txt")),
        ("00 create in own data", "create", place("a/data/new")),
        ("00 read /etc/passwd", "read", "/etc/passwd".into()),
        ("00 run /bin/sh", "execute", "/bin/sh".into()),
        ("01 read a sibling's script", "read", place("b/cgi-bin/secrets.cgi")),
        ("01 run a sibling's script", "execute", place("b/cgi-bin/secrets.cgi")),
        ("01 list a sibling's data", "list", place("b/data")),
        ("01 read a sibling's data", "read", place("b/data/secret")),
        ("01 write a sibling's data", "write", place("b/data/secret")),
        ("01 connect to a sibling's socket", "unix", place("b/data/app.sock")),
        ("01 read a public file of others", "read", server("public.txt")),
        ("02 read the configuration", "read", server("httpd.conf")),
        ("02 write the configuration", "write", server("httpd.conf")),
        ("02 read a key", "read", server("key.pem")),
        ("02 write the pid file", "write", server("httpd.pid")),
        ("02 create beside them", "create", server("new")),
        ("02 read /etc/shadow", "read", "/etc/shadow".into()),
        (
            "03 write a script of its own place",
            "write",
            place("a/cgi-bin/other.cgi"),
        ),
        ("03 rename its own program", "rename", place("a/cgi-bin/probe")),
        ("03 change its own program's mode", "chmod", place("a/cgi-bin/probe")),
        ("03 create in its own place", "create", place("a/cgi-bin/new")),
        ("03 read its own pages", "read", place("a/htdocs/index.html")),
        ("03 write its own pages", "write", place("a/htdocs/index.html")),
        ("03 create among its own pages", "create", place("a/htdocs/new")),
        ("03 write a sibling's pages", "write", place("b/htdocs/index.html")),
        ("03 read the access log", "read", server("access.log")),
        ("03 write the access log", "write", server("access.log")),
        ("03 append to the error log", "append", server("error.log")),
        ("03 rename the error log", "rename", server("error.log")),
    ] {
        lines.add(name, &[verb, &path]);
    }
}

fn process(lines: &mut Lines, who: &str, pid: &str) {
    for (what, words) in [
        ("signal", &["signal", pid][..]),
        ("trace", &["ptrace", pid]),
        ("read memory of", &["vm-read", pid]),
        ("open memory of", &["proc", pid, "mem"]),
        ("environment of", &["proc", pid, "environ"]),
        ("memory map of", &["proc", pid, "maps"]),
        ("descriptors of", &["proc", pid, "fd"]),
        ("command line of", &["proc", pid, "cmdline"]),
        ("take a descriptor of", &["getfd", pid]),
        ("limits of", &["prlimit", pid]),
        ("renice", &["renice", pid]),
    ] {
        lines.add(&format!("05 {what} the {who}"), words);
    }
}

fn network(lines: &mut Lines, world: &World, place: &dyn Fn(&str) -> String, server: &dyn Fn(&str) -> String) {
    lines.add("06 open a packet socket", &["socket", "packet"]);
    lines.add("06 open a raw socket", &["socket", "raw"]);
    lines.add("06 open a raw IPv6 socket", &["socket", "raw6"]);
    lines.add("06 open a netlink socket", &["socket", "netlink"]);
    lines.add("07 listen on a port of its choice", &["bind", "0"]);
    lines.add("07 take the server's port", &["bind", &world.port.to_string()]);
    lines.add("07 join the server's port", &["bind-beside", &world.port.to_string()]);
    let daemon = world.daemon_port.to_string();
    lines.add("08 TCP to the loopback", &["tcp", "127.0.0.1", &daemon]);
    // Multicast: the kernel finds no way, before a packet is sent, unless somebody forbids it earlier.
    lines.add("08 TCP to elsewhere", &["tcp", "224.0.0.1", "9"]);
    lines.add("08 TCP by fast open", &["fastopen", "127.0.0.1", &daemon]);
    lines.add("08 TCP by several paths", &["mptcp", "127.0.0.1", &daemon]);
    lines.add("08 UDP to the loopback", &["udp", "127.0.0.1", &daemon]);
    lines.add("08 UDP to elsewhere", &["udp", "169.254.169.254", "53"]);
    lines.add("08 an abstract socket", &["abstract", &world.abstract_name]);
    lines.add("08 a socket in the file system", &["unix", &server("daemon.sock")]);
    lines.add("08 a socket in its own data", &["unix", &place("a/data/own.sock")]);
}

fn privileges(lines: &mut Lines, place: &dyn Fn(&str) -> String, server: &dyn Fn(&str) -> String) {
    for what in ["user", "group", "groups"] {
        lines.add(&format!("09 its {what}"), &["identity", what]);
    }
    lines.add("09 its capabilities", &["capabilities"]);
    lines.add("09 no_new_privs", &["state", "no_new_privs"]);
    lines.add("09 seccomp", &["state", "seccomp"]);
    lines.add("09 run a set-user-id program", &["setuid-program", &server("setuid")]);
    lines.add("09 become root", &["become", "root"]);
    lines.add("09 take root's group", &["become", "root-group"]);
    lines.add("09 change its groups", &["become", "groups"]);
    lines.add("09 make a user namespace", &["unshare", "user"]);
    lines.add("09 make a mount namespace", &["unshare", "mount"]);
    lines.add("09 mount", &["mount", &place("a/data")]);
    lines.add("09 chroot", &["chroot", &place("a")]);
    lines.add("09 set up an io_uring", &["call", "io_uring"]);
    lines.add("09 use the kernel's keyrings", &["call", "keyctl"]);
    lines.add("09 make a device", &["device", &place("a/data/device")]);
}

fn resources(lines: &mut Lines, place: &dyn Fn(&str) -> String) {
    for limit in ["cpu", "as", "nproc", "nofile", "fsize", "core"] {
        lines.add(&format!("10 limit {limit}"), &["limit", limit]);
    }
    lines.add("10 raise a limit", &["raise-limit", "nofile"]);
    lines.add("10 umask", &["state", "umask"]);
    lines.add("10 nice", &["state", "nice"]);
    lines.add("10 2 GiB of memory", &["memory", "2048"]);
    lines.add("10 a file of 8 GiB", &["file-size", &place("a/data/large"), "8192"]);
    lines.add("10 200 descriptors", &["open-many", "200"]);
    lines.add("10 100 processes", &["fork-many", "100"]);
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, words: &[&str]) {
        self.0 += name;
        for word in words {
            self.0.push('|');
            self.0 += word;
        }
        self.0.push('\n');
    }
}
