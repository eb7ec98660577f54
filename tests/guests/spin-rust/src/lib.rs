//! A service as one writes it with Spin's SDK: each path asks one of Spin's interfaces and answers with what it was told.
//!
//! It knows nothing of this host. Arguments are what follows `?`, as it is.

use anyhow::{Result, anyhow};
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{self, IntoResponse, Request, StatusCode};
use spin_sdk::http_service;
use spin_sdk::llm::{self, EmbeddingModel, InferencingModel};
use spin_sdk::pg::wit::postgres as wit;
use spin_sdk::pg::{Connection, DbValue, PgError, QueryError};
use spin_sdk::redis;

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let argument = decoded(request.uri().query().unwrap_or_default());
    match answer(request.uri().path(), &argument).await {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:?}")),
    }
}

async fn answer(path: &str, argument: &str) -> Result<String> {
    match path {
        "/" => Ok("ready".to_owned()),
        "/infer" => infer(argument),
        "/embed" => embed(argument),
        "/query" => query("shop", argument).await,
        "/open" => query(argument, "select 1").await,
        "/transaction" => transaction(argument).await,
        "/unread" => unread(argument).await,
        "/shop" => shop(argument).await,
        "/sqlite" => sqlite(argument).await,
        "/store" => store(argument).await,
        "/variable" => variable(argument).await,
        "/redis" => asked_redis().await,
        "/fetch" => fetched(argument).await,
        other => Err(anyhow!("there is no {other}")),
    }
}

fn said(prompt: &str) -> Result<llm::InferencingResult> {
    llm::infer(InferencingModel::Other("gemma3"), prompt).map_err(of_model)
}

fn infer(prompt: &str) -> Result<String> {
    let said = said(prompt)?;
    let usage = said.usage;
    Ok(format!("{} ({}, {})", said.text, usage.prompt_token_count, usage.generated_token_count))
}

fn embed(text: &str) -> Result<String> {
    let texts = [text.to_owned()];
    let made = llm::generate_embeddings(EmbeddingModel::Other("all-minilm"), &texts);
    let made = made.map_err(of_model)?;
    Ok(format!("{:?} ({})", made.embeddings, made.usage.prompt_token_count))
}

fn of_model(error: llm::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}

/// The rows, each on a line, and how many columns there are.
async fn query(address: &str, statement: &str) -> Result<String> {
    let connection = Connection::open(address).await?;
    let mut result = connection.query(statement, []).await.map_err(told)?;
    let columns = result.columns().iter();
    let mut text =
        columns.map(|it| format!("{}:{:?}", it.name, it.data_type)).collect::<Vec<_>>().join(" ");
    while let Some(row) = result.rows().next().await {
        let values: Vec<String> = row.iter().map(shown).collect();
        text.push_str(&format!("\n{}", values.join(" ")));
    }
    result.result().await.map_err(told)?;
    Ok(text)
}

fn shown(value: &DbValue) -> String {
    format!("{value:?}")
}

/// Writes a row within a transaction and then does what the argument says: `commit`, `rollback` or nothing at all.
async fn transaction(end: &str) -> Result<String> {
    let connection = Connection::open("shop").await?;
    connection.execute("create table if not exists kept (id int)", []).await?;
    connection.execute("begin", []).await?;
    let changed = connection.execute("insert into kept values ($1)", [7_i32.into()]).await?;
    if !end.is_empty() {
        connection.execute(end.to_owned(), []).await?;
    }
    drop(connection);
    Ok(changed.to_string())
}

/// In a transaction, begins to read many rows and then asks for others by the function that is no `async func`, as the
/// argument says: with the rows unread, after a look at the first of them (`read`), or when they were dropped (`drop`).
async fn unread(how: &str) -> Result<String> {
    const MANY: &str = "select i, repeat('x', 1000) from generate_series(1, 20000) as i";
    let connection = wit::Connection::open_async("shop".to_owned()).await?;
    connection.execute_async("begin".to_owned(), Vec::new()).await?;
    let (_, mut rows, ended) = connection.query_async(MANY.to_owned(), Vec::new()).await?;
    match how {
        "read" => {
            while rows.next().await.is_some() {}
            ended.await?;
        }
        "drop" => drop((rows, ended)),
        _ => {}
    }
    let after = match how {
        "rollback" | "commit" => connection.execute(how, &[]).map(|_| how.to_owned()),
        _ => connection.query("select 7", &[]).map(|set| format!("{:?}", set.rows)),
    };
    Ok(after?)
}

