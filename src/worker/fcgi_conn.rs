//! The connection loop of `lychgate fcgiwrap`: requests come in FastCGI records, one after the other, and what their scripts
//! answer goes back in records. The client is a web server.

mod input;
mod output;
mod stderr;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use crate::base::quote;
use crate::exchange::body::RequestBody;
use crate::exchange::fail::{Blame, Fail, Reply};
use crate::gateway::fastcgi::record::{Connection, ProtocolStatus};
use crate::gateway::fastcgi::requests::{Request, Room};
use crate::gateway::fastcgi::script::Variables;
use crate::handlers::cgi::wrapped::{self, Answer, Means, Wrapped};
use crate::http::status::Status;
use crate::lang::log_level::Level;
use crate::log::error::{Entry, Message};
use crate::net::stream::Stream;
use crate::scripts::notes;
use crate::worker::accept::Counted;
use crate::worker::crowd::Awaits;
use crate::worker::fcgi_conn::input::{Input, Loss, Next};
use crate::worker::fcgi_conn::output::{Cut, Output};
use crate::worker::fcgi_conn::stderr::Complaints;
use crate::worker::thread::{Errors, Thread};

/// How long a closed connection may be silent while its client still sends.
const LINGER_SILENCE: Duration = Duration::from_secs(2);
/// How long it may go on sending.
const LINGER: Duration = Duration::from_secs(30);

/// Serves a connection until it closes.
pub fn run(connection: FcgiConn) -> impl Future<Output = ()> {
    let mut connection = connection;
    async move { connection.serve_all().await }
}

/// A connection at work.
pub struct FcgiConn {
    thread: Rc<Thread>,
    stream: Rc<Stream>,
    input: Rc<RefCell<Input>>,
    output: Output,
    errors: Errors,
    requests: u32,
    _counted: Counted,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Close,
    /// The answer was cut, or there is nobody to hear it.
    Drop,
}

impl FcgiConn {
    /// A connection that was just accepted; `errors` is where scripts' error output goes.
    pub fn new(thread: Rc<Thread>, counted: Counted, stream: Stream, errors: Errors) -> FcgiConn {
        let stream = Rc::new(stream);
        let timeout = timeout(&thread);
        let room = Room {
            connections: thread.idlers.crowd().most(),
            requests: thread.scripts.slots().most(),
        };
        FcgiConn {
            input: Rc::new(RefCell::new(Input::new(&stream, room, timeout))),
            output: Output::new(Rc::clone(&stream), timeout),
            stream,
            thread,
            errors,
            requests: 0,
            _counted: counted,
        }
    }

    async fn serve_all(&mut self) {
        loop {
            // A client that always has the next request ready must not keep the thread from the others.
            tokio::task::consume_budget().await;
            let then = match self.next().await {
                Next::Request(request) => self.serving(request).await,
                Next::Answers(connection) => self.answer(connection).await,
                Next::Lost(loss) => {
                    self.tell_loss(loss);
                    Then::Drop
                }
            };
            match then {
                Then::GoOn => {}
                Then::Close => return Box::pin(self.linger()).await,
                Then::Drop => return,
            }
        }
    }

