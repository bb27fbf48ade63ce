//! The pages that Apache makes of a listing, byte for byte: a plain list, `FancyIndexing`, `HTMLTable`.

use std::sync::Arc;

use crate::base::quote;
use crate::base::size;
use crate::base::zone;
use crate::config::directives::autoindex::options::{IndexOptions, Looks, Width};
use crate::config::directives::autoindex::patterns::{self, BLANK, Entry};
use crate::config::directives::autoindex::{Direction, Key, Listing};
use crate::handlers::autoindex::page::{Page, Rows};
use crate::handlers::autoindex::query::{Form, Wanted};
use crate::handlers::autoindex::rows::Row;
use crate::handlers::autoindex::title;

/// The page up to its body; the title is HTML text.
pub fn preamble(settings: &Listing, looks: Looks, title: &[u8]) -> Vec<u8> {
    let is_xhtml = looks.has(Looks::XHTML);
    let kind: &[u8] = if is_xhtml {
        b"<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n<html xmlns=\"http://www.w3.org/1999/xhtml\">\n"
    } else {
        b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n<html>\n"
    };
    let mut out = [kind, b" <head>\n  <title>Index of ", title, b"</title>\n"].concat();
    if let Some(sheet) = settings.style_sheet.value() {
        let end: &[u8] = if is_xhtml {
            b"\" type=\"text/css\" />\n"
        } else {
            b"\" type=\"text/css\">\n"
        };
        out.extend_from_slice(&[b"  <link rel=\"stylesheet\" href=\"", sheet.as_slice(), end].concat());
    }
    out.extend_from_slice(settings.head_insert.value().map_or(&[], Vec::as_slice));
    out.extend_from_slice(b" </head>\n <body>\n");
    out
}

/// The heading; the title is HTML text.
pub fn heading(settings: &Listing, title: &[u8]) -> Vec<u8> {
    let begin: &[u8] = match settings.style_sheet.value() {
        Some(_) => b"  <h1 id=\"indextitle\">Index of ",
        None => b"<h1>Index of ",
    };
    [begin, title, b"</h1>\n"].concat()
}

/// Adds the list itself.
pub fn list(page: &mut Page, settings: &Arc<Listing>, wanted: Wanted, rows: Vec<Row>) {
    let list = List::new(settings, wanted, rows);
    let mut head = Vec::new();
    list.head(&mut head);
    let mut tail = Vec::new();
    list.tail(&mut tail);
    page.text(head);
    page.rows(Box::new(list));
    page.text(tail);
}

struct List {
    settings: Arc<Listing>,
    wanted: Wanted,
    rows: Vec<Row>,
    name_width: usize,
    description_width: Option<usize>,
}

impl List {
    fn new(settings: &Arc<Listing>, wanted: Wanted, rows: Vec<Row>) -> List {
        let options = &settings.options;
        let is_fancy = wanted.form == Form::Fancy;
        let grown = |least: usize, longest: Option<usize>| {
            if is_fancy {
                least.max(longest.unwrap_or(0))
            } else {
                least
            }
        };
        let name_width = match options.name_width() {
            Width::Fixed(width) => width,
            Width::Grows(least) => grown(least, rows.iter().map(|row| row.name.len()).max()),
        };
        let descriptions = rows.iter().filter_map(|row| Some(row.description.as_ref()?.len()));
        let description_width = match options.description_width() {
            Some(Width::Fixed(width)) => Some(width),
            // A table's column needs no width to grow.
            Some(Width::Grows(_)) if !is_fancy => None,
            Some(Width::Grows(least)) => Some(grown(least, descriptions.max())),
            None => Some(usual_description_width(wanted.looks)),
        };
        List {
            settings: Arc::clone(settings),
            wanted,
            rows,
            name_width,
            description_width,
        }
    }

    fn options(&self) -> &IndexOptions {
        &self.settings.options
    }

    fn has(&self, look: Looks) -> bool {
        self.wanted.looks.has(look)
    }

    fn has_style(&self) -> bool {
        self.settings.style_sheet.value().is_some()
    }

    fn head(&self, out: &mut Vec<u8>) {
        match self.wanted.form {
            Form::Table => self.table_head(out),
            Form::Fancy => self.fancy_head(out),
            Form::Plain | Form::Own => out.extend_from_slice(b"<ul>"),
        }
    }

