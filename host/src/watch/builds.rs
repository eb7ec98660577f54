//! The builds of an application: one command for all crates, and one for each service that says its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::built_by;
use super::files::{Files, Root, Stamp};
use crate::build::command::{Build, Failure, Output};
use crate::build::{command, with_name};
use wasm_host_config::Config;

/// The commands, each with what it is for.
#[derive(Clone, Debug, Default)]
pub(super) struct Builds {
    /// Of all crates together. None: there is no crate, or nothing builds them.
    crates: Option<Build>,
    /// By the name of what it builds.
    services: BTreeMap<String, Build>,
}

/// What some builds came to.
#[derive(Debug, Default)]
pub(super) struct BuildOutcomes {
    /// Of those that failed, what they were for.
    pub(super) failures: Vec<(BTreeSet<String>, Failure)>,
}

impl Builds {
    pub(super) fn of(config: &Config, has_crates: bool) -> Self {
        let watch = &config.watch;
        let words = watch.build.clone().filter(|_| has_crates);
        let crates = words.map(|words| Build {
            words,
            folder: with_name(&config.folder),
            programs: Vec::new(),
            makes: Vec::new(),
            timeout: watch.build_timeout,
        });
        let services = config.services.values().filter_map(|service| {
            Some((built_by(&service.name), command(config, service.component()?)?))
        });
        Self { crates, services: services.collect() }
    }

    pub(super) fn has_crates(&self) -> bool {
        self.crates.is_some()
    }

    /// The folders of sources of services, each once.
    pub(super) fn roots(&self) -> Vec<Root> {
        let mut roots: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        for (name, build) in &self.services {
            roots.entry(build.folder.clone()).or_default().push(name.clone());
        }
        roots.into_iter().map(|(folder, crates)| Root { folder, crates }).collect()
    }

    /// What is not there, or older than its sources.
    pub(super) fn old(&self, files: &Files) -> BTreeSet<String> {
        let is_old = |build: &Build| {
            let made = |file: &PathBuf| Stamp::of(file).map(|stamp| stamp.modified);
            let roots = files.roots().iter().enumerate();
            let mut roots = roots.filter(|(_, root)| root.folder == build.folder);
            let newest: Option<SystemTime> = roots.find_map(|(root, _)| files.newest(root));
            // What it is put together with need not come of these sources, and may be older.
            let own = build.makes.first().and_then(made);
            build.makes.iter().any(|file| made(file).is_none()) || own.is_none() || newest > own
        };
        let old = self.services.iter().filter(|(_, build)| is_old(build));
        old.map(|(name, _)| name.clone()).collect()
    }

    /// Run those that these need, one after the other.
    pub(super) async fn run(
        &self,
        names: &BTreeSet<String>,
        stop: &CancellationToken,
    ) -> BuildOutcomes {
        let mut ended = BuildOutcomes::default();
        let crates: BTreeSet<String> =
            names.iter().filter(|name| !self.services.contains_key(*name)).cloned().collect();
        if let Some(build) = self.crates.as_ref().filter(|_| !crates.is_empty()) {
            let changed = Vec::from_iter(crates.iter().map(String::as_str)).join(",");
            if let Err(failure) = build.run(&changed, Output::Kept, stop).await {
                ended.failures.push((crates, failure));
            }
        }
        for name in names {
            let Some(build) = self.services.get(name) else { continue };
            if stop.is_cancelled() {
                break;
            }
            if let Err(failure) = build.run("", Output::Kept, stop).await {
                ended.failures.push((BTreeSet::from([name.clone()]), failure));
            }
        }
        ended
    }
}

impl BuildOutcomes {
    /// All that was not built.
    pub(super) fn failed(&self) -> BTreeSet<String> {
        self.failures.iter().flat_map(|(names, _)| names.iter().cloned()).collect()
    }
}
