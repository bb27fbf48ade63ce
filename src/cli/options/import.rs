//! The words of `lychgate import`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::configuration;
use crate::commands::import::{Form, Import};

/// The command.
pub(super) fn command() -> Command {
    let path = || value_parser!(PathBuf);
    let named = configuration().into_iter().filter(|arg| arg.get_id() != "file");
    Command::new("import")
        .about("Say what becomes of an Apache's configuration here, line by line; nothing is changed")
        .args(named)
        .args([
            Arg::new("no-roots")
                .short('T')
                .help("Do not look for DocumentRoots and directories of logs: the configuration is another machine's")
                .action(ArgAction::SetTrue),
            Arg::new("htaccess")
                .long("htaccess")
                .value_name("DIR")
                .help("Look at the .htaccess files in and below a directory too; may be repeated")
                .action(ArgAction::Append)
                .value_parser(path()),
            Arg::new("write")
                .long("write")
                .value_name("DIR")
                .help("Write a copy in which lines that are not supported are changed or left out")
                .value_parser(path()),
            Arg::new("json")
                .long("json")
                .help("One object of JSON")
                .action(ArgAction::SetTrue),
            Arg::new("file")
                .value_name("PATH")
                .help("The configuration, its directory (/etc/apache2, /etc/httpd), or an .htaccess file")
                .required(true)
                .value_parser(path()),
        ])
}

/// What is asked.
pub(super) fn import(matches: &ArgMatches) -> Import {
    let directories = matches.get_many::<PathBuf>("htaccess").into_iter().flatten();
    Import {
        path: matches.get_one("file").cloned().unwrap_or_default(),
        access_files: directories.cloned().collect(),
        write: matches.get_one("write").cloned(),
        form: if matches.get_flag("json") {
            Form::Json
        } else {
            Form::Page
        },
    }
}
