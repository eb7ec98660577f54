//! Requests that are recorded while the host runs: what is ordered, what is kept, and the case files that are made of it.

use std::future::Future;
use std::pin::Pin;

use http::{HeaderValue, Method, Request, Response, header};
use serde::{Deserialize, Serialize};

use super::{body, json, malformed, reads, writes};
use http::StatusCode;
use wasm_host_capabilities::body::{Body, full};
use wasm_host_limits as limits;
use wasm_host_service::failure::{Failure, Kind};

/// Records requests. Implemented by the part that knows how.
pub trait Recordings: Send + Sync {
    fn list(&self) -> List;
    /// The recording that belongs to a trace.
    fn of_trace(&self, trace: &str) -> Option<Link>;
    /// Keep the next requests of a service.
    ///
    /// # Errors
    /// There is no such service, or it is none that can be recorded.
    fn start(&self, order: &Order) -> Result<Ordered, Failure>;
    /// Keep no more of them.
    ///
    /// # Errors
    /// There is no such service.
    fn stop(&self, service: &str) -> Result<(), Failure>;
    /// The case of a recording, as a file has it.
    fn case<'a>(&'a self, id: &'a str) -> RecordingsFuture<'a, String>;
    /// Write it to a case file, below the application's folder. Returns where.
    fn save<'a>(&'a self, id: &'a str, folder: Option<&'a str>) -> RecordingsFuture<'a, String>;
    /// Forget what is kept, of all services or of one.
    fn clear<'a>(&'a self, service: Option<&'a str>) -> RecordingsFuture<'a, ()>;
}

pub type RecordingsFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Which requests are to be kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub service: String,
    pub requests: usize,
    #[serde(default)]
    pub only: Only,
}

/// Of the requests that come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    #[default]
    All,
    /// Those that were not answered, or with a status of 500 or above, or not to the end.
    Failures,
}

/// What is being recorded, and what was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct List {
    pub recording: Vec<Ordered>,
    /// Newest first.
    pub items: Vec<Recording>,
}

/// What is still to be kept of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ordered {
    pub service: String,
    /// Requests.
    pub left: usize,
    pub only: Only,
    /// Microseconds since 1970.
    pub since: u64,
    /// When it ends, although not all were there.
    pub until: u64,
}

/// A recorded request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recording {
    pub id: String,
    /// When the request came, in microseconds since 1970.
    pub time: u64,
    pub service: String,
    /// None: telemetry is off.
    pub trace: Option<String>,
    /// Method and path.
    pub name: String,
    /// None: its client left before there was one.
    pub status: Option<u16>,
    /// It failed.
    pub error: bool,
    /// The last case file that was made of it.
    pub file: Option<String>,
}

/// The recording of a trace.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    pub id: String,
}

/// Where a case file was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    pub file: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Save {
    folder: Option<String>,
}

/// Answer what is below `/api/recordings`.
pub(super) async fn answer<B>(
    recordings: &dyn Recordings,
    steps: &[&str],
    request: Request<B>,
) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = bytes::Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    match (steps, request.method()) {
        ([], &Method::POST) => {
            let order: Order = read(request).await?;
            if !(1..=limits::record::ORDERED).contains(&order.requests) {
                let most = limits::record::ORDERED;
                return Err(malformed(format!("`requests` is a number from 1 to {most}.")));
            }
            Ok(json(StatusCode::OK, &recordings.start(&order)?))
        }
        ([], _) => {
            reads(&request)?;
            Ok(json(StatusCode::OK, &recordings.list()))
        }
        ([service], &Method::DELETE) => {
            recordings.stop(service)?;
            Ok(json(StatusCode::OK, &serde_json::json!({})))
        }
        ([id], _) => {
            reads(&request)?;
            let mut response = Response::new(full(recordings.case(id).await?));
            let headers = response.headers_mut();
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, text);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(response)
        }
        ([id, "save"], _) => {
            writes(&request)?;
            let Save { folder } = read(request).await?;
            let file = recordings.save(id, folder.as_deref()).await?;
            Ok(json(StatusCode::OK, &Saved { file }))
        }
        _ => {
            let path = request.uri().path();
            Err(Failure::new(
                Kind::NoRoute,
                format!("There is no {path}; there are /api/recordings, ID and ID/save below it."),
            ))
        }
    }
}

/// What is asked for. Nothing is an object without members.
async fn read<B, T: for<'de> Deserialize<'de>>(request: Request<B>) -> Result<T, Failure>
where
    B: http_body::Body<Data = bytes::Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut bytes = body::read(request.into_body(), limits::ADMIN_JSON_BYTES).await?;
    if bytes.is_empty() {
        bytes.extend_from_slice(b"{}");
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| malformed(format!("The body is wrong: {error}.")))
}
