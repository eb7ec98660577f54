//! What ends a statement on the server: its reader, its client, its time. Seen from outside.

use super::*;

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
    sleep(Duration::from_millis(300)).await;
    assert!(rows.batches.len() <= crate::limits::postgres::BATCHES_AHEAD, "rows are slurped");
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
    bench.until_running("late1", 0, SECOND).await;
    // The host has a clock of its own: a component can turn the server's off.
    let transaction = bench.database.begin(token()).await.unwrap();
    let off = "set local statement_timeout = 0";
    transaction.execute(off.into(), Vec::new(), token()).await.unwrap();
    let start = Instant::now();
    let late = "select 'late2', pg_sleep(15)".to_string();
    let error = transaction.execute(late, Vec::new(), token()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
    assert!(start.elapsed() < SECOND);
    bench.until_running("late2", 0, SECOND).await;
    drop(transaction);
    bench.assert_clean().await;
}
