//! A configuration as a whole: from a file on disk with everything checked, or from the text that the launcher hands on.
//!
//! The text is the tree after the language has done its part and, if there is a types file, a NUL and its lines: every
//! role sees what the launcher saw, whatever has changed on disk since.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::version;
use crate::config::condition::Modules;
use crate::config::define::Defines;
use crate::config::directives;
use crate::config::dump;
use crate::config::envvars::EnvVars;
use crate::config::error::{ConfigError, Span};
use crate::config::file;
use crate::config::keyring::Keyring;
use crate::config::node::Settings;
use crate::config::proxies;
use crate::config::reader::{self, Decided, Included, Language, Origin};
use crate::config::resolve::resolve;
use crate::config::site::Config;

/// What the command line says of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// `-f`; relative to the server root.
    pub file: PathBuf,
    /// `-d`: the server root until a directive sets another.
    pub server_root: PathBuf,
    /// `-D` names.
    pub defines: Vec<String>,
    /// `-C`: lines before the file.
    pub before: Vec<String>,
    /// `-c`: lines behind it.
    pub after: Vec<String>,
}

/// A configuration, and what there is to say of it.
pub struct Loaded {
    /// The tree after the language has done its part.
    pub settings: Settings,
    /// The settings; of use when nothing is fatal.
    pub config: Config,
    /// Everything worth saying, in the order of the text.
    pub complaints: Vec<ConfigError>,
    /// The `envvars` that variables were taken from.
    pub envvars: Option<PathBuf>,
    /// The files that were read.
    pub included: Vec<Included>,
    /// The conditions that were decided.
    pub decided: Vec<Decided>,
    /// What TLS needs, once it was read.
    pub keyring: Keyring,
    /// The types file, if there is one; it may be empty.
    types: Option<Vec<u8>>,
}

/// Reads and checks a configuration.
pub fn load(source: &Source) -> Loaded {
    use std::os::unix::ffi::OsStrExt;
    let envvars = EnvVars::beside(&source.file);
    let is_asked = Cell::new(false);
    let environment = |name: &[u8]| {
        let own = std::env::var_os(OsStr::from_bytes(name)).map(|value| value.as_bytes().to_vec());
        own.or_else(|| {
            let value = envvars.as_ref()?.value(name)?.to_vec();
            is_asked.set(true);
            Some(value)
        })
    };
    let language = Language {
        modules: &Here,
        environment: &environment,
        version: version::APACHE,
        server_root: source.server_root.as_os_str().as_bytes().to_vec(),
        defines: Defines::from_names(source.defines.iter().map(String::as_str)),
        origin: Origin::Server,
    };
    let lines = |lines: &[String]| lines.iter().map(|line| line.clone().into_bytes()).collect::<Vec<_>>();
    let mut reading = reader::read_server(&source.file, &lines(&source.before), &lines(&source.after), &language);
    let taken_from = envvars.filter(|_| is_asked.get()).map(|envvars| envvars.file);
    if let Some(file) = &taken_from {
        let message = "variables that the environment does not have are taken from here";
        let span = Span::new(&Arc::from(file.to_string_lossy()), 0);
        reading.complaints.insert(0, ConfigError::note(&span, "", message));
    }
    let mut loaded = checked(reading);
    loaded.envvars = taken_from;
    loaded
}

/// Reads and checks a configuration that is at hand as text.
pub fn load_text(name: &str, text: &[u8], server_root: &Path) -> Loaded {
    use std::os::unix::ffi::OsStrExt;
    let language = Language {
        modules: &Here,
        environment: &|_| None,
        version: version::APACHE,
        server_root: server_root.as_os_str().as_bytes().to_vec(),
        defines: Defines::from_names([]),
        origin: Origin::Server,
    };
    checked(reader::read_text(name, text, &language))
}

fn checked(mut reading: reader::Reading) -> Loaded {
    let unsettled = proxies::settle(&mut reading.settings, &proxies::SYSTEM);
    let types = std::cell::RefCell::new(None);
    let read = |path: &Path| {
        let text = file::read(path)?;
        *types.borrow_mut() = Some(text.clone());
        Ok(text)
    };
    let (config, found) = resolve(&reading.settings, &read);
    let mut complaints = reading.complaints;
    complaints.extend(unsettled);
    complaints.extend(found);
    Loaded {
        settings: reading.settings,
        config,
        complaints,
        envvars: None,
        included: reading.included,
        decided: reading.decided,
        keyring: Keyring::default(),
        types: types.into_inner(),
    }
}

impl Loaded {
    /// Whether any complaint keeps the server from starting.
    pub fn is_fatal(&self) -> bool {
        self.complaints.iter().any(ConfigError::is_fatal)
    }

    /// The text for the roles.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = dump::to_text(&self.settings);
        if let Some(types) = &self.types {
            text.push(0);
            text.extend_from_slice(types);
        }
        text
    }
}

