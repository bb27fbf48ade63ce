//! `lychgate import PATH`: what becomes of an Apache's configuration here: what is supported, what is ignored and may be, what
//! differs, and what keeps the server from starting, with file and line and what to write instead. It reads only.

mod access_files;
mod change;
mod copy;
mod finding;
mod json;
mod listeners;
mod modules;
mod page;
pub mod place;
mod texts;

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::printed::printed;
use crate::config::define::Defines;
use crate::config::error::ConfigError;
use crate::config::htaccess;
use crate::config::load::{Loaded, Source};
use crate::config::node::Node;
use crate::config::words::below;

use access_files::Around;
use copy::Copied;
use finding::{Finding, Kind, Tally};
use modules::Modules;
use texts::Texts;

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The configuration, the directory it is in, or an access file.
    pub path: PathBuf,
    /// Directories whose access files are looked at too.
    pub access_files: Vec<PathBuf>,
    /// Where a copy is written in which lines that the server does not start with are changed or left out.
    pub write: Option<PathBuf>,
    /// How it is told.
    pub form: Form,
}

/// How something is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// To people.
    #[default]
    Page,
    /// To programs, as JSON.
    Json,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is taken as it is.
    Starts,
    /// Something is refused.
    Refused,
}

/// What is told.
struct Report {
    /// The file that was asked about.
    subject: PathBuf,
    files: Vec<String>,
    /// The access files among them.
    access_files: usize,
    findings: Vec<Finding>,
    tally: Tally,
    modules: Modules,
    /// The directories of documents, and of scripts.
    documents: Vec<PathBuf>,
    scripts: Vec<PathBuf>,
    copied: Option<Copied>,
}

impl Report {
    fn verdict(&self) -> Verdict {
        match self.of(Kind::Refused).next() {
            Some(_) => Verdict::Refused,
            None => Verdict::Starts,
        }
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.kind == kind)
    }
}

