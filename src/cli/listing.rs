//! `-v`, `-V`, `-l`, `-M`, `-L`: what this program is and has, in Apache's shapes.

use std::io::{self, Write};

use crate::base::version;
use crate::config::directives;
use crate::config::load::MODULES;
use crate::config::table::{DIRECTORY, Directive, HTACCESS, Override, SITES, Set};

use super::place::{HTTPD_ROOT, SERVER_CONFIG_FILE};

/// `-v`.
pub(super) fn version(out: &mut dyn Write) -> io::Result<()> {
    let [major, minor, patch] = version::APACHE;
    let ours = version::VERSION;
    writeln!(
        out,
        "Server version: lychgate/{ours} Apache/{major}.{minor}.{patch} (compatible)"
    )
}

/// `-V`.
pub(super) fn settings(out: &mut dyn Write) -> io::Result<()> {
    version(out)?;
    writeln!(out, "Architecture:   {}-bit", usize::BITS)?;
    writeln!(out, "Server MPM:     lychgate")?;
    writeln!(out, "  threaded:     yes (fixed thread count)")?;
    writeln!(out, "    forked:     no")?;
    writeln!(out, "Server compiled with....")?;
    for (name, value) in [
        ("HTTPD_ROOT", HTTPD_ROOT),
        ("DEFAULT_PIDLOG", "logs/httpd.pid"),
        ("DEFAULT_ERRORLOG", "logs/error_log"),
        ("AP_TYPES_CONFIG_FILE", "conf/mime.types"),
        ("SERVER_CONFIG_FILE", SERVER_CONFIG_FILE),
    ] {
        writeln!(out, " -D {name}=\"{value}\"")?;
    }
    Ok(())
}

/// `-l`.
pub(super) fn compiled_in(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Compiled in modules:")?;
    MODULES.iter().try_for_each(|(file, _)| writeln!(out, "  {file}"))
}

/// `-M`.
pub(super) fn loaded_modules(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Loaded Modules:")?;
    MODULES
        .iter()
        .try_for_each(|(_, identifier)| writeln!(out, " {identifier} (static)"))
}

/// `-L`.
pub(super) fn directives(out: &mut dyn Write) -> io::Result<()> {
    let supported = |directive: &&Directive| !matches!(directive.set, Set::Ignored(_));
    let mut all: Vec<&Directive> = directives::all().filter(supported).collect();
    all.sort_by_key(|directive| directive.name.trim_start_matches('<').to_ascii_lowercase());
    all.into_iter().try_for_each(|directive| describe(directive, out))
}

fn describe(directive: &Directive, out: &mut dyn Write) -> io::Result<()> {
    let name = directive.name.trim_end_matches('>');
    let module = match directive.module {
        "mpm_common" | "lychgate" => "core",
        module => module,
    };
    writeln!(out, "{name} ({module}.c)")?;
    writeln!(out, "\t{}", directive.summary)?;
    let outside = directive.allowed.covers(SITES) || !directive.allowed.covers(DIRECTORY);
    let place = match (outside, directive.allowed.covers(DIRECTORY)) {
        (true, true) => "anywhere",
        (true, false) => "only outside <Directory>, <Files>, <Location>, or <If>",
        (false, _) => "only inside <Directory>, <Files>, <Location>, or <If>",
    };
    write!(out, "\tAllowed in *.conf {place}")?;
    if directive.allowed.covers(HTACCESS) {
        write!(
            out,
            " and in .htaccess\n\twhen AllowOverride {}",
            class(directive.overrides)
        )?;
    }
    writeln!(out)
}

fn class(overrides: Override) -> &'static str {
    match overrides {
        Override::None | Override::Any => "isn't None",
        Override::AuthConfig => "includes AuthConfig",
        Override::FileInfo => "includes FileInfo",
        Override::Indexes => "includes Indexes",
        Override::Limit => "includes Limit",
        Override::Options => "includes Options",
        Override::Access => "includes AuthConfig or Limit",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use crate::base::version::VERSION;

    fn printed(print: fn(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).expect("memory takes it");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_version_reads_as_apaches() {
        assert_eq!(
            printed(super::version),
            format!("Server version: lychgate/{VERSION} Apache/2.4.71 (compatible)\n")
        );
        let settings = printed(super::settings);
        for line in [
            "Server MPM:     lychgate\n",
            " -D HTTPD_ROOT=\"",
            " -D SERVER_CONFIG_FILE=\"conf/httpd.conf\"\n",
        ] {
            assert!(settings.contains(line), "{line}\n{settings}");
        }
    }

    #[test]
    fn modules_are_listed_by_file_and_by_identifier() {
        let files = printed(super::compiled_in);
        assert!(
            files.starts_with("Compiled in modules:\n  core.c\n  http_core.c\n  mod_so.c\n"),
            "{files}"
        );
        let loaded = printed(super::loaded_modules);
        assert!(
            loaded.starts_with("Loaded Modules:\n core_module (static)\n"),
            "{loaded}"
        );
        assert_eq!(files.lines().count(), loaded.lines().count());
    }

    #[test]
    fn directives_say_where_they_may_stand() {
        let listed = printed(super::directives);
        for entry in [
            "DirectoryIndex (mod_dir.c)\n\tName the files",
            "Listen (core.c)\n\tName an address and port to listen on.\n\
             \tAllowed in *.conf only outside <Directory>, <Files>, <Location>, or <If>\n",
            "<IfModule (core.c)\n",
        ] {
            assert!(listed.contains(entry), "{entry}\n{listed}");
        }
    }
}
