//! A component that hands SQL and chats to its backends as a test says, and tells exactly how each ended.

use replies::{stream, text};
use wasm_host_guest::bindings::wasm_host::ollama::inference::{self, ChatRequest, Message};
use wasm_host_guest::postgres::client;
use wasm_host_guest::postgres::types::{Error, Scalar, Value};
use wasm_host_guest::{Request, Response, service};

async fn serve(request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path == "/chat" {
        return chat().await;
    }
    let sql =
        match request.into_body().bytes(64 * 1024).await.map(|sql| String::from_utf8(sql.into())) {
            Ok(Ok(sql)) => sql,
            _ => return text(400, "not a statement\n"),
        };
    match path.as_str() {
        "/query" => query(sql).await,
        "/execute" => match client::execute(sql, Vec::new()).await {
            Ok(count) => text(200, format!("{count}\n")),
            Err(error) => failed(&error),
        },
        // One statement per line, in one transaction.
        "/transaction" => match transaction(&sql).await {
            Ok(()) => text(200, "committed\n"),
            Err(error) => failed(&error),
        },
        _ => text(404, "ask for what?\n"),
    }
}

/// Rows as lines while they come; the body is broken if the statement ends with an error.
async fn query(sql: String) -> Response {
    let (_columns, mut batches, done) = match client::query(sql, Vec::new()).await {
        Ok(started) => started,
        Err(error) => return failed(&error),
    };
    stream(200, "text/plain", |mut body| async move {
        while let Some(rows) = batches.next().await {
            let lines: String = rows.iter().map(|row| line(row)).collect();
            if body.write(lines.into_bytes()).await.is_err() {
                return Ok(());
            }
        }
        let end = match done.await {
            Ok(count) => Ok(format!("end {count}\n")),
            Err(error) => Err(format!("broken: {}\n", class(&error))),
        };
        let (Ok(text) | Err(text)) = &end;
        let _ = body.write(text.clone().into_bytes()).await;
        end.map(drop)
    })
}

async fn transaction(statements: &str) -> Result<(), Error> {
    let transaction = client::begin().await?;
    for statement in statements.lines() {
        transaction.execute(statement.to_string(), Vec::new()).await?;
    }
    transaction.commit().await
}

fn line(row: &[Value]) -> String {
    let values: Vec<String> = row
        .iter()
        .map(|value| match value {
            Value::Scalar(Scalar::Text(text)) => text.clone(),
            Value::Scalar(Scalar::Int32(number)) => number.to_string(),
            Value::Scalar(Scalar::Int64(number)) => number.to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    values.join(" ") + "\n"
}

/// 503 for what may be tried again later, 500 for the rest; the body names the case.
fn failed(error: &Error) -> Response {
    let status = match error {
        Error::Busy(_) | Error::Unavailable(_) => 503,
        _ => 500,
    };
    text(status, format!("{}\n", class(error)))
}

fn class(error: &Error) -> String {
    match error {
        Error::Database(error) => format!("database {}", error.sqlstate),
        other => {
            let text = format!("{other:?}");
            let name = text.split(['(', ' ']).next().unwrap_or_default();
            name.rsplit("::").next().unwrap_or_default().to_lowercase()
        }
    }
}

/// Contents as they come, then how it ended.
async fn chat() -> Response {
    let message = Message { role: "user".to_string(), content: "hi".to_string(), extra: None };
    let request = ChatRequest { model: "m".to_string(), messages: vec![message], extra: None };
    let (mut items, done) = match inference::chat(request).await {
        Ok(started) => started,
        Err(error) => return text(502, format!("{error:?}\n")),
    };
    stream(200, "text/plain", |mut body| async move {
        while let Some(item) = items.next().await {
            if body.write(item.content.into_bytes()).await.is_err() {
                return Ok(());
            }
        }
        let ended = done.await;
        let told = match &ended {
            Ok(_) => "\nwhole\n".to_string(),
            Err(error) => format!("\n{error:?}\n"),
        };
        let _ = body.write(told.into_bytes()).await;
        ended.map(drop).map_err(|_| "cut".to_string())
    })
}

service!(serve);
