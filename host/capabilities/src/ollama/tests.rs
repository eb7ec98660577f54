//! The client against a scripted server that controls every byte and every close.

mod calls;
mod fallback;
mod forward;
mod line;
mod panics;
mod scripted;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::backend::{Error, Event, GenerateRequest, Server as _, Stream, Summary};
use super::{Address, Client, Options, Terms, Upstream};
use crate::context::RequestContext;
use wasm_host_limits::backends::BreakerConfig;
use wasm_host_limits::ollama::OllamaLimits;

/// How soon the server must see that a call is over. The product's promise is a second, of which a
/// busy machine may make several. What a test holds open stays so for as long as it is let.
const PROMISE: Duration = Duration::from_secs(10);

fn terms() -> Terms {
    Terms {
        connect_timeout: OllamaLimits::connect_timeout().default,
        ca: None,
        breaker: BreakerConfig::default(),
        threads: 0,
    }
}

/// How long a test waits for what has no promise.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server without a stand-in.
fn alone(url: &str) -> Upstream {
    alone_with(url, &terms())
}

fn alone_with(url: &str, terms: &Terms) -> Upstream {
    wasm_host_settings::tls::install();
    Upstream::new(&Address::parse(url).unwrap(), terms, None).unwrap()
}

fn client_with(address: SocketAddr, options: Options) -> Client {
    Client::new(Arc::new(alone(&format!("http://{address}"))), options)
}

fn client(address: SocketAddr) -> Client {
    client_with(address, Options::default())
}

fn never() -> RequestContext {
    RequestContext::of_host("test")
}

fn prompt(text: &str) -> GenerateRequest {
    GenerateRequest { model: "m".into(), prompt: Some(text.into()), extra: None }
}

async fn generate(client: &Client) -> Result<Stream<Event, Summary>, Error> {
    client.generate(prompt("p"), never()).await
}

/// Everything that a stream gives: the texts of its items, and how it ended.
async fn collect(mut stream: Stream<Event, Summary>) -> (Vec<String>, Result<Summary, Error>) {
    let mut texts = Vec::new();
    while let Some(event) = stream.items.recv().await {
        texts.push(event.open().content);
    }
    (texts, stream.done.await.unwrap())
}
