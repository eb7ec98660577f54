//! This host as one of the replicas of its application: what they decide together, done with swaps.

mod files;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::files::Files;
use wasm_host_capabilities::postgres::url::Address;
use wasm_host_config::Config;
use wasm_host_http::Gate;
use wasm_host_http::admin::ReplicaStatus;
use wasm_host_limits::replicas::{RETRY, TRANSACTION};
use wasm_host_oci::Registries;
use wasm_host_replicas::protocol::{Attempt, Decision, Generation, Line, Offer, Version};
use wasm_host_replicas::replica::{
    Boxed, Overtaken, Prepared, Replica, SwapProposal, Terms, UNKNOWN, Versions, View,
};
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_service::history::Verdict;
use wasm_host_service::swap::{
    self as agreed, Agreed, Agreement, Before, Proposed, ServedVersion, SwapError, SwapOutcome,
    Swaps,
};
use wasm_host_settings::tls;

/// Take part, if the application file says that there are others.
pub(crate) fn join(
    config: &Config,
    swaps: &Arc<Swaps>,
    registries: Arc<Registries>,
) -> Result<Option<Arc<Replica>>> {
    let Some(replicas) = &config.replicas else {
        if config.is_alone {
            tracing::info!("the 'url' of [replicas] is empty: this host is alone");
        }
        return Ok(None);
    };
    tls::install();
    let address = Address::from_uri(replicas.url.expose()).context("the url of [replicas]")?;
    let address = match &replicas.ca {
        Some(ca) => address.with_authorities(ca.pem()),
        None => address,
    };
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
    let mut files = None;
    let replica = Replica::start(address.options().clone(), terms, |uploads| {
        let uploads = uploads.clone();
        let known = Arc::new(Files { swaps: swaps.clone(), uploads, registries });
        files = Some(known.clone());
        Arc::new(Here(known))
    });
    let files = files.context("a replica without versions")?;
    tokio::spawn(hand_out(files.clone(), replica.clone()));
    swaps.agree_with(Arc::new(Everyone { replica: replica.clone(), files, patience }));
    Ok(Some(replica))
}

/// Let the others have what this host came with: a replica that comes later may have another file.
async fn hand_out(files: Arc<Files>, replica: Arc<Replica>) {
    let serving: Vec<ServedVersion> = files.swaps.serving().collect();
    for ServedVersion { service, digest, origin, .. } in &serving {
        let Some(file) = files.swaps.kept(service, digest, origin).await else { continue };
        while let Err(error) = files.hand_out(&file).await {
            if error.is_for_good {
                tracing::warn!(%service, "its component cannot be handed to other replicas: {}", error.why);
                break;
            }
            sleep(RETRY).await;
        }
    }
    for ServedVersion { service, own, .. } in &serving {
        tell_of_another(service, own, &replica).await;
    }
}

/// What was built since the others began is not what they serve, and its owner wants to know that.
async fn tell_of_another(service: &Arc<str>, own: &str, replica: &Replica) {
    while !replica.is_member() {
        sleep(RETRY).await;
    }
    let Some(line) = replica.line(service) else { return };
    let is_known = [&line.own, &line.current.version.digest].into_iter().any(|it| &**it == own);
    if !is_known {
        let current = line.current.version.digest.get(..12).unwrap_or_default();
        tracing::warn!(
            %service,
            "the replicas serve {current}, and the application file of this one has another component: it \
             serves when it is swapped in, as with `wasm-host swap {service} FILE`"
        );
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

/// A replica that must not serve answers nothing.
pub(crate) fn gate(replica: &Arc<Replica>) -> Gate {
    let replica = replica.clone();
    Box::new(move || match replica.is_open() {
        true => Ok(()),
        false => Err(Failure::new(
            Kind::Busy,
            "This replica is not sure to serve what the others serve; try again in a moment.",
        )),
    })
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
    files: Arc<Files>,
    patience: Duration,
}

/// The version that was loaded here waits for the decision.
struct AwaitedDecision(oneshot::Sender<Result<Agreed, String>>);

impl Agreement for Everyone {
    fn unavailable(&self) -> Option<String> {
        self.replica.complaint()
    }

    fn is_deciding(&self, service: &str, serving: &str) -> bool {
        let decides =
            |line: Line| line.attempt.is_some() || &*line.current.version.digest != serving;
        self.replica.line(service).is_some_and(decides)
    }

    fn before<'a>(
        &'a self,
        service: &'a Arc<str>,
        serving: &'a str,
    ) -> agreed::Boxed<'a, Option<Before>> {
        let line = self.replica.line(service);
        Box::pin(async move {
            let Some(mut line) = line else {
                return Some(Err("this replica has not come in yet".to_owned()));
            };
            if &*line.current.version.digest != serving {
                return Some(Err(
                    "this replica does not serve yet what the others serve".to_owned()
                ));
            }
            Some(match line.before.pop_back() {
                Some(before) => self.files.of(service, &before).await.map(Some),
                None => Ok(None),
            })
        })
    }

    fn agree<'a>(&'a self, proposed: Proposed<'a>) -> agreed::Boxed<'a, Result<Agreed, String>> {
        Box::pin(async move {
            let Proposed { service, file, cause, takes_back } = proposed;
            self.files.hand_out(file).await.map_err(|error| error.why)?;
            let (told, decided) = oneshot::channel();
            let version = version(file.digest.full(), &file.path.display().to_string());
            let (service, cause) = (service.clone(), cause.into());
            let wanted = SwapProposal { service, version, cause, takes_back };
            self.replica.propose(wanted, Box::new(AwaitedDecision(told))).await?;
            match timeout(self.patience, decided).await {
                Ok(decided) => {
                    decided.unwrap_or_else(|_| Err(format!("the host is stopping; {UNKNOWN}")))
                }
                Err(_) => Err("the database of [replicas] went away before the replicas had \
                               decided; if they decided for it, this one follows when it is back"
                    .to_owned()),
            }
        })
    }
}

