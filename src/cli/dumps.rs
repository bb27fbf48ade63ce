//! `-S` and the `-D DUMP_…` names: the configuration as it was understood, in Apache's shapes.

use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use crate::config::define::Defines;
use crate::config::directives::log::LogTarget;
use crate::config::load::Loaded;
use crate::config::logs::error_target;
use crate::config::reader::Included;
use crate::config::site::{Config, Site, document_root};
use crate::process::identity::Identity;

use super::plan::pid_file;

/// `DUMP_VHOSTS`: the virtual hosts by address, exact addresses first.
pub(super) fn virtual_hosts(config: &Config) -> String {
    let mut exact: Vec<_> = config.hosts.exact.iter().collect();
    exact.sort();
    let mut any: Vec<_> = config.hosts.any.iter().collect();
    any.sort();
    let mut out = "VirtualHost configuration:\n".to_owned();
    for ((address, port), numbers) in exact {
        let host = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        address_hosts(config, &host, *port, numbers, &mut out);
    }
    for (port, numbers) in any {
        address_hosts(config, "*", *port, numbers, &mut out);
    }
    out
}

fn address_hosts(config: &Config, host: &str, port: Option<u16>, numbers: &[usize], out: &mut String) {
    let port = port.map_or_else(|| "*".to_owned(), |port| port.to_string());
    let address = format!("{host}:{port}");
    let sites: Vec<&Site> = numbers.iter().filter_map(|number| config.sites.get(*number)).collect();
    let Some(first) = sites.first() else { return };
    if sites.len() == 1 {
        return line(out, &format_args!("{address:<22} {}", named(config, first)));
    }
    line(out, &format_args!("{address:<22} is a NameVirtualHost"));
    line(out, &format_args!("{:8} default server {}", "", named(config, first)));
    for site in sites {
        line(
            out,
            &format_args!("{:8} port {port} namevhost {}", "", named(config, site)),
        );
        let aliases = || {
            site.settings
                .core
                .aliases
                .iter()
                .map(|alias| String::from_utf8_lossy(alias))
        };
        let is_wild = |alias: &str| alias.contains(['*', '?']);
        for alias in aliases().filter(|alias| !is_wild(alias)) {
            line(out, &format_args!("{:16} alias {alias}", ""));
        }
        for alias in aliases().filter(|alias| is_wild(alias)) {
            line(out, &format_args!("{:16} wild alias {alias}", ""));
        }
    }
}

/// A site's name and place: `www.example (conf/httpd.conf:12)`.
fn named(config: &Config, site: &Site) -> String {
    let name = site
        .settings
        .core
        .name
        .value()
        .map_or(&config.host_name, |name| &name.host);
    let place = site.span.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{} ({place})", String::from_utf8_lossy(name))
}

/// `DUMP_RUN_CFG`: the settings of the main server.
pub(super) fn run_settings(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let mut out = String::new();
    let mut quoted = |name: &str, value: &[u8]| {
        line(
            &mut out,
            &format_args!("{name}: \"{}\"", String::from_utf8_lossy(value)),
        );
    };
    quoted("ServerRoot", &config.server_root);
    if let Some(main) = config.sites.first() {
        quoted("Main DocumentRoot", &document_root(config, main));
        match error_target(config, main) {
            LogTarget::File(path) => quoted("Main ErrorLog", &path),
            target @ LogTarget::System(_) => quoted("Main ErrorLog", target.to_string().as_bytes()),
            LogTarget::Program { command, .. } => quoted("Main ErrorLog", &[b"|", command.as_slice()].concat()),
        }
    }
    quoted(
        "PidFile",
        std::os::unix::ffi::OsStrExt::as_bytes(pid_file(config).as_os_str()),
    );
    defines(&loaded.settings.defines, &mut out);
    identity(config, &mut out);
    out
}

