//! Virtual hosts by directory: from the host that is asked for to the directory it is served from, as VirtualDocumentRoot says.

use crate::base::path;
use crate::config::directives::vhost_alias::{By, Pattern};
use crate::exchange::Exchange;
use crate::exchange::place::Alias;
use crate::http::target::{CleanPath, Slashes};
use crate::phases::translate::Translated;

/// The place of a path; nothing where the site has no pattern for it.
pub fn of(ex: &Exchange, url: &[u8]) -> Option<Translated> {
    let hosts = &ex.site.settings.virtual_hosts;
    let begins = url.iter().take_while(|byte| **byte == b'/').count();
    let script = url.get(begins..).and_then(|path| path.strip_prefix(b"cgi-bin"));
    let script = script.filter(|rest| rest.starts_with(b"/"));
    let scripts = hosts.scripts.value().and_then(Option::as_ref);
    let (pattern, rest, alias) = match (scripts, script) {
        (Some(pattern), Some(rest)) => (pattern, rest, Alias::Scripts),
        _ => (hosts.root.value()?.as_ref()?, url, Alias::None),
    };
    let root = directory(ex, pattern);
    Some(Translated {
        path: [root.as_slice(), rest].concat(),
        alias,
        context_prefix: match alias {
            Alias::Scripts => b"/cgi-bin".to_vec(),
            _ => Vec::new(),
        },
        context_root: root.clone(),
        document_root: Some(root),
    })
}

/// The directory, without a slash at its end.
fn directory(ex: &Exchange, pattern: &Pattern) -> Vec<u8> {
    let directory = match pattern.by {
        By::Name => pattern.directory(ex.server_name(), ex.server_port()),
        By::Address => {
            let address = ex.connection.local.ip().to_canonical().to_string();
            pattern.directory(address.as_bytes(), ex.server_port())
        }
    };
    let directory = path::without_slash(&directory);
    // The pattern itself may go up.
    CleanPath::from_decoded(directory, Slashes::Merge).map_or_else(|_| directory.to_vec(), CleanPath::into_bytes)
}