    fn tail(&self, out: &mut Vec<u8>) {
        match self.wanted.form {
            Form::Table => {
                self.table_rule(out);
                out.extend_from_slice(b"</table>\n");
            }
            Form::Fancy => {
                if !self.has(Looks::NO_RULES) {
                    self.rule(out);
                }
                out.extend_from_slice(b"</pre>\n");
            }
            Form::Plain | Form::Own => out.extend_from_slice(b"</ul>\n"),
        }
    }

    fn table_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.has_style() {
            b"  <table id=\"indexlist\">\n   <tr class=\"indexhead\">".as_slice()
        } else {
            b"  <table>\n   <tr>"
        });
        if !self.has(Looks::NO_ICON) {
            self.cell(out, b"<th", "indexcolicon", " valign=\"top\"");
            match self.blank_icon() {
                Some(icon) => self.image(out, &icon, b"[ICO]"),
                None => out.extend_from_slice(b"&nbsp;"),
            }
            out.extend_from_slice(b"</th>");
        }
        let columns = [
            (Key::Name, "indexcolname", None),
            (Key::Date, "indexcollastmod", Some(Looks::NO_LAST_MODIFIED)),
            (Key::Size, "indexcolsize", Some(Looks::NO_SIZE)),
            (Key::Description, "indexcoldesc", Some(Looks::NO_DESCRIPTION)),
        ];
        for (key, class, left_out) in columns {
            if left_out.is_some_and(|option| self.has(option)) {
                continue;
            }
            if key != Key::Name {
                out.extend_from_slice(b"</th>");
            }
            self.cell(out, b"<th", class, "");
            self.sorting(out, key);
        }
        out.extend_from_slice(b"</th></tr>\n");
        self.table_rule(out);
    }

    fn columns(&self) -> usize {
        let left_out = [
            Looks::NO_ICON,
            Looks::NO_LAST_MODIFIED,
            Looks::NO_SIZE,
            Looks::NO_DESCRIPTION,
        ];
        5 - left_out.into_iter().filter(|option| self.has(*option)).count()
    }

    fn table_rule(&self, out: &mut Vec<u8>) {
        if self.has(Looks::NO_RULES) {
            return;
        }
        let class = if self.has_style() {
            " class=\"indexbreakrow\""
        } else {
            ""
        };
        out.extend_from_slice(format!("   <tr{class}><th colspan=\"{}\">", self.columns()).as_bytes());
        self.rule(out);
        out.extend_from_slice(b"</th></tr>\n");
    }

    fn rule(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.has(Looks::XHTML) { b"<hr />" } else { b"<hr>" });
    }

    fn fancy_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<pre>");
        if !self.has(Looks::NO_ICON) {
            match self.blank_icon() {
                Some(icon) => {
                    self.image(out, &icon, b"Icon ");
                    out.push(b' ');
                }
                None => out.extend_from_slice(b"      "),
            }
        }
        self.sorting(out, Key::Name);
        spaces(out, self.name_width.saturating_sub(4));
        out.push(b' ');
        if !self.has(Looks::NO_LAST_MODIFIED) {
            self.sorting(out, Key::Date);
            spaces(out, 6);
        }
        if !self.has(Looks::NO_SIZE) {
            self.sorting(out, Key::Size);
            spaces(out, 2);
        }
        if !self.has(Looks::NO_DESCRIPTION) {
            self.sorting(out, Key::Description);
        }
        if self.has(Looks::NO_RULES) {
            out.push(b'\n');
        } else {
            self.rule(out);
        }
    }

    fn blank_icon(&self) -> Option<Arc<[u8]>> {
        patterns::text_for(&self.settings.icons, &Entry::named(BLANK))
    }

    /// A cell's tag: a class where there is a style sheet, else what stands for it.
    fn cell(&self, out: &mut Vec<u8>, tag: &[u8], class: &str, plain: &str) {
        out.extend_from_slice(tag);
        if self.has_style() {
            out.extend_from_slice(format!(" class=\"{class}\"").as_bytes());
        } else {
            out.extend_from_slice(plain.as_bytes());
        }
        out.push(b'>');
    }

    /// A heading of a column, which sorts by it; by the one that it is sorted by it turns the order round.
    fn sorting(&self, out: &mut Vec<u8>, key: Key) {
        let (letter, words) = match key {
            Key::Name => ("N", "Name"),
            Key::Date => ("M", "Last modified"),
            Key::Size => ("S", "Size"),
            Key::Description => ("D", "Description"),
        };
        if self.has(Looks::NO_SORTING) {
            out.extend_from_slice(words.as_bytes());
            return;
        }
        let order = self.wanted.order;
        let turned = order.key == key && order.direction == Direction::Ascending;
        out.extend_from_slice(format!("<a href=\"?C={letter};O={}", if turned { "D" } else { "A" }).as_bytes());
        out.extend_from_slice(&self.wanted.kept);
        out.extend_from_slice(format!("\">{words}</a>").as_bytes());
    }

    fn image(&self, out: &mut Vec<u8>, icon: &[u8], alt: &[u8]) {
        out.extend_from_slice(b"<img src=\"");
        quote::escape_html(out, icon);
        out.extend_from_slice(&[b"\" alt=\"", alt, b"\""].concat());
        for (name, pixels) in [
            ("width", self.options().icon_width()),
            ("height", self.options().icon_height()),
        ] {
            if let Some(pixels) = pixels {
                out.extend_from_slice(format!(" {name}=\"{pixels}\"").as_bytes());
            }
        }
        out.extend_from_slice(if self.has(Looks::XHTML) { b" />" } else { b">" });
    }

    /// An entry's icon, as a link where that is asked for; `none` where it has no icon.
    fn icon(&self, out: &mut Vec<u8>, row: &Row, anchor: &[u8], none: &[u8]) {
        let is_link = self.has(Looks::ICONS_ARE_LINKS);
        if is_link {
            out.extend_from_slice(&[b"<a href=\"", anchor, b"\">"].concat());
        }
        let default = self.settings.default_icon.value().map(Vec::as_slice);
        match row.icon.as_deref().or(default) {
            Some(icon) => {
                let alt = row.alt.as_deref().unwrap_or(b"   ");
                self.image(out, icon, &[b"[", alt, b"]"].concat());
            }
            None => out.extend_from_slice(none),
        }
        if is_link {
            out.extend_from_slice(b"</a>");
        }
    }

    /// A name in the width of its column, and how much of that is left.
    fn fitted<'a>(&self, name: &'a [u8]) -> (std::borrow::Cow<'a, [u8]>, usize) {
        if let Some(left) = self.name_width.checked_sub(name.len()) {
            return (name.into(), left);
        }
        let kept = name.get(..self.name_width.saturating_sub(3)).unwrap_or(name);
        ([kept, b"..>"].concat().into(), 0)
    }

    fn date(&self, row: &Row) -> Option<String> {
        let (seconds, _) = row.modified?;
        let format = if self.options().has_old_dates() {
            "%d-%b-%Y %H:%M"
        } else {
            "%Y-%m-%d %H:%M"
        };
        let time = jiff::Timestamp::from_second(seconds).ok()?;
        Some(time.to_zoned(zone::local()).strftime(format).to_string())
    }

    fn description(&self, row: &Row) -> Option<Vec<u8>> {
        let description = row.description.as_deref()?;
        Some(match self.description_width {
            Some(width) => title::cut(description, width),
            None => description.to_vec(),
        })
    }

    fn table_row(&self, number: usize, row: &Row, anchor: &[u8], name: &[u8], out: &mut Vec<u8>) {
        self.row_tag(number, row, out);
        if !self.has(Looks::NO_ICON) {
            self.cell(out, b"<td", "indexcolicon", " valign=\"top\"");
            self.icon(out, row, anchor, b"&nbsp;");
            out.extend_from_slice(b"</td>");
        }
        self.cell(out, b"<td", "indexcolname", "");
        let (name, left) = match self.options().name_width() {
            Width::Grows(_) => (name.into(), 0),
            Width::Fixed(_) => self.fitted(name),
        };
        link(out, anchor, &name);
        spaces(out, left);
        out.extend_from_slice(b"</td>");
        if !self.has(Looks::NO_LAST_MODIFIED) {
            if let Some(date) = self.date(row) {
                self.cell(out, b"<td", "indexcollastmod", " align=\"right\"");
                out.extend_from_slice(date.as_bytes());
                spaces(out, 2);
            } else {
                self.cell(out, b"<td", "indexcollastmod", "");
                out.extend_from_slice(b"&nbsp;");
            }
            out.extend_from_slice(b"</td>");
        }
        if !self.has(Looks::NO_SIZE) {
            self.cell(out, b"<td", "indexcolsize", " align=\"right\"");
            out.extend_from_slice(shown(row.size).as_bytes());
            out.extend_from_slice(b"</td>");
        }
        if !self.has(Looks::NO_DESCRIPTION) {
            self.cell(out, b"<td", "indexcoldesc", "");
            let description = self.description(row);
            out.extend_from_slice(description.as_deref().unwrap_or(b"&nbsp;"));
            out.extend_from_slice(b"</td>");
        }
        out.extend_from_slice(b"</tr>\n");
    }

    fn row_tag(&self, number: usize, row: &Row, out: &mut Vec<u8>) {
        if !self.has_style() {
            out.extend_from_slice(b"<tr>");
            return;
        }
        out.extend_from_slice(b"   <tr class=\"");
        out.extend_from_slice(if number % 2 == 1 { b"odd" } else { b"even" });
        if let Some(alt) = row.alt.as_deref().filter(|_| self.has(Looks::ALT_CLASS)) {
            out.push(b'-');
            out.extend_from_slice(&alt.to_ascii_lowercase());
        }
        out.extend_from_slice(b"\">");
    }

    fn fancy_row(&self, row: &Row, anchor: &[u8], name: &[u8], out: &mut Vec<u8>) {
        if !self.has(Looks::NO_ICON) {
            self.icon(out, row, anchor, b"     ");
            out.push(b' ');
        }
        let (name, left) = self.fitted(name);
        link(out, anchor, &name);
        spaces(out, left + 1);
        if !self.has(Looks::NO_LAST_MODIFIED) {
            match self.date(row) {
                Some(date) => {
                    out.extend_from_slice(date.as_bytes());
                    spaces(out, 2);
                }
                None => spaces(out, 19),
            }
        }
        if !self.has(Looks::NO_SIZE) {
            out.extend_from_slice(shown(row.size).as_bytes());
            spaces(out, 2);
        }
        if !self.has(Looks::NO_DESCRIPTION) {
            out.extend_from_slice(&self.description(row).unwrap_or_default());
        }
        out.push(b'\n');
    }
}

