//! Requests for real scripts, from the exchange to what would go out.

mod fixture;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::config::directives::DirConf;
use crate::exchange::body::{BodyError, BodyLength, Gone, Probed};
use crate::exchange::fail::Fail;
use crate::exchange::response::{Body, Outcome};
use crate::exchange::{AgainMethod, Exchange};
use crate::handlers::cgi::environment;
use crate::handlers::cgi::known::Known;
use crate::handlers::cgi::tests::fixture::{
    ask, body, chunk, client, exchange, failure, leave, no_body, plain, read, reply, text,
};
use crate::process::environment::Environment;
use crate::scripts::testing::{Bench, on_thread};

#[test]
fn a_document_has_its_status_fields_and_body() {
    on_thread(async {
        let script = "#!/bin/sh\nprintf 'Status: 404 Not Here\\r\\nX-A: b\\nContent-Type: text/x\\n\\nbody of %s' \"$SCRIPT_NAME$PATH_INFO\"\n";
        let bench = Bench::new(&[("x", script)], 1);
        let mut response = reply(&bench, "GET /x/tail HTTP/1.1", &no_body()).await;
        assert_eq!(
            (response.head.status.code(), response.head.reason()),
            (404, b"Not Here".as_slice())
        );
        assert_eq!(response.head.fields.value("X-A"), Some(b"b".as_slice()));
        assert_eq!(response.body.length(), None);
        assert_eq!(text(&mut response).await, "body of /x/tail");
        drop(response);
        assert_eq!(bench.logs.all(), [""; 0]);
        bench.finish().await;
    });
}

#[test]
fn a_variable_set_in_vain_is_told_once() {
    on_thread(async {
        let bench = Bench::new(&[("x", &plain("echo $SERVER_PROTOCOL $GOOD\n"))], 1);
        for _ in 0..2 {
            let (mut ex, place) = exchange(&bench, "GET /x HTTP/1.1", &no_body(), DirConf::default());
            ex.variables.insert(b"SERVER_PROTOCOL".to_vec(), b"evil".to_vec());
            ex.variables.insert(b"GOOD".to_vec(), b"one".to_vec());
            match super::run(&mut ex, &place, &Known::default(), &bench.scripts).await {
                Ok(Outcome::Reply(mut response)) => assert_eq!(text(&mut response).await, "HTTP/1.1 one\n"),
                _ => panic!("no answer"),
            }
        }
        let notes = bench.logs.all();
        let want = "variable `SERVER_PROTOCOL` is not passed as set: the server computes this one";
        assert!(notes.len() == 1 && notes[0].ends_with(want), "{notes:?}");
        bench.finish().await;
    });
}

#[test]
fn what_is_known_of_a_script_is_what_it_would_be_told() {
    on_thread(async {
        let bench = Bench::new(&[], 1);
        let inherited = bench.scripts.inherited();
        let conf = || DirConf::default();
        let known = Known::lasting();
        let (ex, place) = exchange(&bench, "GET /x/tail?a=b HTTP/1.1\nX-Once: 1", &no_body(), conf());
        assert!(known.environment(&ex).is_none());
        known.remember(&ex, &place, &environment::of_script(&ex, &place, inherited, None));
        for fields in [
            "",
            "\nUser-Agent: curl\nAccept: */*\nCookie: a=b",
            "\nContent-Type: text/plain\nZ: \nX_Odd: 1\nProxy: evil\nContent-Length: 0",
            "\nAuthorization: Basic x\nProxy-Authorization: y",
        ] {
            let request = format!("GET /x/tail?a=b HTTP/1.1{fields}");
            let (mut ex, place) = exchange(&bench, &request, &no_body(), conf());
            (ex.unique_id, ex.connection.client) = ([b'u'; 24], SocketAddr::from(([192, 0, 2, 7], 4711)));
            let long: Environment = environment::of_script(&ex, &place, inherited, None).iter().collect();
            let (short, path) = known.environment(&ex).expect("it is known");
            assert_eq!(short, long, "{fields}");
            assert_eq!(Some(path), long.find(b"PATH"));
        }
        let twice = "GET /x/tail?a=b HTTP/1.1\nCookie: a=b\nCookie: c=d";
        let (ex, _) = exchange(&bench, twice, &no_body(), conf());
        assert!(known.environment(&ex).is_none(), "fields of one name are joined");
        bench.finish().await;
    });
}

/// What is another about a request.
type Change = fn(&mut Exchange);

