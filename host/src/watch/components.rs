//! The component files of an application, and how what is new in them comes into service.
//!
//! A file is read when it has come to rest, and handed on only when it is whole. Whether it is a good
//! component is for the swap to say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::files::Stamp;
use super::queue::Burst;
use crate::application;
use crate::composed;
use wasm_host_config::{ComponentSource, Config};
use wasm_host_engine::compile::ComponentFile;
use wasm_host_service::history::Verdict;
use wasm_host_service::registry::Registry;
use wasm_host_service::swap::{SwapRequest, Swaps};
use wasm_host_system::digest::Digest;

/// What names the build of a service among those of crates, whose names have no space.
pub(super) fn built_by(service: &str) -> String {
    format!("service {service}")
}

/// A component file, and what was in it the last time.
pub(super) struct Watched {
    pub(super) path: PathBuf,
    /// The crate that it is built from, or the service whose build makes it; none if it comes from elsewhere.
    built_from: Option<String>,
    /// What it is for.
    services: Vec<WatchedPart>,
    digest: Option<Digest>,
    writing: Option<Writing>,
}

/// A service that has a component, and as which of its parts. None: as its own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct WatchedPart {
    service: String,
    part: Option<String>,
}

/// A component file that changed and has to rest before it is read.
struct Writing {
    burst: Burst,
    saved: Instant,
}

/// Why a component is brought in.
#[derive(Clone)]
pub(super) struct Occasion {
    pub(super) cause: String,
    pub(super) saved: Option<Instant>,
    /// How long it was built.
    pub(super) build: Option<Duration>,
}

/// What was read from a file and has no verdict yet.
struct Coming {
    /// Of the newest.
    digest: Digest,
    /// What to swap in then.
    next: Option<(ComponentFile, Occasion)>,
}

/// All component files, and the services that they are for.
pub(super) struct Components {
    watched: Vec<Watched>,
    /// The folder of the application, which messages leave out.
    folder: PathBuf,
    registry: Arc<Registry>,
    swaps: Arc<Swaps>,
    /// One swap of a service at a time: what is saved together, of several parts, is swapped one after the other, as the
    /// newer of two swaps takes the place of the other one.
    turns: BTreeMap<String, Arc<Mutex<()>>>,
    /// Each ends with the number of its file.
    swapping: JoinSet<usize>,
    coming: BTreeMap<usize, Coming>,
}

// === impl Watched ===

impl Watched {
    /// The component files of an application, each once.
    pub(super) async fn all(config: &Config) -> Vec<Self> {
        let mut all: BTreeMap<PathBuf, Self> = BTreeMap::new();
        for service in config.services.values() {
            let Some(component) = service.component() else { continue };
            for (name, source, is_own) in composed::named(component) {
                // What a registry has does not change: its digest is pinned.
                let Some(path) = application::component_path(config, source) else { continue };
                let watched = all.entry(path.clone()).or_insert_with(|| Self {
                    path,
                    built_from: None,
                    services: Vec::new(),
                    digest: None,
                    writing: None,
                });
                if let ComponentSource::Crate(name) = source {
                    watched.built_from = Some(name.clone());
                }
                let part = (!is_own).then_some(name);
                watched.services.push(WatchedPart { service: service.name.clone(), part });
            }
            // What it is put together with may come from the same build, or from elsewhere, which is no different here.
            for source in component.sources().filter(|_| component.build.is_some()) {
                let ComponentSource::File(path) = source else { continue };
                let is_own = *source == component.source;
                if let Some(watched) = all.get_mut(path)
                    && (is_own || watched.built_from.is_none())
                {
                    watched.built_from = Some(built_by(&service.name));
                }
            }
        }
        let mut all: Vec<Self> = all.into_values().collect();
        for watched in &mut all {
            watched.digest = ComponentFile::read(&watched.path).await.ok().map(|file| file.digest);
        }
        all
    }

    fn is_built(&self) -> bool {
        self.built_from.is_some()
    }
}

// === impl Components ===

impl Components {
    pub(super) fn new(
        watched: Vec<Watched>,
        folder: PathBuf,
        registry: Arc<Registry>,
        swaps: Arc<Swaps>,
    ) -> Self {
        let (swapping, coming) = (JoinSet::new(), BTreeMap::new());
        let services = watched.iter().flat_map(|watched| &watched.services);
        let turns = services.map(|target| (target.service.clone(), Arc::default())).collect();
        Self { watched, folder, registry, swaps, turns, swapping, coming }
    }

