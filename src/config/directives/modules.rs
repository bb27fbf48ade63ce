//! Modules that a configuration loads (mod_so). All there is here is built in; those that run programs and are not here leave
//! something behind all the same: what they would run must not be shown.

use crate::config::table::{Directive, Override, SITES, Set, Words};
use crate::config::words::shown;

/// A family of modules that run programs: the beginning of their names, the handler of theirs that is not here, and the
/// extensions of what it runs.
struct Programs {
    beginning: &'static str,
    handler: &'static [u8],
    extensions: &'static [&'static str],
}

const PROGRAMS: &[Programs] = &[
    Programs {
        beginning: "php",
        handler: b"php-script",
        extensions: PHP,
    },
    Programs {
        beginning: "wsgi_",
        handler: b"wsgi-script",
        extensions: &["wsgi"],
    },
];

const PHP: &[&str] = &[
    "php", "php3", "php4", "php5", "php7", "php8", "phps", "phar", "pht", "phtml",
];

/// The directives of this file.
pub const DIRECTIVES: &[Directive] = &[Directive {
    name: "LoadModule",
    module: "mod_so",
    syntax: "module file",
    words: Words::exactly(2),
    allowed: SITES,
    overrides: Override::None,
    default: "",
    summary: "Name a module; what lychgate has of it is built in, and no file is read.",
    manual: "It makes no difference to <IfModule>. A module that runs programs, such as PHP's, and that lychgate has not, has its \
programs kept back: files with their extensions are answered with 500 and never shown, unless AddHandler or SetHandler says who \
answers for them.",
    set: Set::Dir(|conf, args| {
        let module = args.keyword(0);
        let Some(programs) = PROGRAMS.iter().find(|known| module.starts_with(known.beginning)) else {
            return Ok(());
        };
        for extension in programs.extensions {
            conf.mime
                .handlers
                .insert(extension.as_bytes().to_vec(), programs.handler.to_vec());
        }
        args.remark(format!(
            "{} runs programs, which this version does not; files that end in {} are answered with 500 and never shown",
            shown(args.bytes(0)),
            programs
                .extensions
                .iter()
                .map(|known| format!("`.{known}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ));
        Ok(())
    }),
}];
