//! `wasm-host ps`: the services of a running host.

use crate::cli::{self, Format};
use crate::client::Client;
use crate::exit::Exit;
use wasm_host_http::admin::ServiceStatus;
use wasm_host_system::output;
use wasm_host_system::table;

pub async fn ps(args: cli::Ps) -> Result<(), Exit> {
    let services: Vec<ServiceStatus> = Client::of(&args.control)?.get(&["services"]).await?;
    match args.control.output.format {
        Format::Json => table::json(&services)?,
        Format::Table => output::show(&render(&services)),
    }
    Ok(())
}

fn render(services: &[ServiceStatus]) -> String {
    let head = [
        "SERVICE",
        "VERSION",
        "STATE",
        "INSTANCES",
        "RUNNING",
        "QUEUED",
        "SERVED",
        "FAILED",
        "CANCELLED",
        "ADDRESS",
    ];
    let rows: Vec<_> = services.iter().map(row).collect();
    table::render(head, &rows)
}

fn row(service: &ServiceStatus) -> [String; 10] {
    // Files have no versions, and are not counted.
    let count = |number: String| if service.version.is_some() { number } else { "-".to_string() };
    let state = match &service.canary {
        Some(canary) => format!("canary {canary}"),
        None => service.state.clone(),
    };
    [
        service.service.clone(),
        service.version.clone().unwrap_or_else(|| "-".to_string()),
        state,
        count(service.instances.to_string()),
        count(service.in_flight.to_string()),
        count(service.queued.to_string()),
        count(service.served.to_string()),
        count(service.failed.to_string()),
        count(service.cancelled.to_string()),
        service.address.clone(),
    ]
}
