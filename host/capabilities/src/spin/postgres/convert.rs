//! Values, columns and errors of `spin:postgres@4` from and to those of the granted database.
//!
//! Pure. What the database's interface has no case for goes to the server as text, which it reads, and comes from it as
//! an error that names the cast.

use crate::postgres::backend as of;
use crate::postgres::backend::{Date, Scalar, SqlError, Time, Timestamp, Value};
use crate::postgres::timestamp_from_seconds;
use crate::spin::bindings::postgres4::{
    Column, DbDataType, DbError, DbValue, Error, Interval, ParameterValue, QueryError,
    RangeBoundKind,
};

/// A parameter, or why it is none.
pub(super) fn parameter(value: ParameterValue) -> Result<Value, String> {
    use ParameterValue as Given;
    let scalar = match value {
        Given::DbNull => return Ok(Value::Null),
        Given::Boolean(value) => Scalar::Boolean(value),
        Given::Int8(value) => Scalar::Int16(value.into()),
        Given::Int16(value) => Scalar::Int16(value),
        Given::Int32(value) => Scalar::Int32(value),
        Given::Int64(value) => Scalar::Int64(value),
        Given::Floating32(value) => Scalar::Float32(value),
        Given::Floating64(value) => Scalar::Float64(value),
        Given::Str(value) => Scalar::Text(value),
        Given::Binary(value) => Scalar::Bytes(value),
        Given::Date((year, month, day)) => Scalar::Date(Date { year, month, day }),
        Given::Time((hour, minute, second, nanosecond)) => {
            Scalar::Time(time(hour, minute, second, nanosecond))
        }
        Given::Datetime((year, month, day, hour, minute, second, nanosecond)) => {
            let time = time(hour, minute, second, nanosecond);
            Scalar::Timestamp(Timestamp { date: Date { year, month, day }, time })
        }
        Given::Timestamp(seconds) => {
            let moment = timestamp_from_seconds(seconds);
            Scalar::TimestampTz(moment.ok_or("it is out of the range of PostgreSQL")?)
        }
        Given::Uuid(value) => Scalar::Uuid(value),
        Given::Jsonb(value) => {
            Scalar::Json(String::from_utf8(value).map_err(|_| "it is no JSON: it is not UTF-8")?)
        }
        Given::Decimal(value) => Scalar::Numeric(value),
        Given::RangeInt32((lower, upper)) => Scalar::Text(range(lower, upper)),
        Given::RangeInt64((lower, upper)) => Scalar::Text(range(lower, upper)),
        Given::RangeDecimal((lower, upper)) => Scalar::Text(range(lower, upper)),
        Given::Interval(value) => Scalar::Text(interval(&value)),
        Given::ArrayInt32(values) => return Ok(array(values, Scalar::Int32)),
        Given::ArrayInt64(values) => return Ok(array(values, Scalar::Int64)),
        Given::ArrayDecimal(values) => return Ok(array(values, Scalar::Numeric)),
        Given::ArrayStr(values) => return Ok(array(values, Scalar::Text)),
    };
    Ok(Value::Scalar(scalar))
}

fn array<T>(values: Vec<Option<T>>, scalar: fn(T) -> Scalar) -> Value {
    Value::Array(values.into_iter().map(|value| value.map(scalar)).collect())
}

/// The server counts microseconds.
fn time(hour: u8, minute: u8, second: u8, nanosecond: u32) -> Time {
    Time { hour, minute, second, microsecond: nanosecond / NANOSECONDS }
}

const NANOSECONDS: u32 = 1000;

type Bound<T> = Option<(T, RangeBoundKind)>;

/// As Postgres reads it. A bound that is not there is infinite.
fn range<T: ToString>(lower: Bound<T>, upper: Bound<T>) -> String {
    let (mut text, open) = match &lower {
        Some((_, RangeBoundKind::Inclusive)) => (String::new(), '['),
        _ => (String::new(), '('),
    };
    text.push(open);
    let number = |bound: &Bound<T>| {
        bound.as_ref().map(|(number, _)| format!("\"{}\"", escaped(&number.to_string())))
    };
    text.push_str(&number(&lower).unwrap_or_default());
    text.push(',');
    text.push_str(&number(&upper).unwrap_or_default());
    text.push(match upper {
        Some((_, RangeBoundKind::Inclusive)) => ']',
        _ => ')',
    });
    text
}

