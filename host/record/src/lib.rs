//! `serve --record`: real requests become cases that `wasm-host test` replays.
//!
//! Each recorded request has an instance of its own, whose clock and randomness can be repeated. What
//! goes in and out of it is watched at the same seams at which a test puts its fakes: the database, the transport
//! to Ollama, the other services, functions of other capabilities, and the request itself. Nothing behind those seams knows of it. A
//! recording that cannot be made (too large, too many, a full disk) is left out; the request never waits for it.

mod body;
mod case;
mod exchange;
mod files;
mod function;
mod instance_environment;
mod postgres;
mod redact;
mod session;
mod time;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Result;

use body::{Place, Tee};
use files::Files;
use function::RecordedFunctions;
pub use redact::Redactor;
use session::Session;
use wasm_host_capabilities::ALL;
use wasm_host_capabilities::context::{Inbound, RequestContext};
use wasm_host_capabilities::function::Seam;
use wasm_host_capabilities::granted::Granted;
use wasm_host_capabilities::outgoing::{HttpRequest, HttpResponse, Peers};
use wasm_host_capabilities::postgres::Postgres;
use wasm_host_capabilities::transport::Transport;
use wasm_host_engine::state::InstanceEnvironment;
use wasm_host_limits::record as limits;
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_service::observer::{Observation, Observer};
use wasm_host_testkit::case::{OllamaBounds, ResponseEnd};

/// Makes recordings, for all services of a host.
pub struct Recorder {
    redactor: Redactor,
    files: Files,
    /// The log has said that there are too many at once; it says so again when there have been few.
    crowded: AtomicBool,
    /// Recordings that were begun and are not yet handed to the writer.
    open: AtomicUsize,
}

/// What recordings of one service have in common.
pub struct ServiceRecorder {
    pub recorder: Arc<Recorder>,
    pub service: Arc<str>,
    pub environment: Vec<(String, String)>,
    pub ollama: OllamaBounds,
}

/// One request that is being recorded. Dropping it before there is an answer means that the client has left.
struct Recording {
    recorder: Arc<Recorder>,
    session: Arc<Session>,
    ended: bool,
}

impl Recorder {
    /// Recordings go to `folder`; with `by_service`, to a folder in it for each service.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn new(folder: &Path, by_service: bool, redactor: Redactor) -> Result<Arc<Self>> {
        let files = Files::new(folder, by_service)?;
        let (crowded, open) = (AtomicBool::new(false), AtomicUsize::new(0));
        Ok(Arc::new(Self { redactor, files, crowded, open }))
    }

    /// Write what is still to be written.
    pub async fn close(&self) {
        let end = tokio::time::Instant::now() + limits::CLOSE;
        while self.open.load(Ordering::Acquire) > 0 && tokio::time::Instant::now() < end {
            tokio::time::sleep(limits::CLOSE_POLL).await;
        }
        self.files.close().await;
    }
}

impl Observer for ServiceRecorder {
    /// The recording goes with the request to all that is done for it. None if as many as may be are being recorded, or
    /// enough were.
    fn begin(
        &self,
        inbound: &mut Inbound,
        request: HttpRequest,
    ) -> (Option<Box<dyn Observation>>, HttpRequest) {
        let recorder = &self.recorder;
        if !recorder.files.has_room() {
            return (None, request);
        }
        let begun = recorder.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
            (open < limits::REQUESTS).then_some(open + 1)
        });
        if begun.is_err() {
            if !recorder.crowded.swap(true, Ordering::Relaxed) {
                let most = limits::REQUESTS;
                tracing::warn!(service = %self.service, "more than {most} requests at once; only so many are recorded");
            }
            return (None, request);
        }
        let session = Arc::new(Session::new(self, &request));
        inbound.attach(session.clone());
        let request = request.map(|body| Tee::new(body, session.clone(), Place::Request).boxed());
        let recording = Recording { recorder: recorder.clone(), session, ended: false };
        (Some(Box::new(recording)), request)
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
                if self.session.wants_head_only(response.status()) {
                    // Nothing reads what the guest writes behind it.
                    self.end(ResponseEnd::Whole);
                    return Ok(response);
                }
                let session = self.session.clone();
                Ok(response.map(|body| Tee::new(body, session, Place::Response(self)).boxed()))
            }
            Err(failure) => {
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

impl Recording {
    /// The response has ended. Its calls get a moment to end as well.
    fn end(&mut self, end: ResponseEnd) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.session.end(end);
        let (recorder, session) = (self.recorder.clone(), self.session.clone());
        // A body may be dropped where no task can be started any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            recorder.finish(&session);
            return;
        };
        runtime.spawn(async move {
            let _ = tokio::time::timeout(limits::SETTLE, session.settled()).await;
            recorder.finish(&session);
        });
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end(ResponseEnd::Left);
    }
}

impl Recorder {
    fn finish(&self, session: &Session) {
        match session.take() {
            Some(recorded) => match case::text(recorded, &self.redactor) {
                Ok((name, text)) => self.files.write(session.service(), &name, text),
                Err(why) => {
                    tracing::warn!(service = session.service(), "a request is not recorded: {why}");
                }
            },
            None => tracing::debug!(service = session.service(), "nothing to record"),
        }
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.crowded.store(false, Ordering::Relaxed);
        }
    }
}

/// What a service is granted, watched where it is called. Model servers are watched behind that ([`transport`]).
pub fn granted(granted: Granted) -> Granted {
    let granted = match granted.of::<Postgres>().cloned() {
        Some(database) => granted.with::<Postgres>(Arc::new(postgres::Recorded(database))),
        None => granted,
    };
    let functions: Arc<dyn Seam> = Arc::new(RecordedFunctions);
    ALL.iter().fold(granted, |granted, capability| capability.watched(functions.clone(), granted))
}

/// The way to a model server, watched.
pub fn transport(inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
    Arc::new(exchange::RecordedTransport(inner))
}

/// The other services, watched.
pub fn peers(inner: Arc<dyn Peers>) -> Arc<dyn Peers> {
    Arc::new(exchange::RecordedPeers(inner))
}

/// What recorded instances see of time and chance.
pub fn instance_environment() -> Arc<dyn InstanceEnvironment> {
    Arc::new(instance_environment::Recorded)
}

/// The recording that a call for this request is part of.
fn session(request: &RequestContext) -> Option<&Arc<Session>> {
    request.extension()
}
