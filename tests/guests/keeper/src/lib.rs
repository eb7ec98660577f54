//! A component that does what it is asked to a bucket: `OPERATION /BUCKET/KEY?ARGUMENT`, where the operation is the
//! request's method or, for `POST`, the first part of the query. It tells errors in full.

use std::time::Duration;

use replies::text;
use wasm_host_guest::keyvalue::{self, Bucket, Error};
use wasm_host_guest::{Request, Response, config, service};

async fn serve(request: Request) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    let body = match request.into_body().bytes(32 * 1024 * 1024).await {
        Ok(body) => body.to_vec(),
        Err(error) => return replies::unread(error),
    };
    if bucket == "config" {
        return text(200, configured(key));
    }
    let done =
        keyvalue::open(bucket).and_then(|bucket| perform(&bucket, &method, key, &query, body));
    match done {
        Ok(Some(body)) => text(200, body),
        Ok(None) => text(404, "none\n"),
        Err(Error::NoSuchBucket) => text(404, "no such bucket\n"),
        Err(Error::NotGranted) => text(403, "not granted\n"),
        Err(error) => text(503, format!("{error}\n")),
    }
}

fn configured(key: &str) -> String {
    match key {
        "" => config::all().iter().map(|(key, value)| format!("{key}={value}\n")).collect(),
        key => config::get(key).unwrap_or_else(|| "none".to_owned()),
    }
}

fn perform(
    bucket: &Bucket,
    method: &str,
    key: &str,
    query: &str,
    body: Vec<u8>,
) -> Result<Option<Vec<u8>>, Error> {
    let done = |()| Some(Vec::new());
    let (operation, argument) = query.split_once('=').unwrap_or((query, ""));
    let lines = || body_lines(&body);
    match (method, operation) {
        ("GET", "") if key.is_empty() => {
            let keys = bucket.keys().collect::<Result<Vec<_>, _>>()?;
            Ok(Some((keys.join("\n") + "\n").into_bytes()))
        }
        ("GET", _) => bucket.get(key),
        ("HEAD", _) => Ok(bucket.exists(key)?.then(Vec::new)),
        ("PUT", _) => bucket.set(key, &body).map(done),
        ("DELETE", _) => bucket.delete(key).map(done),
        (_, "increment") => {
            let sum = bucket.increment(key, argument.parse().unwrap_or(1))?;
            Ok(Some(sum.to_string().into_bytes()))
        }
        (_, "count") => bucket.update(key, one_more).map(Some),
        (_, "race") => race(bucket, key, argument.parse().unwrap_or(1)),
        (_, "set-many") => {
            let entries: Vec<_> = lines().iter().filter_map(|line| pair(line)).collect();
            bucket.set_many(&entries).map(done)
        }
        (_, "get-many") => {
            let found = bucket.get_many(&lines())?.into_iter();
            let shown = found.map(|value| match value {
                Some(value) => format!("{}\n", String::from_utf8_lossy(&value)),
                None => "none\n".to_owned(),
            });
            Ok(Some(shown.collect::<String>().into_bytes()))
        }
        (_, "delete-many") => bucket.delete_many(&lines()).map(done),
        _ => Ok(None),
    }
}

/// Counted by reading and swapping.
fn one_more(found: Option<Vec<u8>>) -> Vec<u8> {
    let found = found.and_then(|text| String::from_utf8(text).ok());
    let count: u64 = found.and_then(|text| text.parse().ok()).unwrap_or_default();
    (count + 1).to_string().into_bytes()
}

/// The same by so many requests, none of which swaps before all have read. Gives what was set, and how many swaps of this
/// request came too late.
fn race(bucket: &Bucket, key: &str, racers: i64) -> Result<Option<Vec<u8>>, Error> {
    let readers = format!("{key}.readers");
    let (mut reads, mut met) = (0, Ok(()));
    let set = bucket.update(key, |found| {
        reads += 1;
        if reads == 1 {
            met = meet(bucket, &readers, racers);
        }
        one_more(found)
    })?;
    met?;
    Ok(Some(format!("{} {}", String::from_utf8_lossy(&set), reads - 1).into_bytes()))
}

/// Return when so many have come here.
fn meet(bucket: &Bucket, place: &str, all: i64) -> Result<(), Error> {
    const PAUSE: Duration = Duration::from_millis(2);
    const PAUSES: u32 = 10_000;
    let mut here = bucket.increment(place, 1)?;
    for _ in 0..PAUSES {
        if here >= all {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
        here = bucket.increment(place, 0)?;
    }
    Err(Error::Call(format!("of {all} racers {here} have come")))
}

fn body_lines(body: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(body).lines().map(str::to_owned).collect()
}

fn pair(line: &str) -> Option<(String, String)> {
    line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()))
}

service!(serve);
