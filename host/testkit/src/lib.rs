//! Test a component alone, as the file that will be served: no server, no container, no network.
//!
//! A component reaches the world only through its imports. Here a script answers them, so that a test decides
//! what the database says and when, which tokens a model produces and where it stalls, what the time is, and what
//! chance brings. Above those answers everything is the host's own: the engine, the streams, the
//! client of the model server.
//!
//! ```no_run
//! use wasm_host_testkit::{ComponentTest, Rows};
//!
//! # async fn test() -> Result<(), wasm_host_testkit::Failure> {
//! let app = ComponentTest::load("weather")?
//!     .postgres(Rows::of("select summary from weathersummaries", [["Mild"]]))
//!     .clock("2026-01-31T23:59:30Z")
//!     .seed(7);
//! let response = app.get("/forecast").await?;
//! assert_eq!(response.json()?[0]["date"], "2026-02-01");
//! assert_eq!(app.statements(), ["select summary from weathersummaries"]);
//! # Ok(())
//! # }
//! ```
//!
//! It works below any executor: `#[tokio::test]` or another.
//!
//! # Time
//! Time is virtual. It stands still while the component computes and passes at once while everything waits, so that
//! a stall of ten minutes takes a millisecond. `wasi:clocks` follows it, as do the host's own
//! timeouts. A component that loops is ended after [`ComponentTest::timeout`] of real time, one that waits for what does
//! not come after [`ComponentTest::patience`] of virtual time.
//!
//! # What fails
//! The script is strict: a call that is not the next one of it, one that is left over, and one that is given up though the
//! script does not say so, are failures that name the call. [`ComponentTest::lenient`] minds
//! none of this but the last. A trap is a failure with the component's message and backtrace; to expect
//! one, use [`ComponentTest::watch`].
//!
//! # Cases
//! The same as files, for components in any language, is `wasm-host test`; [`case::Case`] is what both are made of.
//!
//! # Inside
//! [`case`] says what a test is, [`script`] holds its calls against what the component asks, `fake` answers, `world` is
//! time, chance and output, [`run`] runs one, [`judge`] compares, [`bless`] writes down. Above them are `api`, which is
//! this library, and [`suite`] and [`report`], which `wasm-host test` is made of.

#[doc(hidden)]
pub mod bless;
pub mod case;
#[doc(hidden)]
pub mod component;
#[doc(hidden)]
pub mod judge;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod run;
#[doc(hidden)]
pub mod script;
#[doc(hidden)]
pub mod suite;

mod api;
mod fake;
mod world;

pub use api::{
    Cell, ComponentTest, DatabaseError, Exchange, Execute, Failure, Function, Rows, SqlError,
    TestResponse, Transaction, request,
};
pub use case::{Outcome, Request, ResponseEnd, StreamEnd};
#[doc(hidden)]
pub use fake::errors::name as error_name;
pub use run::{Observed, RunEnd};
pub use script::{ObservedCall, Question, SentRequest};
#[doc(hidden)]
pub use world::{chance, monotonic};
