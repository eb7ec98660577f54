//! A component that runs the statement in the request's body and answers with the first column of
//! its rows. How it went shows as a client of a real service would see it.

use replies::{stream, text, unread};
use wasm_host_guest::postgres::client;
use wasm_host_guest::postgres::types::{Error, Scalar, Value};
use wasm_host_guest::{IntoResponse, Request, Response, header, service};

async fn serve(request: Request) -> Response {
    let statement = match request.into_body().bytes(64 * 1024).await {
        Ok(body) => String::from_utf8_lossy(&body).into_owned(),
        Err(error) => return unread(error),
    };
    let (_columns, mut batches, done) = match client::query(statement, Vec::new()).await {
        Ok(begun) => begun,
        Err(error) => return failed(&error),
    };
    stream(200, "text/plain", |mut body| async move {
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

fn failed(error: &Error) -> Response {
    match error {
        Error::Unavailable(_) | Error::Busy(_) | Error::TimedOut(_) => {
            let answer = text(503, format!("{error:?}\n"));
            ([(header::RETRY_AFTER, "1")], answer).into_response()
        }
        _ => text(500, format!("{error:?}\n")),
    }
}

fn line(row: &[Value]) -> String {
    match row.first() {
        Some(Value::Scalar(Scalar::Text(text))) => format!("{text}\n"),
        Some(Value::Scalar(Scalar::Int32(number))) => format!("{number}\n"),
        other => format!("{other:?}\n"),
    }
}

service!(serve);
