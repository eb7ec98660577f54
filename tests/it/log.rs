//! What guests and clients can make the log say: of lines alike some, and the number of the others.

mod broken_answers;

use wasm_host_tests::client::KeepAlive;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};

const REQUESTS: usize = 1200;

/// Far more than the log takes while so many requests are answered, and far fewer than all.
const SOME: usize = 600;

/// Two services; neither is granted the other. `keys` are of the first.
async fn serve(keys: &str) -> Host {
    App::new(&format!(
        "name = \"log\"\n[service.guest]\ncomponent = \"$(hostile)\"\nroute = \"/guest\"\n{keys}\n\
         [service.neighbour]\ncomponent = \"$(hostile)\"\nroute = \"/neighbour\"\n"
    ))
    .serve()
    .await
}

/// Ask again and again, and see that all lines were written or counted, and what else is to be known was written.
async fn floods(host: &Host, path: &str, status: u16, line: &str) {
    let mut connection = KeepAlive::connect(&host.address).await;
    for _ in 0..REQUESTS {
        assert_eq!(connection.get(path).await.unwrap().0, status);
    }
    host.get("/neighbour/trap").await;
    host.logs("service=neighbour").await;
    let (mut written, mut left_out) = (0, 0);
    eventually("every line to be written or counted", async || {
        (written, left_out) = (0, 0);
        for written_line in host.log().lines().filter(|written| written.contains(line)) {
            assert!(written_line.contains("service=guest"), "{written_line}");
            match written_line.split_once("left out ") {
                Some((_, note)) => {
                    left_out += note.split_once(' ').unwrap().0.parse::<usize>().unwrap();
                }
                None => written += 1,
            }
        }
        (written + left_out == REQUESTS).then_some(())
    })
    .await;
    assert!(written < SOME, "{written} lines");
}

// Fault (Guests): calls without end that are not granted | says some in the log, and the number of the others | 502 | nothing
#[tokio::test]
async fn calls_that_are_not_granted_do_not_flood_the_log() {
    let host = serve("").await;
    floods(&host, "/guest/call?neighbour/", 502, "refused a request to").await;
}

// Fault (Guests): requests without end to a busy service | says some in the log, and the number of the others | 503 | nothing
#[tokio::test]
async fn requests_that_find_a_service_busy_do_not_flood_the_log() {
    let host = serve("concurrent = 1\nqueue = 0").await;
    let holder = wasm_host_tests::client::open(&host.address, "GET", "/guest/hold", &[], "").await;
    floods(&host, "/guest/", 503, "is busy").await;
    drop(holder);
}
