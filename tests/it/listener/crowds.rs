//! More connections than there is room for: those that have not asked for anything make room.

use super::*;

/// Whether an answer comes, where the connection may be closed instead.
async fn is_answered(address: &str, path: &str) -> bool {
    let mut raw = Raw::connect(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let asked = async {
        raw.0.write_all(request.as_bytes()).await?;
        raw.0.read_to_end(&mut answer).await
    };
    let _ = within("an answer or an end", asked).await;
    status(&String::from_utf8_lossy(&answer)) == 200
}

// Fault (The machine): half heads on the control plane | closes the oldest of a client that has half of all places | an answer to a probe | nothing
#[tokio::test]
async fn half_heads_on_the_control_plane_do_not_hold_its_probes_up() {
    let host = app("").serve().await;
    let mut halves = Vec::new();
    for _ in 0..64 {
        let mut raw = Raw::connect(&host.admin).await;
        // Those before it that are too many are closed.
        let _ = raw.0.write_all(b"GET /live HTTP/1.1\r\nhost: loc").await;
        halves.push(raw);
    }
    eventually("an answer to a probe", async || {
        is_answered(&host.admin, "/live").await.then_some(())
    })
    .await;
    // Not because their time was over.
    host.logs("had sent no whole request head in").await;
    let (_, log) = host.stop().await;
    // Once in a while, and not for each.
    let told = log.matches("had sent no whole request head in").count();
    assert!((1..8).contains(&told), "{log}");
}

// Fault (The machine): connections over the bound while all others wait for the rest of a head, or say nothing | closes the oldest of them, tells whose it was | its answer | nothing
#[tokio::test]
async fn who_has_sent_no_whole_head_makes_room_for_a_new_connection() {
    let host = app("connections = 3\nheader-timeout = \"10m\"\nkeep-alive = \"10m\"").serve().await;
    for begin in ["", "GET / HTTP/1.1\r\nhos", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut halves = Vec::new();
        for _ in 0..3 {
            halves.push(Raw::open(&host, begin).await);
        }
        assert_eq!(host.get("/print").await.status, 204, "{begin:?}");
        // The oldest one, and no other.
        let _ = within("an end", halves[0].0.read_to_end(&mut Vec::new())).await;
        halves[2].send(begin).await;
    }
    let (_, log) = host.stop().await;
    assert!(log.contains("made room before they had sent one"), "{log}");
}

// Fault (The machine): a client with too many connections, one of which does nothing | closes that one | its answer | nothing
#[tokio::test]
async fn a_client_that_has_its_share_gives_half_a_head_of_its_own_for_another_connection() {
    let host = app("connections-per-client = 2\nheader-timeout = \"10m\"").serve().await;
    let half = "GET / HTTP/1.1\r\nhos";
    let _halves = [Raw::open(&host, half).await, Raw::open(&host, half).await];
    eventually("a place for another", async || {
        is_answered(&host.address, "/count").await.then_some(())
    })
    .await;
}

// Fault (The machine): handshakes that stall, and no place left | closes the oldest | its answer | nothing
#[tokio::test]
async fn a_handshake_that_stalls_makes_room() {
    let secure = tls::serve("connections = 2\nhandshake-timeout = \"10m\"").await;
    let mut stalled = Vec::new();
    for begin in [&b""[..], &[0x16, 3, 1, 1, 0, 1]] {
        stalled.push(Raw::open(&secure.host, begin).await);
    }
    assert_eq!(status(&secure.ask(tls::LAST).await), 200);
}

// Fault (The machine): no descriptor left, and half heads on the public port | closes the oldest, also for the control plane | its answer | nothing
/// The control plane has no connections of its own that could give theirs.
#[tokio::test]
async fn where_descriptors_are_short_half_heads_make_room_on_both_ports() {
    let host = app("header-timeout = \"10m\"").serve().await;
    assert_eq!(host.get("/count").await.status, 200);
    exhaustion::leave_descriptors(&host, 5);
    let mut halves = Vec::new();
    for _ in 0..20 {
        halves.push(Raw::open(&host, "GET / HTTP/1.1\r\nhos").await);
    }
    host.logs("cannot accept connections").await;
    assert_eq!(host.get("/count").await.status, 200);
    assert!(is_answered(&host.admin, "/live").await);
}