/// Within the quotes of a bound.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn interval(Interval { micros, days, months }: &Interval) -> String {
    format!("{months} months {days} days {micros} microseconds")
}

pub(super) fn column(of::Column { name, type_name }: &of::Column) -> Column {
    let data_type = match type_name.as_str() {
        "bool" => DbDataType::Boolean,
        "int2" => DbDataType::Int16,
        "int4" => DbDataType::Int32,
        "int8" => DbDataType::Int64,
        "float4" => DbDataType::Floating32,
        "float8" => DbDataType::Floating64,
        "text" | "varchar" | "bpchar" | "name" | "citext" => DbDataType::Str,
        "bytea" => DbDataType::Binary,
        "date" => DbDataType::Date,
        "time" => DbDataType::Time,
        "timestamp" | "timestamptz" => DbDataType::Datetime,
        "uuid" => DbDataType::Uuid,
        "json" | "jsonb" => DbDataType::Jsonb,
        "numeric" => DbDataType::Decimal,
        "int4[]" => DbDataType::ArrayInt32,
        "int8[]" => DbDataType::ArrayInt64,
        "numeric[]" => DbDataType::ArrayDecimal,
        "text[]" | "varchar[]" | "bpchar[]" => DbDataType::ArrayStr,
        other => DbDataType::Other(other.to_owned()),
    };
    Column { name: name.clone(), data_type }
}

pub(super) fn value(value: Value) -> DbValue {
    match value {
        Value::Null => DbValue::DbNull,
        Value::Scalar(value) => scalar(value),
        Value::Array(elements) => elements_of(elements),
    }
}

fn scalar(value: Scalar) -> DbValue {
    match value {
        Scalar::Boolean(value) => DbValue::Boolean(value),
        Scalar::Int16(value) => DbValue::Int16(value),
        Scalar::Int32(value) => DbValue::Int32(value),
        Scalar::Int64(value) => DbValue::Int64(value),
        Scalar::Float32(value) => DbValue::Floating32(value),
        Scalar::Float64(value) => DbValue::Floating64(value),
        Scalar::Text(value) => DbValue::Str(value),
        Scalar::Bytes(value) => DbValue::Binary(value),
        Scalar::Date(Date { year, month, day }) => DbValue::Date((year, month, day)),
        Scalar::Time(Time { hour, minute, second, microsecond }) => {
            DbValue::Time((hour, minute, second, microsecond.saturating_mul(NANOSECONDS)))
        }
        Scalar::Timestamp(Timestamp { date, time })
        | Scalar::TimestampTz(Timestamp { date, time }) => {
            let Date { year, month, day } = date;
            let Time { hour, minute, second, microsecond } = time;
            let nanosecond = microsecond.saturating_mul(NANOSECONDS);
            DbValue::Datetime((year, month, day, hour, minute, second, nanosecond))
        }
        Scalar::Uuid(value) => DbValue::Uuid(value),
        Scalar::Json(value) => DbValue::Jsonb(value.into_bytes()),
        Scalar::Numeric(value) => DbValue::Decimal(value),
    }
}

/// The elements of one array are of the same case. Where there is none to tell it, texts are as good as any.
fn elements_of(elements: Vec<Option<Scalar>>) -> DbValue {
    let first = elements.iter().flatten().next();
    match first {
        Some(Scalar::Int32(_)) => DbValue::ArrayInt32(each(elements, |value| match value {
            Scalar::Int32(value) => Some(value),
            _ => None,
        })),
        Some(Scalar::Int64(_)) => DbValue::ArrayInt64(each(elements, |value| match value {
            Scalar::Int64(value) => Some(value),
            _ => None,
        })),
        Some(Scalar::Numeric(_)) => DbValue::ArrayDecimal(each(elements, |value| match value {
            Scalar::Numeric(value) => Some(value),
            _ => None,
        })),
        Some(Scalar::Text(_)) | None => DbValue::ArrayStr(each(elements, |value| match value {
            Scalar::Text(value) => Some(value),
            _ => None,
        })),
        // There is no case for it. Its bytes are not known here any more.
        Some(_) => DbValue::Unsupported(Vec::new()),
    }
}

fn each<T>(elements: Vec<Option<Scalar>>, read: fn(Scalar) -> Option<T>) -> Vec<Option<T>> {
    elements.into_iter().map(|element| element.and_then(read)).collect()
}

