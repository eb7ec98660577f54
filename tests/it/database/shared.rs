//! Services that are granted the same database: none finds what another left in a session, none takes all connections.

use futures_util::future::join_all;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::postgres::Postgres;

/// Two services that run the statements they are sent, each under its name, on one pool.
async fn neighbours(postgres: &Postgres, keys: &str) -> Host {
    App::new(&format!(
        r#"
name = "neighbours"

[postgres.main]
url = "${{DB_URL}}"
{keys}

[service.one]
component = "$(querier)"
postgres = "main"

[service.other]
component = "$(querier)"
postgres = "main"
"#
    ))
    .env("DB_URL", &postgres.url())
    .serve()
    .await
}

async fn ask(host: &Host, service: &str, statement: &str) -> String {
    let reply = host.send("POST", &format!("/{service}"), statement).await;
    assert_eq!(reply.status, 200, "{statement}: {}", reply.text());
    reply.text().trim().to_string()
}

/// Ways to call a function in statements that show no call of it, each made by what stands before it.
const WAYS: [(&str, &str); 7] = [
    ("create view seen as select evil() as it", "select it::text from seen"),
    (
        "create function op(int, int) returns text language sql as 'select evil()'; \
         create operator @+@ (leftarg = int, rightarg = int, function = op)",
        "select 1 @+@ 1",
    ),
    (
        "create table fired (a int); create function fire() returns trigger language plpgsql \
         as 'begin perform evil(); return new; end'; \
         create trigger fires before insert on fired for each row execute function fire()",
        "insert into fired values (1) returning a::text",
    ),
    (
        "create table ruled (a int); create rule also as on insert to ruled do also select evil()",
        "insert into ruled values (1)",
    ),
    (
        "create table filled (a int, b text default evil())",
        "insert into filled (a) values (1) returning b",
    ),
    (
        "create type boxed as (a int); create function unbox(boxed) returns text language sql as 'select evil()'; \
         create cast (boxed as text) with function unbox(boxed)",
        "select cast(row(1)::boxed as text)",
    ),
    (
        "create function made(int) returns text immutable language plpgsql as 'begin return evil(); end'; \
         create table generated (a int, b text generated always as (made(a)) stored)",
        "insert into generated (a) values (1) returning a::text",
    ),
];

// Fault (Databases): a service that leaves settings, locks or tables in its session, however hidden | gives its connections to no other service | its answer | nothing
#[tokio::test]
async fn what_a_service_leaves_in_a_session_reaches_no_other_in_whichever_way_it_was_left() {
    let postgres = Postgres::start();
    postgres.sql("create table shadowed (a text)");
    postgres.sql("insert into shadowed values ('true')");
    postgres.sql(
        "create function evil() returns text language plpgsql as $$ begin \
         perform set_config('a.b', 'leaked', false), set_config('statement_timeout', '50ms', false), \
         pg_advisory_lock(7); \
         create temp table if not exists shadowed (a text); return 'left'; end $$",
    );
    let host = neighbours(&postgres, "pool = 1").await;
    let state = "select concat_ws(' ', current_setting('a.b', true), current_setting('statement_timeout'), \
                 (select a from shadowed), (select count(*) from pg_locks where locktype = 'advisory' \
                 and pid = pg_backend_pid()))";
    for (made, left) in WAYS {
        postgres.sql(made);
        ask(&host, "one", left).await;
        assert_eq!(ask(&host, "other", state).await, "30s true 0", "{left}");
    }
}

// Fault (Databases): a service that prepares what others ask under the driver's names | gives its connections to no other service | its answer | nothing
#[tokio::test]
async fn no_service_answers_the_statements_of_another() {
    let postgres = Postgres::start();
    postgres.sql(
        "create function evil() returns text language plpgsql as $$ declare it text; begin \
         for it in select name from pg_prepared_statements where statement = 'select 41' loop \
         execute format('deallocate %I', it); execute format('prepare %I as select 666', it); end loop; \
         for n in 1..99 loop begin execute format('prepare sqlx_s_%s as select 666', n); \
         exception when duplicate_prepared_statement then null; end; end loop; return 'left'; end $$",
    );
    postgres.sql("create view seen as select evil() as it");
    let host = neighbours(&postgres, "pool = 1").await;
    for _ in 0..3 {
        assert_eq!(ask(&host, "other", "select 41").await, "41");
        assert_eq!(ask(&host, "one", "select it from seen").await, "left");
    }
    assert_eq!(ask(&host, "other", "select 41").await, "41");
}

