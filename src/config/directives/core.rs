//! What holds for a place: Options, types forced on it, its error documents, its limits. Apache's `core`, per directory.

use std::sync::Arc;

use crate::base::glob::{Glob, Slash};
use crate::base::quoting;
use crate::config::directives::DirConf;
use crate::config::directives::etag::ETagEdit;
use crate::config::directives::options::OptionsEdit;
use crate::config::directives::status;
use crate::config::error::Span;
use crate::config::handlers::look_at_handler;
use crate::config::setting::{Appended, Mapped, Merge, Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, SERVER_FILES, Set, Words};
use crate::config::words::{Args, Pattern, Said, shown};
use crate::lang::expr::{Expr, StringExpr};
use crate::lang::log_level::LogLevels;

/// LimitRequestBody where nothing is said, in bytes; Apache's since 2.4.53.
pub const BODY_LIMIT: u64 = 1 << 30;

settings! {
    /// Apache's `core` settings of a place.
    pub struct Core {
        /// Options in force.
        options: OptionsEdit,
        /// `AcceptPathInfo`.
        accept_path_info: Setting<AcceptPathInfo>,
        /// `FileETag`.
        file_etag: ETagEdit,
        /// `ForceType`; `None` takes a type of an outer scope back.
        force_type: Setting<Option<Vec<u8>>>,
        /// `SetHandler`.
        set_handler: Setting<SetHandler>,
        /// `AddDefaultCharset`; `None` is `Off`.
        default_charset: Setting<Option<Vec<u8>>>,
        /// `ErrorDocument` by status.
        error_documents: Mapped<u16, ErrorDocument>,
        /// `LimitRequestBody` in bytes; 0 is no limit.
        limit_request_body: Setting<u64>,
        /// `UseCanonicalName`.
        use_canonical_name: Setting<CanonicalName>,
        /// `UseCanonicalPhysicalPort`.
        use_canonical_physical_port: Setting<bool>,
        /// `HostnameLookups`.
        hostname_lookups: Setting<HostnameLookups>,
        /// `ServerSignature`.
        server_signature: Setting<Signature>,
        /// `EnableSendfile`.
        enable_sendfile: Setting<bool>,
        /// `MaxRanges`; `None` is no limit, 0 is to ignore Range.
        max_ranges: Setting<Option<u64>>,
        /// `MaxRangeOverlaps`, likewise.
        max_range_overlaps: Setting<Option<u64>>,
        /// `MaxRangeReversals`, likewise.
        max_range_reversals: Setting<Option<u64>>,
        /// `LogLevel`.
        log_level: LogLevels,
        /// `QualifyRedirectURL`.
        qualify_redirect_url: Setting<bool>,
        /// `<Files>` and `<FilesMatch>` sections, in order.
        files: Appended<Arc<FilesSection>>,
        /// `<If>` with its `<ElseIf>` and `<Else>`, in order.
        ifs: Appended<Arc<IfSection>>,
    }
}

/// A `<Files>` or `<FilesMatch>` section: settings for files of certain names.
#[derive(Clone, Debug)]
pub struct FilesSection {
    /// What the file's last path segment is compared with.
    pub name: Pattern,
    /// The settings inside.
    pub conf: Arc<DirConf>,
    /// Where it starts.
    pub span: Span,
}

/// An `<If>` with what follows it: the first branch that holds counts.
#[derive(Clone, Debug, Default)]
pub struct IfSection {
    /// The branches.
    pub branches: Vec<Branch>,
}

/// A branch of an `<If>`.
#[derive(Clone, Debug)]
pub struct Branch {
    /// When it holds; `<Else>` always does.
    pub condition: Option<Expr>,
    /// The settings inside.
    pub conf: Arc<DirConf>,
    /// Its first line as it was written, `<If "...">`.
    pub written: Box<str>,
    /// Where it starts.
    pub span: Span,
}

