//! Variables for scripts, logs and conditions: `mod_env`.

use std::os::unix::ffi::OsStrExt;

use crate::base::caseless::Name;
use crate::config::setting::{Mapped, settings};
use crate::config::table::{ANYWHERE, Directive, Override, SERVICE, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// Variables of a place.
    pub struct Env {
        /// Names and values; `SetEnv` and `PassEnv` give them, `UnsetEnv` takes them away. As in Apache's tables, a name is the same
        /// in any case.
        variables: Mapped<Name, Vec<u8>>,
        /// The same for the environment of a service: to programs `no_proxy` and `NO_PROXY` are two.
        exact: Mapped<Vec<u8>, Vec<u8>>,
    }
}

impl Env {
    /// Gives a variable a value.
    pub fn insert(&mut self, name: &[u8], value: &[u8]) {
        self.variables.insert(Name(name.to_vec()), value.to_vec());
        self.exact.insert(name.to_vec(), value.to_vec());
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "PassEnv",
        module: "mod_env",
        syntax: "name ...",
        words: Words::AtLeast(1),
        allowed: ANYWHERE.or(SERVICE),
        overrides: Override::FileInfo,
        default: "",
        summary: "Pass variables of the server's own environment on to scripts.",
        manual: "A name that the server's environment does not have is passed over with a warning.",
        set: Set::Dir(|conf, args| {
            for name in args.words {
                check_name(args, name)?;
                if let Some(value) = std::env::var_os(std::ffi::OsStr::from_bytes(name)) {
                    conf.env.insert(name, value.as_bytes());
                }
            }
            Ok(())
        }),
    },
    Directive {
        name: "SetEnv",
        module: "mod_env",
        syntax: "name [value]",
        words: Words::Between(1, 2),
        allowed: ANYWHERE.or(SERVICE),
        overrides: Override::FileInfo,
        default: "",
        summary: "Set a variable for scripts.",
        manual: "A name is the same in any case of its letters, but in a `<Service>`, where it is as it is written. \
A variable that the server computes itself (SCRIPT_FILENAME, REMOTE_USER, CONTENT_LENGTH and the like) keeps its \
computed value; the error log says so once. A name that has an equals sign in it is taken, with a warning, as in Apache; scripts see \
an underscore in its place. Where SetEnvIf or a rule has set the variable before, scripts and pages parsed for includes see the value \
of SetEnv, but log formats, fields and expressions the earlier one, unless such a script or page was asked before them, as in Apache.",
        set: Set::Dir(|conf, args| {
            check_name(args, args.bytes(0))?;
            conf.env.insert(args.bytes(0), args.bytes(1));
            Ok(())
        }),
    },
    Directive {
        name: "UnsetEnv",
        module: "mod_env",
        syntax: "name ...",
        words: Words::AtLeast(1),
        allowed: ANYWHERE.or(SERVICE),
        overrides: Override::FileInfo,
        default: "",
        summary: "Take variables of an outer section away.",
        manual: "",
        set: Set::Dir(|conf, args| {
            for name in args.words {
                conf.env.variables.remove(Name(name.clone()));
                conf.env.exact.remove(name.clone());
            }
            Ok(())
        }),
    },
];

fn check_name(args: &Args, name: &[u8]) -> Said<()> {
    if name.is_empty() || name.contains(&0) {
        return Err(format!("{} is not a variable's name", shown(name)));
    }
    if name.contains(&b'=') {
        args.remark(format!(
            "{} is the name of the variable, with its `=`; write the name and the value as two words",
            shown(name)
        ));
    }
    Ok(())
}
