//! Elements about other files and URLs: `include`, `exec`, `fsize` and `flastmod`.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::quote;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::exchange::place::{Landing, Place, Types};
use crate::exchange::response::{Body, Outcome, Response, Stop};
use crate::exchange::subrequest::{Aim, Main};
use crate::filters::chain;
use crate::filters::ssi::meta;
use crate::filters::ssi::page::{Failed, Page, shown};
use crate::fs::open::Found;
use crate::lang::log_level::Level;
use crate::lang::ssi::codec;
use crate::lang::ssi::expand::Unset;
use crate::lang::ssi::moment;
use crate::lang::ssi::scan::Argument;
use crate::lang::ssi::variables::Value;

/// So many requests may be made for one page and all that it includes. No directive moves it.
const MOST_MADE: u32 = 4096;

/// After so many requests of a page others have their turn.
const TURN: u32 = 16;

/// What the shell is told: the head that scripts have, then the command, in the directory that is its name.
const BY_THE_SHELL: &[u8] = b"printf 'Content-Type: text/plain\n\n'; cd \"$0\" && eval \"$1\"";

/// Why something is not included, for the error log.
struct Refused(String);

impl Page {
    /// `include virtual="…"|file="…" [onerror="…"] …`
    pub(super) async fn include(&mut self, arguments: &[Argument]) -> Result<(), Failed> {
        let mut failed = false;
        for argument in arguments {
            let Some(value) = &argument.value else { break };
            let name = argument.name.as_slice();
            if !matches!(name, b"virtual" | b"file" | b"onerror") {
                return Err(self.unknown("include", argument));
            }
            // What has failed waits for its `onerror`, which a later `file` may stand for, but no `virtual`, as in Apache.
            let is_due = match name {
                b"file" => true,
                b"onerror" => failed,
                _ => !failed,
            };
            if !is_due {
                continue;
            }
            let target = self.expanded(&codec::entities(value), Unset::Dropped);
            let Err(Refused(why)) = self.include_one(name, &target).await else {
                failed = false;
                continue;
            };
            self.log(Level::Error, &format!("cannot include `{}`: {why}", shown(&target)));
            if failed {
                break;
            }
            failed = true;
        }
        if failed { Err(Failed) } else { Ok(()) }
    }

    async fn include_one(&mut self, kind: &[u8], target: &[u8]) -> Result<(), Refused> {
        let (mut sub, place) = self.locate(kind, target).await?;
        let media_type = place.types.media_type.as_deref();
        if !self.may_execute() && media_type.is_some_and(|media_type| !media_type.starts_with(b"text/")) {
            let why = "it is no text, and might be run, which Options IncludesNOEXEC does not allow";
            return Err(Refused(why.to_owned()));
        }
        let answer = self.requests.answer(&mut sub, place).await;
        self.requests.tell(&sub);
        let response = answer.map_err(why)?;
        if matches!(response.body, Body::BuiltIn | Body::Raw(_) | Body::Tunnel(_)) {
            return Err(Refused(format!("the answer is {}", response.head.status.code())));
        }
        self.copy(response).await
    }

    /// The body becomes part of the page.
    async fn copy(&mut self, response: Response) -> Result<(), Refused> {
        let mut body = response.body.into_stream(chain::patience(&self.ex));
        while let Some(bytes) = poll_fn(|cx| body.poll_chunk(cx)).await {
            let bytes = bytes.map_err(|_| Refused("its body broke off".to_owned()))?;
            self.sink.put(&bytes).await;
        }
        Ok(())
    }

    /// The place of a file or URL, as another request finds it.
    async fn locate(&mut self, kind: &[u8], target: &[u8]) -> Result<(Exchange, Place), Refused> {
        let main = self.main_of_another()?;
        if main.shared.made.get().is_multiple_of(TURN) {
            main.shared.others_turn.set(true);
            tokio::task::yield_now().await;
        }
        let own = self.ex.target.path.as_bytes();
        let directory = up_to_last_slash(own);
        let (mut sub, aim) = if kind == b"file" {
            let below = below(target).ok_or_else(|| Refused("`file` stays below the page's directory".to_owned()))?;
            let file = [up_to_last_slash(&self.place.path), below.as_slice()].concat();
            let url = quote::url_path(&[directory, below.as_slice()].concat()).into_owned();
            (self.ex.subrequest(&url, main), Aim::File(file))
        } else if target.starts_with(b"/") {
            (self.ex.subrequest(target, main), Aim::Url)
        } else {
            let url = [&*quote::url_path(directory), target].concat();
            (self.ex.subrequest(&url, main), Aim::Url)
        };
        self.hand_down(&mut sub);
        let located = self.requests.locate(&mut sub, &aim).await;
        self.requests.tell(&sub);
        match located {
            Ok(place) => Ok((sub, place)),
            Err(Stop::Fail(fail)) => Err(why(fail)),
            Err(Stop::Outcome(outcome)) => Err(Refused(match *outcome {
                Outcome::Reply(response) => format!("the answer is {}", response.head.status.code()),
                Outcome::Again(_) => "it leads elsewhere".to_owned(),
            })),
        }
    }

