//! Tests: the messages of the specification's appendix B, every cut of them, and what applications get wrong.

use bytes::Bytes;

use super::answers::{Answer, Answers, Fault};
use super::params::{self, MAX_PARAMS, Pair, ParamsError, ParamsReader};
use super::record::{self, Connection, MAX_CONTENT, Message, ProtocolStatus, RecordError, RecordReader, Role, Stream};
use crate::base::testing::{Dice, every_cut};

/// The two pairs that appendix B shows, in its octal notation.
const TWO_PAIRS: &[u8] = b"\x0b\x02SERVER_PORT80\x0b\x0eSERVER_ADDR199.170.183.42";

fn pairs(list: &[(&str, &str)]) -> Vec<Pair> {
    list.iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

/// All messages of `bytes`, parts of one stream joined; and whether they end with a record.
fn messages(pieces: &[&[u8]]) -> Result<(Vec<Message>, bool), RecordError> {
    let mut reader = RecordReader::new();
    let mut messages: Vec<Message> = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        while let Some(message) = reader.next(&mut input)? {
            let joined = match (messages.last_mut(), &message) {
                (
                    Some(Message::Bytes { id, stream, bytes }),
                    Message::Bytes {
                        id: next_id,
                        stream: next,
                        bytes: more,
                    },
                ) if id == next_id && stream == next => {
                    *bytes = Bytes::from([&bytes[..], &more[..]].concat());
                    true
                }
                _ => false,
            };
            if !joined {
                messages.push(message);
            }
        }
        assert!(input.is_empty(), "what was not asked for stays");
    }
    Ok((messages, reader.is_between_records()))
}

fn bytes_of(id: u16, stream: Stream, text: &'static str) -> Message {
    Message::Bytes {
        id,
        stream,
        bytes: Bytes::from_static(text.as_bytes()),
    }
}

fn complete(id: u16, application: u32) -> Message {
    Message::End {
        id,
        application,
        protocol: ProtocolStatus::Complete,
    }
}

/// Appendix B, the second example: a request with data on standard input, and its reply.
#[test]
fn a_typical_request_is_as_in_appendix_b() {
    let mut client = Vec::new();
    record::begin(&mut client, 1, Role::Responder, Connection::Close);
    let mut content = Vec::new();
    assert!(params::append(&mut content, b"SERVER_PORT", b"80"));
    assert!(params::append(&mut content, b"SERVER_ADDR", b"199.170.183.42"));
    assert_eq!(content, TWO_PAIRS);
    record::stream(&mut client, 1, Stream::Params, &content);
    record::stream_header(&mut client, 1, Stream::Params, 0);
    record::stream(&mut client, 1, Stream::Stdin, b"quantity=100&item=3047936");
    record::stream_header(&mut client, 1, Stream::Stdin, 0);
    let text = [
        &b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"[..],
        b"\x01\x04\x00\x01\x00\x2a\x00\x00",
        TWO_PAIRS,
        b"\x01\x04\x00\x01\x00\x00\x00\x00",
        b"\x01\x05\x00\x01\x00\x19\x00\x00quantity=100&item=3047936",
        b"\x01\x05\x00\x01\x00\x00\x00\x00",
    ]
    .concat();
    assert_eq!(client, text);
    let expected = vec![
        Message::Begin {
            id: 1,
            role: Role::Responder,
            connection: Connection::Close,
        },
        Message::Bytes {
            id: 1,
            stream: Stream::Params,
            bytes: Bytes::from_static(TWO_PAIRS),
        },
        Message::StreamEnd {
            id: 1,
            stream: Stream::Params,
        },
        bytes_of(1, Stream::Stdin, "quantity=100&item=3047936"),
        Message::StreamEnd {
            id: 1,
            stream: Stream::Stdin,
        },
    ];
    every_cut(&client, |head, tail| {
        assert_eq!(messages(&[head, tail]), Ok((expected.clone(), true)));
    });
}

