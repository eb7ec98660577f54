//! Attempts that meet each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::protocol::*;

const SERVICE: &str = "shop";

/// Two replicas that serve generation 1.
fn pair() -> (Shared, [MemberId; 2]) {
    let mut shared = Shared::default();
    let members = ["a", "b"].map(|name| {
        let version = version("own");
        let offer = Offer { service: SERVICE.into(), version, own: "own".into(), misses: None };
        let id = shared.join(&name.into(), &[offer], 1000, 1).unwrap();
        let serves = BTreeMap::from([(Arc::from(SERVICE), 1)]);
        assert_eq!(shared.report(id, &serves, 1), Ok(true));
        id
    });
    (shared, members)
}

fn version(digest: &str) -> Version {
    Version { digest: digest.into(), source: digest.into() }
}

fn proposal(digest: &str, takes_back: bool) -> Proposal {
    let (service, version) = (SERVICE.into(), version(digest));
    Proposal { service, base: 1, version, cause: "test".into(), takes_back }
}

#[test]
fn two_that_ask_for_the_same_version_ask_for_one_attempt() {
    let (mut shared, [a, b]) = pair();
    let first = shared.propose(a, &proposal("x", true), 1000, 1).unwrap();
    shared.vote(a, first, Vote::Ready, 1).unwrap();
    assert_eq!(shared.propose(b, &proposal("x", true), 1000, 1), Ok(first));
    let open = shared.lines[SERVICE].attempt.clone().unwrap();
    // The vote that there is counts.
    assert!(open.votes.contains_key(&a) && &*open.by == "a");
    shared.vote(b, first, Vote::Ready, 1).unwrap();
    let line = &shared.lines[SERVICE];
    assert_eq!((line.current.number, line.before.len(), line.decided.len()), (2, 0, 1));
}

#[test]
fn a_rollback_that_was_asked_for_is_not_one_that_takes_back() {
    let (mut shared, [a, b]) = pair();
    let asked = shared.propose(a, &proposal("x", false), 1000, 1).unwrap();
    assert_eq!(shared.propose(b, &proposal("x", true), 1000, 1), Err(Refusal::OtherAttempt));
    assert_eq!(shared.propose(b, &proposal("x", false), 1000, 1), Ok(asked));
}

#[test]
fn what_takes_a_version_back_makes_way_for_what_was_asked_for() {
    let (mut shared, [a, b]) = pair();
    let mend = shared.propose(a, &proposal("mended", false), 1000, 1).unwrap();
    let refused = shared.propose(b, &proposal("before", true), 1000, 1);
    assert_eq!(refused, Err(Refusal::OtherAttempt));
    assert_eq!(shared.lines[SERVICE].attempt.as_ref().unwrap().id, mend);
    // And the other way round.
    let newer = shared.propose(b, &proposal("newer", false), 1000, 1).unwrap();
    assert_eq!(shared.lines[SERVICE].attempt.as_ref().unwrap().id, newer);
}

#[test]
fn nothing_is_numbered_as_something_was_before_the_row_was_deleted() {
    let numbers = |now| {
        let mut shared = Shared::default();
        let offer = Offer {
            service: SERVICE.into(),
            version: version("own"),
            own: "own".into(),
            misses: None,
        };
        let id = shared.join(&"a".into(), &[offer], 1000, now).unwrap();
        let serves = BTreeMap::from([(Arc::from(SERVICE), 1)]);
        shared.report(id, &serves, now).unwrap();
        (id, shared.propose(id, &proposal("x", false), 1000, now).unwrap(), shared)
    };
    let (id, attempt, _) = numbers(5000);
    let (later_id, later_attempt, mut later) = numbers(9000);
    assert!(later_id != id && later_attempt != attempt && later_attempt.0 > later_id.0);
    assert_eq!(later.renew(id, 1000, 9000), Err(Lost));
    assert_eq!(later.vote(id, later_attempt, Vote::Ready, 9000), Err(Lost));
}
