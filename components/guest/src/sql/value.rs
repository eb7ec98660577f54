//! Rust's values and PostgreSQL's.

use super::{Date, Scalar, Time, Timestamp, Value};

/// `numeric`, exact, in plain decimal notation: `12.50`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numeric(pub String);

/// `uuid` in the form 8-4-4-4-12, lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uuid(pub String);

/// `timestamp with time zone`, in UTC.
#[derive(Clone, Copy, Debug)]
pub struct Utc(pub Timestamp);

/// An array of one dimension, whose elements may be null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array<T>(pub Vec<Option<T>>);

/// A value of another type than was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum WrongType {
    /// It is null.
    Null,
    /// It is an array, or is none.
    Shape,
    /// It is of another type.
    Type,
    /// It is JSON that does not fit: why not.
    Json(String),
}

impl WrongType {
    pub(super) fn given_as(&self, type_name: &str) -> String {
        match self {
            Self::Null => "null".to_string(),
            Self::Shape | Self::Type => type_name.to_string(),
            Self::Json(reason) => format!("{type_name} ({reason})"),
        }
    }
}

/// What a value that is neither null nor an array can be read into.
pub trait FromScalar: Sized {
    /// The type's name in errors.
    const WANTED: &str;

    /// Read it.
    ///
    /// # Errors
    /// [`WrongType`].
    fn from_scalar(scalar: Scalar) -> Result<Self, WrongType>;
}

/// What the value of a column can be read into.
pub trait FromValue: Sized {
    /// The type's name in errors.
    const WANTED: &str;

    /// Read it.
    ///
    /// # Errors
    /// [`WrongType`].
    fn from_value(value: Value) -> Result<Self, WrongType>;
}

impl<T: FromScalar> FromValue for T {
    const WANTED: &str = T::WANTED;

