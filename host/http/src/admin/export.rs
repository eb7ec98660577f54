//! All that is kept, and what runs, as one file for somebody else to look into.
//!
//! It is read from the store page by page and compressed while it is sent, so that it is never in memory as a whole.
//! What is in it, the control plane's other answers tell, too: no secret is in them.

mod archive;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use wasm_host_capabilities::body::Body;
use wasm_host_capabilities::outgoing::HttpError as Error;

use self::archive::Archive;
use super::telemetry::{Exported, QueryWords};
use super::{Admin, Status};
use wasm_host_collector::{
    FigureItem, FigureQuery, LogItem, LogQuery, PageStart, ReadError, Reader, TraceQuery,
    WholeTrace,
};
use wasm_host_limits::show::{show_duration, show_size};
use wasm_host_limits::telemetry as limits;
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_settings::bounds::FixedBound;

const README: &str = include_str!("export/README.txt");

impl Admin {
    /// Everything of a time, and of one service where one is asked for.
    pub(super) fn export<B>(&self, request: &Request<B>) -> Result<Response<Body>, Failure> {
        let asked = QueryWords::of(request.uri().query())?.export()?;
        let (status, reader) = (self.status.clone(), self.seen.reader.clone());
        let export = Export { status, reader, asked, at: jiff::Timestamp::now() };
        export.answer(&self.exports, self.stopping.clone())
    }
}

/// With characters that every system has in names.
fn file_name(application: &str, at: jiff::Timestamp) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    let application: String =
        application.chars().map(|it| if plain(it) { it } else { '-' }).collect();
    format!("{application}-{}.zip", at.strftime("%Y%m%dT%H%M%SZ"))
}

/// One export, while it is made.
struct Export {
    status: Arc<dyn Status>,
    reader: Reader,
    asked: Exported,
    at: jiff::Timestamp,
}

/// How far a list goes.
#[derive(Clone, Copy)]
struct Bounds {
    until: Instant,
    bytes: u64,
}

/// What a list became.
#[derive(Default, Serialize)]
struct Written {
    /// Lines of the file.
    items: u64,
    /// Before they were compressed.
    bytes: u64,
    /// What is not there, and why. None: nothing.
    left_out: Option<String>,
}

