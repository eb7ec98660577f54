//! The Ollama capability: models, inference and a byte-faithful proxy for components that are
//! granted an Ollama server.
//!
//! A call goes `host` (the WIT interface) -> [`backend::Server`] (what the rest of the host and the
//! tests see) -> `api` and `client` (the protocol) -> [`upstream::Transport`] (a server on the
//! network, or a service of this host standing in for it). None of it knows services, routes or
//! engines; the server's address comes from the application file alone and is never shown to a
//! component.

pub mod backend;
pub mod upstream;

mod address;
mod again;
mod api;
mod bindings;
mod blocking;
mod client;
mod decode;
mod error;
mod host;
mod json;
mod models;
mod ndjson;
mod network;
mod passed;
mod pump;
mod seen;
mod settings;

pub use super::body::Body;
use super::{body, headers};
use address::Address;
pub use client::{Client, Options};
pub use host::Ollama;
pub use settings::{ForwardList, OllamaConfig, UrlFrom};
use upstream::{Terms, Upstream};

#[cfg(test)]
mod tests;
