//! Guests that grow their tables, which are memory of the host's as well.
//!
//! No language that components are written in here says "grow a table", so this one is made by hand.

use wasm_host_tests::handmade;
use wasm_host_tests::host::App;

/// More than half of what an instance may have in all tables together.
const ELEMENTS: i32 = 60_000;

// Fault (Guests): a table without end | refuses to let it grow; most guests trap on that | 502 | the request
#[tokio::test]
async fn tables_are_bounded() {
    // Where the host has a pool of instances, and where it may not reserve the room for one and makes each by itself.
    for before in ["true", "ulimit -v 50000000"] {
        let app = App::new(
            r#"
name = "tables"

[service.bad]
component = "tables.wasm"

[service.good]
component = "$(hello-p3)"
"#,
        )
        .before(before);
        std::fs::write(app.path().join("tables.wasm"), handmade::grows_tables(ELEMENTS)).unwrap();
        let host = app.serve().await;
        let unpooled = "the pool could not be reserved";
        match before {
            "true" => assert!(!host.log().contains(unpooled), "{}", host.log()),
            _ => host.logs(unpooled).await,
        }
        // It traps by an `unreachable` where it is refused its second growth; otherwise it comes back without a response.
        assert_eq!(host.get("/bad/").await.status, 502);
        host.logs("unreachable").await;
        assert_eq!(host.get("/good/").await.status, 200);
    }
}
