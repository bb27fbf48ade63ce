//! How the compressing filters work: mod_deflate, mod_brotli, and a filter of our own for Zstandard.

use crate::config::setting::{Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, SITES, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// How much is compressed, of a site.
    pub struct Compress {
        /// gzip.
        deflate: Deflate,
        /// Brotli.
        brotli: Brotli,
        /// Zstandard.
        zstd: Zstd,
    }
}

settings! {
    /// Compression with gzip.
    pub struct Deflate {
        /// `DeflateCompressionLevel`.
        level: Setting<u32>,
        /// `DeflateWindowSize`: how far it looks back, as a power of two.
        window: Setting<u8>,
        /// `DeflateBufferSize`, in bytes.
        piece: Setting<usize>,
        /// `DeflateAlterETag`.
        etag: Setting<AlterETag>,
        /// `DeflateFilterNote`.
        notes: Notes,
    }
}

settings! {
    /// Compression with Brotli.
    pub struct Brotli {
        /// `BrotliCompressionQuality`.
        quality: Setting<u32>,
        /// `BrotliCompressionWindow`, as a power of two.
        window: Setting<u32>,
        /// `BrotliCompressionMaxInputBlock`, as a power of two.
        block: Setting<u32>,
        /// `BrotliAlterETag`.
        etag: Setting<AlterETag>,
        /// `BrotliFilterNote`.
        notes: Notes,
    }
}

settings! {
    /// Compression with Zstandard.
    pub struct Zstd {
        /// `ZstdCompressionLevel`.
        level: Setting<i32>,
        /// `ZstdAlterETag`.
        etag: Setting<AlterETag>,
        /// `ZstdFilterNote`.
        notes: Notes,
    }
}

settings! {
    /// The notes that a filter leaves for the access log, by their names.
    pub struct Notes {
        /// Bytes that came in.
        input: Setting<Vec<u8>>,
        /// Bytes that went out.
        output: Setting<Vec<u8>>,
        /// What went out, in percent of what came in.
        ratio: Setting<Vec<u8>>,
    }
}

settings! {
    /// What the body of a request may become, of a place.
    pub struct Inflate {
        /// `DeflateInflateLimitRequestBody`, in bytes; 0 is no limit.
        limit: Setting<u64>,
        /// `DeflateInflateRatioLimit`: so many times its size.
        ratio: Setting<u64>,
        /// `DeflateInflateRatioBurst`: that often before it counts.
        burst: Setting<u64>,
    }
}

/// What becomes of the entity tag of what is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlterETag {
    /// It ends with the coding's name.
    AddSuffix,
    /// It stays, and says the same of different bytes.
    NoChange,
    /// It goes.
    Remove,
}

const ETAGS: [(&str, AlterETag); 3] = [
    ("AddSuffix", AlterETag::AddSuffix),
    ("NoChange", AlterETag::NoChange),
    ("Remove", AlterETag::Remove),
];

macro_rules! of_site {
    ($name:literal, $module:literal, $syntax:literal, $words:expr, $default:literal, $summary:literal, $manual:literal, $set:expr) => {
        Directive {
            name: $name,
            module: $module,
            syntax: $syntax,
            words: $words,
            allowed: SITES,
            overrides: Override::None,
            default: $default,
            summary: $summary,
            manual: $manual,
            set: Set::Site($set),
        }
    };
}

macro_rules! alter_etag {
    ($name:literal, $module:literal, $field:ident, $suffix:literal) => {
        of_site!(
            $name,
            $module,
            "AddSuffix|NoChange|Remove",
            Words::exactly(1),
            "AddSuffix",
            "Say what becomes of the entity tag of a compressed answer.",
            $suffix,
            |site, args| {
                site.compress.$field.etag.set(args.choice(0, &ETAGS)?);
                Ok(())
            }
        )
    };
}

macro_rules! filter_note {
    ($name:literal, $module:literal, $field:ident) => {
        of_site!(
            $name,
            $module,
            "[Input|Output|Ratio] name",
            Words::Between(1, 2),
            "",
            "Name a note that says how well an answer was compressed.",
            "Log formats ask for it as %{name}n. It holds the bytes that came in, those that went out, or these in percent of those, \
which is Ratio and holds where nothing is said.",
            |site, args| note(&mut site.compress.$field.notes, args)
        )
    };
}

