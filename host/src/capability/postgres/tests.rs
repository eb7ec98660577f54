//! The real backend against a real server. Each test has a database of its own on the shared server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row as _};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::backend::*;
use super::{PgDatabase, PoolConfig, url::Address};
use crate::embedded_postgres::tests::{Shared, own_server, server};

/// A database, and a connection that watches it from outside.
struct Bench {
    database: PgDatabase,
    watcher: PgConnection,
    address: Address,
    _server: Arc<Shared>,
}

impl Bench {
    async fn new(name: &str) -> Self {
        Self::with(name, PoolConfig { connections: 3, ..quick() }).await
    }

    async fn with(name: &str, config: PoolConfig) -> Self {
        let server = server();
        let address = server.database(name).await.unwrap();
        let watcher = PgConnection::connect_with(address.options()).await.unwrap();
        let database = PgDatabase::new(address.clone(), config);
        Self { database, watcher, address, _server: server }
    }

    async fn execute(&self, statement: &str) -> Result<u64, Error> {
        self.database.execute(statement.to_string(), Vec::new(), token()).await
    }

    async fn query(&self, statement: &str, parameters: Vec<Value>) -> Result<Rows, Error> {
        self.database.query(statement.to_string(), parameters, token()).await
    }

    async fn one(&self, statement: &str) -> String {
        let rows = self.query(statement, Vec::new()).await.unwrap();
        format!("{:?}", collect(rows).await.unwrap()[0][0])
    }

    /// Statements with this mark in their text that the server runs now.
    async fn running(&mut self, mark: &str) -> i64 {
        sqlx::query(
            "select count(*) from pg_stat_activity where state = 'active' and query like $1 \
             and pid <> pg_backend_pid()",
        )
        .bind(format!("%{mark}%"))
        .fetch_one(&mut self.watcher)
        .await
        .unwrap()
        .get(0)
    }

