//! An order that comes twice: once it was found in the channel after another spawner's death, and once it was asked for again.

use std::io;

use super::{Setup, all, start};
use crate::process::message::{ScriptNews, ScriptOrder};

/// Also where the first time came to nothing, which leaves no number behind that it could be known by.
#[test]
fn it_is_carried_out_once() {
    let setup = Setup::new("twice", &[("hello", "#!/bin/sh\necho hello\n")]);
    for (id, path) in [(1, "hello"), (2, "missing")] {
        let (reader, writer) = io::pipe().expect("pipes work");
        let order = ScriptOrder::Start(start(id, path, writer.into()));
        setup.order(&order);
        setup.order(&order);
        drop(order);
        match (id, setup.news()) {
            (1, ScriptNews::Started { id: 1, .. }) => assert_eq!(setup.ended().0, 1),
            (2, ScriptNews::Failed { id: 2, .. }) => {}
            (_, other) => panic!("{other:?}"),
        }
        assert_eq!(all(reader), if id == 1 { "hello\n" } else { "" });
    }
    let _last = setup.start(3, "hello");
    assert_eq!(setup.started().0, 3, "nothing else was heard");
    setup.finish();
}
