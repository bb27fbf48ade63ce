//! Which configuration is meant: server root and file.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::config::envvars::EnvVars;
use crate::config::include::below;
use crate::config::load::Source;

use super::options::Options;

/// The server root where neither `-d` nor a directive names one; LYCHGATE_ROOT sets it when the program is built.
pub(super) const HTTPD_ROOT: &str = match option_env!("LYCHGATE_ROOT") {
    Some(root) => root,
    None => "/usr/local/lychgate",
};

/// The configuration, relative to the server root.
pub(super) const SERVER_CONFIG_FILE: &str = "conf/httpd.conf";

/// Server root and file, both absolute.
///
/// The root is that of `-d`. Else, without `-f`, it is the working directory where that holds `conf/httpd.conf`, as a
/// clone of the sources does. Else it is [`HTTPD_ROOT`], where there is one, or the directory that the file is in; so it is
/// always where an `envvars` lies beside the file, as Debian's Apache has it. A
/// relative file is below the root, as Apache has it, or else where the shell would look.
pub(super) fn source(options: &Options) -> Result<Source, String> {
    let here = env::current_dir().map_err(|error| format!("no working directory: {error}"))?;
    let (server_root, file) = located(options, &here, Path::new(HTTPD_ROOT));
    Ok(Source {
        file,
        server_root,
        defines: options.defines.clone(),
        before: options.before.clone(),
        after: options.after.clone(),
    })
}

fn located(options: &Options, here: &Path, installed: &Path) -> (PathBuf, PathBuf) {
    let root = match (&options.server_root, &options.file) {
        (Some(root), _) => absolute(here, root),
        (None, None) if here.join(SERVER_CONFIG_FILE).is_file() => here.to_owned(),
        (None, Some(file)) if !installed.is_dir() || EnvVars::is_beside(&absolute(here, file)) => {
            let file = absolute(here, file);
            file.parent().unwrap_or(here).to_owned()
        }
        (None, _) => installed.to_owned(),
    };
    let Some(file) = &options.file else {
        let file = root.join(SERVER_CONFIG_FILE);
        return (root, file);
    };
    let (below_root, below_here) = (absolute(&root, file), absolute(here, file));
    let file = if !below_root.exists() && below_here.exists() {
        below_here
    } else {
        below_root
    };
    (root, file)
}

/// `path` below `directory` unless it is absolute, without `.` and `..`.
pub(super) fn absolute(directory: &Path, path: &Path) -> PathBuf {
    let path = below(directory.as_os_str().as_bytes(), path.as_os_str().as_bytes());
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::located;
    use crate::cli::options;

    #[test]
    fn the_configuration_is_found_by_flags_clone_and_installation() {
        let top = std::env::temp_dir().join(format!("lychgate-place-{}", std::process::id()));
        let there = |path: &str| top.join(path);
        for file in [
            "clone/conf/httpd.conf",
            "installed/conf/httpd.conf",
            "work/my.conf",
            "work/etc/a.conf",
        ] {
            fs::create_dir_all(there(file).parent().expect("it has one")).expect("there is room");
            fs::write(there(file), "").expect("there is room");
        }
        let cases: &[(&str, &[&str], &str, &str, &str)] = &[
            ("clone", &[], "installed", "clone", "clone/conf/httpd.conf"),
            ("work", &[], "installed", "installed", "installed/conf/httpd.conf"),
            (
                "clone",
                &["-f", "conf/httpd.conf"],
                "installed",
                "installed",
                "installed/conf/httpd.conf",
            ),
            (
                "clone",
                &["-f", "conf/httpd.conf"],
                "nowhere",
                "clone/conf",
                "clone/conf/httpd.conf",
            ),
            ("work", &["-f", "my.conf"], "installed", "installed", "work/my.conf"),
            ("work", &["-f", "my.conf"], "nowhere", "work", "work/my.conf"),
            ("work", &["-f", "gone.conf"], "nowhere", "work", "work/gone.conf"),
            (
                "clone",
                &["-d", "../work", "-f", "my.conf"],
                "installed",
                "work",
                "work/my.conf",
            ),
            (
                "clone",
                &["-d", "./../work"],
                "installed",
                "work",
                "work/conf/httpd.conf",
            ),
            (
                "work/etc",
                &["-d", "..", "-f", "etc/a.conf"],
                "installed",
                "work",
                "work/etc/a.conf",
            ),
        ];
        for (here, words, installed, root, file) in cases {
            let args = ["lychgate"].iter().chain(*words).map(OsString::from).collect();
            let options = options::parse(args).expect("they are right");
            let got = located(&options, &there(here), &there(installed));
            assert_eq!(got, (there(root), there(file)), "{here} {words:?}");
        }
        fs::remove_dir_all(&top).expect("ours");
        assert_eq!(
            super::absolute(Path::new("/a"), Path::new("../b/./c")),
            PathBuf::from("/b/c")
        );
    }
}
