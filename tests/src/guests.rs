//! A service whose guest misbehaves as it is asked to, and a neighbour that must never notice.

use crate::eventually;
use crate::host::{App, Host};

/// A service that misbehaves, and a neighbour that must never notice.
pub fn guests(keys: &str) -> App {
    guests_and_clients("body-idle = \"3s\"\nwrite-idle = \"3s\"", keys)
}

/// The same where no client is too slow for the host: what ends a request within a test's patience is something else.
pub fn patient_guests(keys: &str) -> App {
    let keys = format!("first-byte-timeout = \"10m\"\nqueue-timeout = \"10m\"\n{keys}");
    guests_and_clients("body-idle = \"10m\"\nwrite-idle = \"10m\"", &keys)
}

fn guests_and_clients(http: &str, keys: &str) -> App {
    App::new(&format!(
        r#"
name = "faults"

[http]
header-timeout = "4s"
connections-per-client = 1200
{http}

[service.greedy]
component = "$(greedy)"
{keys}

[service.good]
component = "$(hello-p3)"
"#
    ))
}

/// The neighbour answers as on every other day.
pub async fn neighbour_is_well(host: &Host) {
    let reply = host.get("/good/").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "Hello from 0.3 at /\n"));
}

/// Nobody is served any more: what was begun for those who left has ended.
pub async fn nothing_in_flight(host: &Host, service: &str) {
    eventually("the requests to end", async || {
        (host.service(service).await["in_flight"] == 0).then_some(())
    })
    .await;
}
