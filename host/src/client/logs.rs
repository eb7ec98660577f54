//! `wasm-host logs`: what components printed and what the host said, now and before.

use anyhow::anyhow;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::kept::{Source, say_if_off};
use super::{Client, searchable, utc_micros};
use crate::cli::{self, Format};
use crate::exit::Exit;
use wasm_host_system::counted::counted;
use wasm_host_system::output;
use wasm_host_system::printable::printable;

#[derive(Deserialize, Serialize)]
pub(super) struct Line {
    pub(super) time: u64,
    level: String,
    service: Option<String>,
    request: Option<String>,
    stream: Option<String>,
    message: String,
    #[serde(default)]
    fields: Map<String, Value>,
}

pub async fn logs(args: cli::Logs) -> Result<(), Exit> {
    searchable(args.search.as_ref())?;
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(args.services.iter().map(|service| ("service", service.clone())));
    let given = [
        ("since", &args.since),
        ("until", &args.until),
        ("level", &args.level.map(|level| level.name().to_owned())),
        ("search", &args.search),
        ("trace", &args.trace),
        ("request", &args.request),
    ];
    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    let format = args.control.output.format;
    if args.follow {
        query.push(("limit", args.lines.to_string()));
        query.push(("follow", "true".to_owned()));
        // What a host left that has ended does not go on.
        let client = Client::of(&args.control)?;
        say_if_off(&client).await?.map_err(|absent| anyhow!("{absent}"))?;
        return client.lines(&["api", "logs"], &query, |line| show(line, format)).await;
    }
    let items = Source::of(&args.control).await?.list(&["logs"], &query, args.lines).await?;
    // The newest stands last, where a person looks.
    for item in items.into_iter().rev() {
        show(item, format)?;
    }
    Ok(())
}

fn show(line: Value, format: Format) -> Result<(), Exit> {
    if let Some(missed) = line.get("missed") {
        // Not among the lines, which a program may read.
        let lines = counted(missed.as_u64().unwrap_or_default(), "line");
        eprintln!("{lines} left out: more came than was read");
        return Ok(());
    }
    let text = match format {
        Format::Json => line.to_string(),
        Format::Table => render(&serde_json::from_value(line).map_err(anyhow::Error::from)?),
    };
    output::show(&format!("{text}\n"));
    Ok(())
}

/// `2031-02-03 04:05:06.789  WARN weather  no rows  request=00f067aa0ba902b7`
pub(super) fn render(line: &Line) -> String {
    let service = line.service.as_deref().unwrap_or("(host)");
    let level = line.level.to_uppercase();
    let mut text = format!("{} {level:>5} {service}: {}", utc_micros(line.time), line.message);
    let stderr = line.stream.as_deref().filter(|stream| *stream == "stderr");
    let told = [("stream", stderr), ("request", line.request.as_deref())];
    for (name, value) in told.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        text.push_str(&format!("  {name}={value}"));
    }
    for (name, value) in line.fields.iter().filter(|(name, _)| *name != "stream") {
        match value {
            Value::String(value) => text.push_str(&format!("  {name}={value}")),
            value => text.push_str(&format!("  {name}={value}")),
        }
    }
    printable(&text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_is_in_it() {
        let line = json!({
            "id": 1, "time": 1_927_943_106_789_000_u64, "level": "warn", "service": "weather",
            "request": "00f067aa0ba902b7", "stream": null, "message": "a\n\u{1b}[2Jb", "fields": {"count": 3},
        });
        assert_eq!(
            render(&serde_json::from_value(line).unwrap()),
            "2031-02-04 03:45:06.789  WARN weather: a\\n\\u{1b}[2Jb  request=00f067aa0ba902b7  count=3"
        );
    }
}
