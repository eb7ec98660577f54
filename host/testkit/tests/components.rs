//! The library against the components of this repository. They must have been built: `cargo xtask guests`.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use wasm_host_testkit::{
    Cell, ComponentTest, DatabaseError, Exchange, Execute, Failure, Outcome, Question, ResponseEnd,
    Rows, RunEnd, StreamEnd, Transaction, request,
};

const STATEMENT: &str = "select summary from weathersummaries";

fn weather() -> ComponentTest {
    ComponentTest::load("weather").unwrap()
}

#[tokio::test]
async fn clock_chance_and_rows_are_the_test_s() -> Result<(), Failure> {
    let app =
        weather().postgres(Rows::of(STATEMENT, [["Mild"]])).clock("2026-01-31T23:59:30Z").seed(7);
    let response = app.get("/forecast").await?;
    assert_eq!(response.json()?[0]["date"], "2026-02-01");
    assert_eq!(response.json()?[0]["summary"], "Mild");
    assert_eq!(app.statements(), [STATEMENT]);
    // Each request meets the same world.
    assert_eq!(app.get("/forecast").await?.body, response.body);
    let other =
        weather().postgres(Rows::of(STATEMENT, [["Mild"]])).clock("2026-01-31T23:59:30Z").seed(8);
    assert_ne!(other.get("/forecast").await?.body, response.body);
    Ok(())
}

#[tokio::test]
async fn a_stall_of_ten_minutes_is_over_at_once() {
    let began = std::time::Instant::now();
    let minutes = Duration::from_secs(600);
    let rows = Rows::of(STATEMENT, [["Mild"]]).pause(minutes).then(["Hot"]);
    let response = weather().postgres(rows).get("/forecast").await.unwrap();
    assert_eq!((response.status, response.virtual_time), (200, minutes));
    assert!(began.elapsed() < minutes / 2);
}

#[tokio::test]
async fn errors_of_the_database_reach_the_component() {
    let gone = Rows::refused(STATEMENT, "42P01", "relation does not exist");
    assert_eq!(weather().postgres(gone).get("/forecast").await.unwrap().status, 500);
    let app = weather().postgres(Rows::of(STATEMENT, [["Mild"]]).then_disconnect());
    assert_eq!(app.get("/forecast").await.unwrap().status, 503);
}

#[tokio::test]
async fn what_a_client_that_leaves_had_begun_is_given_up() {
    let app = weather().postgres(Rows::of(STATEMENT, [["Mild"]]).then_stall());
    let seen = app.watch(request("GET", "/forecast").leave_after(Duration::from_secs(3))).await;
    let seen = seen.unwrap();
    assert_eq!(seen.end, RunEnd::Response(ResponseEnd::Left));
    assert_eq!(seen.virtual_time, Duration::from_secs(3));
    assert!(
        matches!(app.cancelled()[..], [ref call] if matches!(call.question, Question::Query { .. }))
    );
}

const TAKE: &str = "update accounts set balance = balance - $1 where owner = $2 and balance >= $1";
const GIVE: &str = "update accounts set balance = balance + $1 where owner = $2";
const BALANCE: &str = "select balance from accounts where owner = $1";

/// A transfer of 10 from Ada to Bob, as far as its first statement.
fn transfer(outcome: Outcome, take: Execute) -> ComponentTest {
    let app = ComponentTest::load("ledger").unwrap().postgres(Transaction::begin(outcome));
    app.postgres(take.parameters([Cell::from(10_i64), "ada".into()]).within(1))
}

async fn send(app: &ComponentTest) -> (u16, Duration) {
    let response = app.send(request("POST", "/transfer?from=ada&to=bob&amount=10")).await.unwrap();
    (response.status, response.virtual_time)
}

#[tokio::test]
async fn a_transaction_is_scripted_and_its_end_is_seen() {
    let give = Execute::of(GIVE, 1).parameters([Cell::from(10_i64), "bob".into()]).within(1);
    let left = Rows::of(BALANCE, [[90_i64]]).parameters(["ada"]).within(1);
    let app = transfer(Outcome::Committed, Execute::of(TAKE, 1)).postgres(give).postgres(left);
    let app = app.postgres(Transaction::commit(1));
    assert_eq!(send(&app).await.0, 200);
    assert_eq!(app.statements(), [TAKE, GIVE, BALANCE]);
    assert_eq!(app.transactions(), [Outcome::Committed]);
}

