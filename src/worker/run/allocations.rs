//! What a hit asks the allocator for: nothing, once all is warm.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{Order, Part, ground, serve, sinks};
use crate::backend::Backends;
use crate::config::load::load_text;
use crate::config::logs::targets;
use crate::config::site::Config;
use crate::net::tls::{Clients, Engines};
use crate::process::channel::Channel;
use crate::process::counted;
use crate::scripts::queue::Slots;
use crate::worker::board::Board;
use crate::worker::crowd::Crowd;
use crate::worker::maps::MapPrograms;
use crate::worker::pulse::Pulse;
use crate::worker::thread::Protocol;

const PATIENCE: Duration = Duration::from_secs(60);

const SETTINGS: &str = r#"
ServerName localhost
Listen 127.0.0.1:80
DocumentRoot htdocs
ErrorLog /dev/null
LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %D" all
CustomLog /dev/null all
MaxKeepAliveRequests 0
KeepAliveTimeout 300
<Directory htdocs>
    Require all granted
</Directory>
"#;

const REQUEST: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: localhost\r\nUser-Agent: counting\r\nAccept: */*\r\n\r\n";

/// So many hits one after the other must ask for nothing. Now and then, once a second, there is more to do than hits.
const HITS: usize = 32;

fn settings() -> &'static Config {
    let loaded = load_text("a.conf", SETTINGS.as_bytes(), Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(!loaded.is_fatal(), "{:?}", loaded.complaints);
    Box::leak(Box::new(loaded.config))
}

/// What one thread needs that serves this listener alone; with the far ends of its channels.
fn part(listener: TcpListener, orders: mpsc::UnboundedReceiver<Order>) -> (Part, [Channel; 2]) {
    let config = settings();
    let null = || OwnedFd::from(File::options().write(true).open("/dev/null").expect("it is there"));
    let logs = targets(config).iter().map(|_| null()).collect();
    let (launcher, far_launcher) = Channel::pair().expect("descriptors are free");
    let (scripts, spawner) = Channel::pair().expect("descriptors are free");
    let launcher = Arc::new(launcher);
    let slots = Arc::new(Slots::of(&config.server.scripts));
    let crowd = Arc::new(Crowd::new(8, 1));
    let (_, questions) = mpsc::unbounded_channel();
    let part = Part {
        config,
        protocol: Protocol::Http,
        number: 0,
        sinks: sinks(config, logs).expect("they are open"),
        listeners: vec![listener.into()],
        scripts,
        slots: Arc::clone(&slots),
        backends: Arc::new(Backends::new(config, Clients::default())),
        started: Arc::new(ground::started(config).expect("there are none")),
        crowd: Arc::clone(&crowd),
        room: 8,
        orders,
        accepting: Arc::new(AtomicUsize::new(1)),
        pulse: Arc::new(Pulse::new(1)),
        launcher: Arc::clone(&launcher),
        maps: Arc::new(MapPrograms::new(config, launcher)),
        board: Arc::new(Board::new(crowd, slots, 1)),
        engines: Arc::new(Engines::default()),
        questions,
    };
    (part, [far_launcher, spawner])
}

fn ask(client: &mut TcpStream, buffer: &mut [u8], length: usize) {
    client.write_all(REQUEST).expect("it is read");
    let answer = buffer.get_mut(..length).expect("there is room");
    client.read_exact(answer).expect("it answers");
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_hit_asks_for_no_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback works");
    let address = listener.local_addr().expect("it is bound");
    let (order, orders) = mpsc::unbounded_channel();
    let (part, _far_ends) = part(listener, orders);
    let serving = std::thread::spawn(|| {
        counted::begin();
        serve(part, None)
    });
    let mut client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut buffer = vec![0; 64 * 1024];
    // All answers are as long as the first, which comes whole or in pieces.
    client.write_all(REQUEST).expect("it is read");
    let body = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/htdocs/index.html"));
    let mut length = 0;
    while !buffer[..length].ends_with(body) {
        length += client.read(&mut buffer[length..]).expect("it answers");
    }
    assert!(counted::asked() > 0, "nothing is counted");
    let end = Instant::now() + PATIENCE;
    let mut least = u64::MAX;
    while least > 0 {
        let before = counted::asked();
        for _ in 0..HITS {
            ask(&mut client, &mut buffer, length);
        }
        least = least.min(counted::asked() - before);
        assert!(Instant::now() < end, "{HITS} hits asked {least} times for memory");
    }
    order.send(Order::Stop).expect("it serves");
    drop(client);
    serving.join().expect("it ends").expect("it ends well");
}
