//! How many files and sockets the process may have open at once.
//!
//! It exists because many systems give a process few of them and give it more when it asks, and because
//! each connection takes one. What is missing all the same is logged at the start, and there are as many connections as
//! there are descriptors for: without one for the control plane, a host that is well would be taken for one that is
//! not.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use wasm_host_limits::{DESCRIPTORS, OTHER_DESCRIPTORS};

/// Ask for as many as the system gives, and log if they are too few for this many connections. Returns as many
/// connections as they are enough for.
pub fn raise(connections: usize) -> usize {
    let given = getrlimit(Resource::Nofile);
    let most = given.maximum.unwrap_or(DESCRIPTORS).min(DESCRIPTORS);
    let has = given.current.unwrap_or(u64::MAX);
    let asked = Rlimit { current: Some(most), maximum: given.maximum };
    let has = match has < most && setrlimit(Resource::Nofile, asked).is_ok() {
        true => most,
        false => has,
    };
    let allowed = allowed(has, connections);
    if allowed < connections {
        let needed = (connections as u64).saturating_add(OTHER_DESCRIPTORS);
        tracing::warn!(
            "the system allows {has} open files and sockets, and {connections} connections need {needed}: there are \
             {allowed} at once. Raise its limit (ulimit -n), or lower 'connections' under [http]"
        );
    }
    allowed
}

/// How many of the wanted connections there are where the process has this many descriptors.
fn allowed(descriptors: u64, connections: usize) -> usize {
    let most = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(descriptors / 2).max(1);
    connections.min(usize::try_from(most).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(allowed(1_048_576, 1024), 1024);
        assert_eq!(allowed(1024, 1024), 1024 - 256);
        assert_eq!(allowed(1280, 1024), 1024);
        assert_eq!(allowed(300, 1024), 150);
        assert_eq!(allowed(300, 10), 10);
        assert_eq!(allowed(1, 10), 1);
    }
}
