//! The first line of a script as the kernel reads it (`execve(2)`, "Interpreter scripts"). Pure.

/// What a file begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstLine {
    /// Nothing at all.
    Empty,
    /// A machine's own format; no interpreter is asked.
    Binary,
    /// `#!` and what it names.
    Shebang(Shebang),
    /// A UTF-8 byte order mark, then `#!`: the kernel does not see the `#!`.
    MarkedShebang,
    /// Anything else: the kernel refuses it (ENOEXEC).
    Text,
}

/// A line `#!interpreter argument`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shebang {
    /// The path the kernel will open, without a carriage return.
    pub interpreter: Vec<u8>,
    /// All the rest as one argument, without a carriage return.
    pub argument: Option<Vec<u8>>,
    /// How the line ends.
    pub end: LineEnd,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// As on Unix, or with the file.
    Lf,
    /// As on Windows: the carriage return becomes part of the last word.
    CrLf,
}

impl FirstLine {
    /// Reads it from a file's first bytes; 256 are what the kernel looks at.
    pub fn of(start: &[u8]) -> Self {
        if start.is_empty() {
            return Self::Empty;
        }
        if start.starts_with(b"\x7fELF") {
            return Self::Binary;
        }
        if start.starts_with(b"\xef\xbb\xbf#!") {
            return Self::MarkedShebang;
        }
        match start.strip_prefix(b"#!") {
            Some(rest) => shebang(rest.split(|byte| *byte == b'\n').next().unwrap_or_default()),
            None => Self::Text,
        }
    }
}

fn shebang(line: &[u8]) -> FirstLine {
    let (line, end) = match line.strip_suffix(b"\r") {
        Some(line) => (line, LineEnd::CrLf),
        None => (line, LineEnd::Lf),
    };
    let line = trim(line);
    let split = line.iter().position(|byte| is_blank(*byte)).unwrap_or(line.len());
    let (interpreter, argument) = line.split_at(split);
    if interpreter.is_empty() {
        return FirstLine::Text;
    }
    let argument = Some(trim(argument).to_vec()).filter(|argument| !argument.is_empty());
    FirstLine::Shebang(Shebang {
        interpreter: interpreter.to_vec(),
        argument,
        end,
    })
}

impl Shebang {
    /// Does the carriage return at the line's end spoil it? It ends the interpreter's name when there is no argument;
    /// Perl alone takes it as white space behind its switches.
    pub fn is_spoilt_by_line_end(&self) -> bool {
        let perl = self
            .interpreter
            .rsplit(|byte| *byte == b'/')
            .next()
            .is_some_and(|name| name.starts_with(b"perl"));
        self.end == LineEnd::CrLf && !(perl && self.argument.is_some())
    }

    /// The program `#!/usr/bin/env program` asks for.
    pub fn env_program(&self) -> EnvProgram {
        if !self.interpreter.ends_with(b"/env") {
            return EnvProgram::NoEnv;
        }
        let Some(argument) = &self.argument else {
            return EnvProgram::NoEnv;
        };
        let mut words = argument.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty());
        let splits = words
            .clone()
            .next()
            .is_some_and(|word| word.starts_with(b"-S") || word == b"-vS");
        if !splits {
            return match words.clone().count() {
                1 => words
                    .next()
                    .map_or(EnvProgram::NoEnv, |name| EnvProgram::Named(name.to_vec())),
                _ => EnvProgram::ManyWords(argument.clone()),
            };
        }
        let program = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
        program.map_or(EnvProgram::NoEnv, |name| EnvProgram::Named(name.to_vec()))
    }
}

/// What `env` will look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvProgram {
    /// It is not `env`, or cannot be told.
    NoEnv,
    /// This program, along PATH.
    Named(Vec<u8>),
    /// Several words without `-S`: `env` looks for one program with blanks in its name.
    ManyWords(Vec<u8>),
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{EnvProgram, FirstLine, LineEnd, Shebang};

    fn shebang(interpreter: &str, argument: Option<&str>, end: LineEnd) -> FirstLine {
        let argument = argument.map(|argument| argument.as_bytes().to_vec());
        FirstLine::Shebang(Shebang {
            interpreter: interpreter.as_bytes().to_vec(),
            argument,
            end,
        })
    }

    #[test]
    fn first_lines_are_read_as_the_kernel_does() {
        let table: [(&[u8], FirstLine); 12] = [
            (b"", FirstLine::Empty),
            (b"\x7fELF\x02\x01", FirstLine::Binary),
            (b"\xef\xbb\xbf#!/bin/sh\n", FirstLine::MarkedShebang),
            (b"\xef\xbb\xbfecho\n", FirstLine::Text),
            (b"print 1\n", FirstLine::Text),
            (b" #!/bin/sh\n", FirstLine::Text),
            (b"#!\n/bin/sh\n", FirstLine::Text),
            (b"#!/bin/sh", shebang("/bin/sh", None, LineEnd::Lf)),
            (b"#! \t/bin/sh \t\necho", shebang("/bin/sh", None, LineEnd::Lf)),
            (b"#!/bin/sh -e -u \n", shebang("/bin/sh", Some("-e -u"), LineEnd::Lf)),
            (b"#!/bin/sh\r\necho\r\n", shebang("/bin/sh", None, LineEnd::CrLf)),
            (
                b"#!/usr/bin/perl -w\r\n",
                shebang("/usr/bin/perl", Some("-w"), LineEnd::CrLf),
            ),
        ];
        for (start, want) in table {
            assert_eq!(FirstLine::of(start), want, "{}", start.escape_ascii());
        }
    }

    #[test]
    fn a_carriage_return_spoils_all_but_perl_with_a_switch() {
        let table = [
            ("#!/bin/sh\r\n", true),
            ("#!/usr/bin/perl\r\n", true),
            ("#!/usr/bin/perl -w\r\n", false),
            ("#!/usr/bin/env perl\r\n", true),
            ("#!/usr/bin/python3 -u\r\n", true),
            ("#!/bin/sh\n", false),
        ];
        for (line, want) in table {
            let FirstLine::Shebang(shebang) = FirstLine::of(line.as_bytes()) else {
                panic!("{line} has `#!`")
            };
            assert_eq!(shebang.is_spoilt_by_line_end(), want, "{line}");
        }
    }

    #[test]
    fn env_looks_for_its_argument() {
        let named = |name: &str| EnvProgram::Named(name.as_bytes().to_vec());
        let table = [
            ("#!/usr/bin/env perl\n", named("perl")),
            ("#!/usr/bin/env -S perl -w\n", named("perl")),
            ("#!/usr/bin/env -S LANG=C perl\n", named("perl")),
            ("#!/usr/bin/env perl -w\n", EnvProgram::ManyWords(b"perl -w".to_vec())),
            ("#!/usr/bin/env\n", EnvProgram::NoEnv),
            ("#!/usr/bin/perl env\n", EnvProgram::NoEnv),
        ];
        for (line, want) in table {
            let FirstLine::Shebang(shebang) = FirstLine::of(line.as_bytes()) else {
                panic!("{line} has `#!`")
            };
            assert_eq!(shebang.env_program(), want, "{line}");
        }
    }
}
