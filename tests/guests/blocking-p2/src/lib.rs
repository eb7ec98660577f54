//! A component of WASI 0.2 that reaches a database and a model server by calls that wait. The path says what it does,
//! the request's body is the statement, or what a model is told.
#![expect(unsafe_code, reason = "the generated glue of the export")]

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../wit/deps/wasi-0.2/io.wit",
            "../../../wit/deps/wasi-0.2/random.wit",
            "../../../wit/deps/wasi-0.2/clocks.wit",
            "../../../wit/deps/wasi-0.2/filesystem.wit",
            "../../../wit/deps/wasi-0.2/sockets.wit",
            "../../../wit/deps/wasi-0.2/cli.wit",
            "../../../wit/deps/wasi-0.2/http.wit",
            // Of these the world has nothing; the packages below cannot be read without them.
            "../../../wit/deps/wasi-0.3/clocks.wit",
            "../../../wit/deps/wasi-0.3/random.wit",
            "../../../wit/deps/wasi-0.3/filesystem.wit",
            "../../../wit/deps/wasi-0.3/sockets.wit",
            "../../../wit/deps/wasi-0.3/cli.wit",
            "../../../wit/deps/wasi-0.3/http.wit",
            "../../../wit/postgres",
            "../../../wit/ollama",
            "../../../wit/blocking-service",
        ],
        world: "wasm-host:blocking-service/service",
        generate_all,
    });
}

mod database;
mod models;

use std::sync::atomic::{AtomicUsize, Ordering};

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use bindings::wasi::io::streams::OutputStream;

struct Blocking;

/// Requests that this instance has begun.
static BEGUN: AtomicUsize = AtomicUsize::new(0);

impl Guest for Blocking {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let begun = BEGUN.fetch_add(1, Ordering::Relaxed) + 1;
        let path = request.path_with_query().unwrap_or_default();
        let text = read(request);
        let response = OutgoingResponse::new(Fields::new());
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(response_out, Ok(response));
        {
            let Ok(stream) = body.write() else { return };
            let client = Client(stream);
            let done = match path.as_str() {
                "/query" => database::query(&client, &text),
                "/count" => database::count(&client, &text),
                "/first-batch" => database::first_batch(&client, &text),
                "/execute" => database::execute(&client, &text),
                "/commit" => database::transaction(&client, database::End::Commit),
                "/rollback" => database::transaction(&client, database::End::Rollback),
                "/drop" => database::transaction(&client, database::End::Drop),
                "/unread" => database::unread(&client),
                "/chat" => models::chat(&client, text),
                "/first-word" => models::first_word(&client, text),
                "/models" => models::all(&client, text),
                "/begun" => client.say(&format!("{begun}\n")),
                _ => client.say("there is no such operation\n"),
            };
            // A client that has left hears nothing of it.
            let _ = done.or_else(|failed| client.say(&format!("{failed}\n")));
        }
        let _ = OutgoingBody::finish(body, None);
    }
}

fn read(request: IncomingRequest) -> String {
    let mut text = Vec::new();
    if let Ok(body) = request.consume() {
        if let Ok(stream) = body.stream() {
            while let Ok(bytes) = stream.blocking_read(64 * 1024) {
                text.extend(bytes);
            }
        }
        let _ = IncomingBody::finish(body);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Why an operation ended early, in words.
type Done = Result<(), String>;

struct Client(OutputStream);

impl Client {
    /// Send it at once.
    fn say(&self, text: &str) -> Done {
        for piece in text.as_bytes().chunks(4096) {
            let written = self.0.blocking_write_and_flush(piece);
            written.map_err(|error| format!("the client is gone: {error:?}"))?;
        }
        Ok(())
    }
}

bindings::export!(Blocking with_types_in bindings);
