//! Patterns made at random, asked of PCRE2, which is what Apache asks, and of lychgate: where both take one, it finds the same.
//!
//! Left out is what is known to be another: `(?U)` before a possessive quantifier, `^` of `(?m)` behind the very last line feed, what
//! a group has that was repeated by nothing or not at all.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use libtest_mimic::{Failed, Trial};

use lychgate::lang::regex::Regex;

use crate::support::random::Random;

/// So many are made, and each is looked for in so many texts.
const PATTERNS: usize = 8000;
const TEXTS: usize = 6;
/// So many of them both must take, that it shows something.
const ENOUGH: usize = 4000;

/// All tests of this file.
pub fn trials() -> Vec<Trial> {
    vec![Trial::test("patterns::match_as_by_pcre2", || {
        as_by_pcre2().map_err(Failed::from)
    })]
}

const LITERALS: &[&str] = &[
    "a", "b", "c", "A", "B", "/", "-", "_", "1", "2", " ", "x", r"\.", "%", "&", "#", ",", ":", "=", "é", "\n", "\"",
    "}", "]",
];
const ESCAPES: &[&str] = &[
    r"\w", r"\d", r"\s", r"\W", r"\D", r"\S", r"\h", r"\H", r"\v", r"\V", r"\R", r"\N", r"\x41", r"\x{62}", r"\x2",
    r"\x", r"\101", r"\012", r"\0", r"\cA", r"\e", r"\t", r"\n", r"\r", r"\/", r"\-", r"\#", r"\ ", r"\&", r"\<",
    r"\'", r"\Qa.b\E", r"\Q[\E", r"\E", "^", "$", r"\b", r"\B", r"\A", r"\z", r"\Z", ".", ".", ".",
];
const IN_CLASSES: &[&str] = &[
    "a",
    "b",
    "A",
    "1",
    "/",
    "_",
    ".",
    "&",
    " ",
    "#",
    "é",
    "^",
    "$",
    "*",
    "(",
    ")",
    "{",
    "}",
    "|",
    "[",
    "&&",
    "--",
    "~~",
    "a-c",
    "A-Z",
    "0-9",
    "!-~",
    r"\x41-\x44",
    "é",
    r"\w",
    r"\d",
    r"\s",
    r"\W",
    r"\h",
    r"\v",
    r"\b",
    r"\n",
    r"\]",
    r"\[",
    r"\\",
    r"\-",
    r"\101",
    r"\Qa-z\E",
    "[:alpha:]",
    "[:digit:]",
    "[:^space:]",
    "[:word:]",
    "[:punct:]",
    "[:blank:]",
    "[:upper:]",
    "[.",
];
const QUANTIFIERS: &[&str] = &[
    "*", "+", "?", "{2}", "{1,2}", "{,2}", "{1,}", "*?", "+?", "??", "*+", "++", "?+", "{1,2}?", "{1,2}+", "{a}", "{",
];
const GROUPS: &[&str] = &[
    "(", "(", "(", "(?:", "(?<n>", "(?'nm'", "(?P<n_1>", "(?>", "(?=", "(?!", "(?<=", "(?<!", "(?i:", "(?s:", "(?-s:",
    "(?x:", "(?ix-s:", "(?-x:",
];
const OPTIONS: &[&str] = &[
    "(?i)", "(?s)", "(?-s)", "(?x)", "(?-x)", "(?i-x)", "(?)", "(?#c)", "(?R)", "(?|", "(*",
];
const REFERENCES: &[&str] = &[
    r"\1", r"\2", r"\g1", r"\g{1}", r"\k<n>", r"\k{nm}", r"\k'n_1'", "(?P=n)",
];
const PARTS_OF_TEXTS: &[&str] = &[
    "a", "b", "c", "A", "B", "/", "-", "_", "1", "2", " ", "x", ".", "aa", "ab", "\n", "\r\n", "é", "\0", "\u{1}", "[",
    "]", "&", "\"", "{2}", "#", ",", "K", "\t", "a.b",
];

fn one_of<'w>(random: &mut Random, words: &[&'w str]) -> &'w str {
    random.one_of::<&str>(words)
}

fn class(random: &mut Random) -> String {
    let mut class = one_of(random, &["[", "[", "[^", "[]"]).to_owned();
    for _ in 0..=random.below(4) {
        class.push_str(one_of(random, IN_CLASSES));
    }
    class + one_of(random, &["]", "]", "-]"])
}