    /// Fails where there are too many requests already, within each other or in all.
    fn main_of_another(&self) -> Result<Rc<Main>, Refused> {
        let shared = &self.main.shared;
        let (depth, most) = (self.main.depth + 1, self.ex.site.settings.core.limit_subrequests.or(10));
        if depth > most {
            return Err(Refused(format!(
                "it would be {depth} pages deep; LimitInternalRecursion moves the bound"
            )));
        }
        if shared.made.get() >= MOST_MADE {
            return Err(Refused(format!("{MOST_MADE} requests were made for the page already")));
        }
        shared.made.set(shared.made.get() + 1);
        Ok(Rc::new(Main {
            depth,
            shared: Rc::clone(shared),
        }))
    }

    /// Scripts see the variables of the page.
    fn hand_down(&self, sub: &mut Exchange) {
        let shared = &self.main.shared;
        let names: Vec<Vec<u8>> = {
            let variables = shared.variables.borrow();
            let own = |name: &[u8]| !shared.computed.contains(&name.to_ascii_uppercase());
            let names = variables.iter().filter(|(name, value)| own(name) && !is_owner(value));
            names.map(|(name, _)| name.to_vec()).collect()
        };
        for name in names {
            if let Some(value) = self.find(&name) {
                sub.variables.insert(name, value);
            }
        }
    }

    /// `exec cgi="…"|cmd="…" …`
    pub(super) async fn exec(&mut self, arguments: &[Argument]) -> Result<(), Failed> {
        if !self.may_execute() {
            self.log(
                Level::Error,
                "element `exec` is not allowed here: Options IncludesNOEXEC",
            );
            return Err(Failed);
        }
        for argument in arguments {
            let Some(value) = &argument.value else { break };
            let value = codec::entities(value);
            match argument.name.as_slice() {
                b"cgi" => {
                    let url = self.expanded(&value, Unset::Dropped);
                    if let Err(Refused(why)) = self.run_script(&url).await {
                        self.log(Level::Error, &format!("cannot run `{}`: {why}", shown(&url)));
                        return Err(Failed);
                    }
                }
                b"cmd" => {
                    let command = self.expanded(&value, Unset::Left);
                    if let Err(Refused(why)) = self.run_command(command).await {
                        let value = shown(&value);
                        self.log(Level::Error, &format!("element `exec`: command `{value}`: {why}"));
                        return Err(Failed);
                    }
                }
                _ => return Err(self.unknown("exec", argument)),
            }
        }
        Ok(())
    }

    /// Has a shell run a command in the directory of the page.
    async fn run_command(&mut self, command: Vec<u8>) -> Result<(), Refused> {
        let shell = self.ex.site.settings.ssi.shell.value().and_then(Option::as_ref);
        let shell = shell.ok_or_else(|| Refused("there is no shell for it: SSIExecShell".to_owned()))?;
        let url = quote::url_path(self.ex.target.path.as_bytes()).into_owned();
        let mut sub = self.ex.subrequest(&url, self.main_of_another()?);
        sub.target.clone_from(&self.ex.target);
        self.hand_down(&mut sub);
        let place = Place {
            conf: Arc::clone(&self.place.conf),
            path: shell.clone(),
            path_info: self.place.path_info.clone(),
            path_translated: self.place.path_translated.clone(),
            found: Found::Missing,
            alias: self.place.alias,
            context_prefix: self.place.context_prefix.clone(),
            context_root: self.place.context_root.clone(),
            types: Types::default(),
        };
        let directory = up_to_last_slash(&self.place.path).to_vec();
        let arguments = vec![b"-c".to_vec(), BY_THE_SHELL.to_vec(), directory, command];
        let outcome = self.requests.run(&mut sub, &place, arguments).await;
        self.requests.tell(&sub);
        match outcome.map_err(why)? {
            Outcome::Reply(response) => self.copy(response).await,
            Outcome::Again(_) => Err(Refused("it leads elsewhere".to_owned())),
        }
    }