    /// The file with this number changed.
    pub(super) fn written(
        &mut self,
        index: usize,
        stamp: Option<Stamp>,
        saved: Instant,
        now: Instant,
    ) {
        let Some(watched) = self.watched.get_mut(index) else { return };
        if stamp.is_none() {
            // Removed, to be made again or not. What was loaded from it serves on.
            watched.writing = None;
            return;
        }
        let writing = watched.writing.get_or_insert(Writing { burst: Burst::new(now), saved });
        // The save is the one that made the file what it is.
        writing.saved = saved;
        writing.burst.again(now);
    }

    /// When files that changed will have rested long enough.
    pub(super) fn rests(&self) -> impl Iterator<Item = Instant> {
        self.watched.iter().filter_map(|watched| Some(watched.writing.as_ref()?.burst.quiet()))
    }

    /// Forget changes that a build made.
    pub(super) fn disregard_built(&mut self) {
        for watched in self.watched.iter_mut().filter(|watched| watched.is_built()) {
            watched.writing = None;
        }
    }

    /// Bring in what builds made, but for those that `failed`. Says whether there was anything new.
    pub(super) async fn bring_in_built(
        &mut self,
        failed: &BTreeSet<String>,
        occasion: &Occasion,
    ) -> bool {
        let mut changed = false;
        for index in 0..self.watched.len() {
            let watched = self.watched.get(index);
            let from = watched.and_then(|watched| watched.built_from.as_ref());
            if from.is_some_and(|from| !failed.contains(from)) {
                changed |= self.bring_in(index, occasion).await;
            }
        }
        changed
    }

    /// Bring in the files that have come to rest. What a build writes has to wait until all of it
    /// is good.
    pub(super) async fn bring_in_rested(&mut self, building: bool) {
        for index in 0..self.watched.len() {
            let now = Instant::now();
            let Some(watched) = self.watched.get_mut(index) else { continue };
            if watched.is_built() && building {
                continue;
            }
            let rested = |writing: &mut Writing| writing.burst.quiet() <= now;
            let Some(writing) = watched.writing.take_if(rested) else { continue };
            let path = watched.path.clone();
            let cause = format!("watch: {}", self.shown(&path));
            self.bring_in(index, &Occasion { cause, saved: Some(writing.saved), build: None })
                .await;
        }
    }

