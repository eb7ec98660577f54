//! What is handed over of requests, and when.

use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::Collector;
use crate::log::LogRecord;
use crate::metrics::Figure;
use crate::sampling::{KeepReason as Why, Sampler};
use crate::span::Span;
use wasm_host_limits::telemetry as limits;

#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<Batch>>>);

impl Collector for Collected {
    fn batch(&self, batch: Batch) {
        self.0.lock().push(batch);
    }

    fn log(&self, _: LogRecord) {}
}

const NEVER: Duration = Duration::from_secs(3600);

/// Telemetry that keeps this share of what neither fails nor is slow.
fn telemetry(percent: usize, slow: Duration) -> (&'static Telemetry, Collected) {
    let kept = Collected::default();
    let sampler = Sampler::new(percent, 1_000_000);
    (Telemetry::new(Box::new(kept.clone()), sampler, slow, false).leak(), kept)
}

impl Collected {
    fn batches(&self) -> Vec<Batch> {
        std::mem::take(&mut *self.0.lock())
    }
}

fn begin(telemetry: &'static Telemetry, parent: Option<&str>) -> Trace {
    let context = parent.map(|parent| TraceContext::parse(parent).unwrap());
    Trace::begin(telemetry, context, &Method::GET, &Uri::from_static("/weather?key=s3cret"))
}

fn end(trace: &Trace, service: &Arc<str>, status: u16) {
    let service = Some(service);
    trace.end(&RequestEnd {
        service,
        route: Some("/weather"),
        status: Some(status),
        ..RequestEnd::default()
    });
}

fn named<'b>(batch: &'b Batch, name: &str) -> &'b Span {
    batch.spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{batch:#?}"))
}

#[test]
fn a_request_is_seen_with_what_it_waited_for_and_without_its_query() {
    let (telemetry, kept) = telemetry(100, NEVER);
    let service: Arc<str> = "apiservice".into();
    let trace = begin(telemetry, None);
    trace.admitted();
    trace.begun();
    trace.answered();
    end(&trace, &service, 200);
    let batches = kept.batches();
    let [batch] = &batches[..] else { panic!("{batches:?}") };
    assert_eq!(batch.why, Why::Sampled);
    let request = named(batch, "GET /weather");
    assert_eq!((request.id, request.parent, request.kind), (trace.span_id(), None, Kind::Server));
    assert!(!format!("{batch:?}").contains("s3cret"));
    for phase in ["admission", "instance", "guest"] {
        assert_eq!(named(batch, phase).parent, Some(request.id), "{phase}");
    }
    drop(trace);
    assert!(kept.batches().is_empty(), "it ended twice");
}

#[test]
fn what_fails_or_is_slow_is_kept_whole_whatever_the_share() {
    for (status, slow, fails_inside, why) in [
        (200, NEVER, false, None),
        (404, NEVER, false, None),
        (502, NEVER, false, Some(Why::Error)),
        (200, Duration::ZERO, false, Some(Why::Slow)),
        (200, NEVER, true, Some(Why::Error)),
    ] {
        let (telemetry, kept) = telemetry(0, slow);
        let service: Arc<str> = "apiservice".into();
        let trace = begin(telemetry, None);
        trace.begun();
        let mut statement = trace.span("SELECT", Kind::Client, &service);
        if fails_inside {
            statement.fail("42P01", "no such table");
        }
        drop(statement);
        end(&trace, &service, status);
        let batches = kept.batches();
        assert_eq!(batches.first().map(|batch| batch.why), why, "{status} {slow:?}");
        if let Some(batch) = batches.first() {
            assert_eq!(named(batch, "SELECT").parent, Some(named(batch, "guest").id));
            named(batch, "GET /weather");
        }
        // Counted, kept or not.
        let figures = telemetry.figures();
        let Figure::Histogram { buckets, .. } = &figures[0].points[0].value else { panic!() };
        assert_eq!(buckets.iter().sum::<u64>(), 1);
        assert_eq!(figures[0].points[0].labels[4], status.to_string());
    }
}

