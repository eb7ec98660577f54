//! Transactions, and what one call may leave for the next.

use super::*;
use wasm_host_limits::postgres as limits;

#[tokio::test]
async fn a_transaction_keeps_or_undoes_and_a_dropped_one_is_rolled_back() {
    let mut bench = Bench::new("transactions").await;
    bench.execute("create table t (a int primary key)").await.unwrap();
    let run = |transaction: Arc<dyn Transaction>, text: &str| {
        let text = text.to_string();
        async move { transaction.execute(text, Vec::new(), request()).await }
    };
    let kept = bench.database.begin(request()).await.unwrap();
    run(kept.clone(), "insert into t (a) values (1)").await.unwrap();
    kept.commit(request()).await.unwrap();
    assert!(matches!(kept.rollback(request()).await, Err(Error::Ended)));
    assert!(matches!(run(kept, "select 1").await, Err(Error::Ended)));

    let undone = bench.database.begin(request()).await.unwrap();
    run(undone.clone(), "insert into t (a) values (2)").await.unwrap();
    undone.rollback(request()).await.unwrap();

    let dropped = bench.database.begin(request()).await.unwrap();
    run(dropped.clone(), "insert into t (a) values (3)").await.unwrap();
    let rows = dropped.query("select 'open', pg_sleep(600)".into(), Vec::new(), request()).await;
    bench.until_running("open", 1).await;
    drop(dropped);
    bench.until_running("open", 0).await;
    drop(rows);

    // A failed one refuses, and its commit does not pretend.
    let failed = bench.database.begin(request()).await.unwrap();
    run(failed.clone(), "insert into t (a) values (4)").await.unwrap();
    assert_eq!(sqlstate(&run(failed.clone(), "select 1 / 0").await.unwrap_err()), "22012");
    assert_eq!(sqlstate(&run(failed.clone(), "select 1").await.unwrap_err()), "25P02");
    assert_eq!(sqlstate(&failed.commit(request()).await.unwrap_err()), "25P02");
    // A savepoint repairs it.
    let mended = bench.database.begin(request()).await.unwrap();
    run(mended.clone(), "savepoint s").await.unwrap();
    run(mended.clone(), "select 1 / 0").await.unwrap_err();
    run(mended.clone(), "rollback to s").await.unwrap();
    run(mended.clone(), "insert into t (a) values (5)").await.unwrap();
    mended.commit(request()).await.unwrap();

    assert_eq!(
        bench.one("select string_agg(a::text, ',' order by a) from t").await,
        "Value::Scalar(Scalar::Text(\"1,5\"))"
    );
    bench.assert_clean().await;
}

#[tokio::test]
async fn in_a_transaction_a_call_waits_for_the_rows_before_it() {
    let bench = Bench::new("order").await;
    let transaction = bench.database.begin(request()).await.unwrap();
    let many = "select a from generate_series(1, 100000) a".to_string();
    let rows = transaction.query(many, Vec::new(), request()).await.unwrap();
    let next = transaction.execute("select 1".into(), Vec::new(), request());
    let waited = timeout(Duration::from_millis(100), next).await;
    assert!(waited.is_err(), "it did not wait");
    assert_eq!(collect(rows).await.unwrap().len(), 100_000);
    transaction.execute("select 1".into(), Vec::new(), request()).await.unwrap();
    transaction.commit(request()).await.unwrap();
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
    assert!(timeout.contains("2min"), "{timeout}");
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
    bench.until_idle().await;
    assert_eq!(bench.one("select pg_backend_pid()").await, pid);
    // It is kept if the cancel gets through in time; a login must not take any of that time.
    assert!(bench.database.pool.control.is_alive().await);
    drop(bench.query("select pg_sleep(600)", Vec::new()).await.unwrap());
    bench.until_idle().await;
    assert_eq!(bench.one("select pg_backend_pid()").await, pid);
}

#[tokio::test]
async fn a_changed_schema_is_no_error() {
    let bench = Bench::new("schema").await;
    bench.execute("create table t (a int)").await.unwrap();
    bench.execute("insert into t (a) values (1)").await.unwrap();
    assert_eq!(bench.one("select * from t").await, "Value::Scalar(Scalar::Int32(1))");
    bench.execute("alter table t alter column a type text").await.unwrap();
    // So that the next statement finds the connection that knows the old schema.
    bench.until_idle().await;
    assert_eq!(bench.one("select * from t").await, "Value::Scalar(Scalar::Text(\"1\"))");
}

#[tokio::test]
async fn statements_are_kept_prepared_up_to_a_bound_of_bytes_and_in_transactions_too() {
    let bench = Bench::new("kept").await;
    let transaction = bench.database.begin(request()).await.unwrap();
    let kept = async || {
        let kept =
            "select concat_ws(' ', count(*), sum(length(statement))) from pg_prepared_statements";
        let rows = transaction.query(kept.to_string(), Vec::new(), request()).await.unwrap();
        let rows = collect(rows).await.unwrap();
        let Value::Scalar(Scalar::Text(text)) = &rows[0][0] else { panic!("{rows:?}") };
        let (count, bytes) = text.split_once(' ').unwrap();
        (count.parse::<usize>().unwrap(), bytes.parse::<usize>().unwrap())
    };
    let run = async |text: String| transaction.execute(text, Vec::new(), request()).await.unwrap();
    for n in 0..5 {
        run(format!("select {n} /* {} */", ".".repeat(1_000_000))).await;
    }
    assert!(kept().await.1 < 1000);
    for n in 0..200 {
        run(format!("select {n} /* {} */", ".".repeat(10_000))).await;
        let (count, bytes) = kept().await;
        assert!(count <= limits::PREPARED_STATEMENTS && bytes <= limits::PREPARED_BYTES + 1000);
    }
    transaction.rollback(request()).await.unwrap();
}

#[tokio::test]
async fn a_service_finds_its_own_connection_and_never_that_of_another() {
    let config = PoolConfig { connections: 2, ..quick() };
    let bench = Bench::with("services", config).await;
    let process = async |database: &PgDatabase| {
        let asked = "select pg_backend_pid()".to_string();
        let rows = database.query(asked, Vec::new(), request()).await.unwrap();
        format!("{:?}", collect(rows).await.unwrap()[0][0])
    };
    let [one, other] = ["one", "other"].map(|name| bench.database.for_service(name));
    let first = process(&one).await;
    let second = process(&other).await;
    assert_ne!(first, second);
    for _ in 0..3 {
        assert_eq!(process(&one).await, first);
        assert_eq!(process(&other).await, second);
    }
    // The bound is one for all: a third makes the one that rests longest leave.
    let third = bench.database.for_service("third");
    let of_third = process(&third).await;
    assert!(of_third != first && of_third != second);
    assert_eq!(process(&other).await, second);
    assert_ne!(process(&one).await, first);
}
