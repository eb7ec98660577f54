//! The host: its Deployment with all that belongs to it, and a Service for each name that is asked for.

use crate::data::{put, put_metadata};
use serde_json::{Map, Value, json};
use wasm_host_limits::deploy as limits;

use super::{
    Knob, Object, container_security, object, pod_security, quantity, seconds, secret_variable,
    selector, service_port,
};
use crate::{Plan, image, within};

/// The figure of the host that says how many requests wait, as `/metrics` calls it.
const QUEUED: &str = "wasm_host_requests_queued";

/// The application file in its ConfigMap, and the name of the Ingress in the pods of the Deployment.
const APPLICATION_FILE: &str = "/data/wasm-host.toml";
const LISTED_HOST: &str = "/spec/template/metadata/annotations/wasm-host~1ingress-host";

/// The value of a chart with the name of the Ingress.
const INGRESS_HOST: &str = "ingress.host";

/// Where its pods tell a Prometheus of older habits that they have figures.
const SCRAPE: &str = "prometheus.io/scrape";

pub(super) fn objects(plan: &Plan) -> Vec<Object> {
    let mut all = vec![account(plan), files(plan), deployment(plan), budget(plan)];
    all.extend(services(plan));
    all.extend(scaler(plan));
    all.extend(ingress(plan));
    all
}

/// No rights, and no token to ask for any.
fn account(plan: &Plan) -> Object {
    let rest = json!({ "automountServiceAccountToken": false });
    object(plan, ("v1", "ServiceAccount"), &plan.name, &plan.name, rest)
}

fn files_name(plan: &Plan) -> String {
    format!("{}-files", plan.name)
}

fn files(plan: &Plan) -> Object {
    let data: Map<_, _> =
        plan.mounts.iter().map(|mount| (mount.key.clone(), mount.text.as_str().into())).collect();
    let mut files =
        object(plan, ("v1", "ConfigMap"), files_name(plan), &plan.name, json!({ "data": data }));
    files.knobs.extend(listed_host(plan).map(|(_, around)| Knob {
        pointer: APPLICATION_FILE,
        value: INGRESS_HOST,
        around: Some(around),
    }));
    files
}

/// The name of the Ingress with the application file around it, where that lists names and would not answer another one.
fn listed_host(plan: &Plan) -> Option<(&str, (String, String))> {
    let host = plan.deploy.ingress_host.as_deref()?;
    Some((host, within::around_host(&plan.mounts.first()?.text, host)?))
}

fn deployment(plan: &Plan) -> Object {
    let deploy = &plan.deploy;
    let mut annotations = json!({
        "wasm-host/files-sha256": plan.digest(),
        SCRAPE: "true",
        "prometheus.io/port": image::PROBES_PORT.to_string(),
    });
    let listed = listed_host(plan);
    if let Some((host, _)) = listed {
        // A chart puts another one into the application file, and new pods read it.
        put(&mut annotations, "wasm-host/ingress-host", host);
    }
    let mut spec = json!({
        "revisionHistoryLimit": 3,
        "selector": { "matchLabels": selector(plan, &plan.name) },
        // A new pod serves before an old one goes.
        "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
        "template": {
            "metadata": {
                "labels": super::labels(plan, &plan.name),
                "annotations": annotations,
            },
            "spec": pod(plan),
        },
    });
    let object = |spec: Value| {
        let rest = json!({ "spec": spec });
        let made = object(plan, ("apps/v1", "Deployment"), &plan.name, &plan.name, rest)
            .knob("/spec/template/spec/containers/0/image", "image");
        match listed {
            Some(_) => made.knob(LISTED_HOST, INGRESS_HOST),
            None => made,
        }
    };
    if deploy.limits.replicas_max.is_some() {
        // Their number is the scaler's, and applying the file again does not change it.
        return object(spec);
    }
    put(&mut spec, "replicas", deploy.limits.replicas);
    object(spec).knob("/spec/replicas", "replicas")
}

fn pod(plan: &Plan) -> Value {
    let delay = seconds(plan.deploy.limits.stop_delay);
    let mut volumes = vec![
        json!({ "name": "files", "configMap": { "name": files_name(plan) } }),
        json!({
            "name": "state",
            "emptyDir": { "sizeLimit": quantity(plan.deploy.limits.state_bytes) },
        }),
    ];
    if plan.tls.is_some() {
        let secret = json!({ "secretName": plan.tls_secret() });
        volumes.push(json!({ "name": "tls", "secret": secret }));
    }
    json!({
        "automountServiceAccountToken": false,
        // Variables of all Services of the namespace are in no application file.
        "enableServiceLinks": false,
        "serviceAccountName": plan.name,
        "securityContext": pod_security(image::USER),
        "terminationGracePeriodSeconds": delay + seconds(plan.grace()),
        "topologySpreadConstraints": [{
            "labelSelector": { "matchLabels": selector(plan, &plan.name) },
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
        }],
        "containers": [container(plan)],
        "volumes": volumes,
    })
}

