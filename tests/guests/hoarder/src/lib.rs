//! A component that has the host hold more for it than it holds itself: the path says what, the query how many.

mod together;

use std::cell::RefCell;

use replies::text;
use wasm_host_guest::bindings::wasi::http::types::{self, Fields};
use wasm_host_guest::bindings::wasm_host::ollama::inference::{self, GenerateRequest};
use wasm_host_guest::bindings::{wit_future, wit_stream};
use wasm_host_guest::postgres::client;
use wasm_host_guest::postgres::types::{Scalar, Value};
use wasm_host_guest::{Request, Response, service};

use together::together;

const MIB: usize = 1024 * 1024;

thread_local! {
    /// Header sets that are kept for as long as the instance lives.
    static SETS: RefCell<Vec<Fields>> = const { RefCell::new(Vec::new()) };
    static REQUESTS: RefCell<Vec<types::Request>> = const { RefCell::new(Vec::new()) };
}

async fn serve(request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let mut numbers = query.split(',').map(|number| number.parse().unwrap_or(1));
    let (count, mebibytes) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
    match request.uri().path() {
        "/header-sets" => {
            for _ in 0..count {
                let set = header_set();
                SETS.with_borrow_mut(|sets| sets.push(set));
            }
            text(200, "kept\n")
        }
        // Copies share what they have until they are changed.
        "/header-copies" => {
            let set = header_set();
            for _ in 0..count {
                let copy = set.clone();
                let _ = copy.append("x-more", b"1");
                SETS.with_borrow_mut(|sets| sets.push(copy));
            }
            text(200, "kept\n")
        }
        // The same, in what carries them.
        "/requests" => {
            for _ in 0..count {
                let (_, trailers) = wit_future::new(|| Ok(None));
                let (request, _) = types::Request::new(header_set(), None, trailers, None);
                REQUESTS.with_borrow_mut(|requests| requests.push(request));
            }
            text(200, "kept\n")
        }
        "/executes" => {
            make_room(mebibytes);
            told(together(count, || execute(mebibytes)).await)
        }
        "/short-executes" => told(together(count, short_execute).await),
        "/rows" => {
            let statement = format!("select repeat('x', {})", mebibytes * MIB);
            told(together(count, || read_rows(statement.clone())).await)
        }
        "/exceptions" => told(together(count, || say("exception", mebibytes)).await),
        "/notices" => told(together(count, || say("notice", mebibytes)).await),
        "/generates" => {
            make_room(mebibytes);
            told(together(count, || generate(mebibytes)).await)
        }
        // One after the other, each another one: what is kept of them is what counts.
        "/statements" => {
            let mut ended = Vec::new();
            for number in 0..count {
                let statement = format!("select {number} -- {}", "x".repeat(mebibytes * MIB));
                ended.push(match client::execute(statement, Vec::new()).await {
                    Ok(_) => "done".to_owned(),
                    Err(error) => format!("{error:?}"),
                });
            }
            told(ended)
        }
        "/random" => {
            let bytes = wasm_host_guest::bindings::wasi::random::random::get_random_bytes(
                (mebibytes * MIB) as u64,
            );
            text(200, format!("{}\n", bytes.len()))
        }
        "/streams" => {
            let streams: Vec<_> = (0..count).map(|_| wit_stream::new::<u8>()).collect();
            text(200, format!("{}\n", streams.len()))
        }
        "/" => text(200, "fine\n"),
        _ => text(404, "hoard what?\n"),
    }
}

/// Fifty headers of 2 kB.
fn header_set() -> Fields {
    let set = Fields::new();
    let value = vec![b'h'; 2000];
    for name in 0..50 {
        // What is refused is the host's to say, by a trap.
        let _ = set.append(&format!("x-{name}"), &value);
    }
    set
}

async fn execute(mebibytes: usize) -> String {
    let text = Value::Scalar(Scalar::Text("p".repeat(mebibytes * MIB)));
    let statement = "select length($1::text), pg_sleep(0.2)".to_owned();
    match client::execute(statement, vec![text]).await {
        Ok(_) => "done".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

async fn short_execute() -> String {
    match client::execute("select 1".to_owned(), Vec::new()).await {
        Ok(_) => "done".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// Have the server say so much of a statement that has no rows.
async fn say(word: &str, mebibytes: usize) -> String {
    let text = format!("repeat('x', {})", mebibytes * MIB);
    read_rows(format!("do $$ begin raise {word} '%', {text}; end $$")).await
}

async fn read_rows(statement: String) -> String {
    let (_, mut batches, done) = match client::query(statement, Vec::new()).await {
        Ok(begun) => begun,
        Err(error) => return format!("{error:?}"),
    };
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        rows += batch.len();
    }
    match done.await {
        Ok(_) => format!("had {rows} rows"),
        Err(error) => format!("{error:?}"),
    }
}

/// Memory for the next text, also where the last one left a gap that is a little too small: there is none to be had once
/// the host holds as much as it may.
fn make_room(mebibytes: usize) {
    let texts = if mebibytes <= 16 { 2 } else { 1 };
    drop(std::hint::black_box(Vec::<u8>::with_capacity((texts * mebibytes + 1) * MIB)));
}

async fn generate(mebibytes: usize) -> String {
    let prompt = Some("p".repeat(mebibytes * MIB));
    let request = GenerateRequest { model: "m".to_owned(), prompt, extra: None };
    match inference::generate(request).await {
        Ok(_) => "done".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// How each ended, a line for each way, with how many there were of it.
fn told(mut ended: Vec<String>) -> Response {
    ended.sort();
    let lines = ended.chunk_by(PartialEq::eq).filter_map(|same| {
        let way = same.first()?;
        Some(format!("{} {way}\n", same.len()))
    });
    text(200, lines.collect::<String>())
}

service!(serve);
