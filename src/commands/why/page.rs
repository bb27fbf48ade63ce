//! The page that people read: a word for what a line is about, the line, and where in the settings it comes from.

use std::fmt::Write;

/// Lines are broken before what says where they come from, if they would be longer.
const WIDTH: usize = 120;

/// What stands before every line.
const MARGIN: usize = 11;

/// A page in the making.
#[derive(Default)]
pub(super) struct Page {
    text: String,
    /// The word of the last line.
    word: String,
}

impl Page {
    /// A line about something; `depth` is how far it stands in. The word is not said twice.
    pub(super) fn line(&mut self, word: &str, depth: usize, line: &str, place: Option<&str>) {
        let shown = if self.word == word { "" } else { word };
        let mut left = format!("{shown:<MARGIN$}{:1$}", "", depth * 2);
        word.clone_into(&mut self.word);
        for part in line.split('\n') {
            let part = printable(part);
            let whole = left.chars().count() + part.chars().count();
            let _into_memory = write!(self.text, "{left}{part}");
            left = format!("{:1$}", "", MARGIN + depth * 2);
            if let Some(place) = place {
                let place = printable(place);
                if whole + place.chars().count() + 4 > WIDTH {
                    let _into_memory = write!(self.text, "\n{left}  ({place})");
                } else {
                    let _into_memory = write!(self.text, "  ({place})");
                }
            }
            self.text.push('\n');
        }
    }

    /// A heading between passes.
    pub(super) fn heading(&mut self, line: &str) {
        let _into_memory = write!(self.text, "\n-- {}\n\n", printable(line));
        self.word.clear();
    }

    /// A gap; the next line says its word again.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
        self.word.clear();
    }

    /// The page.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Text that does nothing to a terminal: control characters are escaped.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn a_page_says_each_word_once_and_breaks_before_places() {
        let mut page = Page::default();
        page.line("site", 0, "a.example", Some("a.conf:3"));
        page.line("section", 0, "<Directory \"/\">", None);
        page.line("section", 1, "Require all denied", Some(":4"));
        page.line("section", 0, &"x".repeat(110), Some("a.conf:9"));
        page.gap();
        page.line("section", 0, "one\ntwo\u{1b}[31m", None);
        let want = format!(
            "site       a.example  (a.conf:3)\n\
             section    <Directory \"/\">\n\
             {:13}Require all denied  (:4)\n\
             {:11}{}\n\
             {:11}  (a.conf:9)\n\
             \n\
             section    one\n\
             {:11}two\\u{{1b}}[31m\n",
            "",
            "",
            "x".repeat(110),
            "",
            ""
        );
        assert_eq!(page.into_text(), want);
    }
}
