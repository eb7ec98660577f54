//! The bounds of components that come from registries and go there.

use std::time::Duration;

use super::{DAY, GIB, KIB, MIB, MINUTE, millis, secs};

settings! {

/// Of `[registry."HOST"]`.
pub struct RegistryLimits {
    /// Time for the registry to answer a question, up to the head of its answer.
    // Registries in front of slow storage take some seconds for a manifest.
    pub answer_timeout: Duration = "answer-timeout", secs(30), millis(1)..=secs(5 * MINUTE);

    /// Time between two pieces of what it sends.
    // As long: a registry that sends nothing for that long has gone.
    pub idle_timeout: Duration = "idle-timeout", secs(30), millis(1)..=secs(5 * MINUTE);

    /// Time for a whole component, from the first question to the last byte.
    // 256 MiB over a line of 10 Mbit/s take less than four minutes.
    pub pull_timeout: Duration = "pull-timeout", secs(5 * MINUTE), millis(1)..=secs(DAY);
}

}

bounds! {

/// Bytes of components from registries that are kept in the state folder, unless more are pinned. Beyond them, what was
/// used longest ago goes.
pub const CACHE_BYTES: u64 = 2 * GIB;

/// Bytes of a manifest. Registries take no larger ones.
pub const MANIFEST_BYTES: u64 = 4 * MIB;

/// Bytes of what a registry answers beside manifests and blobs: tokens and reasons.
pub const ANSWER_BYTES: u64 = 256 * KIB;

/// Bytes of the words of a registry, or of a credential helper, that a message repeats.
pub const REASON_BYTES: usize = 300;

/// Registries whose connections are kept, and purposes of one registry for which its tokens are. Beyond them, all are
/// made anew: a control plane can be told any number of names.
pub const REGISTRIES: usize = 64;
pub const REPOSITORIES: usize = 1024;

/// Components that are pulled at the same time. Each may hold `COMPONENT_FILE_BYTES`.
pub const CONCURRENT_PULLS: usize = 4;

/// Tags that registries are asked for at the same time, as `check` does. Each may hold `MANIFEST_BYTES`.
pub const CONCURRENT_QUESTIONS: usize = 16;

/// Time to find, reach and agree with a registry.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a registry to take a blob and to answer it. The largest component over a slow line takes minutes.
pub const UPLOAD_TIMEOUT: Duration = Duration::from_secs(10 * MINUTE);

/// Time for all that `push` sends: a component, its manifest, and a signature.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(20 * MINUTE);

/// Places that a registry may send one question on to. Blobs are commonly somewhere else, one step away.
pub const REDIRECTS: usize = 5;

/// Time in which `check` asks a registry whether a pinned tag has moved. The answer changes nothing but a warning.
pub const MOVED_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for a credential helper, which may have to ask a person.
pub const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that a credential helper may answer.
pub const HELPER_BYTES: u64 = 64 * KIB;

/// Bytes of a file of credentials, such as Docker's `config.json`.
pub const CREDENTIALS_FILE_BYTES: u64 = MIB;

/// Bytes of `wasm-host.lock`. An entry has less than a KiB.
pub const LOCK_FILE_BYTES: u64 = MIB;

/// Time to wait for other processes that write `wasm-host.lock`, and between two looks whether they have. Each of them
/// reads and writes a small file.
pub const LOCK_FILE_TIMEOUT: Duration = Duration::from_secs(10);
pub const LOCK_FILE_PAUSE: Duration = millis(10);

/// Characters of a repository's name, as registries have it.
pub const REPOSITORY_CHARACTERS: usize = 255;

/// Signatures of one component that are looked at, and bytes of what one of them signs.
pub const SIGNATURES: usize = 16;
pub const SIGNED_BYTES: u64 = 64 * KIB;

/// Time after which a download that no process has open any more is removed, of a process that was killed; and one of which
/// the file system cannot tell whether somebody has. The second is longer than a download may take.
pub const PARTIAL_GRACE: Duration = Duration::from_secs(10);
pub const PARTIAL_AGE: Duration = Duration::from_secs(2 * DAY);

}