    fn from_value(value: Value) -> Result<Self, WrongType> {
        match value {
            Value::Scalar(scalar) => T::from_scalar(scalar),
            Value::Null => Err(WrongType::Null),
            Value::Array(_) => Err(WrongType::Shape),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const WANTED: &str = T::WANTED;

    fn from_value(value: Value) -> Result<Self, WrongType> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl<T: FromScalar> FromValue for Array<T> {
    const WANTED: &str = "an array";

    fn from_value(value: Value) -> Result<Self, WrongType> {
        match value {
            Value::Array(elements) => elements
                .into_iter()
                .map(|element| element.map(T::from_scalar).transpose())
                .collect::<Result<_, _>>()
                .map(Self),
            Value::Null => Err(WrongType::Null),
            Value::Scalar(_) => Err(WrongType::Shape),
        }
    }
}

impl<T: FromScalar + FromElement> FromValue for Vec<T> {
    const WANTED: &str = "an array without nulls";

    fn from_value(value: Value) -> Result<Self, WrongType> {
        let Array(elements) = Array::<T>::from_value(value)?;
        elements.into_iter().map(|element| element.ok_or(WrongType::Null)).collect()
    }
}

/// What is the element of an array: everything but a byte, a vector of which is `bytea`.
pub trait FromElement {}

/// What a parameter that is neither null nor an array is made of.
pub trait IntoScalar {
    /// The parameter.
    fn into_scalar(self) -> Scalar;
}

/// What a parameter is made of.
pub trait IntoValue {
    /// The parameter.
    fn into_value(self) -> Value;
}

impl<T: IntoScalar> IntoValue for T {
    fn into_value(self) -> Value {
        Value::Scalar(self.into_scalar())
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }
}

impl<T: IntoScalar> IntoValue for Array<T> {
    fn into_value(self) -> Value {
        Value::Array(self.0.into_iter().map(|element| element.map(T::into_scalar)).collect())
    }
}

impl<T: IntoScalar + FromElement> IntoValue for Vec<T> {
    fn into_value(self) -> Value {
        Value::Array(self.into_iter().map(|element| Some(element.into_scalar())).collect())
    }
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

/// Types that are one case of a scalar, both ways.
macro_rules! scalar {
    ($($case:ident $wanted:literal: $type:ty, $value:ident => $into:expr, $from:expr;)*) => {$(
        impl FromScalar for $type {
            const WANTED: &str = $wanted;

            fn from_scalar(scalar: Scalar) -> Result<Self, WrongType> {
                match scalar {
                    Scalar::$case($value) => Ok($from),
                    _ => Err(WrongType::Type),
                }
            }
        }

        impl IntoScalar for $type {
            fn into_scalar(self) -> Scalar {
                let $value = self;
                Scalar::$case($into)
            }
        }

        impl FromElement for $type {}
    )*};
}

scalar! {
    Boolean "boolean": bool, value => value, value;
    Int16 "smallint": i16, value => value, value;
    Float32 "real": f32, value => value, value;
    Bytes "bytea": Vec<u8>, value => value, value;
    Date "date": Date, value => value, value;
    Time "time": Time, value => value, value;
    Timestamp "timestamp": Timestamp, value => value, value;
    TimestampTz "timestamptz": Utc, value => value.0, Utc(value);
    Uuid "uuid": Uuid, value => value.0, Uuid(value);
    Numeric "numeric": Numeric, value => value.0, Numeric(value);
}

/// Numbers are read from smaller ones too, which loses nothing.
macro_rules! widening {
    ($($type:ty, $case:ident, $wanted:literal: $($smaller:ident),*;)*) => {$(
        impl FromScalar for $type {
            const WANTED: &str = $wanted;

            fn from_scalar(scalar: Scalar) -> Result<Self, WrongType> {
                match scalar {
                    Scalar::$case(value) => Ok(value),
                    $(Scalar::$smaller(value) => Ok(value.into()),)*
                    _ => Err(WrongType::Type),
                }
            }
        }

        impl IntoScalar for $type {
            fn into_scalar(self) -> Scalar {
                Scalar::$case(self)
            }
        }

        impl FromElement for $type {}
    )*};
}

widening! {
    i32, Int32, "integer": Int16;
    i64, Int64, "bigint": Int16, Int32;
    f64, Float64, "double precision": Float32;
}

impl FromElement for String {}

impl FromScalar for String {
    const WANTED: &str = "text";

    fn from_scalar(scalar: Scalar) -> Result<Self, WrongType> {
        match scalar {
            Scalar::Text(text) => Ok(text),
            _ => Err(WrongType::Type),
        }
    }
}

impl IntoScalar for String {
    fn into_scalar(self) -> Scalar {
        Scalar::Text(self)
    }
}

impl FromElement for &str {}

impl IntoScalar for &str {
    fn into_scalar(self) -> Scalar {
        Scalar::Text(self.to_string())
    }
}

impl IntoScalar for &String {
    fn into_scalar(self) -> Scalar {
        Scalar::Text(self.clone())
    }
}

impl IntoScalar for &[u8] {
    fn into_scalar(self) -> Scalar {
        Scalar::Bytes(self.to_vec())
    }
}

/// `json` and `jsonb`, as a value of serde.
impl<T: serde::de::DeserializeOwned> FromScalar for crate::Json<T> {
    const WANTED: &str = "json";

    fn from_scalar(scalar: Scalar) -> Result<Self, WrongType> {
        match scalar {
            Scalar::Json(text) => serde_json::from_str(&text)
                .map(Self)
                .map_err(|error| WrongType::Json(error.to_string())),
            _ => Err(WrongType::Type),
        }
    }
}

/// A value without a JSON form is the JSON `null`.
impl<T: serde::Serialize> IntoScalar for crate::Json<T> {
    fn into_scalar(self) -> Scalar {
        Scalar::Json(serde_json::to_string(&self.0).unwrap_or_else(|_| "null".to_string()))
    }
}

#[cfg(feature = "jiff")]
mod jiff;
#[cfg(test)]
mod tests;