impl FilesSection {
    /// Whether it names a file whose last path segment is `name`.
    pub fn covers(&self, name: &[u8]) -> bool {
        match &self.name {
            Pattern::Plain(plain) => plain == name,
            Pattern::Glob(glob) => glob.matches(name, Slash::Stops),
            Pattern::Regex(regex) => regex.is_match(name),
        }
    }
}

impl Merge for LogLevels {
    fn merge(&mut self, inner: &Self) {
        self.overlay(inner);
    }
}

/// Whether a path may go on behind the file it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptPathInfo {
    /// The handler decides: scripts take it, files refuse it.
    Default,
    /// Always accepted.
    On,
    /// Always refused.
    Off,
}

/// What to show for an error status.
#[derive(Clone, Debug, PartialEq)]
pub enum ErrorDocument {
    /// One of the others, by an expression's value: `/page%{REQUEST_STATUS}.html`.
    Computed(Box<StringExpr>, ErrorForm),
    /// The built-in page.
    BuiltIn,
    /// This text.
    Text(Vec<u8>),
    /// A page of this site, by its URL path.
    Path(Vec<u8>),
    /// A redirect to another place.
    Url(Vec<u8>),
}

/// The forms of an error document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorForm {
    /// A text.
    Text,
    /// A URL path.
    Path,
    /// A URL.
    Url,
}

/// The handler that everything in a place is given to.
#[derive(Clone, Debug, PartialEq)]
pub enum SetHandler {
    /// None: one of an outer scope is taken back.
    None,
    /// This one.
    Named(Vec<u8>),
    /// What an expression says.
    Computed(StringExpr),
}

/// Where the server's own name and port come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanonicalName {
    /// From ServerName.
    On,
    /// From the request.
    Off,
    /// From a look-up of the server's address.
    Dns,
}

/// Whether client names are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostnameLookups {
    /// Never.
    Off,
    /// Address to name.
    On,
    /// Address to name and back.
    Double,
}

