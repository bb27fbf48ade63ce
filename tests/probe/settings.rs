//! The settings under which the probe runs, one line each, and the configuration that each of them stands for.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::User;

use super::world::site_users;
use crate::support::server::{self, bench};

/// Who starts the server, and whose the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// An ordinary user does, and all is theirs.
    Ordinary,
    /// Root does; both sites' scripts run as `User`, to whom their data belong; programs and pages are root's.
    Shared,
    /// Root does; each site has a user of its own, to whom everything of it belongs.
    Own,
}

/// One setting under which the probe runs: one table.
pub struct Setting {
    pub name: &'static str,
    pub given: Given,
    /// Lines for the whole server.
    pub server: &'static [&'static str],
    /// Lines for the site of the probe.
    pub site: &'static [&'static str],
    /// Modules, for a setting that Apache is asked under; ours otherwise.
    pub apache: Option<&'static [&'static str]>,
    /// The table, as the program has it from its compilation: later, we may be somebody who cannot read it. For a new
    /// setting, make an empty file first.
    pub expected: &'static str,
}

/// All of them.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "user",
        given: Given::Ordinary,
        server: &[],
        site: &[],
        apache: None,
        expected: include_str!("user.txt"),
    },
    Setting {
        name: "root",
        given: Given::Shared,
        server: &[],
        site: &[],
        apache: None,
        expected: include_str!("root.txt"),
    },
    Setting {
        name: "root-suexec",
        given: Given::Own,
        server: &[],
        site: &[],
        apache: None,
        expected: include_str!("root-suexec.txt"),
    },
    Setting {
        name: "root-limits",
        given: Given::Shared,
        server: &[],
        site: LIMITS,
        apache: None,
        expected: include_str!("root-limits.txt"),
    },
    Setting {
        name: "root-chroot",
        given: Given::Shared,
        server: &["ChrootDir $ROOT/sites"],
        site: &[],
        apache: None,
        expected: include_str!("root-chroot.txt"),
    },
    Setting {
        name: "user-sandbox",
        given: Given::Ordinary,
        server: SANDBOX,
        site: OWN_DATA,
        apache: None,
        expected: include_str!("user-sandbox.txt"),
    },
    Setting {
        name: "user-sandbox-loopback",
        given: Given::Ordinary,
        server: SANDBOX,
        site: OWN_DATA_AND_LOOPBACK,
        apache: None,
        expected: include_str!("user-sandbox-loopback.txt"),
    },
    Setting {
        name: "user-sandbox-any",
        given: Given::Ordinary,
        server: SANDBOX,
        site: OWN_DATA_AND_NETWORK,
        apache: None,
        expected: include_str!("user-sandbox-any.txt"),
    },
    Setting {
        name: "root-sandbox",
        given: Given::Shared,
        server: SANDBOX,
        site: OWN_DATA,
        apache: None,
        expected: include_str!("root-sandbox.txt"),
    },
    Setting {
        name: "root-suexec-sandbox",
        given: Given::Own,
        server: SANDBOX,
        site: OWN_DATA,
        apache: None,
        expected: include_str!("root-suexec-sandbox.txt"),
    },
    Setting {
        name: "apache-chroot",
        given: Given::Shared,
        server: &["ChrootDir $ROOT/sites", "StartServers 2"],
        site: &[],
        apache: Some(&["mpm_prefork", "cgi"]),
        expected: include_str!("apache-chroot.txt"),
    },
    Setting {
        name: "apache-cgid",
        given: Given::Shared,
        server: &["ScriptSock $ROOT/cgid.sock"],
        site: &[],
        apache: Some(&["mpm_event", "cgid"]),
        expected: include_str!("apache-cgid.txt"),
    },
    Setting {
        name: "apache-cgi",
        given: Given::Shared,
        server: &["StartServers 2"],
        site: &[],
        apache: Some(&["mpm_prefork", "cgi"]),
        expected: include_str!("apache-cgi.txt"),
    },
    Setting {
        name: "apache-suexec",
        given: Given::Own,
        server: &["StartServers 2"],
        site: &[],
        apache: Some(&["mpm_prefork", "cgi", "suexec"]),
        expected: include_str!("apache-suexec.txt"),
    },
];

const SANDBOX: &[&str] = &["ScriptSandbox basic"];
const OWN_DATA: &[&str] = &["ScriptSandboxWrite $SITES/a/data"];
const OWN_DATA_AND_LOOPBACK: &[&str] = &["ScriptSandboxWrite $SITES/a/data", "ScriptSandboxTCP loopback"];
const OWN_DATA_AND_NETWORK: &[&str] = &["ScriptSandboxWrite $SITES/a/data", "ScriptSandboxTCP any"];

