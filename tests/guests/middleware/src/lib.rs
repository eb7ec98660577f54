//! A middleware: it lets requests pass that bring the token of the environment, and says on each answer that it was
//! there. A service without `TOKEN` asks for none.

use wasm_host_guest::http::HeaderValue;
use wasm_host_guest::{Problem, Request, Response, StatusCode, header, middleware, service};

/// What it says on each answer, and where. A test makes another version of it by changing these bytes in the file.
const CHECKED: &str = "x-checked";
const VERSION: &str = "middleware-one";

async fn check(request: Request) -> Result<Response, Problem> {
    match request.uri().path() {
        "/middleware/trap" => std::process::abort(),
        "/middleware/spin" => loop {
            std::hint::spin_loop();
        },
        _ => {}
    }
    if let Ok(token) = std::env::var("TOKEN") {
        let given = request.headers().get(header::AUTHORIZATION);
        if given.is_none_or(|given| given.as_bytes() != format!("Bearer {token}").as_bytes()) {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "This service asks for a token.")
                .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
    }
    let mut response = middleware::next(request).await?;
    response.headers_mut().append(CHECKED, HeaderValue::from_static(VERSION));
    Ok(response)
}

service!(check);
