//! Times on the wire: RFC 3339 with nanoseconds as Go writes it, and Ollama's `keep_alive`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde_json::Value;

/// How long a model stays in memory if nobody says.
const KEEP_ALIVE: Duration = Duration::from_secs(5 * 60);
/// "For ever", as Ollama writes it: the longest duration of Go, about 292 years.
const FOREVER: Duration = Duration::from_nanos(i64::MAX as u64);

/// For example `2025-01-31T09:05:00.25Z`: trailing zeros of the fraction are left out.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let nanoseconds = since.subsec_nanos().cast_signed();
    Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::MAX).to_string()
}

/// `keep_alive`: a number of seconds or a duration such as `"10m"`; negative is for ever.
pub(crate) fn keep_alive(value: Option<&Value>) -> Result<Duration, String> {
    let nanoseconds = match value {
        None | Some(Value::Null) => return Ok(KEEP_ALIVE),
        Some(Value::Number(seconds)) => seconds.as_f64().unwrap_or_default() * 1e9,
        Some(Value::String(text)) => {
            go_duration(text).ok_or_else(|| format!("time: invalid duration {text:?}"))?
        }
        Some(_) => return Err("keep_alive must be a number of seconds or a duration".to_string()),
    };
    // The conversion saturates, so that too long is for ever too.
    let duration = Duration::from_nanos(nanoseconds.abs() as u64);
    Ok(if nanoseconds < 0.0 { FOREVER } else { duration.min(FOREVER) })
}

/// The nanoseconds of a duration as Go writes it: `300ms`, `-1.5h`, `2h45m`, `0`.
fn go_duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let mut nanoseconds = None;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(end);
        let end = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        let (unit, after) = unit.split_at(end);
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3_600e9,
            _ => return None,
        };
        nanoseconds = Some(nanoseconds.unwrap_or(0.0) + number.parse::<f64>().ok()? * scale);
        rest = after;
    }
    nanoseconds.map(|nanoseconds| sign * nanoseconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: u64, nanoseconds: u32) -> String {
        rfc3339(UNIX_EPOCH + Duration::new(seconds, nanoseconds))
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(at(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399, 0), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00Z");
        assert_eq!(at(951_868_800, 0), "2000-03-01T00:00:00Z");
        assert_eq!(at(1_735_689_599, 0), "2024-12-31T23:59:59Z");
        assert_eq!(at(1_735_689_600, 0), "2025-01-01T00:00:00Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00Z");
        assert_eq!(at(1_700_000_000, 250_000_000), "2023-11-14T22:13:20.25Z");
        assert_eq!(at(1_700_000_000, 1), "2023-11-14T22:13:20.000000001Z");
    }

    #[test]
    fn keep_alive_takes_what_ollama_takes() {
        let seconds = |value: Value| keep_alive(Some(&value)).map(|kept| kept.as_secs_f64());
        assert_eq!(keep_alive(None), Ok(KEEP_ALIVE));
        assert_eq!(seconds(json!(null)), Ok(300.0));
        assert_eq!(seconds(json!(0)), Ok(0.0));
        assert_eq!(seconds(json!(90)), Ok(90.0));
        assert_eq!(seconds(json!("0")), Ok(0.0));
        assert_eq!(seconds(json!("10m")), Ok(600.0));
        assert_eq!(seconds(json!("1h2m3.5s")), Ok(3723.5));
        assert_eq!(seconds(json!("300ms")), Ok(0.3));
        assert_eq!(keep_alive(Some(&json!(-1))), Ok(FOREVER));
        assert_eq!(keep_alive(Some(&json!("-1m"))), Ok(FOREVER));
        assert_eq!(keep_alive(Some(&json!(1e300))), Ok(FOREVER));
        for wrong in [json!("soon"), json!(""), json!("5"), json!("5 m"), json!(true), json!([])] {
            assert!(keep_alive(Some(&wrong)).is_err(), "{wrong}");
        }
    }
}
