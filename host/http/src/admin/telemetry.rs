//! What was collected, over HTTP: lists in pages or as they go on, one trace, figures.
//!
//! It reads what is asked for, and says in JSON what the [`Reader`] answers. A word that is not known is refused, so that
//! a filter that was written wrong is not taken for one that finds everything.

mod asked;
mod follow;

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::WasiBody;

pub(super) use self::asked::{Asked, Exported};
pub(super) use self::follow::answer as lines;
use super::recordings::{Link, Recordings};
use super::{json, malformed, reads};
use wasm_host_capabilities::body::full;
use wasm_host_collector::{Format, ReadError, Reader, TraceDetail, prometheus};
use wasm_host_limits::telemetry::SEARCH_ITEMS;
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_telemetry::metrics::Reading;

/// What the control plane can be asked about.
pub struct Seen {
    pub reader: Reader,
    pub recordings: Arc<dyn Recordings>,
}

/// A trace with what was recorded of it.
#[derive(Serialize)]
struct Detail {
    #[serde(flatten)]
    trace: TraceDetail,
    recording: Option<Link>,
}

impl Seen {
    /// Answer what is below `/api/`. None: there is nothing of that name here.
    pub(super) async fn answer<B>(
        &self,
        steps: &[&str],
        request: &Request<B>,
        stopping: &CancellationToken,
    ) -> Result<Option<Response<WasiBody>>, Failure> {
        let query = request.uri().query();
        if let (["telemetry"], &Method::DELETE) = (steps, request.method()) {
            let mut asked = Asked::of(query)?;
            let service = asked.one("service");
            asked.nothing_else()?;
            self.recordings.clear(service.as_deref()).await?;
            self.reader.clear(service.as_deref()).await.map_err(failure)?;
            return Ok(Some(json(StatusCode::OK, &serde_json::json!({}))));
        }
        reads(request)?;
        let mut asked = Asked::of(query)?;
        let response = match steps {
            ["logs"] => {
                let follows = asked.follows()?;
                let query = asked.logs()?;
                match follows {
                    true => follow::logs(&self.reader, query, stopping).await?,
                    false => answer(self.reader.logs(&query).await)?,
                }
            }
            ["traces"] => {
                let follows = asked.follows()?;
                let query = asked.traces()?;
                match follows {
                    true => follow::traces(&self.reader, query, stopping).await?,
                    false => answer(self.reader.traces(&query).await)?,
                }
            }
            ["traces", id] => {
                asked.nothing_else()?;
                let id = id.parse().map_err(|_| malformed("A trace has 32 digits."))?;
                match self.reader.trace(id).await.map_err(failure)? {
                    Some(trace) => {
                        let recording = self.recordings.of_trace(&trace.trace);
                        json(StatusCode::OK, &Detail { trace, recording })
                    }
                    None => {
                        let why = format!("The trace {id} is not kept, or no longer.");
                        return Err(Failure::new(Kind::NoRoute, why));
                    }
                }
            }
            ["metrics"] => {
                asked.nothing_else()?;
                answer(self.reader.instruments().await)?
            }
            ["metrics", name] => {
                let query = asked.series()?;
                let Some(series) = self.reader.series(name, &query).await.map_err(failure)? else {
                    let why = format!("There is no figure {name}; /api/metrics names all.");
                    return Err(Failure::new(Kind::NoRoute, why));
                };
                json(StatusCode::OK, &series)
            }
            ["search"] => {
                let words = asked.one("q").unwrap_or_default();
                let limit = asked.number("limit")?.or(Some(SEARCH_ITEMS));
                asked.nothing_else()?;
                answer(self.reader.search(&words, limit).await)?
            }
            _ => return Ok(None),
        };
        Ok(Some(response))
    }
}

/// All figures, as Prometheus reads them.
pub(super) fn metrics<B>(readings: &[Reading], request: &Request<B>) -> Response<WasiBody> {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let mut response = Response::new(full(prometheus(readings, format)));
    let kind = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn answer(answer: Result<impl Serialize, ReadError>) -> Result<Response<WasiBody>, Failure> {
    answer.map(|answer| json(StatusCode::OK, &answer)).map_err(failure)
}

pub(super) fn failure(error: ReadError) -> Failure {
    let kind = match &error {
        ReadError::Cursor => Kind::Malformed,
        ReadError::Late => Kind::Busy,
        ReadError::Store(_) | ReadError::Ended | ReadError::Clear(_) => Kind::Internal,
    };
    Failure::new(kind, format!("{error}."))
}
