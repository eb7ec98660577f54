//! The weather service: a forecast that is made up, with words from a database.
//!
//! This file is the way from a request to a response. What a forecast is stands in [`forecast`],
//! which knows neither HTTP nor the database and is tested natively.

pub mod forecast;
pub mod random;
mod summaries;

use std::time::SystemTime;

use wasm_host_guest::postgres::types::Error;
use wasm_host_guest::{Method, Request, Response, Service};

use forecast::{DAYS, Date};
use random::Seeded;

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
    let today = Date::of(SystemTime::now());
    let forecasts = forecast::make(today, days, &summaries, &mut Seeded::new());
    Response::json(200, forecast::to_json(&forecasts)).header("cache-control", "no-store")
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
        _ => {
            eprintln!("reading the weather summaries failed: {error:?}");
            Response::problem(500, "Internal Server Error", "The forecast could not be made.")
        }
    }
}
