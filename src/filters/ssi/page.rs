//! A page at work: its text, which elements are carried out, and what they say where they fail.

use std::future::poll_fn;
use std::rc::Rc;

use crate::config::directives::options::Options;
use crate::exchange::Exchange;
use crate::exchange::place::Place;
use crate::exchange::response::{BodyStream, Broken};
use crate::exchange::subrequest::{Main, Subrequests};
use crate::filters::ssi::Sink;
use crate::lang::local_time;
use crate::lang::log_level::Level;
use crate::lang::regex::Groups;
use crate::lang::ssi::expand::{Unset, expand};
use crate::lang::ssi::moment;
use crate::lang::ssi::scan::{Argument, Element, Ending, Fault, LONGEST, Piece, Scanner, Tags};
use crate::lang::ssi::size::SizeFormat;
use crate::lang::ssi::variables::{Later, Value};

/// A page at work.
pub(super) struct Page {
    pub(super) ex: Exchange,
    pub(super) place: Place,
    pub(super) main: Rc<Main>,
    pub(super) requests: Rc<dyn Subrequests>,
    pub(super) sink: Sink,
    /// `config errmsg`
    pub(super) error_message: Vec<u8>,
    /// `config timefmt`
    pub(super) time_format: Vec<u8>,
    /// `config echomsg`
    pub(super) undefined_echo: Vec<u8>,
    /// `config sizefmt`
    pub(super) size_format: SizeFormat,
    /// What the last pattern matched.
    pub(super) matched: Option<Matched>,
    pub(super) branch: Branch,
}

/// What a pattern matched.
pub(super) struct Matched {
    pub(super) subject: Vec<u8>,
    pub(super) pattern: String,
    /// None where it did not match.
    pub(super) groups: Option<Groups>,
    pub(super) group_count: usize,
}

/// Where a page is among its conditions.
pub(super) struct Branch {
    /// Whether what stands here is shown.
    pub(super) shown: Shown,
    /// Whether a condition of the `if` at hand has been true, or there is none.
    pub(super) taken: Taken,
    /// How many `if` there are within what is not shown.
    pub(super) hidden: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    No,
    /// One had no answer, and none has been true.
    Unknown,
}

/// An element has failed; the log has been told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

impl Page {
    pub(super) fn new(ex: Exchange, place: Place, main: Rc<Main>, requests: Rc<dyn Subrequests>, sink: Sink) -> Page {
        let conf = &place.conf.ssi;
        let format = conf.time_format.value().map(Vec::as_slice);
        Page {
            error_message: conf.error_message().to_vec(),
            time_format: format.unwrap_or(moment::DEFAULT_FORMAT).to_vec(),
            undefined_echo: conf.undefined_echo().to_vec(),
            size_format: SizeFormat::Abbreviated,
            matched: None,
            branch: Branch {
                shown: Shown::Yes,
                taken: Taken::Yes,
                hidden: 0,
            },
            ex,
            place,
            main,
            requests,
            sink,
        }
    }

    /// Writes the page into its sink.
    pub(super) async fn make(mut self, mut source: Box<dyn BodyStream>) -> Result<(), Broken> {
        let mut scanner = Scanner::new(self.tags());
        let mut pieces = Vec::new();
        while let Some(bytes) = poll_fn(|cx| source.poll_chunk(cx)).await {
            scanner.push(&bytes?, &mut pieces);
            for piece in pieces.drain(..) {
                self.piece(piece).await;
            }
        }
        let ending = scanner.finish(&mut pieces);
        for piece in pieces {
            self.piece(piece).await;
        }
        if ending == Ending::Unfinished {
            self.log(Level::Error, "an element is not finished at the end of the page");
            self.fail_in_page().await;
        }
        if self.branch.shown == Shown::No {
            self.log(Level::Warn, "an `if` has no `endif`");
        }
        Ok(())
    }

    fn tags(&self) -> Tags {
        let (tags, usual) = (&self.ex.site.settings.ssi, Tags::default());
        Tags {
            start: tags.start.value().cloned().unwrap_or(usual.start),
            end: tags.end.value().cloned().unwrap_or(usual.end),
        }
    }

