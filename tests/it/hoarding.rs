//! Promise 9: what the host holds for a guest counts as the guest's own, and is refused beyond the same bound.
//!
//! Each test has a component make the host hold far more than that, and looks at the most that the process had in
//! memory meanwhile, while a neighbour is served.

#[cfg(target_os = "linux")]
mod at_once;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wasm_host_tests::client;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::tls::Authority;

/// What the hoarding service may have, and what is beyond it at most: what is copied before it is refused, what is not
/// counted yet, and what an allocator does not give back at once.
const SHARE: &str = "memory = \"128MiB\"\nmemory-total = \"192MiB\"\nqueue-timeout = \"1m\"";
const MOST_KIB: u64 = (192 + 160) * 1024;

/// A component that hoards, in front of a database and a model server, and a neighbour that has to do with nothing.
async fn hoarder(database: &str, models: &str) -> Host {
    App::new(&format!(
        r#"
name = "hoarding"

[postgres.main]
url = "{database}"
pool = 4

[ollama.local]
url = "{models}"

[service.bad]
component = "$(hoarder)"
postgres = "main"
ollama = "local"
{SHARE}

[service.query]
component = "$(querier)"
postgres = "main"
{SHARE}

[service.bad-p2]
component = "$(hostile-p2)"
{SHARE}

[service.good]
component = "$(hello-p3)"
"#
    ))
    .serve()
    .await
}

/// One that has no backends.
async fn alone() -> Host {
    hoarder("postgres://app@127.0.0.1:1/none", "http://127.0.0.1:1").await
}

/// Ask for `path` so many times at once, while the neighbour is asked. The answers, when the neighbour had all of its
/// own and the host never had more than it may.
async fn attacked(host: &Host, path: &str, times: usize) -> Vec<(u16, String)> {
    assert_eq!(host.get("/good/").await.status, 200);
    let before = host.resident_kib();
    host.forget_peak();
    let attacks: Vec<_> = (0..times)
        .map(|_| {
            let (address, path) = (host.address.clone(), path.to_owned());
            tokio::spawn(async move {
                let reply = client::send(&address, "GET", &path, &[], "").await;
                (reply.status.as_u16(), reply.text().to_owned())
            })
        })
        .collect();
    let mut served = 0;
    while served == 0 || !attacks.iter().all(tokio::task::JoinHandle::is_finished) {
        assert_eq!(host.get("/good/").await.status, 200);
        served += 1;
    }
    let mut answers = Vec::new();
    for attack in attacks {
        answers.push(attack.await.unwrap());
    }
    let most = host.peak_kib().saturating_sub(before);
    println!("{path}, {times} times: {} MiB, {served} of the neighbour", most / 1024);
    assert!(most < MOST_KIB, "{path}: the host had {most} KiB more in memory");
    answers
}

// Fault (Guests): header sets, copies of them and requests without end, which the host holds | counts them as memory of the guest, ends the instance | 502 | the request
#[tokio::test]
async fn header_sets_count_as_memory_of_who_makes_them() {
    let host = alone().await;
    // By itself, so that it meets its own bound and not the one of all instances.
    assert_eq!(host.get("/bad/header-sets?9900").await.status, 502);
    host.logs("bytes for one instance, its memory included ('memory' sets the bound)").await;
    for (path, times) in
        [("/bad/header-sets?9900", 60), ("/bad/header-copies?9900", 8), ("/bad/requests?3000", 8)]
    {
        for (status, text) in attacked(&host, path, times).await {
            assert!([502, 503].contains(&status), "{path}: {status} {text}");
        }
    }
    // A few do not count.
    assert_eq!(host.get("/bad/header-sets?100").await.status, 200);
}

// Fault (Guests): requests of WASI 0.2 with bodies that are never sent | the same | 502 | the request
#[tokio::test]
async fn bodies_that_are_never_sent_count_as_memory_of_who_writes_them() {
    let host = alone().await;
    for (status, text) in attacked(&host, "/bad-p2/bodies", 4).await {
        assert!([502, 503].contains(&status), "{status} {text}");
    }
    host.logs("('memory' sets the bound)").await;
}

// Fault (Guests): large parameters in many calls at once | counts them until the call ends, refuses what is beyond the bound | the component's answer | the call
#[tokio::test]
async fn parameters_of_statements_count_as_memory_until_the_call_ends() {
    let postgres = Postgres::start();
    let host = hoarder(&postgres.url(), "http://127.0.0.1:1").await;
    let answers = attacked(&host, "/bad/executes?40,60", 1).await;
    let told = "40 Error::InvalidParameter(\"the parameters up to number 1 are larger than";
    assert!(answers[0].1.starts_with(told), "{answers:?}");

    let answers = attacked(&host, "/bad/executes?40,12", 1).await;
    assert!(answers[0].1.contains(" done\n"), "{answers:?}");
    assert!(answers[0].1.contains(" Error::Busy(\"with this the host would hold"), "{answers:?}");
    // All that was held has been given back.
    assert_eq!(host.get("/bad/executes?1,12").await.text(), "1 done\n");
}

