//! JSON objects taken apart and put together without touching their values. Ollama reads order into
//! a JSON schema, and a number should arrive as it was written, so values stay text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::backend::Error;

/// An object of `own` members (their values are JSON text), followed by the members of `extra`
/// except those that `own` already has.
pub(super) fn object(own: &[(&str, String)], extra: Option<&str>) -> Result<String, Error> {
    // Values may have many megabytes, so each is copied once.
    let values = own.iter().map(|(name, value)| name.len() + value.len() + MEMBER_BYTES);
    let room = values.sum::<usize>() + extra.map_or(0, str::len) + MEMBER_BYTES;
    let mut object = String::with_capacity(room);
    object.push('{');
    for (name, value) in own {
        member(&mut object, name, value);
    }
    if let Some(extra) = extra {
        let Members(further) = serde_json::from_str(extra)
            .map_err(|error| Error::Invalid(format!("`extra` is no JSON object: {error}")))?;
        for (name, value) in further {
            // The server would take one in another case for the same.
            if own.iter().all(|(taken, _)| !taken.eq_ignore_ascii_case(&name)) {
                member(&mut object, &name, value.get());
            }
        }
    }
    object.push('}');
    Ok(object)
}

fn member(object: &mut String, name: &str, value: &str) {
    if object.len() > 1 {
        object.push(',');
    }
    object.push_str(&text(name));
    object.push(':');
    object.push_str(value);
}

/// Bytes of what is around the name and the value of a member, at most, if its name is one of ours.
pub(super) const MEMBER_BYTES: usize = 8;

/// JSON texts as an array of them.
pub(super) fn array(values: &[String]) -> String {
    let room = values.iter().map(|value| value.len() + 1).sum::<usize>() + 2;
    let mut array = String::with_capacity(room);
    array.push('[');
    for value in values {
        if array.len() > 1 {
            array.push(',');
        }
        array.push_str(value);
    }
    array.push(']');
    array
}

/// `value` as a JSON string.
pub(super) fn text(value: &str) -> String {
    let mut text = Vec::with_capacity(text_bytes(value));
    // Neither fails: it is written into memory, and all of it is text.
    let _ = serde_json::to_writer(&mut text, value);
    String::from_utf8(text).unwrap_or_default()
}

/// Bytes of `value` as a JSON string, at most.
pub(super) fn text_bytes(value: &str) -> usize {
    let escaped = value.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
    value.len() + escaped * "u0001".len() + 2
}

/// A JSON string. Half a character in it is the replacement character, as it is for Go's decoder; no string of Rust's
/// can hold one.
pub(super) struct Words(pub(super) String);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl Visitor<'_> for Read {
            type Value = String;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_bytes<E>(self, mut bytes: &[u8]) -> Result<String, E> {
                let mut words = String::new();
                loop {
                    let error = match std::str::from_utf8(bytes) {
                        Ok(rest) => {
                            words.push_str(rest);
                            return Ok(words);
                        }
                        Err(error) => error,
                    };
                    let (whole, rest) = bytes.split_at(error.valid_up_to());
                    words.push_str(&String::from_utf8_lossy(whole));
                    words.push(char::REPLACEMENT_CHARACTER);
                    // Half a character has three bytes here.
                    bytes = rest.get(3..).unwrap_or_default();
                }
            }
        }

        deserializer.deserialize_bytes(Read).map(Self)
    }
}

/// The text of an object's `error` member, if it has one that says something.
pub(super) fn error_text(object: &str) -> Option<String> {
    let Members(members) = serde_json::from_str(object).ok()?;
    let (_, value) = members.into_iter().find(|(name, _)| name == "error")?;
    // One with half a character in it is no value, and an error all the same.
    let Ok(error) = serde_json::from_str(value.get()) else { return Some(value.get().to_string()) };
    match error {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        // The OpenAI form: {"error":{"message":…}}
        serde_json::Value::Object(error) => match error.get("message") {
            Some(serde_json::Value::String(text)) => Some(text.clone()),
            _ => Some(value.get().to_string()),
        },
        other => Some(other.to_string()),
    }
}

/// The members of an object in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Collect).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_members_keep_order_and_numbers_and_never_replace_our_own() {
        let own = [("model", text("a\"b")), ("stream", "true".to_string())];
        let extra = r#"{"format":{"z":1.50,"a":12345678901234567890123},"stream":false,"Stream":false,"think":null}"#;
        assert_eq!(
            object(&own, Some(extra)).unwrap(),
            r#"{"model":"a\"b","stream":true,"format":{"z":1.50,"a":12345678901234567890123},"think":null}"#
        );
        for no_object in ["", "[]", "1", "{", "{} x"] {
            assert!(matches!(object(&own, Some(no_object)), Err(Error::Invalid(_))), "{no_object}");
        }
    }

    #[test]
    fn an_error_is_found_in_every_form_that_servers_use() {
        assert_eq!(error_text(r#"{"error":"no"}"#).as_deref(), Some("no"));
        assert_eq!(error_text(r#"{"error":{"message":"no","code":1}}"#).as_deref(), Some("no"));
        assert_eq!(error_text(r#"{"error":{"code":1}}"#).as_deref(), Some(r#"{"code":1}"#));
        assert_eq!(error_text(r#"{"error":"\ud83d"}"#).as_deref(), Some(r#""\ud83d""#));
        for none in [r#"{"error":null}"#, "{}", "", "<html>", "[]"] {
            assert_eq!(error_text(none), None, "{none}");
        }
    }
}
