//! Requests that are recorded, from their beginning to the case that is kept of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Result;
use parking_lot::Mutex;

use crate::body::{BodyOwner, Tee};
use crate::case;
use crate::files::Files;
use crate::order::{Cause, Only, Ordered, Orders};
use crate::redact::Redactor;
use crate::session::RecordingSession;
use crate::shelf::{RecordingSummary, Shelf};
use crate::writer::Writer;
use wasm_host_capabilities::context::Inbound;
use wasm_host_capabilities::outgoing::{HttpRequest, HttpResponse};
use wasm_host_limits::record as limits;
use wasm_host_service::failure::respond::status;
use wasm_host_service::failure::{Failure, Kind, Source};
use wasm_host_service::observer::{Observation, Observer};
use wasm_host_telemetry::clock;
use wasm_host_telemetry::id::SpanId;
use wasm_host_telemetry::trace::bounded;
use wasm_host_testkit::case::{OllamaBounds, ResponseEnd};

/// Makes recordings, for all services of a host: of all requests (`serve --record`), or of those that are ordered while it
/// runs.
pub struct Recorder {
    redactor: Redactor,
    /// None: nothing is recorded but what is ordered.
    files: Option<Files>,
    shelf: Shelf,
    writer: Writer,
    /// Of each service.
    orders: Mutex<BTreeMap<Arc<str>, Arc<Orders>>>,
    /// The log has said that there are too many at once; it says so again when there have been few.
    crowded: AtomicBool,
    /// Recordings that were begun and are not yet handed to the writer.
    open: AtomicUsize,
}

/// What the components of a service are told from the start. Values may be secret.
pub struct ServiceEnvironment {
    pub environment: Vec<(String, String)>,
    /// By `wasi:config`.
    pub configuration: BTreeMap<String, String>,
}

/// What recordings of one service have in common.
pub struct ServiceRecorder {
    recorder: Arc<Recorder>,
    orders: Arc<Orders>,
    pub(crate) service: Arc<str>,
    pub(crate) told: ServiceEnvironment,
    pub(crate) ollama: OllamaBounds,
}

/// One request that is being recorded. Dropping it before there is an answer means that the client has left.
pub(crate) struct Recording {
    recorder: Arc<Recorder>,
    orders: Arc<Orders>,
    session: Arc<RecordingSession>,
    cause: Cause,
    id: SpanId,
    /// None: telemetry is off.
    trace: Option<String>,
    request: LoggedRequest,
    /// Microseconds since 1970.
    time: u64,
    came: Instant,
    /// What its client was told.
    status: Option<u16>,
    failed: bool,
    ended: bool,
}

/// The request that is recorded, for lines of the log, which belong to its trace.
#[derive(Clone)]
pub(crate) struct LoggedRequest {
    pub(crate) service: Arc<str>,
    /// As the log names it, which in a call between services is the id of the first one.
    pub(crate) id: String,
    pub(crate) trace: u128,
    pub(crate) span: u64,
}

/// A recording that has come to its end.
struct Finished {
    orders: Arc<Orders>,
    session: Arc<RecordingSession>,
    cause: Cause,
    failed: bool,
    /// What is known without the case.
    kept: RecordingSummary,
    came: Instant,
    request: LoggedRequest,
}

/// Where `serve --record` writes.
pub struct Everything<'a> {
    pub folder: &'a Path,
    /// To a folder in it for each service.
    pub by_service: bool,
}

// === impl Recorder ===

impl Recorder {
    /// What is ordered is kept in the state folder; `everything` is where all that comes is written.
    ///
    /// # Errors
    /// A folder cannot be made or written, or the state folder's own is not the host's.
    pub fn new(
        state_dir: &Path,
        everything: Option<Everything<'_>>,
        redactor: Redactor,
    ) -> Result<Arc<Self>> {
        let files = everything.map(|all| Files::new(all.folder, all.by_service)).transpose()?;
        let (shelf, writer) = (Shelf::open(state_dir)?, Writer::start()?);
        let (orders, crowded, open) = Default::default();
        Ok(Arc::new(Self { redactor, files, shelf, writer, orders, crowded, open }))
    }

    /// Whether all that comes is recorded.
    pub fn takes_all(&self) -> bool {
        self.files.is_some()
    }

    /// What watches a service.
    pub fn service(
        self: &Arc<Self>,
        service: Arc<str>,
        told: ServiceEnvironment,
        ollama: OllamaBounds,
    ) -> ServiceRecorder {
        let orders = Arc::new(match self.files {
            Some(_) => Orders::all(),
            None => Orders::default(),
        });
        self.orders.lock().insert(service.clone(), orders.clone());
        ServiceRecorder { recorder: self.clone(), orders, service, told, ollama }
    }

    /// Keep so many of the next requests of a service, instead of what was ordered of it before. None: there is no such
    /// service.
    pub fn start(&self, service: &str, requests: usize, only: Only) -> Option<Ordered> {
        self.of(service).map(|orders| orders.start(service, requests, only))
    }

    /// Keep no more requests of a service. False: there is no such service.
    pub fn stop(&self, service: &str) -> bool {
        self.of(service).map(|orders| orders.stop()).is_some()
    }

