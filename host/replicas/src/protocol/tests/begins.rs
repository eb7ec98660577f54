//! With what a replica comes, and when that is a generation.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::protocol::*;
use wasm_host_limits::replicas::{KNOWN, LOST_KEPT};

const SERVICE: &str = "shop";
const LEASE: Time = 1000;

fn version(digest: &str) -> Version {
    Version { digest: digest.into(), source: digest.into() }
}

impl Shared {
    /// A replica of this name comes with this component, catches up, and takes requests.
    fn comes(&mut self, name: &str, own: &str, now: Time) -> MemberId {
        let offer =
            Offer { service: SERVICE.into(), version: version(own), own: own.into(), misses: None };
        let id = self.join(&name.into(), &[offer], LEASE, now).unwrap();
        let serves = BTreeMap::from([(Arc::from(SERVICE), self.lines[SERVICE].current.number)]);
        assert_eq!(self.report(id, &serves, now), Ok(true));
        id
    }

    /// All replicas agree to another version.
    fn swaps(&mut self, digest: &str, now: Time) {
        let members: Vec<MemberId> = self.members.keys().copied().collect();
        let proposal = Proposal {
            service: SERVICE.into(),
            base: self.lines[SERVICE].current.number,
            version: version(digest),
            cause: "swap".into(),
            takes_back: false,
        };
        let attempt = self.propose(members[0], &proposal, LEASE, now).unwrap();
        for member in &members {
            self.vote(*member, attempt, Vote::Ready, now).unwrap();
        }
        assert_eq!(self.current(), digest);
        let serves = BTreeMap::from([(Arc::from(SERVICE), self.lines[SERVICE].current.number)]);
        for member in members {
            self.report(member, &serves, now).unwrap();
        }
    }

    fn current(&self) -> &str {
        &self.lines[SERVICE].current.version.digest
    }
}

#[test]
fn after_a_full_stop_nothing_old_begins_again() {
    let mut shared = Shared::default();
    shared.comes("a", "x", 1);
    shared.comes("b", "y", 1);
    shared.swaps("y", 1);
    shared.swaps("uploaded", 1);
    shared.swaps("z", 1);
    for own in ["x", "y", "uploaded", "z"] {
        for name in ["a", "b", "c"] {
            shared.leave(&name.into(), 1);
        }
        shared.comes("c", own, 1);
        assert_eq!(shared.current(), "z", "{own}");
    }
    // What was built since does.
    shared.leave(&"c".into(), 1);
    shared.comes("d", "new", 1);
    assert_eq!(shared.current(), "new");
}

#[test]
fn nothing_begins_beside_what_is_lost_and_may_serve_still() {
    let mut shared = Shared::default();
    shared.comes("a", "x", 1);
    let now = 2 + LEASE;
    shared.tick(now);
    assert!(shared.members.is_empty() && shared.lost.len() == 1);
    shared.comes("b", "y", now);
    assert_eq!(shared.current(), "x");
    // Its owner was told then, and what comes by swap is not taken back when all have stopped.
    shared.leave(&"b".into(), now);
    let now = now + Time::try_from(LOST_KEPT.as_millis()).unwrap();
    shared.comes("c", "y", now);
    assert_eq!(shared.current(), "x");
    shared.leave(&"c".into(), now);
    shared.comes("d", "z", now);
    assert_eq!(shared.current(), "z");
}

#[test]
fn a_replica_that_was_lost_and_stops_in_order_is_not_waited_for() {
    let mut shared = Shared::default();
    shared.comes("a", "x", 1);
    let now = 2 + LEASE;
    shared.tick(now);
    shared.leave(&"a".into(), now);
    assert!(shared.lost.is_empty());
}

#[test]
fn what_came_is_remembered_up_to_a_bound() {
    let mut shared = Shared::default();
    shared.comes("a", "x", 1);
    for number in 0..KNOWN * 2 {
        shared.comes("b", &format!("own{number}"), 1);
    }
    assert_eq!(shared.lines[SERVICE].known.len(), KNOWN);
    assert_eq!(shared.current(), "x");
}

#[test]
fn a_replica_that_came_back_and_serves_what_it_had_is_named_for_as_long_as_it_is_there() {
    let mut shared = Shared::default();
    shared.comes("a", "x", 1);
    shared.comes("b", "x", 1);
    let (now, lease) = (2 + LEASE, Time::try_from(LOST_KEPT.as_millis()).unwrap());
    shared.tick(now);
    let offer =
        Offer { service: SERVICE.into(), version: version("x"), own: "x".into(), misses: None };
    shared.join(&"b".into(), &[offer], lease * 2, now).unwrap();
    shared.tick(now + lease);
    // The other one came back under no name, or another one.
    assert_eq!(shared.lost.keys().map(|name| &**name).collect::<Vec<_>>(), ["b"]);
    shared.tick(now + lease * 2);
    assert!(shared.members.is_empty() && shared.lost.len() == 1);
    shared.tick(now + lease * 3);
    assert!(shared.lost.is_empty());
}

/// A replica comes with what was built since, or not, while another one serves, and finds that it cannot load that.
fn misses(shared: &mut Shared, own: &str, now: Time) -> Offer {
    let (service, version) = (SERVICE.into(), version(own));
    let offer = Offer { service, version, own: own.into(), misses: None };
    shared.join(&"late".into(), std::slice::from_ref(&offer), LEASE, now).unwrap();
    assert!(!shared.may_begin(&offer));
    Offer { misses: Some(shared.lines[SERVICE].current.number), ..offer }
}

#[test]
fn what_was_built_since_begins_where_what_served_has_gone_and_cannot_be_had() {
    let mut shared = Shared::default();
    shared.comes("a", "x", 1);
    let late = misses(&mut shared, "y", 1);
    assert!(!shared.may_begin(&late), "one serves");
    let mut lost = shared.clone();
    lost.renew(*lost.members.keys().last().unwrap(), LEASE * 2, 1).unwrap();
    lost.tick(1 + LEASE);
    assert!(!lost.may_begin(&late), "one may serve");
    shared.leave(&"a".into(), 1);
    assert!(shared.may_begin(&late));
    assert!(!shared.may_begin(&Offer { misses: None, ..late.clone() }), "it may have it yet");
    shared.join(&"late".into(), std::slice::from_ref(&late), LEASE, 1).unwrap();
    assert_eq!((shared.current(), shared.members.len()), ("y", 1));
    assert_eq!(shared.lines[SERVICE].current.number, 2);
    assert!(!shared.may_begin(&late));
}

#[test]
fn what_was_built_before_the_last_decision_does_not_begin_by_chance() {
    let mut shared = Shared::default();
    shared.comes("a", "x", 1);
    misses(&mut shared, "y", 1);
    // Of those there is no vote.
    shared.leave(&"late".into(), 1);
    shared.swaps("z", 1);
    let late = misses(&mut shared, "y", 1);
    shared.leave(&"a".into(), 1);
    assert!(!shared.may_begin(&late));
    let old = misses(&mut shared, "x", 1);
    assert!(!shared.may_begin(&old));
}
