//! From the server's bytes to a value of the interface.

use super::{Kind, Type, calendar, numeric};
use crate::postgres::backend::{Error, Scalar, Value};
use wasm_host_limits::postgres as limits;

/// Why a value could not be read; the caller adds which column it was in.
type Unreadable = &'static str;

const MALFORMED: Unreadable = "holds a value that is not in its type's form";
const TOO_MANY_DIGITS: Unreadable = "holds numbers of more digits than a row may have";
const INFINITE: Unreadable = "holds an infinite date or time";

/// The value in a column. `bytes` is nothing for null.
pub(in crate::postgres) fn read(of: &Type, bytes: Option<&[u8]>) -> Result<Value, Unreadable> {
    match (bytes, of.element) {
        (None, _) => Ok(Value::Null),
        (Some(_), _) if of.kind == Kind::Void => Ok(Value::Null),
        (Some(bytes), None) => scalar(of.kind, bytes).map(Value::Scalar),
        (Some(bytes), Some(_)) => array(of.kind, bytes),
    }
}

/// The error for a column that cannot be read; `position` counts from 0.
pub(in crate::postgres) fn unsupported(
    position: usize,
    name: &str,
    of: &Type,
    reason: &str,
) -> Error {
    let cast = match of.name.as_str() {
        "money" => "numeric",
        "oid" | "xid" | "cid" => "text::int8",
        _ if of.element.is_some() && of.kind == Kind::Other => "text[]",
        _ => "text",
    };
    Error::Unsupported(format!(
        "column {} \"{name}\" of type {} {reason}; cast it in the statement: \"{name}\"::{cast}",
        position + 1,
        of.name,
    ))
}

fn scalar(kind: Kind, bytes: &[u8]) -> Result<Scalar, Unreadable> {
    Ok(match kind {
        Kind::Boolean => Scalar::Boolean(fixed::<1>(bytes)? != [0]),
        Kind::Int16 => Scalar::Int16(i16::from_be_bytes(fixed(bytes)?)),
        Kind::Int32 => Scalar::Int32(i32::from_be_bytes(fixed(bytes)?)),
        Kind::Int64 => Scalar::Int64(i64::from_be_bytes(fixed(bytes)?)),
        Kind::Float32 => Scalar::Float32(f32::from_be_bytes(fixed(bytes)?)),
        Kind::Float64 => Scalar::Float64(f64::from_be_bytes(fixed(bytes)?)),
        Kind::Text => Scalar::Text(text(bytes)?),
        Kind::Bytes => Scalar::Bytes(bytes.to_vec()),
        Kind::Date => match i32::from_be_bytes(fixed(bytes)?) {
            i32::MIN | i32::MAX => return Err(INFINITE),
            days => Scalar::Date(calendar::date_from_days(days.into()).ok_or(MALFORMED)?),
        },
        Kind::Time => {
            let microseconds = i64::from_be_bytes(fixed(bytes)?);
            Scalar::Time(calendar::time_from_microseconds(microseconds).ok_or(MALFORMED)?)
        }
        Kind::Timestamp | Kind::TimestampTz => {
            let timestamp = match i64::from_be_bytes(fixed(bytes)?) {
                i64::MIN | i64::MAX => return Err(INFINITE),
                microseconds => {
                    calendar::timestamp_from_microseconds(microseconds).ok_or(MALFORMED)?
                }
            };
            if kind == Kind::Timestamp {
                Scalar::Timestamp(timestamp)
            } else {
                Scalar::TimestampTz(timestamp)
            }
        }
        Kind::Uuid => Scalar::Uuid(uuid(fixed(bytes)?)),
        Kind::Json => Scalar::Json(text(bytes)?),
        // A version byte, so far always 1, precedes the text.
        Kind::Jsonb => match bytes {
            [1, json @ ..] => Scalar::Json(text(json)?),
            _ => return Err(MALFORMED),
        },
        Kind::Numeric => Scalar::Numeric(numeric::text(bytes).ok_or(MALFORMED)?),
        Kind::Void | Kind::Other => return Err("has no case in the interface"),
    })
}

/// Number of dimensions, a flag, the element's type; length and first index of each dimension; then
/// the elements, each with its length or -1 for null.
fn array(kind: Kind, bytes: &[u8]) -> Result<Value, Unreadable> {
    let mut rest = bytes;
    let dimensions = number(&mut rest)?;
    let (_flags, _element) = (number(&mut rest)?, number(&mut rest)?);
    let length = match dimensions {
        0 => 0,
        1 => {
            let length = number(&mut rest)?;
            let _first_index = number(&mut rest)?;
            usize::try_from(length).map_err(|_| MALFORMED)?
        }
        _ => return Err("holds an array of more than one dimension"),
    };
    // The length is the server's word; no more is reserved than the bytes could hold.
    let mut elements = Vec::with_capacity(length.min(rest.len() / 4));
    let mut digits = 0;
    for _ in 0..length {
        let element = match usize::try_from(number(&mut rest)?) {
            Err(_) => None,
            Ok(size) => {
                let (element, after) = rest.split_at_checked(size).ok_or(MALFORMED)?;
                rest = after;
                if kind == Kind::Numeric {
                    digits += numeric::text_size(element);
                    if digits > limits::ROW_BYTES {
                        return Err(TOO_MANY_DIGITS);
                    }
                }
                Some(scalar(kind, element)?)
            }
        };
        elements.push(element);
    }
    Ok(Value::Array(elements))
}

fn number(rest: &mut &[u8]) -> Result<i32, Unreadable> {
    let (number, after) = rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
    *rest = after;
    Ok(i32::from_be_bytes(*number))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unreadable> {
    bytes.try_into().map_err(|_| MALFORMED)
}

fn text(bytes: &[u8]) -> Result<String, Unreadable> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "holds text that is not UTF-8")
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
