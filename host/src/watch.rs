//! `serve --watch`: what is saved is built, and what is built is served.
//!
//! One loop looks at the files, decides when to build, and brings in components that changed. It
//! serves nothing itself and waits for nothing but its own files: builds and swaps run beside it.
//! Whether a component is good is for the swap to say.

mod builds;
mod components;
mod files;
mod queue;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::builds::{BuildOutcomes, Builds};
use self::components::{Components, Occasion, Watched, built_by, time};
use self::files::{Change, Files, Root};
use self::queue::Queue;
use wasm_host_config::{ComponentConfig, ComponentSource, Config, ServiceConfig};
use wasm_host_limits as limits;
use wasm_host_service::registry::Registry;
use wasm_host_service::swap::Swaps;
use wasm_host_system::counted::counted;

/// What every crate of an application is built from, besides itself.
const SHARED: [&str; 2] = ["components/guest", "wit"];

/// An application that is about to be watched.
pub struct Watch {
    config: Arc<Config>,
    files: Files,
    looked: Instant,
    components: Vec<Watched>,
    builds: Builds,
    /// What is built at the start: crates, and components that are older than their sources.
    old: BTreeSet<String>,
    /// The number of the application file among the single files.
    application: Option<usize>,
}

/// A watch that runs.
pub struct Watching {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The loop.
struct Watcher {
    /// Away while they are looked at.
    files: Option<Files>,
    components: Components,
    application: Option<usize>,
    queue: Queue,
    builds: Builds,
    running: JoinSet<(BuildOutcomes, Duration)>,
    looked: Instant,
    next_look: Instant,
    stop: CancellationToken,
}

// === impl Watch ===

impl Watch {
    /// Look at everything for the first time. `recorded`: where recordings are written.
    pub async fn new(config: &Arc<Config>, recorded: Option<&Path>) -> Self {
        let looked = Instant::now();
        let crates: BTreeSet<String> = config
            .services
            .values()
            .filter_map(ServiceConfig::component)
            .flat_map(ComponentConfig::sources)
            .filter_map(|source| match source {
                ComponentSource::Crate(name) => Some(name.clone()),
                ComponentSource::File(_) | ComponentSource::Registry(_) => None,
            })
            .collect();
        let components = Watched::all(config).await;
        let mut single: Vec<PathBuf> =
            components.iter().map(|component| component.path.clone()).collect();
        let application = config.file.as_ref().map(|file| {
            single.push(PathBuf::from(file));
            single.len() - 1
        });
        let builds = Builds::of(config, !crates.is_empty());
        let roots = [roots(config, &crates), builds.roots()].concat();
        // If the file system fails so badly that there is no first look, everything is new in the next.
        let written: Vec<PathBuf> =
            recorded.map(Path::to_owned).into_iter().chain([config.state_dir.clone()]).collect();
        let look = move || Files::new(roots, single, &written);
        let files = spawn_blocking(look).await.unwrap_or_else(|_| Files::new(vec![], vec![], &[]));
        let old = match builds.has_crates() {
            true => crates,
            false => BTreeSet::new(),
        };
        let old = old.into_iter().chain(builds.old(&files)).collect();
        Self { config: config.clone(), files, looked, components, builds, old, application }
    }

