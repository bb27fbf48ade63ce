//! Asks an OCSP responder (RFC 6960 appendix A.1), over a connection of its own.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::method::Method;
use crate::http::received::{BadLine, BodyEnd, HeadReader, Received};
use crate::http::status::Status;
use crate::tls::responder::Responder;

/// A longer answer is none. Those of the authorities have 500 to 3,000 bytes. No directive moves it.
const LONGEST: usize = 64 * 1024;

/// So many bytes a head may have, and a line of it. No directive moves it.
const HEAD: usize = 16 * 1024;

/// What a responder answers to a question, of which nothing is known but its length. The caller bounds the time; an error is a
/// sentence.
pub async fn ask(responder: &Responder, question: &[u8]) -> Result<Vec<u8>, String> {
    let host = responder.host.as_str();
    let found = tokio::net::lookup_host((host, responder.port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(|error| format!("{host}: {error}"))?.collect();
    let broken = |error: io::Error| error.to_string();
    let mut stream = connected(&addresses).await.map_err(broken)?;
    stream.write_all(&responder.post(question)).await.map_err(broken)?;
    let mut reader = HeadReader::new(HEAD, BadLine::LeftOut);
    let mut input = Vec::new();
    let (received, head) = loop {
        match reader.parse(&input).map_err(|error| error.to_string())? {
            Some(whole) => break whole,
            None if input.len() > HEAD => return Err("the head of its answer is too long".to_owned()),
            None => more(&mut stream, &mut input).await?,
        }
    };
    let length = judged(&received)?;
    input.drain(..head);
    loop {
        if input.len() > LONGEST {
            return Err(format!("its answer has more than {LONGEST} bytes"));
        }
        match length {
            Some(length) if input.len() >= length => {
                input.truncate(length);
                return Ok(input);
            }
            Some(_) => more(&mut stream, &mut input).await?,
            None if stream.read_buf(&mut input).await.map_err(broken)? == 0 => return Ok(input),
            None => {}
        }
    }
}

async fn connected(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn more(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<(), String> {
    match stream.read_buf(input).await {
        Ok(0) => Err("it closed the connection before its answer was whole".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// How long the body is that is an answer, where it is said.
fn judged(received: &Received) -> Result<Option<usize>, String> {
    let status = received.head.status;
    if status != Status::OK {
        return Err(format!("it answered with the status {} of HTTP", status.code()));
    }
    match received.body_end(Method::Post) {
        Ok(BodyEnd::Close) => Ok(None),
        Ok(BodyEnd::Length(length)) => match usize::try_from(length).ok().filter(|length| *length <= LONGEST) {
            Some(length) => Ok(Some(length)),
            None => Err(format!("its answer has {length} bytes, more than {LONGEST}")),
        },
        Ok(BodyEnd::NoBody) => Ok(Some(0)),
        Ok(BodyEnd::Chunked) => Err("its answer is in chunks, which HTTP/1.0 does not know".to_owned()),
        Err(_) => Err("where its answer ends cannot be told".to_owned()),
    }
}
