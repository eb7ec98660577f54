//! The promises of the collector, from what is handed over to what is answered.

mod archive;
mod disk;
mod figures;
mod full;
mod kill;
mod list;
mod load;
mod room;
mod stopped;
mod trace;
