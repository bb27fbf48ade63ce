//! Whose turn it is among the members of a balancer: by shares or by what each has to do, sessions with the one that has
//! them, and nobody with one that could not be reached a short while ago. All threads of a process share it.
//!
//! The arithmetic is Apache's (`mod_lbmethod_byrequests`), so that the order is too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::backend::states::MemberState;
use crate::config::balancers::{Balancer, Duty, Errors, Member, Method};

/// What is known of a balancer's members.
#[derive(Debug)]
pub struct Balance {
    shares: Mutex<Vec<Share>>,
}

/// What is known of one member.
#[derive(Clone, Debug, Default)]
struct Share {
    /// How urgently it is its turn, in hundredths of requests; all of a balancer come to nothing together.
    due: i64,
    /// How many requests it has.
    busy: u64,
    /// When it could not be reached.
    failed: Option<Instant>,
}

/// Whose turn it is.
#[derive(Debug)]
pub struct Chosen {
    /// The index of the member.
    pub member: usize,
    /// By what.
    pub by: By,
    /// The request that it has more now.
    pub busy: Busy,
}

/// By what a member is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The session is its own.
    Session,
    /// Its session is that of a member that cannot be used.
    Redirect,
    /// It is its turn.
    Turn,
}

/// Why nobody is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMember {
    /// There are no members.
    Empty,
    /// None can be used.
    NoneUsable,
    /// That of the session cannot be used, and no other may be (`nofailover`).
    SessionsOwn,
}

impl Balance {
    /// Of a balancer that has had no request.
    pub fn new(balancer: &Balancer) -> Balance {
        Balance {
            shares: Mutex::new(vec![Share::default(); balancer.members.len()]),
        }
    }

    fn shares(&self) -> MutexGuard<'_, Vec<Share>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose turn it is at this time, for a session of this route.
    pub fn choose(
        self: &Arc<Balance>,
        balancer: &Balancer,
        route: Option<&[u8]>,
        now: Instant,
    ) -> Result<Chosen, NoMember> {
        let mut shares = self.shares();
        let mut round = Round {
            balancer,
            shares: &mut shares,
            now,
        };
        let (member, by) = round.choose(route)?;
        if let Some(share) = shares.get_mut(member) {
            share.busy += 1;
        }
        let busy = Busy {
            balance: Arc::clone(self),
            member,
        };
        Ok(Chosen { member, by, busy })
    }

    /// How the members do.
    pub(super) fn states(&self, balancer: &Balancer, now: Instant) -> Vec<MemberState> {
        let shares = self.shares();
        let members = balancer.members.iter().zip(shares.iter());
        let state = |(member, share): (&Member, &Share)| MemberState {
            address: format!("{}://{}", member.target.scheme.name(), member.target.address),
            route: String::from_utf8_lossy(&member.route).into_owned(),
            active: share.busy,
            failed: share
                .failed
                .map(|at| now.saturating_duration_since(at))
                .filter(|ago| *ago < member.retry),
        };
        members.map(state).collect()
    }

    /// A member could not be reached: it is left alone from now on.
    pub fn failed(&self, member: usize, now: Instant) {
        if let Some(share) = self.shares().get_mut(member) {
            share.failed = Some(now);
        }
    }
}

/// A request that a member has, until this is dropped.
#[derive(Debug)]
pub struct Busy {
    balance: Arc<Balance>,
    member: usize,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(share) = self.balance.shares().get_mut(self.member) {
            share.busy = share.busy.saturating_sub(1);
        }
    }
}

/// One choice.
struct Round<'r> {
    balancer: &'r Balancer,
    shares: &'r mut Vec<Share>,
    now: Instant,
}

