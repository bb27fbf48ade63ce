//! Tests: the order of members, in Apache's arithmetic, and who takes whose place.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Balance, By, NoMember};
use crate::config::backends::Target;
use crate::config::balancers::{Balancer, Duty, Errors, Member, Method};
use crate::config::directives::proxy::Terms;

const RETRY: Duration = Duration::from_secs(60);

fn member(load: u32) -> Member {
    Member {
        target: Target::parse(b"fcgi://a").expect("a URL"),
        terms: Terms::default(),
        load,
        set: 0,
        route: Vec::new(),
        redirect: Vec::new(),
        retry: RETRY,
        duty: Duty::Regular,
        errors: Errors::Count,
    }
}

struct Game {
    balancer: Balancer,
    balance: Arc<Balance>,
    now: Instant,
}

impl Game {
    fn new(members: Vec<Member>) -> Game {
        let balancer = Balancer {
            members,
            ..Balancer::default()
        };
        Game {
            balance: Arc::new(Balance::new(&balancer)),
            balancer,
            now: Instant::now(),
        }
    }

    fn choose(&self, route: &str) -> Result<(usize, By), NoMember> {
        let chosen = self.balance.choose(&self.balancer, Some(route.as_bytes()), self.now)?;
        Ok((chosen.member, chosen.by))
    }

    /// The members of so many requests.
    fn order(&self, count: usize) -> String {
        let one = |_| {
            self.choose("")
                .map_or('-', |(at, _)| char::from(b'a' + u8::try_from(at).expect("few")))
        };
        (0..count).map(one).collect()
    }

    fn fails(&self, at: usize) {
        self.balance.failed(at, self.now);
    }
}

#[test]
fn equal_members_have_their_turns() {
    // The examples of the manual page "Request Counting Algorithm" (mod_lbmethod_byrequests).
    assert_eq!(Game::new(vec![member(100); 4]).order(8), "abcdabcd");
    assert_eq!(
        Game::new(vec![member(100), member(100), member(100), member(200)]).order(10),
        "dabcddabcd"
    );
    assert_eq!(Game::new(vec![member(7000), member(3000)]).order(10), "abaaabaaba");
}

#[test]
fn shares_hold_over_a_hundred_requests() {
    let game = Game::new(vec![member(100), member(300), member(600)]);
    let order = game.order(100);
    let count = |letter: char| order.chars().filter(|known| *known == letter).count();
    assert_eq!((count('a'), count('b'), count('c')), (10, 30, 60));
}

#[test]
fn one_that_failed_is_left_alone_for_its_time() {
    let mut game = Game::new(vec![member(100); 3]);
    game.fails(1);
    assert_eq!(game.order(4), "acac");
    game.now += RETRY;
    assert!(game.order(6).contains('b'));
}

#[test]
fn all_that_failed_are_tried_unless_that_is_unwanted() {
    let mut game = Game::new(vec![member(100); 2]);
    game.fails(0);
    game.fails(1);
    assert_eq!(game.order(2), "ab");
    game.balancer.sharing.force = Some(false);
    game.fails(0);
    game.fails(1);
    assert_eq!(game.choose(""), Err(NoMember::NoneUsable));
    game.now += RETRY;
    assert_eq!(game.order(2), "ab");
}

#[test]
fn errors_are_ignored_where_that_is_wanted() {
    let mut members = vec![member(100); 2];
    members[0].errors = Errors::Ignore;
    let game = Game::new(members);
    game.fails(0);
    assert_eq!(game.order(2), "ab");
}

#[test]
fn those_that_are_off_stand_by_or_are_spare_have_turns_of_their_own() {
    let mut members = vec![member(100); 4];
    members[0].duty = Duty::Off;
    members[2].duty = Duty::Standby;
    members[3].duty = Duty::Spare;
    let game = Game::new(members);
    assert_eq!(game.order(4), "bdbd", "the spare one replaces the one that is off");
    game.fails(1);
    assert_eq!(game.order(2), "dd");
    game.fails(3);
    assert_eq!(game.order(2), "cc", "the one that stands by comes last");
}

#[test]
fn one_that_drains_has_its_sessions_alone() {
    let mut members = vec![member(100); 2];
    members[0].duty = Duty::Draining;
    members[0].route = b"one".to_vec();
    let game = Game::new(members);
    assert_eq!(game.order(2), "bb");
    assert_eq!(game.choose("one"), Ok((0, By::Session)));
}

#[test]
fn a_higher_set_waits_for_the_lower_one_to_fail() {
    let mut members = vec![member(100); 3];
    members[0].set = 1;
    let game = Game::new(members);
    assert_eq!(game.order(4), "bcbc");
    game.fails(1);
    game.fails(2);
    assert_eq!(game.order(2), "aa");
}

#[test]
fn sessions_stay_and_are_redirected_where_their_member_cannot_be_used() {
    let mut members = vec![member(100); 3];
    for (member, route) in members.iter_mut().zip(["a", "b", "c"]) {
        member.route = route.as_bytes().to_vec();
    }
    members[0].redirect = b"c".to_vec();
    let mut game = Game::new(members);
    for _ in 0..3 {
        assert_eq!(game.choose("b"), Ok((1, By::Session)));
    }
    game.fails(0);
    assert_eq!(game.choose("a"), Ok((2, By::Redirect)));
    game.fails(2);
    assert_eq!(game.choose("a"), Ok((1, By::Turn)));
    assert_eq!(game.choose("unknown"), Ok((1, By::Turn)));
    game.balancer.sharing.failover = Some(false);
    assert_eq!(game.choose("a"), Err(NoMember::SessionsOwn));
    assert_eq!(game.choose("unknown"), Ok((1, By::Turn)));
}

#[test]
fn redirects_in_a_circle_end() {
    let mut members = vec![member(100); 3];
    for (member, (route, redirect)) in members.iter_mut().zip([("a", "b"), ("b", "a"), ("c", "")]) {
        member.route = route.as_bytes().to_vec();
        member.redirect = redirect.as_bytes().to_vec();
    }
    let game = Game::new(members);
    game.fails(0);
    game.fails(1);
    assert_eq!(game.choose("a"), Ok((2, By::Turn)));
}

#[test]
fn the_least_busy_one_has_its_turn() {
    let mut game = Game::new(vec![member(100); 3]);
    game.balancer.sharing.method = Some(Method::ByBusyness);
    let choose = || {
        game.balance
            .choose(&game.balancer, None, game.now)
            .expect("one can be used")
    };
    let (first, second, third) = (choose(), choose(), choose());
    assert_eq!((first.member, second.member, third.member), (0, 1, 2));
    drop(second);
    assert_eq!(choose().member, 1);
    drop((first, third));
}

#[test]
fn without_members_there_is_no_turn() {
    assert_eq!(Game::new(Vec::new()).choose(""), Err(NoMember::Empty));
}