#[test]
fn what_a_recording_leads_to_is_kept_whether_it_asked_for_something_or_not() {
    let service: Arc<str> = "apiservice".into();
    for asks_before in [None, Some(true), Some(false)] {
        let (telemetry, kept) = telemetry(0, NEVER);
        let trace =
            begin(telemetry, Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
        let ask = || drop(trace.span("SELECT", Kind::Client, &service));
        if asks_before == Some(true) {
            ask();
        }
        trace.keep();
        if asks_before == Some(false) {
            ask();
        }
        end(&trace, &service, 200);
        let batches = kept.batches();
        assert_eq!(batches.first().map(|batch| batch.why), Some(Why::Recorded), "{asks_before:?}");
    }
}

// Fault (Telemetry): more failures in a second than are kept, and requests that fail are recorded | keeps the traces that recordings lead to all the same | what it was | of the others, traces beyond the bound
#[test]
fn a_failure_that_a_recording_leads_to_is_kept_in_a_storm_of_them() {
    let (telemetry, kept) = telemetry(0, NEVER);
    let service: Arc<str> = "apiservice".into();
    let fails = |prepare: &dyn Fn(&Trace), status| {
        let trace = begin(telemetry, None);
        prepare(&trace);
        end(&trace, &service, status);
        !kept.batches().is_empty()
    };
    let mut stormed = (0..10 * limits::IMPORTANT_PER_SECOND).map(|_| fails(&|_| (), 500));
    assert!(stormed.by_ref().any(|kept| !kept), "there is room for all of them");
    for asks in [false, true] {
        let prepare = |trace: &Trace| {
            trace.keep_if_failed();
            if asks {
                drop(trace.span("SELECT", Kind::Client, &service));
            }
        };
        for _ in 0..100 {
            assert!(fails(&prepare, 500), "{asks}");
        }
        // What does not fail is recorded for nothing.
        assert!(!fails(&prepare, 200), "{asks}");
    }
}

#[test]
fn what_asks_decides_and_keeps_its_place() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    for (flags, why) in [("01", Some(Why::Parent)), ("00", None)] {
        let (telemetry, kept) = telemetry(100, NEVER);
        let trace = begin(telemetry, Some(&format!("{parent}-{flags}")));
        let told = trace.context().unwrap().to_string();
        assert!(told.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{told}");
        assert!(told.ends_with(flags), "{told}");
        end(&trace, &"a".into(), 200);
        let batches = kept.batches();
        assert_eq!(batches.first().map(|batch| batch.why), why);
        if let Some(batch) = batches.first() {
            let parent = named(batch, "GET /weather").parent.unwrap();
            assert_eq!(parent.to_string(), "00f067aa0ba902b7");
        }
    }
}

#[test]
fn a_call_between_services_is_one_trace_that_is_kept_or_not_as_one() {
    for (inner, count) in [(200, 0), (500, 1)] {
        let (telemetry, kept) = telemetry(0, NEVER);
        let (outer_service, inner_service): (Arc<str>, Arc<str>) = ("outer".into(), "inner".into());
        let outer = begin(telemetry, None);
        let call = outer.span("GET", Kind::Client, &outer_service);
        let hop = outer.next_hop(&call, &Method::GET, &Uri::from_static("http://inner/x"));
        assert_eq!(hop.id(), outer.id());
        let asked = hop.span("SELECT", Kind::Client, &inner_service);
        drop(asked);
        let ended = RequestEnd {
            service: Some(&inner_service),
            status: Some(inner),
            ..RequestEnd::default()
        };
        hop.end(&ended);
        drop(call);
        assert!(kept.batches().is_empty(), "before its end");
        end(&outer, &outer_service, 200);
        let batches = kept.batches();
        assert_eq!(batches.len(), count);
        if let Some(batch) = batches.first() {
            let inside = batch.spans.iter().find(|span| span.id == hop.span_id()).unwrap();
            assert_eq!(
                inside.parent,
                batch
                    .spans
                    .iter()
                    .find(|it| it.name == "GET" && it.kind == Kind::Client)
                    .map(|it| it.id)
            );
            assert_eq!(&*inside.service, "inner");
        }
    }
}

#[test]
fn what_comes_behind_the_answer_follows_its_request() {
    for (status, count) in [(200, 0), (500, 1)] {
        let (telemetry, kept) = telemetry(0, NEVER);
        let service: Arc<str> = "a".into();
        let trace = begin(telemetry, None);
        let first = trace.span("first", Kind::Client, &service);
        end(&trace, &service, status);
        assert!(kept.batches().is_empty(), "something is still under way");
        drop(first);
        assert_eq!(kept.batches().len(), count);
        drop(trace.span("late", Kind::Client, &service));
        let late = kept.batches();
        assert_eq!(late.len(), count);
        assert!(late.iter().all(|batch| batch.spans.len() == 1));
    }
}

#[test]
fn what_is_first_done_behind_the_answer_follows_it_too() {
    for (status, count) in [(200, 0), (500, 1)] {
        let (telemetry, kept) = telemetry(0, NEVER);
        let service: Arc<str> = "a".into();
        let trace = begin(telemetry, None);
        end(&trace, &service, status);
        assert_eq!(kept.batches().len(), count);
        drop(trace.span("late", Kind::Client, &service));
        assert_eq!(kept.batches().len(), count);
    }
}

#[test]
fn what_there_is_no_room_for_still_fails_and_goes_on_to_others() {
    let (telemetry, kept) = telemetry(0, NEVER);
    let service: Arc<str> = "a".into();
    let trace = begin(telemetry, None);
    for _ in 0..limits::TRACE_SPANS {
        trace.span("SELECT", Kind::Client, &service);
    }
    let mut beyond = trace.span("GET", Kind::Client, &service);
    assert!(!beyond.is_seen());
    let hop = trace.next_hop(&beyond, &Method::GET, &Uri::from_static("http://inner/"));
    assert_eq!(hop.id(), trace.id());
    end(&hop, &"inner".into(), 200);
    beyond.fail("500", "it failed");
    drop(beyond);
    end(&trace, &service, 200);
    let batch = kept.batches().remove(0);
    let own = limits::REQUEST_SPANS;
    assert_eq!((batch.why, batch.dropped), (Why::Error, own + 1 + own));
    assert!(batch.spans.iter().all(|span| &*span.service == "a"));
    named(&batch, "GET /weather");
}

// Fault (Telemetry): calls between services without end in one request | keeps so many spans, counts the others | its answer | spans beyond the bound
#[test]
fn calls_between_services_are_bounded_and_their_failures_count() {
    let (outer_service, inner_service): (Arc<str>, Arc<str>) = ("outer".into(), "inner".into());
    let path = format!("http://inner/{}", "x".repeat(8 * limits::TEXT_BYTES));
    for uri in ["http://inner/x", &path] {
        for fails in [false, true] {
            let (telemetry, kept) = telemetry(100, NEVER);
            let outer = begin(telemetry, None);
            outer.admitted();
            outer.begun();
            let calls = 5000;
            for number in 0..calls {
                let call = outer.span("GET", Kind::Client, &outer_service);
                let hop = outer.next_hop(&call, &Method::GET, &uri.parse().unwrap());
                hop.admitted();
                hop.begun();
                drop(hop.span("SELECT", Kind::Client, &inner_service));
                let status = if fails && number + 1 == calls { 500 } else { 200 };
                end(&hop, &inner_service, status);
            }
            end(&outer, &outer_service, 200);
            let batch = kept.batches().remove(0);
            let count = batch.spans.len();
            assert!(count <= limits::TRACE_SPANS, "{count}");
            let bytes: usize = batch.spans.iter().map(size).sum();
            // Beside it, what the outermost request says.
            let most = limits::TRACE_BYTES + 2 * limits::TEXT_BYTES;
            assert!((limits::TRACE_BYTES / 2..most).contains(&bytes), "{bytes}");
            assert!(batch.dropped > calls, "{}", batch.dropped);
            assert_eq!(batch.why, if fails { Why::Error } else { Why::Sampled });
            let is_outermost = |span: &&Span| span.id == outer.span_id();
            assert_eq!(batch.spans.iter().filter(is_outermost).count(), 1);
            // What is there hangs together.
            for span in batch.spans.iter().filter(|span| !is_outermost(span)) {
                let is_there = batch.spans.iter().any(|it| Some(it.id) == span.parent);
                assert!(is_there, "{span:?}");
            }
        }
    }
}

#[test]
fn a_name_counts_among_the_bytes_of_a_request() {
    let (telemetry, kept) = telemetry(100, NEVER);
    let service: Arc<str> = "a".into();
    let trace = begin(telemetry, None);
    for _ in 0..limits::TRACE_SPANS {
        trace.span(format!("chat {}", "x".repeat(1024)), Kind::Client, &service);
    }
    end(&trace, &service, 200);
    let bytes: usize = kept.batches().remove(0).spans.iter().map(size).sum();
    assert!(bytes < limits::TRACE_BYTES + limits::TEXT_BYTES, "{bytes}");
}

// Fault (Telemetry): a service that is overloaded, beside one that fails now and then | keeps failures of both | what they were | of the first, traces beyond the bound
#[test]
fn a_flood_of_failures_of_one_service_hides_none_of_another() {
    let (telemetry, kept) = telemetry(0, NEVER);
    let (gateway, flooded, other): (Arc<str>, Arc<str>, Arc<str>) =
        ("gateway".into(), "flooded".into(), "other".into());
    let call = |inner: &Arc<str>| {
        let trace = begin(telemetry, None);
        let span = trace.span("GET", Kind::Client, &gateway);
        let hop = trace.next_hop(&span, &Method::GET, &Uri::from_static("http://inner/"));
        end(&hop, inner, 503);
        drop(span);
        // It passes on what it was answered.
        end(&trace, &gateway, 502);
    };
    let mut flood = std::iter::repeat_with(|| {
        call(&flooded);
        kept.batches().is_empty()
    });
    assert!(flood.any(|is_left_out| is_left_out));
    for status in [500, 503] {
        end(&begin(telemetry, None), &"third".into(), status);
        assert_eq!(kept.batches().len(), 1, "by itself");
        call(&other);
        assert_eq!(kept.batches().len(), 1, "behind the same gateway");
    }
}

// Fault (Telemetry): a request that is dropped before anything answers | ends its trace | - | nothing
#[test]
fn a_request_that_was_dropped_before_its_answer_leaves_nothing_open() {
    let (telemetry, kept) = telemetry(0, NEVER);
    let service: Arc<str> = "outer".into();
    let outer = begin(telemetry, None);
    let call = outer.span("GET", Kind::Client, &service);
    drop(outer.next_hop(&call, &Method::GET, &Uri::from_static("http://inner/")));
    drop(call);
    end(&outer, &service, 502);
    assert_eq!(kept.batches().len(), 1);
}

// Fault (Telemetry): spans without end in one request | keeps so many, counts the others | its answer | spans beyond the bound
#[test]
fn spans_of_one_request_are_bounded_in_number_and_bytes() {
    let service: Arc<str> = "a".into();
    let (telemetry, kept) = telemetry(100, NEVER);
    let many = begin(telemetry, None);
    for _ in 0..limits::TRACE_SPANS + 10 {
        many.span("SELECT", Kind::Client, &service);
    }
    end(&many, &service, 200);
    let batch = kept.batches().remove(0);
    assert!(batch.spans.len() <= limits::TRACE_SPANS, "{}", batch.spans.len());
    assert_eq!(batch.dropped, 10 + limits::REQUEST_SPANS);
    let large = begin(telemetry, None);
    for _ in 0..limits::TRACE_SPANS {
        let mut span = large.span("SELECT", Kind::Client, &service);
        span.set_text("db.query.text", &"x".repeat(1 << 20));
    }
    end(&large, &service, 200);
    let batch = kept.batches().remove(0);
    let bytes: usize = batch.spans.iter().map(size).sum();
    assert!(bytes < limits::TRACE_BYTES + 8 * limits::TEXT_BYTES, "{bytes}");
    assert!(batch.dropped > 0);
}

// Fault (Telemetry): a million distinct paths, and methods that are not known | counts them by their route, and as one other method | its answer | nothing
#[test]
fn paths_without_end_are_one_series() {
    let (telemetry, kept) = telemetry(0, NEVER);
    let service: Arc<str> = "a".into();
    for number in 0..1_000_000 {
        let method = if number % 1000 == 0 { format!("M{number}") } else { "GET".to_owned() };
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let uri = Uri::try_from(format!("/weather/{number}")).unwrap();
        end(&Trace::begin(telemetry, None, &method, &uri), &service, 200);
    }
    let figures = telemetry.figures();
    let durations =
        figures.iter().find(|it| std::ptr::eq(it.instrument, &SERVER_DURATION)).unwrap();
    assert!(!durations.has_overflow);
    assert_eq!(durations.points.len(), 2);
    assert!(kept.batches().is_empty());
}

#[test]
fn nothing_is_seen_where_it_is_off() {
    let trace = begin(Telemetry::off(), None);
    let service: Arc<str> = "a".into();
    let span = trace.span("SELECT", Kind::Client, &service);
    assert!(!span.is_seen());
    assert_eq!(trace.context(), None);
    assert_eq!(trace.next_hop(&span, &Method::GET, &Uri::default()).id(), TraceId(0));
    end(&trace, &service, 500);
    assert_ne!(trace.span_id(), SpanId(0), "the id of a request");
}

#[test]
fn what_the_host_does_is_kept_with_its_steps() {
    let (telemetry, kept) = telemetry(0, NEVER);
    let mut swap = Operation::begin(telemetry, "swap a".to_owned(), &"a".into());
    drop(swap.step("compile"));
    swap.span().fail("rejected", "it does not start");
    drop(swap);
    let batch = kept.batches().remove(0);
    assert_eq!(batch.why, Why::Operation);
    assert_eq!(named(&batch, "compile").parent, Some(named(&batch, "swap a").id));
    assert!(named(&batch, "swap a").status.is_error());
}