/// Appendix B, the third example (an error on standard error, status 938) and the fourth (two requests at once).
#[test]
fn typical_replies_are_as_in_appendix_b() {
    let mut application = Vec::new();
    record::stream(
        &mut application,
        1,
        Stream::Stdout,
        b"Content-type: text/html\r\n\r\n<ht",
    );
    record::stream(&mut application, 1, Stream::Stderr, b"config error: missing SI_UID\n");
    record::stream_header(&mut application, 1, Stream::Stdout, 0);
    record::stream_header(&mut application, 1, Stream::Stderr, 0);
    record::end(&mut application, 1, 938, ProtocolStatus::Complete);
    record::stream(&mut application, 2, Stream::Stdout, b"ml>\n");
    record::stream_header(&mut application, 2, Stream::Stdout, 0);
    record::end(&mut application, 2, 0, ProtocolStatus::Complete);
    let end_of_first = b"\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x03\xaa\x00\x00\x00\x00";
    assert!(application.windows(16).any(|window| window == end_of_first));
    let ended = |id, stream| Message::StreamEnd { id, stream };
    let expected = vec![
        bytes_of(1, Stream::Stdout, "Content-type: text/html\r\n\r\n<ht"),
        bytes_of(1, Stream::Stderr, "config error: missing SI_UID\n"),
        ended(1, Stream::Stdout),
        ended(1, Stream::Stderr),
        complete(1, 938),
        bytes_of(2, Stream::Stdout, "ml>\n"),
        ended(2, Stream::Stdout),
        complete(2, 0),
    ];
    every_cut(&application, |head, tail| {
        assert_eq!(messages(&[head, tail]), Ok((expected.clone(), true)));
    });
}

/// Section 4: management records, whose request id is 0.
#[test]
fn management_records_are_read_and_written() {
    let mut out = Vec::new();
    record::ask_values(&mut out, &["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"]);
    record::values(&mut out, &[(b"FCGI_MAX_CONNS", b"1"), (b"FCGI_MPXS_CONNS", b"0")]);
    record::unknown_type(&mut out, 99);
    record::abort(&mut out, 7);
    assert_eq!(out.get(..10), Some(&b"\x01\x09\x00\x00\x00\x30\x08\x00\x0e\x00"[..]));
    let expected = vec![
        Message::GetValues(pairs(&[
            ("FCGI_MAX_CONNS", ""),
            ("FCGI_MAX_REQS", ""),
            ("FCGI_MPXS_CONNS", ""),
        ])),
        Message::Values(pairs(&[("FCGI_MAX_CONNS", "1"), ("FCGI_MPXS_CONNS", "0")])),
        Message::UnknownType(99),
        Message::Abort { id: 7 },
    ];
    every_cut(&out, |head, tail| {
        assert_eq!(messages(&[head, tail]), Ok((expected.clone(), true)));
    });
    // A record of a type that nobody knows, with padding; and one without content.
    let foreign = b"\x01\x63\x00\x05\x00\x03\x05\x00abc-----\x01\x64\x00\x00\x00\x00\x00\x00";
    let expected = vec![
        Message::Foreign { kind: 99, id: 5 },
        Message::Foreign { kind: 100, id: 0 },
    ];
    every_cut(foreign, |head, tail| {
        assert_eq!(messages(&[head, tail]), Ok((expected.clone(), true)));
    });
}

#[test]
fn padding_is_passed_over() {
    let padded = b"\x01\x06\x00\x01\x00\x05\x03\x00hello\xff\xff\xff\x01\x06\x00\x01\x00\x00\x02\x00\x00\x00\
        \x01\x03\x00\x01\x00\x08\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let expected = vec![
        bytes_of(1, Stream::Stdout, "hello"),
        Message::StreamEnd {
            id: 1,
            stream: Stream::Stdout,
        },
        complete(1, 0),
    ];
    every_cut(padded, |head, tail| {
        assert_eq!(messages(&[head, tail]), Ok((expected.clone(), true)));
    });
    for end in 1..padded.len() {
        let (_, is_between) = messages(&[&padded[..end]]).expect("records");
        assert_eq!(is_between, [16, 26].contains(&end), "{end}");
    }
}

