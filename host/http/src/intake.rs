//! Telemetry that others send: programs with the key to the control plane ([`admin`](crate::admin)), pages to the public
//! port. What is taken of it is stored like the host's own.
//!
//! It reads requests and answers them as OTLP has it. What is in them is for [`wasm_host_otlp::intake`] to say.

mod pace;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Method, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use self::pace::Pace;
use crate::admin::body::read_within;
use crate::control::Token;
use crate::listener::Arriving;
use crate::origin::RequestedHost;
use wasm_host_capabilities::body::{Body, full};
use wasm_host_capabilities::sql;
use wasm_host_collector::Sender;
use wasm_host_limits::intake as limits;
use wasm_host_limits::{ADMIN_BODY_PAUSE, ADMIN_BODY_TIMEOUT};
use wasm_host_otlp::Signal;
use wasm_host_otlp::intake::{
    self, By, Encoding, Inflated, LeftOut, Received, Rules, Services, inflate,
};
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_settings::secret::Secret;
use wasm_host_telemetry::instruments::{INTAKE_REFUSED, INTAKE_TAKEN};
use wasm_host_telemetry::{Telemetry, clock};

/// What takes telemetry from others.
pub struct Intake {
    sender: Sender,
    telemetry: &'static Telemetry,
    key: Option<Token>,
    own_instance: Option<Arc<str>>,
    services: Arc<Services>,
    keyed: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    pace: Pace,
}

/// What of it the application file says, and what of it the host knows.
pub struct Wiring<'a> {
    pub sender: Sender,
    pub telemetry: &'static Telemetry,
    /// What lets programs in, beside the token of the control plane.
    pub key: Option<&'a Secret>,
    /// What this host calls itself where it sends telemetry elsewhere.
    pub own_instance: Option<Arc<str>>,
    pub page_spans_per_second: usize,
}

/// A request that was let in, in its turn.
pub(crate) struct Let {
    pub(crate) by: By,
    pub(crate) signal: Signal,
    pub(crate) encoding: Encoding,
    pub(crate) turn: OwnedSemaphorePermit,
}

/// A body that is read within so many bytes and so much time.
struct Bounds {
    bytes: u64,
    pause: Duration,
    time: Duration,
}

impl Intake {
    pub fn new(wiring: Wiring<'_>) -> Self {
        let Wiring { sender, telemetry, key, own_instance, page_spans_per_second } = wiring;
        Self {
            sender,
            telemetry,
            key: key.map(|key| Token::of(key.expose())),
            own_instance,
            services: Arc::default(),
            keyed: Arc::new(Semaphore::new(limits::INTAKE_AT_ONCE)),
            pages: Arc::new(Semaphore::new(limits::PAGE_SPANS_AT_ONCE)),
            pace: Pace::new(page_spans_per_second),
        }
    }

    /// Whether this is the key, if there is one.
    pub(crate) fn is_key(&self, given: &str) -> bool {
        self.key.as_ref().is_some_and(|key| key.is(given))
    }

    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Answer a request of a program that was let in.
    pub(crate) async fn of_program(
        &self,
        signal: Signal,
        request: Request<Arriving>,
    ) -> Result<Response<Body>, Failure> {
        let answered = self.answer(By::Key, signal, request).await;
        answered.inspect_err(|_| self.refuse(By::Key, signal, 1))
    }

    /// Answer a request to the route of pages. `path`: what the route left of it.
    pub(crate) async fn of_page(
        &self,
        path: &str,
        request: Request<Arriving>,
        asked: &RequestedHost<'_>,
    ) -> Result<Response<Body>, Failure> {
        if path.strip_prefix('/') != Some(Signal::Traces.path()) {
            return Err(Failure::new(Kind::NoRoute, "Pages send their spans to v1/traces here."));
        }
        if !asked.is_by_own_page(request.headers()) {
            return Err(Failure::new(
                Kind::CrossOrigin,
                "Only pages of this application send spans here, and a browser says that they are: programs send to \
                 the control plane.",
            ));
        }
        let answered = self.answer(By::Page, Signal::Traces, request).await;
        answered.inspect_err(|_| self.refuse(By::Page, Signal::Traces, 1))
    }