impl Round<'_> {
    fn choose(&mut self, route: Option<&[u8]>) -> Result<(usize, By), NoMember> {
        let members = &self.balancer.members;
        if members.is_empty() {
            return Err(NoMember::Empty);
        }
        self.recover_all();
        if let Some(route) = route.filter(|route| !route.is_empty()) {
            if let Some(found) = self.of_session(route) {
                self.count_for(found.0);
                return Ok(found);
            }
            let is_known = members.iter().any(|member| member.route == route);
            if is_known && self.balancer.sharing.failover == Some(false) {
                return Err(NoMember::SessionsOwn);
            }
        }
        let found = self.by_turn().ok_or(NoMember::NoneUsable)?;
        Ok((found, By::Turn))
    }

    /// Where all are left alone, they are tried all the same.
    fn recover_all(&mut self) {
        let is_forced = self.balancer.sharing.force != Some(false);
        let members = self.balancer.members.iter().enumerate();
        let able: Vec<usize> = members
            .filter(|(_, member)| member.duty != Duty::Off)
            .map(|(at, _)| at)
            .collect();
        if is_forced && able.iter().all(|at| !self.is_usable(*at)) {
            self.shares.iter_mut().for_each(|share| share.failed = None);
        }
    }

    fn member(&self, at: usize) -> Option<&Member> {
        self.balancer.members.get(at)
    }

    /// Whether a member can be used. One that was left alone for its time is tried again.
    fn is_usable(&mut self, at: usize) -> bool {
        let (Some(member), Some(share)) = (self.balancer.members.get(at), self.shares.get_mut(at)) else {
            return false;
        };
        let is_over = |failed: Instant| self.now.saturating_duration_since(failed) >= member.retry;
        if share.failed.is_some_and(is_over) || member.errors == Errors::Ignore {
            share.failed = None;
        }
        member.duty != Duty::Off && share.failed.is_none()
    }

    /// The member that has a session, or that which takes its place.
    fn of_session(&mut self, route: &[u8]) -> Option<(usize, By)> {
        let mut wanted = route.to_vec();
        let mut by = By::Session;
        // As many steps as there are members: redirects may lead in a circle.
        for _ in 0..self.balancer.members.len() {
            let known = |duty: fn(Duty) -> bool| {
                let members = self.balancer.members.iter().enumerate();
                let fitting = members.filter(|(_, member)| member.route == wanted && duty(member.duty));
                fitting.map(|(at, _)| at).collect::<Vec<_>>()
            };
            let mut all = known(|duty| duty != Duty::Standby);
            all.extend(known(|duty| duty == Duty::Standby));
            if let Some(at) = all.iter().copied().find(|at| self.is_usable(*at)) {
                return Some((at, by));
            }
            let redirects = all.iter().filter_map(|at| self.member(*at));
            let redirect = redirects
                .map(|member| &member.redirect)
                .find(|redirect| !redirect.is_empty());
            wanted.clone_from(redirect?);
            by = By::Redirect;
        }
        None
    }

    /// A request of a session is part of its member's share.
    fn count_for(&mut self, chosen: usize) {
        let mut total = 0;
        for at in 0..self.balancer.members.len() {
            if self.is_usable(at) {
                total += self.grows(at);
            }
        }
        self.pays(chosen, total);
    }

    /// It is more urgent that a member has its turn, by its share.
    fn grows(&mut self, at: usize) -> i64 {
        let load = self.member(at).map_or(0, |member| i64::from(member.load));
        if let Some(share) = self.shares.get_mut(at) {
            share.due += load;
        }
        load
    }

    fn pays(&mut self, at: usize, total: i64) {
        if let Some(share) = self.shares.get_mut(at) {
            share.due -= total;
        }
    }

    fn by_turn(&mut self) -> Option<usize> {
        let mut sets: Vec<u32> = self.balancer.members.iter().map(|member| member.set).collect();
        sets.sort_unstable();
        sets.dedup();
        let mut total = 0;
        let best = sets.into_iter().find_map(|set| self.of_set(set, &mut total));
        if let Some(best) = best {
            self.pays(best, total);
        }
        best
    }

    /// The member of a set whose turn it is: of the regular ones, of as many spare ones as regular ones are missing, or else of
    /// those that stand by.
    fn of_set(&mut self, set: u32, total: &mut i64) -> Option<usize> {
        let (mut spare, mut standby) = (Vec::new(), Vec::new());
        let (mut missing, mut best) = (0, None);
        for at in 0..self.balancer.members.len() {
            let Some(member) = self.member(at).filter(|member| member.set == set) else {
                continue;
            };
            match (member.duty, self.is_usable(at)) {
                (Duty::Draining, _) | (Duty::Off | Duty::Regular, false) => missing += 1,
                (Duty::Spare, true) => spare.push(at),
                (Duty::Standby, true) => standby.push(at),
                (Duty::Spare | Duty::Standby, false) => {}
                (Duty::Regular | Duty::Off, true) => self.compare(at, &mut best, total),
            }
        }
        for at in spare.into_iter().take(missing) {
            self.compare(at, &mut best, total);
        }
        if best.is_none() {
            for at in standby {
                self.compare(at, &mut best, total);
            }
        }
        best
    }

    /// Takes a member for the best so far if it is.
    fn compare(&mut self, at: usize, best: &mut Option<usize>, total: &mut i64) {
        *total += self.grows(at);
        let rank = |at: usize| {
            let share = self.shares.get(at).cloned().unwrap_or_default();
            let busy = match self.balancer.sharing.method {
                Some(Method::ByBusyness) => share.busy,
                None | Some(Method::ByRequests) => 0,
            };
            (std::cmp::Reverse(busy), share.due)
        };
        if best.is_none_or(|best| rank(at) > rank(best)) {
            *best = Some(at);
        }
    }
}

#[cfg(test)]
mod tests;
