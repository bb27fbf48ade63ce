//! Trees of Debian packages, unpacked by `tests/packages`: a copy for each test, in which modules, snippets and sites are
//! switched on by Debian's own a2enmod, a2enconf and a2ensite.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::server::{self, bench, fresh_root};

/// The beginnings of names that a snippet means to be the system's.
const SYSTEM: [&str; 4] = ["/usr/", "/var/", "/etc/", "/srv/"];
/// What is the system's indeed: what the installed Apache loads, and the list of types.
const INSTALLED: [&str; 2] = ["/usr/lib/apache2/modules/", "/etc/mime.types"];
/// The configurations that lie outside of `etc/apache2`, and are linked from there.
const ELSEWHERE: [&str; 3] = [
    "etc/munin/apache24.conf",
    "etc/backuppc/apache.conf",
    "etc/roundcube/apache.conf",
];

/// A copy of what the packages hold: `usr`, `etc` and `var`.
pub struct Tree {
    /// Its directory.
    pub root: PathBuf,
}

impl Tree {
    /// A copy with what Apache's own package switches on.
    pub fn new(name: &str) -> Result<Tree, String> {
        let unpacked = unpacked()?;
        let root = fresh_root(name).join("tree");
        run(Command::new("cp").arg("-a").arg(unpacked).arg(&root))?;
        Ok(Tree { root })
    }

    /// A copy of the configurations alone.
    pub fn configuration(name: &str) -> Result<Tree, String> {
        let (unpacked, root) = (unpacked()?, fresh_root(name).join("tree"));
        fs::create_dir(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        for part in ["etc", "var/www"] {
            let to = root.join(part);
            let _parents_are_there = fs::create_dir_all(to.parent().unwrap_or(&root));
            run(Command::new("cp").arg("-a").arg(unpacked.join(part)).arg(to))?;
        }
        Ok(Tree { root })
    }

    /// The directory of the configuration.
    pub fn apache(&self) -> PathBuf {
        self.root.join("etc/apache2")
    }

    /// The configuration itself.
    pub fn file(&self) -> PathBuf {
        self.apache().join("apache2.conf")
    }

    /// Switches modules on, with those that they need.
    pub fn modules(&self, names: &[&str]) -> Result<(), String> {
        self.switch_on("a2enmod", "apache2", names)
    }

    /// Switches snippets on.
    pub fn snippets(&self, names: &[&str]) -> Result<(), String> {
        self.snippets_of("apache2", names)
    }

    /// Switches sites on.
    pub fn sites(&self, names: &[&str]) -> Result<(), String> {
        self.switch_on("a2ensite", "apache2", names)
    }

    /// Switches snippets on in another copy of the configuration.
    pub fn snippets_of(&self, copy: &str, names: &[&str]) -> Result<(), String> {
        self.switch_on("a2enconf", copy, names)
    }

    fn switch_on(&self, program: &str, copy: &str, names: &[&str]) -> Result<(), String> {
        if names.is_empty() {
            return Ok(());
        }
        let state = self.root.join("var/lib/apache2");
        let program = unpacked()?.join("usr/sbin").join(program);
        run(Command::new(program)
            .arg("-q")
            .args(names)
            .env("APACHE_CONFDIR", self.root.join("etc").join(copy))
            .env("APACHE_STATE_DIRECTORY", state))
    }

    /// Links all that is available of a kind (`mods`, `conf`, `sites`), but for these files.
    pub fn everything_but(&self, kind: &str, files: &[&str]) -> Result<(), String> {
        let told = |error: std::io::Error| format!("{kind}: {error}");
        let (available, enabled) = (format!("{kind}-available"), format!("{kind}-enabled"));
        for entry in fs::read_dir(self.apache().join(&available)).map_err(told)? {
            let name = entry.map_err(told)?.file_name().to_string_lossy().into_owned();
            let link = self.apache().join(&enabled).join(&name);
            if !files.contains(&name.as_str()) && !link.is_symlink() {
                symlink(format!("../{available}/{name}"), link).map_err(told)?;
            }
        }
        Ok(())
    }

    /// Changes a file of the tree.
    pub fn edit(&self, file: &str, change: impl Fn(&str) -> String) -> Result<(), String> {
        let path = self.root.join(file);
        let text = fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
        server::write(&path, change(&text).as_bytes())
    }

    /// Makes the system's names in the configuration those of this tree.
    pub fn settle_here(&self) -> Result<(), String> {
        let mut files: Vec<String> = ELSEWHERE.map(String::from).to_vec();
        collect(&self.root, Path::new("etc/apache2"), &mut files)?;
        for file in &files {
            self.edit(file, |text| moved(text, &self.root))?;
        }
        Ok(())
    }
}

/// Regular files below a directory.
fn collect(root: &Path, directory: &Path, files: &mut Vec<String>) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", directory.display());
    for entry in fs::read_dir(root.join(directory)).map_err(told)? {
        let entry = entry.map_err(told)?;
        let (kind, path) = (entry.file_type().map_err(told)?, directory.join(entry.file_name()));
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// The text with every name of [`SYSTEM`] below `root`.
fn moved(text: &str, root: &Path) -> String {
    let mut result = String::new();
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        let rest = &text[at..];
        let begins = |names: &[&str]| names.iter().any(|name| rest.starts_with(name));
        if " \t\n\"'(|=".contains(before) && begins(&SYSTEM) && !begins(&INSTALLED) {
            result.push_str(&root.to_string_lossy());
        }
        result.push(letter);
        before = letter;
    }
    result
}

/// What `tests/packages` has unpacked.
pub fn unpacked() -> Result<PathBuf, String> {
    let program = Path::new(env!("CARGO_BIN_EXE_lychgate"));
    let target = program.ancestors().nth(2).unwrap_or(program);
    let tree = target.join("debian/tree");
    if target.join("debian/stamp").exists() {
        Ok(tree)
    } else {
        Err(format!(
            "the packages are not in {}; run `tests/packages`",
            tree.display()
        ))
    }
}

/// The name of the file with a snippet: that of php-fpm is for PHP's version.
pub fn real_name(name: &str) -> Result<String, String> {
    if name != "php-fpm" {
        return Ok(name.to_owned());
    }
    let available = unpacked()?.join("etc/apache2/conf-available");
    let names = fs::read_dir(available).map_err(|error| error.to_string())?;
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let found = names.filter_map(|name| Some(name.strip_suffix(".conf")?.to_owned()));
    found
        .filter(|name| name.starts_with("php") && name.ends_with("-fpm"))
        .min()
        .ok_or_else(|| "there is no snippet of php-fpm".into())
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&said)))
}

/// What `-t` says of a configuration, without any environment: its lines, and whether it is well.
pub fn check(file: &Path, more: &[&str]) -> Result<(Vec<String>, bool), String> {
    let output = Command::new(&bench().program)
        .arg("-f")
        .arg(file)
        .arg("-t")
        .args(more)
        .env_clear()
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok((said.lines().map(String::from).collect(), output.status.success()))
}
