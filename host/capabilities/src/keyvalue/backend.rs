//! A bucket as the host side sees it, so that a test, a script or a recorder can stand in its place.
//!
//! It must not name a file, a server or a driver. What a guest hands over has been held against the bounds before.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::caught::Panicked;
use crate::context::RequestContext;

/// What a call gives, some time later. Dropping it before then gives the call up; a write that has begun may still be
/// made, but then as a whole.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// The bytes under a key. In JSON a text, or `{"base64": "…"}` where they are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value(pub Vec<u8>);

/// Some of the keys of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub keys: Vec<String>,
    /// Where the next page begins. None: there is none.
    pub cursor: Option<u64>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    /// No bucket of this name is declared.
    #[error("there is no such bucket")]
    NoSuchStore,
    /// A bucket of this name is declared, and the service is not granted it.
    #[error("the bucket is not granted to this component")]
    AccessDenied,
    /// What holds the bucket cannot be reached or used.
    #[error("{0}")]
    Unavailable(String),
    /// The host or the pool of connections has no room for the call at this moment.
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    TimedOut(String),
    /// The request that the call was made for has ended.
    #[error("its request has ended")]
    Cancelled,
    /// What the guest handed over, or what is under the key, does not fit.
    #[error("{0}")]
    Invalid(String),
    /// The bucket has no room for it.
    #[error("{0}")]
    Full(String),
    /// The server says no.
    #[error("the server refused it: {0}")]
    Refused(String),
}

impl From<Panicked> for Error {
    fn from(panicked: Panicked) -> Self {
        Self::Unavailable(panicked.to_string())
    }
}

/// A granted bucket. `request` is what the call serves: when it ends, nothing waits any more.
pub trait Bucket: Send + Sync + 'static {
    fn get(&self, key: String, request: RequestContext) -> Reply<'_, Option<Value>>;

    fn set(&self, key: String, value: Value, request: RequestContext) -> Reply<'_, ()>;

    fn delete(&self, key: String, request: RequestContext) -> Reply<'_, ()>;

    fn exists(&self, key: String, request: RequestContext) -> Reply<'_, bool>;

    /// A key that is there all the time is on one page at least; on a Redis server it may be on two.
    fn list_keys(&self, cursor: Option<u64>, request: RequestContext) -> Reply<'_, Page>;

    /// Add to a number in decimal digits, and give the sum. A key that is not there counts as zero.
    fn increment(&self, key: String, delta: i64, request: RequestContext) -> Reply<'_, i64>;

    /// Set a value if the key has the expected one, or is not there where none is expected. Whether it was set.
    fn swap(
        &self,
        key: String,
        expected: Option<Value>,
        value: Value,
        request: RequestContext,
    ) -> Reply<'_, bool>;

    /// In the order of the keys.
    fn get_many(&self, keys: Vec<String>, request: RequestContext)
    -> Reply<'_, Vec<Option<Value>>>;

    /// All of them or none. Of two values for one key the last one counts.
    fn set_many(&self, entries: Vec<(String, Value)>, request: RequestContext) -> Reply<'_, ()>;

    fn delete_many(&self, keys: Vec<String>, request: RequestContext) -> Reply<'_, ()>;
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a text, or { base64 = \"…\" }")]
enum Form {
    Text(String),
    Base64 { base64: String },
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                Form::Base64 { base64: BASE64_STANDARD.encode(&self.0) }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Self(text.into_bytes())),
            Form::Base64 { base64 } => {
                BASE64_STANDARD.decode(base64).map(Self).map_err(serde::de::Error::custom)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_a_text_in_json_where_it_is_one() {
        for (bytes, form) in [
            (&b"three"[..], json!("three")),
            (b"", json!("")),
            (&[0xff, 0], json!({ "base64": "/wA=" })),
        ] {
            let value = Value(bytes.to_vec());
            assert_eq!(serde_json::to_value(&value).unwrap(), form);
            assert_eq!(serde_json::from_value::<Value>(form).unwrap(), value);
        }
        for wrong in [json!(3), json!({ "base64": "?" }), json!(null)] {
            assert!(serde_json::from_value::<Value>(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_error_has_a_name_in_json() {
        for (error, form) in [
            (Error::NoSuchStore, json!("no-such-store")),
            (Error::Full("no room".into()), json!({ "full": "no room" })),
        ] {
            assert_eq!(serde_json::to_value(&error).unwrap(), form);
            assert_eq!(serde_json::from_value::<Error>(form).unwrap(), error);
        }
    }
}
