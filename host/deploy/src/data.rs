//! Plain data that is put together.

use serde_json::Value;

/// Sets a key of an object. What is no object has none.
pub(crate) fn put(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value.into());
    }
}

/// Sets a key of `metadata` of an object.
pub(crate) fn put_metadata(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(metadata) = object.get_mut("metadata") {
        put(metadata, key, value);
    }
}

/// Whether an object has this text under a key.
pub(crate) fn is(object: &Value, key: &str, text: &str) -> bool {
    object.get(key).and_then(Value::as_str) == Some(text)
}
