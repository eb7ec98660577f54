//! The items of a request, one by one, with what sends them.
//!
//! All signals have the same shape: resources, which have scopes, which have items. Down to the items nothing is read
//! but where each begins and ends, and no list is made of them: two bytes are an empty item, and a list would be many
//! times as large.

use std::fmt;

use prost::Message;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::source::TelemetrySource;
use super::{Encoding, Rules, Unreadable};
use wasm_host_limits::intake as limits;

/// A span, a line, a metric, or what has them, as it was sent.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    Protobuf(&'a [u8]),
    Json(&'a RawValue),
}

/// Each item of a request, with what sends it. None: it is in one more resource or scope than are looked at.
pub(super) fn each(
    encoding: Encoding,
    body: &[u8],
    rules: &Rules,
    mut take: impl FnMut(Option<&TelemetrySource>, Item<'_>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let request = match encoding {
        Encoding::Protobuf => Item::Protobuf(body),
        Encoding::Json => {
            Item::Json(serde_json::from_slice(body).map_err(|error| in_json(&error))?)
        }
    };
    let mut groups = 0;
    let mut has_room = || {
        groups += 1;
        groups <= limits::INTAKE_GROUPS
    };
    request.each_resource(|resource| {
        let source = match has_room() {
            true => Some(TelemetrySource::of(&resource.about()?, rules)),
            false => None,
        };
        resource.each_item(|scope| {
            let source = match &source {
                Some(source) if has_room() => Some(source.with(&scope.about()?, rules)),
                _ => None,
            };
            scope.each_item(|item| take(source.as_ref(), item))
        })
    })
}

#[derive(Deserialize)]
struct JsonRequest<'a> {
    #[serde(
        borrow,
        default,
        alias = "resourceSpans",
        alias = "resourceLogs",
        alias = "resourceMetrics"
    )]
    resources: Option<&'a RawValue>,
}

/// Resources and scopes.
#[derive(Deserialize)]
struct JsonGroup<'a> {
    #[serde(borrow, default, alias = "resource", alias = "scope")]
    about: Option<&'a RawValue>,
    #[serde(
        borrow,
        default,
        alias = "scopeSpans",
        alias = "scopeLogs",
        alias = "scopeMetrics",
        alias = "spans",
        alias = "logRecords",
        alias = "metrics"
    )]
    items: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct JsonMetric<'a> {
    #[serde(
        borrow,
        default,
        alias = "gauge",
        alias = "sum",
        alias = "histogram",
        alias = "exponentialHistogram",
        alias = "summary"
    )]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct JsonData<'a> {
    #[serde(borrow, default, rename = "dataPoints")]
    points: Option<&'a RawValue>,
}

/// The fields in Protobuf. The messages of all signals have them in the same places.
const RESOURCES: u32 = 1;
const ABOUT: u32 = 1;
const ITEMS: u32 = 2;
const POINTS: u32 = 1;

/// Of a metric, one of which it has: `gauge`, `sum`, `histogram`, `exponential_histogram`, `summary`.
const DATA: [u32; 5] = [5, 7, 9, 10, 11];

impl<'a> Item<'a> {
    /// Bytes as they were sent.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Protobuf(bytes) => bytes.len(),
            Self::Json(text) => text.get().len(),
        }
    }

    pub(super) fn read<M: Message + Default + DeserializeOwned>(self) -> Result<M, Unreadable> {
        match self {
            Self::Protobuf(bytes) => M::decode(bytes).map_err(Unreadable::new),
            Self::Json(text) => object(text),
        }
    }

    /// How many points a metric has.
    pub(super) fn points(self) -> Result<u64, Unreadable> {
        let mut points = 0;
        let mut count = |_: Self| {
            points += 1;
            Ok(())
        };
        match self {
            Self::Protobuf(metric) => {
                each_field(metric, |field, data| match DATA.contains(&field) {
                    true => each_of(data, POINTS, &mut count),
                    false => Ok(()),
                })?
            }
            Self::Json(metric) => {
                let data = object::<JsonMetric<'_>>(metric)?.data;
                let points = data.map(object::<JsonData<'_>>).transpose()?;
                each_element(points.and_then(|data| data.points), &mut count)?;
            }
        }
        Ok(points)
    }

    fn each_resource(
        self,
        take: impl FnMut(Self) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        match self {
            Self::Protobuf(request) => each_of(request, RESOURCES, take),
            Self::Json(request) => {
                each_element(object::<JsonRequest<'_>>(request)?.resources, take)
            }
        }
    }

    /// What is in a resource or a scope.
    fn each_item(self, take: impl FnMut(Self) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
        match self {
            Self::Protobuf(group) => each_of(group, ITEMS, take),
            Self::Json(group) => each_element(object::<JsonGroup<'_>>(group)?.items, take),
        }
    }

    /// What is said of a resource or a scope itself, which may stand behind what is in it.
    fn about<M: Message + Default + DeserializeOwned>(self) -> Result<M, Unreadable> {
        let mut about = None;
        match self {
            Self::Protobuf(group) => each_of(group, ABOUT, |item| {
                about = Some(item);
                Ok(())
            })?,
            Self::Json(group) => about = object::<JsonGroup<'_>>(group)?.about.map(Self::Json),
        }
        match about {
            None => Ok(M::default()),
            Some(about) if about.len() > limits::INTAKE_ITEM_BYTES => {
                Err(Unreadable::new("what is said of the sender itself is too large"))
            }
            Some(about) => about.read(),
        }
    }
}

/// Each message in one field of another one in Protobuf.
fn each_of<'a>(
    message: &'a [u8],
    wanted: u32,
    mut take: impl FnMut(Item<'a>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    each_field(message, |field, part| match field == wanted {
        true => take(Item::Protobuf(part)),
        false => Ok(()),
    })
}

