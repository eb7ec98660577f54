//! Services that share a bucket, of which one asks for more than its part.

use futures_util::future::join_all;
use parking_lot::Mutex;

use super::*;
use crate::context::{Inbound, Served};
use wasm_host_system::digest::Digest;
use wasm_host_telemetry::trace::Trace;

fn request_of(service: &str) -> RequestContext {
    let (service, version) = (service.into(), Digest::of(b""));
    Inbound::new(Trace::off(), 0).served_by(Served { service, version, deadline: None })
}

#[tokio::test]
async fn a_service_that_asks_for_much_does_not_keep_another_one_waiting() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Redis::start());
    let one = RedisLimits { connections: 1, ..RedisLimits::default() };
    let (file, redis) = (file(&folder), redis_with(&server.url(), one));
    for service in ["greedy", "other"] {
        file.granted_to(service);
        redis.granted_to(service);
    }
    let buckets: [(_, Arc<dyn Bucket>); 2] = [("file", file), ("redis", redis)];
    for (kind, bucket) in buckets {
        let ended = Mutex::new(Vec::new());
        let set = async |service: &'static str| {
            bucket.set("a".into(), value("x"), request_of(service)).await.unwrap();
            ended.lock().push(service);
        };
        // In this order they begin to wait.
        let services = std::iter::repeat_n("greedy", 20).chain(["other"]);
        join_all(services.map(set)).await;
        let before = ended.lock().iter().position(|service| *service == "other").unwrap();
        assert!(before <= 2, "{kind}: {before}");
    }
}
