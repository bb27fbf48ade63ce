//! Handlers and types that only a program could answer for, and that this version has not: worth a warning, because what
//! falls to them is answered with 500 and never shown as it is.

use crate::config::backends;
use crate::config::directives::DirConf;
use crate::config::error::ConfigError;
use crate::config::filters::{self, Named};
use crate::config::node::Node;
use crate::config::places;
use crate::config::site::Config;
use crate::config::words::{Args, Said, shown};

/// The handlers that there are.
const KNOWN: [&[u8]; 14] = [
    b"none",
    b"default-handler",
    SCRIPT[0],
    SCRIPT[1],
    b"server-parsed",
    b"type-map",
    TYPE_MAP_TYPE,
    b"server-status",
    b"server-info",
    b"metrics",
    ON_DEMAND[0],
    ON_DEMAND[1],
    AS_IS,
    AS_IS_TYPE,
];

/// The handler of scripts, and the media type that stands for it (`mod_cgi`).
const SCRIPT: [&[u8]; 2] = [b"cgi-script", b"application/x-httpd-cgi"];

/// Whether a handler is that of scripts.
pub fn is_script(handler: &[u8]) -> bool {
    SCRIPT.contains(&handler)
}

/// The media type of type maps.
const TYPE_MAP_TYPE: &[u8] = b"application/x-type-map";

/// Whether a handler, or a media type where there is none, is that of type maps (`mod_negotiation`).
pub fn is_type_map(name: &[u8]) -> bool {
    name == b"type-map" || name == TYPE_MAP_TYPE
}

/// The handler of files with a head of their own (`mod_asis`), and the media type that stands for it.
const AS_IS: &[u8] = b"send-as-is";
const AS_IS_TYPE: &[u8] = b"httpd/send-as-is";

/// The handlers of FastCGI programs that are started when they are wanted (`mod_fcgid`, and `mod_fastcgi` before it).
const ON_DEMAND: [&[u8]; 2] = [b"fcgid-script", b"fastcgi-script"];

/// Whether a handler is that of FastCGI programs that are started when they are wanted.
pub fn is_on_demand(handler: &[u8]) -> bool {
    ON_DEMAND.contains(&handler)
}

/// Whether a handler, or a media type, is that of files with a head of their own.
pub fn is_as_is(kind: &[u8]) -> bool {
    kind == AS_IS || kind == AS_IS_TYPE
}

/// The handler of image maps (`mod_imagemap`), and the media type that stands for it.
const IMAGE_MAP: [&[u8]; 2] = [b"imap-file", b"application/x-httpd-imap"];

/// The types of Apache's that stand for a handler.
pub const BY_TYPE: &[u8] = b"application/x-httpd-";

/// Whether a media type stands for a handler that is not here.
pub fn is_foreign_type(media_type: &[u8]) -> bool {
    media_type
        .strip_prefix(BY_TYPE)
        .is_some_and(|program| program != b"cgi")
}

/// A handler that is an application server must be one we can talk to.
pub fn look_at_handler(args: &Args) -> Said<()> {
    match backends::of_handler(args.bytes(0)) {
        Some(url) => backends::check(url),
        None => Ok(()),
    }
}

/// Remarks on a directive whose first word names filters.
pub fn look_at_filters(args: &Args) {
    for named in filters::names(args.bytes(0)).iter() {
        let Named::Missing(name) = named else { continue };
        args.remark(format!(
            "the filter {} is not in this version; files that it is for are answered with 500 and never shown",
            shown(name)
        ));
    }
}

/// Warnings about directives that name handlers and types that nothing here answers for, and no Action either.
pub fn unanswered(nodes: &[Node], config: &Config) -> Vec<ConfigError> {
    let mut warnings = Vec::new();
    add_unanswered(nodes, &places::confs(config), &mut warnings);
    warnings
}