    /// Boxed, so that a connection without a request has no room for one.
    fn serving(&mut self, request: Request) -> Pin<Box<dyn Future<Output = Then> + '_>> {
        Box::pin(self.request(request))
    }

    /// What comes next. A client may be silent between two requests as long as it likes; what it has begun to say it must
    /// say within Timeout.
    async fn next(&mut self) -> Next {
        let mut said = false;
        while !said {
            let _idle = self.input.borrow().is_idle().then(|| {
                let awaits = if self.requests > 0 { Awaits::Next } else { Awaits::First };
                self.thread.idlers.enter(&self.stream, awaits, Instant::now())
            });
            let next = poll_fn(|cx| {
                let mut input = self.input.borrow_mut();
                let next = input.poll_next(cx);
                said = next.is_pending() && !input.is_idle();
                match next {
                    Poll::Pending if !said => Poll::Pending,
                    Poll::Pending => Poll::Ready(None),
                    Poll::Ready(next) => Poll::Ready(Some(next)),
                }
            });
            if let Some(next) = next.await {
                return next;
            }
        }
        let mut rest = pin!(poll_fn(|cx| self.input.borrow_mut().poll_next(cx)));
        let rest = tokio::time::timeout(timeout(&self.thread), &mut rest).await;
        rest.unwrap_or(Next::Lost(Loss::Closed))
    }

    /// Sends what the protocol wants answered.
    async fn answer(&mut self, connection: Connection) -> Then {
        self.output
            .append(&std::mem::take(&mut self.input.borrow_mut().answers));
        match self.output.flush().await {
            Ok(()) => self.behind(connection),
            Err(Cut) => Then::Drop,
        }
    }

    fn behind(&self, connection: Connection) -> Then {
        if connection == Connection::Close || self.thread.drain.is_asked() {
            Then::Close
        } else {
            Then::GoOn
        }
    }

    async fn request(&mut self, request: Request) -> Then {
        let Request { id, connection, params } = request;
        self.requests = self.requests.saturating_add(1);
        self.output.begin(id);
        let complaints = Rc::new(Complaints::new(
            Rc::clone(&self.thread.logs) as Rc<dyn notes::Logs>,
            self.errors,
        ));
        poll_fn(|cx| {
            self.input.borrow_mut().look(cx);
            Poll::Ready(())
        })
        .await;
        let answer = match Variables::of(params) {
            Ok(variables) => self.run(variables, &complaints).await,
            Err(unfit) => Err(Fail::client(Status::BAD_REQUEST, unfit.to_string())),
        };
        let sent = match answer {
            Ok(answer) => self.send(answer, &complaints).await,
            Err(Fail::Reply(fail)) => self.refuse(&fail, &complaints).await,
            Err(Fail::ClientGone) => Err(Cut),
        };
        let loss = self.input.borrow().loss();
        self.input.borrow_mut().answered();
        match (sent, loss) {
            (Ok(()), None | Some(Loss::Aborted | Loss::Closed)) => self.behind(connection),
            // Section 5.4: what is told to a client that has lost interest, it passes over.
            (Err(Cut), Some(Loss::Aborted)) => self.finish(0, connection).await,
            (Ok(()) | Err(Cut), Some(loss)) => {
                self.tell_loss(loss);
                Then::Drop
            }
            (Err(Cut), None) => Then::Drop,
        }
    }

    /// Runs the script that is asked for. Other questions are answered meanwhile.
    async fn run(&mut self, variables: Variables, complaints: &Rc<Complaints>) -> Result<Answer, Fail> {
        let client = wrapped::client(&variables);
        let thread = Rc::clone(&self.thread);
        let means = Means {
            config: thread.config,
            site: thread.main_site(),
            scripts: &thread.scripts,
            logs: Rc::clone(complaints) as Rc<dyn notes::Logs>,
        };
        let asked = Wrapped {
            variables,
            body: RequestBody::new(Rc::clone(&self.input) as Rc<RefCell<_>>),
            unique_id: thread.unique_id(SystemTime::now()),
        };
        let mut running = pin!(wrapped::run(asked, &means));
        let answer = loop {
            let answer = poll_fn(|cx| match running.as_mut().poll(cx) {
                Poll::Pending if self.input.borrow().answers.is_empty() => Poll::Pending,
                Poll::Pending => Poll::Ready(None),
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
            });
            match answer.await {
                Some(answer) => break answer,
                None if self.flush(complaints).await.is_err() => return Err(Fail::ClientGone),
                None => {}
            }
        };
        if let Err(Fail::Reply(fail)) = &answer {
            self.record(fail, client);
        }
        answer
    }

    /// Ends a request whose client has lost interest.
    async fn finish(&mut self, status: u32, connection: Connection) -> Then {
        self.output.end(status, ProtocolStatus::Complete);
        match self.output.flush().await {
            Ok(()) => self.behind(connection),
            Err(Cut) => Then::Drop,
        }
    }

    /// Sends a script's answer. What is there at once goes out at once, in as few writes as it needs.
    async fn send(&mut self, mut answer: Answer, complaints: &Complaints) -> Result<(), Cut> {
        self.output.stdout(&answer.head);
        loop {
            let at_once = poll_fn(|cx| Poll::Ready(answer.poll_document(cx))).await;
            let chunk = match at_once {
                Poll::Ready(chunk) => chunk,
                Poll::Pending => {
                    self.flush(complaints).await?;
                    let wait = poll_fn(|cx| {
                        if let Poll::Ready(chunk) = answer.poll_document(cx) {
                            return Poll::Ready(Some(chunk));
                        }
                        let has_more = complaints.poll(cx).is_ready() || !self.input.borrow().answers.is_empty();
                        if has_more { Poll::Ready(None) } else { Poll::Pending }
                    });
                    match wait.await {
                        Some(chunk) => chunk,
                        None => continue,
                    }
                }
            };
            match chunk {
                Some(Ok(bytes)) => self.pass_on(&bytes, complaints).await?,
                // Without an end the client sees that something is missing.
                Some(Err(_broken)) => {
                    self.flush(complaints).await?;
                    return Err(Cut);
                }
                None => break,
            }
        }
        if !answer.has_ended() {
            self.flush(complaints).await?;
        }
        let status = answer.status().await;
        self.output.stderr(&complaints.take());
        self.output.end(status, ProtocolStatus::Complete);
        self.flush(complaints).await
    }

    async fn pass_on(&mut self, bytes: &Bytes, complaints: &Complaints) -> Result<(), Cut> {
        self.output.stdout(bytes);
        if self.output.is_full() {
            self.flush(complaints).await?;
        }
        Ok(())
    }

    /// Sends what has been collected, errors and answers to other questions first.
    async fn flush(&mut self, complaints: &Complaints) -> Result<(), Cut> {
        self.output.stderr(&complaints.take());
        let answers = std::mem::take(&mut self.input.borrow_mut().answers);
        self.output.append(&answers);
        self.output.flush().await
    }

    /// Answers a request that no script did.
    async fn refuse(&mut self, fail: &Reply, complaints: &Complaints) -> Result<(), Cut> {
        self.output.stdout(&wrapped::page(fail));
        self.output.stderr(&complaints.take());
        self.output.end(0, ProtocolStatus::Complete);
        self.flush(complaints).await
    }

    fn record(&self, fail: &Reply, client: std::net::SocketAddr) {
        if fail.note.is_empty() {
            return;
        }
        let level = match fail.blame {
            Blame::Client => Level::Info,
            Blame::Site | Blame::Script | Blame::Backend | Blame::Server => Level::Error,
        };
        let site = self.thread.main_site();
        let entry = Entry {
            level,
            module: fail.module,
            client: Some(client),
            referer: None,
            request: None,
            os_error: None,
            message: Message::Text(format_args!("{}", fail.note)),
        };
        self.thread
            .logs
            .error_of(site)
            .record(&site.base.core.log_level, &entry);
    }

    fn tell_loss(&self, loss: Loss) {
        if let Loss::Fault(fault) = loss {
            let fault = fault.to_string();
            let mut shown = Vec::new();
            quote::escape_error_log(&mut shown, fault.as_bytes());
            let shown = String::from_utf8_lossy(&shown);
            self.thread
                .note(Level::Error, format_args!("a client is no FastCGI client: {shown}"));
        }
    }

    /// Closes; a client that still sends hears the last answer before it sees the end.
    async fn linger(&mut self) {
        self.stream.shut_down_sending();
        let longest = if self.thread.drain.is_asked() {
            LINGER_SILENCE
        } else {
            LINGER
        };
        let over = Instant::now() + longest;
        while Instant::now() < over {
            let more = poll_fn(|cx| self.input.borrow_mut().poll_discard(cx));
            match tokio::time::timeout(LINGER_SILENCE, more).await {
                Ok(true) => tokio::task::consume_budget().await,
                Ok(false) | Err(_) => return,
            }
        }
    }
}

fn timeout(thread: &Thread) -> Duration {
    thread.main_site().settings.core.timeout.or(Duration::from_secs(60))
}