// Fault (Databases): a service that takes all connections | keeps some for the others | its answer | nothing of the others
#[tokio::test]
async fn a_service_that_takes_all_connections_it_can_get_leaves_others_theirs() {
    let postgres = Postgres::start();
    let host = neighbours(&postgres, "pool = 4").await;
    let greedy = (0..4).map(|n| ask_late(&host, n));
    let mut greedy = Box::pin(join_all(greedy));
    let running = "select count(*) from pg_stat_activity where query like '%held%' and state = 'active' \
                   and pid <> pg_backend_pid()";
    let held = async {
        eventually("the connections to be taken", async || {
            (postgres.sql(running) == "3").then_some(())
        })
        .await;
        // As often as it likes.
        for _ in 0..3 {
            assert_eq!(ask(&host, "other", "select 'fine'").await, "fine");
        }
    };
    tokio::select! {
        _ = &mut greedy => panic!("the statements ended by themselves"),
        () = held => {}
    }
}

async fn ask_late(host: &Host, number: usize) {
    let statement = format!("select 'held {number}' from pg_sleep(600)");
    host.send("POST", "/one", &statement).await;
}

// Fault (Databases): a service that fills the line for connections | serves those that wait in turn | its answer | nothing of the others
#[tokio::test]
async fn services_that_wait_for_a_connection_are_served_in_turn() {
    let postgres = Postgres::start();
    let host = neighbours(&postgres, "pool = 1\nacquire-timeout = \"1m\"").await;
    let done = std::cell::Cell::new(0);
    let many = (0..60).map(|_| async {
        assert_eq!(ask(&host, "one", "select 'slow' from pg_sleep(0.2)").await, "slow");
        done.set(done.get() + 1);
    });
    let few = async {
        eventually("the others to wait", async || {
            (host.service("one").await["in_flight"].as_u64() > Some(50)).then_some(())
        })
        .await;
        assert_eq!(ask(&host, "other", "select 'fine'").await, "fine");
        // It came last, and some may have been served before it came: on a busy machine as many as fit into seconds.
        assert!(done.get() <= 50, "{} were served before it", done.get());
    };
    tokio::select! {
        _ = join_all(many) => panic!("all were served before it"),
        () = few => {}
    }
}

// Fault (Databases): services that share a server without a connection to spare | waits until the one that was closed for another has gone | its answer | nothing
#[tokio::test]
async fn services_share_what_a_server_without_connections_to_spare_gives() {
    let mut postgres = Postgres::start();
    postgres.sql("alter system set superuser_reserved_connections = 0");
    // One for statements, and the one that the host asks over.
    postgres.sql("alter system set max_connections = 2");
    postgres.sql("alter system set max_wal_senders = 0");
    postgres.sql("alter system set max_locks_per_transaction = 10000");
    // What a session has of its own it removes before it leaves its place, which takes a while.
    postgres.sql(
        "create function fill() returns text language plpgsql as $$ begin for i in 1..60 loop \
         execute format('create temp table t%s (a text primary key)', i); end loop; return 'filled'; end $$",
    );
    postgres.sql("create view filled as select fill() as it");
    postgres.stop();
    postgres.resume();
    let host = neighbours(&postgres, "pool = 1").await;
    eventually("who looked whether the server is there to leave", async || {
        (host.send("POST", "/one", "select 'fine'").await.status == 200).then_some(())
    })
    .await;
    for _ in 0..5 {
        assert_eq!(ask(&host, "other", "select 'fine'").await, "fine");
        assert_eq!(ask(&host, "one", "select it from filled").await, "filled");
    }
}