impl Rows for List {
    fn write(&self, number: usize, out: &mut Vec<u8>) -> Option<()> {
        let row = self.rows.get(number)?;
        let mut anchor = Vec::new();
        quote::escape_html(&mut anchor, &quote::url_relative(&row.name));
        let name: &[u8] = if row.is_parent { b"Parent Directory" } else { &row.name };
        match self.wanted.form {
            Form::Table => self.table_row(number, row, &anchor, name, out),
            Form::Fancy => self.fancy_row(row, &anchor, name, out),
            Form::Plain | Form::Own => {
                out.extend_from_slice(&[b"<li><a href=\"", anchor.as_slice(), b"\"> "].concat());
                quote::escape_html(out, name);
                out.extend_from_slice(b"</a></li>\n");
            }
        }
        Some(())
    }
}

/// Descriptions have the room of the columns that are left out.
fn usual_description_width(looks: Looks) -> usize {
    let room = |option, width| if looks.has(option) { width } else { 0 };
    IndexOptions::DESCRIPTION_WIDTH
        + room(Looks::NO_ICON, 6)
        + room(Looks::NO_LAST_MODIFIED, 19)
        + room(Looks::NO_SIZE, 7)
}

fn link(out: &mut Vec<u8>, anchor: &[u8], name: &[u8]) {
    out.extend_from_slice(&[b"<a href=\"", anchor, b"\">"].concat());
    quote::escape_html(out, name);
    out.extend_from_slice(b"</a>");
}

fn spaces(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, b' ');
}

/// A size in four characters; a dash for what has none.
fn shown(size: Option<u64>) -> String {
    size.map_or_else(|| "  - ".to_owned(), size::abbreviated)
}
