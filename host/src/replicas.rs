//! This host as one of the replicas of its application: what they decide together, done with swaps.

use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::Response;
use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wasmtime_wasi_http::WasiBody;

use wasm_host_capabilities::postgres::url::Address;
use wasm_host_config::Config;
use wasm_host_engine::compile::ComponentFile;
use wasm_host_http::admin::ReplicaStatus;
use wasm_host_limits::replicas::{COMPONENT_BYTES, RETRY, TRANSACTION};
use wasm_host_replicas::postgres::Components;
use wasm_host_replicas::protocol::{Attempt, Decision, Generation, Version};
use wasm_host_replicas::replica::{Boxed, Prepared, Replica, Terms, Versions, View};
use wasm_host_service::failure::respond::respond;
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_service::history::Verdict;
use wasm_host_service::swap::{Agreed, Agreement, Outcome, SwapError, Swaps};
use wasm_host_settings::tls;

/// Take part, if the application file says that there are others.
pub(crate) fn join(config: &Config, swaps: &Arc<Swaps>) -> Result<Option<Arc<Replica>>> {
    let Some(replicas) = &config.replicas else { return Ok(None) };
    tls::install();
    let address = Address::from_uri(replicas.url.expose()).context("the url of [replicas]")?;
    let terms = Terms {
        application: config.name.as_str().into(),
        name: name(),
        lease: replicas.limits.lease,
        attempt_timeout: replicas.limits.attempt_timeout,
        fences: replicas.fences,
    };
    // What is decided is heard by then, or never.
    let patience = terms.attempt_timeout + terms.lease + TRANSACTION * 2;
    tracing::info!("this replica is {}", terms.name);
    let replica = Replica::start(address.options().clone(), terms, |components| {
        Arc::new(Here { swaps: swaps.clone(), components: components.clone() })
    });
    tokio::spawn(hand_out(swaps.clone(), replica.clone()));
    swaps.agree_with(Arc::new(Everyone { replica: replica.clone(), patience }));
    Ok(Some(replica))
}

/// Let the others have what this host came with: a replica that comes later may have another file.
async fn hand_out(swaps: Arc<Swaps>, replica: Arc<Replica>) {
    let serving: Vec<_> = swaps.serving().collect();
    for (service, digest, _) in serving {
        let Some(file) = swaps.kept(&digest).await else { continue };
        // Of what is too large, only those that have it can serve it.
        if file.bytes.len() as u64 > COMPONENT_BYTES {
            tracing::warn!(%service, "its component is too large to be handed to other replicas");
            continue;
        }
        while replica.components().put(&digest, &file.bytes).await.is_err() {
            sleep(RETRY).await;
        }
    }
}

/// Of the machine, with something that no other process has.
fn name() -> Arc<str> {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = Some(machine.trim()).filter(|machine| !machine.is_empty()).unwrap_or("host");
    // Each has keys by chance.
    let chance = RandomState::new().hash_one(std::process::id());
    format!("{machine}-{:08x}", chance >> 32).into()
}

/// The answer of a replica that must not serve.
pub(crate) fn shut() -> Response<WasiBody> {
    let detail = "This replica is not sure to serve what the others serve; try again in a moment.";
    respond(&Failure::new(Kind::Busy, detail), "replica")
}

/// What each replica serves of a service, as this one saw it last.
pub(crate) fn status(replica: &Replica, service: &str) -> Vec<ReplicaStatus> {
    let Some(View { shared, now, seen }) = replica.view() else { return Vec::new() };
    let now = now + u64::try_from(seen.elapsed().as_millis()).unwrap_or_default();
    let members = shared.members.values().map(|member| ReplicaStatus {
        replica: member.name.to_string(),
        generation: member.serves.get(service).copied(),
        state: if member.is_serving { "serving" } else { "joining" }.to_owned(),
        lease_ms: member.lease_until.saturating_sub(now),
    });
    let lost = shared.lost.keys().map(|name| ReplicaStatus {
        replica: name.to_string(),
        generation: None,
        state: "lost".to_owned(),
        lease_ms: 0,
    });
    members.chain(lost).collect()
}

// === A swap that begins here ===

/// All replicas have to agree.
struct Everyone {
    replica: Arc<Replica>,
    patience: Duration,
}

/// The version that was loaded here waits for the decision.
struct Asked(oneshot::Sender<Result<Agreed, String>>);

impl Agreement for Everyone {
    fn agree<'a>(
        &'a self,
        service: &'a Arc<str>,
        file: &'a ComponentFile,
        cause: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Agreed, String>> + Send + 'a>> {
        Box::pin(async move {
            let digest = file.digest.full();
            let put = self.replica.components().put(digest, &file.bytes).await;
            put.map_err(|away| away.to_string())?;
            let (told, decided) = oneshot::channel();
            let version = version(digest, &file.path.display().to_string());
            let asked = Box::new(Asked(told));
            self.replica.propose(service.clone(), version, cause.into(), asked).await?;
            match timeout(self.patience, decided).await {
                Ok(decided) => decided.unwrap_or_else(|_| Err("the host is stopping".to_owned())),
                Err(_) => Err("the database of [replicas] went away before the replicas had \
                               decided; if they decided for it, this one follows when it is back"
                    .to_owned()),
            }
        })
    }
}

impl Prepared for Asked {
    fn serve(self: Box<Self>, decision: Decision) -> Boxed<()> {
        Box::pin(serve(self.0, decision))
    }

    fn drop_for(self: Box<Self>, reason: &str) {
        let _ = self.0.send(Err(reason.to_owned()));
    }
}

