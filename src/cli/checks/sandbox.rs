//! Whether this machine holds what ScriptSandbox lines ask of it, and has the paths that they name.

use std::cell::LazyCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::error::ConfigError;
use crate::config::node::{Node, Settings};
use crate::config::words::{below, shown};
use crate::process::landlock::Reach;

/// An error for every `require` that this kernel cannot hold, and a warning for every path that is not there.
pub(in crate::cli) fn unheld(settings: &Settings) -> Vec<ConfigError> {
    let mut told = Vec::new();
    // The kernel is asked when somebody wants to know.
    let wanting: LazyCell<Option<String>> = LazyCell::new(wanting);
    look(&settings.nodes, &settings.server_root, &wanting, &mut told);
    told
}

fn look(nodes: &[Node], server_root: &[u8], wanting: &LazyCell<Option<String>>, told: &mut Vec<ConfigError>) {
    for node in nodes {
        if let Node::Section { .. } = node {
            look(node.children(), server_root, wanting, told);
        }
        let is = |name: &str| node.name().eq_ignore_ascii_case(name);
        if is("ScriptSandbox") {
            let required = node
                .words()
                .get(1)
                .is_some_and(|word| word.eq_ignore_ascii_case(b"require"));
            if let (true, Some(sentence)) = (required, &**wanting) {
                told.push(ConfigError::error(node.span(), node.name(), sentence.clone()));
            }
        } else if is("ScriptSandboxRead") || is("ScriptSandboxWrite") {
            let paths = node.words().iter().map(|word| below(server_root, word));
            let missing = paths.filter(|path| !Path::new(OsStr::from_bytes(path)).exists());
            told.extend(missing.map(|path| {
                let sentence = format!("{} is not there; scripts reach it once it is", shown(&path));
                ConfigError::warning(node.span(), node.name(), sentence)
            }));
        }
    }
}

/// What this kernel lacks for the whole of a level, in a sentence.
fn wanting() -> Option<String> {
    let lacks = match Reach::nothing().ruleset() {
        Ok(made) if made.force.lacks.is_empty() => return None,
        Ok(made) => made.force.to_string(),
        Err(error) => error.to_string(),
    };
    Some(format!(
        "`require`, but this kernel does not hold it ({lacks}); use Linux 6.12 or newer with Landlock, or leave `require` out"
    ))
}
