//! The bytes of versions on their way between replicas: by the database, wherever they came from. A registry is asked for
//! what is not there, and for signatures.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::components::component;
use wasm_host_engine::compile::ComponentFile;
use wasm_host_limits::COMPONENT_FILE_BYTES;
use wasm_host_limits::replicas::COMPONENT_BYTES;
use wasm_host_oci::digest::ContentDigest;
use wasm_host_oci::reference::SCHEME;
use wasm_host_oci::{Pin, Pulled, Reference, Registries};
use wasm_host_replicas::postgres::Uploads;
use wasm_host_replicas::protocol::Version;
use wasm_host_service::swap::Swaps;

/// Where this host has components from, and where the other replicas have them from.
pub(super) struct Files {
    pub(super) swaps: Arc<Swaps>,
    pub(super) uploads: Uploads,
    pub(super) registries: Arc<Registries>,
}

/// Why a component is not where the others can have it.
pub(super) struct NotHandedOut {
    pub(super) why: String,
    /// It makes no sense to try again.
    pub(super) is_for_good: bool,
}

impl Files {
    /// A version, as this host may serve it: with its signature, where that is wanted.
    pub(super) async fn of(
        &self,
        service: &str,
        version: &Version,
    ) -> Result<ComponentFile, String> {
        let Version { digest, source } = version;
        if let Some(file) = self.swaps.kept(service, digest, source).await {
            return Ok(file);
        }
        let file = match source.starts_with(SCHEME) {
            true => self.of_registry(version).await?,
            false => self.uploaded(version).await?,
        };
        match file.digest.full() == &**digest {
            true => Ok(file),
            false => Err(format!("{source} has another component here, {}", file.digest)),
        }
    }

    /// What a registry has is the same bytes wherever it is, and what is known of it is as good as a pin. So the registry is
    /// asked last: a replica may not reach it, or come when it has the version no more. Only for a signature that is not
    /// known here it has to be asked.
    async fn of_registry(&self, version: &Version) -> Result<ComponentFile, String> {
        let reference = Reference::parse(&version.source).map_err(|problem| problem.to_string())?;
        let digest = format!("sha256:{}", version.digest).parse::<ContentDigest>().ok();
        // The size is a bound for what is kept here.
        let pin = |(manifest, component)| Pin { manifest, component, size: COMPONENT_FILE_BYTES };
        let pin = reference.digest.zip(digest).map(pin);
        let mut elsewhere = String::new();
        if let Some(pin) = pin
            && self.registries.was_verified(pin).await
        {
            if let Some(kept) = self.registries.kept(pin).await {
                return read(&reference, kept).await;
            }
            match self.uploaded(version).await {
                Ok(file) => return Ok(file),
                Err(why) => elsewhere = format!("; {why}"),
            }
        }
        match self.registries.pull(&reference, pin).await {
            Ok(pulled) => read(&reference, pulled).await,
            Err(error) => Err(format!("{error}{elsewhere}")),
        }
    }

    async fn uploaded(&self, version: &Version) -> Result<ComponentFile, String> {
        let found = self.uploads.get(&version.digest).await.map_err(|away| away.to_string())?;
        let bytes = found.ok_or_else(|| {
            let short = version.digest.get(..12).unwrap_or_default();
            format!("the component {short} is not in the database of [replicas] any more")
        })?;
        let origin = PathBuf::from(&*version.source);
        // The digest of a large file takes a while.
        let file = spawn_blocking(move || ComponentFile::from_bytes(bytes, origin)).await;
        file.unwrap_or_else(|error| Err(error.into())).map_err(|error| format!("{error:#}"))
    }

    /// Let the other replicas have a component, those that come later included.
    pub(super) async fn hand_out(&self, file: &ComponentFile) -> Result<(), NotHandedOut> {
        let is_too_large = file.bytes.len() as u64 > COMPONENT_BYTES;
        let of_registry = file.path.to_str().is_some_and(|origin| origin.starts_with(SCHEME));
        if is_too_large && of_registry {
            return Ok(());
        }
        let put = self.uploads.put(file.digest.full(), &file.bytes).await;
        put.map_err(|away| NotHandedOut { why: away.to_string(), is_for_good: is_too_large })
    }
}

async fn read(reference: &Reference, pulled: Pulled) -> Result<ComponentFile, String> {
    component(reference, pulled).await.map_err(|error| format!("{error:#}"))
}
