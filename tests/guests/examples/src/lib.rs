//! Most of what the documentation of `wasm-host-guest` shows, each part of it at a path of its own.

use serde::{Deserialize, Serialize};
use wasm_host_guest::ollama::{self, ChatRequest};
use wasm_host_guest::sql::{self, FromRow};
use wasm_host_guest::{Body, IntoResponse, Json, Method, Problem, Request, Response, StatusCode};
use wasm_host_guest::{client, config, http, keyvalue, service};

service!(answer);

async fn answer(request: Request) -> Result<Response, Problem> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/hello") => Ok(hello(&request).into_response()),
        (&Method::GET, "/orders") => orders().await,
        (&Method::POST, "/orders") => order(request).await,
        (&Method::GET, "/sky") => sky().await,
        (&Method::POST, "/visit") => visit(),
        (&Method::GET, "/greeting") => Ok(greeting().into_response()),
        (&Method::GET, "/price") => price().await,
        (method, path) => {
            let detail = format!("There is no {method} {path}.");
            Err(Problem::new(StatusCode::NOT_FOUND, detail))
        }
    }
}

fn hello(request: &Request) -> impl IntoResponse {
    format!("Hello from {}\n", request.uri().path())
}

#[derive(FromRow, Serialize)]
struct Order {
    id: i64,
    item: String,
    note: Option<String>,
}

async fn orders() -> Result<Response, Problem> {
    let orders = sql::query("select id, item, note from orders where customer = $1").bind("ada");
    let orders: Vec<Order> = orders.fetch_all().await?;
    Ok(Json(orders).into_response())
}

#[derive(Deserialize)]
struct NewOrder {
    item: String,
}

/// What the body of an order may have, in bytes.
const ORDER: usize = 1024;

async fn order(request: Request) -> Result<Response, Problem> {
    let NewOrder { item } = request.into_body().json(ORDER).await?;
    let transaction = sql::begin().await?;
    let insert = transaction.query("insert into orders (item) values ($1)").bind(item);
    insert.execute().await?;
    transaction.commit().await?;
    Ok(StatusCode::CREATED.into_response())
}

async fn sky() -> Result<Response, Problem> {
    let mut reply =
        ollama::chat(ChatRequest::new("tinyllama").user("Why is the sky blue?")).await?;
    let body = Body::produce(|mut body| async move {
        while let Some(event) = reply.next().await? {
            body.write(event.content).await?;
        }
        Ok(())
    });
    Ok(body.into_response())
}

#[derive(Deserialize, Serialize)]
struct Session {
    cart: Vec<String>,
}

fn visit() -> Result<Response, Problem> {
    let sessions = keyvalue::open("sessions")?;
    let session: Option<Session> = sessions.get_json("ada")?;
    let mut cart = session.map(|session| session.cart).unwrap_or_default();
    cart.push("tea".to_owned());
    sessions.set_json("ada", &Session { cart })?;
    let visits = sessions.increment("visits", 1)?;
    Ok(format!("{visits} visits\n").into_response())
}

fn greeting() -> String {
    config::get("greeting").unwrap_or_else(|| "Hello".to_owned())
}

async fn price() -> Result<Response, Problem> {
    client::send(http::Request::get("http://prices/tea").body(())?).await.map_err(Problem::from)
}