/// The tree of directives in the launcher's text.
pub fn tree(text: &[u8]) -> Result<Settings, ConfigError> {
    dump::from_text(text.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// The settings of a role, from the launcher's text. It was checked when it was made, so an error here is a fault of ours.
pub fn from_text(text: &[u8]) -> Result<Config, String> {
    let (tree, types) = match memchr::memchr(0, text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let settings = dump::from_text(tree).map_err(|error| error.to_string())?;
    let given = |_: &Path| types.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::NotFound.into());
    let (config, complaints) = resolve(&settings, &given);
    match complaints.iter().find(|complaint| complaint.is_fatal()) {
        Some(complaint) => Err(complaint.to_string()),
        None => Ok(config),
    }
}

/// The modules whose directives are here, for `<IfModule>`, `-l` and `-M`.
pub struct Here;

/// Modules whose work is done here, by their source file and their identifier; lychgate-apache(7) has the directives of theirs
/// that are answered, not supported.
pub const MODULES: &[(&str, &str)] = &[
    ("core.c", "core_module"),
    ("http_core.c", "http_module"),
    ("mod_so.c", "so_module"),
    ("mod_unixd.c", "unixd_module"),
    ("mod_access_compat.c", "access_compat_module"),
    ("mod_actions.c", "actions_module"),
    ("mod_alias.c", "alias_module"),
    ("mod_allowmethods.c", "allowmethods_module"),
    ("mod_asis.c", "asis_module"),
    ("mod_auth_basic.c", "auth_basic_module"),
    ("mod_auth_digest.c", "auth_digest_module"),
    ("mod_authn_anon.c", "authn_anon_module"),
    ("mod_authn_core.c", "authn_core_module"),
    ("mod_authn_file.c", "authn_file_module"),
    ("mod_authnz_fcgi.c", "authnz_fcgi_module"),
    ("mod_authz_core.c", "authz_core_module"),
    ("mod_authz_groupfile.c", "authz_groupfile_module"),
    ("mod_authz_host.c", "authz_host_module"),
    ("mod_authz_owner.c", "authz_owner_module"),
    ("mod_authz_user.c", "authz_user_module"),
    ("mod_autoindex.c", "autoindex_module"),
    ("mod_brotli.c", "brotli_module"),
    ("mod_cgi.c", "cgi_module"),
    ("mod_cgid.c", "cgid_module"),
    ("mod_deflate.c", "deflate_module"),
    ("mod_dir.c", "dir_module"),
    ("mod_env.c", "env_module"),
    ("mod_expires.c", "expires_module"),
    ("mod_fastcgi.c", "fastcgi_module"),
    ("mod_fcgid.c", "fcgid_module"),
    ("mod_filter.c", "filter_module"),
    ("mod_headers.c", "headers_module"),
    ("mod_include.c", "include_module"),
    ("mod_info.c", "info_module"),
    ("mod_lbmethod_bybusyness.c", "lbmethod_bybusyness_module"),
    ("mod_lbmethod_byrequests.c", "lbmethod_byrequests_module"),
    ("mod_log_config.c", "log_config_module"),
    ("mod_logio.c", "logio_module"),
    ("mod_macro.c", "macro_module"),
    ("mod_mime.c", "mime_module"),
    ("mod_negotiation.c", "negotiation_module"),
    ("mod_proxy.c", "proxy_module"),
    ("mod_proxy_balancer.c", "proxy_balancer_module"),
    ("mod_proxy_fcgi.c", "proxy_fcgi_module"),
    ("mod_proxy_http.c", "proxy_http_module"),
    ("mod_proxy_scgi.c", "proxy_scgi_module"),
    ("mod_proxy_wstunnel.c", "proxy_wstunnel_module"),
    ("mod_remoteip.c", "remoteip_module"),
    ("mod_reqtimeout.c", "reqtimeout_module"),
    ("mod_rewrite.c", "rewrite_module"),
    ("mod_setenvif.c", "setenvif_module"),
    ("mod_slotmem_shm.c", "slotmem_shm_module"),
    ("mod_speling.c", "speling_module"),
    ("mod_status.c", "status_module"),
    ("mod_suexec.c", "suexec_module"),
    ("mod_unique_id.c", "unique_id_module"),
    ("mod_userdir.c", "userdir_module"),
    ("mod_version.c", "version_module"),
    ("mod_vhost_alias.c", "vhost_alias_module"),
];

impl Modules for Here {
    fn has(&self, module: &str) -> bool {
        MODULES
            .iter()
            .any(|(file, identifier)| *file == module || *identifier == module)
    }

    fn has_directive(&self, name: &str) -> bool {
        directives::all().any(|directive| directive.name.trim_end_matches('>').eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{from_text, load_text};

    #[test]
    fn an_empty_types_file_reaches_the_roles_as_one() {
        let loaded = load_text("httpd.conf", b"TypesConfig /dev/null\n", Path::new("/nonexistent"));
        assert!(!loaded.is_fatal());
        let config = from_text(&loaded.to_text()).expect("the launcher found nothing fatal");
        assert!(config.media_types.is_empty());
    }
}