    async fn answer(
        &self,
        by: By,
        signal: Signal,
        request: Request<Arriving>,
    ) -> Result<Response<Body>, Failure> {
        self.check(request.method())?;
        let encoding = encoding(request.headers())?;
        let is_gzip = is_gzip(request.headers())?;
        let bounds = Bounds::of(by);
        let turn = self.turn(by)?;
        let body = bounds.read(request.into_body()).await?;
        let message = move || match is_gzip {
            true => whole(inflate(&body, bounds.bytes), bounds.bytes),
            false => Ok(body),
        };
        let left_out = self.take(Let { by, signal, encoding, turn }, message).await?;
        let mut response = Response::new(full(intake::answer(signal, encoding, &left_out)));
        response.headers_mut().insert(CONTENT_TYPE, content_type(encoding));
        Ok(response)
    }

    /// The body of a program's request, whatever is in it.
    pub(crate) async fn body(&self, body: Arriving) -> Result<Bytes, Failure> {
        let bounds = Bounds::of(By::Key);
        // What a frame adds is little.
        let bytes = bounds.bytes.saturating_add(64);
        Bounds { bytes, ..bounds }.read(body).await
    }

    /// Whether anything is taken, and this asks for it.
    pub(crate) fn check(&self, method: &Method) -> Result<(), Failure> {
        if !self.telemetry.is_on() {
            return Err(Failure::new(
                Kind::NoRoute,
                "Nothing is taken: enabled = false stands under [telemetry] in the application file.",
            ));
        }
        match *method {
            Method::POST => Ok(()),
            _ => Err(Failure::new(Kind::PostOnly, "Telemetry is sent here with POST.")),
        }
    }

    /// A place among those that are read.
    pub(crate) fn turn(&self, by: By) -> Result<OwnedSemaphorePermit, Failure> {
        let turns = match by {
            By::Key => &self.keyed,
            By::Page => &self.pages,
        };
        let why = "Too many send telemetry at this moment. Send it again.";
        turns.clone().try_acquire_owned().map_err(|_| Failure::new(Kind::Busy, why))
    }

    /// Take what a request says, as far as it can be kept; or nothing, and it is to be sent again. `message`: what was
    /// sent, without compression.
    ///
    /// What programs send may be large, and is read beside what is served. A request that is given up is read to its end,
    /// and has its turn until then.
    pub(crate) async fn take(
        &self,
        request: Let,
        message: impl FnOnce() -> Result<Bytes, Failure> + Send + 'static,
    ) -> Result<LeftOut, Failure> {
        let Let { by, signal, encoding, turn } = request;
        let rules = self.rules(by);
        let read = move || read(signal, encoding, &message()?, &rules).map(|read| (read, turn));
        let (mut received, _turn) = match by {
            By::Page => read()?,
            By::Key => spawn_blocking(read).await.map_err(|error| {
                Failure::new(Kind::Internal, "The telemetry was not read.").because(error)
            })??,
        };
        if by == By::Page {
            let most = self.pace.take(received.taken);
            received.keep(most, "pages send more spans in a second than this host takes");
        }
        let (taken, left_out) = (received.taken, received.left_out);
        if !self.sender.offer(received.batches, received.lines) {
            let why = "More telemetry waits to be written than there is room for. Send it again.";
            return Err(Failure::new(Kind::Busy, why));
        }
        self.count(&INTAKE_TAKEN, by, signal, taken);
        self.refuse(by, signal, left_out.count);
        Ok(left_out)
    }

    fn rules(&self, by: By) -> Rules {
        Rules {
            by,
            now: clock::now(),
            captures_messages: self.telemetry.captures_messages,
            statement: sql::without_values,
            services: self.services.clone(),
            own_instance: self.own_instance.clone(),
        }
    }

    pub(crate) fn refuse(&self, by: By, signal: Signal, count: u64) {
        self.count(&INTAKE_REFUSED, by, signal, count);
    }

