//! Guests that compute, recurse and print without end.

use wasm_host_tests::host::{App, Host};
use wasm_host_tests::{client, eventually, handmade};

const SERVICES: &str = r#"
name = "computing"

[service.bad]
component = "$(hostile)"
instances = 1
cpu-timeout = "500ms"

[service.good]
component = "$(hello-p3)"
"#;

/// Guests that compute come after everybody else. The least bound is the soonest over, and what waits behind a loop
/// waits however long that takes.
fn soon_ended() -> App {
    let bounds = "cpu-timeout = \"100ms\"\nqueue-timeout = \"10m\"";
    App::new(&SERVICES.replace("cpu-timeout = \"500ms\"", bounds))
}

#[tokio::test]
async fn a_guest_that_answers_and_then_loops_is_ended_and_its_queue_served() {
    let host = soon_ended().serve().await;
    let mut looping = client::open(&host.address, "GET", "/bad/answer-then-loop", &[], "").await;
    assert_eq!(looping.next().await.unwrap().unwrap(), "one");
    // There is only one instance, and it is the one that loops.
    assert_eq!(host.send("POST", "/bad/echo", "x").await.text(), "x");
    assert_eq!(looping.rest().await, Err(Vec::new()), "its body looks whole");
    host.logs("without a pause").await;
}

#[tokio::test]
async fn a_guest_that_waits_and_then_loops_is_told_as_too_slow() {
    let host = soon_ended().serve().await;
    let reply = host.get("/bad/wait-then-loop").await;
    assert_eq!(reply.status, 504);
    assert!(reply.text().contains("without a pause"), "{}", reply.text());
    assert_eq!(host.send("POST", "/bad/echo", "x").await.text(), "x");
}

#[tokio::test]
async fn a_guest_that_pauses_may_compute_for_longer_than_the_bound() {
    let host = App::new(SERVICES).serve().await;
    assert_eq!(host.get("/bad/work").await.text(), "worked\n");
}

#[tokio::test]
async fn recursion_without_end_is_a_trap() {
    let host = App::new(SERVICES).serve().await;
    assert_eq!(host.get("/bad/recurse").await.status, 502);
    assert_eq!(host.get("/good/").await.status, 200);
    host.logs("call stack exhausted").await;
}

#[tokio::test]
async fn a_flood_of_output_is_bounded_and_what_is_missing_is_told() {
    let host =
        App::new(&SERVICES.replace("cpu-timeout = \"500ms\"", "log-lines = 50")).serve().await;
    assert_eq!(host.get("/bad/flood?20000").await.status, 204);
    host.logs("lines of its output").await;
    // As many for each second that the flood took.
    let told = host.log().matches("flood ").count();
    assert!((50..10_000).contains(&told), "{told} lines");
    assert_eq!(host.get("/good/").await.status, 200);
}

/// How many lines of the log have this text.
fn logged(host: &Host, text: &str) -> usize {
    host.log().lines().filter(|line| line.contains(text)).count()
}

/// Wait until so many lines were told to be left out: at each turn of a second, and at the end.
async fn left_out(host: &Host, lines: usize) {
    eventually("all that was left out to be told", async || {
        let log = host.log();
        let notes = log.lines().filter_map(|line| line.split_once("left out ")?.1.split_once(' '));
        let told: usize = notes.filter_map(|(count, _)| count.parse::<usize>().ok()).sum();
        (told == lines).then_some(())
    })
    .await;
}

/// One instance for all, 20 lines for each request, and no other bound.
const LINES: &str = "log-lines = 1000000\nlog-lines-per-request = 20";

// Fault (Guests): a flood of log lines among other requests of its instance | writes so many lines of that request, says that more is left out | its answer | its own further lines; its neighbours keep theirs
#[tokio::test]
async fn a_request_that_floods_the_log_takes_no_line_from_its_neighbour_in_the_instance() {
    let host = App::new(&SERVICES.replace("cpu-timeout = \"500ms\"", LINES)).serve().await;
    let (flood, neighbour) =
        tokio::join!(host.get("/bad/chatter?100"), host.get("/bad/chatter?15"));
    assert_eq!((flood.status.as_u16(), neighbour.status.as_u16()), (204, 204));
    // Told when its output ends, with the instance.
    left_out(&host, 80).await;
    assert_eq!(logged(&host, "chatter of 100:"), 20);
    assert_eq!(logged(&host, "chatter of 15:"), 15);
    assert_eq!(logged(&host, "more of request"), 1);
}

#[tokio::test]
async fn a_stream_that_requests_share_counts_for_the_one_that_prints() {
    let host = App::new(&SERVICES.replace("cpu-timeout = \"500ms\"", LINES)).serve().await;
    for lines in [100, 15, 16] {
        assert_eq!(host.get(&format!("/bad/print-into-stream?{lines}")).await.status, 204);
    }
    left_out(&host, 80).await;
    for (lines, told) in [(100, 20), (15, 15), (16, 16)] {
        assert_eq!(logged(&host, &format!("stream of {lines}:")), told, "{}", host.log());
    }
}

