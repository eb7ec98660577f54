//! What ends a statement on the server: its reader, its client, its time. Seen from outside.

use super::*;
use crate::budget::{Budget, Holdings, on_account_of};

#[tokio::test]
async fn rows_are_read_only_as_fast_as_they_are_wanted() {
    let mut bench = Bench::new("pressure").await;
    // In a subquery, because the server makes all of a series in `from` before its first row.
    let statement = "select 1 as slurp, repeat('x', 1000) \
         from (select generate_series(1, 2000000) as i) s";
    let mut rows = bench.query(statement, Vec::new()).await.unwrap();
    assert!(!rows.batches.recv().await.unwrap().is_empty());
    bench.until_running("slurp", 1).await;
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
    timeout(3 * SOON, waits).await.expect("the server never waits for the reader");
    sleep(Duration::from_millis(300)).await;
    assert!(rows.batches.len() <= wasm_host_limits::postgres::BATCHES_AHEAD, "rows are slurped");
    // Even blocked in sending, it is cancelled.
    drop(rows.batches);
    let done = timeout(SOON, rows.done).await.unwrap().unwrap();
    assert!(matches!(done, Err(Error::Cancelled)), "{done:?}");
    bench.until_running("slurp", 0).await;
    bench.assert_clean().await;
}

#[tokio::test]
async fn slow_rows_arrive_as_they_come() {
    let mut bench = Bench::new("slow").await;
    // Each row waits for a lock that is held here, so that it comes when it is allowed to.
    let hold = "select pg_advisory_lock(i) from generate_series(1, 5) i";
    sqlx::query(hold).execute(&mut bench.watcher).await.unwrap();
    let statement = "select pg_advisory_xact_lock(i), repeat('x', 20000) \
         from generate_series(1, 5) i";
    let accepted = timeout(SOON, bench.query(statement, Vec::new())).await;
    let mut rows = accepted.expect("columns wait for the first row").unwrap();
    assert!(rows.batches.is_empty());
    // Two, because a server may keep the end of a row back until more follows. If it does not, both
    // may be there before one is read.
    let allow = "select pg_advisory_unlock(i) from generate_series(1, 2) i";
    sqlx::query(allow).execute(&mut bench.watcher).await.unwrap();
    let first = timeout(SOON, rows.batches.recv()).await.expect("a row waits for later ones");
    assert!((1..=2).contains(&first.unwrap().len()));
    let allow = "select pg_advisory_unlock(i) from generate_series(3, 5) i";
    sqlx::query(allow).execute(&mut bench.watcher).await.unwrap();
    while rows.batches.recv().await.is_some() {}
    assert_eq!(rows.done.await.unwrap().unwrap(), 5);
}

#[tokio::test]
async fn a_dropped_stream_ends_the_statement_on_the_server() {
    let mut bench = Bench::new("dropped").await;
    let rows = bench.query("select 'mark1', pg_sleep(600)", Vec::new()).await.unwrap();
    bench.until_running("mark1", 1).await;
    drop(rows.batches);
    bench.until_running("mark1", 0).await;
    assert!(matches!(rows.done.await.unwrap(), Err(Error::Cancelled)));

    // The same for a call whose caller vanishes before it has returned.
    let database = bench.database.clone();
    let call = tokio::spawn(async move {
        database.execute("select 'mark2', pg_sleep(600)".into(), Vec::new(), request()).await
    });
    bench.until_running("mark2", 1).await;
    call.abort();
    bench.until_running("mark2", 0).await;
    bench.assert_clean().await;
}

