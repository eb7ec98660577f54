//! Clients that take their answers slowly and never stop: `write-idle` lets them.

use std::time::Duration;

use super::*;

/// A service that answers as fast as it is read. Nothing but what a test says ends within minutes.
fn app(http: &str) -> App {
    App::new(&format!(
        r#"
name = "slow-readers"

[http]
keep-alive = "10m"
header-timeout = "10m"
{http}

[service.greedy]
component = "$(greedy)"
stream-idle-timeout = "10m"
"#
    ))
}

/// At most 200 kB in a second.
const SIP: usize = 4096;
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_stream_that_is_read_slowly_and_all_the_time_is_whole() {
    let host = app("write-idle = \"3s\"").serve().await;
    let (mut sender, _connection) = http2::frames(&host).await;
    // The component's own pieces have a MiB, and each takes longer than `write-idle`.
    let (response, _) = sender.send_request(http2::to(&host, "/greedy/big?2"), true).unwrap();
    let mut body = within("a response", response).await.unwrap().into_body();
    let mut taken = 0;
    while let Some(data) = within("more", body.data()).await {
        let data = data.unwrap_or_else(|error| panic!("{error} after {taken} bytes"));
        taken += data.len();
        for sip in data.chunks(SIP) {
            tokio::time::sleep(PAUSE).await;
            // The client library tells the host when there is enough to be told.
            body.flow_control().release_capacity(sip.len()).unwrap();
        }
    }
    assert_eq!(taken, 2 * 1024 * 1024);
}