fn add_unanswered(nodes: &[Node], confs: &[&DirConf], warnings: &mut Vec<ConfigError>) {
    for node in nodes {
        add_unanswered(node.children(), confs, warnings);
        let Some((what, word)) = named(node) else { continue };
        let kind = word.to_ascii_lowercase();
        let is_foreign = match what {
            "type" => is_foreign_type(&kind),
            _ => !KNOWN.contains(&kind.as_slice()) && backends::of_handler(word).is_none(),
        };
        if is_foreign && !confs.iter().any(|conf| conf.actions.by_kind.find(&kind).is_some()) {
            warnings.push(ConfigError::warning(
                node.span(),
                node.name(),
                unanswered_text(what, &kind, word),
            ));
        }
    }
}

/// The handler or media type that a directive gives to files.
fn named(node: &Node) -> Option<(&'static str, &[u8])> {
    let Node::Directive { name, .. } = node else {
        return None;
    };
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    let what = match () {
        () if is("AddType") || is("ForceType") => "type",
        () if is("AddHandler") || is("SetHandler") => "handler",
        () => return None,
    };
    let word = node.words().first()?;
    // What an expression comes to is seen with each request.
    (!word.contains(&b'%')).then_some((what, word.as_slice()))
}

fn unanswered_text(what: &str, kind: &[u8], word: &[u8]) -> String {
    if IMAGE_MAP.contains(&kind) {
        return format!(
            "the {what} {} is not supported: image maps are answered with 500 and never shown; write the map into the page (`<map>`)",
            shown(word)
        );
    }
    format!(
        "the {what} {} needs a program that this version has not; files that it is for are answered with 500 and never \
         shown; name a script for it (`Action`), run them as scripts (`cgi-script`), or take the line out",
        shown(word)
    )
}

/// Why a handler that is not here does not answer.
pub fn missing_text(kind: &str) -> String {
    if IMAGE_MAP.contains(&kind.as_bytes()) {
        return format!(
            "image maps (`{kind}`) are not supported; the map is not shown: write it into the page (`<map>`)"
        );
    }
    format!("handler `{kind}` is not one that this version has; the file is not shown, for it may be a program")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::load::load_text;

    #[test]
    fn handlers_that_are_not_here_are_worth_a_warning() {
        for (line, warned) in [
            ("SetHandler application/x-httpd-php", true),
            ("SetHandler \"proxy:unix:/run/php.sock|fcgi://x\"", false),
            ("AddHandler proxy:fcgi://127.0.0.1:9000 .php", false),
            ("AddHandler php5-script .php", true),
            ("AddHandler type-map var", false),
            ("AddType application/x-httpd-php .php .phtml", true),
            ("AddType Application/X-HTTPD-PHP-source .phps", true),
            ("ForceType application/x-httpd-php", true),
            ("AddHandler cgi-script .cgi", false),
            ("SetHandler CGI-Script", false),
            ("AddHandler application/x-httpd-cgi .cgi", false),
            ("SetHandler None", false),
            ("SetHandler default-handler", false),
            ("AddType application/x-httpd-cgi .cgi", false),
            ("AddType text/html .shtml", false),
            ("AddHandler send-as-is asis", false),
            ("AddType httpd/send-as-is asis", false),
            ("AddHandler imap-file map", true),
            ("AddHandler my-own .x\nAction My-Own /cgi-bin/x", false),
            (
                "Action application/x-httpd-php /cgi-bin/php\nAddType application/x-httpd-php .php",
                false,
            ),
        ] {
            for text in [format!("{line}\n"), format!("<Location />\n{line}\n</Location>\n")] {
                let loaded = load_text("a.conf", text.as_bytes(), Path::new("/nonexistent"));
                let said: Vec<String> = loaded.complaints.iter().map(ToString::to_string).collect();
                assert!(!loaded.is_fatal(), "{said:?}");
                let found = said
                    .iter()
                    .any(|said| said.contains("warning: ") && said.contains("500"));
                assert_eq!(found, warned, "{line}: {said:?}");
            }
        }
    }
}
