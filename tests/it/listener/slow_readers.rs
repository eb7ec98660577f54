//! Clients that take their answers slowly and never stop: `write-idle` lets them, and `timeout` ends them.

use std::time::Duration;

use super::*;

/// A service that answers as fast as it is read. Nothing but what a test says ends within minutes.
fn app(http: &str, keys: &str) -> App {
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
{keys}
"#
    ))
}

/// At most 140 kB in a second.
const SIP: usize = 4096;
/// Bytes of a file that takes fifteen seconds at a quarter of that.
const LARGE: usize = 512 * 1024;
const PAUSE: Duration = Duration::from_millis(30);

// Fault (Clients): a stream of HTTP/2 that is read slowly and all the time | goes at its pace | its whole body | nothing
#[tokio::test]
async fn a_stream_that_is_read_slowly_and_all_the_time_is_whole() {
    let app = app("write-idle = \"5s\"", "\n[service.files]\nstatic = \"files\"\n");
    std::fs::create_dir(app.path().join("files")).unwrap();
    std::fs::write(app.path().join("files/large"), vec![b'.'; LARGE]).unwrap();
    let host = app.serve().await;
    let (mut sender, _connection) = http2::frames(&host).await;
    // Read from the disk by so much at once that each such piece takes longer than `write-idle`.
    let (response, _) = sender.send_request(http2::to(&host, "/files/large"), true).unwrap();
    let mut body = within("a response", response).await.unwrap().into_body();
    let mut taken = 0;
    while let Some(data) = within("more", body.data()).await {
        let data = data.unwrap_or_else(|error| panic!("{error} after {taken} bytes"));
        taken += data.len();
        for sip in data.chunks(SIP / 4) {
            tokio::time::sleep(PAUSE).await;
            // The client library tells the host when there is enough to be told.
            body.flow_control().release_capacity(sip.len()).unwrap();
        }
    }
    assert_eq!(taken, LARGE);
}

// Fault (Clients): a client that reads slowly and all the time | goes at its pace | its whole body | nothing
#[tokio::test]
async fn a_connection_that_is_read_slowly_and_all_the_time_is_not_given_up() {
    let host = app("write-idle = \"8s\"", "").serve().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // Or the reader's own system would take megabytes before it says that some were read.
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut slow = socket.connect(host.address.parse().unwrap()).await.unwrap();
    slow.write_all(get("/greedy/endless").as_bytes()).await.unwrap();
    let mut sip = vec![0; 32 * 1024];
    // For the host's system it takes longer than `write-idle` until as much is free as it waits for. In the second
    // half of that time, in which the host must see something taken, a busy machine still gives the reader its turn.
    // In all it is four times as long.
    for _ in 0..55 {
        within("more", slow.read_exact(&mut sip)).await.expect("a connection that goes on");
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    assert_eq!(host.service("greedy").await["in_flight"], 1);
}

/// The answer was cut and counted, and that was told once.
async fn was_cut_at_its_timeout(host: &Host) {
    let service = host.service("greedy").await;
    assert_eq!((&service["failed"], &service["cancelled"]), (&1.into(), &0.into()), "{service}");
    host.logs("'timeout' sets the bound").await;
    assert_eq!(host.log().matches("'timeout' sets the bound").count(), 1, "{}", host.log());
}

// Fault (Clients): a client that reads slowly beyond the time for its whole answer | ends the answer at `timeout` | a body that is not whole | the request
#[tokio::test]
async fn a_slow_reader_has_its_timeout() {
    let host = app("write-idle = \"10m\"", "timeout = \"2s\"").serve().await;
    let mut slow = Raw::open(&host, get("/greedy/endless")).await;
    let mut seen = slow.until("200 OK").await.into_bytes();
    let sips = async {
        loop {
            // So little that the system has no room for more of it for minutes: the host sees nothing taken.
            let mut sip = [0; 500];
            let count = slow.0.read(&mut sip).await.unwrap();
            seen.extend_from_slice(&sip[..count]);
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = sips => {}
        () = in_flight(&host, "greedy", 0) => {}
    }
    was_cut_at_its_timeout(&host).await;
    // What was on its way is still read, and is no whole body.
    within("the end of the connection", slow.0.read_to_end(&mut seen)).await.unwrap();
    assert!(!seen.ends_with(b"0\r\n\r\n"));
}

// Fault (Clients): a stream of HTTP/2 that is read slowly beyond the time for its whole answer | resets it at `timeout` | a reset of that stream | the request
#[tokio::test]
async fn a_slow_reader_of_a_stream_has_its_timeout() {
    let host = app("write-idle = \"10m\"", "timeout = \"2s\"").serve().await;
    let (mut sender, _connection) = http2::frames(&host).await;
    let (slow, _) = sender.send_request(http2::to(&host, "/greedy/endless"), true).unwrap();
    let mut slow = within("a response", slow).await.unwrap().into_body();
    let ended = within("the reset", async {
        loop {
            match slow.data().await {
                Some(Ok(data)) => {
                    for sip in data.chunks(SIP) {
                        tokio::time::sleep(PAUSE).await;
                        slow.flow_control().release_capacity(sip.len()).unwrap();
                    }
                }
                ended => break ended,
            }
        }
    })
    .await;
    assert!(ended.unwrap().unwrap_err().is_reset());
    in_flight(&host, "greedy", 0).await;
    was_cut_at_its_timeout(&host).await;
    // The connection is as good as before.
    let (other, _) = sender.send_request(http2::to(&host, "/greedy/"), true).unwrap();
    assert_eq!(within("a response", other).await.unwrap().status(), 200);
}
