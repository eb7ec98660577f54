//! All registries of one program, with what is believed of them: components by reference, pinned, verified and kept.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::artifact::{self, Artifact};
use crate::cache::Cache;
use crate::credentials::CredentialFiles;
use crate::digest::ContentDigest;
use crate::error::{Kind, OciError};
use crate::manifest::{Descriptor, IMAGE_CONFIG, IMAGE_MANIFEST, Manifest};
use crate::pins::Pin;
use crate::reference::Reference;
use crate::registry::{Fetched, Registry, late, silent};
use crate::settings::{RegistriesConfig, RegistryConfig};
use crate::signature::{self, PublicKey, SIGNATURE, SIGNED, Signature, SigningKey};
use wasm_host_limits::COMPONENT_FILE_BYTES;
use wasm_host_limits::oci::{
    CONCURRENT_PULLS, CONCURRENT_QUESTIONS, PUSH_TIMEOUT, REGISTRIES, SIGNATURES, SIGNED_BYTES,
};

/// Bytes of what is kept of the signatures of one manifest: all of them, in JSON.
const KEPT_SIGNATURES_BYTES: u64 = SIGNATURES as u64 * SIGNED_BYTES * 8;

/// A component that was pulled.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub bytes: Vec<u8>,
    pub pin: Pin,
}

/// What is kept of a manifest that was verified. Which component is in it stands there, too: a file of pins alone could
/// name another one beside a manifest that is signed.
#[derive(Serialize, Deserialize)]
struct VerifiedManifest {
    component: ContentDigest,
    signatures: Vec<Signature>,
}

/// What asks registries.
pub struct Registries {
    config: RegistriesConfig,
    files: CredentialFiles,
    /// None: nothing is kept.
    cache: Option<Cache>,
    clients: Mutex<HashMap<String, Arc<Registry>>>,
    pulls: Semaphore,
    questions: Semaphore,
    /// Digests of what the cache keeps whatever its bound.
    wanted: Mutex<HashSet<ContentDigest>>,
}

impl Registries {
    pub fn new(config: RegistriesConfig, files: CredentialFiles, cache: Option<Cache>) -> Self {
        let (clients, wanted) = Default::default();
        let pulls = Semaphore::new(CONCURRENT_PULLS);
        let questions = Semaphore::new(CONCURRENT_QUESTIONS);
        Self { config, files, cache, clients, pulls, questions, wanted }
    }

    /// The registry of a reference.
    pub fn of(&self, reference: &Reference) -> Result<Arc<Registry>, OciError> {
        let host = &reference.host;
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(host) {
            return Ok(client.clone());
        }
        if clients.len() >= REGISTRIES {
            clients.clear();
        }
        let client = Arc::new(Registry::new(host, &self.config.of(host), self.files.clone())?);
        clients.insert(host.clone(), client.clone());
        Ok(client)
    }

    /// The component that a reference stands for. What is pinned and kept is not asked for; what is pinned is asked for
    /// by its digest, whatever its tag stands for by now.
    pub async fn pull(&self, reference: &Reference, pin: Option<Pin>) -> Result<Pulled, OciError> {
        self.in_turn(reference, self.pull_now(reference, pin)).await
    }

    /// One of few at a time, as each may hold as much as a component may have, and each within its time.
    async fn in_turn<T>(
        &self,
        reference: &Reference,
        work: impl Future<Output = Result<T, OciError>>,
    ) -> Result<T, OciError> {
        let RegistryConfig { limits, hints, .. } = self.config.of(&reference.host);
        let deadline = limits.pull_timeout;
        // Those before it have their own deadlines.
        let _place = self.pulls.acquire().await;
        timeout(deadline, work)
            .await
            .unwrap_or_else(|_| Err(late(&reference.to_string(), &reference.host, deadline, hints)))
    }

    async fn pull_now(&self, reference: &Reference, pin: Option<Pin>) -> Result<Pulled, OciError> {
        if let Some(pin) = pin
            && self.was_verified(pin).await
            && let Some(pulled) = self.kept(pin).await
        {
            return Ok(pulled);
        }
        let asked = match pin {
            Some(pin) => reference.at(pin.manifest),
            None => reference.clone(),
        };
        let described = self.describe(&asked).await.map_err(|error| match error.kind {
            Kind::Missing if pin.is_some() && reference.digest.is_none() => error.hint(
                "what is pinned is gone there; `wasm-host update` takes what the tag stands for now",
            ),
            _ => error,
        });
        let (layer, found) = described?;
        if let Some(pin) = pin.filter(|pin| pin.component != found.component) {
            let message = format!(
                "{asked} has the component {}, and {} is pinned",
                found.component, pin.component
            );
            return Err(OciError::new(Kind::Damaged, message).hint("run `wasm-host update`"));
        }
        self.verify(reference, &found).await?;
        if let Some(pulled) = self.kept(found).await {
            return Ok(pulled);
        }
        Ok(Pulled { bytes: self.download(&asked, &layer).await?, pin: found })
    }

