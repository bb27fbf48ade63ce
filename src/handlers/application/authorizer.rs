//! Authorizers asked (section 6.3 of the specification, in the words of Apache's mod_authnz_fcgi and mod_fcgid): the request's
//! variables without those of a script, no body, and a reply that grants or refuses.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;

use crate::backend::fastcgi::Conversation;
use crate::backend::pool::{Agreed, Keep, Which};
use crate::backend::wire::Trouble;
use crate::config::backends::Target;
use crate::config::directives::proxy::Terms;
use crate::exchange::Exchange;
use crate::exchange::authorizers::{Asking, Authorizers, Authorizing, Part, Refusal, Whom};
use crate::exchange::body::Gone;
use crate::exchange::client::Answer as Said;
use crate::exchange::fail::{Blame, Fail};
use crate::exchange::place::Place;
use crate::gateway::fastcgi::answers::Answer;
use crate::gateway::fastcgi::record::Role;
use crate::gateway::request::Names;
use crate::gateway::script_reply::{Kind, ReplyReader, ScriptReply};
use crate::handlers::application::on_demand;
use crate::handlers::application::starting::{self, Program, agreed, not_prepared, process};
use crate::handlers::application::{Applications, about, patience};
use crate::handlers::behind::Behind;
use crate::handlers::cgi::environment::{self, Told};
use crate::http::status::Status;
use crate::scripts::notes::Notes;
use crate::scripts::stderr::Stderr;

/// The module in whose name the log speaks.
const MODULE: &str = "authnz_fcgi";

/// A refusal has so many bytes of body at most; no directive moves it.
const LONGEST: usize = 64 * 1024;

/// Variables that an authorizer does not get: those of a script and of the body, and of the client's connection.
const WITHHELD: [&[u8]; 9] = [
    b"CONTENT_LENGTH",
    b"PATH_INFO",
    b"PATH_TRANSLATED",
    b"SCRIPT_NAME",
    b"HTTP_KEEP_ALIVE",
    b"HTTP_TE",
    b"HTTP_TRAILER",
    b"HTTP_TRANSFER_ENCODING",
    b"HTTP_UPGRADE",
];

/// What its variables that become the request's begin with.
const VARIABLE: &[u8] = b"Variable-";

impl Authorizers for Applications {
    fn ask<'a>(&'a self, ex: &'a Exchange, place: &'a Place, asked: &'a Authorizing) -> Asking<'a> {
        Box::pin(ask(self, ex, place, asked))
    }
}

async fn ask(applications: &Applications, ex: &Exchange, place: &Place, asked: &Authorizing) -> Result<Said, Fail> {
    match &asked.whom {
        Whom::Provider(name) => {
            let provider = ex.config.server.authorizers.providers.find(name);
            let provider = provider.ok_or_else(|| failed(&asked.whom.to_string(), "nobody has defined it"))?;
            running(applications, ex, place, (asked, &provider.target)).await
        }
        Whom::Program(command) => {
            let file = command.first().map(Vec::as_slice).unwrap_or_default();
            match ex.config.server.old_fastcgi.program(file) {
                Some(old) => running(applications, ex, place, (asked, &old.target)).await,
                None => program(applications, ex, place, (asked, command)).await,
            }
        }
    }
}

/// An authorizer that runs already.
async fn running(
    applications: &Applications,
    ex: &Exchange,
    place: &Place,
    (asked, target): (&Authorizing, &Target),
) -> Result<Said, Fail> {
    let shown = asked.whom.to_string();
    let pool = applications.backends.to(target.scheme, &target.address);
    let pool = pool.ok_or_else(|| failed(&shown, "its address is not among those of the settings"))?;
    let silence = patience(ex);
    let agreed = Agreed {
        keep: Keep::No,
        ..Agreed::of(target.scheme, &Terms::default(), silence)
    };
    let lease = match Behind::Application.lease(ex, pool, &agreed, Which::New, MODULE).await {
        Ok(lease) => lease,
        Err(Fail::ClientGone) => return Err(Fail::ClientGone),
        Err(Fail::Reply(why)) => return Err(failed(&shown, &why.note)),
    };
    let variables = variables(applications, ex, place, asked);
    let pairs = variables
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()));
    let conversation = Conversation::begin(lease, Role::Authorizer, pairs, silence);
    let mut heard = Heard::new(notes(applications, ex, place, MODULE), place);
    let answered = heard.listen(ex, conversation).await;
    heard.tell_rest();
    let reply = answered.map_err(|why| match why {
        NoReply::ClientGone => Fail::ClientGone,
        NoReply::Because(why) => failed(
            &shown,
            &format!("application `{}` gave no reply: {why}", target.address),
        ),
    })?;
    Ok(judged(reply, heard.body))
}

