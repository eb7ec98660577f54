//! The application as pods of one machine, for `podman kube play`.
//!
//! They are made of the objects of a cluster, with what podman lacks of Kubernetes done in another way. Its older
//! versions start no StatefulSets, have no Services, put no single file of a ConfigMap into a folder, read no Secret of
//! Kubernetes, run probes by a shell of the container, and have one `emptyDir` for all pods that call theirs the same. So
//! a server is a pod with a volume, its name is an alias in the network, the application file has a folder of its own,
//! values of secrets come from a ConfigMap that podman is given beside the pods, and the names of volumes begin with that
//! of their pod. Each pod is a file, so that one is replaced while the others run.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::data::put;
use crate::kubernetes::{self, Object};
use crate::kustomize::missing_secrets;
use crate::plan::SecretKey;
use crate::{File, Plan, compose, image, yaml};

/// The file with the values of secrets, beside the pods, whose names have no dots.
pub const SECRETS: &str = "values.secrets.yaml";

/// The folder of the application file in the host's container. What else it names is that of the image.
const FILES: &str = "/config";

const MADE: &str = "# Made by `wasm-host deploy podman` from the application file, which is where changes belong.\n";

/// A pod, with what it is called among the others.
struct Pod {
    name: String,
    text: String,
    /// What others call it, where that is not its name.
    alias: Option<String>,
}

/// All files but the one with secrets. `folder` is that of the application file, from the root of this machine.
pub fn files(plan: &Plan, folder: &str) -> Vec<File> {
    let file = |Pod { name, text, .. }| File::new(format!("{name}.yaml"), text);
    let ignored =
        File::new(".gitignore", format!("# Secrets belong into no repository.\n{SECRETS}\n"));
    pods(plan, folder).into_iter().map(file).chain([ignored]).collect()
}

/// The commands that start all of it, servers first. `output` is where the files are.
pub fn commands(plan: &Plan, output: &str) -> String {
    let mut text = format!("podman network create {}\n", plan.name);
    for Pod { name, alias, .. } in pods(plan, "") {
        text.push_str(&play(plan, alias.as_deref(), &format!("{output}/"), &name));
        text.push('\n');
    }
    text
}

fn play(plan: &Plan, alias: Option<&str>, folder: &str, name: &str) -> String {
    let alias = alias.map(|alias| format!(":alias={alias}")).unwrap_or_default();
    let secrets = match plan.all_secrets().is_empty() {
        true => String::new(),
        false => format!(" --configmap {folder}{SECRETS}"),
    };
    format!("podman kube play --network {}{alias}{secrets} {folder}{name}.yaml", plan.name)
}

fn pods(plan: &Plan, folder: &str) -> Vec<Pod> {
    let objects = kubernetes::objects(plan);
    let maps: BTreeMap<&str, &Object> = objects
        .iter()
        .filter(|object| object.kind == "ConfigMap")
        .map(|object| (object.name.as_str(), object))
        .collect();
    let maps = &maps;
    let servers = objects.iter().filter(|object| object.kind == "StatefulSet").map(|object| {
        let spec = server(plan, object);
        // Pods of all applications of a machine have different names.
        let name = own_name(plan, &object.name);
        let text = text(plan, Some(&object.name), &name, &object.name, &spec, maps);
        Pod { name, text, alias: Some(object.name.clone()) }
    });
    let hosts = objects.iter().filter(|object| object.kind == "Deployment").flat_map(|object| {
        let count = plan.deploy.limits.replicas;
        (0..count).map(move |index| {
            let name = match count {
                1 => object.name.clone(),
                _ => format!("{}-{}", object.name, index + 1),
            };
            let spec = host(plan, object, index, folder);
            let text = text(plan, None, &name, &object.name, &spec, maps);
            Pod { name, text, alias: None }
        })
    });
    // Hosts wait for their databases, podman for nothing: in this order, the least is waited for.
    servers.chain(hosts).collect()
}

