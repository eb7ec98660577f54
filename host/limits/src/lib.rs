//! Every bound of the host in one place: name, unit, default, reason. Those of the backends and of
//! the listeners are in the files of the folder.
//!
//! It exists so that nothing in the host is unbounded by accident and so that a reader can audit
//! all of it at once. It must not know what uses a bound: no module of the host is named in
//! code here. The unit is the type (`Duration`) or the last word of the name (`_BYTES`, `_ROWS`);
//! a name without a unit is a count.
//!
//! Two kinds: settings can be changed in the application file; each is declared by the macro `settings!`, with its
//! range. A plain constant is fixed. Constants are listed by the macro `bounds!` around them, and the first sentence of
//! a comment is what `check --limits` says of one; those without a comment share that of the one before.

#[macro_use]
pub mod list;
#[macro_use]
pub mod setting;

pub mod backends;
pub mod compiler;
pub mod computing;
pub mod deploy;
pub mod embedded_postgres;
pub mod held;
pub mod host;
pub mod http;
pub mod image;
pub mod intake;
pub mod keyvalue;
pub mod log;
pub mod oci;
pub mod ollama;
pub mod outgoing;
pub mod postgres;
pub mod record;
pub mod replicas;
pub mod service;
pub mod show;
pub mod spin;
pub mod sqlite;
pub mod telemetry;
pub mod testkit;

use std::time::Duration;

use setting::{Row, Settings};

