//! What a script's process may use, and how it begins: Apache's `RLimitCPU`, `RLimitMEM` and `RLimitNPROC`, and others of
//! their form (setrlimit(2)).

use crate::config::setting::{Setting, settings};
use crate::config::table::{ANYWHERE, Directive, Override, PATHS, SERVICE, Set, Words};
use crate::config::words::{Args, Said, shown};

settings! {
    /// The process of a script.
    pub struct ScriptProcess {
        /// `RLimitCPU` in seconds.
        cpu: Setting<Bounds>,
        /// `RLimitMEM` in bytes.
        memory: Setting<Bounds>,
        /// `RLimitNPROC`.
        processes: Setting<Bounds>,
        /// `RLimitNOFILE`.
        files: Setting<Bounds>,
        /// `RLimitFSIZE` in bytes.
        file_size: Setting<Bounds>,
        /// `RLimitCORE` in bytes.
        core: Setting<Bounds>,
        /// `Umask`.
        umask: Setting<u32>,
        /// `Nice`.
        nice: Setting<i32>,
    }
}

impl ScriptProcess {
    /// What is said of limits, each with the name of its directive.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, Bounds)> {
        let all = [
            ("RLimitCPU", &self.cpu),
            ("RLimitMEM", &self.memory),
            ("RLimitNPROC", &self.processes),
            ("RLimitNOFILE", &self.files),
            ("RLimitFSIZE", &self.file_size),
            ("RLimitCORE", &self.core),
        ];
        all.into_iter()
            .filter_map(|(name, setting)| Some((name, *setting.value()?)))
    }
}

/// The words of an `RLimit` directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What holds.
    pub soft: Bound,
    /// How far the script may raise it; the server's own hard limit where nothing is said.
    pub hard: Option<Bound>,
}

/// One word of an `RLimit` directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `max`: the server's own hard limit.
    Max,
    /// A number.
    At(u64),
}

impl Bounds {
    /// Reads the words `number|max [number|max]`. An error is a sentence.
    pub fn read(words: &[Vec<u8>]) -> Said<Bounds> {
        let soft = bound(words.first().map_or(&[][..], Vec::as_slice))?;
        let hard = words.get(1).map(|word| bound(word)).transpose()?;
        if let (Bound::At(soft), Some(Bound::At(hard))) = (soft, hard)
            && soft > hard
        {
            return Err(format!(
                "the soft limit {soft} is above the hard limit {hard}; write the lower number first"
            ));
        }
        Ok(Bounds { soft, hard })
    }

    /// The largest number it says.
    pub fn largest(self) -> Option<u64> {
        self.soft.number().max(self.hard.and_then(Bound::number))
    }
}

impl Bound {
    /// The number, if it is one.
    pub fn number(self) -> Option<u64> {
        match self {
            Bound::At(number) => Some(number),
            Bound::Max => None,
        }
    }
}

