//! An answer that is all there and has nothing in it but output: read where it lies. Whatever else there is, is for
//! [`Answers`](crate::gateway::fastcgi::answers::Answers) to read, from its first byte.

use bytes::Bytes;

use crate::gateway::fastcgi::record::{END_REQUEST, HEADER, ONLY, Stream, VERSION};

const STDOUT: u8 = Stream::Stdout.number();
const STDERR: u8 = Stream::Stderr.number();

/// What FCGI_END_REQUEST says of a request that was served and ended well.
const WELL: [u8; 5] = [0; 5];

/// All records of an answer to the only request of a connection.
#[derive(Clone, Debug)]
pub struct Whole(Bytes);

/// A record: its type, its content, and where the next one begins.
struct Record<'b> {
    kind: u8,
    content: &'b [u8],
    next: usize,
}

/// The record at this place; nothing where it is not whole, or of another request.
fn record(bytes: &[u8], at: usize) -> Option<Record<'_>> {
    let header = bytes.get(at..at.checked_add(HEADER)?)?;
    let &[version, kind, id_high, id_low, length_high, length_low, padding, _] = header else {
        return None;
    };
    if version != VERSION || u16::from_be_bytes([id_high, id_low]) != ONLY {
        return None;
    }
    let start = at + HEADER;
    let end = start + usize::from(u16::from_be_bytes([length_high, length_low]));
    let next = end + usize::from(padding);
    (next <= bytes.len()).then_some(Record {
        kind,
        content: bytes.get(start..end)?,
        next,
    })
}

impl Whole {
    /// The answer that these bytes are, to the last of them, if it is one: output, no error output, and an end without complaints.
    pub fn of(bytes: &Bytes) -> Option<Whole> {
        let (mut at, mut is_open) = (0, true);
        loop {
            let record = record(bytes, at)?;
            match (record.kind, record.content) {
                (STDOUT, []) => is_open = false,
                (STDOUT, _) if is_open => {}
                (STDERR, []) => {}
                (END_REQUEST, content) if content.len() == 8 && content.starts_with(&WELL) => {
                    return (record.next == bytes.len()).then(|| Whole(bytes.clone()));
                }
                _ => return None,
            }
            at = record.next;
        }
    }

    /// Its output in pieces.
    pub fn output(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let record = record(&self.0, at).filter(|record| record.kind != END_REQUEST)?;
                at = record.next;
                if record.kind == STDOUT && !record.content.is_empty() {
                    return Some(record.content);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Whole;
    use crate::gateway::fastcgi::answers::{Answer, Answers};

    /// A record with so much padding.
    fn record(kind: u8, id: u8, content: &[u8], padding: u8) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let mut record = vec![1, kind, 0, id, length[0], length[1], padding, 0];
        record.extend_from_slice(content);
        record.resize(record.len() + usize::from(padding), 0);
        record
    }

    fn end(status: u8, protocol: u8) -> Vec<u8> {
        record(3, 1, &[0, 0, 0, status, protocol, 0, 0, 0], 0)
    }

    /// What the other reader makes of it: the output, if there is nothing else.
    fn plainly_read(bytes: &[u8]) -> Option<Vec<u8>> {
        let (mut answers, mut input, mut output) = (Answers::new(1), Bytes::copy_from_slice(bytes), Vec::new());
        loop {
            match answers.next(&mut input) {
                Ok(Some(Answer::Output(bytes))) => output.extend_from_slice(&bytes),
                Ok(Some(Answer::OutputEnd)) => {}
                Ok(Some(Answer::End(0))) => return answers.are_whole(&input).then_some(output),
                _ => return None,
            }
        }
    }

    #[test]
    fn an_answer_is_whole_or_none_and_reads_as_it_does_in_pieces() {
        let out = |content: &[u8]| record(6, 1, content, 3);
        for (parts, is_whole) in [
            (vec![out(b"a"), out(b""), end(0, 0)], true),
            (vec![out(b"a"), out(b"bc"), record(7, 1, b"", 0), end(0, 0)], true),
            (vec![end(0, 0)], true),
            (vec![out(b"a"), record(7, 1, b"oh", 0), out(b""), end(0, 0)], false),
            (vec![out(b"a"), out(b""), end(1, 0)], false),
            (vec![out(b"a"), out(b""), end(0, 2)], false),
            (vec![out(b""), out(b"a"), end(0, 0)], false),
            (vec![record(6, 2, b"a", 0), end(0, 0)], false),
            (vec![record(11, 0, b"12345678", 0), end(0, 0)], false),
            (vec![out(b"a"), end(0, 0), out(b"more")], false),
        ] {
            let bytes = parts.concat();
            let whole = Whole::of(&Bytes::from(bytes.clone()));
            assert_eq!(whole.is_some(), is_whole, "{bytes:?}");
            if let Some(whole) = whole {
                let output: Vec<u8> = whole.output().flatten().copied().collect();
                assert_eq!(Some(output), plainly_read(&bytes), "{bytes:?}");
            }
            for cut in 0..bytes.len() {
                let part = Bytes::copy_from_slice(&bytes[..cut]);
                if let Some(whole) = Whole::of(&part) {
                    let output: Vec<u8> = whole.output().flatten().copied().collect();
                    assert_eq!(Some(output), plainly_read(&part), "{bytes:?} cut at {cut}");
                }
            }
        }
    }
}