/// All settings, table by table, as the documentation calls it.
pub fn tables() -> [(&'static str, Vec<Row>); 18] {
    [
        ("http", http::HttpLimits::rows()),
        ("postgres", postgres::PoolConfig::rows()),
        ("databases of the host's own", embedded_postgres::DatabaseLimits::rows()),
        ("ollama", ollama::OllamaLimits::rows()),
        ("buckets", keyvalue::BucketLimits::rows()),
        ("buckets of the host's own", keyvalue::OwnBucketLimits::rows()),
        ("buckets on Redis", keyvalue::RedisLimits::rows()),
        ("sqlite", sqlite::SqliteLimits::rows()),
        ("registry", oci::RegistryLimits::rows()),
        ("limits", host::HostLimits::rows()),
        ("watch", host::WatchLimits::rows()),
        ("components", service::ServiceLimits::rows()),
        ("static files", service::StaticLimits::rows()),
        ("outbound", outgoing::OutboundLimits::rows()),
        ("cors", service::CorsLimits::rows()),
        ("telemetry", telemetry::TelemetryLimits::rows()),
        ("replicas", replicas::ReplicaLimits::rows()),
        ("deploy", deploy::DeployLimits::rows()),
    ]
}

/// All fixed bounds, file by file.
pub fn all() -> impl Iterator<Item = &'static list::Listed> {
    let files = [
        LISTED,
        backends::LISTED,
        compiler::LISTED,
        computing::LISTED,
        deploy::LISTED,
        embedded_postgres::LISTED,
        held::LISTED,
        http::LISTED,
        image::LISTED,
        intake::LISTED,
        keyvalue::LISTED,
        log::LISTED,
        oci::LISTED,
        ollama::LISTED,
        outgoing::LISTED,
        postgres::LISTED,
        record::LISTED,
        replicas::LISTED,
        spin::LISTED,
        sqlite::LISTED,
        telemetry::LISTED,
        testkit::LISTED,
    ];
    files.into_iter().flatten()
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

bounds! {

// === Host ===

/// Turns of its tasks after which a thread that serves looks for what came from others. Looking costs nothing when
/// there is nothing.
pub const TURNS_TO_ARRIVALS: u32 = 3;

/// Threads that each thread that serves has for calls that block, above all reading files.
pub const BLOCKING_THREADS: usize = 64;

/// Files and sockets that the process asks the system to let it have open. As many as it may have connections;
/// the system may allow fewer.
pub const DESCRIPTORS: u64 = 1_048_576;

/// Files and sockets of the process that are not connections of clients: files that are sent, backends, the engine, the
/// control plane. Where the system allows few, connections have half of them.
pub const OTHER_DESCRIPTORS: u64 = 256;

// === Service ===

/// Bytes of the words with which a component ended an answer, as the log repeats them.
pub const BREAK_WORDS_BYTES: usize = 500;

/// How long after the first line that was dropped or left out the log says how many were: the second that the bound of
/// output counts.
pub const DROPPED_LINES_TOLD: Duration = Duration::from_secs(1);

/// What a service has, beyond the longest wait for what it asks, to read its request and to make an answer of what came.
/// Without it, it would be ended in the moment in which it learns that it waited in vain.
pub const SERVICE_HAND_ON: Duration = Duration::from_secs(5);

// === Control plane and calls ===

/// Components that are uploaded to the control plane at once. Each may hold `COMPONENT_FILE_BYTES`.
pub const ADMIN_UPLOADS: usize = 4;

/// Components that the control plane gets from registries at once, or has got and puts into service. Each may hold
/// `COMPONENT_FILE_BYTES`.
pub const ADMIN_PULLS: usize = 4;

/// Time between two pieces of a request body to the control plane, and for all of it. The largest component
/// over a slow line takes minutes.
pub const ADMIN_BODY_PAUSE: Duration = Duration::from_secs(10);
pub const ADMIN_BODY_TIMEOUT: Duration = Duration::from_secs(5 * MINUTE);

/// Bytes of a request body to the control plane that is no component. It has room for a long path.
pub const ADMIN_JSON_BYTES: u64 = 64 * KIB;

/// Characters of the cause that a swap is given. It is a line of a table.
pub const CAUSE_CHARACTERS: usize = 200;

/// Time that a command waits for the host to answer, and for a swap to come to its verdict: the upload, the
/// swap before it, compiling the largest component, its trial and its health path.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Time that `logs` and `traces` wait for the host to say anything at all. Then they read what it keeps themselves: it is
/// when a host hangs that somebody wants to see it.
pub const SILENT_HOST: Duration = Duration::from_secs(5);

/// Time for which a host tries to lock its state folder: a command that looks whether it is locked has it for a moment.
pub const LOCK_TRIED: Duration = Duration::from_millis(200);
pub const SWAP_TIMEOUT: Duration = Duration::from_secs(15 * MINUTE);

/// Time for which a shell that completes the name of a service waits for the host. Longer, and a prompt that does not
/// react is taken for one that hangs.
pub const COMPLETION: Duration = Duration::from_millis(500);

/// Time for which a command that follows the host hears nothing from it before it gives up. Some signs of life, of which
/// the host sends one in a quarter of that.
pub const FOLLOW_SILENCE: Duration = Duration::from_secs(MINUTE);
pub const FOLLOW_SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Time for which a command follows the host at most.
pub const FOLLOW_MOST: Duration = Duration::from_secs(365 * DAY);

/// Time between two looks of `wait`.
pub const WAIT_POLL: Duration = Duration::from_millis(250);

/// Time between two pictures of all that is there, for followers.
pub const RESOURCES_AGAIN: Duration = Duration::from_secs(2);

/// Age of what is known of backends when the dashboard asks. Less, and each of its windows would ask them.
pub const COMPLAINTS_KEPT: Duration = Duration::from_secs(2);

/// Bytes of an answer of the control plane that a command reads. A whole history has some hundred kilobytes.
pub const ANSWER_BYTES: u64 = 16 * MIB;

/// Calls from service to service in one chain. Deep enough for a real application, shallow enough
/// to end a loop while it is cheap.
pub const HOP_LIMIT: usize = 8;

/// What `Retry-After` asks for when a queue is full. Whole seconds are all the header can say.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

// === Engine ===

/// How often a running guest is made to yield. Most answers take less, and what waits behind one that takes
/// more waits a millisecond or two.
pub const EPOCH_TICK: Duration = Duration::from_millis(1);

/// How often guests are made to yield while none runs: the processor rests, and the first tick of the next guest comes
/// late by this.
pub const EPOCH_TICK_AT_REST: Duration = Duration::from_millis(10);

/// Ticks without any guest after which the engine rests.
pub const EPOCH_REST_AFTER: u32 = 1000;

/// Time until an instance that could not be made is tried again, where nobody waits for it: one that is to be warm, or
/// to serve in the place of one in which a request hangs.
pub const INSTANCE_RETRY: Duration = Duration::from_secs(1);

/// Bytes of memory of an instance above which its end is left to the threads for guests that compute.
pub const LARGE_STORE_BYTES: usize = 4 * 1024 * 1024;

/// Time after the signal that stops the host in which another one is taken for the same. No user who changes their mind
/// is as fast.
pub const SIGNAL_ECHO: Duration = Duration::from_millis(100);

/// Time after a SIGHUP at the end of which the host looks once more whether its terminal has gone: some shells tell
/// their programs first, and then the terminal closes.
pub const TERMINAL_LAST_LOOK: Duration = Duration::from_secs(1);

/// When a command has ended, time for what goes on behind it and cannot be called back, a disk above all.
/// Files are replaced whole or not at all, so that nothing is lost with it.
pub const LAST_TASKS: Duration = Duration::from_millis(100);

/// Time for idle instances to end when the host stops.
pub const INSTANCE_DRAIN: Duration = Duration::from_secs(2);

/// Handles that one instance holds at the same time of what the host gives it (headers, requests, transactions),
/// and as many of what the engine makes for it (streams, futures, resources of its own).
pub const GUEST_RESOURCES: usize = 10_000;

/// Bytes that a guest hands over in one call, as they are in the host's memory, copied before the call begins, and no
/// more than its instance may have in all. It is what wasmtime allows by default: a statement's parameters, and the
/// images of a chat, are several times as large there as they are on the wire.
pub const GUEST_CALL_BYTES: usize = 128 * 1024 * 1024;

/// Bytes that are taken at once of a body that a guest writes. They wait for a client that reads slowly, one such
/// piece for each.
pub const GUEST_BODY_BYTES: usize = 64 * 1024;

/// Bytes of one set of headers that a guest makes, as it is in memory.
pub const GUEST_FIELDS_BYTES: usize = 128 * 1024;

/// Bytes of stack that guest code may use. It is what wasmtime gives by default: recursion some ten
/// thousand calls deep.
pub const GUEST_STACK_BYTES: usize = 512 * 1024;

/// Bytes of the stack that a guest runs on: its own, and that of the host's code that it calls. Four
/// times the guest's, as by default; what is not touched is not there.
pub const GUEST_FIBER_BYTES: usize = 2 * 1024 * 1024;

/// Modules, memories and tables of one instance. The largest known components, interpreters behind an
/// adapter, are about ten modules that share a memory, with two tables each; one that is composed of others has a
/// memory for each. The pool has as many for each of its instances: a service that may have one more instance finds
/// what it needs, whatever others have. More would cost each start of the host: these take 2 ms of it, and addresses.
pub const GUEST_MODULES: usize = 100;
pub const GUEST_MEMORIES: usize = 4;
pub const GUEST_TABLES: usize = 20;

/// Elements of all tables of an instance together. Large programs have some thousand functions in theirs.
pub const TABLE_ELEMENTS: usize = 100_000;

/// Time an instance goes on after everybody who waited for it has left. Together with the tick it
/// keeps the promise that what was done for a client stops within a second.
pub const ABANDONED_GRACE: Duration = Duration::from_millis(500);

/// How often within the bound of a body that stands still, or of work that was forgotten, one looks for such. The
/// last look may come this part too late.
pub const LOOKS_IN_BOUND: u32 = 4;

/// Time after a drain's deadline in which what was cut comes to its end. Several times the grace above: a busy
/// machine must not make a drain look shorter than it was.
pub const CUT_GRACE: Duration = Duration::from_secs(3);

/// Time an instance goes on after its last response, for work that a guest does behind it. Beside other requests
/// the instance lives on; then it is the time after which the calls of such work are ended.
pub const POST_RETURN: Duration = Duration::from_secs(30);

/// Bytes of compiled code on disk. A component of 300 KiB compiles to about 1 MiB.
pub const CODE_CACHE_BYTES: u64 = 1024 * MIB;

/// Attempts to put a version into service that each service remembers. Versions in it can be rolled
/// back to; about 300 KiB each on disk.
pub const HISTORY_RECORDS: usize = 32;

/// Time that a canary runs when its swap does not say. Long enough to see some requests, and not so long that it is
/// forgotten.
pub const CANARY: Duration = Duration::from_secs(30);

/// What a swap may say: shorter is no trial, longer is a typing mistake.
pub const CANARY_MIN: Duration = Duration::from_millis(100);
pub const CANARY_MAX: Duration = Duration::from_secs(DAY);

/// Time in which the first answers of a version decide whether it is taken back.
pub const PROBATION: Duration = Duration::from_secs(10);

/// How often the answers of a version in a trial are looked at.
pub const TRIAL_INTERVAL: Duration = Duration::from_millis(20);

/// Errors of a new version below which they count as accidents.
pub const TRIAL_ERRORS: u64 = 3;

/// How many times as often as the old version a new one may answer with errors, and the share of its
/// answers that may be errors on top of that. Generous: taking back a good version is a fault, too.
pub const TRIAL_FACTOR: f64 = 2.0;
pub const TRIAL_MARGIN: f64 = 0.05;

/// Bytes of a component file. The largest real ones, interpreters with their libraries, have
/// 40 MiB.
pub const COMPONENT_FILE_BYTES: u64 = 256 * MIB;

/// Components that are put together to one: a service, its middleware, and what serves imports of them. Each has a
/// memory of its own, of which an instance has so many.
pub const COMPOSITION_PARTS: usize = GUEST_MEMORIES;

/// Bytes of the components that are put together to one: what comes of them is a component, and has its bound.
pub const COMPOSITION_BYTES: u64 = COMPONENT_FILE_BYTES;

/// Bytes of a kept component that are compared at once with what is to be kept.
pub const FILE_PIECE_BYTES: usize = 64 * 1024;

/// Processor time for putting components together. The largest take a second or two; what takes
/// longer was made for that.
pub const COMPOSITION_TIMEOUT: Duration = Duration::from_secs(30);

/// Interfaces that are named where it is told what a component has instead of what was looked for.
pub const COMPOSITION_NAMES: usize = 12;

/// Faults of one composition that are told.
pub const COMPOSITION_FAULTS: usize = 50;

/// Time that compiling, downloading or a script of the database takes before a line says that it goes on. Most is
/// done sooner, and a silence of two seconds does not look like a standstill.
pub const SILENCE: Duration = Duration::from_secs(2);

/// Time for the trial instantiation of a new version before it is published.
pub const SMOKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that a new version waits for the host to have a place for its trial instantiation, and again for the instance
/// that is asked for its health.
pub const PLACE_WAIT: Duration = Duration::from_secs(5);

/// Time for an instance to start. Longer than the trial: where all processors are busy, what computes in its start gets
/// a tenth of one.
pub const INSTANCE_START: Duration = Duration::from_secs(30);

/// Time for a new version to answer its health route before it is published.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

/// First and longest wait of a request for an instance when it is told of none, as of memory that is given back piece by
/// piece. It doubles in between: the first is about what a small request takes, the last costs a waiting one little.
pub const INSTANCE_WAIT_FIRST: Duration = Duration::from_millis(1);
pub const INSTANCE_WAIT_LAST: Duration = Duration::from_millis(32);

/// How often is looked whether the last instance has ended when the host stops. No person notices
/// it, and looking costs nothing.
pub const DRAIN_POLL: Duration = Duration::from_millis(5);

// === Streams to guests ===

/// Items that one read of a guest takes at most, so that one read never copies without end.
pub const ITEMS_PER_READ: usize = 64;

// === Watch ===

/// How often watched files are looked at. Well below what people notice; a look at a hundred files
/// takes a millisecond.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Looking at files takes at most one part in this many of a processor: a tree that takes long to
/// look through is looked at less often.
pub const WATCH_PAUSE: u32 = 20;

/// Files that are watched. More than that is a cache, not sources.
pub const WATCH_FILES: usize = 20_000;

/// Bytes of a source file up to which a save that changes nothing is told from one that does. It is read piece by piece,
/// and only when it was written.
pub const WATCH_CONTENT_BYTES: u64 = 256 * MIB;

/// Builds in a row for files that change while a build runs, until those are taken for what the build writes itself. A
/// person who saves a file while it is built does that less often.
pub const WATCH_ECHOES: u32 = 3;

/// Time until the next build for what builds seem to write themselves, unless something else is saved before.
pub const WATCH_ECHO_PAUSE: Duration = Duration::from_secs(300);

/// Time without a change after which files are taken to be whole. Editors and copies write in
/// bursts with gaps of a few milliseconds.
pub const WATCH_QUIET: Duration = Duration::from_millis(150);

/// Time after which a build begins although sources still change: something that never rests must
/// not keep everything else from being built.
pub const WATCH_QUIET_MAX: Duration = Duration::from_secs(2);

/// Bytes of a build's output that are kept to be shown; of more, the end, where the errors are.
pub const WATCH_BUILD_OUTPUT_BYTES: usize = 256 * 1024;

/// Time between asking a build to end and ending it.
pub const WATCH_BUILD_GRACE: Duration = Duration::from_secs(1);

/// Time to read the last words of a build command that has ended. A program that it left running may hold its output
/// open for ever.
pub const WATCH_LAST_WORDS: Duration = Duration::from_millis(200);

/// Time to ask a compiler for the folder of its libraries, after a build that failed.
pub const BUILD_QUESTION: Duration = Duration::from_secs(10);

// === Output of guests ===

/// Bytes of one log line; the rest of a longer one is dropped.
pub const LOG_LINE_BYTES: usize = 8 * 1024;

/// Lines of one instance that have no end yet: each of its requests may be in the middle of one. Of more than that
/// the one that was begun first is logged as it is. With the bound of a line half a MiB.
pub const LOG_UNFINISHED_LINES: usize = 64;

/// Bytes that a guest may write at once into its output. They are made into lines before it goes on, where no tick
/// interrupts it: a millisecond at most.
pub const LOG_WRITE_BYTES: usize = 16 * 1024;

/// Bytes of log lines that wait for whoever reads standard error. What comes on top of them is dropped
/// and counted: a slow reader of the log does not make requests slow.
pub const LOG_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Time to write what is left of the log when the host ends.
pub const LOG_FLUSH: Duration = Duration::from_secs(1);

// === Host ===

/// Bytes of the application file. It is written by hand.
pub const APPLICATION_FILE_BYTES: u64 = MIB;

/// Bytes of a file named by `${file:...}`. Certificates with their chain have a few kilobytes.
pub const SECRET_FILE_BYTES: u64 = 64 * KIB;

/// Characters of a service name: the longest label of a host name.
pub const NAME_CHARACTERS: usize = 63;

/// Rounds in which the application file is read again without the lines that are no TOML. Enough
/// for a file written by hand; each round parses all of it.
pub const SYNTAX_ROUNDS: usize = 50;

/// Characters of the application file that one message repeats.
pub const QUOTED_CHARACTERS: usize = 60;

}
