//! What stays in the cache, and what is believed of it.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant, SystemTime};

use super::{Agreed, Door, FileCache, Name, end_turn};
use crate::config::directives::file_cache::Check;
use crate::fs::open;
use crate::http::depends::{self, Asked};
use crate::http::head::{HeadLimits, ProtocolOptions, RequestHead};

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
const DOOR: Door = Door {
    local: LOCAL,
    agreed: None,
};

fn head(fields: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    head.parse(text.as_bytes(), &HeadLimits::default(), ProtocolOptions::default())
        .expect("a head");
    head
}

fn asked(ask: impl FnOnce()) -> Asked {
    let ((), depends) = depends::record(ask);
    depends.asked(&head(""), LOCAL.ip()).expect("it can be asked again")
}

fn cache<V>(bytes: u64, check: Check) -> FileCache<V> {
    FileCache::new(bytes, check).expect("a cache")
}

fn line(number: usize) -> String {
    format!("GET /{number} HTTP/1.1")
}

/// As a request does: takes what is there, or makes it and keeps it.
fn request(cache: &FileCache<usize>, number: usize, at: Instant) -> bool {
    let line = line(number);
    let name = cache.name(DOOR, line.as_bytes(), b"a");
    if let Some(kept) = cache.find(&name, at, |_| true) {
        assert_eq!(kept.value, number);
        return true;
    }
    cache.keep(&name, (asked(|| ()), None), 1000, (SystemTime::now(), at), number);
    false
}

/// One that keeps what was asked for last, for comparison: of so many as the cache below has room for.
#[derive(Default)]
struct Latest {
    last: HashMap<usize, usize>,
    order: VecDeque<(usize, usize)>,
    now: usize,
}

impl Latest {
    const MOST: usize = 2000;

    fn request(&mut self, number: usize) -> bool {
        self.now += 1;
        self.order.push_back((number, self.now));
        let was_there = self.last.insert(number, self.now).is_some();
        while self.last.len() > Latest::MOST {
            let Some((oldest, asked)) = self.order.pop_front() else {
                break;
            };
            if self.last.get(&oldest) == Some(&asked) {
                self.last.remove(&oldest);
            }
        }
        was_there
    }
}

#[test]
fn a_crawl_of_a_million_files_leaves_the_hot_ones() {
    const HOT: usize = 1000;
    let (room, now) = (2 * 1024 * 1500, Instant::now());
    let cache = cache(room, Check::Turn);
    for _ in 0..4 {
        for hot in 0..HOT {
            request(&cache, hot, now);
        }
    }
    let mut latest = Latest::default();
    let (mut hits, mut hits_of_latest, mut asked) = (0, 0, 0);
    for step in 0..1_000_000 {
        request(&cache, HOT + step, now);
        latest.request(HOT + step);
        if step % 10 == 0 {
            asked += 1;
            hits += usize::from(request(&cache, step / 10 % HOT, now));
            hits_of_latest += usize::from(latest.request(step / 10 % HOT));
        }
    }
    assert!(hits * 100 >= asked * 95, "{hits} hits of {asked}");
    assert!(hits_of_latest * 100 < asked * 5, "{hits_of_latest} hits of {asked}");
    let counts = cache.counts();
    assert!(counts.bytes <= room, "{counts:?}");
}

#[test]
fn what_only_one_answer_has_looked_at_takes_room_and_is_counted_once() {
    let (cache, now) = (cache(1 << 20, Check::Turn), Instant::now());
    let missing = format!("/missing{}", "/directory".repeat(300));
    for (number, want) in [(0, 3000..8000), (1, 0..1000)] {
        let before = cache.counts().bytes;
        let line = line(number);
        let looks = asked(|| assert!(open::stat(missing.as_bytes()).is_err()));
        let name = cache.name(DOOR, line.as_bytes(), b"a");
        cache.keep(&name, (looks, None), 10, (SystemTime::now(), now), number);
        let more = cache.counts().bytes - before;
        assert!(want.contains(&more), "{number}: {more}");
    }
}

#[test]
fn answers_and_contents_together_keep_to_the_room() {
    let (cache, now) = (cache(1 << 20, Check::Turn), Instant::now());
    for number in 0..90 {
        request(&cache, number, now);
        let line = line(number);
        let name = cache.name(DOOR, line.as_bytes(), b"a");
        if let Some(kept) = cache.find(&name, now, |_| true) {
            cache.keep_content(&kept, (b"", b""), &[0; 10_000]);
        }
    }
    assert!(cache.counts().content_bytes > 800_000, "{:?}", cache.counts());
    for number in 90..3000 {
        request(&cache, number, now);
        let counts = cache.counts();
        assert!(counts.bytes + counts.content_bytes <= counts.room, "{counts:?}");
    }
}

#[test]
fn time_alone_drives_nothing_out() {
    let (cache, now) = (cache(1 << 20, Check::Turn), Instant::now());
    for number in 0..100 {
        request(&cache, number, now);
    }
    let later = now + Duration::from_secs(3600);
    assert!((0..100).all(|number| request(&cache, number, later)));
}

