//! From PCRE's spelling to the one that `regex` and `fancy-regex` share.
//!
//! Only spellings change, never the engine's work: literal `{`, classes holding `[` or `&&`, `\<`, `\h`, `\Q…\E`,
//! octal and control escapes, bytes beyond ASCII (single bytes in Apache, which does not use PCRE's UTF mode), white
//! space and comments under `(?x)`, which the engines are told nothing of.

use std::fmt::Write;

/// A pattern in the common spelling.
pub(super) struct Translated {
    pub(super) text: String,
    /// It holds a possessive quantifier, which `regex` would take for a repeated repetition.
    pub(super) backtracks: bool,
}

/// Respells `pattern`, or says what is wrong with it.
pub(super) fn translate(pattern: &str) -> Result<Translated, String> {
    let mut translator = Translator {
        rest: pattern.as_bytes(),
        out: String::with_capacity(pattern.len() + 8),
        backtracks: false,
        extended: false,
        around: Vec::new(),
        after_quantifier: false,
    };
    while let Some(byte) = translator.next() {
        translator.outside(byte)?;
    }
    Ok(Translated {
        text: translator.out,
        backtracks: translator.backtracks,
    })
}

struct Translator<'p> {
    rest: &'p [u8],
    out: String,
    backtracks: bool,
    /// `(?x)` holds here.
    extended: bool,
    /// Whether it holds behind each group that is open: an option ends with the group it is set in.
    around: Vec<bool>,
    after_quantifier: bool,
}

