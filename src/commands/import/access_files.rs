//! Access files by themselves, and all of those below a directory, read as if `AllowOverride All` held there.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use crate::config::define::Defines;
use crate::config::directives::overrides::Overrides;
use crate::config::error::{ConfigError, Span};
use crate::config::htaccess;
use crate::config::load::load_text;
use crate::config::site::Config;

use super::Report;
use super::finding::{Finding, Tally};
use super::modules::Modules;
use super::texts::Texts;

/// The walk ends after so many directories and files, and says so. No directive moves it.
const MOST_ENTRIES: usize = 1_000_000;

/// What access files may hold who may hold everything.
static ALL: LazyLock<Overrides> = LazyLock::new(|| {
    let text = b"<Directory />\nAllowOverride All\n</Directory>\n";
    let config = load_text("AllowOverride All", text, Path::new("/")).config;
    let first = config.sites.first().and_then(|site| site.directories.first());
    first.map(|section| section.conf.overrides.clone()).unwrap_or_default()
});

/// The server that the files are for.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) config: &'a Config,
    pub(super) modules: &'a Modules,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    files: Vec<String>,
    findings: Vec<Finding>,
    tallies: Vec<Tally>,
}

impl Found {
    /// Puts it behind what a report has already.
    pub(super) fn add_to(self, report: &mut Report) {
        report.access_files += self.files.len();
        report.files.extend(self.files);
        report.findings.extend(self.findings);
        for tally in self.tallies {
            report.tally.all += tally.all;
            report.tally.ignored += tally.ignored;
            report.tally.differing += tally.differing;
            report.tally.refused += tally.refused;
            report.tally.modules.extend(tally.modules);
            for (name, count) in tally.supported {
                *report.tally.supported.entry(name).or_insert(0) += count;
            }
            for told in tally.told {
                if !report.tally.told.iter().any(|(_, name, _)| *name == told.1) {
                    report.tally.told.push(told);
                }
            }
        }
    }

    fn remark(&mut self, complaint: &ConfigError, texts: &Texts) {
        self.findings.push(Finding::of(complaint, &[], texts));
    }

    fn read(&mut self, file: &Path, server: htaccess::Around<'_>, around: Option<Around<'_>>, texts: &Texts) {
        let shown: Arc<str> = Arc::from(file.to_string_lossy());
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot be read by you: {error}");
                return self.remark(&ConfigError::warning(&Span::new(&shown, 0), "", message), texts);
            }
        };
        let mut directory = file.parent().unwrap_or(Path::new("/")).as_os_str().as_bytes().to_vec();
        directory.push(b'/');
        let read = htaccess::read(file, &text, &directory, server, &ALL);
        let missing = around.map(|around| htaccess::missing(&read.conf, &around.config.server));
        let missing = missing.unwrap_or_default();
        let reading = htaccess::reading(file, &text, server);
        let nodes = reading.settings.nodes;
        let complaints = read.errors.iter().chain(&read.notes).chain(&missing);
        let mut findings: Vec<Finding> = complaints
            .map(|complaint| Finding::of(complaint, &nodes, texts))
            .collect();
        if let Some(around) = around {
            let decided = reading.decided.iter();
            findings.extend(decided.filter_map(|decided| Finding::of_condition(decided, around.modules, texts)));
        }
        self.tallies.push(Tally::of(&nodes, &findings));
        self.findings.extend(findings);
        self.files.push(shown.to_string());
    }
}

/// One access file.
pub(super) fn alone(file: &Path, texts: &Texts) -> Found {
    let mut found = Found::default();
    found.read(file, unknown(&Defines::default()), None, texts);
    found
}

/// What is around access files whose server is not known.
pub(super) fn unknown(defines: &Defines) -> htaccess::Around<'_> {
    htaccess::Around {
        server_root: b"/",
        defines,
    }
}

/// Those in and below a directory, in the order of their names. Links to directories are not followed. An error is that of
/// reading the directory itself.
pub(super) fn below(
    top: &Path,
    server: htaccess::Around<'_>,
    around: Option<Around<'_>>,
    texts: &Texts,
) -> Result<Found, String> {
    fs::read_dir(top).map_err(|error| format!("{}: {error}", top.display()))?;
    let mut found = Found::default();
    let (mut waiting, mut seen) = (vec![top.to_owned()], 0_usize);
    while let Some(directory) = waiting.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                let place = Span::new(&Arc::from(directory.to_string_lossy()), 0);
                let message = format!("cannot be read by you: {error}");
                found.remark(&ConfigError::warning(&place, "", message), texts);
                continue;
            }
        };
        let mut inner: Vec<PathBuf> = Vec::new();
        for entry in entries.flatten() {
            seen += 1;
            if entry.file_name() == OsStr::new(".htaccess") {
                found.read(&entry.path(), server, around, texts);
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                inner.push(entry.path());
            }
        }
        if seen > MOST_ENTRIES {
            let place = Span::new(&Arc::from(top.to_string_lossy()), 0);
            let message = format!("holds more than {MOST_ENTRIES} files; the rest was left out");
            found.remark(&ConfigError::warning(&place, "", message), texts);
            break;
        }
        inner.sort_by(|one, other| other.cmp(one));
        waiting.extend(inner);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{alone, below, unknown};
    use crate::commands::import::finding::Kind;
    use crate::commands::import::texts::Texts;
    use crate::config::define::Defines;

    #[test]
    fn a_tree_is_read_in_the_order_of_its_names() {
        let top = std::env::temp_dir().join(format!("lychgate-import-tree-{}", std::process::id()));
        for (file, text) in [
            ("b/.htaccess", "Zzyzzyxx on\n"),
            ("a/.htaccess", "Options None\nServerName x\n"),
            ("a/deep/.htaccess", "php_value a b\nRequire all denied\n"),
            ("a/other", "Zzyzzyxx on\n"),
        ] {
            let file = top.join(file);
            fs::create_dir_all(file.parent().expect("it has one")).expect("there is room");
            fs::write(file, text).expect("there is room");
        }
        let found = below(&top, unknown(&Defines::default()), None, &Texts::default()).expect("it is there");
        let told: Vec<_> = found
            .findings
            .iter()
            .map(|finding| {
                let place = finding.place.to_string();
                let place = place
                    .rsplit_once("lychgate-import-tree-")
                    .map(|(_, end)| end.to_owned());
                let place = place.and_then(|end| Some(end.split_once('/')?.1.to_owned()));
                (place.unwrap_or_default(), finding.kind)
            })
            .collect();
        let want = [
            ("a/.htaccess:2", Kind::Refused),
            ("a/deep/.htaccess:1", Kind::Differs),
            ("b/.htaccess:1", Kind::Refused),
        ];
        assert_eq!(told, want.map(|(place, kind)| (place.to_owned(), kind)));
        assert_eq!(found.files.len(), 3);
        let one = alone(&top.join("b/.htaccess"), &Texts::default());
        assert_eq!((one.files.len(), one.findings.len()), (1, 1));
        assert!(below(&top.join("gone"), unknown(&Defines::default()), None, &Texts::default()).is_err());
        fs::remove_dir_all(&top).expect("ours");
    }
}
