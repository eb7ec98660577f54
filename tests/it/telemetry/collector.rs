//! A collector elsewhere is sent what the host sees: spans, lines and figures, over gRPC and over HTTP.

use wasm_host_tests::eventually;
use wasm_host_tests::host::App;
use wasm_host_tests::rotel::Rotel;

use super::TWO;

#[tokio::test]
async fn a_collector_is_sent_spans_lines_and_figures_over_grpc_and_over_http() {
    let rotel = Rotel::start().await;
    for (protocol, address, namespace) in
        [("grpc", rotel.grpc, "by-grpc"), ("http/protobuf", rotel.http, "by-http")]
    {
        let host = App::new(&TWO.replace("\"seen\"", &format!("\"{namespace}\"")))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}"))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .serve()
            .await;
        assert_eq!(host.get("/inner/print").await.status, 204);
        // What is left is sent at the stop, figures included.
        host.stop().await;
        let printed = eventually("what the collector was sent", async || {
            let printed = rotel.printed();
            let of_host = printed.split_once(&format!("service.namespace: Str({namespace})"))?.1;
            let wanted = [
                "Name           : GET /inner",
                "Body: Str(printed by the guest)",
                "Name: http.server.request.duration",
            ];
            wanted.iter().all(|wanted| of_host.contains(wanted)).then(|| of_host.to_owned())
        });
        let printed = printed.await;
        assert!(printed.contains("http.route: Str(/inner)"), "{printed}");
    }
}
