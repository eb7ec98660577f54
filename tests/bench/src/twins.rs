//! Native programs that do what a component does under the host, written as one would write them without
//! WebAssembly: the measure of what the host costs.

use std::convert::Infallible;
use std::future::Future;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Subcommand;
use fastrand::Rng;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use jiff::tz::Offset;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;

use crate::stream;

/// What a twin prints before its address.
pub(crate) const MARK: &str = "listening on ";

#[derive(Subcommand)]
pub(crate) enum Twin {
    /// Hello, as hyper serves it.
    Hello,
    /// The forecast, with hyper and sqlx.
    Forecast {
        /// The database.
        url: String,
        /// Connections to it.
        pool: u32,
    },
    /// A model server that sends tokens at a fixed pace.
    Upstream,
}

pub(crate) async fn run(twin: Twin) -> Result<()> {
    crate::process::raise_file_limit();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{MARK}{}", listener.local_addr()?);
    match twin {
        Twin::Hello => {
            serve(listener, |request| async move {
                let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
                let body = format!("Hello from hyper at {path}\n");
                Response::new(Full::new(Bytes::from(body)))
            })
            .await
        }
        Twin::Forecast { url, pool } => {
            let pool = PgPoolOptions::new().max_connections(pool).connect(&url).await?;
            serve(listener, move |request| {
                let pool = pool.clone();
                async move { answer(&pool, request.uri().query()).await }
            })
            .await
        }
        Twin::Upstream => stream::upstream(listener).await,
    }
}

async fn answer(pool: &sqlx::PgPool, query: Option<&str>) -> Response<Full<Bytes>> {
    let (status, body) = match forecast(pool, query).await {
        Ok(json) => (StatusCode::OK, json),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into_bytes()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

async fn forecast(pool: &sqlx::PgPool, query: Option<&str>) -> Result<Vec<u8>> {
    let read = sqlx::query_scalar::<_, String>("select summary from weathersummaries");
    let days = weather::forecast::days(query).context("no number of days")?;
    let summaries = read.fetch_all(pool).await?;
    let today = Offset::UTC.to_datetime(Timestamp::now()).date();
    let forecasts = weather::forecast::make(today, days, &summaries, &mut Rng::new());
    Ok(serde_json::to_vec(&forecasts)?)
}

async fn serve<F>(
    listener: TcpListener,
    handle: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> Result<()>
where
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let handle = handle.clone();
        let service = service_fn(move |request| {
            let response = handle(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        // The same care as the host's: a slow sender may not hold a connection for ever.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        // A client that hangs up is no news.
        tokio::spawn(async move { drop(connection.await) });
    }
}