/// The line under server-made pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// None.
    Off,
    /// Version and host.
    On,
    /// Version, host, and a mail link to ServerAdmin.
    EMail,
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "AcceptPathInfo",
        module: "core",
        syntax: "on|off|default",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "default",
        summary: "Say whether a URL may go on behind the file it names.",
        manual: "With default the handler decides: a script gets the rest of the path as PATH_INFO, a plain file is not found.",
        set: Set::Dir(|conf, args| {
            conf.core.accept_path_info.set(args.choice(
                0,
                &[
                    ("on", AcceptPathInfo::On),
                    ("off", AcceptPathInfo::Off),
                    ("default", AcceptPathInfo::Default),
                ],
            )?);
            Ok(())
        }),
    },
    Directive {
        name: "AddDefaultCharset",
        module: "core",
        syntax: "on|off|charset",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "off",
        summary: "Name the character set of text/plain and text/html answers that name none.",
        manual: "On stands for iso-8859-1; any other word is the name of the character set.",
        set: Set::Dir(|conf, args| {
            conf.core.default_charset.set(match args.keyword(0).as_str() {
                "off" => None,
                "on" => Some(b"iso-8859-1".to_vec()),
                _ => Some(args.bytes(0).to_vec()),
            });
            Ok(())
        }),
    },
    Directive {
        name: "EnableSendfile",
        module: "core",
        syntax: "on|off",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "on",
        summary: "Let the kernel send large files without copying them.",
        manual: "Apache's default is off. Set it to off for files on network file systems that do not support sendfile(2).\n\nWhat is not in \
memory is read by threads beside those that serve, so that a slow disk holds up only those who ask for what it has. Where the file system \
does not tell what is in memory, so is everything, but on tmpfs, ramfs and overlayfs nothing.",
        set: Set::Dir(|conf, args| {
            conf.core.enable_sendfile.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ErrorDocument",
        module: "core",
        syntax: "status document",
        words: Words::Raw,
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Choose what is shown for an error.",
        manual: "The status is one of an error, or 300, where several documents are near (CheckSpelling, MultiViews), or one below that, where \
Redirect or a rule with [R] gives it (ErrorDocument 200 \"alive\"); redirects keep the built-in page. The document is a text in quotes, a URL path of this site (which keeps the status, unless it is a \
script that names one by Status, be it 200, and gets the REDIRECT_ variables when it is a script), a full URL (a redirect, so the \
status is lost; ignored for 401; any word with a scheme and a colon is one, such as mailto:me@example), or the word default for the built-in page. The quotes count no more than in other \
lines: \"/gone.html\" is a path too, and what has a space in it is a text. It may hold %{...} as expressions do.",
        set: Set::Dir(set_error_document),
    },
    Directive {
        name: "ForceType",
        module: "core",
        syntax: "media-type|None",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Give every file of a place one media type.",
        manual: "None takes a type that an outer section has forced back.",
        set: Set::Dir(|conf, args| {
            let forced = unless_none(args).map(|forced| forced.to_ascii_lowercase());
            conf.core.force_type.set(forced);
            Ok(())
        }),
    },
    Directive {
        name: "HostnameLookups",
        module: "core",
        syntax: "On|Off|Double",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "Off",
        summary: "Look up the names of clients for REMOTE_HOST and the access log.",
        manual: "Double also looks the name up again and drops it where it does not lead back to the client's address.",
        set: Set::Dir(|conf, args| {
            conf.core.hostname_lookups.set(args.choice(
                0,
                &[
                    ("On", HostnameLookups::On),
                    ("Off", HostnameLookups::Off),
                    ("Double", HostnameLookups::Double),
                ],
            )?);
            Ok(())
        }),
    },
    Directive {
        name: "LimitRequestBody",
        module: "core",
        syntax: "bytes",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::Any,
        default: "1073741824",
        summary: "Bound the size of a request's body.",
        manual: "A larger body is answered with 413. 0 is no bound. What an application gets as it comes has a bound only where this is said.",
        set: Set::Dir(|conf, args| {
            conf.core.limit_request_body.set(args.number(0, 0..=u64::MAX)?);
            Ok(())
        }),
    },
    Directive {
        name: "LogLevel",
        module: "core",
        syntax: "[module:]level ...",
        words: Words::AtLeast(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "warn",
        summary: "Say how much the error log tells.",
        manual: "The levels are emerg, alert, crit, error, warn, notice, info, debug and trace1 to trace8. A module's name before \
the level (alias:debug, mod_alias.c:debug and alias_module:debug are the same) sets it for that module alone.",
        set: Set::Dir(|conf, args| {
            for n in 0..args.count() {
                conf.core.log_level.set(args.text(n)?).map_err(|e| e.0)?;
            }
            Ok(())
        }),
    },
    Directive {
        name: "MaxRangeOverlaps",
        module: "core",
        syntax: "default|unlimited|none|number",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "20",
        summary: "Bound how many ranges of a request may overlap.",
        manual: "A request with more gets the whole file.",
        set: Set::Dir(|conf, args| {
            conf.core.max_range_overlaps.set(range_bound(args, 20)?);
            Ok(())
        }),
    },
    Directive {
        name: "MaxRangeReversals",
        module: "core",
        syntax: "default|unlimited|none|number",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "20",
        summary: "Bound how many ranges of a request may go backwards.",
        manual: "A request with more gets the whole file.",
        set: Set::Dir(|conf, args| {
            conf.core.max_range_reversals.set(range_bound(args, 20)?);
            Ok(())
        }),
    },
    Directive {
        name: "MaxRanges",
        module: "core",
        syntax: "default|unlimited|none|number",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "200",
        summary: "Bound how many ranges a request may ask for.",
        manual: "A request with more gets the whole file; with none, ranges are ignored.",
        set: Set::Dir(|conf, args| {
            conf.core.max_ranges.set(range_bound(args, 200)?);
            Ok(())
        }),
    },
    Directive {
        name: "QualifyRedirectURL",
        module: "core",
        syntax: "on|off",
        words: Words::Flag,
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "off",
        summary: "Make REDIRECT_URL a full URL.",
        manual: "Off leaves the path alone, as scripts since the beginning expect it.",
        set: Set::Dir(|conf, args| {
            conf.core.qualify_redirect_url.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ServerSignature",
        module: "core",
        syntax: "On|Off|EMail",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::Any,
        default: "Off",
        summary: "Put the server's name under the pages it makes itself.",
        manual: "EMail adds a link to ServerAdmin.",
        set: Set::Dir(|conf, args| {
            conf.core.server_signature.set(args.choice(
                0,
                &[
                    ("On", Signature::On),
                    ("Off", Signature::Off),
                    ("EMail", Signature::EMail),
                ],
            )?);
            Ok(())
        }),
    },
    Directive {
        name: "SetHandler",
        module: "core",
        syntax: "handler|None",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Give everything in a place to one handler.",
        manual: "This version has the handlers cgi-script (application/x-httpd-cgi is the same), fcgid-script (FcgidWrapper tells of it), send-as-is (for files that begin with a head of their own, \
fields and an empty line, as scripts write it), type-map, default-handler, server-status, server-info and metrics, and application servers: \
\"proxy:unix:/run/php/php-fpm.sock|fcgi://localhost\" by its socket, \"proxy:fcgi://127.0.0.1:9000\" by its port; ProxyPass explains the URLs. Any other that Action gives no script is told of when the configuration is read, and \
what falls to it is answered with 500: a program's source is never shown. (Apache serves such files as they are.) The same holds for \
AddHandler, and for types that begin with application/x-httpd-. None takes a handler that an outer section has set back. It may hold %{...} as expressions do.\n\nAn \
application gets the file's name behind its URL as SCRIPT_FILENAME (ProxyFCGIBackendType). Where the URL goes on behind the file, the handler must be \
the same for the URL without what follows, or the answer is 404: of /upload.jpg/x.php, php-fpm would run upload.jpg. One that an .htaccess file or an \
expression names is asked only if the server's own files name its address too, as <Proxy> does.",
        set: Set::Dir(|conf, args| {
            let text = args.text(0).ok().filter(|text| text.contains("%{"));
            let handler = if let Some(text) = text {
                SetHandler::Computed(StringExpr::parse(text, args.trust).map_err(|e| e.0)?)
            } else {
                look_at_handler(args)?;
                unless_none(args).map_or(SetHandler::None, SetHandler::Named)
            };
            conf.core.set_handler.set(handler);
            status::note_handler(conf);
            Ok(())
        }),
    },
    Directive {
        name: "UseCanonicalName",
        module: "core",
        syntax: "On|Off|DNS",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "Off",
        summary: "Say where SERVER_NAME and SERVER_PORT come from.",
        manual: "On: from ServerName. Off: from the request's Host field. DNS: from a look-up of the address that the client reached.",
        set: Set::Dir(|conf, args| {
            conf.core.use_canonical_name.set(args.choice(
                0,
                &[
                    ("On", CanonicalName::On),
                    ("Off", CanonicalName::Off),
                    ("DNS", CanonicalName::Dns),
                ],
            )?);
            Ok(())
        }),
    },
    Directive {
        name: "UseCanonicalPhysicalPort",
        module: "core",
        syntax: "On|Off",
        words: Words::exactly(1),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "Off",
        summary: "Let the port of the connection count when SERVER_PORT is made.",
        manual: "It is asked before the default port of the scheme.",
        set: Set::Dir(|conf, args| {
            conf.core.use_canonical_physical_port.set(args.flag(0)?);
            Ok(())
        }),
    },
];

fn unless_none(args: &Args) -> Option<Vec<u8>> {
    (args.keyword(0) != "none").then(|| args.bytes(0).to_vec())
}

fn range_bound(args: &Args, default: u64) -> Said<Option<u64>> {
    match args.keyword(0).as_str() {
        "default" => Ok(Some(default)),
        "unlimited" => Ok(None),
        "none" => Ok(Some(0)),
        _ => args.number(0, 1..=u64::from(u32::MAX)).map(Some),
    }
}

fn set_error_document(conf: &mut DirConf, args: &Args) -> Said<()> {
    let (status, rest) = quoting::next_word(args.bytes(0)).unwrap_or_default();
    // As in Apache, a number as far as it is one: a colon behind it says nothing.
    let digits = status.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest_of_word) = status.split_at(digits);
    let number = std::str::from_utf8(digits).ok().and_then(|s| s.parse::<u16>().ok());
    // 300 is no redirect: it leads nowhere by itself, and shows what may be meant. Those below are what rules and Redirect answer.
    if let Some(number @ (100..=199 | 301..=399)) = number {
        args.remark(if number < 300 {
            "ignored: it is no final answer"
        } else {
            "ignored: a redirect keeps its built-in page"
        });
        return Ok(());
    }
    let Some(number) = number.filter(|n| matches!(n, 200..=300 | 400..600)) else {
        return Err(format!(
            "{} is not a status that has a page; write a number from 400 to 599, or one from 200 to 300",
            shown(&status)
        ));
    };
    if !rest_of_word.is_empty() {
        args.remark(format!("{} is taken for {number}", shown(&status)));
    }
    let Some(document) = error_document(rest) else {
        return Err("a document is missing; write a text in quotes, a path or a URL".into());
    };
    // As in Apache it is the word that counts, not whether it was quoted: one with a space is a text.
    let form = match document.as_slice() {
        text if text.contains(&b' ') => ErrorForm::Text,
        [b'/', ..] => ErrorForm::Path,
        url if is_url(url) => ErrorForm::Url,
        _ => ErrorForm::Text,
    };
    if number == 401 && form == ErrorForm::Url {
        args.remark("ignored, as in Apache: with a full URL for 401 no client would ever be asked for its name");
        return Ok(());
    }
    let value = if document.eq_ignore_ascii_case(b"default") {
        ErrorDocument::BuiltIn
    } else {
        computed(args, &document, form)?
    };
    conf.core.error_documents.insert(number, value);
    Ok(())
}

/// The word behind the status. A quote that nobody closes (Apache 1.3 wrote `"text`) goes on to the end of the line; several
/// words without quotes are one text.
fn error_document(rest: &[u8]) -> Option<Vec<u8>> {
    let (word, behind) = quoting::next_word(rest)?;
    let is_quoted = rest.starts_with(b"\"") || rest.starts_with(b"'");
    Some(if is_quoted || behind.is_empty() {
        word
    } else {
        rest.trim_ascii_end().to_vec()
    })
}

/// The document, compiled where it has variables or escapes. Text that is not UTF-8 has none.
fn computed(args: &Args, document: &[u8], form: ErrorForm) -> Said<ErrorDocument> {
    let text = std::str::from_utf8(document)
        .ok()
        .filter(|text| text.contains("%{") || text.contains('\\'));
    let Some(text) = text else {
        let document = document.to_vec();
        return Ok(match form {
            ErrorForm::Text => ErrorDocument::Text(document),
            ErrorForm::Path => ErrorDocument::Path(document),
            ErrorForm::Url => ErrorDocument::Url(document),
        });
    };
    let expr = StringExpr::parse(text, args.trust).map_err(|e| e.0)?;
    Ok(ErrorDocument::Computed(Box::new(expr), form))
}

/// Whether a word is an absolute URL as Apache tells it: a scheme and a colon.
pub fn is_url(word: &[u8]) -> bool {
    let scheme = word
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        .count();
    scheme > 0 && word[scheme..].starts_with(b":")
}

/// The pattern of a `<Files>` section's word; Apache takes shell-style wildcards.
pub fn files_pattern(word: &[u8]) -> Pattern {
    if Glob::is_pattern(word) {
        Pattern::Glob(Glob::new(word))
    } else {
        Pattern::Plain(word.to_vec())
    }
}
