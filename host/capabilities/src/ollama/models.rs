//! A model server as the application file declares it: the way to it, and the calls of those that are granted it.

use std::sync::Arc;

use anyhow::anyhow;

use super::upstream::{CallTarget, Fallback};
use super::{Address, Client, Ollama, OllamaConfig, Options, Terms, Upstream};
use crate::backend::{Backend, Condition, Host, Looked, Pool, asked, what_calls_do};
use crate::breaker;
use crate::granted::Granted;

pub(super) struct Models {
    upstream: Arc<Upstream>,
    client: Arc<Client>,
}

impl Models {
    /// # Errors
    /// What the application file says of the server cannot be used.
    pub(super) fn connect(config: &OllamaConfig, host: &dyn Host) -> anyhow::Result<Self> {
        let address = Address::parse(config.url.expose())?;
        let fallback = config
            .fallback
            .as_ref()
            .map(|service| Fallback { service: service.clone(), transport: host.service(service) });
        let terms = Terms {
            connect_timeout: config.limits.connect_timeout,
            ca: config.ca.clone(),
            breaker: config.limits.breaker.clone(),
            threads: host.threads(),
        };
        let upstream = Upstream::new(&address, &terms, fallback);
        let upstream = Arc::new(upstream.map_err(|why| anyhow!(why))?);
        let options = Options {
            calls: config.limits.concurrent,
            queue: config.limits.queue,
            queue_timeout: config.limits.queue_timeout,
            first_byte: config.limits.first_byte_timeout,
            forward: config.forward.clone(),
        };
        let client = Client::new(host.watched(upstream.clone()), options);
        Ok(Self { upstream, client: Arc::new(client) })
    }
}

impl Backend for Models {
    fn grant(&self, _service: &str, granted: Granted) -> Granted {
        granted.with::<Ollama>(self.client.clone())
    }

    fn condition<'a>(&'a self, name: &'a str) -> Looked<'a> {
        Box::pin(async move {
            match asked(self.upstream.check()).await {
                Some(CallTarget::Server) => Condition::Up,
                Some(CallTarget::Fallback) => Condition::StandingIn(format!(
                    "no Ollama answers for {name}; its demo stands in"
                )),
                _ => {
                    let calls = what_calls_do(self.upstream.is_open());
                    Condition::Down(format!("no Ollama answers for {name}{calls}"))
                }
            }
        })
    }

    fn calls(&self) -> usize {
        self.client.live_calls()
    }

    fn pool(&self) -> Option<Pool> {
        Some(self.client.pool())
    }

    fn is_stood_in_for(&self) -> bool {
        self.upstream.target() == CallTarget::Fallback
    }

    fn breaker(&self) -> Option<breaker::Reading> {
        Some(self.upstream.breaker())
    }
}
