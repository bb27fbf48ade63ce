//! What interpreters say on stderr when they do not get as far as the script, and what it means. Pure.

use crate::gateway::script_reply::excerpt;
use crate::scripts::diagnosis::Diagnosis;

/// The first line of stderr that tells a cause, looked for from the end, where the last words are.
pub fn from_stderr(stderr: &[u8]) -> Option<Diagnosis> {
    stderr.split(|byte| *byte == b'\n').rev().find_map(|line| {
        perl_module(line)
            .or_else(|| python_module(line))
            .or_else(|| shared_library(line))
            .or_else(|| env_program(line))
            .or_else(|| does_not_compile(line))
    })
}

/// A shared library that the loader did not find, if a line of stderr says so.
pub fn shared_library_missing(stderr: &[u8]) -> Option<Diagnosis> {
    stderr.split(|byte| *byte == b'\n').rev().find_map(shared_library)
}

/// Whether stderr has the words of an interpreter, a library or the loader that could get no memory.
pub fn lacks_memory(stderr: &[u8]) -> bool {
    const WORDS: &[&[u8]] = &[
        b"bad_alloc",
        b"cannot allocate memory",
        b"failed to map segment",
        b"memory exhausted",
        b"memoryerror",
        b"out of memory",
    ];
    let stderr = stderr.to_ascii_lowercase();
    WORDS.iter().any(|words| memchr::memmem::find(&stderr, words).is_some())
}

/// `Can't locate Foo/Bar.pm in @INC (you may need to install the Foo::Bar module) (@INC contains: …) at …`
fn perl_module(line: &[u8]) -> Option<Diagnosis> {
    let (_, rest) = split(line, b"Can't locate ")?;
    let (file, _) = split(rest, b" in @INC")?;
    let module = excerpt(file.strip_suffix(b".pm").unwrap_or(file)).replace('/', "::");
    Some(Diagnosis {
        cause: format!("Perl does not find the module {module}"),
        cure: Some("install it for the Perl of line 1, or set PERL5LIB with SetEnv".into()),
    })
}

/// `ModuleNotFoundError: No module named 'foo'`, `ImportError: No module named foo`.
fn python_module(line: &[u8]) -> Option<Diagnosis> {
    let (_, rest) = split(line, b"No module named ")?;
    let quotes = |byte: &u8| matches!(byte, b'\'' | b'"' | b'\r' | b' ');
    let name: Vec<u8> = rest.iter().copied().filter(|byte| !quotes(byte)).collect();
    Some(Diagnosis {
        cause: format!("Python does not find the module {}", excerpt(&name)),
        cure: Some("install it for the Python of line 1, or set PYTHONPATH with SetEnv".into()),
    })
}

/// `x: error while loading shared libraries: libfoo.so.1: cannot open shared object file: No such file or directory`
fn shared_library(line: &[u8]) -> Option<Diagnosis> {
    let (_, rest) = split(line, b"error while loading shared libraries: ")?;
    let (library, _) = split(rest, b":")?;
    Some(Diagnosis {
        cause: format!(
            "the program needs the shared library {}, which the loader does not find",
            excerpt(library)
        ),
        cure: Some("install it, or set LD_LIBRARY_PATH with SetEnv in the server's configuration".into()),
    })
}

/// `/usr/bin/env: 'perl\r': No such file or directory` and `env: can't execute 'perl'`.
fn env_program(line: &[u8]) -> Option<Diagnosis> {
    let (before, rest) = split(line, b"env: ")?;
    if !(before.is_empty() || before.ends_with(b"/")) {
        return None;
    }
    let name = rest
        .strip_suffix(b": No such file or directory")
        .or_else(|| rest.strip_prefix(b"can't execute "))?;
    let name = String::from_utf8_lossy(name).replace(['\'', '"', '\u{2018}', '\u{2019}'], "");
    let (cause, cure) = match name.strip_suffix("\\r").or_else(|| name.strip_suffix('\r')) {
        Some(program) => (
            format!(
                "line 1 ends in CR LF, so `env` looks for `{}\\r`",
                excerpt(program.as_bytes())
            ),
            "remove the carriage returns: `sed -i 's/\\r$//'` with the script's name",
        ),
        None => (
            format!(
                "`env` does not find `{}` in the script's PATH",
                excerpt(name.as_bytes())
            ),
            "install it, name it with its directory in line 1, or set PATH with SetEnv",
        ),
    };
    Some(Diagnosis {
        cause,
        cure: Some(cure.into()),
    })
}

/// `Execution of x.cgi aborted due to compilation errors.`
fn does_not_compile(line: &[u8]) -> Option<Diagnosis> {
    split(line, b" aborted due to compilation errors")
        .or_else(|| split(line, b" had compilation errors"))
        .or_else(|| line.starts_with(b"SyntaxError: ").then_some((line, line)))?;
    Some(Diagnosis {
        cause: "the script does not compile".into(),
        cure: Some("the lines on stderr say where".into()),
    })
}

/// `line` before and after the first `word`.
fn split<'a>(line: &'a [u8], word: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(line, word)?;
    let (before, rest) = line.split_at(at);
    Some((before, rest.get(word.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::from_stderr;

    fn told(stderr: &str) -> Option<String> {
        from_stderr(stderr.as_bytes()).map(|diagnosis| diagnosis.to_string())
    }

    #[test]
    fn last_words_of_interpreters_are_understood() {
        let table = [
            (
                "Can't locate Foo/Bar.pm in @INC (you may need to install the Foo::Bar module) (@INC contains: /etc/perl) \
                 at x.cgi line 3.\nBEGIN failed--compilation aborted at x.cgi line 3.\n",
                "Perl does not find the module Foo::Bar; \
                 install it for the Perl of line 1, or set PERL5LIB with SetEnv",
            ),
            (
                "Traceback (most recent call last):\n  File \"x\", line 1\nModuleNotFoundError: No module named 'foo.bar'\n",
                "Python does not find the module foo.bar; \
                 install it for the Python of line 1, or set PYTHONPATH with SetEnv",
            ),
            (
                "ImportError: No module named foo\n",
                "Python does not find the module foo; \
                 install it for the Python of line 1, or set PYTHONPATH with SetEnv",
            ),
            (
                "./x: error while loading shared libraries: libfoo.so.1: cannot open shared object file: No such file\n",
                "the program needs the shared library libfoo.so.1, which the loader does not find; \
                 install it, or set LD_LIBRARY_PATH with SetEnv in the server's configuration",
            ),
            (
                "/usr/bin/env: 'perl\\r': No such file or directory\n/usr/bin/env: use -[v]S to pass options\n",
                "line 1 ends in CR LF, so `env` looks for `perl\\r`; \
                 remove the carriage returns: `sed -i 's/\\r$//'` with the script's name",
            ),
            (
                "/usr/bin/env: \u{2018}python\u{2019}: No such file or directory\n",
                "`env` does not find `python` in the script's PATH; \
                 install it, name it with its directory in line 1, or set PATH with SetEnv",
            ),
            (
                "syntax error at x.cgi line 2, near \"}\"\nExecution of x.cgi aborted due to compilation errors.\n",
                "the script does not compile; the lines on stderr say where",
            ),
        ];
        for (stderr, want) in table {
            assert_eq!(told(stderr).as_deref(), Some(want), "{stderr}");
        }
    }

    #[test]
    fn other_words_are_left_alone() {
        for stderr in [
            "",
            "\n\n",
            "warning: old\n",
            "my env: strange\n",
            "Can't locate the house\n",
            "\u{fffd}\r\n",
        ] {
            assert_eq!(told(stderr), None, "{stderr}");
        }
    }
}
