//! A component that takes more than its share, or answers with what is no answer: the path says which.
//! It imports no capability, so that it can be served by itself.

mod answers;

use std::cell::RefCell;
use std::time::Duration;

use replies::{of_type, stream, text};
use wasm_host_guest::bindings::wasi::clocks::monotonic_clock;
use wasm_host_guest::bindings::wasi::http::types;
use wasm_host_guest::bindings::wit_stream;
use wasm_host_guest::{Request, Response, exports, service};

const KIB: usize = 1024;

thread_local! {
    /// What `/leak` never gives back.
    static HOARD: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static HANDLES: RefCell<Vec<types::Fields>> = const { RefCell::new(Vec::new()) };
}

async fn serve(request: Request) -> Response {
    let number = number(request.uri().query());
    match request.uri().path().to_owned().as_str() {
        "/leak" => {
            HOARD.with_borrow_mut(|hoard| hoard.push(vec![1; number.unwrap_or(256) * KIB]));
            text(200, "leaked\n")
        }
        "/recurse" => text(200, format!("{}\n", deeper(1))),
        "/handles" => {
            let wanted = number.unwrap_or(usize::MAX);
            for _ in 0..wanted {
                HANDLES.with_borrow_mut(|handles| handles.push(types::Fields::new()));
            }
            text(200, "kept\n")
        }
        "/streams" => {
            let streams = (0..number.unwrap_or(1)).map(|_| wit_stream::new::<u8>());
            let streams: Vec<_> = streams.collect();
            text(200, format!("{} kept\n", streams.len()))
        }
        // So many in one call, none of them valid.
        "/hand-over" => {
            let entries = vec![(String::new(), Vec::new()); number.unwrap_or(1)];
            let taken = types::Fields::from_list(&entries);
            text(200, format!("{:?}\n", taken.map(drop)))
        }
        // In one write, of a length that is not said.
        "/at-once" => {
            let body = vec![b'o'; number.unwrap_or(1) * KIB];
            stream(200, "text/plain", |mut writer| async move {
                let _ = writer.write(body).await;
                Ok(())
            })
        }
        "/flood" => {
            flood(number.unwrap_or(16));
            text(200, "said\n")
        }
        "/one-line" => {
            print!("{}", "x".repeat(number.unwrap_or(16) * 1024 * KIB));
            text(200, "said\n")
        }
        // As fast as it is taken, without an end.
        "/endless" => stream(200, "text/plain", |mut body| async move {
            let piece = vec![b'.'; 64 * KIB];
            while body.write(piece.clone()).await.is_ok() {}
            Ok(())
        }),
        "/big" => {
            of_type(200, "application/octet-stream", vec![b'b'; number.unwrap_or(8) * 1024 * KIB])
        }
        // Answers, and then loops in a task that nothing waits for.
        "/spin-behind" => {
            wit_bindgen::spawn_local(async {
                pause(50).await;
                spin();
            });
            text(200, "answered\n")
        }
        // Answers, and then waits in a task that nothing waits for.
        "/forget" => {
            wit_bindgen::spawn_local(pause(3_600_000));
            text(200, "answered\n")
        }
        "/trap-behind" => {
            wit_bindgen::spawn_local(async {
                pause(50).await;
                std::process::abort();
            });
            text(200, "answered\n")
        }
        "/exit" => std::process::exit(0),
        // Begins to read the body, and then holds on to it.
        "/hold-body" => answers::hold_body(request).await,
        "/unread" => text(200, "not read\n"),
        "/mirror" => answers::mirror(request).await,
        "/slow" => {
            pause(number.unwrap_or(100) as u64).await;
            text(200, "slow\n")
        }
        // The same as a call that is synchronous: nothing else of the instance moves meanwhile.
        "/sleep" => {
            std::thread::sleep(Duration::from_millis(number.unwrap_or(100) as u64));
            text(200, "slept\n")
        }
        // A bounded piece of work for the processor.
        "/work" => {
            let mut sum = 0_u64;
            for step in 0..number.unwrap_or(1) as u64 * 1_000_000 {
                sum = std::hint::black_box(sum.wrapping_add(step));
            }
            text(200, format!("{}\n", sum % 7))
        }
        "/" => text(200, "fine\n"),
        _ => text(404, "unknown greed\n"),
    }
}

fn number(query: Option<&str>) -> Option<usize> {
    query?.parse().ok()
}

async fn pause(milliseconds: u64) {
    monotonic_clock::wait_for(Duration::from_millis(milliseconds).as_nanos() as u64).await;
}

fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

/// Does not come back: there is no depth at which it is enough.
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    deeper(depth + 1) + room.get((depth % 64) as usize).copied().unwrap_or_default()
}

/// Lines of 1 KiB, `mebibytes` of them in all.
fn flood(mebibytes: usize) {
    let line = "f".repeat(KIB - 1);
    for _ in 0..mebibytes * KIB {
        println!("{line}");
    }
}

async fn handle(request: types::Request) -> Result<types::Response, types::ErrorCode> {
    match answers::unsound(&request) {
        Some(answer) => answer,
        None => exports::handle(serve, request).await,
    }
}

service!(raw handle);
