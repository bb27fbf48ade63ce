//! gzip taken off, piece by piece (RFC 1952), of one member.

use std::ops::ControlFlow;

use flate2::{Decompress, FlushDecompress, Status};

/// How much comes out at one time.
const PIECE: usize = 8 * 1024;

/// A decompressor at work.
pub struct Gunzip {
    inflate: Decompress,
    over: bool,
}

/// The bytes are no gzip, or their check does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage;

impl Default for Gunzip {
    fn default() -> Gunzip {
        Gunzip {
            inflate: Decompress::new_gzip(15),
            over: false,
        }
    }
}

impl Gunzip {
    /// Takes bytes from the front of `bytes`, until some come out or there are no more of them. The number of bytes taken, and
    /// those that came out. What stands behind the end is not taken.
    pub fn next(&mut self, mut bytes: &[u8]) -> Result<(usize, Vec<u8>), Garbage> {
        let (mut taken, mut out) = (0, Vec::with_capacity(PIECE));
        while out.is_empty() && !self.over {
            match self.step(bytes, &mut out)? {
                ControlFlow::Continue(more) => {
                    taken += more;
                    bytes = bytes.get(more..).unwrap_or_default();
                }
                ControlFlow::Break(more) => {
                    taken += more;
                    break;
                }
            }
        }
        Ok((taken, out))
    }

    /// One step; a break when there is nothing more to be had of these bytes.
    fn step(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<ControlFlow<usize, usize>, Garbage> {
        let before = self.inflate.total_in();
        let status = self
            .inflate
            .decompress_vec(bytes, out, FlushDecompress::None)
            .map_err(|_| Garbage)?;
        let taken = usize::try_from(self.inflate.total_in() - before).map_err(|_| Garbage)?;
        self.over = status == Status::StreamEnd;
        let is_stuck = taken == 0 && out.is_empty();
        Ok(if is_stuck || taken == bytes.len() {
            ControlFlow::Break(taken)
        } else {
            ControlFlow::Continue(taken)
        })
    }

    /// Whether the end was reached, and the check held.
    pub fn is_over(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::{Garbage, Gunzip};

    /// A gzip member.
    pub fn zipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn all(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Garbage> {
        let (mut gunzip, mut out) = (Gunzip::default(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            loop {
                let (taken, bytes) = gunzip.next(rest)?;
                rest = &rest[taken..];
                out.extend_from_slice(&bytes);
                if bytes.is_empty() && rest.is_empty() {
                    break;
                }
            }
        }
        Ok((out, gunzip.is_over()))
    }

    #[test]
    fn a_member_comes_out_wherever_it_is_cut() {
        let text = b"some text, some text, some more text".repeat(30);
        let member = zipped(&text);
        for at in 0..=member.len() {
            let (head, tail) = member.split_at(at);
            assert_eq!(all(&[head, tail]), Ok((text.clone(), true)), "cut at {at}");
            let (out, is_over) = all(&[head]).expect("it is good so far");
            assert_eq!(is_over, at == member.len(), "cut at {at}");
            assert!(text.starts_with(&out));
        }
    }

    #[test]
    fn what_stands_behind_a_member_is_not_taken() {
        let member = zipped(b"one");
        let (mut gunzip, more) = (Gunzip::default(), [member.as_slice(), b"garbage"].concat());
        assert_eq!(gunzip.next(&more), Ok((member.len(), b"one".to_vec())));
        assert!(gunzip.is_over());
        assert_eq!(gunzip.next(&more[member.len()..]), Ok((0, Vec::new())));
    }

    #[test]
    fn garbage_is_told() {
        let good = zipped(b"some text");
        assert_eq!(all(&[b"no gzip at all"]), Err(Garbage));
        for at in [0, 1, 2, 12, good.len() - 5, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            assert_eq!(all(&[&bad]), Err(Garbage), "byte {at}");
        }
    }

    #[test]
    fn a_large_member_comes_out_in_pieces() {
        let member = zipped(&vec![0; 1 << 20]);
        let mut gunzip = Gunzip::default();
        let (mut rest, mut pieces, mut total) = (member.as_slice(), 0, 0);
        while !gunzip.is_over() {
            let (taken, bytes) = gunzip.next(rest).expect("it is good");
            assert!(bytes.len() <= 8 * 1024);
            rest = &rest[taken..];
            total += bytes.len();
            pieces += 1;
        }
        assert_eq!(total, 1 << 20);
        assert!(pieces >= 128);
    }
}
