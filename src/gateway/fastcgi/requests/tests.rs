//! Tests: whole sessions cut at every byte, and what clients get wrong.

use bytes::Bytes;

use super::{Asked, Fault, Request, Requests, Room};
use crate::base::testing::{Dice, every_cut};
use crate::gateway::fastcgi::params::{self, MAX_PARAMS, ParamsError};
use crate::gateway::fastcgi::record::{self, Connection, ProtocolStatus, RecordError, Role, Stream};

const ROOM: Room = Room {
    connections: 100,
    requests: 8,
};

/// All that is asked; parts of the input joined. A request is answered as soon as its input has ended or it is aborted.
fn asked(pieces: &[&[u8]]) -> (Vec<Asked>, Result<bool, Fault>) {
    let (mut requests, mut all) = (Requests::new(ROOM), Vec::new());
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match requests.next(&mut input) {
                Ok(Some(Asked::Input(more))) => match all.last_mut() {
                    Some(Asked::Input(bytes)) => *bytes = Bytes::from([&bytes[..], &more[..]].concat()),
                    _ => all.push(Asked::Input(more)),
                },
                Ok(Some(next)) => {
                    if matches!(next, Asked::InputEnd | Asked::Abort) {
                        requests.answered();
                    }
                    all.push(next);
                }
                Ok(None) => break,
                Err(fault) => return (all, Err(fault)),
            }
        }
        assert!(input.is_empty(), "what was not asked for stays");
    }
    (all, Ok(requests.is_idle()))
}

fn begin(out: &mut Vec<u8>, id: u16, connection: Connection) {
    record::begin(out, id, Role::Responder, connection);
}

fn variables(out: &mut Vec<u8>, id: u16, list: &[(&str, &str)]) {
    let mut content = Vec::new();
    for (name, value) in list {
        assert!(params::append(&mut content, name.as_bytes(), value.as_bytes()));
    }
    record::stream(out, id, Stream::Params, &content);
    record::stream_header(out, id, Stream::Params, 0);
}

fn request(id: u16, connection: Connection, list: &[(&str, &str)]) -> Asked {
    let params = list
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    Asked::Request(Request {
        id,
        connection,
        params: params.collect(),
    })
}

fn ended(id: u16, protocol: ProtocolStatus, connection: Connection) -> Asked {
    let mut answer = Vec::new();
    record::end(&mut answer, id, 0, protocol);
    Asked::Answered(answer, connection)
}

#[test]
fn a_session_of_two_requests_is_read_however_it_is_cut() {
    let mut client = Vec::new();
    record::ask_values(&mut client, &["FCGI_MPXS_CONNS", "OTHER", "FCGI_MAX_CONNS"]);
    begin(&mut client, 1, Connection::Keep);
    variables(&mut client, 1, &[("SCRIPT_FILENAME", "/srv/a.cgi"), ("EMPTY", "")]);
    record::stream(&mut client, 1, Stream::Stdin, b"quantity=100");
    record::stream(&mut client, 1, Stream::Stdin, b"&item=3047936");
    record::stream_header(&mut client, 1, Stream::Stdin, 0);
    begin(&mut client, 2, Connection::Close);
    variables(&mut client, 2, &[]);
    record::stream_header(&mut client, 2, Stream::Stdin, 0);
    let mut values = Vec::new();
    record::values(&mut values, &[(b"FCGI_MAX_CONNS", b"100"), (b"FCGI_MPXS_CONNS", b"0")]);
    let expected = vec![
        Asked::Answered(values, Connection::Keep),
        request(1, Connection::Keep, &[("SCRIPT_FILENAME", "/srv/a.cgi"), ("EMPTY", "")]),
        Asked::Input(Bytes::from_static(b"quantity=100&item=3047936")),
        Asked::InputEnd,
        request(2, Connection::Close, &[]),
        Asked::InputEnd,
    ];
    every_cut(&client, |head, tail| {
        assert_eq!(asked(&[head, tail]), (expected.clone(), Ok(true)));
        let (all, idle) = asked(&[head]);
        assert!(expected.starts_with(&all[..all.len().saturating_sub(1)]));
        assert!(idle.is_ok());
    });
}

#[test]
fn a_second_request_at_the_same_time_is_refused_and_the_first_goes_on() {
    let mut client = Vec::new();
    begin(&mut client, 1, Connection::Keep);
    variables(&mut client, 1, &[]);
    begin(&mut client, 2, Connection::Close);
    variables(&mut client, 2, &[("A", "b")]);
    record::stream(&mut client, 2, Stream::Stdin, b"unheard");
    record::abort(&mut client, 2);
    record::stream(&mut client, 1, Stream::Stdin, b"heard");
    record::stream_header(&mut client, 1, Stream::Stdin, 0);
    let expected = vec![
        request(1, Connection::Keep, &[]),
        ended(2, ProtocolStatus::NoMultiplexing, Connection::Keep),
        Asked::Input(Bytes::from_static(b"heard")),
        Asked::InputEnd,
    ];
    every_cut(&client, |head, tail| {
        assert_eq!(asked(&[head, tail]), (expected.clone(), Ok(true)));
    });
}

