//! Tests: conversations with an application that a test plays, and what becomes of the connections.

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::fastcgi::{Conversation, values};
use super::pool::{Agreed, Keep, NoLease, Pool, Which};
use super::waiting::STARVING;
use super::wire::{Repeatable, Trouble};
use crate::config::backends::Address;
use crate::gateway::fastcgi::answers::{Answer, Fault};
use crate::gateway::fastcgi::record::{self, Connection, Message, ProtocolStatus, RecordReader, Role, Stream};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(30);

const AGREED: Agreed = Agreed {
    keep: Keep::Yes,
    connect: LONG,
    acquire: LONG,
    retry: Duration::ZERO,
    most: 0,
    idle: LONG,
    tls: None,
    handshake: Duration::from_secs(10),
};

/// A socket of a test, and the pool of connections to it.
struct Place {
    path: PathBuf,
    listener: UnixListener,
    pool: Arc<Pool>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.path);
    }
}

fn place() -> Place {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("lychgate-backend-{}-{number}", std::process::id()));
    let address = Address::Unix(path.to_str().expect("text").as_bytes().to_vec());
    Place {
        listener: UnixListener::bind(&path).expect("nobody else has it"),
        path,
        pool: Arc::new(Pool::new(address)),
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("it starts");
    runtime.block_on(async { tokio::time::timeout(LONG, test).await.expect("in time") });
}

const VARIABLES: &[(&[u8], &[u8])] = &[(b"SCRIPT_NAME", b"/x"), (b"EMPTY", b"")];

impl Place {
    async fn conversation(&self, which: Which, silence: Duration) -> Conversation {
        let lease = self.pool.lease(&AGREED, which).await.expect("it listens");
        let variables = VARIABLES.iter().map(|(name, value)| (*name, *value));
        Conversation::begin(lease, Role::Responder, variables, silence)
    }

    async fn accepted(&self) -> Application {
        let (stream, _) = self.listener.accept().await.expect("somebody connects");
        Application {
            stream,
            reader: RecordReader::new(),
            unread: Bytes::new(),
        }
    }
}

/// The test as an application.
struct Application {
    stream: UnixStream,
    reader: RecordReader,
    unread: Bytes,
}

impl Application {
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.reader.next(&mut self.unread).expect("records") {
                return Some(message);
            }
            let mut buffer = BytesMut::with_capacity(4096);
            if self.stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
            self.unread = buffer.freeze();
        }
    }

    /// Reads a request to its end; what came on standard input.
    async fn request(&mut self) -> Vec<u8> {
        let mut stdin = Vec::new();
        loop {
            match self.next().await.expect("the request goes on") {
                Message::Bytes {
                    stream: Stream::Stdin,
                    bytes,
                    ..
                } => stdin.extend_from_slice(&bytes),
                Message::StreamEnd {
                    stream: Stream::Stdin, ..
                } => return stdin,
                _ => {}
            }
        }
    }

    async fn say(&mut self, make: impl Fn(&mut Vec<u8>)) {
        let mut out = Vec::new();
        make(&mut out);
        self.stream.write_all(&out).await.expect("it is read");
    }

    async fn reply(&mut self, text: &[u8]) {
        self.say(|out| {
            record::stream(out, 1, Stream::Stdout, text);
            record::stream_header(out, 1, Stream::Stdout, 0);
            record::end(out, 1, 0, ProtocolStatus::Complete);
        })
        .await;
    }
}

async fn answer(conversation: &mut Conversation) -> Result<Answer, Trouble> {
    poll_fn(|cx| conversation.poll_answer(cx)).await
}

/// All output up to the end.
async fn output(conversation: &mut Conversation) -> Vec<u8> {
    let mut output = Vec::new();
    loop {
        match answer(conversation).await.expect("no trouble") {
            Answer::Output(bytes) => output.extend_from_slice(&bytes),
            Answer::End(_) => return output,
            Answer::OutputEnd | Answer::Errors(_) => {}
        }
    }
}

