//! Postgres values as a case file writes them.
//!
//! A cell is written plainly, since its column says what it is: `1`, `"rain"`, `"2026-01-31"`. A
//! parameter says by itself what it is: `{ int32 = 3 }`. Null is `{ null = true }`, because TOML has none.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::civil;
use serde::{Deserialize, Serialize};
use toml::Value as Toml;

use wasm_host_capabilities::postgres::backend::{Date, Scalar, Time, Timestamp, Value};

/// What a parameter must be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Toml", into = "Toml")]
pub enum Expected {
    /// This number in any integer type.
    Integer(i64),
    /// This number in any floating type.
    Float(f64),
    Exactly(Value),
}

impl TryFrom<Toml> for Expected {
    type Error = String;

    fn try_from(toml: Toml) -> Result<Self, String> {
        Ok(match toml {
            Toml::Integer(number) => Self::Integer(number),
            Toml::Float(number) => Self::Float(number),
            other => Self::Exactly(typed(&other)?),
        })
    }
}

impl From<Expected> for Toml {
    fn from(expected: Expected) -> Self {
        expected.written()
    }
}

impl Expected {
    /// Whether a parameter is what was expected.
    pub fn matches(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Integer(number), Value::Scalar(scalar)) => integer(scalar) == Some(*number),
            (Self::Float(number), Value::Scalar(Scalar::Float64(given))) => given == number,
            (Self::Float(number), Value::Scalar(Scalar::Float32(given))) => {
                f64::from(*given) == *number || given.to_string() == number.to_string()
            }
            (Self::Exactly(expected), given) => show(expected) == show(given),
            _ => false,
        }
    }

    fn written(&self) -> Toml {
        match self {
            Self::Integer(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::Exactly(value) => written(value),
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.written().to_string().trim())
    }
}

/// A value as a parameter is written.
pub(crate) fn show(value: &Value) -> String {
    written(value).to_string().trim().to_string()
}

/// A cell of a column with this type, named as Postgres does.
pub(crate) fn cell(type_name: &str, toml: &Toml) -> Result<Value, String> {
    if let Toml::Table(_) = toml {
        return typed(toml);
    }
    let Some(element) = type_name.strip_suffix("[]") else {
        return scalar(type_name, toml).map(Value::Scalar);
    };
    let Toml::Array(elements) = toml else {
        return Err(format!("{toml} is no {type_name}: write an array"));
    };
    let element = |toml: &Toml| match toml {
        Toml::Table(_) => match typed(toml)? {
            Value::Null => Ok(None),
            Value::Scalar(scalar) => Ok(Some(scalar)),
            Value::Array(_) => Err("an array within an array".to_string()),
        },
        plain => scalar(element, plain).map(Some),
    };
    elements.iter().map(element).collect::<Result<_, _>>().map(Value::Array)
}

/// A value that says what it is.
fn typed(toml: &Toml) -> Result<Value, String> {
    let table = match toml {
        Toml::String(text) => return Ok(Value::Scalar(Scalar::Text(text.clone()))),
        Toml::Boolean(truth) => return Ok(Value::Scalar(Scalar::Boolean(*truth))),
        Toml::Array(elements) => {
            let element = |toml: &Toml| match typed(toml)? {
                Value::Null => Ok(None),
                Value::Scalar(scalar) => Ok(Some(scalar)),
                Value::Array(_) => Err("an array within an array".to_string()),
            };
            return elements.iter().map(element).collect::<Result<_, _>>().map(Value::Array);
        }
        Toml::Table(table) => table,
        other => return Err(format!("{other} does not say its type: write {{ TYPE = {other} }}")),
    };
    let mut entries = table.iter();
    let (Some((name, value)), None) = (entries.next(), entries.next()) else {
        return Err("a value is written { TYPE = VALUE }".to_string());
    };
    match name.as_str() {
        "null" if *value == Toml::Boolean(true) => Ok(Value::Null),
        "null" => Err("null is written { null = true }".to_string()),
        "boolean" => scalar("bool", value).map(Value::Scalar),
        "int16" => scalar("int2", value).map(Value::Scalar),
        "int32" => scalar("int4", value).map(Value::Scalar),
        "int64" => scalar("int8", value).map(Value::Scalar),
        "float32" => scalar("float4", value).map(Value::Scalar),
        "float64" => scalar("float8", value).map(Value::Scalar),
        "text" => scalar("text", value).map(Value::Scalar),
        "bytes" => scalar("bytea", value).map(Value::Scalar),
        "date" | "time" | "timestamp" | "uuid" | "json" | "numeric" => {
            scalar(name, value).map(Value::Scalar)
        }
        "timestamp-tz" => scalar("timestamptz", value).map(Value::Scalar),
        other => Err(format!(
            "there is no type '{other}'; there are boolean, int16, int32, int64, float32, float64, text, bytes (base64), \
             date, time, timestamp, timestamp-tz, uuid, json, numeric, null"
        )),
    }
}

