//! Transactions, and what a statement would leave in a session that is somebody else's a moment later.

use super::*;

#[tokio::test]
async fn transactions_keep_or_undo() {
    let bench = Bench::new("pool_mode = transaction\ndefault_pool_size = 2", "").await;
    let create =
        "create table t (a int primary key, of int references t deferrable initially deferred)";
    assert_eq!(bench.execute(create).await, (200, "0".to_string()));
    let kept = "insert into t values (1)\nsavepoint s\ninsert into t values (2)\nrollback to s";
    assert_eq!(bench.ask("/transaction", kept).await, (200, "committed".to_string()));
    let failed = "insert into t values (3)\nselect 1 / 0";
    assert_eq!(bench.ask("/transaction", failed).await, (500, "database 22012".to_string()));
    // What only the end of a transaction finds is an error of the statement, too.
    let dangling = (500, "database 23503".to_string());
    assert_eq!(bench.execute("insert into t values (4, 99)").await, dangling);
    assert_eq!(bench.ask("/transaction", "insert into t values (5, 99)").await, dangling);
    assert_eq!(bench.execute("insert into t values (6)").await, (200, "1".to_string()));
    assert_eq!(bench.value("select string_agg(a::text, ',' order by a) from t").await, "1,6");

    let sleep = "insert into t values (7)\nselect pg_sleep(602)";
    let address = bench.host.address.clone();
    let left =
        tokio::spawn(
            async move { client::send(&address, "POST", "/transaction", &[], sleep).await },
        );
    bench.until_running("pg_sleep(602)", "1").await;
    left.abort();
    bench.until_running("pg_sleep(602)", "0").await;
    assert_eq!(bench.value("select count(*) from t where a = 7").await, "0");
}

/// What a session of the server has in it that is not as it was. Newer poolers keep statements there, under such names.
const STATE: &str = "select current_setting('a.b', true) is not distinct from 'leaked', \
    current_setting('search_path') = 'leaked', current_user <> session_user, \
    to_regclass('pg_temp.tmp') is not null, \
    exists (select from pg_locks where locktype = 'advisory'), \
    exists (select from pg_listening_channels()), exists (select from pg_cursors where name = 'leaked'), \
    exists (select from pg_prepared_statements where name not like 'PGBOUNCER%')";

// Fault (Databases): what statements leave in a session behind a pooler | takes it back before the commit | its rows | nothing
#[tokio::test]
async fn nothing_of_one_client_reaches_another_one_of_the_pooler() {
    // One session for all.
    let settings = "pool_mode = transaction\ndefault_pool_size = 1";
    let bench = Bench::new(settings, "").await;
    bench.postgres.sql("create role leaked");
    bench.postgres.sql("alter role app set timezone = 'Asia/Tokyo'");
    let session = bench.pooler.sql(&["select pg_backend_pid()"]);
    for statement in [
        "select 1",
        "set a.b = 'leaked'",
        "set search_path = leaked",
        "set role leaked",
        "set timezone = 'Africa/Lagos'",
        "select set_config('a.b', 'leaked', false)",
        "select pg_advisory_lock(7)",
        "create temp table tmp (a int)",
        "listen leaked",
        "declare leaked cursor with hold for select 1",
        "prepare leaked as select 1",
        "do $$ begin perform set_config('a.b', 'leaked', false); execute 'prepare leaked as select 1'; end $$",
        "/* hidden */ set a.b = 'leaked'",
    ] {
        for path in ["/execute", "/transaction"] {
            let (status, text) = bench.ask(path, statement).await;
            assert_eq!(status, 200, "{path} {statement}: {text}");
            let state = bench.pooler.sql(&[STATE]);
            assert_eq!(state, "f|f|f|f|f|f|f|f", "{path} {statement}");
        }
    }
    assert_eq!(bench.pooler.sql(&["select pg_backend_pid()"]), session);
    // What the host itself wants of its sessions it still has.
    assert_eq!(bench.value("select current_setting('timezone')").await, "UTC");
    assert_eq!(bench.value("select current_setting('statement_timeout')").await, "30s");
}

// Fault (Databases): views, triggers and operators that leave something in a session behind a pooler | takes it back with the end of each transaction | its answer | nothing
#[tokio::test]
async fn what_no_text_shows_is_taken_back_before_another_client_of_the_pooler_comes() {
    let settings = "pool_mode = transaction\ndefault_pool_size = 1";
    let bench = Bench::new(settings, "").await;
    bench.postgres.sql(
        "create function evil() returns int language plpgsql as $$ begin perform set_config('a.b', 'leaked', false), \
         pg_advisory_lock(7); execute 'prepare leaked as select 1'; create temp table tmp (a int); return 1; end $$",
    );
    bench.postgres.sql("create view seen as select evil() as it");
    bench.postgres.sql(
        "create function late() returns trigger language plpgsql as 'begin perform evil(); return null; end'",
    );
    bench.postgres.sql("create table deferred (a int)");
    bench.postgres.sql(
        "create constraint trigger fires after insert on deferred deferrable initially deferred for each row \
         execute function late()",
    );
    for (path, statement, status) in [
        ("/execute", "select it from seen", 200),
        ("/transaction", "select it from seen", 200),
        // At the end of the transaction only.
        ("/execute", "insert into deferred values (1)", 200),
        ("/transaction", "insert into deferred values (1)", 200),
        // What a failure leaves.
        ("/execute", "select 1 / (it - it) from seen", 500),
        ("/transaction", "select it from seen\nselect 1 / 0", 500),
    ] {
        let (answered, text) = bench.ask(path, statement).await;
        assert_eq!(answered, status, "{path} {statement}: {text}");
        assert_eq!(bench.pooler.sql(&[STATE]), "f|f|f|f|f|f|f|f", "{path} {statement}");
    }
}

