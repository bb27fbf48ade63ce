//! Configuration text to a tree: sections are balanced, files included, conditions decided, variables replaced, macros
//! expanded. What is wrong is collected, not only the first of it.
//!
//! The rules are Apache's (`server/config.c`, `core.c`, mod_macro, mod_version, asked of 2.4.71), except where an answer
//! can be better: a wrong section is named at both its ends, and reading goes on after it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use crate::base::quoting;
use crate::config::condition::Modules;
use crate::config::define::Defines;
use crate::config::error::{COMMAND_LINE, ConfigError, Span};
use crate::config::include::below;
use crate::config::lines::{Line, logical_lines, trim};
use crate::config::macros::Macros;
use crate::config::node::{Node, Settings};
use crate::config::sections::Building;

/// Where the text comes from; it decides what the language may do there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The server's own files.
    Server,
    /// An `.htaccess` file: no files, variables or macros are made there.
    Htaccess,
}

/// What the reader needs to know besides the text.
pub struct Language<'a> {
    /// The server's modules and directives.
    pub modules: &'a dyn Modules,
    /// The value of an environment variable.
    pub environment: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
    /// The Apache version that `<IfVersion>` sees.
    pub version: [u32; 3],
    /// `ServerRoot` as long as no directive sets it (`-d`).
    pub server_root: Vec<u8>,
    /// What is defined before the first line (`-D`).
    pub defines: Defines,
    /// Whose text it is.
    pub origin: Origin,
}

/// One file that was read, for `-t -D DUMP_INCLUDES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// The file.
    pub file: Arc<str>,
    /// Where it was asked for; nothing for the first file.
    pub by: Option<Span>,
    /// How many files are around it.
    pub depth: usize,
}

/// A condition that was decided: `<IfModule>` and its like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Where it begins.
    pub span: Span,
    /// The section's name as it was written, without `<`.
    pub name: String,
    /// The module that it asks for, and whether it asks if the module is absent.
    pub asked: Option<(String, bool)>,
    /// What was decided.
    pub holds: bool,
    /// The directives inside, where it does not hold: place and name.
    pub passed_over: Vec<(Span, String)>,
}

/// What came of reading.
#[derive(Debug)]
pub struct Reading {
    /// The tree; of use only when no complaint is fatal.
    pub settings: Settings,
    /// Everything worth saying, in the order of the text.
    pub complaints: Vec<ConfigError>,
    /// The files, in the order of reading.
    pub included: Vec<Included>,
    /// The conditions, in the order of reading; those inside of one that does not hold are not decided.
    pub decided: Vec<Decided>,
}

impl Reading {
    /// Whether any complaint keeps the server from starting.
    pub fn is_fatal(&self) -> bool {
        self.complaints.iter().any(ConfigError::is_fatal)
    }
}

/// Reads a server's configuration: the lines of `-C`, the file, the lines of `-c`. A relative file name is below the
/// server root; with lines given and no such file, the lines are all there is.
pub fn read_server(file: &Path, before: &[Vec<u8>], after: &[Vec<u8>], language: &Language) -> Reading {
    let mut reader = Reader::new(language);
    let mut nodes = reader.read_lines(before);
    let path = below(&reader.server_root, file.as_os_str().as_bytes());
    let path = Path::new(OsStr::from_bytes(&path));
    if path.exists() || (before.is_empty() && after.is_empty()) {
        nodes.extend(reader.read_file(path, None));
    }
    nodes.extend(reader.read_lines(after));
    reader.finish(nodes)
}

/// Reads text that is at hand; `name` stands for its file in messages.
pub fn read_text(name: &str, text: &[u8], language: &Language) -> Reading {
    let mut reader = Reader::new(language);
    let name = Arc::from(name);
    reader.note_file(&name, None);
    let nodes = reader.read_source(Input::new(&name, logical_lines(text)));
    reader.finish(nodes)
}

