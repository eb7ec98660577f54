//! What becomes of telemetry: it is taken off the threads that serve, kept on disk, and asked about.
//!
//! A [`Sender`] takes spans and lines without waiting. One thread writes them, and the figures that it reads itself, to
//! files of SQLite in the state folder ([`Pipeline`]). A [`Reader`] answers from these files with what the control
//! plane tells, and has the figures of the last minute. Whoever sends telemetry elsewhere is an [`Exporter`].
//!
//! It must not know HTTP, services or their files. Whatever is wrong with disk or files costs telemetry and nothing
//! else.

mod age;
mod clear;
mod exporter;
mod figures;
mod json;
mod pending;
mod pipeline;
mod prometheus;
mod read;
mod reader;
mod recent;
mod room;
mod segment;
mod shelf;
mod stopped;
mod store;
mod summary;
#[cfg(test)]
mod testing;
mod words;
mod write;
mod writer;

pub use self::exporter::Exporter;
pub use self::pending::Dropped;
pub use self::pipeline::{Pipeline, Sender, Source};
pub use self::prometheus::{Format, prometheus};
pub use self::read::{
    FigureItem, FigurePoints, FigureQuery, Follow, Followed, Instrument, List, LogItem, LogQuery,
    Page, PageStart, Quantiles, ReadError, Search, SearchService, Series, SeriesExemplar,
    SeriesItem, SeriesPoints, SeriesQuery, SpanItem, TraceDetail, TraceItem, TraceQuery,
    TraceService, WholeTrace,
};
pub use self::reader::Reader;
pub use self::recent::Recent;
pub use self::store::Bounds;

#[cfg(test)]
mod tests;
