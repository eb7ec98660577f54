//! Values by chance, of every type: they come back as they were sent, and no bytes are too strange to be read.

use proptest::prelude::*;

use super::super::backend::{Date, Scalar, Time, Timestamp, Value};
use super::{Kind, Type, read, write};

/// Each kind that a value can have, with Postgres's name of it.
pub(in crate::postgres) const TYPES: [(Kind, &str); 16] = [
    (Kind::Boolean, "bool"),
    (Kind::Int16, "int2"),
    (Kind::Int32, "int4"),
    (Kind::Int64, "int8"),
    (Kind::Float32, "float4"),
    (Kind::Float64, "float8"),
    (Kind::Text, "text"),
    (Kind::Bytes, "bytea"),
    (Kind::Date, "date"),
    (Kind::Time, "time"),
    (Kind::Timestamp, "timestamp"),
    (Kind::TimestampTz, "timestamptz"),
    (Kind::Uuid, "uuid"),
    (Kind::Json, "json"),
    (Kind::Jsonb, "jsonb"),
    (Kind::Numeric, "numeric"),
];

/// Within what the server itself takes, 4713 BC to 294276 AD.
fn date() -> impl Strategy<Value = Date> {
    let day = (-4700..294_000_i32, 1..=12_u8, 1..=28_u8);
    day.prop_map(|(year, month, day)| Date { year, month, day })
}

fn time() -> impl Strategy<Value = Time> {
    (0..24_u8, 0..60_u8, 0..60_u8, 0..1_000_000_u32)
        .prop_map(|(hour, minute, second, microsecond)| Time { hour, minute, second, microsecond })
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (date(), time()).prop_map(|(date, time)| Timestamp { date, time })
}

/// Without a zero character, which no text of the server can hold.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', ""))
}

/// As the server prints it, so that it compares.
fn numeric() -> impl Strategy<Value = String> {
    ("-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?").prop_map(|number| {
        let is_zero = number.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
        if is_zero { number.replace('-', "") } else { number }
    })
}

pub(in crate::postgres) fn scalar(kind: Kind) -> BoxedStrategy<Scalar> {
    match kind {
        Kind::Boolean => any::<bool>().prop_map(Scalar::Boolean).boxed(),
        Kind::Int16 => any::<i16>().prop_map(Scalar::Int16).boxed(),
        Kind::Int32 => any::<i32>().prop_map(Scalar::Int32).boxed(),
        Kind::Int64 => any::<i64>().prop_map(Scalar::Int64).boxed(),
        Kind::Float32 => prop::num::f32::ANY.prop_map(Scalar::Float32).boxed(),
        Kind::Float64 => prop::num::f64::ANY.prop_map(Scalar::Float64).boxed(),
        Kind::Text => text().prop_map(Scalar::Text).boxed(),
        Kind::Bytes => any::<Vec<u8>>().prop_map(Scalar::Bytes).boxed(),
        Kind::Date => date().prop_map(Scalar::Date).boxed(),
        Kind::Time => time().prop_map(Scalar::Time).boxed(),
        Kind::Timestamp => timestamp().prop_map(Scalar::Timestamp).boxed(),
        Kind::TimestampTz => timestamp().prop_map(Scalar::TimestampTz).boxed(),
        Kind::Uuid => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
            .prop_map(Scalar::Uuid)
            .boxed(),
        Kind::Json | Kind::Jsonb => any::<i32>()
            .prop_map(|number| Scalar::Json(format!("{{\"a\": [{number}, null]}}")))
            .boxed(),
        Kind::Numeric => numeric().prop_map(Scalar::Numeric).boxed(),
        Kind::Void | Kind::Other => unreachable!("no value has this kind"),
    }
}

/// A kind, whether it is an array, and a value of it.
fn value() -> impl Strategy<Value = (Type, Value)> {
    prop::sample::select(&TYPES[..]).prop_flat_map(|(kind, name)| {
        let one =
            scalar(kind).prop_map(move |one| (Type::new(kind, None, name), Value::Scalar(one)));
        let many = prop::collection::vec(prop::option::of(scalar(kind)), 0..6)
            .prop_map(move |many| (Type::new(kind, Some(23), name), Value::Array(many)));
        prop_oneof![one, many]
    })
}

/// Compared as it is shown: a NaN is like itself.
pub(in crate::postgres) fn same(one: &Value, other: &Value) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

proptest! {
    #[test]
    fn a_value_comes_back_as_it_was_sent((of, value) in value()) {
        let sent = write(0, &of, &value).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        let back = read(&of, sent.bytes()).map_err(TestCaseError::fail)?;
        prop_assert!(same(&back, &value), "{of:?}: {value:?} became {back:?}");
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_read(
        (kind, name) in prop::sample::select(&TYPES[..]),
        array in any::<bool>(),
        bytes in any::<Vec<u8>>(),
    ) {
        let of = Type::new(kind, array.then_some(23), name);
        // What is read can be sent again, except for forms that the server has and no client writes.
        if let Ok(value) = read(&of, Some(&bytes)) {
            let _ = write(0, &of, &value);
        }
    }

    #[test]
    fn no_array_claims_more_than_it_has(
        length in any::<i32>(),
        sizes in prop::collection::vec(any::<i32>(), 0..8),
    ) {
        let head = [1, 0, 23, length, 1];
        let bytes: Vec<u8> = head.iter().chain(&sizes).flat_map(|word| word.to_be_bytes()).collect();
        let _ = read(&Type::new(Kind::Int32, Some(23), "int4[]"), Some(&bytes));
    }

    #[test]
    fn a_value_for_another_type_is_refused_or_kept(
        (_, given) in value(),
        (kind, name) in prop::sample::select(&TYPES[..]),
        array in any::<bool>(),
    ) {
        let of = Type::new(kind, array.then_some(23), name);
        if let Ok(sent) = write(0, &of, &given) {
            // Dates are out of what can be read only if they were out of what can be written.
            prop_assert!(read(&of, sent.bytes()).is_ok(), "{given:?} as {of:?}");
        }
    }
}
