//! What stands inside a section of a place, and in `.htaccess`: directives and inner sections to the settings they make.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use crate::config::directives::authz::Container;
use crate::config::directives::core::{Branch, FilesSection, IfSection, files_pattern};
use crate::config::directives::limit::Methods;
use crate::config::directives::overrides::Overrides;
use crate::config::directives::{self, DirConf};
use crate::config::error::ConfigError;
use crate::config::node::Node;
use crate::config::table::{Contexts, DIRECTORY, Directive, HTACCESS, Override, Set};
use crate::config::words::{self, Args, Pattern, Surroundings, shown};
use crate::lang::expr::{Expr, Trust};

/// Reads what stands inside.
pub(super) struct Inside<'a> {
    /// `ServerRoot`.
    pub(super) root: &'a [u8],
    pub(super) source: Source<'a>,
    pub(super) complaints: Vec<ConfigError>,
}

/// Whose text it is.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// The administrator's.
    Server,
    /// That of whoever may write into the directory; these say what it may hold.
    AccessFile(&'a Overrides),
}

/// What is around a directive.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) kind: Kind,
    /// The section's name as it was written, or that of the access file.
    pub(super) name: &'a str,
    /// The path of the section, or the directory of the access file.
    pub(super) path: Option<&'a [u8]>,
    pub(super) methods: Option<&'a Methods>,
    /// What this section and those around it go by.
    pub(super) goes_by: GoesBy,
}

/// What decides whether a section holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GoesBy {
    /// The file alone.
    File,
    /// The URL, or something else of the request.
    Request,
}

impl GoesBy {
    /// What a section of this kind goes by, in one that goes by the file.
    pub(super) fn of(kind: Kind) -> GoesBy {
        match kind {
            Kind::Location | Kind::If => GoesBy::Request,
            Kind::Directory | Kind::Files | Kind::AccessFile => GoesBy::File,
        }
    }
}

/// The kinds of sections that hold settings of a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    Files,
    Location,
    If,
    AccessFile,
}

/// The table by name, in lower case.
pub(super) static TABLE: LazyLock<HashMap<String, &'static Directive>> =
    LazyLock::new(|| directives::all().map(|d| (d.name.to_ascii_lowercase(), d)).collect());