fn set(ex: &mut Exchange, name: &str) {
    ex.variables.insert(name.into(), b"1".to_vec());
}

#[test]
fn what_would_be_told_otherwise_next_time_is_not_known() {
    on_thread(async {
        let bench = Bench::new(&[], 1);
        let changes: [(bool, Change); 6] = [
            (true, |_| {}),
            (true, |ex| set(ex, "GOOD")),
            (false, |ex| set(ex, "HTTP_X")),
            (false, |ex| set(ex, "SERVER_NAME")),
            (false, |ex| ex.client.user = Some(b"jo".to_vec())),
            (false, |ex| ex.client.host = Some(b"a.example".to_vec())),
        ];
        for (number, (is_known, change)) in changes.into_iter().enumerate() {
            for (lasts, known) in [(true, Known::lasting()), (false, Known::default())] {
                let (mut ex, place) = exchange(&bench, "GET /x HTTP/1.1", &no_body(), DirConf::default());
                change(&mut ex);
                let told = environment::of_script(&ex, &place, bench.scripts.inherited(), None);
                known.remember(&ex, &place, &told);
                assert_eq!(known.environment(&ex).is_some(), is_known && lasts, "{number}");
            }
        }
        bench.finish().await;
    });
}

#[test]
fn output_is_passed_on_as_it_comes() {
    on_thread(async {
        let bench = Bench::new(&[("x", &plain("echo one\nread go <go\necho two\n"))], 1);
        let go = bench.directory.join("go");
        nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).expect("ours");
        let mut response = reply(&bench, "GET /x HTTP/1.1", &no_body()).await;
        assert_eq!(chunk(&mut response.body).await, Some(Ok(Bytes::from("one\n"))));
        std::fs::write(go, "go\n").expect("the script reads it");
        assert_eq!(text(&mut response).await, "two\n");
        drop(response);
        bench.finish().await;
    });
}

#[test]
fn a_body_of_known_length_reaches_the_script() {
    on_thread(async {
        let bench = Bench::new(&[("x", &plain("printf '%s ' \"$CONTENT_LENGTH\"; cat\n"))], 1);
        let mut response = reply(&bench, "POST /x HTTP/1.1\r\nContent-Length: 5", &body(b"hello")).await;
        assert_eq!(text(&mut response).await, "5 hello");
        drop(response);
        let large = vec![b'x'; 1_000_000];
        let mut response = reply(&bench, "POST /x HTTP/1.1\r\nContent-Length: 1000000", &body(&large)).await;
        assert_eq!(text(&mut response).await.len(), 1_000_008);
        drop(response);
        bench.finish().await;
    });
}

