//! What an answer depends on besides its request line, its host and the address it was sent to: a record of the questions
//! that were asked while it was made. Whoever wants to give the same answer again asks the same questions, and needs the
//! same answers.
//!
//! One record is taken at a time and thread, by [`record`], around code that does not wait. Those who look at something tell
//! it here; what cannot be asked again is told by [`on_more`], and then there is no second use of the answer.

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::base::date::HttpDate;
use crate::http::conditional::{self, Condition, ETag, Validators};
use crate::http::fields::Marks;
use crate::http::head::RequestHead;

/// More fields than this make an answer one that is not given again.
const MOST_FIELDS: usize = 8;
/// The same for files that were looked at.
const MOST_FILES: usize = 64;

/// What an answer depends on.
#[derive(Clone, Debug, Default)]
pub struct Depends {
    fields: Vec<Vec<u8>>,
    client: bool,
    conditions: Option<Conditions>,
    files: Vec<Probe>,
    until: Option<SystemTime>,
    more: bool,
}

/// A look at a name in the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The absolute name.
    pub name: CString,
    /// Whether a link at its end was followed.
    pub links: Links,
    /// What was there.
    pub found: Option<Stamp>,
}

/// What is asked of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Where it leads.
    Followed,
    /// The link itself.
    Seen,
}

/// What tells one state of a file from another. Of a directory only what decides whether it may be passed is kept: what lies
/// in it is looked at by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// File system and number.
    pub file: (u64, u64),
    /// Kind and permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owners: (u32, u32),
    /// Size in bytes.
    pub size: u64,
    /// When the content changed: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
    /// When anything of it changed.
    pub changed: (i64, u32),
}

/// What a request's conditions were held against, and what they came to.
#[derive(Clone, Debug)]
struct Conditions {
    etag: Option<Vec<u8>>,
    last_modified: Option<HttpDate>,
    came_to: Condition,
}

/// The questions of an answer with the answers that they had.
#[derive(Clone, Debug)]
pub struct Asked {
    fields: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    /// The marks of the fields, where none of them was there.
    absent: Option<Marks>,
    client: Option<IpAddr>,
    conditions: Option<Conditions>,
    /// The files that were looked at.
    pub files: Vec<Probe>,
    until: Option<SystemTime>,
}

thread_local! {
    static IS_RECORDING: Cell<bool> = const { Cell::new(false) };
    static RECORD: RefCell<Depends> = RefCell::new(Depends::default());
}

/// Records what `make` depends on. It must not lead here again.
pub fn record<T>(make: impl FnOnce() -> T) -> (T, Depends) {
    RECORD.with_borrow_mut(|record| *record = Depends::default());
    IS_RECORDING.set(true);
    let result = make();
    IS_RECORDING.set(false);
    (result, RECORD.take())
}

/// Does something whose questions are told in another way.
pub fn quietly<T>(make: impl FnOnce() -> T) -> T {
    let was = IS_RECORDING.replace(false);
    let result = make();
    IS_RECORDING.set(was);
    result
}

fn note(change: impl FnOnce(&mut Depends)) {
    if IS_RECORDING.get() {
        RECORD.with_borrow_mut(change);
    }
}

/// Whether a record is taken.
#[inline]
pub fn is_recording() -> bool {
    IS_RECORDING.get()
}

/// A field of the request was looked at.
#[inline]
pub fn on_field(name: &[u8]) {
    if IS_RECORDING.get() {
        note_field(name);
    }
}

fn note_field(name: &[u8]) {
    note(|record| {
        // Whom the request is for is asked of every answer.
        if name.eq_ignore_ascii_case(b"host") || record.fields.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return;
        }
        record.more |= record.fields.len() >= MOST_FIELDS;
        record.fields.push(name.to_vec());
    });
}

/// The client's address was looked at.
pub fn on_client() {
    note(|record| record.client = true);
}

/// The conditions of the request were held against these validators.
pub fn on_conditions(known: &Validators<'_>, etag: Option<&[u8]>, came_to: Condition) {
    note(|record| {
        record.more |= record.conditions.is_some();
        record.conditions = Some(Conditions {
            etag: etag.map(<[u8]>::to_vec),
            last_modified: known.last_modified,
            came_to,
        });
    });
}

/// A name in the file system was looked at.
pub fn on_file(name: &[u8], links: Links, found: Option<Stamp>) {
    note(|record| {
        let known = record
            .files
            .iter()
            .find(|probe| probe.links == links && probe.name.as_bytes() == name);
        if let Some(known) = known {
            record.more |= known.found != found;
            return;
        }
        record.more |= record.files.len() >= MOST_FILES;
        // A name with a zero in it names nothing that could be looked at again.
        match CString::new(name) {
            Ok(name) => record.files.push(Probe { name, links, found }),
            Err(_) => record.more = true,
        }
    });
}

