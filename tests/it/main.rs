//! One binary for all integration tests. A module holds the tests of one promise of the product, or of one
//! part of its surface.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod blocking;
mod cancellation;
mod cases;
mod command_line;
mod compiling;
mod compose;
mod database_faults;
mod database_notices;
mod deploy;
mod encrypted_backends;
mod component_tests;
mod embedded_database;
mod faults;
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
mod log;
mod model_server;
mod new;
mod outbound;
mod plain_components;
mod pooler;
mod record;
mod replicas;
mod registry;
mod router;
mod routing;
mod secrets;
mod shared_database;
mod shutdown;
mod spin;
mod state_folder;
mod swap;
mod telemetry;
mod toolchains;
mod watch;
mod web_pages;