    async fn until_running(&mut self, mark: &str, expected: i64, within: Duration) {
        let start = Instant::now();
        while self.running(mark).await != expected {
            assert!(start.elapsed() < within, "`{mark}`: not {expected} within {within:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The pool works, and each of its connections is in its first state.
    async fn assert_clean(&self) {
        let mut open = Vec::new();
        for _ in 0..3 {
            let transaction = self.database.begin(token()).await.unwrap();
            let state = "select current_setting('a.b', true), current_setting('search_path'), \
                 current_setting('statement_timeout'), current_user = session_user, \
                 (select count(*) from pg_locks where locktype = 'advisory' \
                 and pid = pg_backend_pid()), to_regclass('pg_temp.tmp')::text, \
                 now() = statement_timestamp(), (select count(*) from pg_prepared_statements \
                 where from_sql)";
            let rows = transaction.query(state.to_string(), Vec::new(), token()).await.unwrap();
            let row = format!("{:?}", collect(rows).await.unwrap()[0]);
            assert!(row.contains("search_path") || row.contains("$user"), "{row}");
            assert!(row.contains("Int64(0)") && !row.contains("leaked"), "{row}");
            open.push(transaction);
        }
    }
}

fn quick() -> PoolConfig {
    PoolConfig {
        connections: 3,
        acquire_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(20),
    }
}

fn token() -> CancellationToken {
    CancellationToken::new()
}

async fn collect(mut rows: Rows) -> Result<Vec<Row>, Error> {
    let mut all = Vec::new();
    while let Some(batch) = rows.batches.recv().await {
        assert!((1..=64).contains(&batch.len()));
        all.extend(batch);
    }
    let count = rows.done.await.unwrap()?;
    assert_eq!(usize::try_from(count).unwrap(), all.len());
    Ok(all)
}

fn sqlstate(error: &Error) -> &str {
    match error {
        Error::Database(error) => &error.sqlstate,
        other => panic!("{other:?}"),
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn every_type_makes_the_way_there_and_back() {
    let bench = Bench::new("types").await;
    bench.execute("create type mood as enum ('sad', 'happy')").await.unwrap();
    bench.execute("create domain small as int4 check (value < 10)").await.unwrap();
    for (name, value, shown) in [
        ("bool", Scalar::Boolean(true), "true"),
        ("int2", Scalar::Int16(-3), "-3"),
        ("int4", Scalar::Int32(i32::MIN), "-2147483648"),
        ("int8", Scalar::Int64(i64::MAX), "9223372036854775807"),
        ("float4", Scalar::Float32(0.1), "0.1"),
        ("float8", Scalar::Float64(-0.1), "-0.1"),
        ("text", Scalar::Text("ä€😀".into()), "ä€😀"),
        ("varchar", Scalar::Text("v".into()), "v"),
        ("name", Scalar::Text("n".into()), "n"),
        ("mood", Scalar::Text("happy".into()), "happy"),
        ("bytea", Scalar::Bytes(vec![0, 255]), "\\x00ff"),
        ("date", Scalar::Date(Date { year: 2024, month: 2, day: 29 }), "2024-02-29"),
        ("date", Scalar::Date(Date { year: 0, month: 12, day: 31 }), "0001-12-31 BC"),
        ("time", Scalar::Time(time(24, 0)), "24:00:00"),
        ("timestamp", Scalar::Timestamp(noon()), "1969-07-20 12:00:00.000001"),
        ("timestamptz", Scalar::TimestampTz(noon()), "1969-07-20 12:00:00.000001+00"),
        (
            "uuid",
            Scalar::Uuid("0123abcd-0000-1111-2222-333344445555".into()),
            "0123abcd-0000-1111-2222-333344445555",
        ),
        ("json", Scalar::Json("{\"a\" :1}".into()), "{\"a\" :1}"),
        ("jsonb", Scalar::Json("{\"a\": 1}".into()), "{\"a\": 1}"),
        (
            "numeric",
            Scalar::Numeric("-12345678901234567890.1200".into()),
            "-12345678901234567890.1200",
        ),
        ("numeric", Scalar::Numeric("0.00001000".into()), "0.00001000"),
        ("numeric", Scalar::Numeric("NaN".into()), "NaN"),
    ] {
        let sent = Value::Scalar(value.clone());
        let statement = format!("select $1::{name}, $1::{name}::text, array[$1::{name}, null]");
        let rows = bench.query(&statement, vec![sent.clone()]).await.unwrap();
        assert_eq!(rows.columns[0].type_name, name);
        assert_eq!(rows.columns[2].type_name, format!("{name}[]"));
        let row = collect(rows).await.unwrap().remove(0);
        assert_eq!(format!("{:?}", row[0]), format!("{sent:?}"));
        let text = Value::Scalar(Scalar::Text(shown.into()));
        assert_eq!(format!("{:?}", row[1]), format!("{text:?}"));
        let array = Value::Array(vec![Some(value), None]);
        assert_eq!(format!("{:?}", row[2]), format!("{array:?}"));
        // The other way: the array as a parameter, its first element back.
        let statement = format!("select ($1::{name}[])[1]");
        let rows = bench.query(&statement, vec![array]).await.unwrap();
        let row = collect(rows).await.unwrap().remove(0);
        assert_eq!(format!("{:?}", row[0]), format!("{sent:?}"), "{name}[]");
    }
    let small = bench.query("select $1::small", vec![Value::Scalar(Scalar::Int64(7))]).await;
    let small = collect(small.unwrap()).await.unwrap();
    assert!(matches!(small[0][0], Value::Scalar(Scalar::Int32(7))));
    let rows = bench.query("select null::int4, '{}'::int4[]", Vec::new()).await.unwrap();
    assert_eq!(format!("{:?}", collect(rows).await.unwrap()[0]), "[Value::Null, Value::Array([])]");
}

fn time(hour: u8, microsecond: u32) -> Time {
    Time { hour, minute: 0, second: 0, microsecond }
}

fn noon() -> Timestamp {
    Timestamp { date: Date { year: 1969, month: 7, day: 20 }, time: time(12, 1) }
}

#[tokio::test]
async fn columns_are_known_without_rows_and_trouble_names_them() {
    let bench = Bench::new("columns").await;
    let rows = bench.query("select 1 as a, 'x'::text as b where false", Vec::new()).await.unwrap();
    let columns: Vec<_> = rows.columns.iter().map(|c| (&*c.name, &*c.type_name)).collect();
    assert_eq!(columns, [("a", "int4"), ("b", "text")]);
    assert_eq!(rows.done.await.unwrap().unwrap(), 0);

    let error = bench.query("select 1, '1 day'::interval as wait", Vec::new()).await.unwrap_err();
    let Error::Unsupported(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("column 2 \"wait\" of type interval"), "{text}");
    assert!(text.contains("\"wait\"::text"), "{text}");
    // A value that only shows up among the rows ends them.
    let rows = bench.query("select 'infinity'::date as d", Vec::new()).await;
    let error = match rows {
        Ok(rows) => collect(rows).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(&error, Error::Unsupported(text) if text.contains("\"d\"")), "{error:?}");
    let error = bench.query("select $1::int4", Vec::new()).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidParameter(text) if text.contains("1 parameters, 0")));
    let text = vec![Value::Scalar(Scalar::Text("1".into()))];
    let error = bench.query("select $1::int4", text).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidParameter(text) if text.contains("parameter 1")));
    assert!(matches!(bench.execute("copy x to stdout").await, Err(Error::Unsupported(_))));
    assert_eq!(bench.one("select pg_sleep(0)").await, "Value::Null");
    bench.assert_clean().await;
}

#[tokio::test]
async fn errors_carry_what_the_server_said() {
    let bench = Bench::new("errors").await;
    bench.execute("create table t (a int primary key)").await.unwrap();
    assert_eq!(bench.execute("insert into t (a) values (1), (2)").await.unwrap(), 2);
    let error = bench.execute("insert into t (a) values (1)").await.unwrap_err();
    let Error::Database(error) = error else { panic!("{error:?}") };
    assert_eq!((&*error.sqlstate, &*error.severity), ("23505", "ERROR"));
    assert_eq!((error.constraint.as_deref(), error.table.as_deref()), (Some("t_pkey"), Some("t")));
    let error = bench.query("select * from nowhere", Vec::new()).await.unwrap_err();
    let Error::Database(error) = error else { panic!("{error:?}") };
    assert_eq!((&*error.sqlstate, error.position), ("42P01", Some(15)));
    let rows = bench.query("select 10 / (3 - a) from generate_series(1, 9) a", Vec::new()).await;
    let error = match rows {
        Ok(rows) => collect(rows).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(sqlstate(&error), "22012");
}

#[tokio::test]
async fn rows_are_read_only_as_fast_as_they_are_wanted() {
    let mut bench = Bench::new("pressure").await;
    let statement = "select 1 as slurp, repeat('x', 1000) from generate_series(1, 2000000)";
    let mut rows = bench.query(statement, Vec::new()).await.unwrap();
    assert!(!rows.batches.recv().await.unwrap().is_empty());
    bench.until_running("slurp", 1, SECOND).await;
    // The server has filled the buffers between it and us, and waits.
    let waits = async {
        loop {
            let wait: Option<String> = sqlx::query(
                "select wait_event from pg_stat_activity where query like '%slurp%' \
                 and pid <> pg_backend_pid()",
            )
            .fetch_one(&mut bench.watcher)
            .await
            .unwrap()
            .get(0);
            if wait.as_deref() == Some("ClientWrite") {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(5 * SECOND, waits).await.expect("the server never waits for the reader");
    // Even blocked in sending, it is cancelled.
    drop(rows.batches);
    let done = timeout(SECOND, rows.done).await.unwrap().unwrap();
    assert!(matches!(done, Err(Error::Cancelled)), "{done:?}");
    bench.until_running("slurp", 0, SECOND).await;
    bench.assert_clean().await;
}

#[tokio::test]
async fn slow_rows_arrive_as_they_come() {
    let bench = Bench::new("slow").await;
    let statement = "select pg_sleep(0.2), repeat('x', 20000) from generate_series(1, 5)";
    let start = Instant::now();
    let mut rows = bench.query(statement, Vec::new()).await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(190), "columns wait for the first row");
    assert_eq!(rows.batches.recv().await.unwrap().len(), 1);
    // The server itself keeps the end of a row back until more follows.
    assert!(start.elapsed() < Duration::from_millis(700));
    while rows.batches.recv().await.is_some() {}
    assert_eq!(rows.done.await.unwrap().unwrap(), 5);
}

#[tokio::test]
async fn a_dropped_stream_ends_the_statement_on_the_server() {
    let mut bench = Bench::new("dropped").await;
    let rows = bench.query("select 'mark1', pg_sleep(15)", Vec::new()).await.unwrap();
    bench.until_running("mark1", 1, SECOND).await;
    drop(rows.batches);
    bench.until_running("mark1", 0, SECOND).await;
    assert!(matches!(rows.done.await.unwrap(), Err(Error::Cancelled)));

    // The same for a call whose caller vanishes before it has returned.
    let database = bench.database.clone();
    let call = tokio::spawn(async move {
        database.execute("select 'mark2', pg_sleep(15)".into(), Vec::new(), token()).await
    });
    bench.until_running("mark2", 1, SECOND).await;
    call.abort();
    bench.until_running("mark2", 0, SECOND).await;
    bench.assert_clean().await;
}

#[tokio::test]
async fn when_the_client_leaves_its_statements_end_on_the_server() {
    let mut bench = Bench::new("left").await;
    let request = token();
    let sleep = |mark| format!("select '{mark}', pg_sleep(15)");
    let rows = bench.database.query(sleep("left1"), Vec::new(), request.clone()).await.unwrap();
    let transaction = bench.database.begin(request.clone()).await.unwrap();
    let inside = transaction.query(sleep("left2"), Vec::new(), request.clone()).await.unwrap();
    // Held open and never read, as by a guest that has not noticed.
    bench.until_running("left", 2, SECOND).await;
    request.cancel();
    bench.until_running("left", 0, SECOND).await;
    assert!(matches!(rows.done.await.unwrap(), Err(Error::Cancelled)));
    assert!(matches!(inside.done.await.unwrap(), Err(Error::Cancelled)));
    let later = transaction.execute("select 1".into(), Vec::new(), token()).await;
    assert!(matches!(later, Err(Error::Cancelled)), "{later:?}");
    // The transaction's connection is back although its handle is still held.
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_statement_that_waits_for_a_lock_is_cancelled_as_well() {
    let mut bench = Bench::new("lock").await;
    bench.execute("create table t (a int)").await.unwrap();
    let holder = bench.database.begin(token()).await.unwrap();
    holder.execute("lock table t".into(), Vec::new(), token()).await.unwrap();
    let request = token();
    let (database, inside) = (bench.database.clone(), request.clone());
    // Not even prepared: already that waits.
    let call = tokio::spawn(async move {
        database.query("select a as locked from t".into(), Vec::new(), inside).await
    });
    bench.until_running("locked", 1, SECOND).await;
    request.cancel();
    bench.until_running("locked", 0, SECOND).await;
    assert!(matches!(call.await.unwrap(), Err(Error::Cancelled)));
    holder.rollback(token()).await.unwrap();
    bench.assert_clean().await;
}

#[tokio::test]
async fn the_statement_timeout_ends_it_on_the_server() {
    let config = PoolConfig { statement_timeout: Duration::from_millis(300), ..quick() };
    let mut bench = Bench::with("deadline", config).await;
    let error = bench.execute("select 'late1', pg_sleep(15)").await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
    assert_eq!(bench.running("late1").await, 0);
    // The host has a clock of its own: a component can turn the server's off.
    let transaction = bench.database.begin(token()).await.unwrap();
    let off = "set local statement_timeout = 0";
    transaction.execute(off.into(), Vec::new(), token()).await.unwrap();
    let start = Instant::now();
    let late = "select 'late2', pg_sleep(15)".to_string();
    let error = transaction.execute(late, Vec::new(), token()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
    assert!(start.elapsed() < SECOND);
    assert_eq!(bench.running("late2").await, 0);
    drop(transaction);
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_transaction_keeps_or_undoes_and_a_dropped_one_is_rolled_back() {
    let mut bench = Bench::new("transactions").await;
    bench.execute("create table t (a int primary key)").await.unwrap();
    let run = |transaction: Arc<dyn Transaction>, text: &str| {
        let text = text.to_string();
        async move { transaction.execute(text, Vec::new(), token()).await }
    };
    let kept = bench.database.begin(token()).await.unwrap();
    run(kept.clone(), "insert into t (a) values (1)").await.unwrap();
    kept.commit(token()).await.unwrap();
    assert!(matches!(kept.rollback(token()).await, Err(Error::Ended)));
    assert!(matches!(run(kept, "select 1").await, Err(Error::Ended)));

    let undone = bench.database.begin(token()).await.unwrap();
    run(undone.clone(), "insert into t (a) values (2)").await.unwrap();
    undone.rollback(token()).await.unwrap();

    let dropped = bench.database.begin(token()).await.unwrap();
    run(dropped.clone(), "insert into t (a) values (3)").await.unwrap();
    let rows = dropped.query("select 'open', pg_sleep(15)".into(), Vec::new(), token()).await;
    bench.until_running("open", 1, SECOND).await;
    drop(dropped);
    bench.until_running("open", 0, SECOND).await;
    drop(rows);

    // A failed one refuses, and its commit does not pretend.
    let failed = bench.database.begin(token()).await.unwrap();
    run(failed.clone(), "insert into t (a) values (4)").await.unwrap();
    assert_eq!(sqlstate(&run(failed.clone(), "select 1 / 0").await.unwrap_err()), "22012");
    assert_eq!(sqlstate(&run(failed.clone(), "select 1").await.unwrap_err()), "25P02");
    assert_eq!(sqlstate(&failed.commit(token()).await.unwrap_err()), "25P02");
    // A savepoint mends it.
    let mended = bench.database.begin(token()).await.unwrap();
    run(mended.clone(), "savepoint s").await.unwrap();
    run(mended.clone(), "select 1 / 0").await.unwrap_err();
    run(mended.clone(), "rollback to s").await.unwrap();
    run(mended.clone(), "insert into t (a) values (5)").await.unwrap();
    mended.commit(token()).await.unwrap();

    assert_eq!(
        bench.one("select string_agg(a::text, ',' order by a) from t").await,
        "Value::Scalar(Scalar::Text(\"1,5\"))"
    );
    bench.assert_clean().await;
}

#[tokio::test]
async fn in_a_transaction_a_call_waits_for_the_rows_before_it() {
    let bench = Bench::new("order").await;
    let transaction = bench.database.begin(token()).await.unwrap();
    let many = "select a from generate_series(1, 100000) a".to_string();
    let rows = transaction.query(many, Vec::new(), token()).await.unwrap();
    let next = transaction.execute("select 1".into(), Vec::new(), token());
    let waited = timeout(Duration::from_millis(100), next).await;
    assert!(waited.is_err(), "it did not wait");
    assert_eq!(collect(rows).await.unwrap().len(), 100_000);
    transaction.execute("select 1".into(), Vec::new(), token()).await.unwrap();
    transaction.commit(token()).await.unwrap();
}

#[tokio::test]
async fn nothing_of_one_call_reaches_the_next_user_of_its_connection() {
    let bench = Bench::new("leaks").await;
    for statement in [
        "begin",
        "set search_path = leaked",
        "select set_config('a.b', 'leaked', false)",
        "select pg_advisory_lock(7)",
        "create temp table tmp (a int)",
        "set statement_timeout = 0",
        "listen leaked",
        "declare leaked cursor with hold for select 1",
        "prepare leaked as select 1",
        "do $$ begin perform set_config('a.b', 'leaked', false); end $$",
        "deallocate all",
        "discard all",
        "/* hidden */ begin",
    ] {
        for _ in 0..3 {
            bench.execute(statement).await.unwrap();
        }
        bench.assert_clean().await;
        assert_eq!(bench.one("select 1").await, "Value::Scalar(Scalar::Int32(1))", "{statement}");
    }
    let timeout = bench.one("select current_setting('statement_timeout')").await;
    assert!(timeout.contains("20s"), "{timeout}");
}

#[tokio::test]
async fn plain_statements_keep_their_connection() {
    let bench = Bench::new("reuse").await;
    let pid = bench.one("select pg_backend_pid()").await;
    for _ in 0..5 {
        bench.one("select 1").await;
        assert_eq!(bench.one("select pg_backend_pid()").await, pid);
    }
    // So does one that was reset, and one whose statement was cancelled.
    bench.execute("set a.b = 'leaked'").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.one("select pg_backend_pid()").await, pid);
    drop(bench.query("select pg_sleep(15)", Vec::new()).await.unwrap());
    sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.one("select pg_backend_pid()").await, pid);
}

#[tokio::test]
async fn a_changed_schema_is_no_error() {
    let bench = Bench::new("schema").await;
    bench.execute("create table t (a int)").await.unwrap();
    bench.execute("insert into t (a) values (1)").await.unwrap();
    assert_eq!(bench.one("select * from t").await, "Value::Scalar(Scalar::Int32(1))");
    bench.execute("alter table t alter column a type text").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.one("select * from t").await, "Value::Scalar(Scalar::Text(\"1\"))");
}

#[tokio::test]
async fn a_full_pool_is_busy_and_recovers() {
    let config =
        PoolConfig { connections: 2, acquire_timeout: Duration::from_millis(200), ..quick() };
    let bench = Bench::with("busy", config).await;
    let open = [
        bench.database.begin(token()).await.unwrap(),
        bench.database.begin(token()).await.unwrap(),
    ];
    let start = Instant::now();
    let error = bench.execute("select 1").await.unwrap_err();
    assert!(matches!(&error, Error::Busy(text) if text.contains("all 2 connections")), "{error:?}");
    assert!(start.elapsed() >= Duration::from_millis(200) && start.elapsed() < SECOND);
    drop(open);
    bench.execute("select 1").await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_at_once_and_comes_back() {
    let server = own_server();
    let address = server.database("restart").await.unwrap();
    let database = PgDatabase::new(address.clone(), quick());
    let run = || database.execute("select 1".into(), Vec::new(), token());
    run().await.unwrap();
    database.check().await.unwrap();
    // The keeper of the embedded server starts it again, a second later.
    server.kill_server();
    let start = Instant::now();
    let mut down = 0;
    loop {
        match timeout(SECOND, run()).await.expect("unavailable has to come at once") {
            Ok(_) if down > 0 => break,
            // It is not dead yet.
            Ok(_) => {}
            Err(Error::Unavailable(_)) => down += 1,
            Err(other) => panic!("{other:?}"),
        }
        assert!(start.elapsed() < 10 * SECOND);
        sleep(Duration::from_millis(20)).await;
    }
    database.check().await.unwrap();
    drop(address);
}

#[tokio::test]
async fn no_error_tells_where_the_database_is_or_its_password() {
    let bench = Bench::new("silent").await;
    let port = bench._server.port();
    let (wrong, user) = ("wrong-password", "silent");
    for address in [
        Address::new("127.0.0.1", port, user, wrong, "silent"),
        Address::new("127.0.0.1", 1, user, wrong, "silent"),
        Address::new("no.such.host.invalid", port, user, wrong, "silent"),
        Address::new("/no/such/folder", port, user, wrong, "silent"),
        bench.address.with_database("missing"),
    ] {
        let database = PgDatabase::new(address, quick());
        let error = database.execute("select 1".into(), Vec::new(), token()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        let text = format!("{error:?}");
        for hidden in [wrong, user, "127.0.0.1", "invalid", "/no", "missing", &port.to_string()] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}