    async fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) if self.branch.shown == Shown::Yes => self.sink.put(&text).await,
            Piece::Text(_) => {}
            Piece::Element(element) => {
                if self.element(&element).await.is_err() {
                    self.sink.put(&self.error_message).await;
                }
            }
        }
    }

    async fn fail_in_page(&self) {
        if self.branch.shown == Shown::Yes {
            self.sink.put(&self.error_message).await;
        }
    }

    /// Carries an element out.
    async fn element(&mut self, element: &Element) -> Result<(), Failed> {
        if let Some(fault) = element.fault {
            self.log(Level::Error, &misshapen(element, fault));
            return self.unless_hidden(Err(Failed));
        }
        let name = element.name.as_slice();
        match name {
            b"if" => return self.begin_if(element),
            b"elif" => return self.else_if(element),
            b"else" => return self.otherwise(element),
            b"endif" => return self.end_if(element),
            b"comment" => return Ok(()),
            b"config" | b"echo" | b"exec" | b"fsize" | b"flastmod" | b"include" | b"set" => {
                let least = if name == b"set" { 2 } else { 1 };
                if element.arguments.len() < least {
                    let level = self.level();
                    self.log(level, &format!("element `{}` lacks an argument", shown(name)));
                    return self.unless_hidden(Err(Failed));
                }
            }
            b"printenv" if !element.arguments.is_empty() => {
                let level = self.level();
                self.log(level, "element `printenv` takes no arguments");
                return self.unless_hidden(Err(Failed));
            }
            b"printenv" => {}
            _ => {
                self.log(Level::Error, &format!("there is no element `{}`", shown(name)));
                return self.unless_hidden(Err(Failed));
            }
        }
        if self.branch.shown == Shown::No {
            return Ok(());
        }
        let arguments = &element.arguments;
        match name {
            b"config" => self.config(arguments),
            b"echo" => self.echo(arguments).await,
            b"exec" => self.exec(arguments).await,
            b"fsize" | b"flastmod" => self.facts(name, arguments).await,
            b"include" => self.include(arguments).await,
            b"set" => self.set(arguments),
            _ => {
                self.print_environment().await;
                Ok(())
            }
        }
    }

    /// What is hidden fails in silence.
    pub(super) fn unless_hidden(&self, result: Result<(), Failed>) -> Result<(), Failed> {
        if self.branch.shown == Shown::Yes {
            result
        } else {
            Ok(())
        }
    }

    /// How bad a fault is that may be hidden.
    pub(super) fn level(&self) -> Level {
        if self.branch.shown == Shown::Yes {
            Level::Error
        } else {
            Level::Warn
        }
    }

    /// Tells the error log, with the page's file.
    pub(super) fn log(&self, level: Level, what: &str) {
        let text = format!("page `{}`: {what}", shown(&self.place.path));
        self.ex.rewriting.lines.push(level, "include", text);
        self.requests.tell(&self.ex);
    }

    /// Tells of an argument that an element does not take.
    pub(super) fn unknown(&self, element: &str, argument: &Argument) -> Failed {
        let name = shown(&argument.name);
        self.log(Level::Error, &format!("element `{element}` takes no `{name}`"));
        Failed
    }

    /// Tells of a word that an argument does not take.
    pub(super) fn odd(&self, element: &str, argument: &Argument, word: &[u8]) -> Failed {
        let (name, word) = (shown(&argument.name), shown(word));
        self.log(
            Level::Error,
            &format!("element `{element}`: `{word}` is nothing for `{name}`"),
        );
        Failed
    }

    /// A value with its variables filled in.
    pub(super) fn expanded(&self, text: &[u8], unset: Unset) -> Vec<u8> {
        let expanded = expand(text, unset, |name| self.find(name));
        if let Some(name) = &expanded.open {
            self.log(
                Level::Error,
                &format!("variable `{}` lacks its closing brace", shown(name)),
            );
        }
        expanded.text
    }

    /// The value of a variable, or of a group of the last pattern.
    pub(super) fn find(&self, name: &[u8]) -> Option<Vec<u8>> {
        if let [digit @ b'0'..=b'9'] = name {
            return self.group(usize::from(digit - b'0'));
        }
        let variables = self.main.shared.variables.borrow();
        match variables.find(name)? {
            Value::Text(text) => Some(text.clone()),
            Value::Later(later) => Some(self.now(*later)),
        }
    }

    fn group(&self, number: usize) -> Option<Vec<u8>> {
        let Some(matched) = &self.matched else {
            self.log(Level::Warn, &format!("there is no pattern yet for ${number}"));
            return None;
        };
        if number >= matched.group_count.max(1) {
            let pattern = &matched.pattern;
            self.log(Level::Warn, &format!("the last pattern, `{pattern}`, has no ${number}"));
            return None;
        }
        let range = matched.groups.as_ref()?.get(number)?.clone()?;
        matched.subject.get(range).map(<[u8]>::to_vec)
    }

    /// What is worked out when somebody asks for it.
    fn now(&self, later: Later) -> Vec<u8> {
        let began = local_time::since_epoch(self.ex.began.wall);
        let format = self.place.conf.ssi.time_format.value().map(Vec::as_slice);
        let format = format.unwrap_or(moment::DEFAULT_FORMAT);
        match later {
            Later::DateLocal => moment::local(format, began),
            Later::DateGmt => moment::gmt(format, began),
            Later::LastModified => moment::local(format, self.main.shared.modified),
            Later::UserName => self.owner(),
        }
    }

    /// The name of the user whom the page's file belongs to.
    fn owner(&self) -> Vec<u8> {
        let user = self
            .main
            .shared
            .owner
            .and_then(|uid| nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok()?);
        user.map_or_else(|| b"<unknown>".to_vec(), |user| user.name.into_bytes())
    }

    /// Whether programs may be run by `exec`.
    pub(super) fn may_execute(&self) -> bool {
        self.place.conf.core.options.in_force().has(Options::INCLUDES)
    }
}

fn misshapen(element: &Element, fault: Fault) -> String {
    let name = shown(&element.name);
    match fault {
        Fault::NoName => "an element has no name".to_owned(),
        Fault::NoArgumentName => format!("element `{name}`: a value has no name before it"),
        Fault::TooLong => format!("element `{name}` is longer than {LONGEST} bytes"),
    }
}

/// Bytes of a page as text for the error log.
pub(super) fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
