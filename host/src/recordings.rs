//! Recordings for the control plane: the recorder's, and the case files that are made of them in the application's folder.

use std::fmt::Display;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use tokio::task::spawn_blocking;

use crate::cli;
use crate::serve::Host;
use wasm_host_config::{CASES, ComponentSource, Config, ServiceKind};
use wasm_host_http::admin::no_service;
use wasm_host_http::admin::recordings::{
    Link, List, Only, Order, Ordered, Recording, Recordings as Asked, RecordingsFuture,
};
use wasm_host_limits as limits;
use wasm_host_record::{self as record, Everything, Recorder, RecordingSummary, Redactor};
use wasm_host_service::failure::{Failure, Kind};

/// What records requests: all, with `--record`, and in any case those that are asked for while it runs.
pub(crate) fn recorder(args: &cli::Serve, config: &Config) -> Result<Arc<Recorder>> {
    let secrets = config.known_secrets();
    let short =
        secrets.iter().filter(|secret| secret.expose().len() < limits::record::SECRET_BYTES);
    match short.count() {
        count if count > 0 && args.record.is_some() => tracing::warn!(
            "{count} secrets have fewer than {} bytes and are not looked for in recordings",
            limits::record::SECRET_BYTES
        ),
        _ => {}
    }
    let named: Vec<String> = config.redact.iter().chain(&args.redact).cloned().collect();
    let redactor = Redactor::new(&named, &secrets)?;
    // A component that is served by itself has no other beside it.
    let by_service = config.file.is_some();
    let everything = args.record.as_deref().map(|folder| Everything { folder, by_service });
    Recorder::new(&config.state_dir, everything, redactor)
}

pub(crate) struct Recordings {
    config: Arc<Config>,
    recorder: Arc<Recorder>,
}

impl Recordings {
    pub(crate) fn new(host: &Host) -> Self {
        Self { config: host.config.clone(), recorder: host.recorder.clone() }
    }

    fn missing(&self, service: &str) -> Failure {
        match self.config.services.get(service).map(|service| &service.kind) {
            Some(ServiceKind::Static { .. }) => Failure::new(
                Kind::NoService,
                format!(
                    "The service {service} has files and no component; nothing of it is recorded."
                ),
            ),
            _ => no_service(service, self.config.services.keys().cloned().collect()),
        }
    }

    fn find(&self, id: &str) -> Result<RecordingSummary, Failure> {
        self.recorder.find(id).ok_or_else(|| none(id))
    }

    /// Where cases of a service belong, below the application's folder.
    fn folder(&self, service: &str) -> PathBuf {
        let component = self.config.services.get(service).and_then(|it| it.component());
        match component.map(|component| &component.source) {
            Some(ComponentSource::Crate(name)) => Path::new("components").join(name).join(CASES),
            _ if let Some(folder) = self.config.cases_of(service) => {
                folder.strip_prefix(&self.config.folder).unwrap_or(&folder).to_owned()
            }
            // A component that is served by itself has no other beside it.
            _ if self.config.file.is_none() => PathBuf::from(CASES),
            _ => Path::new(CASES).join(service),
        }
    }
}

impl Asked for Recordings {
    fn list(&self) -> List {
        let items = self.recorder.kept().into_iter().map(|kept| Recording {
            id: kept.id,
            time: kept.time,
            service: kept.service,
            trace: kept.trace,
            name: kept.name,
            status: kept.status,
            error: kept.error,
            file: kept.file,
        });
        let recording = self.recorder.ordered().into_iter().map(ordered).collect();
        List { recording, items: items.collect() }
    }

    fn of_trace(&self, trace: &str) -> Option<Link> {
        self.recorder.of_trace(trace).map(|kept| Link { id: kept.id })
    }

    fn start(&self, order: &Order) -> Result<Ordered, Failure> {
        let Order { service, requests, only } = order;
        let only = match only {
            Only::All => record::Only::All,
            Only::Failures => record::Only::Failures,
        };
        let begun = self.recorder.start(service, *requests, only);
        begun.map(ordered).ok_or_else(|| self.missing(service))
    }

    fn stop(&self, service: &str) -> Result<(), Failure> {
        self.recorder.stop(service).then_some(()).ok_or_else(|| self.missing(service))
    }