/// The answer will be another at that time.
pub fn on_time(until: SystemTime) {
    note(|record| record.until = Some(record.until.map_or(until, |known| known.min(until))));
}

/// The answer will be another in the next second of the calendar.
pub fn on_second(now: SystemTime) {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    on_time(SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs() + 1));
}

/// Something was looked at, or done, that cannot be asked again: the time, a die, a user's password.
pub fn on_more() {
    // What else it depends on is of no interest then.
    if IS_RECORDING.replace(false) {
        RECORD.with_borrow_mut(|record| record.more = true);
    }
}

/// What was looked at so far, where all of it can be asked again.
pub fn so_far() -> Option<Depends> {
    let is_whole = IS_RECORDING.get() && RECORD.with_borrow(|record| !record.more);
    is_whole.then(|| RECORD.with_borrow(Depends::clone))
}

impl Depends {
    /// The questions with the answers of this request, if they can be asked again.
    pub fn asked(self, head: &RequestHead, client: IpAddr) -> Option<Asked> {
        if self.more {
            return None;
        }
        let values = |name: Vec<u8>| {
            let values = head.values(&name).map(<[u8]>::to_vec).collect();
            (name, values)
        };
        let fields: Vec<_> = self.fields.into_iter().map(values).collect();
        let are_absent = fields.iter().all(|(_, values): &(_, Vec<_>)| values.is_empty());
        Some(Asked {
            absent: are_absent.then(|| Marks::of_all(fields.iter().map(|(name, _)| name.as_slice()))),
            fields,
            client: self.client.then_some(client),
            conditions: self.conditions,
            files: self.files,
            until: self.until,
        })
    }
}

impl Asked {
    /// Whether another request's answers are the same, those about files aside.
    pub fn hold(&self, head: &RequestHead, client: IpAddr, now: SystemTime) -> bool {
        let is_same = |(name, values): &(Vec<u8>, Vec<Vec<u8>>)| head.values(name).eq(values.iter().map(Vec::as_slice));
        let are_absent = self.absent.is_some_and(|marks| !head.may_have(marks));
        self.until.is_none_or(|until| now < until)
            && self.client.is_none_or(|known| known == client)
            && (are_absent || self.fields.iter().all(is_same))
            && self.conditions.as_ref().is_none_or(|known| known.hold(head, now))
    }

    /// Whether the two are the answers of the same request, as far as the questions go.
    pub fn is_alike(&self, other: &Asked) -> bool {
        let outcome = |asked: &Asked| asked.conditions.as_ref().map(|known| known.came_to);
        self.fields == other.fields && self.client == other.client && outcome(self) == outcome(other)
    }

    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let of_values = |values: &[Vec<u8>]| values.iter().map(|value| 32 + value.len()).sum::<usize>();
        let of_field = |(name, values): &(Vec<u8>, Vec<Vec<u8>>)| 64 + name.len() + of_values(values);
        let fields: usize = self.fields.iter().map(of_field).sum();
        fields + self.files.iter().map(Probe::weight).sum::<usize>()
    }
}

impl Probe {
    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        size_of::<Probe>() + self.name.as_bytes().len()
    }
}

impl Conditions {
    fn hold(&self, head: &RequestHead, now: SystemTime) -> bool {
        if !conditional::is_asked(head) {
            return self.came_to == Condition::Proceed;
        }
        let known = Validators {
            etag: self.etag.as_deref().and_then(ETag::parse),
            last_modified: self.last_modified,
        };
        conditional::evaluate(head.method(), head, &known, HttpDate::from(now)) == self.came_to
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, SystemTime};

    use super::{Asked, Links, on_client, on_conditions, on_field, on_file, on_more, on_time, quietly, record};
    use crate::http::conditional::{Condition, ETag, Validators};
    use crate::http::fields::Names;
    use crate::http::head::{HeadLimits, ProtocolOptions, RequestHead};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn head(fields: &str) -> RequestHead {
        let mut head = RequestHead::new();
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head.parse(text.as_bytes(), &HeadLimits::default(), ProtocolOptions::default())
            .expect("a head");
        head
    }

    fn asked(fields: &str, ask: impl FnOnce(&RequestHead)) -> Option<Asked> {
        let head = head(fields);
        let ((), depends) = record(|| ask(&head));
        depends.asked(&head, HERE)
    }

