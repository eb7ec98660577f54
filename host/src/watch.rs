//! `serve --watch`: what is saved is built, and what is built is served.
//!
//! One loop looks at the files, decides when to build, and brings in components that changed. It
//! serves nothing itself and waits for nothing but its own files: builds and swaps run beside it.
//! Whether a component is good is for the swap to say.

mod build;
mod files;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::build::{Build, Failure};
use self::files::{Change, Files, Root, Stamp};
use self::queue::{Batch, Burst, Queue};
use crate::application;
use crate::config::{ComponentSource, Config};
use crate::engine::compile::{ComponentFile, Digest};
use crate::limits;
use crate::service::history::Verdict;
use crate::service::registry::Registry;
use crate::service::swap::{Request, Swaps};

/// What every crate of an application is built from, besides itself.
const SHARED: [&str; 2] = ["components/guest", "wit"];

/// An application that is about to be watched.
pub struct Watch {
    config: Arc<Config>,
    files: Files,
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

/// A component file.
struct Watched {
    path: PathBuf,
    /// It is built from a crate of the application.
    is_built: bool,
    services: Vec<String>,
    /// What was in it when it was last read.
    digest: Option<Digest>,
    writing: Option<Writing>,
}

/// A component file that changed and has to rest before it is read.
struct Writing {
    burst: Burst,
    saved: Instant,
}

/// Why a component is brought in.
#[derive(Clone)]
struct Occasion {
    cause: String,
    saved: Option<Instant>,
    build: Option<Duration>,
}

/// A service whose swap has no verdict yet.
struct Coming {
    /// The newest version that it was asked to serve.
    digest: Digest,
    /// What to swap in then.
    next: Option<(ComponentFile, Occasion)>,
}

/// The loop.
struct Watcher {
    folder: PathBuf,
    files: Option<Files>,
    components: Vec<Watched>,
    application: Option<usize>,
    queue: Queue,
    build: Option<Build>,
    builds: JoinSet<(Result<(), Failure>, Duration)>,
    swaps: Arc<Swaps>,
    /// Ends with the name of its service.
    swapping: JoinSet<String>,
    coming: BTreeMap<String, Coming>,
    registry: Arc<Registry>,
    looked: Instant,
    next_look: Instant,
    stop: CancellationToken,
}

// === impl Watch ===

impl Watch {
    /// Look at everything for the first time.
    pub async fn new(config: &Arc<Config>) -> Self {
        let mut components: BTreeMap<PathBuf, Watched> = BTreeMap::new();
        let mut crates = BTreeSet::new();
        for service in config.services.values() {
            let Some(component) = service.component() else { continue };
            let path = application::component_path(config, &component.source);
            let is_built = matches!(component.source, ComponentSource::Crate(_));
            if let ComponentSource::Crate(name) = &component.source {
                crates.insert(name.clone());
            }
            let watched = components.entry(path.clone()).or_insert_with(|| Watched {
                path,
                is_built: false,
                services: Vec::new(),
                digest: None,
                writing: None,
            });
            watched.is_built |= is_built;
            watched.services.push(service.name.clone());
        }
        let mut components: Vec<Watched> = components.into_values().collect();
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
        for component in &mut components {
            component.digest =
                ComponentFile::read(&component.path).await.ok().map(|file| file.digest);
        }
        Self { config: config.clone(), files, components, crates, application }
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
        let watcher = Watcher {
            folder: self.config.folder.clone(),
            files: Some(self.files),
            components: self.components,
            application: self.application,
            queue,
            build,
            builds: JoinSet::new(),
            swaps,
            swapping: JoinSet::new(),
            coming: BTreeMap::new(),
            registry,
            looked: now,
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
            let due = self
                .components
                .iter()
                .filter_map(|component| Some(component.writing.as_ref()?.burst.quiet()));
            // What is due already was looked at; it waits for something else.
            let due = due.chain(self.queue.due()).filter(|due| *due > now).min();
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
                Some(swapped) = self.swapping.join_next() => match swapped {
                    Ok(service) => self.swapped(&service),
                    // It cannot be said which one failed; what comes next is not held up by it.
                    Err(_) => self.coming.clear(),
                },
                () = sleep_until(next) => {
                    self.look().await;
                    self.bring_in_settled().await;
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
                    let path = self.shown(&path);
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
                    let Some(component) = self.components.get_mut(index) else { continue };
                    component.written(stamp, saved(stamp.map(|s| s.modified), before, now), now);
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
        let services = self.services_of(&batch);
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
        for component in self.components.iter_mut().filter(|component| component.is_built) {
            component.writing = None;
        }
        let Some(batch) = self.queue.finish(result.is_ok()) else { return };
        if self.stop.is_cancelled() {
            return;
        }
        let services = self.services_of(&batch);
        if let Err(failure) = result {
            let serving = self.serving(&batch);
            tracing::warn!("{services}: the build failed ({}); {serving}", failure.reason);
            show(&failure.output);
            return;
        }
        let cause = match batch.causes.is_empty() {
            true => "watch: built at the start".to_string(),
            false => format!("watch: {}", batch.cause()),
        };
        let occasion = Occasion { cause, saved: batch.saved, build: Some(took) };
        let mut changed = false;
        for index in 0..self.components.len() {
            if self.components.get(index).is_some_and(|component| component.is_built) {
                changed |= self.bring_in(index, occasion.clone()).await;
            }
        }
        if !changed && !batch.causes.is_empty() {
            let (took, serving) = (shown(took), self.serving(&batch));
            tracing::info!("{services}: built in {took}, and nothing changed; {serving}");
        }
    }

    /// Bring in the component files that have come to rest.
    async fn bring_in_settled(&mut self) {
        for index in 0..self.components.len() {
            let (now, building) = (Instant::now(), self.queue.is_building());
            let Some(component) = self.components.get_mut(index) else { continue };
            // What a build writes is brought in when all of it is good.
            if component.is_built && building {
                continue;
            }
            let at_rest = |writing: &mut Writing| writing.burst.quiet() <= now;
            let Some(writing) = component.writing.take_if(at_rest) else { continue };
            let path = component.path.clone();
            let cause = format!("watch: {}", self.shown(&path));
            let occasion = Occasion { cause, saved: Some(writing.saved), build: None };
            self.bring_in(index, occasion).await;
        }
    }

    /// Read a component file and let the services that it is for have it. Says whether there was
    /// something new in it.
    async fn bring_in(&mut self, index: usize, occasion: Occasion) -> bool {
        let Some(component) = self.components.get(index) else { return false };
        let (path, services) = (component.path.clone(), component.services.clone());
        let name = self.shown(&path);
        let stamp = Stamp::of(&path);
        let file = match ComponentFile::read(&path).await {
            Ok(file) => file,
            Err(error) => {
                let who = services.join(", ");
                tracing::warn!("{who}: {name} is left alone until it changes again: {error:#}");
                return false;
            }
        };
        if stamp.is_none() || stamp != Stamp::of(&path) {
            // It changed while it was read: the next look sees that.
            return false;
        }
        if !file.is_whole() {
            let who = services.join(", ");
            tracing::info!("{who}: {name} is not whole; it is left alone until it changes again");
            return false;
        }
        let Some(component) = self.components.get_mut(index) else { return false };
        let known = component.digest.replace(file.digest.clone());
        // A build that made the same again is no reason to undo a rollback; a file that was put
        // there by hand is.
        if occasion.build.is_some() && known.as_ref() == Some(&file.digest) {
            return false;
        }
        let mut changed = false;
        for service in services {
            let serving = self.registry.find(&service).map(|service| service.serving());
            let newest = match self.coming.get(&service) {
                Some(coming) => Some(&coming.digest),
                None => serving.as_ref().map(|serving| &serving.stable.digest),
            };
            if newest != Some(&file.digest) {
                changed = true;
                self.swap(service, file.clone(), occasion.clone());
            }
        }
        changed
    }

    /// Swap now, or after the swap that runs: of two saves the last one must win, and what is
    /// replaced before its turn need not be loaded.
    fn swap(&mut self, service: String, file: ComponentFile, occasion: Occasion) {
        let digest = file.digest.clone();
        if let Some(coming) = self.coming.get_mut(&service) {
            *coming = Coming { digest, next: Some((file, occasion)) };
            return;
        }
        self.coming.insert(service.clone(), Coming { digest, next: None });
        let swaps = self.swaps.clone();
        self.swapping.spawn(async move {
            swap(&swaps, &service, file, &occasion).await;
            service
        });
    }

    fn swapped(&mut self, service: &str) {
        if let Some(Coming { next: Some((file, occasion)), .. }) = self.coming.remove(service) {
            self.swap(service.to_string(), file, occasion);
        }
    }

    /// The services that a batch is for.
    fn services_of(&self, batch: &Batch) -> String {
        self.concerned(batch).into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    }

    /// What serves while nothing new comes of a batch.
    fn serving(&self, batch: &Batch) -> String {
        match self.concerned(batch).as_slice() {
            [(_, Some(digest))] => format!("{digest} still serves"),
            _ => "what served before still serves".to_string(),
        }
    }

    fn concerned(&self, batch: &Batch) -> Vec<(String, Option<Digest>)> {
        let of_batch = |component: &&Watched| {
            let name = component.path.file_stem().unwrap_or_default().to_string_lossy();
            component.is_built && batch.crates.contains(name.as_ref())
        };
        let services = self.components.iter().filter(of_batch).flat_map(|c| &c.services);
        let mut concerned: Vec<_> = services
            .map(|name| {
                let digest = self.registry.find(name).map(|s| s.serving().stable.digest.clone());
                (name.clone(), digest)
            })
            .collect();
        concerned.sort_by(|a, b| a.0.cmp(&b.0));
        concerned
    }

    /// A path as the user knows it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }
}

// === impl Watched ===

impl Watched {
    fn written(&mut self, stamp: Option<Stamp>, saved: Instant, now: Instant) {
        if stamp.is_none() {
            // Removed, to be made again or not. What was loaded from it serves on.
            self.writing = None;
            return;
        }
        let writing = self.writing.get_or_insert(Writing { burst: Burst::new(now), saved });
        // The save is the one that made the file what it is.
        writing.saved = saved;
        writing.burst.again(now);
    }
}

/// Put a component into service, and tell what came of it.
async fn swap(swaps: &Arc<Swaps>, service: &str, file: ComponentFile, occasion: &Occasion) {
    let (started, to) = (Instant::now(), file.digest.clone());
    let request = Request { cause: occasion.cause.clone(), canary: None };
    let outcome = match swaps.swap(service, Ok(file), request).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::warn!("{service}: {error}");
            return;
        }
    };
    let from = outcome.from.get(..12).unwrap_or("-");
    let steps = match occasion.build {
        Some(build) => format!("build {}, swap {}", shown(build), shown(started.elapsed())),
        None => format!("swap {}", shown(started.elapsed())),
    };
    match (outcome.record.verdict, occasion.saved) {
        (Verdict::Activated, Some(saved)) => {
            let since = shown(saved.elapsed());
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

/// `38 ms`, `1.6 s`, `75 s`.
fn shown(duration: Duration) -> String {
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

    #[test]
    fn times_read_like_times() {
        assert_eq!(shown(Duration::from_millis(38)), "38 ms");
        assert_eq!(shown(Duration::from_millis(1649)), "1.6 s");
        assert_eq!(shown(Duration::from_secs(75)), "75 s");
    }
}
