//! spike
use wasm_host_guest::{Request, Response, Service};
struct Weather;
impl Service for Weather {
    async fn handle(request: Request) -> Response {
        Response::text(200, format!("hi {}\n", request.path))
    }
}
wasm_host_guest::service!(Weather);
