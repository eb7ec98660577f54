//! Where the components of an application come from: files, and registries by what `wasm-host.lock` pins.
//!
//! What a registry is asked for is asked for all services at once, before any of them is loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Error, Result};
use futures_util::future::join_all;
use parking_lot::Mutex;
use rustix::process::geteuid;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::application::component_path;
use crate::cli::Access;
use crate::composed::parts;
use crate::exit::Exit;
use wasm_host_config::{ComponentConfig, ComponentSource, Config, ServiceConfig};
use wasm_host_engine::compile::{Compiler, ComponentFile};
use wasm_host_engine::compose::BETWEEN_PARTS;
use wasm_host_limits as limits;
use wasm_host_log::tell_if_long_async;
use wasm_host_oci::cache::Cache;
use wasm_host_oci::credentials::CredentialFiles;
use wasm_host_oci::digest::ContentDigest;
use wasm_host_oci::reference::SCHEME;
use wasm_host_oci::settings::{Hints, RegistriesConfig};
use wasm_host_oci::{Kind, OciError, Pin, Pins, Pulled, Reference, Registries};
use wasm_host_service::swap::Vouch;
use wasm_host_settings::diagnostic::{Diagnostic, Severity};
use wasm_host_settings::disk;
use wasm_host_settings::tls::{Authorities, NoAuthority};

/// What gets components of registries.
pub struct Components {
    registries: Arc<Registries>,
    /// None: there is no application file.
    pins_file: Option<PathBuf>,
    /// What is not pinned is an error.
    is_locked: bool,
    /// What is new is pinned.
    pins: bool,
}

/// What came of each reference of an application.
pub struct Pulls {
    registries: Arc<Registries>,
    pulled: BTreeMap<Reference, Result<ComponentFile, OciError>>,
    /// Files that were read: those of many services may be one.
    read: Mutex<BTreeMap<PathBuf, Arc<OnceCell<ComponentFile>>>>,
}

/// What a reference turned out to stand for.
struct Fresh {
    reference: Reference,
    /// What was pinned when it was asked for.
    before: Option<Pin>,
    pin: Pin,
}

impl Components {
    /// Those of an application, kept in its state folder.
    pub fn new(config: &Config, is_locked: bool) -> Self {
        // An application without references makes no folder for them. Where there can be none, nothing is kept.
        // What trust has verified is kept for the next start, also of versions that were swapped in.
        let uses = !config.references().is_empty()
            || !config.registries.registries.is_empty()
            || !config.registries.keys.is_empty();
        let open = || Ok(Cache::open(&config.state_dir)?.with_brought_along(&config.folder));
        let cache = uses.then(open).transpose();
        let cache = cache.unwrap_or_else(|error: Error| {
            tracing::warn!("components of registries are not kept: {error:#}");
            None
        });
        let registries = Registries::new(config.registries.clone(), credentials(), cache);
        let (registries, pins_file) = (Arc::new(registries), config.pins_file());
        Self { registries, pins_file, is_locked, pins: true }
    }

    /// For a command that looks, and changes no file.
    pub fn without_pinning(self) -> Self {
        Self { pins: false, ..self }
    }

    pub fn registries(&self) -> Arc<Registries> {
        self.registries.clone()
    }

    /// What is pinned. Fails if the file of pins cannot be read.
    pub fn pins(&self) -> Result<Pins, OciError> {
        self.pins_file.as_deref().map_or_else(|| Ok(Pins::default()), Pins::read)
    }

    /// Get all components that registries have, and pin what is new. Fails only if the file of pins cannot be read.
    pub async fn pull(&self, config: &Config) -> Result<Pulls, OciError> {
        let (references, registries) = (config.references(), self.registries());
        if references.is_empty() {
            return Ok(Pulls::new(registries, BTreeMap::new()));
        }
        let pins = self.pins()?;
        self.registries.want(pins.all().copied());
        let pulls = references.iter().map(|reference| self.pull_one(reference, &pins));
        let pulled = tell_if_long_async("pulling components", join_all(pulls)).await;
        let mut fresh = Vec::new();
        let mut pulls = BTreeMap::new();
        for (reference, pulled) in references.into_iter().zip(pulled) {
            let before = pins.get(reference);
            if let Ok((_, pin)) = &pulled
                && before != Some(*pin)
            {
                fresh.push(Fresh { reference: reference.clone(), before, pin: *pin });
            }
            pulls.insert(reference.clone(), pulled.map(|(file, _)| file));
        }
        if self.pins && !fresh.is_empty() {
            self.pin(pins, fresh).await;
        }
        Ok(Pulls::new(registries, pulls))
    }

