//! What a forecast is: dates from tomorrow on, temperatures by chance, a word for each.
//!
//! Pure: it knows no clock, no database and no HTTP, and chance is handed to it.

use std::iter::successors;
use std::ops::{Range, RangeInclusive};

use fastrand::Rng;
use jiff::civil::Date;
use serde::Serialize;

/// How many days can be asked for.
pub const DAYS: RangeInclusive<u32> = 1..=14;

/// How many there are when nothing is said.
const DEFAULT_DAYS: u32 = 5;

/// Degrees Celsius that occur.
const CELSIUS: Range<i32> = -20..55;

/// The word when the database has none.
const NO_SUMMARY: &str = "No data available";

/// The forecast for one day, as its JSON has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    pub date: Date,
    pub temperature_c: i32,
    pub temperature_f: i32,
    pub summary: String,
}

/// The number of days that a query asks for; nothing if that is no number in [`DAYS`].
pub fn days(query: Option<&str>) -> Option<u32> {
    let value = query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('=').or(Some((pair, ""))))
        .find_map(|(key, value)| (key == "days").then_some(value));
    let Some(value) = value else {
        return Some(DEFAULT_DAYS);
    };
    // `parse` would take a leading `+`, which in a query stands for a space.
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|days| digits && DAYS.contains(days))
}

/// Forecasts for the days after `today`.
pub fn make(today: Date, days: u32, summaries: &[String], chance: &mut Rng) -> Vec<Forecast> {
    successors(today.tomorrow().ok(), |date| date.tomorrow().ok())
        .take(usize::try_from(days).unwrap_or_default())
        .map(|date| {
            let temperature_c = chance.i32(CELSIUS);
            let summary = chance.choice(summaries).map_or(NO_SUMMARY, String::as_str).to_string();
            Forecast { date, temperature_c, temperature_f: fahrenheit(temperature_c), summary }
        })
        .collect()
}

/// Rounded to the nearest degree. Fifths are never halfway, so there is no tie to break.
pub fn fahrenheit(celsius: i32) -> i32 {
    (celsius * 18 + 320 + 5).div_euclid(10)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::civil::date;

    use super::*;

    #[test]
    fn fahrenheit_is_rounded_for_every_celsius() {
        for celsius in CELSIUS {
            let exact = f64::from(celsius) * 9.0 / 5.0 + 32.0;
            assert_eq!(f64::from(fahrenheit(celsius)), exact.round(), "{celsius}");
        }
        assert_eq!([-20, 0, 5, 54].map(fahrenheit), [-4, 32, 41, 129]);
    }

    #[test]
    fn every_temperature_and_summary_has_its_chance_and_no_other() {
        let summaries = ["Mild".to_string(), "Hot".to_string()];
        let forecasts = make(date(2024, 1, 1), 20_000, &summaries, &mut Rng::with_seed(1));
        assert_eq!(forecasts.len(), 20_000);
        let temperatures: BTreeSet<_> = forecasts.iter().map(|day| day.temperature_c).collect();
        assert!(temperatures.into_iter().eq(CELSIUS));
        let words: BTreeSet<_> = forecasts.iter().map(|day| &*day.summary).collect();
        assert!(words.into_iter().eq(["Hot", "Mild"]));
    }

    #[test]
    fn a_forecast_starts_tomorrow_and_is_what_its_clients_read() {
        let summaries = ["H\"o\\t\n".to_string()];
        let mut forecasts = make(date(2024, 12, 30), 2, &summaries, &mut Rng::with_seed(1));
        for day in &mut forecasts {
            (day.temperature_c, day.temperature_f) = (-20, -4);
        }
        assert_eq!(
            serde_json::to_string(&forecasts).unwrap(),
            r#"[{"date":"2024-12-31","temperatureC":-20,"temperatureF":-4,"summary":"H\"o\\t\n"},{"date":"2025-01-01","temperatureC":-20,"temperatureF":-4,"summary":"H\"o\\t\n"}]"#
        );
    }

    #[test]
    fn without_summaries_there_is_still_weather() {
        let forecasts = make(date(2024, 1, 1), 2, &[], &mut Rng::with_seed(1));
        let summaries: Vec<_> = forecasts.iter().map(|day| &*day.summary).collect();
        assert_eq!(summaries, [NO_SUMMARY; 2]);
    }

    #[test]
    fn days_are_a_whole_number_in_range_or_five() {
        for (query, expected) in [
            (None, Some(5)),
            (Some(""), Some(5)),
            (Some("other=1"), Some(5)),
            (Some("days=1"), Some(1)),
            (Some("a=b&days=14&c"), Some(14)),
            (Some("days=007"), Some(7)),
            (Some("days=0"), None),
            (Some("days=15"), None),
            (Some("days=-1"), None),
            (Some("days=+3"), None),
            (Some("days="), None),
            (Some("days"), None),
            (Some("days=five"), None),
            (Some("days=99999999999999999999"), None),
        ] {
            assert_eq!(days(query), expected, "{query:?}");
        }
    }
}
