//! FastCGI records and the answers to a request: any split gives the same, pairs that were read are written the same way
//! again, and nothing is kept without a bound.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

use lychgate::gateway::fastcgi::answers::{Answer, Answers, Fault};
use lychgate::gateway::fastcgi::params::{self, MAX_PARAMS};
use lychgate::gateway::fastcgi::record::{Message, RecordError, RecordReader};

fuzz_target!(|input: &[u8]| {
    let Some((&piece, input)) = input.split_first() else {
        return;
    };
    let piece = usize::from(piece).max(1);
    let whole = answers(input, input.len().max(1));
    assert_eq!(whole, answers(input, 1), "byte by byte");
    assert_eq!(whole, answers(input, piece), "in pieces");
    assert_eq!(
        records(input, input.len().max(1)),
        records(input, piece),
        "records in pieces"
    );
    if let Ok(pairs) = params::whole(input) {
        let mut again = Vec::new();
        for (name, value) in &pairs {
            assert!(params::append(&mut again, name, value));
        }
        assert!(again.len() <= input.len() && input.len() <= MAX_PARAMS);
        assert_eq!(params::whole(&again), Ok(pairs));
    }
});

/// Output, errors, and how it ended.
fn answers(input: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>, Result<Option<u32>, Fault>) {
    let (mut reader, mut output, mut errors) = (Answers::new(1), Vec::new(), Vec::new());
    for part in input.chunks(piece) {
        let mut part = Bytes::copy_from_slice(part);
        loop {
            match reader.next(&mut part) {
                Ok(Some(Answer::Output(bytes))) => output.extend_from_slice(&bytes),
                Ok(Some(Answer::Errors(bytes))) => errors.extend_from_slice(&bytes),
                Ok(Some(Answer::OutputEnd)) => {}
                Ok(Some(Answer::End(status))) => return (output, errors, Ok(Some(status))),
                Ok(None) => break,
                Err(fault) => {
                    assert!(!fault.to_string().bytes().any(|byte| byte.is_ascii_control()));
                    return (output, errors, Err(fault));
                }
            }
        }
        assert!(part.is_empty(), "what was not read");
    }
    (output, errors, Ok(None))
}

/// The messages but for streams' bytes, whose parts depend on the pieces; how many bytes streams had; the error.
fn records(input: &[u8], piece: usize) -> (Vec<Message>, usize, Option<RecordError>) {
    let (mut reader, mut messages, mut streamed) = (RecordReader::new(), Vec::new(), 0);
    for part in input.chunks(piece) {
        let mut part = Bytes::copy_from_slice(part);
        loop {
            match reader.next(&mut part) {
                Ok(Some(Message::Bytes { bytes, .. })) => streamed += bytes.len(),
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, streamed, Some(error)),
            }
        }
    }
    (messages, streamed, None)
}
