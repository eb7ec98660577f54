//! The same suite over every kind of bucket, and what each has of its own.

mod alike;
mod fair;
mod files;
mod own;
mod server;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::backend::{Bucket, Value};
use super::file::FileBucket;
use super::memory::MemoryBucket;
use super::redis::RedisBucket;
use super::run::Runs;
use super::seen::BucketAddress;
use super::settings::{Address, RedisConfig};
use crate::context::RequestContext;
use wasm_host_limits::backends::BreakerConfig;
use wasm_host_limits::keyvalue::RedisLimits;
use wasm_host_settings::secret::BackendUrl;
use wasm_host_tests::redis::Redis;

const MIB: u64 = 1024 * 1024;

fn runs(place: BucketAddress) -> Runs {
    Runs::new(place, Duration::from_secs(30))
}

/// A bucket in memory.
pub(super) fn memory(name: &str) -> Arc<MemoryBucket> {
    Arc::new(MemoryBucket::new(runs(BucketAddress::in_memory(name)), 32 * MIB))
}

/// A bucket in a file of its own.
fn file(folder: &TempDir) -> Arc<FileBucket> {
    let path = folder.path().join("keyvalue/b.sqlite");
    Arc::new(FileBucket::new(runs(BucketAddress::in_a_file("b")), path, 64 * MIB))
}

/// A bucket on a server, with a breaker that opens at the second failure and tries again soon.
fn redis(url: &str) -> Arc<RedisBucket> {
    redis_with(url, RedisLimits::default())
}

fn redis_with(url: &str, limits: RedisLimits) -> Arc<RedisBucket> {
    redis_within(runs(BucketAddress::on_redis("b", "server", 1)), url, limits)
}

fn redis_within(runs: Runs, url: &str, limits: RedisLimits) -> Arc<RedisBucket> {
    let wait = Duration::from_millis(20);
    let breaker = BreakerConfig { failures: 2, wait, wait_max: wait };
    let limits = RedisLimits { breaker, ..limits };
    let (url, prefix) = (BackendUrl::new(url.to_owned(), url.to_owned()), "b*[:".to_owned());
    let config = RedisConfig { url, ca: None, prefix, limits };
    let address = Address::of(config.url.expose()).unwrap();
    Arc::new(RedisBucket::new(runs, address, &config).unwrap())
}

fn request() -> RequestContext {
    RequestContext::of_host("test")
}

fn value(text: &str) -> Value {
    Value(text.as_bytes().to_vec())
}

/// One of each kind, with what it needs for as long as it is there.
struct All {
    buckets: Vec<(&'static str, Arc<dyn Bucket>)>,
    _folder: TempDir,
    _redis: Redis,
}

impl All {
    fn start() -> Self {
        let (folder, server) = (tempfile::tempdir().unwrap(), Redis::start());
        let buckets: Vec<(_, Arc<dyn Bucket>)> =
            vec![("memory", memory("b")), ("file", file(&folder)), ("redis", redis(&server.url()))];
        Self { buckets, _folder: folder, _redis: server }
    }
}
