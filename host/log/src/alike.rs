//! Of lines that say the same of the same service again and again, the log has some, and the number of the others.
//!
//! Guests, clients and backends cause lines, one with each request that fails or each connection that is lost. Each is
//! of use by itself, and thousands bury what else is to be known. This is the one place that bounds them all, those of
//! libraries included, so that no place that writes a line has to think of it. What guests print has bounds of its own,
//! which the application file sets.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::{SCRIPT, notices};
use wasm_host_limits as limits;
use wasm_host_limits::log::{KINDS, LIKE_CHARACTERS, LINES_ALIKE, LINES_ALIKE_PER_SECOND};
use wasm_host_system::printable::Printable;

/// What guests print, what a database says to their statements and to init scripts, and what is said here about lines
/// that were left out.
const UNBOUNDED: [&str; 5] = ["guest", "postgres", notices::TARGET, SCRIPT, LEFT_OUT];
const LEFT_OUT: &str = "wasm_host_log::left_out";

/// Leaves lines out of the log's stream of events.
pub(super) struct Alike;

/// The process has one log.
static COUNTS: LazyLock<Counts> = LazyLock::new(Counts::default);

/// What has been logged of each kind about each service.
#[derive(Default)]
struct Counts {
    kinds: Mutex<HashMap<Kind, Count>>,
    /// A thread will log it within a second.
    is_to_be_told: AtomicBool,
}

/// The place in the program that writes a line, of which events have their names, and the service that the line is
/// about, if it is about one.
type Kind = (&'static str, Option<String>);

/// How much more the log takes of one kind.
struct Count {
    /// Lines that it would take at once, and since when.
    room: f64,
    at: Instant,
    /// The number of those that have not been reported, and one of them.
    left_out: u64,
    like: String,
}

impl<S: Subscriber> Layer<S> for Alike {
    // What is logged meanwhile is an event of its own, which the one log of the process takes at any time.
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // A user who asks for more than usual asks for all of it.
        if *metadata.level() > Level::INFO || UNBOUNDED.contains(&metadata.target()) {
            return true;
        }
        let mut service = Text { of: "service", text: None, most: limits::NAME_CHARACTERS };
        event.record(&mut service);
        let like = || {
            let mut message = Text { of: "message", text: None, most: LIKE_CHARACTERS };
            event.record(&mut message);
            message.text.unwrap_or_default()
        };
        let admits = COUNTS.admits((metadata.name(), service.text), Instant::now(), like);
        if !admits && !COUNTS.is_to_be_told.swap(true, Ordering::AcqRel) {
            // Without a thread to spare it is logged at the end.
            let _ = thread::Builder::new().name("left out".to_string()).spawn(|| {
                thread::sleep(limits::DROPPED_LINES_TOLD);
                tell();
            });
        }
        admits
    }
}

/// Log what was left out since this was last done.
pub(super) fn tell() {
    COUNTS.is_to_be_told.store(false, Ordering::Release);
    for (service, left_out, like) in COUNTS.take() {
        let service = service.map(tracing::field::display);
        tracing::warn!(target: LEFT_OUT, service, "left out {left_out} more lines like: {like}");
    }
}

impl Counts {
    /// Whether one more line of a kind may be logged. If not, it is counted, and `like` is what it says.
    fn admits(&self, kind: Kind, now: Instant, like: impl FnOnce() -> String) -> bool {
        let mut kinds = self.kinds();
        let has_place = kinds.len() < KINDS || kinds.contains_key(&kind);
        let kind = if has_place { kind } else { (kind.0, None) };
        let count = kinds.entry(kind).or_insert_with(|| Count::new(now));
        let admits = count.admits(now);
        if !admits {
            if count.left_out == 0 {
                count.like = like();
            }
            count.left_out += 1;
        }
        admits
    }

    /// The service, number and words of what was left out.
    fn take(&self) -> Vec<(Option<String>, u64, String)> {
        let mut kinds = self.kinds();
        let counts = kinds.iter_mut().filter(|(_, count)| count.left_out > 0);
        let taken = counts.map(|((_, service), count)| {
            let left_out = std::mem::take(&mut count.left_out);
            (service.clone(), left_out, std::mem::take(&mut count.like))
        });
        taken.collect()
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<Kind, Count>> {
        self.kinds.lock()
    }
}

impl Count {
    fn new(now: Instant) -> Self {
        Self { room: LINES_ALIKE.into(), at: now, left_out: 0, like: String::new() }
    }

    fn admits(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        let room = self.room + since * f64::from(LINES_ALIKE_PER_SECOND);
        (self.room, self.at) = (room.min(LINES_ALIKE.into()), now);
        let admits = self.room >= 1.0;
        if admits {
            self.room -= 1.0;
        }
        admits
    }
}

/// The text of one field of an event, bounded.
struct Text {
    of: &'static str,
    text: Option<String>,
    most: usize,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == self.of {
            let mut text = String::new();
            // A string takes everything.
            let _ = write!(Printable::new(&mut text, self.most), "{value:?}");
            self.text = Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kind(service: &str) -> Kind {
        ("a place", Some(service.to_owned()))
    }

    fn admitted(counts: &Counts, kind: &Kind, now: Instant, lines: u32) -> u32 {
        let admits = |_: &u32| counts.admits(kind.clone(), now, || "it is busy".to_owned());
        u32::try_from((0..lines).filter(admits).count()).unwrap()
    }

    #[test]
    fn of_lines_alike_there_are_so_many_and_the_number_of_the_others() {
        let (counts, now) = (Counts::default(), Instant::now());
        let kind = kind("greedy");
        assert_eq!(admitted(&counts, &kind, now, 3000), LINES_ALIKE);
        let left_out = u64::from(3000 - LINES_ALIKE);
        let told = [(Some("greedy".to_owned()), left_out, "it is busy".to_owned())];
        assert_eq!(counts.take(), told);
        assert_eq!(counts.take(), []);
        // A second later there are some more, and after a rest as many as at first.
        let later = now + Duration::from_secs(1);
        assert_eq!(admitted(&counts, &kind, later, 3000), LINES_ALIKE_PER_SECOND);
        let rested = now + Duration::from_secs(3600);
        assert_eq!(admitted(&counts, &kind, rested, 3000), LINES_ALIKE);
    }

    #[test]
    fn what_one_service_causes_takes_nothing_from_another_and_one_kind_nothing_from_another() {
        let (counts, now) = (Counts::default(), Instant::now());
        admitted(&counts, &kind("greedy"), now, 3000);
        assert_eq!(admitted(&counts, &kind("neighbour"), now, 1), 1);
        assert_eq!(admitted(&counts, &("another place", kind("greedy").1), now, 1), 1);
        assert_eq!(counts.take().len(), 1);
    }

    #[test]
    fn what_is_counted_apart_is_bounded() {
        let (counts, now) = (Counts::default(), Instant::now());
        for number in 0..KINDS + 100 {
            admitted(&counts, &kind(&number.to_string()), now, 1);
        }
        assert_eq!(counts.kinds().len(), KINDS + 1);
    }
}