fn defines(defines: &Defines, out: &mut String) {
    for name in defines.names() {
        let shown = String::from_utf8_lossy(name);
        match defines.value(name) {
            Some(value) => line(out, &format_args!("Define: {shown}={}", String::from_utf8_lossy(value))),
            None => line(out, &format_args!("Define: {shown}")),
        }
    }
}

/// Who it would serve as. Apache says `not_used` when it is not root who asks.
fn identity(config: &Config, out: &mut String) {
    let core = &config.server.core;
    let Some(user) = core.user.value() else { return };
    let group = core.group.value();
    let Ok(identity) = Identity::look_up(user, group.map(Vec::as_slice)) else {
        return;
    };
    let unused = if Identity::process_is_root() { "" } else { " not_used" };
    let mut one = |kind: &str, word: &[u8], id: u32| {
        let word = String::from_utf8_lossy(word);
        line(out, &format_args!("{kind}: name=\"{word}\" id={id}{unused}"));
    };
    one("User", user, identity.uid);
    if let Some(group) = group {
        one("Group", group, identity.gid);
    }
}

/// `DUMP_INCLUDES`: the files, each with the line that asked for it, below the one that did.
pub(super) fn includes(included: &[Included]) -> String {
    let mut out = "Included configuration files:\n".to_owned();
    for file in included {
        let by = file
            .by
            .as_ref()
            .map_or_else(|| "*".to_owned(), |span| span.line.to_string());
        let indent = "  ".repeat(file.depth + 1);
        line(&mut out, &format_args!("{indent}({by}) {}", file.file));
    }
    out
}

fn line(out: &mut String, text: &dyn Display) {
    let _a_string_takes_all = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{run_settings, virtual_hosts};
    use crate::config::load::load_text;

    /// The output of `apache2 -t -D DUMP_VHOSTS` for the same text, apart from the order of addresses, which Apache takes
    /// from a hash table.
    #[test]
    fn virtual_hosts_are_printed_as_apache_prints_them() {
        let text = b"ServerName main.example\n\
            <VirtualHost *:9999>\nServerName a.example\nServerAlias b.example *.c.example\n</VirtualHost>\n\
            <VirtualHost *:9999>\nServerName z.example:77\n</VirtualHost>\n\
            <VirtualHost 127.0.0.1:9998 [::1]:9998>\nServerName a1.example\n</VirtualHost>\n\
            <VirtualHost 10.0.0.1>\nServerName ten.example\n</VirtualHost>\n\
            <VirtualHost _default_:443>\nServerName dd.example\n</VirtualHost>\n";
        let loaded = load_text("t.conf", text, Path::new("/srv"));
        let want = "VirtualHost configuration:\n\
            10.0.0.1:*             ten.example (t.conf:12)\n\
            127.0.0.1:9998         a1.example (t.conf:9)\n\
            [::1]:9998             a1.example (t.conf:9)\n\
            *:443                  dd.example (t.conf:15)\n\
            *:9999                 is a NameVirtualHost\n\
            \x20        default server a.example (t.conf:2)\n\
            \x20        port 9999 namevhost a.example (t.conf:2)\n\
            \x20                alias b.example\n\
            \x20                wild alias *.c.example\n\
            \x20        port 9999 namevhost z.example (t.conf:6)\n";
        assert_eq!(virtual_hosts(&loaded.config), want);
        let none = load_text("t.conf", b"", Path::new("/srv"));
        assert_eq!(virtual_hosts(&none.config), "VirtualHost configuration:\n");
    }

    #[test]
    fn run_settings_are_printed_as_apache_prints_them() {
        let text = b"PidFile a.pid\nErrorLog err\nDocumentRoot /tmp\nDefine FOO bar\nDefine BARE\n";
        let loaded = load_text("t.conf", text, Path::new("/srv"));
        assert_eq!(
            run_settings(&loaded),
            "ServerRoot: \"/srv\"\nMain DocumentRoot: \"/tmp\"\nMain ErrorLog: \"/srv/err\"\nPidFile: \"/srv/a.pid\"\n\
             Define: BARE\nDefine: FOO=bar\n"
        );
    }
}
