//! `.htaccess`: the text of an access file to the settings it makes for its directory.

use std::path::Path;
use std::sync::Arc;

use crate::base::version;
use crate::config::define::Defines;
use crate::config::directives::overrides::Overrides;
use crate::config::directives::{DirConf, Server};
use crate::config::error::ConfigError;
use crate::config::inside::{self, GoesBy, Inside, Kind, Source};
use crate::config::load::Here;
use crate::config::node::Node;
use crate::config::providers;
use crate::config::reader::{self, Language, Origin, Reading};
use crate::config::site::Config;

/// What an access file says.
#[derive(Debug)]
pub struct AccessFile {
    /// Its settings; of no use when anything is wrong.
    pub conf: DirConf,
    /// What is wrong with it, the first thing first; it closes the directory.
    pub errors: Vec<ConfigError>,
    /// What was passed over.
    pub notes: Vec<ConfigError>,
}

/// What access files are read with that the server's own files say.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// `ServerRoot`.
    pub server_root: &'a [u8],
    /// What is defined, by `Define` and by `-D`.
    pub defines: &'a Defines,
}

impl<'a> Around<'a> {
    /// What this configuration says.
    pub fn of(config: &'a Config) -> Around<'a> {
        Around {
            server_root: &config.server_root,
            defines: &config.defines,
        }
    }
}

/// Reads the text of the access file `name` of `directory`, which has a final slash. `overrides` says what it may hold.
pub fn read(name: &Path, text: &[u8], directory: &[u8], server: Around<'_>, overrides: &Overrides) -> AccessFile {
    let reading = reading(name, text, server);
    let mut inside = Inside::new(server.server_root, Source::AccessFile(overrides));
    inside.complaints = reading.complaints;
    let mut conf = DirConf::default();
    let around = inside::Around {
        kind: Kind::AccessFile,
        name: ".htaccess",
        path: Some(directory),
        methods: None,
        goes_by: GoesBy::of(Kind::AccessFile),
    };
    inside.all(&reading.settings.nodes, around, &mut conf);
    let (errors, notes) = inside.complaints.into_iter().partition(ConfigError::is_fatal);
    AccessFile { conf, errors, notes }
}

/// What the text of an access file says, whether it may stand there or not.
pub fn reading(name: &Path, text: &[u8], server: Around<'_>) -> Reading {
    let language = Language {
        modules: &Here,
        // The environment may hold what is for the server alone, and is not for whoever writes here; in Apache it is.
        environment: &|_| None,
        version: version::APACHE,
        server_root: server.server_root.to_vec(),
        defines: server.defines.clone(),
        origin: Origin::Htaccess,
    };
    reader::read_text(&name.to_string_lossy(), text, &language)
}

/// The directives and sections of the text of an access file, whether they may stand there or not.
pub fn nodes(name: &Path, text: &[u8], server: Around<'_>) -> Vec<Node> {
    reading(name, text, server).settings.nodes
}

/// What the file names and the server as a whole does not have.
pub fn missing(conf: &DirConf, server: &Server) -> Vec<ConfigError> {
    providers::missing(conf, server)
}

/// The names of a site's access files, in the order in which they are looked for.
pub fn names(configured: Option<&Vec<Vec<u8>>>) -> Arc<[Vec<u8>]> {
    match configured {
        Some(names) => names.as_slice().into(),
        None => Arc::new([b".htaccess".to_vec()]),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{AccessFile, Around, read};
    use crate::config::directives::overrides::Overrides;
    use crate::config::load::load_text;

    fn read_under(overrides: &str, text: &[u8]) -> AccessFile {
        let server = format!("<Directory />\n{overrides}\n</Directory>\n");
        let config = load_text("a.conf", server.as_bytes(), Path::new("/")).config;
        let overrides: &Overrides = &config.sites[0].directories[0].conf.overrides;
        read(Path::new("/d/.htaccess"), text, b"/d/", Around::of(&config), overrides)
    }

    fn first_error(overrides: &str, text: &str) -> Option<String> {
        let file = read_under(overrides, text.as_bytes());
        file.errors.first().map(ToString::to_string)
    }

    /// TRAPS 54: what an access file must not be able to do.
    #[test]
    fn what_is_the_servers_own_is_an_error_whatever_is_allowed() {
        for line in [
            "Include /etc/passwd",
            "IncludeOptional *.conf",
            "Define X y",
            "UnDefine X",
            "LoadModule x_module x.so",
            "LoadFile x.so",
            "ServerRoot /",
            "User root",
            "SuexecUserGroup root root",
            "Alias / /",
            "ScriptAlias / /",
            "CustomLog \"|sh\" x",
            "ErrorLog \"|sh\"",
            "RewriteMap x prg:/bin/sh",
            "ScriptSandbox off",
            "ChrootDir /",
            "AllowOverride All",
            "AllowOverrideList Include",
            "<Directory />\n</Directory>",
            "<Location />\n</Location>",
            "<VirtualHost *>\n</VirtualHost>",
            "<Proxy *>\n</Proxy>",
            "<Macro x>\n</Macro>",
            "php_admin_value open_basedir /",
            "SSLEngine off",
            "ExtFilterDefine x cmd=/bin/sh",
        ] {
            assert!(first_error("AllowOverride All", line).is_some(), "{line}");
            assert!(
                first_error("AllowOverride All", &format!("<If \"true\">\n{line}\n</If>")).is_some(),
                "{line} in <If>"
            );
            assert!(
                first_error("AllowOverride All", &format!("<Files x>\n{line}\n</Files>")).is_some(),
                "{line} in <Files>"
            );
        }
    }

    #[test]
    fn expressions_cannot_read_files() {
        for line in [
            "<If \"file('/etc/passwd') != ''\">\n</If>",
            "<If \"filesize('/etc/passwd') -gt 0\">\n</If>",
            "<Files x>\n<If \"%{file:/etc/passwd} != ''\">\n</If>\n</Files>",
            "SetEnvIfExpr \"file('/etc/passwd') =~ /(.*)/\" X=$1",
        ] {
            assert!(first_error("AllowOverride All", line).is_some(), "{line}");
        }
    }

    #[test]
    fn a_thousand_sections_in_one_another_are_an_error() {
        for (begin, end) in [
            ("<IfModule mod_mime.c>\n", "</IfModule>\n"),
            ("<IfModule mod_none.c>\n", "</IfModule>\n"),
            ("<If \"true\">\n", "</If>\n"),
            ("<Files x>\n", "</Files>\n"),
            ("<Limit GET>\n", "</Limit>\n"),
        ] {
            for text in [begin.repeat(1000), begin.repeat(1000) + &end.repeat(1000)] {
                let error = first_error("AllowOverride All", &text);
                assert!(
                    error.is_some_and(|error| error.contains("more than 200 sections")),
                    "{begin}"
                );
            }
        }
    }

    #[test]
    fn an_error_names_file_line_and_directive() {
        for (overrides, text, want) in [
            (
                "AllowOverride FileInfo",
                "AddType text/x .x\n\nRequire all denied\n",
                "/d/.htaccess:3: Require: not allowed here; AllowOverride decides what a .htaccess file may hold",
            ),
            (
                "AllowOverride Options=Indexes",
                "Options -ExecCGI\n",
                "/d/.htaccess:1: Options: Option ExecCGI not allowed here",
            ),
            (
                "AllowOverride All",
                "ServerName x\n",
                "/d/.htaccess:1: ServerName: cannot stand in a .htaccess file; it belongs in: server config, virtual host",
            ),
            (
                "AllowOverride All",
                "php_admin_flag engine off\n",
                "/d/.htaccess:1: php_admin_flag: cannot stand in a .htaccess file",
            ),
            (
                "AllowOverride FileInfo",
                "php_value a b\n",
                "/d/.htaccess:1: php_value: not allowed here; AllowOverride decides what a .htaccess file may hold",
            ),
            (
                "AllowOverride Indexes",
                "<Limit GET>\nRequire all granted\n</Limit>\n",
                "/d/.htaccess:1: <Limit>: not allowed here; AllowOverride decides what a .htaccess file may hold",
            ),
            (
                "AllowOverride All",
                "<Limit GET>\n<Files x>\n</Files>\n</Limit>\n",
                "/d/.htaccess:2: <Files>: cannot stand in <Limit> or <LimitExcept>",
            ),
        ] {
            assert_eq!(first_error(overrides, text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_passed_over_is_noted() {
        for (overrides, text, want) in [
            (
                "AllowOverride Options",
                "php_value a b\n",
                "/d/.htaccess:1: warning: php_value: ignored: PHP does not run inside the server",
            ),
            (
                "AllowOverride None Nonfatal=Override",
                "Require all denied\n",
                "/d/.htaccess:1: note: Require: ignored: AllowOverride does not allow it here",
            ),
            (
                "AllowOverride None Nonfatal=Override",
                "ServerName x\n",
                "/d/.htaccess:1: note: ServerName: ignored: it cannot stand in a .htaccess file",
            ),
            (
                "AllowOverride None Nonfatal=Unknown",
                "Nonsense x\n",
                "/d/.htaccess:1: note: Nonsense: ignored: it is not known here",
            ),
        ] {
            let file = read_under(overrides, text.as_bytes());
            assert_eq!(file.errors, [], "{text}");
            let note = file.notes.first().map(ToString::to_string).unwrap_or_default();
            assert!(note.starts_with(want), "{note}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_read_or_complained_about() {
        let text: &[u8] = b"Options +ExecCGI\n<Files \"a*\">\n<Limit GET>\nRequire all denied\n</Limit>\n</Files>\n\
            <If \"%{REQUEST_URI} =~ m#x#\">\nForceType text/x\n</If>\n<Else>\nAddType a/b .c\n</Else>\n\
            <IfModule !mod_x.c>\nRewriteEngine On\nRewriteCond %{HTTP_HOST} ^a [NC]\nRewriteRule ^(.*)$ b/$1 [L]\n</IfModule>\n";
        for end in 0..=text.len() {
            for overrides in ["AllowOverride All", "AllowOverride None Nonfatal=All"] {
                let file = read_under(overrides, &text[..end]);
                assert!(file.errors.iter().all(|error| error.is_fatal()), "{end}");
            }
        }
        assert_eq!(read_under("AllowOverride All", text).errors, []);
    }
}
