//! Databases and model servers over TLS, with an authority of the application's own.

use wasm_host_tests::host::{App, Host};
use wasm_host_tests::models::{CHAT, LAST, WORD, words};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::proxy::Proxy;
use wasm_host_tests::tls::{Authority, Identity, Secure};
use wasm_host_tests::upstream::Upstream;
use wasm_host_tests::{databases, models};

const CA: &str = "ca = \"ca.pem\"";

/// The application, with an authority in the file that [`CA`] names.
fn with_ca(app: App, pem: &str) -> App {
    std::fs::write(app.path().join("ca.pem"), pem).unwrap();
    app
}

// Fault (Hosts outside): a model server that is not who it should be | sends nothing | 502 or 503 with Ollama's error | nothing
#[tokio::test]
async fn a_model_server_is_asked_on_the_word_of_an_authority_that_the_file_names() {
    let (authority, other) = (Authority::new(), Authority::new());
    let upstream = Upstream::start(|_| words(1)).await;
    let secure = Secure::start(&authority.sign(&["127.0.0.1"]), &upstream.url).await;
    let chat = async |host: &Host| host.send("POST", "/api/chat", CHAT).await;
    let host = with_ca(models::app(&secure.url(), CA), &authority.pem).serve().await;
    let reply = chat(&host).await;
    assert_eq!((reply.status.as_u16(), &*reply.body), (200, &*[WORD, LAST].concat()));
    assert_eq!(upstream.requests().len(), 1);

    // Another's word, and nobody's.
    let wrong = with_ca(models::app(&secure.url(), CA), &other.pem);
    for app in [wrong, models::app(&secure.url(), "")] {
        let host = app.serve().await;
        let reply = chat(&host).await;
        assert!(matches!(reply.status.as_u16(), 502 | 503), "{}", reply.text());
        let error = reply.json()["error"].as_str().unwrap().to_string();
        assert!(error.contains("its certificate is not trusted"), "{error}");
        assert!(!error.contains("127.0.0.1"), "{error}");
    }
    assert_eq!(upstream.requests().len(), 1);
}

/// A service that asks the database at `url`, which may have `${DB_PASSWORD}` in it.
fn database(url: &str, keys: &str, ca: &str) -> App {
    let app = databases::app(url, keys).env("DB_PASSWORD", "pa55w0rd-of-nobody");
    std::fs::write(app.path().join("init.sql"), "create table made_by_init(x int)").unwrap();
    with_ca(app, ca)
}

/// Whether the server thinks that this connection is encrypted.
const IS_ENCRYPTED: &str = "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()";

fn with_tls(identity: &Identity) -> Postgres {
    let mut postgres = Postgres::start();
    postgres.encrypt(&identity.certificate, &identity.key);
    postgres
}

#[tokio::test]
async fn a_database_is_used_on_the_word_of_an_authority_that_the_file_names() {
    let authority = Authority::new();
    let postgres = with_tls(&authority.sign(&["127.0.0.1"]));
    let proxy = Proxy::start(&postgres.address()).await;
    let url = format!("postgres://app@{}/postgres", proxy.address);
    let keys = format!("{CA}\ninit = \"init.sql\"\nstatement-timeout = \"5s\"");
    let host = database(&url, &keys, &authority.pem).serve().await;
    let reply = host.send("POST", "/query", IS_ENCRYPTED).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "true\nend 1\n"));
    let reply = host.send("POST", "/query", "select x from made_by_init").await;
    assert_eq!(reply.text(), "end 0\n");
    // Another connection tells the server to cancel it.
    let reply = host.send("POST", "/execute", "select pg_sleep(604)").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (500, "timedout\n"));
    // Nobody in between could read any of it.
    let sent = String::from_utf8_lossy(&proxy.sent_up()).into_owned();
    for word in ["select", "pg_backend_pid", "made_by_init", "pg_sleep"] {
        assert!(!sent.contains(word), "{word} was sent in clear text");
    }
}

// Fault (Hosts outside): a database that is not who it should be, or does not encrypt | sends no statement | 503 | nothing
#[tokio::test]
async fn a_database_that_is_not_who_it_should_be_is_sent_no_statement() {
    let (authority, other) = (Authority::new(), Authority::new());
    let impostor = with_tls(&authority.sign(&["127.0.0.2", "db.example.com"]));
    let plain = Postgres::start();
    let url = |postgres: &Postgres, mode: &str| {
        format!("postgres://app:${{DB_PASSWORD}}@{}/postgres{mode}", postgres.address())
    };
    for (url, ca) in [
        (url(&impostor, ""), &authority.pem),
        (url(&impostor, "?sslmode=verify-full"), &authority.pem),
        (url(&impostor, "?sslmode=verify-ca"), &other.pem),
        // With `ca` a server without encryption is none.
        (url(&plain, ""), &authority.pem),
    ] {
        let host = database(&url, CA, ca).serve().await;
        let reply = host.send("POST", "/query", "select 1").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (503, "unavailable\n"), "{url}");
        let (_, log) = host.stop().await;
        assert!(log.contains("cannot connect to a database"), "{log}");
        assert!(log.contains("its certificate is not trusted"), "{log}");
        assert!(!log.contains("pa55w0rd"), "{log}");
    }
    // Who asks for less gets less: the name does not count.
    let url = url(&impostor, "?sslmode=verify-ca");
    let host = database(&url, CA, &authority.pem).serve().await;
    let reply = host.send("POST", "/query", IS_ENCRYPTED).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "true\nend 1\n"));
}