/// Reports on a server's configuration, which `source` names, to `out`; `root` is the directory that all of it lies in. An error
/// is that of writing the report or the copy.
pub fn server(
    import: &Import,
    source: &Source,
    root: &Path,
    loaded: &Loaded,
    out: &mut dyn Write,
) -> Result<Verdict, String> {
    let (texts, nodes) = (Texts::default(), &loaded.settings.nodes);
    let modules = Modules::of(nodes);
    let complaints = loaded.complaints.iter();
    let mut findings: Vec<Finding> = complaints
        .map(|complaint| Finding::of(complaint, nodes, &texts))
        .collect();
    let decided = loaded.decided.iter();
    findings.extend(decided.filter_map(|decided| Finding::of_condition(decided, &modules, &texts)));
    let idle = listeners::idle(nodes, &findings, &texts);
    findings.extend(idle);
    let mut files = Vec::new();
    for file in loaded.included.iter().map(|included| included.file.to_string()) {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    let mut report = Report {
        subject: source.file.clone(),
        files,
        access_files: 0,
        tally: Tally::of(nodes, &findings).with_defaults(),
        findings,
        documents: directories(nodes, &loaded.settings.server_root, &["DocumentRoot"]),
        scripts: directories(nodes, &loaded.settings.server_root, &["ScriptAlias"]),
        modules,
        copied: None,
    };
    for directory in &import.access_files {
        let around = Around {
            config: &loaded.config,
            modules: &report.modules,
        };
        let found = access_files::below(directory, htaccess::Around::of(&loaded.config), Some(around), &texts)?;
        found.add_to(&mut report);
    }
    if let Some(directory) = &import.write {
        let copied = copy::write(directory, source, root, loaded, &report.findings, &texts);
        report.copied = Some(copied.map_err(|error| format!("{}: {error}", directory.display()))?);
    }
    tell(&report, import.form, out)
}

/// Reports on an access file by itself.
pub fn access_file(import: &Import, file: &Path, out: &mut dyn Write) -> Result<Verdict, String> {
    if import.write.is_some() {
        return Err("--write is for a server's configuration".to_owned());
    }
    let mut report = Report {
        subject: file.to_owned(),
        files: Vec::new(),
        access_files: 0,
        findings: Vec::new(),
        tally: Tally::default(),
        modules: Modules::default(),
        documents: Vec::new(),
        scripts: Vec::new(),
        copied: None,
    };
    let texts = Texts::default();
    access_files::alone(file, &texts).add_to(&mut report);
    for directory in &import.access_files {
        access_files::below(directory, access_files::unknown(&Defines::default()), None, &texts)?.add_to(&mut report);
    }
    tell(&report, import.form, out)
}

fn tell(report: &Report, form: Form, out: &mut dyn Write) -> Result<Verdict, String> {
    let text = match form {
        Form::Page => page::of(report),
        Form::Json => format!("{}\n", json::of(report)),
    };
    printed(out.write_all(text.as_bytes())).map_err(|error| format!("cannot write: {error}"))?;
    Ok(report.verdict())
}

/// The directories that the last words of these directives name, each once.
fn directories(nodes: &[Node], server_root: &[u8], names: &[&str]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for node in nodes {
        if names.iter().any(|name| node.name().eq_ignore_ascii_case(name))
            && let Some(word) = node.words().last()
        {
            found.push(PathBuf::from(OsStr::from_bytes(&below(server_root, word))));
        }
        found.extend(directories(node.children(), server_root, names));
    }
    let mut once: Vec<PathBuf> = Vec::new();
    for path in found {
        if !once.contains(&path) {
            once.push(path);
        }
    }
    once
}

/// Adds what is wrong with somebody's access to a file, as a complaint of the configuration.
pub fn unreadable(loaded: &mut Loaded) {
    let mut complaints = Vec::new();
    look(&loaded.settings.nodes, &loaded.settings.server_root, &mut complaints);
    loaded.complaints.extend(complaints);
}

/// Directives that name a file which is read while serving; what it says is not looked at.
const FILES: &[&str] = &[
    "AuthUserFile",
    "AuthGroupFile",
    "AuthDigestFile",
    "SSLCACertificateFile",
    "SSLCARevocationFile",
    "SSLCertificateChainFile",
    "SSLCertificateFile",
    "SSLCertificateKeyFile",
    "SSLProxyCACertificateFile",
    "SSLProxyCARevocationFile",
    "SSLProxyMachineCertificateFile",
];

/// Adds that servers behind are verified where Apache would believe everybody.
pub fn verified(loaded: &mut Loaded) {
    let named = |node: &&Node, name: &str| node.name().eq_ignore_ascii_case(name);
    let all = flat(&loaded.settings.nodes);
    if all.iter().any(|node| named(node, "SSLProxyVerify")) {
        return;
    }
    let is_on = |node: &&&Node| {
        let word = node.words().first();
        named(node, "SSLProxyEngine") && word.is_some_and(|word| word.eq_ignore_ascii_case(b"on"))
    };
    let sentence = "unlike in Apache, the certificates of servers behind must lead to one that is trusted; name it with \
                    SSLProxyCACertificateFile, or write `SSLProxyVerify none` where anybody may answer";
    let notes = all.iter().filter(is_on);
    let notes: Vec<ConfigError> = notes
        .map(|node| ConfigError::note(node.span(), node.name(), sentence))
        .collect();
    loaded.complaints.extend(notes);
}

/// All nodes, and those in them.
fn flat(nodes: &[Node]) -> Vec<&Node> {
    let with_its_own = |node| std::iter::once(node).chain(flat(Node::children(node)));
    nodes.iter().flat_map(with_its_own).collect()
}

fn look(nodes: &[Node], server_root: &[u8], complaints: &mut Vec<ConfigError>) {
    for node in nodes {
        look(node.children(), server_root, complaints);
        let names_file = FILES.iter().any(|name| node.name().eq_ignore_ascii_case(name));
        let [word] = node.words() else { continue };
        let path = below(server_root, word);
        if names_file && let Err(error) = std::fs::File::open(Path::new(OsStr::from_bytes(&path))) {
            let shown = String::from_utf8_lossy(&path);
            let message = match error.kind() {
                io::ErrorKind::PermissionDenied => format!("`{shown}` cannot be read by you: it was not looked at"),
                _ => format!("`{shown}` cannot be read: {error}"),
            };
            let complaint = if error.kind() == io::ErrorKind::PermissionDenied {
                ConfigError::note(node.span(), node.name(), message)
            } else {
                ConfigError::warning(node.span(), node.name(), message)
            };
            complaints.push(complaint);
        }
    }
}
