//! Walks through all that the protocol can do, and through what it would do without one of its rules.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use stateright::{Checker, Model as _};

use super::model::{Broken, Faults, Scenario};

mod attempts;
mod begins;
mod services;

/// The names of the properties that do not hold, and how many states were seen.
fn walk(scenario: Scenario) -> (Vec<&'static str>, usize) {
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    let fails_early = scenario.broken.is_some();
    let mut builder = scenario.checker().threads(threads);
    if fails_early {
        builder = builder.finish_when(stateright::HasDiscoveries::AnyFailures);
    }
    let checker = builder.spawn_bfs().join();
    let mut failed: Vec<&'static str> = checker
        .discoveries()
        .into_iter()
        .filter(|(name, _)| checker.discovery_classification(name).to_string() != "example")
        .map(|(name, path)| {
            eprintln!("{name}: {:#?}", path.clone().into_actions());
            name
        })
        .collect();
    let reached = checker.discoveries();
    for name in ["committed", "aborted"] {
        assert!(fails_early || reached.contains_key(name), "{name} is never reached");
    }
    failed.sort_unstable();
    eprintln!(
        "{} states, {} of them different",
        checker.state_count(),
        checker.unique_state_count()
    );
    (failed, checker.unique_state_count())
}

const SWAPS: Faults = Faults {
    swaps: 2,
    refusals: 1,
    crashes: 0,
    cuts: 0,
    unheard: 0,
    stops: 0,
    outages: 0,
    leaves: 0,
    failures: 0,
};

/// The protocol as it is.
const WHOLE: Scenario = Scenario {
    hosts: 2,
    early: 2,
    fences: false,
    builds: false,
    goes_back: false,
    faults: SWAPS,
    broken: None,
};

/// The same with `lost = "serve"` and with `lost = "fence"`.
#[track_caller]
fn hold(hosts: usize, early: usize, faults: Faults) {
    for fences in [false, true] {
        let (failed, _) = walk(Scenario { hosts, early, fences, faults, ..WHOLE });
        assert_eq!(failed, Vec::<&str>::new(), "fences: {fences}");
    }
}

#[test]
fn two_swaps_at_once_and_a_refusal() {
    hold(2, 2, SWAPS);
    hold(3, 3, Faults { swaps: 1, ..SWAPS });
}

#[test]
fn a_crash_at_any_step() {
    hold(2, 2, Faults { crashes: 1, swaps: 1, ..SWAPS });
}

#[test]
fn a_replica_that_is_cut_off_at_any_step() {
    hold(2, 2, Faults { cuts: 1, swaps: 1, ..SWAPS });
    // What is prepared for one swap must not serve with the other.
    hold(2, 2, Faults { cuts: 1, refusals: 0, ..SWAPS });
}

#[test]
fn a_replica_that_stops_in_order_at_any_step() {
    hold(2, 2, Faults { leaves: 1, ..SWAPS });
    hold(2, 2, Faults { leaves: 1, cuts: 1, swaps: 1, ..SWAPS });
}

#[test]
fn a_replica_that_stands_still_at_any_step_until_its_lease_has_ended() {
    hold(2, 2, Faults { stops: 1, swaps: 1, ..SWAPS });
}

#[test]
fn an_answer_that_is_never_heard() {
    hold(2, 2, Faults { unheard: 1, ..SWAPS });
}

#[test]
fn a_database_that_goes_away_at_any_step() {
    hold(2, 2, Faults { outages: 1, swaps: 1, refusals: 0, ..SWAPS });
}

#[test]
fn a_replica_that_comes_later() {
    hold(2, 1, SWAPS);
    hold(3, 2, Faults { swaps: 1, refusals: 0, ..SWAPS });
}

#[test]
fn a_replica_that_comes_with_what_was_built_since() {
    for fences in [false, true] {
        let faults = Faults { crashes: 1, swaps: 1, ..SWAPS };
        let scenario = Scenario { early: 1, fences, builds: true, faults, ..WHOLE };
        assert_eq!(walk(scenario).0, Vec::<&str>::new(), "fences: {fences}");
    }
}

#[test]
fn a_replica_that_catches_up_while_the_others_go_back_to_what_it_has() {
    for fences in [false, true] {
        let faults = Faults { stops: 1, failures: 1, refusals: 0, ..SWAPS };
        let scenario = Scenario { fences, goes_back: true, faults, ..WHOLE };
        assert_eq!(walk(scenario).0, Vec::<&str>::new(), "fences: {fences}");
    }
}