fn container(plan: &Plan) -> Value {
    let limits = &plan.deploy.limits;
    let env: Vec<_> = plan
        .secrets
        .iter()
        .map(|secret| secret_variable(plan, &secret.name, &secret.name))
        .collect();
    let mut container = json!({
        "name": "host",
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [image::PROGRAM],
        "args": crate::compose::arguments(),
        "ports": [
            { "name": "http", "containerPort": image::HTTP_PORT, "protocol": "TCP" },
            { "name": "probes", "containerPort": image::PROBES_PORT, "protocol": "TCP" },
        ],
        "startupProbe": probe("/live", 2, limits::START_TIMEOUT.as_secs() / 2),
        "livenessProbe": probe("/live", 10, 6),
        "readinessProbe": probe("/ready", 2, 2),
        "resources": {
            "requests": {
                "cpu": format!("{}m", limits.cpu),
                "memory": quantity(limits.memory_bytes.min(plan.memory_bytes)),
                "ephemeral-storage": quantity(limits.state_bytes.min(1 << 30)),
            },
            // No bound of processor time: it would stop the host in the middle of a burst.
            "limits": {
                "memory": quantity(plan.memory_bytes),
                "ephemeral-storage": quantity(limits.state_bytes + (1 << 30)),
            },
        },
        "securityContext": container_security(),
        "volumeMounts": mounts(plan),
    });
    if !env.is_empty() {
        put(&mut container, "env", env);
    }
    if !limits.stop_delay.is_zero() {
        // Of the program itself: the image has no shell, and clusters before 1.30 cannot sleep by themselves.
        let command = json!([image::PROGRAM, "pause", format!("{}s", seconds(limits.stop_delay))]);
        put(&mut container, "lifecycle", json!({ "preStop": { "exec": { "command": command } } }));
    }
    container
}

fn probe(path: &str, period: u64, failures: u64) -> Value {
    json!({
        "httpGet": { "path": path, "port": "probes", "scheme": "HTTP" },
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    })
}

fn mounts(plan: &Plan) -> Vec<Value> {
    let files = plan.mounts.iter().map(|mount| {
        json!({
            "name": "files",
            "mountPath": format!("{}/{}", image::FOLDER, mount.path),
            "subPath": mount.key,
            "readOnly": true,
        })
    });
    let state = json!({ "name": "state", "mountPath": image::STATE });
    let tls = plan
        .tls
        .iter()
        .map(|_| json!({ "name": "tls", "mountPath": image::TLS, "readOnly": true }));
    files.chain([state]).chain(tls).collect()
}

/// At most one host is taken away at once, by those who mean to.
fn budget(plan: &Plan) -> Object {
    let spec = json!({
        "maxUnavailable": 1,
        "selector": { "matchLabels": selector(plan, &plan.name) },
    });
    let rest = json!({ "spec": spec });
    object(plan, ("policy/v1", "PodDisruptionBudget"), &plan.name, &plan.name, rest)
}

/// More hosts where requests wait. Processor time says little of a host that waits for its backends.
fn scaler(plan: &Plan) -> Option<Object> {
    let limits = &plan.deploy.limits;
    let spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": plan.name },
        "minReplicas": limits.replicas,
        "maxReplicas": limits.replicas_max?,
        "metrics": [{
            "type": "Pods",
            "pods": {
                "metric": { "name": QUEUED },
                "target": {
                    "type": "AverageValue",
                    "averageValue": limits.queued_per_replica.to_string(),
                },
            },
        }],
    });
    let kind = ("autoscaling/v2", "HorizontalPodAutoscaler");
    Some(object(plan, kind, &plan.name, &plan.name, json!({ "spec": spec })))
}

fn services(plan: &Plan) -> impl Iterator<Item = Object> {
    let protocol = if plan.tls.is_some() { "https" } else { "http" };
    plan.services.iter().map(move |service| {
        let spec = json!({
            "type": "ClusterIP",
            "selector": selector(plan, &plan.name),
            "ports": [service_port("http", plan.port, Some(protocol))],
        });
        let rest = json!({ "spec": spec });
        let mut made = object(plan, ("v1", "Service"), &service.name, &plan.name, rest)
            .knob("/spec/type", "serviceType");
        // For the table of addresses: all of them lead to the same port.
        put_metadata(&mut made.body, "annotations", json!({ super::ROUTE: service.route }));
        made
    })
}

fn ingress(plan: &Plan) -> Option<Object> {
    let deploy = &plan.deploy;
    let host = deploy.ingress_host.as_ref()?;
    let backend = json!({ "service": { "name": plan.name, "port": { "name": "http" } } });
    let path = json!({ "path": "/", "pathType": "Prefix", "backend": backend });
    let mut spec = json!({ "rules": [{ "host": host, "http": { "paths": [path] } }] });
    if let Some(class) = &deploy.ingress_class {
        put(&mut spec, "ingressClassName", class.as_str());
    }
    if let Some(secret) = &deploy.ingress_tls {
        put(&mut spec, "tls", json!([{ "hosts": [host], "secretName": secret }]));
    }
    let rest = json!({ "spec": spec });
    let mut made = object(plan, ("networking.k8s.io/v1", "Ingress"), &plan.name, &plan.name, rest)
        .knob("/spec/rules/0/host", INGRESS_HOST);
    if deploy.ingress_class.is_some() {
        made = made.knob("/spec/ingressClassName", "ingress.className");
    }
    if deploy.ingress_tls.is_some() {
        made = made
            .knob("/spec/tls/0/hosts/0", INGRESS_HOST)
            .knob("/spec/tls/0/secretName", "ingress.tlsSecret");
    }
    made.wanted_by = Some("ingress.enabled");
    Some(made)
}
