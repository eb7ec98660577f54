//! A static service: the files of one folder.
//!
//! `tower-http` does what HTTP asks of a file server: ETag, Last-Modified, conditional and range requests,
//! HEAD, and the compressed copy beside a file. This file decides what may be served, what a single-page application
//! falls back to, and how long a browser may keep it. Nothing outside the folder is served, whatever
//! links lie in it.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Empty};
use rustix::io::Errno;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tower_http::services::ServeFile;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::failure::{Failure, Kind};
use crate::http::health;
use crate::limits::SERVICE_QUEUE_TIMEOUT;
use crate::limits::http as limits;
use crate::percent;

/// The file that answers for a folder, and for every page of a single-page application.
const INDEX: &str = "index.html";

/// Length of the hash in a file name that says "the content never changes under this name".
const HASH_CHARACTERS: usize = 8;

/// One folder of files.
pub struct Files {
    service: String,
    /// Canonical: without links.
    folder: PathBuf,
    /// A permit for each file that is being sent.
    sent: Arc<Semaphore>,
    /// A permit for each request that waits for one.
    line: Semaphore,
}

impl Files {
    pub fn new(service: &str, folder: &Path) -> std::io::Result<Self> {
        let sent = Arc::new(Semaphore::new(limits::FILES));
        let line = Semaphore::new(limits::FILES_QUEUE);
        Ok(Self { service: service.to_string(), folder: folder.canonicalize()?, sent, line })
    }

    /// Serve `path`, what the route left of the request's path.
    pub async fn serve<B>(
        &self,
        request: &Request<B>,
        path: &str,
    ) -> Result<Response<WasiBody>, Failure> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Err(Failure::new(Kind::MethodNotAllowed, "Files are read with GET and HEAD."));
        }
        if let Some(found) = self.find(path).await {
            return self.send(request, found).await;
        }
        if matches!(path, "/health" | "/alive") {
            return Ok(health::healthy(&self.service, "static"));
        }
        match self.find("/").await {
            Some(index) if wants_page(request, path) => self.send(request, index).await,
            _ => Err(Failure::new(Kind::NoFile, format!("There is no file {path}."))),
        }
    }

    /// The file for a path, if there is one inside the folder.
    async fn find(&self, path: &str) -> Option<Found> {
        let (folder, relative) = (self.folder.clone(), relative(path)?);
        // All of it on one visit to the threads that may wait for a disk: each visit costs more than a look
        // at a file that is in memory.
        tokio::task::spawn_blocking(move || Found::below(&folder, &relative)).await.ok()?
    }

    /// Leave to send one file.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(permit) = self.sent.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _place = self.line.try_acquire().map_err(|_| busy())?;
        let permit = self.sent.clone().acquire_owned();
        let permit = timeout(SERVICE_QUEUE_TIMEOUT.default, permit).await;
        permit.ok().and_then(Result::ok).ok_or_else(busy)
    }

    async fn send<B>(
        &self,
        request: &Request<B>,
        found: Found,
    ) -> Result<Response<WasiBody>, Failure> {
        let mut plain = Request::new(Empty::<Bytes>::new());
        *plain.method_mut() = request.method().clone();
        *plain.uri_mut() = request.uri().clone();
        *plain.headers_mut() = request.headers().clone();
        let mut service = ServeFile::new(&found.file).with_buf_chunk_size(limits::FILE_CHUNK_BYTES);
        if found.has_br {
            service = service.precompressed_br();
        }
        if found.has_gz {
            service = service.precompressed_gzip();
        }
        let permit = self.permit().await?;
        let response = service.try_call(plain).await.map_err(|error| unreadable(&error))?;
        let mut response = response.map(|body| {
            let explain = move |error: std::io::Error| {
                // What the body owns is held until its end.
                let _held = &permit;
                Error::InternalError(Some(error.to_string()))
            };
            body.map_err(explain).boxed_unsync()
        });
        let cache =
            if is_hashed(&found.file) { "public, max-age=31536000, immutable" } else { "no-cache" };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(response)
    }
}

/// A file that may be served.
struct Found {
    file: PathBuf,
    /// Compressed copies are beside it, in the folder as well.
    has_br: bool,
    has_gz: bool,
}

impl Found {
    fn below(folder: &Path, relative: &Path) -> Option<Self> {
        let mut file = folder.join(relative);
        if file.metadata().ok()?.is_dir() {
            file.push(INDEX);
        }
        let file = file.canonicalize().ok()?;
        if !file.starts_with(folder) || !file.metadata().ok()?.is_file() {
            return None;
        }
        let has = |extension: &str| {
            let mut copy = file.as_os_str().to_owned();
            copy.push(extension);
            PathBuf::from(copy).canonicalize().is_ok_and(|copy| copy.starts_with(folder))
        };
        let (has_br, has_gz) = (has(".br"), has(".gz"));
        Some(Self { file, has_br, has_gz })
    }
}

fn busy() -> Failure {
    Failure::new(Kind::Busy, "The host is busy; try again in a moment.")
}

/// A machine that is out of descriptors has some again in a moment; anything else is a fault.
fn unreadable(error: &std::io::Error) -> Failure {
    let failure = match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => busy(),
        _ => Failure::new(Kind::Internal, "The file cannot be read."),
    };
    failure.because(error)
}

/// The path below the folder that a request's path names, or none if it tries to leave it.
fn relative(path: &str) -> Option<PathBuf> {
    let decoded = percent::decoded(path.trim_start_matches('/'))?;
    if decoded.contains(['\0', '\\']) {
        return None;
    }
    let relative = PathBuf::from(decoded);
    let mut parts = relative.components();
    let plain = parts.all(|part| match part {
        // Files that begin with a dot are settings, not pages.
        Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
        _ => false,
    });
    plain.then_some(relative)
}

/// Whether a path that is no file is a page that the application itself routes to.
fn wants_page<B>(request: &Request<B>, path: &str) -> bool {
    let accepts_html = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let last = path.rsplit('/').next().unwrap_or_default();
    accepts_html && !last.contains('.')
}

/// Whether a build tool named the file after its content: `assets/index-Bx3kQ9aZ.js`.
fn is_hashed(file: &Path) -> bool {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    // `index-Bx3kQ9aZ`, but not `apple-touch-icon` or `index-deferred`.
    let Some(hash) = stem.len().checked_sub(HASH_CHARACTERS).and_then(|at| stem.get(at..)) else {
        return false;
    };
    let separated = stem.strip_suffix(hash).is_some_and(|name| name.ends_with(['-', '.']));
    let mixed = hash.chars().any(|character| character.is_ascii_digit())
        || (hash.chars().any(|character| character.is_ascii_uppercase())
            && hash.chars().any(|character| character.is_ascii_lowercase()));
    let in_assets = file.parent().and_then(Path::file_name).is_some_and(|name| name == "assets");
    in_assets
        && separated
        && mixed
        && hash
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_".contains(character))
}

#[cfg(test)]
mod tests;
