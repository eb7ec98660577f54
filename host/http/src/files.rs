//! A static service: the files of one folder.
//!
//! This file decides what may be served, what a single-page application falls back to, and how long a browser may keep
//! it. What HTTP asks of a file server is beside it, a rule in each file: which copy ([`accept`]), which type
//! ([`kind`]), how it is recognised later ([`tag`]), whether the client has it already ([`conditions`]), and how much
//! of it is sent ([`range`], [`content`]). Small ones are sent from memory ([`kept`]). Files that are sent are admitted
//! as requests of components are. Nothing outside the folder is served, whatever links lie in it.

mod accept;
mod conditions;
mod content;
mod found;
mod kept;
pub(crate) mod kind;
mod range;
mod tag;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use httpdate::HttpDate;
use rustix::io::Errno;

use self::accept::Coding;
use self::conditions::ConditionOutcome;
use self::content::{Content, Ready};
use self::found::{Found, relative};
pub use self::kept::KeptFiles;
use self::kept::{Facts, KeptContent, KeptFolder};
use self::range::Part;
use self::tag::{Identity, Tags};
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
    kept: Arc<KeptFolder>,
    traffic: Arc<Traffic>,
}

/// A file that is open or read, and what its answer says of it.
struct Opened {
    facts: Facts,
    content: FileBytes,
}

/// Where the bytes of a file come from.
enum FileBytes {
    Disk(File),
    Memory(Bytes),
}

// === impl Files ===

