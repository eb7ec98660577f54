//! Which service may have a connection: a bounded number of places, shared by the services that are granted what the
//! connections lead to.
//!
//! A caller that finds none free is handed one: the service that has the fewest first, and of those the one whose turn is
//! longest ago, whatever came first. Some places are kept for services that have none, so that one which takes all it
//! can get does not keep the others from working. It must not know what a connection is.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use wasm_host_limits::postgres as limits;

/// One that takes places, by its number. The first is the host itself, for which nothing is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct User(usize);

pub(crate) struct Places {
    all: usize,
    state: Mutex<PlacesState>,
}

struct PlacesState {
    free: usize,
    closed: bool,
    users: Vec<Taker>,
    /// Services without a place.
    without: usize,
    /// Waiting ones in all lines.
    waiting: usize,
    turns: u64,
}

#[derive(Default)]
struct Taker {
    name: Arc<str>,
    held: usize,
    /// Its last turn.
    turn: u64,
    /// Those that have gone stay until the line has come to them.
    line: VecDeque<oneshot::Sender<Place>>,
}

/// A place. Free again when it is dropped.
pub(crate) struct Place {
    /// None only where it was never given.
    places: Option<Arc<Places>>,
    user: User,
}

/// The places are closed.
#[derive(Debug)]
pub(crate) struct Closed;

impl Places {
    pub(crate) fn new(all: usize) -> Arc<Self> {
        let users = vec![Taker::default()];
        let state =
            PlacesState { free: all, closed: false, users, without: 0, waiting: 0, turns: 0 };
        Arc::new(Self { all, state: Mutex::new(state) })
    }

    /// The number of a service. The same one each time that it is asked.
    pub(crate) fn user(&self, service: &str) -> User {
        let mut state = self.lock();
        let known = state.users.iter().skip(1).position(|user| &*user.name == service);
        User(known.map_or_else(
            || {
                state.users.push(Taker { name: service.into(), ..Taker::default() });
                state.without += 1;
                state.users.len() - 1
            },
            |position| position + 1,
        ))
    }

    /// A place, if one is free that is not kept for others.
    pub(crate) fn free(self: &Arc<Self>, user: User) -> Option<Place> {
        let mut state = self.lock();
        (!state.closed && state.may_take(self.all, user)).then(|| {
            state.hold(user);
            Place { places: Some(self.clone()), user }
        })
    }

