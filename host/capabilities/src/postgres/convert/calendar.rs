//! Dates and times: Postgres counts days and microseconds from 2000-01-01, the interface names
//! them.
//!
//! The conversion between day numbers and dates is Howard Hinnant's `days_from_civil`, which needs
//! no table and no case for leap years.

use crate::postgres::backend::{Date, Time, Timestamp};

/// Days from 0000-03-01, where the algorithm counts from, to 2000-01-01.
const EPOCH: i64 = 730_425;
const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

pub(super) fn date_from_days(days: i64) -> Option<Date> {
    let days = days.checked_add(EPOCH)?;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some(Date {
        year: i32::try_from(year).ok()?,
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
    })
}

/// Nothing for a date that does not exist.
pub(super) fn days_from_date(date: Date) -> Option<i64> {
    if !(1..=12).contains(&date.month) || !(1..=31).contains(&date.day) {
        return None;
    }
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(date.month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(date.day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - EPOCH;
    // The 31st of a short month would have become the 1st of the next.
    let back = date_from_days(days)?;
    (back.month == date.month && back.day == date.day).then_some(days)
}

pub(super) fn time_from_microseconds(microseconds: i64) -> Option<Time> {
    if !(0..=MICROSECONDS_PER_DAY).contains(&microseconds) {
        return None;
    }
    let seconds = microseconds / 1_000_000;
    Some(Time {
        hour: u8::try_from(seconds / 3600).ok()?,
        minute: u8::try_from(seconds / 60 % 60).ok()?,
        second: u8::try_from(seconds % 60).ok()?,
        microsecond: u32::try_from(microseconds % 1_000_000).ok()?,
    })
}

/// Nothing for a time that does not exist.
pub(super) fn microseconds_from_time(time: Time) -> Option<i64> {
    if time.minute > 59 || time.second > 59 || time.microsecond > 999_999 {
        return None;
    }
    let seconds =
        i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second);
    let microseconds = seconds * 1_000_000 + i64::from(time.microsecond);
    (microseconds <= MICROSECONDS_PER_DAY).then_some(microseconds)
}

pub(super) fn timestamp_from_microseconds(microseconds: i64) -> Option<Timestamp> {
    Some(Timestamp {
        date: date_from_days(microseconds.div_euclid(MICROSECONDS_PER_DAY))?,
        time: time_from_microseconds(microseconds.rem_euclid(MICROSECONDS_PER_DAY))?,
    })
}

pub(super) fn microseconds_from_timestamp(timestamp: Timestamp) -> Option<i64> {
    days_from_date(timestamp.date)?
        .checked_mul(MICROSECONDS_PER_DAY)?
        .checked_add(microseconds_from_time(timestamp.time)?)
}
