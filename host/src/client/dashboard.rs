//! `wasm-host dashboard`: the link that signs a browser in to the dashboard of a running host.

use super::Client;
use crate::cli;
use crate::exit::Exit;
use wasm_host_http::admin::ServiceStatus;
use wasm_host_system::output;

pub async fn dashboard(args: cli::Dashboard) -> Result<(), Exit> {
    let client = Client::of(&args.control)?;
    // A link that leads nowhere is of no use.
    let _: Vec<ServiceStatus> = client.get(&["services"]).await?;
    output::show(&format!("{}login?t={}\n", client.base, client.token.expose()));
    Ok(())
}
