//! Dates and times of jiff.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use super::{FromElement, FromScalar, IntoScalar, Scalar, WrongType};
use crate::postgres::types;

fn date(date: types::Date) -> Result<Date, WrongType> {
    let year = i16::try_from(date.year).map_err(|_| WrongType::Type)?;
    let (month, day) = (date.month.try_into(), date.day.try_into());
    let (Ok(month), Ok(day)) = (month, day) else { return Err(WrongType::Type) };
    Date::new(year, month, day).map_err(|_| WrongType::Type)
}

/// A day ends at 24:00:00 in PostgreSQL, and does not in jiff.
fn time(time: types::Time) -> Result<Time, WrongType> {
    let nanosecond =
        i32::try_from(time.microsecond).map_or(i32::MAX, |micros| micros.saturating_mul(1000));
    let [hour, minute, second] =
        [time.hour, time.minute, time.second].map(|part| i8::try_from(part).unwrap_or(i8::MAX));
    Time::new(hour, minute, second, nanosecond).map_err(|_| WrongType::Type)
}

fn timestamp(timestamp: types::Timestamp) -> Result<DateTime, WrongType> {
    Ok(DateTime::from_parts(date(timestamp.date)?, time(timestamp.time)?))
}

fn to_date(date: Date) -> types::Date {
    types::Date {
        year: date.year().into(),
        month: date.month().unsigned_abs(),
        day: date.day().unsigned_abs(),
    }
}

/// What is finer than PostgreSQL's microseconds is cut.
fn to_time(time: Time) -> types::Time {
    types::Time {
        hour: time.hour().unsigned_abs(),
        minute: time.minute().unsigned_abs(),
        second: time.second().unsigned_abs(),
        microsecond: time.subsec_nanosecond().unsigned_abs() / 1000,
    }
}

fn to_timestamp(at: DateTime) -> types::Timestamp {
    types::Timestamp { date: to_date(at.date()), time: to_time(at.time()) }
}

macro_rules! convert {
    ($($type:ty, $case:ident $wanted:literal: $from:expr, $into:expr;)*) => {$(
        impl FromScalar for $type {
            const WANTED: &str = $wanted;

            fn from_scalar(scalar: Scalar) -> Result<Self, WrongType> {
                match scalar {
                    Scalar::$case(value) => $from(value),
                    _ => Err(WrongType::Type),
                }
            }
        }

        impl IntoScalar for $type {
            fn into_scalar(self) -> Scalar {
                Scalar::$case($into(self))
            }
        }

        impl FromElement for $type {}
    )*};
}

convert! {
    Date, Date "date (of the years -9999 to 9999)": date, to_date;
    Time, Time "time (before 24:00)": time, to_time;
    DateTime, Timestamp "timestamp (of the years -9999 to 9999)": timestamp, to_timestamp;
    jiff::Timestamp, TimestampTz "timestamptz (of the years -9999 to 9999)":
        |value| timestamp(value).and_then(|at| Offset::UTC.to_timestamp(at).map_err(|_| WrongType::Type)),
        |at| to_timestamp(Offset::UTC.to_datetime(at));
}
