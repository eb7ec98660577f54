//! Against real servers, started in folders of their own. `server` is one that all tests share.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Weak, mpsc};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};

use super::*;

/// A running server, stopped when the last test releases it.
struct Shared {
    server: Option<Arc<EmbeddedServer>>,
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::ops::Deref for Shared {
    type Target = EmbeddedServer;

    fn deref(&self) -> &EmbeddedServer {
        self.server.as_ref().unwrap()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        drop((self.server.take(), self.end.take()));
        let _ = self.thread.take().unwrap().join();
    }
}

static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// The server that tests share. It runs on a runtime of its own, since each test's runtime ends
/// with it.
fn server() -> Arc<Shared> {
    let mut shared = SHARED.lock();
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let started = Arc::new(own_server());
    *shared = Arc::downgrade(&started);
    started
}

/// A server for one test.
fn own_server() -> Shared {
    let (send, receive) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let folder = folder();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let server = runtime.block_on(start(config(folder.path()))).unwrap();
        let server = Arc::new(server);
        send.send(server.clone()).unwrap();
        let _ = ended.recv();
        runtime.block_on(Arc::into_inner(server).unwrap().stop());
    });
    let server = Some(receive.recv().unwrap());
    Shared { server, end: Some(end), thread: Some(thread) }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn config(folder: &Path) -> EmbeddedConfig {
    let state_dir = folder.to_path_buf();
    EmbeddedConfig { state_dir, name: "test".to_string(), shares: BTreeMap::default() }
}

async fn text(address: &Address, query: &'static str) -> String {
    let mut sql = PgConnection::connect_with(address.options()).await.unwrap();
    let row = sqlx::raw_sql(query).fetch_one(&mut sql).await.unwrap();
    sql.close().await.unwrap();
    row.try_get(0).unwrap()
}

async fn run(address: &Address, statement: &'static str) {
    let mut sql = PgConnection::connect_with(address.options()).await.unwrap();
    sql.execute(sqlx::raw_sql(statement)).await.unwrap();
    sql.close().await.unwrap();
}

/// The server's process, once it has noted it.
fn noted(server: &EmbeddedServer) -> Option<String> {
    let note = fs::read_to_string(server.folder.data().join("postmaster.pid")).ok()?;
    note.lines().next().map(str::to_string)
}

fn process(server: &EmbeddedServer) -> String {
    noted(server).unwrap()
}

