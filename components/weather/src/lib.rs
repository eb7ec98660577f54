//! The weather service: a forecast that is made up, with words from a database.
//!
//! This file is the way from a request to a response. What a forecast is stands in [`forecast`],
//! which knows neither HTTP nor the database and is tested natively.

pub mod forecast;
mod summaries;

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use wasm_host_guest::postgres::types::Error;
use wasm_host_guest::{Method, Request, Response, Service};

use forecast::DAYS;

struct Weather;

impl Service for Weather {
    async fn handle(request: Request) -> Response {
        match (request.path.as_str(), &request.method) {
            ("/" | "/forecast", method) if !matches!(method, Method::Get | Method::Head) => {
                Response::problem(
                    405,
                    "Method Not Allowed",
                    "This resource can be read with GET and HEAD.",
                )
                .header("allow", "GET, HEAD")
            }
            ("/", _) => Response::text(200, "Weather service. Try /forecast or /forecast?days=3\n"),
            ("/forecast", _) => respond(request.query.as_deref()).await,
            _ => Response::problem(404, "Not Found", "The weather service has only /forecast."),
        }
    }
}

wasm_host_guest::service!(Weather);

async fn respond(query: Option<&str>) -> Response {
    let Some(days) = forecast::days(query) else {
        let (least, most) = (DAYS.start(), DAYS.end());
        let detail = format!("`days` is a whole number from {least} to {most}.");
        return Response::problem(400, "Bad Request", &detail);
    };
    let summaries = match summaries::read().await {
        Ok(summaries) => summaries,
        Err(error) => return trouble(&error),
    };
    // From the host, by the standard library's hash keys: left to itself, `fastrand` asks only the clock.
    let mut chance = Rng::with_seed(RandomState::new().hash_one(()));
    let forecasts = forecast::make(today(), days, &summaries, &mut chance);
    match serde_json::to_string(&forecasts) {
        Ok(json) => Response::json(200, json).header("cache-control", "no-store"),
        Err(error) => failed(&format!("writing the forecast failed: {error}")),
    }
}

/// In UTC. A clock before 1970 is taken for one that was never set. `Timestamp::now` would double the component's size.
fn today() -> Date {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Offset::UTC.to_datetime(Timestamp::from_second(seconds).unwrap_or_default()).date()
}

/// A broken database is never an empty forecast. What is wrong with it goes to the log, not to
/// clients.
fn trouble(error: &Error) -> Response {
    match error {
        Error::Unavailable(_) | Error::Busy(_) | Error::TimedOut(_) | Error::Cancelled => {
            Response::problem(
                503,
                "Service Unavailable",
                "The weather database cannot answer now. Try again.",
            )
            .header("retry-after", "1")
        }
        _ => failed(&format!("reading the weather summaries failed: {error:?}")),
    }
}

fn failed(reason: &str) -> Response {
    eprintln!("{reason}");
    Response::problem(500, "Internal Server Error", "The forecast could not be made.")
}
