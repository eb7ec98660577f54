//! A component that runs the statement in the request's body and answers with the first column of
//! its rows. How it went shows as a client of a real service would see it.

use wasm_host_guest::postgres::client;
use wasm_host_guest::postgres::types::{Error, Scalar, Value};
use wasm_host_guest::{Request, Response, Service, service};

struct Querier;

impl Service for Querier {
    async fn handle(request: Request) -> Response {
        let statement = match request.body(64 * 1024).await {
            Ok(body) => String::from_utf8_lossy(&body).into_owned(),
            Err(error) => return error.into_response(),
        };
        let (_columns, mut batches, done) = match client::query(statement, Vec::new()).await {
            Ok(begun) => begun,
            Err(error) => return failed(&error),
        };
        Response::stream(200, "text/plain", |mut body| async move {
            while let Some(rows) = batches.next().await {
                let lines: String = rows.iter().map(|row| line(row)).collect();
                if body.write(lines.into_bytes()).await.is_err() {
                    return Ok(());
                }
            }
            match done.await {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("{error:?}")),
            }
        })
    }
}

fn failed(error: &Error) -> Response {
    match error {
        Error::Unavailable(_) | Error::Busy(_) | Error::TimedOut(_) => {
            Response::text(503, format!("{error:?}\n")).header("retry-after", "1")
        }
        _ => Response::text(500, format!("{error:?}\n")),
    }
}

fn line(row: &[Value]) -> String {
    match row.first() {
        Some(Value::Scalar(Scalar::Text(text))) => format!("{text}\n"),
        Some(Value::Scalar(Scalar::Int32(number))) => format!("{number}\n"),
        other => format!("{other:?}\n"),
    }
}

service!(Querier);