// Fault (Guests): a thousand calls at once | has so many under way, the others wait in order | its answer | nothing
#[tokio::test]
async fn more_calls_than_an_instance_has_at_once_wait_in_order_and_are_all_made() {
    let postgres = Postgres::start();
    let host = hoarder(&postgres.url(), "http://127.0.0.1:1").await;
    let statements = attacked(&host, "/bad/short-executes?1000", 1).await;
    assert_eq!(statements[0].1, "1000 done\n");
}

// Fault (Databases): rows, errors or notices of hundreds of megabytes | reads none of them, closes their connections, ends what they run | the component's error, or a body that is not whole | the request
#[tokio::test]
async fn what_a_database_sends_is_not_read_where_it_is_larger_than_a_row_may_be() {
    let postgres = Postgres::start();
    let host = hoarder(&postgres.url(), "http://127.0.0.1:1").await;
    let message = "an error, a notice or another message of the database server is";
    for (path, told) in [
        ("/bad/rows?3,128", "a row is"),
        ("/bad/exceptions?3,128", message),
        ("/bad/notices?3,128", message),
    ] {
        let answers = attacked(&host, path, 1).await;
        let told = format!("3 Error::Unsupported(\"{told} larger than 16777216 bytes");
        assert!(answers[0].1.starts_with(&told), "{path}: {answers:?}");
        assert_eq!(host.get("/bad/rows?3,1").await.text(), "3 had 1 rows\n");
    }
    // What comes before it is whole, be it as large as it may.
    let rows = "select repeat('y', n) from unnest(array[3, 16777216, 128000000]) n";
    let mut answer = client::open(&host.address, "POST", "/query/", &[], rows).await;
    let seen = answer.rest().await.expect_err("a row that is too large");
    assert_eq!(seen.len(), "yyy\n".len() + 16_777_216 + 1);
}

// Fault (Databases): the same over TLS | reads none of them into memory that it keeps, closes their connections | the component's error | the request
#[tokio::test]
async fn what_a_database_sends_over_tls_is_bounded_as_well() {
    let mut postgres = Postgres::start();
    let identity = Authority::new().sign(&["127.0.0.1"]);
    postgres.encrypt(&identity.certificate, &identity.key);
    let url = format!("{}?sslmode=require", postgres.url());
    let host = hoarder(&url, "http://127.0.0.1:1").await;
    let encrypted = "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(host.send("POST", "/query/", encrypted).await.text(), "true\n");
    // Room for it is filled with zeros, on each thread for the moment of one poll.
    for (path, told) in [
        ("/bad/rows?3,96", "a row is"),
        ("/bad/exceptions?3,96", "an error, a notice or another message of the database server is"),
    ] {
        let answers = attacked(&host, path, 1).await;
        let told = format!("3 Error::Unsupported(\"{told} larger than 16777216 bytes");
        assert!(answers[0].1.starts_with(&told), "{path}: {answers:?}");
        assert_eq!(host.get("/bad/rows?3,1").await.text(), "3 had 1 rows\n");
    }
}

// Fault (Guests): large prompts in many calls at once | the same | the component's answer | the call
#[tokio::test]
async fn prompts_count_as_memory_until_the_call_ends() {
    let models = models().await;
    let host = hoarder("postgres://app@127.0.0.1:1/none", &models).await;
    let answers = attacked(&host, "/bad/generates?16,12", 1).await;
    assert!(answers[0].1.contains(" done\n"), "{answers:?}");
    assert!(answers[0].1.contains(" Error::Busy(\"with this the host would hold"), "{answers:?}");
    assert_eq!(host.get("/bad/generates?1,12").await.text(), "1 done\n");
    // More than is sent to a model server at all.
    let text = host.get("/bad/generates?1,70").await;
    assert!(text.text().contains("Error::Invalid(\"the request has more than"), "{}", text.text());
}

/// A model server that reads what it is sent, forgets it and says nothing of interest.
async fn models() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    url
}

async fn answer(mut stream: TcpStream) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let (head, _) = head.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let mut left = (head.len() + 4 + length) - bytes.len();
        while left > 0 {
            bytes.clear();
            left -= stream.read_buf(&mut bytes).await.ok().filter(|read| *read > 0)?;
        }
        bytes.clear();
        let line = "{\"response\":\"\",\"done\":true,\"done_reason\":\"stop\"}\n";
        let length = line.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncontent-length: {length}\r\n\r\n{line}"
        );
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}
