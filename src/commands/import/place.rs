//! Which file a path means: a configuration, the one in the directory of an Apache as Debian, Red Hat, FreeBSD, Homebrew and the
//! sources lay it out, or an access file.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where the configuration is, below the directory that is named: the first that is there.
const NAMES: &[&str] = &["apache2.conf", "httpd.conf", "conf/httpd.conf"];

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A server's configuration.
    Server {
        /// The file that is read first.
        file: PathBuf,
        /// The directory that all of it lies in; the server root, until a line says otherwise.
        root: PathBuf,
    },
    /// An access file.
    AccessFile(PathBuf),
}

/// What `path`, an absolute one, stands for. The error is a sentence about it.
pub fn subject(path: &Path) -> Result<Subject, String> {
    let told = |error: &std::io::Error| format!("{}: {error}", path.display());
    let found = fs::metadata(path).map_err(|error| told(&error))?;
    if !found.is_dir() {
        return Ok(of_file(path));
    }
    for name in NAMES {
        let file = path.join(name);
        match fs::metadata(&file) {
            Ok(found) if found.is_file() => return Ok(of_file(&file)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", file.display())),
        }
    }
    Err(format!(
        "{}: there is no {} in it; name the file",
        path.display(),
        NAMES.join(", no ")
    ))
}

fn of_file(file: &Path) -> Subject {
    let is_access_file = file
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b".ht"));
    if is_access_file {
        return Subject::AccessFile(file.to_owned());
    }
    let directory = file.parent().unwrap_or(Path::new("/"));
    let root = match directory.parent() {
        Some(above) if directory.file_name() == Some(OsStr::new("conf")) => above,
        _ => directory,
    };
    Subject::Server {
        file: file.to_owned(),
        root: root.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Subject, subject};

    #[test]
    fn the_usual_layouts_are_known() {
        let top = std::env::temp_dir().join(format!("lychgate-import-place-{}", std::process::id()));
        for (path, file, root) in [
            ("debian", "debian/apache2.conf", "debian"),
            ("redhat", "redhat/conf/httpd.conf", "redhat"),
            ("freebsd/apache24", "freebsd/apache24/httpd.conf", "freebsd/apache24"),
            ("source/conf", "source/conf/httpd.conf", "source"),
            ("source/conf/httpd.conf", "source/conf/httpd.conf", "source"),
        ] {
            let file = top.join(file);
            fs::create_dir_all(file.parent().expect("it has one")).expect("there is room");
            fs::write(&file, "").expect("there is room");
            let want = Subject::Server {
                file,
                root: top.join(root),
            };
            assert_eq!(subject(&top.join(path)), Ok(want), "{path}");
        }
        fs::write(top.join(".htaccess"), "").expect("there is room");
        let access = top.join(".htaccess");
        assert_eq!(subject(&access), Ok(Subject::AccessFile(access)));
        fs::create_dir(top.join("none")).expect("there is room");
        let error = subject(&top.join("none")).expect_err("nothing is there");
        assert!(
            error.ends_with("none: there is no apache2.conf, no httpd.conf, no conf/httpd.conf in it; name the file"),
            "{error}"
        );
        assert!(subject(&top.join("gone")).is_err());
        fs::remove_dir_all(&top).expect("ours");
    }
}
