//! A service in several versions: all crates `version-*` share this file, and each says in its `lib.rs` which
//! version it is and how it misbehaves. The body names the version at its start and at its end, so that a
//! client sees whether one version wrote all of it.

use std::time::Duration;

use replies::{stream, text};
use wasm_host_guest::bindings::wasi::clocks::monotonic_clock;
use wasm_host_guest::bindings::wasi::random::random;
use wasm_host_guest::{Request, Response};

use crate::{FAULT, VERSION};

/// What is wrong with a version.
#[derive(PartialEq)]
#[allow(dead_code, reason = "each version has one of them")]
pub(crate) enum Fault {
    None,
    /// Its health path says so.
    Sick,
    /// Every request but those for the health path.
    TrapsAlways,
    /// One request of five.
    TrapsSometimes,
}

pub(crate) async fn serve(request: Request) -> Response {
    if request.uri().path() == "/health" {
        let status = if FAULT == Fault::Sick { 500 } else { 200 };
        return text(status, format!("{VERSION}\n"));
    }
    match FAULT {
        Fault::TrapsAlways => std::process::abort(),
        Fault::TrapsSometimes if random::get_random_u64().is_multiple_of(5) => {
            std::process::abort()
        }
        _ => {}
    }
    // `/slow?pieces=20&ms=50&bytes=1000&print=word`: so many pieces, so far apart, so large at least, with a line of the log
    // for each.
    let query = request.uri().query().unwrap_or_default().to_owned();
    let print = value(&query, "print").map(str::to_owned);
    let pieces = number(&query, "pieces").unwrap_or(1);
    let pause = Duration::from_millis(number(&query, "ms").unwrap_or(0)).as_nanos() as u64;
    let size = number(&query, "bytes").unwrap_or(0) as usize;
    stream(200, "text/plain", move |mut body| async move {
        let mut text = format!("begin {VERSION}\n");
        for piece in 0..pieces {
            if body.write(text.into_bytes()).await.is_err() {
                return Ok(());
            }
            if pause > 0 {
                monotonic_clock::wait_for(pause).await;
            }
            if let Some(word) = &print {
                eprintln!("{word} {piece}");
            }
            text = format!("{piece:size$}\n");
        }
        // A client that has left does not miss the end.
        let _ = body.write(format!("end {VERSION}\n").into_bytes()).await;
        Ok(())
    })
}

fn number(query: &str, name: &str) -> Option<u64> {
    value(query, name)?.parse().ok()
}

fn value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}
