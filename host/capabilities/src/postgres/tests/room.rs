//! A database that may take no more room.

use super::*;

const WHY: &str = "it has 3 MiB, and may have 2 MiB";

/// A database with a table of one row, all in one connection.
async fn bounded(name: &str) -> (Bench, Room) {
    let mut bench = Bench::with(name, PoolConfig { connections: 1, ..quick() }).await;
    let room = Room::default();
    bench.database = bench.database.clone().within(room.clone());
    bench.execute("create table t as select 1 as a").await.unwrap();
    (bench, room)
}

#[track_caller]
fn assert_refused(result: Result<u64, Error>) {
    let error = result.unwrap_err();
    assert_eq!(sqlstate(&error), "25006", "{error:?}");
    assert!(format!("{error:?}").contains(WHY), "{error:?}");
}

async fn in_transaction(bench: &Bench, statements: &[&str]) -> Result<u64, Error> {
    let transaction = bench.database.begin(request()).await?;
    let mut count = 0;
    for statement in statements {
        count = transaction.execute(statement.to_string(), Vec::new(), request()).await?;
    }
    transaction.commit(request()).await.map(|()| count)
}

#[tokio::test]
async fn a_full_database_reads_and_makes_room_and_does_not_write() {
    let (bench, room) = bounded("roomfull").await;
    let insert = "insert into t values (2)";
    let process = bench.one("select pg_backend_pid()").await;
    room.is_full_because(WHY);
    assert_refused(bench.execute(insert).await);
    assert_refused(bench.execute("create table u (a int)").await);
    assert_refused(in_transaction(&bench, &[insert]).await);
    assert_refused(in_transaction(&bench, &["delete from t"]).await);
    assert_eq!(bench.one("select a from t").await, "Value::Scalar(Scalar::Int32(1))");
    // A transaction that says it wants to write does.
    let willing = ["set transaction read write", "insert into t values (3)"];
    assert_eq!(in_transaction(&bench, &willing).await.unwrap(), 1);
    assert_refused(bench.execute(insert).await);
    // What makes room does.
    assert_eq!(bench.execute("delete from t where a = 3").await.unwrap(), 1);
    assert_refused(bench.execute(insert).await);
    // Also when the session has been put back into its first state.
    bench.execute("set search_path = nowhere").await.unwrap();
    assert_refused(bench.execute(insert).await);
    bench.execute("set default_transaction_read_only = off").await.unwrap();
    assert_refused(bench.execute(insert).await);
    bench.execute("truncate t").await.unwrap();
    bench.execute("vacuum full t").await.unwrap();
    room.is_free();
    assert_eq!(bench.execute(insert).await.unwrap(), 1);
    assert_eq!(in_transaction(&bench, &[insert]).await.unwrap(), 1);
    // All of it in one session.
    assert_eq!(bench.one("select pg_backend_pid()").await, process);
}

#[tokio::test]
async fn what_a_role_has_set_for_its_transactions_holds_again_when_there_is_room() {
    let (bench, room) = bounded("roomrole").await;
    bench.execute("alter role current_user set default_transaction_read_only = on").await.unwrap();
    // In a session that begins with it.
    let other = PgDatabase::new(bench.address.clone(), quick()).within(room.clone());
    let read_only = "select current_setting('default_transaction_read_only')";
    for full in [false, true, false] {
        match full {
            true => room.is_full_because(WHY),
            false => room.is_free(),
        }
        let rows = other.query(read_only.to_string(), Vec::new(), request()).await.unwrap();
        let rows = collect(rows).await.unwrap();
        assert_eq!(format!("{:?}", rows[0][0]), "Value::Scalar(Scalar::Text(\"on\"))");
    }
}

#[tokio::test]
async fn who_is_ended_because_a_database_is_full_is_told_so() {
    let (mut bench, room) = bounded("roomend").await;
    let slow = "insert into t select pg_sleep(60)::text::int /* slow */";
    let database = bench.database.clone();
    let slow = database.execute(slow.to_string(), Vec::new(), request());
    let end = async {
        bench.until_running("slow", 1).await;
        room.is_full_because(WHY);
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%/* slow */' \
                   and pid <> pg_backend_pid()";
        sqlx::query(end).execute(&mut bench.watcher).await.unwrap();
    };
    let (ended, ()) = tokio::join!(slow, end);
    let Err(Error::Unavailable(told)) = ended else { panic!("{ended:?}") };
    assert!(told.contains("ended") && told.contains(WHY), "{told}");
}