impl Translator<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn eat(&mut self, prefix: &[u8]) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// One element outside a class, whose first byte is taken already.
    fn outside(&mut self, byte: u8) -> Result<(), String> {
        let after_quantifier = std::mem::take(&mut self.after_quantifier);
        match byte {
            b'\\' => return self.escape(),
            b'[' => return self.class(),
            b'(' => return self.open(),
            b')' => {
                self.extended = self.around.pop().unwrap_or(self.extended);
                self.out.push(')');
            }
            b'{' => match quantifier_len(self.rest) {
                Some(len) => {
                    self.quantifier(len);
                    return Ok(());
                }
                None => self.out.push_str(r"\{"),
            },
            b'}' => self.out.push_str(r"\}"),
            b']' => self.out.push_str(r"\]"),
            b'*' | b'?' | b'+' => {
                self.backtracks |= after_quantifier && byte == b'+';
                self.after_quantifier = !after_quantifier;
                self.out.push(char::from(byte));
            }
            b'#' if self.extended => while self.next().is_some_and(|byte| byte != b'\n') {},
            b' ' | b'\t'..=b'\r' if self.extended => {}
            b' ' | b'\t'..=b'\r' | b'#' | 0x80.. => push_byte(&mut self.out, byte),
            _ => self.out.push(char::from(byte)),
        }
        Ok(())
    }

    fn quantifier(&mut self, len: usize) {
        let (inside, rest) = self.rest.split_at(len);
        self.out.push('{');
        self.out.extend(inside.iter().copied().map(char::from));
        self.rest = rest;
        self.after_quantifier = true;
    }

    /// After `(`: comments go, Perl's `(?'name'` becomes `(?<name>`, `(?x)` is remembered.
    fn open(&mut self) -> Result<(), String> {
        if self.eat(b"?#") {
            return loop {
                match self.next() {
                    Some(b')') => break Ok(()),
                    Some(_) => {}
                    None => break Err("the comment `(?#` has no end".to_owned()),
                }
            };
        }
        if self.rest.starts_with(b"*") {
            return Err("verbs such as `(*UTF8)` are not supported".to_owned());
        }
        if self.rest.starts_with(b"?|") {
            return Err("branch reset `(?|` is not supported".to_owned());
        }
        self.out.push('(');
        let outer = self.extended;
        if self.eat(b"?'") {
            self.out.push_str("?<");
            while let Some(byte) = self.next() {
                if byte == b'\'' {
                    self.out.push('>');
                    break;
                }
                push_byte(&mut self.out, byte);
            }
        } else if self.eat(b"?") {
            // It is part of what opens the group, not a quantifier.
            self.out.push('?');
            if self.options()? {
                return Ok(());
            }
        }
        self.around.push(outer);
        Ok(())
    }

    /// After `(?`: options, as in `(?i-x)` and `(?x:`. Whether they are all there is, and hold to the end of the group around.
    fn options(&mut self) -> Result<bool, String> {
        let is_option = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
        let len = self
            .rest
            .iter()
            .position(|byte| !is_option(byte))
            .unwrap_or(self.rest.len());
        let (options, rest) = self.rest.split_at(len);
        let is_all = match rest.first() {
            Some(b')') => true,
            Some(b':') => false,
            // It opens another kind of group.
            _ => return Ok(false),
        };
        // `regex` has others of its own, and `xx` is another than `x`.
        if !options.iter().all(|option| b"imsxU-".contains(option)) || options.windows(2).any(|two| two == b"xx") {
            let options = options.escape_ascii();
            return Err(format!(
                "`(?{options}` is not supported; the options are i, m, s, x and U"
            ));
        }
        let (on, off) = options.split_at(options.iter().position(|option| *option == b'-').unwrap_or(len));
        self.extended = (self.extended || on.contains(&b'x')) && !off.contains(&b'x');
        self.rest = &rest[usize::from(is_all)..];
        // What x means is done here. Neither engine knows a group of options that has none: `(?)`.
        let others = |options: &[u8]| -> String {
            let known = options.iter().filter(|option| !b"x-".contains(option));
            known.copied().map(char::from).collect()
        };
        let (on, off) = (others(on), others(off));
        if is_all && on.is_empty() && off.is_empty() {
            self.out.truncate(self.out.len() - 2);
            return Ok(true);
        }
        self.out.push_str(&on);
        if !off.is_empty() {
            self.out.push('-');
            self.out.push_str(&off);
        }
        if is_all {
            self.out.push(')');
        }
        Ok(is_all)
    }

    /// After a backslash outside a class.
    fn escape(&mut self) -> Result<(), String> {
        let Some(byte) = self.next() else {
            return Err("it ends in a backslash".to_owned());
        };
        match byte {
            b'h' => self.out.push_str(r"[\t \xA0]"),
            b'H' => self.out.push_str(r"[^\t \xA0]"),
            b'v' => self.out.push_str(r"[\n-\r\x85]"),
            b'V' => self.out.push_str(r"[^\n-\r\x85]"),
            // pcre2pattern(3): an atomic group.
            b'R' => self.out.push_str(r"(?>\r\n|[\n-\r\x85])"),
            b'N' => self.out.push_str(r"[^\n]"),
            b'Z' => self.out.push_str(r"(?=\n?\z)"),
            b'Q' => {
                for byte in self.quoted() {
                    push_byte(&mut self.out, byte);
                }
            }
            b'E' => {}
            b'g' | b'k' => self.reference(byte)?,
            b'1'..=b'9' => self.number(byte),
            b'A' | b'B' | b'D' | b'G' | b'K' | b'S' | b'W' | b'b' | b'd' | b's' | b'w' | b'z' => {
                self.out.push('\\');
                self.out.push(char::from(byte));
            }
            _ => {
                let byte = self.escaped_byte(byte)?;
                push_byte(&mut self.out, byte);
            }
        }
        Ok(())
    }

    /// `\1`: a back-reference, or a byte when three octal digits stand there.
    fn number(&mut self, first: u8) {
        let octal = |b: Option<&u8>| b.is_some_and(|b| matches!(b, b'0'..=b'7'));
        if first < b'8' && octal(self.rest.first()) && octal(self.rest.get(1)) {
            let byte = self.octal(first - b'0', 2);
            push_byte(&mut self.out, byte);
        } else {
            self.out.push('\\');
            self.out.push(char::from(first));
        }
    }

    /// The rest of `\Q…\E`; without `\E` to the pattern's end.
    fn quoted(&mut self) -> Vec<u8> {
        let end = self.rest.windows(2).position(|w| w == br"\E");
        let (inside, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 2..]),
            None => (self.rest, &b""[..]),
        };
        self.rest = rest;
        inside.to_vec()
    }

    /// `\g{1}`, `\g1`, `\g{name}`, `\k{name}`, `\k<name>`, `\k'name'`: back-references.
    fn reference(&mut self, letter: u8) -> Result<(), String> {
        let wrong = || "a back-reference is written `\\1`, `\\g{1}` or `\\k{name}`".to_owned();
        let close = match self.rest.first() {
            Some(b'{') => b'}',
            Some(b'<') if letter == b'k' => b'>',
            Some(b'\'') if letter == b'k' => b'\'',
            Some(digit @ b'1'..=b'9') if letter == b'g' => {
                self.out.push('\\');
                self.out.push(char::from(*digit));
                self.rest = &self.rest[1..];
                return Ok(());
            }
            _ => return Err(wrong()),
        };
        // Behind what opens it, which may be the same quote.
        let inside = self.rest.get(1..).unwrap_or_default();
        let end = inside.iter().position(|b| *b == close).filter(|end| *end > 0);
        let (name, rest) = inside.split_at(end.ok_or_else(wrong)?);
        let name = str::from_utf8(name).map_err(|_| wrong())?;
        if name.bytes().all(|b| b.is_ascii_digit()) {
            self.out.push('\\');
            self.out.push_str(name);
        } else {
            let _ = write!(self.out, r"\k<{name}>");
        }
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(())
    }

    /// The one byte that an escape stands for, whose first byte after the backslash is `byte`.
    fn escaped_byte(&mut self, byte: u8) -> Result<u8, String> {
        Ok(match byte {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'f' => 0x0c,
            b'a' => 0x07,
            b'e' => 0x1b,
            b'x' => return self.hex(),
            b'0' => self.octal(0, 2),
            b'c' => match self.next() {
                Some(c @ b' '..=b'~') => c.to_ascii_uppercase() ^ 0x40,
                _ => return Err("`\\c` needs a character".to_owned()),
            },
            b'o' => return Err("write an octal escape as `\\012`".to_owned()),
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                return Err(format!("the escape `\\{}` is not supported", char::from(byte)));
            }
            _ => byte,
        })
    }

    fn hex(&mut self) -> Result<u8, String> {
        let wrong = || "`\\x{…}` must be between 0 and FF: matching is on bytes".to_owned();
        let digits = if self.eat(b"{") {
            let end = self.rest.iter().position(|b| *b == b'}').ok_or_else(wrong)?;
            let (digits, rest) = (&self.rest[..end], &self.rest[end + 1..]);
            self.rest = rest;
            digits
        } else {
            let len = self.rest.iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count();
            let (digits, rest) = self.rest.split_at(len);
            self.rest = rest;
            if digits.is_empty() {
                return Ok(0);
            }
            digits
        };
        let digits = str::from_utf8(digits).map_err(|_| wrong())?;
        u8::from_str_radix(digits, 16).map_err(|_| wrong())
    }

    /// Up to `more` further octal digits onto `value`; what is beyond a byte is cut off, as PCRE does.
    fn octal(&mut self, value: u8, more: usize) -> u8 {
        let mut value = value;
        for _ in 0..more {
            match self.rest.first() {
                Some(digit @ b'0'..=b'7') => {
                    value = (value << 3) | (digit - b'0');
                    self.rest = &self.rest[1..];
                }
                _ => break,
            }
        }
        value
    }

    /// After `[`. Ranges are kept; every single byte is written so that no engine takes it for syntax.
    fn class(&mut self) -> Result<(), String> {
        let unclosed = || "a character class `[` has no end `]`".to_owned();
        self.out.push('[');
        if self.eat(b"^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            if !first && self.eat(b"]") {
                self.out.push(']');
                return Ok(());
            }
            first = false;
            let Some(low) = self.class_item().ok_or_else(unclosed)?? else {
                continue;
            };
            push_byte(&mut self.out, low);
            let range = self.rest.first() == Some(&b'-') && !matches!(self.rest.get(1), Some(b']') | None);
            if !range {
                continue;
            }
            self.rest = &self.rest[1..];
            let before = self.out.len();
            self.out.push('-');
            match self.class_item().ok_or_else(unclosed)?? {
                Some(high) if high < low => return Err("a range in a class runs backwards".to_owned()),
                Some(high) => push_byte(&mut self.out, high),
                None => {
                    self.out.truncate(before);
                    return Err("a range in a class ends in a class".to_owned());
                }
            }
        }
    }

    /// The next element of a class: a byte, or `Ok(None)` for one already written (`\d`, `[:alpha:]`).
    /// `None` at the pattern's end.
    fn class_item(&mut self) -> Option<Result<Option<u8>, String>> {
        let byte = self.next()?;
        match byte {
            b'[' if self.rest.first() == Some(&b':') => {
                // The colon that opens a name is not the one that closes it: `[[:]` has a bracket and a colon in it.
                let inside = self.rest.get(1..).unwrap_or_default();
                let named = inside
                    .windows(2)
                    .position(|w| w == b":]")
                    .map(|end| inside.split_at(end));
                match named.filter(|(name, _)| name.iter().all(|b| b.is_ascii_alphabetic() || *b == b'^')) {
                    Some((name, rest)) => {
                        self.out.push_str("[:");
                        self.out.extend(name.iter().copied().map(char::from));
                        self.out.push_str(":]");
                        self.rest = rest.get(2..).unwrap_or_default();
                        Some(Ok(None))
                    }
                    None => Some(Ok(Some(byte))),
                }
            }
            b'\\' => {
                let escaped = self.next()?;
                Some(self.class_escape(escaped))
            }
            _ => Some(Ok(Some(byte))),
        }
    }

    fn class_escape(&mut self, byte: u8) -> Result<Option<u8>, String> {
        match byte {
            b'd' | b'D' | b'w' | b'W' | b's' | b'S' => {
                self.out.push('\\');
                self.out.push(char::from(byte));
                Ok(None)
            }
            b'h' => {
                self.out.push_str(r"\t \xA0");
                Ok(None)
            }
            b'v' => {
                self.out.push_str(r"\n-\r\x85");
                Ok(None)
            }
            b'E' => Ok(None),
            b'Q' => {
                for byte in self.quoted() {
                    push_byte(&mut self.out, byte);
                }
                Ok(None)
            }
            b'b' => Ok(Some(0x08)),
            b'1'..=b'7' => Ok(Some(self.octal(byte - b'0', 2))),
            _ => self.escaped_byte(byte).map(Some),
        }
    }
}

/// Whether `rest`, which follows a `{`, continues a quantifier; its length with the `}`.
fn quantifier_len(rest: &[u8]) -> Option<usize> {
    let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let low = digits(0);
    let mut end = low;
    if low > 0 && rest.get(end) == Some(&b',') {
        end += 1;
        end += digits(end);
    }
    (low > 0 && rest.get(end) == Some(&b'}')).then_some(end + 1)
}

/// One literal byte, written so that it is a literal everywhere.
fn push_byte(out: &mut String, byte: u8) {
    match byte {
        b'0'..=b'9'
        | b'A'..=b'Z'
        | b'a'..=b'z'
        | b'_'
        | b'/'
        | b'%'
        | b','
        | b':'
        | b';'
        | b'<'
        | b'='
        | b'>'
        | b'@'
        | b'!'
        | b'"'
        | b'\'' => out.push(char::from(byte)),
        _ => {
            let _ = write!(out, r"\x{byte:02X}");
        }
    }
}
