//! Clients of our own, good and bad, byte for byte.

use libtest_mimic::{Completion, Failed};
use lychgate::gateway::fastcgi::record::{self, Connection, Message, ProtocolStatus, Role, Stream};

use super::{PATIENCE, Wrap, runs};
use crate::support::fastcgi::{Client, begin, request};
use crate::support::server::{self, poll};
use crate::support::wire::show;

pub(super) fn one_connection_carries_many_requests() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-kept", &[])?;
    let mut client = wrap.connect()?;
    let script = wrap.script("testapp");
    for id in 1..=20 {
        let behaviour = if id % 2 == 0 { "/replyexit/7" } else { "/noread" };
        let variables = [
            ("SCRIPT_FILENAME", script.as_str()),
            ("PATH_INFO", behaviour),
            ("REQUEST_METHOD", "POST"),
        ];
        client.send(&request(id, Connection::Keep, &variables, &vec![b'x'; 100_000]))?;
        let reply = client.reply(id)?;
        let expected = if id % 2 == 0 { Some((7, 0)) } else { Some((0, 0)) };
        if reply.end != expected || !reply.stdout.starts_with(b"Status: 200 OK\r\n") {
            return Err(format!("request {id}: {:?}: {}", reply.end, show(&reply.stdout)).into());
        }
    }
    let variables = [
        ("SCRIPT_FILENAME", script.as_str()),
        ("PATH_INFO", "/bytes/1000000"),
        ("REQUEST_METHOD", "HEAD"),
    ];
    client.send(&request(22, Connection::Keep, &variables, b""))?;
    let reply = client.reply(22)?;
    if !reply.stdout.ends_with(b"\r\n\r\n") || reply.end != Some((0, 0)) {
        return Err(format!("HEAD: {} bytes", reply.stdout.len()).into());
    }
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/signal/KILL")];
    client.send(&request(21, Connection::Close, &variables, b""))?;
    let reply = client.reply(21)?;
    if !reply.stdout.starts_with(b"Status: 502 Bad Gateway\r\n") || client.message()?.is_some() {
        return Err(format!("the last one: {}", show(&reply.stdout)).into());
    }
    wrap.end(&["the script was ended by signal 9"])
}

pub(super) fn the_protocols_questions_are_answered() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-questions", &["-c", "5"])?;
    let mut client = wrap.connect()?;
    let mut asked = Vec::new();
    record::ask_values(&mut asked, &["FCGI_MAX_REQS", "FCGI_MPXS_CONNS"]);
    // Management record 77, and a request of a role that we do not have.
    asked.extend_from_slice(b"\x01\x4d\x00\x00\x00\x00\x00\x00");
    record::begin(&mut asked, 9, Role::Authorizer, Connection::Keep);
    record::stream_header(&mut asked, 9, Stream::Params, 0);
    client.send(&asked)?;
    let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let ended = |id, protocol| Message::End {
        id,
        application: 0,
        protocol,
    };
    for expected in [
        Message::Values(vec![pair("FCGI_MAX_REQS", "5"), pair("FCGI_MPXS_CONNS", "0")]),
        Message::UnknownType(77),
        ended(9, ProtocolStatus::UnknownRole),
    ] {
        let found = client.message()?;
        if found.as_ref() != Some(&expected) {
            return Err(format!("{expected:?} was expected, {found:?} came").into());
        }
    }
    // A second request while the first goes on, and its records after it was refused.
    let script = wrap.script("testapp");
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/echo")];
    client.send(&begin(1, Connection::Keep, &variables))?;
    client.send(&request(2, Connection::Keep, &variables, b"of the second"))?;
    let mut rest = Vec::new();
    record::stream(&mut rest, 1, Stream::Stdin, b"of the first");
    record::stream_header(&mut rest, 1, Stream::Stdin, 0);
    client.send(&rest)?;
    let found = client.message()?;
    if found != Some(ended(2, ProtocolStatus::NoMultiplexing)) {
        return Err(format!("a second request: {found:?}").into());
    }
    let reply = client.reply(1)?;
    if !reply.stdout.ends_with(b"\r\n\r\nof the first") {
        return Err(format!("the first request: {}", show(&reply.stdout)).into());
    }
    // Without FCGI_KEEP_CONN a refusal is the end of the connection.
    let mut refused = Vec::new();
    record::begin(&mut refused, 4, Role::Filter, Connection::Close);
    client.send(&refused)?;
    if client.message()? != Some(ended(4, ProtocolStatus::UnknownRole)) || client.message()?.is_some() {
        return Err("a refusal without FCGI_KEEP_CONN".into());
    }
    wrap.end(&[])
}

