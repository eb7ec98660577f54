//! `wasm-host traces`: the requests that were kept, and one of them with all that was done for it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::kept::Source;
use super::{asked, duration, searchable, utc_micros};
use crate::cli::{self, Format};
use crate::client::logs;
use crate::exit::Exit;
use wasm_host_system::output;
use wasm_host_system::printable::printable;
use wasm_host_system::table;

#[derive(Deserialize)]
struct Item {
    trace: String,
    start: u64,
    duration: u64,
    name: String,
    path: Option<String>,
    status: Option<u16>,
    error: bool,
    spans: u64,
    services: Vec<Share>,
}

#[derive(Deserialize)]
struct Share {
    service: String,
}

#[derive(Deserialize)]
struct Detail {
    trace: String,
    start: u64,
    duration: u64,
    spans: Vec<Span>,
    logs: Vec<logs::Line>,
}

#[derive(Deserialize)]
struct Span {
    span: String,
    parent: Option<String>,
    name: String,
    service: String,
    start: u64,
    duration: u64,
    status: String,
    message: Option<String>,
    attributes: Map<String, Value>,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    time: u64,
    name: String,
}

/// What of a span is worth a place beside it, in this order, and what it is called there.
const TOLD: [(&str, &str); 18] = [
    ("url.path", "path"),
    ("http.response.status_code", "status_code"),
    ("service.peer.name", "peer"),
    ("server.address", "server"),
    ("server.port", "port"),
    ("db.namespace", "database"),
    ("db.query.text", "text"),
    ("db.response.returned_rows", "returned_rows"),
    ("wasm_host.db.changed_rows", "changed_rows"),
    ("db.response.status_code", "sqlstate"),
    ("gen_ai.usage.input_tokens", "input_tokens"),
    ("gen_ai.usage.output_tokens", "output_tokens"),
    ("gen_ai.response.time_to_first_chunk", "time_to_first_chunk"),
    ("wasm_host.guest.cpu_time", "cpu_time"),
    ("wasm_host.swap.from", "from"),
    ("wasm_host.service.version", "version"),
    ("wasm_host.canary", "canary"),
    ("wasm_host.swap.verdict", "verdict"),
];

/// Those that are in seconds.
const SECONDS: [&str; 2] = ["gen_ai.response.time_to_first_chunk", "wasm_host.guest.cpu_time"];
/// Those that are digests, of which people compare the first digits.
const DIGESTS: [&str; 2] = ["wasm_host.swap.from", "wasm_host.service.version"];

pub async fn traces(args: cli::Traces) -> Result<(), Exit> {
    searchable(args.search.as_ref())?;
    let source = Source::of(&args.control).await?;
    let format = args.control.output.format;
    if let Some(trace) = &args.trace {
        let detail: Value = source.get(&["traces", trace], &[]).await?;
        match format {
            Format::Json => table::json(&detail)?,
            Format::Table => {
                let detail = serde_json::from_value(detail).map_err(anyhow::Error::from)?;
                output::show(&waterfall(&detail));
            }
        }
        return Ok(());
    }
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(args.service.iter().map(|service| ("service", service.clone())));
    let given = [
        ("since", &args.since),
        ("until", &args.until),
        ("search", &args.search),
        ("slower", &args.slower),
    ];
    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    if args.errors {
        query.push(("errors", "true".to_owned()));
    }
    let items = source.list(&["traces"], &query, args.lines).await?;
    match format {
        Format::Json => table::json(&items)?,
        Format::Table => {
            let items: Result<Vec<Item>, _> =
                items.into_iter().map(serde_json::from_value).collect();
            output::show(&list(&items.map_err(anyhow::Error::from)?));
        }
    }
    Ok(())
}

fn list(items: &[Item]) -> String {
    let head = ["TRACE", "WHEN (UTC)", "TOOK", "STATUS", "SPANS", "SERVICES", "NAME"];
    let row = |item: &Item| {
        let services: Vec<&str> = item.services.iter().map(|share| &*share.service).collect();
        let status = match (item.status, item.error) {
            (Some(status), _) => status.to_string(),
            (None, true) => "failed".to_owned(),
            (None, false) => "-".to_owned(),
        };
        [
            item.trace.clone(),
            utc_micros(item.start),
            duration(item.duration),
            status,
            item.spans.to_string(),
            services.join(","),
            asked(&item.name, item.path.as_deref()),
        ]
    };
    table::render(head, &items.iter().map(row).collect::<Vec<_>>())
}

