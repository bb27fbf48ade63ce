//! Scripts that answer for files of a handler or type, or for a method: `mod_actions`.

use crate::config::setting::{Mapped, settings};
use crate::config::table::{ANYWHERE, Directive, Override, SERVER_FILES, Set, Words};
use crate::config::words::{Args, shown};
use crate::http::method::Method;

settings! {
    /// Scripts in the way of files.
    pub struct Actions {
        /// `Action`, by handler or media type in lower case.
        by_kind: Mapped<Vec<u8>, Action>,
        /// `Script`, by method.
        by_method: Mapped<Vec<u8>, Vec<u8>>,
    }
}

/// One Action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The path of the script on the site, as it is in a URL.
    pub script: Vec<u8>,
    /// Whether the file must be there.
    pub file: File,
}

/// Whether an Action is about files that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The file must be there.
    Needed,
    /// `virtual`: nobody looks for it.
    Virtual,
}

impl Actions {
    /// The script of a method, which the request names so; HEAD goes with GET.
    pub fn of_method(&self, name: &[u8]) -> Option<&[u8]> {
        let name = if name == b"HEAD" { b"GET" } else { name };
        self.by_method.find(name).map(Vec::as_slice)
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "Action",
        module: "mod_actions",
        syntax: "handler|media-type script [virtual]",
        words: Words::Between(2, 3),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Have a script answer for all files of a handler or a media type.",
        manual: "The script is a path of the site, such as /cgi-bin/php. It gets the path of the file behind its own: PATH_INFO is the \
file's path in the URL, PATH_TRANSLATED its name on disk, REDIRECT_HANDLER the handler or type. Method, body and query are those \
of the request. The file must be there, unless virtual is the last word.",
        set: Set::Dir(|conf, args| {
            let file = match args.keyword(2).as_str() {
                "" => File::Needed,
                "virtual" => File::Virtual,
                _ => return Err(format!("{} is not `virtual`", shown(args.bytes(2)))),
            };
            let script = script(args);
            let kind = args.bytes(0).to_ascii_lowercase();
            conf.actions.by_kind.insert(kind, Action { script, file });
            Ok(())
        }),
    },
    Directive {
        name: "Script",
        module: "mod_actions",
        syntax: "method script",
        words: Words::exactly(2),
        allowed: SERVER_FILES,
        overrides: Override::None,
        default: "",
        summary: "Have a script answer all requests with a method.",
        manual: "It is asked after scripts, applications and Action, and before files are shown. A script for GET gets only requests \
with a query. The script is called as by Action, for files that are there and for others. Methods are written as in requests, \
in capitals; TRACE cannot be given away.",
        set: Set::Dir(|conf, args| {
            let method = args.bytes(0);
            match Method::from_bytes(method) {
                Method::Trace => return Err("TRACE is not for scripts; TraceEnable is what decides about it".into()),
                Method::Other if Method::from_bytes(&method.to_ascii_uppercase()) != Method::Other => {
                    args.remark(format!(
                        "{} is another method than {}: their names are written in capitals",
                        shown(method),
                        shown(&method.to_ascii_uppercase())
                    ));
                }
                _ => {}
            }
            let script = script(args);
            let method = if method == b"HEAD" { b"GET" } else { method };
            conf.actions.by_method.insert(method.to_vec(), script);
            Ok(())
        }),
    },
];

/// The script, which is a path of the site.
fn script(args: &Args) -> Vec<u8> {
    let script = args.bytes(1);
    if !script.starts_with(b"/") {
        args.remark(format!(
            "{} is no path of the site, so that requests for it fail; write it as in a URL, such as `/cgi-bin/script`",
            shown(script)
        ));
    }
    script.to_vec()
}
