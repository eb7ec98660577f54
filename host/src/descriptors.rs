//! How many files and sockets the process may have open at once.
//!
//! It exists because many systems give a process few of them and let it have more for the asking, and because
//! each connection takes one. What is missing all the same is told at the start; without them, connections wait.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{DESCRIPTORS, OTHER_DESCRIPTORS};

/// Ask for as many as there are to be had, and tell if they are too few for so many connections.
pub fn raise(connections: usize) {
    let given = getrlimit(Resource::Nofile);
    let most = given.maximum.unwrap_or(DESCRIPTORS).min(DESCRIPTORS);
    let has = given.current.unwrap_or(u64::MAX);
    let asked = Rlimit { current: Some(most), maximum: given.maximum };
    let has = match has < most && setrlimit(Resource::Nofile, asked).is_ok() {
        true => most,
        false => has,
    };
    let needed = (connections as u64).saturating_add(OTHER_DESCRIPTORS);
    if has < needed {
        tracing::warn!(
            "the system allows {has} open files and sockets, and {connections} connections need {needed}: raise \
             its limit (ulimit -n), or lower 'connections' under [http]"
        );
    }
}