/// Everything at once, as a shop has it: the price from the database, the last thing that was asked for from a store, and
/// what a model says of it.
async fn shop(name: &str) -> Result<String> {
    let price = query("shop", &format!("select {}::int as price", name.len())).await?;
    let store = spin_sdk::key_value::Store::open_default().await;
    let store = store.map_err(|error| anyhow!("{error:?}"))?;
    let failed = |error| anyhow!("{error:?}");
    store.set("last", name.as_bytes()).await.map_err(failed)?;
    let last = store.get("last").await.map_err(failed)?.unwrap_or_default();
    let said = said(&format!("Praise {name}"))?.text;
    let (_, price) = price.split_once('\n').unwrap_or_default();
    let price = price.trim_start_matches("DbValue::Int32(").trim_end_matches(')');
    Ok(format!("rust: {name} for {price}, last {}: {said}", String::from_utf8_lossy(&last)))
}

/// The names of the columns, and each row on a line.
async fn sqlite(statement: &str) -> Result<String> {
    let opened = spin_sdk::sqlite::Connection::open_default().await;
    let connection = opened.map_err(|error| anyhow!("{error:?}"))?;
    let executed = connection.execute(statement, []).await;
    let mut result = executed.map_err(|error| anyhow!("{error:?}"))?;
    let mut text = result.columns().join(" ");
    while let Some(row) = result.next().await {
        let values: Vec<String> = row.values.iter().map(|value| format!("{value:?}")).collect();
        text.push_str(&format!("\n{}", values.join(" ")));
    }
    result.result().await.map_err(|error| anyhow!("{error:?}"))?;
    Ok(text)
}

/// Writes the argument, reads it again, and gives all keys.
async fn store(value: &str) -> Result<String> {
    let opened = spin_sdk::key_value::Store::open_default().await;
    let store = opened.map_err(|error| anyhow!("{error:?}"))?;
    let failed = |error| anyhow!("{error:?}");
    store.set("one", value.as_bytes()).await.map_err(failed)?;
    store.set("two", [0xff]).await.map_err(failed)?;
    store.delete("two").await.map_err(failed)?;
    let read = store.get("one").await.map_err(failed)?.unwrap_or_default();
    let is_there = store.exists("two").await.map_err(failed)?;
    let keys = store.get_keys().await.collect().await.map_err(failed)?;
    Ok(format!("{} {is_there} {keys:?}", String::from_utf8_lossy(&read)))
}

async fn variable(name: &str) -> Result<String> {
    spin_sdk::variables::get(name).await.map_err(|error| anyhow!("{error:?}"))
}

async fn asked_redis() -> Result<String> {
    let opened = redis::Connection::open("redis://localhost:6379").await;
    match opened {
        Ok(_) => Ok("it is there".to_owned()),
        Err(error) => Err(anyhow!("{error:?}")),
    }
}

/// What a host outside answers.
async fn fetched(url: &str) -> Result<String> {
    let failed = |error| anyhow!("{error:?}");
    let response = http::get(url).await.map_err(failed)?;
    let status = response.status().as_u16();
    let body = response.into_body().bytes().await.map_err(failed)?;
    Ok(format!("{status} {}", String::from_utf8_lossy(&body)))
}

/// The server's own words where it has said something.
fn told(error: spin_sdk::pg::Error) -> anyhow::Error {
    match error {
        spin_sdk::pg::Error::PgError(PgError::QueryFailed(QueryError::DbError(error))) => {
            anyhow!("{} {}", error.code, error.message)
        }
        other => anyhow!("{other}"),
    }
}

/// `%XX` and `+` of a query.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(&mut rest).unwrap_or(b'?'),
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let digits = [rest.next()?, rest.next()?];
    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
}
