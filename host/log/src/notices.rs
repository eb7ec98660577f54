//! What a database server says beside its answers, on its way into the log.
//!
//! The driver makes an event of each notice, in the middle of reading a connection, without the caller of the statement
//! and without any bound. None of them is logged as it is: the code that runs a statement says where they go.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use wasm_host_capabilities::postgres::notices;
use wasm_host_limits as limits;
use wasm_host_system::printable::Printable;

/// What the driver calls them.
pub(super) const TARGET: &str = "sqlx::postgres::notice";

/// Takes notices out of the log's stream of events.
pub(super) struct Notices;

impl<S: Subscriber> Layer<S> for Notices {
    // What is logged meanwhile is an event of its own, which the one log of the process takes at any time.
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if event.metadata().target() != TARGET {
            return true;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        notices::hear(*event.metadata().level(), &text.0);
        false
    }
}

/// The text of a notice, bounded.
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // A string takes everything.
            let _ = write!(Printable::new(&mut self.0, limits::LOG_LINE_BYTES), "{value:?}");
        }
    }
}
