//! The items of a request, one by one, with what sends them.
//!
//! All signals have the same shape: resources, which have scopes, which have items. Down to the items nothing is read
//! but where each begins and ends.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::speaker::Speaker;
use super::{Encoding, Rules, Unreadable};
use wasm_host_limits::intake as limits;

/// A span, a line, a metric, or what has them, as it was sent.
pub(super) enum Item<'a> {
    Protobuf(Bytes),
    Json(&'a RawValue),
}

/// Each item of a request, with what sends it.
pub(super) fn each(
    encoding: Encoding,
    body: &Bytes,
    rules: &Rules,
    mut take: impl FnMut(&Speaker, Item<'_>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let request = match encoding {
        Encoding::Protobuf => Item::Protobuf(body.clone()),
        Encoding::Json => {
            Item::Json(serde_json::from_slice(body).map_err(|error| in_json(&error))?)
        }
    };
    for resource in request.resources()? {
        let Group { about, items } = resource.group()?;
        let speaker = Speaker::of(&about.read()?, rules);
        for scope in items {
            let Group { about, items } = scope.group()?;
            let speaker = speaker.with(&about.read()?, rules);
            items.into_iter().try_for_each(|item| take(&speaker, item))?;
        }
    }
    Ok(())
}

struct Group<'a> {
    /// A resource or a scope.
    about: About<'a>,
    items: Vec<Item<'a>>,
}

struct About<'a>(Option<Item<'a>>);

/// All requests in Protobuf.
#[derive(Clone, PartialEq, Message)]
struct ProtobufRequest {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    resources: Vec<Bytes>,
}

/// Resources and scopes in Protobuf.
#[derive(Clone, PartialEq, Message)]
struct ProtobufGroup {
    #[prost(bytes = "bytes", optional, tag = "1")]
    about: Option<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    items: Vec<Bytes>,
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
    resources: Option<Vec<&'a RawValue>>,
}

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
    items: Option<Vec<&'a RawValue>>,
}

impl<'a> Item<'a> {
    /// Bytes as they were sent.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Protobuf(bytes) => bytes.len(),
            Self::Json(text) => text.get().len(),
        }
    }

    pub(super) fn read<M: Message + Default + DeserializeOwned>(&self) -> Result<M, Unreadable> {
        match self {
            Self::Protobuf(bytes) => M::decode(bytes.as_ref()).map_err(Unreadable::new),
            Self::Json(text) => serde_json::from_str(text.get()).map_err(|error| in_json(&error)),
        }
    }

    fn resources(&self) -> Result<Vec<Self>, Unreadable> {
        Ok(match self {
            Self::Protobuf(bytes) => {
                let request = ProtobufRequest::decode(bytes.clone()).map_err(Unreadable::new)?;
                request.resources.into_iter().map(Self::Protobuf).collect()
            }
            // A list would be taken for its fields, in their order.
            Self::Json(text) if !text.get().starts_with('{') => {
                return Err(Unreadable::new("it is no object"));
            }
            Self::Json(text) => {
                let request: JsonRequest<'a> =
                    serde_json::from_str(text.get()).map_err(|error| in_json(&error))?;
                request.resources.unwrap_or_default().into_iter().map(Self::Json).collect()
            }
        })
    }

    fn group(&self) -> Result<Group<'a>, Unreadable> {
        Ok(match self {
            Self::Protobuf(bytes) => {
                let group = ProtobufGroup::decode(bytes.clone()).map_err(Unreadable::new)?;
                Group {
                    about: About(group.about.map(Self::Protobuf)),
                    items: group.items.into_iter().map(Self::Protobuf).collect(),
                }
            }
            Self::Json(text) => {
                let group: JsonGroup<'a> =
                    serde_json::from_str(text.get()).map_err(|error| in_json(&error))?;
                Group {
                    about: About(group.about.map(Self::Json)),
                    items: group.items.unwrap_or_default().into_iter().map(Self::Json).collect(),
                }
            }
        })
    }
}

impl About<'_> {
    fn read<M: Message + Default + DeserializeOwned>(&self) -> Result<M, Unreadable> {
        match &self.0 {
            None => Ok(M::default()),
            Some(about) if about.len() > limits::INTAKE_ITEM_BYTES => {
                Err(Unreadable::new("what is said of the sender itself is too large"))
            }
            Some(about) => about.read(),
        }
    }
}

fn in_json(error: &serde_json::Error) -> Unreadable {
    Unreadable::new(error)
}
