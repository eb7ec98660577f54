//! `wasm-host record` and `wasm-host recordings`: keep the next requests of a service as cases, and what is kept.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, utc_micros};
use crate::cli::{self, Format};
use crate::exit::Exit;
use wasm_host_http::admin::recordings::{List, Only, Order, Ordered, Recording, Saved};
use wasm_host_limits as limits;
use wasm_host_system::output;
use wasm_host_system::printable::printable;
use wasm_host_system::table;

const PATH: [&str; 2] = ["api", "recordings"];

pub async fn record(args: cli::Record) -> Result<(), Exit> {
    let client = Client::of(&args.control)?;
    let format = args.control.output.format;
    if args.stop {
        let path = [&PATH[..], &[&args.service]].concat();
        let request = client.request(Method::DELETE, &path, limits::COMMAND_TIMEOUT)?;
        let done: Value = client.send(request).await?.ok()?.read()?;
        match format {
            Format::Json => table::json(&done)?,
            Format::Table => {
                output::show(&format!("No request of {} is recorded any more.\n", args.service))
            }
        }
        return Ok(());
    }
    let only = if args.failures { Only::Failures } else { Only::All };
    let order = Order { service: args.service, requests: args.requests as usize, only };
    let request = client.request(Method::POST, &PATH, limits::COMMAND_TIMEOUT)?.json(&order);
    let ordered: Ordered = client.send(request).await?.ok()?.read()?;
    match format {
        Format::Json => table::json(&ordered)?,
        Format::Table => {
            let what = wanted(&ordered);
            output::show(&format!("{what}; `wasm-host recordings` lists what is kept.\n"));
        }
    }
    Ok(())
}

pub async fn recordings(args: cli::Recordings) -> Result<(), Exit> {
    let client = Client::of(&args.control)?;
    let format = args.control.output.format;
    let Some(id) = &args.recording else {
        let list: List = client.get(&PATH).await?;
        match format {
            Format::Json => table::json(&list)?,
            Format::Table => output::show(&render(&list)),
        }
        return Ok(());
    };
    let path = [&PATH[..], &[id]].concat();
    let Some(folder) = &args.save else {
        let request = client.request(Method::GET, &path, limits::COMMAND_TIMEOUT)?;
        let case = client.send(request).await?.ok()?.text();
        match format {
            Format::Json => table::json(&json!({ "case": case }))?,
            Format::Table => output::show(&case),
        }
        return Ok(());
    };
    let path = [&path[..], &["save"]].concat();
    let body = folder.as_ref().map_or(json!({}), |folder| json!({ "folder": folder }));
    let request = client.request(Method::POST, &path, limits::COMMAND_TIMEOUT)?.json(&body);
    let saved: Saved = client.send(request).await?.ok()?.read()?;
    match format {
        Format::Json => table::json(&saved)?,
        Format::Table => output::show(&format!("{}\n", printable(&saved.file))),
    }
    Ok(())
}

fn wanted(ordered: &Ordered) -> String {
    let what = match (ordered.only, ordered.left) {
        (Only::All, 1) => "request",
        (Only::All, _) => "requests",
        (Only::Failures, 1) => "failure",
        (Only::Failures, _) => "failures",
    };
    let until = utc_micros(ordered.until);
    format!("The next {} {what} of {}, until {until}", ordered.left, ordered.service)
}

fn render(list: &List) -> String {
    let mut text = String::new();
    for ordered in &list.recording {
        text.push_str(&format!("{}\n", wanted(ordered)));
    }
    let rows: Vec<[String; 6]> = list.items.iter().map(row).collect();
    text + &table::render(["ID", "TIME", "SERVICE", "REQUEST", "STATUS", "FILE"], &rows)
}

fn row(item: &Recording) -> [String; 6] {
    let Recording { id, time, service, name, status, file, .. } = item;
    [
        id.clone(),
        utc_micros(*time),
        service.clone(),
        printable(name).to_string(),
        status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
        file.as_deref().map_or_else(|| "-".to_owned(), |file| printable(file).to_string()),
    ]
}
