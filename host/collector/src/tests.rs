//! The promises of the collector, from what is handed over to what is answered.

mod disk;
mod figures;
mod kill;
mod list;
mod load;
mod trace;