#[test]
fn two_names_with_one_hash_are_two() {
    let (cache, now) = (cache(1 << 20, Check::Turn), Instant::now());
    let with = |line, host, door| Name {
        hash: 7,
        door,
        line,
        host,
    };
    let port = Door {
        local: SocketAddr::new(LOCAL.ip(), 81),
        agreed: None,
    };
    let agreed = |site, by_name| Door {
        local: LOCAL,
        agreed: Some(Agreed { site, by_name }),
    };
    let names: [Name; 8] = [
        with(b"GET /a HTTP/1.1", b"h", DOOR),
        with(b"GET /b HTTP/1.1", b"h", DOOR),
        with(b"GET /a HTTP/1.1", b"i", DOOR),
        with(b"GET /a HTTP/1.1h", b"", DOOR),
        with(b"GET /a HTTP/1.1", b"h", port),
        with(b"GET /a HTTP/1.1", b"h", agreed(0, true)),
        with(b"GET /a HTTP/1.1", b"h", agreed(0, false)),
        with(b"GET /a HTTP/1.1", b"h", agreed(1, true)),
    ];
    for (number, name) in names.iter().enumerate() {
        assert!(cache.find(name, now, |_| true).is_none(), "{number}");
        cache.keep(name, (asked(|| ()), None), 10, (SystemTime::now(), now), number);
    }
    for (number, name) in names.iter().enumerate() {
        let kept = cache.find(name, now, |_| true).expect("it is kept");
        assert_eq!(kept.value, number);
    }
}

#[test]
fn four_variants_of_a_name_are_kept_and_not_more() {
    let (cache, now) = (cache(1 << 20, Check::Turn), Instant::now());
    let name = cache.name(DOOR, b"GET / HTTP/1.1", b"a");
    let heads: Vec<_> = (0..6).map(|n| head(&format!("Accept: {n}\r\n"))).collect();
    for (number, head) in heads.iter().enumerate() {
        let (_, depends) = depends::record(|| head.field(b"accept").is_some());
        let asked = depends.asked(head, LOCAL.ip()).expect("it can be asked again");
        cache.keep(&name, (asked, None), 10, (SystemTime::now(), now), number);
    }
    let found: Vec<_> = heads
        .iter()
        .map(|head| {
            let holds = |asked: &Asked| asked.hold(head, LOCAL.ip(), SystemTime::now());
            cache.find(&name, now, holds).map(|kept| kept.value)
        })
        .collect();
    assert_eq!(found, [None, None, Some(2), Some(3), Some(4), Some(5)]);
}

#[test]
fn files_are_looked_at_once_a_turn_a_request_or_a_time() {
    let path = std::env::temp_dir().join(format!("lychgate-cache-{}", std::process::id()));
    let missing = path.as_os_str().as_bytes();
    for (check, in_turn, behind_turn, behind_time) in [
        (Check::Turn, true, false, false),
        (Check::Request, false, false, false),
        (Check::Every(Duration::from_secs(60)), true, true, false),
    ] {
        let (cache, now) = (cache(1 << 20, check), Instant::now());
        let name = cache.name(DOOR, b"GET / HTTP/1.1", b"a");
        let later = now + Duration::from_secs(61);
        for (what, want, at, turns) in [
            ("the same turn", in_turn, now, 0),
            ("the next turn", behind_turn, now, 1),
            ("a minute later", behind_time, later, 1),
        ] {
            let _ = std::fs::remove_file(&path);
            let looks = asked(|| assert!(open::stat(missing).is_err()));
            cache.keep(&name, (looks, None), 10, (SystemTime::now(), now), ());
            assert!(
                cache.find(&name, now, |_| true).is_some(),
                "{check:?}: nothing has changed"
            );
            std::fs::write(&path, "now it is there").expect("written");
            (0..turns).for_each(|_| end_turn());
            let found = cache.find(&name, at, |_| true).is_some();
            assert_eq!(found, want, "{check:?}, {what}");
            assert!(
                found || cache.find(&name, at, |_| true).is_none(),
                "what is stale stays so"
            );
        }
    }
    let _ = std::fs::remove_file(&path);
}

#[test]
fn what_has_just_changed_is_not_kept() {
    let path = std::env::temp_dir().join(format!("lychgate-fresh-{}", std::process::id()));
    std::fs::write(&path, "one").expect("written");
    let (cache, now) = (cache(1 << 20, Check::Request), Instant::now());
    let name = cache.name(DOOR, b"GET / HTTP/1.1", b"a");
    let written = std::fs::metadata(&path)
        .and_then(|meta| meta.modified())
        .expect("a time");
    for (age, want) in [(Duration::ZERO, false), (Duration::from_secs(3), true)] {
        let looks = asked(|| assert!(open::stat(path.as_os_str().as_bytes()).is_ok()));
        cache.keep(&name, (looks, None), 10, (written + age, now), ());
        assert_eq!(cache.find(&name, now, |_| true).is_some(), want, "{age:?}");
    }
    let _ = std::fs::remove_file(&path);
}

#[test]
fn what_was_asked_before_is_known_until_others_take_its_place() {
    let cache = cache::<()>(1 << 20, Check::Turn);
    let is_again = |number| cache.is_asked_again(&cache.name(DOOR, line(number).as_bytes(), b"a"));
    assert!((0..100).all(|number| !is_again(number)));
    // The places are as good as chosen by lot: two of a hundred may have the same one.
    assert!((0..100).filter(|number| is_again(*number)).count() > 70);
    assert!(!cache.is_asked_again(&cache.name(DOOR, line(5).as_bytes(), b"b")));
    assert!((1000..21_000).filter(|number| is_again(*number)).count() < 100);
    assert!((0..100).filter(|number| is_again(*number)).count() < 20);
    assert!(is_again(99) && is_again(99));
}
