//! Levels of the error log, and `LogLevel` with its levels per module.

use std::fmt;

macro_rules! levels {
    ($($variant:ident = $name:literal,)*) => {
        /// How urgent a line is: the most urgent first, so `level <= limit` means "is written".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the names are syslog's and Apache's")]
        pub enum Level { $($variant,)* }

        impl Level {
            /// The name in lines and in `LogLevel`.
            pub fn name(self) -> &'static str {
                match self { $(Level::$variant => $name,)* }
            }

            /// The level of that name, in any case.
            pub fn from_name(name: &str) -> Option<Level> {
                $(if name.eq_ignore_ascii_case($name) {
                    return Some(Level::$variant);
                })*
                None
            }
        }
    };
}

levels! {
    Emerg = "emerg",
    Alert = "alert",
    Crit = "crit",
    Error = "error",
    Warn = "warn",
    Notice = "notice",
    Info = "info",
    Debug = "debug",
    Trace1 = "trace1",
    Trace2 = "trace2",
    Trace3 = "trace3",
    Trace4 = "trace4",
    Trace5 = "trace5",
    Trace6 = "trace6",
    Trace7 = "trace7",
    Trace8 = "trace8",
}

/// Up to which level lines are written: `LogLevel info rewrite:trace3`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLevels {
    /// Without one, Apache's default: `warn`.
    general: Option<Level>,
    modules: Vec<(Box<str>, Level)>,
}

/// Why a word of `LogLevel` was refused, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelError(pub String);

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LogLevels {
    /// The same level for every module.
    pub fn new(general: Level) -> LogLevels {
        LogLevels {
            general: Some(general),
            modules: Vec::new(),
        }
    }

    /// Reads the words of `LogLevel`.
    pub fn parse<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<LogLevels, LevelError> {
        let mut levels = LogLevels::default();
        for word in words {
            levels.set(word)?;
        }
        Ok(levels)
    }

    /// Applies one word on top: `level` for everything (earlier modules are forgotten) or `module:level`. Modules
    /// may be written `rewrite`, `rewrite_module` or `mod_rewrite.c`.
    pub fn set(&mut self, word: &str) -> Result<(), LevelError> {
        let (module, name) = match word.split_once(':') {
            Some((module, name)) => (Some(module), name),
            None => (None, word),
        };
        let level = Level::from_name(name).ok_or_else(|| {
            LevelError(format!(
                "`{name}` is not a level; the levels are emerg, alert, crit, error, warn, notice, info, debug and \
                 trace1 to trace8"
            ))
        })?;
        let Some(module) = module else {
            *self = LogLevels::new(level);
            return Ok(());
        };
        let module = short_name(module);
        match self.modules.iter_mut().find(|(known, _)| **known == *module) {
            Some((_, known)) => *known = level,
            None => self.modules.push((module.into(), level)),
        }
        Ok(())
    }

    /// Lays the words of an inner section over these: a general level there forgets everything here.
    pub fn overlay(&mut self, inner: &LogLevels) {
        if inner.general.is_some() {
            self.clone_from(inner);
            return;
        }
        for (module, level) in &inner.modules {
            match self.modules.iter_mut().find(|(known, _)| known == module) {
                Some((_, known)) => *known = *level,
                None => self.modules.push((module.clone(), *level)),
            }
        }
    }

    /// Up to which level lines of `module` (by its short name, `rewrite`) are written.
    pub fn of(&self, module: &str) -> Level {
        let known = self.modules.iter().find(|(known, _)| **known == *module);
        known.map_or(self.general.unwrap_or(Level::Warn), |(_, level)| *level)
    }

    /// Whether a line is written.
    pub fn allow(&self, level: Level, module: &str) -> bool {
        level <= self.of(module)
    }
}

/// `rewrite` of `mod_rewrite.c` and `rewrite_module`.
fn short_name(module: &str) -> &str {
    let short = module
        .strip_prefix("mod_")
        .and_then(|name| name.strip_suffix(".c"))
        .or_else(|| module.strip_suffix("_module"))
        .or_else(|| module.strip_suffix(".c"));
    short.unwrap_or(module)
}

#[cfg(test)]
mod tests {
    use super::{Level, LogLevels};

    #[test]
    fn levels_are_read_per_module() {
        let levels = LogLevels::parse([
            "info",
            "rewrite:trace3",
            "mod_cgi.c:Crit",
            "ssl_module:warn",
            "core.c:debug",
        ])
        .expect("valid");
        let table = [
            ("core", Level::Debug),
            ("rewrite", Level::Trace3),
            ("cgi", Level::Crit),
            ("ssl", Level::Warn),
            ("alias", Level::Info),
        ];
        for (module, want) in table {
            assert_eq!(levels.of(module), want, "{module}");
        }
        assert!(levels.allow(Level::Trace3, "rewrite") && !levels.allow(Level::Trace4, "rewrite"));
        assert!(levels.allow(Level::Emerg, "cgi") && !levels.allow(Level::Error, "cgi"));
    }

    #[test]
    fn a_level_for_all_forgets_the_modules_before() {
        let mut levels = LogLevels::parse(["rewrite:trace3", "NOTICE"]).expect("valid");
        assert_eq!(levels, LogLevels::new(Level::Notice));
        levels.set("rewrite:debug").expect("valid");
        levels.set("rewrite:trace8").expect("valid");
        assert_eq!(levels.of("rewrite"), Level::Trace8);
        assert_eq!(LogLevels::default().of("core"), Level::Warn);
    }

    #[test]
    fn unknown_levels_are_refused() {
        for word in ["loud", "", "core:", "core:loud", "trace9"] {
            assert!(LogLevels::parse([word]).is_err(), "{word}");
        }
    }
}
