//! Conversations with a server that a test plays: what any cut of its words comes to, and what becomes of the connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::{Answer, Conversation, Expects, Order, Trouble};
use crate::backend::conversation::Talks;
use crate::backend::pool::{Agreed, Keep, Pool, Which};
use crate::backend::wire::Repeatable;
use crate::config::backends::Address;
use crate::http::framing::Framing;
use crate::http::method::Method;
use crate::http::received::BadLine;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

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

const HEAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// What the other side does behind its words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Stay,
    Close,
}

fn order(framing: Framing) -> Order {
    Order {
        head: Bytes::from_static(HEAD),
        method: Method::Get,
        framing,
        expects: Expects::Nothing,
        silence: LONG,
        line_limit: 8192,
        bad_line: BadLine::Refused,
    }
}

/// What a server's words in these pieces come to, and how many connections are kept behind them.
fn told(pieces: &[&[u8]], then: Then) -> (String, usize) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("lychgate-http-{}-{number}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("it starts");
    let told = runtime.block_on(async {
        let listener = UnixListener::bind(&path).expect("nobody else has it");
        let address = Address::Unix(path.to_str().expect("text").as_bytes().to_vec());
        let pool = Arc::new(Pool::new(address));
        let lease = pool.lease(&AGREED, Which::Any).await.expect("it listens");
        let (mut server, _) = listener.accept().await.expect("somebody connects");
        let mut conversation = Conversation::begin(lease, order(Framing::None));
        conversation.put_end();
        let (mut said, mut pieces) = (Vec::new(), pieces.iter());
        loop {
            let answer = poll_fn(|cx| Poll::Ready(conversation.poll_answer(cx))).await;
            let answer = match answer {
                Poll::Ready(answer) => answer,
                Poll::Pending => {
                    if let Some(piece) = pieces.next() {
                        server.write_all(piece).await.expect("it is read");
                        tokio::task::yield_now().await;
                        continue;
                    }
                    if then == Then::Close {
                        server.shutdown().await.expect("it is there");
                    }
                    poll_fn(|cx| conversation.poll_answer(cx)).await
                }
            };
            match answer {
                Ok(Answer::Interim(received)) => said.push(format!("{} ", received.head.status)),
                Ok(Answer::Head(received, end)) => said.push(format!("{} {end:?} ", received.head.status)),
                Ok(Answer::Switched(_)) => return (said.concat() + "switched", 0),
                Ok(Answer::Data(bytes)) => said.push(String::from_utf8(bytes.to_vec()).expect("text")),
                Ok(Answer::End) => {
                    said.push("|".to_owned());
                    let trailer = conversation.take_trailer();
                    for (name, value) in trailer.iter() {
                        said.push(format!("{}={}", name.escape_ascii(), value.escape_ascii()));
                    }
                    conversation.end();
                    return (said.concat(), pool.kept());
                }
                Err(trouble) => return (said.concat() + &trouble.to_string(), pool.kept()),
            }
        }
    });
    let _gone_already = std::fs::remove_file(&path);
    told
}

#[test]
fn any_cut_of_a_response_comes_to_the_same() {
    for (words, then, want, kept) in [
        (
            "HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            Then::Stay,
            "103 200 Length(5) hello|",
            1,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n",
            Then::Stay,
            "200 Chunked abc|X=y",
            1,
        ),
        ("HTTP/1.1 204 No\r\n\r\n", Then::Stay, "204 NoBody |", 1),
        (
            "HTTP/1.1 200 OK\r\n\r\nto the end",
            Then::Close,
            "200 Close to the end|",
            0,
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Then::Stay,
            "200 Length(2) ok|",
            0,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            Then::Stay,
            "200 Length(2) ok|",
            0,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            Then::Close,
            "200 Length(9) helloit closed the connection in the middle of its response",
            0,
        ),
        (
            "HTTP/1.1 200 OK\r\nA: ",
            Then::Close,
            "it closed the connection in the middle of its response",
            0,
        ),
        ("HTTP/1.1 101 S\r\n\r\nmore", Then::Stay, "switched", 0),
    ] {
        for at in 0..=words.len() {
            let (head, tail) = words.as_bytes().split_at(at);
            let pieces: Vec<&[u8]> = [head, tail].into_iter().filter(|piece| !piece.is_empty()).collect();
            assert_eq!(told(&pieces, then), (want.to_owned(), kept), "{words:?} cut at {at}");
        }
    }
}

#[test]
fn bytes_behind_a_response_end_the_connection() {
    let (said, kept) = told(
        &[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"],
        Then::Stay,
    );
    assert_eq!((said.as_str(), kept), ("200 Length(2) ok|", 0));
}

#[test]
fn what_is_lost_on_a_kept_connection_may_be_told_again_if_nothing_of_its_body_is() {
    let path = std::env::temp_dir().join(format!("lychgate-http-again-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("it starts");
    runtime.block_on(async {
        let listener = UnixListener::bind(&path).expect("nobody else has it");
        let address = Address::Unix(path.to_str().expect("text").as_bytes().to_vec());
        let pool = Arc::new(Pool::new(address));
        for (framing, body, want) in [
            (Framing::None, &b""[..], Repeatable::IfIdempotent),
            (Framing::Length(4), b"body", Repeatable::No),
        ] {
            let lease = pool.lease(&AGREED, Which::Any).await.expect("it listens");
            let (mut server, _) = listener.accept().await.expect("somebody connects");
            let mut first = Conversation::begin(lease, order(Framing::None));
            first.put_end();
            server
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await
                .expect("it is read");
            while !matches!(poll_fn(|cx| first.poll_answer(cx)).await, Ok(Answer::End)) {}
            first.end();
            assert_eq!(pool.kept(), 1);
            let lease = pool.lease(&AGREED, Which::Any).await.expect("it is kept");
            let mut second = Conversation::begin(lease, order(framing));
            second.put(&Bytes::from_static(body));
            second.put_end();
            // What both said is read, so that the end is no reset.
            let mut said = vec![0; 2 * HEAD.len() + body.len()];
            {
                let mut reading = std::pin::pin!(server.read_exact(&mut said));
                let read = poll_fn(|cx| {
                    assert!(second.poll_answer(cx).is_pending(), "nobody has answered");
                    reading.as_mut().poll(cx)
                });
                read.await.expect("it was written");
            }
            drop(server);
            let answer = poll_fn(|cx| second.poll_answer(cx)).await;
            assert!(matches!(answer, Err(Trouble::Closed | Trouble::Wire(_))), "{answer:?}");
            assert_eq!(second.repeatable(), want, "{framing:?}");
        }
    });
    let _gone_already = std::fs::remove_file(&path);
}
