//! The weather service on a real Postgres.

use std::time::{Duration, Instant};

use serde_json::Value;
use wasm_host_tests::client::Reply;
use wasm_host_tests::host::{App, Host, root};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::{client, eventually};

const SUMMARIES: [&str; 10] = [
    "Freezing",
    "Bracing",
    "Chilly",
    "Cool",
    "Mild",
    "Warm",
    "Balmy",
    "Hot",
    "Sweltering",
    "Scorching",
];

/// The service on a database; `url` is a line of the application file, or nothing for a database that the host starts.
fn weather(url: &str) -> App {
    let init = root().join("components/weather/sql/init.sql");
    App::new(&format!(
        r#"
name = "weather"

[postgres.weather]
{url}
init = ["{}"]
acquire-timeout = "2s"

[service.apiservice]
component = "$(weather)"
route = "/weather"
postgres = "weather"
"#,
        init.display()
    ))
}

async fn on(postgres: &Postgres) -> Host {
    weather(r#"url = "${WEATHER_DB_URL}""#).env("WEATHER_DB_URL", &postgres.url()).serve().await
}

fn rows(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/json");
    reply.json().as_array().expect("a list").clone()
}

/// Days since 1970 of `YYYY-MM-DD`, by counting.
fn day_number(date: &str) -> i64 {
    let parts: Vec<i64> = date.split('-').map(|part| part.parse().unwrap()).collect();
    let (year, month, day) = (parts[0], parts[1], parts[2]);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut days: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    for past in 1..month {
        days += match past {
            2 => 28 + i64::from(leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
    }
    days + day - 1
}

fn today() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (now.as_secs() / 86_400).cast_signed()
}

fn check(rows: &[Value], before: i64) {
    for (number, row) in (1..).zip(rows) {
        let day = day_number(row["date"].as_str().unwrap());
        // Midnight may pass during the request.
        assert!((before + number..=before + number + 1).contains(&day), "{row}");
        let celsius = row["temperatureC"].as_i64().unwrap();
        assert!((-20..55).contains(&celsius), "{row}");
        let fahrenheit = (celsius as f64 * 9.0 / 5.0 + 32.0).round() as i64;
        assert_eq!(row["temperatureF"], fahrenheit, "{row}");
        assert!(SUMMARIES.contains(&row["summary"].as_str().unwrap()), "{row}");
        assert_eq!(row.as_object().unwrap().len(), 4, "{row}");
    }
}

#[tokio::test]
async fn the_forecast_has_as_many_days_as_asked_for() {
    let postgres = Postgres::start();
    let host = on(&postgres).await;
    let before = today();
    let five = rows(&host.get("/weather/forecast").await);
    assert_eq!(five.len(), 5);
    check(&five, before);
    for days in [1, 14] {
        let some = rows(&host.get(&format!("/weather/forecast?days={days}")).await);
        assert_eq!(some.len(), days);
        check(&some, before);
    }
    for days in ["0", "15", "-1", "many", ""] {
        let reply = host.get(&format!("/weather/forecast?days={days}")).await;
        assert_eq!(reply.status, 400, "{days}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert!(reply.text().contains("1") && reply.text().contains("14"), "{}", reply.text());
    }
}

#[tokio::test]
async fn methods_and_paths_are_those_of_http() {
    let postgres = Postgres::start();
    let host = on(&postgres).await;
    let head = host.send("HEAD", "/weather/forecast", "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), "application/json");
    let post = host.send("POST", "/weather/forecast", "").await;
    assert_eq!((post.status.as_u16(), post.header("allow")), (405, "GET, HEAD"));
    assert_eq!(host.get("/weather/nothing").await.status, 404);
    assert_eq!(host.get("/weather/health").await.status, 200);
}

#[tokio::test]
async fn an_empty_table_says_so_and_a_broken_database_is_no_forecast() {
    let postgres = Postgres::start();
    let host = on(&postgres).await;
    postgres.sql("delete from weathersummaries");
    for row in rows(&host.get("/weather/forecast").await) {
        assert_eq!(row["summary"], "No data available");
    }
    postgres.sql("drop table weathersummaries");
    let reply = host.get("/weather/forecast").await;
    assert_eq!(reply.status, 500);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert!(!reply.text().contains("weathersummaries"), "insides: {}", reply.text());
}

#[tokio::test]
async fn a_database_that_stops_is_503_and_its_return_needs_no_restart() {
    let mut postgres = Postgres::start();
    let host = on(&postgres).await;
    assert_eq!(host.get("/weather/forecast").await.status, 200);
    postgres.stop();
    let asked = Instant::now();
    let reply = host.get("/weather/forecast").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.header("retry-after"), "1");
    assert!(asked.elapsed() < Duration::from_secs(15), "it took {:?}", asked.elapsed());
    let ready = client::send(&host.admin, "GET", "/ready", &[], "").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("the database weather does not answer"), "{}", ready.text());
    postgres.resume();
    eventually("the forecast to come back", async || {
        (host.get("/weather/forecast").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_database_of_the_hosts_own_survives_a_kill_and_is_nobody_elses() {
    let app = weather("");
    let host = app.serve().await;
    assert_eq!(rows(&host.get("/weather/forecast").await).len(), 5);
    let second = app.run(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).await;
    let told = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.contains(&host.pid().to_string()), "it does not name the other host: {told}");
    host.kill().await;
    // The orphaned server is found and stopped; the init script is not run again.
    let host = app.serve().await;
    assert_eq!(rows(&host.get("/weather/forecast").await).len(), 5);
    assert!(!host.log().contains("ran "), "{}", host.log());
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_changed_init_script_is_an_error_that_says_what_to_do() {
    let postgres = Postgres::start();
    let app = App::new(
        r#"
name = "weather"

[postgres.weather]
url = "${WEATHER_DB_URL}"
init = "init.sql"

[service.apiservice]
component = "$(weather)"
postgres = "weather"
"#,
    )
    .env("WEATHER_DB_URL", &postgres.url());
    let script = app.path().join("init.sql");
    // As editors on Windows write it: with a byte order mark.
    std::fs::write(
        &script,
        "\u{feff}create table once(x int);\r\ninsert into once values (1);\r\n",
    )
    .unwrap();
    assert_eq!(app.serve().await.stop().await.0.code(), Some(0));
    assert_eq!(app.serve().await.stop().await.0.code(), Some(0));
    assert_eq!(postgres.sql("select count(*) from once"), "1");
    std::fs::write(&script, "create table twice(x int);").unwrap();
    let output = app.run(&["serve"]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("init.sql") && told.contains("new script"), "{told}");
    // A script that fails leaves nothing behind.
    postgres.sql("drop table once; delete from wasm_host_init");
    std::fs::write(&script, "create table half(x int);\nselect oops;\n").unwrap();
    let output = app.run(&["serve"]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("init.sql:2") && told.contains("42703"), "{told}");
    assert_eq!(postgres.sql("select to_regclass('half') is null"), "t");
}
