//! A component that misbehaves on request: the path says how. It imports no capability, so that it
//! can be served by itself.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use replies::{empty, header, stream, text, unread};
use wasm_host_guest::bindings::wasi::cli::stdout;
use wasm_host_guest::bindings::wasi::clocks::monotonic_clock;
use wasm_host_guest::bindings::wit_stream;
use wasm_host_guest::client;
use wasm_host_guest::{Request, Response, StreamWriter, http, service};

/// Requests for `/count` that this instance has served.
static SERVED: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Standard output, once it was opened.
    static OUTPUT: Cell<Option<StreamWriter<u8>>> = const { Cell::new(None) };
}

fn open_output() -> StreamWriter<u8> {
    let (writer, contents) = wit_stream::new();
    // It never ends, and nobody waits for its end.
    drop(stdout::write_via_stream(contents));
    writer
}

async fn serve(request: Request) -> Response {
    match request.uri().path().to_owned().as_str() {
        "/trap" => std::process::abort(),
        "/loop" => spin(),
        "/grow" => grow(),
        "/silent" => {
            monotonic_clock::wait_for(Duration::from_secs(3600).as_nanos() as u64).await;
            empty(200)
        }
        "/drip" => {
            // `?150`: so many, otherwise for ever.
            let drips = number(&request).unwrap_or(u64::MAX);
            stream(200, "text/plain", move |mut body| async move {
                for _ in 0..drips {
                    if body.write(b"drip\n".to_vec()).await.is_err() {
                        return Ok(());
                    }
                    monotonic_clock::wait_for(20 * MILLISECOND).await;
                }
                Ok(())
            })
        }
        // Begins to answer, and then neither goes on nor notices that its client has left.
        "/hold" => stream(200, "text/plain", |mut body| async move {
            let _ = body.write(b"one".to_vec()).await;
            monotonic_clock::wait_for(3600 * SECOND).await;
            Ok(())
        }),
        "/answer-then-loop" => stream(200, "text/plain", |mut body| async move {
            let _ = body.write(b"one".to_vec()).await;
            monotonic_clock::wait_for(50 * MILLISECOND).await;
            spin()
        }),
        "/wait-then-loop" => {
            monotonic_clock::wait_for(50 * MILLISECOND).await;
            spin()
        }
        "/work" => {
            // Two seconds of work with pauses.
            for _ in 0..20 {
                let until = monotonic_clock::now() + 100 * MILLISECOND;
                while monotonic_clock::now() < until {}
                monotonic_clock::wait_for(MILLISECOND).await;
            }
            text(200, "worked\n")
        }
        "/recurse" => text(200, recurse(1).to_string()),
        // Keeps so many MiB until its client leaves.
        "/hoard" => {
            let mebibytes = usize::try_from(number(&request).unwrap_or(1)).unwrap_or(1);
            let hoard = vec![1_u8; mebibytes * 1024 * 1024];
            stream(200, "text/plain", |mut body| async move {
                while body.write(vec![hoard.last().map_or(b'!', |_| b'.')]).await.is_ok() {
                    monotonic_clock::wait_for(20 * MILLISECOND).await;
                }
                Ok(())
            })
        }
        "/flood" => {
            for line in 0..number(&request).unwrap_or(1) {
                println!("flood {line}");
            }
            empty(204)
        }
        // Prints between pauses, in which its neighbours print.
        "/chatter" => {
            let lines = number(&request).unwrap_or(1);
            for line in 0..lines {
                println!("chatter of {lines}: {line}");
                monotonic_clock::wait_for(MILLISECOND).await;
            }
            empty(204)
        }
        // Prints by the interface of 0.3, into one stream for all requests of the instance.
        "/print-into-stream" => {
            let lines = number(&request).unwrap_or(1);
            let mut writer = OUTPUT.take().unwrap_or_else(open_output);
            for line in 0..lines {
                let text = format!("stream of {lines}: {line}\n");
                writer.write_all(text.into_bytes()).await;
            }
            OUTPUT.set(Some(writer));
            empty(204)
        }
        // More in one write than is taken at a time.
        "/print-at-once" => {
            let lines = number(&request).unwrap_or(1);
            let text: String = (0..lines).map(|line| format!("at once: {line}\n")).collect();
            open_output().write_all(text.into_bytes()).await;
            empty(204)
        }
        // Each line in a stream of its own.
        "/print-by-streams" => {
            for line in 0..number(&request).unwrap_or(1) {
                open_output().write_all(format!("by itself: {line}\n").into_bytes()).await;
            }
            empty(204)
        }
        "/trap-in-body" => stream(200, "text/plain", |mut body| async move {
            let _ = body.write(b"half of it".to_vec()).await;
            monotonic_clock::wait_for(50_000_000).await;
            std::process::abort()
        }),
        "/fail-in-body" => stream(200, "text/plain", |mut body| async move {
            let _ = body.write(b"half of it".to_vec()).await;
            Err("the rest is gone".to_string())
        }),
        "/env" => {
            let mut names: Vec<String> =
                std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect();
            names.sort();
            text(200, names.concat())
        }
        "/files" => {
            let seen: Vec<String> = ["/", ".", "/etc/passwd"]
                .iter()
                .map(|path| format!("{path}: {}\n", std::fs::metadata(path).is_ok()))
                .collect();
            text(200, seen.concat())
        }
        "/socket" => {
            let answer = std::net::TcpStream::connect("127.0.0.1:1");
            text(200, format!("{:?}", answer.map(drop).map_err(|error| error.kind())))
        }
        "/call" => match call(request.uri().query().unwrap_or_default()).await {
            Ok(response) => response,
            Err(error) => error,
        },
        // Reads nothing of what it is answered.
        "/call-and-hold" => match call(request.uri().query().unwrap_or_default()).await {
            Ok(response) => stream(200, "text/plain", |mut body| async move {
                let _ = body.write(b"called".to_vec()).await;
                monotonic_clock::wait_for(3600 * SECOND).await;
                drop(response);
                Ok(())
            }),
            Err(error) => error,
        },
        // The named headers of the request, as this sees them.
        "/headers" => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let line = |name: &str| {
                let value = header(&request, name).unwrap_or_else(|| "-".to_string());
                format!("{name}: {value}\n")
            };
            text(200, query.split(',').map(line).collect::<String>())
        }
        // A cookie of the name that is asked for, beside one of its own.
        "/set-cookie" => {
            let name = request.uri().query().unwrap_or_default();
            let mut answer = empty(204);
            for name in [name, "theme"] {
                if let Ok(cookie) = format!("{name}=1; Path=/").try_into() {
                    answer.headers_mut().append(http::header::SET_COOKIE, cookie);
                }
            }
            answer
        }
        // A stream of the kind that is asked for.
        "/stream" => {
            let kind = request.uri().query().unwrap_or_default().to_owned();
            stream(200, &kind, |mut body| async move {
                let _ = body.write(b"a piece\n".to_vec()).await;
                Ok(())
            })
        }
        "/echo" => match request.into_body().bytes(1024 * 1024).await {
            Ok(body) => text(200, body),
            Err(error) => unread(error),
        },
        "/count" => {
            let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
            text(200, served.to_string())
        }
        // A line whose pieces come by the interface of 0.3, each in a stream of its own, and an empty one.
        "/print-in-pieces" => {
            for piece in ["start ", "a ", "print ", "1234", "\n", "\n"] {
                open_output().write_all(piece.into()).await;
                monotonic_clock::wait_for(MILLISECOND).await;
            }
            empty(204)
        }
        "/print" => {
            println!("printed by the guest");
            empty(204)
        }
        _ => text(404, "unknown misbehaviour\n"),
    }
}

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;

/// The query, if it is a number.
fn number(request: &Request) -> Option<u64> {
    request.uri().query()?.parse().ok()
}

#[expect(unconditional_recursion, reason = "that is its misbehaviour")]
fn recurse(depth: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(depth + 1)) + depth)
}

fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

fn grow() -> ! {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 1024 * 1024]);
        std::hint::black_box(&hoard);
    }
}

/// Call another service: `host/path`.
async fn call(target: &str) -> Result<Response, Response> {
    let (host, path) = target.split_once('/').unwrap_or((target, ""));
    let request = http::Request::get(format!("http://{host}/{path}")).body(());
    let request = request.map_err(|_| text(400, "not a target\n"))?;
    client::send(request).await.map_err(|error| text(502, format!("{error:?}\n")))
}

service!(serve);
