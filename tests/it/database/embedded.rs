//! Databases of the host's own: what one of them does, or is done to, costs no other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use wasm_host_tests::client::Reply;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::{client, eventually, postgres};

/// Two services that run what they are sent, each on a database of its own, and one without any.
fn neighbours(keys: &str) -> App {
    neighbours_with(keys, "")
}

/// The same with keys for both databases.
fn neighbours_with(keys: &str, other_keys: &str) -> App {
    let app = App::new(&format!(
        r#"
name = "neighbours"

[postgres.one]
statement-timeout = "1s"
{keys}

[postgres.two]
{other_keys}

[service.one]
component = "$(querier)"
postgres = "one"
health = "/"

[service.two]
component = "$(querier)"
postgres = "two"

[service.asker]
component = "$(caller)"
services = ["one"]
environment = {{ PEER = "http://one/" }}
health = "/"

[service.good]
component = "$(hello-p3)"
"#
    ));
    // The server's user gets there.
    fs::set_permissions(app.path(), fs::Permissions::from_mode(0o755)).unwrap();
    app
}

async fn ask(host: &Host, database: &str, sql: &str) -> Reply {
    host.send("POST", &format!("/{database}"), sql).await
}

async fn is_well(host: &Host, database: &str) {
    let reply = ask(host, database, "select 'well'").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "well\n"));
}

async fn done(host: &Host, database: &str, sql: &str) {
    let reply = ask(host, database, sql).await;
    assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
}

/// A statement that fails when its answer has begun.
async fn breaks_off(host: &Host, database: &str, sql: &str) {
    let mut answer = client::open(&host.address, "POST", &format!("/{database}"), &[], sql).await;
    let rest = answer.rest().await;
    assert!(answer.status != 200 || rest.is_err(), "{sql}: {rest:?}");
}

/// What it answers, if that is whole: while the disk is full, a neighbour may be ended as well.
async fn whole(host: &Host, database: &str, sql: &str) -> Option<String> {
    let mut answer = client::open(&host.address, "POST", &format!("/{database}"), &[], sql).await;
    let rest = answer.rest().await.ok().filter(|_| answer.status == 200)?;
    String::from_utf8(rest).ok()
}

async fn degraded(host: &Host) -> String {
    client::send(&host.admin, "GET", "/ready", &[], "").await.text().to_string()
}

