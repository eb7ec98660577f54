//! The objects of a cluster, as plain data: one list that is written with kustomize and as a Helm chart.
//!
//! Objects are written down as they are in Kubernetes' reference and held against its published schemas by a test, for
//! each version from 1.28 to 1.37: bindings in Rust have one version at a time, and fewer of them. What a chart lets
//! its user choose is a [`Knob`] of an object.

mod host;
mod network;
mod servers;

pub(crate) use servers::{postgres_user, role_script};

use std::time::Duration;

use crate::data::put;
use serde_json::{Map, Value, json};

use crate::Plan;

/// What made an object, in its labels, and its field manager.
pub const MANAGER: &str = "wasm-host";

/// The label with the application's name, and the one with [`MANAGER`].
pub const PART_OF: &str = "app.kubernetes.io/part-of";
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The annotation of a Service with the path below which its service answers.
pub const ROUTE: &str = "wasm-host/route";

/// One object.
#[derive(Clone, Debug)]
pub struct Object {
    pub kind: &'static str,
    pub name: String,
    /// All of it, without a namespace.
    pub body: Value,
    pub knobs: Vec<Knob>,
    /// The value of a chart that decides whether it is there.
    pub wanted_by: Option<&'static str>,
}

/// A place in an object where the value of a chart stands.
#[derive(Clone, Debug)]
pub struct Knob {
    /// As in RFC 6901.
    pub pointer: &'static str,
    /// Below `.Values`.
    pub value: &'static str,
    /// What is before and after the value in the text that stands there, where it is only a part of that.
    pub around: Option<(String, String)>,
}

impl Object {
    /// The name of its file, without the ending.
    pub fn file(&self) -> String {
        format!("{}-{}", self.kind.to_ascii_lowercase(), self.name)
    }

    fn knob(mut self, pointer: &'static str, value: &'static str) -> Self {
        self.knobs.push(Knob { pointer, value, around: None });
        self
    }
}

/// All objects but the namespace, by kind and name.
pub fn objects(plan: &Plan) -> Vec<Object> {
    let mut all = host::objects(plan);
    all.extend(servers::objects(plan));
    all.extend(network::objects(plan));
    all.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    all
}

/// The namespace, where it is the application's own. One that the application file names, or that every cluster has, is
/// another's: an object for it would put our labels on it, and `kubectl delete -k` would take it away with all that others
/// have there.
///
/// It warns of pods with privileges and refuses none: a namespace of the same name may be there already, with pods of
/// others, and those of the application have none by themselves.
pub fn namespace(plan: &Plan) -> Option<Object> {
    if !plan.owns_namespace {
        return None;
    }
    let labels = json!({
        PART_OF: plan.name,
        MANAGED_BY: MANAGER,
        "pod-security.kubernetes.io/warn": "restricted",
    });
    let body = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": plan.namespace, "labels": labels },
    });
    let name = plan.namespace.clone();
    Some(Object { kind: "Namespace", name, body, knobs: Vec::new(), wanted_by: None })
}

/// An object with the labels that all have. `component` is what it belongs to: the application, or a server beside it.
fn object(
    plan: &Plan,
    (api_version, kind): (&str, &'static str),
    name: impl Into<String>,
    component: &str,
    rest: Value,
) -> Object {
    let name = name.into();
    let mut body = Map::new();
    body.insert("apiVersion".to_owned(), api_version.into());
    body.insert("kind".to_owned(), kind.into());
    body.insert("metadata".to_owned(), json!({ "name": name, "labels": labels(plan, component) }));
    if let Value::Object(rest) = rest {
        body.extend(rest);
    }
    Object { kind, name, body: body.into(), knobs: Vec::new(), wanted_by: None }
}

pub(crate) fn labels(plan: &Plan, component: &str) -> Value {
    let mut labels = selector(plan, component);
    put(&mut labels, MANAGED_BY, MANAGER);
    labels
}

/// What a component's pods are selected by; it never changes.
fn selector(plan: &Plan, component: &str) -> Value {
    json!({ "app.kubernetes.io/name": component, PART_OF: plan.name })
}

/// What no pod of an application needs.
fn pod_security(user: u32) -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
    })
}

/// The environment with secrets by name: each of them has to be there, or the pod says which is not.
fn secret_variable(plan: &Plan, variable: &str, key: &str) -> Value {
    json!({
        "name": variable,
        "valueFrom": { "secretKeyRef": { "name": plan.secret_name(), "key": key } },
    })
}

fn service_port(name: &str, port: u16, application: Option<&str>) -> Value {
    let mut entry = json!({ "name": name, "port": port, "protocol": "TCP", "targetPort": name });
    if let Some(application) = application {
        put(&mut entry, "appProtocol", application);
    }
    entry
}

/// As quantities are written: the largest unit that leaves a whole number.
pub(crate) fn quantity(bytes: u64) -> String {
    for (unit, size) in [("Gi", 1_u64 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_and_seconds() {
        assert_eq!(quantity(3 << 30), "3Gi");
        assert_eq!(quantity((3 << 30) + (1 << 20)), "3073Mi");
        assert_eq!(quantity(1000), "1000");
        assert_eq!(quantity(0), "0");
        assert_eq!(seconds(Duration::from_millis(1500)), 2);
        assert_eq!(seconds(Duration::from_secs(20)), 20);
    }
}
