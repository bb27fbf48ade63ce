//! A script's standard error, line by line, up to a limit, with its last bytes kept for a diagnosis.

/// A longer line is logged in pieces of this length.
const LONGEST_LINE: usize = 4096;

/// So much of the end is kept.
const TAIL: usize = 4096;

/// What a script writes to standard error.
#[derive(Debug)]
pub struct Stderr {
    left: u64,
    dropped: u64,
    line: Vec<u8>,
    tail: Vec<u8>,
}

impl Stderr {
    /// Logs `limit` bytes at most (CGIStderrLimit).
    pub fn new(limit: u64) -> Stderr {
        Stderr {
            left: limit,
            dropped: 0,
            line: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Takes what was read; `say` gets each line that became whole, as the script wrote it.
    pub fn push(&mut self, bytes: &[u8], mut say: impl FnMut(&[u8])) {
        self.keep_tail(bytes);
        let logged = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= logged as u64;
        self.dropped += (bytes.len() - logged) as u64;
        for piece in bytes.get(..logged).unwrap_or_default().split_inclusive(|b| *b == b'\n') {
            for part in piece.chunks(LONGEST_LINE) {
                self.line.extend_from_slice(part);
                if self.line.last() == Some(&b'\n') || self.line.len() >= LONGEST_LINE {
                    self.flush(&mut say);
                }
            }
        }
    }

    /// The end: `say` gets what came without a line end. How many bytes the limit left out.
    pub fn end(&mut self, mut say: impl FnMut(&[u8])) -> u64 {
        self.flush(&mut say);
        std::mem::take(&mut self.dropped)
    }

    /// The last it wrote, logged or not.
    pub fn tail(&self) -> &[u8] {
        self.tail
            .get(self.tail.len().saturating_sub(TAIL)..)
            .unwrap_or_default()
    }

    fn flush(&mut self, say: &mut impl FnMut(&[u8])) {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            say(line);
        }
        self.line.clear();
    }

    fn keep_tail(&mut self, bytes: &[u8]) {
        let kept = bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default();
        if self.tail.len() + kept.len() > 2 * TAIL {
            let surplus = (self.tail.len() + kept.len()).saturating_sub(TAIL).min(self.tail.len());
            self.tail.drain(..surplus);
        }
        self.tail.extend_from_slice(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE, Stderr, TAIL};

    fn lines(limit: u64, pieces: &[&[u8]]) -> (Vec<String>, u64) {
        let mut stderr = Stderr::new(limit);
        let mut said = Vec::new();
        let mut say = |line: &[u8]| said.push(String::from_utf8_lossy(line).into_owned());
        for piece in pieces {
            stderr.push(piece, &mut say);
        }
        let dropped = stderr.end(&mut say);
        (said, dropped)
    }

    #[test]
    fn lines_are_whole_however_they_are_cut() {
        let text = b"one\n\ntwo\r\nthree";
        for cut in 0..=text.len() {
            let (head, tail) = text.split_at(cut);
            let (said, dropped) = lines(100, &[head, tail]);
            assert_eq!((said.join("|").as_str(), dropped), ("one|two|three", 0), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_beyond_the_limit_is_counted() {
        assert_eq!(
            lines(5, &[b"one\ntwo\n", b"three\n"]),
            (vec!["one".into(), "t".into()], 9)
        );
        assert_eq!(lines(0, &[b"one\n"]), (vec![], 4));
    }

    #[test]
    fn a_line_without_an_end_is_cut_to_pieces() {
        let (said, _) = lines(u64::MAX, &[&vec![b'x'; 3 * LONGEST_LINE + 7]]);
        let lengths: Vec<usize> = said.iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST_LINE, LONGEST_LINE, LONGEST_LINE, 7]);
    }

    #[test]
    fn the_tail_is_the_end_of_everything() {
        let mut stderr = Stderr::new(3);
        for n in 0..5000 {
            stderr.push(format!("line {n}\n").as_bytes(), |_| {});
        }
        assert!(stderr.tail().ends_with(b"line 4998\nline 4999\n"));
        assert_eq!(stderr.tail().len(), TAIL);
        stderr.push(&vec![b'x'; 10 * TAIL], |_| {});
        assert_eq!(stderr.tail(), vec![b'x'; TAIL]);
        assert!(stderr.tail.len() <= 2 * TAIL);
    }
}
