//! `serve --watch`: what is saved is built, and what is built is served.
//!
//! One loop looks at the files, decides when to build, and brings in components that changed. It
//! serves nothing itself and waits for nothing but its own files: builds and swaps run beside it.
//! Whether a component is good is for the swap to say.

mod build;
mod components;
mod files;
mod queue;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::build::{Build, Failure};
use self::components::{Components, Occasion, Watched, time};
use self::files::{Change, Files, Root};
use self::queue::Queue;
use wasm_host_config::{ComponentSource, Config};
use wasm_host_limits as limits;
use wasm_host_service::registry::Registry;
use wasm_host_service::swap::Swaps;

/// What every crate of an application is built from, besides itself.
const SHARED: [&str; 2] = ["components/guest", "wit"];

/// An application that is about to be watched.
pub struct Watch {
    config: Arc<Config>,
    files: Files,
    looked: Instant,
    components: Vec<Watched>,
    crates: BTreeSet<String>,
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
    build: Option<Build>,
    builds: JoinSet<(Result<(), Failure>, Duration)>,
    looked: Instant,
    next_look: Instant,
    stop: CancellationToken,
}

// === impl Watch ===

impl Watch {
    /// Look at everything for the first time.
    pub async fn new(config: &Arc<Config>) -> Self {
        let looked = Instant::now();
        let crates: BTreeSet<String> = config
            .services
            .values()
            .filter_map(|service| match &service.component()?.source {
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
        let roots = roots(config, &crates);
        // If the file system fails so badly that there is no first look, everything is new in the next.
        let look = move || Files::new(roots, single);
        let files = spawn_blocking(look).await.unwrap_or_else(|_| Files::new(vec![], vec![]));
        Self { config: config.clone(), files, looked, components, crates, application }
    }

    /// Watch from now on. Nothing that changed since the first look is missed.
    pub fn start(self, registry: Arc<Registry>, swaps: Arc<Swaps>) -> Watching {
        let stop = CancellationToken::new();
        let now = Instant::now();
        let watch = &self.config.watch;
        let folder = match self.config.folder.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => self.config.folder.clone(),
        };
        let build = watch.build.clone().filter(|_| !self.crates.is_empty());
        let build = build.map(|words| Build { words, folder, timeout: watch.build_timeout });
        tracing::info!("watching {} files", self.files.len());
        let mut queue = Queue::default();
        if build.is_some() {
            queue.begin(now, self.crates);
        }
        let folder = self.config.folder.clone();
        let components = Components::new(self.components, folder, registry, swaps);
        let watcher = Watcher {
            files: Some(self.files),
            components,
            application: self.application,
            queue,
            build,
            builds: JoinSet::new(),
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
                Some(built) = self.builds.join_next() => {
                    let (result, took) = built.unwrap_or_else(|error| {
                        let reason = format!("the host failed while it ran: {error}");
                        (Err(Failure { reason, output: Vec::new() }), Duration::ZERO)
                    });
                    self.built(result, took).await;
                }
                Some(()) = self.components.swapped() => {}
                () = sleep_until(next) => {
                    self.look().await;
                    self.components.bring_in_rested(self.queue.is_building()).await;
                }
            }
        }
        // The build ends by the same signal. Swaps go on without us, to their verdict.
        while self.builds.join_next().await.is_some() {}
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
        let Some(build) = self.build.clone() else {
            self.queue.finish(true);
            return;
        };
        let services = self.components.services_of(&batch.crates);
        match batch.causes.is_empty() {
            true => tracing::info!("{services}: building what may have changed before the start"),
            false => tracing::info!("{services}: {} changed; building", batch.cause()),
        }
        let crates: Vec<&str> = batch.crates.iter().map(String::as_str).collect();
        let (crates, stop) = (crates.join(","), self.stop.clone());
        self.builds.spawn(async move {
            let started = Instant::now();
            let result = build.run(&crates, &stop).await;
            (result, started.elapsed())
        });
    }

    /// A build has ended.
    async fn built(&mut self, result: Result<(), Failure>, took: Duration) {
        // What it wrote is a part of it, and not a change of its own.
        self.look().await;
        self.components.disregard_built();
        let Some(batch) = self.queue.finish(result.is_ok()) else { return };
        if self.stop.is_cancelled() {
            return;
        }
        let services = self.components.services_of(&batch.crates);
        if let Err(failure) = result {
            let serving = self.components.still_serving(&batch.crates);
            tracing::warn!("{services}: the build failed ({}); {serving}", failure.reason);
            show(&failure.output);
            return;
        }
        let cause = match batch.causes.is_empty() {
            true => "watch: built at the start".to_string(),
            false => format!("watch: {}", batch.cause()),
        };
        let occasion = Occasion { cause, saved: batch.saved, build: Some(took) };
        let changed = self.components.bring_in_built(&occasion).await;
        if !changed && !batch.causes.is_empty() {
            let (took, serving) = (time(took), self.components.still_serving(&batch.crates));
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