#[test]
fn a_body_of_unknown_length_is_kept_until_it_is_known() {
    on_thread(async {
        let bench = Bench::new(&[("x", &plain("printf '%s ' \"$CONTENT_LENGTH\"; cat\n"))], 1);
        let chunked = client(&[b"hel", b"lo"], BodyLength::Unknown);
        let mut response = reply(&bench, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked", &chunked).await;
        assert_eq!(text(&mut response).await, "5 hello");
        drop(response);
        bench.finish().await;
    });
}

#[test]
fn bodies_that_fail_are_told() {
    on_thread(async {
        let bench = Bench::new(&[("x", &plain("cat\n"))], 1);
        for (length, error, want) in [
            (BodyLength::Unknown, BodyError::TooLarge, "413: "),
            (BodyLength::Unknown, BodyError::Malformed, "400: "),
            (BodyLength::Unknown, BodyError::TimedOut, "408: "),
            (BodyLength::Unknown, BodyError::Gone, "the client has left"),
            (BodyLength::Known(9), BodyError::TimedOut, "408: "),
            (BodyLength::Known(9), BodyError::Gone, "the client has left"),
            (BodyLength::Known(2 << 30), BodyError::Gone, "413: "),
        ] {
            let broken = client(&[b"begin"], length);
            broken.borrow_mut().end = Some(error);
            let fail = failure(&bench, "POST /x HTTP/1.1", &broken).await;
            assert!(fail.starts_with(want), "{length:?} {error:?}: {fail}");
        }
        bench.finish().await;
    });
}

#[test]
fn a_script_that_never_reads_answers_all_the_same() {
    on_thread(async {
        let bench = Bench::new(&[("x", &plain("echo done\n"))], 1);
        let large = vec![b'x'; 10_000_000];
        let mut response = reply(&bench, "POST /x HTTP/1.1", &body(&large)).await;
        assert_eq!(text(&mut response).await, "done\n");
        drop(response);
        bench.finish().await;
    });
}

#[test]
fn a_script_may_write_much_before_it_reads() {
    on_thread(async {
        let bench = Bench::new(&[("x", &plain("head -c 500000 /dev/zero\nwc -c\n"))], 1);
        let large = vec![b'x'; 1_000_000];
        let mut response = reply(&bench, "POST /x HTTP/1.1", &body(&large)).await;
        let text = text(&mut response).await;
        assert_eq!(text.trim_start_matches('\0').trim(), "1000000");
        drop(response);
        bench.finish().await;
    });
}

#[test]
fn a_length_is_kept_cut_or_broken_off() {
    on_thread(async {
        let script =
            |promised: u32| format!("#!/bin/sh\nprintf 'Content-Type: t/t\\nContent-Length: {promised}\\n\\n12345'\n");
        let bench = Bench::new(
            &[
                ("right", &script(5)),
                ("less", &script(3)),
                ("none", &script(0)),
                ("more", &script(9)),
            ],
            1,
        );
        for (name, promised, want, whole) in [
            ("right", 5, "12345", true),
            ("less", 3, "123", true),
            ("none", 0, "", true),
            ("more", 9, "12345", false),
        ] {
            let mut response = reply(&bench, &format!("GET /{name} HTTP/1.1"), &no_body()).await;
            assert_eq!(response.body.length(), Some(promised), "{name}");
            assert_eq!(read(&mut response.body).await, (want.into(), whole), "{name}");
        }
        let told: Vec<String> = bench
            .logs
            .all()
            .iter()
            .map(|note| note.split_once("): ").expect("whose it is").1.to_owned())
            .collect();
        assert_eq!(
            told,
            [
                "it wrote more than the 3 bytes of its Content-Length: the rest is dropped",
                "it wrote more than the 0 bytes of its Content-Length: the rest is dropped",
                "it wrote 5 bytes, and its Content-Length promised 9: the connection is closed"
            ]
        );
        bench.finish().await;
    });
}

#[test]
fn a_script_asked_by_head_runs_to_its_end() {
    on_thread(async {
        let script = "#!/bin/sh\nprintf 'Content-Type: t/t\\nContent-Length: 9\\n\\n'\nhead -c 200000 /dev/zero\necho done >end\n";
        let bench = Bench::new(&[("x", script)], 1);
        let response = reply(&bench, "HEAD /x HTTP/1.1", &no_body()).await;
        assert_eq!(response.body.length(), Some(9));
        drop(response);
        assert_eq!(bench.file("end").await, "done\n");
        bench.finish().await;
    });
}

#[test]
fn an_nph_script_writes_everything_itself() {
    on_thread(async {
        let script = "#!/bin/sh\nprintf 'HTTP/1.1 207 Whatever\\r\\nX: y\\r\\n\\r\\nbody'\n";
        let bench = Bench::new(&[("nph-x", script), ("nph-none", "#!/bin/sh\nexit 1\n")], 1);
        let mut response = reply(&bench, "GET /nph-x HTTP/1.1", &no_body()).await;
        assert!(matches!(response.body, Body::Raw(_)));
        assert_eq!(response.head.status.code(), 207);
        assert_eq!(text(&mut response).await, "HTTP/1.1 207 Whatever\r\nX: y\r\n\r\nbody");
        drop(response);
        assert_eq!(failure(&bench, "GET /nph-none HTTP/1.1", &no_body()).await, "500: ");
        bench.finish().await;
    });
}

#[test]
fn redirects_are_local_or_the_clients() {
    on_thread(async {
        let local = "#!/bin/sh\nprintf 'Location: /other?a=b\\n\\nignored'\necho done >end\n";
        let away = "#!/bin/sh\nprintf 'Location: http://b.example/x\\nSet-Cookie: a=b\\n\\n'\n";
        let bench = Bench::new(&[("local", local), ("away", away)], 1);
        match ask(&bench, "POST /local HTTP/1.1", &body(b"hello"), DirConf::default()).await {
            Ok(Outcome::Again(again)) => {
                assert_eq!(
                    (again.target.as_slice(), again.method),
                    (b"/other?a=b".as_slice(), AgainMethod::Get)
                );
            }
            _ => panic!("no local redirect"),
        }
        assert_eq!(bench.file("end").await, "done\n");
        let response = reply(&bench, "GET /away HTTP/1.1", &no_body()).await;
        assert_eq!(response.head.status.code(), 302);
        assert_eq!(
            response.head.fields.value("Location"),
            Some(b"http://b.example/x".as_slice())
        );
        assert_eq!(response.head.fields.value("Set-Cookie"), Some(b"a=b".as_slice()));
        assert!(matches!(response.body, Body::BuiltIn));
        bench.finish().await;
    });
}

#[test]
fn a_script_without_a_reply_has_one_record_with_cause_and_cure() {
    on_thread(async {
        let bench = Bench::new(
            &[
                ("text", "#!/bin/sh\necho hello\n"),
                ("empty", "#!/bin/sh\n"),
                ("status", "#!/bin/sh\nexit 3\n"),
                ("signal", "#!/bin/sh\nkill -ABRT $$\n"),
                ("crlf", "#!/bin/sh\r\necho\r\n"),
            ],
            1,
        );
        let header = "let it write `Content-Type: text/html` and an empty line before anything else";
        for (name, want) in [
            ("text", format!("the script wrote text before its header: `hello`; {header} (pid N, request R, exit status 0, ")),
            ("empty", format!("the script ended well and had written nothing; {header} (pid N, request R, exit status 0, ")),
            ("status", "the script ended with exit status 3 and had written nothing; its lines on stderr, if any, tell more (pid N, request R, exit status 3, ".into()),
            ("signal", "the script was ended by signal 6 (SIGABRT) (pid N, request R, signal 6, ".into()),
            ("crlf", "line 1 ends in CR LF, so its last word is not what it seems: `#!/bin/sh\\r`; `sed -i 's/\\r$//' ".into()),
        ] {
            let before = bench.logs.all().len();
            let fail = failure(&bench, &format!("GET /{name} HTTP/1.1"), &no_body()).await;
            assert_eq!(fail, "500: ", "{name}");
            let notes = bench.logs.all().split_off(before);
            let want = format!("E {}: {want}", bench.directory.join(name).display());
            // Which process it was is not known beforehand; a test's request has no name.
            let digits = notes[0].split_once("(pid ").map(|(_, rest)| rest.split_once(',').map_or(rest, |p| p.0));
            let want = want.replace("pid N", &format!("pid {}", digits.unwrap_or_default()));
            let want = want.replace("request R", &format!("request {}", "-".repeat(24)));
            assert!(notes.len() == 1 && notes[0].starts_with(&want), "{notes:?}\n{want}");
        }
        bench.finish().await;
    });
}

#[test]
fn a_silent_script_is_ended_with_504() {
    on_thread(async {
        let bench = Bench::new(
            &[
                ("before", "#!/bin/sh\nexec sleep 1000\n"),
                ("within", &plain("echo begin\nexec sleep 1000\n")),
            ],
            1,
        );
        let conf = || {
            let mut conf = DirConf::default();
            conf.cgi.script_timeout.set(Duration::from_millis(300));
            conf
        };
        match ask(&bench, "GET /before HTTP/1.1", &no_body(), conf()).await {
            Err(fail) => assert_eq!(fail.to_string(), "504: "),
            Ok(_) => panic!("there is an answer"),
        }
        match ask(&bench, "GET /within HTTP/1.1", &no_body(), conf()).await {
            Ok(Outcome::Reply(mut response)) => {
                assert_eq!(read(&mut response.body).await, (b"begin\n".to_vec(), false));
            }
            _ => panic!("no answer"),
        }
        bench.logs.with("in the middle of its reply").await;
        bench.finish().await;
    });
}

#[test]
fn a_client_that_resets_ends_its_script() {
    on_thread(async {
        let trap = "trap 'echo asked >end; exit' TERM\n";
        let wait = "echo ready >ready\nwhile :; do sleep 0.05; done\n";
        let before = format!("#!/bin/sh\n{trap}{wait}");
        let within = plain(&format!("{trap}echo begin\n{wait}"));
        let bench = Bench::new(&[("before", &before), ("within", &within)], 1);
        let resetting = no_body();
        let (result, ()) = tokio::join!(
            ask(&bench, "GET /before HTTP/1.1", &resetting, DirConf::default()),
            async {
                bench.file("ready").await;
                leave(&resetting, Gone::Reset);
            }
        );
        assert!(matches!(result, Err(Fail::ClientGone)));
        assert_eq!(bench.file("end").await, "asked\n");
        std::fs::remove_file(bench.directory.join("end")).expect("ours");

        let resetting = no_body();
        let mut response = reply(&bench, "GET /within HTTP/1.1", &resetting).await;
        assert_eq!(chunk(&mut response.body).await, Some(Ok(Bytes::from("begin\n"))));
        leave(&resetting, Gone::Reset);
        assert_eq!(read(&mut response.body).await, (Vec::new(), false));
        drop(response);
        assert_eq!(bench.file("end").await, "asked\n");
        bench.finish().await;
    });
}

#[test]
fn a_client_that_sends_no_more_still_gets_its_answer() {
    on_thread(async {
        let bench = Bench::new(&[("x", &plain("echo hello\n"))], 1);
        let half_closed = no_body();
        leave(&half_closed, Gone::SendingClosed);
        let mut response = reply(&bench, "GET /x HTTP/1.1", &half_closed).await;
        assert_eq!(text(&mut response).await, "hello\n");
        drop(response);
        bench.finish().await;
    });
}

#[test]
fn a_client_that_sends_no_more_and_does_not_read_is_found_out() {
    on_thread(async {
        let waits = "#!/bin/sh\ntrap 'echo asked >end; exit' TERM\nwhile :; do sleep 0.05; done\n";
        let bench = Bench::new(&[("x", waits)], 1);
        let half_closed = no_body();
        half_closed.borrow_mut().probed = Some(Probed::Gone);
        leave(&half_closed, Gone::SendingClosed);
        let result = ask(&bench, "GET /x HTTP/1.1", &half_closed, DirConf::default()).await;
        assert!(matches!(result, Err(Fail::ClientGone)));
        assert_eq!(bench.file("end").await, "asked\n");
        bench.finish().await;
    });
}

#[test]
fn without_a_turn_the_client_may_come_back() {
    on_thread(async {
        let bench = Bench::new(&[("x", &plain("echo ready\nread go <go\n"))], 1);
        let go = bench.directory.join("go");
        nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).expect("ours");
        let mut running = reply(&bench, "GET /x HTTP/1.1", &no_body()).await;
        assert!(chunk(&mut running.body).await.is_some());
        let impatient = no_body();
        let waiting = ask(&bench, "GET /x HTTP/1.1", &impatient, DirConf::default());
        let (waited, refused) = tokio::join!(waiting, async {
            let refused = ask(&bench, "GET /x HTTP/1.1", &no_body(), DirConf::default()).await;
            leave(&impatient, Gone::Reset);
            refused
        });
        assert!(matches!(waited, Err(Fail::ClientGone)));
        match refused {
            Err(Fail::Reply(reply)) => {
                assert_eq!(
                    (reply.status.code(), reply.fields),
                    (503, vec![("Retry-After".as_bytes().into(), b"20".to_vec())])
                );
            }
            _ => panic!("not refused"),
        }
        std::fs::write(go, "go\n").expect("the script reads it");
        assert_eq!(text(&mut running).await, "");
        drop(running);
        bench.finish().await;
    });
}