    async fn pull_one(
        &self,
        reference: &Reference,
        pins: &Pins,
    ) -> Result<(ComponentFile, Pin), OciError> {
        let pin = pins.get(reference);
        if pin.is_none() && self.is_locked {
            let message = format!("{reference} is not pinned in {}", self.pins_name());
            return Err(OciError::new(Kind::Local, message)
                .hint("run `wasm-host update`, and keep the file with the application file"));
        }
        let pulled = self.registries.pull(reference, pin).await?;
        if self.is_locked && pin != Some(pulled.pin) {
            let message = format!("what {} says of {reference} is not so", self.pins_name());
            return Err(OciError::new(Kind::Local, message).hint("run `wasm-host update`"));
        }
        let pin = pulled.pin;
        let file = component(reference, pulled)
            .await
            .map_err(|error| OciError::new(Kind::Unusable, format!("{error:#}")))?;
        Ok((file, pin))
    }

    /// Pin what was not when `pins` were read. What another process has pinned since stays. A host whose application file
    /// lies where nothing can be written runs all the same.
    async fn pin(&self, mut pins: Pins, fresh: Vec<Fresh>) {
        for fresh in &fresh {
            pins.set(&fresh.reference, fresh.pin);
        }
        let Some(path) = self.pins_file.clone() else { return };
        // It may have to wait for others, and for the disk.
        let written = spawn_blocking(move || Pins::change(&path, |pins| add(pins, fresh))).await;
        match written.map_err(|error| OciError::new(Kind::Local, error.to_string())).flatten() {
            Ok((written, ())) => pins = written,
            Err(error) => tracing::warn!("{error}: the next start asks for the tags anew"),
        }
        self.registries.want(pins.all().copied());
    }

    fn pins_name(&self) -> String {
        self.pins_file.as_ref().map_or_else(String::new, |path| path.display().to_string())
    }