#[test]
fn a_request_is_told_whole_and_its_connection_is_kept() {
    run(async {
        let place = place();
        let mut one = place.conversation(Which::Any, LONG).await;
        one.put(&Bytes::from_static(b"body"));
        one.put_end();
        let application = async {
            let mut application = place.accepted().await;
            let begin = Message::Begin {
                id: 1,
                role: Role::Responder,
                connection: Connection::Keep,
            };
            assert_eq!(application.next().await, Some(begin));
            let Some(Message::Bytes { bytes, .. }) = application.next().await else {
                panic!("params")
            };
            assert_eq!(&bytes[..], b"\x0b\x02SCRIPT_NAME/x\x05\x00EMPTY");
            assert_eq!(application.request().await, b"body");
            application.reply(b"one").await;
            assert_eq!(application.request().await, b"");
            application.reply(b"two").await;
            application
        };
        let client = async {
            assert_eq!(output(&mut one).await, b"one");
            one.end();
            assert_eq!(place.pool.kept(), 1);
            let mut two = place.conversation(Which::Any, LONG).await;
            two.put_end();
            assert_eq!(place.pool.kept(), 0);
            assert_eq!(output(&mut two).await, b"two");
            two.end();
            assert_eq!(place.pool.kept(), 1);
        };
        let (application, ()) = tokio::join!(application, client);
        // Its end is noticed.
        drop(application);
        place.pool.sweep();
        assert_eq!(place.pool.kept(), 0);
    });
}

#[test]
fn a_kept_connection_that_was_closed_or_talked_on_is_not_used() {
    run(async {
        let place = place();
        for speaks in [true, false] {
            let mut one = place.conversation(Which::Any, LONG).await;
            one.put_end();
            let mut application = place.accepted().await;
            application.request_begun(&mut one).await;
            application.reply(b"one").await;
            assert_eq!(output(&mut one).await, b"one");
            one.end();
            assert_eq!(place.pool.kept(), 1);
            if speaks {
                application.say(|out| record::unknown_type(out, 1)).await;
            } else {
                drop(application);
            }
            let two = place.conversation(Which::Any, LONG).await;
            assert_eq!(two.repeatable(), Repeatable::No, "it is a new one");
            let _its_end = place.accepted().await;
        }
    });
}