impl Prepared for AwaitedDecision {
    fn serve(self: Box<Self>, decision: Decision) -> Boxed<Result<(), String>> {
        Box::pin(serve(self.0, decision))
    }

    fn drop_for(self: Box<Self>, reason: &str) {
        let _ = self.0.send(Err(reason.to_owned()));
    }
}

/// Say that a version is to serve, and wait until it does.
async fn serve(
    waits: oneshot::Sender<Result<Agreed, String>>,
    decision: Decision,
) -> Result<(), String> {
    let without = match decision {
        Decision::Committed { without, .. } => {
            without.iter().map(|name| name.to_string()).collect()
        }
        Decision::Aborted(_) => Vec::new(),
    };
    let (served, serves) = oneshot::channel::<()>();
    let agreed = Agreed { without, has_served: false, served: Some(served) };
    waits.send(Ok(agreed)).map_err(|_| "what was ready for it was given up".to_owned())?;
    serves.await.map_err(|_| "the host failed while it put it into service".to_owned())
}

// === A swap that began elsewhere ===

/// This host's versions.
struct Here(Arc<Files>);

impl Versions for Here {
    fn offered(&self) -> Vec<Offer> {
        let offer = |serving: ServedVersion| Offer {
            version: version(&serving.digest, &serving.origin),
            service: serving.service,
            own: serving.own.into(),
            misses: None,
        };
        self.0.swaps.serving().map(offer).collect()
    }

    fn prepare(
        &self,
        service: Arc<str>,
        attempt: Attempt,
    ) -> Boxed<Result<Box<dyn Prepared>, String>> {
        let files = self.0.clone();
        Box::pin(async move {
            let file = files.of(&service, &attempt.version).await?;
            let (decide, decided) = oneshot::channel();
            let (ready, is_ready) = oneshot::channel();
            let waits = Arc::new(Waits(Mutex::new(Some((ready, decided)))));
            let (cause, takes_back) = (by(&attempt), attempt.takes_back);
            let swaps = files.swaps.clone();
            let task = tokio::spawn(async move {
                swaps.follow(&service, file, cause, takes_back, waits).await
            });
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

    fn catch_up(
        &self,
        service: Arc<str>,
        line: Line,
        overtaken: Overtaken,
    ) -> Boxed<Result<(), String>> {
        let files = self.0.clone();
        Box::pin(async move {
            let Generation { number, version, attempt } = line.current;
            let file = files.of(&service, &version).await?;
            let brought = line.decided.iter().find(|it| Some(it.id) == attempt);
            let cause = match brought {
                Some(brought) => format!("{} (generation {number})", by(brought)),
                None => format!("generation {number} of the replicas"),
            };
            let swaps = files.swaps.clone();
            let task = tokio::spawn(async move {
                swaps.follow(&service, file, cause, false, Arc::new(Decided(overtaken))).await
            });
            verdict(task).await
        })
    }
}

fn by(attempt: &Attempt) -> String {
    format!("{}, by {}", attempt.cause, attempt.by)
}

/// Whether the version serves.
async fn verdict(task: JoinHandle<Result<SwapOutcome, SwapError>>) -> Result<(), String> {
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
    fn agree<'a>(&'a self, _proposed: Proposed<'a>) -> agreed::Boxed<'a, Result<Agreed, String>> {
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
struct Decided(Overtaken);

impl Agreement for Decided {
    fn agree<'a>(&'a self, _proposed: Proposed<'a>) -> agreed::Boxed<'a, Result<Agreed, String>> {
        let is_overtaken = self.0.is_so();
        Box::pin(async move {
            match is_overtaken {
                true => Err("another version came first".to_owned()),
                false => Ok(Agreed { has_served: true, ..Agreed::default() }),
            }
        })
    }
}

struct Following {
    decide: oneshot::Sender<Result<Agreed, String>>,
    task: JoinHandle<Result<SwapOutcome, SwapError>>,
}

impl Prepared for Following {
    fn serve(self: Box<Self>, decision: Decision) -> Boxed<Result<(), String>> {
        let Self { decide, task } = *self;
        Box::pin(async move {
            serve(decide, decision).await?;
            verdict(task).await
        })
    }

    fn drop_for(self: Box<Self>, reason: &str) {
        let _ = self.decide.send(Err(reason.to_owned()));
    }
}

/// It serves already.
struct Unchanged;

impl Prepared for Unchanged {
    fn serve(self: Box<Self>, _decision: Decision) -> Boxed<Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn drop_for(self: Box<Self>, _reason: &str) {}
}

fn version(digest: &str, source: &str) -> Version {
    Version { digest: digest.into(), source: source.into() }
}
