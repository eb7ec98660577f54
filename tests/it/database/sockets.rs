//! Servers that are reached by a socket in a folder, which something takes away: a cleaner of files that nothing has
//! touched for long, say. The server does not notice, and lets nothing new in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use wasm_host_tests::host::Host;
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::{client, databases, eventually};

async fn is_served(host: &Host) {
    let reply = host.send("POST", "/", "select 'fine'").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "fine\n"));
}

/// Whether `/ready` has nothing to tell.
async fn is_well(host: &Host) -> bool {
    let ready = client::send(&host.admin, "GET", "/ready", &[], "").await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    ready.json()["degraded"].as_array().unwrap().is_empty()
}

async fn until_well(host: &Host, expected: bool) {
    eventually("the host to tell how the database is", async || {
        (is_well(host).await == expected).then_some(())
    })
    .await;
}

/// The socket in a folder, which has a file for its lock beside it.
fn socket_in(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let is_socket = |name: &str| name.starts_with(".s.PGSQL.") && !name.ends_with(".lock");
    let socket = entries.find(|entry| is_socket(&entry.file_name().to_string_lossy()));
    socket.expect("a server listens there").path()
}

// Fault (Databases): the socket of a server of the host's own that is deleted, alone or with its folder | starts the server again, within seconds | 503 until it has | what runs on it
#[tokio::test]
async fn a_server_of_the_host_s_own_whose_socket_was_deleted_is_started_again() {
    let app = databases::own_querier();
    // The server's user gets there.
    fs::set_permissions(app.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let host = app.serve().await;
    is_served(&host).await;
    let folder = host.state().join("postgres/socket");
    for (times, with_folder) in [(1, false), (2, true)] {
        match with_folder {
            true => fs::remove_dir_all(&folder).unwrap(),
            false => fs::remove_file(socket_in(&folder)).unwrap(),
        }
        eventually("the host to notice", async || {
            let told = host.log().matches("the socket of embedded Postgres was taken away").count();
            (told == times).then_some(())
        })
        .await;
        eventually("statements to be served", async || {
            (host.send("POST", "/", "select 'fine'").await.status == 200).then_some(())
        })
        .await;
        until_well(&host, true).await;
        socket_in(&folder);
    }
    assert_eq!(host.stop().await.0.code(), Some(0));
}

// Fault (Databases): the socket of a server that is not the host's is deleted, and there again | tells it at `/ready` when a statement has found out, and its return without one | 503 | nothing
#[tokio::test]
async fn a_socket_that_was_deleted_is_told_and_so_is_its_return() {
    let postgres = Postgres::start();
    let socket = socket_in(postgres.folder());
    let url = format!("{}?host={}", postgres.url(), postgres.folder().display());
    let host = databases::querier(&url, "").serve().await;
    is_served(&host).await;
    until_well(&host, true).await;
    let away = socket.with_extension("away");
    fs::rename(&socket, &away).unwrap();
    // Connections that are there go on.
    is_served(&host).await;
    assert!(is_well(&host).await);
    postgres.sql(
        "select count(*) from (select pg_terminate_backend(pid, 10000) from pg_stat_activity \
         where backend_type = 'client backend' and pid <> pg_backend_pid()) t",
    );
    eventually("a statement to find that there is no way", async || {
        (host.send("POST", "/", "select 'fine'").await.status == 503).then_some(())
    })
    .await;
    until_well(&host, false).await;
    fs::rename(&away, &socket).unwrap();
    // Without a statement that tries.
    until_well(&host, true).await;
    is_served(&host).await;
}
