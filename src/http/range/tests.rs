//! Ranges asked for, kindly and not (TRAPS rows 34, 35; RFC 9110 §14.1.2).

use super::{Bound, ByteRanges, RangeLimits, append_content_range, append_unsatisfied_range};

fn single(start: u64, end: u64) -> ByteRanges {
    ByteRanges::Single(start..end)
}

#[test]
fn the_examples_of_the_text() {
    // RFC 9110 §14.1.2, a representation of 10000 bytes.
    for (field, want) in [
        ("bytes=0-499", single(0, 500)),
        ("bytes=500-999", single(500, 1000)),
        ("bytes=-500", single(9500, 10_000)),
        ("bytes=9500-", single(9500, 10_000)),
        ("bytes=0-0,-1", ByteRanges::Multiple(vec![0..1, 9999..10_000])),
        (
            "bytes= 0-999, 4500-5499, -1000",
            ByteRanges::Multiple(vec![0..1000, 4500..5500, 9000..10_000]),
        ),
        ("bytes=500-600,601-999", single(500, 1000)),
        ("bytes=500-700,601-999", single(500, 1000)),
    ] {
        let found = ByteRanges::resolve(field.as_bytes(), 10_000, &RangeLimits::default());
        assert_eq!(found, want, "{field}");
    }
}

#[test]
fn ranges_of_seventeen_bytes() {
    for (field, want) in [
        ("bytes=0-", single(0, 17)),
        ("BYTES=0-0", single(0, 1)),
        ("bytes=-5", single(12, 17)),
        ("bytes=-500", single(0, 17)),
        ("bytes=16-", single(16, 17)),
        ("bytes=16-16", single(16, 17)),
        ("bytes=0-99", single(0, 17)),
        ("bytes=0-1000000000000000000000000", single(0, 17)),
        ("bytes=0-18446744073709551615", single(0, 17)),
        ("bytes=0-0,1-3", single(0, 4)),
        ("bytes=0-2,1-3", single(0, 4)),
        ("bytes=0-16,0-16", single(0, 17)),
        ("bytes=0-0,99-", single(0, 1)),
        ("bytes=0-0,,2-2", ByteRanges::Multiple(vec![0..1, 2..3])),
        ("bytes=4-5,0-1", ByteRanges::Multiple(vec![4..6, 0..2])),
        ("bytes=-0", ByteRanges::Unsatisfiable),
        ("bytes=17-", ByteRanges::Unsatisfiable),
        ("bytes=99-", ByteRanges::Unsatisfiable),
        ("bytes=99-,-0", ByteRanges::Unsatisfiable),
        ("bytes=1000000000000000000000000-", ByteRanges::Unsatisfiable),
        ("bytes=5-2", ByteRanges::Whole),
        ("bytes=0-1,5-2", ByteRanges::Whole),
        ("bytes=0-1e24", ByteRanges::Whole),
        ("bytes=", ByteRanges::Whole),
        ("bytes=,", ByteRanges::Whole),
        ("bytes=-", ByteRanges::Whole),
        ("bytes=x", ByteRanges::Whole),
        ("bytes=0-0,x", ByteRanges::Whole),
        ("bytes=x,0-0", ByteRanges::Whole),
        ("bytes=0 - 1", ByteRanges::Whole),
        ("bytes = 0-0", ByteRanges::Whole),
        ("bytes=--1", ByteRanges::Whole),
        ("bytes=+1-2", ByteRanges::Whole),
        ("bytes=0x1-2", ByteRanges::Whole),
        ("bytes=1-2-3", ByteRanges::Whole),
        ("lines=0-1", ByteRanges::Whole),
        ("", ByteRanges::Whole),
        ("bytes=0-8,10-16,0-8", ByteRanges::Whole),
    ] {
        let found = ByteRanges::resolve(field.as_bytes(), 17, &RangeLimits::default());
        assert_eq!(found, want, "{field}");
    }
    let empty = ByteRanges::resolve(b"bytes=0-", 0, &RangeLimits::default());
    assert_eq!(empty, ByteRanges::Whole);
}

#[test]
fn hostile_lists_get_the_whole_or_little() {
    let limits = RangeLimits::default();
    let same = format!("bytes={}", vec!["0-"; 300].join(","));
    assert_eq!(ByteRanges::resolve(same.as_bytes(), 10_000, &limits), ByteRanges::Whole);
    let list = |count: u64| {
        let parts: Vec<String> = (0..count).map(|n| format!("{0}-{0}", n * 2)).collect();
        format!("bytes={}", parts.join(","))
    };
    assert_eq!(
        ByteRanges::resolve(list(201).as_bytes(), 10_000, &limits),
        ByteRanges::Whole
    );
    let ByteRanges::Multiple(parts) = ByteRanges::resolve(list(200).as_bytes(), 10_000, &limits) else {
        panic!("200 ranges are served")
    };
    assert_eq!(parts.len(), 200);
    let backwards: Vec<String> = (0..22).rev().map(|n| format!("{0}-{0}", n * 2)).collect();
    let field = format!("bytes={}", backwards.join(","));
    assert_eq!(
        ByteRanges::resolve(field.as_bytes(), 10_000, &limits),
        ByteRanges::Whole
    );
    let field = format!("bytes={}", backwards[1..].join(","));
    assert!(matches!(
        ByteRanges::resolve(field.as_bytes(), 10_000, &limits),
        ByteRanges::Multiple(_)
    ));
}

#[test]
fn bounds_are_settings() {
    let with = |ranges| RangeLimits {
        ranges,
        ..RangeLimits::default()
    };
    let two = b"bytes=0-0,2-2";
    assert_eq!(
        ByteRanges::resolve(b"bytes=0-0", 9, &with(Bound::None)),
        ByteRanges::Whole
    );
    assert_eq!(ByteRanges::resolve(two, 9, &with(Bound::At(1))), ByteRanges::Whole);
    assert_eq!(
        ByteRanges::resolve(two, 9, &with(Bound::Unlimited)),
        ByteRanges::Multiple(vec![0..1, 2..3])
    );
    let no_overlap = RangeLimits {
        overlaps: Bound::None,
        ..RangeLimits::default()
    };
    assert_eq!(ByteRanges::resolve(b"bytes=0-1,1-2", 9, &no_overlap), ByteRanges::Whole);
    let no_reversal = RangeLimits {
        reversals: Bound::None,
        ..RangeLimits::default()
    };
    assert_eq!(
        ByteRanges::resolve(b"bytes=2-2,0-0", 9, &no_reversal),
        ByteRanges::Whole
    );
    assert_eq!(ByteRanges::resolve(b"bytes=2-2", 9, &no_reversal), single(2, 3));
}

#[test]
fn content_range() {
    let mut out = Vec::new();
    append_content_range(&mut out, &(0..5), 17);
    out.push(b' ');
    append_unsatisfied_range(&mut out, 17);
    assert_eq!(out, b"bytes 0-4/17 bytes */17");
}