// Fault (Databases): a server of the host's own that does not start | serves everything else, tries again | 503 of the services that ask it, until it starts | nothing
#[tokio::test]
async fn a_server_that_does_not_start_takes_down_only_the_services_that_ask_it_until_it_does() {
    let app = neighbours("");
    let host = app.serve().await;
    done(&host, "one", "create table kept as select 'kept'::text as a").await;
    let control = host.state().join("postgres/data/global/pg_control");
    host.stop().await;

    let away = control.with_extension("away");
    fs::rename(&control, &away).unwrap();
    let host = app.serve().await;
    assert_eq!(host.get("/good").await.status, 200);
    for database in ["one", "two"] {
        let reply = ask(&host, database, "select 'well'").await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "1"));
        assert!(reply.text().contains("did not start"), "{}", reply.text());
        assert_eq!(host.service(database).await["state"], "no database");
    }
    assert_eq!(host.service("good").await["state"], "running");
    let ready = degraded(&host).await;
    assert!(ready.contains("the database one is missing: its server does not start"), "{ready}");
    // In the server's own words.
    assert!(ready.contains("pg_control"), "{ready}");
    host.logs("a database is missing, everything else is served").await;

    fs::rename(&away, &control).unwrap();
    eventually("the database to be there", async || {
        let reply = ask(&host, "one", "select a from kept").await;
        (reply.text() == "kept\n").then_some(())
    })
    .await;
    eventually("the other one to be there", async || {
        (ask(&host, "two", "select 'well'").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(host.service("one").await["state"], "running");
    assert!(!degraded(&host).await.contains("missing"));
    assert_eq!(host.stop().await.0.code(), Some(0));
}

#[tokio::test]
async fn a_host_whose_server_does_not_start_stops_when_it_is_told_to() {
    let app = neighbours("");
    let host = app.serve().await;
    let control = host.state().join("postgres/data/global/pg_control");
    host.stop().await;
    fs::remove_file(control).unwrap();
    let host = app.serve().await;
    assert_eq!(host.stop().await.0.code(), Some(0));
}

/// Goes on when it is cancelled and when its client has left.
const STUBBORN: &str = "do $$ begin \
    perform set_config('statement_timeout', '0', false); \
    perform set_config('client_connection_check_interval', '0', false); \
    loop begin perform pg_sleep(600); exception when query_canceled then null; end; end loop; end $$";

// Fault (Databases): a statement that catches its end | ends its process | the component's error | the request
#[tokio::test]
async fn statements_that_catch_their_end_are_ended_all_the_same_and_leave_the_neighbour_its_connections()
 {
    let host = neighbours("pool = 4").serve().await;
    for _ in 0..6 {
        let stubborn = (0..4).map(|_| breaks_off(&host, "one", STUBBORN));
        futures_util::future::join_all(stubborn).await;
        is_well(&host, "two").await;
        // No more than it may have.
        let held: u32 = connections(&host).await;
        assert!(held <= 12, "{held}");
    }
    eventually("all of them to end", async || {
        // One is the host's, to cancel statements with.
        (connections(&host).await <= 1).then_some(())
    })
    .await;
    is_well(&host, "one").await;
}

/// How many the first database has, as the second one sees it.
async fn connections(host: &Host) -> u32 {
    let count = "select count(*)::int from pg_stat_activity where usename = 'one'";
    ask(host, "two", count).await.text().trim().parse().unwrap()
}

// Fault (Databases): a role that is set to be of no use | resets it at the next start | errors until then | nothing
#[tokio::test]
async fn what_a_component_did_to_its_role_or_database_is_undone_at_the_next_start() {
    let script = "alter role current_user set lock_timeout = '7s';\ncreate extension pgcrypto;\n\
                  create schema more;\nalter role current_user set search_path = public, more, \"Od d\";";
    let app = neighbours("init = [\"init.sql\"]");
    fs::write(app.path().join("init.sql"), script).unwrap();
    let host = app.serve().await;
    for sql in [
        "alter database one connection limit 0",
        "alter database one set default_transaction_read_only = on",
        "alter database one rename to other",
    ] {
        let reply = ask(&host, "one", sql).await;
        assert!(reply.text().contains("must be owner of database"), "{sql}: {}", reply.text());
    }
    // In one statement: no other connection is of use afterwards.
    let settings = "do $$ begin alter role current_user set default_transaction_read_only = on; \
                    alter role current_user set lock_timeout = '1s'; \
                    alter role current_user set search_path = nowhere; \
                    alter role current_user in database one set statement_timeout = 1; end $$";
    done(&host, "one", settings).await;
    host.stop().await;

    let host = app.serve().await;
    host.logs("what its statements set for its role or for all of it is reset").await;
    // Writes, and not within a millisecond.
    done(&host, "one", "create table t as select pg_sleep(0.01)::text").await;
    let settings = ask(
        &host,
        "one",
        "select concat_ws(' | ', current_setting('lock_timeout'), current_setting('search_path'))",
    );
    // Those of init scripts stay.
    assert_eq!(settings.await.text(), "7s | public, more, \"Od d\"\n");
    host.stop().await;
    let (_, log) = app.serve().await.stop().await;
    assert!(!log.contains("is reset"), "{log}");
}

#[tokio::test]
async fn a_database_of_an_older_host_that_its_component_closed_is_opened_again() {
    let app = neighbours("");
    let host = app.serve().await;
    done(&host, "one", "create table t as select 'kept'::text as a").await;
    let data = host.state().join("postgres/data");
    host.stop().await;
    // As older hosts left it: the component is the owner, and has used that.
    let as_left = [
        "alter database one owner to one",
        "alter schema public owner to pg_database_owner",
        "revoke all on database one from one",
        "alter database one set default_transaction_read_only = on",
        "grant connect on database one to public",
        "alter database one connection limit 0",
        "alter role one connection limit 0",
    ];
    postgres::offline(&data, "one", &as_left);

    let host = app.serve().await;
    assert_eq!(ask(&host, "one", "select a from t").await.text(), "kept\n");
    done(&host, "one", "create table more (x int)").await;
    let reply = ask(&host, "one", "alter database one connection limit 0").await;
    assert!(reply.text().contains("must be owner of database"), "{}", reply.text());
    let open = "select has_database_privilege('two', 'one', 'connect')::text";
    assert_eq!(ask(&host, "one", open).await.text(), "false\n");
}

// Fault (Databases): a statement that wants all memory | lets its process have so much | the component's error | the request
#[tokio::test]
async fn memory_that_a_statement_asks_for_is_bounded_whatever_it_sets() {
    let host = neighbours("").serve().await;
    for greedy in [
        "select length(repeat('x', 900000000) || repeat('y', 100000000))",
        "do $$ begin perform set_config('work_mem', '64GB', false); \
         perform set_config('hash_mem_multiplier', '1000', false); \
         perform count(*) from (select distinct g, repeat(g::text, 300) from generate_series(1, 9000000) g) a; \
         end $$",
    ] {
        breaks_off(&host, "two", greedy).await;
        is_well(&host, "one").await;
        is_well(&host, "two").await;
    }
    let log = host.state().join("postgres/server.log");
    let log = eventually("both to have failed for want of memory", async || {
        let log = fs::read_to_string(&log).unwrap();
        (log.matches("ERROR:  out of memory").count() == 2).then_some(log)
    })
    .await;
    assert!(!log.contains("terminated by signal"), "{log}");
}

#[tokio::test]
async fn temporary_files_of_a_statement_are_bounded() {
    let host = neighbours("").serve().await;
    let limit = "select current_setting('temp_file_limit')";
    assert_eq!(ask(&host, "two", limit).await.text(), "1GB\n");
    for more in ["set temp_file_limit = -1", "alter role current_user set temp_file_limit = -1"] {
        let reply = ask(&host, "two", more).await;
        assert!(reply.text().contains("permission denied"), "{}", reply.text());
    }
}

// Fault (Databases): a statement that takes all locks of a server | ends it, shuts its database out for a while | 503 of the services that ask it; errors of its neighbours for less than a second | the request
#[tokio::test]
async fn a_statement_that_takes_all_locks_is_ended_and_its_database_shut_out_while_others_are_served()
 {
    let host = neighbours("").serve().await;
    // Until the table is full, and then to stay.
    let locks = "do $$ begin begin perform pg_advisory_lock(g) from generate_series(1, 10000000) g; \
                 exception when out_of_memory then null; end; \
                 loop begin perform pg_sleep(600); exception when query_canceled then null; end; end loop; end $$";
    breaks_off(&host, "two", locks).await;
    host.logs("none is let in for 60s").await;
    is_well(&host, "one").await;
    let count = "select count(*)::int from pg_class";
    assert_eq!(ask(&host, "one", count).await.status, 200);
    eventually("its database to be shut", async || {
        (ask(&host, "two", "select 'well'").await.status == 503).then_some(())
    })
    .await;
    assert_eq!(host.get("/good").await.status, 200);
}

// Fault (Databases): a statement that fills the disk | ends it before the server cannot write its journal | 503 of what writes meanwhile | the request
#[tokio::test]
async fn a_table_that_fills_the_disk_ends_its_statement_and_not_the_server() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    // A small disk of its own.
    let app = neighbours("").before(
        "mkdir .wasm-host\nset -- unshare -m sh -c 'mount -t tmpfs -o size=300m,mode=755 none .wasm-host && \
         exec \"$@\"' sh \"$@\"",
    );
    let host = app.serve().await;
    done(&host, "one", "create table t as select 'kept'::text as a").await;
    // Slowly enough that the guard looks several times between its bound and the last byte.
    // The numbers come row by row: in `from` by itself the function would write all of them to a file first.
    let fill = "create table f as select repeat(g::text, 100), case when g % 2000 = 0 then pg_sleep(0.05)::text end \
                from (select generate_series(1, 100000000) as g) numbers";
    for _ in 0..2 {
        breaks_off(&host, "two", fill).await;
        eventually("the neighbour to be served", async || {
            whole(&host, "one", "select a from t").await.filter(|text| text == "kept\n")
        })
        .await;
    }
    assert_eq!(host.get("/good").await.status, 200);
    eventually("the disk to be free again", async || {
        whole(&host, "one", "insert into t values ('more')").await
    })
    .await;
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("a transaction that writes is ended: the disk is almost full"), "{log}");
    assert!(!log.contains("ended by itself"), "{log}");
}