    fn case<'a>(&'a self, id: &'a str) -> RecordingsFuture<'a, String> {
        Box::pin(async move {
            let (recorder, id) = (self.recorder.clone(), id.to_owned());
            away(move || recorder.case(&id).map_err(|error| unread(&id, &error))).await
        })
    }

    fn save<'a>(&'a self, id: &'a str, folder: Option<&'a str>) -> RecordingsFuture<'a, String> {
        Box::pin(async move {
            let kept = self.find(id)?;
            let folder = match folder.map(str::trim).filter(|folder| !folder.is_empty()) {
                Some(folder) => below(folder)?,
                None => self.folder(&kept.service),
            };
            let (recorder, root) = (self.recorder.clone(), self.config.folder.clone());
            away(move || save(&recorder, &root, &folder, &kept)).await
        })
    }

    fn clear<'a>(&'a self, service: Option<&'a str>) -> RecordingsFuture<'a, ()> {
        Box::pin(async move {
            let (recorder, service) = (self.recorder.clone(), service.map(str::to_owned));
            away(move || {
                recorder.clear(service.as_deref());
                Ok(())
            })
            .await
        })
    }
}

/// Files are read and written where no request waits for it.
async fn away<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::new(Kind::Internal, format!("It failed: {error}."))))
}

fn ordered(ordered: record::Ordered) -> Ordered {
    let record::Ordered { service, left, only, since, until } = ordered;
    let only = match only {
        record::Only::All => Only::All,
        record::Only::Failures => Only::Failures,
    };
    Ordered { service, left, only, since, until }
}

fn none(id: &str) -> Failure {
    let why = format!("There is no recording {id}, or newer ones have taken its place.");
    Failure::new(Kind::NoRoute, why)
}

fn unread(id: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => none(id),
        _ => Failure::new(Kind::Internal, format!("The recording {id} cannot be read: {error}.")),
    }
}

/// A folder by its name, which leads to no other place.
pub(crate) fn below(folder: &str) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(folder);
    let is_plain = path.components().all(|step| matches!(step, Component::Normal(_)));
    is_plain.then_some(path).ok_or_else(|| outside(folder))
}

fn outside(folder: impl Display) -> Failure {
    let why = format!(
        "The folder {folder} is not one below the application's; name one such as cases/failures."
    );
    Failure::new(Kind::Malformed, why)
}

/// Write a case file below the application's folder. Returns its path from there.
fn save(
    recorder: &Recorder,
    root: &Path,
    folder: &Path,
    kept: &RecordingSummary,
) -> Result<String, Failure> {
    let case = recorder.case(&kept.id).map_err(|error| unread(&kept.id, &error))?;
    let unwritten = |error: io::Error| {
        let folder = root.join(folder);
        let why = format!("Cannot write to {}: {error}.", folder.display());
        Failure::new(Kind::Internal, why)
    };
    if !stays_in(root, folder).map_err(unwritten)? {
        return Err(outside(folder.display()));
    }
    let path = record::write(&root.join(folder), &kept.case, &mut 1, &case).map_err(unwritten)?;
    let path = path.strip_prefix(root).unwrap_or(&path).display().to_string();
    recorder.saved(&kept.id, &path);
    Ok(path)
}

/// Whether a folder is below another one, also where a link on the way leads elsewhere.
fn stays_in(root: &Path, folder: &Path) -> io::Result<bool> {
    // An application file that is named without a folder is in the working directory.
    let root = Path::new(".").join(root).canonicalize()?;
    let mut there = root.join(folder);
    // What is not there yet is made without links.
    while !there.try_exists()? && there.pop() {}
    Ok(there.canonicalize()?.starts_with(&root))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    // Fault (Telemetry): a folder for a case file that leads out of the application's | refuses it | a problem that says so | nothing
    #[test]
    fn a_case_file_is_written_below_the_folder_of_the_application_and_nowhere_else() {
        for wrong in ["/etc", "../elsewhere", "cases/../../elsewhere", "./cases"] {
            assert_eq!(below(wrong).unwrap_err().kind, Kind::Malformed, "{wrong}");
        }
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(root.path().join("cases")).unwrap();
        symlink(elsewhere.path(), root.path().join("link")).unwrap();
        let stays = |folder: &str| stays_in(root.path(), &below(folder).unwrap()).unwrap();
        assert!(stays("cases") && stays("cases/new/deep") && stays("new"));
        assert!(!stays("link") && !stays("link/new"));
    }
}