/// Each span below what it was done for, from when to when, and the lines that were said meanwhile.
fn waterfall(detail: &Detail) -> String {
    let known: Vec<&str> = detail.spans.iter().map(|span| &*span.span).collect();
    let mut children: BTreeMap<Option<&str>, Vec<&Span>> = BTreeMap::new();
    for span in &detail.spans {
        let parent = span.parent.as_deref().filter(|parent| known.contains(parent));
        children.entry(parent).or_default().push(span);
    }
    children.values_mut().for_each(|spans| spans.sort_by_key(|span| span.start));
    let mut rows = Vec::new();
    // From the last on, so that the first is on top of what is still to be shown.
    let mut open: Vec<(usize, &Span)> =
        children.get(&None).into_iter().flatten().rev().map(|span| (0, *span)).collect();
    children.remove(&None);
    while let Some((depth, span)) = open.pop() {
        rows.push([
            format!("+{}", duration(span.start.saturating_sub(detail.start))),
            duration(span.duration),
            span.service.clone(),
            format!("{}{}", "  ".repeat(depth), span.name),
            about(span),
        ]);
        let inside = children.remove(&Some(&*span.span)).unwrap_or_default();
        open.extend(inside.into_iter().rev().map(|span| (depth + 1, span)));
    }
    // What is below nothing: spans that name each other.
    for span in children.values().flatten() {
        rows.push([
            format!("+{}", duration(span.start.saturating_sub(detail.start))),
            duration(span.duration),
            span.service.clone(),
            span.name.clone(),
            about(span),
        ]);
    }
    let head = format!(
        "trace {}, {}, {}\n",
        detail.trace,
        utc_micros(detail.start),
        duration(detail.duration)
    );
    let mut text = printable(head.trim_end()) + "\n";
    text.push_str(&table::render(["AT", "TOOK", "SERVICE", "WHAT", ""], &rows));
    let mut lines: Vec<&logs::Line> = detail.logs.iter().collect();
    lines.sort_by_key(|line| line.time);
    for line in lines {
        text.push_str(&logs::render(line));
        text.push('\n');
    }
    text
}

fn about(span: &Span) -> String {
    let known = TOLD.iter().filter_map(|of| Some((of, span.attributes.get(of.0)?)));
    let mut told: Vec<String> =
        known.map(|((name, called), value)| format!("{called}={}", shown(name, value))).collect();
    for event in &span.events {
        told.push(format!("[{} +{}]", event.name, duration(event.time.saturating_sub(span.start))));
    }
    if span.status == "error" {
        told.push(format!("FAILED: {}", span.message.as_deref().unwrap_or("no reason given")));
    }
    told.join(" ")
}

/// The value of an attribute, with its unit where it has one.
fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::String(digest) if DIGESTS.contains(&name) => {
            digest.get(..12).unwrap_or(digest).to_owned()
        }
        Value::String(text) => text.clone(),
        Value::Number(number) if SECONDS.contains(&name) => {
            let micros = number.as_f64().unwrap_or_default().max(0.0) * 1e6;
            // As many digits as elsewhere. A time that is longer than any would be cut at the longest.
            duration(micros.round() as u64).replace(' ', "")
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn span(id: &str, parent: Option<&str>, name: &str, start: u64) -> Value {
        json!({
            "span": id, "parent": parent, "name": name, "service": "a", "start": start, "duration": 5,
            "status": "error", "message": "why", "attributes": {"db.query.text": "select ?"},
        })
    }

    #[test]
    fn each_span_stands_below_what_it_was_done_for() {
        let spans = [
            span("c", Some("a"), "second", 30),
            span("b", Some("a"), "first", 20),
            span("d", Some("b"), "inside", 21),
            span("a", Some("of another process"), "root", 10),
        ];
        let detail = json!({
            "trace": "t", "start": 10, "duration": 50, "spans": spans, "logs": [],
        });
        let text = waterfall(&serde_json::from_value(detail).unwrap());
        let names: Vec<&str> =
            text.lines().skip(2).map(|line| line.get(20..30).unwrap_or(line)).collect();
        let order: Vec<usize> = ["root", "  first", "    inside", "  second"]
            .iter()
            .map(|name| text.find(name).unwrap())
            .collect();
        assert!(order.is_sorted(), "{names:?}\n{text}");
        assert!(text.contains("text=select ? FAILED: why"), "{text}");
    }

    #[test]
    fn a_span_says_what_it_took_and_of_whom_it_asked_with_units() {
        let span = json!({
            "span": "a", "parent": null, "name": "chat", "service": "a", "start": 1000, "duration": 5,
            "status": "unset", "message": null, "events": [{"time": 3500, "name": "first token"}],
            "attributes": {
                "gen_ai.response.time_to_first_chunk": 0.038_679_149, "wasm_host.guest.cpu_time": 0.000_25,
                "service.peer.name": "inner", "wasm_host.canary": true, "wasm_host.service.version": "ab".repeat(32),
            },
        });
        assert_eq!(
            about(&serde_json::from_value(span).unwrap()),
            "peer=inner time_to_first_chunk=38.7ms cpu_time=250us version=abababababab canary=true \
             [first token +2.5 ms]"
        );
    }

    #[test]
    fn a_list_says_the_path_that_was_asked_for() {
        assert_eq!(asked("GET /weather", Some("/weather/nope")), "GET /weather/nope");
        assert_eq!(asked("swap weather", None), "swap weather");
    }

    #[test]
    fn spans_that_name_each_other_have_an_end() {
        let spans = [span("a", Some("b"), "one", 1), span("b", Some("a"), "other", 2)];
        let detail = json!({"trace": "t", "start": 1, "duration": 2, "spans": spans, "logs": []});
        let text = waterfall(&serde_json::from_value(detail).unwrap());
        assert!(text.contains("one") && text.contains("other"), "{text}");
    }
}