#[tokio::test]
async fn statements_fail_late_or_never_and_transactions_cannot_begin() {
    let seconds = Duration::from_secs(3);
    let lost = Execute::unavailable(TAKE, "the connection was lost").after(seconds);
    let app = transfer(Outcome::RolledBack, lost);
    assert_eq!(send(&app).await, (503, seconds));
    assert_eq!(app.transactions(), [Outcome::RolledBack]);

    let app = transfer(Outcome::RolledBack, Execute::silent(TAKE).cancelled());
    let request = request("POST", "/transfer?from=ada&to=bob&amount=10").leave_after(seconds);
    assert_eq!(app.watch(request).await.unwrap().virtual_time, seconds);
    assert_eq!(app.cancelled().len(), 1);

    let busy = DatabaseError::Busy("all connections are in use".to_string());
    let app = ComponentTest::load("ledger").unwrap().postgres(Transaction::begin_fails(busy));
    assert_eq!(send(&app).await.0, 503);
}

#[tokio::test]
async fn values_have_the_types_of_postgres() {
    let row = [Cell::of("timestamptz", "2026-01-31T23:59:30Z"), Cell::of("text[]", r#"["a"]"#)];
    let [call] = Rows::of("select", [row]).into_iter().collect::<Vec<_>>().try_into().unwrap();
    let written = format!("{call:?}");
    for expected in ["\"timestamptz\"", "\"text[]\"", "TimestampTz", "Array"] {
        assert!(written.contains(expected), "{written}");
    }
}

#[tokio::test]
async fn a_call_that_is_not_in_the_script_or_left_over_is_named() {
    let failure = weather().get("/forecast").await.unwrap_err().to_string();
    assert!(failure.contains(&format!("+ query {STATEMENT}")), "{failure}");
    let app = weather().postgres(Rows::of(STATEMENT, [["Mild"]]));
    let failure = app.get("/").await.unwrap_err().to_string();
    assert!(failure.contains(&format!("- query {STATEMENT}")), "{failure}");
    assert_eq!(app.lenient().get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn tokens_come_one_by_one_and_may_break_off() {
    let chat = r#"{"model":"demo","messages":[]}"#;
    let pause = Duration::from_millis(50);
    let app = ComponentTest::load("ollama").unwrap();
    let app = app.ollama(Exchange::chat(["Yes"]).pause(pause).done());
    let response = app.post("/api/chat", chat).await.unwrap();
    assert_eq!(
        response.chunks.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        [Duration::ZERO, pause]
    );
    assert_eq!(response.end, ResponseEnd::Whole);
    let app = ComponentTest::load("ollama").unwrap();
    let app = app.ollama(Exchange::chat(["Yes"]).end(StreamEnd::Disconnect));
    let response = app.post("/api/chat", chat).await.unwrap();
    assert_eq!(response.end, ResponseEnd::Error);
    assert!(response.text().contains("error"), "{}", response.text());
}

#[tokio::test]
async fn a_trap_is_a_failure_with_its_message_and_its_place() {
    let app = ComponentTest::load("hostile").unwrap();
    let failure = app.get("/trap").await.unwrap_err().to_string();
    assert!(failure.contains("unreachable") && failure.contains("backtrace"), "{failure}");
    let failure = app.get("/grow").await.unwrap_err().to_string();
    assert!(failure.contains("memory allocation of"), "{failure}");
}

#[tokio::test]
async fn a_loop_ends_at_its_deadline() {
    let app = ComponentTest::load("hostile").unwrap().timeout(Duration::from_millis(200));
    let failure = app.get("/loop").await.unwrap_err().to_string();
    assert!(failure.contains("Does it loop?"), "{failure}");
}

#[tokio::test]
async fn other_services_are_scripted_as_well() {
    let exchange = Exchange::of("GET", "http://other/x").status(418).json("{}");
    let app = ComponentTest::load("hostile").unwrap().http(exchange);
    assert_eq!(app.get("/call?other/x").await.unwrap().status, 418);
    assert_eq!(app.requests(), ["GET http://other/x"]);
}

#[tokio::test]
async fn a_component_that_is_not_built_is_named() {
    let Err(failure) = ComponentTest::load("nothing") else { panic!("it was loaded") };
    assert!(failure.to_string().contains("target/components/nothing.wasm"), "{failure}");
}
