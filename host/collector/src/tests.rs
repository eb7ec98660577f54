//! The promises of the collector, from what is handed over to what is answered.

mod list;
mod trace;
