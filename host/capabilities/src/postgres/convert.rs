//! Values between the interface and the binary format in which Postgres sends and takes them.
//!
//! Pure functions over bytes. No connection, and of the driver only its description of a type,
//! which [`Type::of`] turns into ours.

mod calendar;
mod numeric;
mod read;
mod write;

use sqlx::TypeInfo;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgTypeInfo, PgTypeKind};

pub(super) use read::{read, unsupported};
pub(super) use write::{Parameter, text_for_server, write};

use super::backend::{Scalar, Timestamp};

/// A moment of so many seconds after 1970, in UTC. `None`: Postgres has no such.
pub(crate) fn timestamp_from_seconds(seconds: i64) -> Option<Timestamp> {
    /// From 1970 to 2000, which is where Postgres counts from.
    const SECONDS: i64 = 946_684_800;
    let microseconds = seconds.checked_sub(SECONDS)?.checked_mul(1_000_000)?;
    calendar::timestamp_from_microseconds(microseconds)
}

/// A type of the server as far as the interface carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) kind: Kind,
    /// The element's type number, if this is an array; `kind` is then that of an element.
    pub(super) element: Option<u32>,
    /// Postgres's name, as in `int4[]`.
    pub(super) name: String,
}

/// How the bytes of a value are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Text,
    Bytes,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Uuid,
    Json,
    Jsonb,
    Numeric,
    /// What a function without a result gives: read as null.
    Void,
    /// No case in the interface.
    Other,
}

impl Type {
    pub(super) fn of(info: &PgTypeInfo) -> Self {
        let (kind, element) = match info.kind() {
            PgTypeKind::Array(element) => (kind(element), element.oid().map(|Oid(oid)| oid)),
            _ => (kind(info), None),
        };
        Self { kind, element, name: name(info) }
    }

    /// A type by its numbers, for tests.
    #[cfg(test)]
    pub(super) fn new(kind: Kind, element: Option<u32>, name: &str) -> Self {
        Self { kind, element, name: name.to_string() }
    }
}

fn kind(info: &PgTypeInfo) -> Kind {
    match info.kind() {
        PgTypeKind::Enum(_) => return Kind::Text,
        PgTypeKind::Domain(base) => {
            // A domain over an array is read as an array only under its own name, which the
            // server does not give; the cast that the error names does.
            return if matches!(base.kind(), PgTypeKind::Array(_)) {
                Kind::Other
            } else {
                kind(base)
            };
        }
        _ => {}
    }
    // Numbers from the server's catalogue, `pg_type.dat`: fixed for built-in types.
    match info.oid().map(|Oid(oid)| oid) {
        Some(16) => Kind::Boolean,
        Some(21) => Kind::Int16,
        Some(23) => Kind::Int32,
        Some(20) => Kind::Int64,
        Some(700) => Kind::Float32,
        Some(701) => Kind::Float64,
        // "char", name, text, unknown, char(n), varchar
        Some(18 | 19 | 25 | 705 | 1042 | 1043) => Kind::Text,
        Some(17) => Kind::Bytes,
        Some(1082) => Kind::Date,
        Some(1083) => Kind::Time,
        Some(1114) => Kind::Timestamp,
        Some(1184) => Kind::TimestampTz,
        Some(2950) => Kind::Uuid,
        Some(114) => Kind::Json,
        Some(3802) => Kind::Jsonb,
        Some(1700) => Kind::Numeric,
        Some(2278) => Kind::Void,
        // The extension's type has another number in each database.
        _ if info.name().rsplit('.').next() == Some("citext") => Kind::Text,
        _ => Kind::Other,
    }
}

/// The name of a type in a statement. The driver gives that of a type of the database's own as the server would write
/// it there. A built-in one is in quotes: without them, `bit` is `bit(1)`.
pub(super) fn name_in_sql(info: &PgTypeInfo) -> String {
    let name = name(info);
    let is_own = info.oid().is_none_or(|Oid(oid)| oid >= FIRST_OF_ITS_OWN);
    if is_own || name == info.name() {
        return info.name().to_string();
    }
    let (element, array) = name.strip_suffix("[]").map_or((&*name, ""), |element| (element, "[]"));
    format!("pg_catalog.\"{element}\"{array}")
}

/// Types that a database did not come with have numbers from here on.
const FIRST_OF_ITS_OWN: u32 = 16_384;

/// The name of the catalogue: the driver writes some of them in its own way.
fn name(info: &PgTypeInfo) -> String {
    let given = info.name();
    let built_in = given.chars().all(|c| !c.is_ascii_lowercase());
    match given {
        "CHAR" => "bpchar".to_string(),
        "CHAR[]" => "bpchar[]".to_string(),
        "\"CHAR\"" => "char".to_string(),
        "\"CHAR\"[]" => "char[]".to_string(),
        _ if built_in => given.to_ascii_lowercase(),
        _ => given.to_string(),
    }
}

/// The name of a scalar's case, as the interface spells it.
fn case(scalar: &Scalar) -> &'static str {
    match scalar {
        Scalar::Boolean(_) => "boolean",
        Scalar::Int16(_) => "int16",
        Scalar::Int32(_) => "int32",
        Scalar::Int64(_) => "int64",
        Scalar::Float32(_) => "float32",
        Scalar::Float64(_) => "float64",
        Scalar::Text(_) => "text",
        Scalar::Bytes(_) => "bytes",
        Scalar::Date(_) => "date",
        Scalar::Time(_) => "time",
        Scalar::Timestamp(_) => "timestamp",
        Scalar::TimestampTz(_) => "timestamp-tz",
        Scalar::Uuid(_) => "uuid",
        Scalar::Json(_) => "json",
        Scalar::Numeric(_) => "numeric",
    }
}

#[cfg(test)]
pub(super) mod fuzz;
#[cfg(test)]
mod tests;