    fn of(&self, service: &str) -> Option<Arc<Orders>> {
        self.orders.lock().get(service).cloned()
    }

    /// What is still to be kept.
    pub fn ordered(&self) -> Vec<Ordered> {
        let orders = self.orders.lock();
        orders.iter().filter_map(|(service, orders)| orders.ordered(service)).collect()
    }

    /// What is kept, newest first.
    pub fn kept(&self) -> Vec<RecordingSummary> {
        self.shelf.list()
    }

    pub fn find(&self, id: &str) -> Option<RecordingSummary> {
        self.shelf.find(|item| item.id == id)
    }

    /// What is kept of a trace: the last that failed, or the last.
    pub fn of_trace(&self, trace: &str) -> Option<RecordingSummary> {
        let is_of_it = |item: &RecordingSummary| item.trace.as_deref() == Some(trace);
        let failed = self.shelf.find(|item| item.error && is_of_it(item));
        failed.or_else(|| self.shelf.find(is_of_it))
    }

    /// The case of what is kept. Reads a file.
    ///
    /// # Errors
    /// There is none of this id, or no longer, or it cannot be read.
    pub fn case(&self, id: &str) -> std::io::Result<String> {
        self.shelf.case(id)
    }

    /// A case file was made of one. Writes a file.
    pub fn saved(&self, id: &str, file: &str) {
        self.shelf.saved(id, file);
    }

    /// Forget what is kept, of all services or one. Removes files.
    pub fn clear(&self, service: Option<&str>) {
        self.shelf.clear(service);
    }

    /// Write what is still to be written.
    pub async fn close(&self) {
        let end = tokio::time::Instant::now() + limits::CLOSE;
        while self.open.load(Ordering::Acquire) > 0 && tokio::time::Instant::now() < end {
            tokio::time::sleep(limits::CLOSE_POLL).await;
        }
        self.writer.close().await;
    }

    /// Whether one more may be recorded now.
    fn enter(&self, service: &str) -> bool {
        let begun = self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
            (open < limits::REQUESTS).then_some(open + 1)
        });
        if begun.is_err() && !self.crowded.swap(true, Ordering::Relaxed) {
            let most = limits::REQUESTS;
            tracing::warn!(service, "more than {most} requests at once; only so many are recorded");
        }
        begun.is_ok()
    }

    /// A recording is complete: what is to be kept is made a case of, elsewhere.
    fn finish(self: &Arc<Self>, finished: Finished) {
        let Finished { orders, cause, failed, .. } = &finished;
        let (orders, cause) = (orders.clone(), *cause);
        let is_claimed = orders.claim(cause, *failed);
        if is_claimed || self.files.is_some() {
            let recorder = self.clone();
            let request = finished.request.clone();
            if !self.writer.later(move || recorder.write(finished, is_claimed)) {
                if is_claimed {
                    orders.give_back(cause);
                }
                request.is_not_recorded("the disk is too slow");
            }
        }
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.crowded.store(false, Ordering::Relaxed);
        }
    }

    /// To the folder of `--record`, and for the order that claimed it.
    fn write(&self, finished: Finished, is_claimed: bool) {
        let Finished { orders, session, cause, kept, came, request, .. } = finished;
        let made = session.take().and_then(|recorded| case::text(recorded, &self.redactor));
        if let (Ok(made), Some(files)) = (&made, &self.files) {
            files.write(&request, &made.name, &made.text);
        }
        let done = match is_claimed {
            true => made.and_then(|made| self.put(kept, came, &made, &request)),
            false => made.map(drop),
        };
        if is_claimed {
            match &done {
                Ok(()) => orders.keep(cause),
                Err(_) => orders.give_back(cause),
            }
        }
        if let Err(why) = done {
            request.is_not_recorded(&why);
        }
    }

    fn put(
        &self,
        kept: RecordingSummary,
        came: Instant,
        made: &case::Made,
        of: &LoggedRequest,
    ) -> Result<(), String> {
        let case::Made { name, text, request } = made;
        let bytes = text.len() as u64;
        let request = bounded(request);
        let kept = RecordingSummary { case: name.clone(), name: request, bytes, ..kept };
        let id = kept.id.clone();
        let put = self.shelf.put(kept, came, text);
        let put = put.map_err(|error| format!("it cannot be kept: {error}"));
        if !put? {
            return Err("what came before was to be forgotten".to_owned());
        }
        of.is_recorded(format_args!("{}: `wasm-host recordings {id}`", made.request));
        Ok(())
    }
}

// === impl LoggedRequest ===

impl LoggedRequest {
    pub(crate) fn is_recorded(&self, what: fmt::Arguments<'_>) {
        let Self { service, id: request, trace: trace_id, span: span_id } = self;
        tracing::info!(%service, request, trace_id, span_id, "recorded {what}");
    }

    fn is_not_recorded(&self, why: &str) {
        let Self { service, id: request, trace: trace_id, span: span_id } = self;
        tracing::warn!(%service, request, trace_id, span_id, "a request is not recorded: {why}");
    }

