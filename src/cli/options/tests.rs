//! Tests: flags read as Apache reads them.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{DocumentRoots, Ground, Options, Quick, Task, Threads, Verb, parse};
use crate::commands::why::Question;
use crate::config::error::Severity;

fn options(words: &str) -> Result<Options, clap::Error> {
    parse(
        format!("lychgate {words}")
            .split_whitespace()
            .map(OsString::from)
            .collect(),
    )
}

fn right(words: &str) -> Options {
    options(words).unwrap_or_else(|error| panic!("{words}: {error}"))
}

#[test]
fn flags_have_apaches_meaning() {
    let task = |words: &str| format!("{:?}", right(words).task);
    for (words, want) in [
        ("", Task::Run),
        ("-f a -d b", Task::Run),
        ("-X", Task::Run),
        ("-k start", Task::Run),
        ("-D SSL", Task::Run),
        ("-t", Task::Check),
        ("-tD FOO", Task::Check),
        ("-S", Task::Check),
        ("-D DUMP_VHOSTS", Task::Check),
        ("-DDUMP_INCLUDES", Task::Check),
        ("-t -DDUMP_MODULES", Task::Check),
        ("-M -t", Task::Check),
        ("-k stop", Task::Signal(Verb::Stop)),
        ("-k restart", Task::Signal(Verb::Restart)),
        ("-k graceful", Task::Signal(Verb::Graceful)),
        ("-k graceful-stop", Task::Signal(Verb::GracefulStop)),
        ("-v", Task::Quick(Quick::Version)),
        ("--version", Task::Quick(Quick::Version)),
        ("-t -v", Task::Quick(Quick::Version)),
        ("-V", Task::Quick(Quick::Settings)),
        ("-l", Task::Quick(Quick::Modules)),
        ("-L", Task::Quick(Quick::Directives)),
        ("-M", Task::Quick(Quick::LoadedModules)),
        ("-D DUMP_MODULES", Task::Quick(Quick::LoadedModules)),
        ("doctor cgi-bin", Task::Doctor(PathBuf::from("cgi-bin"))),
        (
            "why -f x GET / --from ::1 --host h:1 --local 127.0.0.1:80 --header A:b --header C:d --user e:f",
            Task::Why(Question {
                method: b"GET".to_vec(),
                url: b"/".to_vec(),
                fields: vec![b"A:b".to_vec(), b"C:d".to_vec()],
                host: Some(b"h:1".to_vec()),
                user: Some(b"e:f".to_vec()),
                local: "127.0.0.1:80".parse().ok(),
                from: "::1".parse().ok(),
            }),
        ),
    ] {
        assert_eq!(task(words), format!("{want:?}"), "{words}");
    }
}

#[test]
fn names_and_lines_are_kept_in_their_order() {
    let all = right("-D A -DB -S -C x -C y -c z -f first -f last -e WARN -E log -T");
    assert_eq!(all.defines, ["A", "B", "DUMP_VHOSTS", "DUMP_RUN_CFG"]);
    assert_eq!(
        (all.before.as_slice(), all.after.as_slice()),
        (&["x".to_owned(), "y".to_owned()][..], &["z".to_owned()][..])
    );
    assert_eq!(all.file, Some(PathBuf::from("last")));
    assert_eq!(
        (all.least, all.startup_log.clone()),
        (Some(Severity::Warning), Some(PathBuf::from("log")))
    );
    assert_eq!(all.document_roots, DocumentRoots::Unchecked);
    assert!(all.defines("B") && !all.defines("b"));
}

#[test]
fn only_k_leaves_the_foreground() {
    for (words, ground, threads) in [
        ("", Ground::Front, Threads::Configured),
        ("-D FOREGROUND", Ground::Front, Threads::Configured),
        ("-X", Ground::Front, Threads::One),
        ("-k start", Ground::Back, Threads::Configured),
        ("-k restart", Ground::Back, Threads::Configured),
        ("-k start -DFOREGROUND", Ground::Front, Threads::Configured),
        ("-k start -X", Ground::Front, Threads::One),
        ("-k start --detached", Ground::Detached, Threads::Configured),
    ] {
        let options = right(words);
        assert_eq!((options.ground, options.threads), (ground, threads), "{words}");
    }
}

#[test]
fn serve_has_options_of_its_own() {
    let Task::Serve(serve) = right("serve site --listen 9000 --cgi-bin scripts").task else {
        panic!("it is `serve`")
    };
    assert_eq!(serve.directory, PathBuf::from("site"));
    assert_eq!(
        (serve.listen.port, serve.scripts),
        (9000, Some(PathBuf::from("scripts")))
    );
}

#[test]
fn wrong_usage_is_told() {
    for words in [
        "-x",
        "--foo",
        "extra",
        "-k",
        "-k foo",
        "-f",
        "-D",
        "-e loud",
        "serve",
        "doctor",
        "serve a --listen x",
        "-t serve a",
        "why",
        "why GET",
        "why GET / extra",
        "why GET / --from x",
        "why GET / --local 127.0.0.1",
        "-f x why GET /",
    ] {
        let error = options(words).map(drop).expect_err(words);
        assert!(error.use_stderr(), "{words}");
    }
    assert!(!options("-h").map(drop).expect_err("it is help").use_stderr());
}
