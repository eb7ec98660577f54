//! Spans as rows, and the row of each trace that they belong to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sqlx::AssertSqlSafe;

use super::{Bound, Row, Rows, insert, marks};
use crate::json::{self, Object};
use crate::read;
use crate::summary::{self, Summary};
use wasm_host_telemetry::Batch;
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::id::TraceId;
use wasm_host_telemetry::sampling::KeepReason;
use wasm_host_telemetry::span::{Kind, Span, Status};

/// Traces that are asked for in one statement.
const ASKED: usize = 64;

/// What came of one trace.
struct Part<'a> {
    why: KeepReason,
    dropped: usize,
    spans: Vec<&'a Span>,
}

/// A span, and its place in the trace.
struct PlacedSpan<'a> {
    trace: u64,
    number: u64,
    span: &'a Span,
}

impl Rows<'_> {
    pub(super) async fn traces(&mut self, batches: &[Batch]) -> sqlx::Result<()> {
        let parts: Vec<_> = batches.iter().flat_map(parts).collect();
        let mut known = self.known(&parts).await?;
        let first_new = self.next_trace;
        let mut order = Vec::new();
        let mut placed = Vec::new();
        for Part { why, dropped, spans } in &parts {
            let Some(trace) = spans.first().map(|span| span.trace) else { continue };
            let known = match known.entry(trace) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let id = self.next_trace;
                    self.next_trace += 1;
                    new.insert(KnownTrace::new(id, trace))
                }
            };
            if !known.has_changed {
                known.has_changed = true;
                order.push(trace);
            }
            let first = known.summary.spans;
            let kept = known.summary.add(spans, *why, *dropped);
            let id = known.summary.id;
            let numbered = kept.into_iter().zip(first..);
            placed.extend(numbered.map(|(span, number)| PlacedSpan { trace: id, number, span }));
        }
        self.services.extend(placed.iter().map(|placed| placed.span.service.clone()));
        let changed: Vec<&Summary> =
            order.iter().filter_map(|trace| Some(&known.get(trace)?.summary)).collect();
        self.grown.extend(changed.iter().map(|it| it.id).filter(|id| *id < first_new));
        self.summaries(&changed).await?;
        insert(self.connection, "insert or replace into spans values ", 16, "", &placed, bind).await
    }

    /// What the file has of these traces.
    async fn known(&mut self, parts: &[Part<'_>]) -> sqlx::Result<HashMap<TraceId, KnownTrace>> {
        let mut all = HashMap::new();
        for parts in parts.chunks(ASKED) {
            // Always as many, so that the statement is prepared once.
            let mut row = Row::default();
            for number in 0..ASKED {
                let asked = parts.get(number).and_then(|part| part.spans.first());
                row.add(asked.map(|span| span.trace.0.to_be_bytes().to_vec()))
                    .map_err(sqlx::Error::Encode)?;
            }
            let text =
                format!("select {} from traces where trace in ({})", read::SUMMARY, marks(ASKED));
            let found = sqlx::query_with(AssertSqlSafe(text), row.0);
            for row in found.fetch_all(&mut *self.connection).await? {
                let summary = read::summary(&row)?;
                all.insert(summary.trace, KnownTrace { summary, has_changed: false });
            }
        }
        Ok(all)
    }

    async fn summaries(&mut self, summaries: &[&Summary]) -> sqlx::Result<()> {
        let head = "insert or replace into traces values ";
        insert(self.connection, head, 17, "", summaries, bind_summary).await?;
        let head = "insert or replace into trace_words(rowid, words) values ";
        insert(self.connection, head, 2, "", summaries, |summary, row| {
            row.add(summary.id.cast_signed())?;
            row.add(summary.words.as_str())
        })
        .await?;
        let services = |summary: &&Summary| {
            let id = summary.id;
            summary
                .services
                .iter()
                .map(move |(service, ..)| (service.clone(), id))
                .collect::<Vec<_>>()
        };
        let services: Vec<_> = summaries.iter().flat_map(services).collect();
        let head = "insert or ignore into trace_services values ";
        insert(self.connection, head, 2, "", &services, |(service, id), row| {
            row.add(service.as_str())?;
            row.add(id.cast_signed())
        })
        .await
    }
}

struct KnownTrace {
    summary: Summary,
    has_changed: bool,
}

impl KnownTrace {
    fn new(id: u64, trace: TraceId) -> Self {
        Self { summary: Summary::new(id, trace), has_changed: false }
    }
}

/// Spans of a batch by their traces; a sender from outside may have several.
fn parts(batch: &Batch) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for span in &batch.spans {
        let is_its = |part: &&mut Part<'_>| {
            part.spans.first().is_some_and(|first| first.trace == span.trace)
        };
        match parts.iter_mut().rev().find(is_its) {
            Some(part) => part.spans.push(span),
            None => {
                // What there was no room for is of one trace: this host's batches have no more.
                let dropped = if parts.is_empty() { batch.dropped } else { 0 };
                parts.push(Part { why: batch.why, dropped, spans: vec![span] });
            }
        }
    }
    parts
}

fn bind_summary(summary: &&Summary, row: &mut Row) -> Bound {
    row.add(summary.id.cast_signed())?;
    row.add(summary.trace.0.to_be_bytes().to_vec())?;
    row.add(summary.start.cast_signed())?;
    row.add(summary.ended.cast_signed())?;
    row.add(summary.name.as_str())?;
    row.add(summary.service.as_str())?;
    row.add(summary.status)?;
    row.add(summary.error)?;
    row.add(summary.errors.cast_signed())?;
    row.add(summary.spans.cast_signed())?;
    row.add(summary.dropped.cast_signed())?;
    row.add(summary.route.as_deref())?;
    row.add(summary.why.as_str())?;
    row.add(summary.rank.0)?;
    row.add(summary.rank.1.cast_signed())?;
    row.add(json::text(&summary.services))?;
    row.add(summary.words.as_str())
}

fn bind(placed: &PlacedSpan<'_>, row: &mut Row) -> Bound {
    let span = placed.span;
    row.add(placed.trace.cast_signed())?;
    row.add(placed.number.cast_signed())?;
    row.add(span.id.0.cast_signed())?;
    row.add(span.parent.map(|id| id.0.cast_signed()))?;
    row.add(span.name.as_ref())?;
    row.add(kind(span.kind))?;
    row.add(span.service.as_ref())?;
    row.add(span.attribute(names::VERSION).and_then(summary::text))?;
    row.add(span.scope.as_ref())?;
    row.add(span.start.cast_signed())?;
    row.add(span.duration.cast_signed())?;
    let (status, message) = match &span.status {
        Status::Unset => ("unset", None),
        Status::Ok => ("ok", None),
        Status::Error(why) => ("error", Some(why.as_ref())),
    };
    row.add(status)?;
    row.add(message)?;
    row.add(json::text(&Object(&span.attributes)))?;
    row.add(json::events(&span.events))?;
    row.add(json::links(&span.links))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Internal => "internal",
        Kind::Server => "server",
        Kind::Client => "client",
        Kind::Producer => "producer",
        Kind::Consumer => "consumer",
    }
}