/// The pod with the ConfigMaps that it mounts.
fn text(
    plan: &Plan,
    alias: Option<&str>,
    name: &str,
    component: &str,
    spec: &Value,
    maps: &BTreeMap<&str, &Object>,
) -> String {
    let mut spec = spec.clone();
    own_volumes(&mut spec, name);
    let spec = &spec;
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": kubernetes::labels(plan, component) },
        "spec": spec,
    });
    let start = play(plan, alias, "", name);
    let mut text = format!("{MADE}# {start}\n{}", yaml::document(&pod));
    let volumes = spec.get("volumes").and_then(Value::as_array).into_iter().flatten();
    let named = volumes.filter_map(|volume| volume.pointer("/configMap/name")?.as_str());
    for map in named.filter_map(|name| maps.get(name)) {
        text.push_str("---\n");
        text.push_str(&yaml::document(&map.body));
    }
    text
}

/// Servers are called in their application as it likes.
fn own_name(plan: &Plan, server: &str) -> String {
    format!("{}-{server}", plan.name)
}

/// Puts the name of the pod before those of its empty folders, which podman makes volumes of.
fn own_volumes(spec: &mut Value, prefix: &str) {
    let mut empty = Vec::new();
    for volume in spec.pointer_mut("/volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = volume.get("name").and_then(Value::as_str).map(str::to_owned);
        if let Some(name) = name.filter(|_| volume.get("emptyDir").is_some()) {
            put(volume, "name", format!("{prefix}-{name}"));
            empty.push(name);
        }
    }
    let mounts = spec.pointer_mut("/containers/0/volumeMounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        let name = mount.get("name").and_then(Value::as_str);
        if let Some(name) = name.filter(|name| empty.iter().any(|it| it == name)) {
            let own = format!("{prefix}-{name}");
            put(mount, "name", own);
        }
    }
}

/// What podman knows of the pod of a Deployment or a StatefulSet, and its one container.
fn pod_of(object: &Object) -> (Map<String, Value>, Map<String, Value>) {
    let spec = object.body.pointer("/spec/template/spec");
    let part = |value: Option<&Value>, keys: &[&str]| -> Map<String, Value> {
        let has = |key: &&str| Some(((*key).to_owned(), value?.get(*key)?.clone()));
        keys.iter().filter_map(has).collect()
    };
    let pod = part(spec, &["securityContext", "terminationGracePeriodSeconds", "volumes"]);
    let container = spec.and_then(|spec| spec.pointer("/containers/0"));
    let keys = ["name", "image", "imagePullPolicy", "command", "args", "env", "securityContext"];
    let mut own = part(container, &[&keys[..], &["volumeMounts"]].concat());
    let memory = container.and_then(|container| container.pointer("/resources/limits/memory"));
    if let Some(memory) = memory {
        own.insert("resources".to_owned(), json!({ "limits": { "memory": memory } }));
    }
    for variable in own.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        // A ConfigMap that is given beside the pod is all that podman keeps of it: the variable.
        let reference = variable.pointer("/valueFrom/secretKeyRef").cloned();
        if let Some(reference) = reference {
            put(variable, "valueFrom", json!({ "configMapKeyRef": reference }));
        }
    }
    (pod, own)
}

fn whole(mut pod: Map<String, Value>, container: Map<String, Value>) -> Value {
    pod.insert("containers".to_owned(), json!([container]));
    pod.insert("restartPolicy".to_owned(), "Always".into());
    Value::Object(pod)
}

/// A server, with the volume that outlives its pod.
fn server(plan: &Plan, object: &Object) -> Value {
    let (mut pod, mut container) = pod_of(object);
    let claim = json!({ "claimName": format!("{}-data", own_name(plan, &object.name)) });
    let volumes = pod.entry("volumes").or_insert_with(|| json!([]));
    if let Value::Array(volumes) = volumes {
        volumes.push(json!({ "name": "data", "persistentVolumeClaim": claim }));
    }
    if container.get("name").and_then(Value::as_str) == Some("ollama") {
        // The user of the image: a new volume belongs to it, as the image has no such folder.
        pod.remove("securityContext");
    }
    if let Some(probe) = probe(object) {
        container.insert("livenessProbe".to_owned(), probe);
    }
    whole(pod, container)
}

/// What is run in the container to see whether it lives, if that is a command: for anything else podman takes `curl` of
/// the container. It has no probe of its own for the start, so the time for that is waited for.
fn probe(object: &Object) -> Option<Value> {
    let container = object.body.pointer("/spec/template/spec/containers/0")?;
    let mut probe =
        container.get("livenessProbe").filter(|probe| probe.get("exec").is_some())?.clone();
    let of_start = |key: &str| container.pointer(&format!("/startupProbe/{key}"))?.as_u64();
    let start = of_start("periodSeconds")? * of_start("failureThreshold")?;
    put(&mut probe, "initialDelaySeconds", start);
    Some(probe)
}