#[test]
fn what_is_no_record_is_an_error() {
    for (bytes, error) in [
        (&b"\x07\x06\x00\x01\x00\x00\x00\x00"[..], RecordError::Version(7)),
        (b"HTTP/1.1 200 OK\r\n", RecordError::Version(b'H')),
        (b"\x01\x06\x00\x00\x00\x01\x00\x00x", RecordError::Id { kind: 6, id: 0 }),
        (b"\x01\x0a\x00\x01\x00\x00\x00\x00", RecordError::Id { kind: 10, id: 1 }),
        (
            b"\x01\x03\x00\x01\x00\x07\x00\x00",
            RecordError::Length { kind: 3, length: 7 },
        ),
        (
            b"\x01\x01\x00\x01\xff\xff\x00\x00",
            RecordError::Length { kind: 1, length: 65535 },
        ),
        (
            b"\x01\x02\x00\x01\x00\x01\x00\x00",
            RecordError::Length { kind: 2, length: 1 },
        ),
        (
            b"\x01\x09\x00\x00\x00\x02\x00\x00\x05x",
            RecordError::Params(ParamsError::CutShort),
        ),
    ] {
        every_cut(bytes, |head, tail| {
            let found = messages(&[head, tail]);
            assert_eq!(found, Err(error), "{bytes:?}");
        });
        assert!(!error.to_string().is_empty());
    }
}

/// Section 3.4: a length up to 127 has one byte, a longer one four.
#[test]
fn lengths_of_pairs_have_one_byte_or_four() {
    for (length, coded) in [
        (0_usize, &b"\x00"[..]),
        (1, b"\x01"),
        (127, b"\x7f"),
        (128, b"\x80\x00\x00\x80"),
        (65_536, b"\x80\x01\x00\x00"),
    ] {
        let value = vec![b'v'; length];
        let mut out = Vec::new();
        assert!(params::append(&mut out, b"N", &value));
        assert_eq!(out, [b"\x01", coded, b"N", &value].concat());
        assert_eq!(params::whole(&out), Ok(vec![(b"N".to_vec(), value.clone())]));
        let mut out = Vec::new();
        assert!(params::append(&mut out, &value, b""));
        assert_eq!(params::whole(&out), Ok(vec![(value, Vec::new())]));
    }
    // Four bytes for a length that one would tell are a length all the same.
    assert_eq!(params::whole(b"\x80\x00\x00\x01\x00x"), Ok(pairs(&[("x", "")])));
}

#[test]
fn pairs_come_in_pieces() {
    let long = "x".repeat(300);
    let list = [("A", ""), ("", "b"), ("NAME", "value"), ("LONG", long.as_str())];
    let mut out = Vec::new();
    for (name, value) in list {
        assert!(params::append(&mut out, name.as_bytes(), value.as_bytes()));
    }
    every_cut(&out, |head, tail| {
        let mut reader = ParamsReader::new();
        assert_eq!((reader.push(head), reader.push(tail)), (Ok(()), Ok(())));
        assert_eq!(reader.end(), Ok(pairs(&list)));
        if !tail.is_empty() {
            let mut reader = ParamsReader::new();
            assert_eq!(reader.push(head), Ok(()));
            let whole = reader.end();
            assert!(whole == Err(ParamsError::CutShort) || whole.is_ok_and(|some| some.len() < list.len()));
        }
    });
}

