//! Figures as Prometheus and its checker read them.

use wasm_host_tests::host::App;
use wasm_host_tests::prometheus::{Prometheus, complaints};

use super::TWO;

#[tokio::test]
async fn a_prometheus_scrapes_the_host_and_its_checker_has_nothing_to_say() {
    let host = App::new(TWO).serve().await;
    for _ in 0..3 {
        assert_eq!(host.get("/inner/print").await.status, 204);
    }
    assert_eq!(host.get("/caller/fetch?http://inner/trap").await.status, 502);
    let prometheus = Prometheus::start(&host).await;
    assert_eq!(prometheus.value("up").await, 1.0);
    let of = |status: &str| {
        format!(
            "sum(http_server_request_duration_seconds_count{{service=\"inner\",\
             http_response_status_code=\"{status}\"}})"
        )
    };
    assert_eq!(prometheus.value(&of("204")).await, 3.0);
    assert_eq!(prometheus.value(&of("502")).await, 1.0);
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    assert_eq!(complaints(metrics.text()), "");
    // The checker sees what is wrong: else it would have nothing to say of anything.
    assert!(complaints("# TYPE a counter\na 1\n").contains("counter metrics should have"));
}
