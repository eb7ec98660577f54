//! A component that holds on to what its client no longer wants: the host must let go for it.

use replies::{stream, text};
use wasm_host_guest::bindings::wasi::clocks::monotonic_clock;
use wasm_host_guest::bindings::wasm_host::ollama::inference::{self, ChatRequest, Message};
use wasm_host_guest::postgres::client;
use wasm_host_guest::postgres::types::{Scalar, Value};
use wasm_host_guest::{Request, Response, service};

/// In nanoseconds.
const HOUR: u64 = 3600 * 1_000_000_000;

async fn serve(request: Request) -> Response {
    match request.uri().path() {
        "/chat" => hold_a_chat().await,
        "/hang" => hang_with_a_chat().await,
        "/whole-chat" => whole_chat().await,
        // Answers, and goes on in a task that nothing waits for.
        "/forget-chat" => {
            wit_bindgen::spawn_local(async {
                let Ok((mut items, done)) = inference::chat(chat()).await else { return };
                let _ = items.next().await;
                let _ = done.await;
            });
            text(200, "answered\n")
        }
        "/sleep" => match client::execute("select pg_sleep(600)".to_string(), Vec::new()).await {
            Ok(_) => text(200, "slept\n"),
            Err(error) => text(500, format!("{error:?}\n")),
        },
        "/sleeping" => sleeping().await,
        // Answers, and keeps a transaction in which nothing happens.
        "/transaction" => {
            let Ok(transaction) = client::begin().await else {
                return text(502, "not begun\n");
            };
            let written = transaction.execute("select 1".to_string(), Vec::new()).await;
            stream(200, "text/plain", |mut body| async move {
                let _ = body.write(format!("{written:?}").into_bytes()).await;
                monotonic_clock::wait_for(HOUR).await;
                drop(transaction);
                Ok(())
            })
        }
        "/begin" => {
            // A transaction by hand, left open: it must not become the next request's.
            let begun = client::execute("begin".to_string(), Vec::new()).await;
            text(200, format!("{begun:?}\n"))
        }
        "/old-transactions" => {
            one_value(
                "select count(*) from pg_stat_activity where datname = current_database() \
                 and xact_start < clock_timestamp() - interval '200 milliseconds'",
            )
            .await
        }
        _ => text(404, "hold what?\n"),
    }
}

fn chat() -> ChatRequest {
    let message = Message { role: "user".to_string(), content: "hi".to_string(), extra: None };
    ChatRequest { model: "m".to_string(), messages: vec![message], extra: None }
}

/// Read one item, answer with it, and then wait for the end without ever reading on.
async fn hold_a_chat() -> Response {
    let (mut items, done) = match inference::chat(chat()).await {
        Ok(started) => started,
        Err(error) => return text(502, format!("{error:?}\n")),
    };
    let first = items.next().await;
    stream(200, "text/plain", |mut body| async move {
        let text = first.map(|event| event.content).unwrap_or_default();
        let _ = body.write(text.into_bytes()).await;
        let ended = done.await;
        drop(items);
        let _ = body.write(format!("{ended:?}").into_bytes()).await;
        Ok(())
    })
}

/// Read one item, answer with it, and then neither read on nor let go nor notice anything.
async fn hang_with_a_chat() -> Response {
    let (mut items, done) = match inference::chat(chat()).await {
        Ok(started) => started,
        Err(error) => return text(502, format!("{error:?}\n")),
    };
    let first = items.next().await;
    stream(200, "text/plain", |mut body| async move {
        let text = first.map(|event| event.content).unwrap_or_default();
        let _ = body.write(text.into_bytes()).await;
        monotonic_clock::wait_for(HOUR).await;
        drop((items, done));
        Ok(())
    })
}

/// Answer with the items as they come, and then with how it ended.
async fn whole_chat() -> Response {
    let (mut items, done) = match inference::chat(chat()).await {
        Ok(started) => started,
        Err(error) => return text(502, format!("{error:?}\n")),
    };
    stream(200, "text/plain", |mut body| async move {
        while let Some(item) = items.next().await {
            let _ = body.write(item.content.into_bytes()).await;
        }
        let told = match done.await {
            Ok(_) => "\nwhole\n".to_string(),
            Err(error) => format!("\n{error:?}\n"),
        };
        let _ = body.write(told.into_bytes()).await;
        Ok(())
    })
}

/// How many statements of `/sleep` the server is running.
async fn sleeping() -> Response {
    one_value(
        "select count(*) from pg_stat_activity where state = 'active' and query = 'select pg_sleep(600)'",
    )
    .await
}

async fn one_value(statement: &str) -> Response {
    let (_columns, mut batches, done) = match client::query(statement.to_string(), Vec::new()).await
    {
        Ok(started) => started,
        Err(error) => return text(500, format!("{error:?}\n")),
    };
    let first = batches
        .next()
        .await
        .and_then(|rows| rows.into_iter().next())
        .and_then(|row| row.into_iter().next());
    drop(batches);
    let _ = done.await;
    match first {
        Some(Value::Scalar(Scalar::Int64(count))) => text(200, count.to_string()),
        other => text(500, format!("{other:?}\n")),
    }
}

service!(serve);
