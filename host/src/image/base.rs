//! The image that an application is put onto, where it is not this program's own.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::exit::Exit;
use wasm_host_image::image::{Blob, Image, architecture};
use wasm_host_image::layout::{self, Index};
use wasm_host_limits::image::{BASE_LAYERS, BASE_TIMEOUT, IMAGE_CONFIG_BYTES, LAYER_BYTES};
use wasm_host_oci::manifest::Manifest;
use wasm_host_oci::registry::Registry;
use wasm_host_oci::{Kind, OciError, Reference, Registries};

/// A folder with an image, or one of a registry.
pub(super) async fn read(named: &Path, registries: &Registries) -> Result<Image, Exit> {
    if layout::is_layout(named) {
        let folder = named.to_owned();
        let read = spawn_blocking(move || layout::read(&folder)).await;
        return Ok(read.context("the base could not be read")??);
    }
    let text = named.to_string_lossy();
    let reference = Reference::parse(&text).map_err(|problem| {
        Exit::Usage(format!(
            "wasm-host: error: --base {text} is neither a folder with an image nor a reference: {problem}"
        ))
    })?;
    let registry = registries.of(&reference).map_err(anyhow::Error::new)?;
    let pulled = timeout(BASE_TIMEOUT, pull(&registry, &reference)).await.unwrap_or_else(|_| {
        let message = format!("{reference} did not come within {BASE_TIMEOUT:?}");
        Err(OciError::new(Kind::Away, message))
    });
    Ok(pulled.map_err(|error| anyhow!(error))?)
}

/// An image of a registry, with every part verified.
async fn pull(registry: &Registry, reference: &Reference) -> Result<Image, OciError> {
    let unusable = |why: String| {
        let message = format!("{} is no base: {why}", layout::plain(reference));
        OciError::new(Kind::Unusable, message)
    };
    let mut fetched = registry.manifest(reference).await?;
    if let Some(index) = Index::of(&fetched.bytes) {
        let own = index
            .own()
            .ok_or_else(|| unusable(format!("it has no image for linux/{}", architecture())))?;
        fetched = registry.manifest(&reference.at(own)).await?;
    }
    let manifest = Manifest::from_bytes(&fetched.bytes).map_err(unusable)?;
    if manifest.layers.len() > BASE_LAYERS {
        return Err(unusable(format!("it has more than {BASE_LAYERS} layers")));
    }
    let config = registry.blob(reference, &manifest.config, IMAGE_CONFIG_BYTES).await?;
    let mut layers = Vec::new();
    for descriptor in manifest.layers {
        let bytes = registry.blob(reference, &descriptor, LAYER_BYTES).await?;
        layers.push(Blob { descriptor, bytes: bytes.into() });
    }
    Image::read(&config, layers).map_err(unusable)
}