/// Until it is refused: with the reason, and what can be done. A statement may break off before, when its database
/// becomes full.
async fn refused(host: &Host, database: &str, sql: &str) {
    let told = eventually("a statement that writes to be refused", async || {
        let mut answer =
            client::open(&host.address, "POST", &format!("/{database}"), &[], sql).await;
        let rest = answer.rest().await.ok().filter(|_| answer.status == 500)?;
        String::from_utf8(rest).ok()
    })
    .await;
    let key = format!("`size` of [postgres.{database}] allows 32 MiB");
    for part in ["25006", "read-only", &key, "`truncate`"] {
        assert!(told.contains(part), "{told}");
    }
}

/// In a table that nothing but a statement makes smaller.
const LARGE: &str = "create table f (a text, b text) with (autovacuum_enabled = false)";

// Fault (Databases): a database of the host's own that is over its `size` | ends what writes to it, lets it be read, and be written to again when there is room | 25006 with the key, or 503 of what wrote at that moment | the request
#[tokio::test]
async fn a_database_over_its_size_is_only_read_until_there_is_room_and_its_neighbour_writes_on() {
    let app = neighbours_with("", "size = \"32MiB\"");
    let host = app.serve().await;
    done(&host, "two", "create table t as select 'kept'::text as a").await;
    done(&host, "two", LARGE).await;
    // Row by row, and slowly enough that it is measured several times before its statement would time out.
    let fill = "insert into f select repeat(g::text, 100), case when g % 2000 = 0 then pg_sleep(0.05)::text end \
                from (select generate_series(1, 100000000) as g) numbers";
    breaks_off(&host, "two", fill).await;
    host.logs("and `size` of [postgres.two] allows 32 MiB: what writes is refused").await;
    host.logs("transactions that write are ended, for the database is full").await;
    for write in
        ["insert into t values ('more')", "create table more (a text)", "update t set a = 'x'"]
    {
        refused(&host, "two", write).await;
    }
    assert_eq!(ask(&host, "two", "select a from t").await.text(), "kept\n");
    assert!(degraded(&host).await.contains("the database two is full: it has "));
    done(&host, "one", "create table t as select 'kept'::text as a").await;
    done(&host, "one", "insert into t values ('more')").await;

    // It is full after a restart, too, and that is nothing that its statements have set.
    let (status, _) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    let host = app.serve().await;
    host.logs("and `size` of [postgres.two] allows 32 MiB: what writes is refused").await;
    refused(&host, "two", "insert into t values ('more')").await;
    assert_eq!(ask(&host, "two", "select a from t").await.text(), "kept\n");

    done(&host, "two", "truncate f").await;
    host.logs("it is written to again").await;
    done(&host, "two", "insert into t values ('more')").await;
    assert!(!degraded(&host).await.contains("full"));
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    assert!(!log.contains("is reset") && !log.contains("ended by itself"), "{log}");
    let (_, log) = app.serve().await.stop().await;
    assert!(!log.contains("is reset") && !log.contains("is full"), "{log}");
}