const LIMITS: &[&str] = &[
    "RLimitCPU 60 120",
    "RLimitMEM 1000000000 1000000000",
    "RLimitNPROC 60 60",
    "RLimitNOFILE 100 100",
    "RLimitFSIZE 1000000000 1000000000",
    "RLimitCORE 0 0",
    "Umask 027",
    "Nice 5",
    "CGIProcessTree kill",
];

/// Modules that every setting of Apache needs.
const APACHE_MODULES: &[&str] = &["authz_core", "alias", "mime"];

impl Setting {
    pub fn golden(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/probe/{}.txt", self.name))
    }

    /// Why it cannot be asked here: suexec's directory is in a file below /etc, which is the administrator's.
    pub fn missing(&self) -> Option<String> {
        if !self.apache.is_some_and(|modules| modules.contains(&"suexec")) {
            return None;
        }
        let settings = fs::read_to_string("/etc/apache2/suexec/www-data").unwrap_or_default();
        let allows = settings
            .lines()
            .next()
            .is_some_and(|root| bench().directory.starts_with(root));
        let here = bench().directory.display();
        (!allows).then(|| format!("apache2-suexec-custom is not there, or not told about {here}"))
    }

    /// Who scripts run as where root's server is told nothing else. Apache needs one with a name: for a number without one
    /// it writes an alert (AH02155), and goes on as root.
    pub fn server_user(&self) -> u32 {
        let named = self.apache.and_then(|_| User::from_name("www-data").ok().flatten());
        named.map_or_else(|| self.own_user(0), |user| user.uid.as_raw())
    }

    /// A user that no other setting has, nor another run at the same time: processes are counted by user. It has no name.
    pub fn own_user(&self, which: u32) -> u32 {
        let row = SETTINGS
            .iter()
            .position(|setting| setting.name == self.name)
            .unwrap_or(0);
        40_000 + std::process::id() % 250 * 100 + u32::try_from(row).unwrap_or(0) * 4 + which
    }

    /// The lines of the configuration.
    pub fn config(&self, port: u16) -> Vec<String> {
        let mut lines: Vec<String> = self.server.iter().map(ToString::to_string).collect();
        if self.given != Given::Ordinary {
            let user = self.server_user();
            lines.extend([format!("User #{user}"), format!("Group #{user}")]);
        }
        if self.apache.is_none() {
            // Apache looks for it outside of ChrootDir too.
            lines.push("DocumentRoot \"$SITES/a/htdocs\"".into());
        }
        for (name, user) in ["a", "b"].into_iter().zip(site_users(self)) {
            lines.extend([
                format!("<VirtualHost 127.0.0.1:{port}>"),
                format!("ServerName {name}.example"),
                format!("DocumentRoot \"$SITES/{name}/htdocs\""),
                format!("ScriptAlias /cgi-bin/ \"$SITES/{name}/cgi-bin/\""),
            ]);
            if self.given == Given::Own {
                lines.push(format!("SuexecUserGroup #{user} #{user}"));
            }
            if name == "a" {
                lines.extend(self.site.iter().map(ToString::to_string));
            }
            lines.push("</VirtualHost>".into());
        }
        lines.extend(["<Directory \"$SITES\">", "Require all granted", "</Directory>"].map(String::from));
        lines
    }

    /// Where the sites are for whoever runs as this setting says.
    pub fn sites_seen(&self, root: &Path) -> String {
        if self.server.iter().any(|line| line.starts_with("ChrootDir ")) {
            String::new()
        } else {
            root.join("sites").display().to_string()
        }
    }

    pub fn command(&self, root: &Path) -> Result<Command, String> {
        let Some(modules) = self.apache else {
            return server::program(root, self.given != Given::Ordinary, &[]);
        };
        let load = |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        let lines: String = modules.iter().chain(APACHE_MODULES).map(load).collect();
        server::write(&root.join("modules.conf"), lines.as_bytes())?;
        // Without what we have inherited ourselves; and in a group of its own, for at its end it signals its group.
        let closing =
            "for fd in /proc/$$/fd/*; do [ ${fd##*/} -le 2 ] || eval \"exec ${fd##*/}>&-\"; done; exec \"$@\"";
        let mut command = Command::new("bash");
        command
            .args(["-c", closing, "bash"])
            .arg(&bench().program)
            .process_group(0);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.current_dir(root);
        command.args([
            "-C",
            &format!("Include {}/modules.conf", root.display()),
            "-C",
            &format!("DefaultRuntimeDir {}", root.display()),
        ]);
        Ok(command)
    }
}
