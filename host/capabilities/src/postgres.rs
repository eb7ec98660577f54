//! The Postgres capability: a granted database behind the `wasm-host:postgres` interface.
//!
//! [`Database`](backend::Database) is what the host side and every test see; [`PgDatabase`] is the
//! real one. It knows servers, connections and statements, and services only as the names of those that share
//! them, but nothing of HTTP or the application file.

#![expect(
    clippy::result_large_err,
    reason = "the interface's error is what it is; boxing it would only be undone at the seam"
)]

mod awaited;
pub mod backend;
mod bindings;
mod blocking;
mod connection;
mod convert;
mod error;
pub mod host;
mod idle;
mod kept;
mod known;
mod login;
pub mod notices;
mod parameters;
mod perform;
mod pool;
mod pooled;
mod room;
mod rows;
mod run;
mod seen;
mod session;
mod settings;
mod statement;
mod transaction;
pub mod url;

pub use awaited::Awaited;
pub use backend::Database;
pub use connection::Administrator;
pub(crate) use convert::timestamp_from_seconds;
pub use host::Postgres;
pub(crate) use parameters::held_bytes;
pub use pool::{PgDatabase, PoolConfig};
pub use pooled::restored_session;
pub use room::Room;
pub use settings::{PostgresConfig, database_authorities, database_url, has_literal_password};

#[cfg(test)]
mod tests;
