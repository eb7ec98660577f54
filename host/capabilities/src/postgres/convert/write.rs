//! From a value of the interface to the server's bytes, where that loses nothing.

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Postgres, Type as SqlxType};

use super::{Kind, Type, calendar, case, numeric};
use crate::postgres::backend::{Date, Error, Scalar, Time, Timestamp, Value};

/// A parameter in the server's form; the driver passes it on as it is.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Parameter(Option<Vec<u8>>);

impl SqlxType<Postgres> for Parameter {
    fn type_info() -> PgTypeInfo {
        // The statement is prepared already; its own types hold.
        PgTypeInfo::with_name("unknown")
    }
}

impl Encode<'_, Postgres> for Parameter {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(match &self.0 {
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn size_hint(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::len)
    }
}

impl Parameter {
    /// Null without bytes.
    pub(in crate::postgres) fn new(bytes: Option<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Bytes on the way to the server.
    pub(in crate::postgres) fn size(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::len)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }
}

/// `value` as the server expects it; `position` counts from 0.
pub(in crate::postgres) fn write(
    position: usize,
    of: &Type,
    value: &Value,
) -> Result<Parameter, Error> {
    let refuse = |given: &str, advice: &str| {
        let number = position + 1;
        Error::InvalidParameter(format!(
            "parameter {number} is {} for the server, {given} was given{advice}",
            of.name,
        ))
    };
    match (value, of.element) {
        (Value::Null, _) => Ok(Parameter(None)),
        (Value::Scalar(given), None) => match scalar(of.kind, given) {
            Ok(bytes) => Ok(Parameter(Some(bytes))),
            Err("") => Err(refuse(case(given), advice(given))),
            Err(why) => Err(refuse(case(given), why)),
        },
        (Value::Array(elements), Some(element)) => array(of.kind, element, elements)
            .map(|bytes| Parameter(Some(bytes)))
            .map_err(|(at, why)| {
                let element = elements.get(at).and_then(Option::as_ref);
                let given = element.map_or("null", case);
                let why = if why.is_empty() { element.map_or("", advice) } else { why };
                refuse(&format!("an array with {given} as element {}", at + 1), why)
            }),
        (Value::Scalar(given), Some(_)) => Err(refuse(case(given), advice(given))),
        (Value::Array(_), None) => Err(refuse("an array", AS_TEXT)),
    }
}

/// This always works: every type reads text.
const AS_TEXT: &str = "; give it as text, which the server reads";
const ZERO: &str = " with a zero character, which Postgres cannot store";

fn advice(given: &Scalar) -> &'static str {
    match given {
        Scalar::Text(text) if text.contains('\0') => ZERO,
        Scalar::Text(_) => "",
        _ => AS_TEXT,
    }
}

/// The text of a value that the server is to read as what it expects. Nothing if it is no text.
pub(in crate::postgres) fn text_for_server(of: &Type, value: &Value) -> Option<Parameter> {
    let bytes = match value {
        Value::Scalar(given) => scalar(Kind::Text, given).ok(),
        // A type that is not known here may stand for an array.
        Value::Array(elements) if of.element.is_some() || of.kind == Kind::Other => {
            array(Kind::Text, TEXT, elements).ok()
        }
        Value::Null | Value::Array(_) => None,
    };
    bytes.map(|bytes| Parameter(Some(bytes)))
}

/// The server's number of the type `text`.
const TEXT: u32 = 25;

/// An empty reason stands for "the cases do not match".
fn scalar(kind: Kind, given: &Scalar) -> Result<Vec<u8>, &'static str> {
    let out_of_range = ", which is out of range";
    match kind {
        Kind::Boolean => match given {
            Scalar::Boolean(value) => Ok(vec![u8::from(*value)]),
            _ => Err(""),
        },
        Kind::Int16 => i16::try_from(integer(given).ok_or("")?)
            .map(|value| value.to_be_bytes().to_vec())
            .map_err(|_| out_of_range),
        Kind::Int32 => i32::try_from(integer(given).ok_or("")?)
            .map(|value| value.to_be_bytes().to_vec())
            .map_err(|_| out_of_range),
        Kind::Int64 => Ok(integer(given).ok_or("")?.to_be_bytes().to_vec()),
        Kind::Float32 => float32(given).map(|value| value.to_be_bytes().to_vec()),
        Kind::Float64 => float64(given).map(|value| value.to_be_bytes().to_vec()),
        Kind::Text => match given {
            Scalar::Text(value) => text(value),
            _ => Err(""),
        },
        Kind::Bytes => match given {
            Scalar::Bytes(value) => Ok(value.clone()),
            _ => Err(""),
        },
        Kind::Date => match given {
            Scalar::Date(value) => date(*value),
            _ => Err(""),
        },
        Kind::Time => match given {
            Scalar::Time(value) => calendar::microseconds_from_time(*value)
                .map(|value| value.to_be_bytes().to_vec())
                .ok_or(", which does not exist"),
            _ => Err(""),
        },
        Kind::Timestamp => match given {
            Scalar::Timestamp(value) => timestamp(*value),
            Scalar::Date(value) => timestamp(Timestamp { date: *value, time: MIDNIGHT }),
            _ => Err(""),
        },
        // No time without a zone: which instant it is would be a guess.
        Kind::TimestampTz => match given {
            Scalar::TimestampTz(value) => timestamp(*value),
            _ => Err(""),
        },
        Kind::Uuid => match given {
            Scalar::Uuid(value) | Scalar::Text(value) => uuid(value).ok_or(", which is no uuid"),
            _ => Err(""),
        },
        Kind::Json | Kind::Jsonb => match given {
            Scalar::Json(value) | Scalar::Text(value) => {
                let version: &[u8] = if kind == Kind::Jsonb { &[1] } else { &[] };
                Ok([version, &text(value)?].concat())
            }
            _ => Err(""),
        },
        Kind::Numeric => match given {
            Scalar::Numeric(value) | Scalar::Text(value) => {
                numeric::bytes(value).ok_or(", which is no plain decimal number")
            }
            // The shortest text that reads back as the same number.
            Scalar::Float64(value) => numeric::bytes(&decimal(*value, value.to_string())).ok_or(""),
            Scalar::Float32(value) => {
                numeric::bytes(&decimal((*value).into(), value.to_string())).ok_or("")
            }
            _ => {
                let value = integer(given).ok_or("")?;
                numeric::bytes(&value.to_string()).ok_or("")
            }
        },
        Kind::Void | Kind::Other => Err(""),
    }
}

