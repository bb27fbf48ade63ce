//! `ap_expr`: the boolean and string expressions of Apache's manual page "Expressions in Apache HTTP Server", as
//! 2.4 reads them.
//!
//! Parsed when settings are read; evaluation asks the request through [`Vars`] and reads no file itself.

mod eval;
mod functions;
mod parse;
mod scan;
mod subnet;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::lang::regex::{Groups, Regex};
use crate::lang::vars::{Accessible, FileTest, Variable, Vars};

pub use subnet::Subnet;

/// A boolean expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    condition: Condition,
}

/// A string expression: text with `%{…}` in it.
#[derive(Clone, Debug, PartialEq)]
pub struct StringExpr {
    word: Word,
}

/// Where an expression was written: in the server's configuration, or where files must stay out of its reach
/// (`.htaccess`, server-side includes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Everything may be asked.
    Full,
    /// What files hold, and how much (`file()`, `filesize()`), is refused; whether they are there may be asked, as in Apache.
    Restricted,
    /// In a document that is parsed for includes, where `v()` is short for `reqenv()`, that is refused too.
    Document,
}

/// Why an expression was refused, as a sentence for the configuration error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError(pub String);

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The expression has no value for this request: `file()` named a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoValue {
    /// What could not be read.
    pub path: Vec<u8>,
}

impl Expr {
    /// Reads a boolean expression.
    pub fn parse(text: &str, trust: Trust) -> Result<Expr, ExprError> {
        let condition = parse::boolean(text, trust).map_err(ExprError)?;
        Ok(Expr { condition })
    }

    /// Reads the expression of SSLRequire, whose comparisons, whatever they are called, put the shorter text first and go by
    /// the letters where the lengths are the same.
    pub fn parse_of_ssl_require(text: &str, trust: Trust) -> Result<Expr, ExprError> {
        let condition = parse::of_ssl_require(text, trust).map_err(ExprError)?;
        Ok(Expr { condition })
    }

    /// Whether it is true of the request.
    pub fn eval(&self, vars: &dyn Vars) -> Result<bool, NoValue> {
        eval::condition(&self.condition, vars).map(|matched| matched.is_some())
    }

    /// If it is true of the request: the text and the groups of the last pattern that matched, for `$1` in what follows.
    pub fn matched(&self, vars: &dyn Vars) -> Result<Option<(Vec<u8>, Groups)>, NoValue> {
        eval::condition(&self.condition, vars)
    }
}

impl StringExpr {
    /// Reads a string expression.
    pub fn parse(text: &str, trust: Trust) -> Result<StringExpr, ExprError> {
        let word = parse::string(text, trust).map_err(ExprError)?;
        Ok(StringExpr { word })
    }

    /// A string that stands for itself, in whatever encoding.
    pub fn literal(text: &[u8]) -> StringExpr {
        let word = Word::Literal(text.to_vec());
        StringExpr { word }
    }

    /// The string it makes of the request.
    pub fn eval(&self, vars: &dyn Vars) -> Result<Vec<u8>, NoValue> {
        eval::string(&self.word, vars, Vec::new(), Groups::new())
    }

    /// The same behind a condition whose pattern matched: `$1` is a group of its match.
    pub fn eval_behind(&self, vars: &dyn Vars, matched: (Vec<u8>, Groups)) -> Result<Vec<u8>, NoValue> {
        let (subject, groups) = matched;
        eval::string(&self.word, vars, subject, groups)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Always(bool),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Strings(Word, Comparison, Word),
    Integers(Word, Comparison, Word),
    Lengths(Word, Comparison, Word),
    In(Word, Vec<Word>),
    Matches(Word, Box<Regex>),
    Globs(Word, GlobKind, Word),
    ClientIn(Subnet),
    AddressIn(Word, Subnet),
    File(FileTest, Word),
    Accessible(Accessible, Word),
    NotEmpty(Word),
    Empty(Word),
    Truth(Word),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GlobKind {
    Strmatch,
    Strcmatch,
    Fnmatch,
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Literal(Vec<u8>),
    Joined(Vec<Word>),
    Variable(Variable),
    Tls(Box<str>),
    Field(&'static str),
    Time(&'static str),
    Group(u8),
    Call(Function, Box<Word>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    RequestField,
    RequestFieldInSilence,
    ResponseField,
    RequestEnv,
    OsEnv,
    Note,
    Tls,
    Env,
    ToLower,
    ToUpper,
    Escape,
    Unescape,
    Base64,
    Unbase64,
    Md5,
    Sha1,
    Ldap,
    File,
    FileSize,
}