fn bound(word: &[u8]) -> Said<Bound> {
    if word.eq_ignore_ascii_case(b"max") {
        return Ok(Bound::Max);
    }
    let digits = std::str::from_utf8(word).ok().filter(|word| !word.starts_with('+'));
    // The largest number of all is how the system says that there is no limit.
    let number = digits
        .and_then(|digits| digits.parse().ok())
        .filter(|number| *number != u64::MAX);
    let number = number.ok_or_else(|| format!("{} is neither a whole number nor `max`", shown(word)))?;
    Ok(Bound::At(number))
}

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    Directive {
        name: "Nice",
        module: "lychgate",
        syntax: "number",
        words: Words::exactly(1),
        allowed: PATHS.or(SERVICE),
        overrides: Override::None,
        default: "",
        summary: "Give scripts a nice value.",
        manual: "From -20 (first to run) to 19 (last). Without it, scripts have the server's own. Only root may make scripts less nice \
than the server is; otherwise the server does not start. It cannot stand in <Location>, which whoever asks for a script could evade.",
        set: Set::Dir(|conf, args| {
            let nice = args.text(0)?.parse().ok().filter(|nice| (-20..=19).contains(nice));
            let nice = nice.ok_or_else(|| format!("{} is not a whole number from -20 to 19", shown(args.bytes(0))))?;
            conf.process.nice.set(nice);
            Ok(())
        }),
    },
    Directive {
        name: "RLimitCORE",
        module: "lychgate",
        syntax: "bytes|max [bytes|max]",
        words: Words::Between(1, 2),
        allowed: ANYWHERE.or(SERVICE),
        overrides: Override::Any,
        default: "",
        summary: "Bound the size of core files that scripts leave.",
        manual: "See RLimitCPU. With 0 they leave none.",
        set: Set::Dir(|conf, args| set(&mut conf.process.core, args)),
    },
    Directive {
        name: "RLimitCPU",
        module: "core",
        syntax: "seconds|max [seconds|max]",
        words: Words::Between(1, 2),
        allowed: ANYWHERE.or(SERVICE),
        overrides: Override::Any,
        default: "",
        summary: "Bound the processor time of each process of a script.",
        manual: "The first word is the soft limit, which holds; the second is the hard limit, up to which the script may raise it. \
The word max, and a hard limit that is left out, mean the hard limit that the server itself runs under. At the soft limit a process gets \
SIGXCPU, at the hard limit SIGKILL; the error log names the limit.\n\nA limit above the server's own hard one \
takes root to grant (CAP_SYS_RESOURCE); a server that cannot does not start. Apache logs that and runs scripts without the limit.\n\n\
What <Location> and .htaccess say can only lower what the other sections say: those decide, in the process that starts scripts, by the \
script's file.",
        set: Set::Dir(|conf, args| set(&mut conf.process.cpu, args)),
    },
    Directive {
        name: "RLimitFSIZE",
        module: "lychgate",
        syntax: "bytes|max [bytes|max]",
        words: Words::Between(1, 2),
        allowed: ANYWHERE.or(SERVICE),
        overrides: Override::Any,
        default: "",
        summary: "Bound the size of files that scripts write.",
        manual: "See RLimitCPU. A write beyond it brings SIGXFSZ. The script's output to the client is no file.",
        set: Set::Dir(|conf, args| set(&mut conf.process.file_size, args)),
    },
    Directive {
        name: "RLimitMEM",
        module: "core",
        syntax: "bytes|max [bytes|max]",
        words: Words::Between(1, 2),
        allowed: ANYWHERE.or(SERVICE),
        overrides: Override::Any,
        default: "",
        summary: "Bound the memory of each process of a script.",
        manual: "See RLimitCPU. It is the address space that counts, with the program and its libraries.",
        set: Set::Dir(|conf, args| set(&mut conf.process.memory, args)),
    },
    Directive {
        name: "RLimitNOFILE",
        module: "lychgate",
        syntax: "number|max [number|max]",
        words: Words::Between(1, 2),
        allowed: ANYWHERE.or(SERVICE),
        overrides: Override::Any,
        default: "",
        summary: "Bound how many files each process of a script has open.",
        manual: "See RLimitCPU. Three are the standard streams.",
        set: Set::Dir(|conf, args| set(&mut conf.process.files, args)),
    },
    Directive {
        name: "RLimitNPROC",
        module: "core",
        syntax: "number|max [number|max]",
        words: Words::Between(1, 2),
        allowed: ANYWHERE.or(SERVICE),
        overrides: Override::Any,
        default: "",
        summary: "Bound how many processes the user whom a script runs as may have.",
        manual: "See RLimitCPU. The system counts all processes and threads of that user, the server's own among them where scripts run \
as the server's user: a script may start another as long as there are fewer. SuexecUserGroup gives scripts a user of their own. \
For root there is no such limit.",
        set: Set::Dir(|conf, args| set(&mut conf.process.processes, args)),
    },
    Directive {
        name: "Umask",
        module: "lychgate",
        syntax: "octal-number",
        words: Words::exactly(1),
        allowed: PATHS.or(SERVICE),
        overrides: Override::None,
        default: "",
        summary: "Say which permissions the files that scripts make do not have.",
        manual: "Three octal digits, as of umask(2): with 027 the group cannot write and others have no access. Without it, scripts \
have the umask that the server was started with. It cannot stand in <Location>, which whoever asks for a script could evade.",
        set: Set::Dir(|conf, args| {
            let wrong = || {
                let word = shown(args.bytes(0));
                format!("{word} is not an octal number from 000 to 777; write for example `022`")
            };
            let digits = args.text(0)?;
            let octal = !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit());
            let mask = u32::from_str_radix(digits, 8)
                .ok()
                .filter(|mask| octal && *mask <= 0o777);
            conf.process.umask.set(mask.ok_or_else(wrong)?);
            Ok(())
        }),
    },
];

fn set(setting: &mut Setting<Bounds>, args: &Args) -> Said<()> {
    setting.set(Bounds::read(args.words)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Bound, Bounds};

    fn read(text: &str) -> Result<Bounds, String> {
        let words: Vec<Vec<u8>> = text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        Bounds::read(&words)
    }

    #[test]
    fn one_word_is_the_soft_limit_two_are_both() {
        let at = Bound::At;
        for (text, soft, hard) in [
            ("10", at(10), None),
            ("10 20", at(10), Some(at(20))),
            ("0 0", at(0), Some(at(0))),
            ("max", Bound::Max, None),
            ("MAX 7", Bound::Max, Some(at(7))),
            ("7 Max", at(7), Some(Bound::Max)),
        ] {
            assert_eq!(read(text), Ok(Bounds { soft, hard }), "{text}");
        }
        assert_eq!(read("5 9").map(Bounds::largest), Ok(Some(9)));
        assert_eq!(read("max max").map(Bounds::largest), Ok(None));
    }

    #[test]
    fn what_is_no_limit_is_told() {
        for text in [
            "",
            "-1",
            "+1",
            "1k",
            "ten",
            "18446744073709551615",
            "18446744073709551616",
        ] {
            let sentence = format!("`{text}` is neither a whole number nor `max`");
            assert_eq!(read(text), Err(sentence), "{text}");
        }
        let sentence = "the soft limit 2 is above the hard limit 1; write the lower number first";
        assert_eq!(read("2 1"), Err(sentence.to_owned()));
    }
}