#[tokio::test]
async fn data_survives_a_restart_and_the_server_stops_with_the_host() {
    let folder = folder();
    let server = start(config(folder.path())).await.unwrap();
    let address = server.database("app").await.unwrap();
    run(&address, "create table t (a text); insert into t values ('kept')").await;
    let pid = process(&server);
    server.stop().await;
    assert!(!Path::new("/proc").join(pid).exists(), "the server still runs");

    let server = start(config(folder.path())).await.unwrap();
    let again = server.database("app").await.unwrap();
    assert_eq!(text(&again, "select a from t").await, "kept");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_an_operator_ends_is_started_again() {
    let server = own_server();
    let address = server.database("ended").await.unwrap();
    let first = process(&server);
    let pid = first.parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
    let back = async {
        loop {
            // Of the one that was ended, nothing answers.
            let connected = PgConnection::connect_with(address.options()).await;
            if connected.is_ok() && noted(&server).is_some_and(|process| process != first) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), back).await.expect("it stays away");
}

#[tokio::test]
async fn a_second_host_is_told_who_holds_the_folder() {
    let folder = folder();
    let held = Folder::open(folder.path(), None).unwrap();
    let error = start(config(folder.path())).await.unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    drop(held);
    Folder::open(folder.path(), None).unwrap();
}

#[tokio::test]
async fn a_server_that_outlived_its_host_is_stopped_and_its_data_kept() {
    let state = folder();
    let server = start(config(state.path())).await.unwrap();
    let address = server.database("app").await.unwrap();
    run(&address, "create table t (a text); insert into t values ('kept')").await;
    let orphan = process(&server);
    // What a killed host leaves behind: a server, no lock, no process that would stop it.
    let EmbeddedServer { process: forgotten, folder, .. } = server;
    forgotten.abandon();
    drop(folder);

    let server = start(config(state.path())).await.unwrap();
    assert_ne!(process(&server), orphan);
    let address = server.database("app").await.unwrap();
    assert_eq!(text(&address, "select a from t").await, "kept");
    server.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_start_that_is_given_up_leaves_no_server_behind() {
    let folder = folder();
    let server = start(config(folder.path())).await.unwrap();
    let data = server.folder.data();
    server.stop().await;
    // It begins with a recovery that takes longer than any test waits.
    fs::write(data.join("recovery.signal"), "").unwrap();
    let mut settings =
        fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
    std::io::Write::write_all(&mut settings, b"restore_command = 'sleep 600'\n").unwrap();
    let note = data.join("postmaster.pid");
    let pid = tokio::select! {
        started = start(config(folder.path())) => panic!("it has started: {started:?}"),
        pid = async {
            loop {
                let told = fs::read_to_string(&note).unwrap_or_default();
                // Its last line comes when it waits for the recovery.
                if told.lines().count() >= 8 {
                    break told.lines().next().unwrap().to_string();
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        } => pid,
    };
    let server = Path::new("/proc").join(pid);
    for _ in 0..600 {
        // Its parent has no time to ask for its end any more.
        let ended =
            fs::read_to_string(server.join("stat")).map_or(true, |stat| stat.contains(") Z "));
        if ended {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the server still runs");
}

#[tokio::test]
async fn a_stale_note_with_the_number_of_another_program_is_no_obstacle() {
    let folder = folder();
    let server = start(config(folder.path())).await.unwrap();
    let data = server.folder.data();
    server.stop().await;
    let mut other = std::process::Command::new("sleep");
    if let Some(account) = Account::choose().unwrap() {
        // One of the same user, which the server would take for another server.
        other = account.std_command("sleep");
    }
    let mut other = other.arg("60").spawn().unwrap();
    let note = format!("{}\n{}\n1\n1\n\n127.0.0.1\n\n", other.id(), data.display());
    fs::write(data.join("postmaster.pid"), note).unwrap();
    let server = start(config(folder.path())).await;
    other.kill().unwrap();
    other.wait().unwrap();
    server.unwrap().stop().await;
}

#[tokio::test]
async fn the_password_is_in_no_log_and_on_no_command_line() {
    let server = server();
    let address = server.database("secret").await.unwrap();
    let password = server.folder.password_for("secret");
    let administrator = server.folder.password_for(ADMINISTRATOR);
    // A wrong password makes the server write about logins.
    let wrong = Address::new("127.0.0.1", server.port(), "secret", "wrong", "secret");
    let refused = PgConnection::connect_with(wrong.options()).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "28P01");
    let told = async {
        loop {
            let log = fs::read_to_string(server.log_file()).unwrap();
            if log.contains("password authentication failed") {
                return log;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let told = tokio::time::timeout(std::time::Duration::from_secs(60), told).await;
    let log = told.expect("it does not log that it refused a login");
    let mode = fs::metadata(server.log_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let line = fs::read(format!("/proc/{}/cmdline", process(&server))).unwrap();
    let seen = format!("{log} {address:?} {:?} {}", **server, String::from_utf8_lossy(&line));
    let secret = server.folder.log_file().with_file_name("password");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = fs::read_to_string(secret).unwrap();
    for hidden in [password.as_str(), administrator.as_str(), secret.trim()] {
        assert!(!seen.contains(hidden));
    }
}

#[tokio::test]
async fn a_component_logs_in_as_the_owner_of_what_is_in_its_database_and_no_more() {
    let server = server();
    let address = server.database("Own \"er\"").await.unwrap();
    let rights = "select concat(current_user, ' ', rolsuper, rolcreaterole, rolcreatedb) \
                  from pg_roles where rolname = current_user";
    assert_eq!(text(&address, rights).await, "Own \"er\" fff");
    run(&address, "create table t (a text); drop table t").await;
    server.database("other").await.unwrap();
    let error = PgConnection::connect_with(address.with_database("other").options()).await;
    assert_eq!(error.unwrap_err().as_database_error().unwrap().code().unwrap(), "42501");
    assert!(server.database("pg_x").await.is_err());
}

#[tokio::test]
async fn a_state_folder_that_the_servers_user_cannot_reach_works_all_the_same() {
    if Account::choose().unwrap().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let server = start(config(folder.path())).await.unwrap();
    server.database("app").await.unwrap();
    let home = server.folder.home().to_path_buf();
    assert!(home.starts_with("/var/lib/wasm-host"), "{home:?}");
    server.stop().await;
    let server = start(config(folder.path())).await.unwrap();
    assert_eq!(server.folder.home(), home);
    server.stop().await;
    fs::remove_dir_all(home).unwrap();
}

fn script(folder: &Path, name: &str, text: &str) -> Script {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    Script { name: format!("sql/{name}"), path }
}

#[tokio::test]
async fn init_scripts_run_once_with_bom_and_crlf_and_a_changed_one_is_refused() {
    let server = server();
    let address = server.database("init").await.unwrap();
    let folder = folder();
    let text = "\u{feff}create table t (a text);\r\ninsert into t values ('x');\r\n";
    let first = script(folder.path(), "a.sql", text);
    assert_eq!(apply(&address, std::slice::from_ref(&first)).await.unwrap(), ["sql/a.sql"]);
    // Another editor's line ends make no other script.
    script(folder.path(), "a.sql", "create table t (a text);\ninsert into t values ('x');\n");
    let second = script(folder.path(), "b.sql", "insert into t values ('y')");
    let both = [first.clone(), second];
    // Two hosts at once: one of them runs it.
    let (left, right) = tokio::join!(apply(&address, &both), apply(&address, &both));
    let mut ran = left.unwrap();
    ran.extend(right.unwrap());
    assert_eq!(ran, ["sql/b.sql"]);
    assert_eq!(super::tests::text(&address, "select string_agg(a, '') from t").await, "xy");

    script(folder.path(), "a.sql", "create table t (a int)");
    let error = apply(&address, &[first]).await.unwrap_err().to_string();
    assert!(error.contains("`sql/a.sql` has changed"), "{error}");
    assert!(error.contains("new script"), "{error}");
}

#[tokio::test]
async fn a_failing_init_script_names_its_line_and_leaves_nothing() {
    let server = server();
    let address = server.database("initfail").await.unwrap();
    let folder = folder();
    for (text, place) in [
        ("create table t (a int primary key);\nselect\n  no_such_column;", "`sql/a.sql:3`"),
        (
            "create table t (a int primary key);\ninsert into t values (1);\n\n\
             insert into t values (1);",
            "`sql/a.sql:4`",
        ),
    ] {
        let script = script(folder.path(), "a.sql", text);
        let error = apply(&address, &[script]).await.unwrap_err().to_string();
        assert!(error.contains(place) && error.contains("SQLSTATE"), "{error}");
        let left = "select concat(to_regclass('t'), (select count(*) from wasm_host_init))";
        assert_eq!(super::tests::text(&address, left).await, "0");
    }
}

#[tokio::test]
async fn a_script_that_would_end_its_transaction_is_refused_before_anything_runs() {
    let server = server();
    let address = server.database("initends").await.unwrap();
    let folder = folder();
    let first = script(folder.path(), "a.sql", "create table zero (a int)");
    for (text, place, what) in [
        (
            "begin;\ncreate table one(a int);\ncommit;\ninsert into nosuch values (1);",
            "`sql/b.sql:1`",
            "`begin`",
        ),
        ("create table one(a int);\n\n/* done */ commit", "`sql/b.sql:3`", "`commit`"),
        ("create table one(a int);\n\\connect other", "`sql/b.sql:2`", "psql"),
        ("create table one(a int);\ncopy one from stdin;\n1\n\\.\n", "`sql/b.sql:2`", "--inserts"),
    ] {
        let second = script(folder.path(), "b.sql", text);
        let error = apply(&address, &[first.clone(), second]).await.unwrap_err().to_string();
        assert!(error.contains(place) && error.contains(what), "{error}");
        let left = "select concat(to_regclass('zero'), to_regclass('one'))";
        assert_eq!(super::tests::text(&address, left).await, "", "{text}");
    }
    // The corrected one runs.
    let text = "create table one(a int);\ncreate function f() returns int\nbegin atomic\n  select 1;\nend;\n\
                do $$ begin insert into one values (f()); end $$; savepoint s; rollback to s;";
    let second = script(folder.path(), "b.sql", text);
    assert_eq!(apply(&address, &[first, second]).await.unwrap().len(), 2);
    assert_eq!(super::tests::text(&address, "select a::text from one").await, "1");
}

#[tokio::test]
async fn code_of_a_script_that_commits_fails_and_leaves_nothing() {
    let server = server();
    let address = server.database("initdo").await.unwrap();
    let folder = folder();
    for text in [
        "create table t(a int); do $$ begin insert into t values (1); commit; end $$;",
        "create table t(a int); create procedure p() language plpgsql as 'begin commit; end'; call p();",
        // A literal that another setting would read as one that goes on.
        "create table t(a int); set standard_conforming_strings = off; select '\\'; select 1 where 'x' = 1;",
    ] {
        let script = script(folder.path(), "a.sql", text);
        let error = apply(&address, &[script]).await.unwrap_err().to_string();
        assert!(error.contains("nothing of it was kept"), "{error}");
        assert_eq!(super::tests::text(&address, "select concat(to_regclass('t'))").await, "");
    }
}

#[tokio::test]
async fn a_script_is_read_as_it_was_checked_whatever_its_database_sets() {
    let server = server();
    let address = server.database("initreads").await.unwrap();
    let off = "alter role current_user set standard_conforming_strings = off";
    run(&address, off).await;
    let folder = folder();
    // With a backslash that escapes, the literal ends before the `commit`.
    let text = "create table t (a text); insert into t values ('\\''; commit; select 1 / 0; --');";
    let script = script(folder.path(), "a.sql", text);
    assert_eq!(apply(&address, &[script]).await.unwrap().len(), 1);
    let kept = "\\'; commit; select 1 / 0; --";
    assert_eq!(super::tests::text(&address, "select a from t").await, kept);
}

#[tokio::test]
async fn what_a_dump_sets_ends_with_it() {
    let server = server();
    let address = server.database("initdump").await.unwrap();
    let folder = folder();
    let dump = "set standard_conforming_strings = on;\nset client_min_messages = warning;\n\
                select pg_catalog.set_config('search_path', '', false);\n\
                create table public.t (a text);\ninsert into public.t values ('x');";
    let first = script(folder.path(), "a.sql", dump);
    let second = script(folder.path(), "b.sql", "insert into t values ('y')");
    assert_eq!(apply(&address, &[first, second]).await.unwrap(), ["sql/a.sql", "sql/b.sql"]);
    assert_eq!(super::tests::text(&address, "select string_agg(a, '') from t").await, "xy");
}

fn niceness(process: i32) -> i32 {
    rustix::process::getpriority_process(rustix::process::Pid::from_raw(process)).unwrap()
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(limits::POLL).await;
        }
    };
    tokio::time::timeout(limits::START_TIMEOUT, waiting).await.expect(what);
}

// Fault (Databases): a statement computes in the server of the host's own | its process is less urgent than the host, until it is done | its rows | nothing
#[tokio::test]
async fn a_process_that_computes_is_less_urgent_than_the_host_and_one_that_waits_is_not() {
    let server = server();
    let address = server.database("computes").await.unwrap();
    let process = async |sql: &mut PgConnection| -> i32 {
        let asked = sqlx::raw_sql("select pg_backend_pid()").fetch_one(sql).await;
        asked.unwrap().try_get(0).unwrap()
    };
    let mut waits = PgConnection::connect_with(address.options()).await.unwrap();
    let mut computes = PgConnection::connect_with(address.options()).await.unwrap();
    let (waiting, computing) = (process(&mut waits).await, process(&mut computes).await);
    let endless = tokio::spawn(async move {
        let endless = sqlx::raw_sql("do $$ begin loop end loop; end $$");
        (computes.execute(endless).await.map(drop), computes)
    });
    until("it is less urgent", || niceness(computing) > 0).await;
    assert_eq!(niceness(waiting), niceness(0));
    let cancel = sqlx::query("select pg_cancel_backend($1)").bind(computing);
    waits.execute(cancel).await.unwrap();
    let (ended, computes) = endless.await.unwrap();
    assert!(ended.unwrap_err().to_string().contains("cancel"));
    if rustix::process::getuid().is_root() {
        until("it is as urgent as before", || niceness(computing) == niceness(waiting)).await;
    }
    drop(computes);
}
