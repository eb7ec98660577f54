//! The table at the end of a deployment: where each Service of the application is.

use serde_json::Value;

use crate::data::is;
use crate::kubernetes::ROUTE;

/// The columns, as in the article on .NET Aspire and Aspirate.
pub const HEAD: [&str; 6] =
    ["Service Name", "Service Type", "Cluster IP", "Port", "Node Port", "Address"];

/// A row for each Service of what `kubectl get services -o json` answers, by name. `node` is where node ports are reached.
pub fn rows(answer: &Value, node: &str) -> Vec<[String; 6]> {
    let items = answer.pointer("/items").and_then(Value::as_array);
    let mut rows: Vec<_> = items.into_iter().flatten().filter_map(|item| row(item, node)).collect();
    rows.sort();
    rows
}

fn row(item: &Value, node: &str) -> Option<[String; 6]> {
    let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
    let number = |pointer: &str| item.pointer(pointer).and_then(Value::as_u64);
    let name = text("/metadata/name")?;
    let port = number("/spec/ports/0/port")?;
    let node_port = number("/spec/ports/0/nodePort");
    let annotations = item.pointer("/metadata/annotations").and_then(Value::as_object);
    let route = annotations.and_then(|all| all.get(ROUTE)).and_then(Value::as_str);
    let protocol = text("/spec/ports/0/appProtocol").unwrap_or("tcp");
    let balancer = text("/status/loadBalancer/ingress/0/hostname")
        .or_else(|| text("/status/loadBalancer/ingress/0/ip"));
    let path = route.unwrap_or_default();
    let address = match (balancer, node_port) {
        (Some(host), _) => format!("{protocol}://{host}:{port}{path}"),
        (None, Some(node_port)) => format!("{protocol}://{node}:{node_port}{path}"),
        (None, None) => format!("{protocol}://{name}:{port}{path} (inside)"),
    };
    Some([
        name.to_owned(),
        text("/spec/type").unwrap_or("ClusterIP").to_owned(),
        text("/spec/clusterIP").unwrap_or("-").to_owned(),
        port.to_string(),
        node_port.map_or_else(|| "-".to_owned(), |port| port.to_string()),
        address,
    ])
}

/// Where ports of the nodes are reached: on this machine for clusters that run on it, else at a node's address, if
/// `kubectl get nodes -o json` tells one.
pub fn node(context: &str, nodes: Option<&Value>) -> String {
    const HERE: [&str; 4] = ["docker-desktop", "rancher-desktop", "orbstack", "docker-for-desktop"];
    let is_here = HERE.contains(&context) || context.starts_with("kind-");
    let items = nodes.and_then(|nodes| nodes.pointer("/items")).and_then(Value::as_array);
    let first = items.and_then(|items| items.first());
    let addresses = first.and_then(|node| node.pointer("/status/addresses")?.as_array());
    let of_type = |wanted: &str| {
        let found = addresses?.iter().find(|address| is(address, "type", wanted))?;
        Some(found.get("address")?.as_str()?.to_owned())
    };
    match is_here {
        true => "localhost".to_owned(),
        false => of_type("ExternalIP")
            .or_else(|| of_type("InternalIP"))
            .unwrap_or_else(|| "localhost".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_a_row_and_its_route_is_part_of_its_address() {
        let answer = json!({ "items": [
            {
                "metadata": { "name": "weather" },
                "spec": { "type": "ClusterIP", "clusterIP": "10.0.0.7", "ports": [{ "port": 5432 }] },
            },
            {
                "metadata": { "name": "apiservice", "annotations": { ROUTE: "/weather" } },
                "spec": {
                    "type": "NodePort", "clusterIP": "10.0.0.8",
                    "ports": [{ "port": 8080, "nodePort": 30123, "appProtocol": "http" }],
                },
            },
        ] });
        let rows = rows(&answer, "localhost");
        assert_eq!(
            rows[0],
            [
                "apiservice",
                "NodePort",
                "10.0.0.8",
                "8080",
                "30123",
                "http://localhost:30123/weather"
            ]
        );
        assert_eq!(
            rows[1],
            ["weather", "ClusterIP", "10.0.0.7", "5432", "-", "tcp://weather:5432 (inside)"]
        );
    }

    #[test]
    fn ports_of_a_node_are_here_or_at_the_node() {
        let addresses = json!([{ "type": "InternalIP", "address": "192.168.49.2" }]);
        let nodes = json!({ "items": [{ "status": { "addresses": addresses } }] });
        assert_eq!(node("docker-desktop", Some(&nodes)), "localhost");
        assert_eq!(node("kind-shop", None), "localhost");
        assert_eq!(node("minikube", Some(&nodes)), "192.168.49.2");
        assert_eq!(node("far", None), "localhost");
    }
}