#[test]
fn a_file_outside_every_script_place_is_forbidden() {
    on_thread(async {
        let bench = Bench::new(&[], 1);
        let (mut ex, mut place) = exchange(&bench, "GET /x HTTP/1.1", &no_body(), DirConf::default());
        place.path = b"/somewhere/else".to_vec();
        match super::run(&mut ex, &place, &Known::default(), &bench.scripts).await {
            Err(fail) => assert!(
                fail.to_string().starts_with("403: `/somewhere/else` is not within"),
                "{fail}"
            ),
            Ok(_) => panic!("it was run"),
        }
        bench.finish().await;
    });
}

#[test]
fn lines_that_may_not_go_out_are_dropped_and_told() {
    on_thread(async {
        let script = "#!/bin/sh\nprintf 'Content-Type: t/t\\n<!--: spam\\nX-Bad: a\\rb\\nConnection: close\\n\\n'\n";
        let bench = Bench::new(&[("x", script)], 1);
        let response = reply(&bench, "GET /x HTTP/1.1", &no_body()).await;
        assert_eq!(response.head.fields.iter().count(), 1);
        let notes = bench.logs.all();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(
            notes[0].contains("dropped from the reply: `<!--: spam` is not a field name"),
            "{notes:?}"
        );
        drop(response);
        bench.finish().await;
    });
}
