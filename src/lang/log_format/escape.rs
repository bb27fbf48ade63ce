//! How log lines write bytes that could forge or break a line.

/// Appends `text` as the access log has it (`ap_escape_logitem`): quote and backslash with a backslash, the usual
/// control characters as in C, all other control bytes and bytes beyond ASCII as `\xhh`.
pub fn access(text: &[u8], out: &mut Vec<u8>) {
    escape(text, out, Quote::Escaped);
}

/// Appends `text` as the error log has it (`ap_escape_errorlog_item`): as [`access`], but quotes are plain.
pub fn error(text: &[u8], out: &mut Vec<u8>) {
    escape(text, out, Quote::Plain);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    Escaped,
    Plain,
}

impl Quote {
    /// What is escaped besides what is in any case.
    #[inline]
    fn byte(self) -> u8 {
        match self {
            Quote::Escaped => b'"',
            Quote::Plain => b'\\',
        }
    }
}

#[inline]
fn escape(text: &[u8], out: &mut Vec<u8>, quote: Quote) {
    if is_all_plain(text, quote) {
        out.extend_from_slice(text);
    } else {
        escape_each(text, out, quote);
    }
}

#[cold]
fn escape_each(text: &[u8], out: &mut Vec<u8>, quote: Quote) {
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest
            .iter()
            .position(|byte| !is_plain(*byte, quote))
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at(plain);
        out.extend_from_slice(head);
        let Some((&byte, after)) = tail.split_first() else {
            return;
        };
        special(byte, out);
        rest = after;
    }
}

/// Whether nothing of it is to be escaped, as nothing is of most texts: 16 or eight bytes are looked at together, and the last
/// ones of a text with some of those before them once more.
fn is_all_plain(text: &[u8], quote: Quote) -> bool {
    if let Some(last) = text.last_chunk::<16>() {
        let (chunks, _) = text.as_chunks::<16>();
        chunks.iter().all(|chunk| are_plain(chunk, quote)) && are_plain(last, quote)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        is_plain_word(u64::from_ne_bytes(*first), quote) && is_plain_word(u64::from_ne_bytes(*last), quote)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let (first, last) = (u32::from_ne_bytes(*first), u32::from_ne_bytes(*last));
        is_plain_word(u64::from(first) << 32 | u64::from(last), quote)
    } else {
        text.iter().all(|byte| is_plain(*byte, quote))
    }
}

/// Whether all bytes are plain. There is no jump in it but for the answer, so that the compiler takes them into one register.
#[inline]
fn are_plain(bytes: &[u8; 16], quote: Quote) -> bool {
    let odd = |byte: u8| {
        // As a signed number, a byte beyond ASCII is below the space as well.
        u8::from(byte.cast_signed() < 0x20)
            | u8::from(byte == 0x7f)
            | u8::from(byte == b'\\')
            | u8::from(byte == quote.byte())
    };
    bytes.iter().fold(0, |sum, byte| sum | odd(*byte)) == 0
}

/// The same of eight. For each of the questions the highest bit of a byte is the answer; a borrow from the byte
/// below reaches only what stands beside a byte that is not plain itself.
#[inline]
fn is_plain_word(word: u64, quote: Quote) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = ONES << 7;
    let is_below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let is = |byte: u8| is_below(word ^ (ONES * u64::from(byte)), 1);
    (word | is_below(word, b' ') | is(0x7f) | is(b'\\') | is(quote.byte())) & HIGHEST == 0
}

fn is_plain(byte: u8, quote: Quote) -> bool {
    (b' '..=b'~').contains(&byte) && byte != b'\\' && byte != quote.byte()
}

fn special(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        0x08 => b'b',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x0b => b'v',
        b'\\' | b'"' => byte,
        _ => {
            out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// The digit of a value below 16.
pub(super) fn hex(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

#[cfg(test)]
mod tests {
    use super::{Quote, is_all_plain, is_plain};

    #[test]
    fn bytes_together_are_judged_as_one_by_one() {
        for byte in 0..=255_u8 {
            for neighbour in [b'a', b' ', b'~', 0, b'"', byte] {
                for length in [1, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 41] {
                    for at in 0..length {
                        let mut text = vec![neighbour; length];
                        text[at] = byte;
                        for quote in [Quote::Escaped, Quote::Plain] {
                            let want = text.iter().all(|byte| is_plain(*byte, quote));
                            assert_eq!(
                                is_all_plain(&text, quote),
                                want,
                                "{byte} among {neighbour}, at {at} of {length}"
                            );
                        }
                    }
                }
            }
        }
    }
}
