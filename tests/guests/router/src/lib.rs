//! A router of axum in a component: extractors, a layer, a statement, bodies that stream in and out, and another
//! service's answer passed on.

use axum::body::{Body as AxumBody, Bytes};
use axum::extract::{Path, Query, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use wasm_host_guest::sql::{self, FromRow};
use wasm_host_guest::{Body, Problem, client, http, tower};

tower!(router);

fn router() -> Router {
    Router::new()
        .route("/words/{language}", get(words))
        .route("/add", post(add))
        .route("/count", post(count))
        .route("/mirror", post(mirror))
        .route("/lines", get(lines))
        .route("/pass/{service}", get(pass))
        .layer(middleware::from_fn(signed))
}

/// What every answer bears.
async fn signed(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-router", http::HeaderValue::from_static("axum"));
    response
}

#[derive(Deserialize)]
struct Most {
    most: Option<i64>,
}

#[derive(FromRow, Serialize)]
struct Word {
    id: i32,
    #[row(name = "text")]
    word: String,
    note: Option<String>,
}

const WORDS: &str = "select text, note, id from words where language = $1 order by id limit $2";

async fn words(
    Path(language): Path<String>,
    Query(Most { most }): Query<Most>,
) -> Result<Json<Vec<Word>>, Problem> {
    Ok(Json(sql::query(WORDS).bind(language).bind(most.unwrap_or(10)).fetch_all().await?))
}

#[derive(Deserialize)]
struct Numbers {
    numbers: Vec<i64>,
}

async fn add(Json(Numbers { numbers }): Json<Numbers>) -> String {
    numbers.iter().sum::<i64>().to_string()
}

/// Of a body that is read piece by piece.
async fn count(request: Request) -> Result<String, Problem> {
    let mut body = Body::new(request.into_body());
    let mut bytes = 0;
    while let Some(piece) = body.chunk().await? {
        bytes += piece.len();
    }
    Ok(bytes.to_string())
}

async fn mirror(request: Request) -> AxumBody {
    request.into_body()
}

#[derive(Deserialize)]
struct Lines {
    lines: u32,
}

async fn lines(Query(Lines { lines }): Query<Lines>) -> AxumBody {
    AxumBody::new(Body::produce(move |mut writer| async move {
        for line in 0..lines {
            writer.write(Bytes::from(format!("line {line}\n"))).await?;
        }
        Ok(())
    }))
}

async fn pass(Path(service): Path<String>) -> Result<impl IntoResponse, Problem> {
    let request = http::Request::get(format!("http://{service}/")).body(())?;
    Ok(client::send(request).await?)
}