    /// A place, when it is the turn of this user.
    pub(crate) async fn next(self: &Arc<Self>, user: User) -> Result<Place, Closed> {
        let (sender, place) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.closed {
                return Err(Closed);
            }
            state.forget_those_gone(user);
            if let Some(taker) = state.users.get_mut(user.0) {
                taker.line.push_back(sender);
                state.waiting += 1;
            }
            // One may have become free since it was looked for.
            self.hand_on(&mut state);
        }
        place.await.map_err(|_| Closed)
    }

    pub(crate) fn in_use(&self) -> usize {
        self.all.saturating_sub(self.lock().free)
    }

    /// Calls that wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.lock();
        let lines = state.users.iter().map(|user| &user.line);
        lines.map(|line| line.iter().filter(|waiting| !waiting.is_closed()).count()).sum()
    }

    /// From now on none is given. Those in use are given back as before.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting = 0;
        let lines: Vec<_> = state.users.iter_mut().map(|user| take(&mut user.line)).collect();
        drop(state);
        drop(lines);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Give what is free to those that wait.
    fn hand_on(self: &Arc<Self>, state: &mut PlacesState) {
        while state.waiting > 0 && state.free > 0 {
            let waiting = (0..state.users.len()).map(User).filter(|user| {
                state.forget_those_gone(*user);
                state.is_waiting(*user) && state.may_take(self.all, *user)
            });
            let mut waiting: Vec<_> = waiting.collect();
            waiting.sort_by_key(|user| state.rank(*user));
            let Some(user) = waiting.first().copied() else { return };
            let Some(sender) = state.pop(user) else { return };
            state.hold(user);
            let place = Place { places: Some(self.clone()), user };
            if let Err(mut place) = sender.send(place) {
                // The caller left in this moment. Its place is given back here, where the state is locked already.
                place.places = None;
                state.give_back(user);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, PlacesState> {
        self.state.lock()
    }
}

impl PlacesState {
    /// Whether a free place is there that is not kept for others. A service that has none may have each of them.
    fn may_take(&self, all: usize, user: User) -> bool {
        let kept = self.without.min((all / limits::POOL_PARTS_KEPT).max(1));
        let held = self.users.get(user.0).map_or(0, |taker| taker.held);
        self.free > if held == 0 { 0 } else { kept }
    }

    fn hold(&mut self, user: User) {
        self.free = self.free.saturating_sub(1);
        self.turns += 1;
        let turn = self.turns;
        if let Some(taker) = self.users.get_mut(user.0) {
            (taker.held, taker.turn) = (taker.held + 1, turn);
            if taker.held == 1 && user != User::default() {
                self.without = self.without.saturating_sub(1);
            }
        }
    }

    fn give_back(&mut self, user: User) {
        self.free += 1;
        if let Some(taker) = self.users.get_mut(user.0) {
            taker.held = taker.held.saturating_sub(1);
            if taker.held == 0 && user != User::default() {
                self.without += 1;
            }
        }
    }

    fn is_waiting(&self, user: User) -> bool {
        self.users.get(user.0).is_some_and(|taker| !taker.line.is_empty())
    }

    /// Which service is first: the lowest.
    fn rank(&self, user: User) -> (usize, u64) {
        self.users.get(user.0).map(|taker| (taker.held, taker.turn)).unwrap_or_default()
    }

    fn pop(&mut self, user: User) -> Option<oneshot::Sender<Place>> {
        let first = self.users.get_mut(user.0)?.line.pop_front()?;
        self.waiting = self.waiting.saturating_sub(1);
        Some(first)
    }

    /// Take those off the head of a line that wait no more: all wait for the same time, so that they are there.
    fn forget_those_gone(&mut self, user: User) {
        let gone = |taker: &Taker| taker.line.front().is_some_and(oneshot::Sender::is_closed);
        while self.users.get(user.0).is_some_and(gone) {
            self.pop(user);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(places) = self.places.take() else { return };
        let mut state = places.lock();
        state.give_back(self.user);
        places.hand_on(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn taken(places: &Arc<Places>, user: User, count: usize) -> Vec<Place> {
        std::iter::from_fn(|| places.free(user)).take(count).collect()
    }

    #[test]
    fn a_single_service_may_have_all() {
        let places = Places::new(3);
        let only = places.user("only");
        assert_eq!(taken(&places, only, 9).len(), 3);
        assert_eq!(places.in_use(), 0);
        assert_eq!(places.user("only"), only);
    }

    #[test]
    fn the_last_places_are_kept_for_services_that_have_none() {
        // With how many services, how many one of them gets while the others rest.
        for (all, services, most) in [(8, 2, 7), (8, 3, 6), (8, 30, 6), (2, 2, 1), (1, 2, 1)] {
            let places = Places::new(all);
            let users: Vec<_> =
                (0..services).map(|number| places.user(&number.to_string())).collect();
            let greedy = taken(&places, users[0], 99);
            assert_eq!(greedy.len(), most, "{services} on {all}");
            if all > 1 {
                assert!(places.free(users[1]).is_some());
            }
        }
    }

    #[test]
    fn the_next_place_is_of_the_service_that_has_the_fewest_and_then_in_turn() {
        let places = Places::new(2);
        let [many, few] = ["many", "few"].map(|name| places.user(name));
        let (first, second) = (places.free(many).unwrap(), places.free(few).unwrap());
        let mut line = [many, many, few].map(|user| Box::pin(places.next(user)));
        assert!(line.iter_mut().all(|place| place.now_or_never().is_none()));
        // Each has one: the one that came first to its last has waited longest.
        drop(second);
        let [one, two, three] = &mut line;
        let handed = three.as_mut().now_or_never().expect("it has none").unwrap();
        assert!(one.as_mut().now_or_never().is_none() && two.as_mut().now_or_never().is_none());
        drop(first);
        assert!(two.as_mut().now_or_never().is_none());
        let handed = (handed, one.as_mut().now_or_never().expect("it has none").unwrap());
        assert!(places.free(few).is_none());
        drop(handed);
        assert!(two.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_place_is_not_lost_with_one_that_went() {
        let places = Places::new(1);
        let user = places.user("a");
        let held = places.free(user).unwrap();
        let mut gone = Box::pin(places.next(user));
        let mut stays = Box::pin(places.next(user));
        assert!(gone.as_mut().now_or_never().is_none() && stays.as_mut().now_or_never().is_none());
        drop(gone);
        drop(held);
        drop(stays.now_or_never().expect("handed on").unwrap());
        // Neither is one that was handed to it and that it did not take.
        let held = places.free(user).unwrap();
        let mut gone = Box::pin(places.next(user));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(held);
        drop(gone);
        assert_eq!(places.in_use(), 0);
        assert!(places.free(user).is_some());
    }

    #[test]
    fn whoever_waits_when_all_is_closed_is_told() {
        let places = Places::new(1);
        let held = places.free(User::default()).unwrap();
        let mut waits = Box::pin(places.next(User::default()));
        assert!(waits.as_mut().now_or_never().is_none());
        places.close();
        assert!(waits.now_or_never().unwrap().is_err());
        assert!(places.next(User::default()).now_or_never().unwrap().is_err());
        drop(held);
        assert!(places.free(User::default()).is_none());
    }
}