    /// Which pinned tags have moved, as warnings at the lines of their services.
    pub async fn moved(&self, config: &Config) -> Vec<Diagnostic> {
        let Ok(pins) = self.pins() else { return Vec::new() };
        let asked = config.services.values().flat_map(|service| {
            let sources = service.component().into_iter().flat_map(ComponentConfig::sources);
            let references = sources.filter_map(ComponentSource::reference);
            references.map(move |reference| (service, reference))
        });
        let asked = asked.filter_map(|(service, reference)| {
            let pin = pins.get(reference).filter(|_| reference.digest.is_none())?;
            Some((service, reference, pin))
        });
        let asked = asked.map(async |(service, reference, pin)| {
            let resolved = self.registries.resolve(reference, limits::oci::MOVED_TIMEOUT).await;
            let (what, hint) = match resolved {
                Ok(digest) if digest == pin.manifest => return None,
                Ok(digest) => (
                    format!(
                        "{reference} stands for {digest} by now, and {} is pinned, which serves",
                        pin.manifest
                    ),
                    Some("`wasm-host update` takes the new one".to_owned()),
                ),
                Err(error) => {
                    (format!("whether {reference} has moved is not known: {error}"), None)
                }
            };
            Some(at(config, service, Severity::Warning, what, hint))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

impl Pulls {
    fn new(
        registries: Arc<Registries>,
        pulled: BTreeMap<Reference, Result<ComponentFile, OciError>>,
    ) -> Self {
        Self { registries, pulled, read: Mutex::default() }
    }

    /// A file, read once for all services that have it.
    async fn read(&self, path: PathBuf) -> Result<ComponentFile> {
        let cell = self.read.lock().entry(path.clone()).or_default().clone();
        cell.get_or_try_init(|| ComponentFile::read(&path)).await.cloned()
    }

    /// What came of each reference.
    pub fn all(&self) -> impl Iterator<Item = (&Reference, &Result<ComponentFile, OciError>)> {
        self.pulled.iter()
    }

    /// Whether a version that was kept may be served: what came from a registry must be signed by a key that is trusted
    /// now. No registry is asked.
    pub fn vouch(&self, kept: &ComponentFile) -> Result<()> {
        vouch(&self.registries, kept)
    }

    /// The same, for as long as the host runs.
    pub fn voucher(&self) -> Vouch {
        let registries = self.registries.clone();
        Box::new(move |kept| vouch(&registries, kept))
    }

    /// What the application file says that a service is: its component, put together with its parts if it has any.
    pub async fn own(
        &self,
        config: &Config,
        component: &ComponentConfig,
        compiler: &Compiler,
    ) -> Result<ComponentFile> {
        if !component.is_composed() {
            return self.file(config, &component.source).await;
        }
        compiler.compose(parts(self, config, component).await?, 0).await
    }

    /// One component.
    pub async fn file(&self, config: &Config, source: &ComponentSource) -> Result<ComponentFile> {
        match (source.reference(), component_path(config, source)) {
            (Some(reference), _) => match self.pulled.get(reference) {
                Some(pulled) => pulled.clone().map_err(Error::new),
                None => Err(Error::msg(format!("{reference} was not asked for"))),
            },
            (None, Some(path)) => self.read(path).await,
            (None, None) => Err(Error::msg("it has no file")),
        }
    }
}

/// Pin what is pinned as it was when it was asked for.
fn add(pins: &mut Pins, fresh: Vec<Fresh>) {
    for Fresh { reference, before, pin } in fresh {
        match pins.get(&reference) {
            now if now == before => {
                pins.set(&reference, pin);
                tracing::info!("{reference} is pinned to {}", pin.manifest);
            }
            Some(now) if now != pin => tracing::warn!(
                "{reference} has been pinned to {} meanwhile, which stays so; here {} was got: start anew",
                now.manifest,
                pin.manifest
            ),
            _ => {}
        }
    }
}

fn vouch(registries: &Registries, kept: &ComponentFile) -> Result<()> {
    if kept.parts.is_empty() {
        let origin = kept.path.to_str().unwrap_or_default();
        let mut parts = origin.split(BETWEEN_PARTS);
        if origin.contains(BETWEEN_PARTS) && parts.any(|part| part.starts_with(SCHEME)) {
            let what = format!("which parts {origin} was put together from is not known any more");
            return Err(Error::msg(what));
        }
        return vouch_for_one(registries, origin, kept.digest.full());
    }
    let mut parts = kept.parts.iter();
    parts.try_for_each(|part| vouch_for_one(registries, &part.path, &part.digest))
}

fn vouch_for_one(registries: &Registries, origin: &str, digest: &str) -> Result<()> {
    if !origin.starts_with(SCHEME) {
        return Ok(());
    }
    let reference = Reference::parse(origin).map_err(OciError::from)?;
    let component = format!("sha256:{digest}").parse::<ContentDigest>();
    let component = component.map_err(|_| Error::msg("its digest cannot be read"))?;
    Ok(registries.vouch(&reference, component)?)
}

/// What the host reads of a pulled component's bytes. Its origin is called by its digest, too.
pub async fn component(reference: &Reference, pulled: Pulled) -> Result<ComponentFile> {
    let Pulled { bytes, pin } = pulled;
    let origin = PathBuf::from(reference.at(pin.manifest).to_string());
    // The digest of a large file takes a while.
    spawn_blocking(move || ComponentFile::from_bytes(bytes, origin)).await?
}

/// The reference that somebody typed where a path could stand, too.
pub fn reference(typed: &Path) -> Result<Option<Reference>, Exit> {
    let Some(text) = typed.to_str().filter(|text| text.starts_with(SCHEME)) else {
        return Ok(None);
    };
    let wrong = |problem| Exit::Usage(format!("wasm-host: error: {problem}"));
    Reference::parse(text).map(Some).map_err(wrong)
}

/// Registries for a command that reads no application file, and keeps nothing.
pub fn registries(reference: &Reference, access: &Access) -> Result<Registries, Exit> {
    let mut config = RegistriesConfig::default();
    allow(&mut config, reference, access)?;
    config.registries.entry(reference.host.clone()).or_default().hints = Hints::Options;
    Ok(Registries::new(config, credentials(), None))
}

/// Ask the registry of a reference as the command line says, beside what the application file says of it.
pub fn allow(
    config: &mut RegistriesConfig,
    reference: &Reference,
    access: &Access,
) -> Result<(), Exit> {
    let registry = config.registries.entry(reference.host.clone()).or_default();
    registry.plain_http |= access.plain_http;
    if let Some(path) = &access.ca {
        let wrong =
            |problem| Exit::Usage(format!("wasm-host: error: --ca {}: {problem}", path.display()));
        let pem = disk::pem(path).map_err(|problem| wrong(problem.to_string()))?;
        let authorities = Authorities::new(&pem);
        let authorities =
            authorities.map_err(|NoAuthority(what, fix)| wrong(format!("{what}; {fix}")))?;
        registry.ca = Some(authorities);
    }
    Ok(())
}

/// The logins of the user who runs this.
fn credentials() -> CredentialFiles {
    CredentialFiles::of(geteuid().as_raw(), |name| std::env::var(name).ok())
}

/// A finding at the line of a service.
pub(crate) fn at(
    config: &Config,
    service: &ServiceConfig,
    severity: Severity,
    what: String,
    hint: Option<String>,
) -> Diagnostic {
    Diagnostic {
        file: config.file.clone().unwrap_or_default(),
        line: service.line,
        column: usize::from(service.line > 0),
        severity,
        message: format!("[service.{}]: {what}", service.name),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composition_whose_parts_are_not_known_is_not_vouched_for() {
        let none = CredentialFiles::of(0, |_| None);
        let registries = Registries::new(RegistriesConfig::default(), none, None);
        let vouched = |path: &str| {
            let bytes = b"\0asm\x0d\0\x01\0".to_vec();
            let kept = ComponentFile::from_bytes(bytes, path.into()).unwrap();
            vouch(&registries, &kept).map_err(|error| error.to_string())
        };
        assert_eq!(vouched("shop.wasm"), Ok(()));
        assert_eq!(vouched("salt + pepper.wasm"), Ok(()));
        for parts in ["shop.wasm + oci://a.example/auth:1", "oci://a.example/auth:1 + shop.wasm"] {
            let why = vouched(parts).unwrap_err();
            assert!(why.contains("is not known any more"), "{why}");
        }
    }

    #[tokio::test]
    async fn a_file_is_read_once_for_all_services_that_have_it() {
        let none = CredentialFiles::of(0, |_| None);
        let registries = Registries::new(RegistriesConfig::default(), none, None);
        let pulls = Pulls::new(Arc::new(registries), BTreeMap::new());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.wasm");
        // What failed is read again.
        assert!(pulls.read(path.clone()).await.is_err());
        std::fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
        let read = pulls.read(path.clone()).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(pulls.read(path).await.unwrap().digest, read.digest);
    }

    #[test]
    fn what_another_process_has_pinned_meanwhile_stays() {
        let reference =
            |name: &str| Reference::parse(&format!("oci://a.example/{name}:1")).unwrap();
        let pin = |content: &[u8]| {
            let digest = ContentDigest::of(content);
            Pin { manifest: digest, component: digest, size: 1 }
        };
        let (new, taken, larger) = (reference("new"), reference("taken"), reference("larger"));
        let mut pins = Pins::default();
        pins.set(&taken, pin(b"of the other"));
        pins.set(&larger, pin(b"larger"));
        let other = reference("of-the-other");
        pins.set(&other, pin(b"another"));
        let corrected = Pin { size: 2, ..pin(b"larger") };
        let fresh = [
            (&new, None, pin(b"new")),
            (&taken, None, pin(b"taken")),
            (&larger, Some(pin(b"larger")), corrected),
        ];
        let fresh = fresh.map(|(reference, before, pin)| Fresh {
            reference: reference.clone(),
            before,
            pin,
        });
        add(&mut pins, fresh.into());
        assert_eq!(pins.get(&new), Some(pin(b"new")));
        assert_eq!(pins.get(&taken), Some(pin(b"of the other")));
        assert_eq!(pins.get(&larger), Some(corrected));
        assert_eq!(pins.get(&other), Some(pin(b"another")));
    }
}
