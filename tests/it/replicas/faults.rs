//! What fails in the middle of an attempt.

use super::*;

/// With a lease that does not end while the replica that is asked compiles the version.
fn patient(url: &str) -> App {
    app_leased("20s", url, "serve", "version-one", "")
}

// Fault (Replicas): the replica that was asked for a swap is killed | has the others decide | the new version, of the others | requests of that one
#[tokio::test]
async fn the_others_decide_when_the_replica_that_was_asked_is_killed() {
    let server = Postgres::start();
    let apps = [(), (), ()].map(|()| patient(&server.url()));
    let (first, second, third) =
        (apps[0].serve().await, apps[1].serve().await, apps[2].serve().await);
    for host in [&first, &second, &third] {
        is_ready(host).await;
    }
    // It does not vote, so that the attempt is open until its lease ends.
    signal(&third, Signal::STOP);
    {
        let swap = first.swap("app", "", version("two"));
        tokio::pin!(swap);
        tokio::select! {
            reply = &mut swap => panic!("decided without the third: {}", reply.text()),
            () = is_asked(&server) => {}
        }
    }
    first.kill().await;
    comes_to_answer(&second, "two").await;
    signal(&third, Signal::CONT);
    comes_to_answer(&third, "two").await;
    let first = apps[0].serve().await;
    is_ready(&first).await;
    assert!(first.get("/").await.text().contains("two"));
    all_serve(&first, 3, 2).await;
}

// Fault (Replicas): their database goes away in the middle of a swap | serves on; comes to one version when it is back | its answer | nothing
#[tokio::test]
async fn a_database_that_goes_away_in_an_attempt_leaves_what_serves_and_the_next_swap_a_reason() {
    let mut server = Postgres::start();
    let (first, second) =
        (patient(&server.url()).serve().await, patient(&server.url()).serve().await);
    for host in [&first, &second] {
        is_ready(host).await;
    }
    signal(&second, Signal::STOP);
    let asked = first.swap("app", "", version("two"));
    let meanwhile = async {
        is_asked(&server).await;
        server.crash();
        signal(&second, Signal::CONT);
        eventually("the reason", async || {
            let reply = first.ask("GET", "/ready", &[], "").await;
            reply.text().contains("the database of [replicas]").then_some(())
        })
        .await;
        // What has its turn waits for the database; what comes after it does not.
        let reply = first.swap("app", "", version("slow")).await;
        assert_eq!(reply.status, 422, "{}", reply.text());
        assert!(reply.text().contains("the database of [replicas]"), "{}", reply.text());
        for host in [&first, &second] {
            assert!(host.get("/").await.text().contains("one"));
        }
        server.resume();
    };
    tokio::join!(asked, meanwhile);
    // All came to the same, whatever that was.
    let serves = async |host: &Host| host.service("app").await["version"].clone();
    eventually("one version", async || {
        (serves(&first).await == serves(&second).await).then_some(())
    })
    .await;
    eventually("a swap", async || {
        (second.swap("app", "", version("slow")).await.status == 200).then_some(())
    })
    .await;
    comes_to_answer(&first, "slow").await;
}

// Fault (Replicas): a version does worse on several replicas at once | takes it back everywhere, once | errors, then the version before | failed requests of that version
#[tokio::test]
async fn what_does_worse_on_two_replicas_at_once_is_taken_back_once() {
    let server = Postgres::start();
    let (first, second) = (app(&server.url()).serve().await, app(&server.url()).serve().await);
    for host in [&first, &second] {
        is_ready(host).await;
    }
    let reply = first.swap("app", "", version("trapping")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    eventually("the version before", async || {
        let (one, other) = tokio::join!(first.get("/"), second.get("/"));
        (one.status == 200 && other.status == 200).then_some(())
    })
    .await;
    // Both know that it is not to come back.
    for host in [&first, &second] {
        eventually("it is taken back", async || {
            let history = host.history("app").await;
            history.iter().any(|it| it["verdict"] == "taken-back").then_some(())
        })
        .await;
    }
    all_serve(&first, 2, 3).await;
    let reply = second.ask("POST", "/services/app/rollback", &[], "").await;
    assert_eq!(reply.status, 409, "{}", reply.text());
}

// Fault (Replicas): a version does worse on all replicas at once, and the one before it starts slowly | takes it back by one attempt, which all of them ask for | errors, then the version before | failed requests of that version
#[tokio::test]
async fn what_does_worse_everywhere_is_taken_back_by_one_attempt_though_what_was_before_starts_slowly()
 {
    let server = Postgres::start();
    let apps = [(), (), ()].map(|()| app_leased("20s", &server.url(), "serve", "version-slow", ""));
    let (first, second, third) = tokio::join!(apps[0].serve(), apps[1].serve(), apps[2].serve());
    let hosts = [&first, &second, &third];
    for host in hosts {
        is_ready(host).await;
    }
    let reply = first.swap("app", "", version("trapping")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    // All are asked meanwhile, so that all see it.
    tokio::join!(is_ready(&first), is_ready(&second), is_ready(&third));
    let decided = "select jsonb_array_length(state->'lines'->'app'->'decided') \
                   from wasm_host.applications";
    assert_eq!(server.sql(decided), "2");
    for host in hosts {
        comes_to_answer(host, "slow").await;
    }
}