#[test]
fn pairs_without_an_end_are_not_kept() {
    // A gigabyte announced is refused when it is announced.
    assert_eq!(params::whole(b"\x01\xc0\x00\x00\x00N"), Err(ParamsError::TooMuch));
    assert_eq!(
        params::whole(b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        Err(ParamsError::TooMuch)
    );
    let mut reader = ParamsReader::new();
    let mut sent = 0;
    let refused = loop {
        let mut pair = Vec::new();
        assert!(params::append(&mut pair, b"NAME", &[b'x'; 1000]));
        sent += pair.len();
        if let Err(error) = reader.push(&pair) {
            break error;
        }
    };
    assert_eq!(refused, ParamsError::TooMuch);
    assert!(sent > MAX_PARAMS && sent < MAX_PARAMS + 2000);
}

#[test]
fn a_long_stream_takes_several_records() {
    let bytes = vec![b'x'; MAX_CONTENT + 1];
    let mut out = Vec::new();
    record::stream(&mut out, 1, Stream::Stdin, &bytes);
    assert_eq!(out.len(), bytes.len() + 16);
    let (read, _) = messages(&[&out]).expect("records");
    assert_eq!(
        read,
        [Message::Bytes {
            id: 1,
            stream: Stream::Stdin,
            bytes: Bytes::from(bytes)
        }]
    );
    let mut out = Vec::new();
    record::stream(&mut out, 1, Stream::Stdin, b"");
    assert!(out.is_empty(), "no bytes are not the end");
}

/// Everything that comes in, and the fault that ends it.
fn answers(pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>, Result<Option<u32>, Fault>) {
    let (mut reader, mut output, mut errors) = (Answers::new(1), Vec::new(), Vec::new());
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match reader.next(&mut input) {
                Ok(Some(Answer::Output(bytes))) => output.extend_from_slice(&bytes),
                Ok(Some(Answer::Errors(bytes))) => errors.extend_from_slice(&bytes),
                Ok(Some(Answer::OutputEnd)) => {}
                Ok(Some(Answer::End(status))) => return (output, errors, Ok(Some(status))),
                Ok(None) => break,
                Err(fault) => return (output, errors, Err(fault)),
            }
        }
    }
    (output, errors, Ok(None))
}

fn reply() -> Vec<u8> {
    let mut reply = Vec::new();
    record::stream(&mut reply, 1, Stream::Stdout, b"Content-Type: text/plain\r\n\r\nhel");
    record::stream(&mut reply, 1, Stream::Stderr, b"a line\n");
    record::values(&mut reply, &[(b"FCGI_MAX_CONNS", b"1")]);
    record::stream(&mut reply, 1, Stream::Stdout, b"lo");
    record::stream_header(&mut reply, 1, Stream::Stdout, 0);
    record::stream_header(&mut reply, 1, Stream::Stdout, 0);
    record::end(&mut reply, 1, 3, ProtocolStatus::Complete);
    reply
}

#[test]
fn an_answer_is_two_streams_and_an_end() {
    every_cut(&reply(), |head, tail| {
        let (output, errors, end) = answers(&[head, tail]);
        assert_eq!(output, b"Content-Type: text/plain\r\n\r\nhello");
        assert_eq!((errors.as_slice(), end), (&b"a line\n"[..], Ok(Some(3))));
    });
}

#[test]
fn the_end_of_a_connection_is_none_of_the_request() {
    let whole = reply();
    for end in 0..whole.len() {
        let mut reader = Answers::new(1);
        let mut input = Bytes::copy_from_slice(&whole[..end]);
        while reader.next(&mut input).expect("records").is_some() {}
        assert!(matches!(reader.closed(), Fault::Closed | Fault::CutShort));
        assert!(!reader.are_whole(&input), "{end}");
    }
}

