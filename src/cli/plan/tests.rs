//! Tests: what the flags come to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{of, spawner_rules};
use crate::cli::options::Threads;
use crate::config::load::{Loaded, load_text};
use crate::launcher::{Listen, LogProgram, LogTarget, Shell};

fn loaded(text: &str) -> Loaded {
    let loaded = load_text("a.conf", text.as_bytes(), Path::new("/srv"));
    assert!(!loaded.is_fatal(), "{:?}", loaded.complaints);
    loaded
}

#[test]
fn every_listen_line_is_an_address_once() {
    let plan = of(
        &loaded("Listen 80\nListen 127.0.0.1:81\nListen [::1]:82\nListen 0.0.0.0:83\nListen 0\nListen 0\n"),
        Threads::Configured,
    )
    .expect("it listens");
    let own = |text: &str| Listen::own(text.parse().expect("an address"));
    assert_eq!(
        plan.listeners,
        [
            Listen::port(80),
            own("127.0.0.1:81"),
            own("[::1]:82"),
            own("0.0.0.0:83"),
            Listen::port(0),
            Listen::port(0),
        ]
    );
    let error = of(&loaded("ServerName a\n"), Threads::Configured)
        .map(drop)
        .expect_err("it does not listen");
    assert_eq!(
        error,
        "no `Listen` line says where to listen; write for example `Listen 80`"
    );
}

#[test]
fn logs_keep_their_order_and_the_main_error_log_its_number() {
    let plan = of(
        &loaded(
            "Listen 80\nErrorLog /dev/stderr\nCustomLog \"|/bin/rotate a\" common\nCustomLog logs/access common\n\
             <VirtualHost *:80>\nErrorLog \"|$cat >x\"\n\
             ScriptLog logs/scripts\n</VirtualHost>\n<VirtualHost *:80>\nScriptLog logs/access\n\
             CustomLog logs/last common\n</VirtualHost>\n",
        ),
        Threads::Configured,
    )
    .expect("it listens");
    let program = |command: &[u8], shell| {
        LogTarget::Program(LogProgram {
            command: command.to_vec(),
            shell,
        })
    };
    assert_eq!(
        plan.logs,
        [
            LogTarget::Stderr,
            program(b"/bin/rotate a", Shell::Without),
            LogTarget::File(PathBuf::from("/srv/logs/access")),
            program(b"cat >x", Shell::With),
            LogTarget::File(PathBuf::from("/srv/logs/last")),
            LogTarget::Optional(PathBuf::from("/srv/logs/scripts")),
        ]
    );
    assert_eq!(plan.error_log, Some(0));
}

#[test]
fn the_rest_is_taken_over_or_apaches_default() {
    let plan = of(&loaded("Listen 80\n"), Threads::One).expect("it listens");
    assert_eq!(plan.pid_file, Some(PathBuf::from("/srv/logs/httpd.pid")));
    assert_eq!(
        (plan.backlog, plan.threads, plan.graceful_limit),
        (511, 1, Duration::ZERO)
    );
    assert_eq!((plan.user, plan.group), (None, None));
    let text = "Listen 80\nPidFile /run/a.pid\nListenBacklog 7\nServerThreads 3\nUser a\nGroup #5\n\
                GracefulShutdownTimeout 9\n";
    let plan = of(&loaded(text), Threads::Configured).expect("it listens");
    assert_eq!(plan.pid_file, Some(PathBuf::from("/run/a.pid")));
    assert_eq!(
        (plan.backlog, plan.threads, plan.graceful_limit),
        (7, 3, Duration::from_secs(9))
    );
    assert_eq!((plan.user, plan.group), (Some(b"a".to_vec()), Some(b"#5".to_vec())));
}

#[test]
fn the_spawner_learns_places_and_admitted_names() {
    let config = loaded(
        "Listen 80\nScriptAlias /cgi-bin/ /srv/cgi-bin/\nSetEnv LD_LIBRARY_PATH /opt\n\
         <VirtualHost *:80>\n<Directory /srv/a>\n<Files x>\nSetEnv PERL5LIB /a\n</Files>\n</Directory>\n</VirtualHost>\n",
    )
    .config;
    let rules = spawner_rules(config);
    assert_eq!(
        rules.admitted_variables,
        [b"LD_LIBRARY_PATH".to_vec(), b"PERL5LIB".to_vec()]
    );
    assert_eq!(
        rules.config.script_places.first().map(|place| place.root.as_slice()),
        Some(&b"/srv/cgi-bin"[..])
    );
}

#[test]
fn accept_filter_is_asked_by_the_protocol_of_a_line() {
    for (filters, at_once) in [
        ("", vec![]),
        ("AcceptFilter http none\n", vec![80]),
        ("AcceptFilter HTTPS None\n", vec![443]),
        ("AcceptFilter http none\nAcceptFilter http data\n", vec![]),
        ("AcceptFilter https httpready\nAcceptFilter ftp none\n", vec![]),
    ] {
        let text = format!("Listen 80\nListen 443\n{filters}");
        let plan = of(&loaded(&text), Threads::One).expect("it listens");
        let ports: Vec<u16> = plan.at_once.iter().map(|listen| listen.address.port()).collect();
        assert_eq!((ports, plan.silence), (at_once, 30), "{filters}");
    }
    let plan = of(&loaded("Listen 80\nListenTCPDeferAccept 5\n"), Threads::One).expect("it listens");
    assert_eq!(plan.silence, 5);
}
