//! `wasm-host history`: what happened to the versions of a service.

use std::time::Duration;

use crate::cli::{self, Format};
use crate::client::Client;
use crate::exit::Exit;
use crate::service::history::Record;
use crate::{output, table};

pub async fn history(args: cli::History) -> Result<(), Exit> {
    let client = Client::of(&args.control)?;
    let mut records: Vec<Record> = client.get(&["services", &args.service, "history"]).await?;
    // What happened last is what one looks for.
    records.reverse();
    match args.control.output.format {
        Format::Json => table::json(&records)?,
        Format::Table => output::show(&render(&records)),
    }
    Ok(())
}

fn render(records: &[Record]) -> String {
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
    let rows: Vec<_> = records.iter().map(row).collect();
    table::render(head, &rows)
}

fn row(record: &Record) -> [String; 9] {
    let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_string());
    [
        record.number.to_string(),
        known(record.digest.as_deref().map(|digest| super::swap::short(digest).to_string())),
        record.verdict.name().to_string(),
        utc(record.at_ms),
        milliseconds(record.took_ms),
        known(record.served.map(|served| served.to_string())),
        known(record.drained_in_ms.map(milliseconds)),
        record.cause.clone(),
        remarks(record),
    ]
}

/// Why, what was cut, and which imports it has that the version before had not.
fn remarks(record: &Record) -> String {
    let mut remarks: Vec<String> = record.reason.iter().cloned().collect();
    if let Some(cut) = record.cut.filter(|cut| *cut > 0) {
        remarks.push(format!("{cut} requests were cut at the drain's deadline"));
    }
    remarks.extend(super::swap::imports(record));
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
    let seconds = ms / 1000;
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let february = days_of(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{:02} {hour:02}:{minute:02}:{:02}", days + 1, second % 60)
}

fn days_of(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::history::Verdict;
    use crate::service::history::tests::record;

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
        let mut record = record("abc", Verdict::TakenBack);
        record.reason = Some("3 of its 3 answers were errors".to_string());
        record.cut = Some(2);
        record.imports_added = vec!["wasm-host:ollama/models@0.1.0".to_string()];
        let text = render(&[record]);
        for expected in ["taken-back", "3 of its 3", "2 requests were cut", "+wasm-host:ollama/"] {
            assert!(text.contains(expected), "{text}");
        }
    }
}
