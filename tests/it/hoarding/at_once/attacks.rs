//! What is done to the host, each with what came of it. Nothing that an attacker is answered is wrong here: what counts
//! is what becomes of the host and of its neighbours.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use wasm_host_tests::client::{Attempt, connect_from};
use wasm_host_tests::handmade;

use super::{ATTACKER, CROWD};

/// The time that connections are held to do harm, and the longest that anything of an attack is waited for.
const HELD: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(120);

/// Words of names, with commas in between: only attacks that have one of them.
const CHOSEN: &str = "WASM_HOST_TEST_ATTACKS";

/// What is attacked.
pub(super) struct Target {
    pub(super) address: String,
    pub(super) admin: String,
    pub(super) authorization: String,
}

/// How often what an attack asked for ended in each way.
pub(super) type Outcomes = BTreeMap<String, u64>;

type Run = Box<dyn Fn(Arc<Target>) -> BoxFuture<'static, Vec<String>> + Send + Sync>;

pub(super) struct Attack {
    pub(super) name: &'static str,
    run: Run,
}

impl Attack {
    fn new<F, R>(name: &'static str, run: F) -> Self
    where
        F: Fn(Arc<Target>) -> R + Send + Sync + 'static,
        R: Future<Output = Vec<String>> + Send + 'static,
    {
        Self { name, run: Box::new(move |target| run(target).boxed()) }
    }

    /// Do it once.
    pub(super) async fn run(&self, target: &Arc<Target>) -> Vec<String> {
        let ended = timeout(PATIENCE, (self.run)(target.clone())).await;
        ended.unwrap_or_else(|_| vec!["no end".to_owned()])
    }
}

/// All of them, or those that are chosen.
pub(super) fn all() -> Vec<Attack> {
    let mut all = guests();
    all.extend(statements());
    all.extend(clients());
    all.extend(versions());
    chosen(all)
}

/// Those that take memory of a server of databases, and of a host beside it.
pub(super) fn of_databases() -> Vec<Attack> {
    let takes_memory = [
        "header sets",
        "parameters",
        "long statements",
        "a thousand statements",
        "growth",
        "leaks",
    ];
    let mut some = guests();
    some.retain(|attack| takes_memory.contains(&attack.name));
    some.extend(statements());
    chosen(some)
}

fn chosen(mut all: Vec<Attack>) -> Vec<Attack> {
    if let Ok(chosen) = std::env::var(CHOSEN) {
        all.retain(|attack| chosen.split(',').any(|word| attack.name.contains(word)));
    }
    all
}

/// What components do when they are asked.
fn guests() -> Vec<Attack> {
    vec![
        // What the host holds for them.
        ask("header sets", "/hoarder/header-sets?9900", 8),
        ask("copies of header sets", "/hoarder/header-copies?9900", 4),
        ask("requests never sent", "/hoarder/requests?3000", 4),
        ask("bodies never sent", "/old/bodies", 4),
        ask("parameters", "/hoarder/executes?40,12", 1),
        ask("prompts", "/hoarder/generates?16,12", 1),
        ask("long statements", "/hoarder/statements?10,8", 2),
        ask("a thousand statements", "/hoarder/short-executes?1000", 1),
        ask("random bytes", "/hoarder/random?1,64", 2),
        ask("streams", "/greedy/streams?100000", 2),
        ask("handles", "/greedy/handles", 2),
        ask("headers in one call", "/greedy/hand-over?1000000", 2),
        ask("tables", "/tables/", 4),
        // What they hold.
        ask("growth", "/hostile/grow", 8),
        ask("leaks", "/greedy/leak?4096", 32),
        leave("hoards that are left", "/hostile/hoard?24", 8),
        ask("recursion", "/hostile/recurse", 2),
        // What they compute.
        ask("loops", "/hostile/loop", 4),
        ask("loops of 0.2", "/old/loop", 2),
        ask("loops behind an answer", "/greedy/spin-behind", 4),
        ask("starts that compute", "/starter/", 4),
        leave("loops that are left", "/hostile/loop", 4),
        // What they say.
        ask("floods of lines", "/hostile/flood?20000", 1),
        ask("floods of long lines", "/greedy/flood?8", 1),
        ask("a line without an end", "/greedy/one-line?16", 1),
        ask("lines in streams of their own", "/hostile/print-by-streams?2000", 1),
        ask("traps", "/hostile/trap", 20),
        ask("answers that trap", "/hostile/trap-in-body", 20),
        ask("calls that are not granted", "/hostile/call?ledger/", 50),
        ask("calls of calls", "/hostile/call?hostile/call?hostile/call?hostile/grow", 4),
        // How they answer.
        ask("large answers", "/greedy/big?24", 2),
        ask("answers in one write", "/greedy/at-once?24000", 2),
        ask("answers that are none", "/old/forget", 8),
        ask("headers that are too large", "/greedy/large-header", 8),
        leave("answers without an end", "/greedy/endless", 4),
        leave("answers that never come", "/hostile/silent", 20),
    ]
}

/// What statements do to the host and to its server.
fn statements() -> Vec<Attack> {
    vec![
        sql(
            "statements that compute",
            "select count(*)::int from generate_series(1, 1000000000)",
            2,
        ),
        sql(
            "statements that take memory",
            "select length(repeat('x', 900000000) || repeat('y', 100000000))",
            2,
        ),
        sql(
            "statements that heed nothing",
            "do $$ begin perform set_config('statement_timeout', '0', false); \
             perform set_config('client_connection_check_interval', '0', false); \
             loop begin perform pg_sleep(600); exception when query_canceled then null; end; end loop; end $$",
            2,
        ),
        sql("large rows", "select repeat('x', 15000000) from generate_series(1, 4)", 2),
        sql("rows that are too large", "select repeat('x', 64000000)", 2),
        sql("many rows", "select repeat('x', 1000) from generate_series(1, 50000)", 2),
        sql(
            "warnings",
            "do $$ begin for i in 1..20000 loop \
             raise warning E'number %\\n2026-01-01T00:00:00Z ERROR forged by %', i, i; end loop; end $$",
            1,
        ),
        sql(
            "advisory locks",
            // As many as leave something for the databases of others on a server of somebody else's.
            "do $$ begin for i in 1..2000 loop perform pg_advisory_lock_shared(i); end loop; \
             perform pg_sleep(600); end $$",
            2,
        ),
        sql(
            "memory that a statement allows itself",
            "do $$ begin perform set_config('work_mem', '64GB', false); \
             perform count(*) from (select g from generate_series(1, 2000000) g order by md5(g::text)) t; end $$",
            2,
        ),
        sql(
            "long lines of the server's log",
            "do $$ begin raise log '%', repeat('x', 50000000); end $$",
            1,
        ),
        sql(
            "numbers of many digits",
            "select ('1e131071'::numeric + g)::numeric from generate_series(1, 50) g",
            2,
        ),
    ]
}

/// What clients do.
fn clients() -> Vec<Attack> {
    let post = |name, path: &'static str, bytes: usize, times| {
        let body = Bytes::from(vec![b'x'; bytes]);
        Attack::new(name, move |target| asking(target, "POST", path, body.clone(), times))
    };
    vec![
        post("bodies that nobody reads", "/greedy/unread", 16_000_000, 4),
        post("bodies that are too large", "/hostile/echo", 2_000_000, 4),
        post("bodies that come back", "/greedy/mirror", 8_000_000, 2),
        bytes("half heads", 200, |_| b"GET /hello/ HTTP/1.1\r\nhost: loc".to_vec()),
        bytes("requests that cannot be read", 50, |number| {
            let wrong = [
                "GET /hello/ HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
                "POST /hostile/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                "\u{16}\u{3}\u{1}\u{2}\u{0}",
                "POST /hostile/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\
                 transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            ];
            wrong[number % wrong.len()].as_bytes().to_vec()
        }),
        bytes("bodies that stop", 20, |_| {
            b"POST /hostile/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc".to_vec()
        }),
        bytes("clients that do not read", 20, |_| {
            b"GET /greedy/endless HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()
        }),
        bytes("requests one behind the other", 10, |_| {
            b"GET /hostile/count HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100)
        }),
        Attack::new("half heads at the control plane", |target| async move {
            let half = b"GET /live HTTP/1.1\r\nhost: loc";
            join_all((0..64).map(|_| hold(&target.admin, half.to_vec()))).await
        }),
        Attack::new("resets of HTTP/2", |target| async move { vec![resets(&target).await] }),
        Attack::new("frames of HTTP/2", |target| async move { vec![frames(&target).await] }),
    ]
}

/// What a client does that may put components into service.
fn versions() -> Vec<Attack> {
    static SLOW: OnceLock<Bytes> = OnceLock::new();
    static LARGE: OnceLock<Bytes> = OnceLock::new();
    let swap = |name, component: fn() -> Bytes| {
        Attack::new(name, move |target| async move {
            let headers =
                [("authorization", &*target.authorization), ("content-type", "application/wasm")];
            let attempt = Attempt {
                headers: &headers,
                ..attempt("POST", "/services/swapped/swap?", component())
            };
            vec![outcome(attempt.send(&target.admin).await)]
        })
    };
    vec![
        swap("components that compile for ever", || {
            SLOW.get_or_init(|| handmade::loops(30, 10_000, 500).into()).clone()
        }),
        swap("components that compile to gigabytes", || {
            LARGE.get_or_init(|| handmade::loops(2, 400_000, 500).into()).clone()
        }),
        swap("components that are none", || Bytes::from(vec![0; 1_000_000])),
    ]
}

/// Ask so many times at once, and read the whole answers.
fn ask(name: &'static str, path: &'static str, times: usize) -> Attack {
    Attack::new(name, move |target| asking(target, "GET", path, Bytes::new(), times))
}

/// Ask so many times at once, and hang up after a while, whether or not something has come.
fn leave(name: &'static str, path: &'static str, times: usize) -> Attack {
    Attack::new(name, move |target| async move {
        let left = asking(target, "GET", path, Bytes::new(), times);
        timeout(HELD, left).await.unwrap_or_else(|_| vec!["left".to_owned()])
    })
}

fn sql(name: &'static str, statement: &'static str, times: usize) -> Attack {
    let body = Bytes::from_static(statement.as_bytes());
    Attack::new(name, move |target| asking(target, "POST", "/querier/", body.clone(), times))
}

async fn asking(
    target: Arc<Target>,
    method: &'static str,
    path: &'static str,
    body: Bytes,
    times: usize,
) -> Vec<String> {
    let all = (0..times).map(|_| attempt(method, path, body.clone()).send(&target.address));
    join_all(all).await.into_iter().map(outcome).collect()
}

fn attempt<'a>(method: &'a str, path: &'a str, body: Bytes) -> Attempt<'a> {
    Attempt { from: ATTACKER, method, path, headers: &[], body, patience: PATIENCE }
}

fn outcome(answer: Result<(u16, Vec<u8>), String>) -> String {
    match answer {
        Ok((status, _)) => status.to_string(),
        // After its head, an answer may break off.
        Err(error) => match error.split_once(", then ") {
            Some((status, _)) => format!("{status}, broken"),
            None => "no answer".to_owned(),
        },
    }
}

/// Open so many connections at once, send what is said for each, hold them for a while, and reset them.
fn bytes(name: &'static str, count: usize, what: fn(usize) -> Vec<u8>) -> Attack {
    Attack::new(name, move |target| async move {
        join_all((0..count).map(|number| hold(&target.address, what(number)))).await
    })
}

async fn hold(address: &str, bytes: Vec<u8>) -> String {
    let Ok(Ok(mut stream)) = timeout(PATIENCE, connect_from(CROWD, address)).await else {
        return "no connection".to_owned();
    };
    let sent = timeout(HELD, stream.write_all(&bytes)).await;
    sleep(HELD).await;
    let _ = stream.set_zero_linger();
    if matches!(sent, Ok(Ok(()))) { "held" } else { "closed" }.to_owned()
}

/// Ask again and again over one connection, and reset what was asked, until the host has enough.
async fn resets(target: &Target) -> String {
    let Ok(stream) = connect_from(CROWD, &target.address).await else {
        return "no connection".to_owned();
    };
    let Ok((sender, connection)) = h2::client::handshake(stream).await else {
        return "closed".to_owned();
    };
    let connection = tokio::spawn(connection);
    for _ in 0..20_000 {
        let Ok(mut ready) = sender.clone().ready().await else { break };
        let url = format!("http://{}/hostile/silent", target.address);
        let Ok(request) = http::Request::get(url).body(()) else { break };
        let Ok((response, mut stream)) = ready.send_request(request, true) else { break };
        // Written before it is reset, or the library would send neither.
        tokio::task::yield_now().await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
    }
    let ended = connection.is_finished();
    connection.abort();
    if ended { "closed" } else { "held" }.to_owned()
}

/// Send frames that ask for nothing until the host has enough.
async fn frames(target: &Target) -> String {
    let Ok(stream) = connect_from(CROWD, &target.address).await else {
        return "no connection".to_owned();
    };
    let (mut answers, mut floods) = TcpStream::into_split(stream);
    let flooding = async {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        floods.write_all(preface).await?;
        let pings = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";
        let settings = b"\0\0\0\x04\0\0\0\0\0";
        let both = [&pings[..], settings].concat().repeat(1000);
        for _ in 0..1000 {
            floods.write_all(&both).await?;
        }
        Ok::<(), std::io::Error>(())
    };
    // Read, or the host would wait for that.
    let reading = async {
        let mut answer = vec![0; 65_536];
        while answers.read(&mut answer).await.is_ok_and(|count| count > 0) {}
    };
    let ended = tokio::select! {
        sent = flooding => sent.is_err(),
        () = reading => true,
    };
    if ended { "closed" } else { "held" }.to_owned()
}