#[test]
fn other_roles_are_refused_and_their_streams_passed_over() {
    for role in [Role::Authorizer, Role::Filter, Role::Other(0), Role::Other(99)] {
        for connection in [Connection::Keep, Connection::Close] {
            let mut client = Vec::new();
            record::begin(&mut client, 3, role, connection);
            variables(&mut client, 3, &[("A", "b")]);
            record::stream_header(&mut client, 3, Stream::Stdin, 0);
            record::stream(&mut client, 3, Stream::Data, b"file");
            let expected = vec![ended(3, ProtocolStatus::UnknownRole, connection)];
            assert_eq!(asked(&[&client]), (expected, Ok(true)), "{role:?}");
        }
    }
}

#[test]
fn an_abort_is_passed_on_once_there_is_a_request() {
    let mut client = Vec::new();
    begin(&mut client, 1, Connection::Keep);
    record::abort(&mut client, 1);
    begin(&mut client, 1, Connection::Keep);
    variables(&mut client, 1, &[]);
    record::stream(&mut client, 1, Stream::Stdin, b"half");
    record::abort(&mut client, 1);
    let expected = vec![
        ended(1, ProtocolStatus::Complete, Connection::Keep),
        request(1, Connection::Keep, &[]),
        Asked::Input(Bytes::from_static(b"half")),
        Asked::Abort,
    ];
    every_cut(&client, |head, tail| {
        assert_eq!(asked(&[head, tail]), (expected.clone(), Ok(true)));
    });
}

#[test]
fn types_that_nobody_knows_are_told_where_they_are_of_no_request() {
    let foreign = b"\x01\x63\x00\x00\x00\x03\x05\x00abc-----\x01\x64\x00\x07\x00\x00\x00\x00";
    let mut unknown = Vec::new();
    record::unknown_type(&mut unknown, 0x63);
    let expected = vec![Asked::Answered(unknown, Connection::Keep)];
    every_cut(foreign, |head, tail| {
        assert_eq!(asked(&[head, tail]), (expected.clone(), Ok(true)));
    });
}

#[test]
fn what_no_client_sends_is_a_fault() {
    let open = |more: &dyn Fn(&mut Vec<u8>)| {
        let mut client = Vec::new();
        begin(&mut client, 1, Connection::Keep);
        more(&mut client);
        client
    };
    let whole = |more: &dyn Fn(&mut Vec<u8>)| {
        open(&|client| {
            variables(client, 1, &[]);
            more(client);
        })
    };
    for (client, fault) in [
        (
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            Fault::Record(RecordError::Version(b'G')),
        ),
        (
            open(&|client| begin(client, 1, Connection::Keep)),
            Fault::OutOfPlace("the beginning of a request that is open"),
        ),
        (
            open(&|client| record::stream(client, 1, Stream::Stdin, b"x")),
            Fault::OutOfPlace("standard input before all variables"),
        ),
        (
            open(&|client| record::stream_header(client, 1, Stream::Stdin, 0)),
            Fault::OutOfPlace("standard input before all variables"),
        ),
        (
            whole(&|client| record::stream(client, 1, Stream::Params, b"x")),
            Fault::OutOfPlace("more of a stream that had ended"),
        ),
        (
            whole(&|client| record::stream(client, 1, Stream::Data, b"x")),
            Fault::OutOfPlace("a stream that only a filter gets"),
        ),
        (
            whole(&|client| record::stream(client, 1, Stream::Stdout, b"x")),
            Fault::OutOfPlace("a stream that only an application sends"),
        ),
        (
            whole(&|client| record::stream_header(client, 1, Stream::Stderr, 0)),
            Fault::OutOfPlace("a stream that only an application sends"),
        ),
        (
            whole(&|client| record::end(client, 1, 0, ProtocolStatus::Complete)),
            Fault::OutOfPlace("a record that only an application sends"),
        ),
        (
            open(&|client| {
                record::stream(client, 1, Stream::Params, b"\x05\x00AB");
                record::stream_header(client, 1, Stream::Params, 0);
            }),
            Fault::Params(ParamsError::CutShort),
        ),
        (
            open(&|client| {
                for _ in 0..=MAX_PARAMS / 1000 {
                    let mut pair = Vec::new();
                    assert!(params::append(&mut pair, b"NAME", &[b'x'; 1000]));
                    record::stream(client, 1, Stream::Params, &pair);
                }
            }),
            Fault::Params(ParamsError::TooMuch),
        ),
    ] {
        let (_, found) = asked(&[&client]);
        assert_eq!(found, Err(fault));
        assert!(!fault.to_string().is_empty());
        let halves = client.split_at(client.len() / 2);
        assert_eq!(asked(&[halves.0, halves.1]).1, Err(fault));
    }
}

#[test]
fn damaged_sessions_end_in_a_fault_or_go_on_and_nothing_else() {
    let mut client = Vec::new();
    begin(&mut client, 1, Connection::Keep);
    variables(&mut client, 1, &[("SCRIPT_FILENAME", "/srv/a.cgi")]);
    record::stream(&mut client, 1, Stream::Stdin, b"body");
    record::stream_header(&mut client, 1, Stream::Stdin, 0);
    let mut dice = Dice::new(12);
    for _ in 0..2000 {
        let mut damaged = client.repeat(2);
        dice.damage(&mut damaged);
        let (at_once, whole) = asked(&[&damaged]);
        let pieces: Vec<&[u8]> = damaged.chunks(dice.below(9) + 1).collect();
        assert_eq!(asked(&pieces), (at_once, whole));
    }
}
