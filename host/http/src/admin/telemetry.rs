//! What was collected, over HTTP: lists in pages or as they go on, one trace, figures.
//!
//! It reads what is asked for, and says in JSON what the [`Reader`] answers. A word that is not known is refused, so that
//! a filter that was written wrong is not taken for one that finds everything.

mod asked;
mod follow;
mod kept;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

pub(super) use self::asked::{Exported, QueryWords};
pub(super) use self::follow::answer as lines;
pub use self::kept::StoppedHost;
use super::recordings::{Link, Recordings};
use super::{json, malformed, reads};
use wasm_host_capabilities::body::Body;
use wasm_host_collector::{Format, ReadError, Reader, TraceDetail, prometheus};
use wasm_host_limits::telemetry as limits;
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_telemetry::metrics::Reading;

/// What the control plane can be asked about.
pub struct TelemetrySources {
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

impl TelemetrySources {
    /// Answer what is below `/api/`. None: there is nothing of that name here.
    pub(super) async fn answer<B>(
        &self,
        steps: &[&str],
        request: &Request<B>,
        stopping: &CancellationToken,
    ) -> Result<Option<Response<Body>>, Failure> {
        let query = request.uri().query();
        if let (["telemetry"], &Method::DELETE) = (steps, request.method()) {
            let mut asked = QueryWords::of(query)?;
            let service = asked.one("service");
            asked.nothing_else()?;
            self.recordings.clear(service.as_deref()).await?;
            self.reader.clear(service.as_deref()).await.map_err(failure)?;
            return Ok(Some(json(StatusCode::OK, &serde_json::json!({}))));
        }
        reads(request)?;
        let asked = QueryWords::of(query)?;
        let recording = |trace: &str| self.recordings.of_trace(trace);
        read(&self.reader, recording, steps, asked, Some(stopping)).await
    }
}

/// What is asked for, of what was collected. `stopping`: what ends a list that goes on; without it there is none.
/// None: there is nothing of that name here.
async fn read(
    reader: &Reader,
    recording: impl Fn(&str) -> Option<Link>,
    steps: &[&str],
    mut asked: QueryWords,
    stopping: Option<&CancellationToken>,
) -> Result<Option<Response<Body>>, Failure> {
    let stopping = || stopping.ok_or_else(|| malformed("Without a host nothing goes on."));
    let response = match steps {
        ["logs"] => {
            let follows = asked.follows()?;
            let query = asked.logs()?;
            goes_on(follows, query.before.is_some(), query.until.is_some())?;
            match follows {
                true => follow::logs(reader, query, stopping()?).await?,
                false => answer(reader.logs(&query).await)?,
            }
        }
        ["traces"] => {
            let follows = asked.follows()?;
            let query = asked.traces()?;
            goes_on(follows, query.before.is_some(), query.until.is_some())?;
            match follows {
                true => follow::traces(reader, query, stopping()?).await?,
                false => answer(reader.traces(&query).await)?,
            }
        }
        ["traces", id] => {
            asked.nothing_else()?;
            let id = id.parse().map_err(|_| malformed("A trace has 32 digits."))?;
            match reader.trace(id).await.map_err(failure)? {
                Some(trace) => {
                    let recording = recording(&trace.trace);
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
            answer(reader.instruments().await)?
        }
        ["metrics", name] => {
            let query = asked.series()?;
            let Some(series) = reader.series(name, &query).await.map_err(failure)? else {
                let why = format!("There is no figure {name}; /api/metrics names all.");
                return Err(Failure::new(Kind::NoRoute, why));
            };
            json(StatusCode::OK, &series)
        }
        ["search"] => {
            let words = asked.words("q")?.unwrap_or_default();
            let limit = asked.number("limit", limits::PAGE_MAX)?;
            asked.nothing_else()?;
            answer(reader.search(&words, limit.or(Some(limits::SEARCH_ITEMS))).await)?
        }
        _ => return Ok(None),
    };
    Ok(Some(response))
}

/// A list that goes on begins with the newest, and has no end that could be asked for.
fn goes_on(follows: bool, has_before: bool, has_until: bool) -> Result<(), Failure> {
    let given = [("before", has_before), ("until", has_until)];
    match given.into_iter().find(|(_, is_given)| follows && *is_given) {
        Some((word, _)) => {
            Err(malformed(format!("A list that is followed has no {word}: it has no end.")))
        }
        None => Ok(()),
    }
}

/// All figures, as Prometheus reads them, made while they are read. `turn` is held until then.
pub(super) fn metrics<B>(
    readings: Vec<Reading>,
    turn: OwnedSemaphorePermit,
    request: &Request<B>,
) -> Response<Body> {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let pieces = prometheus(readings, format).map(move |piece| {
        let _held = &turn;
        Ok::<_, Infallible>(Frame::data(Bytes::from(piece)))
    });
    let body = StreamBody::new(stream::iter(pieces));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    let kind = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn answer(answer: Result<impl Serialize, ReadError>) -> Result<Response<Body>, Failure> {
    answer.map(|answer| json(StatusCode::OK, &answer)).map_err(failure)
}

pub(super) fn failure(error: ReadError) -> Failure {
    let kind = match &error {
        ReadError::Cursor | ReadError::Dimension { .. } => Kind::Malformed,
        ReadError::Late => Kind::Busy,
        ReadError::Store(_) | ReadError::Ended | ReadError::Clear(_) => Kind::Internal,
    };
    Failure::new(kind, format!("{error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_with_all_figures_has_its_turn_until_it_is_read_or_given_up() {
        let turns = Arc::new(tokio::sync::Semaphore::new(1));
        let asked = Request::new(());
        for is_read in [true, false] {
            let turn = turns.clone().try_acquire_owned().unwrap();
            let response = metrics(Vec::new(), turn, &asked);
            assert_eq!(turns.available_permits(), 0);
            match is_read {
                true => drop(response.into_body().collect().await),
                false => drop(response),
            }
            assert_eq!(turns.available_permits(), 1);
        }
    }

    #[test]
    fn what_a_followed_list_cannot_obey_is_refused() {
        assert!(goes_on(true, false, false).is_ok() && goes_on(false, true, true).is_ok());
        for (has_before, has_until, word) in [(true, false, "before"), (false, true, "until")] {
            let why = goes_on(true, has_before, has_until).unwrap_err();
            assert_eq!(why.kind, Kind::Malformed);
            assert!(why.public.contains(word), "{}", why.public);
        }
    }
}
