//! Headers of the PROXY protocol: what is whole is not touched by what follows, and what is cut is a beginning of it.

#![no_main]

use libfuzzer_sys::fuzz_target;

use lychgate::http::proxy_protocol::{Progress, parse};

fuzz_target!(|input: &[u8]| {
    if let Ok(Progress::Complete(client, length)) = parse(input) {
        assert_eq!(parse(&input[..length]), Ok(Progress::Complete(client, length)));
        for cut in 0..length.min(256) {
            assert_eq!(parse(&input[..cut]), Ok(Progress::Partial));
        }
    }
});
