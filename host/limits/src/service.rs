//! The settings of one service.

use std::time::Duration;

use super::{DAY, GIB, MIB, MINUTE, millis, secs};

settings! {

/// Of a service with a component.
pub struct ServiceLimits {
    // === Admission ===

    /// Requests at once.
    // A request waiting for a backend costs a few kilobytes of host memory, so this protects the backends rather than
    // the host.
    pub concurrent: usize = "concurrent", 256, 1..=65_536;

    /// Requests that wait for a place among those. While the host has no place left for a component, as many wait for
    /// that besides.
    // Twice what runs: a burst is absorbed, and at steady overload no request waits for more than about two rounds
    // before its 503.
    pub queue: usize = "queue", 512, 0..=1_048_576;

    /// Time that a request waits for a place, then 503.
    // Below the patience of browsers, proxies and people, so that the answer is our 503 with `Retry-After` and not
    // their timeout.
    pub queue_timeout: Duration = "queue-timeout", secs(10), millis(1)..=secs(10 * MINUTE);

    // === Time ===

    /// Time to begin an answer. A service has by default as long as a call to one of its backends may take by that
    /// one's own bounds, and so has a service that calls it: with a model server 11 m 7 s. A model's answer that is not
    /// streamed begins when all of it is there. `check` warns where the file sets less.
    // A minute is what proxies in front of us grant by default; a service whose backends may take longer has as long
    // as they, and `SERVICE_HAND_ON`. A streamed body may then take as long as it likes.
    pub first_byte_timeout: Duration = "first-byte-timeout", secs(MINUTE), millis(1)..=secs(DAY);

    /// Time for the whole answer, until all of it is sent, however slowly it is read, over HTTP/2 but for the last
    /// 16 KiB; zero is for ever.
    // A service that streams may take as long as its client listens, so the host cannot know.
    pub timeout: Duration = "timeout", millis(0), millis(0)..=secs(DAY);

    /// Time in which an answer's body may stand still while its client waits for more, with a model server as long as
    /// for its beginning; zero is for ever.
    // Longer than any model ponders over its next word; a guest that never ends a body does not keep its place.
    pub stream_idle_timeout: Duration =
        "stream-idle-timeout", secs(5 * MINUTE), millis(0)..=secs(DAY);

    /// Processor time that a guest takes without waiting for anything, counted in steps of 1 ms; where other programs
    /// take the processors it lasts longer by the clock.
    // A service answers in milliseconds; one that computes for longer raises this.
    pub cpu_timeout: Duration = "cpu-timeout", secs(5), millis(100)..=secs(DAY);

    /// Time that a replaced version keeps to finish its requests.
    // Long enough for a long chat answer; finite, because two versions hold twice the memory.
    pub drain: Duration = "drain", secs(5 * MINUTE), millis(0)..=secs(DAY);

    // === Memory and output ===

    /// Largest request body.
    // Enough for a picture in a chat message; a component that takes model files raises it.
    pub max_body_bytes: u64 = "max-body", 32 * MIB, 0..=1024 * GIB;

    /// Memory of one instance, all its memories together.
    // Ten times what a service in Rust or JavaScript uses, and a leak still ends long before the machine is full.
    pub memory_bytes: u64 = "memory", 256 * MIB, MIB..=4 * GIB;

    /// Memory of all its instances, with what the host holds for them ([docs/memory.md](memory.md)).
    // A quarter of what all services have: four that leak are needed before a fifth one notices.
    pub memory_total_bytes: u64 = "memory-total", GIB, MIB..=1024 * GIB;

    /// Lines of log in a second, of what it prints and what a database warns of meanwhile; the rest is counted.
    // More than a person reads, and a flood does not bury what the other services say.
    pub log_lines: usize = "log-lines", 200, 0..=1_000_000;

    /// Lines of log of one request in all; the rest is counted.
    // Hundreds of times what a request has to say; one that floods, or streams for hours and prints at each step, ends
    // before it fills a disk.
    pub log_lines_per_request: usize = "log-lines-per-request", 1000, 0..=1_000_000_000;

    // === Instances ===

    /// Instances alive.
    // 64 of them, twice while a swap drains, stay below the 1000 that the instance pool holds.
    pub instances: usize = "instances", 64, 1..=1000;

    /// Requests in one instance at once: so many by default if the component is in Rust, else 1.
    // More saves memory, fewer loses less when it traps. In most languages every error that a program does not catch is
    // a trap. Guests of WASI 0.2 always have one, because they cannot run two calls at once.
    pub per_instance: Option<usize> = "per-instance", 16, 1..=1024;

    /// Requests in one instance in all: so many by default, but 1 in a component of `wasi:http@0.2`.
    // Reuse is worth about half again as many requests a second; an end to it bounds what a guest can leak. Guests of
    // WASI 0.2 are written for an instance of their own per request.
    pub reuse: Option<usize> = "reuse", 128, 1..=1_000_000;

    /// Time that an instance without requests is kept.
    // Longer for a component that keeps something in memory which is worth keeping.
    pub idle: Duration = "idle", secs(1), millis(0)..=secs(DAY);

    /// Instances that are there before anybody asks, and outlast `idle`; spread over the threads that serve.
    // None: most components start in a fraction of a millisecond, and a service that is not used costs nothing.
    pub warm: usize = "warm", 0, 0..=1000;
}

/// Of a service of static files.
pub struct StaticLimits {
    /// Files that are sent at once.
    // Each takes a descriptor, and many systems give a process 1024 of them. Within no bound of the host: files take no
    // instance.
    pub concurrent: usize = "concurrent", 512, 1..=65_536;

    /// Requests that wait for a place among those.
    // As a component has.
    pub queue: usize = "queue", ServiceLimits::queue().default, 0..=ServiceLimits::queue().max;

    /// Time that a request waits for a place, then 503.
    // As with a component.
    pub queue_timeout: Duration =
        "queue-timeout", ServiceLimits::queue_timeout().default, millis(1)..=secs(10 * MINUTE);
}

/// Of `cors` of a service.
pub struct CorsLimits {
    /// Time for which a browser need not ask again what a page may do.
    // A request less for most of a visit, and what is taken out of the application file is soon forgotten. No browser
    // remembers for longer than a day.
    pub max_age: Duration = "max-age", secs(10 * MINUTE), millis(0)..=secs(DAY);
}

}

impl ServiceLimits {
    /// Requests that can run at once when an instance takes `per_instance` of them: as configured for guests of WASI
    /// 0.3, one for guests of WASI 0.2.
    pub fn admitted(&self, per_instance: usize) -> usize {
        self.concurrent.min(self.instances.saturating_mul(per_instance))
    }
}