macro_rules! inflate {
    ($name:literal, $syntax:literal, $default:literal, $field:ident, $range:expr, $summary:literal, $manual:literal) => {
        Directive {
            name: $name,
            module: "mod_deflate",
            syntax: $syntax,
            words: Words::exactly(1),
            allowed: ANYWHERE,
            overrides: Override::Any,
            default: $default,
            summary: $summary,
            manual: $manual,
            set: Set::Dir(|conf, args| {
                conf.inflate.$field.set(args.number(0, $range)?);
                Ok(())
            }),
        }
    };
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    alter_etag!(
        "BrotliAlterETag",
        "mod_brotli",
        brotli,
        "AddSuffix puts -br at its end."
    ),
    of_site!(
        "BrotliCompressionMaxInputBlock",
        "mod_brotli",
        "bits",
        Words::exactly(1),
        "",
        "Bound the blocks that Brotli takes at one time.",
        "It is a power of two from 16 to 24; without it Brotli chooses.",
        |site, args| {
            site.compress.brotli.block.set(small(args, 16..=24)?);
            Ok(())
        }
    ),
    of_site!(
        "BrotliCompressionQuality",
        "mod_brotli",
        "0-11",
        Words::exactly(1),
        "5",
        "Say how hard Brotli tries.",
        "More is smaller, slower, and takes more memory.",
        |site, args| {
            site.compress.brotli.quality.set(small(args, 0..=11)?);
            Ok(())
        }
    ),
    of_site!(
        "BrotliCompressionWindow",
        "mod_brotli",
        "bits",
        Words::exactly(1),
        "18",
        "Say how far back Brotli looks.",
        "It is a power of two from 10 to 24, in bytes, and that much memory for each answer.",
        |site, args| {
            site.compress.brotli.window.set(small(args, 10..=24)?);
            Ok(())
        }
    ),
    filter_note!("BrotliFilterNote", "mod_brotli", brotli),
    alter_etag!(
        "DeflateAlterETag",
        "mod_deflate",
        deflate,
        "AddSuffix puts -gzip at its end. As in Apache, a condition with such a tag does not hold, for the file's own has no such end: \
the answer is sent again. RequestHeader edit If-None-Match, with `-gzip\"$` for a pattern, makes it hold."
    ),
    of_site!(
        "DeflateBufferSize",
        "mod_deflate",
        "bytes",
        Words::exactly(1),
        "8096",
        "Say how much is compressed before it is sent on.",
        "What a script writes is sent on when the script pauses, however little it is.",
        |site, args| {
            let bytes = args.number(0, 1..=1 << 30)?;
            site.compress
                .deflate
                .piece
                .set(usize::try_from(bytes).unwrap_or(usize::MAX));
            Ok(())
        }
    ),
    of_site!(
        "DeflateCompressionLevel",
        "mod_deflate",
        "1-9",
        Words::exactly(1),
        "",
        "Say how hard gzip tries.",
        "More is smaller and slower; without it, it is 6.",
        |site, args| {
            site.compress.deflate.level.set(small(args, 1..=9)?);
            Ok(())
        }
    ),
    filter_note!("DeflateFilterNote", "mod_deflate", deflate),
    inflate!(
        "DeflateInflateLimitRequestBody",
        "bytes",
        "0",
        limit,
        0..=u64::MAX,
        "Bound what the compressed body of a request may become.",
        "More is answered with 413. Without it, or with 0, LimitRequestBody bounds it."
    ),
    inflate!(
        "DeflateInflateRatioBurst",
        "number",
        "3",
        burst,
        1..=u64::MAX,
        "Say how often the ratio of DeflateInflateRatioLimit may be passed.",
        ""
    ),
    inflate!(
        "DeflateInflateRatioLimit",
        "number",
        "200",
        ratio,
        1..=u64::MAX,
        "Bound how many times larger the compressed body of a request may become.",
        "What is larger more often than DeflateInflateRatioBurst says is answered with 400."
    ),
    of_site!(
        "DeflateMemLevel",
        "mod_deflate",
        "1-9",
        Words::exactly(1),
        "9",
        "Taken without effect; how much memory gzip takes is given by its window.",
        "",
        |_, args| args.number(0, 1..=9).map(drop)
    ),
    of_site!(
        "DeflateWindowSize",
        "mod_deflate",
        "1-15",
        Words::exactly(1),
        "15",
        "Say how far back gzip looks.",
        "It is a power of two, in bytes; less than 9 is taken for 9.",
        |site, args| {
            let window = args.number(0, 1..=15)?.max(9);
            site.compress.deflate.window.set(u8::try_from(window).unwrap_or(15));
            Ok(())
        }
    ),
    alter_etag!("ZstdAlterETag", "lychgate", zstd, "AddSuffix puts -zstd at its end."),
    of_site!(
        "ZstdCompressionLevel",
        "lychgate",
        "1-19",
        Words::exactly(1),
        "3",
        "Say how hard Zstandard tries.",
        "More is smaller and slower; above 9 it takes many megabytes for each answer.",
        |site, args| {
            let level = args.number(0, 1..=19)?;
            site.compress.zstd.level.set(i32::try_from(level).unwrap_or(3));
            Ok(())
        }
    ),
    filter_note!("ZstdFilterNote", "lychgate", zstd),
];

fn small(args: &Args, range: std::ops::RangeInclusive<u32>) -> Said<u32> {
    let number = args.number(0, u64::from(*range.start())..=u64::from(*range.end()))?;
    u32::try_from(number).map_err(|error| error.to_string())
}

fn note(notes: &mut Notes, args: &Args) -> Said<()> {
    if args.count() == 1 {
        notes.ratio.set(args.bytes(0).to_vec());
        return Ok(());
    }
    let note = match args.keyword(0).as_str() {
        "input" => &mut notes.input,
        "output" => &mut notes.output,
        "ratio" => &mut notes.ratio,
        _ => {
            return Err(format!(
                "{} is not one of `Input`, `Output`, `Ratio`",
                shown(args.bytes(0))
            ));
        }
    };
    note.set(args.bytes(1).to_vec());
    Ok(())
}