impl Files {
    /// `folder` may be a link, or lie behind one, that leads elsewhere later on: it is followed for each request.
    /// Small files of it are kept among the others in `kept`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn new(
        service: &str,
        folder: &Path,
        traffic: Traffic,
        kept: Arc<KeptFiles>,
    ) -> io::Result<Self> {
        std::fs::read_dir(folder)?;
        Ok(Self {
            service: service.into(),
            folder: std::path::absolute(folder)?.into(),
            tags: Arc::default(),
            kept: Arc::new(KeptFolder::new(kept)),
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
        if let Some(answer) = self.find_in_memory(request, &relative, in_flight).await? {
            return Ok(answer);
        }
        let (folder, named) = (self.folder.clone(), relative.clone());
        let takes_page = accept::takes_page(request.headers());
        // All of it on one visit to the threads that may wait for a disk: each visit costs more than a look
        // at a file that is in memory.
        let find = move || {
            let found = Found::below(&folder, &named);
            found.or_else(|| takes_page.then(|| Found::page_for(&folder, &named)).flatten())
        };
        match tokio::task::spawn_blocking(find).await.ok().flatten() {
            Some(found) if found.of_folder && !request.uri().path().ends_with('/') => {
                into_folder(request)
            }
            Some(found) => {
                let opened = self.open(request, path, relative, found, in_flight).await?;
                Ok(self.respond(request, opened.facts, opened.content, in_flight))
            }
            None if matches!(path, "/health" | "/alive") => {
                Ok(health::healthy(&self.service, "static"))
            }
            None => Err(no_file(path)),
        }
    }

    /// The answer, if the file is in memory and is still what the path leads to.
    async fn find_in_memory<B>(
        &self,
        request: &Request<B>,
        relative: &Path,
        in_flight: &mut Option<InFlightRequest>,
    ) -> Result<Option<Response<Body>>, Failure> {
        let Some(kept) = self.kept.find(relative) else { return Ok(None) };
        let coding = accept::coding(request.headers(), kept.codings());
        let is_redirected = kept.of_folder && !request.uri().path().ends_with('/');
        if is_redirected || !kept.has(coding) {
            return Ok(None);
        }
        // Before the look at the file, which may change while this waits.
        self.admit(in_flight).await?;
        let Some(content) = kept.fresh(&self.folder, coding) else {
            self.kept.forget(relative);
            return Ok(None);
        };
        let (facts, bytes) = (content.facts.clone(), content.bytes.clone());
        Ok(Some(self.respond(request, facts, FileBytes::Memory(bytes), in_flight)))
    }

    async fn admit(&self, in_flight: &mut Option<InFlightRequest>) -> Result<(), Failure> {
        if let Some(in_flight) = in_flight.as_mut().filter(|it| it.permit.is_none()) {
            in_flight.permit = Some(self.traffic.admit(&self.service, false).await?);
        }
        Ok(())
    }

    async fn open<B>(
        &self,
        request: &Request<B>,
        path: &str,
        relative: PathBuf,
        found: Found,
        in_flight: &mut Option<InFlightRequest>,
    ) -> Result<Opened, Failure> {
        let coding = accept::coding(request.headers(), &found.codings);
        self.admit(in_flight).await?;
        let (tags, kept, folder) = (self.tags.clone(), self.kept.clone(), self.folder.clone());
        let open = move || {
            let (opened, identity) = Opened::new(&found, coding, &tags, &kept)?;
            if let (FileBytes::Memory(bytes), Some(identity)) = (&opened.content, identity) {
                let (facts, bytes) = (opened.facts.clone(), bytes.clone());
                let content = KeptContent { identity, facts, bytes };
                kept.keep(&folder, &relative, &found, coding, content);
            }
            Ok(opened)
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let opened = opened.unwrap_or_else(|error| Err(io::Error::other(error)));
        opened.map_err(|error| unreadable(path, &error))
    }

    /// What of a file is sent, or why nothing is.
    fn respond<B>(
        &self,
        request: &Request<B>,
        facts: Facts,
        content: FileBytes,
        in_flight: &mut Option<InFlightRequest>,
    ) -> Response<Body> {
        let asked = request.headers();
        let Facts { mut headers, modified, bytes } = facts;
        let is_head = request.method() == Method::HEAD;
        let verdict = conditions::judge(asked, headers.get(header::ETAG), modified);
        let (status, first, count) = match verdict {
            ConditionOutcome::NotModified => {
                return empty(StatusCode::NOT_MODIFIED, without_content(headers));
            }
            ConditionOutcome::Failed => return refused(StatusCode::PRECONDITION_FAILED, headers),
            ConditionOutcome::Send(_) if is_head => (StatusCode::OK, 0, bytes),
            ConditionOutcome::Send(ranges) => match range::asked(asked, ranges, bytes) {
                Part::Whole => (StatusCode::OK, 0, bytes),
                Part::Of { first, last } => {
                    let count = last - first + 1;
                    content_range(&mut headers, &format!("bytes {first}-{last}/{bytes}"));
                    headers.insert(header::CONTENT_LENGTH, count.into());
                    (StatusCode::PARTIAL_CONTENT, first, count)
                }
                Part::Beyond => {
                    content_range(&mut headers, &format!("bytes */{bytes}"));
                    return refused(StatusCode::RANGE_NOT_SATISFIABLE, headers);
                }
            },
        };
        if is_head {
            return empty(status, headers);
        }
        if let Some(in_flight) = in_flight {
            in_flight.answered(status);
        }
        let in_flight = in_flight.take();
        let body = match content {
            FileBytes::Memory(bytes) => {
                Ready::new(part(bytes, first, count), in_flight).boxed_unsync()
            }
            FileBytes::Disk(file) => {
                Content::new(self.service.clone(), file, first, count, in_flight).boxed_unsync()
            }
        };
        answer(status, headers, body)
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
    /// With which file it is, if it may be kept.
    fn new(
        found: &Found,
        coding: Option<Coding>,
        tags: &Tags,
        kept: &KeptFolder,
    ) -> io::Result<(Self, Option<Identity>)> {
        let file = File::open(found.with(coding))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (identity, bytes) = (Identity::of(&metadata), metadata.len());
        let may_be_kept = kept.takes(&file, identity);
        let content = kept::read(&file, bytes)?;
        let tag = tags.of(&file, &metadata, content.as_deref())?;
        let modified = metadata.modified().ok().and_then(conditions::date);
        let facts =
            Facts { headers: headers(found, coding, tag, modified, bytes), modified, bytes };
        let content = content.map_or_else(|| FileBytes::Disk(file), FileBytes::Memory);
        Ok((Self { facts, content }, may_be_kept.then_some(identity)))
    }
}

/// What is said of a whole file that is sent.
fn headers(
    found: &Found,
    coding: Option<Coding>,
    tag: Option<HeaderValue>,
    modified: Option<HttpDate>,
    bytes: u64,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(10);
    let cache = if found.is_hashed() { FOR_EVER } else { ASK_AGAIN };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Some(vary) = vary(found) {
        headers.insert(header::VARY, HeaderValue::from_static(vary));
    }
    if let Some(tag) = tag {
        headers.insert(header::ETAG, tag);
    }
    let modified = modified.map(|date| HeaderValue::from_str(&date.to_string()));
    if let Some(Ok(modified)) = modified {
        headers.insert(header::LAST_MODIFIED, modified);
    }
    headers.insert(header::CONTENT_TYPE, kind::of(&found.file));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, bytes.into());
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    headers
}

/// What of them an answer has that sends nothing of the file.
fn without_content(mut headers: HeaderMap) -> HeaderMap {
    for name in [
        header::CONTENT_TYPE,
        header::X_CONTENT_TYPE_OPTIONS,
        header::ACCEPT_RANGES,
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
    ] {
        headers.remove(name);
    }
    headers
}

/// `count` of these bytes, from `first` on.
fn part(mut bytes: Bytes, first: u64, count: u64) -> Bytes {
    let within = |at: u64, most: usize| usize::try_from(at).unwrap_or(most).min(most);
    let mut part = bytes.split_off(within(first, bytes.len()));
    part.truncate(within(count, part.len()));
    part
}

/// To the same folder with a slash at its end: what its page names beside itself is then inside it. Relative, because
/// the host does not know what a proxy has taken from the front of the path.
fn into_folder<B>(request: &Request<B>) -> Result<Response<Body>, Failure> {
    let path = request.uri().path();
    let last = path.rsplit('/').next().unwrap_or_default();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    // The dot keeps `a:b/` from being a scheme.
    let location = HeaderValue::from_maybe_shared(Bytes::from(format!("./{last}/{query}")));
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
fn refused(status: StatusCode, headers: HeaderMap) -> Response<Body> {
    let mut headers = without_content(headers);
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
