//! Bounds of what is generated for clusters and machines, and of bringing it there.

use std::time::Duration;

use super::{GIB, HOUR, KIB, MIB, MINUTE, secs};

settings! {

/// Of `[deploy]`.
pub struct DeployLimits {
    /// Hosts that run at once.
    // One, until several of them are asked for: each has versions of its own.
    pub replicas: usize = "replicas", 1, 1..=1000;

    /// Hosts that run at most: with it, requests that wait make more of them, and without it their number stays.
    // It needs a metrics adapter in the cluster, which few have by themselves.
    pub replicas_max: Option<usize> = "replicas-max", 10, 1..=1000;

    /// Requests that wait for a place, for each host, above which more hosts are made.
    // A few that wait are a burst; those that wait all the time are what another host takes away.
    pub queued_per_replica: usize = "queued-per-replica", 16, 1..=65_536;

    /// Processor time that the cluster keeps free for each host, in thousandths of a processor.
    // An idle host takes next to none; there is no upper bound, which would make it slow in bursts.
    pub cpu: usize = "cpu", 250, 1..=1_000_000;

    /// Memory that the cluster keeps free for each host. It may take what `[limits]` grants.
    // The host itself and some hundred instances of usual size.
    pub memory_bytes: u64 = "memory", 512 * MIB, 64 * MIB..=1024 * GIB;

    /// Disk for the state folder of each host.
    // Compiled code, versions, and the store of telemetry at its default size.
    pub state_bytes: u64 = "state", 4 * GIB, 64 * MIB..=1024 * GIB;

    /// Disk for the models of each model server.
    // Some models of usual size.
    pub models_bytes: u64 = "models", 20 * GIB, GIB..=16 * 1024 * GIB;

    /// Memory of each model server.
    // A model of seven billion parameters with four bits each, and its context.
    pub models_memory_bytes: u64 = "models-memory", 8 * GIB, 256 * MIB..=1024 * GIB;

    /// Time for which a host that is told to stop serves on, so that the cluster sends it nothing more when it stops.
    // As long as changes of endpoints take to reach every node.
    pub stop_delay: Duration = "stop-delay", secs(5), secs(0)..=secs(MINUTE);

    /// Time for `deploy apply` to wait until all of it runs.
    // Images and volumes that are new to a node take minutes.
    pub rollout_timeout: Duration = "rollout-timeout", secs(10 * MINUTE), secs(1)..=secs(6 * HOUR);
}

}

bounds! {

/// Bytes of the files in one ConfigMap. Kubernetes takes 1 MiB, with the names and all else that is in it.
pub const CONFIG_MAP_BYTES: usize = 1000 * KIB as usize;

/// Characters of what Deployments and StatefulSets are called: their pods have ten more, and a label has 63.
pub const WORKLOAD_NAME_CHARACTERS: usize = 52;

/// Memory of the host itself, beside its guests and the process that compiles.
pub const HOST_OWN_BYTES: u64 = 512 * MIB;

/// Disk of a database beside `size`: its journal, temporary files, and an empty server.
pub const DATABASE_SPARE_BYTES: u64 = 2 * GIB;

/// Memory of each database server.
pub const DATABASE_MEMORY_BYTES: u64 = GIB;

/// Shared memory of a database server's processes.
pub const DATABASE_SHARED_BYTES: u64 = 128 * MIB;

/// Room for temporary files of a server whose own folders cannot be written.
pub const TEMPORARY_BYTES: u64 = GIB;

/// Time that a host has for its end beyond `stop-delay` and `drain`: cutting, stopping, writing down what was seen.
pub const STOP_MARGIN: Duration = Duration::from_secs(10);

/// Time for a host to start before it is started anew: databases that are not there yet, and components that were never
/// compiled on that disk.
pub const START_TIMEOUT: Duration = Duration::from_secs(30 * MINUTE);

/// Time in which a host that starts waits for databases that are not there yet: as long as images and volumes that are new
/// to a slow node take, since a host that gives up is taken for one that fails.
pub const DATABASES_TIMEOUT: Duration = Duration::from_secs(20 * MINUTE);

/// Time in which a host that starts waits for databases without init scripts, which it can serve without.
pub const DATABASES_UNNEEDED: Duration = Duration::from_secs(MINUTE);

/// Wait between two looks for a database that is not there yet.
pub const DATABASES_AGAIN: Duration = Duration::from_millis(500);

/// Longest time that `serve --wait` and `pause` take.
pub const PAUSE_MAX: Duration = Duration::from_secs(HOUR);

/// Bytes from which a secret that is made is drawn.
pub const SECRET_BYTES: usize = 24;

/// Time for one command of kubectl that waits for nothing, and for one that applies everything.
pub const KUBECTL_TIMEOUT: Duration = Duration::from_secs(30);
pub const KUBECTL_APPLY_TIMEOUT: Duration = Duration::from_secs(2 * MINUTE);

/// Time between two looks whether all of it runs.
pub const ROLLOUT_POLL: Duration = Duration::from_secs(1);

/// Bytes that kubectl may answer with.
pub const KUBECTL_BYTES: u64 = 16 * MIB;

/// Lines that are shown of what kubectl says at once, and bytes of each.
pub const KUBECTL_LINES: usize = 60;
pub const KUBECTL_LINE_BYTES: usize = 1000;

/// Bytes of a generated file that is there before it is written anew.
pub const GENERATED_FILE_BYTES: u64 = 4 * MIB;

}