/// Minutes, and some gigabytes of memory.
#[test]
#[ignore = "takes minutes: cargo test -p wasm-host-replicas --lib -- --ignored several_faults"]
fn several_faults() {
    hold(2, 2, Faults { crashes: 1, ..SWAPS });
    hold(2, 2, Faults { cuts: 1, ..SWAPS });
    hold(2, 2, Faults { stops: 1, ..SWAPS });
    hold(2, 2, Faults { swaps: 1, crashes: 1, cuts: 1, ..SWAPS });
    hold(2, 2, Faults { swaps: 1, stops: 1, cuts: 1, ..SWAPS });
    hold(2, 1, Faults { swaps: 1, cuts: 1, unheard: 1, ..SWAPS });
    hold(3, 3, Faults { swaps: 1, cuts: 1, ..SWAPS });
    hold(3, 2, Faults { swaps: 1, stops: 1, ..SWAPS });
}

/// The checker sees a protocol that lacks a rule.
#[track_caller]
fn is_caught(broken: Broken, early: usize, fences: bool, faults: Faults, property: &str) {
    let builds = broken == Broken::BeginsBesideOthers;
    let goes_back = broken == Broken::CatchesUpTwice;
    let scenario =
        Scenario { early, fences, builds, goes_back, faults, broken: Some(broken), ..WHOLE };
    let (failed, _) = walk(scenario);
    assert!(failed.iter().any(|name| name.starts_with(property)), "{broken:?}: {failed:?}");
}

#[test]
fn a_replica_that_serves_what_it_has_is_caught() {
    is_caught(Broken::ServesWhatItHas, 1, true, Faults { swaps: 1, ..SWAPS }, "1");
}

#[test]
fn a_replica_that_goes_on_behind_its_lease_is_caught() {
    is_caught(Broken::NoMargin, 2, true, Faults { swaps: 1, cuts: 1, ..SWAPS }, "2");
}

#[test]
fn a_generation_that_begins_while_others_serve_is_caught() {
    is_caught(Broken::BeginsBesideOthers, 1, false, SWAPS, "2");
}

#[test]
fn a_commit_by_one_vote_is_caught() {
    is_caught(Broken::OneVoteIsEnough, 2, false, SWAPS, "2");
}

#[test]
fn a_refusal_that_counts_as_a_vote_is_caught() {
    is_caught(Broken::RefusalIsAVote, 2, false, SWAPS, "2");
}

#[test]
fn a_decision_that_does_not_name_what_is_lost_is_caught() {
    is_caught(Broken::NamesNone, 2, false, Faults { swaps: 1, cuts: 1, ..SWAPS }, "2");
}

#[test]
fn a_version_that_serves_before_the_decision_is_caught() {
    is_caught(Broken::FlipsBeforeTheDecision, 2, false, SWAPS, "3");
}

#[test]
fn a_decision_that_is_changed_is_caught() {
    is_caught(Broken::DecidesTwice, 2, false, SWAPS, "4");
}

#[test]
fn a_swap_that_goes_on_without_the_replica_that_was_asked_and_has_left_is_caught() {
    is_caught(Broken::LeavesAttempts, 2, false, Faults { leaves: 1, ..SWAPS }, "4");
}

#[test]
fn a_replica_that_catches_up_to_two_generations_at_once_is_caught() {
    let faults = Faults { cuts: 1, refusals: 0, ..SWAPS };
    is_caught(Broken::CatchesUpTwice, 2, false, faults, "1");
}

#[test]
fn an_attempt_that_ends_only_when_something_happens_is_caught() {
    is_caught(Broken::NoTimer, 2, false, Faults { swaps: 1, crashes: 1, ..SWAPS }, "5");
}

/// Each walk comes to its end: no state is reached twice. So what holds where nothing more can happen comes to be.
#[test]
fn no_walk_goes_on_for_ever() {
    let faults = [
        Faults { swaps: 1, cuts: 1, refusals: 0, ..SWAPS },
        Faults { swaps: 1, crashes: 1, unheard: 1, refusals: 0, ..SWAPS },
        Faults { swaps: 1, stops: 1, refusals: 0, ..SWAPS },
    ];
    for faults in faults {
        for fences in [false, true] {
            let scenario = Scenario { fences, faults, ..WHOLE };
            assert!(!has_cycle(&scenario), "{faults:?}, fences: {fences}");
        }
    }
}

fn has_cycle(scenario: &Scenario) -> bool {
    // Whether the walks from a state have all been seen.
    let mut is_done: HashMap<u64, bool> = HashMap::new();
    let mut way = Vec::new();
    let fingerprint = |state: &_| BuildHasherDefault::<DefaultHasher>::default().hash_one(state);
    for state in scenario.init_states() {
        is_done.insert(fingerprint(&state), false);
        way.push((fingerprint(&state), scenario.next_states(&state)));
    }
    while let Some((here, open)) = way.last_mut() {
        let Some(state) = open.pop() else {
            is_done.insert(*here, true);
            way.pop();
            continue;
        };
        let print = fingerprint(&state);
        match is_done.get(&print) {
            Some(true) => {}
            Some(false) => return true,
            None => {
                is_done.insert(print, false);
                way.push((print, scenario.next_states(&state)));
            }
        }
    }
    false
}
