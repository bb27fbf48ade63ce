//! Messages between the roles: any bytes with any number of descriptors are read or refused, and what is read is written
//! again as the same bytes.

#![no_main]

use std::fs::File;
use std::os::fd::OwnedFd;

use libfuzzer_sys::fuzz_target;

use lychgate::process::message::{FromSpawner, FromWorker, Message, ScriptNews, ScriptOrder, ToSpawner, ToWorker};

fuzz_target!(|input: &[u8]| {
    let Some((&descriptors, payload)) = input.split_first() else {
        return;
    };
    let count = usize::from(descriptors % 5);
    again::<ToWorker>(payload, count);
    again::<FromWorker>(payload, count);
    again::<ToSpawner>(payload, count);
    again::<FromSpawner>(payload, count);
    again::<ScriptOrder>(payload, count);
    again::<ScriptNews>(payload, count);
});

fn again<M: Message>(payload: &[u8], count: usize) {
    let null = || OwnedFd::from(File::open("/dev/null").expect("every system has it"));
    if let Ok(message) = M::decode(payload, (0..count).map(|_| null()).collect()) {
        let (written, beside) = message.encode();
        assert_eq!(written, payload);
        assert_eq!(beside.len(), count);
    }
}
