//! A real file, and statements that try to get out of it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::time::timeout;

use super::backend::{Connection, Database as _, Error, Output, Value};
use super::database::File;
use crate::backend::{Backend as _, Condition};
use crate::budget::{Budget, Holdings, on_account_of};
use crate::caught::Panicked;
use crate::context::RequestContext;
use wasm_host_limits::sqlite::{self as limits, SqliteLimits};

/// For what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

struct Place {
    folder: TempDir,
    file: File,
}

fn place(limits: SqliteLimits) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let file = File::new("notes", folder.path(), limits);
    Place { folder, file }
}

async fn run(connection: &Arc<dyn Connection>, statement: &str) -> Result<Output, Error> {
    with(connection, statement, Vec::new()).await
}

async fn with(
    connection: &Arc<dyn Connection>,
    statement: &str,
    parameters: Vec<Value>,
) -> Result<Output, Error> {
    connection.execute(statement.to_owned(), parameters, RequestContext::of_host("test")).await
}

#[tokio::test]
async fn values_come_back_as_they_were_stored_whatever_the_column_says() {
    let Place { file, .. } = place(SqliteLimits::default());
    let connection = file.open();
    run(&connection, "create table t (id integer primary key, it integer)").await.unwrap();
    let values = [
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Real(0.5),
        Value::Text("größe".to_owned()),
        Value::Blob { blob: vec![0, 255] },
    ];
    for (place, value) in values.iter().enumerate() {
        let written =
            with(&connection, "insert into t (it) values (?)", vec![value.clone()]).await.unwrap();
        assert_eq!(written.changes, 1);
        assert_eq!(written.last_insert_rowid, place as i64 + 1);
    }
    let read = run(&connection, "select it from t order by id").await.unwrap();
    assert_eq!(read.columns, ["it"]);
    assert_eq!(read.rows.concat(), values);
    // Known without rows, too.
    let none = run(&connection, "select id, it as other from t where id < 0").await.unwrap();
    assert_eq!(
        (none.columns.as_slice(), none.rows.len()),
        (&["id".to_owned(), "other".to_owned()][..], 0)
    );
}

