//! Who is asked, and in which words: the URL that SetHandler, ProxyPass or a rule has come to, and the variables that are made
//! of it as Apache's mod_proxy_fcgi makes them.

use crate::base::caseless::Name;
use crate::config::backends::{self, Scheme, Target};
use crate::config::directives::fastcgi::{Backend, Fixup};
use crate::config::directives::old_fastcgi::OldProgram;
use crate::config::directives::proxy::Terms;
use crate::exchange::Exchange;
use crate::exchange::Variables;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::{Alias, Place};
use crate::exchange::view::View;
use crate::fs::open::{self, Kind};
use crate::gateway::meta_vars::MetaVars;
use crate::gateway::refused::is_refused;
use crate::gateway::request::{Names, Origin};
use crate::handlers::cgi::environment::{self, Told};
use crate::http::status::Status;
use crate::http::target::{EncodedSlashes, percent_decode};
use crate::lang::expr::Trust;

/// An application, and the script it is asked for.
pub(super) struct Asked {
    pub(super) target: Target,
    /// On which terms it is asked, where its file says so.
    pub(super) terms: Option<Terms>,
    /// Fields that it is told besides.
    pub(super) pass_headers: Vec<Vec<u8>>,
    /// SCRIPT_FILENAME.
    script_filename: Vec<u8>,
    /// What of the path follows the script.
    path_info: Vec<u8>,
    path_translated: Vec<u8>,
    /// How it is told the names of variables that were set: by mod_fastcgi as scripts are, by mod_proxy as they are.
    names: Names,
}

/// What `proxy-fcgi-pathinfo` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathInfo {
    /// What the file system does not need of the path.
    Full,
    /// What follows the first segment with a dot.
    FirstDot,
    /// What follows the last segment with a dot.
    LastDot,
    /// The whole path, decoded or not.
    Whole(Coding),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Decoded,
    AsIs,
}

impl PathInfo {
    fn of(ex: &Exchange, place: &Place) -> Option<PathInfo> {
        let said = said_of_path_info(ex, place, b"proxy-fcgi-pathinfo")?.to_ascii_lowercase();
        Some(match said.as_slice() {
            b"full" => PathInfo::Full,
            b"first-dot" => PathInfo::FirstDot,
            b"last-dot" => PathInfo::LastDot,
            b"unescape" => PathInfo::Whole(Coding::Decoded),
            _ => PathInfo::Whole(Coding::AsIs),
        })
    }
}

/// What a variable asks of PATH_INFO. As in Apache, where the application's URL is what ProxyPass or a rule has come to, SetEnv comes
/// too late for it; SetEnvIf and rules do not.
fn said_of_path_info<'a>(ex: &'a Exchange, place: &Place, name: &[u8]) -> Option<&'a [u8]> {
    let comes_late = place.alias == Alias::Proxied && place.conf.env.variables.find(&Name(name.to_vec())).is_some();
    ex.variable(name).filter(|_| !comes_late)
}

impl Asked {
    /// What `place` asks for.
    pub(super) fn of(ex: &Exchange, place: &Place) -> Result<Asked, Fail> {
        if let Some(program) = ex.config.server.old_fastcgi.program(&place.path) {
            return Ok(Asked::of_program(program, place));
        }
        let backend = place.conf.fastcgi.backend.or(Backend::Fpm);
        let target = match place.alias {
            Alias::Proxied => parsed(&place.path)?,
            Alias::None | Alias::Files | Alias::Scripts => by_handler(place, backend)?,
        };
        let mut asked = Asked {
            terms: None,
            pass_headers: Vec::new(),
            script_filename: Vec::new(),
            path_info: place.path_info.clone(),
            path_translated: place.path_translated.clone(),
            target,
            names: Names::AsWritten,
        };
        let path = asked.target.path.clone();
        if asked.target.scheme == Scheme::Scgi {
            asked.for_scgi(ex, place);
            return Ok(asked);
        }
        if let Some(wanted) = PathInfo::of(ex, place) {
            asked.divide(ex, wanted, &path);
        }
        if asked.script_filename.is_empty() {
            asked.script_filename = match backend {
                Backend::Fpm => [backends::HANDLER, &asked.target.base, &path].concat(),
                Backend::Generic => path,
            };
        }
        Ok(asked)
    }

    /// As mod_fastcgi has it: by the file's own name.
    fn of_program(program: &OldProgram, place: &Place) -> Asked {
        Asked {
            target: program.target.clone(),
            terms: Some(program.terms),
            pass_headers: program.pass_headers.clone(),
            script_filename: place.path.clone(),
            path_info: place.path_info.clone(),
            path_translated: place.path_translated.clone(),
            names: Names::Plain,
        }
    }

    /// As Apache's mod_proxy_scgi has it: what follows the address is PATH_INFO only where `proxy-scgi-pathinfo` asks for it,
    /// and then decoded (RFC 3875 section 4.1.5; Apache leaves it as it is in URLs).
    fn for_scgi(&mut self, ex: &Exchange, place: &Place) {
        self.script_filename = [backends::HANDLER, &self.target.base, &self.target.path].concat();
        if said_of_path_info(ex, place, b"proxy-scgi-pathinfo").is_some() {
            self.path_info = decoded(&self.target.path);
            self.translate(ex);
        }
    }

