//! Places, the order of idle connections, and who is told.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::{Awaits, Crowd, Idlers, LEAST, Place, fitting};
use crate::net::stream::Stream;

/// A connection: the server's end, and the client's.
async fn pair() -> (Rc<Stream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback works");
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).await.expect("it listens");
    let (server, _) = listener.accept().await.expect("one has connected");
    let server = server.into_std().expect("it is open").into();
    (Rc::new(Stream::new(server)), client)
}

/// Whether its reading side was closed.
fn is_closed(stream: &Stream) -> bool {
    matches!(stream.try_read(&mut [0; 8]), Ok(0))
}

async fn is_closed_soon(stream: &Stream) -> bool {
    let patience = Instant::now() + Duration::from_secs(10);
    stream.readable_by(patience).await.is_some() && is_closed(stream)
}

#[test]
fn there_are_as_many_places_as_there_may_be_connections() {
    let crowd = Arc::new(Crowd::new(2, 1));
    let mut places: Vec<Place> = (0..2).map(|_| crowd.place().expect("there is one")).collect();
    assert!(crowd.place().is_none());
    places.pop();
    assert_eq!(crowd.open(), 1);
    assert!(crowd.place().is_some());
}

#[tokio::test]
async fn the_longest_idle_goes_first_whichever_thread_has_it() {
    let crowd = Arc::new(Crowd::new(4, 2));
    let threads: Vec<Rc<Idlers>> = (0..2)
        .map(|number| Rc::new(Idlers::new(Arc::clone(&crowd), number)))
        .collect();
    let local = tokio::task::LocalSet::new();
    for idlers in threads.clone() {
        local.spawn_local(async move { idlers.obey().await });
    }
    local
        .run_until(async {
            let mut connections = Vec::new();
            for _ in 0..4 {
                connections.push(pair().await);
            }
            let start = Instant::now();
            // Idle in the order 2, 0, 3, 1, in alternating threads.
            let mut idle = Vec::new();
            for (turn, number) in [2, 0, 3, 1].into_iter().enumerate() {
                let at = start + Duration::from_micros(turn as u64);
                idle.push(threads[turn % 2].enter(&connections[number].0, Awaits::Next, at));
            }
            for number in [2, 0, 3] {
                assert!(crowd.make_room(Duration::ZERO).await, "{number}");
                assert!(is_closed_soon(&connections[number].0).await, "{number}");
            }
            drop(idle.pop());
            assert!(!crowd.make_room(Duration::ZERO).await, "none is idle any more");
            assert!(!is_closed(&connections[1].0));
        })
        .await;
}

#[tokio::test]
async fn one_whose_next_request_has_come_is_not_idle() {
    let crowd = Arc::new(Crowd::new(2, 1));
    let idlers = Idlers::new(Arc::clone(&crowd), 0);
    let (busy, client) = pair().await;
    let (idle, _client) = pair().await;
    let now = Instant::now();
    let _entries = [
        idlers.enter(&busy, Awaits::Next, now),
        idlers.enter(&idle, Awaits::Next, now),
    ];
    client.writable().await.expect("it is open");
    client.try_write(b"GET").expect("there is room");
    assert!(busy.readable_by(now + Duration::from_secs(10)).await.is_some());
    idlers.close_oldest();
    assert!(!is_closed(&busy));
    assert!(is_closed_soon(&idle).await);
}

#[tokio::test]
async fn one_without_a_word_is_idle_from_its_second_second_on() {
    let crowd = Arc::new(Crowd::new(2, 1));
    let idlers = Idlers::new(Arc::clone(&crowd), 0);
    let (stream, _client) = pair().await;
    let entry = idlers.enter(&stream, Awaits::First, Instant::now());
    assert!(!crowd.make_room(Duration::ZERO).await);
    drop(entry);
    let a_second_ago = Instant::now() - super::FIRST_WORD;
    let _entry = idlers.enter(&stream, Awaits::First, a_second_ago);
    assert!(crowd.make_room(Duration::ZERO).await);
    idlers.close_oldest();
    assert!(is_closed_soon(&stream).await);
}

#[tokio::test]
async fn at_a_stop_those_kept_for_a_further_request_are_closed() {
    let idlers = Idlers::new(Arc::new(Crowd::new(2, 1)), 0);
    let (kept, _one) = pair().await;
    let (fresh, _other) = pair().await;
    let now = Instant::now();
    let _entries = [
        idlers.enter(&kept, Awaits::Next, now),
        idlers.enter(&fresh, Awaits::First, now),
    ];
    idlers.close_kept();
    assert!(is_closed_soon(&kept).await);
    assert!(!is_closed(&fresh));
}