    async fn download(
        &self,
        reference: &Reference,
        layer: &Descriptor,
    ) -> Result<Vec<u8>, OciError> {
        let bytes = self.of(reference)?.blob(reference, layer, COMPONENT_FILE_BYTES).await?;
        let Some(cache) = self.cache.clone() else { return Ok(bytes) };
        let (digest, mut wanted) = (layer.digest, self.wanted.lock().clone());
        wanted.insert(digest);
        // A disk may take its time to have it for sure.
        let kept = spawn_blocking(move || {
            cache.keep(digest, &bytes)?;
            cache.trim(&wanted);
            Ok(bytes)
        });
        let kept = kept.await.map_err(io::Error::other).flatten();
        kept.map_err(|error| not_kept(reference, &error))
    }

    /// What is kept of a component, whether it is trusted or not: see [`Registries::was_verified`]. Asks no registry.
    // Its digest is looked at, which takes a while for a large one.
    pub async fn kept(&self, pin: Pin) -> Option<Pulled> {
        let cache = self.cache.clone()?;
        let found = spawn_blocking(move || cache.find(pin.component, pin.size));
        Some(Pulled { bytes: found.await.ok().flatten()?, pin })
    }

    /// What a reference stands for at the moment, without its component. With trust in keys, it is verified.
    pub async fn pin(&self, reference: &Reference) -> Result<Pin, OciError> {
        let pinned = async {
            let (_, pin) = self.describe(reference).await?;
            self.verify(reference, &pin).await?;
            Ok(pin)
        };
        self.in_turn(reference, pinned).await
    }

    /// The digest of the manifest that a reference stands for at the moment. Its registry has `deadline` to say it, from
    /// when it is asked.
    pub async fn resolve(
        &self,
        reference: &Reference,
        deadline: Duration,
    ) -> Result<ContentDigest, OciError> {
        let registry = self.of(reference)?;
        // Those before it have their own deadlines.
        let _place = self.questions.acquire().await;
        let resolved = timeout(deadline, registry.resolve(reference)).await;
        resolved.unwrap_or_else(|_| Err(silent(&reference.host, deadline)))
    }

    async fn describe(&self, reference: &Reference) -> Result<(Descriptor, Pin), OciError> {
        let Fetched { bytes, digest } = self.of(reference)?.manifest(reference).await?;
        let manifest = Manifest::from_bytes(&bytes).map_err(|why| {
            OciError::new(Kind::Unusable, format!("{reference} is no component: {why}"))
        })?;
        let layer = artifact::component(&manifest, &reference.to_string())?;
        let pin = Pin { manifest: digest, component: layer.digest, size: layer.size };
        Ok((layer, pin))
    }

    /// Send a component, signed if there is a key. Returns the digest of its manifest.
    pub async fn push(
        &self,
        reference: &Reference,
        artifact: Artifact,
        key: Option<&SigningKey>,
    ) -> Result<ContentDigest, OciError> {
        sent_within(PUSH_TIMEOUT, reference, self.push_now(reference, artifact, key)).await
    }

    async fn push_now(
        &self,
        reference: &Reference,
        artifact: Artifact,
        key: Option<&SigningKey>,
    ) -> Result<ContentDigest, OciError> {
        let registry = self.of(reference)?;
        let Artifact { manifest, config, component } = artifact;
        registry.put_blob(reference, component).await?;
        registry.put_blob(reference, config).await?;
        let bytes = manifest.to_bytes();
        if let Some(key) = key {
            // Before the tag leads to it: a client that follows the tag at once finds it signed.
            let digest = ContentDigest::of(&bytes);
            let untagged = Reference { tag: None, ..reference.clone() };
            registry.put_manifest(&untagged, IMAGE_MANIFEST, bytes.clone()).await?;
            self.sign(reference, digest, key).await?;
        }
        registry.put_manifest(reference, IMAGE_MANIFEST, bytes).await
    }