    /// Watch from now on. Nothing that changed since the first look is missed.
    pub fn start(self, registry: Arc<Registry>, swaps: Arc<Swaps>) -> Watching {
        let stop = CancellationToken::new();
        let now = Instant::now();
        tracing::info!("watching {}", counted(self.files.len(), "file"));
        let mut queue = Queue::default();
        if !self.old.is_empty() {
            queue.begin(now, self.old);
        }
        let folder = self.config.folder.clone();
        let components = Components::new(self.components, folder, registry, swaps);
        let watcher = Watcher {
            files: Some(self.files),
            components,
            application: self.application,
            queue,
            builds: self.builds,
            running: JoinSet::new(),
            looked: self.looked,
            next_look: now,
            stop: stop.clone(),
        };
        Watching { stop, task: tokio::spawn(watcher.run()) }
    }
}

/// The sources of the crates, and what they share.
fn roots(config: &Config, crates: &BTreeSet<String>) -> Vec<Root> {
    if crates.is_empty() {
        return Vec::new();
    }
    let own = crates.iter().map(|name| Root {
        folder: config.folder.join("components").join(name),
        crates: vec![name.clone()],
    });
    let shared = SHARED.iter().map(|folder| Root {
        folder: config.folder.join(folder),
        crates: crates.iter().cloned().collect(),
    });
    own.chain(shared).collect()
}

// === impl Watching ===

impl Watching {
    /// End the watch, and a build if one runs.
    pub async fn stop(self) {
        self.stop.cancel();
        // If it has panicked, it has ended as well.
        let _ = self.task.await;
    }
}

// === impl Watcher ===

impl Watcher {
    async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            self.start_build();
            let now = Instant::now();
            let due = self.components.rests().chain(self.queue.due());
            // What is due already was looked at; it waits for something else.
            let due = due.filter(|due| *due > now).min();
            let next = due.map_or(self.next_look, |due| due.min(self.next_look));
            tokio::select! {
                () = stop.cancelled() => break,
                Some(built) = self.running.join_next() => {
                    let (ended, took) =
                        built.unwrap_or_else(|error| (self.queue.crashed(&error), Duration::ZERO));
                    self.built(ended, took).await;
                }
                Some(()) = self.components.swapped() => {}
                () = sleep_until(next) => {
                    self.look().await;
                    self.components.bring_in_rested(self.queue.is_building()).await;
                }
            }
        }
        // The build ends by the same signal. Swaps go on without us, to their verdict.
        while self.running.join_next().await.is_some() {}
    }

    /// See what changed, and remember it.
    async fn look(&mut self) {
        let Some(mut files) = self.files.take() else { return };
        let (before, started) = (self.looked, Instant::now());
        let looked = spawn_blocking(move || {
            let changes = files.look();
            (files, changes)
        });
        let Ok((files, changes)) = looked.await else {
            tracing::error!("the watch has failed: changes are not seen any more");
            self.next_look = started + Duration::from_secs(365 * 86_400);
            return;
        };
        let now = Instant::now();
        for change in changes {
            match change {
                Change::Source { root, path, modified } => {
                    let Some(root) = files.roots().get(root) else { continue };
                    let saved = saved(modified, before, now);
                    let path = self.components.shown(&path);
                    self.queue.changed(now, saved, path, &root.crates);
                }
                Change::File { index, stamp } if Some(index) == self.application => {
                    if stamp.is_some() {
                        tracing::warn!(
                            "the application file changed; it is read at the start only: restart \
                             to apply it"
                        );
                    }
                }
                Change::File { index, stamp } => {
                    let saved = saved(stamp.map(|stamp| stamp.modified), before, now);
                    self.components.written(index, stamp, saved, now);
                }
            }
        }
        self.files = Some(files);
        self.looked = started;
        let pause = limits::WATCH_INTERVAL.max((now - started) * limits::WATCH_PAUSE);
        self.next_look = now + pause;
    }

    fn start_build(&mut self) {
        let Some(batch) = self.queue.start(Instant::now()) else { return };
        let services = self.components.services_of(&batch.crates);
        match batch.causes.is_empty() {
            true => tracing::info!("{services}: building what may have changed before the start"),
            false => tracing::info!("{services}: {} changed; building", batch.cause()),
        }
        let (builds, stop) = (self.builds.clone(), self.stop.clone());
        self.running.spawn(async move {
            let started = Instant::now();
            let ended = builds.run(&batch.crates, &stop).await;
            (ended, started.elapsed())
        });
    }

    /// Builds have ended.
    async fn built(&mut self, ended: BuildOutcomes, took: Duration) {
        // What they wrote is a part of them, and not a change of its own.
        self.look().await;
        self.components.disregard_built();
        let failed = ended.failed();
        let Some(batch) = self.queue.finish(Instant::now(), &failed) else { return };
        if self.stop.is_cancelled() {
            return;
        }
        if let Some(held) = self.queue.held() {
            let services = self.components.services_of(&held.crates);
            tracing::warn!(
                "{services}: {} changed while each of the last {} ran, as what a build writes among its own sources \
                 does; it is built again in {:?}, or when something else is saved; let the build write elsewhere, or \
                 name a 'source' without it",
                held.cause(),
                counted(limits::WATCH_ECHOES as usize, "build"),
                limits::WATCH_ECHO_PAUSE
            );
        }
        for (crates, failure) in &ended.failures {
            let services = self.components.services_of(crates);
            let serving = self.components.still_serving(crates);
            tracing::warn!("{services}: the build failed ({}); {serving}", failure.reason);
            show(&failure.output);
        }
        let good: BTreeSet<String> = batch.crates.difference(&failed).cloned().collect();
        if good.is_empty() {
            return;
        }
        let cause = match batch.causes.is_empty() {
            true => "watch: built at the start".to_string(),
            false => format!("watch: {}", batch.cause()),
        };
        let occasion = Occasion { cause, saved: batch.saved, build: Some(took) };
        let changed = self.components.bring_in_built(&failed, &occasion).await;
        if !changed && !batch.causes.is_empty() {
            let services = self.components.services_of(&good);
            let (took, serving) = (time(took), self.components.still_serving(&good));
            tracing::info!("{services}: built in {took}, and nothing changed; {serving}");
        }
    }
}

/// When a file was saved that had changed by `now`, but not yet at `before`.
fn saved(modified: Option<SystemTime>, before: Instant, now: Instant) -> Instant {
    let age = modified.and_then(|modified| modified.elapsed().ok()).unwrap_or_default();
    // Times of files can be set to anything, and copies often keep those of their originals.
    now.checked_sub(age).unwrap_or(before).clamp(before.min(now), now)
}

/// The output of a failed build, as it is.
fn show(output: &[u8]) {
    let mut stderr = std::io::stderr().lock();
    let end: &[u8] = if output.is_empty() || output.ends_with(b"\n") { b"" } else { b"\n" };
    // A screen that is gone shows nothing.
    let _ = stderr.write_all(output).and_then(|()| stderr.write_all(end));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_lies_between_two_looks_whatever_its_file_says() {
        let before = Instant::now();
        let now = before + Duration::from_secs(2);
        let ago = |seconds| Some(SystemTime::now() - Duration::from_secs(seconds));
        let second = saved(ago(1), before, now);
        assert!(second > before && second < now);
        assert_eq!(saved(ago(1_000_000_000), before, now), before);
        let future = SystemTime::now() + Duration::from_secs(100);
        assert_eq!(saved(Some(future), before, now), now);
        assert_eq!(saved(None, before, now), now);
    }
}