/// Say that a version is to serve, and wait until it does.
async fn serve(waits: oneshot::Sender<Result<Agreed, String>>, decision: Decision) {
    let without = match decision {
        Decision::Committed { without, .. } => {
            without.iter().map(|name| name.to_string()).collect()
        }
        Decision::Aborted(_) => Vec::new(),
    };
    let (served, serves) = oneshot::channel();
    if waits.send(Ok(Agreed { without, served: Some(served) })).is_ok() {
        let _ = serves.await;
    }
}

// === A swap that began elsewhere ===

/// This host's versions.
struct Here {
    swaps: Arc<Swaps>,
    components: Components,
}

impl Here {
    async fn file(
        swaps: &Swaps,
        components: &Components,
        version: &Version,
    ) -> Result<ComponentFile, String> {
        if let Some(file) = swaps.kept(&version.digest).await {
            return Ok(file);
        }
        let found = components.get(&version.digest).await.map_err(|away| away.to_string())?;
        let bytes = found.ok_or_else(|| {
            let short = version.digest.get(..12).unwrap_or_default();
            format!("no replica has put the component {short} into the database")
        })?;
        let file = ComponentFile::from_bytes(bytes, PathBuf::from(&*version.source));
        file.map_err(|error| format!("{error:#}"))
    }
}

impl Versions for Here {
    fn offered(&self) -> Vec<(Arc<str>, Version)> {
        let serving = self.swaps.serving();
        serving.map(|(service, digest, path)| (service, version(&digest, &path))).collect()
    }

    fn prepare(
        &self,
        service: Arc<str>,
        attempt: Attempt,
    ) -> Boxed<Result<Box<dyn Prepared>, String>> {
        let (swaps, components) = (self.swaps.clone(), self.components.clone());
        Box::pin(async move {
            let file = Self::file(&swaps, &components, &attempt.version).await?;
            let (decide, decided) = oneshot::channel();
            let (ready, is_ready) = oneshot::channel();
            let waits = Waits(Mutex::new(Some((ready, decided))));
            let cause = format!("{}, by {}", attempt.cause, attempt.by);
            let task =
                tokio::spawn(
                    async move { swaps.follow(&service, file, cause, Arc::new(waits)).await },
                );
            match is_ready.await {
                Ok(()) => Ok(Box::new(Following { decide, task }) as Box<dyn Prepared>),
                // It has ended without asking.
                Err(_) => match verdict(task).await {
                    Ok(()) => Ok(Box::new(Unchanged) as Box<dyn Prepared>),
                    Err(reason) => Err(reason),
                },
            }
        })
    }

    fn catch_up(&self, service: Arc<str>, generation: Generation) -> Boxed<Result<(), String>> {
        let (swaps, components) = (self.swaps.clone(), self.components.clone());
        Box::pin(async move {
            let file = Self::file(&swaps, &components, &generation.version).await?;
            let cause = format!("generation {} of the replicas", generation.number);
            let task = tokio::spawn(async move {
                swaps.follow(&service, file, cause, Arc::new(Decided)).await
            });
            verdict(task).await
        })
    }
}

/// Whether the version serves.
async fn verdict(task: JoinHandle<Result<Outcome, SwapError>>) -> Result<(), String> {
    let outcome = task.await.map_err(|error| error.to_string())?;
    let record = outcome.map_err(|error| error.to_string())?.record;
    match record.verdict {
        Verdict::Activated | Verdict::Unchanged => Ok(()),
        _ => Err(record.reason.unwrap_or_else(|| "for no reason given".to_owned())),
    }
}

type Waiting = (oneshot::Sender<()>, oneshot::Receiver<Result<Agreed, String>>);

/// Says that the version is loaded, and waits for what all decide.
struct Waits(Mutex<Option<Waiting>>);

impl Agreement for Waits {
    fn agree<'a>(
        &'a self,
        _service: &'a Arc<str>,
        _file: &'a ComponentFile,
        _cause: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Agreed, String>> + Send + 'a>> {
        let waiting = self.0.lock().take();
        Box::pin(async move {
            let gone = || "the host is stopping".to_owned();
            let (ready, decided) = waiting.ok_or_else(gone)?;
            ready.send(()).map_err(|()| gone())?;
            decided.await.map_err(|_| gone())?
        })
    }
}

/// It was decided before.
struct Decided;

impl Agreement for Decided {
    fn agree<'a>(
        &'a self,
        _service: &'a Arc<str>,
        _file: &'a ComponentFile,
        _cause: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Agreed, String>> + Send + 'a>> {
        Box::pin(async { Ok(Agreed::default()) })
    }
}

struct Following {
    decide: oneshot::Sender<Result<Agreed, String>>,
    task: JoinHandle<Result<Outcome, SwapError>>,
}

impl Prepared for Following {
    fn serve(self: Box<Self>, decision: Decision) -> Boxed<()> {
        let Self { decide, task } = *self;
        Box::pin(async move {
            serve(decide, decision).await;
            if let Err(reason) = verdict(task).await {
                tracing::warn!("what the replicas decided for does not serve here: {reason}");
            }
        })
    }

    fn drop_for(self: Box<Self>, reason: &str) {
        let _ = self.decide.send(Err(reason.to_owned()));
    }
}

/// It serves already.
struct Unchanged;

impl Prepared for Unchanged {
    fn serve(self: Box<Self>, _decision: Decision) -> Boxed<()> {
        Box::pin(async {})
    }

    fn drop_for(self: Box<Self>, _reason: &str) {}
}

fn version(digest: &str, source: &str) -> Version {
    Version { digest: digest.into(), source: source.into() }
}