    /// Finds what of the path is PATH_INFO. As in Apache, it stays part of SCRIPT_FILENAME but with `full`.
    fn divide(&mut self, ex: &Exchange, wanted: PathInfo, path: &[u8]) {
        let slash = match wanted {
            PathInfo::Full => return self.divide_by_files(ex, path),
            PathInfo::Whole(coding) => {
                self.path_info = match coding {
                    Coding::Decoded => decoded(path),
                    Coding::AsIs => path.to_vec(),
                };
                None
            }
            PathInfo::FirstDot => path.iter().position(|byte| *byte == b'.'),
            PathInfo::LastDot => path.iter().rposition(|byte| *byte == b'.'),
        }
        .and_then(|dot| Some(dot + path.get(dot..)?.iter().position(|byte| *byte == b'/')?));
        if let Some(rest) = slash.and_then(|slash| path.get(slash..)) {
            self.path_info = decoded(rest);
        }
        self.translate(ex);
    }

    fn divide_by_files(&mut self, ex: &Exchange, path: &[u8]) {
        let root = ex.document_root();
        for name in [decoded(path), [root.as_slice(), &decoded(path)].concat()] {
            if let Ok(extent) = open::extent(&name)
                && extent.meta.kind == Kind::File
            {
                let (file, rest) = name.split_at(extent.length.min(name.len()));
                self.script_filename = file.to_vec();
                self.path_info = rest.to_vec();
                return self.translate(ex);
            }
        }
    }

    fn translate(&mut self, ex: &Exchange) {
        self.path_translated = match self.path_info.as_slice() {
            [] => Vec::new(),
            path_info => [ex.document_root().as_slice(), path_info].concat(),
        };
    }

    /// The variables that the application is told. `length` is that of standard input.
    pub(super) fn variables(&self, ex: &Exchange, place: &Place, path: Option<&[u8]>, length: Option<u64>) -> MetaVars {
        let told = Told {
            script_filename: &self.script_filename,
            path_info: &self.path_info,
            path_translated: &self.path_translated,
            path,
            time_zone: None,
            names: self.names,
        };
        environment::of(ex, place, told, length)
    }

    /// The same when ProxyFCGISetEnvIf has had the last word.
    pub(super) fn changed(ex: &mut Exchange, place: &Place, variables: MetaVars) -> MetaVars {
        let fixups = &place.conf.fastcgi.fixups;
        if fixups.is_empty() {
            return variables;
        }
        let mut told = Variables::default();
        for (name, value) in variables.into_pairs() {
            // Capitals come first: what was set as `server_name` is not what the server says.
            told.insert_new(name, value);
        }
        // The expressions see what the application would.
        let own = std::mem::replace(&mut ex.variables, told);
        for fixup in fixups.iter().filter(|fixup| may_change(fixup)) {
            apply(ex, fixup);
        }
        MetaVars::default().with(std::mem::replace(&mut ex.variables, own))
    }
}

/// What no access file sets, none changes either.
fn may_change(fixup: &Fixup) -> bool {
    fixup.trust == Trust::Full || !is_refused(&fixup.name, Origin::Htaccess)
}

fn apply(ex: &mut Exchange, fixup: &Fixup) {
    let view = View { ex, response: None };
    let Ok(Some(matched)) = fixup.condition.matched(&view) else {
        return;
    };
    let value = match &fixup.value {
        None => {
            ex.variables.remove(&fixup.name);
            return;
        }
        Some(value) => value.eval_behind(&view, matched),
    };
    // One that has no value for this request changes nothing.
    if let Ok(value) = value {
        ex.variables.insert(fixup.name.clone(), value);
    }
}

/// The handler's URL with the file's name behind it. What php-fpm would take for a query must not be in a name.
fn by_handler(place: &Place, backend: Backend) -> Result<Target, Fail> {
    let handler = place.types.handler.as_deref().unwrap_or_default();
    let is_odd = |byte: &u8| byte.is_ascii_control() || *byte == b'?' && backend == Backend::Fpm;
    if place.path.iter().any(is_odd) {
        let note = "the file's name has control characters or `?`, and is not given to the application";
        return Err(Fail::new(Status::FORBIDDEN, Blame::Client, note).of_module("proxy"));
    }
    let mut target = parsed(&[handler, &*place.full_name()].concat())?;
    if !target.path.starts_with(b"/") {
        target.path.insert(0, b'/');
    }
    Ok(target)
}

fn parsed(name: &[u8]) -> Result<Target, Fail> {
    let url = backends::of_handler(name).unwrap_or_default();
    Target::parse(url).map_err(|why| Fail::internal(why).of_module("proxy"))
}

fn decoded(path: &[u8]) -> Vec<u8> {
    percent_decode(path, EncodedSlashes::NoDecode).unwrap_or_else(|_| path.to_vec())
}
