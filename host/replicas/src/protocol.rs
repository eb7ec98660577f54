//! The protocol by which all replicas put a version into service, or none does. Pure: no clock, no database.
//!
//! What they share is one value, [`Shared`]. Each change of it is one transaction of the database, so that changes come
//! one after the other. Its functions are given the time, which is the database's, in milliseconds.
//!
//! - A replica that serves is a *member* with a *lease*: a time until which the others count on it. It renews it.
//! - A swap is an *attempt*. It names the *generation* that it is to replace, and has a deadline.
//! - Each member prepares the version and *votes*. It votes only when it serves the generation that is to be replaced.
//! - The attempt is committed when all members whose lease runs are ready, and aborted by one refusal, by its deadline,
//!   or by a newer attempt. Each change of what is shared looks whether that is so, and each member looks from time to
//!   time: a lease may run out, or a deadline pass, while nothing else happens.
//! - Then each member puts the version into service, or drops it.
//!
//! A replica that comes when none serves, nor may serve because it was lost, with an application file whose component is
//! none that came or served before, begins a generation: it was built since, and is what its owner wants to run.
//!
//! One that came while others served, and finds that none does any more nor could give it what they did, comes anew, and
//! begins with what it has, if nothing was decided since it came.
//!
//! A replica that comes later is told the generation that is current when it is entered, serves nothing, and becomes a
//! member in the moment in which it can serve what is current then.
//!
//! What holds, whatever fails, is in the tests of the model:
//!
//! 1. A member serves the current generation, or the one before it and has voted for the current one. So no two members
//!    are more than one generation apart, and those that are behind have what is current ready.
//! 2. An attempt is committed only with the vote of everything that serves. With `lost = "serve"`, except for what had
//!    lost its lease, which is then named in the decision.
//! 3. An attempt that is aborted changes nothing: nothing ever serves its version.
//! 4. A decision stands.
//! 5. Every attempt ends, and all that is alive and reaches the database comes to serve what is current.

mod member;
#[cfg(test)]
mod model;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::member::{Door, Mine, Step, next};
pub use self::shared::{Full, Lost, Offer, Proposal, Refusal, ServiceView};

/// A point in time: milliseconds by the database's clock.
pub type Time = u64;

/// A registration of a replica. One that lost its lease and comes back has another.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct MemberId(pub u64);

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct AttemptId(pub u64);

/// All that the replicas of one application know together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shared {
    /// Members and attempts have been numbered up to here.
    numbered: u64,
    pub members: BTreeMap<MemberId, Member>,
    /// Replicas by name whose lease ended while they served, and when. They may serve still.
    pub lost: BTreeMap<Arc<str>, Time>,
    /// By service.
    pub lines: BTreeMap<Arc<str>, Line>,
}

/// A replica that has a lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    pub name: Arc<str>,
    /// Kept apart: it changes more often than all else together.
    #[serde(skip)]
    pub lease_until: Time,
    /// Whether it takes requests. Otherwise it is on its way to that.
    pub is_serving: bool,
    /// The services that it has, all of which it serves before it takes requests.
    pub services: BTreeSet<Arc<str>>,
    /// The generation of each service that it has said it serves.
    pub serves: BTreeMap<Arc<str>, u64>,
}

/// The generations of one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Line {
    pub current: Generation,
    /// The digest of the component of the application file by which `current` came, or was confirmed.
    pub own: Arc<str>,
    /// The digests of the components of application files with which replicas came, the last new one last.
    pub known: VecDeque<Arc<str>>,
    /// The last component of an application file that came while others served, if nothing was decided since.
    #[serde(default)]
    pub built: Option<Arc<str>>,
    /// What a rollback goes to: the versions that served before and were not taken back, the last one last.
    pub before: VecDeque<Version>,
    /// The attempt that is not decided.
    pub attempt: Option<Attempt>,
    /// The last ones that were decided, oldest first. Only the last one has its votes still.
    pub decided: VecDeque<Attempt>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// Counts up.
    pub number: u64,
    pub version: Version,
    /// What brought it. None: it was there when the first replica came.
    pub attempt: Option<AttemptId>,
}

/// A component, and where it can be had.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    /// SHA-256 in digits.
    pub digest: Arc<str>,
    /// Where it came from: a path, or a reference to a registry.
    pub source: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    pub id: AttemptId,
    /// The generation that it is to replace.
    pub base: u64,
    pub version: Version,
    /// What asked for it, and the replica that was asked.
    pub cause: Arc<str>,
    pub by: Arc<str>,
    /// What serves does worse than what it replaced: no rollback goes there.
    pub takes_back: bool,
    pub deadline: Time,
    pub votes: BTreeMap<MemberId, Vote>,
    pub decision: Option<Decision>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Vote {
    /// It can put the version into service at any moment.
    Ready,
    /// Why it cannot.
    Refused(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Decision {
    Committed {
        generation: u64,
        /// Replicas that had lost their lease, whose vote there is not.
        without: Vec<Arc<str>>,
    },
    Aborted(Arc<str>),
}
