//! `wasm-host deploy apply`: the application in a cluster, and where it is there.
//!
//! Everything is done by kubectl with the context that was named, whatever the current one is. Objects are applied on the
//! side of the server under a field manager of our own; only what carries it and the application's label is ever removed,
//! and never a volume or a namespace.

use anyhow::{Error, Result, anyhow, bail};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::kubectl::{Keys, Kubectl, TRIED, say};
use super::secrets::{Secrets, missing_of_cluster};
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

const SETS: &str = "statefulsets.apps";

const WORKLOADS: &str = "deployments.apps,statefulsets.apps";

/// The overlay whose file of secrets is made here.
const LOCAL: &str = "local";

pub(super) async fn apply(
    plan: &Plan,
    secrets: Option<&Secrets>,
    known: Option<&Keys>,
    args: &DeployApply,
) -> Result<(), Exit> {
    let kubectl = kubectl(plan, args);
    let overlay = args.output.join("overlays").join(&args.overlay).display().to_string();
    let ours = format!("{MANAGED_BY}={MANAGER},{PART_OF}={}", plan.name);
    if let Some(secrets) = secrets {
        look_for_secrets(plan, secrets, known, args)?;
    }
    if plan.tls.is_some() {
        look_for_certificate(plan, &kubectl, args).await;
    }
    refuse_other_volumes(plan, &kubectl, &ours, &overlay).await?;
    let said = kubectl.apply(&overlay, &[]).await.map_err(|why| with_namespace(plan, args, why))?;
    say(&said);
    // What an overlay made of the objects, names included, is what kubectl says that it applied.
    let applied = rollout::applied(&said);
    wait(plan, &kubectl, &ours, &applied).await?;
    // Only now: what served before may need what is not in the file any more.
    prune(&kubectl, &ours, &applied).await?;
    show(&kubectl, &ours, args).await?;
    Ok(())
}

fn kubectl<'a>(plan: &'a Plan, args: &'a DeployApply) -> Kubectl<'a> {
    Kubectl { context: &args.context, namespace: &plan.namespace }
}

/// What the cluster has of the secrets, if it tells. Not everybody who may apply may read, and pods say themselves what
/// they wait for.
pub(super) async fn known_keys(plan: &Plan, args: &DeployApply) -> Option<Keys> {
    if plan.all_secrets().is_empty() {
        return None;
    }
    let secret = plan.secret_name();
    let known = kubectl(plan, args).keys_of_secret(&secret).await;
    known
        .map_err(|why| say(&format!("whether the Secret {secret} is filled is not known: {why:#}")))
        .ok()
}

/// Refuses what would leave pods waiting or a Secret emptied. Of an overlay of the user's own is not known where its
/// secrets come from, so that it is only told.
fn look_for_secrets(
    plan: &Plan,
    secrets: &Secrets,
    known: Option<&Keys>,
    args: &DeployApply,
) -> Result<()> {
    if args.overlay != LOCAL {
        if let Some(said) = known.and_then(|known| missing_of_cluster(plan, known)) {
            say(&said);
        }
        return Ok(());
    }
    let of_cluster = known.and_then(|known| {
        let taken_away = secrets.taken_away(plan, known, &args.context);
        taken_away.or_else(|| secrets.missing(known))
    });
    let wrong = secrets.would_be_emptied().or(of_cluster);
    wrong.map_or(Ok(()), |why| Err(anyhow!(why)))
}

/// Tells of pods that will wait for a certificate: a cluster says of them only that they are on their way.
async fn look_for_certificate(plan: &Plan, kubectl: &Kubectl<'_>, args: &DeployApply) {
    let (secret, namespace, context) = (plan.tls_secret(), &plan.namespace, &args.context);
    match kubectl.keys_of_secret(&secret).await {
        Ok(keys) if keys.has("tls.crt") && keys.has("tls.key") => {}
        Ok(_) => say(&format!(
            "pods wait until the Secret {secret} has certificate and key: kubectl --context {context} create secret tls \
             {secret} -n {namespace} --cert=CERTIFICATE --key=KEY"
        )),
        Err(why) => say(&format!("whether there is the Secret {secret} is not known: {why:#}")),
    }
}

/// The templates of volumes of a StatefulSet cannot be changed, and kubectl would say so in the middle of applying. The
/// server is asked first, of all at once, where there is one already.
async fn refuse_other_volumes(
    plan: &Plan,
    kubectl: &Kubectl<'_>,
    ours: &str,
    overlay: &str,
) -> Result<()> {
    if plan.databases.is_empty() && plan.models.is_empty() {
        return Ok(());
    }
    let sets = kubectl.get(SETS, ours).await?;
    let items = sets.pointer("/items").and_then(serde_json::Value::as_array);
    if items.is_none_or(Vec::is_empty) {
        return Ok(());
    }
    let Err(tried) = kubectl.apply(overlay, &[TRIED]).await else { return Ok(()) };
    let unchangeable = rollout::unchangeable(&tried.to_string());
    // Whatever else is wrong is told when it is applied; some servers do not take the question at all.
    if unchangeable.is_empty() {
        return Ok(());
    }
    let sets = unchangeable.join(", ");
    let (first, namespace) = (unchangeable.first().map_or("", String::as_str), &plan.namespace);
    bail!(
        "a cluster does not change the volume of a StatefulSet, and its size or class is another one for {sets}; nothing \
         was applied. Set it back, or, to have a larger one, where its class can grow:\n  kubectl patch pvc \
         data-{first}-0 -n {namespace} -p '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"SIZE\"}}}}}}}}'\n  \
         kubectl delete statefulset {first} -n {namespace} --cascade=orphan\nand apply again: the volume and its data stay"
    );
}

/// What to do where the namespace is missing: one that the application file names is not made.
fn with_namespace(plan: &Plan, args: &DeployApply, why: Error) -> Error {
    let (namespace, context) = (&plan.namespace, &args.context);
    let is_missing = why.to_string().contains(&format!("namespaces \"{namespace}\" not found"));
    match is_missing && !plan.owns_namespace {
        true => anyhow!(
            "there is no namespace {namespace}, and one that [deploy] names is not made: kubectl --context {context} \
             create namespace {namespace}"
        ),
        false => why,
    }
}

/// Remove what an earlier deployment of this application made and this one has not.
async fn prune(kubectl: &Kubectl<'_>, ours: &str, applied: &[Applied]) -> Result<()> {
    let found = kubectl.get(PRUNED, ours).await?;
    for (kind, name) in rollout::leftovers(&found, applied) {
        let arguments = ["delete", &kind, &name, "-n", kubectl.namespace, "--wait=false"];
        kubectl.run(&arguments, limits::KUBECTL_TIMEOUT).await?;
        say(&format!(
            "removed {} {name}, which the application file has no more",
            kind.to_lowercase()
        ));
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
            say(reason);
        }
        if Instant::now() + limits::ROLLOUT_POLL > deadline {
            let all = pending.into_iter().chain(reasons).take(limits::KUBECTL_LINES);
            let all: Vec<_> = all.collect();
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
