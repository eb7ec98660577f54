//! A bucket as the application file declares it: the way to it, and how it is.

use std::sync::Arc;

use super::backend::Bucket;
use super::file::FileBucket;
use super::memory::MemoryBucket;
use super::redis::RedisBucket;
use super::run::Runs;
use super::seen::BucketAddress;
use super::settings::Address;
use super::{Buckets, Keyvalue, KeyvalueConfig, Store};
use crate::Capability as _;
use crate::backend::{Backend, Closed, Condition, Host, Looked, Pool, asked, what_calls_do};
use crate::breaker;
use crate::granted::Granted;

pub(super) struct Connected {
    name: String,
    /// The names of all buckets of the application.
    declared: Arc<[String]>,
    runs: Runs,
    kind: Kind,
}

enum Kind {
    Memory(Arc<MemoryBucket>),
    File(Arc<FileBucket>),
    Redis(Arc<RedisBucket>),
}

impl Connected {
    /// # Errors
    /// What the application file says of the server cannot be used.
    pub(super) fn new(
        config: &KeyvalueConfig,
        name: &str,
        host: &dyn Host,
    ) -> anyhow::Result<Self> {
        let runs = |place| Runs::new(place, config.timeout);
        let (kind, runs) = match &config.store {
            Store::Memory { size_bytes } => {
                let runs = runs(BucketAddress::in_memory(name));
                (Kind::Memory(Arc::new(MemoryBucket::new(runs.clone(), *size_bytes))), runs)
            }
            Store::File { size_bytes } => {
                let runs = runs(BucketAddress::in_a_file(name));
                let path = host.state_dir().join("keyvalue").join(format!("{name}.sqlite"));
                (Kind::File(Arc::new(FileBucket::new(runs.clone(), path, *size_bytes))), runs)
            }
            Store::Redis(redis) => {
                let wrong = |problem: wasm_host_settings::diagnostic::Problem| {
                    anyhow::anyhow!("the url of [keyvalue.{name}]: {}", problem.message)
                };
                let address = Address::of(redis.url.expose()).map_err(wrong)?;
                let runs = runs(BucketAddress::on_redis(name, &address.host, address.port));
                (Kind::Redis(Arc::new(RedisBucket::new(runs.clone(), address, redis)?)), runs)
            }
        };
        let declared = host.declared(Keyvalue::KEY).into();
        Ok(Self { name: name.to_owned(), declared, runs, kind })
    }

    fn bucket(&self) -> Arc<dyn Bucket> {
        match &self.kind {
            Kind::Memory(bucket) => bucket.clone(),
            Kind::File(bucket) => bucket.clone(),
            Kind::Redis(bucket) => bucket.clone(),
        }
    }
}

impl Backend for Connected {
    fn grant(&self, service: &str, granted: Granted) -> Granted {
        match &self.kind {
            Kind::Memory(_) => {}
            Kind::File(bucket) => bucket.granted_to(service),
            Kind::Redis(bucket) => bucket.granted_to(service),
        }
        let buckets = granted.of::<Keyvalue>().cloned();
        let buckets = buckets.unwrap_or_else(|| Buckets::none(self.declared.clone()));
        granted.with::<Keyvalue>(buckets.with(&self.name, self.bucket()))
    }

    fn condition<'a>(&'a self, name: &'a str) -> Looked<'a> {
        Box::pin(async move {
            match &self.kind {
                Kind::Memory(_) => Condition::Up,
                Kind::File(bucket) => match asked(bucket.check()).await {
                    Some(Ok(())) => Condition::Up,
                    Some(Err(why)) => Condition::Down(why),
                    None => Condition::Down(format!("the file of the bucket {name} is busy")),
                },
                Kind::Redis(bucket) => match asked(bucket.check()).await {
                    Some(Ok(())) => Condition::Up,
                    failed => {
                        let late = || format!("no Redis answers for the bucket {name} in time");
                        let why = failed.and_then(Result::err);
                        let why = why.map_or_else(late, |error| error.to_string());
                        let calls = what_calls_do(bucket.breaker().is_open);
                        Condition::Down(format!("{why}{calls}"))
                    }
                },
            }
        })
    }

    fn calls(&self) -> usize {
        self.runs.under_way()
    }

    fn pool(&self) -> Option<Pool> {
        match &self.kind {
            Kind::Redis(bucket) => Some(bucket.pool()),
            // No call of theirs waits for a connection.
            Kind::Memory(_) | Kind::File(_) => None,
        }
    }

    fn breaker(&self) -> Option<breaker::Reading> {
        match &self.kind {
            Kind::Redis(bucket) => Some(bucket.breaker()),
            Kind::Memory(_) | Kind::File(_) => None,
        }
    }

    fn close(&self) -> Closed<'_> {
        Box::pin(async {
            match &self.kind {
                Kind::Memory(_) => {}
                Kind::File(bucket) => bucket.close().await,
                Kind::Redis(bucket) => bucket.close(),
            }
        })
    }
}
