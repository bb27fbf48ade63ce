//! A copy of the files that were read, in which what the server does not start with is changed or left out, and says why. What
//! was read is not touched, and nothing that is there is overwritten.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::base::quoting;
use crate::config::error::Span;
use crate::config::load::{Loaded, Source, load};

use super::change::Change;
use super::finding::Finding;
use super::texts::{Texts, at, without_end};

/// What was written.
pub struct Copied {
    /// The file to start with.
    pub file: PathBuf,
    /// How many files there are.
    pub files: usize,
    /// How many lines were changed or left out.
    pub lines: usize,
    /// What keeps the copy from starting.
    pub left: Vec<String>,
}

/// What becomes of the lines of one file.
#[derive(Default)]
struct Edits {
    /// By the number of the first line: the number of the last, and what stands there instead.
    by_line: BTreeMap<u32, (u32, Vec<u8>)>,
}

/// Writes the copy into `directory`, which is made, or empty. `root` is the directory that the files lie in; those from elsewhere
/// come into `outside`.
pub fn write(
    directory: &Path,
    source: &Source,
    root: &Path,
    loaded: &Loaded,
    findings: &[Finding],
    texts: &Texts,
) -> io::Result<Copied> {
    fs::create_dir_all(directory)?;
    if fs::read_dir(directory)?.next().is_some() {
        return Err(io::Error::other(
            "there is something in it; name a directory that is empty or not there",
        ));
    }
    let directory = fs::canonicalize(directory)?;
    let targets: HashMap<&Arc<str>, PathBuf> = loaded
        .included
        .iter()
        .map(|included| (&included.file, target(&directory, root, Path::new(&*included.file))))
        .collect();
    let mut edits: HashMap<&Arc<str>, Edits> = HashMap::new();
    let mut lines = 0;
    for finding in findings {
        if targets.contains_key(&finding.place.file) {
            let edits = edits.entry(&finding.place.file).or_default();
            lines += usize::from(edits.change(finding, texts));
        }
    }
    let inclusions = inclusions(loaded);
    for (place, files) in &inclusions {
        let named: Vec<&PathBuf> = files.iter().filter_map(|file| targets.get(file)).collect();
        edits.entry(&place.0).or_default().include(place, &named, texts);
    }
    let main = source.file.to_string_lossy();
    let mut written = HashSet::new();
    for (file, target) in &targets {
        if !written.insert(target) {
            continue;
        }
        let head = (***file == *main).then(|| head(&main, source));
        let text = edits.remove(*file).unwrap_or_default().apply(file, head, texts)?;
        put(target, &text, Path::new(&***file))?;
    }
    let file = target(&directory, root, &source.file);
    if let Some(variables) = &loaded.envvars {
        let name = variables.file_name().unwrap_or_default();
        put(&file.with_file_name(name), &fs::read(variables)?, variables)?;
    }
    let again = load(&Source {
        file: file.clone(),
        server_root: file.parent().unwrap_or(&directory).to_owned(),
        ..source.clone()
    });
    let left = again.complaints.iter().filter(|complaint| complaint.is_fatal());
    Ok(Copied {
        left: left.map(ToString::to_string).collect(),
        files: written.len(),
        lines,
        file,
    })
}

/// Relative names stay below the root that they were below.
fn head(main: &str, source: &Source) -> Vec<u8> {
    let root = quoting::quoted(source.server_root.as_os_str().as_bytes());
    let mut head = format!("# A copy of {main}, made by lychgate import.\nServerRoot ").into_bytes();
    head.extend_from_slice(&root);
    head.push(b'\n');
    head
}

/// Where a file comes to lie.
fn target(directory: &Path, root: &Path, file: &Path) -> PathBuf {
    let plain = |path: &Path| -> PathBuf {
        path.components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect()
    };
    match file.strip_prefix(root) {
        Ok(inside) => directory.join(plain(inside)),
        Err(_) => directory.join("outside").join(plain(file)),
    }
}

