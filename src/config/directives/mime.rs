//! What a file's name says about it: `mod_mime`.

use crate::config::backends;
use crate::config::directives::{DirConf, status};
use crate::config::filters::{self, Filter, Names};
use crate::config::handlers::{is_on_demand, is_script, look_at_filters, look_at_handler};
use crate::config::setting::{Mapped, Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, Set, Words};
use crate::config::words::{Args, Said, shown};
use crate::http::coding::Coding;

settings! {
    /// Meanings of file name extensions in a place. Keys are extensions in lower case, without the dot.
    pub struct Mime {
        /// `AddType`.
        types: Mapped<Vec<u8>, Vec<u8>>,
        /// `AddHandler`.
        handlers: Mapped<Vec<u8>, Vec<u8>>,
        /// `AddEncoding`.
        encodings: Mapped<Vec<u8>, Vec<u8>>,
        /// `AddCharset`.
        charsets: Mapped<Vec<u8>, Vec<u8>>,
        /// `AddLanguage`.
        languages: Mapped<Vec<u8>, Vec<u8>>,
        /// `DefaultLanguage`.
        default_language: Setting<Vec<u8>>,
        /// `AddInputFilter`.
        input_filters: Mapped<Vec<u8>, Vec<Filter>>,
        /// `AddOutputFilter`.
        output_filters: Mapped<Vec<u8>, Names>,
        /// `Precompressed`.
        precompressed: Setting<Vec<Coding>>,
        /// `MimeLastExtension`.
        last_extension: Setting<bool>,
        /// `ModMimeUsePathInfo`.
        use_path_info: Setting<bool>,
    }
}

macro_rules! extensions {
    ($name:literal, $syntax:literal, $what:literal, $field:ident, $look:expr, $manual:literal) => {
        Directive {
            name: $name,
            module: "mod_mime",
            syntax: $syntax,
            words: Words::AtLeast(2),
            allowed: ANYWHERE,
            overrides: Override::FileInfo,
            default: "",
            summary: $what,
            manual: $manual,
            set: Set::Dir(|conf, args| {
                let look: fn(&mut DirConf, &Args) -> Said<()> = $look;
                look(conf, args)?;
                for extension in args.rest(1) {
                    conf.mime.$field.insert(lower(extension), value(args));
                }
                Ok(())
            }),
        }
    };
}

