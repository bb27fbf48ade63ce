//! Listings of directories without an index file: `mod_autoindex`.

pub mod options;
pub mod patterns;

use crate::config::directives::autoindex::options::IndexOptions;
use crate::config::directives::autoindex::patterns::{By, Description, Ignored, Item, add, add_icon};
use crate::config::setting::{Merge, Prepended, Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};

/// What scopes say of listings. Sections that say nothing of them are not merged, and those that one walk of Apache's finds are merged
/// with one another before they are laid over the rest; for `IndexOptions` and `IndexIgnoreReset` that is not the same.
#[derive(Clone, Debug, Default)]
pub struct Autoindex {
    settled: Option<Box<Listing>>,
    said: Option<Box<Listing>>,
}

impl Autoindex {
    /// What the scope says, to say more.
    fn own(&mut self) -> &mut Listing {
        self.said.get_or_insert_default()
    }

    /// Ends a walk: what follows is laid over all that was merged so far. Only what the main server's own lines say is laid over
    /// nothing, and where they say nothing the rest is laid over what is usual.
    pub fn close(&mut self) {
        let said = self.said.take();
        match (&mut self.settled, said) {
            (Some(settled), Some(said)) => settled.merge(&said),
            (None, said) => self.settled = Some(said.unwrap_or_default()),
            (Some(_), None) => {}
        }
    }

    /// All that holds.
    pub fn in_force(&self) -> Listing {
        let mut all = self.clone();
        all.close();
        all.settled.map(|listing| *listing).unwrap_or_default()
    }
}

impl Merge for Autoindex {
    fn merge(&mut self, inner: &Self) {
        match (&mut self.said, &inner.said) {
            (Some(said), Some(inner)) => said.merge(inner),
            (None, Some(inner)) => self.said = Some(inner.clone()),
            (_, None) => {}
        }
    }
}

settings! {
    /// Settings of listings.
    pub struct Listing {
        /// `IndexOptions`.
        options: IndexOptions,
        /// `IndexOrderDefault`.
        order: Setting<Order>,
        /// `IndexIgnore` and `IndexIgnoreReset`.
        ignore: Ignored,
        /// `AddIcon` and its like.
        icons: Prepended<Item>,
        /// `AddAlt` and its like.
        alts: Prepended<Item>,
        /// `AddDescription`.
        descriptions: Prepended<Description>,
        /// `DefaultIcon`.
        default_icon: Setting<Vec<u8>>,
        /// `HeaderName`.
        header: Setting<Vec<u8>>,
        /// `ReadmeName`.
        readme: Setting<Vec<u8>>,
        /// `IndexStyleSheet`.
        style_sheet: Setting<Vec<u8>>,
        /// `IndexHeadInsert`.
        head_insert: Setting<Vec<u8>>,
    }
}

/// The order of a listing's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What they are compared by.
    pub key: Key,
    /// Which end comes first.
    pub direction: Direction,
}

/// What entries are compared by, before their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The name alone.
    Name,
    /// The time of the last change.
    Date,
    /// The size.
    Size,
    /// The description.
    Description,
}

/// Which end of an order comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The least.
    Ascending,
    /// The greatest.
    Descending,
}

impl Order {
    /// By name, where nothing is said.
    pub const USUAL: Order = Order {
        key: Key::Name,
        direction: Direction::Ascending,
    };
}

const ICONS: &str = "Words for names match as in the rest of mod_autoindex: a word with * or ? is compared with the whole file name, \
path and all, any other with its end. ^^DIRECTORY^^ stands for directories, ^^BLANKICON^^ for the icon at the head of the column. The \
icon may be (TXT,/icons/text.gif), which names the text in its place too. The first that matches counts, and those of inner sections \
come first. Icons are of listings with IndexOptions FancyIndexing or HTMLTable; lychgate's own pages have icons of their own.";

const ALTS: &str =
    "It is the text in place of the icon, in brackets, and a class of the table's row by IndexOptions AddAltClass.";

macro_rules! items {
    ($name:literal, $syntax:literal, $summary:literal, $manual:expr, $set:expr) => {
        Directive {
            name: $name,
            module: "mod_autoindex",
            syntax: $syntax,
            words: Words::AtLeast(2),
            allowed: ANYWHERE,
            overrides: Override::Indexes,
            default: "",
            summary: $summary,
            manual: $manual,
            set: Set::Dir($set),
        }
    };
}

