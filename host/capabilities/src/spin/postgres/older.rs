//! The types of `spin:postgres@3` and `fermyon:spin/postgres@2`, from and to those of version 4.
//!
//! What an older version has no case for comes as text where that says it all.

use crate::spin::bindings::postgres4::{
    Column, DbDataType, DbValue, Error, ParameterValue, QueryError, RowSet,
};
use crate::spin::bindings::{postgres3, rdbms_types};

impl From<postgres3::ParameterValue> for ParameterValue {
    fn from(value: postgres3::ParameterValue) -> Self {
        use postgres3::ParameterValue as Given;
        match value {
            Given::Boolean(value) => Self::Boolean(value),
            Given::Int8(value) => Self::Int8(value),
            Given::Int16(value) => Self::Int16(value),
            Given::Int32(value) => Self::Int32(value),
            Given::Int64(value) => Self::Int64(value),
            Given::Floating32(value) => Self::Floating32(value),
            Given::Floating64(value) => Self::Floating64(value),
            Given::Str(value) => Self::Str(value),
            Given::Binary(value) => Self::Binary(value),
            Given::Date(value) => Self::Date(value),
            Given::Time(value) => Self::Time(value),
            Given::Datetime(value) => Self::Datetime(value),
            Given::Timestamp(value) => Self::Timestamp(value),
            Given::DbNull => Self::DbNull,
        }
    }
}

impl From<rdbms_types::ParameterValue> for ParameterValue {
    fn from(value: rdbms_types::ParameterValue) -> Self {
        use rdbms_types::ParameterValue as Given;
        match value {
            Given::Boolean(value) => Self::Boolean(value),
            Given::Int8(value) => Self::Int8(value),
            Given::Int16(value) => Self::Int16(value),
            Given::Int32(value) => Self::Int32(value),
            Given::Int64(value) => Self::Int64(value),
            // Postgres has no unsigned numbers: the next larger signed one holds each.
            Given::Uint8(value) => Self::Int16(value.into()),
            Given::Uint16(value) => Self::Int32(value.into()),
            Given::Uint32(value) => Self::Int64(value.into()),
            Given::Uint64(value) => Self::Decimal(value.to_string()),
            Given::Floating32(value) => Self::Floating32(value),
            Given::Floating64(value) => Self::Floating64(value),
            Given::Str(value) => Self::Str(value),
            Given::Binary(value) => Self::Binary(value),
            Given::DbNull => Self::DbNull,
        }
    }
}

impl From<DbValue> for postgres3::DbValue {
    fn from(value: DbValue) -> Self {
        match value {
            DbValue::Boolean(value) => Self::Boolean(value),
            DbValue::Int8(value) => Self::Int8(value),
            DbValue::Int16(value) => Self::Int16(value),
            DbValue::Int32(value) => Self::Int32(value),
            DbValue::Int64(value) => Self::Int64(value),
            DbValue::Floating32(value) => Self::Floating32(value),
            DbValue::Floating64(value) => Self::Floating64(value),
            DbValue::Binary(value) => Self::Binary(value),
            DbValue::Date(value) => Self::Date(value),
            DbValue::Time(value) => Self::Time(value),
            DbValue::Datetime(value) => Self::Datetime(value),
            DbValue::Timestamp(value) => Self::Timestamp(value),
            DbValue::DbNull => Self::DbNull,
            other => text(other).map_or(Self::Unsupported, Self::Str),
        }
    }
}

impl From<DbValue> for rdbms_types::DbValue {
    fn from(value: DbValue) -> Self {
        match value {
            DbValue::Boolean(value) => Self::Boolean(value),
            DbValue::Int8(value) => Self::Int8(value),
            DbValue::Int16(value) => Self::Int16(value),
            DbValue::Int32(value) => Self::Int32(value),
            DbValue::Int64(value) => Self::Int64(value),
            DbValue::Floating32(value) => Self::Floating32(value),
            DbValue::Floating64(value) => Self::Floating64(value),
            DbValue::Binary(value) => Self::Binary(value),
            DbValue::DbNull => Self::DbNull,
            other => text(other).map_or(Self::Unsupported, Self::Str),
        }
    }
}

