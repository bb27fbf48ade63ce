//! Handlers and types that only a program could answer for, and that this version has not: worth a warning, because what
//! falls to them is answered with 500 and never shown as it is.

use crate::config::backends;
use crate::config::filters::{self, Named};
use crate::config::words::{Args, Said, shown};

/// The handlers that there are.
const KNOWN: [&[u8]; 5] = [b"none", b"default-handler", b"cgi-script", b"server-parsed", ON_DEMAND];

/// The handler of FastCGI programs that are started when they are wanted (`mod_fcgid`).
const ON_DEMAND: &[u8] = b"fcgid-script";

/// Whether a handler is that of FastCGI programs that are started when they are wanted.
pub fn is_on_demand(handler: &[u8]) -> bool {
    handler == ON_DEMAND
}

/// The types of Apache's that stand for a handler.
pub const BY_TYPE: &[u8] = b"application/x-httpd-";

/// Whether a media type stands for a handler that is not here.
pub fn is_foreign_type(media_type: &[u8]) -> bool {
    media_type
        .strip_prefix(BY_TYPE)
        .is_some_and(|program| program != b"cgi")
}

/// Remarks on a directive whose first word names a handler; one that is an application server must be one we can talk to.
pub fn look_at_handler(args: &Args) -> Said<()> {
    if let Some(url) = backends::of_handler(args.bytes(0)) {
        return backends::check(url);
    }
    let known = KNOWN.iter().any(|known| args.bytes(0).eq_ignore_ascii_case(known));
    remark(args, "handler", !known);
    Ok(())
}

/// Remarks on a directive whose first word names a media type.
pub fn look_at_type(args: &Args) {
    remark(args, "type", is_foreign_type(&args.bytes(0).to_ascii_lowercase()));
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

fn remark(args: &Args, what: &str, foreign: bool) {
    if foreign {
        args.remark(format!(
            "the {what} {} needs a program that this version has not; files that it is for are answered with 500 and never \
             shown; run them as scripts (`cgi-script`), or take the line out",
            shown(args.bytes(0))
        ));
    }
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
            ("AddHandler type-map var", true),
            ("AddType application/x-httpd-php .php .phtml", true),
            ("AddType Application/X-HTTPD-PHP-source .phps", true),
            ("ForceType application/x-httpd-php", true),
            ("AddHandler cgi-script .cgi", false),
            ("SetHandler CGI-Script", false),
            ("SetHandler None", false),
            ("SetHandler default-handler", false),
            ("AddType application/x-httpd-cgi .cgi", false),
            ("AddType text/html .shtml", false),
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