    /// Add a signature to those of a manifest.
    async fn sign(
        &self,
        reference: &Reference,
        manifest: ContentDigest,
        key: &SigningKey,
    ) -> Result<(), OciError> {
        let registry = self.of(reference)?;
        let beside = self.beside(reference, manifest).await?;
        let signatures = self.signatures_in(beside.as_ref(), reference, manifest).await?;
        let public = key.public();
        let is_there =
            public.is_some_and(|key| signature::is_signed(manifest, &signatures, &[key]));
        if is_there {
            return Ok(());
        }
        let signed = key.sign(reference, manifest);
        let signed = signed.ok_or_else(|| OciError::new(Kind::Local, "the key does not sign"))?;
        // What is there stays as it is: others may have said more of their signatures than is read here.
        let mut layers = beside.map(|beside| beside.layers).unwrap_or_default();
        if layers.iter().filter(|layer| layer.media_type == SIGNED).count() >= SIGNATURES {
            let place = signatures_of(reference, manifest);
            let message = format!("{place} has {SIGNATURES} signatures, and no more are looked at");
            return Err(OciError::new(Kind::Local, message).hint(
                "remove the tag from the registry, and sign anew with the keys that are in use",
            ));
        }
        let mut layer = Descriptor::of(SIGNED, signed.signed.as_bytes());
        layer.annotations.insert(SIGNATURE.to_owned(), signed.signature);
        layers.push(layer);
        registry.put_blob(reference, signed.signed).await?;
        // What cosign writes there, which no reader of signatures looks at.
        let digests: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
        let config = serde_json::json!({
            "architecture": "", "config": {}, "created": "0001-01-01T00:00:00Z", "os": "",
            "rootfs": { "type": "layers", "diff_ids": digests },
        });
        let config = config.to_string();
        registry.put_blob(reference, config.clone()).await?;
        let beside = Manifest::new(Descriptor::of(IMAGE_CONFIG, config.as_bytes()), layers);
        let place = signatures_of(reference, manifest);
        registry.put_manifest(&place, IMAGE_MANIFEST, beside.to_bytes()).await?;
        Ok(())
    }

    /// Whether a trusted key has signed a manifest with this component, by what was kept, if there are such keys. Asks no
    /// registry.
    pub async fn was_verified(&self, pin: Pin) -> bool {
        let (keys, cache) = (self.config.keys.clone(), self.cache.clone());
        let verified = move || was_verified(cache.as_ref(), &keys, &pin);
        self.config.keys.is_empty() || spawn_blocking(verified).await.unwrap_or(false)
    }

    /// Fails unless a component that once came from a registry may be served by the keys that are trusted now, going by
    /// what was kept when it was verified. Asks no registry.
    pub fn vouch(&self, origin: &Reference, component: ContentDigest) -> Result<(), OciError> {
        let is_verified = |manifest| {
            // The size is of no account here.
            let pin = Pin { manifest, component, size: 0 };
            was_verified(self.cache.as_ref(), &self.config.keys, &pin)
        };
        if self.config.keys.is_empty() || origin.digest.is_some_and(is_verified) {
            return Ok(());
        }
        let message = format!("that {origin} is signed by a key in [trust] is not known here");
        let hint = "sign it, and swap it in once more, or trust the key that signed it";
        Err(OciError::new(Kind::Unusable, message).hint(hint))
    }

    /// Fails unless a trusted key has signed a manifest, if there are such keys. What is pinned is what is in it.
    async fn verify(&self, reference: &Reference, pin: &Pin) -> Result<(), OciError> {
        if self.was_verified(*pin).await {
            return Ok(());
        }
        let (keys, manifest) = (&self.config.keys, pin.manifest);
        let signatures = self.fetch_signatures(reference, manifest).await?;
        if !signature::is_signed(manifest, &signatures, keys) {
            let (named, found) = (reference.at(manifest), signatures.len());
            let message = match found {
                0 => format!("{named} is not signed, and [trust] wants it to be"),
                _ => {
                    format!(
                        "{named} is signed by none of the keys in [trust] (signatures: {found})"
                    )
                }
            };
            return Err(OciError::new(Kind::Unusable, message).hint(
                "push it with --sign and one of these keys, or trust the key that signed it",
            ));
        }
        if let Some(cache) = self.cache.clone() {
            let kept = VerifiedManifest { component: pin.component, signatures };
            let text = serde_json::to_vec(&kept).unwrap_or_default();
            let kept = spawn_blocking(move || cache.keep_signatures(manifest, &text)).await;
            let kept = kept.map_err(io::Error::other).flatten();
            kept.map_err(|error| not_kept(reference, &error))?;
        }
        Ok(())
    }

