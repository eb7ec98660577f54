//! A span: one thing that was done, from when to when, and what is known of it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::id::{SpanId, TraceId};

/// Something that was done in a trace, and has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub name: Cow<'static, str>,
    pub kind: Kind,
    /// The service that did it: a service of the application, this host, or what a sender from outside calls itself.
    pub service: Arc<str>,
    /// Which part of that says so: `wasm-host`, or the instrumentation of a sender from outside.
    pub scope: Cow<'static, str>,
    /// Microseconds since 1970.
    pub start: u64,
    /// Microseconds.
    pub duration: u64,
    pub status: Status,
    pub attributes: Attributes,
    pub events: Vec<Event>,
    pub links: Vec<(TraceId, SpanId)>,
}

/// What is known of something, by the names of the semantic conventions.
pub type Attributes = Vec<(Cow<'static, str>, Value)>;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(Cow<'static, str>),
    Integer(i64),
    Number(f64),
    Boolean(bool),
}

/// What part in a call it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    #[default]
    Unset,
    Ok,
    /// Why it failed.
    Error(Cow<'static, str>),
}

/// Something that happened at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Microseconds since 1970.
    pub time: u64,
    pub name: Cow<'static, str>,
    pub attributes: Attributes,
}

impl Status {
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

impl Span {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find_map(|(key, value)| (key == name).then_some(value))
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(number.try_into().unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::from(number as u64)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Integer(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Boolean(is)
    }
}
