//! The bounds of what is seen of requests.

use std::time::Duration;

use super::{DAY, GIB, HOUR, MIB, MINUTE, millis, secs};

settings! {

/// Of `[telemetry]`.
pub struct TelemetryLimits {
    /// Of a hundred requests that neither failed nor were slow, how many are kept. Those that failed or were slow always
    /// are.
    // A person who tries something wants to see it.
    pub sample_percent: usize = "sample-percent", 100, 0..=100;

    /// Of those, how many are kept in a second, of all services together.
    // As many as a page can show; more would take a disk for what is never looked at.
    pub sample_per_second: usize = "sample-per-second", 100, 0..=1_000_000;

    /// From when on a request is slow: the time until its answer begins.
    // What a person notices.
    pub slow: Duration = "slow", millis(500), millis(1)..=secs(HOUR);

    /// Size on disk of what is kept. The oldest goes.
    // Some days of a small application.
    pub store_bytes: u64 = "store-size", 512 * MIB, 16 * MIB..=1024 * GIB;

    /// How long it is kept.
    // Over a weekend and the days that it takes to look.
    pub store_age: Duration = "store-age", secs(7 * DAY), secs(MINUTE)..=secs(3650 * DAY);

    /// Spans of pages that are taken in a second, of all clients together, where `page-route` takes any.
    // A page has a span for each request that it sends, and so many requests are kept in a second.
    pub page_spans_per_second: usize = "page-spans-per-second", 100, 1..=1_000_000;
}

}