    /// Runs a script with the query and the PATH_INFO of the page. Should it fail, the page goes on without, as in Apache.
    async fn run_script(&mut self, url: &[u8]) -> Result<(), Refused> {
        if url.contains(&b'?') {
            return Err(Refused("the URL of `exec cgi` has no query".to_owned()));
        }
        let (mut sub, mut place) = self.locate(b"virtual", url).await?;
        if !place.path_info.is_empty() || place.landing() != Landing::File {
            return Err(Refused("it is no script".to_owned()));
        }
        place.path_info.clone_from(&self.place.path_info);
        sub.target.landed.path_info.clone_from(&self.place.path_info);
        sub.target.query.clone_from(&self.ex.target.query);
        place.types.handler = Some(b"cgi-script".to_vec());
        let answer = self.requests.answer(&mut sub, place).await;
        self.requests.tell(&sub);
        let response = match answer {
            Ok(response) => response,
            Err(fail) => {
                let Refused(why) = why(fail);
                self.log(Level::Error, &format!("`{}`: {why}", shown(url)));
                return Ok(());
            }
        };
        match response
            .head
            .fields
            .value("Location")
            .filter(|_| response.head.status.is_redirect())
        {
            Some(location) => {
                let location = quote::html(location);
                let link = [b"<a href=\"", &*location, b"\">", &*location, b"</a>"].concat();
                self.sink.put(&link).await;
                Ok(())
            }
            None => self.copy(response).await,
        }
    }

    /// `fsize virtual="…"|file="…" …` and `flastmod` likewise.
    pub(super) async fn facts(&mut self, element: &[u8], arguments: &[Argument]) -> Result<(), Failed> {
        for argument in arguments {
            let Some(value) = &argument.value else { break };
            let kind = argument.name.as_slice();
            if !matches!(kind, b"virtual" | b"file") {
                return Err(self.unknown(&shown(element), argument));
            }
            let target = self.expanded(&codec::entities(value), Unset::Dropped);
            let found = match self.locate(kind, &target).await {
                Ok((_, place)) => meta(&place).copied().ok_or_else(|| "it does not exist".to_owned()),
                Err(Refused(why)) => Err(why),
            };
            let text = match found {
                Ok(meta) if element == b"fsize" => self.size_format.show(meta.size).into_bytes(),
                Ok(meta) => {
                    let seconds = u64::try_from(meta.mtime.0).unwrap_or(0);
                    moment::local(&self.time_format, Duration::from_secs(seconds))
                }
                Err(why) => {
                    let (element, target) = (shown(element), shown(&target));
                    self.log(Level::Error, &format!("element `{element}`: `{target}`: {why}"));
                    return Err(Failed);
                }
            };
            self.sink.put(&text).await;
        }
        Ok(())
    }
}

fn is_owner(value: &Value) -> bool {
    matches!(value, Value::Later(crate::lang::ssi::variables::Later::UserName))
}

fn why(fail: Fail) -> Refused {
    Refused(match fail {
        Fail::Reply(reply) if reply.note.is_empty() => format!("the answer is {}", reply.status.code()),
        Fail::Reply(reply) => format!("the answer is {}: {}", reply.status.code(), reply.note),
        Fail::ClientGone => "the client has left".to_owned(),
    })
}

/// A path with its last slash, without what follows.
fn up_to_last_slash(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    slash.and_then(|at| path.get(..=at)).unwrap_or_default()
}

/// A relative path without dot segments; nothing where it leads above where it starts.
fn below(path: &[u8]) -> Option<Vec<u8>> {
    if path.starts_with(b"/") || path.contains(&0) {
        return None;
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop()?;
            }
            _ => segments.push(segment),
        }
    }
    Some(segments.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::{below, up_to_last_slash};

    #[test]
    fn files_stay_below() {
        for (path, want) in [
            ("a.html", Some("a.html")),
            ("./b/../a.html", Some("a.html")),
            ("b//a.html", Some("b/a.html")),
            ("../a.html", None),
            ("b/../../a.html", None),
            ("/a.html", None),
            ("a\0", None),
        ] {
            assert_eq!(below(path.as_bytes()).as_deref(), want.map(str::as_bytes), "{path}");
        }
        assert_eq!(up_to_last_slash(b"/a/b"), b"/a/");
    }
}
