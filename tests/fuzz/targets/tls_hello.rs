//! What strangers say before there is any agreement on TLS: the words of a hello, and nothing else, come out of it.

#![no_main]

use std::future::Future;
use std::io::Cursor;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;

use lychgate::net::tls;

fuzz_target!(|input: &[u8]| {
    let stream = tokio::io::join(Cursor::new(input), tokio::io::sink());
    let mut hello = pin!(tls::begin(stream));
    // All bytes are there, so that nothing is waited for.
    match hello.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(hello)) => {
            let name = hello.server_name().unwrap_or_default();
            assert!(name.len() <= 255 && !name.iter().any(u8::is_ascii_uppercase));
        }
        Poll::Ready(Err(_)) => {}
        Poll::Pending => panic!("it waits for bytes that are there"),
    }
});