    /// Read a file and let its services have what is new in it. Says whether there was anything.
    async fn bring_in(&mut self, index: usize, occasion: &Occasion) -> bool {
        let Some(watched) = self.watched.get(index) else { return false };
        let path = watched.path.clone();
        let (who, name) = (names(&watched.services).join(", "), self.shown(&path));
        let stamp = Stamp::of(&path);
        let file = match ComponentFile::read(&path).await {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!("{who}: {name} is left alone until it changes again: {error:#}");
                return false;
            }
        };
        if stamp.is_none() || stamp != Stamp::of(&path) {
            // It changed while it was read: the next look sees that.
            return false;
        }
        if !file.is_whole() {
            tracing::info!("{who}: {name} is not whole; it is left alone until it changes again");
            return false;
        }
        let Some(watched) = self.watched.get_mut(index) else { return false };
        let known = watched.digest.replace(file.digest.clone());
        // A build that made the same again is no reason to undo a rollback; a file that was put
        // there by hand is.
        if occasion.build.is_some() && known.as_ref() == Some(&file.digest) {
            return false;
        }
        match self.coming.get_mut(&index) {
            None => self.swap(index, file, occasion.clone()),
            Some(coming) if coming.digest == file.digest => false,
            // After the swap that runs: of two saves the last one must win, and what is replaced
            // before its turn need not be loaded.
            Some(coming) => {
                let digest = file.digest.clone();
                *coming = Coming { digest, next: Some((file, occasion.clone())) };
                true
            }
        }
    }

    /// Let the services that do not serve it yet have it. Says whether there is one.
    fn swap(&mut self, index: usize, file: ComponentFile, occasion: Occasion) -> bool {
        let services = self.watched.get(index).map(|w| w.services.clone()).unwrap_or_default();
        let digest = file.digest.clone();
        let other = |target: &WatchedPart| !self.serves(target, &digest);
        let services: Vec<WatchedPart> = services.into_iter().filter(other).collect();
        if services.is_empty() {
            return false;
        }
        self.coming.insert(index, Coming { digest, next: None });
        let (swaps, turns) = (self.swaps.clone(), self.turns.clone());
        self.swapping.spawn(async move {
            // In turn: the first one compiles it for all.
            for target in services {
                let turn = turns.get(&target.service).cloned().unwrap_or_default();
                let _turn = turn.lock().await;
                swap(&swaps, target, file.clone(), &occasion).await;
            }
            index
        });
        true
    }

    /// Wait for the end of a swap, and begin the one that waited for it. `None` if none runs.
    pub(super) async fn swapped(&mut self) -> Option<()> {
        match self.swapping.join_next().await? {
            Ok(index) => {
                if let Some(Coming { next: Some((file, occasion)), .. }) =
                    self.coming.remove(&index)
                {
                    self.swap(index, file, occasion);
                }
            }
            // It cannot be said which one failed; what comes next is not held up by it.
            Err(_) => self.coming.clear(),
        }
        Some(())
    }

    /// The services of these crates, with commas in between.
    pub(super) fn services_of(&self, crates: &BTreeSet<String>) -> String {
        self.concerned(crates).join(", ")
    }

    /// What serves while nothing new comes of these crates.
    pub(super) fn still_serving(&self, crates: &BTreeSet<String>) -> String {
        let digest = match self.concerned(crates).as_slice() {
            [service] => self.serving(service),
            _ => None,
        };
        match digest {
            Some(digest) => format!("{digest} still serves"),
            None => "what served before still serves".to_string(),
        }
    }

    fn concerned(&self, crates: &BTreeSet<String>) -> Vec<&str> {
        let of_crates =
            |watched: &&Watched| watched.built_from.as_ref().is_some_and(|n| crates.contains(n));
        let services = self.watched.iter().filter(of_crates).flat_map(|w| names(&w.services));
        let mut services: Vec<&str> = services.collect();
        services.sort_unstable();
        services.dedup();
        services
    }

    /// Whether what a service has of a component is this already.
    fn serves(&self, target: &WatchedPart, digest: &Digest) -> bool {
        let service = self.registry.find(&target.service);
        service.is_some_and(|service| {
            service.active().stable.digest_of(target.part.as_deref()) == Some(digest.full())
        })
    }

    fn serving(&self, service: &str) -> Option<Digest> {
        Some(self.registry.find(service)?.active().stable.digest.clone())
    }

    /// A path as the user knows it.
    pub(super) fn shown(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.folder).unwrap_or(path);
        path.strip_prefix(".").unwrap_or(path).display().to_string()
    }
}

/// The services of these, each once.
fn names(targets: &[WatchedPart]) -> Vec<&str> {
    let mut names: Vec<&str> = targets.iter().map(|target| &*target.service).collect();
    names.dedup();
    names
}

/// Put a component into service, and tell what came of it.
async fn swap(swaps: &Arc<Swaps>, target: WatchedPart, file: ComponentFile, occasion: &Occasion) {
    let (started, to) = (Instant::now(), file.digest.clone());
    let WatchedPart { service, part } = target;
    let request = SwapRequest { cause: occasion.cause.clone(), part, canary: None };
    let outcome = match swaps.swap(&service, Ok(file), request).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::warn!("{service}: {error}");
            return;
        }
    };
    let from = outcome.from.get(..12).unwrap_or("-");
    let steps = match occasion.build {
        Some(build) => format!("build {}, swap {}", time(build), time(started.elapsed())),
        None => format!("swap {}", time(started.elapsed())),
    };
    match (outcome.record.verdict, occasion.saved) {
        (Verdict::Activated, Some(saved)) => {
            let since = time(saved.elapsed());
            tracing::info!("{service}: activated {from} -> {to}, {since} after the save ({steps})");
        }
        (Verdict::Activated, None) => {
            tracing::info!("{service}: activated {from} -> {to} ({steps})");
        }
        (Verdict::Unchanged, _) => {}
        (verdict, _) => {
            tracing::warn!("{service}: {to} was {}; {from} still serves", verdict.name());
        }
    }
}

/// `38 ms`, `1.6 s`, `75 s`.
pub(super) fn time(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ ..100 => format!("{millis} ms"),
        ..10_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} s", duration.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_times() {
        assert_eq!(time(Duration::from_millis(38)), "38 ms");
        assert_eq!(time(Duration::from_millis(1649)), "1.6 s");
        assert_eq!(time(Duration::from_secs(75)), "75 s");
    }
}