bounds! {

/// Spans of one request, with all that is done for it in this process. More than a person looks through; the page says how
/// many there were beyond it.
pub const TRACE_SPANS: usize = 256;

/// Bytes of these spans, about. The host holds them until the request ends.
pub const TRACE_BYTES: usize = 64 * 1024;

/// Spans of a request itself: it, its wait for a place and for an instance, and what its guest does.
pub const REQUEST_SPANS: usize = 4;

/// Bytes that these say beside the request's path, about: its method and route, its status, its id, the version that answered.
pub const REQUEST_TEXT_BYTES: usize = 1024;

/// Bytes of one text in a span: a path, a statement, a reason.
pub const TEXT_BYTES: usize = 2048;

/// Bytes of `tracestate`, which goes on as it came. The W3C asks for 512 at least.
pub const TRACESTATE_BYTES: usize = 1024;

/// Series of one instrument, counted by each serving thread. The default of OpenTelemetry's libraries; what is beyond
/// is counted together.
pub const SERIES: usize = 2000;

/// Bytes of one label of a series; the rest of it is left out. A series stays as long as the process, and a component can
/// make up some of what labels say, such as the name of a model.
pub const LABEL_BYTES: usize = 200;

/// Those that each service has in any case, whatever others take: routes, methods and statuses of a few versions.
pub const SERVICE_SERIES: usize = 250;

/// How far the clock must have moved, against one that is never set, to count as set and not as merely wrong by what
/// it is kept right by.
pub const CLOCK_SET: Duration = Duration::from_secs(MINUTE);

/// How long series of a version that has ended are still told, so that whoever reads figures has read their last.
pub const ENDED_SERIES: Duration = Duration::from_secs(5 * MINUTE);

/// Bytes of spans and lines that wait for the thread that stores and sends them. Some seconds of the most that a host
/// makes; what is beyond is dropped and counted.
pub const PENDING_BYTES: usize = 32 * 1024 * 1024;

/// Files of the store, each a share of its size and of its age. The oldest is deleted whole, which takes no time; more
/// of them would each be asked by every search.
pub const STORE_FILES: usize = 8;

/// The most files of the store, with those of which a part was taken out. Where there are more, the smallest goes.
pub const STORE_FILES_MOST: usize = 6 * STORE_FILES;

/// A service that has more than one in so many of the bytes of the store makes room for all: its oldest goes, and what
/// others have stays. So four services each have room, whatever one of them does.
pub const STORE_SHARES: u64 = 4;

/// Files that could not be read and are kept beside, for people who look for the reason.
pub const STORE_BROKEN_FILES: usize = 2;

/// Rows of one kind in one file of the store. Its number and that of the file are the row's id, which a page of a
/// browser must be able to count to.
pub const STORE_FILE_ROWS: u64 = 1 << 28;

/// How long what is pending waits to be written, for more that is written with it. A person who looks sees it at once.
pub const WRITE_INTERVAL: Duration = Duration::from_millis(200);

/// Bytes that are pending when they are written without waiting longer.
pub const WRITE_BYTES: usize = 2 * 1024 * 1024;

/// Between two attempts to open a file of the store where the last one failed.
pub const WRITE_RETRY: Duration = Duration::from_secs(1);

/// Between two lines of the log that say that telemetry cannot be written.
pub const WRITE_TROUBLE: Duration = Duration::from_secs(MINUTE);

/// How long the end of the host waits for what is pending to be written.
pub const WRITE_END: Duration = Duration::from_secs(3);

/// How long a writer of the store waits for another one; there is none but a program that a person looks with.
pub const WRITE_BUSY: Duration = Duration::from_millis(500);

/// How much less urgent the thread that writes is than those that serve, in the steps of `nice`: it gets about a
/// quarter of a processor that both want, which is more than it needs at its most.
pub const WRITE_NICENESS: i32 = 6;

/// Orders to the thread that writes (clear, write now) that wait. People give them.
pub const WRITE_ORDERS: usize = 16;

/// How long the rows of a service are deleted from the store before it is said that it takes too long.
pub const CLEAR: Duration = Duration::from_secs(30);

/// Spans that are kept of one trace, whoever sends them. More than a person looks through, some of them of other
/// processes; the trace says how many there were beyond it.
pub const STORED_SPANS: usize = 4 * TRACE_SPANS;

/// Spans that are kept of one trace beyond that, of requests that failed, were slow or are recorded: one trace may have
/// the requests of hours, and the one that failed comes last.
pub const STORED_IMPORTANT_SPANS: usize = 4 * TRACE_SPANS;

/// Bytes of a trace's words that are found by a search.
pub const STORED_WORDS_BYTES: usize = 4096;

/// How long a question to the store may take. A person waits no longer.
pub const QUESTION: Duration = Duration::from_secs(5);

/// Questions to the store at once. One more waits for its turn, as they share the disk and the processors with those
/// that serve.
pub const QUESTIONS: usize = 4;

/// Open connections to one file of the store that wait for the next question.
pub const IDLE_CONNECTIONS: usize = 2;

/// How long they wait. Each has a thread and some pages of its file.
pub const IDLE: Duration = Duration::from_secs(MINUTE);

/// Items of a page if nothing else is asked for.
pub const PAGE: usize = 100;
pub const PAGE_MAX: usize = 1000;

/// Bytes of the texts of a page; one that has more has fewer items.
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Words of a search that count. More than anybody types.
pub const SEARCH_WORDS: usize = 16;

/// Rows of a file that a filter leaves and that are looked at one by one, instead of all that have the words of a
/// search. Some milliseconds.
pub const SEARCH_ROWS: usize = 2000;

/// Services of a search's answer, and values of each dimension of an instrument that are listed.
pub const LISTED_NAMES: usize = 200;

/// Services that an answer names when it is asked about one that there is not. What people read.
pub const NAMED_SERVICES: usize = 20;

/// How far a follower of a list may be behind before it goes on at the end of it, and is told what it missed.
pub const FOLLOW_BEHIND: u64 = 10_000;

/// Traces of which more came that a follower of their list is told again. A follower that was behind all the time is told
/// of the last ones.
pub const FOLLOW_GROWN: usize = 100;

/// Between two readings of the figures, and two that are stored. What the page shows of the last minute is at most so
/// old.
pub const READ_INTERVAL: Duration = Duration::from_secs(5);
pub const STORE_INTERVAL: Duration = Duration::from_secs(10);

/// The time that rates and quantiles of the present are of.
pub const RECENT: Duration = Duration::from_secs(MINUTE);

/// Bytes of readings that are held for that, about. With more series there are fewer readings, and rates of less time.
pub const RECENT_BYTES: usize = 16 * 1024 * 1024;

/// Points of a series for a graph if nothing else is asked for.
pub const POINTS: usize = 120;
pub const POINTS_MAX: usize = 1000;

/// Series of one answer. More lines than a graph can show; those beyond are left out, the busiest stay.
pub const ANSWERED_SERIES: usize = 100;

/// Exemplars of one answer: dots on a graph.
pub const EXEMPLARS: usize = 100;

/// Bytes of what is said to a model in one call, and of what it says, where the application file wants that seen.
pub const MESSAGE_BYTES: usize = 16 * 1024;

/// Bytes of an answer that passes through from a model server that are looked at for its model, at its beginning, and for
/// its tokens, at its end.
pub const ANSWER_END_BYTES: usize = 4096;

/// Failures that the page of a service has.
pub const LAST_FAILURES: usize = 10;

/// Bytes of the words that are searched for: more than anybody writes, and less than the head of a request may have.
pub const SEARCH_BYTES: usize = 2048;

/// Traces and lines that a search over everything gives of each, unless it is asked for more.
pub const SEARCH_ITEMS: usize = 20;

/// Time back from now that a figure is shown over, unless another is asked for.
pub const SERIES_TIME: Duration = Duration::from_secs(15 * MINUTE);

/// Answers with all figures for Prometheus at once, each of which holds a copy of them until it is read. Two servers for
/// each of the two ports.
pub const SCRAPES: usize = 4;

/// Bytes of such an answer that are made at once. Some tenths of a millisecond.
pub const SCRAPE_PIECE_BYTES: usize = 64 * 1024;

/// Files of all that is kept that are made at once. Each reads the whole store.
pub const ARCHIVES: usize = 1;

/// Bytes of the traces in such a file, of its lines, and of its figures, each before it is compressed. More than anybody
/// reads; the newest are in it.
pub const ARCHIVE_LIST_BYTES: u64 = 128 * MIB;

/// How long such a file may take, with a client that takes it slowly: what is not in it by then is left out.
pub const ARCHIVE_TIME: Duration = Duration::from_secs(10 * MINUTE);

/// Traces or lines, and numbers of figures, that are read for it at once: other questions get their turn in between.
pub const ARCHIVE_PAGE: usize = 200;
pub const ARCHIVE_NUMBERS: usize = 20_000;

/// Bytes of it that are compressed at once. Some milliseconds.
pub const ARCHIVE_PIECE_BYTES: usize = 256 * 1024;

/// Bytes of spans, and as many of lines of the log, that wait to be sent to a collector, those included that are being
/// sent. Some seconds of the most that a host makes, or an hour of a small one; what is beyond is dropped and counted.
pub const EXPORT_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of what one request to a collector has, about. Well below the 4 MiB that a server of gRPC takes unless it is
/// told to take more.
pub const EXPORT_REQUEST_BYTES: usize = 1024 * 1024;

/// How long what waits is held back, for more that is sent with it.
pub const EXPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a collector may take for one request, its connection included, unless the environment says otherwise. The
/// default of OpenTelemetry.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
pub const EXPORT_TIMEOUT_MAX: Duration = Duration::from_secs(10 * MINUTE);

/// The pause after the first attempt that failed. It doubles with each, up to the longest, and chance shortens it by up
/// to a half, so that many hosts do not come back at once.
pub const EXPORT_PAUSE: Duration = Duration::from_secs(1);
pub const EXPORT_PAUSE_MAX: Duration = Duration::from_secs(30);

/// The longest pause that a collector may ask for.
pub const EXPORT_PAUSE_ASKED: Duration = Duration::from_secs(5 * MINUTE);

/// How long the same request is tried again before it is dropped for the next one. Whoever looks at a collector that is
/// back wants to see what is going on now.
pub const EXPORT_RETRY: Duration = Duration::from_secs(MINUTE);

/// Bytes of a collector's answer that are read. It has no more than a sentence.
pub const EXPORT_ANSWER_BYTES: usize = 64 * 1024;

/// Between two lines of the log that say that a collector does not take what is sent.
pub const EXPORT_TROUBLE: Duration = Duration::from_secs(MINUTE);

/// How long the end of the host waits for what is left to be sent.
pub const EXPORT_END: Duration = Duration::from_secs(3);

/// How long an idle connection to a collector is kept: two times that figures come.
pub const EXPORT_IDLE: Duration = Duration::from_secs(30);

/// Traces in a second that are kept because they failed or were slow, of all services together. Far more than a person
/// looks at; a service that is overloaded makes more, each like the others, and they would drive out all else.
pub const IMPORTANT_PER_SECOND: u64 = 500;

/// Of one service, those that are kept beyond that: so many that a service that fails now and then is seen beside one
/// that is overloaded.
pub const SERVICE_IMPORTANT_PER_SECOND: u64 = 20;

}
