//! What may reach what: a NetworkPolicy for the host and one for each server beside it, from what the application file
//! grants.
//!
//! Policies know addresses, not names: what is reached by a name may be anything with its port, and a name of `outbound`
//! any public address, which is what the host lets it be, too. The host checks names itself.

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{Object, object, selector};
use crate::plan::{Egress, To};
use crate::{Plan, image};

/// What is not public: addresses of machines, networks and providers' own.
const PRIVATE_V4: [&str; 6] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
];
const PRIVATE_V6: [&str; 3] = ["::1/128", "fc00::/7", "fe80::/10"];

const DNS: u16 = 53;

/// Behind port 53 of OpenShift's Service for names: policies are about the ports of pods.
const DNS_IN_PODS: u16 = 5353;

const HTTPS: u16 = 443;

pub(super) fn objects(plan: &Plan) -> Vec<Object> {
    let mut all = vec![policy(plan, &plan.name, host_ingress(plan), host_egress(plan))];
    for database in &plan.databases {
        all.push(policy(plan, &database.name, from_host(plan, 5432), Vec::new()));
    }
    for models in &plan.models {
        // Models are pulled from a registry outside.
        let registry = json!({ "to": public(), "ports": [tcp(HTTPS)] });
        all.push(policy(
            plan,
            &models.name,
            from_host(plan, 11_434),
            dns().into_iter().chain([registry]).collect(),
        ));
    }
    all
}

fn policy(plan: &Plan, component: &str, ingress: Vec<Value>, egress: Vec<Value>) -> Object {
    let spec = json!({
        "podSelector": { "matchLabels": selector(plan, component) },
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    });
    let kind = ("networking.k8s.io/v1", "NetworkPolicy");
    object(plan, kind, component, component, json!({ "spec": spec }))
}

/// The public port from everywhere; figures from one namespace at most; the control plane from nowhere, as it listens within
/// the pod alone. Probes come from the pod's own node, which no policy keeps away.
fn host_ingress(plan: &Plan) -> Vec<Value> {
    let mut rules = vec![json!({ "ports": [tcp(image::HTTP_PORT)] })];
    if let Some(namespace) = &plan.deploy.metrics_namespace {
        let from = json!([{ "namespaceSelector": in_namespace(namespace) }]);
        rules.push(json!({ "from": from, "ports": [tcp(image::PROBES_PORT)] }));
    }
    rules
}

fn host_egress(plan: &Plan) -> Vec<Value> {
    let mut rules = Vec::from(dns());
    let databases = plan.databases.iter().map(|database| (&database.name, 5432));
    let models = plan.models.iter().map(|models| (&models.name, 11_434));
    for (name, port) in databases.chain(models) {
        let to = json!([{ "podSelector": { "matchLabels": selector(plan, name) } }]);
        rules.push(json!({ "to": to, "ports": [tcp(port)] }));
    }
    rules.extend(plan.egress.iter().map(|Egress { to, port }| match to {
        To::Anywhere => json!({ "ports": [tcp(*port)] }),
        To::Public => json!({ "to": public(), "ports": [tcp(*port)] }),
        To::Network(network) => {
            json!({ "to": [{ "ipBlock": { "cidr": cidr(network) } }], "ports": [tcp(*port)] })
        }
    }));
    rules
}

fn from_host(plan: &Plan, port: u16) -> Vec<Value> {
    let from = json!([{ "podSelector": { "matchLabels": selector(plan, &plan.name) } }]);
    vec![json!({ "from": from, "ports": [tcp(port)] })]
}

/// Clusters have their servers for names in namespaces, on nodes and at addresses of their choice. This opens no way that a
/// server for names would not be.
fn dns() -> [Value; 2] {
    let ports = |port: u16| json!([{ "protocol": "UDP", "port": port }, { "protocol": "TCP", "port": port }]);
    [
        json!({ "ports": ports(DNS) }),
        json!({ "to": [{ "namespaceSelector": {} }], "ports": ports(DNS_IN_PODS) }),
    ]
}

fn public() -> Value {
    json!([
        { "ipBlock": { "cidr": "0.0.0.0/0", "except": PRIVATE_V4 } },
        { "ipBlock": { "cidr": "::/0", "except": PRIVATE_V6 } },
    ])
}

fn in_namespace(name: &str) -> Value {
    json!({ "matchLabels": { "kubernetes.io/metadata.name": name } })
}

fn tcp(port: u16) -> Value {
    json!({ "protocol": "TCP", "port": port })
}

fn cidr(network: &IpNet) -> String {
    network.to_string()
}
