//! What is read at once is read line by line as well, and as the same.

use crate::base::testing::Dice;
use crate::http::head::tests::{FAULTS, STRICT, TYPICAL, UNSAFE};
use crate::http::head::{HeadLimits, Http09, Methods, ParseError, Progress, ProtocolOptions, RequestHead};

const REGISTERED: ProtocolOptions = ProtocolOptions {
    methods: Methods::Registered,
    http09: Http09::Refuse,
    ..STRICT
};

const EACH: [ProtocolOptions; 3] = [STRICT, UNSAFE, REGISTERED];

/// Everything that there is of a head.
pub(in crate::http::head) fn all_of(head: &RequestHead) -> impl PartialEq + std::fmt::Debug {
    let fields: Vec<_> = head
        .fields()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    let known: Vec<_> = fields
        .iter()
        .map(|(name, _)| head.field(name).map(<[u8]>::to_vec))
        .collect();
    let words = (
        head.method(),
        head.method_bytes().to_vec(),
        head.target_bytes().to_vec(),
    );
    (head.request_line().to_vec(), words, head.version(), fields, known)
}

fn by_lines(
    input: &[u8],
    limits: &HeadLimits,
    options: ProtocolOptions,
) -> (RequestHead, Result<Progress, ParseError>) {
    let mut head = RequestHead::new();
    let result = head.advance(input, limits, options);
    (head, result)
}

/// Whether the head was read at once; then, and if not, all is as it is line by line.
fn compare(input: &[u8], limits: &HeadLimits, options: ProtocolOptions) -> bool {
    let mut head = RequestHead::new();
    let Some(consumed) = head.read_whole(input, limits, options) else {
        let is_empty = head.line.is_empty() && head.target.is_empty() && head.fields.is_empty() && head.scan.from == 0;
        assert!(is_empty, "{}", input.escape_ascii());
        return false;
    };
    let (slow, result) = by_lines(input, limits, options);
    let what = format!("{}, {limits:?}, {options:?}", input.escape_ascii());
    assert_eq!(result, Ok(Progress::Complete { consumed }), "{what}");
    assert_eq!(all_of(&head), all_of(&slow), "{what}");
    true
}

/// The same for all options, some limits, and the input cut at every byte, which changes nothing either.
fn compare_in_pieces(input: &[u8], limits: &HeadLimits) {
    for options in EACH {
        compare(input, limits, options);
        for end in 0..input.len() {
            let begin = &input[..end];
            compare(begin, limits, options);
            let (mut head, mut slow) = (RequestHead::new(), RequestHead::new());
            let mut both = |input| {
                let result = head.parse(input, limits, options);
                assert_eq!(result, slow.advance(input, limits, options), "{}", input.escape_ascii());
                assert_eq!(all_of(&head), all_of(&slow), "{}", input.escape_ascii());
                result
            };
            if both(begin) == Ok(Progress::Partial) {
                let _ = both(input);
            }
        }
    }
}

pub(in crate::http::head) fn corpus() -> Vec<Vec<u8>> {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/head");
    let files = std::fs::read_dir(place).expect("the corpus is there");
    let inputs = files.map(|file| std::fs::read(file.expect("a file").path()).expect("it can be read"));
    // The first byte chooses options.
    inputs
        .map(|input| input.get(1..).unwrap_or_default().to_vec())
        .collect()
}

const SHORT: &[u8] = b"HEAD /a?b HTTP/1.0\r\nHost: a\r\nX:\r\nY: \t1 2\r\n\r\nGET / HTTP/1.1\r\n\r\n";

const FEW: HeadLimits = HeadLimits {
    line: 24,
    field_size: 32,
    fields: 3,
};

#[test]
fn usual_heads_are_read_at_once() {
    for input in [
        SHORT,
        b"GET / HTTP/1.1\r\n\r\n",
        b"BREW /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\nUser-Agent:\r\n\r\n",
    ] {
        assert!(
            compare(input, &HeadLimits::default(), STRICT),
            "{}",
            input.escape_ascii()
        );
        assert!(
            compare(input, &HeadLimits::default(), UNSAFE),
            "{}",
            input.escape_ascii()
        );
    }
    let mut many = b"GET / HTTP/1.1\r\n".to_vec();
    many.extend(b"A: 1\r\n".repeat(64));
    assert!(compare(&[&many[..], b"\r\n"].concat(), &HeadLimits::default(), STRICT));
    assert!(!compare(
        &[&many[..], b"B: 1\r\n\r\n"].concat(),
        &HeadLimits::default(),
        STRICT
    ));
}

#[test]
fn a_head_is_the_same_at_once_and_line_by_line() {
    let mut inputs = corpus();
    inputs.extend(FAULTS.iter().map(|(input, _, _)| input.to_vec()));
    inputs.extend([TYPICAL.to_vec(), SHORT.to_vec()]);
    for input in inputs.iter().filter(|input| input.len() <= 512) {
        compare_in_pieces(input, &HeadLimits::default());
        compare_in_pieces(input, &FEW);
    }
    let mut dice = Dice::new(17);
    for input in &inputs {
        for _ in 0..100 {
            let mut damaged = input.clone();
            dice.damage(&mut damaged);
            for options in EACH {
                compare(&damaged, &HeadLimits::default(), options);
                compare(&damaged, &FEW, options);
            }
        }
    }
}

#[test]
fn whatever_byte_is_another_the_head_is_the_same() {
    let odd = b"\0\t\n\x0b\r \"#%,:;=?\x7f\x80\xffA0".to_vec();
    for (input, bytes) in [(SHORT, (0..=255).collect()), (TYPICAL, odd)] {
        for at in 0..input.len() {
            for byte in bytes.iter().copied() {
                let mut replaced = input.to_vec();
                replaced[at] = byte;
                let mut added = input.to_vec();
                added.insert(at, byte);
                for options in EACH {
                    compare(&replaced, &HeadLimits::default(), options);
                    compare(&added, &HeadLimits::default(), options);
                }
            }
            let mut less = input.to_vec();
            less.remove(at);
            for options in EACH {
                compare(&less, &HeadLimits::default(), options);
            }
        }
    }
}

#[test]
fn limits_are_the_same_at_every_edge() {
    for at in 0..=64 {
        for input in [SHORT, TYPICAL] {
            let usual = HeadLimits::default();
            for limits in [
                HeadLimits { line: at, ..usual },
                HeadLimits {
                    field_size: at,
                    ..usual
                },
                HeadLimits { fields: at, ..usual },
            ] {
                let mut head = RequestHead::new();
                let (slow, result) = by_lines(input, &limits, STRICT);
                assert_eq!(head.parse(input, &limits, STRICT), result, "{limits:?}");
                assert_eq!(all_of(&head), all_of(&slow), "{limits:?}");
                compare(input, &limits, STRICT);
            }
        }
    }
}