const MIDNIGHT: Time = Time { hour: 0, minute: 0, second: 0, microsecond: 0 };

fn integer(given: &Scalar) -> Option<i64> {
    match given {
        Scalar::Int16(value) => Some((*value).into()),
        Scalar::Int32(value) => Some((*value).into()),
        Scalar::Int64(value) => Some(*value),
        _ => None,
    }
}

const INEXACT: &str =
    ", which it cannot hold exactly; give it as text, which the server reads and rounds";

/// Rust writes infinity in its own way.
fn decimal(number: f64, shown: String) -> String {
    match number {
        f64::INFINITY => "Infinity".to_string(),
        f64::NEG_INFINITY => "-Infinity".to_string(),
        _ => shown,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what was lost is compared right after")]
fn float32(given: &Scalar) -> Result<f32, &'static str> {
    if let Scalar::Float32(value) = given {
        return Ok(*value);
    }
    let wide = float64(given)?;
    let value = wide as f32;
    let exact = wide.is_nan() || f64::from(value).to_bits() == wide.to_bits();
    if exact { Ok(value) } else { Err(INEXACT) }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "what was lost is compared right after"
)]
fn float64(given: &Scalar) -> Result<f64, &'static str> {
    match given {
        Scalar::Float64(value) => Ok(*value),
        Scalar::Float32(value) => Ok((*value).into()),
        _ => {
            let whole = integer(given).ok_or("")?;
            let value = whole as f64;
            let exact = value as i128 == i128::from(whole);
            if exact { Ok(value) } else { Err(INEXACT) }
        }
    }
}

fn text(value: &str) -> Result<Vec<u8>, &'static str> {
    if value.contains('\0') {
        return Err(ZERO);
    }
    Ok(value.as_bytes().to_vec())
}

fn date(value: Date) -> Result<Vec<u8>, &'static str> {
    let days = calendar::days_from_date(value).ok_or(", which does not exist")?;
    let days = i32::try_from(days).ok().filter(|days| !matches!(*days, i32::MIN | i32::MAX));
    Ok(days.ok_or(", which is out of range")?.to_be_bytes().to_vec())
}

fn timestamp(value: Timestamp) -> Result<Vec<u8>, &'static str> {
    let microseconds = calendar::microseconds_from_timestamp(value)
        .filter(|microseconds| !matches!(*microseconds, i64::MIN | i64::MAX))
        .ok_or(", which does not exist or is out of range")?;
    Ok(microseconds.to_be_bytes().to_vec())
}

fn uuid(value: &str) -> Option<Vec<u8>> {
    let hex: Vec<u32> =
        value.chars().filter(|c| *c != '-').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    if hex.len() != 32 || !matches!(value.len(), 32 | 36) {
        return None;
    }
    hex.chunks_exact(2)
        .map(|pair| u8::try_from(pair.iter().fold(0, |sum, digit| sum * 16 + digit)).ok())
        .collect()
}

/// The reverse of what `read` takes apart. The error names the element's place, from 0.
fn array(
    kind: Kind,
    element: u32,
    elements: &[Option<Scalar>],
) -> Result<Vec<u8>, (usize, &'static str)> {
    let has_null = u32::from(elements.iter().any(Option::is_none));
    let dimensions = u32::from(!elements.is_empty());
    let mut bytes: Vec<u8> =
        [dimensions, has_null, element].iter().flat_map(|word| word.to_be_bytes()).collect();
    if !elements.is_empty() {
        let length = u32::try_from(elements.len()).map_err(|_| (0, ", which is too long"))?;
        bytes.extend([length, 1].iter().flat_map(|word: &u32| word.to_be_bytes()));
    }
    for (at, value) in elements.iter().enumerate() {
        match value {
            None => bytes.extend((-1_i32).to_be_bytes()),
            Some(value) => {
                let value = scalar(kind, value).map_err(|why| (at, why))?;
                let size = u32::try_from(value.len()).map_err(|_| (at, ", which is too long"))?;
                bytes.extend(size.to_be_bytes());
                bytes.extend(value);
            }
        }
    }
    Ok(bytes)
}
