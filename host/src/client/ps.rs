//! `wasm-host ps`: the services of a running host.

use serde::Deserialize;

use crate::cli::{self, Format};
use crate::client::kept::say_if_off;
use crate::client::{Client, share};
use crate::exit::Exit;
use wasm_host_http::admin::ServiceStatus;
use wasm_host_system::output;
use wasm_host_system::printable::printable;
use wasm_host_system::table;

pub async fn ps(args: cli::Ps) -> Result<(), Exit> {
    let client = Client::of(&args.control)?;
    if args.control.output.format == Format::Json {
        let services: Vec<ServiceStatus> = client.get(&["services"]).await?;
        table::json(&services)?;
        return Ok(());
    }
    output::show(&render(&client.get(&["api", "resources"]).await?));
    // Rates are zeros then. What cannot be found out is no reason to fail: all else is told.
    let _ = say_if_off(&client).await;
    Ok(())
}

/// What there is, with what the last minute was like.
#[derive(Deserialize)]
struct Resources {
    services: Vec<Service>,
    backends: Vec<Backend>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(flatten)]
    status: ServiceStatus,
    rate: f64,
    errors: f64,
    grants: Vec<String>,
}

#[derive(Deserialize)]
struct Backend {
    backend: String,
    state: String,
    detail: Option<String>,
}

fn render(resources: &Resources) -> String {
    let Resources { services, backends } = resources;
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
        "5XX/MIN",
        "ADDRESS",
    ];
    let rows: Vec<_> = services.iter().map(row).collect();
    let mut text = table::render(head, &rows);
    // Why a service is not as it should be stands where its state is seen.
    for Backend { backend, state, detail } in backends.iter().filter(|it| it.state != "up") {
        let of = services.iter().filter(|service| service.grants.contains(backend));
        let of: Vec<&str> = of.map(|service| &*service.status.service).collect();
        let why = detail.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let of = if of.is_empty() { "no service".to_owned() } else { of.join(", ") };
        text.push_str(&printable(&format!("{backend} of {of} is {state}{why}")));
        text.push('\n');
    }
    let replicas: Vec<_> = services.iter().flat_map(|it| replicas(&it.status)).collect();
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

fn row(Service { status: service, rate, errors, .. }: &Service) -> [String; 12] {
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
        share(*errors, *rate),
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
            cut: 0,
            refused: 5,
            cancelled: 6,
            replicas: Vec::new(),
        };
        let backend = Backend {
            backend: "ollama.local".to_string(),
            state: "down".to_string(),
            detail: Some("it refuses connections".to_string()),
        };
        let service = Service {
            status: files,
            rate: 2.0,
            errors: 0.5,
            grants: vec![backend.backend.clone()],
        };
        let mut resources = Resources { services: vec![service], backends: vec![backend] };
        let text = render(&resources);
        let row: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row.join(" "), "react - running - 1 2 3 4 5 6 25% http://127.0.0.1:8080/");
        let why = "ollama.local of react is down: it refuses connections";
        assert_eq!(text.lines().last(), Some(why));
        let replica = |replica: &str, generation, state: &str, lease_ms| ReplicaStatus {
            replica: replica.to_string(),
            generation,
            state: state.to_string(),
            lease_ms,
        };
        resources.services[0].status.replicas =
            vec![replica("a-1", Some(7), "serving", 8_340), replica("b-2", None, "lost", 0)];
        let text = render(&resources);
        let rows: Vec<Vec<_>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[5], ["a-1", "react", "7", "serving", "8.3", "s"]);
        assert_eq!(rows[6], ["b-2", "react", "-", "lost", "0.0", "s"]);
    }
}
