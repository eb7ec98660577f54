//! What the database has is not always what replicas remember: it was deleted, set back, or went on without one of them.

use super::*;
use crate::protocol::Generation;

/// All that is shared is gone, as the page about replicas has it for the last resort.
const DELETE: &str = "delete from wasm_host.applications where name = 'shop'";

#[tokio::test(flavor = "multi_thread")]
async fn what_served_before_the_row_was_deleted_comes_to_what_began_after_it() {
    let server = Postgres::start();
    let first = start(&server.url(), false);
    first.is_there().await;
    // Another replica was the first to come after that.
    let before = first.replica.line(SERVICE).unwrap().current;
    let another = Generation { version: version("new"), ..before };
    let began = serde_json::to_string(&another).unwrap();
    server.sql(&format!(
        "update wasm_host.applications \
         set state = jsonb_set(state, '{{lines,{SERVICE},current}}', '{began}'::jsonb), \
             revision = revision + 1 \
         where name = 'shop'"
    ));
    first.comes_to_serve("new").await;
    eventually("it is a member again", async || {
        let view = first.replica.view()?;
        let mut members = view.shared.members.values();
        members
            .any(|member| member.is_serving && member.serves.get(SERVICE) == Some(&1))
            .then_some(())
    })
    .await;
    first.swap("v2").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_have_registrations_of_their_own_after_the_row_was_deleted() {
    let server = Postgres::start();
    let hosts = [start(&server.url(), false), start(&server.url(), false)];
    for host in &hosts {
        host.is_there().await;
    }
    let known = hosts.iter().map(|host| host.replica.standing.id().unwrap()).collect::<Vec<_>>();
    server.sql(DELETE);
    eventually("both are entered anew", async || {
        let ids =
            hosts.iter().map(|host| host.replica.standing.id()).collect::<Option<Vec<_>>>()?;
        let are_members = hosts.iter().all(|host| host.replica.is_member());
        (are_members && ids.iter().all(|id| !known.contains(id))).then_some(())
    })
    .await;
    let decision = hosts[0].swap("v1").await.unwrap();
    assert_eq!(decision, Decision::Committed { generation: 2, without: Vec::new() });
    for host in &hosts {
        host.comes_to_serve("v1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lost_its_last_decision_is_followed_and_swaps_go_on() {
    let server = Postgres::start();
    let hosts = [start(&server.url(), false), start(&server.url(), false)];
    for host in &hosts {
        host.is_there().await;
    }
    let of = |what| server.sql(&format!("select {what} from wasm_host.applications"));
    let (state, revision) = (of("state"), of("revision"));
    hosts[0].swap("v1").await.unwrap();
    for host in &hosts {
        host.comes_to_serve("v1").await;
    }
    server.sql(&format!(
        "update wasm_host.applications set state = '{state}'::jsonb, revision = {revision} \
         where name = 'shop'"
    ));
    for host in &hosts {
        host.comes_to_serve("own").await;
        eventually("it is a member", async || host.replica.is_member().then_some(())).await;
    }
    let decision = eventually("a swap", async || hosts[1].swap("v2").await.ok()).await;
    assert_eq!(decision, Decision::Committed { generation: 2, without: Vec::new() });
    for host in &hosts {
        host.comes_to_serve("v2").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_hear_that_its_swap_served_does_not_say_that_it_did_not() {
    let server = Postgres::start();
    let proxy = Proxy::start(&server.address()).await;
    let far = server.url().replace(&server.address(), &proxy.address.to_string());
    let (near, far) = (start_short(&server.url(), false), start_short(&far, false));
    for host in [&near, &far] {
        host.is_there().await;
    }
    let (go_on, holds) = oneshot::channel();
    *near.fake.holds.lock() = Some(holds);
    let asked = far.swap("v1");
    let meanwhile = async {
        eventually("its own vote", async || {
            let open = near.replica.line(SERVICE)?.attempt?;
            (open.votes.len() == 1).then_some(())
        })
        .await;
        let mut cut = Plan { refuse: true, ..Plan::default() };
        (cut.up.stalled, cut.down.stalled) = (true, true);
        proxy.set(cut);
        go_on.send(()).unwrap();
        near.comes_to_serve("v1").await;
        near.swap("v2").await.unwrap();
        proxy.reset_all();
        proxy.heal();
    };
    let (told, ()) = tokio::join!(asked, meanwhile);
    let told = told.unwrap_err();
    assert!(told.starts_with("the replicas put it into service"), "{told}");
    far.comes_to_serve("v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_serve_one_that_comes_back_and_cannot_catch_up_is_shut_while_another_one_serves() {
    let server = Postgres::start();
    let proxy = Proxy::start(&server.address()).await;
    let far = server.url().replace(&server.address(), &proxy.address.to_string());
    let (near, far) = (start_short(&server.url(), false), start_short(&far, false));
    for host in [&near, &far] {
        host.is_there().await;
    }
    *far.fake.misses.lock() = Some("its bytes are gone");
    let mut cut = Plan { refuse: true, ..Plan::default() };
    (cut.up.stalled, cut.down.stalled) = (true, true);
    proxy.set(cut);
    near.swap("v1").await.unwrap();
    assert!(far.replica.is_open());
    proxy.reset_all();
    proxy.heal();
    eventually("it is shut", async || (!far.replica.is_open()).then_some(())).await;
    let why = far.replica.behind().unwrap();
    assert!(why.contains("its bytes are gone"), "{why}");
    // What it has is better than nothing.
    near.replica.stop().await;
    eventually("it is open", async || far.replica.is_open().then_some(())).await;
    // Nothing else serves, and what it has was not built since.
    let back = start_short(&server.url(), false);
    back.comes_to_serve("v1").await;
    eventually("it is shut", async || (!far.replica.is_open()).then_some(())).await;
    *far.fake.misses.lock() = None;
    back.swap("v2").await.unwrap();
    far.comes_to_serve("v2").await;
    eventually("it is open", async || far.replica.is_open().then_some(())).await;
    assert_eq!(far.replica.behind(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_built_since_begins_when_what_served_is_gone_with_all_that_could_give_it() {
    let server = Postgres::start();
    let first = start(&server.url(), false);
    first.is_there().await;
    let misses = Mutex::new(Some("its bytes are gone"));
    let built = Fake { own: Some("built"), misses, ..Fake::default() };
    let built = start_with(&server.url(), false, built);
    eventually("the reason", async || built.replica.behind()).await;
    first.replica.stop().await;
    built.is_there().await;
    let current = built.replica.line(SERVICE).unwrap().current;
    assert_eq!((current.number, &*current.version.digest), (2, "built"));
    assert_eq!(built.replica.behind(), None);
}