// Fault (Databases): locks of a transaction that fails behind a pooler | has them taken back with its end | the component's error | nothing
#[tokio::test]
async fn what_a_failed_transaction_leaves_is_taken_back() {
    let settings = "pool_mode = transaction\ndefault_pool_size = 1";
    let bench = Bench::new(settings, "").await;
    let failing = "select pg_advisory_lock(7)\nprepare leaked as select 1\nselect 1 / 0";
    assert_eq!(bench.ask("/transaction", failing).await, (500, "database 22012".to_string()));
    // A statement by itself that has got a lock, and then fails.
    let alone = "select pg_advisory_lock(8), 1 / (i - 1) from generate_series(2, 1, -1) i";
    assert_eq!(bench.execute(alone).await, (500, "database 22012".to_string()));
    eventually("a session without any of it", async || {
        (bench.pooler.sql(&[STATE]) == "f|f|f|f|f|f|f|f").then_some(())
    })
    .await;
    assert_eq!(bench.value("select 1").await, "1");
}

#[tokio::test]
async fn what_would_end_the_hosts_transaction_or_run_in_none_is_an_error_that_says_why() {
    let postgres = Postgres::start();
    let pooler = Pooler::start(&postgres, "pool_mode = transaction\ndefault_pool_size = 1");
    let host = databases::querier(&pooler.url(), "").serve().await;
    for statement in ["begin", "commit", "/* hidden */ rollback", "discard all", "vacuum"] {
        let reply = host.send("POST", "/", statement).await;
        assert_eq!(reply.status, 500, "{statement}: {}", reply.text());
        let says = "is reached through a connection pooler";
        assert!(reply.text().contains(says), "{statement}: {}", reply.text());
    }
    let reply = host.send("POST", "/", "select 1").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "1\n"));
}

#[tokio::test]
async fn init_scripts_run_through_a_pooler_and_leave_it_nothing() {
    let postgres = Postgres::start();
    let settings = "pool_mode = transaction\ndefault_pool_size = 1";
    let pooler = Pooler::start(&postgres, settings);
    for script in [
        // As a dump begins.
        "set statement_timeout = 0; select pg_catalog.set_config('search_path', 'leaked', false);\n\
         create table public.made (a int); insert into public.made values (1);",
        "select pg_advisory_lock(7); insert into public.made values (2);",
    ] {
        // A start of its own each, and one more that has nothing to run.
        for _ in 0..2 {
            let app = databases::app(&pooler.url(), &format!("init = \"{}.sql\"", script.len()));
            std::fs::write(app.path().join(format!("{}.sql", script.len())), script).unwrap();
            let host = app.serve().await;
            let reply = host.send("POST", "/query", "select count(*) from wasm_host_init").await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(pooler.sql(&[STATE]), "f|f|f|f|f|f|f|f", "{script}");
        }
    }
    assert_eq!(postgres.sql("select string_agg(a::text, ',' order by a) from made"), "1,2");
}

// Fault (Databases): statements of others under the driver's names | frees the names, prepares anew | its rows | nothing
#[tokio::test]
async fn statements_that_others_left_on_the_server_are_not_taken_for_ones_own() {
    let settings = "pool_mode = transaction\ndefault_pool_size = 1";
    let bench = Bench::new(settings, "").await;
    let theirs: Vec<String> = (1..=9).map(|n| format!("prepare sqlx_s_{n} as select -1")).collect();
    bench.pooler.sql(&theirs.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 1..5 {
        assert_eq!(bench.value(&format!("select {n}")).await, n.to_string());
    }
    assert_eq!(bench.ask("/transaction", "select 5").await, (200, "committed".to_string()));
}

#[tokio::test]
async fn who_makes_transactions_only_meets_a_statement_that_others_left_once() {
    let settings = "pool_mode = transaction\ndefault_pool_size = 1";
    let bench = Bench::new(settings, "").await;
    let theirs: Vec<String> = (1..=9).map(|n| format!("prepare sqlx_s_{n} as select -1")).collect();
    bench.pooler.sql(&theirs.iter().map(String::as_str).collect::<Vec<_>>());
    let first = bench.ask("/transaction", "select 5").await;
    assert!(first.0 == 200 || first.1.contains("42P05"), "{first:?}");
    for n in 6..9 {
        let statement = format!("select {n}");
        let again = bench.ask("/transaction", &statement).await;
        assert_eq!(again, (200, "committed".to_string()), "after {first:?}");
    }
}
