//! The key-value capability: granted buckets behind the drafts of `wasi:keyvalue` that components import.
//!
//! [`Bucket`](backend::Bucket) is what the host side and every test see. There are three kinds: in the memory of the
//! host, in a file of its state folder, and on a Redis server. None of them knows services, HTTP or the application file
//! beyond its own table.

pub mod backend;
mod bindings;
pub(crate) mod bounds;
mod buckets;
mod connected;
mod file;
pub mod host;
mod increment;
mod memory;
mod redis;
mod run;
mod seam;
mod seen;
mod settings;

pub use buckets::Buckets;
pub use host::Keyvalue;
pub use settings::{KeyvalueConfig, Store};

#[cfg(test)]
mod tests;