    pub(crate) fn cannot_be_recorded(&self, why: fmt::Arguments<'_>) {
        let Self { service, id: request, trace: trace_id, span: span_id } = self;
        tracing::warn!(%service, request, trace_id, span_id, "cannot record to {why}");
    }
}

// === impl ServiceRecorder ===

impl Observer for ServiceRecorder {
    fn is_watching(&self) -> bool {
        self.orders.is_watching()
    }

    /// The recording goes with the request to all that is done for it. None if as many as may be are being recorded, or
    /// enough were.
    fn begin(
        &self,
        inbound: &mut Inbound,
        request: HttpRequest,
    ) -> (Option<Box<dyn Observation>>, HttpRequest) {
        let recorder = &self.recorder;
        // What waits behind the bound of recordings is not counted against an order.
        if !recorder.enter(&self.service) {
            return (None, request);
        }
        let leave = |request| {
            recorder.open.fetch_sub(1, Ordering::AcqRel);
            (None, request)
        };
        let Some(cause) = self.orders.begin() else { return leave(request) };
        // An order may have been the last word when this was asked for.
        if cause == Cause::All && recorder.files.as_ref().is_none_or(|files| !files.has_room()) {
            return leave(request);
        }
        // What is kept leads to its trace.
        match cause {
            Cause::Order(_, Only::All) => inbound.trace().keep(),
            Cause::Order(_, Only::Failures) => inbound.trace().keep_if_failed(),
            Cause::All => {}
        }
        let session = Arc::new(RecordingSession::new(self, &request));
        inbound.attach(session.clone());
        let request =
            request.map(|body| Tee::new(body, session.clone(), BodyOwner::Request).boxed());
        let recording = Recording::new(self, session, cause, inbound);
        (Some(Box::new(recording)), request)
    }
}

// === impl Recording ===

impl Recording {
    fn new(
        of: &ServiceRecorder,
        session: Arc<RecordingSession>,
        cause: Cause,
        inbound: &Inbound,
    ) -> Self {
        let trace = inbound.trace();
        let span = trace.span_id();
        Self {
            recorder: of.recorder.clone(),
            orders: of.orders.clone(),
            session,
            cause,
            // Calls between services have none while telemetry is off.
            id: if span.0 == 0 { SpanId::new() } else { span },
            trace: trace.is_seen().then(|| trace.id().to_string()),
            request: LoggedRequest {
                service: of.service.clone(),
                id: inbound.id().to_owned(),
                trace: trace.id().0,
                span: span.0,
            },
            time: clock::now(),
            came: Instant::now(),
            status: None,
            failed: false,
            ended: false,
        }
    }

    /// The response has ended. Its calls get a moment to end as well.
    pub(crate) fn end(&mut self, end: ResponseEnd) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.session.end(end);
        self.failed |= matches!(end, ResponseEnd::Error | ResponseEnd::Trap);
        let (recorder, session, finished) =
            (self.recorder.clone(), self.session.clone(), self.finished());
        // A body may be dropped where no task can be started any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            recorder.finish(finished);
            return;
        };
        runtime.spawn(async move {
            let _ = tokio::time::timeout(limits::SETTLE, session.settled()).await;
            recorder.finish(finished);
        });
    }

    fn finished(&self) -> Finished {
        Finished {
            orders: self.orders.clone(),
            session: self.session.clone(),
            cause: self.cause,
            failed: self.failed,
            request: self.request.clone(),
            came: self.came,
            kept: RecordingSummary {
                id: self.id.to_string(),
                time: self.time,
                service: self.session.service().to_owned(),
                trace: self.trace.clone(),
                name: String::new(),
                status: self.status,
                error: self.failed,
                file: None,
                case: String::new(),
                bytes: 0,
            },
        }
    }
}

impl Observation for Recording {
    /// The answer's body goes on to be recorded.
    fn answered(
        mut self: Box<Self>,
        answer: Result<HttpResponse, Failure>,
    ) -> Result<HttpResponse, Failure> {
        match answer {
            Ok(response) => {
                self.session.answer(&response);
                self.status = Some(response.status().as_u16());
                self.failed = response.status().is_server_error();
                if self.session.wants_head_only(response.status()) {
                    // Nothing reads what the guest writes behind it.
                    self.end(ResponseEnd::Whole);
                    return Ok(response);
                }
                let session = self.session.clone();
                Ok(response.map(|body| Tee::new(body, session, BodyOwner::Response(self)).boxed()))
            }
            Err(failure) => {
                self.status = Some(status(failure.kind).0.as_u16());
                self.failed = failure.kind.source() != Source::Client;
                match failure.kind {
                    Kind::GuestTrapped => self.end(ResponseEnd::Trap),
                    // It computed for longer than the host lets it, and was ended.
                    Kind::FirstByteTimeout if self.session.has_trapped() => {
                        self.end(ResponseEnd::Trap);
                    }
                    // It waited for longer than the host lets it: as if its client had left.
                    Kind::FirstByteTimeout => self.end(ResponseEnd::Left),
                    _ => self.end(ResponseEnd::Error),
                }
                Err(failure)
            }
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end(ResponseEnd::Left);
    }
}
