//! `AllowOverride` and `AllowOverrideList`: what `.htaccess` files may say.

use crate::config::directives::DirConf;
use crate::config::directives::options::{Options, option};
use crate::config::setting::{Setting, settings};
use crate::config::table::{DIRECTORY, Directive, Override, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// What `.htaccess` files may say here.
    pub struct Overrides {
        /// `AllowOverride`.
        classes: Setting<Classes>,
        /// `AllowOverrideList`: names in lower case; `None` is an empty list.
        list: Setting<Vec<String>>,
    }
}

/// Classes of directives, as AllowOverride names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    allowed: u8,
    /// What `Options` itself may name.
    options: Options,
    /// A directive of a class that is not allowed is passed over (`Nonfatal=Override`).
    pub override_is_nonfatal: bool,
    /// A directive that is not known is passed over (`Nonfatal=Unknown`).
    pub unknown_is_nonfatal: bool,
}

const AUTH_CONFIG: u8 = 1;
const FILE_INFO: u8 = 2;
const INDEXES: u8 = 4;
const LIMIT: u8 = 8;
const OPTIONS: u8 = 16;
const ALL: u8 = AUTH_CONFIG | FILE_INFO | INDEXES | LIMIT | OPTIONS;

impl Classes {
    /// Whether a directive of this class may stand.
    pub fn allow(self, class: Override) -> bool {
        let bit = match class {
            Override::None => return false,
            Override::AuthConfig => AUTH_CONFIG,
            Override::FileInfo => FILE_INFO,
            Override::Indexes => INDEXES,
            Override::Limit => LIMIT,
            Override::Options => OPTIONS,
            Override::Access => AUTH_CONFIG | LIMIT,
            Override::Any => ALL,
        };
        self.allowed & bit != 0
    }

    /// What `Options` may name.
    pub fn options(self) -> Options {
        self.options
    }
}

impl PartialEq for Overrides {
    fn eq(&self, other: &Overrides) -> bool {
        self.classes == other.classes && self.list == other.list
    }
}

impl Overrides {
    /// Whether an access file is to be looked for. Where nothing was said it is, and may hold nothing: the file shows that
    /// somebody relies on it, so its place is closed, as in Apache.
    pub fn any(&self) -> bool {
        self.classes.value().is_none_or(|classes| classes.allowed != 0)
            || self.list.value().is_some_and(|list| !list.is_empty())
    }

    /// The classes in force.
    pub fn classes(&self) -> Classes {
        self.classes.or(Classes::default())
    }

    /// The options that an access file may turn on.
    pub fn may_give(&self) -> Options {
        let classes = self.classes();
        match (classes.allow(Override::Options), self.name("Options")) {
            (true, _) => classes.options(),
            (false, true) => Options::EVERY,
            (false, false) => Options::default(),
        }
    }

    /// Whether a directive may stand because it is named; a section is named as `<Files`.
    pub fn name(&self, directive: &str) -> bool {
        let directive = directive.trim_end_matches('>');
        let named = |name: &String| name.eq_ignore_ascii_case(directive);
        self.list.value().is_some_and(|list| list.iter().any(named))
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "AllowOverride",
        module: "core",
        syntax: "None|All|class ...",
        words: Words::AtLeast(0),
        allowed: DIRECTORY,
        overrides: Override::None,
        default: "None",
        summary: "Say which directives a .htaccess file may hold.",
        manual: "The classes are AuthConfig, FileInfo, Indexes, Limit, Options[=option,...] and Nonfatal=Override|Unknown|All. \
Options alone is every option but MultiViews and SymLinksIfOwnerMatch. A directive of another class, or one that is \
not known, makes every request below the file's directory fail with 500, and the error log names the file and the \
line; Nonfatal lets such lines be passed over instead. Where no AllowOverride says anything, files are looked for \
and may hold nothing; under None, or without a word, they are not looked for.\n\n\
Files are read again when they have changed, with the next request. Each directory on the way where one may lie is \
looked at with every request: measured with files of 100 bytes, a directory without such a file costs about 0.6 \
microseconds of CPU time, on top of 17 for the request as a whole. AllowOverride None saves that.",
        set: Set::Dir(set_allow_override),
    },
    Directive {
        name: "AllowOverrideList",
        module: "core",
        syntax: "None|directive ...",
        words: Words::AtLeast(0),
        allowed: DIRECTORY,
        overrides: Override::None,
        default: "None",
        summary: "Name directives that a .htaccess file may hold whatever their class.",
        manual: "",
        set: Set::Dir(set_allow_override_list),
    },
];

fn set_allow_override(conf: &mut DirConf, args: &Args) -> Said<()> {
    let mut classes = Classes::default();
    for word in args.words {
        let text = String::from_utf8_lossy(word).to_ascii_lowercase();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text.as_str(), None),
        };
        match (name, value) {
            ("none", None) => classes = Classes::default(),
            ("all", None) => {
                classes.allowed = ALL;
                classes.options = Options::EVERY;
            }
            ("authconfig", None) => classes.allowed |= AUTH_CONFIG,
            ("fileinfo", None) => classes.allowed |= FILE_INFO,
            ("indexes", None) => classes.allowed |= INDEXES,
            ("limit", None) => classes.allowed |= LIMIT,
            // As in Apache neither MultiViews nor SymLinksIfOwnerMatch.
            ("options", None) => {
                classes.allowed |= OPTIONS;
                classes.options = Options::ALL.with(Options::INCLUDES_NO_EXEC);
            }
            ("options", Some(names)) => {
                classes.allowed |= OPTIONS;
                for name in names.split(',') {
                    let known = option(name.as_bytes())
                        .ok_or_else(|| format!("{} is not an option", shown(name.as_bytes())))?;
                    classes.options = classes.options.with(known);
                    if known.has(Options::INCLUDES) {
                        classes.options = classes.options.with(Options::INCLUDES_NO_EXEC);
                    }
                }
            }
            ("nonfatal", Some("override")) => classes.override_is_nonfatal = true,
            ("nonfatal", Some("unknown")) => classes.unknown_is_nonfatal = true,
            ("nonfatal", Some("all")) => {
                classes.override_is_nonfatal = true;
                classes.unknown_is_nonfatal = true;
            }
            _ => {
                return Err(format!(
                    "{} is not an override class; write `None`, `All` or class names",
                    shown(word)
                ));
            }
        }
    }
    conf.overrides.classes.set(classes);
    Ok(())
}

fn set_allow_override_list(conf: &mut DirConf, args: &Args) -> Said<()> {
    let mut names = Vec::new();
    for word in args.words {
        let name = String::from_utf8_lossy(word).to_ascii_lowercase();
        if name == "none" {
            if args.count() > 1 {
                return Err("`None` stands alone".into());
            }
            continue;
        }
        if !super::all().any(|known| known.name.trim_end_matches('>').eq_ignore_ascii_case(&name)) {
            args.remark(format!("{} is not a directive that there is here", shown(word)));
        }
        names.push(name);
    }
    conf.overrides.list.set(names);
    Ok(())
}