// Fault (Guests): more output at once than is taken | takes it in pieces, between which it can be interrupted | its answer | nothing
#[tokio::test]
async fn what_is_printed_at_once_is_taken_in_pieces_and_whole() {
    let host = App::new(&SERVICES.replace("cpu-timeout = \"500ms\"", LINES)).serve().await;
    assert_eq!(host.get("/bad/print-at-once?5000").await.status, 204);
    left_out(&host, 4980).await;
    assert_eq!(logged(&host, "at once: "), 20);
}

// Fault (Guests): each line in a stream of its own | counts them for the request as any other, says once a second what it left out | its answer | its own further lines
#[tokio::test]
async fn lines_in_streams_of_their_own_count_and_are_not_told_of_one_by_one() {
    let host = App::new(&SERVICES.replace("cpu-timeout = \"500ms\"", LINES)).serve().await;
    assert_eq!(host.get("/bad/print-by-streams?5000").await.status, 204);
    left_out(&host, 4980).await;
    assert_eq!(logged(&host, "by itself: "), 20);
    // One for each second that it took, by itself or as another began.
    let notes = logged(&host, "left out ");
    assert!(notes < 200, "{notes} notes");
}

#[tokio::test]
async fn a_guest_of_0_2_has_so_many_lines_for_each_of_its_requests() {
    let app = format!(
        "name = \"printing\"\n[service.old]\ncomponent = \"$(hello-p2)\"\nroute = \"/\"\n\
         instances = 1\nreuse = 100\n{LINES}\n"
    );
    let host = App::new(&app).serve().await;
    for lines in [100, 15, 16] {
        assert_eq!(host.get(&format!("/print?{lines}")).await.status, 200);
    }
    left_out(&host, 80).await;
    for (lines, told) in [(100, 20), (15, 15), (16, 16)] {
        assert_eq!(logged(&host, &format!("print of {lines}:")), told, "{}", host.log());
    }
}

// Fault (Guests): guests that compute | has them do so in threads of lower priority | the others' clients: their answers | nothing
#[cfg(target_os = "linux")]
#[tokio::test]
async fn guests_that_compute_leave_the_threads_that_serve() {
    let app = App::new(
        &SERVICES.replace("instances = 1\ncpu-timeout = \"500ms\"", "cpu-timeout = \"1m\""),
    );
    let host = app.serve().await;
    assert_eq!(host.get("/bad/count").await.status, 200);
    let before = ["serve-", "compute"].map(|name| host.processor_time(name));
    let loops: Vec<_> = (0..3)
        .map(|_| {
            let address = host.address.clone();
            tokio::spawn(async move { client::send(&address, "GET", "/bad/loop", &[], "").await })
        })
        .collect();
    wasm_host_tests::eventually("guests to compute for a while", async || {
        let [serve, compute] = ["serve-", "compute"].map(|name| host.processor_time(name));
        // A second, in hundredths.
        (serve + compute - before[0] - before[1] >= 100).then_some(())
    })
    .await;
    let [serve, compute] = ["serve-", "compute"].map(|name| host.processor_time(name));
    let (serve, compute) = (serve - before[0], compute - before[1]);
    println!("{serve} hundredths of a second on threads that serve, {compute} elsewhere");
    assert!(serve * 5 < compute, "{serve} of threads that serve, {compute} of others");
    // What it waits for between its turns is seen to where it belongs.
    assert_eq!(host.get("/bad/work").await.text(), "worked\n");
    loops.iter().for_each(tokio::task::JoinHandle::abort);
    let gone = async || (host.service("bad").await["in_flight"] == 0).then_some(());
    wasm_host_tests::eventually("the loops to end", gone).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_threads_of_their_own_guests_that_compute_stay_and_are_ended_all_the_same() {
    let app = App::new(&format!("{SERVICES}[limits]\ncompute-threads = 0\n"));
    let host = app.serve().await;
    assert_eq!(host.get("/bad/loop").await.status, 504);
    assert_eq!(host.get("/good/").await.status, 200);
    assert_eq!(host.processor_time("compute"), 0, "there are threads for them");
}

// Fault (Guests): guests that compute when they start | the same | the others' clients: their answers | nothing
#[cfg(target_os = "linux")]
#[tokio::test]
async fn guests_that_compute_when_they_start_leave_the_threads_that_serve() {
    let app =
        App::new("name = \"starting\"\n[service.slow]\ncomponent = \"slow.wasm\"\nroute = \"/\"\n");
    std::fs::write(app.path().join("slow.wasm"), handmade::computes_when_it_starts()).unwrap();
    let host = app.serve().await;
    let times = || ["serve-", "compute"].map(|name| host.processor_time(name));
    let before = times();
    let [serve, compute] = eventually("guests to compute for a while", async || {
        // Each has an instance of its own, which comes back without an answer.
        assert_eq!(host.get("/").await.status, 502);
        let [serve, compute] = times();
        let [serve, compute] = [serve - before[0], compute - before[1]];
        // A second, in hundredths.
        (serve + compute >= 100).then_some([serve, compute])
    })
    .await;
    println!("{serve} hundredths of a second on threads that serve, {compute} elsewhere");
    assert!(serve * 5 < compute, "{serve} of threads that serve, {compute} of others");
}
