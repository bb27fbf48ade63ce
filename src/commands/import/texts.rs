//! The lines of the files as they stand on disk, for what quotes or changes them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::quoting;
use crate::base::quoting::trim_start;
use crate::config::error::Span;

/// A file's lines, each with what ends it.
pub type Lines = Rc<[Vec<u8>]>;

/// The files that were looked at.
#[derive(Default)]
pub struct Texts {
    files: RefCell<HashMap<Arc<str>, Option<Lines>>>,
}

impl Texts {
    /// The lines of a file; nothing where it cannot be read, or is none (a macro, the command line).
    pub fn lines(&self, file: &Arc<str>) -> Option<Lines> {
        let mut files = self.files.borrow_mut();
        let read = || {
            let text = std::fs::read(Path::new(&**file)).ok()?;
            Some(
                text.split_inclusive(|byte| *byte == b'\n')
                    .map(<[u8]>::to_vec)
                    .collect(),
            )
        };
        files.entry(Arc::clone(file)).or_insert_with(read).clone()
    }

    /// The line at a place, with the number of its last physical line; nothing unless it begins with the directive's name.
    pub fn line(&self, span: &Span, directive: &str) -> Option<(Vec<u8>, u32)> {
        let lines = self.lines(&span.file)?;
        let mut number = span.line;
        let mut text = Vec::new();
        while let Some(line) = at(&lines, number) {
            text.extend_from_slice(line);
            if !without_end(line).ends_with(b"\\") {
                break;
            }
            number += 1;
        }
        let (word, _) = quoting::next_word(trim_start(&text))?;
        let word = word.strip_suffix(b">").unwrap_or(&word);
        let name = directive.trim_end_matches('>').as_bytes();
        (word.eq_ignore_ascii_case(name) && !name.is_empty()).then(|| (without_end(&text).to_vec(), number))
    }

    /// The number of the last line of the section that begins at a place.
    pub fn section_end(&self, span: &Span, name: &str) -> Option<u32> {
        let name = name.trim_matches(['<', '>']).as_bytes();
        let lines = self.lines(&span.file)?;
        let mut open = 0_u32;
        let mut continues = false;
        for (number, line) in (1_u32..).zip(lines.iter()).skip(span.line.saturating_sub(1) as usize) {
            let begins_line = !std::mem::replace(&mut continues, without_end(line).ends_with(b"\\"));
            let Some((word, _)) = quoting::next_word(trim_start(line)).filter(|_| begins_line) else {
                continue;
            };
            let word = word.strip_suffix(b">").unwrap_or(&word);
            if word
                .strip_prefix(b"</")
                .is_some_and(|end| end.eq_ignore_ascii_case(name))
            {
                open = open.saturating_sub(1);
                if open == 0 {
                    return Some(number);
                }
            } else if word
                .strip_prefix(b"<")
                .is_some_and(|begin| begin.eq_ignore_ascii_case(name))
            {
                open += 1;
            }
        }
        None
    }
}

/// The line of this number.
pub fn at(lines: &[Vec<u8>], number: u32) -> Option<&Vec<u8>> {
    lines.get(usize::try_from(number).ok()?.checked_sub(1)?)
}

/// A line without what ends it.
pub fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Texts;
    use crate::config::error::Span;

    #[test]
    fn lines_and_sections_are_found_by_their_place() {
        let path = std::env::temp_dir().join(format!("lychgate-import-texts-{}", std::process::id()));
        let text = "<VirtualHost *:443>\r\n  SSLEngine \\\n  on\n  <Proxy *>\n  </Proxy>\n<virtualhost x>\n</VirtualHost>\n\
                    # </VirtualHost>\n</VIRTUALHOST>\nLast";
        std::fs::write(&path, text).expect("there is room");
        let file: Arc<str> = Arc::from(path.to_string_lossy());
        let texts = Texts::default();
        let line = |number, name: &str| texts.line(&Span::new(&file, number), name);
        assert_eq!(line(2, "sslengine"), Some((b"  SSLEngine \\\n  on".to_vec(), 3)));
        assert_eq!(line(1, "<VirtualHost>"), Some((b"<VirtualHost *:443>".to_vec(), 1)));
        assert_eq!(line(10, "Last"), Some((b"Last".to_vec(), 10)));
        assert_eq!(line(3, "SSLEngine"), None);
        assert_eq!(line(11, "Last"), None);
        assert_eq!(line(0, "Last"), None);
        let end = |number, name| texts.section_end(&Span::new(&file, number), name);
        assert_eq!(end(1, "<VirtualHost>"), Some(9));
        assert_eq!(end(6, "VirtualHost"), Some(7));
        assert_eq!(end(4, "<Proxy>"), Some(5));
        assert_eq!(end(4, "Directory"), None);
        std::fs::remove_file(&path).expect("ours");
        assert_eq!(Texts::default().line(&Span::new(&file, 1), "x"), None);
    }
}