    #[test]
    fn fields_that_were_looked_at_must_be_the_same() {
        let known = asked("A: 1\r\nB: 2\r\n", |head| {
            head.field(b"A");
            head.joined(b"c");
            head.values(b"host").count();
        });
        let known = known.expect("it can be asked again");
        for (fields, want) in [
            ("A: 1\r\nB: 2\r\n", true),
            ("a: 1\r\nB: 3\r\n", true),
            ("A: 1\r\n", true),
            ("A: 2\r\n", false),
            ("A: 1\r\nA: 1\r\n", false),
            ("A: 1\r\nC:\r\n", false),
            ("", false),
        ] {
            assert_eq!(known.hold(&head(fields), HERE, SystemTime::now()), want, "{fields:?}");
        }
    }

    #[test]
    fn of_several_names_each_that_was_looked_at_must_be_the_same() {
        const NAMES: Names = Names::new(&[b"A", b"B", b"C"]);
        let now = SystemTime::now();
        let known = asked("B: 1\r\n", |head| assert!(head.has_any(&NAMES)));
        let known = known.expect("it can be asked again");
        for (fields, want) in [
            ("b: 1\r\n", true),
            ("B: 1\r\nC: 1\r\n", true),
            ("A: 1\r\nB: 1\r\n", false),
            ("B: 2\r\n", false),
            ("", false),
        ] {
            assert_eq!(known.hold(&head(fields), HERE, now), want, "{fields:?}");
        }
        let none = asked("", |head| assert!(!head.has_any(&NAMES)));
        let none = none.expect("it can be asked again");
        assert!(none.hold(&head("D: 1\r\n"), HERE, now) && !none.hold(&head("C: 1\r\n"), HERE, now));
    }

    #[test]
    fn the_client_counts_where_somebody_looked() {
        let now = SystemTime::now();
        let all = asked("", |_| ()).expect("nothing was asked");
        assert!(all.hold(&head(""), ELSEWHERE, now));
        let one = asked("", |_| on_client()).expect("it can be asked again");
        assert!(one.hold(&head(""), HERE, now) && !one.hold(&head(""), ELSEWHERE, now));
    }

    #[test]
    fn conditions_must_come_to_the_same_and_not_be_the_same() {
        let known = Validators {
            etag: ETag::parse(b"\"x\""),
            last_modified: None,
        };
        let asked = asked("", |_| on_conditions(&known, Some(b"\"x\""), Condition::NotModified));
        let asked = asked.expect("it can be asked again");
        for (fields, want) in [
            ("If-None-Match: \"x\"\r\n", true),
            ("If-None-Match: \"y\", \"x\"\r\n", true),
            ("If-None-Match: *\r\n", true),
            ("If-None-Match: \"y\"\r\n", false),
            ("", false),
        ] {
            assert_eq!(asked.hold(&head(fields), HERE, SystemTime::now()), want, "{fields:?}");
        }
    }

    #[test]
    fn what_it_takes_grows_with_what_was_asked_and_answered() {
        let weight = |fields: &str| {
            let asked = asked(fields, |head| _ = head.field(b"A"));
            asked.expect("it can be asked again").weight()
        };
        let long = format!("A: {}\r\n", "x".repeat(8000));
        assert!(weight("") < 200);
        assert!(weight(&long) > 8000 && weight(&long.repeat(3)) > 24_000);
    }

    #[test]
    fn what_ends_at_a_time_does_not_hold_then() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        let known = asked("", |_| {
            on_time(now + Duration::from_secs(2));
            on_time(now + Duration::from_secs(1));
        });
        let known = known.expect("it can be asked again");
        assert!(known.hold(&head(""), HERE, now));
        assert!(!known.hold(&head(""), HERE, now + Duration::from_secs(1)));
    }

    #[test]
    fn what_cannot_be_asked_again_is_not_kept() {
        type Ask = fn(&RequestHead);
        let asks: [(&str, Ask); 5] = [
            ("told", |_| on_more()),
            ("all fields", |head| _ = head.fields().count()),
            ("nine fields", |_| (b'a'..=b'i').for_each(|name| on_field(&[name]))),
            ("a file that changes meanwhile", |_| {
                let stamp = super::Stamp {
                    file: (1, 2),
                    mode: 0,
                    owners: (0, 0),
                    size: 0,
                    modified: (0, 0),
                    changed: (0, 0),
                };
                on_file(b"/a", Links::Followed, None);
                on_file(b"/a", Links::Followed, Some(stamp));
            }),
            ("many files", |_| {
                (0..100_u8).for_each(|n| on_file(&[n], Links::Seen, None));
            }),
        ];
        for (what, ask) in asks {
            assert!(asked("", ask).is_none(), "{what}");
        }
        assert!(asked("", |_| quietly(on_more)).is_some());
        on_more();
        assert!(asked("", |_| ()).is_some(), "nothing is noted outside of a record");
    }
}
