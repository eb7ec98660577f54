//! Instances that are there before anybody asks, and stay although nobody does.

use std::time::{Duration, Instant};

use wasm_host_tests::client::{self, KeepAlive};
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host, component};

fn guest(limits: &str, component: &str, bounds: &str) -> App {
    App::new(&format!(
        "name = \"warm\"\n[limits]\n{limits}\n[service.guest]\ncomponent = \"$({component})\"\nroute = \"/\"\n{bounds}\n"
    ))
}

async fn instances(host: &Host) -> u64 {
    host.service("guest").await["instances"].as_u64().unwrap()
}

async fn become_so_many(host: &Host, wanted: u64) {
    eventually("so many instances", async || (instances(host).await == wanted).then_some(())).await;
}

#[tokio::test]
async fn as_many_instances_are_kept_warm_as_the_file_says() {
    let bounds = "per-instance = 1\nidle = \"100ms\"\nwarm = 2";
    let host = guest("threads = 1", "hostile", bounds).serve().await;
    // Nobody has asked.
    assert_eq!(instances(&host).await, 2);
    let mut drips = Vec::new();
    for _ in 0..5 {
        let mut drip = client::open(&host.address, "GET", "/drip", &[], "").await;
        assert!(drip.next().await.unwrap().is_some());
        drips.push(drip);
    }
    assert_eq!(instances(&host).await, 5);
    drop(drips);
    become_so_many(&host, 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(instances(&host).await, 2);
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("all instances have ended"), "{log}");
}

#[tokio::test]
async fn a_renewal_and_a_trap_replace_what_was_warm() {
    let bounds = "instances = 1\nidle = \"0s\"\nwarm = 1";
    let host = guest("threads = 1", "hostile", bounds).serve().await;
    for count in ["1", "2", "3"] {
        assert_eq!(host.get("/count").await.text(), count, "it is not the one that was kept");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(host.ask("POST", "/services/guest/drain", &[], "").await.status, 200);
    become_so_many(&host, 1).await;
    assert_eq!(host.get("/count").await.text(), "1", "the old one was kept");
    assert_eq!(host.get("/trap").await.status, 502);
    become_so_many(&host, 1).await;
    assert_eq!(host.get("/count").await.text(), "1");
}

#[tokio::test]
async fn a_version_is_warm_when_it_is_put_into_service_and_the_old_one_ends() {
    let bounds = "instances = 3\nidle = \"10m\"\nwarm = 3\nhealth = \"/health\"";
    let host = guest("threads = 2", "version-one", bounds).serve().await;
    assert_eq!(instances(&host).await, 3);
    let two = std::fs::read(component("version-two")).unwrap();
    let outcome = host.swap("guest", "", two).await;
    assert_eq!(outcome.status, 200, "{}", outcome.text());
    // Of the new version alone.
    assert_eq!(instances(&host).await, 3);
    eventually("the old version to end", async || {
        host.history("guest").await[0]["drained_in_ms"].is_u64().then_some(())
    })
    .await;
    // One that is rejected leaves none behind.
    let sick = std::fs::read(component("version-sick")).unwrap();
    let outcome = host.swap("guest", "", sick).await;
    assert_eq!(outcome.status, 422, "{}", outcome.text());
    assert_eq!(instances(&host).await, 3);
    assert!(host.get("/").await.text().contains("two"));
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("all instances have ended"), "{log}");
}

#[tokio::test]
async fn an_instance_that_serves_one_request_is_replaced_while_it_does() {
    let host = guest("threads = 1", "hello-p2", "idle = \"10m\"\nwarm = 2").serve().await;
    for _ in 0..20 {
        assert_eq!(host.get("/").await.status, 200);
        become_so_many(&host, 2).await;
    }
    let host = guest("threads = 1", "hostile", "reuse = 1\nwarm = 1").serve().await;
    // Also while it computes.
    let address = host.address.clone();
    let looping =
        tokio::spawn(async move { client::send(&address, "GET", "/loop", &[], "").await });
    become_so_many(&host, 2).await;
    assert!(!looping.is_finished());
}

/// What takes the place of one that is used up waits for that place, if it is the last one.
#[tokio::test]
async fn a_used_up_instance_is_replaced_although_all_places_were_taken() {
    let bounds = "idle = \"10m\"\ninstances = 1\nwarm = 1";
    let host = guest("threads = 1", "hello-p2", bounds).serve().await;
    for _ in 0..20 {
        assert_eq!(host.get("/").await.status, 200);
        become_so_many(&host, 1).await;
    }
    let bounds = "idle = \"10m\"\ninstances = 2\nwarm = 2";
    let host = guest("threads = 2", "hello-p2", bounds).serve().await;
    for _ in 0..20 {
        // Who finds both taken waits, or takes the place that the other thread lacks.
        let (one, other) = tokio::join!(host.get("/"), host.get("/"));
        assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
        become_so_many(&host, 2).await;
    }
}

