//! `wasm-host dashboard`: the link that signs a browser in to the dashboard of a running host.

use super::Client;
use crate::cli::{self, Format};
use crate::exit::Exit;
use wasm_host_http::admin::ServiceStatus;
use wasm_host_system::output;
use wasm_host_system::table;

pub async fn dashboard(args: cli::Dashboard) -> Result<(), Exit> {
    let client = Client::of(&args.control)?;
    // A link that leads nowhere is of no use.
    let _: Vec<ServiceStatus> = client.get(&["services"]).await?;
    let link = format!("{}login?t={}", client.base, client.token.expose());
    match args.control.output.format {
        Format::Json => table::json(&serde_json::json!({ "url": link }))?,
        Format::Table => output::show(&format!("{link}\n")),
    }
    Ok(())
}
