//! JSON objects member by member, each value as the text it was written as: key order and numbers
//! reach the server, and the client, as they were. Pure.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, in order.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    pub(crate) fn parse(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// Take a member out. As in Ollama, its name may be written in any case, and of several the last
    /// counts; `null` is nothing.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let mut last = None;
        self.0.retain(|(own, value)| {
            let found = own.eq_ignore_ascii_case(name);
            if found {
                last = Some(*value);
            }
            !found
        });
        last.filter(|value| value.get() != "null")
    }

    /// A member that stays where it is.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// What is left, as an object; nothing if nothing is left.
    pub(crate) fn rest(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.with(&[]))
    }

    /// The object with some members set to JSON text: in their place where they are, else at the
    /// end.
    pub(crate) fn with(self, set: &[(&str, &str)]) -> String {
        let mut members = Vec::with_capacity(self.0.len() + set.len());
        for (name, value) in &self.0 {
            let replaced = set.iter().find(|(own, _)| own == name);
            let value = replaced.map_or(value.get(), |(_, value)| value);
            members.push(format!("{}:{value}", text(name)));
        }
        for (name, value) in set {
            if self.0.iter().all(|(own, _)| own != name) {
                members.push(format!("{}:{value}", text(name)));
            }
        }
        format!("{{{}}}", members.join(","))
    }
}

/// `value` as a JSON string.
pub(crate) fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// `{"error":…}`
pub(crate) fn error(message: &str) -> String {
    format!("{{\"error\":{}}}", text(message))
}

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
    fn what_is_not_taken_stays_as_it_was_written() {
        let mut members =
            Members::parse(r#"{"z": {"b":1.50,"a":[]}, "x":1, "n":null, "x":2, "é\n":"\u00e9"}"#)
                .unwrap();
        assert_eq!(members.take("x").map(RawValue::get), Some("2"));
        assert!(members.take("x").is_none() && members.take("n").is_none());
        assert_eq!(members.rest().as_deref(), Some(r#"{"z":{"b":1.50,"a":[]},"é\n":"\u00e9"}"#));
        assert_eq!(Members::default().rest(), None);
    }

    #[test]
    fn a_member_is_found_in_any_case() {
        let mut members =
            Members::parse(r#"{"MODEL":"a","Model":"b","Options":{"Seed":1}}"#).unwrap();
        assert_eq!(members.take("model").map(RawValue::get), Some("\"b\""));
        assert_eq!(members.rest().as_deref(), Some(r#"{"Options":{"Seed":1}}"#));
    }

    #[test]
    fn members_are_replaced_where_they_are() {
        let members = Members::parse(r#"{"a":1,"b":2}"#).unwrap();
        assert_eq!(members.with(&[("b", "[3]"), ("c", "4")]), r#"{"a":1,"b":[3],"c":4}"#);
    }

    #[test]
    fn an_error_is_an_object_whatever_its_text() {
        assert_eq!(error("a \"b\"\n"), r#"{"error":"a \"b\"\n"}"#);
    }
}
