//! Fields keep their order and cannot break a head apart.

use super::{FieldError, Fields, Names, is_field_name, is_field_value, list_has_token, list_members};

#[test]
fn set_takes_the_place_of_the_first() {
    let mut fields = Fields::new();
    fields.append("A", "1");
    fields.append("Set-Cookie", "x");
    fields.append("set-cookie", "y");
    fields.append("B", "2");
    assert_eq!(fields.value("SET-COOKIE"), Some(&b"x"[..]));
    assert_eq!(fields.values(b"Set-Cookie").count(), 2);
    fields.set("Set-Cookie", "z");
    fields.set("C", "3");
    let mut out = Vec::new();
    fields.append_to(&mut out);
    assert_eq!(out, b"A: 1\r\nSet-Cookie: z\r\nB: 2\r\nC: 3\r\n");
    assert!(fields.remove("a"));
    assert!(!fields.remove("a"));
    assert_eq!(fields.len(), 3);
    fields.clear();
    assert!(fields.is_empty());
}

#[test]
fn a_value_cannot_begin_another_line() {
    let mut fields = Fields::new();
    fields.append("Location", "/x\r\nSet-Cookie: evil\0");
    fields.append("Bad Name", "x");
    fields.append("X:\r\nY", "x");
    let mut out = Vec::new();
    fields.append_to(&mut out);
    assert_eq!(out, b"Location: /x  Set-Cookie: evil \r\n");
    assert_eq!(fields.try_append(b"X y", b"1"), Err(FieldError::Name));
    assert_eq!(fields.try_append(b"", b"1"), Err(FieldError::Name));
    assert_eq!(fields.try_append(b"X", b"1\r2"), Err(FieldError::Value));
    assert_eq!(fields.try_append(b"X", b" caf\xe9\t1 "), Ok(()));
    assert_eq!(fields.value("x"), Some(&b"caf\xe9\t1"[..]));
}

#[test]
fn names_and_values() {
    assert!(is_field_name(b"X-Auth_1"));
    for name in ["", "a b", "a:", "a\t", "\u{e9}", "a\n"] {
        assert!(!is_field_name(name.as_bytes()), "{name:?}");
    }
    assert!(is_field_value(b""));
    assert!(is_field_value(b"a\tb \xff"));
    for value in [&b"\0"[..], b"a\rb", b"a\nb", b"\x1b[0m", b"\x7f"] {
        assert!(!is_field_value(value), "{value:?}");
    }
}

#[test]
fn lists_are_parted_outside_of_quotes() {
    for (list, want) in [
        ("a, b ,c", &["a", "b", "c"][..]),
        ("", &[]),
        (" , ,", &[]),
        (",a,", &["a"]),
        ("\"a,b\", c", &["\"a,b\"", "c"]),
        (r#""a\",b", c"#, &[r#""a\",b""#, "c"]),
        ("\"open, a", &["\"open, a"]),
        (r"a\,b", &[r"a\", "b"]),
    ] {
        let members: Vec<&[u8]> = list_members(list.as_bytes()).collect();
        let want: Vec<&[u8]> = want.iter().map(|s| s.as_bytes()).collect();
        assert_eq!(members, want, "{list}");
    }
    assert!(list_has_token(b"keep-alive, Close", b"close"));
    assert!(!list_has_token(b"closed, \"close\"", b"close"));
}

#[test]
fn ten_thousand_fields_are_not_slow() {
    let mut fields = Fields::new();
    for n in 0..10_000 {
        fields.append(format!("X-{n}"), "v");
    }
    assert_eq!(fields.value("X-9999"), Some(&b"v"[..]));
    fields.set("X-0", "w");
    assert!(fields.remove("X-5000"));
    assert_eq!(fields.len(), 9_999);
}

#[test]
fn a_field_goes_on_and_many_are_taken_out_at_once() {
    let mut fields = Fields::with_room(1, 1);
    fields.continue_last(b"nothing goes on");
    for (name, value) in [("A", "1"), ("B", "2"), ("a", "3"), ("C", "4")] {
        fields.append(name, value);
    }
    fields.continue_last(b"  and more ");
    fields.remove_all(&["b", "D", "A"]);
    let left: Vec<_> = fields.iter().collect();
    assert_eq!(left, [(&b"C"[..], &b"4 and more"[..])]);
}

#[test]
fn several_names_are_asked_for_at_once() {
    const NAMES: Names = Names::new(&[b"if-match", b"Range"]);
    let mut fields = Fields::new();
    fields.append("Host", "a");
    assert!(!fields.may_have_any(&NAMES));
    fields.append("RANGE", "bytes=0-");
    assert!(fields.may_have_any(&NAMES));
    assert_eq!(NAMES.iter().collect::<Vec<_>>(), [&b"if-match"[..], b"Range"]);
    assert!(!fields.may_have_any(&Names::new(&[])));
}

#[test]
fn names_with_the_same_mark_are_told_apart() {
    let mut fields = Fields::new();
    // What is between their ends makes no difference to the mark.
    for (name, value) in [("Abcde", "1"), ("aXYze", "2"), ("ABCDE", "3"), ("A", "4"), ("", "5")] {
        fields.append(name, value);
    }
    assert_eq!(fields.values(b"abcde").collect::<Vec<_>>(), [b"1", b"3"]);
    assert_eq!(
        (fields.value("axyzE"), fields.value("a")),
        (Some(&b"2"[..]), Some(&b"4"[..]))
    );
    assert_eq!((fields.value("axxxe"), fields.value("")), (None, None));
    fields.set("ABCDE", "6");
    assert!(fields.remove("AxyzE") && !fields.remove("AxyzE"));
    let left: Vec<_> = fields.iter().collect();
    assert_eq!(left, [(&b"Abcde"[..], &b"6"[..]), (b"A", b"4")]);
}
