//! One binary for all integration tests. A module holds the tests of one promise of the product, or of one
//! part of its surface, with the faults that belong to it: what breaks, and what becomes of everybody else.
//!
//! `tests/FAULTS.md` lists all faults with what is done about each. Chance comes from [`wasm_host_tests::seed`], which
//! tells its seed when a test fails.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod blocking;
mod cancellation;
mod cases;
mod command_line;
mod compiling;
mod compose;
mod control_plane;
mod database;
mod deploy;
mod encrypted_backends;
mod component_tests;
mod files;
mod forecast;
mod forwarded;
mod grants;
mod health;
mod hoarding;
mod image;
mod isolation;
mod keyvalue;
mod listener;
mod load;
mod log;
mod models;
mod new;
mod outbound;
mod plain_components;
mod record;
mod replicas;
mod registry;
mod resources;
mod router;
mod routing;
mod secrets;
mod shutdown;
mod spin;
mod state_folder;
mod swap;
mod telemetry;
mod toolchains;
mod watch;
mod web_pages;