#[tokio::test]
async fn when_the_client_leaves_its_statements_end_on_the_server() {
    let mut bench = Bench::new("left").await;
    let leaving = RequestContext::of_host("test");
    let sleep = |mark| format!("select '{mark}', pg_sleep(600)");
    let rows = bench.database.query(sleep("left1"), Vec::new(), leaving.clone()).await.unwrap();
    let transaction = bench.database.begin(leaving.clone()).await.unwrap();
    let inside = transaction.query(sleep("left2"), Vec::new(), leaving.clone()).await.unwrap();
    // Held open and never read, as by a guest that has not noticed.
    bench.until_running("left", 2).await;
    leaving.cancel().cancel();
    bench.until_running("left", 0).await;
    assert!(matches!(rows.done.await.unwrap(), Err(Error::Cancelled)));
    assert!(matches!(inside.done.await.unwrap(), Err(Error::Cancelled)));
    let later = transaction.execute("select 1".into(), Vec::new(), request()).await;
    assert!(matches!(later, Err(Error::Cancelled)), "{later:?}");
    // The transaction's connection is back although its handle is still held.
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_statement_that_waits_for_a_lock_is_cancelled_as_well() {
    let mut bench = Bench::new("lock").await;
    bench.execute("create table t (a int)").await.unwrap();
    let holder = bench.database.begin(request()).await.unwrap();
    holder.execute("lock table t".into(), Vec::new(), request()).await.unwrap();
    let leaving = RequestContext::of_host("test");
    let (database, inside) = (bench.database.clone(), leaving.clone());
    // Not even prepared: already that waits.
    let call = tokio::spawn(async move {
        database.query("select a as locked from t".into(), Vec::new(), inside).await
    });
    bench.until_running("locked", 1).await;
    leaving.cancel().cancel();
    bench.until_running("locked", 0).await;
    assert!(matches!(call.await.unwrap(), Err(Error::Cancelled)));
    holder.rollback(request()).await.unwrap();
    bench.assert_clean().await;
}

#[tokio::test]
async fn the_statement_timeout_ends_it_on_the_server() {
    let config = PoolConfig { statement_timeout: SECOND, ..quick() };
    let mut bench = Bench::with("deadline", config).await;
    let late = timeout(SOON, bench.execute("select 'late1', pg_sleep(600)")).await;
    let error = late.expect("it is not ended").unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
    bench.until_running("late1", 0).await;
    // The host has a clock of its own: a component can turn the server's off.
    let transaction = bench.database.begin(request()).await.unwrap();
    let off = "set local statement_timeout = 0";
    transaction.execute(off.into(), Vec::new(), request()).await.unwrap();
    let late = "select 'late2', pg_sleep(600)".to_string();
    let late = timeout(SOON, transaction.execute(late, Vec::new(), request())).await;
    let error = late.expect("it is not ended").unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
    bench.until_running("late2", 0).await;
    drop(transaction);
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_cancel_that_is_led_to_another_server_hits_nobody_there() {
    let mut bench = Bench::new("led_astray").await;
    let rows = bench.query("select 'mine', pg_sleep(600)", Vec::new()).await.unwrap();
    bench.until_running("mine", 1).await;
    let mine = "select pid, (extract(epoch from backend_start) * 1000000)::bigint \
         from pg_stat_activity where query like '%mine%' and pid <> pg_backend_pid()";
    let row = sqlx::query(mine).fetch_one(&mut bench.watcher).await.unwrap();
    let (pid, started): (i32, i64) = (row.get(0), row.get(1));
    let control = Control::new(Arc::new(Login::new(bench.address.clone())));
    // Another server gives the same number to a process that it started at another time.
    for started in [None, Some(started + 1)] {
        assert!(!control.cancel(Process { pid, started }).await);
    }
    bench.until_running("mine", 1).await;
    assert!(control.cancel(Process { pid, started: Some(started) }).await);
    bench.until_running("mine", 0).await;
    drop(rows);
}

#[tokio::test]
async fn large_rows_are_on_the_account_of_who_asked_until_they_are_taken() {
    const MEBIBYTE: usize = 1024 * 1024;
    let bench = Bench::new("held").await;
    let all = Budget::new(usize::MAX).share(usize::MAX);
    let account = |mebibytes| Holdings::new(mebibytes * MEBIBYTE, &all);
    let query = async |holdings: &Holdings, statement| {
        on_account_of(holdings.hold_nothing(), bench.query(statement, Vec::new())).await.unwrap()
    };
    let holdings = account(20);
    // Each is there twice: as the driver has it and as it is handed on.
    let rows = "select repeat('x', 8388608) from generate_series(1, 3)";
    let mut rows = query(&holdings, rows).await;
    let done = timeout(SOON, rows.done).await.unwrap().unwrap();
    let told = "with this the host would hold more than 20971520 bytes for one instance";
    assert!(matches!(&done, Err(Error::Busy(text)) if text.starts_with(told)), "{done:?}");
    assert!((16..20).contains(&(holdings.used() / MEBIBYTE)), "{}", holdings.used());
    let batch = rows.batches.recv().await.unwrap();
    assert_eq!(batch.open().len(), 1);
    assert_eq!(holdings.used(), 0);
    assert!(rows.batches.recv().await.is_none());

    // A reader has room for any number of them, where there is room for those that are read ahead.
    let holdings = account(72);
    let rows = "select repeat('x', 8388608) from generate_series(1, 9)";
    let mut rows = query(&holdings, rows).await;
    for _ in 0..9 {
        assert_eq!(rows.batches.recv().await.unwrap().open().len(), 1);
    }
    assert_eq!(rows.done.await.unwrap().unwrap(), 9);
    // Small ones do not count.
    let holdings = account(0);
    let rows = query(&holdings, "select repeat('x', 200) from generate_series(1, 500)").await;
    let mut batches = rows.batches;
    while let Some(batch) = batches.recv().await {
        assert!(batch.len() > 1 || batch.open().len() == 1);
    }
    assert_eq!(rows.done.await.unwrap().unwrap(), 500);
    bench.assert_clean().await;
}
