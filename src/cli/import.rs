//! `lychgate import`: 0 where the server would start with the configuration as it is, 1 where it would not, 2 where there is none
//! to look at.

use std::env;
use std::io;
use std::process::ExitCode;

use crate::commands::import::place::{Subject, subject};
use crate::commands::import::{self, Import, Verdict};
use crate::config::error::{ConfigError, Span};
use crate::config::load::{Loaded, Source};
use crate::config::node::Node;
use crate::process::identity::Identity;

use super::options::Options;
use super::place::absolute;
use super::{start, terminal};

/// Reports, and says how it went.
pub(super) fn run(options: &Options, import: &Import) -> ExitCode {
    match report(options, import) {
        Ok(Verdict::Starts) => ExitCode::SUCCESS,
        Ok(Verdict::Refused) => ExitCode::FAILURE,
        Err(error) => {
            terminal::err(&format!("lychgate: {error}"));
            ExitCode::from(2)
        }
    }
}

fn report(options: &Options, import: &Import) -> Result<Verdict, String> {
    let here = env::current_dir().map_err(|error| format!("no working directory: {error}"))?;
    let import = Import {
        path: absolute(&here, &import.path),
        access_files: import.access_files.iter().map(|path| absolute(&here, path)).collect(),
        write: import.write.as_ref().map(|path| absolute(&here, path)),
        form: import.form,
    };
    let (file, root) = match subject(&import.path)? {
        Subject::AccessFile(file) => return import::access_file(&import, &file, &mut io::stdout()),
        Subject::Server { file, root } => (file, root),
    };
    let server_root = options.server_root.as_ref().map(|given| absolute(&here, given));
    let source = Source {
        file,
        server_root: server_root.unwrap_or_else(|| root.clone()),
        defines: options.defines.clone(),
        before: options.before.clone(),
        after: options.after.clone(),
    };
    let mut loaded = start::read(options, &source);
    loaded.complaints.extend(stranger(&loaded));
    import::unreadable(&mut loaded);
    import::verified(&mut loaded);
    import::server(&import, &source, &root, &loaded, &mut io::stdout())
}

/// The user of the server, where nobody knows it here: nobody but root would notice at a start.
fn stranger(loaded: &Loaded) -> Option<ConfigError> {
    let core = &loaded.config.server.core;
    let error = Identity::look_up(core.user.value()?, core.group.value().map(Vec::as_slice)).err()?;
    let mut nodes = loaded.settings.nodes.iter();
    let place = nodes
        .find(|node| node.name().eq_ignore_ascii_case("User"))
        .map(Node::span);
    let unplaced = Span::new(&"User".into(), 0);
    let place = place.unwrap_or(&unplaced);
    Some(if Identity::process_is_root() {
        ConfigError::error(place, "User", error.to_string())
    } else {
        ConfigError::warning(place, "User", error.to_string())
    })
}
