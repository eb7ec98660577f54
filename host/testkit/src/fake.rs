//! Backends that answer from a script. They implement the traits of the real ones, so that everything
//! above those is the product's own: what a guest gets cannot drift from what it gets in `serve`.

pub(super) mod content;
pub(super) mod database;
pub(crate) mod errors;
pub(super) mod function;
pub(super) mod server;