/// What is a text already.
fn text(value: DbValue) -> Option<String> {
    match value {
        DbValue::Str(text) | DbValue::Uuid(text) | DbValue::Decimal(text) => Some(text),
        DbValue::Jsonb(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn type_3(of: &DbDataType) -> postgres3::DbDataType {
    use postgres3::DbDataType as Older;
    match of {
        DbDataType::Boolean => Older::Boolean,
        DbDataType::Int8 => Older::Int8,
        DbDataType::Int16 => Older::Int16,
        DbDataType::Int32 => Older::Int32,
        DbDataType::Int64 => Older::Int64,
        DbDataType::Floating32 => Older::Floating32,
        DbDataType::Floating64 => Older::Floating64,
        DbDataType::Str => Older::Str,
        DbDataType::Binary => Older::Binary,
        DbDataType::Date => Older::Date,
        DbDataType::Time => Older::Time,
        DbDataType::Datetime => Older::Datetime,
        DbDataType::Timestamp => Older::Timestamp,
        _ => Older::Other,
    }
}

fn type_2(of: &DbDataType) -> rdbms_types::DbDataType {
    use rdbms_types::DbDataType as Older;
    match of {
        DbDataType::Boolean => Older::Boolean,
        DbDataType::Int8 => Older::Int8,
        DbDataType::Int16 => Older::Int16,
        DbDataType::Int32 => Older::Int32,
        DbDataType::Int64 => Older::Int64,
        DbDataType::Floating32 => Older::Floating32,
        DbDataType::Floating64 => Older::Floating64,
        DbDataType::Str => Older::Str,
        DbDataType::Binary => Older::Binary,
        _ => Older::Other,
    }
}

impl From<RowSet> for postgres3::RowSet {
    fn from(RowSet { columns, rows }: RowSet) -> Self {
        let column = |Column { name, data_type }: Column| {
            let data_type = type_3(&data_type);
            postgres3::Column { name, data_type }
        };
        Self { columns: columns.into_iter().map(column).collect(), rows: older(rows) }
    }
}

impl From<RowSet> for rdbms_types::RowSet {
    fn from(RowSet { columns, rows }: RowSet) -> Self {
        let column = |Column { name, data_type }: Column| {
            let data_type = type_2(&data_type);
            rdbms_types::Column { name, data_type }
        };
        Self { columns: columns.into_iter().map(column).collect(), rows: older(rows) }
    }
}

fn older<V: From<DbValue>>(rows: Vec<Vec<DbValue>>) -> Vec<Vec<V>> {
    rows.into_iter().map(|row| row.into_iter().map(V::from).collect()).collect()
}

impl From<Error> for postgres3::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionFailed(why) => Self::ConnectionFailed(why),
            Error::BadParameter(why) => Self::BadParameter(why),
            Error::QueryFailed(why) => Self::QueryFailed(as_text(why)),
            Error::ValueConversionFailed(why) => Self::ValueConversionFailed(why),
            Error::Other(why) => Self::Other(why),
        }
    }
}

impl From<Error> for rdbms_types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionFailed(why) => Self::ConnectionFailed(why),
            Error::BadParameter(why) => Self::BadParameter(why),
            Error::QueryFailed(why) => Self::QueryFailed(as_text(why)),
            Error::ValueConversionFailed(why) => Self::ValueConversionFailed(why),
            Error::Other(why) => Self::Other(why),
        }
    }
}

fn as_text(error: QueryError) -> String {
    match error {
        QueryError::Text(text) => text,
        QueryError::DbError(error) => error.as_text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_older_versions_have_no_case_for_comes_as_text_if_that_says_it_all() {
        let decimal = || DbValue::Decimal("12.50".to_owned());
        assert!(matches!(decimal().into(), postgres3::DbValue::Str(text) if text == "12.50"));
        assert!(matches!(decimal().into(), rdbms_types::DbValue::Str(text) if text == "12.50"));
        let date = || DbValue::Date((2024, 2, 29));
        assert!(matches!(date().into(), postgres3::DbValue::Date((2024, 2, 29))));
        assert!(matches!(date().into(), rdbms_types::DbValue::Unsupported));
        let array = DbValue::ArrayInt32(Vec::new());
        assert!(matches!(array.into(), postgres3::DbValue::Unsupported));
    }

    #[test]
    fn unsigned_numbers_are_held_whole() {
        let largest = ParameterValue::from(rdbms_types::ParameterValue::Uint64(u64::MAX));
        assert!(matches!(largest, ParameterValue::Decimal(text) if text == u64::MAX.to_string()));
    }
}
