//! The weather service: a forecast that is made up, with words from a database.
//!
//! This file is the way from a request to a response. What a forecast is stands in [`forecast`],
//! which knows neither HTTP nor the database and is tested natively.

pub mod forecast;

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use wasm_host_guest::http::HeaderValue;
use wasm_host_guest::{IntoResponse, Json, Method, Problem, Request, StatusCode, header, sql};

use forecast::{DAYS, Forecast};

const SUMMARIES: &str = "select summary from weathersummaries";

async fn weather(request: Request) -> Result<impl IntoResponse, Problem> {
    let path = request.uri().path();
    if !matches!(path, "/" | "/forecast") {
        let detail = "The weather service has only /forecast.";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let detail = "This resource can be read with GET and HEAD.";
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
            .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
    }
    if path == "/" {
        return Ok("Weather service. Try /forecast or /forecast?days=3\n".into_response());
    }
    let forecasts = forecasts(request.uri().query()).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(forecasts)).into_response())
}

wasm_host_guest::service!(weather);

/// A broken database is never an empty forecast: it is a problem, whose cause goes to the log and not to clients.
async fn forecasts(query: Option<&str>) -> Result<Vec<Forecast>, Problem> {
    let Some(days) = forecast::days(query) else {
        let (least, most) = (DAYS.start(), DAYS.end());
        let detail = format!("`days` is a whole number from {least} to {most}.");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    };
    let summaries: Vec<Option<String>> = sql::query(SUMMARIES).fetch_all().await?;
    let summaries: Vec<String> = summaries.into_iter().flatten().collect();
    // From the host, by the standard library's hash keys: left to itself, `fastrand` asks only the clock.
    let mut chance = Rng::with_seed(RandomState::new().hash_one(()));
    Ok(forecast::make(today(), days, &summaries, &mut chance))
}

/// In UTC. A clock before 1970 is taken for one that was never set. `Timestamp::now` would double the component's size.
fn today() -> Date {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Offset::UTC.to_datetime(Timestamp::from_second(seconds).unwrap_or_default()).date()
}
