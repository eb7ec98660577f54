//! A model server as the application file declares it: the way to it, and the calls of those that are granted it.

use std::sync::Arc;

use super::upstream::{Serving, Transport};
use super::{Client, Ollama, Options, Upstream};
use crate::capability::backend::{Backend, Complaint, asked, what_calls_do};
use crate::capability::granted::Granted;

pub struct Models {
    upstream: Arc<Upstream>,
    client: Arc<Client>,
}

impl Models {
    /// `transport` leads to `upstream`, by itself or by way of what watches.
    pub fn new(upstream: Arc<Upstream>, transport: Arc<dyn Transport>, options: Options) -> Self {
        Self { client: Arc::new(Client::new(transport, options)), upstream }
    }
}

impl Backend for Models {
    fn grant(&self, _service: &str, granted: Granted) -> Granted {
        granted.with::<Ollama>(self.client.clone())
    }

    fn complaint<'a>(&'a self, name: &'a str) -> Complaint<'a> {
        Box::pin(async move {
            match asked(self.upstream.check()).await {
                Some(Serving::Server) => None,
                Some(Serving::Fallback) => {
                    Some(format!("no Ollama answers for {name}; its demo stands in"))
                }
                _ => {
                    let calls = what_calls_do(self.upstream.is_open());
                    Some(format!("no Ollama answers for {name}{calls}"))
                }
            }
        })
    }

    fn calls(&self) -> usize {
        self.client.live_calls()
    }
}