impl<'a> Inside<'a> {
    pub(super) fn new(root: &'a [u8], source: Source<'a>) -> Inside<'a> {
        Inside {
            root,
            source,
            complaints: Vec::new(),
        }
    }

    /// Everything inside.
    pub(super) fn all(&mut self, nodes: &[Node], around: Around<'_>, conf: &mut DirConf) {
        for node in nodes {
            match node {
                Node::Directive { .. } => self.directive(node, around, conf),
                Node::Section { .. } => self.section(node, around, conf),
            }
        }
    }

    /// The settings of a section of its own. They are made on the heap: sections stand in one another 200 deep, and a
    /// stack that held them all would be too small.
    fn own(&mut self, nodes: &[Node], around: Around<'_>) -> Arc<DirConf> {
        let mut conf = Box::<DirConf>::default();
        self.all(nodes, around, &mut conf);
        Arc::from(conf)
    }

    fn complain(&mut self, node: &Node, message: impl Into<String>) {
        self.complaints.push(complaint(node, message));
    }

    fn directive(&mut self, node: &Node, around: Around<'_>, conf: &mut DirConf) {
        let (context, inside) = match self.source {
            Source::Server => (DIRECTORY, format!("<{}>", around.name)),
            Source::AccessFile(_) => (HTACCESS, "a .htaccess file".to_owned()),
        };
        let Some(entry) = self.entry(node, context, &inside) else {
            return;
        };
        if around.goes_by == GoesBy::Request && entry.allowed.excludes_location() {
            let around_it = match around.kind {
                Kind::Files => " inside of <If>",
                _ => "",
            };
            let sentence = format!(
                "cannot stand in {inside}{around_it}: a file's answers must not depend on the request; write it in <Directory>, <Files> or \
                 <VirtualHost>"
            );
            return self.complain(node, sentence);
        }
        if entry.allowed.wants_location() && around.kind != Kind::Location {
            let sentence =
                format!("cannot stand in {inside}: it is decided before a file is looked for; write it in <Location>");
            return self.complain(node, sentence);
        }
        if matches!(around.kind, Kind::Location | Kind::Files | Kind::If) && entry.name.starts_with("AllowOverride") {
            let sentence =
                "has no effect here: files are looked for before this section counts; write it in <Directory>";
            self.complaints
                .push(ConfigError::warning(node.span(), node.name(), sentence));
        }
        let divided = entry.words.divided(node.args_raw());
        let remarks = RefCell::default();
        let args = Args {
            words: divided.as_deref().unwrap_or(node.words()),
            server_root: self.root,
            span: node.span(),
            section: around.path,
            around: Surroundings::Section,
            methods: around.methods,
            options: match self.source {
                Source::AccessFile(overrides) => Some(overrides.may_give()),
                Source::Server => None,
            },
            trust: self.trust(),
            remarks: &remarks,
        };
        if let Some(sentence) = entry.words.passed_over(args.words) {
            args.remark(sentence);
        }
        match entry.set {
            Set::Dir(set) | Set::SiteOrDir(_, set) | Set::SiteAndDir(_, set) => {
                if let Err(message) = set(conf, &args) {
                    self.complain(node, message);
                }
            }
            Set::Ignored(why) => self.note(node, why),
            Set::Language => {}
            Set::Server(_) | Set::ServerOrService(..) | Set::Service(_) | Set::Site(_) => {
                self.complain(node, "has no meaning in a section of a place; move it out");
            }
        }
        self.remark(node, remarks);
    }

    fn trust(&self) -> Trust {
        match self.source {
            Source::Server => Trust::Full,
            Source::AccessFile(_) => Trust::Restricted,
        }
    }

    /// The table's entry for a node, if it may stand here and has the right number of words. In an access file its place and
    /// its class are looked at before its words, as in Apache.
    fn entry(&mut self, node: &Node, context: Contexts, inside: &str) -> Option<&'static Directive> {
        let known = TABLE.get(&node.name().to_ascii_lowercase()).copied();
        if let (Source::AccessFile(overrides), Some(entry)) = (self.source, known)
            && !self.permitted(node, entry, overrides)
        {
            return None;
        }
        match entry(node, context, inside) {
            Ok(entry) => Some(entry),
            Err(error) => {
                self.foreign(node, error);
                None
            }
        }
    }

    /// Apache's words for a directive that AllowOverride does not let in.
    fn permitted(&mut self, node: &Node, entry: &'static Directive, overrides: &Overrides) -> bool {
        let is_placed = entry.allowed.covers(HTACCESS);
        if !is_placed && overrides.classes().override_is_nonfatal {
            self.note(node, "it cannot stand in a .htaccess file");
        }
        if is_placed {
            self.allowed(node, entry.name, entry.overrides, overrides)
        } else {
            !overrides.classes().override_is_nonfatal
        }
    }

    /// Whether a directive of this name and class may stand in an access file; says so if not.
    fn allowed(&mut self, node: &Node, name: &str, class: Override, overrides: &Overrides) -> bool {
        if overrides.classes().allow(class) || overrides.name(name) {
            return true;
        }
        if overrides.classes().override_is_nonfatal {
            self.note(node, "AllowOverride does not allow it here");
        } else {
            self.complain(
                node,
                "not allowed here; AllowOverride decides what a .htaccess file may hold",
            );
        }
        false
    }

    /// A directive that the table does not have, or not here. What is answered without effect needs its class in an access file
    /// as in Apache; what is refused is an error there whatever AllowOverride says, for it may protect something.
    fn foreign(&mut self, node: &Node, error: ConfigError) {
        let Source::AccessFile(overrides) = self.source else {
            return self.complaints.push(error);
        };
        let name = match node {
            Node::Directive { name, .. } => name.clone(),
            Node::Section { name, .. } => format!("<{name}>"),
        };
        let is_ours = TABLE.contains_key(&name.to_ascii_lowercase());
        match directives::foreign::find(&name) {
            None if !is_ours && overrides.classes().unknown_is_nonfatal => self.note(node, "it is not known here"),
            Some(foreign) if !foreign.allowed.covers(HTACCESS) => {
                if overrides.classes().override_is_nonfatal {
                    self.note(node, "it cannot stand in a .htaccess file");
                } else {
                    self.complain(node, "cannot stand in a .htaccess file");
                }
            }
            // Where nobody can switch PHP off, the file that asks for it must not be served as if somebody had.
            Some(foreign) if foreign.name == "php_flag" && is_switched_off(node.words()) => {
                self.complain(
                    node,
                    "this cannot be switched off here; write `SetHandler none` in its place",
                );
            }
            Some(foreign) if !error.is_fatal() => {
                if self.allowed(node, foreign.name, foreign.overrides, overrides) {
                    self.complaints.push(error);
                }
            }
            _ => self.complaints.push(error),
        }
    }

    fn section(&mut self, node: &Node, around: Around<'_>, conf: &mut DirConf) {
        let name = node.name().to_ascii_lowercase();
        if let (Source::AccessFile(overrides), Some(entry)) = (self.source, TABLE.get(&format!("<{name}>")).copied())
            && !self.permitted(node, entry, overrides)
        {
            return;
        }
        if around.methods.is_some() && Container::named(&name).is_none() {
            return self.complain(node, "cannot stand in <Limit> or <LimitExcept>");
        }
        match name.as_str() {
            "limit" | "limitexcept" => self.limit(node, &name, around, conf),
            "if" | "elseif" | "else" => {
                if let Some((branch, follows)) = self.branch(node, &name, around) {
                    self.add_branch(node, branch, follows, conf);
                }
            }
            _ if Container::named(&name).is_some() => self.container(node, &name, around, conf),
            _ => match self.heading(node) {
                Some((Kind::Files, pattern))
                    if matches!(around.kind, Kind::Directory | Kind::AccessFile | Kind::If) =>
                {
                    let around = Around {
                        kind: Kind::Files,
                        name: node.name(),
                        ..around
                    };
                    conf.core.files.push(Arc::new(FilesSection {
                        name: pattern,
                        conf: self.own(node.children(), around),
                        span: node.span().clone(),
                    }));
                }
                Some(_) => {
                    let inside = match self.source {
                        Source::Server => format!("<{}>", around.name),
                        Source::AccessFile(_) => "a .htaccess file".to_owned(),
                    };
                    self.complain(node, format!("cannot stand in {inside}"));
                }
                None => {}
            },
        }
    }

    /// `<RequireAll>` and its kin, in which nothing stands but requirements.
    fn container(&mut self, node: &Node, name: &str, around: Around<'_>, conf: &mut DirConf) {
        let Some(container) = Container::named(name) else {
            return;
        };
        let section = format!("<{}>", node.name());
        let entry = TABLE.get(&format!("<{name}>")).copied();
        if let (Source::AccessFile(overrides), Some(entry)) = (self.source, entry)
            && !self.permitted(node, entry, overrides)
        {
            return;
        }
        if !node.words().is_empty() {
            return self.complain(node, format!("takes no words; write `{section}`"));
        }
        let outer = conf.authz.rules.open(container);
        for child in node.children() {
            let child_name = child.name().to_ascii_lowercase();
            match child {
                Node::Directive { .. } if child_name == "require" => self.directive(child, around, conf),
                Node::Section { .. } if Container::named(&child_name).is_some() => {
                    self.container(child, &child_name, around, conf);
                }
                Node::Section { .. } if matches!(child_name.as_str(), "limit" | "limitexcept") => {
                    self.limit(child, &child_name, around, conf);
                }
                _ => self.complain(
                    child,
                    format!("cannot stand in {section}, which holds requirements only"),
                ),
            }
        }
        // In an access file Apache does not look; what can only refuse refuses there. In <RequireAll> something else may grant.
        let may_grant = outer.as_ref().is_some_and(|outer| outer.wants_all());
        if conf.authz.rules.only_refuse() && !may_grant && matches!(self.source, Source::Server) {
            self.complain(
                node,
                "holds only negative requirements, which cannot grant; write `Require all granted` first",
            );
        }
        if let Err(message) = conf.authz.rules.close(container, outer) {
            self.complain(node, message);
        }
    }

    fn limit(&mut self, node: &Node, name: &str, around: Around<'_>, conf: &mut DirConf) {
        let methods = if name == "limit" {
            Methods::these(node.words())
        } else {
            Methods::all_others(node.words())
        };
        match methods {
            Ok(methods) => {
                let around = Around {
                    methods: Some(&methods),
                    ..around
                };
                self.all(node.children(), around, conf);
            }
            Err(message) => self.complain(node, message),
        }
    }

    /// A branch of an `<If>`, and whether it must follow another.
    pub(super) fn branch(&mut self, node: &Node, name: &str, around: Around<'_>) -> Option<(Branch, bool)> {
        let condition = match (name, node.args_raw()) {
            ("else", b"") => None,
            ("else", _) => {
                self.complain(node, "takes no words; write `<Else>`");
                return None;
            }
            (_, b"") => {
                self.complain(node, "an expression is missing");
                return None;
            }
            (_, raw) => match self.expression(raw, node.words()) {
                Ok(condition) => Some(condition),
                Err(message) => {
                    self.complain(node, message);
                    return None;
                }
            },
        };
        let inner = Around {
            kind: Kind::If,
            name: node.name(),
            goes_by: GoesBy::Request,
            ..around
        };
        let branch = Branch {
            condition,
            conf: self.own(node.children(), inner),
            written: first_line(node),
            span: node.span().clone(),
        };
        Some((branch, name != "if"))
    }

    /// The expression of an `<If>`: in quotes as one word, or the rest of the line as it is.
    fn expression(&self, raw: &[u8], words: &[Vec<u8>]) -> Result<Expr, String> {
        let text = match words {
            [word] => word.as_slice(),
            _ => raw,
        };
        let text = std::str::from_utf8(text).map_err(|_| "the expression is not UTF-8 text".to_owned())?;
        Expr::parse(text, self.trust()).map_err(|error| error.0)
    }

    pub(super) fn add_branch(&mut self, node: &Node, branch: Branch, follows: bool, conf: &mut DirConf) {
        if !follows {
            let branches = vec![branch];
            return conf.core.ifs.push(Arc::new(IfSection { branches }));
        }
        let last = conf.core.ifs.last_mut().map(Arc::make_mut);
        let open = last.filter(|last| last.branches.last().is_some_and(|branch| branch.condition.is_some()));
        match open {
            Some(last) => last.branches.push(branch),
            None => self.complain(node, "stands behind no <If> or <ElseIf> of the same section"),
        }
    }

    /// What a section is about.
    pub(super) fn heading(&mut self, node: &Node) -> Option<(Kind, Pattern)> {
        let name = node.name().to_ascii_lowercase();
        let (kind, matches) = match name.as_str() {
            "directory" => (Kind::Directory, false),
            "directorymatch" => (Kind::Directory, true),
            "files" => (Kind::Files, false),
            "filesmatch" => (Kind::Files, true),
            "location" => (Kind::Location, false),
            "locationmatch" => (Kind::Location, true),
            "virtualhost" => {
                self.complain(node, "cannot stand in another section");
                return None;
            }
            other => {
                match TABLE.get(&format!("<{other}>")) {
                    Some(entry) => {
                        let places = entry.allowed.names().join(", ");
                        self.complain(node, format!("cannot stand here; it belongs in: {places}"));
                    }
                    None => self.foreign(node, directives::foreign::answer(node)),
                }
                return None;
            }
        };
        let (regex, word) = match node.words() {
            [tilde, word] if tilde == b"~" && !matches => (true, word),
            [word] => (matches, word),
            _ => {
                self.complain(node, format!("takes one word; write `<{} \"...\">`", node.name()));
                return None;
            }
        };
        match pattern(self.root, kind, regex, word) {
            Ok(pattern) => Some((kind, pattern)),
            Err(message) => {
                self.complain(node, message);
                None
            }
        }
    }

    fn note(&mut self, node: &Node, why: &str) {
        self.complaints
            .push(ConfigError::note(node.span(), node.name(), format!("ignored: {why}")));
    }

    fn remark(&mut self, node: &Node, remarks: RefCell<Vec<String>>) {
        for remark in remarks.into_inner() {
            self.complaints
                .push(ConfigError::warning(node.span(), node.name(), remark));
        }
    }
}

