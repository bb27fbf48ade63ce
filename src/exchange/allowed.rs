//! What a place without a program can be asked for (RFC 9110 section 10.2.1).

use crate::config::directives::site::Trace;
use crate::exchange::Exchange;
use crate::exchange::fail::Fail;
use crate::http::method::Method;
use crate::http::status::Status;

/// The value of Allow, in which TRACE stands where the site answers it.
pub fn methods(ex: &Exchange) -> &'static str {
    match ex.site.settings.core.trace.or(Trace::Off) {
        Trace::Off => "GET,HEAD,POST,OPTIONS",
        Trace::On | Trace::Extended => "GET,HEAD,POST,OPTIONS,TRACE",
    }
}

/// Refuses what can be done with no file: 501 for a method that is not known, 405 for others. POST reads, as in Apache.
pub fn check(ex: &Exchange) -> Result<(), Fail> {
    let fail = match ex.method {
        Method::Get | Method::Head | Method::Post | Method::Options => return Ok(()),
        Method::Other => Fail::client(Status::NOT_IMPLEMENTED, "method not known"),
        _ => Fail::client(Status::METHOD_NOT_ALLOWED, "a plain file can only be read"),
    };
    Err(fail.with_field("Allow", methods(ex)))
}

/// What a rule or a redirect of the site says without a place to go to. With 405 goes what may be asked otherwise (RFC 9110
/// section 15.5.6 has it so; Apache names TRACE): all but the method that was just refused.
pub fn refusal(ex: &Exchange, status: Status, note: impl Into<String>) -> Fail {
    let fail = Fail::client(status, note);
    if status != Status::METHOD_NOT_ALLOWED {
        return fail;
    }
    let refused = |method: &&str| match ex.method {
        Method::Get => matches!(*method, "GET" | "HEAD"),
        _ => method.as_bytes() == ex.head.method_bytes(),
    };
    let others: Vec<&str> = methods(ex).split(',').filter(|method| !refused(method)).collect();
    fail.with_field("Allow", others.join(","))
}