    fn count(
        &self,
        instrument: &'static wasm_host_telemetry::metrics::Instrument,
        by: By,
        signal: Signal,
        count: u64,
    ) {
        if count > 0 {
            self.telemetry.record(instrument, &[by.name(), signal.name()], count as f64, None);
        }
    }
}

fn read(
    signal: Signal,
    encoding: Encoding,
    message: &Bytes,
    rules: &Rules,
) -> Result<Received, Failure> {
    intake::read(signal, encoding, message, rules).map_err(|error| {
        let what = signal.items();
        Failure::new(Kind::Malformed, format!("This is no request with {what}: {error}."))
    })
}

// === impl Bounds ===

impl Bounds {
    fn of(by: By) -> Self {
        match by {
            By::Key => Self {
                bytes: limits::INTAKE_BYTES,
                pause: ADMIN_BODY_PAUSE,
                time: ADMIN_BODY_TIMEOUT,
            },
            By::Page => Self {
                bytes: limits::PAGE_SPANS_BYTES,
                pause: limits::PAGE_SPANS_TIME,
                time: limits::PAGE_SPANS_TIME,
            },
        }
    }

    async fn read(&self, body: Arriving) -> Result<Bytes, Failure> {
        read_within(body, self.bytes, self.pause, self.time).await.map(Bytes::from)
    }
}

