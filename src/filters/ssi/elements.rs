//! Elements that say and set: `config`, `echo`, `set` and `printenv`.

use crate::base::quote;
use crate::filters::ssi::page::{Failed, Page, shown};
use crate::lang::local_time;
use crate::lang::log_level::Level;
use crate::lang::ssi::codec::{self, Encoding};
use crate::lang::ssi::expand::Unset;
use crate::lang::ssi::moment;
use crate::lang::ssi::scan::Argument;
use crate::lang::ssi::size::SizeFormat;
use crate::lang::ssi::variables::Value;

impl Page {
    /// `config errmsg="…" echomsg="…" timefmt="…" sizefmt="bytes|abbrev"`
    pub(super) fn config(&mut self, arguments: &[Argument]) -> Result<(), Failed> {
        for argument in arguments {
            let Some(value) = &argument.value else { break };
            let value = || self.expanded(value, Unset::Dropped);
            match argument.name.as_slice() {
                b"errmsg" => self.error_message = value(),
                b"echomsg" => self.undefined_echo = value(),
                b"timefmt" => {
                    self.time_format = value();
                    self.set_times();
                }
                b"sizefmt" => {
                    let value = value();
                    self.size_format = match value.as_slice() {
                        b"bytes" => SizeFormat::Bytes,
                        b"abbrev" => SizeFormat::Abbreviated,
                        _ => return Err(self.odd("config", argument, &value)),
                    };
                }
                _ => return Err(self.unknown("config", argument)),
            }
        }
        Ok(())
    }

    /// The times among the variables, in the format of this page.
    fn set_times(&self) {
        let (format, began) = (&self.time_format, local_time::since_epoch(self.ex.began.wall));
        let shared = &self.main.shared;
        for (name, time) in [
            ("DATE_LOCAL", moment::local(format, began)),
            ("DATE_GMT", moment::gmt(format, began)),
            ("LAST_MODIFIED", moment::local(format, shared.modified)),
        ] {
            self.put(name.as_bytes(), time);
        }
    }

    fn put(&self, name: &[u8], value: Vec<u8>) {
        let set = self.main.shared.variables.borrow_mut().set(name, Value::Text(value));
        if set.is_err() {
            self.log(
                Level::Error,
                &format!("variable `{}` is not set: there are too many", shown(name)),
            );
        }
    }

    /// `echo [decoding="…"] [encoding="…"] var="…" …`
    pub(super) async fn echo(&mut self, arguments: &[Argument]) -> Result<(), Failed> {
        let mut codes = Codes::new(b"entity");
        for argument in arguments {
            let Some(value) = &argument.value else { break };
            match argument.name.as_slice() {
                b"var" => {
                    let name = self.expanded(&codec::entities(value), Unset::Dropped);
                    let text = match self.find(&name) {
                        Some(text) => codes.apply(self, "echo", text)?,
                        None => self.undefined_echo.clone(),
                    };
                    self.sink.put(&text).await;
                }
                b"decoding" => codes.decoding = argument.clone(),
                b"encoding" => codes.encoding = argument.clone(),
                _ => return Err(self.unknown("echo", argument)),
            }
        }
        Ok(())
    }

    /// `set var="…" [decoding="…"] [encoding="…"] value="…" …`
    pub(super) fn set(&mut self, arguments: &[Argument]) -> Result<(), Failed> {
        let mut codes = Codes::new(b"none");
        let mut name = None;
        for argument in arguments {
            let Some(value) = &argument.value else { break };
            let value = || self.expanded(value, Unset::Dropped);
            match argument.name.as_slice() {
                b"var" => name = Some(value()),
                b"decoding" => codes.decoding = argument.clone(),
                b"encoding" => codes.encoding = argument.clone(),
                b"value" => {
                    let Some(name) = &name else {
                        self.log(Level::Error, "element `set`: `var` must stand before `value`");
                        return Err(Failed);
                    };
                    let value = codes.apply(self, "set", value())?;
                    self.put(name, value);
                }
                _ => return Err(self.unknown("set", argument)),
            }
        }
        Ok(())
    }

    /// `printenv`
    pub(super) async fn print_environment(&mut self) {
        let names: Vec<Vec<u8>> = {
            let variables = self.main.shared.variables.borrow();
            variables.iter().map(|(name, _)| name.to_vec()).collect()
        };
        for name in names {
            let value = self.find(&name).unwrap_or_default();
            let line = [&*quote::html(&name), b"=", &*quote::html(&value), b"\n"].concat();
            self.sink.put(&line).await;
        }
    }
}

/// The encodings that are taken off a value, and those that are put on it.
struct Codes {
    decoding: Argument,
    encoding: Argument,
}

impl Codes {
    fn new(encoding: &[u8]) -> Codes {
        let argument = |name: &[u8], value: &[u8]| Argument {
            name: name.to_vec(),
            value: Some(value.to_vec()),
        };
        Codes {
            decoding: argument(b"decoding", b"none"),
            encoding: argument(b"encoding", encoding),
        }
    }

    fn apply(&self, page: &Page, element: &str, mut text: Vec<u8>) -> Result<Vec<u8>, Failed> {
        for (argument, step) in [
            (&self.decoding, Encoding::decode as fn(Encoding, &[u8]) -> Vec<u8>),
            (&self.encoding, Encoding::encode),
        ] {
            let list = argument.value.as_deref().unwrap_or_default();
            let codes = codec::parse(list).map_err(|word| page.odd(element, argument, word))?;
            for code in codes {
                text = step(code, &text);
            }
        }
        Ok(text)
    }
}
