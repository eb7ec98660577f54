//! What a forecast is: dates from tomorrow on, temperatures by chance, a word for each.
//!
//! Pure: it knows no clock, no database and no HTTP.

use std::fmt::{self, Write};
use std::ops::{Range, RangeInclusive};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::random::Random;

/// How many days can be asked for.
pub const DAYS: RangeInclusive<u32> = 1..=14;

/// How many there are when nothing is said.
const DEFAULT_DAYS: u32 = 5;

/// Degrees Celsius that occur.
const CELSIUS: Range<i32> = -20..55;

/// The word when the database has none.
const NO_SUMMARY: &str = "No data available";

/// The forecast for one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    pub date: Date,
    pub celsius: i32,
    pub summary: String,
}

/// A day of the Gregorian calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: i64,
    month: i64,
    day: i64,
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
pub fn make(
    today: Date,
    days: u32,
    summaries: &[String],
    random: &mut impl Random,
) -> Vec<Forecast> {
    let mut date = today;
    (0..days)
        .map(|_| {
            date = date.next();
            let celsius = CELSIUS.start + below(random, CELSIUS.len());
            let chosen = match summaries.len() {
                0 => None,
                count => usize::try_from(below(random, count)).ok(),
            };
            let summary =
                chosen.and_then(|at| summaries.get(at)).map_or(NO_SUMMARY, String::as_str);
            Forecast { date, celsius, summary: summary.to_string() }
        })
        .collect()
}

fn below(random: &mut impl Random, bound: usize) -> i32 {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    i32::try_from(random.below(bound)).unwrap_or(i32::MAX)
}

/// Rounded to the nearest degree. Fifths are never halfway, so there is no tie to break.
pub fn fahrenheit(celsius: i32) -> i32 {
    (celsius * 18 + 320 + 5).div_euclid(10)
}

/// A JSON array of the forecasts.
pub fn to_json(forecasts: &[Forecast]) -> String {
    let mut json = String::from("[");
    for (at, Forecast { date, celsius, summary }) in forecasts.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        let fahrenheit = fahrenheit(*celsius);
        // Writing to a string does not fail.
        let _ = write!(
            json,
            "{{\"date\":\"{date}\",\"temperatureC\":{celsius},\
             \"temperatureF\":{fahrenheit},\"summary\":"
        );
        push_quoted(&mut json, summary);
        json.push('}');
    }
    json.push(']');
    json
}

fn push_quoted(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

impl Date {
    /// The day of a point in time. A clock before 1970 is taken for one that was never set.
    pub fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut date = Self { year: 1970, month: 1, day: 1 };
        let mut days = i64::try_from(seconds / 86_400).unwrap_or_default();
        while days >= date.year_length() {
            days -= date.year_length();
            date.year += 1;
        }
        while days >= date.month_length() {
            days -= date.month_length();
            date.month += 1;
        }
        date.day += days;
        date
    }

    fn next(self) -> Self {
        let Self { year, month, day } = self;
        if day < self.month_length() {
            Self { year, month, day: day + 1 }
        } else if month < 12 {
            Self { year, month: month + 1, day: 1 }
        } else {
            Self { year: year + 1, month: 1, day: 1 }
        }
    }

    fn is_leap_year(self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn year_length(self) -> i64 {
        365 + i64::from(self.is_leap_year())
    }

    fn month_length(self) -> i64 {
        match self.month {
            2 => 28 + i64::from(self.is_leap_year()),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Gives what it is told to, and remembers the bounds.
    struct Scripted(Vec<u64>, Vec<u64>);

    impl Random for Scripted {
        fn below(&mut self, bound: u64) -> u64 {
            self.1.push(bound);
            self.0.remove(0)
        }
    }

    fn at(seconds: u64) -> Date {
        Date::of(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn points_in_time_fall_on_their_days() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_164_800, "2024-02-29"),
            (1_735_689_599, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(at(seconds).to_string(), day);
        }
    }

    #[test]
    fn the_next_day_knows_months_leap_years_and_year_ends() {
        let date = |year, month, day| Date { year, month, day };
        for (today, tomorrow) in [
            (date(2023, 2, 28), date(2023, 3, 1)),
            (date(2024, 2, 28), date(2024, 2, 29)),
            (date(2024, 2, 29), date(2024, 3, 1)),
            (date(2100, 2, 28), date(2100, 3, 1)),
            (date(2000, 2, 28), date(2000, 2, 29)),
            (date(2024, 4, 30), date(2024, 5, 1)),
            (date(2024, 12, 31), date(2025, 1, 1)),
        ] {
            assert_eq!(today.next(), tomorrow);
        }
        // Two ways to count, one calendar: every day until 2106.
        let mut day = at(0);
        for days in 0..49_710 {
            assert_eq!(at(days * 86_400), day);
            day = day.next();
        }
    }

    #[test]
    fn fahrenheit_is_rounded_for_every_celsius() {
        for celsius in CELSIUS {
            let exact = f64::from(celsius) * 9.0 / 5.0 + 32.0;
            assert_eq!(f64::from(fahrenheit(celsius)), exact.round(), "{celsius}");
        }
        assert_eq!([-20, 0, 5, 54].map(fahrenheit), [-4, 32, 41, 129]);
    }

    #[test]
    fn a_forecast_starts_tomorrow_and_takes_chance_as_it_comes() {
        let mut random = Scripted(vec![0, 1, 74, 0], Vec::new());
        let summaries = ["Mild".to_string(), "H\"o\\t\n".to_string()];
        let today = Date { year: 2024, month: 12, day: 30 };
        let forecasts = make(today, 2, &summaries, &mut random);
        assert_eq!(random.1, [75, 2, 75, 2]);
        assert_eq!(
            to_json(&forecasts),
            "[{\"date\":\"2024-12-31\",\"temperatureC\":-20,\"temperatureF\":-4,\
             \"summary\":\"H\\\"o\\\\t\\u000a\"},\
             {\"date\":\"2025-01-01\",\"temperatureC\":54,\"temperatureF\":129,\
             \"summary\":\"Mild\"}]"
        );
    }

    #[test]
    fn without_summaries_there_is_still_weather() {
        let mut random = Scripted(vec![20, 21], Vec::new());
        let forecasts = make(at(0), 2, &[], &mut random);
        let summaries: Vec<_> = forecasts.iter().map(|day| &*day.summary).collect();
        assert_eq!(summaries, [NO_SUMMARY; 2]);
        assert_eq!(to_json(&[]), "[]");
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
