//! Applications behind a server: our own FastCGI responder, and php-fpm with a pool of its own. They live as long as their
//! test, as the user that the server runs as.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::processes;
use crate::support::server::{self, bench, kill, poll, server_uid};
use crate::support::tls;

/// An application that runs.
pub struct Application {
    child: Child,
}

/// Starts the application that a case names: `testapp [--one|--scgi]` on `$ROOT/app.sock` and the port, the same with a
/// socket's name on that one alone, or `php-fpm [children]` on `$ROOT/php.sock`.
pub fn start(words: &str, root: &Path, as_root: bool, port: u16) -> Result<Application, String> {
    let mut words = words.split_whitespace();
    match words.next() {
        Some("testapp") => {
            let mode = words.next().unwrap_or("--fastcgi");
            let mut command = Command::new(bench().directory.join("apps/testapp"));
            let name = words.next();
            let socket = root.join(name.unwrap_or("app.sock"));
            command.arg(mode).arg(&socket);
            if name.is_none() {
                command.arg(port.to_string());
            }
            Application::begin(command, root, as_root, &socket)
        }
        Some("php-fpm") => php_fpm(root, as_root, words.next().unwrap_or("2")),
        other => Err(format!("no application `{}` is known here", other.unwrap_or_default())),
    }
}

/// Where Debian has php-fpm, whatever its version.
pub fn php_fpm_program() -> Option<PathBuf> {
    let found = fs::read_dir("/usr/sbin").ok()?.flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = found
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"))
        })
        .collect();
    found.sort();
    found.pop()
}

fn php_fpm(root: &Path, as_root: bool, children: &str) -> Result<Application, String> {
    let program = php_fpm_program().ok_or("php-fpm is not installed")?;
    let at = root.display();
    let pool = format!(
        "[global]\nerror_log = {at}/php-fpm.log\ndaemonize = no\n[www]\nlisten = {at}/php.sock\nlisten.mode = 0666\n\
         pm = static\npm.max_children = {children}\ncatch_workers_output = yes\nphp_admin_value[error_log] =\n\
         php_admin_flag[log_errors] = on\nphp_admin_flag[display_errors] = off\nphp_admin_value[session.save_path] = {at}\n\
         php_admin_value[upload_tmp_dir] = {at}\n"
    );
    server::write(&root.join("php-fpm.conf"), pool.as_bytes())?;
    let mut command = Command::new(program);
    command.arg("-y").arg(root.join("php-fpm.conf")).arg("-F");
    if as_root {
        command.arg("-R");
    }
    Application::begin(command, root, as_root, &root.join("php.sock"))
}

impl Application {
    /// Starts a program that takes its connections from descriptor 0, as the FastCGI specification has it (section 2.2).
    pub fn with_socket(command: Command, root: &Path, socket: &Path) -> Result<Application, String> {
        let listener = UnixListener::bind(socket).map_err(|e| format!("{}: {e}", socket.display()))?;
        server::set_mode(socket, 0o666)?;
        Application::spawned(command, root, false, Stdio::from(OwnedFd::from(listener)))
            .map(|child| Application { child })
    }

    /// Starts a program that will listen on this socket.
    pub fn begin(command: Command, root: &Path, as_root: bool, socket: &Path) -> Result<Application, String> {
        let mut child = Application::spawned(command, root, as_root, Stdio::null())?;
        let listens = poll(Duration::from_secs(20), || match child.try_wait() {
            Ok(Some(status)) => Ok(Err(format!("the application ended at once: {status}"))),
            _ => UnixStream::connect(socket)
                .map(|_| Ok(()))
                .map_err(|e| format!("the application does not listen: {e}")),
        });
        let application = Application { child };
        listens??;
        Ok(application)
    }

    fn spawned(mut command: Command, root: &Path, as_root: bool, stdin: Stdio) -> Result<Child, String> {
        command
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TLS", tls::directory())
            .current_dir(root)
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if server::privileged() && !as_root {
            command.uid(server_uid(as_root)).gid(server_uid(as_root));
        }
        command.spawn().map_err(|e| format!("application: {e}"))
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // The first one ends its own, those included that it is just starting.
        kill(self.child.id(), Signal::TERM);
        let ended = poll(Duration::from_secs(5), || match self.child.try_wait() {
            Ok(None) => Err("it goes on".to_owned()),
            _ => Ok(()),
        });
        if ended.is_ok() {
            return;
        }
        let family = processes::descendants(self.child.id());
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
        for process in family.iter().filter(|process| process.pid != self.child.id()) {
            kill(process.pid, Signal::KILL);
        }
    }
}
