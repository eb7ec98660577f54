//! Testing one component alone: the compiled file, its HTTP export, and scripted capabilities.
//!
//! A component's only ways out are its imports, so that a test which answers those decides everything that
//! the component sees: rows, tokens, failures, stalls, time and chance. The component runs on the same
//! engine as in `serve`; only what is behind the capabilities is replaced. It knows the engine and
//! the capabilities, and nothing of services, routes or listeners.
//!
//! Reading order: [`case`] says what a test is, [`script`] holds its calls against what the component asks, `fake`
//! answers, `world` is time, chance and output, [`run`] runs one, [`judge`] compares, `bless` writes down.
//! Above them are [`command`], which is `wasm-host test`, and [`api`], which is the library.

pub mod api;
pub mod bless;
pub mod case;
pub mod command;
pub mod component;
mod fake;
pub mod judge;
pub mod report;
pub mod run;
pub mod script;
pub mod suite;
mod world;

pub(crate) use fake::errors::name as error_name;
pub(crate) use world::chance;