pub(super) fn an_aborted_request_ends_its_script() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-abort", &["-C", "CGIKillGrace 1"])?;
    let mut client = wrap.connect()?;
    let script = wrap.script("testapp");
    for behaviour in ["/silent/100", "/deaf/100", "/stubborn/100"] {
        let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", behaviour)];
        client.send(&request(3, Connection::Keep, &variables, b"some"))?;
        poll(PATIENCE, || runs(&wrap, "testapp"))?;
        let mut abort = Vec::new();
        record::abort(&mut abort, 3);
        client.send(&abort)?;
        let reply = client.reply(3)?;
        if reply.end != Some((0, 0)) {
            return Err(format!("{behaviour}: {reply:?}").into());
        }
        poll(PATIENCE, || match runs(&wrap, "testapp") {
            Ok(()) => Err("it runs on".to_owned()),
            Err(_) => Ok(()),
        })?;
    }
    // The connection goes on.
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/noread")];
    client.send(&request(4, Connection::Keep, &variables, b""))?;
    client.reply(4)?.end.ok_or("no end")?;
    // A client that closes its connection is one that has left.
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/silent/100")];
    client.send(&request(5, Connection::Keep, &variables, b""))?;
    poll(PATIENCE, || runs(&wrap, "testapp"))?;
    drop(client);
    wrap.server.settle(PATIENCE)?;
    wrap.is_well()?;
    wrap.end(&[])
}

pub(super) fn every_cut_of_a_session_costs_one_connection() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-cut", &["-C", "LogLevel crit"])?;
    let script = wrap.script("hello.sh");
    let mut session = Vec::new();
    record::ask_values(&mut session, &["FCGI_MAX_CONNS"]);
    let variables = [
        ("SCRIPT_FILENAME", script.as_str()),
        ("REQUEST_METHOD", "POST"),
        ("CONTENT_LENGTH", "4"),
    ];
    session.extend(request(1, Connection::Keep, &variables, b"body"));
    for cut in 0..session.len() {
        let mut client = wrap.connect()?;
        client.send(&session[..cut])?;
        if cut % 2 == 0 {
            client.half_close();
            while client.message()?.is_some() {}
        }
    }
    let mut client = wrap.connect()?;
    for byte in &session {
        client.send(&[*byte])?;
    }
    client.message()?;
    if !client.reply(1)?.stdout.ends_with(b"hello  \n") {
        return Err("byte by byte it is another request".into());
    }
    drop(client);
    wrap.is_well()?;
    wrap.end(&[])
}

pub(super) fn garbage_costs_one_connection() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-garbage", &[])?;
    let endless = begin(1, Connection::Keep, &[("SCRIPT_FILENAME", "/x")]);
    let mut too_much = endless[..16].to_vec();
    for _ in 0..1100 {
        let mut pair = Vec::new();
        assert!(lychgate::gateway::fastcgi::params::append(
            &mut pair,
            b"NAME",
            &[b'x'; 1000]
        ));
        record::stream(&mut too_much, 1, Stream::Params, &pair);
    }
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
        b"\x01\x03\x00\x01\x00\x08\x00\x00\0\0\0\0\0\0\0\0".to_vec(),
        [&endless[..16], &endless].concat(),
        too_much,
    ] {
        let mut client = wrap.connect()?;
        client.send_if_wanted(&bytes);
        while client.message().is_ok_and(|message| message.is_some()) {}
    }
    wrap.is_well()?;
    wrap.end(&["a client is no FastCGI client: it sent ", "longer than 1024 KiB"])
}

/// They cost memory, and nothing else.
pub(super) fn a_thousand_idle_clients_hinder_nobody() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-idle", &[])?;
    let half = request(1, Connection::Keep, &[("SCRIPT_FILENAME", "/x")], b"");
    let mut idle = Vec::new();
    for number in 0..1000 {
        let mut client = wrap.connect()?;
        if number % 10 == 0 {
            // These have begun to say something.
            client.send_if_wanted(&half[..9]);
        }
        idle.push(client);
    }
    for _ in 0..20 {
        wrap.is_well()?;
    }
    drop(idle);
    wrap.end(&[])
}

/// A client that says all it has to say, and reads on.
pub(super) fn a_client_that_sends_no_more_gets_its_answer() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-half", &[])?;
    let mut client = wrap.connect()?;
    let script = wrap.script("testapp");
    let root = wrap.root.display().to_string();
    let variables = [
        ("SCRIPT_FILENAME", script.as_str()),
        ("PATH_INFO", "/wait/go"),
        ("DOCUMENT_ROOT", root.as_str()),
    ];
    client.send(&request(1, Connection::Keep, &variables, b""))?;
    client.half_close();
    poll(PATIENCE, || runs(&wrap, "testapp"))?;
    server::write(&wrap.root.join("go"), b"")?;
    let reply = client.reply(1)?;
    if !reply.stdout.ends_with(b"before\nafter\n") || reply.end != Some((0, 0)) {
        return Err(format!("{reply:?}").into());
    }
    if client.message()?.is_some() {
        return Err("there is more".into());
    }
    drop(client);
    wrap.end(&[])
}