/// The files that each line has included, by its file and number.
fn inclusions(loaded: &Loaded) -> BTreeMap<(Arc<str>, u32), Vec<&Arc<str>>> {
    let mut by_place: BTreeMap<(Arc<str>, u32), Vec<&Arc<str>>> = BTreeMap::new();
    for included in &loaded.included {
        if let Some(by) = &included.by {
            let files = by_place.entry((Arc::clone(&by.file), by.line)).or_default();
            if !files.contains(&&included.file) {
                files.push(&included.file);
            }
        }
    }
    by_place
}

fn put(target: &Path, text: &[u8], original: &Path) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(target)?;
    // Who may not read the original may not read the copy.
    let mode = fs::metadata(original)?.permissions().mode();
    file.set_permissions(Permissions::from_mode(mode & 0o777 | 0o600))?;
    file.write_all(text)
}

impl Edits {
    /// Records what is to be done about a line; whether anything is.
    fn change(&mut self, finding: &Finding, texts: &Texts) -> bool {
        let (place, why) = (&finding.place, format!("{}: {}", finding.directive, finding.message));
        let Some((_, own_last)) = texts.line(place, &finding.directive) else {
            return false;
        };
        match &finding.change {
            Change::None | Change::ByHand => false,
            Change::Line(line) => {
                let instead = [&reason(&why), line.as_slice(), b"\n"].concat();
                self.by_line.insert(place.line, (own_last, instead));
                true
            }
            Change::LeaveOut { last } => self.leave_out(place.line, *last, &why, finding, texts),
            Change::LeaveOutHost { first, last } => {
                self.leave_out(*first, *last, &format!("the site is left out: {why}"), finding, texts)
            }
        }
    }

    fn leave_out(&mut self, first: u32, last: u32, why: &str, finding: &Finding, texts: &Texts) -> bool {
        if self
            .by_line
            .range(..=first)
            .next_back()
            .is_some_and(|(_, (known, _))| *known >= last)
        {
            return true;
        }
        let Some(lines) = texts.lines(&finding.place.file) else {
            return false;
        };
        let mut instead = reason(why);
        for line in (first..=last).filter_map(|number| at(&lines, number)) {
            instead.extend_from_slice(b"#");
            // A backslash at its end would continue the comment, over what is left out and what is not.
            let line = without_end(line);
            instead.extend_from_slice(line.strip_suffix(b"\\").unwrap_or(line));
            instead.push(b'\n');
        }
        self.by_line.retain(|line, _| !(first..=last).contains(line));
        self.by_line.insert(first, (last, instead));
        true
    }

    /// The line that included these files includes their copies.
    fn include(&mut self, place: &(Arc<str>, u32), files: &[&PathBuf], texts: &Texts) {
        let span = Span::new(&place.0, place.1);
        let line = texts
            .line(&span, "Include")
            .or_else(|| texts.line(&span, "IncludeOptional"));
        let is_left_out = self
            .by_line
            .range(..=place.1)
            .next_back()
            .is_some_and(|(_, (last, _))| *last >= place.1);
        let Some((_, last)) = line.filter(|_| !is_left_out) else {
            return;
        };
        let mut instead = Vec::new();
        for file in files {
            instead.extend_from_slice(b"Include ");
            instead.extend_from_slice(&quoting::quoted(file.as_os_str().as_bytes()));
            instead.push(b'\n');
        }
        self.by_line.insert(place.1, (last, instead));
    }

    /// The text with everything done.
    fn apply(self, file: &Arc<str>, head: Option<Vec<u8>>, texts: &Texts) -> io::Result<Vec<u8>> {
        let lines = texts
            .lines(file)
            .ok_or_else(|| io::Error::other(format!("{file} cannot be read any more")))?;
        let mut text = head.unwrap_or_default();
        let mut number = 1;
        while let Some(line) = at(&lines, number) {
            if let Some((last, instead)) = self.by_line.get(&number) {
                text.extend_from_slice(instead);
                number = *last;
            } else {
                text.extend_from_slice(line);
            }
            number += 1;
        }
        Ok(text)
    }
}

/// A comment of one line.
fn reason(why: &str) -> Vec<u8> {
    let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("# lychgate: {}\n", why.trim_end_matches('\\')).into_bytes()
}
