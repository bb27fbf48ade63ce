//! FastCGI programs among a site's files, started when a request wants one (`mod_fcgid`): the handler fcgid-script.
//!
//! The spawner starts them as it starts scripts, from the same places, on the same terms and as the same users; all that
//! differs is that their standard input is a listening socket, and that they stay. A process has one request at a time.

use std::rc::Rc;

use crate::backend::conversation::Conversation;
use crate::backend::fastcgi;
use crate::backend::pool::Which;
use crate::config::backends::{Address, Scheme, Target};
use crate::config::directives::fcgid::SiteFcgid;
use crate::exchange::Exchange;
use crate::exchange::body::{BodyError, BodyLength};
use crate::exchange::fail::Fail;
use crate::exchange::place::Place;
use crate::exchange::response::Outcome;
use crate::gateway::fastcgi::record::Role;
use crate::gateway::refused::is_refused;
use crate::gateway::request::Origin;
use crate::handlers::application::Applications;
use crate::handlers::application::input::Input;
use crate::handlers::application::reply::{self, Unanswered};
use crate::handlers::application::starting::{MODULE, Program, agreed, not_prepared, process};
use crate::handlers::application::talk::Talk;
use crate::handlers::behind::{Behind, may_repeat};
use crate::handlers::cgi::{self, broken_body, environment};
use crate::scripts::notes::{About, Notes};

/// Bodies are no longer where FcgidMaxRequestLen says nothing, in bytes.
const LONGEST_BODY: u64 = 131_072;

/// Asks a process of the program of `place`, started where none is free, and answers with what it says.
pub async fn run(ex: &mut Exchange, place: &Place, applications: &Applications) -> Result<Outcome, Fail> {
    let program = Program::of_place(ex, place)?;
    ex.handler = b"fcgid-script".to_vec();
    ex.target.landed.is_told = true;
    let scripts = &applications.scripts;
    if !applications.started.are_possible() {
        return Err(not_prepared());
    }
    let settings = &ex.site.settings.fcgid;
    let longest = settings.longest_body.or(LONGEST_BODY);
    if matches!(ex.body.length(), BodyLength::Known(length) if length > longest) {
        return Err(broken_body(BodyError::TooLarge).of_module(MODULE));
    }
    let mut input = Input::of(ex, place, MODULE).await?;
    if input.length().is_some_and(|length| length > longest) {
        return Err(broken_body(BodyError::TooLarge).of_module(MODULE));
    }
    let about = About {
        module: MODULE,
        ..cgi::about(ex, place)
    };
    let notes = Rc::new(Notes::of_error_log(Rc::clone(&applications.logs), about));
    let variables = environment::of_script(ex, place, scripts.inherited(), input.length());
    environment::warn_ignored(&variables, |site, name| scripts.is_news(site, name), &notes);
    let mut variables = variables.into_pairs();
    add_passed(ex, settings, &mut variables);
    let target = target(place);
    let treatment = settings.treatment(program.file());
    let agreed = agreed(&treatment);
    let mut which = Which::Any;
    let outcome = loop {
        let ticket = match process(ex, place, &program, applications, &notes).await {
            Ok(ticket) => ticket,
            Err(fail) => break Err(fail),
        };
        let Some(pool) = ticket.pool() else {
            break Err(not_prepared());
        };
        let lease = match Behind::Application.lease(ex, pool, &agreed, Which::New, MODULE).await {
            Ok(lease) => lease,
            Err(fail) => {
                ticket.give_up();
                break Err(fail);
            }
        };
        let pairs = variables
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        let conversation = fastcgi::Conversation::begin(lease, Role::Responder, pairs, treatment.silence);
        let limit = place.conf.cgi.stderr_limit.or(65536);
        let talk = Talk::new(
            Conversation::FastCgi(conversation),
            input,
            ex.body.clone(),
            Rc::clone(&notes),
            limit,
        );
        match reply::wait(ex, place, talk, &target).await {
            Ok(outcome) => break Ok(outcome),
            Err(Unanswered { talk: Some(talk), fail }) => {
                // It is gone, or it does not do as it should.
                ticket.give_up();
                if which == Which::New || !may_repeat(ex.method, talk.repeatable()) {
                    break Err(fail);
                }
                input = talk.into_input();
                which = Which::New;
            }
            Err(unanswered) => break Err(unanswered.fail),
        }
    };
    if matches!(outcome, Ok(Outcome::Again(_)) | Err(_)) {
        // What comes next learns all that this program was told, with REDIRECT_ before it.
        ex.variables.extend(variables);
    }
    outcome
}

/// Whom messages name.
fn target(place: &Place) -> Target {
    Target {
        scheme: Scheme::FastCgi,
        address: Address::Service(place.path.clone()),
        base: b"fcgi://localhost".to_vec(),
        path: place.path.clone(),
    }
}

/// Adds the fields that FcgidPassHeader names.
pub(super) fn add_passed(ex: &Exchange, settings: &SiteFcgid, variables: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    for (name, value) in passed(ex, &settings.pass_headers) {
        if variables.iter().all(|(known, _)| *known != name) {
            variables.push((name, value));
        }
    }
}

/// Fields as variables: by the name that is given, and by that of CGI. What steers programs is not for clients to say.
pub(super) fn passed(ex: &Exchange, fields: &[Vec<u8>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut variables = Vec::new();
    for field in fields {
        let Some(value) = ex.head.field(field) else { continue };
        let plain: Vec<u8> = field
            .iter()
            .map(|byte| if *byte == b'-' { b'_' } else { *byte })
            .collect();
        let of_cgi = [b"HTTP_".as_slice(), &plain.to_ascii_uppercase()].concat();
        let names = [plain, of_cgi]
            .into_iter()
            .filter(|name| !is_refused(name, Origin::Htaccess));
        variables.extend(names.map(|name| (name, value.to_vec())));
    }
    variables
}
