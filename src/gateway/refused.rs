//! Variables that a script is not given from everywhere, for whoever sets them decides what runs in it.

use crate::gateway::request::Origin;

/// Variables that tell the loader, the C library or a shell what to run or where to look. Only the server's own
/// configuration may set them.
const STEER: &[&str] = &[
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "ENV",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "GLOBIGNORE",
    "HOSTALIASES",
    "IFS",
    "LOCALDOMAIN",
    "LOCPATH",
    "NIS_PATH",
    "NLSPATH",
    "PROMPT_COMMAND",
    "PS4",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "SHELLOPTS",
    "TZDIR",
];
const STEER_PREFIXES: &[&str] = &["BASH_FUNC_", "DYLD_", "LD_", "MALLOC_", "_RLD"];

/// Variables that the server itself passes, or never does, and the one by which php-fpm takes what its own administrator would
/// say: a `.htaccess` has no say in them.
const OURS: &[&str] = &["HTTP_PROXY", "PATH", "PHP_ADMIN_VALUE"];

/// Variables that steer an interpreter. `SetEnv PERL5LIB` in a `.htaccess` is how shared hosts are used, and who may write
/// there may write scripts; a value out of a request is another matter.
const STEER_INTERPRETERS: &[&str] = &[
    "HOME",
    "JAVA_TOOL_OPTIONS",
    "LUA_INIT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "RUBYLIB",
    "RUBYOPT",
    "TMPDIR",
];
const STEER_INTERPRETERS_PREFIXES: &[&str] = &["PYTHON"];

/// Whether the variable tells the loader, the C library or a shell what to run. The spawner asks this of everything that a
/// worker hands it.
pub fn steers(name: &[u8]) -> bool {
    listed(name, STEER, STEER_PREFIXES)
}

/// Whether nobody at `origin` may set the variable.
pub fn is_refused(name: &[u8], origin: Origin) -> bool {
    let refused = || steers(name) || listed(name, OURS, &[]);
    match origin {
        Origin::Server => false,
        Origin::Htaccess => refused(),
        Origin::Request => refused() || listed(name, STEER_INTERPRETERS, STEER_INTERPRETERS_PREFIXES),
    }
}

fn listed(name: &[u8], names: &[&str], prefixes: &[&str]) -> bool {
    names.iter().any(|known| known.as_bytes() == name)
        || prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{is_refused, steers};
    use crate::gateway::request::Origin;

    #[test]
    fn names_that_steer_loaders_and_shells_are_known() {
        for name in [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "BASH_FUNC_x%%",
            "IFS",
            "ENV",
            "BASH_ENV",
            "GLIBC_TUNABLES",
        ] {
            assert!(steers(name.as_bytes()), "{name}");
        }
        for name in [
            "PATH",
            "HTTP_HOST",
            "QUERY_STRING",
            "LDAP",
            "ENVIRONMENT",
            "REDIRECT_STATUS",
            "HTTP_LD_PRELOAD",
        ] {
            assert!(!steers(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn who_may_set_what_depends_on_where_it_is_said() {
        for (name, server, htaccess, request) in [
            ("LD_PRELOAD", true, false, false),
            ("PATH", true, false, false),
            ("HTTP_PROXY", true, false, false),
            ("PHP_ADMIN_VALUE", true, false, false),
            ("PHP_VALUE", true, true, true),
            ("PERL5LIB", true, true, false),
            ("PYTHONPATH", true, true, false),
            ("COLOUR", true, true, true),
        ] {
            let may = |origin| !is_refused(name.as_bytes(), origin);
            assert_eq!(
                (may(Origin::Server), may(Origin::Htaccess), may(Origin::Request)),
                (server, htaccess, request),
                "{name}"
            );
        }
    }
}
