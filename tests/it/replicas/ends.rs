//! What becomes of a swap when the replica that was asked for it stops in order.

use super::*;

// Fault (Replicas): the replica that was asked for a swap stops in order | ends the swap, which its verdict says | the version before | nothing
#[tokio::test]
async fn a_swap_ends_when_the_replica_that_was_asked_for_it_stops() {
    let server = Postgres::start();
    let apps = [(), ()].map(|()| app_leased("60s", &server.url(), "serve", "version-one", ""));
    let (first, second) = (apps[0].serve().await, apps[1].serve().await);
    for host in [&first, &second] {
        is_ready(host).await;
    }
    // It does not vote, so that the attempt is open.
    signal(&second, Signal::STOP);
    let asked = first.swap("app", "", version("two"));
    let meanwhile = async {
        is_asked(&server).await;
        signal(&first, Signal::TERM);
    };
    let (reply, ()) = tokio::join!(asked, meanwhile);
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("stop"), "{}", reply.text());
    let decided = "select count(*) from wasm_host.applications, \
                   jsonb_array_elements(state->'lines'->'app'->'decided') as it \
                   where it->'decision'->>'Aborted' is not null";
    assert_eq!(server.sql(decided), "1");
    signal(&second, Signal::CONT);
    all_serve(&second, 1, 1).await;
    assert!(second.get("/").await.text().contains("one"));
}