/// The first line of a section, as it was written.
fn first_line(node: &Node) -> Box<str> {
    let args = String::from_utf8_lossy(node.args_raw());
    let space = if args.is_empty() { "" } else { " " };
    format!("<{}{space}{args}>", node.name()).into()
}

/// Whether the words of a `php_flag` keep scripts from being run.
fn is_switched_off(words: &[Vec<u8>]) -> bool {
    let named = |at: usize, names: &[&[u8]]| {
        let word = words.get(at);
        word.is_some_and(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name)))
    };
    named(0, &[b"engine"]) && !named(1, &[b"on", b"1", b"true", b"yes"])
}

/// An error about a directive or section.
pub(super) fn complaint(node: &Node, message: impl Into<String>) -> ConfigError {
    let name = match node {
        Node::Directive { name, .. } => name.clone(),
        Node::Section { name, .. } => format!("<{name}>"),
    };
    ConfigError::error(node.span(), &name, message)
}

/// The table's entry for a node, if it may stand here and has the right number of words.
pub(super) fn entry(node: &Node, context: Contexts, inside: &str) -> Result<&'static Directive, ConfigError> {
    let Some(entry) = TABLE.get(&node.name().to_ascii_lowercase()).copied() else {
        return Err(directives::foreign::answer(node));
    };
    if !entry.allowed.covers(context) {
        let places = entry.allowed.names().join(", ");
        return Err(complaint(
            node,
            format!("cannot stand in {inside}; it belongs in: {places}"),
        ));
    }
    let divided = entry.words.divided(node.args_raw());
    if !entry
        .words
        .takes(divided.map_or(node.words().len(), |words| words.len()))
    {
        let comment = node.words().iter().any(|word| word.first() == Some(&b'#'));
        let hint = if comment {
            "; a comment needs a line of its own"
        } else {
            ""
        };
        return Err(complaint(
            node,
            format!("takes `{} {}`{hint}", entry.name, entry.syntax),
        ));
    }
    Ok(entry)
}

fn pattern(root: &[u8], kind: Kind, regex: bool, word: &[u8]) -> Result<Pattern, String> {
    if regex {
        return words::regex(word).map(Pattern::Regex);
    }
    match kind {
        Kind::Files | Kind::If | Kind::AccessFile => Ok(files_pattern(word)),
        Kind::Location if word.first() == Some(&b'/') || word.first() == Some(&b'*') => Ok(Pattern::wild(word)),
        Kind::Location => Err(format!(
            "{} is not a URL path; write one that starts with a slash",
            shown(word)
        )),
        Kind::Directory => {
            let mut path = words::below(root, word);
            while path.len() > 1 && path.last() == Some(&b'/') {
                path.pop();
            }
            Ok(Pattern::wild(&path))
        }
    }
}