/// What is cut short has no end: the web server must not take it for whole.
pub(super) fn an_answer_that_breaks_off_has_no_end() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-cut-short", &["-C", "CGIScriptTimeout 1"])?;
    let head = wrap.script("head");
    let testapp = wrap.script("testapp");
    let promised = b"Content-Type: text/plain\nContent-Length: 10\n\nhalf".as_slice();
    for (variables, body) in [
        (vec![("SCRIPT_FILENAME", head.as_str())], promised),
        (
            vec![("SCRIPT_FILENAME", testapp.as_str()), ("PATH_INFO", "/stubborn/30")],
            b"".as_slice(),
        ),
    ] {
        let mut client = wrap.connect()?;
        client.send(&request(1, Connection::Keep, &variables, body))?;
        let reply = client.reply(1)?;
        if reply.end.is_some() || !reply.stdout.starts_with(b"Status: 200 OK\r\n") {
            return Err(format!("{variables:?}: {reply:?}").into());
        }
    }
    // One that has said nothing yet is a page.
    let said = wrap.ask("testapp", &[("PATH_INFO", "/deaf/30")])?;
    if !said.starts_with("Status: 504 Gateway Timeout\r\n") {
        return Err(said.into());
    }
    wrap.end(&[
        "its Content-Length promised 10",
        "silent for 1 s in the middle",
        "had written nothing",
    ])
}

/// `-c`: those that wait get their turn, and beyond the queue there is a 503.
pub(super) fn scripts_wait_for_their_turn() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-turn", &["-c", "1", "-C", "CGIQueueLength 1"])?;
    let script = wrap.script("testapp");
    let root = wrap.root.display().to_string();
    let ask = |name: &str, path: &str| -> Result<Client, String> {
        let mut client = wrap.connect()?;
        let variables = [
            ("SCRIPT_FILENAME", name),
            ("PATH_INFO", path),
            ("DOCUMENT_ROOT", root.as_str()),
        ];
        client.send(&request(1, Connection::Close, &variables, b""))?;
        Ok(client)
    };
    let mut first = ask(&script, "/wait/go")?;
    poll(PATIENCE, || runs(&wrap, "testapp"))?;
    // One of these waits, the others find the queue full.
    let mut others = (0..4).map(|_| ask(&script, "/noread")).collect::<Result<Vec<_>, _>>()?;
    let refused = poll(PATIENCE, || {
        let log = std::fs::read_to_string(wrap.root.join("error.log")).unwrap_or_default();
        let count = log.matches("CGIQueueLength").count();
        if count == 3 {
            Ok(count)
        } else {
            Err(format!("{count} were refused"))
        }
    })?;
    server::write(&wrap.root.join("go"), b"")?;
    let mut busy = 0;
    for client in &mut others {
        let reply = client.reply(1)?.stdout;
        if reply.starts_with(b"Status: 503 ") && show(&reply).contains("Retry-After: ") {
            busy += 1;
        } else if !reply.ends_with(b"not read\n") {
            return Err(show(&reply).into());
        }
    }
    if busy != refused || first.reply(1)?.end.is_none() {
        return Err(format!("{busy} were busy").into());
    }
    drop((first, others));
    wrap.end(&["CGIQueueLength"])
}

/// A client that asks and does not read holds its script back, and is left after Timeout.
pub(super) fn a_client_that_does_not_read_is_left() -> Result<Completion, Failed> {
    let wrap = Wrap::boot("fcgiwrap-unread", &["-C", "Timeout 1"])?;
    let script = wrap.script("testapp");
    let mut client = wrap.connect()?;
    let variables = [("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/bytes/100000000")];
    client.send(&request(1, Connection::Keep, &variables, b""))?;
    poll(PATIENCE, || runs(&wrap, "testapp"))?;
    poll(PATIENCE, || match runs(&wrap, "testapp") {
        Ok(()) => Err("it runs on".to_owned()),
        Err(_) => Ok(()),
    })?;
    let reply = client.reply(1)?;
    if reply.end.is_some() || reply.stdout.len() >= 100_000_000 {
        return Err(format!("{} bytes came", reply.stdout.len()).into());
    }
    // One that stops in the middle of its request is left too.
    let mut client = wrap.connect()?;
    client.send(&request(1, Connection::Keep, &variables, b"")[..20])?;
    if client.message()?.is_some() {
        return Err("half a request has an answer".into());
    }
    let mut client = wrap.connect()?;
    client.send(&begin(
        1,
        Connection::Keep,
        &[("SCRIPT_FILENAME", script.as_str()), ("PATH_INFO", "/echo")],
    ))?;
    let said = client.reply(1)?.stdout;
    if !said.starts_with(b"Status: 408 ") {
        return Err(show(&said).into());
    }
    drop(client);
    wrap.end(&[])
}