#[tokio::test]
async fn an_instance_in_which_a_request_hangs_is_not_warm() {
    let host = guest("threads = 1", "hostile", "idle = \"10m\"\nwarm = 1").serve().await;
    let mut neighbour = client::open(&host.address, "GET", "/drip", &[], "").await;
    assert!(neighbour.next().await.unwrap().is_some());
    let mut hung = client::open(&host.address, "GET", "/hold", &[], "").await;
    assert_eq!(hung.next().await.unwrap().unwrap(), "one");
    drop(hung);
    become_so_many(&host, 2).await;
}

/// The counts that four connections are told, each on the thread that has the fewest.
async fn counts(host: &Host) -> Vec<String> {
    let (mut connections, mut counts) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut connection = KeepAlive::connect(&host.address).await;
        let (status, body) = connection.get("/count").await.unwrap();
        assert_eq!(status, 200);
        counts.push(String::from_utf8(body.to_vec()).unwrap());
        connections.push(connection);
        eventually("its end", async || {
            (host.service("guest").await["in_flight"] == 0).then_some(())
        })
        .await;
        // Its instance offers itself a moment later.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    counts
}

#[tokio::test]
async fn a_thread_without_a_warm_instance_asks_where_there_is_one() {
    let mut seen = Vec::new();
    // On a busy machine the one may look as if it computed, and another is made.
    for _ in 0..20 {
        let host = guest("threads = 2", "hostile", "idle = \"10m\"\nwarm = 1").serve().await;
        seen = counts(&host).await;
        if seen == ["1", "2", "3", "4"] && instances(&host).await == 1 {
            return;
        }
    }
    panic!("every time another instance was made: {seen:?}");
}

#[tokio::test]
async fn without_room_for_warm_instances_a_service_serves_and_says_so() {
    let host = guest(
        "memory = \"16MiB\"",
        "hostile",
        "memory = \"16MiB\"\nmemory-total = \"16MiB\"\nwarm = 60",
    )
    .serve()
    .await;
    host.logs("fewer instances are warm than 'warm' says").await;
    assert_eq!(host.send("POST", "/echo", "x").await.text(), "x");
    // What is lacking is tried now and then, and not all the time.
    #[cfg(target_os = "linux")]
    {
        let (before, began) = (host.processor_time("serve-"), Instant::now());
        tokio::time::sleep(Duration::from_secs(2)).await;
        // In hundredths of a second; without a pause it would be all of them, on each thread.
        let spent = host.processor_time("serve-") - before;
        let seconds = began.elapsed().as_secs_f64();
        assert!((spent as f64) < 30.0 * seconds, "{spent} hundredths of {seconds} seconds");
    }
}

// Fault (Too much at once): no memory for instances that are to be warm | serves with those that there are, tries the others again | its answer | nothing
#[tokio::test]
async fn what_could_not_be_made_is_made_when_there_is_memory_again() {
    let host = guest(
        "threads = 1\nmemory = \"16MiB\"",
        "hostile",
        "memory = \"16MiB\"\nmemory-total = \"16MiB\"\nper-instance = 1\nidle = \"10m\"\nwarm = 3",
    )
    .serve()
    .await;
    let mut hoard = client::open(&host.address, "GET", "/hoard?10", &[], "").await;
    assert!(hoard.next().await.unwrap().is_some());
    let two = std::fs::read(component("version-two")).unwrap();
    assert_eq!(host.swap("guest", "", two).await.status, 200);
    host.logs("fewer instances are warm than 'warm' says").await;
    // Its version has been replaced, so that nobody is told of the end of its instance.
    drop(hoard);
    become_so_many(&host, 3).await;
}

/// The end of a large instance takes a while, and is waited for.
#[tokio::test]
async fn what_takes_the_place_of_a_large_instance_finds_its_memory() {
    let host = guest(
        "threads = 1",
        "greedy",
        "memory = \"48MiB\"\nmemory-total = \"48MiB\"\ninstances = 1\nreuse = 1\nidle = \"10m\"\nwarm = 1",
    )
    .serve()
    .await;
    for _ in 0..20 {
        assert_eq!(host.get("/leak?47500").await.status, 200);
        become_so_many(&host, 1).await;
    }
    assert!(!host.log().contains("fewer instances are warm"), "{}", host.log());
}