#[tokio::test]
async fn who_waits_for_room_is_told_of_the_first_that_ends() {
    let crowd = Arc::new(Crowd::new(1, 1));
    let place = crowd.place();
    let waiting = Arc::clone(&crowd);
    let told = tokio::spawn(async move {
        let began = Instant::now();
        waiting.make_room(Duration::from_secs(60)).await;
        began.elapsed()
    });
    while crowd.waiting.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    drop(place);
    assert!(told.await.expect("it ends") < Duration::from_secs(30));
}

#[test]
fn a_complaint_is_made_once_in_a_while() {
    let crowd = Crowd::new(1, 1);
    assert!(crowd.may_complain(Duration::from_secs(60)));
    assert!(!crowd.may_complain(Duration::from_secs(60)));
    assert!(crowd.may_complain(Duration::ZERO));
}

#[test]
fn the_limit_of_descriptors_leaves_room_for_scripts_and_files() {
    for (limit, used, scripts, most) in [
        (Some(64), 24, 64, 18),
        (Some(1024), 30, 64, 552),
        (Some(20_000), 30, 64, 14_688),
        (Some(16), 30, 64, LEAST),
        (Some(u64::MAX), 30, 64, 1 << 20),
        (None, 30, u64::MAX, 1 << 20),
    ] {
        assert_eq!(fitting(limit, used, scripts), most, "{limit:?}");
    }
}

/// The list against a plain one, through every order of coming and going.
#[tokio::test]
async fn the_order_holds_however_connections_come_and_go() {
    let idlers = Idlers::new(Arc::new(Crowd::new(9, 1)), 0);
    let (stream, _client) = pair().await;
    let start = Instant::now();
    let mut plain: Vec<(u64, super::Idle<'_>)> = Vec::new();
    let mut random = 12_345_u64;
    for turn in 0..2000_u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let roll = (random >> 33) as usize;
        if plain.len() < 2 || (plain.len() < 9 && roll.is_multiple_of(2)) {
            let at = start + Duration::from_secs(turn);
            let since = idlers.crowd.stamp(at);
            plain.push((since, idlers.enter(&stream, Awaits::Next, at)));
        } else {
            drop(plain.remove(roll % plain.len()));
        }
        let oldest = plain.first().map_or(super::NONE, |(since, _)| *since);
        assert_eq!(idlers.lists.borrow().oldest(), oldest, "turn {turn}");
        let shown = idlers.crowd.desks[0].oldest.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(shown, oldest, "turn {turn}");
    }
    assert!(idlers.lists.borrow().entries.len() <= 9, "places are used again");
}

#[tokio::test]
async fn the_stream_of_one_that_rests_is_kept_and_ends_like_the_others() {
    let crowd = Arc::new(Crowd::new(3, 1));
    let idlers = Idlers::new(Arc::clone(&crowd), 0);
    let now = Instant::now();
    let (mut clients, mut stays) = (Vec::new(), Vec::new());
    for number in 0..3 {
        let (stream, client) = pair().await;
        let idle = idlers.enter(&stream, Awaits::Next, now + Duration::from_micros(number));
        let idle = idle.stays().expect("there is a number for it");
        let held_by_two = Rc::clone(&stream);
        let stream = idlers.keep(&idle, stream).expect_err("somebody else has it");
        assert!(idlers.kept(&idle, |_| ()).is_none());
        drop(held_by_two);
        idlers.keep(&idle, stream).map_err(|_| ()).expect("nobody else has it");
        assert_eq!(idlers.kept(&idle, |still| still.sent()), Some(0));
        clients.push(client);
        stays.push(idle);
    }
    clients[0].write_all(b"GET").await.expect("it is open");
    clients[0].flush().await.expect("it is open");
    tokio::time::sleep(Duration::from_millis(100)).await;
    // The first has something to say, and the last is not idle any more.
    let last = stays.pop().and_then(|idle| idlers.leave(&idle)).expect("it was kept");
    idlers.close_kept();
    let [first, second] = [0, 1].map(|number: usize| idlers.leave(&stays[number]).expect("it was kept"));
    assert!(is_closed_soon(&second).await);
    assert!(matches!(first.try_read(&mut [0; 8]), Ok(3)));
    assert!(!is_closed(&first) && !is_closed(&last));
}