impl Export {
    /// The file, which is made while the answer's body is read.
    fn answer(
        self,
        places: &Arc<Semaphore>,
        stopping: CancellationToken,
    ) -> Result<Response<Body>, Failure> {
        let Ok(place) = places.clone().try_acquire_owned() else {
            let why = "Another export is being made, and there is one at a time; try again later.";
            return Err(Failure::new(Kind::Busy, why));
        };
        let name = file_name(self.status.application(), self.at);
        let (sender, mut receiver) = mpsc::channel(1);
        let archive = Archive::new(self.at, sender);
        let making = async move {
            let _place = place;
            self.until(&stopping, archive).await
        };
        // A part of the body, so that it ends with it; and what goes wrong ends the body as an error.
        let failed = stream::once(making).filter_map(async |made| {
            let error = made.err()?;
            tracing::debug!("an export is not finished: {error:#}");
            Some(Err(Error::InternalError(Some(error.to_string()))))
        });
        let pieces = stream::poll_fn(move |context| receiver.poll_recv(context));
        let pieces = pieces.map(|piece| Ok(Frame::data(Bytes::from(piece))));
        let body = StreamBody::new(stream::select(pieces, failed));
        let mut response = Response::new(body.boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let attachment = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
        headers.extend(attachment.ok().map(|it| (header::CONTENT_DISPOSITION, it)));
        Ok(response)
    }

    /// Make it, unless the host stops before.
    async fn until(self, stopping: &CancellationToken, archive: Archive) -> Result<()> {
        tokio::select! {
            made = self.make(archive) => made,
            () = stopping.cancelled() => Err(anyhow!("the host stops")),
        }
    }

    async fn make(self, mut archive: Archive) -> Result<()> {
        let bounds = Bounds {
            until: Instant::now() + limits::ARCHIVE_TIME,
            bytes: limits::ARCHIVE_LIST_BYTES,
        };
        archive.file("README.txt", README.into()).await?;
        let resources = self.status.resources().await;
        archive.file("resources.json", pretty(&resources)).await?;
        for service in self.status.services() {
            let name = service.service;
            if self.asked.service.as_ref().is_some_and(|asked| *asked != name) {
                continue;
            }
            if let Some(described) = self.status.service(&name).await {
                archive.file(&format!("describe/{name}.json"), pretty(&described)).await?;
            }
        }
        let (reader, Exported { service, since, .. }) = (&self.reader, self.asked.clone());
        // What comes while it is made is of another export.
        let last = Some(self.asked.until);
        let traces = TraceQuery { service: service.clone(), ..TraceQuery::default() };
        let traces = TraceQuery { since, until: last, limit: Some(limits::ARCHIVE_PAGE), ..traces };
        let traces =
            list(&mut archive, "traces.ndjson", bounds, Traces { reader, query: Some(traces) });
        let traces = traces.await?;
        let logs = LogQuery { services: service.iter().cloned().collect(), ..LogQuery::default() };
        let logs = LogQuery { since, until: last, limit: Some(limits::ARCHIVE_PAGE), ..logs };
        let logs = list(&mut archive, "logs.ndjson", bounds, Logs { reader, query: Some(logs) });
        let logs = logs.await?;
        let query = FigureQuery { since, until: last, service, limit: None };
        let figures = Figures { reader, query, after: None, is_over: false };
        let figures = list(&mut archive, "metrics.ndjson", bounds, figures).await?;
        let files = json!({
            "traces.ndjson": traces, "logs.ndjson": logs, "metrics.ndjson": figures,
        });
        archive.file("manifest.json", pretty(&self.manifest(files))).await?;
        archive.end().await
    }

    fn manifest(&self, files: Value) -> Value {
        let dropped = self.reader.dropped();
        json!({
            "application": self.status.application(),
            "host": env!("CARGO_PKG_VERSION"),
            "made": self.at.as_microsecond(),
            "service": self.asked.service,
            "since": self.asked.since,
            "until": self.asked.until,
            "files": files,
            // Never kept, as there was no room for it.
            "dropped": { "lines": dropped.lines, "spans": dropped.spans },
            "limits": { "set": self.status.bounds(), "fixed": FixedBound::all() },
        })
    }
}

fn pretty(value: &impl Serialize) -> Vec<u8> {
    // Plain data always has a JSON form.
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

/// A list that is read page by page.
trait Pages {
    type Item: Serialize + Send;

    /// The next ones. None: these were all.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Self::Item>>, ReadError>> + Send;
}

/// A file with one line for each item, as far as bytes and time go. What cannot be read ends the file and not the
/// export, of which the rest may be what is looked for.
async fn list<P: Pages>(
    archive: &mut Archive,
    name: &str,
    bounds: Bounds,
    mut pages: P,
) -> Result<Written> {
    archive.begin(name).await?;
    let mut written = Written::default();
    let mut text = Vec::new();
    while written.left_out.is_none() {
        if Instant::now() > bounds.until {
            written.left_out = Some(format!(
                "what is older: an export takes at most {}; take it faster, or ask for less with `since`",
                show_duration(limits::ARCHIVE_TIME)
            ));
            break;
        }
        let items = match pages.next().await {
            Ok(Some(items)) => items,
            Ok(None) => break,
            Err(error) => {
                written.left_out = Some(format!("what is older: {error}"));
                break;
            }
        };
        for item in items {
            let before = text.len();
            text.extend(serde_json::to_vec(&item).unwrap_or_default());
            text.push(b'\n');
            let bytes = written.bytes + (text.len() - before) as u64;
            if bytes > bounds.bytes {
                text.truncate(before);
                written.left_out = Some(format!(
                    "what is older: an export has at most {} of each; ask for less with `since` or `service`",
                    show_size(bounds.bytes)
                ));
                break;
            }
            (written.items, written.bytes) = (written.items + 1, bytes);
            if text.len() >= limits::ARCHIVE_PIECE_BYTES {
                archive.write(std::mem::take(&mut text)).await?;
            }
        }
    }
    archive.write(text).await?;
    Ok(written)
}

struct Traces<'r> {
    reader: &'r Reader,
    /// None: there are no more.
    query: Option<TraceQuery>,
}

impl Pages for Traces<'_> {
    type Item = WholeTrace;

    async fn next(&mut self) -> Result<Option<Vec<WholeTrace>>, ReadError> {
        let Some(query) = self.query.take() else { return Ok(None) };
        let page = self.reader.whole_traces(&query).await?;
        self.query = page.next.map(|next| TraceQuery { before: Some(next), ..query });
        Ok(Some(page.items))
    }
}

struct Logs<'r> {
    reader: &'r Reader,
    query: Option<LogQuery>,
}

impl Pages for Logs<'_> {
    type Item = LogItem;

    async fn next(&mut self) -> Result<Option<Vec<LogItem>>, ReadError> {
        let Some(query) = self.query.take() else { return Ok(None) };
        let page = self.reader.logs(&query).await?;
        self.query = page.next.map(|next| LogQuery { before: Some(next), ..query });
        Ok(Some(page.items))
    }
}

struct Figures<'r> {
    reader: &'r Reader,
    query: FigureQuery,
    after: Option<PageStart>,
    is_over: bool,
}

impl Pages for Figures<'_> {
    type Item = FigureItem;

    async fn next(&mut self) -> Result<Option<Vec<FigureItem>>, ReadError> {
        if self.is_over {
            return Ok(None);
        }
        let (items, after) = self.reader.figures(&self.query, self.after).await?;
        (self.after, self.is_over) = (after, after.is_none());
        Ok(Some(items))
    }
}

#[cfg(test)]
mod tests;
