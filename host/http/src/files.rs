//! A static service: the files of one folder.
//!
//! This file decides what may be served, what a single-page application falls back to, and how long a browser may keep
//! it. What HTTP asks of a file server is beside it, a rule in each file: which copy ([`accept`]), which type
//! ([`kind`]), how it is recognised later ([`tag`]), whether the client has it already ([`conditions`]), and how much
//! of it is sent ([`range`], [`content`]). Files that are sent are admitted as requests of components are. Nothing outside the folder is served, whatever links lie in it.

mod accept;
mod conditions;
mod content;
mod found;
pub(crate) mod kind;
mod range;
mod tag;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use httpdate::HttpDate;
use rustix::io::Errno;

use self::conditions::ConditionOutcome;
use self::content::Content;
use self::found::{Found, relative};
use self::range::Part;
use self::tag::Tags;
use crate::health;
use wasm_host_capabilities::body::{Body, full};
use wasm_host_service::admission::Permit;
use wasm_host_service::failure::respond::status;
use wasm_host_service::failure::{Failure, Kind, Source};
use wasm_host_service::traffic::{Ending, Traffic};
use wasm_host_telemetry::trace::{RequestEnd, Trace};

/// Under a name that follows from its content: it is never asked for again.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// To be kept, and asked for each time whether it has changed.
const ASK_AGAIN: &str = "no-cache";

/// One folder of files.
pub struct Files {
    service: Arc<str>,
    folder: Arc<Path>,
    tags: Arc<Tags>,
    traffic: Arc<Traffic>,
}

/// A file that is open, and what its answer says of it.
struct Opened {
    file: File,
    bytes: u64,
    /// None for times that HTTP cannot write.
    modified: Option<HttpDate>,
    tag: Option<HeaderValue>,
}

// === impl Files ===

impl Files {
    /// `folder` may be a link, or lie behind one, that leads elsewhere later on: it is followed for each request.
    pub fn new(service: &str, folder: &Path, traffic: Traffic) -> io::Result<Self> {
        std::fs::read_dir(folder)?;
        Ok(Self {
            service: service.into(),
            folder: std::path::absolute(folder)?.into(),
            tags: Arc::default(),
            traffic: Arc::new(traffic),
        })
    }

    /// Its requests: how many there are, and what became of them.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Serve `path`, what the route left of the request's path.
    pub async fn serve<B>(
        &self,
        request: &Request<B>,
        path: &str,
        trace: Option<Trace>,
    ) -> Result<Response<Body>, Failure> {
        let (traffic, permit) = (self.traffic.clone(), None);
        let seen =
            trace.map(|trace| RequestTrace { trace, service: self.service.clone(), status: None });
        let mut in_flight =
            Some(InFlightRequest { traffic, ending: Some(Ending::Left), permit, seen });
        let answer = self.answer(request, path, &mut in_flight).await;
        // A file that is sent takes it along.
        if let Some(mut in_flight) = in_flight {
            in_flight.answered(match &answer {
                Ok(response) => response.status(),
                Err(failure) => status(failure.kind).0,
            });
            in_flight.ending = match &answer {
                Err(failure) if failure.kind == Kind::Busy => Some(Ending::Refused),
                Err(failure) if failure.kind.source() != Source::Client => Some(Ending::Failed),
                _ => Some(Ending::Whole),
            };
        }
        answer
    }

    async fn answer<B>(
        &self,
        request: &Request<B>,
        path: &str,
        in_flight: &mut Option<InFlightRequest>,
    ) -> Result<Response<Body>, Failure> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Err(Failure::new(Kind::MethodNotAllowed, "Files are read with GET and HEAD."));
        }
        let Some(relative) = relative(path) else { return Err(no_file(path)) };
        let folder = self.folder.clone();
        let takes_page = accept::takes_page(request.headers());
        // All of it on one visit to the threads that may wait for a disk: each visit costs more than a look
        // at a file that is in memory.
        let find = move || {
            let found = Found::below(&folder, &relative);
            found.or_else(|| takes_page.then(|| Found::page_for(&folder, &relative)).flatten())
        };
        match tokio::task::spawn_blocking(find).await.ok().flatten() {
            Some(found) if found.of_folder && !request.uri().path().ends_with('/') => {
                into_folder(request)
            }
            Some(found) => self.send(request, path, found, in_flight).await,
            None if matches!(path, "/health" | "/alive") => {
                Ok(health::healthy(&self.service, "static"))
            }
            None => Err(no_file(path)),
        }
    }

    async fn send<B>(
        &self,
        request: &Request<B>,
        path: &str,
        found: Found,
        in_flight: &mut Option<InFlightRequest>,
    ) -> Result<Response<Body>, Failure> {
        let asked = request.headers();
        let coding = accept::coding(asked, &found.codings);
        let mut headers = HeaderMap::with_capacity(8);
        let cache = if found.is_hashed() { FOR_EVER } else { ASK_AGAIN };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        if let Some(vary) = vary(&found) {
            headers.insert(header::VARY, HeaderValue::from_static(vary));
        }
        let kind = kind::of(&found.file);
        let permit = self.traffic.admit(&self.service, false).await?;
        if let Some(in_flight) = in_flight {
            in_flight.permit = Some(permit);
        }
        let (tags, file) = (self.tags.clone(), found.with(coding));
        let opened = tokio::task::spawn_blocking(move || Opened::new(&file, &tags)).await;
        let opened = opened.unwrap_or_else(|error| Err(io::Error::other(error)));
        let opened = opened.map_err(|error| unreadable(path, &error))?;
        if let Some(tag) = &opened.tag {
            headers.insert(header::ETAG, tag.clone());
        }
        let modified = opened.modified.map(|date| HeaderValue::from_str(&date.to_string()));
        if let Some(Ok(modified)) = modified {
            headers.insert(header::LAST_MODIFIED, modified);
        }
        let is_head = request.method() == Method::HEAD;
        let verdict = conditions::judge(asked, opened.tag.as_ref(), opened.modified);
        let (status, first, bytes) = match verdict {
            ConditionOutcome::NotModified => return Ok(empty(StatusCode::NOT_MODIFIED, headers)),
            ConditionOutcome::Failed => {
                return Ok(refused(StatusCode::PRECONDITION_FAILED, headers));
            }
            ConditionOutcome::Send(_) if is_head => (StatusCode::OK, 0, opened.bytes),
            ConditionOutcome::Send(ranges) => match range::asked(asked, ranges, opened.bytes) {
                Part::Whole => (StatusCode::OK, 0, opened.bytes),
                Part::Of { first, last } => {
                    let range = format!("bytes {first}-{last}/{}", opened.bytes);
                    content_range(&mut headers, &range);
                    (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
                }
                Part::Beyond => {
                    content_range(&mut headers, &format!("bytes */{}", opened.bytes));
                    return Ok(refused(StatusCode::RANGE_NOT_SATISFIABLE, headers));
                }
            },
        };
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::CONTENT_LENGTH, bytes.into());
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        let body = match is_head {
            true => full(""),
            false => {
                let service = self.service.clone();
                if let Some(in_flight) = in_flight {
                    in_flight.answered(status);
                }
                Content::new(service, opened.file, first, bytes, in_flight.take()).boxed_unsync()
            }
        };
        Ok(answer(status, headers, body))
    }
}

