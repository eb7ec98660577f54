//! Errors: what they say, and what they must not say.

use super::*;
use wasm_host_limits::postgres::{MESSAGE_ROOM_BYTES, ROW_BYTES};

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
async fn a_full_pool_is_busy_and_recovers() {
    let config =
        PoolConfig { connections: 2, acquire_timeout: Duration::from_millis(200), ..quick() };
    let bench = Bench::with("busy", config).await;
    let open = [
        bench.database.begin(request()).await.unwrap(),
        bench.database.begin(request()).await.unwrap(),
    ];
    let start = Instant::now();
    let busy = timeout(SOON, bench.execute("select 1")).await.expect("it waits for ever");
    let (error, waited) = (busy.unwrap_err(), start.elapsed());
    assert!(matches!(&error, Error::Busy(text) if text.contains("all 2 connections")), "{error:?}");
    // Less than it waits where the file says nothing.
    assert!(waited >= Duration::from_millis(200) && waited < 4 * SECOND, "{waited:?}");
    drop(open);
    bench.until_idle().await;
    bench.execute("select 1").await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_at_once_and_comes_back() {
    let mut server = Postgres::start();
    let address = database(&server, "restart");
    // What waits for the server to come back is not what says at once that it is away.
    let patience = 60 * SECOND;
    let config = PoolConfig { acquire_timeout: patience, connect_timeout: patience, ..quick() };
    // A port that refuses for as long as it is held: nothing listens on it.
    let refusing = tokio::net::TcpSocket::new_v4().unwrap();
    refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = refusing.local_addr().unwrap().port();
    let away = Address::new("127.0.0.1", port, "user", "password", "away");
    let away = PgDatabase::new(away, config.clone());
    let told = timeout(SOON, away.execute("select 1".into(), Vec::new(), request())).await;
    let told = told.expect("unavailable has to come at once");
    assert!(matches!(told, Err(Error::Unavailable(_))), "{told:?}");

    let database = PgDatabase::new(address, config);
    let run = || database.execute("select 1".into(), Vec::new(), request());
    run().await.unwrap();
    database.check().await.unwrap();
    server.crash();
    let told = timeout(30 * SECOND, run()).await.expect("it waits for a server that is away");
    assert!(matches!(told, Err(Error::Unavailable(_))), "{told:?}");
    // It is asked while it starts and recovers.
    let resumed = tokio::task::spawn_blocking(move || {
        server.resume();
        server
    });
    let start = Instant::now();
    while let Err(error) = timeout(30 * SECOND, run()).await.expect("it waits for what is back") {
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(start.elapsed() < 60 * SECOND);
        sleep(Duration::from_millis(20)).await;
    }
    database.check().await.unwrap();
    drop(resumed.await.unwrap());
}

#[tokio::test]
async fn no_error_tells_where_the_database_is_or_its_password() {
    let bench = Bench::new("silent").await;
    let port = port(&bench.server);
    let (wrong, user) = ("wrong-password", "silent_login");
    bench.server.sql("create role asked");
    bench.server.sql(&format!("create role {user} login password 'right' in role asked"));
    let right = Address::new("127.0.0.1", port, user, "right", "silent");
    PgDatabase::new(right, quick())
        .execute("select 1".into(), Vec::new(), request())
        .await
        .unwrap();
    for address in [
        Address::new("127.0.0.1", port, user, wrong, "silent"),
        Address::new("127.0.0.1", 1, user, wrong, "silent"),
        Address::new("no.such.host.invalid", port, user, wrong, "silent"),
        Address::new("/no/such/folder", port, user, wrong, "silent"),
        bench.address.with_database("missing"),
    ] {
        let database = PgDatabase::new(address, quick());
        let error = database.execute("select 1".into(), Vec::new(), request()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        let text = format!("{error:?}");
        for hidden in [wrong, user, "127.0.0.1", "invalid", "/no", "missing", &port.to_string()] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_larger_than_a_row_may_be_is_given_up_and_so_is_its_connection() {
    let mut bench = Bench::new("messages").await;
    let row = "select 'huge', repeat('x', 100000000)";
    let said = |word| {
        format!(
            "do $$ begin raise {word} 'huge %', repeat('x', 100000000); perform pg_sleep(600); end $$"
        )
    };
    for (statement, told) in [
        (row.to_string(), "a row is larger than 16777216 bytes"),
        (said("notice"), "an error, a notice or another message"),
        (said("exception"), "an error, a notice or another message"),
    ] {
        let refused = bench.execute(&statement).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Unsupported(text) if text.starts_with(told)),
            "{refused:?}"
        );
        // Not even one that goes on without its connection.
        bench.until_running("huge", 0).await;
        bench.assert_clean().await;
    }
    bench.database.check().await.unwrap();

    // A transaction goes with its connection.
    let transaction = bench.database.begin(request()).await.unwrap();
    let run = |statement: &str| transaction.execute(statement.into(), Vec::new(), request());
    let refused = run(row).await.unwrap_err();
    assert!(matches!(refused, Error::Unsupported(_)), "{refused:?}");
    let lost = run("select 1").await.unwrap_err();
    assert!(matches!(lost, Error::Unavailable(_)), "{lost:?}");
    bench.until_idle().await;

    // What is said when it ends is read by a command of the host's own.
    bench.execute("create table t (a int)").await.unwrap();
    bench
        .execute(
            "create function loud() returns trigger language plpgsql as \
             $$ begin raise exception 'huge %', repeat('x', 100000000); end $$",
        )
        .await
        .unwrap();
    let trigger = "create constraint trigger loud after insert on t deferrable initially deferred \
                   for each row execute function loud()";
    bench.execute(trigger).await.unwrap();
    let transaction = bench.database.begin(request()).await.unwrap();
    let insert = "insert into t values (1)";
    transaction.execute(insert.into(), Vec::new(), request()).await.unwrap();
    let refused = transaction.commit(request()).await.unwrap_err();
    assert!(matches!(refused, Error::Unsupported(_)), "{refused:?}");
    bench.assert_clean().await;
}

#[tokio::test]
async fn rows_as_large_as_they_may_be_are_read_whatever_was_read_before_them() {
    let bench = Bench::new("large_rows").await;
    let largest = i32::try_from(ROW_BYTES).unwrap();
    // What is left in the driver's buffer is the beginning of the next row, and decides how it grows.
    let mut sizes = Vec::new();
    for part in [2, 7, 10_000] {
        sizes.extend([largest, largest / part, largest - largest / part, 1]);
    }
    let given = sizes.iter().map(|size| Some(Scalar::Int32(*size))).collect();
    let statement = "select repeat('x', n) from unnest($1::int4[]) n";
    let mut rows = bench.query(statement, vec![Value::Array(given)]).await.unwrap();
    let mut read = Vec::new();
    while let Some(batch) = rows.batches.recv().await {
        read.extend(batch.iter().map(|row| i32::try_from(content(&row[0])).unwrap()));
    }
    rows.done.await.unwrap().unwrap();
    assert_eq!(read, sizes);
    // A text may be as long as an instance has room for, and is sent in one piece.
    let text = format!("select 1 -- {}", "x".repeat(MESSAGE_ROOM_BYTES));
    bench.execute(&text).await.unwrap();
}
