//! The head of a script's reply: any split gives the same reply, and nothing in it could end a field on the wire.

#![no_main]

use libfuzzer_sys::fuzz_target;

use lychgate::base::ascii;
use lychgate::gateway::script_reply::{Kind, ReplyError, ReplyReader, ScriptReply};

fuzz_target!(|input: &[u8]| {
    let Some((&piece, input)) = input.split_first() else {
        return;
    };
    let whole = read(input, input.len().max(1));
    assert_eq!(whole, read(input, 1), "byte by byte");
    assert_eq!(whole, read(input, usize::from(piece).max(1)), "in pieces");
    match &whole {
        Ok(reply) => check(reply, input),
        Err(error) => assert!(!error.to_string().bytes().any(|byte| byte.is_ascii_control())),
    }
});

/// The reply with all of its body behind it, or why there is none when the output ends with `input`.
fn read(input: &[u8], piece: usize) -> Result<ScriptReply, ReplyError> {
    let (mut reader, mut pushed) = (ReplyReader::new(), 0);
    for part in input.chunks(piece) {
        pushed += part.len();
        if let Some(mut reply) = reader.push(part)? {
            reply.body_start.extend_from_slice(&input[pushed..]);
            return Ok(reply);
        }
    }
    Err(reader.end())
}

fn check(reply: &ScriptReply, input: &[u8]) {
    assert!((200..=599).contains(&reply.status));
    assert!(input.ends_with(&reply.body_start));
    let harmless = |value: &[u8]| !value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
    assert!(reply.reason.as_deref().is_none_or(harmless), "reason");
    for (name, value) in &reply.fields {
        assert!(ascii::is_token(name), "a name that is no token");
        assert!(harmless(value), "a value that could end");
        for own in ["content-length", "transfer-encoding", "connection", "status"] {
            assert!(!name.eq_ignore_ascii_case(own.as_bytes()), "{own} is not the script's");
        }
    }
    match &reply.kind {
        Kind::Document => {}
        Kind::LocalRedirect(path) => assert!(path.starts_with(b"/") && harmless(path)),
        Kind::ClientRedirect(uri) => assert!(!uri.is_empty() && harmless(uri)),
    }
    for dropped in &reply.dropped {
        assert!(!dropped.to_string().bytes().any(|byte| byte.is_ascii_control()));
    }
}