    /// The signatures that lie beside a manifest; none if there are none.
    async fn fetch_signatures(
        &self,
        reference: &Reference,
        manifest: ContentDigest,
    ) -> Result<Vec<Signature>, OciError> {
        let beside = self.beside(reference, manifest).await?;
        self.signatures_in(beside.as_ref(), reference, manifest).await
    }

    /// What lies beside a manifest, where its signatures are.
    async fn beside(
        &self,
        reference: &Reference,
        manifest: ContentDigest,
    ) -> Result<Option<Manifest>, OciError> {
        let place = signatures_of(reference, manifest);
        let fetched = match self.of(reference)?.manifest(&place).await {
            Ok(fetched) => fetched,
            Err(error) if error.kind == Kind::Missing => return Ok(None),
            Err(error) => return Err(error),
        };
        let beside = Manifest::from_bytes(&fetched.bytes).map_err(|why| {
            let message = format!("the signatures of {reference} cannot be read: {why}");
            OciError::new(Kind::Unusable, message)
        })?;
        Ok(Some(beside))
    }

    async fn signatures_in(
        &self,
        beside: Option<&Manifest>,
        reference: &Reference,
        manifest: ContentDigest,
    ) -> Result<Vec<Signature>, OciError> {
        let (registry, place) = (self.of(reference)?, signatures_of(reference, manifest));
        let layers = beside.map(|beside| &*beside.layers).unwrap_or_default();
        let layers = layers.iter().filter(|layer| layer.media_type == SIGNED);
        let mut signatures = Vec::new();
        for layer in layers.take(SIGNATURES) {
            let Some(signature) = layer.annotations.get(SIGNATURE) else { continue };
            let signed = match registry.blob(&place, layer, SIGNED_BYTES).await {
                Ok(signed) => signed,
                // One that is of no use must not shut out the others: anybody who may push can leave one there.
                Err(error) if matches!(error.kind, Kind::Damaged | Kind::Missing) => continue,
                Err(error) => return Err(error),
            };
            if let Ok(signed) = String::from_utf8(signed) {
                signatures.push(Signature { signed, signature: signature.clone() });
            }
        }
        Ok(signatures)
    }

    /// What is kept of the signatures of a manifest that was verified; nothing where no key is trusted.
    pub fn signatures(&self, manifest: ContentDigest) -> Option<Vec<u8>> {
        self.cache.as_ref()?.signatures(manifest, KEPT_SIGNATURES_BYTES)
    }

    /// What is pinned, and so stays in the cache.
    pub fn want(&self, pins: impl Iterator<Item = Pin>) {
        let wanted = pins.flat_map(|pin| [pin.manifest, pin.component]).collect();
        *self.wanted.lock() = wanted;
    }
}

fn was_verified(cache: Option<&Cache>, keys: &[PublicKey], pin: &Pin) -> bool {
    let kept = || {
        let text = cache?.signatures(pin.manifest, KEPT_SIGNATURES_BYTES)?;
        serde_json::from_slice::<VerifiedManifest>(&text).ok()
    };
    keys.is_empty()
        || kept().is_some_and(|kept| {
            kept.component == pin.component
                && signature::is_signed(pin.manifest, &kept.signatures, keys)
        })
}

/// All that is sent to a registry under one reference, within the time for it.
pub async fn sent_within<T>(
    deadline: Duration,
    reference: &Reference,
    sending: impl Future<Output = Result<T, OciError>>,
) -> Result<T, OciError> {
    timeout(deadline, sending).await.unwrap_or_else(|_| {
        let message = format!("{reference} was not sent within {deadline:?}");
        let hint = "try again: the parts that have arrived are not sent once more";
        Err(OciError::new(Kind::Away, message).hint(hint))
    })
}

/// Where cosign lays the signatures of a manifest.
fn signatures_of(reference: &Reference, manifest: ContentDigest) -> Reference {
    Reference { tag: Some(signature::tag(manifest)), digest: None, ..reference.clone() }
}

fn not_kept(reference: &Reference, error: &std::io::Error) -> OciError {
    OciError::new(Kind::Local, format!("{reference} cannot be kept in the state folder: {error}"))
}

#[cfg(test)]
mod tests;
