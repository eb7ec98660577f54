//! Which calls wait for a place at the server, in which order, and for how long.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::scripted::{Scripted, answer};
use super::*;
use wasm_host_limits::ollama::QUEUE_BYTES;

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A client with one place, no call at the server, and a bound on the calls that may wait.
fn one_place(queue: usize) -> Client {
    let options = Options { calls: 1, queue, ..Options::default() };
    client_with("127.0.0.1:1".parse().unwrap(), options)
}

#[tokio::test]
async fn whoever_has_waited_longest_is_next_and_no_newcomer_passes() {
    let (client, cancel) = (one_place(3), never());
    let place = client.admit(0, &cancel).await.unwrap();
    let (mut first, mut second) = (pin!(client.admit(0, &cancel)), pin!(client.admit(0, &cancel)));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    drop(place);
    let mut newcomer = pin!(client.admit(0, &cancel));
    assert!(poll(newcomer.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    let Poll::Ready(Ok(place)) = poll(first.as_mut()) else { panic!("not the first one's turn") };
    drop(place);
    let Poll::Ready(Ok(_place)) = poll(second.as_mut()) else {
        panic!("not the second one's turn")
    };
}

#[tokio::test]
async fn who_leaves_the_line_makes_room_in_it_at_once() {
    let (client, cancel) = (one_place(1), never());
    let _place = client.admit(0, &cancel).await.unwrap();
    let leaves = never();
    let mut waiting = pin!(client.admit(0, &leaves));
    assert!(poll(waiting.as_mut()).is_pending());
    let Err(Error::Busy(why)) = client.admit(0, &cancel).await else { panic!("there is no room") };
    assert!(why.ends_with("and as many wait as may (1)"), "{why}");
    leaves.cancel().cancel();
    assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Err(Error::Cancelled))));
    {
        let mut next = pin!(client.admit(0, &cancel));
        assert!(poll(next.as_mut()).is_pending(), "there is no room in the line");
    }
    let mut dropped_makes_room = pin!(client.admit(0, &cancel));
    assert!(poll(dropped_makes_room.as_mut()).is_pending());
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told() {
    let (client, cancel) = (one_place(1), never());
    let _place = client.admit(0, &cancel).await.unwrap();
    let begun = tokio::time::Instant::now();
    let Err(Error::Busy(why)) = client.admit(0, &cancel).await else { panic!("a second place") };
    assert_eq!(begun.elapsed().as_secs(), 60);
    assert!(why.ends_with("none of them ended within 60 s"), "{why}");
}

#[tokio::test]
async fn large_requests_are_not_collected_in_the_line() {
    let (client, cancel) = (one_place(10), never());
    let _place = client.admit(0, &cancel).await.unwrap();
    let mut large = pin!(client.admit(QUEUE_BYTES, &cancel));
    assert!(poll(large.as_mut()).is_pending());
    let mut one_more = pin!(client.admit(1, &cancel));
    assert!(matches!(poll(one_more.as_mut()), Poll::Ready(Err(Error::Busy(_)))));
    let mut small = pin!(client.admit(0, &cancel));
    assert!(poll(small.as_mut()).is_pending());
}

/// A server that answers the first request of each connection, and closes it when it has read the second, if any.
/// With `well`, only the first connection.
async fn closing(well: bool) -> Scripted {
    let connections = std::sync::atomic::AtomicUsize::new(0);
    Scripted::serve(move |mut connection| {
        let nth = connections.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            let mut answers = if well && nth > 0 { usize::MAX } else { 1 };
            while connection.request().await.is_some() && answers > 0 {
                connection.send(answer("200 OK", r#"{"version":"1"}"#)).await;
                answers -= 1;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_no_call() {
    let server = closing(true).await;
    let client = client(server.address);
    for _ in 0..3 {
        assert_eq!(client.version(never()).await.unwrap(), "1");
    }
    assert!(server.connections() >= 2);
}

#[tokio::test]
async fn what_changes_something_is_not_sent_again() {
    let server = closing(true).await;
    let client = client(server.address);
    client.version(never()).await.unwrap();
    let deleted = client.delete("m".into(), never()).await;
    assert!(matches!(deleted, Err(Error::Unreachable(_))), "{deleted:?}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn neither_of_two_kept_connections_that_were_closed_costs_a_call() {
    let connections = std::sync::atomic::AtomicUsize::new(0);
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let server = Scripted::serve(move |mut connection| {
        let nth = connections.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let both = both.clone();
        async move {
            connection.request().await;
            if nth < 2 {
                both.wait().await;
            }
            connection.send(answer("200 OK", r#"{"version":"1"}"#)).await;
            connection.request().await;
        }
    })
    .await;
    let client = client(server.address);
    let (one, other) = tokio::join!(client.version(never()), client.version(never()));
    assert_eq!((one.unwrap(), other.unwrap()), ("1".into(), "1".into()));
    assert_eq!(client.version(never()).await.unwrap(), "1");
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn what_a_new_connection_loses_and_what_is_answered_wrongly_is_not_sent_again() {
    let server = Scripted::serve(|mut connection| async move {
        connection.request().await;
    })
    .await;
    assert!(client(server.address).version(never()).await.is_err());
    assert_eq!(server.connections(), 1);

    let server = Scripted::serve(|mut connection| async move {
        connection.request().await;
        connection.send(answer("200 OK", r#"{"version":"1"}"#)).await;
        connection.request().await;
        connection.send("no HTTP\r\n\r\n").await;
    })
    .await;
    let client = client(server.address);
    client.version(never()).await.unwrap();
    assert!(client.version(never()).await.is_err());
    assert_eq!(server.connections(), 1);
}
