//! What a FastCGI client asks of us, and the script that its variables name: any split gives the same, a script has one
//! absolute name, and nothing that steers a program gets into its environment.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

use lychgate::gateway::fastcgi::params::MAX_PARAMS;
use lychgate::gateway::fastcgi::requests::{Asked, Fault, Request, Requests, Room};
use lychgate::gateway::fastcgi::script::{Besides, Variables};
use lychgate::gateway::refused::steers;

const ROOM: Room = Room {
    connections: 100,
    requests: 8,
};

fuzz_target!(|input: &[u8]| {
    let Some((&piece, input)) = input.split_first() else {
        return;
    };
    let whole = asked(input, input.len().max(1));
    assert_eq!(whole, asked(input, 1), "byte by byte");
    assert_eq!(whole, asked(input, usize::from(piece).max(1)), "in pieces");
    for asked in whole.0 {
        if let Asked::Request(request) = asked {
            script(request);
        }
    }
});

/// All that is asked, parts of the input joined, and the fault. Requests are answered when their input has ended.
fn asked(input: &[u8], piece: usize) -> (Vec<Asked>, Option<Fault>) {
    let (mut requests, mut all): (_, Vec<Asked>) = (Requests::new(ROOM), Vec::new());
    for part in input.chunks(piece) {
        let mut part = Bytes::copy_from_slice(part);
        loop {
            match requests.next(&mut part) {
                Ok(Some(Asked::Input(more))) => {
                    assert!(!more.is_empty());
                    match all.last_mut() {
                        Some(Asked::Input(bytes)) => *bytes = Bytes::from([&bytes[..], &more[..]].concat()),
                        _ => all.push(Asked::Input(more)),
                    }
                }
                Ok(Some(next)) => {
                    if matches!(next, Asked::InputEnd | Asked::Abort) {
                        requests.answered();
                    }
                    all.push(next);
                }
                Ok(None) => break,
                Err(fault) => {
                    assert!(!fault.to_string().bytes().any(|byte| byte.is_ascii_control()));
                    return (all, Some(fault));
                }
            }
        }
        assert!(part.is_empty(), "what was not read");
    }
    (all, None)
}

fn script(request: Request) {
    let size: usize = request.params.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(size <= MAX_PARAMS);
    let Ok(variables) = Variables::of(request.params) else {
        return;
    };
    let Ok(script) = variables.script() else {
        return;
    };
    assert!(script.starts_with(b"/") && !script.ends_with(b"/") && !script.contains(&0));
    let mut segments = script.split(|byte| *byte == b'/').skip(1);
    assert!(segments.all(|segment| !matches!(segment, b"" | b"." | b"..")));
    let besides = Besides {
        path: Some(b"/bin"),
        time_zone: None,
        unique_id: b"id",
    };
    for (at, _) in script.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/') {
        variables.clone().split(&script[at..]);
    }
    let env = variables.environment(&script, besides, std::iter::empty());
    for (name, value) in &env {
        assert!(!name.is_empty() && !name.contains(&b'=') && !name.contains(&0) && !value.contains(&0));
        assert!(!steers(name) && name != b"HTTP_PROXY");
        assert!(name != b"PATH" || value == b"/bin");
    }
    assert!(env.windows(2).all(|pair| pair[0].0 < pair[1].0), "a name twice");
}