#[test]
fn a_connection_is_good_for_another_request_when_nothing_is_left_on_it() {
    for (more, is_whole) in [
        (&b""[..], true),
        (b"\x01", false),
        (b"\x01\x06\x00\x01\x00\x00\x00\x00", false),
    ] {
        let mut input = Bytes::from([reply().as_slice(), more].concat());
        let mut reader = Answers::new(1);
        while reader.next(&mut input).expect("records").is_some() {}
        assert_eq!(reader.are_whole(&input), is_whole, "{more:?}");
    }
    // Padding of the last record that has not come yet.
    let mut input = Bytes::from_static(b"\x01\x03\x00\x01\x00\x08\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00xx");
    let mut reader = Answers::new(1);
    assert_eq!(reader.next(&mut input), Ok(Some(Answer::End(0))));
    assert!(!reader.are_whole(&input));
}

#[test]
fn what_is_no_answer_is_a_fault() {
    let made = |make: fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        make(&mut out);
        out
    };
    let stream = |out: &mut Vec<u8>, id, stream| record::stream(out, id, stream, b"x");
    for (bytes, fault) in [
        (
            b"\x07\x06\x00\x01\x00\x00\x00\x00".to_vec(),
            Fault::Record(RecordError::Version(7)),
        ),
        (
            made(|out| record::stream(out, 2, Stream::Stdout, b"x")),
            Fault::OtherRequest { id: 2, own: 1 },
        ),
        (
            made(|out| record::stream_header(out, 9, Stream::Stderr, 0)),
            Fault::OtherRequest { id: 9, own: 1 },
        ),
        (
            made(|out| record::end(out, 2, 0, ProtocolStatus::Complete)),
            Fault::OtherRequest { id: 2, own: 1 },
        ),
        (
            made(|out| record::begin(out, 1, Role::Responder, Connection::Keep)),
            Fault::OutOfPlace("a record that only a client sends"),
        ),
        (
            {
                let mut out = Vec::new();
                stream(&mut out, 1, Stream::Stdin);
                out
            },
            Fault::OutOfPlace("a stream that only a client sends"),
        ),
        (
            made(|out| {
                record::stream_header(out, 1, Stream::Stdout, 0);
                record::stream(out, 1, Stream::Stdout, b"x");
            }),
            Fault::OutOfPlace("more of a stream that had ended"),
        ),
        (
            made(|out| record::end(out, 1, 0, ProtocolStatus::Overloaded)),
            Fault::Overloaded,
        ),
        (
            made(|out| record::end(out, 1, 0, ProtocolStatus::NoMultiplexing)),
            Fault::Refused(ProtocolStatus::NoMultiplexing),
        ),
        (
            made(|out| record::end(out, 1, 0, ProtocolStatus::Other(77))),
            Fault::Refused(ProtocolStatus::Other(77)),
        ),
    ] {
        every_cut(&bytes, |head, tail| {
            assert_eq!(answers(&[head, tail]).2, Err(fault), "{bytes:?}");
        });
        assert!(!fault.to_string().is_empty());
    }
}

#[test]
fn records_that_are_no_answer_have_an_end() {
    let mut talk = Vec::new();
    record::unknown_type(&mut talk, 1);
    let piece = talk.repeat(1000);
    let mut reader = Answers::new(1);
    let mut rounds = 0;
    let fault = loop {
        let mut input = Bytes::copy_from_slice(&piece);
        match reader.next(&mut input) {
            Ok(None) => rounds += 1,
            Ok(other) => panic!("{other:?}"),
            Err(fault) => break fault,
        }
        assert!(rounds < 1000, "it goes on and on");
    };
    assert_eq!(fault, Fault::IdleTalk);
}

/// Whatever comes in, in whatever pieces, the answers are the same, and nothing panics.
#[test]
fn damaged_records_are_the_same_in_any_pieces() {
    let mut dice = Dice::new(11);
    for _ in 0..3000 {
        let mut bytes = reply();
        dice.damage(&mut bytes);
        let whole = answers(&[&bytes]);
        let at = dice.below(bytes.len() + 1);
        let (head, tail) = bytes.split_at(at);
        assert_eq!(answers(&[head, tail]), whole);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(answers(&single), whole);
    }
}
