//! Whether what was applied runs, and if not, why: read of what a cluster says of its workloads and pods.

use serde_json::Value;

use crate::data::is;
use crate::kubernetes::MANAGER;

/// An object that was applied: the singular of its kind in small letters, as kubectl writes it, and its name.
pub type Applied = (String, String);

/// What `kubectl apply` says that it applied: a line `deployment.apps/shop serverside-applied` for each.
pub fn applied(said: &str) -> Vec<Applied> {
    let objects = said.lines().filter_map(|line| line.split_whitespace().next()?.split_once('/'));
    let kind = |kind: &str| kind.split('.').next().unwrap_or_default().to_owned();
    objects.map(|(resource, name)| (kind(resource), name.to_owned())).collect()
}

/// The StatefulSets whose volumes a server does not change, of what kubectl complains about: a line `The StatefulSet "x" is
/// invalid: spec: Forbidden: updates to statefulset spec for fields other than … are forbidden` for each.
pub fn unchangeable(complaints: &str) -> Vec<String> {
    let lines = complaints.lines().filter(|line| line.contains("updates to statefulset spec"));
    let names = lines.filter_map(|line| line.split_once("StatefulSet \"")?.1.split_once('"'));
    let mut names: Vec<_> = names.map(|(name, _)| name.to_owned()).collect();
    names.dedup();
    names
}

/// What of the Deployments and StatefulSets in `kubectl get deployments,statefulsets -o json` does not run yet as it was
/// applied, in words. What was applied and is not among them is in another namespace, and nothing is known of it.
pub fn pending(workloads: &Value, applied: &[Applied]) -> Vec<String> {
    let items = workloads.pointer("/items").and_then(Value::as_array);
    let items: Vec<_> = items.into_iter().flatten().collect();
    let is_found = |(kind, name): &Applied| items.iter().any(|item| is_it(item, kind, name));
    let is_workload = |(kind, _): &&Applied| kind == "deployment" || kind == "statefulset";
    let missing = applied.iter().filter(is_workload).filter(|it| !is_found(it)).map(|(kind, name)| {
        format!("{kind} {name} is not in the namespace of the application file; do not change it in an overlay")
    });
    items.iter().filter_map(|item| pending_of(item)).chain(missing).collect()
}

fn is_it(item: &Value, kind: &str, name: &str) -> bool {
    let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    text("/kind").eq_ignore_ascii_case(kind) && text("/metadata/name") == name
}

fn pending_of(item: &Value) -> Option<String> {
    let number = |pointer: &str| item.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let kind = item.pointer("/kind").and_then(Value::as_str)?;
    let name = item.pointer("/metadata/name").and_then(Value::as_str)?;
    let wanted = item.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let is_seen = number("/status/observedGeneration") >= number("/metadata/generation");
    let (updated, ready) = (number("/status/updatedReplicas"), number("/status/readyReplicas"));
    let old = number("/status/replicas").saturating_sub(updated);
    if is_seen && updated >= wanted && ready >= wanted && old == 0 {
        return None;
    }
    let what = format!("{} {name}", kind.to_lowercase());
    Some(match (is_seen, old) {
        (false, _) => format!("{what} has not been looked at by the cluster"),
        (true, 0) => format!("{what} has {ready} of {wanted} pods ready"),
        (true, old) => format!("{what} has {ready} of {wanted} pods ready, and {old} old ones"),
    })
}

/// Why pods in `kubectl get pods -o json` do not run, as the cluster says it. Those that are merely on their way are not
/// told.
pub fn reasons(pods: &Value) -> Vec<String> {
    let items = pods.pointer("/items").and_then(Value::as_array);
    items.into_iter().flatten().flat_map(reasons_of).collect()
}

fn reasons_of(pod: &Value) -> Vec<String> {
    const ON_ITS_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    };
    let name = text(pod, "/metadata/name").unwrap_or_default();
    let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let mut reasons = Vec::new();
    for container in list("/status/containerStatuses") {
        let Some(reason) = text(container, "/state/waiting/reason") else { continue };
        if ON_ITS_WAY.contains(&reason.as_str()) {
            continue;
        }
        let message = text(container, "/state/waiting/message").unwrap_or_default();
        let ended = text(container, "/lastState/terminated/reason");
        let code = container.pointer("/lastState/terminated/exitCode").and_then(Value::as_i64);
        let ended = ended.zip(code).map(|(why, code)| format!(" (it ended: {why}, code {code})"));
        // Its own words are in its log alone.
        let logs = format!("; kubectl logs {name} --previous says why");
        let logs = if reason == "CrashLoopBackOff" { &*logs } else { "" };
        reasons.push(format!("pod {name}: {reason}: {message}{}{logs}", ended.unwrap_or_default()));
    }
    for condition in list("/status/conditions") {
        let is_unscheduled =
            is(condition, "type", "PodScheduled") && is(condition, "status", "False");
        if is_unscheduled {
            let reason = text(condition, "/reason").unwrap_or_default();
            let message = text(condition, "/message").unwrap_or_default();
            reasons.push(format!("pod {name}: {reason}: {message}"));
        }
    }
    reasons
}

