//! The directives that act while the text is read: `Include`, `Define`, `Use`, `ServerRoot`, `Error` and their like.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::quoting;
use crate::config::error::Span;
use crate::config::include::{Missing, below, files};
use crate::config::lines::Line;
use crate::config::macros::Macro;
use crate::config::node::Node;
use crate::config::reader::{Frame, Input, Origin, Reader};
use crate::config::sections::Building;
use crate::config::suggest;

/// How many files may be open in one another, as in Apache.
const MAX_INCLUDES: usize = 128;
/// How many lines macros may make in all; macros that use macros grow quickly.
const MAX_MACRO_LINES: usize = 250_000;

impl Reader<'_> {
    /// Acts upon a directive, or keeps it for the tree.
    pub(super) fn directive(
        &mut self,
        name: &str,
        args: &[u8],
        span: &Span,
        input: &mut Input,
        building: &mut Building,
    ) {
        let words = || quoting::words(args);
        let lower = name.to_ascii_lowercase();
        let makes = matches!(
            lower.as_str(),
            "include" | "includeoptional" | "define" | "undefine" | "use" | "undefmacro" | "serverroot"
        );
        if makes && self.language.origin == Origin::Htaccess {
            self.error(
                span,
                name,
                "it is not allowed in .htaccess; write it in the server's own configuration",
            );
            return;
        }
        if let ("loadmodule", Some(module)) = (lower.as_str(), words().first()) {
            self.loaded.insert(module.clone());
        }
        match lower.as_str() {
            "include" => self.include(name, &words(), span, Missing::Refused, building),
            "includeoptional" => self.include(name, &words(), span, Missing::Allowed, building),
            "define" => self.define(name, &words(), span),
            "undefine" => match words().as_slice() {
                [word] => self.defines.undefine(word),
                _ => self.error(span, name, "it takes one name"),
            },
            "use" => self.use_macro(name, &words(), span, input),
            "undefmacro" => self.forget_macro(name, &words(), span),
            "macroignoreemptyargs" | "macroignorebadnesting" => {}
            "error" => self.error(span, name, message(args)),
            "warning" => self.warn(span, name, message(args)),
            "serverroot" => self.server_root(name, &words(), span),
            _ => building.nodes.push(Node::directive(name, args, span.clone())),
        }
    }

    fn server_root(&mut self, directive: &str, words: &[Vec<u8>], span: &Span) {
        let [root] = words else {
            return self.error(span, directive, "it takes one directory");
        };
        let root = below(&self.server_root, root);
        if Path::new(OsStr::from_bytes(&root)).is_dir() {
            self.server_root = root;
        } else {
            let root = String::from_utf8_lossy(&root).into_owned();
            self.error(
                span,
                directive,
                format!("`{root}` is not a directory; name one that is there"),
            );
        }
    }

    fn include(&mut self, name: &str, words: &[Vec<u8>], span: &Span, missing: Missing, building: &mut Building) {
        let pattern = match words {
            [pattern] if !pattern.is_empty() => below(&self.server_root, pattern),
            _ => return self.error(span, name, "it takes one file, directory or pattern"),
        };
        if self.open_files.len() >= MAX_INCLUDES {
            let sentence = format!("files include one another more than {MAX_INCLUDES} deep");
            return self.error(span, name, sentence);
        }
        let found: Vec<PathBuf> = match files(&pattern, missing) {
            Ok(found) => found,
            Err(sentence) => return self.error(span, name, sentence),
        };
        self.around += building.depth();
        for path in found {
            let nodes = self.read_file(&path, Some((span, name)));
            building.nodes.extend(nodes);
        }
        self.around -= building.depth();
    }

    fn define(&mut self, directive: &str, words: &[Vec<u8>], span: &Span) {
        let (name, value) = match words {
            [name] => (name, None),
            [name, value] => (name, Some(value.as_slice())),
            _ => {
                let sentence = "it takes a name and perhaps a value; put a value with spaces in quotes";
                return self.error(span, directive, sentence);
            }
        };
        if name.contains(&b':') {
            let name = String::from_utf8_lossy(name).into_owned();
            return self.error(span, directive, format!("`{name}` has a `:`; write a name without it"));
        }
        self.defines.define(name, value);
    }

    /// `<Macro>`: keeps the lines up to its `</Macro>`.
    pub(super) fn define_macro(&mut self, args: &[u8], span: &Span, input: &mut Input) {
        let mut made = Macro::from_heading(args, span.clone());
        let mut depth = 1;
        while let Some((_, line)) = input.next() {
            let first = quoting::next_word(&line.text).map(|(word, _)| word).unwrap_or_default();
            if first.eq_ignore_ascii_case(b"</Macro>") {
                depth -= 1;
            } else if first.eq_ignore_ascii_case(b"<Macro") {
                depth += 1;
            }
            if depth == 0 {
                break;
            }
            if let Some(fault) = line.fault {
                self.error(span, "<Macro>", fault.sentence());
            } else if let Ok(made) = &mut made {
                made.push_line(line.text);
            }
        }
        let made = match made {
            _ if self.language.origin == Origin::Htaccess => {
                return self.error(
                    span,
                    "<Macro>",
                    "it is not allowed in .htaccess; write it in the server's own configuration",
                );
            }
            Err(sentence) => return self.error(span, "<Macro>", sentence),
            Ok(_) if depth > 0 => {
                return self.error(
                    span,
                    "<Macro>",
                    "the section is not closed; write `</Macro>` where it ends",
                );
            }
            Ok(made) => made,
        };
        for doubt in made.doubts() {
            self.warn(span, "<Macro>", doubt);
        }
        let name = made.name.clone();
        if let Some(old) = self.macros.add(made) {
            self.warn(span, "<Macro>", format!("it replaces the macro `{name}` of {old}"));
        }
    }

    fn use_macro(&mut self, directive: &str, words: &[Vec<u8>], span: &Span, input: &mut Input) {
        let Some((name, values)) = words.split_first() else {
            return self.error(span, directive, "it takes the name of a macro and its arguments");
        };
        let Some(used) = self.macros.named(name) else {
            let name = String::from_utf8_lossy(name).into_owned();
            let sentence = match suggest::nearest(&name, self.macros.names()) {
                Some(near) => format!("there is no macro `{name}`; perhaps `{near}` is meant"),
                None => format!("there is no macro `{name}`; define it before with `<Macro {name}>`"),
            };
            return self.error(span, directive, sentence);
        };
        if input
            .frames
            .iter()
            .any(|frame| frame.macro_name.as_ref() == Some(&used.name))
        {
            return self.error(span, directive, format!("the macro `{}` uses itself", used.name));
        }
        let body = match used.lines(values) {
            Ok(body) => body,
            Err(sentence) => return self.error(span, directive, sentence),
        };
        self.macro_lines = self.macro_lines.saturating_add(body.len());
        if self.macro_lines > MAX_MACRO_LINES {
            let sentence = format!("macros make more than {MAX_MACRO_LINES} lines");
            return self.error(span, directive, sentence);
        }
        let numbered = (1..).zip(body).map(|(number, text)| Line {
            number,
            text,
            fault: None,
        });
        let lines: Vec<Line> = numbered.collect();
        input.frames.push(Frame {
            file: Arc::from(used.place(span)),
            lines: lines.into_iter(),
            macro_name: Some(used.name.clone()),
        });
    }

    fn forget_macro(&mut self, directive: &str, words: &[Vec<u8>], span: &Span) {
        let [name] = words else {
            return self.error(span, directive, "it takes the name of one macro");
        };
        if !self.macros.remove(name) {
            let name = String::from_utf8_lossy(name).into_owned();
            self.error(span, directive, format!("there is no macro `{name}`"));
        }
    }
}

/// The text of `Error` and `Warning`: the whole rest of the line, without quotes around it.
fn message(args: &[u8]) -> String {
    let text = match quoting::next_word(args) {
        Some((word, [])) => word,
        _ => args.to_vec(),
    };
    String::from_utf8_lossy(&text).into_owned()
}