/// The state that lasts over all files.
pub(super) struct Reader<'a> {
    pub(super) language: &'a Language<'a>,
    pub(super) defines: Defines,
    pub(super) server_root: Vec<u8>,
    pub(super) macros: Macros,
    /// How many lines macros have made so far.
    pub(super) macro_lines: usize,
    pub(super) complaints: Vec<ConfigError>,
    included: Vec<Included>,
    pub(super) decided: Vec<Decided>,
    /// The modules that LoadModule has named: `ssl_module`.
    pub(super) loaded: HashSet<Vec<u8>>,
    /// How many sections are open around the file being read.
    pub(super) around: usize,
    /// Device and inode of the files being read, the outermost first.
    pub(super) open_files: Vec<(u64, u64)>,
}

/// The lines being read: a file's, and above them those of the macros in use.
pub(super) struct Input {
    pub(super) frames: Vec<Frame>,
}

/// One source of lines.
pub(super) struct Frame {
    pub(super) file: Arc<str>,
    pub(super) lines: std::vec::IntoIter<Line>,
    /// The macro's name, in lower case, if they come from one.
    pub(super) macro_name: Option<String>,
}

impl Input {
    fn new(file: &Arc<str>, lines: Vec<Line>) -> Input {
        let frame = Frame {
            file: Arc::clone(file),
            lines: lines.into_iter(),
            macro_name: None,
        };
        Input { frames: vec![frame] }
    }

    /// The next line, from the innermost source that has one.
    pub(super) fn next(&mut self) -> Option<(Span, Line)> {
        while let Some(frame) = self.frames.last_mut() {
            if let Some(line) = frame.lines.next() {
                return Some((Span::new(&frame.file, line.number), line));
            }
            self.frames.pop();
        }
        None
    }
}