impl From<of::Error> for Error {
    fn from(error: of::Error) -> Self {
        use of::Error as Of;
        match error {
            Of::Unavailable(why) => Self::ConnectionFailed(why),
            Of::Busy(why) => Self::Other(why),
            Of::TimedOut(why) => Self::QueryFailed(QueryError::Text(why)),
            Of::Cancelled => Self::QueryFailed(QueryError::Text("it was cancelled".to_owned())),
            Of::Database(error) => Self::QueryFailed(QueryError::DbError(said(error))),
            Of::InvalidParameter(why) => Self::BadParameter(why),
            Of::Unsupported(why) => Self::ValueConversionFailed(why),
            Of::Ended => Self::Other("the transaction has ended".to_owned()),
        }
    }
}

fn said(error: SqlError) -> DbError {
    let SqlError { sqlstate, severity, message, detail, hint, constraint, table, column, position } =
        error;
    let position = position.map(|position| position.to_string());
    let extras = [
        ("hint", hint),
        ("table", table),
        ("column", column),
        ("constraint", constraint),
        ("position", position),
    ];
    let extras = extras.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
    DbError {
        as_text: format!("{severity}: {message} (SQLSTATE {sqlstate})"),
        severity,
        code: sqlstate,
        message,
        detail,
        extras: extras.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: ParameterValue) -> String {
        match parameter(value).unwrap() {
            Value::Scalar(Scalar::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_has_no_case_goes_as_text_that_postgres_reads() {
        use RangeBoundKind::{Exclusive, Inclusive};
        for (value, expected) in [
            (
                ParameterValue::RangeInt32((Some((1, Inclusive)), Some((5, Exclusive)))),
                "[\"1\",\"5\")",
            ),
            (ParameterValue::RangeInt64((None, Some((-5, Inclusive)))), "(,\"-5\"]"),
            (
                ParameterValue::RangeDecimal((Some(("1\"\\".to_owned(), Exclusive)), None)),
                "(\"1\\\"\\\\\",)",
            ),
            (
                ParameterValue::Interval(Interval { micros: -7, days: 2, months: 14 }),
                "14 months 2 days -7 microseconds",
            ),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn a_moment_in_seconds_is_one_of_utc() {
        let moment = |seconds| match parameter(ParameterValue::Timestamp(seconds)).unwrap() {
            Value::Scalar(Scalar::TimestampTz(moment)) => {
                value(Value::Scalar(Scalar::Timestamp(moment)))
            }
            other => panic!("{other:?}"),
        };
        assert!(matches!(moment(0), DbValue::Datetime((1970, 1, 1, 0, 0, 0, 0))));
        assert!(matches!(moment(951_782_399), DbValue::Datetime((2000, 2, 28, 23, 59, 59, 0))));
        assert!(parameter(ParameterValue::Timestamp(i64::MAX)).is_err());
    }

    #[test]
    fn json_that_is_no_text_is_no_parameter() {
        let why = parameter(ParameterValue::Jsonb(vec![0xff])).unwrap_err();
        assert!(why.contains("UTF-8"), "{why}");
    }

    #[test]
    fn arrays_keep_their_nulls_and_empty_ones_are_texts() {
        let one = Value::Array(vec![None, Some(Scalar::Int64(3))]);
        assert!(matches!(value(one), DbValue::ArrayInt64(all) if all == [None, Some(3)]));
        assert!(
            matches!(value(Value::Array(Vec::new())), DbValue::ArrayStr(all) if all.is_empty())
        );
        let other = Value::Array(vec![Some(Scalar::Boolean(true))]);
        assert!(matches!(value(other), DbValue::Unsupported(_)));
    }

    #[test]
    fn what_the_server_said_keeps_its_parts() {
        let error = of::Error::Database(SqlError {
            sqlstate: "23505".to_owned(),
            severity: "ERROR".to_owned(),
            message: "duplicate".to_owned(),
            detail: Some("Key".to_owned()),
            hint: None,
            constraint: Some("one".to_owned()),
            table: None,
            column: None,
            position: Some(4),
        });
        let Error::QueryFailed(QueryError::DbError(said)) = error.into() else { panic!() };
        assert_eq!(said.as_text, "ERROR: duplicate (SQLSTATE 23505)");
        assert_eq!(said.code, "23505");
        let extra = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(said.extras, [extra("constraint", "one"), extra("position", "4")]);
    }
}
