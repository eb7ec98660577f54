//! `wasm-host deploy apply`: the application in a cluster, and where it is there.
//!
//! Everything is done by kubectl with the context that was named, whatever the current one is. Objects are applied on the
//! side of the server under a field manager of our own; only what carries it and the application's label is ever removed,
//! and never a volume or a namespace.

use anyhow::{Result, anyhow};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::kubectl::Kubectl;
use crate::cli::{DeployApply, Format};
use crate::exit::Exit;
use wasm_host_deploy::kubernetes::{MANAGED_BY, MANAGER, PART_OF};
use wasm_host_deploy::rollout::Applied;
use wasm_host_deploy::{Plan, address, rollout};
use wasm_host_limits::deploy as limits;
use wasm_host_system::{output, table};

/// What may be removed when the application file has it no more. No claims of volumes: data is for people to remove.
const PRUNED: &str = "configmaps,deployments.apps,horizontalpodautoscalers.autoscaling,ingresses.networking.k8s.io,\
                      networkpolicies.networking.k8s.io,poddisruptionbudgets.policy,services,statefulsets.apps";

const WORKLOADS: &str = "deployments.apps,statefulsets.apps";

pub(super) async fn apply(plan: &Plan, args: &DeployApply) -> Result<(), Exit> {
    let kubectl = Kubectl { context: &args.context, namespace: &plan.namespace };
    let overlay = args.output.join("overlays").join(&args.overlay).display().to_string();
    let manager = format!("--field-manager={MANAGER}");
    let applied = ["apply", "--server-side", &manager, "-k", &overlay];
    let said = kubectl.run(&applied, limits::KUBECTL_APPLY_TIMEOUT).await?;
    eprint!("{said}");
    let ours = format!("{MANAGED_BY}={MANAGER},{PART_OF}={}", plan.name);
    // What an overlay made of the objects, names included, is what kubectl says that it applied.
    let applied = rollout::applied(&said);
    wait(plan, &kubectl, &ours, &applied).await?;
    // Only now: what served before may need what is not in the file any more.
    prune(&kubectl, &ours, &applied).await?;
    show(&kubectl, &ours, args).await?;
    Ok(())
}

/// Remove what an earlier deployment of this application made and this one has not.
async fn prune(kubectl: &Kubectl<'_>, ours: &str, applied: &[Applied]) -> Result<()> {
    let found = kubectl.get(PRUNED, ours).await?;
    for (kind, name) in rollout::leftovers(&found, applied) {
        let arguments = ["delete", &kind, &name, "-n", kubectl.namespace, "--wait=false"];
        kubectl.run(&arguments, limits::KUBECTL_TIMEOUT).await?;
        eprintln!("removed {} {name}, which the application file has no more", kind.to_lowercase());
    }
    Ok(())
}

/// Wait until all of it runs, and say why where it does not.
async fn wait(plan: &Plan, kubectl: &Kubectl<'_>, ours: &str, applied: &[Applied]) -> Result<()> {
    let time = plan.deploy.limits.rollout_timeout;
    let deadline = Instant::now() + time;
    let mut told = Vec::new();
    loop {
        let pending = rollout::pending(&kubectl.get(WORKLOADS, ours).await?, applied);
        if pending.is_empty() {
            return Ok(());
        }
        let reasons = rollout::reasons(&kubectl.get("pods", ours).await?);
        for reason in reasons.iter().filter(|reason| !told.contains(*reason)).collect::<Vec<_>>() {
            eprintln!("{reason}");
        }
        if Instant::now() + limits::ROLLOUT_POLL > deadline {
            let all: Vec<_> = pending.into_iter().chain(reasons).collect();
            return Err(anyhow!(
                "not everything runs after {} s: {}; what was applied stays, and `rollout-timeout` of [deploy] says how \
                 long to wait",
                time.as_secs(),
                all.join("; ")
            ));
        }
        told = reasons;
        sleep(limits::ROLLOUT_POLL).await;
    }
}

/// A row of the table, for programs.
#[derive(Serialize)]
struct Row {
    name: String,
    r#type: String,
    cluster_ip: String,
    port: String,
    node_port: String,
    address: String,
}

/// The table of addresses.
async fn show(kubectl: &Kubectl<'_>, ours: &str, args: &DeployApply) -> Result<()> {
    let services = kubectl.get("services", ours).await?;
    // Without the right to list nodes, their ports are known all the same.
    let nodes = kubectl.json(&["get", "nodes", "-o", "json"]).await.ok();
    let node = address::node(&args.context, nodes.as_ref());
    let rows = address::rows(&services, &node);
    if args.format.format == Format::Table {
        output::show(&table::render(address::HEAD, &rows));
        return Ok(());
    }
    let rows = rows.into_iter().map(|[name, r#type, cluster_ip, port, node_port, address]| Row {
        name,
        r#type,
        cluster_ip,
        port,
        node_port,
        address,
    });
    table::json(&rows.collect::<Vec<_>>())
}
