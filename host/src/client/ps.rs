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
        "REFUSED",
        "CANCELLED",
        "ADDRESS",
    ];
    let rows: Vec<_> = services.iter().map(row).collect();
    let mut text = table::render(head, &rows);
    let replicas: Vec<_> = services.iter().flat_map(replicas).collect();
    if !replicas.is_empty() {
        text.push('\n');
        text.push_str(&table::render(
            ["REPLICA", "SERVICE", "GENERATION", "STATE", "LEASE"],
            &replicas,
        ));
    }
    text
}

fn replicas(service: &ServiceStatus) -> impl Iterator<Item = [String; 5]> {
    service.replicas.iter().map(|replica| {
        [
            replica.replica.clone(),
            service.service.clone(),
            replica.generation.map_or_else(|| "-".to_string(), |number| number.to_string()),
            replica.state.clone(),
            format!("{:.1} s", replica.lease_ms as f64 / 1000.0),
        ]
    })
}

fn row(service: &ServiceStatus) -> [String; 11] {
    // Files have neither versions nor instances.
    let instances = service.version.as_ref().map(|_| service.instances.to_string());
    let state = match &service.canary {
        Some(canary) => format!("canary {canary}"),
        None => service.state.clone(),
    };
    [
        service.service.clone(),
        service.version.clone().unwrap_or_else(|| "-".to_string()),
        state,
        instances.unwrap_or_else(|| "-".to_string()),
        service.in_flight.to_string(),
        service.queued.to_string(),
        service.served.to_string(),
        service.failed.to_string(),
        service.refused.to_string(),
        service.cancelled.to_string(),
        service.address.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_host_http::admin::ReplicaStatus;

    #[test]
    fn files_are_counted_as_components_are() {
        let files = ServiceStatus {
            service: "react".to_string(),
            route: Some("/".to_string()),
            kind: "static".to_string(),
            version: None,
            canary: None,
            state: "running".to_string(),
            address: "http://127.0.0.1:8080/".to_string(),
            instances: 0,
            in_flight: 1,
            queued: 2,
            served: 3,
            failed: 4,
            refused: 5,
            cancelled: 6,
            replicas: Vec::new(),
        };
        let words = "react - running - 1 2 3 4 5 6 http://127.0.0.1:8080/";
        let text = render(std::slice::from_ref(&files));
        let row: Vec<_> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(row.join(" "), words);
        let replica = |replica: &str, generation, state: &str, lease_ms| ReplicaStatus {
            replica: replica.to_string(),
            generation,
            state: state.to_string(),
            lease_ms,
        };
        let replicas =
            vec![replica("a-1", Some(7), "serving", 8_340), replica("b-2", None, "lost", 0)];
        let text = render(&[ServiceStatus { replicas, ..files }]);
        let rows: Vec<Vec<_>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[4], ["a-1", "react", "7", "serving", "8.3", "s"]);
        assert_eq!(rows[5], ["b-2", "react", "-", "lost", "0.0", "s"]);
    }
}
