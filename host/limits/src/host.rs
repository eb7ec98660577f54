//! The settings of the whole host.

use std::time::Duration;

use super::{DAY, GIB, MIB, MINUTE, secs};

settings! {

/// `[limits]`: what all components have together, and what is not theirs.
pub struct HostLimits {
    /// Requests from outside that all components together run at once; those of static services are within no bound of
    /// the host, but their own.
    // Four services at their default; a request that waits holds some kilobytes of the host.
    pub concurrent: usize = "concurrent", 1024, 1..=65_536;

    /// Requests of all components that wait for a place among those.
    // As long as the queue of four services, for the same reason.
    pub queue: usize = "queue", 2048, 0..=1_048_576;

    /// Memory of all guests together, with what the host holds for them. Beyond it no instance grows and none is made.
    // Room for thousands of instances of usual size on a machine of 8 GiB; set it to what the machine can spare.
    pub memory_bytes: u64 = "memory", 4 * GIB, 16 * MIB..=1024 * GIB;

    /// Instances alive in the whole host; a version that is about to be put into service takes one for a moment.
    // It is also the size of the engine's pool. Each has address space reserved for `GUEST_MEMORIES` of 4 GiB; of the
    // 47 bits that a process has, 7,000 take seven eighths.
    pub instances: usize = "instances", 1000, 1..=7000;

    /// Threads that serve requests; 0 is one for each processor.
    // Fewer leave processors to other programs.
    pub threads: usize = "threads", 0, 0..=1024;

    /// Threads of lower priority for guests that compute and for large values on their way to and from databases, and no
    /// more than processors; 0 leaves such work to the threads that serve, where it delays others.
    // All of them, so that what computes has what those that serve leave.
    pub compute_threads: usize = "compute-threads", 1024, 0..=1024;

    /// Processor time that a process which compiles a component may take; twice as much by the clock.
    // An interpreter of 20 MB takes half a minute of it; what takes minutes was made to.
    pub compile_cpu: Duration = "compile-cpu-timeout", secs(5 * MINUTE), secs(1)..=secs(DAY);

    /// Memory that a process which compiles a component may take.
    // An interpreter of 20 MB takes a third of it, and each thread that compiles some megabytes.
    pub compile_memory_bytes: u64 = "compile-memory", 2 * GIB, 256 * MIB..=1024 * GIB;
}

/// Of `[watch]`.
pub struct WatchLimits {
    /// Time per build.
    // The first one of a fresh checkout compiles a standard library.
    pub build_timeout: Duration = "build-timeout", secs(10 * MINUTE), secs(1)..=secs(DAY);
}

}
