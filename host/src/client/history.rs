//! `wasm-host history`: what happened to the versions of a service.

use std::time::Duration;

use crate::cli::{self, Format};
use crate::client::Client;
use crate::exit::Exit;
use wasm_host_http::control::versions::Attempt;
use wasm_host_system::counted::counted;
use wasm_host_system::output;
use wasm_host_system::table;

pub async fn history(args: cli::History) -> Result<(), Exit> {
    let client = Client::of(&args.control)?;
    let mut attempts: Vec<Attempt> = client.get(&["services", &args.service, "history"]).await?;
    // Users look for what happened last.
    attempts.reverse();
    match args.control.output.format {
        Format::Json => table::json(&attempts)?,
        Format::Table => output::show(&render(&attempts)),
    }
    Ok(())
}

fn render(attempts: &[Attempt]) -> String {
    let head = [
        "NUMBER",
        "VERSION",
        "VERDICT",
        "WHEN (UTC)",
        "TOOK",
        "SERVED",
        "DRAINED IN",
        "CAUSE",
        "REMARKS",
    ];
    let rows: Vec<_> = attempts.iter().map(row).collect();
    table::render(head, &rows)
}

fn row(attempt: &Attempt) -> [String; 9] {
    let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_string());
    [
        attempt.number.to_string(),
        known(attempt.digest.as_deref().map(|digest| super::swap::short(digest).to_string())),
        attempt.verdict.name().to_string(),
        utc(attempt.at_ms),
        milliseconds(attempt.took_ms),
        known(attempt.served.map(|served| served.to_string())),
        known(attempt.drained_in_ms.map(milliseconds)),
        attempt.cause.clone(),
        remarks(attempt),
    ]
}

/// Why, what was cut, and which imports it has that the version before had not.
fn remarks(attempt: &Attempt) -> String {
    let mut remarks: Vec<String> = attempt.reason.iter().cloned().collect();
    if let Some(cut) = attempt.cut.filter(|cut| *cut > 0) {
        let were = if cut == 1 { "was" } else { "were" };
        remarks.push(format!("{} {were} cut at the drain's deadline", counted(cut, "request")));
    }
    remarks.extend(super::swap::imports(attempt));
    remarks.join("; ").replace('\n', " ")
}

fn milliseconds(number: u64) -> String {
    match number {
        0..10_000 => format!("{number} ms"),
        _ => format!("{:.1} s", Duration::from_millis(number).as_secs_f64()),
    }
}

/// `2031-02-03 04:05:06`
fn utc(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "?".to_string(), |time| time.strftime("%F %T").to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use wasm_host_http::control::versions::AttemptVerdict;

    pub(in crate::client) fn attempt(digest: &str, verdict: AttemptVerdict) -> Attempt {
        Attempt {
            number: 0,
            digest: Some(digest.to_string()),
            path: format!("{digest}.wasm"),
            parts: Vec::new(),
            cause: "test".to_string(),
            verdict,
            reason: None,
            at_ms: 0,
            took_ms: 0,
            imports_added: Vec::new(),
            imports_removed: Vec::new(),
            served: None,
            drained_in_ms: None,
            cut: None,
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_735_689_599, "2024-12-31 23:59:59"),
            (1_735_689_600, "2025-01-01 00:00:00"),
            (1_772_323_200, "2026-03-01 00:00:00"),
        ] {
            assert_eq!(utc(seconds * 1000 + 999), expected);
        }
    }

    #[test]
    fn a_row_tells_all_that_is_known() {
        let mut attempt = attempt("abc", AttemptVerdict::TakenBack);
        attempt.reason = Some("3 of its 3 answers were errors".to_string());
        attempt.cut = Some(2);
        attempt.imports_added = vec!["wasm-host:ollama/models@0.1.0".to_string()];
        let text = render(&[attempt]);
        for expected in ["taken-back", "3 of its 3", "2 requests were cut", "+wasm-host:ollama/"] {
            assert!(text.contains(expected), "{text}");
        }
    }
}
