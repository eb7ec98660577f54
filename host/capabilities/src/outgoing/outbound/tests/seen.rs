//! What is seen of calls that do not go well.

use super::*;
use crate::testing::ObservedRequests;

// Fault (Telemetry): an answer of a host outside that breaks off | fails the call in the trace | what its component makes of it | nothing
#[tokio::test]
async fn an_answer_that_breaks_off_has_failed() {
    for (status, kind) in [("200 OK", "interrupted"), ("500 Broken", "500")] {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: 10\r\n\r\nhalf");
        let peer = Peer::start(move |mut stream| {
            let head = head.clone();
            async move {
                read_head(&mut stream).await;
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        })
        .await;
        let seen = ObservedRequests::new(false);
        let caller = seen.request(0);
        let outbound = outbound(config(&[&peer.url()]));
        let response = outbound.send(caller.clone(), get(&peer.url())).await.unwrap();
        response.into_body().collect().await.unwrap_err();
        drop(caller);
        assert_eq!(seen.collected.failure().0, kind);
    }
}

#[tokio::test]
async fn a_call_that_is_refused_is_seen_with_the_reason() {
    let peer = Peer::answering(OK).await;
    let seen = ObservedRequests::new(false);
    let limits = OutboundLimits { concurrent: 1, ..OutboundLimits::default() };
    let outbound = outbound(OutboundConfig { limits, ..config(&[&peer.url()]) });
    let hops = u8::try_from(limits::HOP_LIMIT).unwrap();
    let refused = outbound.send(seen.request(hops), get(&peer.url())).await;
    assert!(matches!(refused, Err(Error::LoopDetected)));
    let (kind, why) = seen.collected.failure();
    assert!(kind == "refused" && why.contains("too many services"), "{kind} {why}");

    let held = outbound.send(caller(), get(&peer.url())).await.unwrap();
    let refused = outbound.send(seen.request(0), get(&peer.url())).await;
    assert!(matches!(refused, Err(Error::ConnectionLimitReached)));
    let (kind, why) = seen.collected.failure();
    assert!(kind == "refused" && why.contains("under way"), "{kind} {why}");
    drop(held);
}

#[tokio::test]
async fn a_call_that_an_open_breaker_refuses_is_seen_with_the_reason() {
    // Held to the end, so that no other test is given the same port.
    let closed = TcpSocket::new_v4().unwrap();
    closed.set_reuseaddr(true).unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    let breaker = BreakerConfig { failures: 1, wait: PATIENCE, wait_max: PATIENCE };
    let limits = OutboundLimits { breaker, ..OutboundLimits::default() };
    let outbound = outbound(OutboundConfig { limits, ..config(&[&url]) });
    ask(&outbound, &url).await.unwrap_err();
    let seen = ObservedRequests::new(false);
    let refused = outbound.send(seen.request(0), get(&url)).await;
    assert!(matches!(refused, Err(Error::DestinationUnavailable)));
    let (kind, why) = seen.collected.failure();
    assert!(kind == "refused" && why.contains("reached"), "{kind} {why}");
}