/// Each field of a message in Protobuf that has a length. `take`: its number, and what is in it.
fn each_field<'a>(
    mut message: &'a [u8],
    mut take: impl FnMut(u32, &'a [u8]) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let varint = |rest: &mut &[u8]| prost::decode_length_delimiter(rest).map_err(Unreadable::new);
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let field = u32::try_from(key >> 3).ok().filter(|field| *field > 0);
        let field = field.ok_or_else(|| Unreadable::new("a field has no number"))?;
        let length = match key & 7 {
            0 => varint(&mut message).map(|_| 0)?,
            1 => 8,
            2 => varint(&mut message)?,
            5 => 4,
            // Groups, which nothing has any more.
            _ => return Err(Unreadable::new("a field is of no kind that OTLP has")),
        };
        let cut = || Unreadable::new("a field is longer than what it is in");
        let (part, rest) = message.split_at_checked(length).ok_or_else(cut)?;
        message = rest;
        if key & 7 == 2 {
            take(field, part)?;
        }
    }
    Ok(())
}

/// Each element of a list in JSON, if there is one.
fn each_element<'a>(
    list: Option<&'a RawValue>,
    mut take: impl FnMut(Item<'a>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let Some(list) = list else { return Ok(()) };
    let mut told = Ok(());
    let elements = Elements(|element| {
        told = take(Item::Json(element));
        told.is_ok()
    });
    let read = serde_json::Deserializer::from_str(list.get()).deserialize_seq(elements);
    told?;
    read.map_err(|error| in_json(&error))
}

/// Hands out each element of a list, as long as that says that it wants more.
struct Elements<F>(F);

impl<'de, F: FnMut(&'de RawValue) -> bool> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            if !(self.0)(element) {
                return Err(A::Error::custom("it is not read to its end"));
            }
        }
        Ok(())
    }
}

/// A list would be taken for the fields of an object, in their order.
fn object<'a, T: Deserialize<'a>>(text: &'a RawValue) -> Result<T, Unreadable> {
    if !text.get().starts_with('{') {
        return Err(Unreadable::new("it is no object"));
    }
    serde_json::from_str(text.get()).map_err(|error| in_json(&error))
}

fn in_json(error: &serde_json::Error) -> Unreadable {
    Unreadable::new(error)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::KeyValue;
    use opentelemetry_proto::tonic::resource::v1::Resource;

    use super::*;

    fn fields(message: &[u8]) -> Result<Vec<(u32, &[u8])>, Unreadable> {
        let mut fields = Vec::new();
        each_field(message, |field, part| {
            fields.push((field, part));
            Ok(())
        })?;
        Ok(fields)
    }

    #[test]
    fn fields_of_all_kinds_are_passed_over_in_protobuf() {
        // A number, eight bytes, a text, four bytes, and a text in field 16, whose key has two bytes.
        let message = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1112345678\x12\x02hi\x1d1234\x82\x01\x01x";
        assert_eq!(fields(message), Ok(vec![(2, &b"hi"[..]), (16, &b"x"[..])]));
        assert_eq!(fields(b""), Ok(vec![]));
        for cut in [2, 12, 19, 21, 22, 23, 25, 28, 30, 31, 32] {
            assert!(fields(&message[..cut]).is_err(), "{cut}");
        }
        for broken in [&b"\x0b\x0c"[..], b"\x0c", b"\x0f", b"\x02\x00", b"\x0a\xff\xff\xff\xff\x0f"]
        {
            assert!(fields(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn what_is_said_of_a_sender_may_stand_behind_what_it_sends() {
        let resource = Resource {
            attributes: vec![KeyValue { key: "a".to_owned(), ..KeyValue::default() }],
            ..Resource::default()
        };
        let about = resource.encode_to_vec();
        let length = u8::try_from(about.len()).unwrap();
        let group = [b"\x12\x00\x0a", &[length][..], &about].concat();
        assert_eq!(Item::Protobuf(&group).about(), Ok(resource.clone()));
        let group = br#"{"scopeSpans":[{}],"resource":{"attributes":[{"key":"a"}]}}"#;
        let group = serde_json::from_slice(group).unwrap();
        assert_eq!(Item::Json(group).about(), Ok(resource));
    }
}