macro_rules! one_word {
    ($name:literal, $syntax:literal, $field:ident, $summary:literal, $manual:literal) => {
        Directive {
            name: $name,
            module: "mod_autoindex",
            syntax: $syntax,
            words: Words::exactly(1),
            allowed: ANYWHERE,
            overrides: Override::Indexes,
            default: "",
            summary: $summary,
            manual: $manual,
            set: Set::Dir(|conf, args| {
                conf.autoindex.own().$field.set(args.bytes(0).to_vec());
                Ok(())
            }),
        }
    };
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    items!(
        "AddAlt",
        "text name ...",
        "Name the text in place of an icon, by file names.",
        ALTS,
        |conf, args| {
            add(&mut conf.autoindex.own().alts, By::Name, args);
            Ok(())
        }
    ),
    items!(
        "AddAltByEncoding",
        "text coding ...",
        "Name the text in place of an icon, by content codings.",
        ALTS,
        |conf, args| {
            add(&mut conf.autoindex.own().alts, By::Encoding, args);
            Ok(())
        }
    ),
    items!(
        "AddAltByType",
        "text media-type ...",
        "Name the text in place of an icon, by media types.",
        ALTS,
        |conf, args| {
            add(&mut conf.autoindex.own().alts, By::Type, args);
            Ok(())
        }
    ),
    items!(
        "AddDescription",
        "text name ...",
        "Describe files in listings.",
        "The text is HTML. A name without *, ? or [ is looked for anywhere in the file's name, a pattern likewise; a word with a slash \
is compared with the end of the path. The column is 23 characters wide, and up to 55 where other columns are left out, unless IndexOptions \
DescriptionWidth says otherwise; longer texts are cut.",
        |conf, args| {
            for name in args.rest(1) {
                let description = Description::new(name, args.bytes(0));
                conf.autoindex.own().descriptions.push(description);
            }
            Ok(())
        }
    ),
    items!(
        "AddIcon",
        "icon name ...",
        "Name icons by file names.",
        ICONS,
        |conf, args| add_icon(conf.autoindex.own(), By::Name, args)
    ),
    items!(
        "AddIconByEncoding",
        "icon coding ...",
        "Name icons by content codings.",
        "As AddIcon.",
        |conf, args| add_icon(conf.autoindex.own(), By::Encoding, args)
    ),
    items!(
        "AddIconByType",
        "icon media-type ...",
        "Name icons by media types.",
        "As AddIcon. A file with a content coding has no icon by its type.",
        |conf, args| add_icon(conf.autoindex.own(), By::Type, args)
    ),
    one_word!(
        "DefaultIcon",
        "url-path",
        default_icon,
        "Name the icon of files that have none of their own.",
        ""
    ),
    one_word!(
        "HeaderName",
        "filename",
        header,
        "Name the file that stands above a listing.",
        "It is a URL path, relative to the directory's or from the root. HTML takes the place of the heading, and of the page's head too by \
IndexOptions SuppressHTMLPreamble; any other text is shown as it is. It may be a script that makes HTML, if its media type says so."
    ),
    one_word!(
        "IndexHeadInsert",
        "markup",
        head_insert,
        "Insert text into the head of listings.",
        ""
    ),
    Directive {
        name: "IndexIgnore",
        module: "mod_autoindex",
        syntax: "file ...",
        words: Words::AtLeast(1),
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "",
        summary: "Leave files out of directory listings.",
        manual: "Each word is a name or a shell-style pattern of * and ?. Lines add up, those of outer sections too. Lychgate's own pages \
also leave out names that begin with a dot, and editors' copies.",
        set: Set::Dir(|conf, args| {
            for name in args.words {
                conf.autoindex.own().ignore.push(name, args);
            }
            Ok(())
        }),
    },
    Directive {
        name: "IndexIgnoreReset",
        module: "mod_autoindex",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "Off",
        summary: "Forget what outer sections leave out of listings.",
        manual: "",
        set: Set::Dir(|conf, args| {
            conf.autoindex.own().ignore.alone = args.flag(0)?;
            Ok(())
        }),
    },
    Directive {
        name: "IndexOptions",
        module: "mod_autoindex",
        syntax: "[+|-]option ...",
        words: Words::AtLeast(0),
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "",
        summary: "Choose the looks of listings.",
        manual: "A listing that no IndexOptions line is about is a page of lychgate's own: it fits small screens, has its icons in itself and \
is sorted by a click. Any such line, also IndexOptions None, makes it the page that Apache makes, byte for byte: a plain list, FancyIndexing or \
HTMLTable. A query of F=0, F=1 or F=2 asks for one of the three.

The options are FancyIndexing, HTMLTable, AddAltClass, FoldersFirst, IconsAreLinks, IgnoreCase, IgnoreClient, ScanHTMLTitles, ShowForbidden, \
SuppressColumnSorting, SuppressDescription, SuppressHTMLPreamble, SuppressIcon, SuppressLastModified, SuppressRules, SuppressSize, TrackModified, \
VersionSort, XHTML, UseOldDateFormat, Charset=, Type=, IconHeight[=pixels], IconWidth[=pixels], NameWidth=n|* and DescriptionWidth=n|*. Options \
without + or - replace what outer sections say, and take the + and - of their own section out of force, as in Apache.",
        set: Set::Dir(|conf, args| conf.autoindex.own().options.take(args.words)),
    },
    Directive {
        name: "IndexOrderDefault",
        module: "mod_autoindex",
        syntax: "Ascending|Descending Name|Date|Size|Description",
        words: Words::exactly(2),
        allowed: ANYWHERE,
        overrides: Override::Indexes,
        default: "Ascending Name",
        summary: "Choose the order of listings that a query does not ask for.",
        manual: "",
        set: Set::Dir(|conf, args| {
            let directions = [
                ("Ascending", Direction::Ascending),
                ("Descending", Direction::Descending),
            ];
            let keys = [
                ("Name", Key::Name),
                ("Date", Key::Date),
                ("Size", Key::Size),
                ("Description", Key::Description),
            ];
            conf.autoindex.own().order.set(Order {
                direction: args.choice(0, &directions)?,
                key: args.choice(1, &keys)?,
            });
            Ok(())
        }),
    },
    one_word!(
        "IndexStyleSheet",
        "url-path",
        style_sheet,
        "Name the style sheet of listings.",
        "Rows and columns of an HTMLTable then have classes. Lychgate's own pages link it after their own styles."
    ),
    one_word!(
        "ReadmeName",
        "filename",
        readme,
        "Name the file that stands below a listing.",
        "As HeaderName; it takes the place of the server's signature."
    ),
];
