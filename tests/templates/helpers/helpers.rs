//! Calls what the library has for buckets, a database and the configuration, and answers with what each call gave.

use wasm_host_guest::keyvalue::{self, Bucket};
use wasm_host_guest::{IntoResponse, Problem, Response, config, sql};

pub async fn answer(key: &str, query: &str) -> Result<Response, Problem> {
    if let Some(key) = key.strip_prefix('/') {
        let value = config::get(key).unwrap_or_else(|| "nothing".to_owned());
        return Ok(format!("{value}\n").into_response());
    }
    if query == "sql" {
        return told().await;
    }
    let bucket = keyvalue::open(query)?;
    let mut lines = vec![note(&bucket)?];
    bucket.set("note", b"\0\xffo")?;
    lines.push(note(&bucket)?);
    bucket.set("other", "tea")?;
    lines.push(bucket.keys().collect::<Result<Vec<_>, _>>()?.join(" "));
    bucket.delete("note")?;
    lines.push(note(&bucket)?);
    for delta in [40, -41] {
        lines.push(bucket.increment("count", delta)?.to_string());
    }
    Ok(lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_response())
}

async fn told() -> Result<Response, Problem> {
    let rows = sql::query("select text from greetings where id > $1 and text <> $2 order by id");
    let mut lines: Vec<String> = rows.bind(1_i64).bind("Bonjour").fetch_all().await?;
    for statement in
        ["insert into greetings (text) values ($1)", "delete from greetings where text = $1"]
    {
        lines.push(sql::query(statement).bind("Ciao").execute().await?.to_string());
    }
    Ok(lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_response())
}

fn note(bucket: &Bucket) -> Result<String, keyvalue::Error> {
    let shown = |value: Vec<u8>| value.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(bucket.get("note")?.map_or_else(|| "nothing".to_owned(), shown))
}