macro_rules! removal {
    ($name:literal, $what:literal, $field:ident) => {
        Directive {
            name: $name,
            module: "mod_mime",
            syntax: "extension ...",
            words: Words::AtLeast(1),
            allowed: ANYWHERE,
            overrides: Override::FileInfo,
            default: "",
            summary: $what,
            manual: "It takes back what outer sections, and earlier lines of this one, say about the extensions.",
            set: Set::Dir(|conf, args| {
                for extension in args.words {
                    conf.mime.$field.remove(lower(extension));
                }
                Ok(())
            }),
        }
    };
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    extensions!(
        "AddCharset",
        "charset extension ...",
        "Name the character set of files with an extension.",
        charsets,
        |_, _| Ok(()),
        "A file name may have several extensions, in any order; each says its part."
    ),
    extensions!(
        "AddEncoding",
        "encoding extension ...",
        "Name the content coding of files with an extension.",
        encodings,
        |_, _| Ok(()),
        "A file that is kept compressed is sent as it is, with Content-Encoding."
    ),
    extensions!(
        "AddHandler",
        "handler extension ...",
        "Give files with an extension to a handler.",
        handlers,
        look_at_script_handler,
        "Any of a name's extensions counts, not only the last, as in Apache: upload.cgi.txt is a script where .cgi is. Scripts \
also need Options ExecCGI. MimeLastExtension makes it the last alone. An application server may be a handler as in SetHandler."
    ),
    Directive {
        name: "AddInputFilter",
        module: "mod_mime",
        syntax: "filter[;filter...] extension ...",
        words: Words::AtLeast(2),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Name the filters that bodies of requests for files with an extension pass.",
        manual: "There is DEFLATE, see SetInputFilter.",
        set: Set::Dir(|conf, args| {
            let filters = filters::input_names(args.bytes(0))?;
            for extension in args.rest(1) {
                conf.mime.input_filters.insert(lower(extension), filters.clone());
            }
            Ok(())
        }),
    },
    extensions!(
        "AddLanguage",
        "language extension ...",
        "Name the language of files with an extension.",
        languages,
        |_, _| Ok(()),
        "The language is sent as Content-Language."
    ),
    Directive {
        name: "AddOutputFilter",
        module: "mod_mime",
        syntax: "filter[;filter...] extension ...",
        words: Words::AtLeast(2),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Name the filters that files with an extension pass.",
        manual: "SetOutputFilter tells which there are. A file that another is for is answered with 500 and never shown, for it may hold \
commands. INCLUDES is for files where Options Includes is on, as in Apache.",
        set: Set::Dir(|conf, args| {
            look_at_filters(args);
            for extension in args.rest(1) {
                let names = filters::names(args.bytes(0));
                conf.mime.output_filters.insert(lower(extension), names);
            }
            Ok(())
        }),
    },
    Directive {
        name: "AddType",
        module: "mod_mime",
        syntax: "media-type extension ...",
        words: Words::AtLeast(2),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Name the media type of files with an extension.",
        manual: "It goes before the file that TypesConfig names.",
        set: Set::Dir(|conf, args| {
            for extension in args.rest(1) {
                conf.mime.types.insert(lower(extension), parameters_apart(&value(args)));
            }
            Ok(())
        }),
    },
    Directive {
        name: "DefaultLanguage",
        module: "mod_mime",
        syntax: "language",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "",
        summary: "Name the language of files whose name tells none.",
        manual: "",
        set: Set::Dir(|conf, args| {
            conf.mime.default_language.set(args.bytes(0).to_vec());
            Ok(())
        }),
    },
    Directive {
        name: "DefaultType",
        module: "core",
        syntax: "media-type|none",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "none",
        summary: "Kept for old files; only none has a meaning, and that holds anyway.",
        manual: "Apache 2.4 ignores it too. Use ForceType or AddType.",
        set: Set::Dir(|_: &mut DirConf, _: &Args| -> Said<()> { Ok(()) }),
    },
    Directive {
        name: "MimeLastExtension",
        module: "mod_mime",
        syntax: "On|Off",
        words: Words::exactly(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "Off",
        summary: "Let AddHandler mind only the last extension of a name.",
        manual: "Of lychgate's own. Off is as in Apache: evil.cgi.jpg is a script where .cgi is. On makes it a picture; types, languages, \
codings and character sets are read from all extensions as before, but for types that stand for a handler.",
        set: Set::Dir(|conf, args| {
            conf.mime.last_extension.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "ModMimeUsePathInfo",
        module: "mod_mime",
        syntax: "On|Off",
        words: Words::Flag,
        allowed: crate::config::table::DIRECTORY,
        overrides: Override::None,
        default: "Off",
        summary: "Let extensions in PATH_INFO count as the file's.",
        manual: "",
        set: Set::Dir(|conf, args| {
            conf.mime.use_path_info.set(args.flag(0)?);
            Ok(())
        }),
    },
    Directive {
        name: "Precompressed",
        module: "lychgate",
        syntax: "On|Off|coding ...",
        words: Words::AtLeast(1),
        allowed: ANYWHERE,
        overrides: Override::FileInfo,
        default: "Off",
        summary: "Send the compressed file that stands beside a file to who takes it.",
        manual: "Of lychgate's own. For style.css it is style.css.br, style.css.zst or style.css.gz, the one that the client wants most; \
of those that it wants as much, the first of these. A file that is older than the one it stands for is passed over. Its media type \
is that of the other, its entity tag its own. Only what governs the file that was asked for is looked at: a <Files> section for \
the name that ends in .br has no say. The codings br, zstd and gzip may be named to allow only these.",
        set: Set::Dir(|conf, args| {
            conf.mime.precompressed.set(precompressed(args)?);
            Ok(())
        }),
    },
    removal!("RemoveCharset", "Forget the character set of extensions.", charsets),
    removal!("RemoveEncoding", "Forget the content coding of extensions.", encodings),
    removal!("RemoveHandler", "Forget the handler of extensions.", handlers),
    removal!(
        "RemoveInputFilter",
        "Forget the filters of request bodies of extensions.",
        input_filters
    ),
    removal!("RemoveLanguage", "Forget the language of extensions.", languages),
    removal!(
        "RemoveOutputFilter",
        "Forget the filters of extensions.",
        output_filters
    ),
    removal!(
        "RemoveType",
        "Forget the media type of extensions, also that of TypesConfig.",
        types
    ),
];

fn lower(extension: &[u8]) -> Vec<u8> {
    extension.strip_prefix(b".").unwrap_or(extension).to_ascii_lowercase()
}

/// The codings of files that stand beside others, the best first.
pub const PRECOMPRESSED: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

fn precompressed(args: &Args) -> Said<Vec<Coding>> {
    if args.count() == 1 && matches!(args.keyword(0).as_str(), "on" | "off") {
        let is_on = args.flag(0)?;
        return Ok(PRECOMPRESSED.into_iter().filter(|_| is_on).collect());
    }
    let known = PRECOMPRESSED.map(|coding| (coding.name(), coding));
    (0..args.count()).map(|n| args.choice(n, &known)).collect()
}

/// In lower case, as Apache compares it; of an application server's address that is not said.
fn value(args: &Args) -> Vec<u8> {
    match backends::of_handler(args.bytes(0)) {
        Some(url) => [backends::HANDLER, url].concat(),
        None => args.bytes(0).to_ascii_lowercase(),
    }
}

/// A media type with its parameters set apart by a space, as Apache has those that names stand for; the type that ForceType says is
/// sent as it is written.
fn parameters_apart(media_type: &[u8]) -> Vec<u8> {
    let parts = media_type.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let parts: Vec<&[u8]> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(&b"; "[..])
}

/// Checks a media type's form.
pub fn check_media_type(word: &[u8]) -> Said<()> {
    if word.contains(&b'/') {
        Ok(())
    } else {
        Err(format!("{} is not a media type; write `text/plain`", shown(word)))
    }
}

/// A script handler for the whole site reaches whatever clients may upload.
fn look_at_script_handler(conf: &mut DirConf, args: &Args) -> Said<()> {
    look_at_handler(args)?;
    status::note_handler(conf);
    let handler = args.bytes(0).to_ascii_lowercase();
    let is_script = is_script(&handler) || is_on_demand(&handler);
    if is_script && args.section.is_none() && !conf.mime.last_extension.or(false) {
        let extension = String::from_utf8_lossy(&lower(args.bytes(1))).into_owned();
        args.remark(format!(
            "with Options ExecCGI it makes a script of any file with the extension anywhere in its name, such as an uploaded \
             `picture.{extension}.jpg`; write `MimeLastExtension On` before it, or put it into the <Directory> of the scripts"
        ));
    }
    Ok(())
}