fn scalar(type_name: &str, toml: &Toml) -> Result<Scalar, String> {
    let wrong = || format!("{toml} is no {type_name}");
    let number = || toml.as_integer().ok_or_else(wrong);
    // A date may be written as TOML's own.
    let text = || match toml {
        Toml::String(text) => Ok(text.clone()),
        Toml::Datetime(time) => Ok(time.to_string()),
        _ => Err(wrong()),
    };
    let float = || toml.as_float().or(toml.as_integer().map(|n| n as f64)).ok_or_else(wrong);
    Ok(match type_name {
        "bool" => Scalar::Boolean(toml.as_bool().ok_or_else(wrong)?),
        "int2" => Scalar::Int16(i16::try_from(number()?).map_err(|_| wrong())?),
        "int4" => Scalar::Int32(i32::try_from(number()?).map_err(|_| wrong())?),
        "int8" => Scalar::Int64(number()?),
        "float4" => Scalar::Float32(float()? as f32),
        "float8" => Scalar::Float64(float()?),
        "bytea" => Scalar::Bytes(BASE64_STANDARD.decode(text()?).map_err(|_| wrong())?),
        "date" => Scalar::Date(date(text()?.parse().map_err(|_| wrong())?)),
        "time" => Scalar::Time(time_of_day(&text()?).ok_or_else(wrong)?),
        "timestamp" => {
            Scalar::Timestamp(timestamp(text()?.replace(' ', "T").parse().map_err(|_| wrong())?))
        }
        "timestamptz" => {
            let moment: jiff::Timestamp = text()?.parse().map_err(|_| wrong())?;
            Scalar::TimestampTz(timestamp(jiff::tz::TimeZone::UTC.to_datetime(moment)))
        }
        "uuid" => Scalar::Uuid(text()?),
        "json" | "jsonb" => {
            let text = text()?;
            serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|_| wrong())?;
            Scalar::Json(text)
        }
        "numeric" => Scalar::Numeric(match toml {
            Toml::Integer(number) => number.to_string(),
            _ => text().map_err(|_| format!("{toml} is no numeric: write it as a text"))?,
        }),
        // Enumerations have names of their own and are read as texts.
        _ => Scalar::Text(text()?),
    })
}

fn written(value: &Value) -> Toml {
    match value {
        Value::Null => null(),
        Value::Scalar(scalar) => scalar_written(scalar),
        Value::Array(elements) => {
            let element =
                |scalar: &Option<Scalar>| scalar.as_ref().map_or_else(null, scalar_written);
            Toml::Array(elements.iter().map(element).collect())
        }
    }
}

fn single(name: &str, value: impl Into<Toml>) -> Toml {
    Toml::Table([(name.to_string(), value.into())].into_iter().collect())
}

fn null() -> Toml {
    single("null", true)
}

fn scalar_written(scalar: &Scalar) -> Toml {
    match (scalar, named(scalar)) {
        (Scalar::Text(_) | Scalar::Boolean(_), (_, plain)) => plain,
        (_, (name, plain)) => single(name, plain),
    }
}

/// The name of a scalar's type, and its value where that is known.
fn named(scalar: &Scalar) -> (&'static str, Toml) {
    match scalar {
        Scalar::Text(text) => ("text", text.as_str().into()),
        Scalar::Boolean(truth) => ("boolean", (*truth).into()),
        Scalar::Int16(number) => ("int16", i64::from(*number).into()),
        Scalar::Int32(number) => ("int32", i64::from(*number).into()),
        Scalar::Int64(number) => ("int64", (*number).into()),
        // By its own digits: as a double it would show digits that it does not have.
        Scalar::Float32(number) => {
            ("float32", number.to_string().parse().unwrap_or(f64::from(*number)).into())
        }
        Scalar::Float64(number) => ("float64", (*number).into()),
        Scalar::Bytes(bytes) => ("bytes", BASE64_STANDARD.encode(bytes).into()),
        Scalar::Date(date) => ("date", show_date(date).into()),
        Scalar::Time(time) => ("time", show_time(time).into()),
        Scalar::Timestamp(at) => {
            ("timestamp", format!("{}T{}", show_date(&at.date), show_time(&at.time)).into())
        }
        Scalar::TimestampTz(at) => {
            ("timestamp-tz", format!("{}T{}Z", show_date(&at.date), show_time(&at.time)).into())
        }
        Scalar::Uuid(text) => ("uuid", text.as_str().into()),
        Scalar::Json(text) => ("json", text.as_str().into()),
        Scalar::Numeric(text) => ("numeric", text.as_str().into()),
    }
}

/// A cell as its column's type lets it be written: plainly where that says the same.
pub(super) fn cell_written(type_name: &str, value: &Value) -> Toml {
    let plain = match value {
        Value::Scalar(scalar) => named(scalar).1,
        Value::Null | Value::Array(_) => written(value),
    };
    let says_the_same = cell(type_name, &plain).is_ok_and(|read| show(&read) == show(value));
    if says_the_same { plain } else { written(value) }
}

fn integer(scalar: &Scalar) -> Option<i64> {
    match scalar {
        Scalar::Int16(number) => Some(i64::from(*number)),
        Scalar::Int32(number) => Some(i64::from(*number)),
        Scalar::Int64(number) => Some(*number),
        _ => None,
    }
}

fn date(date: civil::Date) -> Date {
    Date {
        year: i32::from(date.year()),
        month: date.month().unsigned_abs(),
        day: date.day().unsigned_abs(),
    }
}

fn time(time: civil::Time) -> Time {
    Time {
        hour: time.hour().unsigned_abs(),
        minute: time.minute().unsigned_abs(),
        second: time.second().unsigned_abs(),
        microsecond: time.subsec_nanosecond().unsigned_abs() / 1000,
    }
}

/// Postgres's day has a 24:00:00.
fn time_of_day(text: &str) -> Option<Time> {
    if text == "24:00:00" {
        return Some(Time { hour: 24, minute: 0, second: 0, microsecond: 0 });
    }
    text.parse().ok().map(time)
}

fn timestamp(at: civil::DateTime) -> Timestamp {
    Timestamp { date: date(at.date()), time: time(at.time()) }
}

fn show_date(date: &Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

fn show_time(time: &Time) -> String {
    let Time { hour, minute, second, microsecond } = time;
    let fraction = match microsecond {
        0 => String::new(),
        some => format!(".{some:06}").trim_end_matches('0').to_string(),
    };
    format!("{hour:02}:{minute:02}:{second:02}{fraction}")
}