/// Objects in `kubectl get … -o json` that the last deployment made and this one has not, as kind and name. Only those
/// that carry our field manager: what others made, with whatever labels, stays.
pub fn leftovers(found: &Value, applied: &[Applied]) -> Vec<(String, String)> {
    let items = found.pointer("/items").and_then(Value::as_array);
    let mut left: Vec<_> = items
        .into_iter()
        .flatten()
        .filter(|item| is_ours(item))
        .filter(|item| !applied.iter().any(|(kind, name)| is_it(item, kind, name)))
        .filter_map(|item| {
            let kind = item.pointer("/kind")?.as_str()?.to_owned();
            let name = item.pointer("/metadata/name")?.as_str()?.to_owned();
            Some((kind, name))
        })
        .collect();
    left.sort();
    left
}

fn is_ours(item: &Value) -> bool {
    let managers = item.pointer("/metadata/managedFields").and_then(Value::as_array);
    managers
        .into_iter()
        .flatten()
        .any(|entry| is(entry, "manager", MANAGER) && is(entry, "operation", "Apply"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SAID: &str =
        "namespace/shops serverside-applied\ndeployment.apps/shop serverside-applied\n";

    #[test]
    fn what_was_applied_is_what_kubectl_says() {
        let expected = [("namespace", "shops"), ("deployment", "shop")];
        assert_eq!(applied(SAID), expected.map(|(kind, name)| (kind.to_owned(), name.to_owned())));
        assert_eq!(applied("Warning: something\n"), []);
    }

    #[test]
    fn volumes_that_a_server_does_not_change_are_known_by_its_words() {
        let said = "Error from server (Conflict): x\nThe StatefulSet \"postgres-cart\" is invalid: spec: Forbidden: updates to \
                    statefulset spec for fields other than 'replicas', 'ordinals', 'template' are forbidden\n";
        assert_eq!(unchangeable(said), ["postgres-cart"]);
        assert!(unchangeable("The Deployment \"x\" is invalid: spec: Forbidden\n").is_empty());
    }

    #[test]
    fn a_pod_that_ends_again_and_again_leads_to_its_log() {
        let status = |reason: &str| {
            json!({ "containerStatuses": [{
                "state": { "waiting": { "reason": reason, "message": "back-off" } },
                "lastState": { "terminated": { "reason": "Error", "exitCode": 1 } },
            }] })
        };
        let of = |reason| {
            let pod = json!({ "metadata": { "name": "shop-1" }, "status": status(reason) });
            reasons(&json!({ "items": [pod] })).concat()
        };
        assert_eq!(
            of("CrashLoopBackOff"),
            "pod shop-1: CrashLoopBackOff: back-off (it ended: Error, code 1); kubectl logs shop-1 --previous says why"
        );
        assert_eq!(
            of("ErrImagePull"),
            "pod shop-1: ErrImagePull: back-off (it ended: Error, code 1)"
        );
    }

    #[test]
    fn a_workload_runs_when_all_of_its_pods_are_new_and_ready() {
        let workload = |generation: u64, updated: u64, ready: u64, all: u64| {
            let item = json!({
                "kind": "Deployment",
                "metadata": { "name": "shop", "generation": 2 },
                "spec": { "replicas": 2 },
                "status": {
                    "observedGeneration": generation, "updatedReplicas": updated,
                    "readyReplicas": ready, "replicas": all,
                },
            });
            pending(&json!({ "items": [item] }), &applied(SAID)).join("")
        };
        assert_eq!(workload(2, 2, 2, 2), "");
        assert_eq!(workload(1, 2, 2, 2), "deployment shop has not been looked at by the cluster");
        assert_eq!(workload(2, 2, 1, 2), "deployment shop has 1 of 2 pods ready");
        assert_eq!(workload(2, 1, 2, 3), "deployment shop has 2 of 2 pods ready, and 2 old ones");
        let nothing = pending(&json!({ "items": [] }), &applied(SAID)).join("");
        assert!(nothing.starts_with("deployment shop is not in the namespace"), "{nothing}");
    }

    #[test]
    fn what_others_made_is_nobodys_leftover() {
        let item = |name: &str, manager: &str, operation: &str| {
            json!({
                "kind": "Service",
                "metadata": {
                    "name": name,
                    "managedFields": [{ "manager": manager, "operation": operation }],
                },
            })
        };
        let found = json!({ "items": [
            item("kept", "wasm-host", "Apply"),
            item("old", "wasm-host", "Apply"),
            item("theirs", "kubectl-client-side-apply", "Update"),
            item("touched", "wasm-host", "Update"),
        ] });
        let applied = applied("service/kept serverside-applied\n");
        assert_eq!(leftovers(&found, &applied), [("Service".to_owned(), "old".to_owned())]);
    }
}