#[test]
fn a_kept_connection_holds_no_process_that_a_request_waits_for() {
    run(async {
        let place = place();
        // The application serves one connection at a time, and goes on with the next when this one ends.
        let serve = async {
            for text in [b"one", b"two", b"one", b"two"] {
                let mut application = place.accepted().await;
                application.request().await;
                application.reply(text).await;
                assert_eq!(application.next().await, None);
            }
        };
        let ask = async {
            // What is kept is closed once the second has waited; when that is known, none is kept in the first place.
            for kept in [1, 0] {
                let mut one = place.conversation(Which::Any, LONG).await;
                one.put_end();
                let mut two = place.conversation(Which::New, LONG).await;
                two.put_end();
                assert_eq!(output(&mut one).await, b"one");
                one.end();
                assert_eq!(place.pool.kept(), kept);
                assert_eq!(output(&mut two).await, b"two");
                assert_eq!(place.pool.kept(), 0);
                two.end();
                assert_eq!(place.pool.kept(), 1);
                place.pool.forget();
            }
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn a_client_that_takes_its_time_waits_for_no_process() {
    run(async {
        let place = place();
        let serve = async {
            let mut first = place.accepted().await;
            first.request().await;
            first.reply(b"one").await;
            (first, place.accepted().await)
        };
        let ask = async {
            let mut one = place.conversation(Which::Any, LONG).await;
            one.put_end();
            assert_eq!(output(&mut one).await, b"one");
            one.end();
            let mut two = place.conversation(Which::New, LONG).await;
            let uploading = poll_fn(|cx| {
                two.excuse_silence();
                two.poll_answer(cx)
            });
            assert!(tokio::time::timeout(3 * STARVING, uploading).await.is_err());
            assert_eq!(place.pool.kept(), 1);
            // It has said all, and now it does.
            two.put_end();
            tokio::select! {
                other = answer(&mut two) => panic!("{other:?}"),
                () = async { while place.pool.kept() > 0 { tokio::task::yield_now().await } } => {}
            }
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn who_waits_for_a_process_takes_over_its_connection() {
    run(async {
        let place = place();
        let serve = async {
            let mut application = place.accepted().await;
            for text in [b"one", b"two"] {
                application.request().await;
                application.reply(text).await;
            }
        };
        let ask = async {
            place.pool.waiting.are_few();
            let mut one = place.conversation(Which::Any, LONG).await;
            one.put_end();
            assert_eq!(output(&mut one).await, b"one");
            let sees_if_there_are_more = place.pool.waiting.for_another().await;
            assert!(sees_if_there_are_more.is_none());
            let (mut two, ()) = tokio::join!(place.conversation(Which::Any, LONG), async { one.end() });
            two.put_end();
            assert_eq!(output(&mut two).await, b"two");
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn what_is_not_read_does_not_keep_an_answer_back() {
    run(async {
        let place = place();
        let mut one = place.conversation(Which::Any, LONG).await;
        let mut application = place.accepted().await;
        // More than sockets hold.
        let chunk = Bytes::from(vec![b'x'; 1 << 20]);
        one.put(&chunk);
        assert!(!one.wants_input());
        application.reply(b"early").await;
        assert_eq!(output(&mut one).await, b"early");
        one.end();
        assert_eq!(place.pool.kept(), 0, "the rest of its input is still under way");
    });
}

#[test]
fn a_stale_connection_lets_its_request_be_told_again() {
    run(async {
        let place = place();
        let mut one = place.conversation(Which::Any, LONG).await;
        one.put_end();
        let mut application = place.accepted().await;
        application.request_begun(&mut one).await;
        application.reply(b"one").await;
        output(&mut one).await;
        one.end();
        let mut two = place.conversation(Which::Any, LONG).await;
        assert_eq!(two.repeatable(), Repeatable::Yes);
        two.put_end();
        let read_and_die = async {
            application.request().await;
            drop(application);
        };
        let (trouble, ()) = tokio::join!(answer(&mut two), read_and_die);
        assert!(
            matches!(trouble, Err(Trouble::Fault(Fault::Closed) | Trouble::Io(_))),
            "{trouble:?}"
        );
        assert_eq!(two.repeatable(), Repeatable::IfIdempotent);
        // With a body that is gone, it may not be.
        let mut three = place.conversation(Which::New, LONG).await;
        three.put(&Bytes::from_static(b"x"));
        assert_eq!(three.repeatable(), Repeatable::No);
    });
}

/// Makes records, or what is none.
type Make = fn(&mut Vec<u8>);

#[test]
fn what_an_application_may_not_do_is_trouble() {
    run(async {
        let place = place();
        let faults: [(Make, &str); 5] = [
            (
                |out| out.extend_from_slice(b"\x07\x06\x00\x01\x00\x00\x00\x00"),
                "it sent a record of FastCGI version 7; there is only 1",
            ),
            (
                |out| record::stream(out, 2, Stream::Stdout, b"x"),
                "it sent a record of request 2, and only request 1 is open",
            ),
            (
                |out| out.extend_from_slice(b"\x01\x06\x00\x01\xff\xff\x00\x00too short"),
                "it closed the connection within a record",
            ),
            (
                |out| record::end(out, 1, 0, ProtocolStatus::Overloaded),
                "it is overloaded",
            ),
            (|_| {}, "it closed the connection before the end of the request"),
        ];
        for (make, told) in faults {
            let mut one = place.conversation(Which::Any, LONG).await;
            one.put_end();
            let mut application = place.accepted().await;
            application.request_begun(&mut one).await;
            application.say(make).await;
            drop(application);
            let trouble = loop {
                match answer(&mut one).await {
                    Ok(Answer::Output(_)) => {}
                    Ok(other) => panic!("{other:?}"),
                    Err(trouble) => break trouble,
                }
            };
            assert_eq!(trouble.to_string(), told);
        }
        let mut one = place.conversation(Which::Any, SHORT).await;
        one.put_end();
        let _says_nothing = place.accepted().await;
        let trouble = answer(&mut one).await.expect_err("it is silent");
        assert_eq!(trouble.to_string(), "it was silent for 30ms (ProxyTimeout)");
    });
}

impl Application {
    /// Reads what a client has sent by now, so that closing does not look like a reset.
    async fn request_begun(&mut self, client: &mut Conversation) {
        tokio::select! {
            _ = self.request() => {}
            other = answer(client) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_client_that_leaves_is_told_of() {
    run(async {
        let place = place();
        let mut one = place.conversation(Which::Any, LONG).await;
        one.put_end();
        let mut application = place.accepted().await;
        application.request_begun(&mut one).await;
        one.abort();
        assert_eq!(application.next().await, Some(Message::Abort { id: 1 }));
        assert_eq!(application.next().await, None);
    });
}

#[test]
fn what_cannot_be_reached_is_told_and_left_alone_where_that_was_asked_for() {
    run(async {
        let place = place();
        let nowhere = Arc::new(Pool::new(Address::Unix(b"/nonexistent/socket".to_vec())));
        for retry in [Duration::ZERO, LONG] {
            let agreed = Agreed { retry, ..AGREED };
            let refused = nowhere.lease(&agreed, Which::Any).await.expect_err("nobody is there");
            let told = refused.to_string();
            assert_eq!(matches!(refused, NoLease::Resting), retry == LONG, "{told}");
            assert!(
                matches!(refused, NoLease::Resting) || told.contains("No such file"),
                "{told}"
            );
        }
        // A queue that is full is waited for, as long as connecting may take.
        let mut waiting = Vec::new();
        let agreed = Agreed {
            connect: SHORT,
            ..AGREED
        };
        let refused = loop {
            match place.pool.lease(&agreed, Which::Any).await {
                Ok(lease) => waiting.push(lease),
                Err(refused) => break refused,
            }
            assert!(waiting.len() < 10_000, "the queue has no end");
        };
        assert!(matches!(refused, NoLease::TimedOut(SHORT)), "{refused}");
    });
}

#[test]
fn no_more_requests_are_there_than_may() {
    run(async {
        let place = place();
        let agreed = Agreed {
            most: 1,
            acquire: SHORT,
            ..AGREED
        };
        let one = place.pool.lease(&agreed, Which::Any).await.expect("it is the first");
        let refused = place.pool.lease(&agreed, Which::Any).await.expect_err("one is there");
        assert!(matches!(refused, NoLease::Busy(1)), "{refused}");
        let patient = Agreed {
            acquire: LONG,
            ..agreed
        };
        let (two, ()) = tokio::join!(place.pool.lease(&patient, Which::Any), async { drop(one) });
        two.expect("the first has ended");
    });
}

#[test]
fn tcp_is_reached_by_address_and_by_name() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback works");
        let port = listener.local_addr().expect("it listens").port();
        for host in ["127.0.0.1", "localhost"] {
            let pool = Arc::new(Pool::new(Address::Tcp {
                host: host.to_owned(),
                port,
            }));
            let lease = pool.lease(&AGREED, Which::Any).await;
            lease
                .map(drop)
                .map_err(|error| io::Error::other(error.to_string()))
                .expect(host);
        }
    });
}

#[test]
fn an_application_says_what_it_is_asked_about_itself() {
    run(async {
        let place = place();
        let names = ["FCGI_MAX_CONNS", "FCGI_MPXS_CONNS"];
        let ask = async |silence| {
            let lease = place.pool.lease(&AGREED, Which::New).await.expect("it listens");
            values(lease, &names, silence).await
        };
        let (said, ()) = tokio::join!(ask(LONG), async {
            let mut application = place.accepted().await;
            let asked = application.next().await;
            let expected = names.map(|name| (name.as_bytes().to_vec(), Vec::new())).to_vec();
            assert_eq!(asked, Some(Message::GetValues(expected)));
            application
                .say(|out| record::values(out, &[(b"FCGI_MAX_CONNS", b"7")]))
                .await;
        });
        assert_eq!(said.expect("it answers"), [(b"FCGI_MAX_CONNS".to_vec(), b"7".to_vec())]);
        let (said, ()) = tokio::join!(ask(LONG), async {
            let mut application = place.accepted().await;
            application.next().await;
            application.say(|out| record::unknown_type(out, 9)).await;
        });
        assert_eq!(said.expect("it answers"), []);
        for (bytes, why) in [
            (&b""[..], "it closed the connection before the end of the request"),
            (b"\x01\x0a\0\0\0\x08", "it closed the connection within a record"),
            (
                b"HTTP/1.1 400 Bad Request\r\n",
                "it sent a record of FastCGI version 72; there is only 1",
            ),
            (
                b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0",
                "it sent a record that nobody asked for",
            ),
        ] {
            let (said, ()) = tokio::join!(ask(LONG), async {
                let mut application = place.accepted().await;
                application.next().await;
                application.say(|out| out.extend_from_slice(bytes)).await;
            });
            assert_eq!(said.expect_err("no answer").to_string(), why);
        }
        let (said, _silent) = tokio::join!(ask(SHORT), place.accepted());
        assert!(matches!(said, Err(Trouble::Silent(SHORT))), "{said:?}");
    });
}
