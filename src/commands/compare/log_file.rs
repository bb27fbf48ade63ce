//! A log, plain or compressed with gzip, as the requests in it: each once, with how often it occurs, the most frequent first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::lines::{self, Logged, Unfit};

/// A longer line is none of an access log, and is passed over. No directive moves it.
const LONGEST_LINE: u64 = 64 * 1024;

/// What URLs are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urls {
    /// Those without a word by which something is perhaps done.
    Harmless,
    /// All.
    All,
}

/// The requests of a log.
#[derive(Debug, Default)]
pub struct Requests {
    /// Each request, and how often it occurs.
    pub distinct: Vec<(Logged, u64)>,
    /// How many lines there are.
    pub lines: u64,
    /// The lines whose requests are not sent, by the reason.
    pub unfit: BTreeMap<Unfit, u64>,
}

/// Reads a file; `-` is the standard input. An error is a sentence about it.
pub fn read(path: &Path, urls: Urls) -> Result<Requests, String> {
    let told = |error: &io::Error| format!("{}: {error}", path.display());
    if path == Path::new("-") {
        return of(&mut BufReader::new(io::stdin()), urls).map_err(|error| told(&error));
    }
    let file = File::open(path).map_err(|error| told(&error))?;
    of(&mut BufReader::new(file), urls).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            format!("{}: the compressed log is not whole; nothing was sent", path.display())
        }
        _ => told(&error),
    })
}

/// The requests of a text, or of a compressed one.
fn of(text: &mut dyn BufRead, urls: Urls) -> io::Result<Requests> {
    let is_compressed = text.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let mut unpacked;
    let text: &mut dyn BufRead = if is_compressed {
        unpacked = BufReader::new(MultiGzDecoder::new(text));
        &mut unpacked
    } else {
        text
    };
    let mut requests = Requests::default();
    let mut places: HashMap<Logged, usize> = HashMap::new();
    let mut line = Vec::new();
    while next_line(text, &mut line)? {
        requests.lines += 1;
        let logged = lines::read(&line).and_then(|logged| match urls {
            Urls::Harmless if logged.may_do_something() => Err(Unfit::Doing),
            Urls::Harmless | Urls::All => Ok(logged),
        });
        let logged = match logged {
            Ok(logged) => logged,
            Err(why) => {
                *requests.unfit.entry(why).or_insert(0) += 1;
                continue;
            }
        };
        let at = *places.entry(logged.clone()).or_insert(requests.distinct.len());
        match requests.distinct.get_mut(at) {
            Some((_, count)) => *count += 1,
            None => requests.distinct.push((logged, 1)),
        }
    }
    // Those of the same frequency stay in the order of the log.
    requests.distinct.sort_by_key(|(_, count)| Reverse(*count));
    Ok(requests)
}

/// The next line, empty where it is too long; whether there is one.
fn next_line(text: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let length = text.take(LONGEST_LINE).read_until(b'\n', line)?;
    if length == 0 {
        return Ok(false);
    }
    if !line.ends_with(b"\n") && line.len() as u64 == LONGEST_LINE {
        line.clear();
        skip_line(text)?;
    }
    Ok(true)
}

fn skip_line(text: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = text.fill_buf()?;
        let end = memchr::memchr(b'\n', buffer);
        let length = end.map_or(buffer.len(), |at| at + 1);
        text.consume(length);
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, ErrorKind, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::{Urls, of};
    use crate::commands::compare::lines::Unfit;

    const LOG: &str = "h - - [t] \"GET /once HTTP/1.1\" 200 1\nh - - [t] \"GET /twice HTTP/1.1\" 200 1\n\
                       h - - [t] \"POST / HTTP/1.1\" 200 1\nx - - [t] \"GET /twice HTTP/1.0\" 200 1\n\
                       h - - [t] \"GET /logout HTTP/1.1\" 200 1\nnonsense\nh - - [t] \"HEAD /once HTTP/1.1\" 200 1";

    fn told(text: &[u8], urls: Urls) -> Vec<String> {
        let requests = of(&mut Cursor::new(text), urls).expect("it is whole");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let distinct = requests.distinct.iter();
        distinct
            .map(|(logged, count)| format!("{count} {} {}", text(&logged.method), text(&logged.target)))
            .collect()
    }

    #[test]
    fn each_request_is_sent_once_and_the_most_frequent_first() {
        let want = ["2 GET /twice", "1 GET /once", "1 HEAD /once"];
        assert_eq!(told(LOG.as_bytes(), Urls::Harmless), want);
        assert_eq!(told(LOG.as_bytes(), Urls::All).len(), 4);
        let requests = of(&mut Cursor::new(LOG), Urls::Harmless).expect("it is whole");
        let unfit: Vec<(Unfit, u64)> = requests.unfit.into_iter().collect();
        assert_eq!(unfit, [(Unfit::Unreadable, 1), (Unfit::Method, 1), (Unfit::Doing, 1)]);
        assert_eq!(requests.lines, 7);
    }

    #[test]
    fn a_compressed_log_is_read_if_it_is_whole() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(LOG.as_bytes()).expect("there is room");
        let packed = packed.finish().expect("there is room");
        assert_eq!(told(&packed, Urls::All).len(), 4);
        for cut in 2..packed.len() {
            let error = of(&mut Cursor::new(&packed[..cut]), Urls::All).expect_err("it is not whole");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{cut}");
        }
    }

    #[test]
    fn a_line_too_long_is_passed_over_alone() {
        let long = [
            b"h - - [t] \"GET /",
            vec![b'a'; 200_000].as_slice(),
            b" HTTP/1.1\" 1 1\n",
        ]
        .concat();
        let text = [long.as_slice(), LOG.as_bytes()].concat();
        assert_eq!(told(&text, Urls::Harmless).len(), 3);
        assert_eq!(told(&long[..long.len() - 1], Urls::Harmless), Vec::<String>::new());
    }
}