impl<'a> Reader<'a> {
    fn new(language: &'a Language<'a>) -> Reader<'a> {
        Reader {
            language,
            defines: language.defines.clone(),
            server_root: language.server_root.clone(),
            macros: Macros::default(),
            macro_lines: 0,
            loaded: HashSet::new(),
            around: 0,
            complaints: Vec::new(),
            included: Vec::new(),
            decided: Vec::new(),
            open_files: Vec::new(),
        }
    }

    fn finish(self, nodes: Vec<Node>) -> Reading {
        let Reader {
            defines,
            server_root,
            complaints,
            included,
            decided,
            ..
        } = self;
        let settings = Settings {
            nodes,
            defines,
            server_root,
        };
        Reading {
            settings,
            complaints,
            included,
            decided,
        }
    }

    pub(super) fn error(&mut self, span: &Span, directive: &str, message: impl Into<String>) {
        self.complaints.push(ConfigError::error(span, directive, message));
    }

    pub(super) fn warn(&mut self, span: &Span, directive: &str, message: impl Into<String>) {
        self.complaints.push(ConfigError::warning(span, directive, message));
    }

    fn note_file(&mut self, file: &Arc<str>, by: Option<&Span>) {
        let depth = self.open_files.len();
        self.included.push(Included {
            file: Arc::clone(file),
            by: by.cloned(),
            depth,
        });
    }

    fn read_lines(&mut self, given: &[Vec<u8>]) -> Vec<Node> {
        let lines = given.iter().flat_map(|text| logical_lines(text)).collect();
        self.read_source(Input::new(&Arc::from(COMMAND_LINE), lines))
    }

    /// The nodes of a file; complaints that concern the file as a whole are placed at `by`.
    pub(super) fn read_file(&mut self, path: &Path, by: Option<(&Span, &str)>) -> Vec<Node> {
        let shown: Arc<str> = Arc::from(path.to_string_lossy());
        let own = Span::new(&shown, 0);
        let (span, directive) = by.unwrap_or((&own, ""));
        let opened = std::fs::metadata(path).map_err(|e| e.to_string()).and_then(|meta| {
            let identity = (meta.dev(), meta.ino());
            if self.open_files.contains(&identity) {
                return Err("the file includes itself, directly or through others".to_owned());
            }
            if shown.bytes().any(|b| b.is_ascii_control()) {
                return Err("its name has a control character; rename it".to_owned());
            }
            if !meta.is_file() && path != Path::new("/dev/null") {
                return Err("it is not a regular file".to_owned());
            }
            Ok((identity, std::fs::read(path).map_err(|e| e.to_string())?))
        });
        match opened {
            Ok((identity, text)) => {
                self.note_file(&shown, by.map(|(span, _)| span));
                self.open_files.push(identity);
                let nodes = self.read_source(Input::new(&shown, logical_lines(&text)));
                self.open_files.pop();
                nodes
            }
            Err(sentence) => {
                let message = format!("`{shown}` cannot be read: {sentence}");
                self.error(span, directive, message);
                Vec::new()
            }
        }
    }

    /// The nodes of one source; every section that begins there ends there.
    fn read_source(&mut self, mut input: Input) -> Vec<Node> {
        let mut building = Building::default();
        while let Some((span, line)) = input.next() {
            if let Some(fault) = line.fault {
                self.error(&span, "", fault.sentence());
            } else if !line.text.is_empty() {
                self.read_line(&line.text, &span, &mut input, &mut building);
            }
        }
        self.close_all(&mut building);
        building.nodes
    }

    fn read_line(&mut self, text: &[u8], span: &Span, input: &mut Input, building: &mut Building) {
        let environment = self.language.environment;
        let (text, unknown) = self.defines.expand(text, environment);
        let text = text.into_owned();
        // With a colon it is a rule's question to a map.
        for name in unknown.into_iter().filter(|name| !name.contains(&b':')) {
            let name = String::from_utf8_lossy(&name).into_owned();
            let message =
                format!("`${{{name}}}` is not defined and stays as it is; write `Define {name} VALUE` before it");
            self.warn(span, "", message);
        }
        let Some((word, args)) = quoting::next_word(&text) else {
            return;
        };
        let args = trim(args);
        if let Some(name) = word.strip_prefix(b"</") {
            self.end_section(name, args, span, building);
        } else if let Some(name) = word.strip_prefix(b"<") {
            let bare = name.strip_suffix(b">");
            let args = if args.is_empty() && bare.is_some() { b">" } else { args };
            if let Some(name) = self.checked_name(bare.unwrap_or(name), "<", span) {
                self.begin_section(&name, args, span, input, building);
            }
        } else if !word.is_empty()
            && let Some(name) = self.checked_name(&word, "", span)
        {
            self.directive(&name, args, span, input, building);
        }
    }

    /// The name, if it can be one of a directive or section.
    fn checked_name(&mut self, name: &[u8], before: &str, span: &Span) -> Option<String> {
        let fits = !name.is_empty()
            && name
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        let text = String::from_utf8_lossy(name).into_owned();
        if !fits {
            let what = if before.is_empty() { "directive" } else { "section" };
            let shown = text.escape_debug();
            self.error(
                span,
                "",
                format!("`{before}{shown}` is not the name of a {what}; names are letters and digits"),
            );
        }
        fits.then_some(text)
    }
}

/// Every name the language itself acts upon; sections in `<>`.
pub const LANGUAGE_NAMES: [&str; 18] = [
    "<IfDefine>",
    "<IfDirective>",
    "<IfFile>",
    "<IfModule>",
    "<IfSection>",
    "<IfVersion>",
    "<Macro>",
    "Define",
    "Error",
    "Include",
    "IncludeOptional",
    "MacroIgnoreBadNesting",
    "MacroIgnoreEmptyArgs",
    "ServerRoot",
    "UnDefine",
    "UndefMacro",
    "Use",
    "Warning",
];

#[cfg(test)]
pub(crate) mod tests;