/// A request on its way, counted when it is dropped.
struct InFlightRequest {
    traffic: Arc<Traffic>,
    /// None: it is not counted, as it was not admitted.
    ending: Option<Ending>,
    /// From the opening of its file on, to the end.
    permit: Option<Permit>,
    seen: Option<RequestTrace>,
}

/// What is seen of it.
struct RequestTrace {
    trace: Trace,
    service: Arc<str>,
    status: Option<StatusCode>,
}

impl InFlightRequest {
    /// There is an answer, a file perhaps still to come.
    fn answered(&mut self, status: StatusCode) {
        if let Some(seen) = &mut self.seen {
            seen.trace.answered();
            seen.status = Some(status);
        }
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        if let Some(ending) = self.ending {
            self.traffic.count(ending);
        }
        let Some(RequestTrace { trace, service, status }) = &self.seen else { return };
        let is_broken =
            self.ending == Some(Ending::Cut) && status.is_some_and(|it| it.is_success());
        trace.end(&RequestEnd {
            service: Some(service),
            status: status.map(|status| status.as_u16()),
            was_left: self.ending == Some(Ending::Left),
            error: is_broken.then_some("the file broke off".into()),
            ..RequestEnd::default()
        });
    }
}

// === impl Opened ===

impl Opened {
    fn new(path: &Path, tags: &Tags) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let tag = tags.of(&file, &metadata)?;
        let modified = metadata.modified().ok().and_then(conditions::date);
        Ok(Self { bytes: metadata.len(), file, modified, tag })
    }
}

/// To the same folder with a slash at its end: what its page names beside itself is then inside it. Relative, because
/// the host does not know what a proxy has taken from the front of the path.
fn into_folder<B>(request: &Request<B>) -> Result<Response<Body>, Failure> {
    let path = request.uri().path();
    let last = path.rsplit('/').next().unwrap_or_default();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    // The dot keeps `a:b/` from being a scheme.
    let location = HeaderValue::from_maybe_shared(bytes::Bytes::from(format!("./{last}/{query}")));
    let location = location.map_err(|_| no_file(path))?;
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(header::LOCATION, location);
    // Or a browser would keep to it for ever, also when something else answers here.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(ASK_AGAIN));
    Ok(empty(StatusCode::MOVED_PERMANENTLY, headers))
}

/// What of a request the choice of this answer depended on.
fn vary(found: &Found) -> Option<&'static str> {
    match (found.codings.is_empty(), found.is_fallback) {
        (true, false) => None,
        (false, false) => Some("accept-encoding"),
        (true, true) => Some("accept"),
        (false, true) => Some("accept-encoding, accept"),
    }
}

fn content_range(headers: &mut HeaderMap, range: &str) {
    if let Ok(range) = HeaderValue::from_str(range) {
        headers.insert(header::CONTENT_RANGE, range);
    }
}

/// Not what was asked for, and so not to be kept for ever.
fn refused(status: StatusCode, mut headers: HeaderMap) -> Response<Body> {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(ASK_AGAIN));
    empty(status, headers)
}

fn empty(status: StatusCode, headers: HeaderMap) -> Response<Body> {
    answer(status, headers, full(""))
}

fn answer(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn no_file(path: &str) -> Failure {
    Failure::new(Kind::NoFile, format!("There is no file {path}."))
}

/// A machine that is out of descriptors has some again in a moment, and a file may have been removed since it was
/// found; anything else is a fault.
fn unreadable(path: &str, error: &io::Error) -> Failure {
    let failure = match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
            Failure::new(Kind::Busy, "The host is busy; try again in a moment.")
        }
        _ if error.kind() == io::ErrorKind::NotFound => no_file(path),
        _ => Failure::new(Kind::Internal, "The file cannot be read."),
    };
    failure.because(error)
}

#[cfg(test)]
mod tests;