/// What was compressed, as a request of at most so many bytes.
pub(crate) fn whole(inflated: Inflated, most: u64) -> Result<Bytes, Failure> {
    match inflated {
        Inflated::Whole(body) => Ok(body),
        Inflated::TooLarge => Err(Failure::new(
            Kind::BodyTooLarge,
            format!("This takes a message of at most {most} bytes. Send smaller batches."),
        )),
        Inflated::Broken => Err(Failure::new(
            Kind::Malformed,
            "The message is not as long or compressed as it says.",
        )),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Failure> {
    match kind(headers).as_deref() {
        Some("application/x-protobuf") => Ok(Encoding::Protobuf),
        Some("application/json") => Ok(Encoding::Json),
        _ => Err(Failure::new(
            Kind::MediaType,
            "Telemetry comes as application/x-protobuf (the protocol http/protobuf of OTLP) or application/json \
             (http/json).",
        )),
    }
}

/// The content type without its parameters, in small letters.
pub(crate) fn kind(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split_once(';').map_or(kind, |(kind, _)| kind);
    Some(kind.trim().to_ascii_lowercase())
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Failure> {
    let coding = headers.get(CONTENT_ENCODING).map_or(&b"identity"[..], HeaderValue::as_bytes);
    match coding.trim_ascii().to_ascii_lowercase().as_slice() {
        b"identity" | b"none" | b"" => Ok(false),
        b"gzip" => Ok(true),
        _ => {
            Err(Failure::new(Kind::MediaType, "Telemetry comes as it is, or compressed with gzip."))
        }
    }
}

fn content_type(encoding: Encoding) -> HeaderValue {
    HeaderValue::from_static(match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use tokio::time::timeout;

    use super::*;

    fn intake(sender: &Sender) -> Intake {
        let sampler = wasm_host_telemetry::sampling::Sampler::new(100, 100);
        let telemetry = Telemetry::new(Box::new(sender.clone()), sampler, Duration::MAX, false);
        Intake::new(Wiring {
            sender: sender.clone(),
            telemetry: telemetry.leak(),
            key: Some(&Secret::new("0123456789abcdef")),
            own_instance: None,
            page_spans_per_second: 1,
        })
    }

    // Fault (Telemetry): more telemetry of others than can be written | takes nothing of it, and loses nothing of its own | 503 with `Retry-After` | nothing: it is sent again
    /// Nothing writes here what was taken.
    #[tokio::test]
    async fn what_there_is_no_room_for_is_to_be_sent_again_and_nothing_of_it_is_taken() {
        let sender = Sender::default();
        let intake = intake(&sender);
        let record = serde_json::json!({ "body": { "stringValue": "x".repeat(8000) } });
        let records = vec![record; 400];
        let request =
            serde_json::json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": records }] }] });
        let body = Bytes::from(request.to_string());
        assert!(body.len() as u64 <= limits::INTAKE_BYTES);
        let take = async || {
            let body = body.clone();
            intake.take(lines(&intake, By::Key), move || Ok(body)).await
        };
        let mut taken = 0;
        let refused = loop {
            match take().await {
                Ok(_) => taken += 1,
                Err(failure) => break failure,
            }
            assert!(taken < 20);
        };
        assert!(taken >= 2, "{taken}");
        assert_eq!(refused.kind, Kind::Busy);
        // Nothing of what the host sees itself was lost for it.
        assert_eq!(sender.dropped().lines, 0);
    }

    fn lines(intake: &Intake, by: By) -> Let {
        let turn = intake.turn(by).unwrap();
        Let { by, signal: Signal::Logs, encoding: Encoding::Json, turn }
    }

    // Fault (Telemetry): a large request with telemetry | reads it beside what is served | 200, a little later | nothing
    #[tokio::test]
    async fn what_programs_send_is_read_beside_what_is_served() {
        let intake = intake(&Sender::default());
        let this = thread::current().id();
        for (by, is_here) in [(By::Key, false), (By::Page, true)] {
            let (told, thread) = mpsc::channel();
            let message = move || {
                told.send(thread::current().id()).unwrap();
                Ok(Bytes::from_static(b"{}"))
            };
            intake.take(lines(&intake, by), message).await.unwrap();
            assert_eq!(thread.try_recv().unwrap() == this, is_here, "{by:?}");
        }
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_has_its_turn_until_it_is_read() {
        let intake = intake(&Sender::default());
        let (go_on, waits) = mpsc::channel::<()>();
        let message = move || {
            // It fails once the other end is gone.
            let _ = waits.recv();
            Ok(Bytes::from_static(b"{}"))
        };
        let mut given_up = Box::pin(intake.take(lines(&intake, By::Key), message));
        assert!(futures_util::poll!(&mut given_up).is_pending());
        drop(given_up);
        let turns = intake.keyed.clone();
        assert_eq!(turns.available_permits(), limits::INTAKE_AT_ONCE - 1);
        drop(go_on);
        let all = u32::try_from(limits::INTAKE_AT_ONCE).unwrap();
        drop(timeout(Duration::from_secs(60), turns.acquire_many(all)).await.unwrap().unwrap());
    }

    #[test]
    fn no_more_are_read_at_once_than_may_be() {
        let intake = intake(&Sender::default());
        let turns: Vec<_> = (0..limits::INTAKE_AT_ONCE).map(|_| intake.turn(By::Key)).collect();
        assert!(turns.iter().all(Result::is_ok));
        assert_eq!(intake.turn(By::Key).unwrap_err().kind, Kind::Busy);
        // Pages have places of their own.
        assert!(intake.turn(By::Page).is_ok());
        drop(turns);
        assert!(intake.turn(By::Key).is_ok());
    }

    #[test]
    fn the_key_is_what_the_file_says_and_no_key_is_none() {
        let sender = Sender::default();
        assert!(intake(&sender).is_key("0123456789abcdef"));
        assert!(!intake(&sender).is_key("0123456789abcde"));
        let keyless = Intake { key: None, ..intake(&sender) };
        assert!(!keyless.is_key(""));
    }

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn a_request_says_what_it_is_written_in() {
        let of = |kind| encoding(&headers(CONTENT_TYPE, kind)).map_err(|failure| failure.kind);
        assert_eq!(of("application/x-protobuf"), Ok(Encoding::Protobuf));
        assert_eq!(of("Application/JSON; charset=utf-8"), Ok(Encoding::Json));
        assert_eq!(of("text/plain"), Err(Kind::MediaType));
        assert_eq!(encoding(&HeaderMap::new()).unwrap_err().kind, Kind::MediaType);
        let of =
            |coding| is_gzip(&headers(CONTENT_ENCODING, coding)).map_err(|failure| failure.kind);
        assert_eq!((of("gzip"), of("identity")), (Ok(true), Ok(false)));
        assert_eq!(of("br"), Err(Kind::MediaType));
        assert!(!is_gzip(&HeaderMap::new()).unwrap());
    }
}