/// One of the hosts, with its port on loopback. There is no probe of it: its image has no shell.
fn host(plan: &Plan, object: &Object, index: usize, folder: &str) -> Value {
    let (mut pod, mut container) = pod_of(object);
    let mut volumes = pod.remove("volumes").unwrap_or_default();
    let mut mounts = vec![
        json!({ "name": "files", "mountPath": FILES, "readOnly": true }),
        json!({ "name": "state", "mountPath": image::STATE }),
    ];
    if let Value::Array(volumes) = &mut volumes {
        volumes.retain(|volume| volume.get("name").is_some_and(|name| name != "tls"));
        let tls = plan.tls.iter().flat_map(|tls| tls.mounts(folder)).enumerate();
        for (index, (source, target)) in tls {
            let name = format!("tls-{index}");
            mounts.push(json!({ "name": name, "mountPath": target, "readOnly": true }));
            volumes.push(json!({ "name": name, "hostPath": { "path": source, "type": "File" } }));
        }
    }
    pod.insert("volumes".to_owned(), volumes);
    container.insert("volumeMounts".to_owned(), mounts.into());
    container.insert("args".to_owned(), arguments().into());
    let port = plan.port.saturating_add(u16::try_from(index).unwrap_or(u16::MAX));
    let port = json!({
        "containerPort": image::HTTP_PORT, "hostIP": "127.0.0.1", "hostPort": port, "protocol": "TCP",
    });
    container.insert("ports".to_owned(), json!([port]));
    whole(pod, container)
}

/// How the host is started: as elsewhere, with the application file of the ConfigMap.
fn arguments() -> Vec<String> {
    let mut arguments = compose::arguments();
    if let Some(file) = arguments.get_mut(1) {
        *file = format!("{FILES}/{}", image::FILE);
    }
    arguments.extend(["--folder", image::FOLDER].map(str::to_owned));
    arguments
}

/// The lines that the file with secrets lacks: a ConfigMap, so that podman puts each into the variables that ask for it.
pub fn missing_values(plan: &Plan, file: &str, made: impl FnMut(&str) -> Option<String>) -> String {
    let known: Vec<_> = file
        .lines()
        .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once(':'))
        .collect();
    let is_known = |secret: &SecretKey| known.iter().any(|(name, _)| name.trim() == secret.name);
    // In the form that `missing_secrets` reads, for those that are there already.
    let there: String = plan
        .all_secrets()
        .iter()
        .filter(|secret| is_known(secret))
        .map(|secret| format!("{}=\n", secret.name))
        .collect();
    let lines = missing_secrets(plan, &there, made);
    if lines.is_empty() {
        return String::new();
    }
    let head = match file.is_empty() {
        true => format!(
            "# Values of secrets for `podman kube play --configmap`. Fill what is a comment; this belongs into no repository.\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\ndata:\n",
            plan.secret_name()
        ),
        false => String::new(),
    };
    head + &lines.lines().map(entry).collect::<String>()
}

/// `NAME=VALUE` as an entry of the ConfigMap, `#NAME=` as one to fill in, other comments as they are.
fn entry(line: &str) -> String {
    match (line.split_once('='), line.strip_prefix("# ")) {
        (_, Some(_)) => format!("  {line}\n"),
        (Some((name, _)), None) if line.starts_with('#') => format!("  {name}: \"\"\n"),
        (Some((name, value)), None) => format!("  {name}: {}\n", json!(value)),
        (None, None) => String::new(),
    }
}

/// The secrets that a file of them gives no value.
pub fn unfilled(plan: &Plan, file: &str) -> Vec<SecretKey> {
    let has_value = |secret: &SecretKey| {
        file.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| {
            let entry = line.trim().split_once(':');
            entry.is_some_and(|(name, value)| {
                name == secret.name && !matches!(value.trim(), "" | "\"\"" | "''")
            })
        })
    };
    plan.all_secrets().into_iter().filter(|secret| !has_value(secret)).collect()
}