fn sequence(random: &mut Random, depth: usize) -> String {
    let mut made = String::new();
    for _ in 0..=random.below(4) {
        match random.below(20) {
            0..=7 => made.push_str(one_of(random, LITERALS)),
            8..=11 => made.push_str(one_of(random, ESCAPES)),
            12..=14 => made.push_str(&class(random)),
            15 => made.push_str(one_of(random, REFERENCES)),
            16 => made.push_str(one_of(random, OPTIONS)),
            _ if depth > 0 => {
                made.push_str(one_of(random, GROUPS));
                made.push_str(&alternatives(random, depth - 1));
                made.push(')');
                // Not repeated: what it has then may be another.
                continue;
            }
            _ => {}
        }
        if random.below(3) == 0 {
            made.push_str(one_of(random, QUANTIFIERS));
        }
    }
    made
}

fn alternatives(random: &mut Random, depth: usize) -> String {
    let mut made = sequence(random, depth);
    while random.below(4) == 0 {
        made.push('|');
        made.push_str(&sequence(random, depth));
    }
    made
}

/// One question: the pattern, whether case is ignored, and texts.
struct Question(String, bool, Vec<String>);

impl Question {
    fn any(random: &mut Random) -> Question {
        let text = |random: &mut Random| (0..random.below(8)).map(|_| one_of(random, PARTS_OF_TEXTS)).collect();
        Question(
            alternatives(random, 3),
            random.below(4) == 0,
            (0..TEXTS).map(|_| text(random)).collect(),
        )
    }

    /// As `patterns/pcre2.py` reads it.
    fn line(&self) -> String {
        let hex = |text: &str| match text {
            "" => "-".to_owned(),
            _ => text.bytes().fold(String::new(), |mut digits, byte| {
                let _ = write!(digits, "{byte:02x}");
                digits
            }),
        };
        let texts: Vec<String> = self.2.iter().map(|text| hex(text)).collect();
        format!("{} {} {}\n", hex(&self.0), u8::from(self.1), texts.join(" "))
    }

    /// What lychgate finds, as `patterns/pcre2.py` writes it.
    fn answer(&self) -> String {
        let Ok(regex) = Regex::new(&self.0, self.1) else {
            return "refused".to_owned();
        };
        let mut words = vec![regex.group_count().to_string()];
        for text in &self.2 {
            words.push(match regex.try_captures(text.as_bytes()) {
                Err(_) => "gave-up".to_owned(),
                Ok(None) => "none".to_owned(),
                Ok(Some(groups)) => {
                    let shown = groups.iter().map(|group| match group {
                        Some(group) => format!("{}:{}", group.start, group.end),
                        None => "-".to_owned(),
                    });
                    shown.collect::<Vec<_>>().join(",")
                }
            });
        }
        words.join(" ")
    }
}

fn by_pcre2(questions: &[Question]) -> Result<String, String> {
    let mut process = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/patterns/pcre2.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("python3: {e}"))?;
    let lines: String = questions.iter().map(Question::line).collect();
    let stdin = process.stdin.take();
    let writing = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(lines.as_bytes())));
    let output = process.wait_with_output().map_err(|e| e.to_string())?;
    let _ = writing.join();
    if !output.status.success() {
        return Err(format!("patterns/pcre2.py: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|e| e.to_string())
}

fn as_by_pcre2() -> Result<(), String> {
    let mut random = Random(0x6c79_6368_6761_7465);
    let questions: Vec<Question> = (0..PATTERNS).map(|_| Question::any(&mut random)).collect();
    let theirs = by_pcre2(&questions)?;
    let (mut compared, mut wrong) = (0, String::new());
    for (question, theirs) in questions.iter().zip(theirs.lines()) {
        let ours = question.answer();
        // What one of them does not take, the other may; and their patience differs.
        if [theirs, &ours]
            .iter()
            .any(|answer| *answer == "refused" || answer.contains("gave-up"))
        {
            continue;
        }
        compared += 1;
        if theirs != ours {
            let Question(pattern, ignores_case, texts) = question;
            let _ = writeln!(
                wrong,
                "{pattern:?} (ignoring case: {ignores_case}) in {texts:?}\n  PCRE2 {theirs}\n  ours  {ours}"
            );
        }
    }
    match (wrong.is_empty(), compared >= ENOUGH) {
        (false, _) => Err(wrong),
        (true, false) => Err(format!("both took {compared} patterns only")),
        (true, true) => Ok(()),
    }
}