// Fault (Databases): a full database that grows all the same | lets no connection in until the host starts again | 503 of the services that ask it | the request
#[tokio::test]
async fn a_full_database_that_grows_all_the_same_is_shut_until_it_may_have_more() {
    let app = neighbours_with("", "size = \"32MiB\"");
    let host = app.serve().await;
    done(&host, "two", LARGE).await;
    done(&host, "two", "create table t as select 'kept'::text as a").await;
    // Grows in what looks as if it made room.
    let grow = "create function grow() returns int language sql as $$ insert into f \
                select repeat(g::text, 100) from generate_series(10000, 13000) g; select 0 $$";
    done(&host, "two", grow).await;
    eventually("the database to be shut", async || {
        whole(&host, "two", "delete from t where grow() = 1").await;
        host.log().contains("its connections are closed, and none is let in").then_some(())
    })
    .await;
    eventually("nobody to be let in", async || {
        let reply = whole(&host, "two", "select a from t").await;
        reply.is_none().then_some(())
    })
    .await;
    is_well(&host, "one").await;
    host.stop().await;

    let file = app.path().join("wasm-host.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("32MiB", "4GiB")).unwrap();
    let host = app.serve().await;
    assert_eq!(ask(&host, "two", "select a from t").await.text(), "kept\n");
    done(&host, "two", "insert into t values ('more')").await;
}

// Fault (Databases): an init script that loads more than `size` | runs it; the database is full from the start | 25006 of what writes | nothing
#[tokio::test]
async fn an_init_script_may_load_more_than_the_size_and_a_later_one_makes_room() {
    let app = neighbours("size = \"32MiB\"\ninit = [\"load.sql\"]");
    let load = format!(
        "{LARGE};\ncreate table t as select 'kept'::text as a;\n\
         insert into f select repeat(g::text, 100) from generate_series(10000, 90000) g;"
    );
    fs::write(app.path().join("load.sql"), load).unwrap();
    let host = app.serve().await;
    host.logs("and `size` of [postgres.one] allows 32 MiB: what writes is refused").await;
    refused(&host, "one", "insert into t values ('more')").await;
    assert_eq!(ask(&host, "one", "select a from t").await.text(), "kept\n");
    host.stop().await;

    let file = app.path().join("wasm-host.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"load.sql\"", "\"load.sql\", \"free.sql\"")).unwrap();
    let free = "insert into t values ('more');\ntruncate f;";
    fs::write(app.path().join("free.sql"), free).unwrap();
    let host = app.serve().await;
    done(&host, "one", "insert into t values ('most')").await;
    let (_, log) = host.stop().await;
    assert!(!log.contains("is full") && !log.contains("is reset"), "{log}");
}

