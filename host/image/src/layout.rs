//! An image in a folder, as OCI lays it out. It is also what `docker load` takes as an archive.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::json;
use wasm_host_limits::image::{BASE_LAYERS, IMAGE_CONFIG_BYTES, LAYER_BYTES};
use wasm_host_limits::oci::MANIFEST_BYTES;
use wasm_host_oci::Reference;
use wasm_host_oci::digest::ContentDigest;
use wasm_host_oci::manifest::{IMAGE_INDEX, IMAGE_MANIFEST, Manifest};

use crate::image::{Blob, Image, architecture};
use crate::layer::whole;

/// The file by which a folder is known to be one.
const MARK: &str = "oci-layout";

/// Several images under one name, for several kinds of machines.
#[derive(Debug, Deserialize)]
pub struct Index {
    manifests: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    digest: ContentDigest,
    platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

impl Index {
    /// `None`: it is no index.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The image for this kind of machine; the only one, where there is one and it does not say for what it is.
    pub fn own(&self) -> Option<ContentDigest> {
        let fits = |entry: &&Entry| {
            entry.platform.as_ref().is_some_and(|platform| {
                platform.os == "linux" && platform.architecture == architecture()
            })
        };
        let only = || match self.manifests.as_slice() {
            [only] if only.platform.is_none() => Some(only),
            _ => None,
        };
        self.manifests.iter().find(fits).or_else(only).map(|entry| entry.digest)
    }
}

/// Whether there is an image in a folder.
pub fn is_layout(folder: &Path) -> bool {
    folder.join(MARK).is_file()
}

/// Write an image. What was there is replaced if it was one; a reader finds the old one or the new one.
///
/// # Errors
/// It cannot be written, or there is something else.
pub fn write(folder: &Path, image: &Image, reference: Option<&Reference>) -> Result<()> {
    let is_empty = || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if folder.exists() && !is_layout(folder) && !is_empty() {
        bail!("{} has something else than an image in it; name another folder", folder.display());
    }
    let partial = beside(folder, "partial");
    let cannot = || format!("cannot write {}", folder.display());
    let put = || {
        let _ = fs::remove_dir_all(&partial);
        files(&partial, image, reference)?;
        let old = beside(folder, "old");
        let _ = fs::remove_dir_all(&old);
        if folder.exists() {
            fs::rename(folder, &old)?;
        }
        fs::rename(&partial, folder)?;
        let _ = fs::remove_dir_all(&old);
        Ok::<_, std::io::Error>(())
    };
    let written = put();
    if written.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    written.with_context(cannot)
}

fn beside(folder: &Path, what: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.{}.{what}", std::process::id()))
}

fn files(folder: &Path, image: &Image, reference: Option<&Reference>) -> std::io::Result<()> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let config = image.config();
    let manifest = image.manifest().to_bytes();
    let digest = ContentDigest::of(&manifest);
    fs::write(blobs.join(digest.hex()), &manifest)?;
    for blob in image.layers().iter().chain([&config]) {
        fs::write(blobs.join(blob.descriptor.digest.hex()), &blob.bytes)?;
    }
    let name = reference.map(plain);
    let annotations = name.as_ref().zip(reference).map(|(name, reference)| {
        json!({
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": reference.tag,
        })
    });
    let entry = json!({
        "mediaType": IMAGE_MANIFEST,
        "digest": digest,
        "size": manifest.len(),
        "platform": { "architecture": architecture(), "os": "linux" },
        "annotations": annotations.unwrap_or_else(|| json!({})),
    });
    let index = json!({ "schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [entry] });
    // What Docker before 25 looks for.
    let path = |digest: ContentDigest| format!("blobs/sha256/{}", digest.hex());
    let layers: Vec<_> = image.layers().iter().map(|layer| path(layer.descriptor.digest)).collect();
    let docker = json!([{
        "Config": path(config.descriptor.digest),
        "RepoTags": name.into_iter().collect::<Vec<_>>(),
        "Layers": layers,
    }]);
    fs::write(folder.join("manifest.json"), docker.to_string())?;
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(folder.join(MARK), r#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// As container engines write it.
pub fn plain(reference: &Reference) -> String {
    let text = reference.to_string();
    text.strip_prefix(wasm_host_oci::reference::SCHEME).unwrap_or(&text).to_owned()
}

/// The image of a folder that is for this kind of machine, with every part verified.
pub fn read(folder: &Path) -> Result<Image> {
    let wrong = || format!("{} has no image that can be used", folder.display());
    let index = whole(&folder.join("index.json"), IMAGE_CONFIG_BYTES).with_context(wrong)?;
    let mut digest = Index::of(&index)
        .and_then(|index| index.own())
        .with_context(|| format!("its index names none for linux/{}", architecture()))
        .with_context(wrong)?;
    let mut bytes = blob(folder, digest, MANIFEST_BYTES).with_context(wrong)?;
    // One step further where the one entry is an index itself.
    if let Some(own) = Index::of(&bytes).and_then(|index| index.own()) {
        digest = own;
        bytes = blob(folder, digest, MANIFEST_BYTES).with_context(wrong)?;
    }
    let manifest = Manifest::from_bytes(&bytes).map_err(anyhow::Error::msg).with_context(wrong)?;
    let config = blob(folder, manifest.config.digest, IMAGE_CONFIG_BYTES).with_context(wrong)?;
    if manifest.layers.len() > BASE_LAYERS {
        bail!("{} has more than {BASE_LAYERS} layers", folder.display());
    }
    let layers = manifest.layers.into_iter().map(|descriptor| {
        let bytes = blob(folder, descriptor.digest, LAYER_BYTES)?.into();
        Ok(Blob { descriptor, bytes })
    });
    let layers: Vec<_> = layers.collect::<Result<_>>().with_context(wrong)?;
    Image::read(&config, layers).map_err(anyhow::Error::msg).with_context(wrong)
}

fn blob(folder: &Path, digest: ContentDigest, bytes_max: u64) -> Result<Vec<u8>> {
    let path = folder.join("blobs/sha256").join(digest.hex());
    let bytes =
        whole(&path, bytes_max).with_context(|| format!("cannot read {}", path.display()))?;
    match ContentDigest::of(&bytes) == digest {
        true => Ok(bytes),
        false => bail!("{} is damaged", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::layer::Draft;
    use serde_json::Map;

    fn image(text: &str) -> Image {
        let mut draft = Draft::default();
        draft.bytes("/app/x", text);
        let mut image = Image::new(Map::new());
        image.add(draft.build().unwrap(), "test");
        image.label("title", "x");
        image
    }

    fn name() -> Reference {
        Reference::parse("registry.example/shop/app:7").unwrap()
    }

    #[test]
    fn an_image_reads_as_it_was_written_and_takes_the_place_of_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("image");
        write(&place, &image("one"), None).unwrap();
        write(&place, &image("two"), Some(&name())).unwrap();
        let read = read(&place).unwrap();
        assert_eq!(read.digest(), image("two").digest());
        assert_eq!(fs::read_dir(place.join("blobs/sha256")).unwrap().count(), 3);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let docker = fs::read_to_string(place.join("manifest.json")).unwrap();
        assert!(docker.contains("[\"registry.example/shop/app:7\"]"), "{docker}");
    }

    #[test]
    fn what_is_no_image_is_left_alone_and_what_is_damaged_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "x").unwrap();
        let told = write(folder.path(), &image("one"), None).unwrap_err().to_string();
        assert!(told.contains("something else than an image"), "{told}");
        assert!(folder.path().join("mine").exists());
        let place = folder.path().join("image");
        write(&place, &image("one"), None).unwrap();
        let layer = image("one").layers()[0].descriptor.digest;
        fs::write(place.join("blobs/sha256").join(layer.hex()), "other").unwrap();
        let told = format!("{:#}", read(&place).unwrap_err());
        assert!(told.contains("is damaged"), "{told}");
    }

    #[test]
    fn an_index_gives_the_image_of_this_kind_of_machine() {
        let digest = |text: &[u8]| ContentDigest::of(text);
        let entry = |architecture: &str| {
            let platform = json!({ "architecture": architecture, "os": "linux" });
            json!({ "digest": digest(architecture.as_bytes()), "platform": platform })
        };
        let index = |entries: &[serde_json::Value]| {
            Index::of(json!({ "manifests": entries }).to_string().as_bytes()).unwrap()
        };
        let (own, other) = (entry(architecture()), entry("other"));
        let both = index(&[other.clone(), own]);
        assert_eq!(both.own(), Some(digest(architecture().as_bytes())));
        assert_eq!(index(slice::from_ref(&other)).own(), None);
        let nameless = json!({ "digest": digest(b"x") });
        assert_eq!(index(slice::from_ref(&nameless)).own(), Some(digest(b"x")));
        assert!(Index::of(&image("x").manifest().to_bytes()).is_none());
    }
}
