//! Pages that are parsed for includes: `mod_include`.

use std::sync::Arc;

use crate::config::setting::{Setting, settings};
use crate::config::table::{ANYWHERE, DIRECTORY, Directive, HTACCESS, Override, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// Pages of a place.
    pub struct Ssi {
        /// `SSIErrorMsg`.
        error_message: Setting<Vec<u8>>,
        /// `SSITimeFormat`.
        time_format: Setting<Vec<u8>>,
        /// `SSIUndefinedEcho`.
        undefined_echo: Setting<Vec<u8>>,
        /// `SSILegacyExprParser`.
        legacy: Setting<bool>,
        /// `SSIETag`.
        etag: Setting<bool>,
        /// `SSILastModified`.
        last_modified: Setting<bool>,
        /// `XBitHack`.
        by_bit: Setting<XBitHack>,
    }
}

settings! {
    /// Pages of a site.
    pub struct SsiSite {
        /// `SSIStartTag`.
        start: Setting<Arc<[u8]>>,
        /// `SSIEndTag`.
        end: Setting<Arc<[u8]>>,
        /// `SSIExecShell`; nothing is `none`.
        shell: Setting<Option<Vec<u8>>>,
    }
}

/// Whether a bit of a page's mode says that it is to be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XBitHack {
    /// No.
    Off,
    /// Its owner may execute it: it is parsed.
    On,
    /// And where its group may, it is as old as its file.
    Full,
}

impl Ssi {
    /// `SSIErrorMsg`, or what Apache says.
    pub fn error_message(&self) -> &[u8] {
        let said = self.error_message.value().map(Vec::as_slice);
        said.unwrap_or(b"[an error occurred while processing this directive]")
    }

    /// `SSIUndefinedEcho`, or what Apache says.
    pub fn undefined_echo(&self) -> &[u8] {
        self.undefined_echo.value().map_or(b"(none)", Vec::as_slice)
    }
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "SSIEndTag",
        module: "mod_include",
        syntax: "tag",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "-->",
        summary: "Say what ends an element of a page.",
        manual: "It has no white space.",
        set: Set::Site(|site, args| {
            site.ssi.end.set(tag(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "SSIErrorMsg",
        module: "mod_include",
        syntax: "message",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::Any,
        default: "\"[an error occurred while processing this directive]\"",
        summary: "Say what a page shows in place of an element that fails.",
        manual: "The reason is in the error log. An element `config` with `errmsg` changes it within a page.",
        set: Set::Dir(|conf, args| {
            conf.ssi.error_message.set(args.bytes(0).to_vec());
            Ok(())
        }),
    },
    Directive {
        name: "SSIETag",
        module: "mod_include",
        syntax: "on|off",
        words: Words::Flag,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::Limit,
        default: "off",
        summary: "Send an ETag with pages that are parsed.",
        manual: "It is that of the page's own file, whatever the page includes: only for pages whose includes never change.",
        set: Set::Dir(|conf, args| {
            conf.ssi.etag.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "SSIExecShell",
        module: "lychgate",
        syntax: "file|none",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "none",
        summary: "Let pages run commands by this shell.",
        manual: "It is for the element `exec` with `cmd`, which Apache gives to /bin/sh wherever Options Includes is on. Here that is not \
enough: with none a page cannot run a command, and neither can whoever takes the worker process over. The shell is started as \
scripts are, by the spawner, on the terms that the settings have for its file.",
        set: Set::Site(|site, args| {
            site.ssi.shell.set(match args.keyword(0).as_str() {
                "none" => None,
                _ if args.bytes(0).starts_with(b"/") => Some(args.bytes(0).to_vec()),
                _ => {
                    return Err(format!(
                        "{} is neither an absolute name nor `none`",
                        shown(args.bytes(0))
                    ));
                }
            });
            Ok(())
        }),
    },
    Directive {
        name: "SSILastModified",
        module: "mod_include",
        syntax: "on|off",
        words: Words::Flag,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::Limit,
        default: "off",
        summary: "Send Last-Modified with pages that are parsed.",
        manual: "It is the time of the page's own file, whatever the page includes. `XBitHack full` does the same for single pages.",
        set: Set::Dir(|conf, args| {
            conf.ssi.last_modified.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "SSILegacyExprParser",
        module: "mod_include",
        syntax: "on|off",
        words: Words::Flag,
        allowed: DIRECTORY.or(HTACCESS),
        overrides: Override::Limit,
        default: "off",
        summary: "Read the conditions of pages as Apache 2.2 did.",
        manual: "Off, they are expressions as elsewhere, where `v(\"NAME\")` is a variable of the page.",
        set: Set::Dir(|conf, args| {
            conf.ssi.legacy.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "SSIStartTag",
        module: "mod_include",
        syntax: "tag",
        words: Words::exactly(1),
        allowed: SITES,
        overrides: Override::None,
        default: "<!--#",
        summary: "Say what begins an element of a page.",
        manual: "It has no white space.",
        set: Set::Site(|site, args| {
            site.ssi.start.set(tag(args)?);
            Ok(())
        }),
    },
    Directive {
        name: "SSITimeFormat",
        module: "mod_include",
        syntax: "format",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::Any,
        default: "\"%A, %d-%b-%Y %H:%M:%S %Z\"",
        summary: "Say how pages show times.",
        manual: "The format is that of strftime(3). An element `config` with `timefmt` changes it within a page.",
        set: Set::Dir(|conf, args| {
            conf.ssi.time_format.set(args.bytes(0).to_vec());
            Ok(())
        }),
    },
    Directive {
        name: "SSIUndefinedEcho",
        module: "mod_include",
        syntax: "string",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::Any,
        default: "(none)",
        summary: "Say what pages show of a variable that is not set.",
        manual: "An element `config` with `echomsg` changes it within a page.",
        set: Set::Dir(|conf, args| {
            conf.ssi.undefined_echo.set(args.bytes(0).to_vec());
            Ok(())
        }),
    },
    Directive {
        name: "XBitHack",
        module: "mod_include",
        syntax: "on|off|full",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::Options,
        default: "off",
        summary: "Parse pages whose owner may execute them.",
        manual: "It is for files of type text/html where Options Includes is on. Full: a page that its group may execute, too, is sent \
with Last-Modified, so that it can be kept.",
        set: Set::Dir(|conf, args| {
            let choices = [("off", XBitHack::Off), ("on", XBitHack::On), ("full", XBitHack::Full)];
            conf.ssi.by_bit.set(args.choice(0, &choices)?);
            Ok(())
        }),
    },
];

fn tag(args: &Args) -> Said<Arc<[u8]>> {
    let tag = args.bytes(0);
    if tag.is_empty() || tag.iter().any(u8::is_ascii_whitespace) {
        return Err(format!(
            "{} cannot be a tag: it is empty or has white space",
            shown(tag)
        ));
    }
    Ok(tag.into())
}