/// One that is started when it is wanted.
async fn program(
    applications: &Applications,
    ex: &Exchange,
    place: &Place,
    (asked, command): (&Authorizing, &[Vec<u8>]),
) -> Result<Said, Fail> {
    let program = Program::named(ex, command)?;
    let settings = &ex.site.settings.fcgid;
    let treatment = settings.treatment(program.file());
    let notes = notes(applications, ex, place, starting::MODULE);
    let mut variables = variables(applications, ex, place, asked);
    on_demand::add_passed(ex, settings, &mut variables);
    let mut tries = 0;
    loop {
        tries += 1;
        let ticket = process(ex, place, &program, applications, &notes).await?;
        let pool = ticket.pool().ok_or_else(not_prepared)?;
        let lease = Behind::Application
            .lease(ex, pool, &agreed(&treatment), Which::New, starting::MODULE)
            .await;
        let lease = lease.inspect_err(|_| ticket.give_up())?;
        let pairs = variables
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        let conversation = Conversation::begin(lease, Role::Authorizer, pairs, treatment.silence);
        let mut heard = Heard::new(Rc::clone(&notes), place);
        let answered = heard.listen(ex, conversation).await;
        heard.tell_rest();
        match answered {
            Ok(reply) => return Ok(judged(reply, heard.body)),
            Err(NoReply::ClientGone) => return Err(Fail::ClientGone),
            Err(NoReply::Because(why)) => {
                ticket.give_up();
                // It may have ended while it had nothing to do.
                if tries == 1 && !heard.began {
                    continue;
                }
                let note = format!("program `{}` gave no reply: {why}", asked.whom);
                return Err(Fail::new(Status::INTERNAL_SERVER_ERROR, Blame::Script, note).of_module(starting::MODULE));
            }
        }
    }
}

fn notes(applications: &Applications, ex: &Exchange, place: &Place, module: &'static str) -> Rc<Notes> {
    Rc::new(Notes::of_error_log(
        Rc::clone(&applications.logs),
        about(ex, place, module),
    ))
}

fn failed(name: &str, why: &str) -> Fail {
    let note = format!("authorizer `{name}`: {why}");
    Fail::new(Status::INTERNAL_SERVER_ERROR, Blame::Script, note).of_module(MODULE)
}

fn variables(
    applications: &Applications,
    ex: &Exchange,
    place: &Place,
    asked: &Authorizing,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let told = Told {
        script_filename: &place.path,
        path_info: b"",
        path_translated: b"",
        path: applications.path.as_deref(),
        time_zone: None,
        names: Names::Plain,
    };
    let mut variables = environment::of(ex, place, told, None).into_pairs();
    let is_own = |name: &[u8]| {
        matches!(
            name,
            b"HTTP_CONNECTION" | b"FCGI_ROLE" | b"FCGI_APACHE_ROLE" | b"REMOTE_PASSWD"
        )
    };
    variables.retain(|(name, _)| !WITHHELD.contains(&name.as_slice()) && !is_own(name));
    let mut add = |name: &[u8], value: &[u8]| variables.push((name.to_vec(), value.to_vec()));
    add(b"HTTP_CONNECTION", b"close");
    if let Whom::Provider(_) = asked.whom {
        add(b"FCGI_ROLE", b"AUTHORIZER");
    }
    match asked.part {
        Part::AccessChecker => add(b"FCGI_APACHE_ROLE", b"ACCESS_CHECKER"),
        Part::Authenticator => add(b"FCGI_APACHE_ROLE", b"AUTHENTICATOR"),
        Part::Authorizer => add(b"FCGI_APACHE_ROLE", b"AUTHORIZER"),
        Part::Both => {}
    }
    if let Some(password) = &asked.password {
        add(b"REMOTE_PASSWD", password);
    }
    variables
}