// A component does not go on with what it has begun while it waits for another call as a whole.
#[tokio::test]
async fn a_statement_that_nothing_polls_any_more_holds_up_no_other() {
    let Place { file, .. } = place(SqliteLimits::default());
    let connection = file.open();
    let mut begun = pin!(run(&connection, "create table t (id int)"));
    assert!(poll!(&mut begun).is_pending());
    let written = timeout(PATIENCE, run(&connection, "insert into t values (1)")).await;
    assert_eq!(written.unwrap().unwrap().changes, 1);
    begun.await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_is_left_open_is_rolled_back_with_its_connection() {
    let Place { file, .. } = place(SqliteLimits::default());
    let connection = file.open();
    run(&connection, "create table t (id int)").await.unwrap();
    run(&connection, "begin").await.unwrap();
    run(&connection, "insert into t values (1)").await.unwrap();
    drop(connection);
    let other = file.open();
    let count = run(&other, "select count(*) from t").await.unwrap();
    assert_eq!(count.rows, [[Value::Integer(0)]]);
}

// Fault (Databases): a statement of SQLite attaches a file of the host, writes one, or raises its own bounds | is refused by SQLite itself, however it is written | the component's error, which says so | nothing
#[tokio::test]
async fn no_statement_reaches_another_file_or_a_bound() {
    let Place { file, folder } = place(SqliteLimits::default());
    let connection = file.open();
    let elsewhere = folder.path().join("elsewhere.sqlite");
    let elsewhere = elsewhere.to_str().unwrap();
    for statement in [
        format!("attach '{elsewhere}' as other"),
        format!("/* /* */ attach '{elsewhere}' as other"),
        format!("select 1; attach '{elsewhere}' as other"),
        format!("vacuum into '{elsewhere}'"),
        "attach ':memory:' as other".to_owned(),
        "attach '' as other".to_owned(),
        "pragma max_page_count = 1000000".to_owned(),
        "PRAGMA main.hard_heap_limit = 1".to_owned(),
        "pragma cache_size = -1000000".to_owned(),
        "pragma temp_store_directory = '/'".to_owned(),
        "pragma journal_mode = off".to_owned(),
        "pragma writable_schema = on".to_owned(),
        "pragma mmap_size = 1000000000".to_owned(),
        "pragma page_size = 65536".to_owned(),
        "select * from pragma_wal_checkpoint".to_owned(),
        "select load_extension('x')".to_owned(),
        "select writefile('/tmp/x', 'x')".to_owned(),
    ] {
        let refused = run(&connection, &statement).await;
        assert!(refused.is_err(), "{statement}: {refused:?}");
    }
    assert!(!std::path::Path::new(elsewhere).exists());
    // What is of use is allowed.
    for statement in ["pragma foreign_keys = on", "pragma table_info(t)", "pragma user_version = 3"]
    {
        run(&connection, statement).await.unwrap();
    }
}

// Fault (Databases): a component fills its SQLite database | gets an error and can delete | `database-full` | nothing
#[tokio::test]
async fn a_full_database_takes_no_more_and_has_room_again_when_rows_are_deleted() {
    let limits = SqliteLimits { size_bytes: 1024 * 1024, ..SqliteLimits::default() };
    let Place { file, .. } = place(limits);
    let connection = file.open();
    run(&connection, "create table t (it blob)").await.unwrap();
    let more = "insert into t values (zeroblob(100000))";
    let mut full = None;
    for _ in 0..20 {
        if let Err(error) = run(&connection, more).await {
            full = Some(error);
            break;
        }
    }
    assert_eq!(full, Some(Error::Full));
    run(&connection, "delete from t").await.unwrap();
    run(&connection, more).await.unwrap();
    let huge = run(&connection, "select zeroblob(17000000)").await.unwrap_err();
    assert!(huge.to_string().contains("too big"), "{huge}");
}

const ENDLESS: &str =
    "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";

// Fault (Databases): a statement of SQLite does not end | is interrupted at its time, or when its client leaves | the component's error | nothing
#[tokio::test]
async fn a_statement_that_does_not_end_is_interrupted() {
    let limits =
        SqliteLimits { statement_timeout: Duration::from_millis(50), ..SqliteLimits::default() };
    let Place { file, .. } = place(limits);
    let connection = file.open();
    let late = run(&connection, ENDLESS).await.unwrap_err();
    assert!(late.to_string().contains("'statement-timeout'"), "{late}");
    // The connection goes on.
    run(&connection, "select 1").await.unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_statement_and_gives_back_its_place() {
    let limits = SqliteLimits { connections: 1, ..SqliteLimits::default() };
    let Place { file, .. } = place(limits);
    let connection = file.open();
    run(&connection, "select 1").await.unwrap();
    let request = RequestContext::of_host("test");
    let cancel = request.cancel().clone();
    let running = connection.execute(ENDLESS.to_owned(), Vec::new(), request);
    let (ended, ()) = tokio::join!(running, async {
        while file.calls() == 0 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    });
    assert_eq!(ended, Err(Error::Cancelled));
    let lost = run(&connection, "select 1").await.unwrap_err();
    assert!(lost.to_string().contains("open another"), "{lost}");
    // There is a place for one, which that has given back.
    run(&file.open(), "select 1").await.unwrap();
}

#[tokio::test]
async fn more_connections_than_there_may_be_wait_and_are_refused() {
    let limits = SqliteLimits {
        connections: 1,
        acquire_timeout: Duration::from_millis(20),
        ..SqliteLimits::default()
    };
    let Place { file, .. } = place(limits);
    let first = file.open();
    run(&first, "select 1").await.unwrap();
    let second = file.open();
    let refused = run(&second, "select 1").await.unwrap_err();
    assert!(refused.to_string().contains("all 1 connections"), "{refused}");
    drop(first);
    run(&second, "select 1").await.unwrap();
}

#[tokio::test]
async fn no_service_has_the_places_that_are_kept_for_one_that_has_none() {
    let limits = SqliteLimits {
        connections: 3,
        acquire_timeout: Duration::from_millis(20),
        ..SqliteLimits::default()
    };
    let Place { file, .. } = place(limits);
    let [greedy, other] = ["greedy", "other"].map(|name| file.for_service(name));
    let held = [greedy.open(), greedy.open()];
    for connection in &held {
        run(connection, "select 1").await.unwrap();
    }
    let refused = run(&greedy.open(), "select 1").await.unwrap_err();
    assert!(refused.to_string().contains("this service had all that it can have"), "{refused}");
    let first = other.open();
    run(&first, "select 1").await.unwrap();
}

#[tokio::test]
async fn no_statement_is_kept_prepared() {
    let Place { file, .. } = place(SqliteLimits::default());
    let (mut connection, _memory, _place) = file.connect(None).await.unwrap();
    sqlx::query("select 1").execute(&mut connection).await.unwrap();
    assert_eq!(connection.cached_statements_size(), 0);
}

#[tokio::test]
async fn rows_beyond_the_bound_are_an_error() {
    let Place { file, .. } = place(SqliteLimits::default());
    let many = "with recursive n(i) as (select 1 union all select i + 1 from n limit 30) \
                select zeroblob(1000000) from n";
    let refused = run(&file.open(), many).await.unwrap_err();
    assert!(refused.to_string().contains("ask for fewer"), "{refused}");
    let wide = format!("select {}", vec!["1"; limits::COLUMNS + 1].join(", "));
    let refused = run(&file.open(), &wide).await.unwrap_err();
    assert!(refused.to_string().contains("too many columns"), "{refused}");
}

const MIB: usize = 1024 * 1024;

/// What an instance may have in these tests beside what each connection has.
const ROOM: usize = 32 * MIB;

fn account(room: usize) -> Holdings {
    Holdings::new(room, &Budget::new(1024 * MIB).share(1024 * MIB))
}

/// Run a statement on account of an instance.
async fn run_for(
    account: &Holdings,
    connection: &Arc<dyn Connection>,
    statement: &str,
) -> Result<Output, Error> {
    let call = async { Ok::<_, Panicked>(run(connection, statement).await) };
    on_account_of(account.hold_nothing(), call).await.unwrap()
}

/// Wait until nothing is held.
async fn must_be_given_back(account: &Holdings) {
    let gone = async {
        while account.used() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("what was held is given back");
}

/// So many rows of a thousand bytes of chance.
fn many(rows: usize) -> String {
    format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n limit {rows}), \
         many(bytes) as (select randomblob(1000) from n)"
    )
}

// Fault (Databases): a statement of SQLite sorts much, fills a temporary table, or has a row of many large values | what SQLite takes for it counts for the instance, and is refused there | the component's error, which names the key | nothing
#[tokio::test]
async fn what_sqlite_takes_for_a_statement_counts_for_its_instance() {
    let Place { file, .. } = place(SqliteLimits::default());
    let (connection, account) = (file.open(), account(ROOM));
    let wide = vec!["randomblob(1000000)"; limits::COLUMNS].join(", ");
    let many = many(100_000);
    for statement in [
        format!("select {wide}"),
        format!("{many} select bytes from many order by bytes"),
        format!("{many} select count(*) from (select distinct bytes from many)"),
        format!("create temp table t as {many} select bytes from many"),
        format!(
            "{many} select group_concat(hex(substr(bytes, 1, 1))), count(distinct bytes) from many"
        ),
    ] {
        let refused = run_for(&account, &connection, &statement).await.unwrap_err().to_string();
        let told = format!("more than {ROOM} bytes for one instance");
        assert!(refused.contains(&told), "{}: {refused}", &statement[statement.len() - 40..]);
        // What it had taken is there for the next one.
        run_for(&account, &connection, "select 1").await.unwrap();
    }
    drop(connection);
    must_be_given_back(&account).await;
}

#[tokio::test]
async fn what_has_room_is_done_without_a_file() {
    let Place { file, .. } = place(SqliteLimits::default());
    let (connection, account) = (file.open(), account(ROOM));
    let fill = format!("create temp table t as {} select bytes from many", many(6_000));
    run_for(&account, &connection, &fill).await.unwrap();
    assert!(account.used() > MIB, "{}", account.used());
    let count = run_for(&account, &connection, "select count(distinct bytes) from t").await;
    assert_eq!(count.unwrap().rows, [[Value::Integer(6_000)]]);
    run_for(&account, &connection, "drop table t").await.unwrap();
    drop(connection);
    must_be_given_back(&account).await;
}

// Fault (Databases): there is no memory for the copy of a row of SQLite on its way to the component | the connection ends, and what is open in it is rolled back; another can be opened | the component's error, which says so | the transaction
#[tokio::test]
async fn a_row_that_has_no_room_twice_ends_its_connection_and_is_no_end_of_the_rows() {
    let Place { file, .. } = place(SqliteLimits::default());
    let (connection, account) = (file.open(), account(ROOM));
    let half = ["randomblob(12000000)"; 2].join(", ");
    let refused = run_for(&account, &connection, &format!("select {half}")).await.unwrap_err();
    assert!(refused.to_string().contains("for one instance"), "{refused}");
    let lost = run_for(&account, &connection, "select 1").await.unwrap_err();
    assert!(lost.to_string().contains("open another"), "{lost}");
    must_be_given_back(&account).await;
    run_for(&account, &file.open(), "select 1").await.unwrap();
}

#[tokio::test]
async fn rows_that_were_given_count_until_their_call_ends() {
    let Place { file, .. } = place(SqliteLimits::default());
    let (connection, account) = (file.open(), account(ROOM));
    let rows = "with recursive n(i) as (select 1 union all select i + 1 from n limit 3) \
                select zeroblob(1000000) from n";
    let call = async {
        let output = run(&connection, rows).await.unwrap();
        assert_eq!(output.rows.len(), 3);
        assert!(account.used() >= 3_000_000, "{}", account.used());
        Ok::<_, Panicked>(())
    };
    on_account_of(account.hold_nothing(), call).await.unwrap();
    drop(connection);
    must_be_given_back(&account).await;
    // They have less room than the bound on rows.
    let (few, connection) = (self::account(2 * MIB), file.open());
    let refused = run_for(&few, &connection, rows).await.unwrap_err();
    assert!(refused.to_string().contains("for one instance"), "{refused}");
}

// Fault (Databases): a component gives its SQLite database so many or so large tables that to know them takes much memory | opening it counts for the instance, and is refused there | the component's error, which names the key | nothing
#[tokio::test]
async fn tables_that_take_much_to_know_count_for_what_opens_the_file() {
    let Place { file, .. } = place(SqliteLimits::default());
    let connection = file.open();
    for number in 0..12 {
        let text = "x".repeat(1_000_000);
        run(&connection, &format!("create table t{number} (it text default '{text}')"))
            .await
            .unwrap();
    }
    let (small, large) = (account(MIB), account(ROOM));
    let refused = run_for(&small, &file.open(), "select 1").await.unwrap_err();
    assert!(refused.to_string().contains("for one instance"), "{refused}");
    assert_eq!(file.condition("notes").await, Condition::Up);
    run_for(&large, &file.open(), "select 1").await.unwrap();
}