// Fault (Databases): a disk that is full at the start | gives the server the room that was kept, and starts it | its answers; what writes is ended | nothing that was committed
#[tokio::test]
async fn a_server_that_stopped_starts_again_on_a_full_disk_by_the_room_that_was_kept() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let app = neighbours("");
    let host = app.serve().await;
    done(&host, "one", "create table t as select 'kept'::text as a").await;
    let reserve = host.state().join("postgres/reserve");
    eventually("room to be put aside", async || reserve.exists().then_some(())).await;
    host.stop().await;

    // The same folder on a small disk of its own, on which something else has taken all that was free.
    let host = app
        .before(
            "mv .wasm-host kept && mkdir .wasm-host\nset -- unshare -m sh -c 'mount -t tmpfs -o size=400m,mode=755 none \
             .wasm-host && cp -a --sparse=never kept/. .wasm-host/ && \
             ! dd if=/dev/zero of=.wasm-host/other bs=1M 2>/dev/null && exec \"$@\"' sh \"$@\"",
        )
        .serve()
        .await;
    host.logs("the room that was kept for this is given to it").await;
    assert_eq!(ask(&host, "one", "select a from t").await.text(), "kept\n");
    assert_eq!(host.get("/good").await.status, 200);
    assert_eq!(host.stop().await.0.code(), Some(0));
}