/// Why there is no reply.
enum NoReply {
    ClientGone,
    Because(String),
}

/// What comes from an authorizer.
struct Heard {
    notes: Rc<Notes>,
    stderr: Stderr,
    /// Whether anything of a reply has come.
    began: bool,
    body: Vec<u8>,
}

impl Heard {
    fn new(notes: Rc<Notes>, place: &Place) -> Heard {
        Heard {
            notes,
            stderr: Stderr::new(place.conf.cgi.stderr_limit.or(65536)),
            began: false,
            body: Vec::new(),
        }
    }

    /// The head of its reply; its body is kept.
    async fn listen(&mut self, ex: &Exchange, mut conversation: Conversation) -> Result<ScriptReply, NoReply> {
        let (mut reader, mut reply) = (ReplyReader::new(), None);
        loop {
            let answer = poll_fn(|cx| match conversation.poll_answer(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => match ex.body.poll_gone(cx) {
                    Poll::Ready(Gone::Reset) => Poll::Ready(None),
                    Poll::Ready(Gone::SendingClosed) | Poll::Pending => Poll::Pending,
                },
            });
            let because = |why: &dyn std::fmt::Display| NoReply::Because(why.to_string());
            match answer.await {
                None => {
                    conversation.abort();
                    return Err(NoReply::ClientGone);
                }
                Some(Err(trouble)) => return Err(because(&trouble as &Trouble)),
                Some(Ok(Answer::Errors(bytes))) => {
                    let notes = &self.notes;
                    self.stderr.push(&bytes, |line| notes.complaint(None, line));
                }
                Some(Ok(Answer::OutputEnd)) => {}
                Some(Ok(Answer::End(_))) => return reply.ok_or_else(|| because(&reader.end())),
                Some(Ok(Answer::Output(bytes))) if reply.is_some() => self.keep(&bytes)?,
                Some(Ok(Answer::Output(bytes))) => {
                    self.began = true;
                    if let Some(mut head) = reader.push(&bytes).map_err(|error| because(&error))? {
                        self.keep(&Bytes::from(std::mem::take(&mut head.body_start)))?;
                        reply = Some(head);
                    }
                }
            }
        }
    }

    fn keep(&mut self, bytes: &Bytes) -> Result<(), NoReply> {
        if self.body.len() + bytes.len() > LONGEST {
            return Err(NoReply::Because(format!(
                "its body is longer than {} KiB",
                LONGEST / 1024
            )));
        }
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    fn tell_rest(&mut self) {
        let notes = &self.notes;
        self.stderr.end(|line| notes.complaint(None, line));
    }
}

/// 200 grants, whatever else it says; a redirect is a refusal too.
fn judged(reply: ScriptReply, body: Vec<u8>) -> Said {
    let mut fields = reply.fields;
    let status = match reply.kind {
        Kind::Document | Kind::Nowhere => Status::new(reply.status).unwrap_or(Status::INTERNAL_SERVER_ERROR),
        Kind::LocalRedirect(location) | Kind::ClientRedirect(location) => {
            fields.push((b"Location".to_vec(), location));
            Status::FOUND
        }
    };
    if status != Status::OK {
        return Said::Refused(Refusal { status, fields, body });
    }
    let variable = |(name, value): (Vec<u8>, Vec<u8>)| {
        let (start, rest) = name.split_at_checked(VARIABLE.len())?;
        (start.eq_ignore_ascii_case(VARIABLE) && !rest.is_empty()).then(|| (rest.to_vec(), value))
    };
    Said::Granted(fields.into_iter().filter_map(variable).collect())
}
